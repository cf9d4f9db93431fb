#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPU a request with keep-alive, beside nginx: ``python -m bench.serving``, from the checkout's root.

The real daemon and nginx (one worker, sendfile) serve the same bytes under the same headers: a file of
about 4 KB, and a blob of about 250 KB, each asked for in turn by wrk (one thread, 32 connections).  The
servers run on the first core, wrk on the second.  Rounds are interleaved; what counts is the CPU time of
the server's processes over the requests that wrk saw answered, and its ratio to nginx's in the same round.
A further line has no rival: the file when its client has it already (304).

wrk and nginx are Debian's.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from bench.cpu_time import children, tree_cpu_s
from tests.daemon import Daemon
from tests.servers import Nginx

FILE = "/js/lib/plot.js"
CONNECTIONS = 32
BLOB_BYTES = 250_000

# What nginx says itself, or what differs with each answer.
_OWN = {"connection", "content-length", "content-type", "date", "etag", "server", "x-request-id"}


@frozen
class Case:
    """What is asked for, of whom."""

    name: str
    url: str
    pid: int = field(repr=False)
    ask: Mapping[str, str] = field(factory=dict)
    status: int = 200


def noise(size: int) -> bytes:
    """Lines of text that gzip makes about ``size`` bytes of; the same in each run."""
    text = base64.b64encode(random.Random(5).randbytes(size))
    return b"\n".join(text[at : at + 99] for at in range(0, len(text), 99)) + b"\n"


def make_blob(daemon: Daemon, size: int) -> str:
    """Send the console of a job; the path of the blob that it became."""
    status, sent = daemon.send(
        "/api/upload?name=console.html", noise(size), {"Content-Type": "application/octet-stream"}
    )
    assert status == 202, sent
    end = daemon.wait(sent["uuid"])
    assert end["status"] == "finished", end
    task = daemon.post("/api/task", {"q": sent["uuid"]})[1]
    biggest = max(task["artifacts"], key=lambda artifact: int(artifact["size"]))
    assert abs(biggest["size"] - size) < size / 10, biggest
    return f"/api/blob/{biggest['id']}"


def beside(daemon: Daemon, paths: Mapping[str, Mapping[str, str]], base: Path) -> Nginx:
    """An nginx that answers ``paths`` (with the headers they are asked with) as the daemon does."""
    root, locations = base / "root", []
    for path, ask in paths.items():
        status, headers, body = daemon.request("GET", path, headers=dict(ask))
        assert status == 200, body
        place = root / path.strip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)
        says = "".join(
            f'      add_header {name} "{value}";\n'
            for name, value in headers.items()
            if name.lower() not in _OWN
        )
        locations.append(
            f"    location = {path} {{\n      types {{ }}\n      default_type {headers['Content-Type']!r};\n"
            f"{says}      add_header X-Request-Id $request_id;\n    }}\n"
        )
    tuned = "sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 60s;"
    nginx = Nginx(root, base / "nginx", extra=f"{tuned}\n{''.join(locations)}")
    nginx.start()
    return nginx


def pin(pid: int, core: int) -> None:
    for one in (pid, *children(pid)):
        os.sched_setaffinity(one, {core})


def ask(case: Case, seconds: float) -> float:
    """CPU microseconds of the server for each request."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
    command = ["taskset", "-c", "1", *command, *(f"-H{k}: {v}" for k, v in case.ask.items()), case.url]
    before = tree_cpu_s(case.pid)
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    used = tree_cpu_s(case.pid) - before
    bad = re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", said)
    assert bad is None, bad[0] if bad else ""
    count = re.search(r"(\d+) requests in", said)
    assert count is not None, said
    return used / int(count[1]) * 1e6


def table(cases: Sequence[tuple[Case, Case | None]], rounds: int, seconds: float) -> None:
    taken: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for case, rival in cases:
            ours = ask(case, seconds)
            theirs = ask(rival, seconds) if rival is not None else 0.0
            taken.setdefault(case.name, []).append((ours, theirs))
    for name, pairs in taken.items():
        ours = [pair[0] for pair in pairs]
        line = f"{name}: {statistics.median(ours):.0f} us ({min(ours):.0f} to {max(ours):.0f})"
        if pairs[0][1]:
            ratios = sorted(mine / theirs for mine, theirs in pairs)
            nginx = statistics.median(pair[1] for pair in pairs)
            line += f"; nginx {nginx:.0f} us; {statistics.median(ratios):.2f} times nginx"
            line += f" ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (default 3)")
    options = parser.parse_args()
    zipped = {"Accept-Encoding": "gzip"}
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        base.chmod(0o755)  # started by root, nginx becomes somebody else
        with Daemon(base / "daemon", {"gerrits": [], "zuuls": [], "metrics": None}) as daemon:
            assert daemon.process is not None
            blob = make_blob(daemon, BLOB_BYTES)
            nginx = beside(daemon, {FILE: {}, blob: zipped}, base)
            try:
                assert nginx.process is not None
                pin(daemon.process.pid, 0)
                pin(nginx.process.pid, 0)
                here, there = f"http://127.0.0.1:{daemon.port}", nginx.url.rstrip("/")
                pids = daemon.process.pid, nginx.process.pid
                etag = daemon.request("GET", FILE)[1]["ETag"]
                size = daemon.request("GET", FILE)[1]["Content-Length"]
                cases = [
                    (Case(f"file of {size} bytes", here + FILE, pids[0]), Case("", there + FILE, pids[1])),
                    (
                        Case(f"blob of {BLOB_BYTES} bytes", here + blob, pids[0], zipped),
                        Case("", there + blob, pids[1], zipped),
                    ),
                    (Case("the file, unchanged (304)", here + FILE, pids[0], {"If-None-Match": etag}), None),
                ]
                table(cases, options.rounds, options.seconds)
            finally:
                nginx.stop()


if __name__ == "__main__":
    sys.exit(main())
