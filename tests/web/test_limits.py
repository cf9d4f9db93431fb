# SPDX-License-Identifier: Apache-2.0
"""Each limit of a connection on both sides, through real sockets; the clock alone is not real."""

import contextlib  # not "suppress" by name: trial takes that in a module for its own
import json
import socket
from typing import Any

from attrs import evolve
from twisted.internet import task
from twisted.internet.address import IPv4Address
from twisted.internet.threads import deferToThread
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from stackviz_deployer.errors import RateLimitedError
from stackviz_deployer.model import TaskState
from stackviz_deployer.settings import Connections, Rates
from stackviz_deployer.web.channel import IDLE_S, MAX_FIELDS, MAX_HEAD
from stackviz_deployer.web.clients import Clients
from stackviz_deployer.web.coming import CLIENT_COMING
from stackviz_deployer.web.headers import PAGE_POLICY
from stackviz_deployer.web.static import StaticFile
from stackviz_deployer.web.throttle import MAX_CLIENTS
from tests.web.door import SocketCase, StubCase, connections, split
from tests.web.fakes import PAGES, UUID, a_task

HOST = b"Host: localhost\r\n"
CLOSE = HOST + b"Connection: close\r\n"
JSON = b"Content-Type: application/json\r\n"
Q = b'{"q": "1"}'


def post(path: bytes, body: bytes, head: bytes = CLOSE + JSON) -> bytes:
    return b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (path, head, len(body), body)


def read_all(client: socket.socket) -> bytes:
    got = b""
    try:
        while chunk := client.recv(65536):
            got += chunk
    except ConnectionResetError:
        got += b"<reset>"
    return got


class LimitCase(SocketCase):
    """The connections' deadlines are told by ``self.clock``."""

    limits = Connections()

    def setUp(self) -> None:
        self.clock = task.Clock()
        self.options = {"reactor": self.clock, "connections": self.limits, **self.options}
        super().setUp()

    def check_refusal(self, got: bytes, code: int, error: str) -> str:
        status, headers, body = split(got)
        data = json.loads(body)
        self.assertEqual((status, data["error"]), (code, error))
        self.assertEqual(headers["content-type"], "application/json")
        self.assertEqual(headers["content-length"], str(len(body)))
        self.assertEqual(headers["connection"], "close")
        self.assertEqual(headers["cache-control"], "no-store")
        self.assertEqual(headers["content-security-policy"], PAGE_POLICY.decode())
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertEqual(headers["cross-origin-embedder-policy"], "require-corp")
        self.assertEqual(headers["server"], "stackviz-deployer")
        self.assertRegex(headers["x-request-id"], r"\A[0-9a-f]{16}\Z")
        self.assertNotIn("strict-transport-security", headers)
        return str(data["message"])

    def hits(self, limit: str) -> int:
        return int(self.house.meters.counts[f"limit_hits,{limit}"])


