# SPDX-License-Identifier: Apache-2.0
"""Queue, pipeline, real store and real parser processes together; only the network is a fake."""

import gzip
import json
import os
import signal
import sys
from importlib import resources
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from stackviz_deployer.cpu import COMMAND, WorkerPool
from stackviz_deployer.errors import CancelRefusedError
from stackviz_deployer.jobs.pipeline import Pipeline
from stackviz_deployer.jobs.uploads import UploadOpener
from stackviz_deployer.model import Job, ParseRequest, TaskState
from stackviz_deployer.parsers.subunit import PARTIAL
from stackviz_deployer.scrapers import SCRAPERS
from stackviz_deployer.settings import Limits
from stackviz_deployer.store.task_store import SqlTaskStore
from tests.fakes import FakeFetcher, FakeListing, FakeLookup, FakeUploads
from tests.jobs.building import WholeQueue
from tests.parsers import subunit_oracle as oracle
from tests.parsers.test_memory_tracker import block, journal
from tests.store.building import StoreTestCase, Ticks, counts

ROOT = Path(__file__).resolve().parent.parent.parent
SLOW = (
    sys.executable,
    "-I",
    "-c",
    (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from stackviz_deployer.parsers import worker\n"
        "worker.main(sys.argv[1:], parsers={'subunit': 'tests.parsers.hostile:slow_or_copy'}, warm=())"
    ),
)
SAMPLE = "gate-tempest-dsvm-full"
STREAM = "logs/testrepository.subunit"


class WholeTestCase(StoreTestCase):
    def build(self, command=COMMAND, *paths, **limits):
        self.fetcher = FakeFetcher()
        self.listing = FakeListing(*paths)
        self.database_ = self.database()
        self.store = SqlTaskStore(self.database_, Ticks())
        self.blob_store = self.blobs()
        self.cpu = self.start(WorkerPool(reactor, slots=2, memory_bytes=1 << 30, command=command))
        self.limits = Limits(**limits)
        self.queue = self.start(self.a_queue())

    def a_queue(self):
        uploads = FakeUploads(self.mktemp())
        pipeline = Pipeline(
            listing=self.listing,
            fetcher=self.fetcher,
            cpu=self.cpu,
            blobs=self.blob_store,
            scrapers=SCRAPERS,
            uploads=UploadOpener(uploads=uploads, cpu=self.cpu, scrapers=SCRAPERS, limits=self.limits),
            limits=self.limits,
            clock=reactor,
            scratch=self.blob_store.scratch,
        )
        return WholeQueue(
            store=self.store,
            pipeline=pipeline,
            lookup=FakeLookup(lambda url: Job(url=url, name=url.rstrip("/").rpartition("/")[2])),
            fetcher=self.fetcher,
            uploads=uploads,
            clock=reactor,
            scrapes=2,
            limits=self.limits,
        )

    async def submit(self, name):
        url = f"http://logs.example/{name}/"
        for path in self.listing.paths:
            self.fetcher.bodies.setdefault(url + path, name.encode())
        return await self.queue.submit(url)

    async def reach(self, submitted, *states):
        """Wait, as a page does, until the task is in one of ``states``."""
        reached = Deferred()

        def look(task):
            if task.state in states and not reached.called:
                reached.callback(task)

        stop = self.queue.watch(submitted.task.id, look)
        look(await self.queue.get(submitted.task.id))
        try:
            return await reached
        finally:
            stop()

    async def worker_of(self, submitted):
        """The process that works on the (only) slow task."""
        await self.reach(submitted, TaskState.PENDING)
        while not (busy := [c for c in self.children() if c.work is not None]):
            await deferLater(reactor, 0.005, int)
        return busy[0].pid

    def children(self):
        return [slot.child for slot in self.cpu._slots if slot.child is not None]

    def leftovers(self):
        return list(self.state_dir.joinpath("tmp").iterdir())


class SampleTests(WholeTestCase):
    async def test_the_sample_job_through_the_real_parsers(self):
        sample = resources.files("stackviz_deployer") / "sample" / SAMPLE
        paths = ["console.html.gz", "logs/dstat-csv.txt.gz", "logs/testrepository.subunit.gz"]
        self.build(COMMAND, *paths)
        for path in paths:
            self.fetcher.bodies[f"http://logs.example/{SAMPLE}/{path}"] = (sample / path).read_bytes()
        submitted = await self.submit(SAMPLE)
        task = await self.reach(submitted, TaskState.FINISHED, TaskState.ERROR)
        self.assertEqual((task.state, task.message), (TaskState.FINISHED, None))
        artifacts = await self.queue.artifacts(task.id)
        self.assertEqual(
            [(a.artifact_type, a.artifact_name) for a in artifacts],
            [
                ("subunit", "testrepository.subunit"),
                ("subunit-stats", "testrepository.subunit"),
                ("subunit-details", "testrepository.subunit"),
                ("console", "console.html"),
                ("dstat", "dstat-csv.txt"),
            ],
        )
        stats = json.loads(gzip.decompress((await self.blob_store.path(artifacts[1].blob)).read_bytes()))
        self.assertEqual(stats["count"], artifacts[0].meta["count"])
        self.assertGreater(stats["count"], 0)
        self.assertTrue(artifacts[2].blob.blocks)
        # the machine's metrics are of the tests' time, whatever year they do not tell
        self.assertLessEqual(artifacts[4].meta["start_ms"], artifacts[0].meta["end_ms"])
        self.assertGreaterEqual(artifacts[4].meta["end_ms"], artifacts[0].meta["start_ms"])
        self.assertEqual(self.leftovers(), [])


