# SPDX-License-Identifier: Apache-2.0
"""The time of day is set while the daemon runs: nothing hangs, nothing ends early, no time goes wild."""

import struct
import time
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.clock import Elapsed, run_steadily
from stackviz_deployer.model import Task
from stackviz_deployer.store.retention import SqlRetention, newest_use
from stackviz_deployer.store.sqlite import SqliteDatabase
from stackviz_deployer.store.task_store import SqlTaskStore
from tests.daemon import Daemon
from tests.net.site import SiteTestCase
from tests.net.wire import Wire
from tests.store.building import StoreTestCase, a_blob, a_job, a_parsed

reactor: Any = _reactor
HOUR_S = 3600.0
DAY_MS = 86_400_000
FETCH_S = 3


class SteadyTests(SynchronousTestCase):
    def test_ages_know_no_steps(self) -> None:
        day, elapsed = [1_000_000], [5.0]
        ages = Elapsed(lambda: day[0], lambda: elapsed[0])
        self.assertEqual(ages.now_ms(), 1_000_000)
        for step in (-900_000, 10**12):
            day[0] += step
            elapsed[0] += 1.0
        self.assertEqual(ages.now_ms(), 1_002_000)
        ages.at_least(1_001_000)
        self.assertEqual(ages.now_ms(), 1_002_000)
        ages.at_least(2_000_000)
        elapsed[0] += 1.0
        self.assertEqual(ages.now_ms(), 2_001_000)

    def test_not_under_timers(self) -> None:
        clock = Clock()
        clock.callLater(1, int)
        self.assertRaises(RuntimeError, run_steadily, clock)


class KeptTests(StoreTestCase):
    """What retention knows of time, over two runs of the daemon."""

    alive_ms = 0

    def run_at(self, day_ms: int) -> None:
        self.ages = Elapsed(lambda: day_ms, lambda: 0.0)
        self.database = self.start(
            SqliteDatabase(
                self.path,
                reactor,
                opened=lambda opened: self.ages.resume(newest_use(opened), self.alive_ms),
            )
        )
        self.store = SqlTaskStore(self.database, lambda: day_ms, self.ages.now_ms)
        self.rows = SqlRetention(self.database, self.ages.now_ms)

    async def finished(self, n: int) -> Task:
        task, _ = await self.store.create(a_job(n), cancel_hash="0", force=True, queue_limit=10)
        begun = await self.store.claim()
        return await self.store.finish(begun, task.job, [(a_parsed(), a_blob(n))], [])

    async def test_the_clock_was_ahead_until_the_restart(self) -> None:
        self.run_at(100 * DAY_MS)
        old = await self.finished(1)
        await self.database.stopService()
        self.run_at(10 * DAY_MS)
        new = await self.finished(2)
        self.assertEqual(new.finished_ms, 10 * DAY_MS)
        # nothing is taken for old, and what has been used last is not the first to go
        self.assertEqual((await self.rows.expire(unused_ms=7 * DAY_MS, over_bytes=0, most=10)).tasks, ())
        gone = await self.rows.expire(unused_ms=7 * DAY_MS, over_bytes=1, most=10)
        self.assertEqual(gone.tasks, (old.id,))

    async def test_the_clock_is_ahead_at_the_start(self) -> None:
        self.run_at(10 * DAY_MS)
        await self.finished(1)
        await self.database.stopService()
        self.run_at(20_000 * DAY_MS)
        self.assertEqual(self.ages.now_ms(), 11 * DAY_MS)
        self.assertEqual((await self.rows.expire(unused_ms=7 * DAY_MS, over_bytes=0, most=10)).tasks, ())
        # nor is what was used meanwhile years younger than the rest, once the clock is right
        await self.finished(2)
        await self.database.stopService()
        self.run_at(12 * DAY_MS)
        self.assertEqual((await self.rows.expire(unused_ms=7 * DAY_MS, over_bytes=0, most=10)).tasks, ())

    async def test_a_daemon_that_nobody_used_grew_older_all_the_same(self) -> None:
        self.run_at(10 * DAY_MS)
        task = await self.finished(1)
        await self.database.stopService()
        self.alive_ms = 18 * DAY_MS
        self.run_at(18 * DAY_MS)
        gone = await self.rows.expire(unused_ms=7 * DAY_MS, over_bytes=0, most=10)
        self.assertEqual(gone.tasks, (task.id,))

    async def test_times_of_a_task_are_in_order(self) -> None:
        self.run_at(100 * DAY_MS)
        await self.store.create(a_job(1), cancel_hash="0", force=True, queue_limit=10)
        store = SqlTaskStore(self.database, lambda: DAY_MS)
        task = await store.claim()
        assert task is not None
        self.assertEqual(task.started_ms, task.created_ms)
        self.assertEqual((await store.fail(task, code="x", message="x")).finished_ms, task.started_ms)


class StepTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.asked: list[Wire] = []
        self.file = self.base / "step"
        self.step(0)
        config = self.config(limits={"fetch_seconds": FETCH_S, "task_seconds": 20})
        self.daemon = Daemon(self.base / "daemon", config, instruments=[f"step={self.file}"])
        self.addCleanup(self.daemon.kill)

    def answer(self, wire: Wire, _head: bytes) -> None:
        self.asked.append(wire)

    def step(self, seconds: float) -> None:
        """How far the daemon's time of day is off from now on."""
        mode = "r+b" if self.file.exists() else "wb"  # never shorter: the daemon has it mapped
        with self.file.open(mode) as file:
            file.write(struct.pack("=d", seconds))

    def begin(self) -> str:
        """A scrape of a server that has been asked and says nothing."""
        count = len(self.asked)
        status, answer = self.daemon.post("/api/scrape", {"url": f"http://{self.place}/{count}/"})
        self.assertEqual(status, 202, answer)
        deadline = time.monotonic() + 120
        while len(self.asked) == count:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)  # not synchronisation: the poll's pace
        return answer["uuid"]

    def test_back(self) -> Deferred[None]:
        return deferToThread(self._back)

    def _back(self) -> None:
        with self.daemon as daemon:
            before = daemon.scrape("sample")
            uuid = self.begin()
            began = time.monotonic()
            self.step(-HOUR_S)
            end = daemon.wait(uuid)
            self.assertEqual(end["error"], "upstream-timeout", end)
            self.assertLess(time.monotonic() - began, FETCH_S + 120)  # far from the hour of the step
            self.check_times(daemon.post("/api/task", {"q": before["id"]})[1])
            self.check_times(end)
            after = daemon.scrape("sample", force=True)
            self.check_times(after)
            self.assertEqual(daemon.request("GET", "/health/ready")[0], 200)

    def test_forward(self) -> Deferred[None]:
        return deferToThread(self._forward)

    def _forward(self) -> None:
        with self.daemon as daemon:
            began = time.monotonic()
            uuid = self.begin()
            self.step(HOUR_S)
            # the reactor turns, and finds no deadline passed
            self.assertEqual(daemon.request("GET", "/health/ready")[0], 200)
            end = daemon.wait(uuid)
            self.assertGreater(time.monotonic() - began, FETCH_S)
            self.assertEqual(end["error"], "upstream-timeout", end)
            self.check_times(end)

    def check_times(self, task: dict[str, Any]) -> None:
        times = [task[name] for name in ("created_ms", "started_ms", "finished_ms") if name in task]
        self.assertEqual(times, sorted(times), task)
