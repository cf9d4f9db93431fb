# SPDX-License-Identifier: Apache-2.0
"""Nodes that share a store and a real redis-server, in this process; pipelines do what the test says."""

from typing import Any

from attrs import evolve
from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater

from stackviz_deployer.cluster.bus import RedisBus, Times
from stackviz_deployer.errors import NotFoundError, StoreError
from stackviz_deployer.interfaces import Bus
from stackviz_deployer.jobs.local import LocalBus
from stackviz_deployer.model import Progress, TaskId, TaskState
from stackviz_deployer.settings import Limits, RedisServer
from stackviz_deployer.web.kept import Kept
from tests.cluster.test_link import SOON_S, RedisTestCase, until
from tests.fakes import FakeFetcher, FakeLookup, FakeUploads, MemoryTaskStore
from tests.jobs.building import WholeQueue
from tests.jobs.test_queue import FakePipeline, an_outcome

reactor: Any = _reactor
QUICK = Times(renew=0.1, idle=0.6, block=0.1, compare=0.2, timeout=2.0)
CALM = evolve(QUICK, idle=1.2)
"""For what must not be taken over: a machine with much else to do is no reason."""
PATIENT = evolve(QUICK, idle=3 * SOON_S)
"""By then a test has failed."""


class Node:
    """One node: its bus, its queue, its pipeline."""

    def __init__(
        self,
        case: "ClusterTestCase",
        name: str,
        *,
        works: bool = True,
        scrapes: int = 1,
        times: Times = QUICK,
    ) -> None:
        self.case = case
        self.kept = Kept()
        self.pipeline = FakePipeline()
        self.bus = RedisBus(
            case.address,
            reactor,
            store=case.store,
            copies=self.kept,
            node=name,
            works=works,
            times=times,
        )
        self.queue = WholeQueue(
            store=case.store,
            pipeline=self.pipeline,
            lookup=FakeLookup(),
            fetcher=FakeFetcher(),
            uploads=FakeUploads(case.mktemp()),
            clock=reactor,
            scrapes=scrapes,
            limits=Limits(queue=1000),
            bus=self.bus,
            works=works,
        )
        self.bus.startService()
        self.queue.startService()
        case.addCleanup(self.stop)

    async def stop(self) -> None:
        """Without the grace that running tasks have."""
        if self.queue.running:
            stopped = self.queue.stopService()
            executor = self.queue.executor
            for one in () if executor is None else list(executor._running.values()):
                executor._background.spawn(self.bus.release(one.task), "releasing")
                one.drop()
            await stopped
            await self.bus.stopService()

    def die(self) -> None:
        """As by kill -9: nothing is said to anybody, nothing is recorded any more."""
        for link in self.bus._links:
            link._server = evolve(link._server, port=1)
            if link._protocol is not None:
                link._protocol.transport.abortConnection()
        loop = self.queue.executor._loop
        assert loop is not None
        loop.cancel()

    def runs(self, task_id: TaskId) -> bool:
        return task_id in self.pipeline.runs and not self.pipeline.runs[task_id].called

    def finish(self, task_id: TaskId) -> None:
        self.pipeline.runs[task_id].callback(an_outcome(self.case.store.tasks[task_id]))


