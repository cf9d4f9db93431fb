# SPDX-License-Identifier: Apache-2.0
"""Server-sent events: order, ends, heartbeats, slow and lost clients."""

import json
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from stackviz_deployer.model import Progress, TaskState
from stackviz_deployer.web.places import Places
from stackviz_deployer.web.stream import HEARTBEAT_S
from tests.web.door import Reply, SocketCase, StubCase, split
from tests.web.fakes import UUID, a_task

PATH = f"/api/events/{UUID}"


def events(body: bytes) -> list[dict[str, Any]]:
    found = []
    for block in body.decode().split("\n\n"):
        if block and not block.startswith(":"):
            kind, data = block.split("\n")
            assert kind == "event: status", kind
            found.append(json.loads(data.removeprefix("data: ")))
    return found


def fetching(done: int) -> Any:
    return a_task(TaskState.PENDING, progress=Progress(stage="fetching", done=done, total=9))


class StreamTests(StubCase):
    def seen(self) -> list[str]:
        self.agent.flush()
        return [one["status"] for one in events(b"".join(self.collector.chunks))]

    def test_from_queued_to_finished(self) -> None:
        self.tasks.put(a_task(TaskState.QUEUED))
        d = self.start("GET", PATH)
        self.assertEqual(self.seen(), ["queued"])
        self.tasks.put(fetching(3))
        self.assertEqual(self.seen(), ["queued", "pending"])
        self.assertNoResult(d)
        self.tasks.put(a_task(TaskState.FINISHED, finished_ms=7))
        self.agent.flush()
        reply: Reply = self.successResultOf(d)
        self.assertEqual(reply.header("Content-Type"), "text/event-stream; charset=utf-8")
        self.assertEqual(reply.header("Cache-Control"), "no-store")
        self.assertEqual(reply.header("X-Accel-Buffering"), "no")
        first, second, last = events(reply.body)
        self.assertEqual(second["progress"], {"stage": "fetching", "done": 3, "total": 9})
        self.assertEqual(last["status"], "finished")
        self.assertEqual(first, self.same_as_status(a_task(TaskState.QUEUED)))
        self.assertEqual(self.tasks.watchers, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def same_as_status(self, task: Any) -> Any:
        self.tasks.put(task)
        return self.post("/api/status", {"q": UUID}).json

    def test_ended_task_is_told_at_once(self) -> None:
        for state in (TaskState.FINISHED, TaskState.ERROR, TaskState.CANCELLED, TaskState.EXPIRED):
            self.tasks.put(a_task(state))
            reply = self.ask("GET", PATH, {"Last-Event-ID": "12", "Accept": "text/event-stream"})
            self.assertEqual([one["status"] for one in events(reply.body)], [state.value])

    def test_change_while_the_state_is_fetched(self) -> None:
        self.tasks.put(a_task(TaskState.QUEUED))
        self.tasks.gate = gate = Deferred()
        d = self.start("GET", PATH)
        self.tasks.put(a_task(TaskState.FINISHED))
        gate.callback(None)
        self.agent.flush()
        self.assertEqual([one["status"] for one in events(self.successResultOf(d).body)], ["finished"])

    def test_unknown(self) -> None:
        for path in (PATH, "/api/events/..", "/api/events/%00"):
            reply = self.get(path)
            self.assertEqual((reply.code, reply.json["error"]), (404, "not-found"))
        self.assertEqual(self.tasks.watchers, [])

    def test_heartbeat(self) -> None:
        self.tasks.put(a_task(TaskState.QUEUED))
        self.start("GET", PATH)
        self.clock.advance(HEARTBEAT_S - 1)
        self.assertEqual(self.beats(), 0)
        self.clock.advance(1)
        self.assertEqual(self.beats(), 1)
        self.clock.advance(HEARTBEAT_S)
        self.assertEqual(self.beats(), 2)

    def beats(self) -> int:
        self.agent.flush()
        return b"".join(self.collector.chunks).count(b"\n: ")

    def test_head(self) -> None:
        self.tasks.put(a_task(TaskState.QUEUED))
        reply = self.ask("HEAD", PATH)
        self.assertEqual((reply.code, reply.body), (200, b""))
        self.assertEqual(self.tasks.watchers, [])


class BoundTests(StubCase):
    def test_number_of_streams(self) -> None:
        self.house.api._events.places = Places(2, 2)
        self.tasks.put(a_task(TaskState.QUEUED))
        self.start("GET", PATH)
        d = self.start("GET", PATH)
        reply = self.get(PATH)
        self.assertEqual((reply.code, reply.json["error"]), (503, "too-many-streams"))
        self.assertEqual(reply.header("Retry-After"), "10")
        self.tasks.put(a_task(TaskState.FINISHED))
        self.agent.flush()
        self.successResultOf(d)
        self.assertEqual(self.get(PATH).code, 200)


class WireTests(SocketCase):
    async def test_lost_client(self) -> None:
        tasks = self.house.tasks
        tasks.put(a_task(TaskState.QUEUED))
        client = self.connect()
        client.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % PATH.encode())
        await self.until(lambda: len(tasks.watchers) == 1)
        client.close()
        await self.until(lambda: tasks.watchers == [])
        self.assertEqual(self.house.api._events.places.taken, 0)
        self.assertEqual(tasks.cancelled, [])
        tasks.put(a_task(TaskState.FINISHED))

    async def test_old_client_and_proxy_headers(self) -> None:
        self.house.tasks.put(a_task(TaskState.FINISHED))
        code, headers, body = split(await self.raw(b"GET %s HTTP/1.0\r\n\r\n" % PATH.encode()))
        self.assertEqual(code, 200)
        self.assertNotIn("transfer-encoding", headers)
        self.assertEqual([one["status"] for one in events(body)], ["finished"])

    async def test_slow_client_misses_the_middle_and_never_the_end(self) -> None:
        tasks = self.house.tasks
        tasks.put(a_task(TaskState.QUEUED))
        client = self.connect(receive_bytes=4096)
        client.sendall(b"GET %s HTTP/1.0\r\n\r\n" % PATH.encode())
        await self.until(lambda: len(tasks.watchers) == 1)
        changes = 30_000
        for n in range(changes):
            tasks.put(fetching(n))
        # what is not in the system's buffers is one state, not thirty thousand
        tasks.put(a_task(TaskState.FINISHED))

        def read_all() -> bytes:
            got = b""
            while chunk := client.recv(65536):
                got += chunk
            return got

        _, _, body = split(await deferToThread(read_all))
        seen = events(body)
        self.assertLess(len(seen), changes / 2)
        self.assertEqual(seen[0]["status"], "queued")
        self.assertEqual(seen[-1]["status"], "finished")
        done = [one["progress"]["done"] for one in seen[1:-1]]
        self.assertEqual(done, sorted(set(done)))
        self.assertEqual(tasks.watchers, [])


class StallTests(SocketCase):
    def setUp(self) -> None:
        self.clock = task.Clock()
        self.options = {"reactor": self.clock}
        super().setUp()

    async def test_client_that_stopped_reading_is_dropped(self) -> None:
        tasks = self.house.tasks
        tasks.put(a_task(TaskState.QUEUED))
        client = self.connect(receive_bytes=4096)
        client.sendall(b"GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" % PATH.encode())
        await self.until(lambda: len(tasks.watchers) == 1)
        for n in range(30_000):
            tasks.put(fetching(n))
        self.clock.advance(29)
        self.assertEqual(len(tasks.watchers), 1)
        self.clock.advance(2)
        await self.until(lambda: tasks.watchers == [])
