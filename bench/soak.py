#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mixed load for a long time: ``python -m bench.soak [--minutes 30]``, from the checkout's root.

The real daemon, a real Apache with a job of 300 tests and a fake Gerrit, and all at once: look-ups (5 a
second), scrapes (forced, one every 3 s; six times as many in the warm-up, which so fills the caches, all of
bounded size: what grows afterwards is a leak), scrapes of a server that accepts and says nothing (one after
the other, each until its time is over), 50 event streams that follow these, four readers of blobs and their
blocks on kept connections, two visitors who load three pages with all their scripts on a new connection
each second, and ``/health/live`` every 50 ms (open loop: a wait counts from when the question was due).
Each kind is a process of its own, on the same cores as the daemon.

Says what was answered, apart from it what a stated limit refused, and every other error; the daemon's
memory and descriptors (medians of the first and last tenth after the warm-up, which is a sixth of the
time: 5 minutes of 30); the waits for /health/live; the reactor's latest timer as /metrics tells it.
Ends with status 1 when a number of issue 5 is not reached.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import multiprocessing
import os
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bench.cpu_time import children
from tests.daemon import Daemon, free_port
from tests.test_end_to_end import JOB, Site

STREAMS = 50
EVERY_S = 0.05
STATED = {429, 503}
GOOD = {200, 202, 304}
ZIPPED = {"Accept-Encoding": "gzip"}
URL = f"http://logs.openstack.org/{JOB}/"
SILENT = "http://logs.opendev.org"
CHANGES = ("271726", "269624", "269624,19")


class Visitor:
    """Asks and counts; one for each thread."""

    def __init__(self, port: int, counts: Counter[str], kind: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.counts, self.kind = counts, kind

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> bytes:
        sent = None if body is None else json.dumps(body)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if sent is not None:
            given["Content-Type"] = "application/json"
        try:
            self.connection.request(method, path, sent, given)
            response = self.connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.counts[f"{self.kind}: {type(error).__name__}"] += 1
            self.connection.close()
            return b""
        status = response.status
        verdict = (
            "ok" if status in GOOD else "stated limit" if status in STATED else f"{status} {data[:80]!r}"
        )
        self.counts[f"{self.kind}: {verdict}"] += 1
        return data if status in GOOD else b""

    def post(self, path: str, body: Any) -> Any:
        return json.loads(self.ask("POST", path, body) or b"{}")


class Load:
    """What every process of the load knows."""

    def __init__(self, port: int, warm_s: float, end_s: float, done: Any, newest: Any) -> None:
        """``done``: a finished task; ``newest``: one that the event streams follow."""
        self.port, self.warm_s, self.end_s, self.done, self.newest = port, warm_s, end_s, done, newest
        self.counts: Counter[str] = Counter()
        self.waits: list[float] = []

    def on(self) -> bool:
        return time.monotonic() < self.end_s

    def lists(self) -> None:
        visitor = Visitor(self.port, self.counts, "look-ups")
        for q in itertools.cycle(CHANGES):
            if not self.on():
                return
            visitor.post("/api/list", {"q": q})
            time.sleep(0.2)

    def scrapes(self) -> None:
        visitor = Visitor(self.port, self.counts, "scrapes")
        while self.on():
            made = []
            for _ in range(3):
                made.append(visitor.post("/api/scrape", {"url": URL, "force": True}).get("uuid", ""))
                time.sleep(0.5 if time.monotonic() < self.warm_s else 3)
            for uuid in filter(None, made):
                state = visitor.post("/api/status", {"q": uuid}).get("status")
                if state == "finished":
                    self.done.value = uuid.encode()
                elif state not in ("pending", "queued"):
                    self.counts[f"scrapes: ended as {state}"] += 1

    def silences(self) -> None:
        visitor = Visitor(self.port, self.counts, "scrapes of a silent server")
        for number in itertools.count():
            uuid = visitor.post("/api/scrape", {"url": f"{SILENT}/{number}/"}).get("uuid", "")
            self.newest.value = uuid.encode()
            while (state := visitor.post("/api/status", {"q": uuid}).get("status")) in ("pending", "queued"):
                if not self.on():
                    return
                time.sleep(1)
            if state != "error":
                self.counts[f"scrapes of a silent server: ended as {state}"] += 1

    def streams(self) -> None:
        def follow() -> None:
            while self.on():
                uuid = self.newest.value.decode()
                visitor = Visitor(self.port, self.counts, "event streams")
                told = visitor.ask("GET", f"/api/events/{uuid}")  # until the task ends
                if told and b'"status":"' not in told:
                    self.counts["event streams: nothing told"] += 1
                visitor.connection.close()
                while self.on() and self.newest.value.decode() == uuid:
                    time.sleep(0.2)

        self.together(follow, STREAMS)

    def blobs(self) -> None:
        def read() -> None:
            visitor = Visitor(self.port, self.counts, "blobs")
            while self.on():
                artifacts = visitor.post("/api/task", {"q": self.done.value.decode()}).get("artifacts", [])
                for one in artifacts:
                    path = f"/api/blob/{one['id']}"
                    visitor.ask("GET", path, **ZIPPED)
                    visitor.ask("GET", path)
                    if one["blocks"]:
                        visitor.ask("GET", f"{path}/blocks", **ZIPPED)
                        visitor.ask("GET", f"{path}/blocks/0", **ZIPPED)
                    time.sleep(0.05)

        self.together(read, 4)

    def pages(self) -> None:
        def visit() -> None:
            while self.on():
                visitor = Visitor(self.port, self.counts, "pages")
                uuid = self.done.value.decode()
                for page in ("/", f"/s/{uuid}/", "/go/269624"):
                    html = visitor.ask("GET", page, Accept="text/html").decode()
                    for path in re.findall(r'(?:src|href)="(/(?:js|css)/[^"]+)"', html):
                        visitor.ask("GET", path, **ZIPPED)
                visitor.connection.close()
                time.sleep(1)

        self.together(visit, 2)

    def health(self) -> None:
        os.setpriority(os.PRIO_PROCESS, 0, -5)  # the ruler is not what is measured
        visitor = Visitor(self.port, self.counts, "health")
        due = time.perf_counter()
        while self.on():
            visitor.ask("GET", "/health/live")
            self.waits.append(time.perf_counter() - due)
            due = max(due + EVERY_S, time.perf_counter() - 1)
            time.sleep(max(0.0, due - time.perf_counter()))

    def together(self, work: Callable[[], None], many: int) -> None:
        threads = [threading.Thread(target=work) for _ in range(many)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


KINDS = ("lists", "scrapes", "silences", "streams", "blobs", "pages", "health")


def run(kind: str, load: Load, told: Any) -> None:
    getattr(load, kind)()
    told.put((load.counts, load.waits))


def rss_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1])  # type: ignore[index]