class ClusterTestCase(RedisTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.redis()
        self.address = self.server.server
        self.store = MemoryTaskStore(reactor)

    def node(self, name: str, **options: Any) -> Node:
        return Node(self, name, **options)

    async def submit(self, node: Node, number: int = 1) -> Any:
        return await node.queue.submit(f"http://logs.example/{number}/")

    def state(self, task_id: TaskId) -> TaskState:
        return self.store.tasks[task_id].state

    async def settled(self) -> None:
        """Redis holds nothing of any task."""
        await until(lambda: self.server.ask("XLEN", "stackviz:queue") == 0, "the empty queue")
        await until(lambda: self.server.ask("HLEN", "stackviz:offered") == 0, "the empty hash")
        self.assertEqual(self.server.ask("XPENDING", "stackviz:queue", "workers")[0], 0)

    async def working(self, node: Node) -> TaskId:
        """A task that the node works on."""
        await self.up(node)
        task_id = TaskId((await self.submit(node)).task.id)
        await until(lambda: node.runs(task_id))
        return task_id

    async def watched(self) -> tuple[Node, Node, TaskId, list[Any]]:
        """A web node, a worker, the task that it works on, and what who watches it on the other is told."""
        web, worker = self.node("web", works=False), self.node("worker")
        await self.up(web, worker)
        task_id = TaskId((await self.submit(web)).task.id)
        seen: list[Any] = []
        web.queue.watch(task_id, seen.append)
        await until(lambda: worker.runs(task_id))
        return web, worker, task_id, seen

    async def finished(self, node: Node, task_id: TaskId) -> None:
        """The node ends what it works on, and that is everywhere as it should be."""
        node.finish(task_id)
        await until(lambda: self.state(task_id) is TaskState.FINISHED)
        await self.settled()

    async def up(self, *nodes: Node) -> None:
        await until(lambda: all(link.up for node in nodes for link in node.bus._links), "connections")


class WayTests(ClusterTestCase):
    def test_the_seam(self) -> None:
        typed: Bus = LocalBus(self.store)
        self.assertTrue(typed)
        other: Bus = RedisBus(RedisServer(), reactor, store=self.store, copies=Kept(), node="x", works=True)
        self.assertTrue(other)

    async def test_submitted_here_and_done_there(self) -> None:
        web, worker, task_id, seen = await self.watched()
        self.assertEqual(self.store.tasks[task_id].owner, "worker")
        progress = Progress(stage="parsing", done=1, total=3)
        worker.pipeline.reports[task_id](progress)
        await until(lambda: any(task.progress == progress for task in seen), "the progress")
        self.assertEqual((await web.queue.get(task_id)).progress, progress)
        worker.pipeline.reports[task_id](Progress(stage="parsing", done=2, total=3))
        await until(lambda: seen[-1].progress.done == 2)
        worker.finish(task_id)
        await until(lambda: seen[-1].state is TaskState.FINISHED, "the end")
        self.assertEqual([task.state.value for task in seen].count("finished"), 1)
        self.assertEqual(self.server.ask("KEYS", "stackviz:lease:*"), [])
        self.assertEqual(self.server.ask("KEYS", "stackviz:progress:*"), [])
        await self.settled()

    async def test_many_tasks_are_shared_out(self) -> None:
        nodes = [self.node(f"n{n}", scrapes=2) for n in range(3)]
        for node in nodes:
            node.pipeline.answer = an_outcome
        await self.up(*nodes)
        ids = [(await self.submit(nodes[n % 3], n)).task.id for n in range(60)]
        await until(lambda: all(self.state(one) is TaskState.FINISHED for one in ids), "60 ends")
        self.assertEqual({self.store.tasks[one].attempt for one in ids}, {1})
        self.assertGreater(len({self.store.tasks[one].owner for one in ids}), 1)
        await self.settled()

    async def test_cancelled_on_another_node(self) -> None:
        """While it runs; and while it waits, after which nobody is given it."""
        web, worker = self.node("web", works=False), self.node("worker")
        await self.up(web, worker)
        running = await self.submit(web)
        await until(lambda: worker.runs(running.task.id))
        waiting = await self.submit(web, 2)
        for one in (running, waiting):
            await web.queue.cancel(one.task.id, one.cancel_key)
        await until(lambda: worker.pipeline.cancelled == [running.task.id], "the break-off")
        await self.settled()
        last = await self.submit(web, 3)
        await until(lambda: worker.runs(last.task.id))
        self.assertNotIn(waiting.task.id, worker.pipeline.runs)

    async def test_what_is_kept_in_memory_goes_everywhere(self) -> None:
        one, other = self.node("one"), self.node("other")
        await self.up(one, other)
        generation = other.kept.generation
        with one.bus.copies.ending() as those:
            those([TaskId("t")])
        await until(lambda: other.kept.generation > generation, "the word of it")
        await until(lambda: other.kept.has_room(1, other.kept.generation))
        self.server.kill()
        await until(lambda: not other.kept.has_room(1, other.kept.generation), "the end of keeping")
        self.server.start()
        await until(lambda: other.kept.has_room(1, other.kept.generation), "keeping again")


class TakeOverTests(ClusterTestCase):
    async def test_of_a_node_that_died(self) -> None:
        first = self.node("first")
        task_id = await self.working(first)
        second = self.node("second")
        await self.up(second)
        await deferLater(reactor, 3 * QUICK.idle)  # not synchronisation: as long as it renews, nobody comes
        self.assertFalse(second.runs(task_id))
        first.die()
        await until(lambda: second.runs(task_id), "the take-over")
        self.assertEqual((self.store.tasks[task_id].owner, self.store.tasks[task_id].attempt), ("second", 2))
        await self.finished(second, task_id)

    async def test_who_was_cut_off_learns_it_and_stops(self) -> None:
        """It comes back, finds the task taken over and breaks off; its result would have been refused."""
        first, second = self.node("first"), self.node("second")
        await self.up(first, second)
        task_id = (await self.submit(first)).task.id
        await until(lambda: first.runs(task_id) or second.runs(task_id))
        owner, other = (first, second) if first.runs(task_id) else (second, first)
        for link in owner.bus._links:  # a network that is split
            link._server = evolve(link._server, port=1)
            link._protocol.transport.abortConnection()
        await until(lambda: other.runs(task_id), "the take-over")
        for link in owner.bus._links:
            link._server = evolve(link._server, port=self.server.port)
        await until(lambda: task_id in owner.pipeline.cancelled, "the break-off")
        self.assertEqual(owner.queue.health()["running"], 0)
        other.finish(task_id)
        await until(lambda: self.state(task_id) is TaskState.FINISHED)
        self.assertEqual(self.store.tasks[task_id].attempt, 2)
        await self.settled()

    async def test_left_by_a_stop_begins_at_once_elsewhere(self) -> None:
        first = self.node("first", times=PATIENT)
        task_id = await self.working(first)
        second = self.node("second", times=PATIENT)
        await self.up(second)
        await first.stop()
        await until(lambda: second.runs(task_id), "the next")
        await self.finished(second, task_id)

    async def test_what_a_dead_node_finished_is_not_begun_again(self) -> None:
        """It was killed between the end in the database and its word to Redis."""
        first = self.node("first")
        task_id = await self.working(first)
        first.bus.settle = lambda _task: None  # type: ignore[method-assign]
        first.finish(task_id)
        await until(lambda: self.state(task_id) is TaskState.FINISHED)
        first.die()
        second = self.node("second")
        await self.settled()
        self.assertEqual(second.pipeline.runs, {})


class TroubleTests(ClusterTestCase):
    async def test_redis_is_away(self) -> None:
        """Tasks are taken all the same, and done when it is back, whatever it still knows."""
        node = self.node("node")
        await self.up(node)
        running = (await self.submit(node)).task.id
        await until(lambda: node.runs(running))
        self.server.kill()
        await until(lambda: "tasks wait in the database" in " ".join(node.queue.health()["notes"]))
        self.assertEqual(node.queue.health()["reasons"], [])
        waiting = (await self.submit(node, 2)).task.id
        node.finish(running)
        await until(lambda: self.state(running) is TaskState.FINISHED, "an end without Redis")
        self.assertEqual(self.state(waiting), TaskState.QUEUED)
        self.server.start()
        await until(lambda: node.runs(waiting), "the one that waited")
        await until(lambda: node.queue.health()["notes"] == [])
        node.finish(waiting)
        await until(lambda: self.state(waiting) is TaskState.FINISHED)
        await self.settled()

    async def test_redis_is_emptied(self) -> None:
        """Under a task that runs and goes on, and one that waits."""
        one, other = self.node("one"), self.node("other")
        await self.up(one, other)
        first, second, third = [(await self.submit(one, n)).task.id for n in range(3)]
        await until(lambda: len({*one.pipeline.runs, *other.pipeline.runs}) == 2)
        self.server.ask("FLUSHALL")
        await until(lambda: self.server.ask("HLEN", "stackviz:offered") >= 1, "the queue, made anew")
        await deferLater(reactor, 4 * QUICK.compare)  # not synchronisation: time to take what runs for lost
        self.assertEqual({self.store.tasks[task].attempt for task in (first, second)}, {1})
        for node in (one, other):
            for task_id in list(node.pipeline.runs):
                node.finish(task_id)
        await until(lambda: one.runs(third) or other.runs(third))
        (one if one.runs(third) else other).finish(third)
        await until(lambda: self.state(third) is TaskState.FINISHED)
        self.assertEqual({task.attempt for task in self.store.tasks.values()}, {1})
        await self.settled()

    async def test_the_queue_is_lost_and_cannot_be_made_anew(self) -> None:
        """For as long as Redis refuses; the node goes on as soon as it does not."""
        node = self.node("node")
        await self.up(node)
        self.server.ask("ACL", "SETUSER", "default", "-xgroup")
        self.server.ask("FLUSHALL")
        await until(lambda: "refuses" in " ".join(node.queue.health()["notes"]), "the word of it")
        self.assertEqual(node.queue.health()["reasons"], [])
        self.server.ask("ACL", "SETUSER", "default", "+xgroup")
        task_id = (await self.submit(node)).task.id
        await until(lambda: node.runs(task_id), "the work")
        self.assertEqual(node.queue.health()["notes"], [])

    async def test_a_task_that_is_deleted_while_it_runs_is_let_go(self) -> None:
        node = self.node("node")
        task_id = await self.working(node)
        outcome = an_outcome(self.store.tasks[task_id])
        self.store.failing["finish"] = self.store.failing["fail"] = NotFoundError("there is no such task")
        node.pipeline.runs[task_id].callback(outcome)
        await self.settled()
        await until(
            lambda: self.server.ask("EXISTS", f"stackviz:lease:{task_id}") == 0, "the end of its lease"
        )
        self.assertEqual(node.bus._held, {})
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_the_database_is_away_when_a_task_is_begun(self) -> None:
        """The node keeps what it was given, or takes it again, and begins it when it can."""
        node, other = self.node("node"), self.node("other", works=False)
        await self.up(node, other)
        self.store.failing["begin"] = StoreError("gone")
        task_id = (await self.submit(other)).task.id
        await until(lambda: "gone" in " ".join(node.queue.health()["reasons"]))
        await deferLater(reactor, 2 * QUICK.idle)  # not synchronisation: time to lose the task in
        self.store.failing.clear()
        await until(lambda: node.runs(task_id), "the beginning")
        self.assertEqual(self.store.tasks[task_id].attempt, 1)
        self.flushLoggedErrors(StoreError)

    async def test_all_is_well_again_without_a_task(self) -> None:
        """A balancer that keeps away from nodes that are not ready would never bring the next one."""
        node, other = self.node("node"), self.node("other", works=False)
        await self.up(node, other)
        self.store.failing["begin"] = StoreError("gone")
        submitted = await self.submit(other)
        await until(lambda: "gone" in " ".join(node.queue.health()["reasons"]))
        await other.queue.cancel(submitted.task.id, submitted.cancel_key or "")
        self.store.failing.clear()
        await until(lambda: node.queue.health()["reasons"] == [], "the end of the trouble")
        self.flushLoggedErrors(StoreError)

    async def test_forgotten_tasks_are_found(self) -> None:
        """Queued, or pending of a node that nobody knows: both are in the database alone."""
        from stackviz_deployer.model import Job

        for number in (1, 2):
            job = Job(url=f"http://logs.example/{number}/", name="x")
            await self.store.create(job, cancel_hash="", force=False, queue_limit=9)
        await self.store.begin(TaskId("task-1"), "nobody")
        node = self.node("node", scrapes=2)
        await until(lambda: node.runs(TaskId("task-1")) and node.runs(TaskId("task-2")), "both")
        self.assertEqual(self.store.tasks["task-1"].attempt, 2)

    async def test_a_watcher_learns_the_end_without_redis(self) -> None:
        web, worker, task_id, seen = await self.watched()
        self.server.kill()
        await until(lambda: not web.bus._ear.up)
        worker.finish(task_id)
        await until(lambda: seen and seen[-1].state is TaskState.FINISHED, "the end")

    async def test_without_redis_no_page_goes_back(self) -> None:
        """What was told of progress before is what is told of it until more comes."""
        web, late, worker = self.node("web", works=False), self.node("late", works=False), self.node("worker")
        await self.up(web, late, worker)
        task_id = (await self.submit(web)).task.id
        seen: dict[Node, list[Any]] = {web: [], worker: []}
        for node, told in seen.items():
            node.queue.watch(task_id, told.append)
        await until(lambda: worker.runs(task_id))
        await until(lambda: seen[web] and seen[web][-1].state is TaskState.PENDING)
        progress = Progress(stage="parsing", done=1, total=3)
        worker.pipeline.reports[task_id](progress)
        await until(lambda: seen[web][-1].progress == progress, "the progress")
        seen[late] = []
        late.queue.watch(task_id, seen[late].append)
        self.assertEqual((await late.queue.get(task_id)).progress, progress)
        self.server.kill()
        for node, told in seen.items():
            await until(lambda node=node: not node.bus._ear.up and not node.bus._main.up)
            told.clear()
            await until(lambda told=told: len(told) > 1, "what the database says")
            self.assertEqual({task.progress for task in told}, {progress})
            self.assertEqual((await node.queue.get(task_id)).progress, progress)

    async def test_what_has_ended_is_not_kept_in_memory(self) -> None:
        """Nobody watches on a node that only works."""
        worker = self.node("worker")
        await self.up(worker)
        for number in range(3):
            task_id = TaskId((await self.submit(worker, number)).task.id)
            await until(lambda task_id=task_id: worker.runs(task_id))
            worker.pipeline.reports[task_id](Progress(stage="parsing", done=1, total=3))
            await self.finished(worker, task_id)
        self.assertEqual(worker.bus._events._known, {})

    async def test_strange_entries_are_removed(self) -> None:
        node = self.node("node")
        await self.up(node)
        self.server.ask("XADD", "stackviz:queue", "*", "what", "ever", "and", "more")
        self.server.ask("XADD", "stackviz:queue", "*", "id", "unknown")
        self.server.ask("PUBLISH", "stackviz:events", "no json")
        task_id = (await self.submit(node)).task.id
        await until(lambda: node.runs(task_id))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        node.finish(task_id)
        await until(lambda: self.state(task_id) is TaskState.FINISHED)

    async def test_consumers_of_dead_nodes_are_forgotten(self) -> None:
        first = self.node("first")
        await self.up(first)
        await first.stop()
        from stackviz_deployer.cluster import stream

        self.patch(stream, "FORGOTTEN_MS", 0)
        second = self.node("second")
        await self.up(second)
        names = str(self.server.ask("XINFO", "CONSUMERS", "stackviz:queue", "workers"))
        self.assertNotIn("first", names)
