# SPDX-License-Identifier: Apache-2.0
"""The contract of interfaces.TaskStore, run against SQLite on a disk."""

import uuid

from twisted.internet.defer import Deferred, gatherResults

from stackviz_deployer.errors import NotFoundError, QueueFullError, StoreError, TaskFailedError
from stackviz_deployer.model import ArtifactId, Build, Job, TaskId, TaskState
from stackviz_deployer.store.tasks import LOOKED_THROUGH, MAX_STARTS
from tests.store.building import StoreTestCase, a_blob, a_job, a_parsed


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
        await self.store.claim()
        return await self.store.finish(task.id, task.job, [(a_parsed(), a_blob())], [])

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
            self.store.fail(nobody, code="x", message="y"),
            self.store.finish(nobody, a_job(), [], []),
            self.store.artifact(ArtifactId(nobody)),
        ):
            with self.assertRaises(NotFoundError):
                await call
        self.assertEqual(await self.store.artifacts(nobody), ())

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
            await self.store.claim()
        await self.store.finish(first.id, first.job, [], [])
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
        self.assertEqual(claimed[0].started_ms, 1005)

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
            self.assertEqual((await self.store.counts())["queued"], 0)

    async def test_claimed_once(self) -> None:
        for n in range(5):
            await self.create(a_job(n))
        claimed = await gatherResults([Deferred.fromCoroutine(self.store.claim()) for _ in range(9)])
        self.assertEqual(len({task.id for task in claimed if task}), 5)
        self.assertEqual(claimed.count(None), 4)

    async def test_finish(self) -> None:
        task, _ = await self.create()
        await self.store.claim()
        job = a_job(status="SUCCESS")
        made = [
            (a_parsed("b", meta={"count": 2}), a_blob(1)),
            (a_parsed("a", primary=False, form=2, meta={}), a_blob(2, blocks=True)),
        ]
        done = await self.store.finish(task.id, job, made, ["one line was left out"])
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
        """Cancelled, failed or finished meanwhile: nothing is kept."""
        for n, end in enumerate(
            (
                self.store.cancel,
                lambda i: self.store.fail(i, code="x", message="y"),
                lambda i: self.store.finish(i, a_job(), [], []),
            )
        ):
            task, _ = await self.create(a_job(n))
            await self.store.claim()
            ended = await end(task.id)
            with self.assertRaises(TaskFailedError):
                await self.store.finish(task.id, task.job, [(a_parsed(), a_blob())], [])
            self.assertEqual(await self.store.get(task.id), ended)
            self.assertEqual(await self.store.artifacts(task.id), ())

    async def test_finish_needs_claim(self) -> None:
        task, _ = await self.create()
        with self.assertRaises(TaskFailedError):
            await self.store.finish(task.id, task.job, [], [])

    async def test_finish_is_all_or_nothing(self) -> None:
        """An artifact that cannot be recorded leaves the task pending and no other artifact."""
        task, _ = await self.create()
        await self.store.claim()
        with self.assertRaises(TypeError):  # a set is not JSON
            await self.store.finish(
                task.id, task.job, [(a_parsed(), a_blob()), (a_parsed(meta={"x": {1}}), a_blob(2))], []
            )
        self.assertEqual((await self.store.get(task.id)).state, TaskState.PENDING)
        self.assertEqual(await self.store.artifacts(task.id), ())

    async def test_fail_and_cancel(self) -> None:
        for n, claim in enumerate((False, True)):
            for end, state in ((self.store.cancel, "cancelled"), (self.fail_it, "error")):
                with self.subTest(claimed=claim, end=state):
                    job = a_job(n * 10 + (state == "error"))
                    task, _ = await self.create(job)
                    if claim:
                        await self.store.claim()
                    ended = await end(task.id)
                    self.assertEqual(ended.state, state)
                    self.assertEqual(ended.error, "too-large" if state == "error" else None)
                    self.assertIsNot(ended.finished_ms, None)
                    # both are idempotent, and the first end counts
                    self.assertEqual(await self.store.cancel(task.id), ended)
                    self.assertEqual(await self.fail_it(task.id), ended)
                    again, created = await self.create(job)  # the URL is free again
                    self.assertTrue(created)
                    await self.store.cancel(again.id)

    async def fail_it(self, task_id):
        return await self.store.fail(task_id, code="too-large", message="a.gz: more than 5 bytes")

    async def test_ending_does_not_touch_finished(self) -> None:
        done = await self.finished()
        self.assertEqual(await self.store.cancel(done.id), done)
        self.assertEqual(await self.fail_it(done.id), done)
        self.assertEqual((await self.create())[0].id, done.id)

    async def test_half_a_character(self) -> None:
        """Names of files come from servers, and a lone surrogate is no UTF-8."""
        task, _ = await self.create(a_job(name="gate-\udc80"))
        self.assertEqual(task.job.name, "gate-\udc80")
        await self.store.claim()
        await self.store.finish(task.id, task.job, [(a_parsed("a\udc80.gz"), a_blob())], ["\udc80"])
        self.assertEqual((await self.store.artifacts(task.id))[0].artifact_name, "a?.gz")
        other, _ = await self.create(a_job(2))
        failed = await self.store.fail(other.id, code="parse-failed", message="a\udc80.gz\0: torn")
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
            self.assertEqual((await self.store.claim()).id, task.id)
            await self.store.release(task.id)
            await self.store.release(task.id)  # of a queued task: nothing
        await self.store.claim()
        self.assertEqual(await self.store.requeue(), 1)
        await self.store.cancel(task.id)
        await self.store.release(task.id)
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

    async def test_counts(self) -> None:
        self.assertEqual(set((await self.store.counts()).values()), {0})
        await self.finished()
        await self.create(a_job(2))
        await self.create(a_job(3))
        await self.store.claim()
        self.assertEqual(
            await self.store.counts(),
            {"queued": 1, "pending": 1, "finished": 1, "error": 0, "cancelled": 0, "expired": 0},
        )

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
        failed, _ = await self.create(a_job(4))
        await self.store.fail(failed.id, code="x", message="y")
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


def _spoil(txn, task_id, job):
    txn.execute("UPDATE tasks SET job = ? WHERE id = ?", (job, task_id))
