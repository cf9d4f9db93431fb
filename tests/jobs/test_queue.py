# SPDX-License-Identifier: Apache-2.0
"""The queue on a clock, with a pipeline that does what the test says."""

import hashlib

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import (
    CancelRefusedError,
    HostNotAllowedError,
    InternalError,
    NotFoundError,
    ParseError,
    QueryNotUnderstoodError,
    QueueFullError,
    StoreError,
    TaskFailedError,
    UnreachableError,
    UpstreamTimeoutError,
)
from stackviz_deployer.interfaces import Tasks
from stackviz_deployer.jobs.executor import END_S, GRACE_S, RECORD_TRIES
from stackviz_deployer.jobs.pipeline import Outcome
from stackviz_deployer.jobs.stubborn import RETRY_S
from stackviz_deployer.jobs.submission import DESCRIBE_S
from stackviz_deployer.model import BlobHash, BlobRef, Job, ParsedArtifact, Progress, TaskState
from stackviz_deployer.settings import Limits
from tests.fakes import FakeFetcher, FakeLookup, FakeUploads, MemoryTaskStore, given
from tests.jobs.building import WholeQueue

URL = "http://logs.example/1/"


def an_outcome(task):
    artifact = ParsedArtifact(
        artifact_type="subunit", artifact_name="s", content_type="application/json", primary=True, path="/x"
    )
    blob = BlobRef(hash=BlobHash("0" * 64), size=1)
    return Outcome(job=evolve(task.job, status="SUCCESS"), artifacts=((artifact, blob),), warnings=("w",))


class FakePipeline:
    """Each run waits for a Deferred of its own, unless ``answer`` is given."""

    def __init__(self):
        self.answer = None
        self.runs = {}
        self.reports = {}
        self.cancelled = []
        self.cleanup = {}

    async def run(self, task, report):
        self.reports[task.id] = report
        if self.answer is not None:
            return await given(self.answer, task)
        held = self.runs[task.id] = Deferred()
        try:
            return await held
        except CancelledError:
            self.cancelled.append(task.id)
            if task.id in self.cleanup:
                await self.cleanup[task.id]
            raise


