# SPDX-License-Identifier: Apache-2.0
"""What becomes of claims when something comes late, twice, or not at all; over a real redis-server."""

from collections import Counter
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from stackviz_deployer.cluster.link import AwayError
from stackviz_deployer.cluster.scripts import SETTLE
from stackviz_deployer.cluster.stream import MOST_ID
from stackviz_deployer.errors import UnreachableError
from stackviz_deployer.model import Job, TaskId, TaskState
from tests.cluster.test_bus import CALM, QUICK, ClusterTestCase, Node
from tests.cluster.test_link import until
from tests.jobs.test_queue import an_outcome

reactor: Any = _reactor
QUEUE, OFFERED = "stackviz:queue", "stackviz:offered"


class Paused:
    """A node's store: what it asks with ``method`` reaches the real one when ``go`` is fired."""

    def __init__(self, node: Node, method: str) -> None:
        self.asked: Deferred[None] = Deferred()
        self.go: Deferred[None] = Deferred()
        store = node.case.store

        async def ask(*args: Any, **kw: Any) -> Any:
            if not self.asked.called:
                self.asked.callback(None)
            await self.go
            return await getattr(store, method)(*args, **kw)

        self._method, self._ask, self._store = method, ask, store
        node.bus._store = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return self._ask if name == self._method else getattr(self._store, name)


