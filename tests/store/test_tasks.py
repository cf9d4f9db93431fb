# SPDX-License-Identifier: Apache-2.0
"""The contract of interfaces.TaskStore, run against SQLite on a disk and against MariaDB."""

import time
import uuid

from twisted.internet.defer import Deferred, gatherResults

from stackviz_deployer.errors import (
    NotFoundError,
    QueueFullError,
    StoreError,
    TaskFailedError,
    UnknownOutcomeError,
)
from stackviz_deployer.model import ArtifactId, Build, Job, Task, TaskId, TaskState
from stackviz_deployer.store import tasks as statements
from stackviz_deployer.store.mysql_pool import LOCK_S
from stackviz_deployer.store.tasks import LOOKED_THROUGH, MAX_STARTS
from tests import mariadb
from tests.store.building import OnMysql, StoreTestCase, a_blob, a_job, a_parsed, counts


class TaskStoreTests(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = self.tasks()

    async def create(self, job=None, *, force=False, queue_limit=10):
        return await self.store.create(
            job or a_job(), cancel_hash="00ff", force=force, queue_limit=queue_limit
        )

    async def finished(self, job=None, **kw):
        task, _ = await self.create(job, **kw)
        begun = await self.store.begin(task.id, "a")
        return await self.store.finish(begun, task.job, [(a_parsed(), a_blob())], [])

    async def begun(self, job=None, *, owner="a"):
        task, _ = await self.create(job)
        return await self.store.begin(task.id, owner)

    async def test_create(self) -> None:
        job = a_job(change_id=7, voting=False, builds=(Build(url=None, status="FAILURE", finished_ms=5),))
        task, created = await self.create(job)
        self.assertTrue(created)
        self.assertEqual(uuid.UUID(task.id).version, 4)
        self.assertEqual((task.url, task.job, task.state), (job.url, job, TaskState.QUEUED))
        self.assertEqual(
            (task.created_ms, task.started_ms, task.finished_ms, task.error), (1001, None, None, None)
        )
        self.assertEqual(await self.store.get(task.id), task)
        self.assertEqual(await self.store.cancel_hash(task.id), "00ff")

    async def test_unknown(self) -> None:
        nobody = TaskId(str(uuid.uuid4()))
        for call in (
            self.store.get(nobody),
            self.store.cancel_hash(nobody),
            self.store.cancel(nobody),
            self.store.fail(a_task(nobody), code="x", message="y"),
            self.store.finish(a_task(nobody), a_job(), [], []),
            self.store.artifact(ArtifactId(nobody)),
        ):
            with self.assertRaises(NotFoundError):
                await call
        self.assertEqual(await self.store.artifacts(nobody), ())
        self.assertIs(await self.store.begin(nobody, "a"), None)
        await self.store.release(a_task(nobody))

    async def test_job_without_url(self) -> None:
        with self.assertRaises(ValueError):
            await self.create(a_job(url=None))

    async def test_joined(self) -> None:
        """A URL that is queued, pending or finished leads to the same task."""
        first, _ = await self.create()
        for _ in range(2):
            for force in (False, True):  # a new result is on its way anyway
                again, created = await self.create(force=force)
                self.assertEqual((again.id, created), (first.id, False))
            begun = await self.store.begin(first.id, "a")
        await self.store.finish(begun, first.job, [], [])
        again, created = await self.create()
        self.assertEqual((again.id, created, again.state), (first.id, False, TaskState.FINISHED))

    async def test_force(self) -> None:
        first = await self.finished()
        second, created = await self.create(force=True)
        self.assertTrue(created)
        self.assertNotEqual(second.id, first.id)
        self.assertEqual((await self.store.get(first.id)).state, TaskState.FINISHED)
        self.assertEqual(len(await self.store.artifacts(first.id)), 1)
        third, created = await self.create()
        self.assertEqual((third.id, created), (second.id, False))

    async def test_forced_but_full(self) -> None:
        """A refused request leaves the finished task where it was."""
        first = await self.finished()
        await self.create(a_job(2), queue_limit=1)
        with self.assertRaises(QueueFullError):
            await self.create(force=True, queue_limit=1)
        again, created = await self.create(queue_limit=1)
        self.assertEqual((again.id, created), (first.id, False))

    async def test_unique_under_concurrency(self) -> None:
        made = await gatherResults([Deferred.fromCoroutine(self.create()) for _ in range(20)])
        self.assertEqual(sum(created for _, created in made), 1)
        self.assertEqual(len({task.id for task, _ in made}), 1)

    async def test_queue_limit(self) -> None:
        for n in range(3):
            await self.create(a_job(n), queue_limit=3)
        with self.assertRaises(QueueFullError) as caught:
            await self.create(a_job(3), queue_limit=3)
        self.assertIn("3 scrapes wait", caught.exception.message)
        _, created = await self.create(a_job(0), queue_limit=3)  # joining needs no place
        self.assertFalse(created)
        await self.store.claim()  # what is worked on does not wait
        await self.create(a_job(3), queue_limit=3)

    async def test_queue_limit_under_concurrency(self) -> None:
        calls = [Deferred.fromCoroutine(self.create(a_job(n), queue_limit=5)) for n in range(12)]
        refused = 0
        for call in calls:
            try:
                await call
            except QueueFullError:
                refused += 1
        self.assertEqual(refused, 7)

    async def test_claim_in_order(self) -> None:
        self.assertIs(await self.store.claim(), None)
        ids = [(await self.create(a_job(n)))[0].id for n in (3, 1, 2)]
        claimed = [await self.store.claim() for _ in range(4)]
        self.assertEqual([task and task.id for task in claimed], [*ids, None])
        self.assertEqual(claimed[0].state, TaskState.PENDING)
        self.assertEqual((claimed[0].started_ms, claimed[0].attempt, claimed[0].owner), (1005, 1, None))

    async def test_a_spoiled_row_holds_up_nobody(self) -> None:
        for number, spoiled in enumerate(("no JSON", "{}", "[]", "null")):
            first, _ = await self.create(a_job(url=f"http://logs.example/{number}/"))
            second, _ = await self.create(a_job(url=f"http://logs.example/{number}/2/"))
            await self.store._database.write(_spoil, first.id, spoiled)
            with self.assertRaises(StoreError) as caught:
                await self.store.get(first.id)
            self.assertIn(first.id, caught.exception.message)
            claimed = await self.store.claim()
            self.assertEqual(claimed and claimed.id, second.id, spoiled)
            self.assertEqual(await self.store.queued(), 0)

    async def test_claimed_once(self) -> None:
        for n in range(5):
            await self.create(a_job(n))
        claimed = await gatherResults([Deferred.fromCoroutine(self.store.claim()) for _ in range(9)])
        self.assertEqual(len({task.id for task in claimed if task}), 5)
        self.assertEqual(claimed.count(None), 4)

    async def test_finish(self) -> None:
        task = await self.begun()
        job = a_job(status="SUCCESS")
        made = [
            (a_parsed("b", meta={"count": 2}), a_blob(1)),
            (a_parsed("a", primary=False, form=2, meta={}), a_blob(2, blocks=True)),
        ]
        done = await self.store.finish(task, job, made, ["one line was left out"])
        self.assertEqual(
            (done.state, done.job, done.warnings),
            (TaskState.FINISHED, job, ("one line was left out",)),
        )
        self.assertEqual(done.finished_ms, 1003)
        artifacts = await self.store.artifacts(task.id)
        self.assertEqual([a.artifact_name for a in artifacts], ["b", "a"])
        first, second = artifacts
        self.assertEqual(
            (first.task_id, first.primary, first.form, first.meta), (task.id, True, 1, {"count": 2})
        )
        self.assertEqual((second.blob, second.primary, second.form), (made[1][1], False, 2))
        self.assertEqual(await self.store.artifact(second.id), second)
        self.assertEqual(await self.rows.blob_hashes(), {a_blob(1).hash, a_blob(2).hash})

    async def test_finish_too_late(self) -> None:
        """Cancelled or failed meanwhile: nothing is kept."""
        for n, end in enumerate(
            (
                lambda task: self.store.cancel(task.id),
                lambda task: self.store.fail(task, code="x", message="y"),
            )
        ):
            task = await self.begun(a_job(n))
            ended = await end(task)
            with self.assertRaises(TaskFailedError):
                await self.store.finish(task, task.job, [(a_parsed(), a_blob())], [])
            self.assertEqual(await self.store.get(task.id), ended)
            self.assertEqual(await self.store.artifacts(task.id), ())

    async def test_finish_again(self) -> None:
        """Whoever did not get the answer asks again: the artifacts are there once."""
        task = await self.begun()
        made = [(a_parsed(), a_blob())]
        done = await self.store.finish(task, task.job, made, ["w"])
        kept = await self.store.artifacts(task.id)
        self.assertEqual(await self.store.finish(task, task.job, made, ["w"]), done)
        self.assertEqual(await self.store.artifacts(task.id), kept)
        self.assertEqual(len(kept), 1)

    async def test_finish_needs_claim(self) -> None:
        task, _ = await self.create()
        with self.assertRaises(TaskFailedError):
            await self.store.finish(task, task.job, [], [])
        with self.assertRaises(TaskFailedError):
            await self.store.fail(task, code="x", message="y")
        self.assertEqual(await self.store.get(task.id), task)

    async def test_begin(self) -> None:
        task, _ = await self.create(a_job(1))
        begun = await self.store.begin(task.id, "one:1:x")
        self.assertEqual((begun.id, begun.state, begun.attempt), (task.id, TaskState.PENDING, 1))
        self.assertEqual((begun.owner, begun.started_ms), ("one:1:x", 1002))
        self.assertEqual(await self.store.get(task.id), begun)
        self.assertIs(await self.store.claim(), None)
        # the answer was lost on its way
        self.assertEqual(await self.store.begin(task.id, "one:1:x"), begun)
        await self.store.finish(begun, begun.job, [], [])
        for ended in (begun.id, (await self.store.cancel((await self.create(a_job(2)))[0].id)).id):
            self.assertIs(await self.store.begin(ended, "two:2:y"), None)

    async def test_taken_over(self) -> None:
        """What a node does that is believed to be dead has no effect, whatever it does."""
        first = await self.begun(owner="one")
        second = await self.store.begin(first.id, "two")
        self.assertEqual((second.attempt, second.owner, second.state), (2, "two", TaskState.PENDING))
        for late in (
            self.store.finish(first, first.job, [(a_parsed(), a_blob())], []),
            self.store.fail(first, code="x", message="y"),
        ):
            with self.assertRaises(TaskFailedError):
                await late
        await self.store.release(first)
        self.assertEqual(await self.store.get(first.id), second)
        self.assertEqual(await self.store.artifacts(first.id), ())
        done = await self.store.finish(second, second.job, [(a_parsed(), a_blob(2))], [])
        with self.assertRaises(TaskFailedError):
            await self.store.finish(first, first.job, [(a_parsed(), a_blob())], [])
        self.assertEqual(
            (done.owner, [a.blob for a in await self.store.artifacts(first.id)]), ("two", [a_blob(2)])
        )

    async def test_left_and_begun_by_another(self) -> None:
        """A release does not make the next start look like the one before."""
        first = await self.begun(owner="one")
        await self.store.release(first)
        self.assertIs((await self.store.get(first.id)).owner, None)
        second = await self.store.begin(first.id, "two")
        self.assertNotEqual(second.attempt, first.attempt)
        await self.store.release(first)  # asked again, since the answer was lost
        self.assertEqual(await self.store.get(first.id), second)

    async def test_begun_once_by_many(self) -> None:
        task, _ = await self.create()
        begun = await gatherResults(
            [Deferred.fromCoroutine(self.store.begin(task.id, f"node {n}")) for n in range(MAX_STARTS)]
        )
        self.assertEqual(sorted(one.attempt for one in begun), list(range(1, MAX_STARTS + 1)))
        last = max(begun, key=lambda one: one.attempt)
        self.assertEqual(await self.store.get(task.id), last)
        ended = await self.store.begin(task.id, "one more")
        self.assertEqual((ended.state, ended.error), (TaskState.ERROR, "worker-died"))
        self.assertEqual(await self.store.get(task.id), ended)
        self.assertIs(await self.store.begin(task.id, "one more"), None)

    async def test_begun_too_late(self) -> None:
        """Whoever was told long ago to begin it begins nothing, whatever there was begun meanwhile."""
        queued, _ = await self.create(a_job(1))
        pending = await self.begun(a_job(2), owner="one")
        for task in (queued, pending):
            with self.assertRaises(TaskFailedError):
                await self.store.begin(task.id, "late", late=lambda: True)
            self.assertEqual(await self.store.get(task.id), task)
        # the answer to its own start was late: it has the task
        self.assertEqual(await self.store.begin(pending.id, "one", late=lambda: True), pending)

    async def test_begin_of_a_spoiled_row(self) -> None:
        task, _ = await self.create()
        await self.store._database.write(_spoil, task.id, "no JSON")
        self.assertIs(await self.store.begin(task.id, "a"), None)
        self.assertEqual(await counts(self.opened), {"error": 1})

    async def test_waiting(self) -> None:
        self.assertEqual(await self.store.waiting(10), ())
        ids = [(await self.create(a_job(n)))[0].id for n in range(5)]
        await self.store.begin(ids[1], "a")
        await self.store.cancel(ids[2])
        queued, pending = TaskState.QUEUED, TaskState.PENDING
        wanted = [(ids[0], queued), (ids[1], pending), (ids[3], queued), (ids[4], queued)]
        self.assertEqual(await self.store.waiting(10), tuple(wanted))
        self.assertEqual(await self.store.waiting(2), tuple(wanted[:2]))

    async def test_finish_is_all_or_nothing(self) -> None:
        """An artifact that cannot be recorded leaves the task pending and no other artifact."""
        task = await self.begun()
        with self.assertRaises(TypeError):  # a set is not JSON
            await self.store.finish(
                task, task.job, [(a_parsed(), a_blob()), (a_parsed(meta={"x": {1}}), a_blob(2))], []
            )
        self.assertEqual((await self.store.get(task.id)).state, TaskState.PENDING)
        self.assertEqual(await self.store.artifacts(task.id), ())

    async def test_fail_and_cancel(self) -> None:
        for n, claim in enumerate((False, True)):
            for end, state in ((self.cancel_it, "cancelled"), (self.fail_it, "error")):
                with self.subTest(claimed=claim, end=state):
                    job = a_job(n * 10 + (state == "error"))
                    task, _ = await self.create(job)
                    if claim:
                        task = await self.store.begin(task.id, "a")
                    elif end == self.fail_it:
                        continue
                    ended = await end(task)
                    self.assertEqual(ended.state, state)
                    self.assertEqual(ended.error, "too-large" if state == "error" else None)
                    self.assertIsNot(ended.finished_ms, None)
                    # both are idempotent, and the first end counts
                    self.assertEqual(await self.cancel_it(task), ended)
                    self.assertEqual(await self.fail_it(task), ended)
                    again, created = await self.create(job)  # the URL is free again
                    self.assertTrue(created)
                    await self.store.cancel(again.id)

    async def cancel_it(self, task):
        return await self.store.cancel(task.id)

    async def fail_it(self, task):
        return await self.store.fail(task, code="too-large", message="a.gz: more than 5 bytes")

    async def test_ending_does_not_touch_finished(self) -> None:
        done = await self.finished()
        self.assertEqual(await self.store.cancel(done.id), done)
        self.assertEqual(await self.fail_it(done), done)
        self.assertEqual((await self.create())[0].id, done.id)

    async def test_half_a_character(self) -> None:
        """Names of files come from servers, and a lone surrogate is no UTF-8."""
        task, _ = await self.create(a_job(name="gate-\udc80"))
        self.assertEqual(task.job.name, "gate-\udc80")
        begun = await self.store.claim()
        await self.store.finish(begun, task.job, [(a_parsed("a\udc80.gz"), a_blob())], ["\udc80"])
        self.assertEqual((await self.store.artifacts(task.id))[0].artifact_name, "a?.gz")
        other = await self.begun(a_job(2))
        failed = await self.store.fail(other, code="parse-failed", message="a\udc80.gz\0: torn")
        self.assertEqual(failed.message, "a?.gz\0: torn")

    async def test_requeue(self) -> None:
        first, _ = await self.create(a_job(1))
        second, _ = await self.create(a_job(2))
        third, _ = await self.create(a_job(3))
        await self.store.claim()
        await self.store.claim()
        await self.store.cancel(second.id)
        self.assertEqual(await self.store.requeue(), 1)
        self.assertEqual(await self.store.requeue(), 0)
        again = await self.store.claim()  # in its old place, before the third
        self.assertEqual(again.id, first.id)
        self.assertEqual((await self.store.get(second.id)).state, TaskState.CANCELLED)
        self.assertEqual((await self.store.claim()).id, third.id)

    async def test_clean_stops_do_not_count_as_crashes(self) -> None:
        task, _ = await self.create()
        for _ in range(MAX_STARTS + 1):
            begun = await self.store.claim()
            self.assertEqual(begun.id, task.id)
            await self.store.release(begun)
            await self.store.release(begun)  # of a queued task: nothing
        begun = await self.store.claim()
        self.assertEqual(await self.store.requeue(), 1)
        await self.store.cancel(task.id)
        await self.store.release(begun)
        self.assertEqual((await self.store.get(task.id)).state, TaskState.CANCELLED)

    async def test_live(self) -> None:
        self.assertIs(await self.store.live(a_job().url), None)
        task, _ = await self.create()
        self.assertEqual(await self.store.live(task.url), task)
        await self.store.cancel(task.id)
        self.assertIs(await self.store.live(task.url), None)

    async def test_crashing_task_is_given_up(self) -> None:
        task, _ = await self.create()
        for start in range(MAX_STARTS):
            self.assertEqual((await self.store.claim()).id, task.id)
            self.assertEqual(await self.store.requeue(), 1 if start < MAX_STARTS - 1 else 0)
        ended = await self.store.get(task.id)
        self.assertEqual((ended.state, ended.error), (TaskState.ERROR, "worker-died"))
        self.assertIn("stopped 3 times", ended.message)
        self.assertIs(await self.store.claim(), None)
        _, created = await self.create()
        self.assertTrue(created)

    async def test_asked_again_when_nobody_knows_what_was_kept(self) -> None:
        """The connection was lost in a COMMIT; whether that was done or not, the outcome is the same."""
        for kept in (True, False):
            with self.subTest(kept=kept):
                self.store._database = forgetful = Forgetful(self.opened, kept=kept)
                task, created = await self.create(a_job(kept))
                self.assertTrue(created)
                begun = await self.store.begin(task.id, "a")
                self.assertEqual(begun.attempt, 1)
                await self.store.release(begun)
                begun = await self.store.begin(task.id, "a")
                self.assertEqual(begun.attempt, 2)
                done = await self.store.finish(begun, begun.job, [(a_parsed(), a_blob())], [])
                self.assertEqual(done.state, TaskState.FINISHED)
                self.assertEqual(len(await self.store.artifacts(task.id)), 1)
                again, created = await self.create(a_job(kept), force=True)
                self.assertTrue(created)
                begun = await self.store.begin(again.id, "a")
                failed = await self.store.fail(begun, code="x", message="y")
                self.assertEqual((failed.state, failed.error), (TaskState.ERROR, "x"))
                third, _ = await self.create(a_job(kept))
                self.assertEqual((await self.store.cancel(third.id)).state, TaskState.CANCELLED)
                self.assertEqual(forgetful.writes, 20)
        self.store._database = self.opened
        self.assertEqual(await counts(self.opened), {"finished": 2, "error": 2, "cancelled": 2})

    async def test_queued(self) -> None:
        self.assertEqual(await self.store.queued(), 0)
        await self.finished()
        for number in (2, 3, 4):
            await self.create(a_job(number))
        await self.store.claim()
        self.assertEqual(await self.store.queued(), 2)

    async def test_working_urls(self) -> None:
        """Of queued and pending tasks alone, and compared as they are written."""
        urls = {
            "upload:queued/": None,
            "upload:pending/": None,
            "UPLOAD:other/": None,
            "upload_x": None,
            "http://upload:1/": None,
        }
        ended, _ = await self.create(Job(url="upload:ended/", name="x"))
        await self.store.cancel(ended.id)
        for url in urls:
            await self.create(Job(url=url, name="x"))
        await self.store.claim()
        self.assertEqual(await self.store.working_urls("upload:"), {"upload:queued/", "upload:pending/"})
        self.assertEqual(await self.store.working_urls("%"), frozenset())

    async def test_recent(self) -> None:
        """Finished ones that can be scraped again from where they are, the last first, few of them."""
        for n in (1, 2, 3):
            await self.finished(a_job(n))
        await self.finished(Job(url="upload:x/", name="x"))
        again = await self.finished(a_job(1), force=True)
        failed = await self.begun(a_job(4))
        await self.store.fail(failed, code="x", message="y")
        await self.create(a_job(5))
        recent = await self.store.recent(20, without="upload:")
        self.assertEqual([task.url for task in recent], [a_job(n).url for n in (1, 3, 2)])
        self.assertEqual(recent[0].id, again.id)
        self.assertEqual(await self.store.recent(2, without="upload:"), recent[:2])
        self.assertEqual(len(await self.store.recent(20, without="nothing")), 4)

    async def test_recent_looks_at_no_more_than_it_says(self) -> None:
        await self.finished(a_job(0))
        for n in range(LOOKED_THROUGH):
            ended, _ = await self.create(a_job(n + 1))
            await self.store.cancel(ended.id)
        self.assertEqual(await self.store.recent(20, without="upload:"), ())


class Forgetful:
    """A Database of which the outcome of each first write is not known; whether they are ``kept``."""

    def __init__(self, database, *, kept):
        self.database, self.kept, self.writes = database, kept, 0
        self.read = database.read

    async def write(self, fn, *args, **kw):
        self.writes += 1
        if self.writes % 2:
            if self.kept:
                await self.database.write(fn, *args, **kw)
            raise UnknownOutcomeError("lost")
        return await self.database.write(fn, *args, **kw)


class MysqlTaskStoreTests(OnMysql, TaskStoreTests):
    """The same against a real server; and what its plans must not cost."""

    async def test_others_that_end_are_not_waited_for(self) -> None:
        """What is done to one task locks that one alone, also where few rows make another plan look cheap."""
        other = await self.begun(a_job(1))
        queued = [(await self.create(a_job(n)))[0] for n in range(2, 9)]
        with mariadb.shared().root(self.server.name) as root:
            root.execute("BEGIN")
            root.execute("UPDATE tasks SET message = NULL WHERE id = %s", (other.id,))
            began_s = time.monotonic()
            begun = await self.store.begin(queued[0].id, "another")
            await self.store.release(begun)
            await self.store.cancel(begun.id)
            self.assertLess(time.monotonic() - began_s, LOCK_S)
            root.execute("ROLLBACK")

    async def test_what_has_ended_is_not_read_to_find_what_waits(self) -> None:
        def history(txn):
            for n in range(2000):
                txn.execute(
                    """
                    INSERT INTO tasks (id, url, state, job, cancel_hash, created_ms, finished_ms)
                    VALUES (?, 'http://x/', 'finished', '{}', '', 1, 2)
                    """,
                    (f"old-{n}",),
                )
            for n in range(200):
                txn.execute(
                    """
                    INSERT INTO tasks (id, url, state, job, cancel_hash, created_ms)
                    VALUES (?, 'http://x/', 'queued', '{}', '', 1)
                    """,
                    (f"new-{n}",),
                )

        await self.store._database.write(history)
        with mariadb.shared().root(self.server.name) as root:
            root.execute("ANALYZE TABLE tasks")

        def reads(txn):
            return sum(int(row[1]) for row in txn.execute("SHOW SESSION STATUS LIKE 'Handler_read%'"))

        def cost(txn, statement, *args):
            before = reads(txn)
            return statement(txn, *args), reads(txn) - before

        found, read = await self.store._database.read(cost, statements.waiting, 20)
        self.assertEqual([one[0] for one in found], [f"new-{n}" for n in range(20)])
        self.assertLess(read, 200)


def a_task(task_id: TaskId) -> Task:
    return Task(id=task_id, url="", job=a_job(), state=TaskState.PENDING, created_ms=0)


def _spoil(txn, task_id, job):
    txn.execute("UPDATE tasks SET job = ? WHERE id = ?", (job, task_id))