class QueueTestCase(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.store = MemoryTaskStore(self.clock)
        self.pipeline = FakePipeline()
        self.lookup = FakeLookup()
        self.fetcher = FakeFetcher()
        self.uploads = FakeUploads(self.mktemp())
        self.queue = self.build()

    def build(self, scrapes=2, queue=3, **more):
        return WholeQueue(
            store=self.store,
            pipeline=self.pipeline,
            lookup=self.lookup,
            fetcher=self.fetcher,
            uploads=self.uploads,
            clock=self.clock,
            scrapes=scrapes,
            limits=Limits(queue=queue),
            **more,
        )

    def start(self, queue=None):
        queue = queue or self.queue
        queue.startService()

        def stop():
            if queue.running:
                d = queue.stopService()
                self.clock.pump([GRACE_S, END_S])
                self.successResultOf(d)

        self.addCleanup(stop)
        return queue

    def ask(self, coroutine):
        return Deferred.fromCoroutine(coroutine)

    def submit(self, number=1, **kwargs):
        return self.successResultOf(self.ask(self.queue.submit(f"http://logs.example/{number}/", **kwargs)))

    def get(self, task_id):
        return self.successResultOf(self.ask(self.queue.get(task_id)))

    def state(self, submitted):
        return self.get(submitted.task.id).state

    def finish(self, submitted):
        task_id = submitted.task.id
        self.pipeline.runs[task_id].callback(an_outcome(self.store.tasks[task_id]))


class SubmitTests(QueueTestCase):
    def test_the_seam(self):
        typed: Tasks = self.queue
        self.assertTrue(typed)

    def test_from_queued_to_finished(self):
        self.start()
        submitted = self.submit()
        self.assertEqual(self.state(submitted), TaskState.PENDING)
        self.finish(submitted)
        task = self.get(submitted.task.id)
        self.assertEqual(
            (task.state, task.job.status, task.warnings), (TaskState.FINISHED, "SUCCESS", ("w",))
        )
        (artifact,) = self.successResultOf(self.ask(self.queue.artifacts(task.id)))
        self.assertEqual(self.successResultOf(self.ask(self.queue.artifact(artifact.id))), artifact)

    def test_key_only_for_the_creator_and_only_its_hash_is_kept(self):
        first, second = self.submit(), self.submit()
        self.assertEqual(first.task.id, second.task.id)
        self.assertIsNone(second.cancel_key)
        self.assertGreaterEqual(len(first.cancel_key), 32)
        kept = self.store.hashes[first.task.id]
        self.assertEqual(kept, hashlib.sha256(first.cancel_key.encode()).hexdigest())

    def test_force(self):
        self.start()
        first = self.submit()
        self.assertEqual(self.submit(force=True).task.id, first.task.id)
        self.finish(first)
        self.assertEqual(self.submit().task.id, first.task.id)
        self.assertNotEqual(self.submit(force=True).task.id, first.task.id)

    def test_joining_needs_no_lookup(self):
        first = self.submit()
        self.assertEqual(len(self.lookup.asked), 1)
        self.lookup.answer = Deferred()  # Gerrit does not answer
        again = self.successResultOf(self.ask(self.queue.submit(URL.rstrip("/"))))
        self.assertEqual((again.task.id, again.cancel_key), (first.task.id, None))

    def test_refused_urls_are_not_looked_up(self):
        self.fetcher.refusals[URL] = HostNotAllowedError("no")
        self.failureResultOf(self.ask(self.queue.submit(URL)), HostNotAllowedError)
        self.assertEqual((self.lookup.asked, self.store.tasks), ([], {}))

    def test_refusal_by_the_lookup(self):
        self.lookup.answer = QueryNotUnderstoodError("no log URL")
        self.failureResultOf(self.ask(self.queue.submit(URL)), QueryNotUnderstoodError)

    def test_the_lookup_tells_the_directory(self):
        self.lookup.answer = Job(url=URL, name="gate-y")
        submitted = self.successResultOf(self.ask(self.queue.submit(f" {URL}logs/x.html#top ")))
        self.assertEqual((submitted.task.url, submitted.task.job.name), (URL, "gate-y"))

    def test_without_facts_the_url_must_do(self):
        for answer in (UpstreamTimeoutError("gerrit"), Deferred()):
            self.lookup.answer = answer
            d = self.ask(self.queue.submit("http://logs.example/1/2/3/check/gate%20x/abc?x#y", force=True))
            self.clock.advance(DESCRIBE_S)
            task = self.successResultOf(d).task
            self.assertEqual(task.url, "http://logs.example/1/2/3/check/gate%20x/abc/")
            self.assertEqual(task.job.name, "gate x")

    def test_queue_bound(self):
        self.start()
        running = [self.submit(n) for n in range(2)]
        for n in range(2, 5):
            self.submit(n)
        self.assertIn("full", self.queue.health()["reasons"][0])
        self.failureResultOf(self.ask(self.queue.submit("http://logs.example/9/")), QueueFullError)
        self.finish(running[0])
        self.assertEqual(self.queue.health()["reasons"], [])
        self.submit(9)

    def test_a_client_that_hangs_up_leaves_the_task(self):
        self.start()
        answer = Deferred()
        self.lookup.answer = answer
        d = self.ask(self.queue.submit(URL))
        d.cancel()
        self.failureResultOf(d, CancelledError)
        answer.callback(Job(url=URL, name="x"))
        self.assertEqual(list(self.pipeline.runs), ["task-1"])


class WorkTests(QueueTestCase):
    def test_concurrency_and_order(self):
        self.start()
        tasks = [self.submit(n) for n in range(4)]
        self.assertEqual(list(self.pipeline.runs), [tasks[0].task.id, tasks[1].task.id])
        self.assertEqual(self.queue.health()["queued"], 2)
        self.assertEqual(self.queue.health()["running"], 2)
        self.finish(tasks[1])
        self.assertEqual(list(self.pipeline.runs)[2:], [tasks[2].task.id])
        self.finish(tasks[0])
        self.assertEqual(self.queue.health()["queued"], 0)

    def test_nothing_polls(self):
        self.start()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failures_are_recorded_with_code_and_words(self):
        self.start()
        self.pipeline.answer = ParseError("x: broken")
        task = self.get(self.submit().task.id)
        self.assertEqual(
            (task.state, task.error, task.message), (TaskState.ERROR, "parse-failed", "x: broken")
        )
        self.pipeline.answer = RuntimeError("secret")
        task = self.get(self.submit().task.id)
        self.assertEqual((task.state, task.error), (TaskState.ERROR, InternalError.code))
        self.assertNotIn("secret", task.message)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.pipeline.answer = StoreError("/var/lib/secret cannot be written: the disk is full")
        task = self.get(self.submit().task.id)
        self.assertEqual((task.state, task.error), (TaskState.ERROR, StoreError.code))
        self.assertNotIn("secret", task.message)
        self.assertEqual(len(self.flushLoggedErrors(StoreError)), 1)
        self.pipeline.answer = None
        self.finish(self.submit())

    def test_a_cancellation_from_nowhere_is_a_failure(self):
        self.start()
        self.pipeline.answer = CancelledError()
        self.assertEqual(self.get(self.submit().task.id).error, InternalError.code)

    def test_recovery(self):
        """A queue that was killed leaves a pending task; the next one takes it up first."""
        first = self.submit()
        self.successResultOf(self.ask(self.store.claim()))
        second = self.submit(2)
        self.queue = self.start(self.build(scrapes=1))
        self.assertEqual(list(self.pipeline.runs), [first.task.id])
        self.assertEqual(self.queue.health()["queued"], 1)
        self.finish(first)
        self.finish(second)

    def test_progress(self):
        self.start()
        submitted = self.submit()
        self.assertIsNone(self.get(submitted.task.id).progress)
        progress = Progress(stage="fetching", done=1, total=2)
        self.pipeline.reports[submitted.task.id](progress)
        self.assertEqual(self.get(submitted.task.id).progress, progress)
        self.assertEqual(self.submit().task.progress, progress)
        self.finish(submitted)
        self.assertIsNone(self.get(submitted.task.id).progress)


class WatchTests(QueueTestCase):
    def test_every_change_is_told_once(self):
        submitted = self.submit()
        seen = []
        stop = self.queue.watch(submitted.task.id, seen.append)
        others = []
        self.queue.watch("another", others.append)
        self.start()
        self.pipeline.reports[submitted.task.id](Progress(stage="parsing"))
        self.finish(submitted)
        self.assertEqual([t.state for t in seen], [TaskState.PENDING, TaskState.PENDING, TaskState.FINISHED])
        self.assertEqual([t.progress for t in seen], [None, Progress(stage="parsing"), None])
        self.assertEqual(others, [])
        stop()
        stop()

    def test_watchers_are_let_go(self):
        submitted = self.submit()
        seen = []
        stop = self.queue.watch(submitted.task.id, seen.append)
        stop()
        self.start()
        self.assertEqual(seen, [])
        self.assertEqual(self.queue._watchers._of, {})

    def test_one_that_raises_harms_nobody(self):
        submitted = self.submit()
        seen = []
        self.queue.watch(submitted.task.id, lambda _task: 1 / 0)
        self.queue.watch(submitted.task.id, seen.append)
        self.start()
        self.assertEqual(len(seen), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_one_may_stop_another_while_it_is_told(self):
        submitted = self.submit()
        seen = []
        self.queue.watch(submitted.task.id, lambda _task: stop())
        stop = self.queue.watch(submitted.task.id, seen.append)
        self.start()
        self.assertEqual(seen, [])


class CancelTests(QueueTestCase):
    def cancel(self, submitted, key=None):
        return self.ask(self.queue.cancel(submitted.task.id, key or submitted.cancel_key))

    def test_wrong_key(self):
        submitted = self.submit()
        for key in ("", "x", submitted.cancel_key[:-1], "ü\udc80"):
            self.failureResultOf(self.ask(self.queue.cancel(submitted.task.id, key)), CancelRefusedError)
        self.assertEqual(self.state(submitted), TaskState.QUEUED)

    def test_unknown(self):
        self.failureResultOf(self.ask(self.queue.cancel("nothing", "x")), NotFoundError)

    def test_queued(self):
        queued = self.submit()
        self.assertEqual(self.successResultOf(self.cancel(queued)).state, TaskState.CANCELLED)
        self.start()
        self.assertEqual(self.pipeline.runs, {})
        self.assertNotEqual(self.submit().task.id, queued.task.id)

    def test_running(self):
        self.start()
        running, waiting = self.submit(), [self.submit(n) for n in (2, 3)]
        seen = []
        self.queue.watch(running.task.id, seen.append)
        self.assertEqual(self.successResultOf(self.cancel(running)).state, TaskState.CANCELLED)
        self.assertEqual(self.pipeline.cancelled, [running.task.id])
        self.assertEqual(self.state(running), TaskState.CANCELLED)
        self.assertEqual([task.state for task in seen], [TaskState.CANCELLED])
        self.assertEqual(self.state(waiting[1]), TaskState.PENDING)

    def test_running_holds_its_slot_until_it_has_cleaned_up(self):
        self.queue = self.start(self.build(scrapes=1))
        running, waiting = self.submit(), self.submit(2)
        self.pipeline.cleanup[running.task.id] = cleanup = Deferred()
        self.successResultOf(self.cancel(running))
        self.assertEqual(self.state(waiting), TaskState.QUEUED)
        self.assertIsNone(self.get(running.task.id).progress)
        cleanup.callback(None)
        self.assertEqual(self.state(waiting), TaskState.PENDING)

    def test_finished_stays_finished(self):
        self.start()
        submitted = self.submit()
        self.finish(submitted)
        self.assertEqual(self.successResultOf(self.cancel(submitted)).state, TaskState.FINISHED)

    def test_while_it_is_being_claimed(self):
        """The claim was made before the cancel, its answer comes after it."""
        self.start()
        claimed = Deferred()
        real, self.store.claim = self.store.claim, lambda: claimed
        submitted = self.submit()
        task = self.successResultOf(self.ask(real()))
        self.successResultOf(self.cancel(submitted))
        self.store.claim = real
        claimed.callback(task)
        self.assertEqual(self.pipeline.runs, {})
        other = self.submit(2)
        self.assertEqual(self.state(other), TaskState.PENDING)

    def test_while_results_are_recorded(self):
        self.start()
        self.store.failing["finish"] = refused = Deferred()
        submitted = self.submit()
        self.finish(submitted)
        recorded = self.cancel(submitted)
        self.assertEqual(self.successResultOf(recorded).state, TaskState.CANCELLED)
        self.assertTrue(refused.called)  # the wait for it was cancelled
        self.assertEqual(self.queue.health()["running"], 0)

    def test_results_refused_because_it_was_cancelled(self):
        self.start()
        self.store.failing["finish"] = TaskFailedError("cancelled")
        submitted = self.submit()
        self.finish(submitted)
        self.assertEqual(self.queue.health()["running"], 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_taken_over(self):
        """Whoever works on it now tells how it ends; here it only makes room for the next."""
        self.start()
        for outcome in (ParseError("torn"), None):
            with self.subTest(outcome=outcome):
                submitted = self.submit(repr(outcome))
                self.successResultOf(self.ask(self.store.begin(submitted.task.id, "another")))
                if outcome is None:
                    self.finish(submitted)
                else:
                    self.pipeline.runs[submitted.task.id].errback(outcome)
                task = self.store.tasks[submitted.task.id]
                self.assertEqual((task.state, task.owner), (TaskState.PENDING, "another"))
                self.assertEqual(self.queue.health()["running"], 0)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_the_asker_may_go(self):
        self.start()
        submitted = self.submit()
        self.store.failing["cancel"] = held = Deferred()
        d = self.cancel(submitted)
        d.cancel()
        self.failureResultOf(d, CancelledError)
        held.callback(None)
        self.assertEqual(self.state(submitted), TaskState.CANCELLED)


class StoreTroubleTests(QueueTestCase):
    def fail_for_a_while(self, method, times):
        left = [times]

        def maybe():
            left[0] -= 1
            return StoreError("disk full") if left[0] >= 0 else None

        self.store.failing[method] = maybe

    def test_every_step_is_tried_again(self):
        for method in ("requeue", "claim"):
            self.setUp()
            self.fail_for_a_while(method, len(RETRY_S) + 2)
            self.start()
            submitted = self.submit()
            self.assertIn("claiming tasks fails", self.queue.health()["reasons"][0])
            for pause in (*RETRY_S, RETRY_S[-1]):
                self.clock.advance(pause)
                self.assertEqual(self.pipeline.runs, {})
            self.clock.advance(RETRY_S[-1])
            self.assertEqual(self.queue.health()["reasons"], [])
            self.finish(submitted)
            self.assertEqual(len(self.flushLoggedErrors(StoreError)), 1)

    def test_nothing_is_recorded_whose_blobs_may_go(self):
        """They are held before each try."""
        asked = []

        async def hold(blobs):
            asked.append(blobs)
            if len(asked) < RECORD_TRIES:
                raise StoreError("being removed")

        self.queue = self.build(hold=hold)
        self.start()
        submitted = self.submit()
        self.finish(submitted)
        for pause in RETRY_S[: RECORD_TRIES - 1]:
            self.assertEqual(self.state(submitted), TaskState.PENDING)
            self.clock.advance(pause)
        self.assertEqual(self.state(submitted), TaskState.FINISHED)
        blobs = [blob for _, blob in an_outcome(submitted.task).artifacts]
        self.assertEqual(asked, [blobs] * RECORD_TRIES)
        self.assertEqual(len(self.flushLoggedErrors(StoreError)), 1)

    def fill(self):
        """One task is done, another waits, and the disk is full now: its state, its guard, who waits."""
        full = [False]

        def writable():
            if full[0]:
                raise StoreError("/var/lib/x: only 5 bytes are left on the disk; make room", reason="full")

        self.queue = self.build(scrapes=1, writable=writable)
        self.start()
        first, second = self.submit(1), self.submit(2)
        full[0] = True
        self.finish(first)
        return full, writable, second

    def test_nothing_is_claimed_that_could_not_be_stored(self):
        """It waits, through a restart too, and begins by itself when the disk has room again."""
        full, writable, second = self.fill()
        self.assertEqual(self.state(second), TaskState.QUEUED)
        self.assertIn("claiming tasks fails: /var/lib/x: only 5", self.queue.health()["reasons"][0])
        self.assertEqual(self.queue.health()["queued"], 1)
        self.clock.pump(RETRY_S)
        self.successResultOf(self.queue.stopService())
        self.queue = self.start(self.build(writable=writable))
        self.assertEqual(self.state(second), TaskState.QUEUED)
        self.assertNotIn(second.task.id, self.pipeline.runs)
        full[0] = False
        self.clock.advance(RETRY_S[0])
        self.assertEqual(self.queue.health()["reasons"], [])
        self.finish(second)
        self.assertEqual(self.state(second), TaskState.FINISHED)
        self.assertEqual(len(self.flushLoggedErrors(StoreError)), 2)

    def test_all_is_well_again_without_a_task(self):
        """Who asks whether the node is ready would keep the next task away from it."""
        full, _, second = self.fill()
        self.successResultOf(self.ask(self.queue.cancel(second.task.id, second.cancel_key)))
        full[0] = False
        self.assertEqual(len(self.queue.health()["reasons"]), 1)
        self.clock.advance(RETRY_S[0])
        self.assertEqual(self.queue.health()["reasons"], [])
        self.flushLoggedErrors(StoreError)

    def test_a_defect_that_stops_the_queue_is_seen(self):
        self.start()
        self.store.failing["claim"] = RuntimeError("a bug")
        self.submit()
        self.assertIn("stands still", self.queue.health()["reasons"][0])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.successResultOf(self.queue.stopService())
        self.assertEqual(self.queue.health()["reasons"], [])

    def test_results(self):
        self.start()
        self.fail_for_a_while("finish", 1)
        submitted = self.submit()
        self.finish(submitted)
        self.assertEqual(self.state(submitted), TaskState.PENDING)
        self.clock.advance(RETRY_S[0])
        self.assertEqual(self.state(submitted), TaskState.FINISHED)
        self.flushLoggedErrors(StoreError)

    def test_results_wait_for_a_database_that_cannot_be_reached(self):
        """However long it is away: what was worked out is good."""
        self.start()
        self.store.failing["finish"] = UnreachableError("it restarts")
        submitted = self.submit()
        self.finish(submitted)
        self.clock.pump([*RETRY_S, *RETRY_S[-1:] * RECORD_TRIES])
        self.assertEqual(self.state(submitted), TaskState.PENDING)
        self.assertEqual(self.queue.health()["reasons"], ["recording results fails: it restarts"])
        self.store.failing.clear()
        self.clock.advance(RETRY_S[-1])
        self.assertEqual(self.state(submitted), TaskState.FINISHED)
        self.assertEqual(len(self.flushLoggedErrors(UnreachableError)), 1)

    def test_results_that_cannot_be_recorded_fail_the_task(self):
        self.start()
        self.fail_for_a_while("finish", 100)
        self.fail_for_a_while("fail", 2)
        submitted = self.submit()
        self.finish(submitted)
        self.clock.pump(RETRY_S[: RECORD_TRIES - 1])
        self.assertEqual(self.state(submitted), TaskState.PENDING)
        self.clock.pump(RETRY_S[:2])
        task = self.get(submitted.task.id)
        self.assertEqual((task.state, task.error), (TaskState.ERROR, "store-failed"))
        self.assertEqual(self.queue.health()["reasons"], [])
        self.flushLoggedErrors(StoreError)


class StopTests(QueueTestCase):
    def stop(self):
        return self.queue.stopService()

    def test_idle(self):
        self.start()
        self.successResultOf(self.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_running_task_may_finish(self):
        self.start()
        submitted, other = self.submit(), self.submit(2)
        third = self.submit(3)
        stopped = self.stop()
        self.finish(submitted)
        self.assertEqual(self.state(submitted), TaskState.FINISHED)
        self.assertEqual(self.state(third), TaskState.QUEUED)  # no new claim
        self.assertNoResult(stopped)
        self.finish(other)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_then_it_is_left_for_the_next_start(self):
        self.start()
        submitted = self.submit()
        stopped = self.stop()
        self.clock.advance(GRACE_S - 0.1)
        self.assertEqual(self.pipeline.cancelled, [])
        self.clock.advance(0.1)
        self.assertEqual(self.pipeline.cancelled, [submitted.task.id])
        self.successResultOf(stopped)
        self.assertEqual(self.store.tasks[submitted.task.id].state, TaskState.QUEUED)
        self.queue = self.start(self.build())
        self.finish(submitted)
        self.assertEqual(self.state(submitted), TaskState.FINISHED)

    def test_even_when_the_store_cannot_be_told(self):
        self.start()
        submitted = self.submit()
        self.store.failing["release"] = StoreError("disk full")
        stopped = self.stop()
        self.clock.advance(GRACE_S)
        self.successResultOf(stopped)
        self.assertEqual(self.store.tasks[submitted.task.id].state, TaskState.PENDING)
        self.assertEqual(len(self.flushLoggedErrors(StoreError)), 1)
        self.queue = self.start(self.build())
        self.finish(submitted)
        self.assertEqual(self.state(submitted), TaskState.FINISHED)

    def test_bound(self):
        self.start()
        submitted = self.submit()
        self.pipeline.cleanup[submitted.task.id] = cleanup = Deferred()
        stopped = self.stop()
        self.clock.advance(GRACE_S)
        self.assertNoResult(stopped)
        self.clock.advance(END_S)
        self.successResultOf(stopped)
        self.assertFalse(cleanup.called)
        cleanup.callback(None)

    def test_while_the_store_is_in_trouble(self):
        self.store.failing["requeue"] = StoreError("disk full")
        self.start()
        self.successResultOf(self.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.flushLoggedErrors(StoreError)

    def test_while_a_claim_is_on_its_way(self):
        self.start()
        self.store.failing["claim"] = Deferred()
        submitted = self.submit()
        self.successResultOf(self.stop())
        self.assertEqual(self.state(submitted), TaskState.QUEUED)
