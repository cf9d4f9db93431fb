# SPDX-License-Identifier: Apache-2.0
"""The limits of requests and of what is asked of other servers, through real sockets."""

import json
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from stackviz_deployer.errors import (
    InvalidRequestError,
    TooManyAttemptsError,
    UpstreamInvalidError,
    UpstreamStatusError,
)
from stackviz_deployer.net import agent, body, fetch
from stackviz_deployer.settings import Rates
from stackviz_deployer.web import admin, api, channel, clients, plain, upload
from stackviz_deployer.web.body import MAX_TEXT
from tests.net.test_fetch import HOST, FetchTestCase
from tests.net.wire import Wire
from tests.web.door import Client, split
from tests.web.test_limits import CLOSE, JSON, LimitCase, post, read_all

GET = b"GET %s HTTP/1.1\r\n" + CLOSE + b"\r\n"


class RequestTests(LimitCase):
    async def ask(self, sent: bytes) -> tuple[int, str]:
        """Status and error code."""
        status, headers, answer = split(await self.raw(sent))
        if headers.get("content-type") != "application/json":
            return status, ""
        return status, json.loads(answer).get("error", "")

    async def test_text(self) -> None:
        for more, answer in ((0, (200, "")), (1, (400, "invalid-request"))):
            query = json.dumps({"q": "x" * (MAX_TEXT + more)}).encode()
            self.assertEqual(await self.ask(post(b"/api/list", query)), answer)

    async def test_blocks_of_a_request(self) -> None:
        """The first is allowed, and there is no such artifact."""
        most = api.MAX_SPAN
        self.assertEqual(await self.ask(GET % b"/api/blob/a/blocks/1-%d" % most), (404, "not-found"))
        self.assertEqual(await self.ask(GET % b"/api/blob/a/blocks/0-%d" % most), (400, "invalid-request"))

    async def test_digits_of_a_length(self) -> None:
        head = b"POST /api/list HTTP/1.1\r\n" + CLOSE + JSON + b"Content-Length: %s\r\n\r\n"
        query = b'{"q": "1"}'
        length = b"%d" % len(query)
        fits = length.rjust(channel.MAX_LENGTH_DIGITS, b"0")
        self.assertEqual(await self.ask(head % fits + query), (200, ""))
        self.assertEqual(await self.ask(head % (b"0" + fits) + query), (400, "invalid-request"))

    async def test_name_of_an_upload(self) -> None:
        for more, answer in ((0, (202, "")), (1, (400, "invalid-request"))):
            name = b"n" * (upload.MAX_NAME + more)
            self.assertEqual(await self.ask(post(b"/api/upload?name=" + name, b"x", CLOSE)), answer)

    async def test_boundary_of_a_form(self) -> None:
        for more, answer in ((0, (202, "")), (1, (400, "invalid-request"))):
            boundary = b"b" * (upload.MAX_BOUNDARY + more)
            head = CLOSE + b"Content-Type: multipart/form-data; boundary=%s\r\n" % boundary
            self.assertEqual(await self.ask(post(b"/api/upload", b"--%s--\r\n" % boundary, head)), answer)

    async def test_what_a_refused_client_goes_on_sending(self) -> None:
        """Up to there it gets to read why; who sends on is cut off."""
        head = b"POST /api/list HTTP/1.1\r\nHost: localhost\r\n" + JSON + b"Content-Length: 99999999\r\n\r\n"

        def talk(client: Any, size: int) -> bytes:
            client.sendall(head)
            client.sendall(bytes(size))
            return read_all(client)

        got = await deferToThread(talk, self.connect(), channel.MAX_DRAINED - (1 << 20))
        self.assertEqual(split(got)[0], 413)
        with self.assertRaises((BrokenPipeError, ConnectionResetError)):
            await deferToThread(talk, self.connect(), 50 * channel.MAX_DRAINED)  # sockets hold some, too


