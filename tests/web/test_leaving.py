# SPDX-License-Identifier: Apache-2.0
"""A daemon that stops lets go of its connections without cutting off an answer; through real sockets."""

import socket
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from stackviz_deployer.model import TaskState
from stackviz_deployer.web.leaving import BUSY_S, LAST_S, leave
from tests.web.door import SocketCase, split
from tests.web.fakes import PAGES, UUID, a_task
from tests.web.test_limits import HOST, JSON, Q, post, read_all

HOME = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


class LeavingTests(SocketCase):
    def setUp(self) -> None:
        self.clock = task.Clock()
        self.options = {"reactor": self.clock, **self.options}
        super().setUp()
        self.site = self.house.site

    def leaves(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(leave(self.site))

    async def client(self, sent: bytes, channels: int = 1) -> socket.socket:
        client = self.connect()
        client.sendall(sent)
        await self.until(lambda: len(self.site.channels) == channels)
        return client

    async def used(self, channels: int = 1) -> socket.socket:
        """A connection on which one request was answered."""
        client = await self.client(HOME, channels)
        await self.until(lambda: len(self.site.idle) == channels)
        await deferToThread(client.recv, 1 << 16)
        return client

    def check_last(self, got: bytes, code: int = 200) -> bytes:
        """An answer that says that it is the last."""
        status, headers, body = split(got)
        self.assertEqual((status, headers["connection"]), (code, "close"))
        return body

    async def ended(self, stopped: "Deferred[None]", within_s: float) -> None:
        before_s = self.clock.seconds()
        await stopped
        self.assertLessEqual(self.clock.seconds() - before_s, within_s)
        self.assertEqual((self.site.channels, dict(self.site.idle), self.site.places.taken), (set(), {}, 0))

    async def test_nobody_is_there(self) -> None:
        await self.ended(self.leaves(), 0)

    async def test_what_was_on_its_way_is_answered(self) -> None:
        """Twice of the same: by the short way at first, which cannot say that it is the last."""
        clients = [await self.used(n) for n in (1, 2)]
        stopped = self.leaves()
        for client in clients:
            client.sendall(HOME)
            self.assertEqual(self.check_last(await deferToThread(read_all, client)), PAGES["index.html"])
        await self.ended(stopped, 0)

    async def test_who_asks_for_nothing_is_closed(self) -> None:
        clients = [await self.used(), await self.client(b"", 2)]
        stopped = self.leaves()
        self.clock.advance(LAST_S)
        for client in clients:
            self.assertEqual(await deferToThread(read_all, client), b"")
        await self.ended(stopped, 0)

    async def test_an_answer_that_takes_its_time(self) -> None:
        answer, self.house.lookup.answer = self.house.lookup.answer, Deferred()
        client = await self.client(post(b"/api/list", Q, HOST + JSON))
        await self.until(lambda: bool(self.house.lookup.asked))
        stopped = self.leaves()
        self.clock.advance(LAST_S)
        self.clock.advance((BUSY_S - LAST_S) / 2)
        self.house.lookup.answer.callback(answer)
        self.check_last(await deferToThread(read_all, client))
        await self.ended(stopped, 0)

    async def test_an_answer_that_takes_too_long(self) -> None:
        self.house.lookup.answer = Deferred()
        client = await self.client(post(b"/api/list", Q, HOST + JSON))
        await self.until(lambda: bool(self.house.lookup.asked))
        stopped = self.leaves()
        self.clock.advance(LAST_S)
        self.clock.advance(BUSY_S - LAST_S)
        await stopped
        self.assertIn(await deferToThread(read_all, client), (b"", b"<reset>"))
        await self.until(lambda: not self.site.channels)

    async def test_streams_end_whole_and_at_once(self) -> None:
        """Their readers ask the next node by themselves."""
        tasks: Any = self.house.tasks
        tasks.put(a_task(TaskState.QUEUED))
        client = await self.client(b"GET /api/events/%s HTTP/1.1\r\n%s\r\n" % (UUID.encode(), HOST))
        await self.until(lambda: len(tasks.watchers) == 1)
        stopped = self.leaves()
        got = await deferToThread(read_all, client)
        self.assertEqual(got.count(b"event: status"), 1)
        self.assertTrue(got.endswith(b"0\r\n\r\n"), got)
        self.assertEqual(tasks.watchers, [])
        await self.ended(stopped, 0)

    async def test_a_stream_that_was_on_its_way(self) -> None:
        tasks: Any = self.house.tasks
        tasks.put(a_task(TaskState.QUEUED))
        client = await self.used()
        stopped = self.leaves()
        client.sendall(b"GET /api/events/%s HTTP/1.1\r\n%s\r\n" % (UUID.encode(), HOST))
        await self.until(lambda: len(tasks.watchers) == 1)
        self.clock.advance(LAST_S)
        got = await deferToThread(read_all, client)
        self.assertTrue(got.endswith(b"0\r\n\r\n"), got)
        await self.ended(stopped, 0)
