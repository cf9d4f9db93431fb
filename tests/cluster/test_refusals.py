# SPDX-License-Identifier: Apache-2.0
"""A Redis that is there and does not do what it is asked to."""

import shutil
from typing import Any

from attrs import evolve
from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater

from stackviz_deployer.model import TaskId, TaskState
from tests.cluster.nodes import Relay
from tests.cluster.test_bus import CALM, ClusterTestCase, Node
from tests.cluster.test_link import until

reactor: Any = _reactor


class RefusalTests(ClusterTestCase):
    def notes(self, node: Node) -> str:
        return " ".join(node.queue.health()["notes"])

    def setting(self, name: str, value: str) -> None:
        self.server.ask("CONFIG", "SET", name, value)

    async def goes_through(self, word: str, refuse: Any, allow: Any) -> None:
        """While nothing can be written, nodes say so, take tasks in and work on; then all is made up for."""
        web = self.node("web", works=False, times=CALM)
        one, other = self.node("one", times=CALM), self.node("other", times=CALM)
        await self.up(web, one, other)
        running = TaskId((await self.submit(web)).task.id)
        await until(lambda: one.runs(running) or other.runs(running))
        await refuse()
        for node in (web, one, other):
            await until(lambda node=node: word in self.notes(node), f"{word} of {node.bus._node}")
            self.assertEqual(node.queue.health()["reasons"], [])
        waiting = TaskId((await self.submit(web, 2)).task.id)
        await deferLater(reactor, 4 * CALM.idle)  # not synchronisation: time to take what runs for lost
        self.assertEqual(self.state(waiting), TaskState.QUEUED)
        await allow()
        await until(lambda: one.runs(waiting) or other.runs(waiting), "the one that waited")
        for node in (web, one, other):
            await until(lambda node=node: node.queue.health()["notes"] == [], "the end of it")
        await deferLater(reactor, 2 * CALM.idle)  # not synchronisation: likewise
        for node in (one, other):
            for task_id in [task_id for task_id in node.pipeline.runs if node.runs(task_id)]:
                node.finish(task_id)
        await until(lambda: {task.state for task in self.store.tasks.values()} == {TaskState.FINISHED})
        self.assertEqual({task.attempt for task in self.store.tasks.values()}, {1})
        await self.settled()

    async def test_its_memory_is_full(self) -> None:
        async def refuse() -> None:
            self.setting("maxmemory", "1")

        async def allow() -> None:
            self.setting("maxmemory", "0")

        await self.goes_through("OOM", refuse, allow)

    async def test_its_disk_fails(self) -> None:
        """It stops writing when it cannot save (stop-writes-on-bgsave-error)."""

        async def refuse() -> None:
            self.setting("save", "3600 1")
            shutil.rmtree(self.server.root)
            self.server.ask("BGSAVE")

        async def allow() -> None:
            self.setting("save", "")

        await self.goes_through("MISCONF", refuse, allow)

    async def test_it_forgets_its_scripts(self) -> None:
        node = self.node("node")
        await self.up(node)
        for number in range(3):
            self.server.ask("SCRIPT", "FLUSH")
            task_id = (await self.submit(node, number)).task.id
            await until(lambda task_id=task_id: node.runs(task_id), "the work")
            self.server.ask("SCRIPT", "FLUSH")
            node.finish(task_id)
            await until(lambda task_id=task_id: self.state(task_id) is TaskState.FINISHED)
        await self.settled()

    async def test_it_is_a_replica_now(self) -> None:
        """Its address is another server's, an empty one's; the old one still answers whoever is connected."""
        old, new = self.server, self.redis()
        relay = Relay("127.0.0.1", old.port)
        self.addCleanup(relay.stop)
        self.address = evolve(self.address, port=relay.port)
        web, worker = self.node("web", works=False), self.node("worker", times=CALM)
        await self.up(web, worker)
        running = TaskId((await self.submit(web)).task.id)
        await until(lambda: worker.runs(running))
        old.ask("REPLICAOF", "127.0.0.1", str(new.port))
        await until(lambda: "READONLY" in self.notes(web) and "READONLY" in self.notes(worker), "the word")
        waiting = TaskId((await self.submit(web, 2)).task.id)
        relay.target = new.port
        await until(lambda: not self.notes(web) and not self.notes(worker), "the end of it")
        worker.finish(running)
        await until(lambda: worker.runs(waiting), "the one that waited")
        worker.finish(waiting)
        await until(lambda: {task.state for task in self.store.tasks.values()} == {TaskState.FINISHED})
        self.assertEqual({task.attempt for task in self.store.tasks.values()}, {1})
        self.server = new
        await self.settled()

    async def test_it_hangs_up_on_who_does_not_listen(self) -> None:
        """A node that reads too slowly loses its messages: it learns what it has missed from the database."""
        self.setting("client-output-buffer-limit", "pubsub 64kb 0 0")
        web, worker, task_id, seen = await self.watched()
        ear = web.bus._ear._protocol
        ear.transport.pauseProducing()
        for _ in range(200):
            await worker.bus._main.call("PUBLISH", "stackviz:events", "{}" + " " * 65536)
        await until(lambda: "web:events" not in self.server.ask("CLIENT", "LIST"), "the end of its patience")
        worker.finish(task_id)
        await until(lambda: self.state(task_id) is TaskState.FINISHED)
        ear.transport.resumeProducing()
        await until(lambda: bool(seen) and seen[-1].state is TaskState.FINISHED, "the end")
        self.flushLoggedErrors(KeyError)