class NoWay:
    """A node's store that it cannot reach."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        async def ask(*_args: Any, **_kw: Any) -> Any:
            self.asked[name] += 1
            raise UnreachableError("no way")

        return ask


class EntryTests(ClusterTestCase):
    async def test_an_entry_that_is_there_twice(self) -> None:
        """As after Redis has evicted the hash of what is in the queue: each task is begun once."""
        web = self.node("web", works=False)
        await self.up(web)
        ids = [(await self.submit(web, number)).task.id for number in range(3)]
        await until(lambda: self.server.ask("XLEN", QUEUE) == 3)
        for task_id in ids:
            self.server.ask("XADD", QUEUE, "*", "id", task_id)
        self.server.ask("DEL", OFFERED)
        workers = [self.node(name) for name in ("one", "other")]
        for _ in ids:
            await until(lambda: [1 for one in workers for task_id in ids if one.runs(task_id)], "a start")
            one, task_id = next((one, task_id) for one in workers for task_id in ids if one.runs(task_id))
            one.finish(task_id)
        await until(lambda: all(self.state(task_id) is TaskState.FINISHED for task_id in ids))
        await self.settled()
        self.assertEqual({task.attempt for task in self.store.tasks.values()}, {1})

    async def test_entries_that_are_none_of_ours(self) -> None:
        node = self.node("node")
        await self.up(node)
        for entry in (
            ("what", "ever", "and", "more"),
            ("id", "unknown"),
            ("id", "unknown"),
            ("id", ""),
            ("id", "x" * MOST_ID),
            ("id", "x" * (MOST_ID + 1)),
            ("id", "x" * 100_000),
        ):
            self.server.ask("XADD", QUEUE, "*", *entry)
        await node.bus._main.call("XADD", QUEUE, "*", "id", b"\xff\xfe")
        task_id = (await self.submit(node)).task.id
        await until(lambda: node.runs(task_id), "the work")
        node.finish(task_id)
        await self.settled()
        self.assertEqual(set(self.store.wanted), {"unknown", "", "x" * MOST_ID, task_id})

    async def test_the_hash_points_at_nothing(self) -> None:
        """Somebody trimmed the stream, or wrote into the hash: the tasks are in the database."""
        web = self.node("web", works=False)
        await self.up(web)
        ids = [(await self.submit(web, number)).task.id for number in range(3)]
        await until(lambda: self.server.ask("XLEN", QUEUE) == 3)
        self.server.ask("XTRIM", QUEUE, "MAXLEN", "1")
        self.server.ask("HSET", OFFERED, ids[1], "no entry's id")
        node = self.node("node")
        for _ in ids:
            await until(lambda: any(map(node.runs, ids)), "a start")
            node.finish(next(filter(node.runs, ids)))
        await until(lambda: all(self.state(task_id) is TaskState.FINISHED for task_id in ids))
        await self.settled()
        self.assertEqual({task.attempt for task in self.store.tasks.values()}, {1})


class LeaseTests(ClusterTestCase):
    def node(self, name: str, **options: Any) -> Node:
        return super().node(name, times=CALM, **options)

    async def test_taken_by_a_node_that_dies_before_it_begins(self) -> None:
        """Whoever works on the task goes on, has it again when it can, and works on it once."""
        node = self.node("node", scrapes=2)
        task_id = await self.working(node)
        lease, entry = f"stackviz:lease:{task_id}", self.server.ask("HGET", OFFERED, task_id)
        self.server.ask("SET", lease, "ghost", "PX", str(int(CALM.idle * 1500)))
        self.server.ask("XCLAIM", QUEUE, "workers", "ghost", "0", entry, "JUSTID")
        work = node.pipeline.runs[task_id]
        await until(lambda: self.server.ask("GET", lease) == "node", "the claim")
        other = self.node("other")
        await self.up(other)
        await deferLater(reactor, 3 * CALM.idle)  # not synchronisation: time to take it for lost
        self.assertIs(node.pipeline.runs[task_id], work)
        self.assertFalse(work.called)
        self.assertEqual(node.queue.health()["running"], 1)
        self.assertEqual((self.store.tasks[task_id].owner, self.store.tasks[task_id].attempt), ("node", 1))
        await self.finished(node, task_id)

    async def test_begun_too_late(self) -> None:
        """A node is stopped between lease and start for so long that another has begun: that one keeps it."""
        late = self.node("late")
        await self.up(late)
        paused = Paused(late, "begin")
        task_id = TaskId((await self.submit(late)).task.id)
        await paused.asked
        late.bus._stream.renew = unheard  # type: ignore[method-assign, assignment]
        other = self.node("other")
        await until(lambda: other.runs(task_id), "the take-over")
        paused.go.callback(None)
        await deferLater(reactor, 3 * QUICK.renew)  # not synchronisation: time to do harm
        self.assertFalse(late.runs(task_id))
        self.assertEqual((self.store.tasks[task_id].owner, self.store.tasks[task_id].attempt), ("other", 1))
        await self.finished(other, task_id)

    async def test_begun_late_but_renewed(self) -> None:
        """The database was away for longer than a lease: who has the task begins it."""
        node, other = self.node("node"), self.node("other", works=False)
        await self.up(node, other)
        paused = Paused(node, "begin")
        task_id = TaskId((await self.submit(other)).task.id)
        await paused.asked
        third = self.node("third")
        await deferLater(reactor, 2 * CALM.idle)  # not synchronisation: longer than a lease
        self.assertFalse(third.runs(task_id))
        paused.go.callback(None)
        await until(lambda: node.runs(task_id), "the start")
        self.assertEqual(self.store.tasks[task_id].attempt, 1)

    async def test_given_to_a_node_that_finds_no_way_to_the_database(self) -> None:
        """Redis has it live, so nobody takes the task from it: it gives it up, and takes no other."""
        lost = self.node("lost")
        await self.up(lost)
        lost.bus._store = store = NoWay()  # type: ignore[assignment]
        task_id = TaskId((await self.submit(lost)).task.id)
        await until(lambda: "no way" in " ".join(lost.queue.health()["reasons"]))
        await until(lambda: store.asked["begin"] and not lost.bus.interests(), "the task given back")
        begins, others = store.asked["begin"], store.asked["queued"]
        await until(lambda: store.asked["queued"] >= others + 12, "further tries")
        self.assertEqual((store.asked["begin"], list(lost.bus.interests())), (begins, []))
        worker = self.node("worker")
        await until(lambda: worker.runs(task_id), "a start elsewhere")
        await self.finished(worker, task_id)
        self.assertEqual(self.store.tasks[task_id].attempt, 1)
        await worker.stop()
        lost.bus._store = self.store
        again = TaskId((await self.submit(lost, 2)).task.id)
        await until(lambda: lost.runs(again), "a start where the way is back")
        self.flushLoggedErrors(UnreachableError)


class StopTests(ClusterTestCase):
    async def test_while_a_task_is_begun(self) -> None:
        """The start is forgiven, and another node has the task at once."""
        node = self.node("node")
        await self.up(node)
        paused = Paused(node, "begin")
        task_id = TaskId((await self.submit(node)).task.id)
        await paused.asked
        other = self.node("other", scrapes=2)
        await self.up(other)
        await deferLater(reactor, 3 * QUICK.renew)  # not synchronisation: it may look for others' by now
        released: list[Any] = []
        release = self.store.release

        async def noted(begun: Any) -> None:
            released.append(begun)
            await release(begun)

        self.store.release = noted
        stopped = Deferred.fromCoroutine(node.stop())
        paused.go.callback(None)
        await stopped
        await until(lambda: other.runs(task_id), "the next")
        self.assertEqual([(one.id, one.attempt, one.owner) for one in released], [(task_id, 1, "node")])
        await self.finished(other, task_id)


class EndTests(ClusterTestCase):
    async def test_begun_too_often(self) -> None:
        """Whoever ends a task by not beginning it once more does what follows an end."""
        web = self.node("web", works=False)
        await self.up(web)
        job = Job(url="upload:u1/", name="x")
        task, _ = await self.store.create(job, cancel_hash="", force=False, queue_limit=9)
        seen: list[Any] = []
        web.queue.watch(task.id, seen.append)

        async def give_up(one: TaskId, _owner: str, **_late: Any) -> Any:
            return self.store._end(one, TaskState.ERROR, error="worker-died")

        self.store.begin = give_up
        worker = self.node("worker")
        ends: list[Any] = []
        worker.queue._epilogue.follow = ends.append
        await until(lambda: seen and seen[-1].state is TaskState.ERROR, "the end")
        self.assertEqual([one.id for one in ends], [task.id])
        self.assertEqual(worker.pipeline.runs, {})
        await self.settled()

    async def test_whoever_cancelled_it_died_before_it_told(self) -> None:
        """Who works on the task is refused, and tells those who watch why; on all nodes."""
        _web, worker, task_id, seen = await self.watched()
        await self.store.cancel(task_id)
        outcome = an_outcome(self.store.tasks[task_id])
        worker.pipeline.runs[task_id].callback(outcome)
        await until(lambda: bool(seen) and seen[-1].state is TaskState.CANCELLED, "the word of it")
        await self.settled()

    async def test_the_word_of_its_end_is_lost(self) -> None:
        """The connection breaks just then: Redis still has the task, and whoever is given it tells."""
        _web, worker, task_id, seen = await self.watched()
        link, asked = worker.bus._main, []
        call = link.call

        async def breaks(*command: Any, **kw: Any) -> Any:
            if command[0] == "PUBLISH" or SETTLE.sha in command:
                asked.append(command[0])
            if len(asked) > 1:
                raise AwayError("the connection was lost")
            return await call(*command, **kw)

        link.call = breaks  # type: ignore[method-assign]
        worker.finish(task_id)
        await until(lambda: self.state(task_id) is TaskState.FINISHED)
        await until(lambda: len(asked) > 1)
        del link.call
        await until(lambda: bool(seen) and seen[-1].state is TaskState.FINISHED, "the word of it")
        await self.settled()


async def unheard(_link: object, _ids: object) -> Any:
    """Claims that cannot be renewed."""
    raise AwayError("no answer")
