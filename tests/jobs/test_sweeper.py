# SPDX-License-Identifier: Apache-2.0
"""When sites expire, on a clock; the store is the real one."""

from contextlib import asynccontextmanager

from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater

from stackviz_deployer.errors import DataLostError, StoreError
from stackviz_deployer.jobs.sweeper import BATCH, EXPIRE_S, LOST, MANY_LOST, TIDY_S, Sweeper
from stackviz_deployer.model import TaskState
from stackviz_deployer.settings import Retention
from stackviz_deployer.store import condemned
from stackviz_deployer.store.sharedblobs import SharedBlobStore
from tests.store.building import StoreTestCase, a_job, a_parsed, counts


class FailingRows:
    """Rows whose ``note_uses`` fails while it is told to."""

    def __init__(self, rows, error=None):
        self.rows = rows
        self.failing = True
        self.error = error or StoreError("the disk is full", reason="full")
        self.noted = []

    def __getattr__(self, name):
        return getattr(self.rows, name)

    async def note_uses(self, task_ids):
        if self.failing:
            raise self.error
        self.noted.append(sorted(task_ids))
        await self.rows.note_uses(task_ids)


class OthersTurn:
    """Rows of a database that another node tends, until ``ours``."""

    def __init__(self, rows):
        self.rows = rows
        self.ours = False

    def __getattr__(self, name):
        return getattr(self.rows, name)

    @asynccontextmanager
    async def turn(self):
        yield self.ours