class TimedOutTests(WholeTestCase):
    async def test_what_a_tempest_job_of_today_leaves(self):
        """testr's partial file instead of a stream, memory_tracker on two hosts instead of dstat."""
        partial = "tmpab12cd34"
        memory = [f"{host}/logs/screen-memory_tracker.txt" for host in ("compute1", "controller")]
        self.build(COMMAND, partial, *memory)
        (path,) = oracle.FIXTURES.glob("ondisk-*")
        whole = oracle.read(path)
        url = "http://logs.example/tempest-full/"
        self.fetcher.bodies[url + partial] = whole[: whole.index(b"Traceback") + 40]
        for name in memory:
            self.fetcher.bodies[url + name] = journal(block("Sun Nov 22 09:47:58 UTC 2026")).encode()
        task = await self.reach(await self.submit("tempest-full"), TaskState.FINISHED, TaskState.ERROR)
        self.assertEqual(task.state, TaskState.FINISHED, task.message)
        artifacts = await self.queue.artifacts(task.id)
        self.assertEqual(
            [(a.artifact_type, a.artifact_name) for a in artifacts],
            [
                ("subunit", partial),
                ("subunit-stats", partial),
                ("subunit-details", partial),
                ("dstat", "controller/screen-memory_tracker.txt"),
                ("dstat", "compute1/screen-memory_tracker.txt"),
            ],
        )
        self.assertEqual(artifacts[0].meta["fail"], 1)
        self.assertIn(f"{partial}: {PARTIAL}", task.warnings)
        self.assertEqual(self.leftovers(), [])


class HostileTests(WholeTestCase):
    async def test_kill_9_of_a_parser_fails_its_task_alone(self):
        self.build(SLOW, STREAM)
        slow = await self.submit("slow")
        pid = await self.worker_of(slow)
        other = await self.submit("good")
        os.kill(pid, signal.SIGKILL)
        task = await self.reach(slow, TaskState.ERROR)
        self.assertEqual(task.error, "worker-died")
        self.assertIn(STREAM, task.message)
        self.assertIn("was killed", task.message)
        await self.reach(other, TaskState.FINISHED)
        await self.reach(await self.submit("better"), TaskState.FINISHED)
        self.assertEqual(self.leftovers(), [])
        self.assertEqual(self.queue.health()["running"], 0)

    async def test_a_parser_that_hangs_ends_by_the_tasks_time(self):
        self.build(SLOW, STREAM, task_seconds=0.6)
        task = await self.reach(await self.submit("slow"), TaskState.ERROR)
        self.assertIn(task.error, ("worker-died", "task-timeout"))
        request = ParseRequest(parser="subunit", inputs=(), out_dir="/", max_bytes=1)
        await self.cpu.run(request, timeout_s=60)  # the pool is whole again

    async def test_cancel_ends_the_process(self):
        self.build(SLOW, STREAM)
        slow = await self.submit("slow")
        pid = await self.worker_of(slow)
        with self.assertRaises(CancelRefusedError):
            await self.queue.cancel(slow.task.id, "x" + slow.cancel_key)
        task = await self.queue.cancel(slow.task.id, slow.cancel_key)
        self.assertEqual(task.state, TaskState.CANCELLED)
        again = await self.submit("slow")
        self.assertNotEqual(again.task.id, slow.task.id)
        while _alive(pid):
            await deferLater(reactor, 0.005, int)
        await self.queue.cancel(again.task.id, again.cancel_key)
        await self.reach(await self.submit("good"), TaskState.FINISHED)

    async def test_left_by_a_stop_taken_up_by_the_next_start(self):
        self.build(SLOW, STREAM)
        slow = await self.submit("slow")
        await self.worker_of(slow)
        stopped = Deferred.fromCoroutine(_quick(self.queue))
        await stopped
        self.assertEqual((await self.store.get(slow.task.id)).state, TaskState.PENDING)
        self.assertEqual(self.leftovers(), [])
        self.queue = self.start(self.a_queue())
        await self.worker_of(slow)
        pending = await self.store.get(slow.task.id)
        self.assertEqual(pending.state, TaskState.PENDING)
        await self.queue.cancel(slow.task.id, slow.cancel_key)

    async def test_asking_twice_at_the_same_time_makes_one_task(self):
        self.build(SLOW, STREAM)
        asked = [Deferred.fromCoroutine(self.submit("slow")) for _ in range(5)]
        answers = [await d for d in asked]
        self.assertEqual(len({answer.task.id for answer in answers}), 1)
        self.assertEqual(sum(answer.cancel_key is not None for answer in answers), 1)
        (key,) = [answer.cancel_key for answer in answers if answer.cancel_key]
        await self.queue.cancel(answers[0].task.id, key)

    async def test_a_page_that_goes_away_ends_nothing(self):
        self.build(SLOW, STREAM)
        asked = Deferred.fromCoroutine(self.submit("good"))
        asked.cancel()
        with self.assertRaises(CancelledError):
            await asked
        while await counts(self.store._database) != {"finished": 1}:
            await deferLater(reactor, 0.005, int)


async def _quick(queue):
    """Stop without waiting for what will not end by itself."""
    stopped = queue.stopService()
    for one in list(queue.executor._running.values()):
        one.drop()
    await stopped


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
