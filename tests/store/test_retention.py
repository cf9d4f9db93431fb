# SPDX-License-Identifier: Apache-2.0
"""What expires, in which order, and what is left of it."""

from contextlib import contextmanager

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred

from stackviz_deployer.errors import NotFoundError, TaskExpiredError, TaskNotReadyError
from stackviz_deployer.model import TaskState
from stackviz_deployer.store import retention
from stackviz_deployer.store.retention import SqlRetention
from stackviz_deployer.web.kept import Kept
from tests.store.building import OnMysql, StoreTestCase, a_blob, a_job, a_parsed

LONG_MS = 1_000_000


def explain(txn, sql, values):
    return txn.execute("EXPLAIN QUERY PLAN " + sql, values).fetchall()


class RetentionTests(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = self.tasks()
        self.count = 0

    async def finished(self, *blobs, job=None):
        """A task with these blobs; sizes are their numbers."""
        self.count += 1
        task, _ = await self.store.create(
            job or a_job(self.count), cancel_hash="0", force=True, queue_limit=10_000
        )
        begun = await self.store.begin(task.id, "a")
        made = [(a_parsed(f"{n}"), a_blob(n)) for n in blobs]
        return await self.store.finish(begun, task.job, made, [])

    async def states(self, *tasks):
        return [(await self.store.get(task.id)).state.value for task in tasks]

    async def test_by_age(self) -> None:
        old, young = await self.finished(1), await self.finished(2)
        self.clock.now += LONG_MS
        await self.rows.note_uses([young.id, "unknown"])
        expired = await self.rows.expire(unused_ms=LONG_MS - 100, over_bytes=0, most=10)
        self.assertEqual((expired.tasks, expired.hashes, expired.bytes), ((old.id,), (a_blob(1).hash,), 1))
        self.assertEqual(await self.states(old, young), ["expired", "finished"])
        self.assertEqual((await self.store.get(old.id)).message, retention.UNUSED)
        self.assertEqual((await self.rows.expire(unused_ms=LONG_MS - 100, over_bytes=0, most=10)).tasks, ())

    async def test_copies_are_told(self) -> None:
        """Whatever ends a task: nothing that is kept is given out meanwhile, and what is of the task goes."""
        said = []

        class Copies:
            @contextmanager
            def ending(self):
                said.append("begun")
                yield lambda tasks: said.append(tuple(tasks))
                said.append("done")

        rows = SqlRetention(self.opened, self.clock, Copies())
        one, two, three = [await self.finished(n) for n in (1, 2, 3)]
        await rows.delete(one.id)
        await rows.lose(two.id, "gone")
        await rows.expire(unused_ms=-LONG_MS, over_bytes=0, most=10)
        self.assertEqual(said, [x for task in (one, two, three) for x in ("begun", (task.id,), "done")])

    async def test_copies_are_told_though_nobody_waits(self) -> None:
        kept = Kept()
        rows = SqlRetention(self.opened, self.clock, kept)
        task = await self.finished(1)
        (artifact,) = await self.store.artifacts(task.id)
        kept.keep_artifact(artifact, kept.generation)
        waiting = Deferred.fromCoroutine(rows.lose(task.id, "gone"))
        waiting.cancel()
        with self.assertRaises(CancelledError):
            await waiting
        # the transaction goes on: until it is over nothing comes out, and then nothing is left
        self.assertIsNone(kept.artifact(artifact.id))
        while (await self.store.get(task.id)).state is not TaskState.EXPIRED:
            pass
        self.assertIsNone(kept.artifact(artifact.id))

    async def test_what_is_left(self) -> None:
        """The facts, by which the page says what it was; the URL is free; the addresses say why."""
        task = await self.finished(1, 2)
        first, second = await self.store.artifacts(task.id)
        await self.rows.expire(unused_ms=-LONG_MS, over_bytes=0, most=10)
        left = await self.store.get(task.id)
        self.assertEqual(left, evolve(task, state=TaskState.EXPIRED, message=retention.UNUSED))
        self.assertEqual(await self.store.artifacts(task.id), ())
        self.assertIsNone(await self.store.live(task.url))
        for one in (first, second):
            with self.assertRaises(TaskExpiredError):
                await self.store.artifact(one.id)
        again, created = await self.store.create(task.job, cancel_hash="0", force=False, queue_limit=5)
        self.assertTrue(created)
        self.assertNotEqual(again.id, task.id)

    async def test_by_size_the_least_recently_used_first(self) -> None:
        tasks = [await self.finished(n) for n in (10, 20, 30, 40)]
        self.assertEqual(await self.rows.blob_bytes(), 100)
        await self.rows.note_uses([tasks[0].id])
        expired = await self.rows.expire(unused_ms=LONG_MS, over_bytes=21, most=10)
        self.assertEqual((expired.tasks, expired.bytes), ((tasks[1].id, tasks[2].id), 50))
        self.assertEqual(await self.states(*tasks), ["finished", "expired", "expired", "finished"])
        self.assertEqual((await self.store.get(tasks[1].id)).message, retention.ROOM)
        self.assertEqual(await self.rows.blob_bytes(), 50)

    async def test_shared_blobs_stay_until_the_last(self) -> None:
        one, other = await self.finished(1, 7), await self.finished(7, 2)
        self.assertEqual(await self.rows.blob_bytes(), 10)
        expired = await self.rows.expire(unused_ms=LONG_MS, over_bytes=1, most=1)
        self.assertEqual((expired.tasks, expired.hashes, expired.bytes), ((one.id,), (a_blob(1).hash,), 1))
        expired = await self.rows.expire(unused_ms=LONG_MS, over_bytes=1, most=1)
        self.assertEqual((expired.tasks, expired.bytes), ((other.id,), 9))

    async def test_pinned(self) -> None:
        pinned, other = await self.finished(1), await self.finished(2)
        self.assertTrue((await self.rows.pin(pinned.id, pinned=True)).pinned)
        self.clock.now += LONG_MS
        expired = await self.rows.expire(unused_ms=5, over_bytes=1000, most=10)
        self.assertEqual(expired.tasks, (other.id,))
        self.assertFalse((await self.rows.pin(pinned.id, pinned=False)).pinned)
        self.assertEqual((await self.rows.expire(unused_ms=5, over_bytes=0, most=10)).tasks, (pinned.id,))
        with self.assertRaises(NotFoundError):
            await self.rows.pin("unknown", pinned=True)

    async def test_what_works_or_failed_is_not_touched(self) -> None:
        queued, _ = await self.store.create(a_job(90), cancel_hash="0", force=False, queue_limit=5)
        await self.store.cancel(queued.id)
        pending, _ = await self.store.create(a_job(91), cancel_hash="0", force=False, queue_limit=5)
        await self.store.claim()
        self.assertEqual((await self.rows.expire(unused_ms=-LONG_MS, over_bytes=10**9, most=10)).tasks, ())
        self.assertEqual(await self.states(queued, pending), ["cancelled", "pending"])

    async def test_lost(self) -> None:
        one, other = await self.finished(1, 2), await self.finished(2)
        await self.rows.pin(one.id, pinned=True)
        self.assertEqual(await self.rows.with_blobs([a_blob(2).hash, a_blob(9).hash]), {one.id, other.id})
        lost = await self.rows.lose(one.id, "it burnt")
        self.assertEqual((lost.tasks, lost.hashes), ((one.id,), (a_blob(1).hash,)))
        left = await self.store.get(one.id)
        self.assertEqual((left.state, left.message), (TaskState.EXPIRED, "it burnt"))
        self.assertEqual((await self.rows.lose(one.id, "again")).tasks, ())
        self.assertEqual((await self.rows.lose("unknown", "again")).tasks, ())

    async def test_forget(self) -> None:
        """Rows that show nothing have a bound in time and in number; artifacts' names go with them."""
        tasks = [await self.finished(n) for n in range(1, 7)]
        artifact = (await self.store.artifacts(tasks[0].id))[0]
        await self.rows.expire(unused_ms=LONG_MS, over_bytes=15, most=5)
        self.clock.now += LONG_MS
        failed, _ = await self.store.create(a_job(99), cancel_hash="0", force=False, queue_limit=5)
        await self.store.fail(await self.store.begin(failed.id, "a"), code="x", message="x")
        self.assertEqual(await self.rows.forget(ended_ms=LONG_MS * 2, keep=10, most=10), 0)
        self.assertEqual(await self.rows.forget(ended_ms=LONG_MS * 2, keep=4, most=10), 5)  # same moment
        with self.assertRaises(NotFoundError):
            await self.store.artifact(artifact.id)
        self.assertEqual(await self.states(tasks[-1], failed), ["finished", "error"])
        self.clock.now += LONG_MS
        self.assertEqual(await self.rows.forget(ended_ms=LONG_MS, keep=10, most=10), 1)
        with self.assertRaises(NotFoundError):
            await self.store.get(failed.id)

    async def test_delete(self) -> None:
        task = await self.finished(3)
        self.assertEqual((await self.rows.delete(task.id)).hashes, (a_blob(3).hash,))
        for gone in (task.id, "unknown"):
            with self.assertRaises(NotFoundError):
                await self.rows.delete(gone)
        queued, _ = await self.store.create(a_job(9), cancel_hash="0", force=False, queue_limit=5)
        with self.assertRaises(TaskNotReadyError):
            await self.rows.delete(queued.id)

    async def test_listed(self) -> None:
        tasks = [await self.finished(n, n + 1) for n in (1, 2, 3)]
        queued, _ = await self.store.create(a_job(9), cancel_hash="0", force=False, queue_limit=5)
        page = await self.rows.listed(state=None, before=None, most=3)
        self.assertEqual([one.task.id for one in page], [queued.id, tasks[2].id, tasks[1].id])
        self.assertEqual((page[0].used_ms, page[0].bytes, page[1].bytes, page[1].artifacts), (None, 0, 7, 2))
        page = await self.rows.listed(state=None, before=page[-1].number, most=3)
        self.assertEqual([one.task.id for one in page], [tasks[0].id])
        page = await self.rows.listed(state=TaskState.QUEUED, before=None, most=3)
        self.assertEqual([one.task for one in page], [await self.store.get(queued.id)])

    async def test_plans(self) -> None:
        """What runs each minute looks nothing up row by row."""
        database = self.store._database
        for sql, values, index in (
            (retention._LEAST_RECENTLY_USED, (1,), "disposable_ms_idx"),
            (retention._SUM, (), "artifacts_blob"),
            (retention._ENDED_LATELY, (1,), "ended_ms_idx"),
            (retention._ENDED_BEFORE, (1, 1), "ended_ms_idx"),
        ):
            plan = await database.read(explain, sql, values)
            self.assertIn(index, str(plan))
            self.assertNotIn("TEMP B-TREE FOR ORDER", str(plan))


class MysqlRetentionTests(OnMysql, RetentionTests):
    """The same against a real server."""

    async def test_plans(self) -> None:
        """What runs each minute reads what it needs in order, from an index."""
        for n in range(60):
            await self.finished(n)
            ended, _ = await self.store.create(a_job(n), cancel_hash="0", force=True, queue_limit=5)
            await self.store.cancel(ended.id)
        for sql, values, index in (
            (retention._LEAST_RECENTLY_USED, (1,), "disposable_ms_idx"),
            (retention._SUM, (), "artifacts_blob"),
            (retention._ENDED_LATELY, (1,), "ended_ms_idx"),
            (retention._ENDED_BEFORE, (1, 1), "ended_ms_idx"),
        ):
            plan = str(await self.store._database.write(mysql_plan, sql, values))
            self.assertIn(index, plan)
            self.assertNotIn("filesort", plan)


def mysql_plan(txn, sql, values):
    return txn.execute("EXPLAIN " + sql, values).fetchall()