class HeadTests(LimitCase):
    def head(self, size: int) -> bytes:
        """A good request whose lines have ``size`` bytes, their ends not counted."""
        lines = [b"GET / HTTP/1.1", b"Host: localhost", b"Connection: close", b"X: "]
        lines[-1] += b"x" * (size - sum(map(len, lines)))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    async def test_bytes(self) -> None:
        self.assertEqual(split(await self.raw(self.head(MAX_HEAD)))[0], 200)
        self.assertEqual(self.hits("request_head"), 0)
        message = self.check_refusal(await self.raw(self.head(MAX_HEAD + 1)), 431, "head-too-large")
        self.assertIn(str(MAX_HEAD), message)
        self.assertEqual(self.hits("request_head"), 1)

    async def test_bytes_in_many_lines(self) -> None:
        field = b"X: " + b"x" * 997 + b"\r\n"
        got = await self.raw(b"GET / HTTP/1.1\r\n" + CLOSE + field * 20 + b"\r\n")
        self.check_refusal(got, 431, "head-too-large")

    async def test_line_without_end(self) -> None:
        got = await self.raw(b"GET / HTTP/1.1\r\nX: " + b"x" * (1 << 20))
        self.check_refusal(got, 431, "head-too-large")

    async def test_address(self) -> None:
        fits = b"GET /go/" + b"x" * (MAX_HEAD - 200) + b" HTTP/1.1\r\n" + CLOSE + b"\r\n"
        self.assertEqual(split(await self.raw(fits))[0], 200)
        got = await self.raw(b"GET /go/" + b"x" * MAX_HEAD + b" HTTP/1.1\r\n" + CLOSE + b"\r\n")
        self.check_refusal(got, 414, "uri-too-long")

    async def test_fields(self) -> None:
        head = b"GET / HTTP/1.1\r\n" + CLOSE
        self.assertEqual(split(await self.raw(head + b"X: 1\r\n" * (MAX_FIELDS - 2) + b"\r\n"))[0], 200)
        got = await self.raw(head + b"X: 1\r\n" * (MAX_FIELDS - 1) + b"\r\n")
        self.assertIn(str(MAX_FIELDS), self.check_refusal(got, 431, "head-too-large"))


