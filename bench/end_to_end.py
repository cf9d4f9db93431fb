#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From POST to finished: ``python -m bench.end_to_end [--rounds 9]``, from the checkout's root.

A 1,500-test job (19 MB subunit, 5,400 dstat rows, 20 MB console) on a real Apache on
loopback, scraped by the real daemon: once cold (the first scrape after the start), then warm.
Prints seconds of wall clock and CPU seconds of daemon and workers, and the size of each stored
artifact beside ``gzip -9`` of the file it came from.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import time
from pathlib import Path

from bench.cpu_time import tree_cpu_s
from bench.rig import scraping
from tests.daemon import Daemon
from tests.test_end_to_end import JOB, generate

URL = f"http://logs.openstack.org/{JOB}/"


def scrape(daemon: Daemon) -> tuple[float, float, str]:
    """(wall seconds, CPU seconds, uuid) of one forced scrape."""
    assert daemon.process is not None
    cpu, begun = tree_cpu_s(daemon.process.pid), time.perf_counter()
    status, queued = daemon.post("/api/scrape", {"url": URL, "force": True})
    assert status == 202, queued
    end = daemon.wait(queued["uuid"])
    wall = time.perf_counter() - begun
    assert end["status"] == "finished", end
    return wall, tree_cpu_s(daemon.process.pid) - cpu, queued["uuid"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="warm scrapes (default 9)")
    rounds = parser.parse_args().rounds

    def fill(htdocs: Path) -> None:
        generate(htdocs / JOB, "--tests", "1500", "--dstat-rows", "5400", "--console-mb", "20")

    with scraping(fill) as (daemon, htdocs):
        wall, cpu, _ = scrape(daemon)
        print(f"cold: {wall:.2f} s wall, {cpu:.2f} s CPU")
        runs = [scrape(daemon) for _ in range(rounds)]
        walls = sorted(run[0] for run in runs)
        median = [statistics.median(run[n] for run in runs) for n in (0, 1)]
        print(
            f"warm, {rounds} rounds: median {median[0]:.2f} s wall "
            f"(best {walls[0]:.2f}, worst {walls[-1]:.2f}), median {median[1]:.2f} s CPU"
        )
        task = daemon.post("/api/task", {"q": runs[-1][2]})[1]
        sizes = {a["artifact_type"]: a["size"] for a in task["artifacts"]}
        came = gzip.decompress((htdocs / JOB / "logs" / "dstat-csv.txt.gz").read_bytes())
        print(f"stored: {sizes}")
        print(f"subunit + subunit-stats: {sizes['subunit'] + sizes['subunit-stats']} bytes")
        print(f"dstat: {sizes['dstat']} bytes; gzip -9 of the file as it came: {len(gzip.compress(came, 9))}")


if __name__ == "__main__":
    main()
