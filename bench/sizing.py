#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many nodes for so many jobs an hour: ``python -m bench.sizing``, from the checkout's root; 2 s.

A simulation of events, no measurement: jobs arrive at random (Poisson), each takes a scrape's place on a
node, asks its log host for one file after the other, each request in one of the places that all nodes have
there together (cluster/slots.py), and goes through a parser process.  What a stage costs was measured, once,
by hand: the constants say where.  What the log host takes is assumed.  Not simulated: people who look at
sites, look-ups, large jobs beside small ones, failures, and a database or Redis that is itself slow.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import statistics
from collections import deque
from collections.abc import Generator
from typing import TypeAlias

# Measured.  bench.end_to_end: a job of 1,500 tests, 5,400 dstat rows, 20 MB of console.
CPU_S = 0.90
"""Of processor time, daemon and parsers."""
SITE_BYTES = 7_584_803
"""Of its artifacts, as they lie."""
# A web and a worker node, 20 jobs of one file each, and 20 s without any: what the servers themselves counted
# (INFO stats, SHOW GLOBAL STATUS).
WRITES = 6
"""Rows inserted or updated, for a job (INSERT and UPDATE statements)."""
COMMANDS = 103
"""For a job, those within scripts included, and ..."""
IDLE_COMMANDS = 1.2
"""... a node, in a second, whatever there is to do."""

# Assumed.
REQUESTS = 5
"""Of the log host for a job: its listing, and four files, one after the other."""
REQUEST_S = 0.6
"""Each takes on average (exponentially distributed)."""

# As configured: the defaults, on machines of four cores.
PLACES = 6
"""Requests of a log host at a time, by all nodes."""
WORKERS = 4
SCRAPES = 4

WAIT_S = 5.0
"""What 95 of 100 jobs should wait no longer than, in all queues together."""
HOURS = 2.0
SEED = 6
LOADS = (100, 1_000, 10_000)

Job: TypeAlias = Generator["Places | float", None, None]
"""Yields the place it wants, or the seconds that pass."""


class Places:
    """So many may be here at a time; the others wait in the order in which they came."""

    def __init__(self, most: int) -> None:
        self.free = most
        self.waiting: deque[Job] = deque()


def simulate(per_hour: int, nodes: int, hosts: int) -> list[float]:
    """What each job of HOURS waited, in seconds."""
    chance = random.Random(SEED)
    scrapes, parsers = Places(SCRAPES * nodes), Places(WORKERS * nodes)
    servers = [Places(PLACES) for _ in range(hosts)]
    order = itertools.count()
    events: list[tuple[float, int, Job]] = []
    waits: list[float] = []
    now_s = 0.0

    def job() -> Job:
        came_s, worked_s = now_s, 0.0
        yield scrapes
        for _ in range(REQUESTS):
            server = chance.choice(servers)
            time_s = chance.expovariate(1 / REQUEST_S)
            yield server
            yield time_s
            leave(server)
            worked_s += time_s
        yield parsers
        yield CPU_S
        leave(parsers)
        leave(scrapes)
        waits.append(now_s - came_s - worked_s - CPU_S)

    def leave(place: Places) -> None:
        if place.waiting:
            heapq.heappush(events, (now_s, next(order), place.waiting.popleft()))
        else:
            place.free += 1

    arrival_s = 0.0
    while (arrival_s := arrival_s + chance.expovariate(per_hour / 3600)) < HOURS * 3600:
        heapq.heappush(events, (arrival_s, next(order), job()))
    while events:
        now_s, _, going = heapq.heappop(events)
        for wish in going:
            if isinstance(wish, float):
                heapq.heappush(events, (now_s + wish, next(order), going))
                break
            if not wish.free:
                wish.waiting.append(going)
                break
            wish.free -= 1
    return waits


def p95(waits: list[float]) -> float:
    return statistics.quantiles(waits, n=20)[-1]


def main() -> None:
    rows = []
    for per_hour in LOADS:
        rate = per_hour / 3600
        hosts = math.ceil(rate * REQUESTS * REQUEST_S / PLACES / 0.8)
        needed = next(n for n in itertools.count(1) if p95(simulate(per_hour, n, hosts)) <= WAIT_S)
        nodes = needed + 1  # one may be away
        rows.append(
            (
                f"{per_hour:,}",
                f"{nodes}",
                f"{nodes * WORKERS}",
                f"{hosts}",
                f"{p95(simulate(per_hour, needed, hosts)):.1f} s",
                f"{rate * WRITES:.2f}",
                f"{rate * COMMANDS + nodes * IDLE_COMMANDS:.0f}",
                f"{per_hour * 730 * SITE_BYTES / 1e9:,.0f}",
                f"{per_hour * 168 * SITE_BYTES / 1e9:,.0f}",
            )
        )
    head = (
        "jobs/h",
        "nodes",
        "parsers",
        "log hosts",
        "wait",
        "writes/s",
        "commands/s",
        "GB/month",
        "GB kept",
    )
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = " ".join("=" * width for width in widths)
    lines = [
        " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)
    ]
    print("\n".join([rule, lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule]))


if __name__ == "__main__":
    main()
