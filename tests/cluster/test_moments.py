# SPDX-License-Identifier: Apache-2.0
"""Redis is lost, or a task is cancelled, at each moment of a task's way; a real redis-server."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater

from stackviz_deployer.model import TaskId, TaskState
from tests.cluster.test_bus import PATIENT, QUICK, ClusterTestCase, Node
from tests.cluster.test_claims import Paused
from tests.cluster.test_link import until

reactor: Any = _reactor
Loss = Callable[[], Awaitable[None]]


class LossTests(ClusterTestCase):
    """All that Redis knows is lost at one moment: the task ends once, and was begun once."""

    async def flushed(self) -> None:
        self.server.ask("FLUSHALL")

    async def replaced(self) -> None:
        """By one that is empty."""
        self.server.kill()
        self.server.start()

    async def each(self, way: Callable[[Loss], Awaitable[TaskId]]) -> None:
        for loss in (self.flushed, self.replaced):
            task_id = await way(loss)
            task = self.store.tasks[task_id]
            self.assertEqual((task.state, task.attempt), (TaskState.FINISHED, 1), loss)
            await self.settled()
            for node in list(self.nodes):
                await node.stop()
            self.nodes.clear()

    def setUp(self) -> None:
        super().setUp()
        self.nodes: list[Node] = []

    def node(self, name: str, **options: Any) -> Node:
        node = super().node(name, times=PATIENT, **options)
        self.nodes.append(node)
        return node

    async def finished(self, task_id: TaskId, *nodes: Node) -> TaskId:
        await until(lambda: any(node.runs(task_id) for node in nodes), "its start")
        next(node for node in nodes if node.runs(task_id)).finish(task_id)
        await until(lambda: self.state(task_id) is TaskState.FINISHED)
        return task_id

    async def test_while_it_waits(self) -> None:
        async def way(loss: Loss) -> TaskId:
            web = self.node("web", works=False)
            await self.up(web)
            task_id = TaskId((await self.submit(web, len(self.store.tasks))).task.id)
            await until(lambda: self.server.ask("XLEN", "stackviz:queue") == 1)
            await loss()
            return await self.finished(task_id, self.node("worker"))

        await self.each(way)

    async def test_between_lease_and_start(self) -> None:
        async def way(loss: Loss) -> TaskId:
            one, other = self.node("one"), self.node("other", works=False)
            await self.up(one, other)
            paused = Paused(one, "begin")
            task_id = TaskId((await self.submit(other, len(self.store.tasks))).task.id)
            await paused.asked
            await loss()
            await until(lambda: one.bus._main.up)
            await deferLater(reactor, 2 * QUICK.renew)  # not synchronisation: time to renew
            paused.go.callback(None)
            return await self.finished(task_id, one)

        await self.each(way)

    async def test_between_its_end_and_the_word_of_it(self) -> None:
        async def way(loss: Loss) -> TaskId:
            one, other = self.node("one"), self.node("other")
            await self.up(one, other)
            task_id = TaskId((await self.submit(one, len(self.store.tasks))).task.id)
            await until(lambda: one.runs(task_id) or other.runs(task_id))
            owner = one if one.runs(task_id) else other
            settle = owner.bus.settle
            held: list[Any] = []
            owner.bus.settle = held.append  # type: ignore[method-assign]
            owner.finish(task_id)
            await until(lambda: held)
            await loss()
            await until(lambda: owner.bus._main.up)
            await deferLater(reactor, 2 * QUICK.compare)  # not synchronisation: time to do harm
            settle(held[0])
            return task_id

        await self.each(way)

    async def test_while_its_node_stops(self) -> None:
        """Nobody is told that the task is left; it is found all the same, and the start is forgiven."""
        for loss in (self.flushed, self.replaced):
            one, other = self.node("one"), self.node("other", works=False)
            await self.up(one, other)
            task_id = TaskId((await self.submit(one, len(self.store.tasks))).task.id)
            await until(lambda one=one, task_id=task_id: one.runs(task_id))
            await loss()
            await one.stop()
            self.assertEqual(self.state(task_id), TaskState.QUEUED)
            await self.finished(task_id, self.node("next"))
            await self.settled()
            for node in list(self.nodes):
                await node.stop()
            self.nodes.clear()


class CancelTests(ClusterTestCase):
    async def test_while_it_is_taken_over(self) -> None:
        """Whenever that comes, nobody works on the task in the end, and Redis knows nothing of it."""
        seed = random.randrange(1 << 30)
        chance = random.Random(seed)
        web, one, other = self.node("web", works=False), self.node("one"), self.node("other")
        await self.up(web, one, other)
        workers = (one, other)
        taken_over = 0
        for number in range(12):
            asked = await self.submit(web, number)
            task_id = TaskId(asked.task.id)
            await until(lambda task_id=task_id: any(node.runs(task_id) for node in workers), f"seed {seed}")
            entry = self.server.ask("HGET", "stackviz:offered", task_id)
            # as if its node had not renewed it for long: the lease has ended, the entry is old
            self.server.ask("DEL", f"stackviz:lease:{task_id}")
            owner = next(node for node in workers if node.runs(task_id)).bus._node
            stale = ("XCLAIM", "stackviz:queue", "workers", owner, "0", entry, "IDLE", "99999", "JUSTID")
            self.server.ask(*stale)
            await deferLater(reactor, chance.uniform(0, 0.15))  # not synchronisation: a random moment
            cancelled = await web.queue.cancel(task_id, asked.cancel_key)
            self.assertEqual(cancelled.state, TaskState.CANCELLED)
            await until(
                lambda task_id=task_id: not any(node.runs(task_id) for node in workers),
                f"seed {seed}: its end",
            )
            await until(lambda: not any(node.queue.health()["running"] for node in workers), f"seed {seed}")
            taken_over += self.store.tasks[task_id].attempt > 1
        await self.settled()
        await until(lambda: not one.bus._held and not other.bus._held, f"seed {seed}: empty hands")
        self.assertEqual({task.state for task in self.store.tasks.values()}, {TaskState.CANCELLED})