class PlainTests(LimitCase):
    async def test_head(self) -> None:
        """A longer one is answered as well, but not from memory."""
        for more, hits in ((0, 1), (1, 0)):
            client = Client(self.connect())
            sent = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: \r\n\r\n"
            sent = sent.replace(b"Agent: ", b"Agent: " + b"x" * (plain.MAX_PLAIN + more - len(sent)))
            self.assertEqual(len(sent), plain.MAX_PLAIN + more)
            self.assertEqual(plain.read(sent) is not None, bool(hits))
            self.assertEqual((await deferToThread(client.ask, sent))[0], 200)
            client.socket.close()


class HopTests(LimitCase):
    options = {"clients": clients.Clients(["127.0.0.0/8", "10.0.0.0/8"]), "rates": Rates(list=1)}  # noqa: RUF012

    async def status(self, stranger: str, hops: int) -> int:
        entries = ", ".join([stranger, *["10.0.0.1"] * hops])
        lines = CLOSE + JSON + f"X-Forwarded-For: {entries}\r\n".encode()
        return split(await self.raw(post(b"/api/list", b'{"q": "1"}', lines)))[0]

    async def test_hops(self) -> None:
        """Behind so many proxies of ours the client is seen; behind one more the last of them is it."""
        most = clients.MAX_HOPS - 1
        self.assertEqual([await self.status(f"192.0.2.{n}", most) for n in (1, 2)], [200, 200])
        self.assertEqual([await self.status(f"192.0.2.{n}", most + 1) for n in (3, 4)], [200, 429])


class AttemptTests(LimitCase):
    def test_clients(self) -> None:
        attempts = admin.Attempts(self.clock)
        for wrong in range(admin.ATTEMPTS):
            self.assertIsNone(attempts.refuse("first"), wrong)
            attempts.wrong("first")
        self.assertRaises(TooManyAttemptsError, attempts.refuse, "first")
        for n in range(admin.MAX_CLIENTS - 1):
            attempts.wrong(str(n))
        self.assertRaises(TooManyAttemptsError, attempts.refuse, "first")
        attempts.wrong("one more")
        attempts.refuse("first")  # forgotten

    def test_page(self) -> None:
        def most(text: bytes) -> int:
            request = Request(DummyChannel(), False)
            request.args = {b"most": [text]}
            return admin._most(request)

        self.assertEqual(most(b"%d" % admin.MOST), admin.MOST)
        self.assertRaises(InvalidRequestError, most, b"%d" % (admin.MOST + 1))


class AskingTests(FetchTestCase):
    async def test_head(self) -> None:
        def script(wire: Wire, head: bytes) -> None:
            begun = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
            line = b"X-Filler: " + b"x" * 8000 + b"\r\n"
            filled = line * ((size - len(begun)) // len(line))
            wire.send(begun, filled, b"\r\nx")

        self.serve(script)
        size = agent.MAX_HEAD - 1024
        self.assertEqual((await self.get(self.fetcher())).size, 1)
        size = agent.MAX_HEAD + 16_384
        self.assertIn(HOST, await self.fails(UpstreamInvalidError, self.fetcher()))

    async def test_redirects(self) -> None:
        def script(wire: Wire, head: bytes) -> None:
            if left:
                wire.answer(b"", b"Location: /%d" % left.pop(), status=b"302 Found")
            else:
                wire.answer(b"there")

        self.serve(script)
        left = list(range(fetch.MAX_REDIRECTS))
        self.assertEqual((await self.get(self.fetcher())).size, 5)
        left = list(range(fetch.MAX_REDIRECTS + 1))
        message = await self.fails(UpstreamInvalidError, self.fetcher())
        self.assertIn("redirects more than 3 times", message)

    async def test_page_of_an_error(self) -> None:
        """A short one is read, and the connection used again; for a long one it is closed."""
        for more, connections in ((0, 1), (1, 3)):
            size = body.MAX_DRAIN + more

            def script(wire: Wire, head: bytes) -> None:
                if b"/there" in head:
                    wire.answer(b"x")
                else:
                    wire.answer(b"x" * size, status=b"404 No")  # noqa: B023 - asked before the next

            server = self.serve(script)
            fetcher = self.fetcher()
            for _ in range(2):
                await self.fails(UpstreamStatusError, fetcher)
            await self.get(fetcher, f"http://{HOST}/there")
            self.assertEqual(len(server.connections), connections)
