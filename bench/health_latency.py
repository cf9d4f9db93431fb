#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""``/health`` while four 266 MB streams are scraped at once: ``python -m bench.health_latency``.

Four jobs of 20,000 tests each on a real Apache on loopback.  One keep-alive client asks
``/health`` every 10 ms (open loop: a late answer does not delay the next question's due time, and
its wait counts from when it was due).  Prints p50, p99 and max in ms: idle, then during the scrapes.
"""

from __future__ import annotations

import argparse
import http.client
import os
import threading
import time
from pathlib import Path

from bench.rig import scraping
from tests.test_end_to_end import generate

EVERY_S = 0.010
ROOT = "24/269624/19/check"


class Pinger(threading.Thread):
    """Asks until told to stop; ``waits`` in seconds."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.stopped = threading.Event()
        self.waits: list[float] = []

    def run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -5)  # the ruler is not what is measured
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        due = time.perf_counter()
        while not self.stopped.is_set():
            connection.request("GET", "/health")
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            self.waits.append(time.perf_counter() - due)
            due += EVERY_S
            time.sleep(max(0.0, due - time.perf_counter()))

    def report(self, name: str) -> None:
        self.stopped.set()
        self.join()
        waits = sorted(self.waits)
        p50, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
        print(f"{name}: p50 {p50 * 1e3:.1f} p99 {p99 * 1e3:.1f} max {waits[-1] * 1e3:.1f} ms ({len(waits)})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tests", type=int, default=20000, help="of each job (default 20000: 266 MB)")
    parser.add_argument("--jobs", type=int, default=4)
    options = parser.parse_args()
    urls = [f"http://logs.openstack.org/{ROOT}/job-{n}/0000000/" for n in range(options.jobs)]

    def fill(htdocs: Path) -> None:
        first = htdocs / ROOT / "job-0" / "0000000"
        generate(first, "--tests", str(options.tests), "--dstat-rows", "5400", "--console-mb", "1")
        for n in range(1, options.jobs):
            (htdocs / ROOT / f"job-{n}").symlink_to("job-0")

    with scraping(fill) as (daemon, _):
        idle = Pinger(daemon.port)
        idle.start()
        time.sleep(5)
        idle.report("idle")
        busy = Pinger(daemon.port)
        busy.start()
        begun = time.perf_counter()
        tasks = [daemon.post("/api/scrape", {"url": url})[1]["uuid"] for url in urls]
        ends = [daemon.wait(uuid)["status"] for uuid in tasks]
        took = time.perf_counter() - begun
        busy.report(f"{options.jobs} scrapes of {options.tests} tests ({took:.1f} s, {ends})")


if __name__ == "__main__":
    main()