class SweeperTests(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = self.tasks()
        self.files = self.blobs()
        self.time = Clock()

    def sweeper(self, rows=None, **retention) -> Sweeper:
        return self.start(
            Sweeper(
                rows=rows or self.rows, files=self.files, retention=Retention(**retention), clock=self.time
            )
        )

    async def finished(self, n: int, size: int = 10):
        task, _ = await self.store.create(a_job(n), cancel_hash="0", force=True, queue_limit=10_000)
        begun = await self.store.begin(task.id, "a")
        async with self.files.scratch() as directory:
            path = directory / "file"
            path.write_bytes(b"%09d%s" % (n, b"x" * (size - 9)))
            blob = await self.files.put(path)
        return await self.store.finish(begun, task.job, [(a_parsed(), blob)], [])

    async def restart_files(self):
        """What was put is of an earlier process."""
        await self.files.stopService()
        self.files = self.blobs()

    async def until(self, true):
        """Let the threads work; the test's own time-out is the bound."""
        while not await true():
            await deferLater(reactor, 0.005)

    async def rests(self):
        await self.until(self._resting)

    async def _resting(self):
        return bool(self.time.getDelayedCalls())

    async def next(self, seconds=EXPIRE_S):
        self.time.advance(seconds)
        await self.rests()

    async def state(self, task):
        return (await self.store.get(task.id)).state

    def on_disk(self):
        return len([path for path in (self.state_dir / "blobs").rglob("*") if path.is_file()])

    async def test_age_counts_from_the_last_look(self) -> None:
        one, other = await self.finished(1), await self.finished(2)
        await self.restart_files()
        sweeper = self.sweeper(days=1.0)
        await self.rests()
        self.clock.now += 80_000_000
        sweeper.used(other.id)
        await self.next()
        self.clock.now += 20_000_000
        await self.next()
        self.assertEqual((await self.state(one), await self.state(other)), ("expired", "finished"))
        self.assertEqual(self.on_disk(), 1)
        self.assertEqual(sweeper.health()["expired"], 1)

    async def test_one_node_at_a_time(self) -> None:
        """What was looked at is noted by each; what expires, and what is swept, by one."""
        task = await self.finished(1)
        stray = self.state_dir / "blobs" / "00" / ("0" * 64)
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"x")
        await self.restart_files()
        rows = OthersTurn(self.rows)
        sweeper = self.sweeper(rows, days=1.0)
        await self.rests()
        self.clock.now += 2 * 86_400_000
        await self.next()
        self.assertEqual(await self.state(task), "finished")
        self.assertTrue(stray.exists())
        self.assertEqual(sweeper.health()["reasons"], [])
        rows.ours = True
        await self.next()
        self.assertEqual(await self.state(task), "expired")
        self.assertFalse(stray.exists())

    async def test_shared_blobs_go_later(self) -> None:
        """What expires makes room once no other node can be about to name it."""
        self.shared = self.opened
        place = self.state_dir / "mount"
        place.mkdir()
        self.files = self.start(SharedBlobStore(self.state_dir, place, self.condemned(), reactor))
        count = condemned.BATCH + 10
        for n in range(count):
            await self.finished(n)
        self.state_dir = place  # whose files are counted
        self.sweeper(bytes=45)
        await self.rests()
        self.assertEqual(self.on_disk(), count)
        await self.pass_time(condemned.HELD_S)
        await self.next()
        self.assertEqual(self.on_disk(), 4)

    async def test_size(self) -> None:
        tasks = [await self.finished(n) for n in range(BATCH + 10)]
        await self.restart_files()
        sweeper = self.sweeper(bytes=45)
        await self.rests()
        states = [await self.state(task) for task in tasks]
        self.assertEqual(states, [TaskState.EXPIRED] * (BATCH + 6) + [TaskState.FINISHED] * 4)
        self.assertEqual(self.on_disk(), 4)
        self.assertEqual((sweeper.health()["blob_bytes"], sweeper.health()["reasons"]), (40, []))

    async def test_exactly_the_limit(self) -> None:
        tasks = [await self.finished(n) for n in range(4)]
        self.sweeper(bytes=40)
        await self.rests()
        self.assertEqual({await self.state(task) for task in tasks}, {"finished"})

    async def test_a_defect_in_one_step_ends_neither_the_others_nor_itself(self) -> None:
        old, looked_at = await self.finished(1), await self.finished(2)
        await self.restart_files()
        rows = FailingRows(self.rows, ZeroDivisionError())
        sweeper = self.sweeper(rows, days=1.0)
        await self.rests()
        sweeper.used(looked_at.id)
        for _ in range(3):
            await self.next()
        self.assertEqual(sweeper.health()["reasons"], ["noting uses fails: a defect, of which the log tells"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.now += 100_000_000
        rows.failing = False
        await self.next()
        self.assertEqual(sweeper.health()["reasons"], [])
        self.assertEqual((await self.state(old), await self.state(looked_at)), ("expired", "finished"))

    async def test_uses_are_noted_in_batches_and_not_forgotten(self) -> None:
        tasks = [await self.finished(n) for n in range(3)]
        rows = FailingRows(self.rows)
        sweeper = self.sweeper(rows)
        await self.rests()
        for task in tasks:
            for _ in range(10):
                sweeper.used(task.id)
        await self.next()
        self.assertIn("noting uses fails: the disk is full", sweeper.health()["reasons"])
        self.assertEqual(len(self.flushLoggedErrors(StoreError)), 1)
        rows.failing = False
        await self.next()
        self.assertEqual(rows.noted, [sorted(task.id for task in tasks)])
        self.assertEqual(sweeper.health()["reasons"], [])
        sweeper.used(tasks[0].id)
        await sweeper.stopService()
        self.assertEqual(rows.noted[1:], [[tasks[0].id]])

    async def test_orphans_go_at_start_and_daily(self) -> None:
        stray = self.state_dir / "blobs" / "aa" / ("aa" * 32)
        stray.write_bytes(b"x")
        await self.restart_files()
        self.sweeper()
        await self.rests()
        self.assertFalse(stray.exists())
        stray.write_bytes(b"x")
        self.files._started_s += 60  # written before the next look
        await self.next()
        self.assertTrue(stray.exists())
        await self.next(TIDY_S)
        self.assertFalse(stray.exists())

    async def test_lost_data_is_found_at_start(self) -> None:
        one, other = await self.finished(1), await self.finished(2)
        (await self.files.path((await self.store.artifacts(one.id))[0].blob)).unlink()
        sweeper = self.sweeper()
        await self.rests()
        lost = await self.store.get(one.id)
        self.assertEqual((lost.state, lost.message), (TaskState.EXPIRED, LOST))
        self.assertEqual(await self.state(other), "finished")
        self.assertEqual(sweeper.health()["reasons"], [])

    async def test_lost_data_is_found_when_it_is_asked_for(self) -> None:
        task = await self.finished(1)
        sweeper = self.sweeper()
        await self.rests()
        artifacts = await self.store.artifacts(task.id)
        await sweeper.check(task.id, artifacts)
        (await self.files.path(artifacts[0].blob)).unlink()
        with self.assertRaises(DataLostError):
            await sweeper.check(task.id, artifacts)
        self.assertEqual(await self.state(task), "expired")

    async def test_a_disk_that_is_not_mounted_loses_nothing(self) -> None:
        tasks = [await self.finished(n) for n in range(MANY_LOST + 1)]
        away = self.state_dir / "away"
        (self.state_dir / "blobs").rename(away)
        await self.restart_files()
        sweeper = self.sweeper()
        await self.rests()
        self.assertIn("21 blobs of 21 are missing", sweeper.health()["reasons"][0])
        artifacts = await self.store.artifacts(tasks[0].id)
        with self.assertRaises(StoreError):
            await sweeper.check(tasks[0].id, artifacts)
        self.assertEqual({await self.state(task) for task in tasks}, {"finished"})
        for directory in (self.state_dir / "blobs").iterdir():
            directory.rmdir()
        (self.state_dir / "blobs").rmdir()
        away.rename(self.state_dir / "blobs")
        await sweeper.check(tasks[0].id, artifacts)  # at once
        await self.next(TIDY_S)
        self.assertEqual(sweeper.health()["reasons"], [])

    async def test_stops_between_two_batches(self) -> None:
        for n in range(BATCH + 1):
            await self.finished(n)
        await self.restart_files()
        sweeper = self.sweeper(bytes=0)
        await self.until(lambda: self._expired(sweeper))
        await sweeper.stopService()
        found = await counts(self.store._database)
        self.assertEqual(found["expired"] + found.get("finished", 0), BATCH + 1)
        self.assertEqual(self.on_disk(), found.get("finished", 0))

    async def _expired(self, sweeper):
        return sweeper.health()["expired"] > 0