def lag_max_s(port: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return float(re.search(r"^stackviz_reactor_lag_max_seconds (\S+)$", text, re.MULTILINE)[1])  # type: ignore[index]


def soak(daemon: Daemon, metrics: int, minutes: float) -> bool:
    assert daemon.process is not None
    pid = daemon.process.pid
    first = daemon.post("/api/scrape", {"url": URL})[1]["uuid"]
    assert daemon.wait(first)["status"] == "finished"
    seconds = minutes * 60
    context = multiprocessing.get_context("fork")
    done, newest = (context.Array("c", first.encode()) for _ in range(2))
    told = context.Queue()
    begun = time.monotonic()
    load = Load(daemon.port, begun + seconds / 6, begun + seconds, done, newest)
    processes = [context.Process(target=run, args=(kind, load, told)) for kind in KINDS]
    for process in processes:
        process.start()
    samples: list[tuple[float, int, int, int]] = []
    while time.monotonic() < begun + seconds:
        time.sleep(2)
        workers = sum(rss_kib(child) for child in children(pid))
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        samples.append((time.monotonic() - begun, rss_kib(pid), descriptors, workers))
    lag = lag_max_s(metrics)
    counts: Counter[str] = Counter()
    waits: list[float] = []
    for _ in processes:
        more, waited = told.get()
        counts.update(more)
        waits += waited
    for process in processes:
        process.join()
    return report(counts, waits, samples, seconds, lag)


def report(
    counts: Counter[str],
    waits: list[float],
    samples: list[tuple[float, int, int, int]],
    seconds: float,
    lag_s: float,
) -> bool:
    """Print it all; whether every number is reached."""
    errors = 0
    for what, count in sorted(counts.items()):
        print(f"{what}: {count}")
        if not what.endswith((": ok", ": stated limit")):
            errors += count
    warm = [sample for sample in samples if sample[0] >= seconds / 6]
    tenth = max(1, len(warm) // 10)

    def ends(n: int) -> tuple[float, float]:
        return statistics.median(s[n] for s in warm[:tenth]), statistics.median(s[n] for s in warm[-tenth:])

    rss, descriptors, workers = ends(1), ends(2), ends(3)
    growth = rss[1] / rss[0] - 1
    waits.sort()
    p99 = waits[int(len(waits) * 0.99)]
    print(f"errors that are no stated limit: {errors}")
    print(f"memory of the daemon: {rss[0] / 1024:.1f} MiB, then {rss[1] / 1024:.1f} ({growth:+.1%}; 2 %)")
    parts = [warm[n * tenth : (n + 1) * tenth] for n in range(10)]
    means = (statistics.median(s[1] for s in part) / 1024 for part in parts if part)
    print("its tenths, MiB:", ", ".join(f"{mib:.1f}" for mib in means))
    print(f"memory of its workers: {workers[0] / 1024:.1f} MiB, then {workers[1] / 1024:.1f}")
    print(f"descriptors: {descriptors[0]:.0f}, then {descriptors[1]:.0f}; most {max(s[2] for s in warm)}")
    print(
        f"/health/live: p50 {waits[len(waits) // 2] * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms (25), "
        f"max {waits[-1] * 1e3:.1f} ms, of {len(waits)}"
    )
    print(f"reactor lag, max: {lag_s * 1e3:.0f} ms (150)")
    flat = abs(descriptors[1] - descriptors[0]) <= STREAMS + 10
    return not errors and growth <= 0.02 and p99 <= 0.025 and lag_s <= 0.15 and flat


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        base.chmod(0o755)  # started by root, Apache becomes somebody else
        site = Site(base, "--tests", "300", "--dstat-rows", "400", "--console-mb", "0.5", "--att-max", "8192")
        metrics = free_port()
        try:
            daemon = site.start()
            config = yaml.safe_load(daemon.config.read_text(encoding="utf-8"))
            config["metrics"] = f"tcp:{metrics}:interface=127.0.0.1"
            silent = socket.create_server(("127.0.0.1", 0), backlog=128)
            config["resolve"]["logs.opendev.org"] = f"127.0.0.1:{silent.getsockname()[1]}"
            config["limits"] = {"fetch_seconds": 60}
            # all of them come from one address
            config["connections"] = {"client": 400, "events": 1000}
            daemon.config.write_text(yaml.safe_dump(config), encoding="utf-8")
            with silent, daemon:
                good = soak(daemon, metrics, minutes)
        finally:
            site.stop()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
