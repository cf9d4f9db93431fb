#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes over one redis-server and one mariadbd: ``python -m bench.cluster [shares|claims|kills]``.

``shares``: the same tasks (a stream of 1,500 tests, from a server on loopback) posted to a web node, worked
on by one worker node and then by two, ``workers: 1`` each; and by a single daemon with SQLite, and a single
node with Redis and MariaDB: processor time of the daemon and its parsers per task.
``claims``: from a free slot to a task that is begun in the database, with 10,000 tasks waiting.
``kills``: 500 tasks on three nodes, one of which is killed every two seconds or so.
Ends with status 1 when a number of issue 6 is not reached.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from bench.cpu_time import tree_cpu_s
from stackviz_deployer.clock import now_ms
from stackviz_deployer.cluster.bus import RedisBus
from stackviz_deployer.model import Job, TaskState
from stackviz_deployer.store.mysql import MysqlDatabase
from stackviz_deployer.store.task_store import SqlTaskStore
from stackviz_deployer.web.kept import Kept
from tests import mariadb
from tests.cluster.nodes import NodesTestCase
from tests.daemon import Daemon
from tests.redis_server import Redis

reactor: Any = _reactor
WAITING = 10_000
CLAIMS = 500
CLAIM_S = 0.05
STREAM_S = 1.0
"""What the log server of ``kills`` waits before it sends a stream: a kill is to meet work."""
KILL_EVERY_S = 2.0
"""On average."""
RATIO = 1.6
CPU_RATIO = 1.15


@functools.cache
def stream() -> bytes:
    """Of a job of 1,500 tests, compressed."""
    with tempfile.TemporaryDirectory() as out:
        script = str(Path(__file__).with_name("gen_job.py"))
        subprocess.run(
            [sys.executable, script, out, "--tests", "1500", "--console-mb", "0.1"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return (Path(out) / "testrepository.subunit.gz").read_bytes()


@contextlib.contextmanager
def rig(**config: Any) -> Iterator[NodesTestCase]:
    """Servers and nodes as the tests have them; ``config``: of every node."""
    case = NodesTestCase()
    case.setUp()
    case.logs.stream = stream()
    usual = case.configuration
    case.configuration = lambda: {**usual(), **config}  # type: ignore[method-assign]
    try:
        yield case
    finally:
        cleanups = case._cleanups  # noqa: SLF001 - trial has no public way without a run
        while cleanups:
            function, args, kwargs = cleanups.pop()
            function(*args, **kwargs)


def work_off(case: NodesTestCase, web: Daemon, numbers: range) -> float:
    """Post tasks, wait for all; seconds."""
    began_s = time.monotonic()
    uuids = [case.submit(web, number) for number in numbers]
    for uuid in uuids:
        end = web.wait(uuid)
        assert end["status"] == "finished", end
    return time.monotonic() - began_s


def shares(tasks: int) -> bool:
    """Scrapes a minute of two worker nodes against one; processor time against the embedded default."""
    with rig() as case:
        web, workers = case.node("web", role="web", pace=None), []
        rates = []
        for name in ("one", "two"):
            workers.append(case.node(name, role="worker", pace=None))
            work_off(case, web, range(900 + 10 * len(workers), 904 + 10 * len(workers)))  # warm
            first = 1000 * len(workers)
            rates.append(60 * tasks / work_off(case, web, range(first, first + tasks)))
    ratio = rates[1] / rates[0]
    print(f"scrapes a minute: one worker node {rates[0]:.0f}, two {rates[1]:.0f}: {ratio:.2f} times")
    costs = []
    for shared in (False, True):
        alone = {} if shared else {"database": None, "redis": None, "blobs": None}
        with rig(**alone) as case:
            node = case.node("node", pace=None)
            work_off(case, node, range(900, 904))
            assert node.process is not None
            before = tree_cpu_s(node.process.pid)
            work_off(case, node, range(tasks))
            costs.append((tree_cpu_s(node.process.pid) - before) / tasks)
    more = costs[1] / costs[0]
    print(f"CPU a task: embedded {costs[0] * 1000:.0f} ms, shared {costs[1] * 1000:.0f} ms: {more:.2f} times")
    return ratio >= RATIO and more <= CPU_RATIO


async def _claims() -> bool:
    base = Path(tempfile.mkdtemp(prefix="stackviz-deployer-"))
    redis = Redis(base)
    redis.start()
    database = MysqlDatabase(mariadb.shared().database(), reactor)
    database.startService()
    store = SqlTaskStore(database, now_ms)
    bus = RedisBus(redis.server, reactor, store=store, copies=Kept(), node="bench", works=True)
    bus.startService()
    try:
        while bus.health()["notes"]:
            await deferLater(reactor, 0.05)
        for number in range(WAITING):
            job = Job(url=f"http://logs.example/{number}/", name="x")
            task, _ = await store.create(job, cancel_hash="", force=False, queue_limit=WAITING + 1)
            bus.offer(task)
        waits = []
        for _ in range(CLAIMS):
            began_s = time.monotonic()
            task = await bus.take(lambda: None)
            waits.append(time.monotonic() - began_s)
            assert task.state is TaskState.PENDING
            bus.settle(await store.fail(task, code="bench", message="x"))
    finally:
        await bus.stopService()
        await database.stopService()
        redis.stop()
    waits.sort()
    p99 = waits[int(0.99 * len(waits))]
    print(
        f"claims with {WAITING} waiting: median {statistics.median(waits) * 1000:.1f} ms,"
        f" p99 {p99 * 1000:.1f} ms, longest {waits[-1] * 1000:.1f} ms"
    )
    return p99 <= CLAIM_S


def kills(tasks: int) -> bool:
    """Each task ends, none is lost, none has two results."""
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    with rig() as case, ThreadPoolExecutor(max_workers=1) as poster:
        web = case.node("web", role="web")
        workers = [case.node(f"n{n}", role="worker") for n in range(3)]
        case.logs.delay_s = STREAM_S
        posted = poster.submit(lambda: [case.submit(web, number) for number in range(tasks)])
        killed = 0
        while not posted.done() or case.redis.ask("HLEN", "stackviz:offered") > 0.1 * tasks:
            time.sleep(chance.uniform(0.5, 1.5) * KILL_EVERY_S)
            victim = chance.choice(workers)
            victim.kill()
            victim.start()
            killed += 1
        uuids = posted.result()
        ends = [web.wait(uuid) for uuid in uuids]
        starts = Counter(case.starts(uuids))
        for uuid, end in zip(uuids, ends, strict=True):
            if end["status"] == "finished":
                case.check(web, uuid)
        case.emptied()
    how = Counter((end["status"], end.get("error")) for end in ends)
    print(f"{tasks} tasks, {killed} kills (seed {seed}): {dict(how)}, starts {dict(sorted(starts.items()))}")
    return all(end["status"] == "finished" or end.get("error") == "worker-died" for end in ends)


def main() -> int:
    """One of them, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["shares", "claims", "kills"])
    parser.add_argument("--tasks", type=int, help="of shares (40) or kills (500)")
    args = parser.parse_args()
    good = True
    if args.what in (None, "shares"):
        good &= shares(args.tasks or 40)
    if args.what in (None, "kills"):
        good &= kills(args.tasks or 500)
    if args.what in (None, "claims"):
        found: list[bool] = []

        async def claims() -> None:
            found.append(await _claims())

        with contextlib.suppress(SystemExit):
            react(lambda _reactor: Deferred.fromCoroutine(claims()))
        good &= found == [True]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
