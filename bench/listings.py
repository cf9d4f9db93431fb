#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What listings cost: ``python -m bench.listings [ROUNDS]``.

A manifest of 50,000 files (as Zuul's role writes it, gzipped as Swift sends it) and the index of a
directory of 5,000 files (of a real Apache with Debian's settings), ROUNDS times (default 9), each in the
daemon's worker process, asked over its pipe.  Per kind:

- wall: from the question to the answer in the asking process, median and slowest, in ms;
- parser: CPU of the parser alone, in ms: what the host's noise leaves as it is;
- reactor: CPU of the asking process for it, and the longest that its event loop was held up (ms);
- rival: the original's way in the same run, round by round: ``BeautifulSoup(page).find_all("a")`` on the
  index (with html.parser; needs beautifulsoup4, else left out), ``json.loads`` and a recursive walk with the
  same globs on the manifest, CPU in ms.

Then the whole of ``JobListing.open`` (requests included) over both, from that Apache.
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from attrs import Factory, define
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, react

from stackviz_deployer.cpu import WorkerPool
from stackviz_deployer.listing.job import JobListing
from stackviz_deployer.model import InputFile, ParseRequest
from stackviz_deployer.net.fetch import HttpFetcher
from stackviz_deployer.parsers import listing as listing_parser
from stackviz_deployer.parsers import manifest as manifest_parser
from stackviz_deployer.scrapers import SCRAPERS
from stackviz_deployer.settings import Limits
from tests.servers import Apache

try:
    from bs4 import BeautifulSoup
except ImportError:
    BeautifulSoup = None

FILES = 50_000
ENTRIES = 5_000
NAMES = [glob for scraper in SCRAPERS for glob in scraper.globs]
TICK_S = 0.001


def manifest(count: int) -> dict[str, Any]:
    """A tree of ``count`` files: services' logs and configuration on a few hosts, sites of several levels."""

    def file(name: str, number: int) -> dict[str, Any]:
        return {
            "name": name,
            "mimetype": "text/plain",
            "encoding": None,
            "last_modified": 1454988780 + number,
            "size": 1000 + number * 37 % 100_000,
        }

    def folder(name: str, children: list[dict[str, Any]]) -> dict[str, Any]:
        return {"name": name, "mimetype": "application/directory", "encoding": None, "children": children}

    hosts = []
    each = count // 10
    for host in range(10):
        logs = [file(f"screen-n-{number}.txt", number) for number in range(each // 5)]
        logs += [file("dstat-csv_log.txt", 1), file("testrepository.subunit", 2)]
        sites = [
            folder(f"module_{n}", [file(f"page-{n}-{m}.html", m) for m in range(40)])
            for n in range((each - len(logs)) // 40)
        ]
        logs += [file(f"syslog.{number}", number) for number in range(each - len(logs) - 40 * len(sites))]
        hosts.append(folder(f"compute{host}", [folder("logs", [folder("docs", sites), *logs])]))
    return {"tree": hosts, "index_links": False}


def rival_manifest(body: bytes) -> int:
    def walk(entries: list[dict[str, Any]], path: str) -> Iterator[str]:
        for entry in entries:
            if "children" in entry:
                yield from walk(entry["children"], f"{path}{entry['name']}/")
            elif any(fnmatchcase(entry["name"], glob) for glob in NAMES):
                yield path + entry["name"]

    return len(list(walk(json.loads(gzip.decompress(body))["tree"], "")))


def rival_index(body: bytes) -> int:
    return sum(1 for link in BeautifulSoup(body, "html.parser").find_all("a") if link.get("href"))


@define
class Series:
    """What was measured of one kind, in ms."""

    name: str
    wall: list[float] = Factory(list)
    cpu: list[float] = Factory(list)
    held: list[float] = Factory(list)
    parser: list[float] = Factory(list)
    rival: list[float] = Factory(list)

    def show(self) -> None:
        said = f"{self.name}: wall {statistics.median(self.wall):.0f} (slowest {max(self.wall):.0f})"
        said += f", reactor {statistics.median(self.cpu):.1f} CPU, held up {max(self.held):.1f}"
        if self.parser:
            said += f", parser {statistics.median(self.parser):.0f} CPU"
        if self.rival:
            said += f"; rival {statistics.median(self.rival):.0f}"
        print(f"{said} ms", flush=True)

    async def measure(self, work: Callable[[], Any]) -> Any:
        """Do ``work`` once, watching the event loop."""
        last, worst = time.perf_counter(), 0.0

        def tick() -> None:
            nonlocal last, worst
            now = time.perf_counter()
            worst, last = max(worst, now - last - TICK_S), now

        ticker = LoopingCall(tick)
        ticker.start(TICK_S)
        began, cpu = time.perf_counter(), time.process_time()
        result = await work()
        self.wall.append((time.perf_counter() - began) * 1e3)
        self.cpu.append((time.process_time() - cpu) * 1e3)
        ticker.stop()
        self.held.append(worst * 1e3)
        return result

    @staticmethod
    def time(into: list[float], work: Callable[[], object]) -> None:
        began = time.process_time()
        work()
        into.append((time.process_time() - began) * 1e3)


async def run(reactor: Any, rounds: int, base: Path) -> None:
    htdocs = base / "htdocs"
    (htdocs / "logs").mkdir(parents=True)
    (htdocs / "job").mkdir()
    for number in range(ENTRIES):
        (htdocs / "logs" / f"screen-n-cpu-{number:05d}.txt.gz").write_bytes(b"x" * (number % 50))
    body = gzip.compress(json.dumps(manifest(FILES)).encode())
    (htdocs / "job" / "zuul-manifest.json").write_bytes(body)
    cpu = WorkerPool(reactor, slots=1, memory_bytes=2 << 30)
    cpu.startService()
    try:
        with Apache(htdocs, base / "apache") as apache:
            with urlopen(apache.url + "logs/") as answer:  # noqa: ASYNC210  nothing else runs yet
                index = answer.read()
            print(f"manifest {len(body):,} bytes gzipped, index {len(index):,} bytes, {len(NAMES)} globs")
            pages = {
                "manifest": (body, manifest_parser.parse, rival_manifest),
                "listing": (index, listing_parser.parse, rival_index),
            }
            series = {kind: Series(kind) for kind in pages}
            for number in range(rounds + 1):
                for kind, (page, parse, rival) in pages.items():
                    one = Series("warm-up") if number == 0 else series[kind]
                    path = base / f"{kind}.page"
                    path.write_bytes(page)
                    request = ParseRequest(
                        parser=kind,
                        inputs=(InputFile(path=str(path), name=kind),),
                        out_dir=str(base),
                        max_bytes=32 << 20,
                        options={"url": apache.url, "names": NAMES},
                    )
                    result = await one.measure(lambda request=request: cpu.run(request, timeout_s=60))
                    assert result.data["seen"] in (FILES, ENTRIES)
                    one.time(one.parser, lambda parse=parse, request=request: parse(request))
                    if kind == "manifest" or BeautifulSoup is not None:
                        one.time(one.rival, lambda rival=rival, page=page: rival(page))
            for one in series.values():
                one.show()
            fetcher = HttpFetcher(
                reactor, allowed=[f"127.0.0.1:{apache.port}"], private_networks=["127.0.0.0/8"]
            )
            listing = JobListing(fetcher, cpu, Limits(), names=NAMES)
            for folder in ("job/", "logs/"):
                whole = Series(f"JobListing.open of {folder}")
                for number in range(rounds):
                    scratch = base / f"{folder.strip('/')}-{number}"
                    scratch.mkdir()
                    await whole.measure(lambda s=scratch, f=folder: listing.open(apache.url + f, s))
                whole.show()
            await fetcher.close()
    finally:
        await cpu.stopService()


def main(reactor: Any, rounds: str = "9") -> Deferred[None]:
    scratch = tempfile.TemporaryDirectory(prefix="bench-listings-")
    Path(scratch.name).chmod(0o755)  # Apache is www-data
    done = Deferred.fromCoroutine(run(reactor, int(rounds), Path(scratch.name)))
    return done.addBoth(lambda result: (scratch.cleanup(), result)[1])


if __name__ == "__main__":
    react(main, sys.argv[1:], _reactor)