class SplittingTests(LimitCase):
    """What two servers in a row could read in two ways is refused, and nothing after it is read."""

    async def test_refused(self) -> None:
        tail = b"0\r\n\r\nGET /health/live HTTP/1.1\r\n" + CLOSE + b"\r\n"
        for name, head in (
            ("length and chunks", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            ("chunks and length", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            ("two lengths", b"Content-Length: 5\r\nContent-Length: 6\r\n"),
            ("the same length twice", b"Content-Length: 5\r\nContent-Length: 5\r\n"),
            ("a list of lengths", b"Content-Length: 5, 5\r\n"),
            ("a signed length", b"Content-Length: +5\r\n"),
            ("a hexadecimal length", b"Content-Length: 0x5\r\n"),
            ("an empty length", b"Content-Length:\r\n"),
            ("a length of many digits", b"Content-Length: " + b"0" * 5000 + b"5\r\n"),
            ("chunks twice", b"Transfer-Encoding: chunked, chunked\r\n"),
            ("chunks in two lines", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            ("identity", b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n"),
            ("gzip", b"Transfer-Encoding: gzip, chunked\r\n"),
            ("x-chunked", b"Transfer-Encoding: xchunked\r\n"),
            ("space before the colon", b"Transfer-Encoding : chunked\r\n"),
            ("folded", b"Transfer-Encoding:\r\n chunked\r\n"),
            ("folded with a tab", b"X: 1\r\n\tTransfer-Encoding: chunked\r\n"),
            ("bare LF in a value", b"X: 1\nTransfer-Encoding: chunked\r\n"),
            ("bare CR in a value", b"X: 1\rTransfer-Encoding: chunked\r\n"),
            ("NUL in a value", b"X: 1\x002\r\n"),
            ("NUL in a name", b"X\x00: 1\r\n"),
            ("no colon", b"X\r\n"),
            ("no name", b": 1\r\n"),
        ):
            got = await self.raw(b"POST /api/list HTTP/1.1\r\n" + HOST + JSON + head + b"\r\n" + tail)
            self.assertEqual(got.count(b"HTTP/1.1 "), 1, name)
            self.check_refusal(got, 400, "invalid-request")
        self.assertEqual(self.house.lookup.asked, [])

    async def test_refused_lines(self) -> None:
        for line in (
            b"GET / HTTP/1.1\n" + HOST.replace(b"\r", b"") + b"\n\r\n\r\n",
            b"GET  / HTTP/1.1\r\n",
            b"GET /a b HTTP/1.1\r\n",
            b"GET / HTTP/2.0\r\n",
            b"GET /\r\n",
            b"G(T / HTTP/1.1\r\n",
            b"GET /\x00 HTTP/1.1\r\n",
            b" GET / HTTP/1.1\r\n",
            b"\r\n\r\nGET / HTTP/1.1\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n",  # somebody speaks TLS
        ):
            got = await self.raw(line + CLOSE + b"\r\n")
            self.check_refusal(got, 400, "invalid-request")
        got = await self.raw(b"POST /api/list HTTP/1.0\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n")
        self.check_refusal(got, 400, "invalid-request")

    async def test_chunks_that_are_refused(self) -> None:
        head = b"POST /api/list HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
        for name, chunks in (
            ("signed", b"+5\r\nhello\r\n"),
            ("prefixed", b"0x5\r\nhello\r\n"),
            ("bare LF", b"5\nhello\n"),
            ("longer than said", b"5\r\nhello!!\r\n"),
            ("an endless extension", b"5;" + b"x" * 2000 + b"\r\nhello\r\n"),
            ("LF in an extension", b"5;a\nb\r\nhello\r\n"),
            ("an empty size", b"\r\nhello\r\n"),
            ("endless trailers", b"0\r\n" + b"X: %s\r\n" % (b"x" * 1000) * 70),
        ):
            got = await self.raw(head + chunks + b"0\r\n\r\nGET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
            self.assertEqual(got.count(b"HTTP/1.1 "), 1, name)
            self.check_refusal(got, 400, "invalid-request")
        for size in (b"ffffffffffffffff", b"f" * 900):
            got = await self.raw(head + size + b"\r\n" + b" " * 70_000)
            self.check_refusal(got, 413, "request-too-large")

    async def test_chunks_that_are_read(self) -> None:
        head = b"POST /api/list HTTP/1.1\r\n" + CLOSE + JSON + b"Transfer-Encoding: Chunked\r\n\r\n"
        for chunks in (
            b"00a;ext=1\r\n" + Q + b"\r\n0\r\n\r\n",
            b"3\r\n" + Q[:3] + b"\r\n7\r\n" + Q[3:] + b"\r\n0\r\nTrailer: 1\r\n\r\n",
        ):
            self.assertEqual(split(await self.raw(head + chunks))[0], 200)

    async def test_body_is_no_request(self) -> None:
        hidden = b"GET /health/live HTTP/1.1\r\n" + CLOSE + b"\r\n"
        got = await self.raw(post(b"/api/list", hidden, HOST + JSON) + post(b"/api/list", Q))
        self.assertEqual(got.count(b"HTTP/1.1 400"), 1)
        self.assertEqual(got.count(b"HTTP/1.1 200"), 1)
        self.assertEqual(self.house.lookup.asked, ["1"])

    async def test_nothing_of_the_request_comes_back(self) -> None:
        evil = b"<script>alert(1)</script>"
        for sent in (
            b"GET /%s HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            b"GET /api/%s HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            b"GET /api/blob/%s HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            b"GET /api/blob/a/blocks/%s HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            b"GET /api/events/%s HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            b"GET /s/%s HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            b"GET /s/%s/ HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            b"GET /s/%s/%s HTTP/1.1\r\n%s\r\n" % (UUID.encode(), evil, CLOSE),
            b"GET /s/%s?%s HTTP/1.1\r\n%s\r\n" % (UUID.encode(), evil, CLOSE),
            b"GET /go/%s HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            b"GET /health/%s HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            b"GET /js/%s HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            b"%s / HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % evil,
            b"GET / %s\r\n\r\n" % evil,
            b"GET / HTTP/1.1\r\n%s\r\n\r\n" % evil,
            b"GET http://localhost/%s HTTP/1.1\r\n%s\r\n" % (evil, CLOSE),
            post(b"/api/status", b'{"q": "%s"}' % evil),
            post(b"/api/%s" % evil, Q),
            post(b"/%s" % evil, Q),
        ):
            got = await self.raw(sent)
            self.assertNotIn(b"<script", got, sent)
            self.assertNotIn(b"alert(1)", got, sent)
            _, headers, _ = split(got)
            self.assertEqual(headers["x-content-type-options"], "nosniff", sent)


class SlowSenderTests(LimitCase):
    limits = evolve(Connections(), slow_seconds=20)

    async def begun(self, sent: bytes) -> socket.socket:
        """A connection on which these bytes have come in."""
        client = self.connect()
        client.sendall(sent)
        await self.until(lambda: bool(connections()))
        await self.until(lambda: self.taken() or not sent)
        return client

    def taken(self) -> bool:
        channel = self.channel()
        return bool(channel._buffer or channel._in_head or channel.requests or channel._idle)

    def channel(self) -> Any:
        (transport,) = connections()
        return transport.protocol

    async def closes_at(self, client: socket.socket, after_s: float) -> bytes:
        self.clock.advance(after_s - 1)
        self.assertFalse(self.channel()._over or self.channel().transport.disconnecting)
        self.clock.advance(2)
        return await deferToThread(read_all, client)

    async def test_nothing(self) -> None:
        self.assertEqual(await self.closes_at(await self.begun(b""), 20), b"")
        self.assertEqual(self.hits("connections.slow_seconds"), 0)

    async def test_head(self) -> None:
        client = await self.begun(b"GET / HTTP/1.1\r\nHost: local")
        for _ in range(4):  # drips do not help
            client.sendall(b"x")
            self.clock.advance(4)
        self.check_refusal(await self.closes_at(client, 4), 408, "too-slow")
        self.assertEqual(self.hits("connections.slow_seconds"), 1)

    async def test_body(self) -> None:
        client = await self.begun(post(b"/api/list", Q)[:-3])
        await self.until(lambda: bool(self.channel().requests))
        self.check_refusal(await self.closes_at(client, 20), 408, "too-slow")
        self.assertEqual(self.house.lookup.asked, [])

    async def test_second_request(self) -> None:
        """It may come late; once it has begun, it has to come on."""
        client = await self.begun(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await self.until(lambda: bool(self.channel()._idle))
        await deferToThread(client.recv, 1 << 16)
        self.clock.advance(IDLE_S - 1)
        client.sendall(b"GET / HT")
        await self.until(lambda: not self.channel()._idle)
        self.check_refusal(await self.closes_at(client, 20), 408, "too-slow")

    async def test_idle(self) -> None:
        client = await self.begun(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await self.until(lambda: bool(self.channel()._idle))
        got = await self.closes_at(client, IDLE_S)
        self.assertEqual(split(got)[2], PAGES["index.html"])

    async def test_upload_that_goes_on(self) -> None:
        size = 200_000
        client = await self.begun(post(b"/api/upload", b"")[:-5] + b"%d\r\n\r\n" % size)
        left = size
        while left:  # 25 kB in each 19 s: above 1 KiB a second, ten times the deadline
            piece = min(left, 25_000)
            client.sendall(b"x" * piece)
            left -= piece
            channel = self.channel()
            if left:
                await self.until(lambda: channel.requests[-1]._received == size - left)  # noqa: B023
                self.clock.advance(19)
        self.assertEqual(split(await deferToThread(read_all, client))[0], 202)

    async def test_upload_that_drips(self) -> None:
        client = await self.begun(post(b"/api/upload", b"")[:-5] + b"200000\r\n\r\n")
        client.sendall(b"x" * 20_000)  # 1,000 bytes a second
        await self.until(lambda: self.channel().requests and self.channel().requests[-1]._received == 20_000)
        self.check_refusal(await self.closes_at(client, 20), 408, "too-slow")
        await self.until(lambda: not self.house.uploads._coming)

    async def test_refused_client_that_stays(self) -> None:
        client = await self.begun(b"nonsense\r\n\r\n")
        await self.until(lambda: self.channel()._over)
        self.clock.advance(6)
        await self.until(lambda: not connections())
        self.check_refusal(
            (await deferToThread(read_all, client)).replace(b"<reset>", b""), 400, "invalid-request"
        )


class SlowReaderTests(LimitCase):
    BIG = 8 << 20

    async def test_large_answer_waits_for_its_reader(self) -> None:
        """One body in memory, however many are sent it: what a connection holds is a slice or two."""
        self.serve_big()
        client = self.connect(receive_bytes=4096)
        client.sendall(b"GET /js/app.js HTTP/1.1\r\n" + CLOSE + b"\r\n")
        await self.until(lambda: bool(connections()) and self.waiting())
        (transport,) = connections()
        self.assertLess(len(transport.dataBuffer) + transport._tempDataLen, 300_000)
        got = await deferToThread(read_all, client)
        self.assertEqual(split(got)[2], b"x" * self.BIG)

    async def test_reader_that_stops(self) -> None:
        self.serve_big()
        for end in (CLOSE, HOST):
            client = self.connect(receive_bytes=4096)
            client.sendall(b"GET /js/app.js HTTP/1.1\r\n" + end + b"\r\n")
            await self.until(lambda: bool(connections()) and self.waiting())
            self.clock.advance(29)
            self.assertTrue(connections())
            self.clock.advance(2)
            await self.until(lambda: not connections())
        self.assertEqual(self.hits("connections.slow_seconds"), 2)

    async def test_last_bytes_that_are_not_taken(self) -> None:
        """All is written, the connection is to close, and the client's window is shut."""
        self.port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.serve_big(60_000)
        client = self.connect(receive_bytes=4096)
        client.sendall(b"GET /js/app.js HTTP/1.1\r\n" + CLOSE + b"\r\n")
        await self.until(lambda: any(one.disconnecting for one in connections()))
        self.clock.advance(29)
        self.assertTrue(connections())
        self.clock.advance(2)
        await self.until(lambda: not connections())
        self.assertEqual(self.hits("connections.slow_seconds"), 1)

    async def test_pipeline_without_a_reader(self) -> None:
        """No more is answered than the buffers take; and all of it, once it is read."""
        asked = 5000
        one = b"GET /js/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.serve_big(40_000)
        client = self.connect(receive_bytes=4096)
        await deferToThread(client.sendall, one * (60_000 // len(one)))
        await self.until(lambda: bool(connections()) and self.waiting())
        (transport,) = connections()
        self.assertLess(len(transport.dataBuffer) + transport._tempDataLen, 300_000)
        self.assertLess(len(transport.protocol._buffer), 100_000)

        def flood() -> bytes:
            client.settimeout(0.2)
            try:
                for _ in range(asked):
                    client.sendall(one * 100)
            except TimeoutError:
                return b"held back"
            return b"all taken"

        self.assertEqual(await deferToThread(flood), b"held back")
        self.assertLess(
            len(transport.protocol._buffer) + sum(map(len, transport.protocol._dataBuffer)), 200_000
        )
        self.clock.advance(31)
        await self.until(lambda: not connections())

    async def test_flood_of_who_reads_a_little(self) -> None:
        """Each time that something of a large answer is taken the rest goes on, and nothing more is heard."""
        one = b"GET /js/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.serve_big()
        client = self.connect(receive_bytes=4096)
        client.sendall(one)
        await self.until(lambda: bool(connections()) and self.waiting())
        (transport,) = connections()

        def read_and_flood() -> None:
            client.settimeout(60)
            left = 400_000
            while left > 0:
                left -= len(client.recv(min(left, 65536)))
            client.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                for _ in range(200):
                    client.sendall(one * 1000)

        for _ in range(5):
            await deferToThread(read_and_flood)
            await self.until(self.waiting)
            held = len(transport.protocol._buffer) + sum(map(len, transport.protocol._dataBuffer))
            self.assertLess(held, 200_000)
        client.close()

    async def test_pipeline_with_a_reader(self) -> None:
        one = b"GET /js/app.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.serve_big(100_000)
        got = await self.raw(one * 50 + b"GET /js/app.js HTTP/1.1\r\n" + CLOSE + b"\r\n")
        self.assertEqual(got.count(b"HTTP/1.1 200 OK"), 51)
        self.assertEqual(got.count(b"x" * 100_000), 51)

    def serve_big(self, size: int = BIG) -> None:
        file = evolve(StaticFile.of(b"x" * size, "text/plain"), zipped=None)
        self.house.site.resource._public._files["js/app.js"] = file

    def waiting(self) -> bool:
        return bool(connections()[0].protocol._stalled)


class ConnectionTests(LimitCase):
    limits = Connections(total=5, client=3, events=20)

    async def test_of_one_client(self) -> None:
        held = [self.connect() for _ in range(3)]
        await self.until(lambda: len(connections()) == 3)
        status, headers, body = split(await self.refused())
        self.assertEqual((status, json.loads(body)["error"]), (503, "too-many-connections"))
        self.assertEqual(headers["retry-after"], "10")
        self.assertIn("your address", json.loads(body)["message"])
        self.assertEqual(self.hits("connections.client"), 1)
        held[0].sendall(b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
        self.assertEqual(split(await deferToThread(read_all, held[0]))[0], 200)
        await self.until(lambda: len(connections()) == 2)
        self.assertEqual(split(await self.raw(b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n"))[0], 200)

    async def test_in_all(self) -> None:
        for source in ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"):
            self.connect_from(source)
        await self.until(lambda: len(connections()) == 5)
        status, _, body = split(await self.refused("127.0.0.3"))
        self.assertEqual(status, 503)
        self.assertIn("this server", json.loads(body)["message"])
        self.assertEqual(self.hits("connections.total"), 1)

    async def test_who_waits_goes_before_who_keeps_a_connection(self) -> None:
        ask = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
        kept = [self.connect_from(f"127.0.0.{n}") for n in (1, 2, 3, 4, 5)]
        await self.until(lambda: len(connections()) == 5)
        for n in (1, 0):  # the others wait for an answer, or have yet to ask
            kept[n].sendall(ask)
            await self.until(lambda: len(self.house.site.idle) == 2 - n)  # noqa: B023
        self.assertEqual((await deferToThread(kept[1].recv, 1 << 16))[:15], b"HTTP/1.1 200 OK")
        kept[0].sendall(ask)  # so it is the one that asked last
        await self.until(lambda: list(self.house.site.idle)[-1].peer == "127.0.0.1")
        new = self.connect_from("127.0.0.6")
        new.sendall(b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
        self.assertEqual(split(await deferToThread(read_all, new))[0], 200)
        self.assertIn(await deferToThread(read_all, kept[1]), (b"<reset>", b""))
        kept[0].sendall(b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
        self.assertEqual((await deferToThread(read_all, kept[0])).count(b"HTTP/1.1 200 OK"), 3)
        self.assertEqual(self.hits("connections.total"), 0)
        await self.until(lambda: len(connections()) == 3)

    async def test_a_full_share_makes_no_room(self) -> None:
        for source in ("127.0.0.2", "127.0.0.2", "127.0.0.1", "127.0.0.1", "127.0.0.1"):
            self.connect_from(source).sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await self.until(lambda: len(self.house.site.idle) == 5)
        self.assertIn("your address", json.loads(split(await self.refused())[2])["message"])
        self.assertEqual(len(self.house.site.idle), 5)

    async def refused(self, source: str = "127.0.0.1") -> bytes:
        return await deferToThread(read_all, self.connect_from(source))

    def connect_from(self, source: str) -> socket.socket:
        s = socket.create_connection(("127.0.0.1", self.number), timeout=60, source_address=(source, 0))
        self.addCleanup(s.close)
        return s


class DripTests(LimitCase):
    """Many that send a head byte by byte keep nobody from being answered, and none stays."""

    MANY = 300

    async def test_ordinary_requests_beside_them(self) -> None:
        held = [socket.socket() for _ in range(self.MANY)]

        def begin() -> None:
            for n, one in enumerate(held):
                self.addCleanup(one.close)
                one.settimeout(60)
                one.bind((f"127.0.0.{2 + n % 8}", 0))
                one.connect(("127.0.0.1", self.number))
                one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")

        await deferToThread(begin)
        await self.until(lambda: len(connections()) == self.MANY)
        for second in range(29):
            for one in held:
                one.sendall(b"x")
            self.clock.advance(1)
            got = await self.raw(b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
            self.assertEqual(split(got)[0], 200, second)
        self.assertEqual(self.house.site.places.taken, self.MANY)
        self.clock.advance(2)
        for one in held:
            self.check_refusal(await deferToThread(read_all, one), 408, "too-slow")
            one.close()
        self.assertEqual(self.hits("connections.slow_seconds"), self.MANY)
        await self.until(lambda: not connections())
        self.assertEqual((self.house.site.places.taken, self.house.site.places._held), (0, {}))


class ProxyTests(LimitCase):
    """A proxy's connections are those of many; its clients are told apart by what it says."""

    limits = Connections(client=2, events=20)
    options = {"clients": Clients(["127.0.0.1/32", "10.0.0.0/8"]), "rates": Rates(list=2)}  # noqa: RUF012

    async def test_connections(self) -> None:
        for _ in range(4):
            self.connect()
        await self.until(lambda: len(connections()) == 4)

    async def test_rates(self) -> None:
        async def ask(*forwarded: bytes) -> int:
            lines = b"".join(b"X-Forwarded-For: %s\r\n" % one for one in forwarded)
            return split(await self.raw(post(b"/api/list", Q, CLOSE + JSON + lines)))[0]

        self.assertEqual([await ask(b"192.0.2.1") for _ in range(3)], [200, 200, 429])
        # what stands left of the last stranger was written by that stranger
        self.assertEqual(await ask(b"198.51.100.7, 192.0.2.1"), 429)
        self.assertEqual(await ask(b"198.51.100.7", b"192.0.2.1, 10.1.1.1"), 429)
        self.assertEqual(await ask(b"192.0.2.1:4711"), 429)
        self.assertEqual([await ask(b"192.0.2.2") for _ in range(3)], [200, 200, 429])
        # an IPv6 client has a whole /64
        self.assertEqual([await ask(b"[2001:db8::%x]:1" % n) for n in range(3)], [200, 200, 429])
        self.assertEqual(await ask(b"2001:db8:0:1::1"), 200)
        # nonsense is the proxy's own
        self.assertEqual([await ask(b"unknown") for _ in range(2)], [200, 200])
        self.assertEqual(await ask(), 429)


class RateTests(LimitCase):
    options = {"rates": Rates(list=3, scrape=2, upload=2)}  # noqa: RUF012

    async def test_each_call_by_itself(self) -> None:
        for path, body, head, rate, good in (
            (b"/api/list", Q, JSON, 3, 200),
            (b"/api/scrape", b'{"url": "http://logs.openstack.org/x/"}', JSON, 2, 202),
            (b"/api/upload", b"x", b"", 2, 202),
        ):
            sent = post(path, body, CLOSE + head)
            for _ in range(rate):
                self.assertEqual(split(await self.raw(sent))[0], good)
            status, headers, answer = split(await self.raw(sent))
            self.assertEqual((status, json.loads(answer)["error"]), (429, "rate-limited"), path)
            self.assertEqual(headers["retry-after"], str(60 // rate))
            self.assertEqual(self.hits(f"rates.{path.decode()[5:]}"), 1)
            self.assertIn(f"{rate} a minute", json.loads(answer)["message"])

    async def test_it_comes_back(self) -> None:
        sent = post(b"/list", Q)  # the unprefixed form is the same call
        for _ in range(3):
            self.assertEqual(split(await self.raw(sent))[0], 200)
        self.clock.advance(19)
        self.assertEqual(split(await self.raw(sent))[0], 429)
        self.clock.advance(1.01)
        self.assertEqual(split(await self.raw(sent))[0], 200)
        self.assertEqual(split(await self.raw(sent))[0], 429)
        self.clock.advance(600)
        for _ in range(3):
            self.assertEqual(split(await self.raw(sent))[0], 200)
        self.assertEqual(split(await self.raw(sent))[0], 429)

    async def test_nobody_is_believed(self) -> None:
        for n, wanted in enumerate((200, 200, 200, 429)):
            lines = b"X-Forwarded-For: 192.0.2.%d\r\n" % n
            self.assertEqual(split(await self.raw(post(b"/api/list", Q, CLOSE + JSON + lines)))[0], wanted)

    async def test_cheap_calls_are_free(self) -> None:
        self.house.tasks.put(a_task())
        for _ in range(20):
            sent = post(b"/api/status", b'{"q": "%s"}' % UUID.encode())
            self.assertEqual(split(await self.raw(sent))[0], 200)


class ManyClientsTests(StubCase):
    """What is remembered of clients is bounded; who is forgotten has a full bucket again, nobody less."""

    options = {"rates": Rates(list=1), "clients": Clients(["0.0.0.0/0"])}  # noqa: RUF012

    def test_table(self) -> None:
        throttle = self.house.api._throttle
        request = Request(DummyChannel(), False)
        request.getClientAddress = lambda: IPv4Address("TCP", "127.0.0.1", 1)

        def ask(n: int) -> None:
            request.requestHeaders.setRawHeaders("X-Forwarded-For", [f"2001:db8:{n:x}::1"])
            throttle.take("list", request)

        for n in range(MAX_CLIENTS + 1):
            ask(n)
        self.assertEqual(len(throttle._full_at["list"]), MAX_CLIENTS)
        self.assertRaises(RateLimitedError, ask, 1)
        ask(0)
        self.assertEqual(len(throttle._full_at["list"]), MAX_CLIENTS)


class ShareTests(LimitCase):
    limits = Connections(events=20)

    async def test_event_streams(self) -> None:
        self.house.tasks.put(a_task(TaskState.QUEUED))
        sent = b"GET /api/events/%s HTTP/1.1\r\n%s\r\n" % (UUID.encode(), CLOSE)
        for _ in range(2):  # a tenth of all
            self.connect().sendall(sent)
        await self.until(lambda: len(self.house.tasks.watchers) == 2)
        status, headers, body = split(await self.raw(sent))
        self.assertEqual((status, json.loads(body)["error"]), (503, "too-many-streams"))
        self.assertEqual(headers["retry-after"], "10")
        self.assertIn("your address", json.loads(body)["message"])
        self.assertEqual(self.hits("connections.events"), 1)
        self.house.tasks.put(a_task(TaskState.FINISHED))
        await self.until(lambda: not self.house.tasks.watchers)
        self.assertEqual(split(await self.raw(sent))[0], 200)

    async def test_uploads(self) -> None:
        begun = post(b"/api/upload", b"")[:-5] + b"100\r\n\r\n"
        held = [self.connect() for _ in range(CLIENT_COMING)]
        for client in held:
            client.sendall(begun)
        await self.until(lambda: len(self.house.uploads._coming) == CLIENT_COMING)
        status, headers, body = split(await self.raw(post(b"/api/upload", b"x")))
        self.assertEqual((status, json.loads(body)["error"]), (503, "too-many-uploads"))
        self.assertEqual(headers["retry-after"], "30")
        held.pop().close()
        await self.until(lambda: len(self.house.uploads._coming) == CLIENT_COMING - 1)
        self.assertEqual(split(await self.raw(post(b"/api/upload", b"x")))[0], 202)
        for client in held:
            client.sendall(b"x" * 100)
            self.assertEqual(split(await deferToThread(read_all, client))[0], 202)
        self.assertEqual(len(self.house.reception.coming), 0)
