# SPDX-License-Identifier: Apache-2.0
"""The site over real sockets: headers, limits, methods, versions, pipelines, and clients that go away."""

import http.client
import json
import os
import socket
import zlib
from pathlib import Path

from twisted.internet import reactor, task
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from stackviz_deployer.model import Answer, Submitted, TaskState
from stackviz_deployer.web.blobs import FileThreads
from stackviz_deployer.web.channel import MAX_DRAINED
from stackviz_deployer.web.headers import PAGE_POLICY
from stackviz_deployer.web.request import MAX_BODY
from tests.web.door import House, SocketCase, connections, split
from tests.web.fakes import PAGES, URL, UUID, a_task, an_artifact

HOST = b"Host: localhost\r\n"
CLOSE = HOST + b"Connection: close\r\n"
JSON = b"Content-Type: application/json\r\n"


def post(path: bytes, body: bytes, headers: bytes = CLOSE + JSON) -> bytes:
    return b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (path, headers, len(body), body)


def get(path: bytes, headers: bytes = CLOSE, method: bytes = b"GET") -> bytes:
    return b"%s %s HTTP/1.1\r\n%s\r\n" % (method, path, headers)


class HeaderTests(SocketCase):
    async def test_on_every_answer(self) -> None:
        house = self.house
        house.tasks.put(a_task(TaskState.PENDING))
        house.lookup.answer = ZeroDivisionError("a bug")
        for sent, wanted in (
            (get(b"/"), 200),
            (get(b"/", CLOSE + b"If-None-Match: *\r\n"), 304),
            (get(b"/missing"), 404),
            (get(b"/api/missing"), 404),
            (get(b"/api/%ff"), 404),
            (get(b"/api/list"), 405),
            (get(b"/", method=b"PATCH"), 405),
            (get(b"/", method=b"HEAD"), 200),
            (get(b"*", method=b"OPTIONS"), 200),
            (get(b"*"), 405),
            (get(b"/s/" + UUID.encode()), 301),
            (get(b"/s/" + UUID.encode() + b"/"), 200),
            (get(b"/health"), 200),
            (get(b"/api/blob/x"), 404),
            (get(b"/", b"Host: a b\r\nConnection: close\r\n"), 400),
            (post(b"/api/list", b"{}"), 400),
            (post(b"/api/list", b'{"q": "1"}'), 500),
            (post(b"/api/list", b"x" * (MAX_BODY + 1)), 413),
            (post(b"/api/status", b"{}", CLOSE), 415),
        ):
            code, headers, _ = split(await self.raw(sent))
            self.assertEqual(code, wanted, sent[:60])
            self.assertEqual(headers["content-security-policy"], PAGE_POLICY.decode())
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.assertEqual(headers["referrer-policy"], "same-origin")
            self.assertIn("camera=()", headers["permissions-policy"])
            self.assertEqual(headers["cross-origin-opener-policy"], "same-origin")
            self.assertEqual(headers["cross-origin-resource-policy"], "same-origin")
            self.assertEqual(headers["server"], "stackviz-deployer")
            self.assertIn("GMT", headers["date"])
            self.assertNotIn("set-cookie", headers)
            if code == 304:  # else a cache takes it for the length of what it holds (RFC 9110, 8.6)
                self.assertNotIn("content-length", headers)
            if code >= 400 and code != 405:
                self.assertEqual(headers["cache-control"], "no-store")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_every_status_has_a_phrase(self) -> None:
        answer = await self.raw(post(b"/api/scrape", b'{"url": null}'))
        self.assertEqual(answer.partition(b"\r\n")[0], b"HTTP/1.1 422 Unprocessable Entity")

    async def test_policy_of_the_design(self) -> None:
        policy = PAGE_POLICY.decode()
        for piece in ("default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"):
            self.assertIn(piece, policy)
        self.assertNotIn("unsafe", policy)

    async def test_host(self) -> None:
        for host, wanted in (
            (b"Host: localhost:5000\r\n", 405),
            (b"Host: [::ffff:127.0.0.1]:5000\r\n", 405),
            (b"Host: a_b.example.\r\n", 405),
            (b"Host: a..b\r\n", 400),
            (b"Host: %s\r\n" % (b"a" * 64), 400),
            (b"Host: a/b\r\n", 400),
            (b"Host: caf\xc3\xa9.example\r\n", 400),
            (b"Host: \xff\r\n", 400),
            (b"Host: a\r\nHost: b\r\n", 400),
            (b"", 400),
            (b"Host: \r\n", 400),
        ):
            code, _, _ = split(await self.raw(get(b"/api/list", host + b"Connection: close\r\n")))
            self.assertEqual(code, wanted, host)

    async def test_absolute_form(self) -> None:
        code, _, body = split(await self.raw(get(b"http://localhost/go/1?x", CLOSE)))
        self.assertEqual((code, body), (200, PAGES["go.html"]))


class BodyLimitTests(SocketCase):
    async def test_length(self) -> None:
        body = json.dumps({"q": "1", "pad": ""}).encode()
        fits = body.replace(b'""', b'"%s"' % (b"x" * (MAX_BODY - len(body))))
        self.assertEqual(len(fits), MAX_BODY)
        code, _, _ = split(await self.raw(post(b"/api/list", fits)))
        self.assertEqual(code, 200)
        code, headers, body = split(await self.raw(post(b"/api/list", fits + b" ")))
        self.check_refusal(code, headers, body)

    async def test_chunked(self) -> None:
        head = b"POST /api/list HTTP/1.1\r\n" + CLOSE + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
        body = b'{"q": "1"}'
        code, _, _ = split(await self.raw(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)))
        self.assertEqual(code, 200)
        chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
        code, headers, answer = split(await self.raw(head + chunk * 17 + b"0\r\n\r\n"))
        self.check_refusal(code, headers, answer)

    def check_refusal(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.assertEqual((code, headers["connection"]), (413, "close"))
        self.assertEqual(json.loads(body)["error"], "request-too-large")

    async def test_client_that_sends_all_of_it_still_reads_the_refusal(self) -> None:
        sent = post(b"/api/scrape", b"x" * (MAX_DRAINED - 70_000))
        client = self.connect()

        def talk() -> bytes:
            client.sendall(sent)  # raises when the server resets the connection
            got = b""
            while chunk := client.recv(65536):
                got += chunk
            return got

        self.check_refusal(*split(await deferToThread(talk)))

    async def test_endless_body_is_cut(self) -> None:
        client = self.connect()

        def flood() -> bool:
            try:
                client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
                for _ in range(100):
                    client.sendall(b"x" * MAX_DRAINED)
            except (ConnectionResetError, BrokenPipeError):
                return True
            return False

        self.assertTrue(await deferToThread(flood))

    async def test_expect_is_not_answered_with_go_on(self) -> None:
        head = (
            b"POST /api/list HTTP/1.1\r\n"
            + CLOSE
            + JSON
            + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        )
        client = self.connect()
        client.sendall(head % (MAX_BODY + 1))

        def read_all() -> bytes:
            got = b""
            while chunk := client.recv(65536):
                got += chunk
            return got

        self.check_refusal(*split(await deferToThread(read_all)))

    async def test_expect_within_the_limit(self) -> None:
        body = b'{"q": "1"}'
        head = (
            b"POST /api/list HTTP/1.1\r\n"
            + CLOSE
            + JSON
            + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        )
        answer = await self.raw(head % len(body) + body)
        self.assertTrue(answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))

    async def test_form_is_left_alone(self) -> None:
        form = CLOSE + b"Content-Type: multipart/form-data; boundary=x\r\n"
        code, _, _ = split(await self.raw(post(b"/api/list", b"--x\r\nbroken", form)))
        self.assertEqual(code, 415)


class WireTests(SocketCase):
    async def test_http_1_0(self) -> None:
        code, headers, body = split(await self.raw(b"GET / HTTP/1.0\r\n\r\n"))
        self.assertEqual((code, body), (200, PAGES["index.html"]))
        self.assertEqual(headers["content-length"], str(len(body)))
        sent = b"POST /list HTTP/1.0\r\n" + JSON + b'Content-Length: 10\r\n\r\n{"q": "1"}'
        code, headers, body = split(await self.raw(sent))
        self.assertEqual((code, len(json.loads(body)["results"])), (200, 1))

    async def test_head_has_no_body(self) -> None:
        house = self.house
        blob = house.blobs.add([b"x" * 100])
        house.tasks.made[UUID] = [an_artifact(blob, "a")]
        house.tasks.put(a_task(TaskState.PENDING))
        for path in (
            b"/",
            b"/missing",
            b"/api/blob/a",
            b"/api/blob/b",
            b"/api/events/" + UUID.encode(),
            b"/health",
        ):
            for extra in (b"", b"Accept-Encoding: gzip\r\n"):
                _, _, rest = split(await self.raw(get(path, CLOSE + extra, b"HEAD")))
                self.assertEqual(rest, b"", path)

    async def test_pipelined_answers_stay_in_order(self) -> None:
        lookup = self.house.lookup
        lookup.answer = slow = Deferred()
        sent = (
            post(b"/api/list", b'{"q": "1"}', HOST + JSON) + get(b"/", HOST, b"HEAD") + get(b"/health/live")
        )
        answer = self.raw(sent)
        await self.until(lambda: lookup.asked == ["1"])
        slow.callback(Answer(message="slow"))
        got = await answer
        first, second, third = got.split(b"HTTP/1.1 ")[1:]
        self.assertIn(b'"message":"slow"', first)
        self.assertTrue(second.endswith(b"\r\n\r\n"))
        self.assertTrue(third.endswith(b'{"status":"ok"}'))

    async def test_request_in_pieces(self) -> None:
        client = self.connect()
        sent = post(b"/api/list", b'{"q": "271726"}')

        def talk() -> bytes:
            for n in range(len(sent)):
                client.sendall(sent[n : n + 1])
            got = b""
            while chunk := client.recv(65536):
                got += chunk
            return got

        self.assertEqual(split(await deferToThread(talk))[0], 200)
        self.assertEqual(self.house.lookup.asked, ["271726"])

    async def test_ordinary_client_on_one_connection(self) -> None:
        self.house.tasks.put(a_task())

        def talk() -> list[int]:
            connection = http.client.HTTPConnection("127.0.0.1", self.number, timeout=60)
            codes = []
            for method, path in (
                ("GET", "/"),
                ("HEAD", "/"),
                ("GET", "/missing"),
                ("PUT", "/api/list"),
                ("GET", f"/s/{UUID}/"),
                ("GET", f"/api/events/{UUID}"),
                ("GET", "/health"),
            ):
                connection.request(method, path)
                response = connection.getresponse()
                response.read()
                codes.append(response.status)
            connection.close()
            return codes

        self.assertEqual(await deferToThread(talk), [200, 200, 404, 405, 200, 200, 200])

    async def test_smuggling_is_refused(self) -> None:
        for headers in (
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            b"Content-Length: 5\r\nContent-Length: 6\r\n",
            b"Content-Length: +5\r\n",
            b"Transfer-Encoding: chunked, chunked\r\n",
        ):
            got = await self.raw(
                b"POST /api/list HTTP/1.1\r\n" + HOST + headers + b"\r\n0\r\n\r\n" + get(b"/health")
            )
            self.assertTrue(got.startswith(b"HTTP/1.1 400 "), headers)
            self.assertEqual(got.count(b"HTTP/1.1"), 1)


class GoneTests(SocketCase):
    async def test_lookup_is_given_up(self) -> None:
        lookup, cancelled = self.house.lookup, []
        lookup.answer = Deferred(cancelled.append)
        client = self.connect()
        client.sendall(post(b"/api/list", b'{"q": "1"}'))
        await self.until(lambda: lookup.asked == ["1"])
        client.close()
        await self.until(lambda: len(cancelled) == 1)

    async def test_submitting_is_not(self) -> None:
        tasks, cancelled = self.house.tasks, []
        tasks.outcome = made = Deferred(cancelled.append)
        client = self.connect()
        client.sendall(post(b"/api/scrape", json.dumps({"url": URL}).encode()))
        await self.until(lambda: len(tasks.submits) == 1)
        client.close()
        await self.until(lambda: not connections())
        self.assertEqual(cancelled, [])
        made.callback(Submitted(task=a_task(TaskState.QUEUED)))

    async def test_page_is_given_up(self) -> None:
        cancelled = []
        self.house.tasks.gate = Deferred(cancelled.append)
        client = self.connect()
        client.sendall(get(f"/s/{UUID}/".encode()))
        await self.until(lambda: self.house.tasks.gets == 1)
        client.close()
        await self.until(lambda: len(cancelled) == 1)


class HalfClosedTests(SocketCase):
    """Who says that nothing more comes (nc -N, some probes) still reads what was answered."""

    async def test_answers_come_and_then_the_end(self) -> None:
        got = await self.raw(get(b"/health/live", HOST) * 5 + get(b"/", HOST), shut=True)
        self.assertEqual(got.count(b"HTTP/1.1 200 "), 6)
        self.assertTrue(got.endswith(PAGES["index.html"]), got[-80:])

    async def test_what_is_not_whole_is_no_request(self) -> None:
        query, upload = post(b"/api/list", b'{"q": "1"}'), post(b"/api/upload", b"x" * 9)
        for sent in (b"", b"GET / HT", query[:-2], upload[:-2]):
            self.assertEqual(await self.raw(sent, shut=True), b"")
        self.assertEqual(self.house.lookup.asked, [])

    async def test_lookup_is_given_up(self) -> None:
        lookup, cancelled = self.house.lookup, []
        lookup.answer = Deferred(cancelled.append)
        got = await self.raw(get(b"/health/live", HOST) + post(b"/api/list", b'{"q": "1"}'), shut=True)
        self.assertEqual((lookup.asked, len(cancelled)), (["1"], 1))
        self.assertEqual(got.count(b"HTTP/1.1 200 "), 1)

    async def test_who_was_refused(self) -> None:
        got = await self.raw(b"nonsense\r\n\r\n", shut=True)
        self.assertTrue(got.startswith(b"HTTP/1.1 400 "), got)
        await self.until(lambda: not connections())


class BlobTests(SocketCase):
    """A body larger than any buffer on its way."""

    SIZE = 24 << 20

    def setUp(self) -> None:
        super().setUp()
        noise = os.urandom(1 << 20)
        self.text = noise * (self.SIZE >> 20)
        self.put()

    def put(self) -> None:
        house = self.house
        self.blob = house.blobs.add([self.text])
        house.tasks.made[UUID] = [an_artifact(self.blob, "a", content_type="text/plain")]
        self.path = house.blobs.directory / self.blob.hash

    def positions(self) -> list[int]:
        """How far the blob was read, for each time that it is open in this process."""
        found = []
        for fd in Path("/proc/self/fd").iterdir():
            try:
                if fd.readlink() == self.path.resolve():
                    info = Path(f"/proc/self/fdinfo/{fd.name}").read_text()
                    found.append(int(info.split()[1]))
            except FileNotFoundError:
                continue
        return found

    async def test_whole_as_it_lies(self) -> None:
        _, headers, body = split(await self.raw(get(b"/api/blob/a", CLOSE + b"Accept-Encoding: gzip\r\n")))
        self.assertEqual(body, self.path.read_bytes())
        self.assertEqual(headers["content-length"], str(self.blob.size))
        self.assertEqual(zlib.decompress(body, 31), self.text)
        self.assertEqual(self.positions(), [])

    async def test_whole_plain(self) -> None:
        def talk() -> bytes:
            connection = http.client.HTTPConnection("127.0.0.1", self.number, timeout=60)
            connection.request("GET", "/api/blob/a")
            response = connection.getresponse()
            body = response.read()
            connection.close()
            return body

        self.assertEqual(await deferToThread(talk), self.text)

    async def test_reader_that_stops(self) -> None:
        clock = task.Clock()
        self.listen(clock)
        client = self.connect(receive_bytes=4096)
        client.sendall(get(b"/api/blob/a", CLOSE + b"Accept-Encoding: gzip\r\n"))
        # held back: what was read is what the system's buffers took, a fraction of the whole
        await self.until(lambda: bool(self.positions()) and waits(clock) == 30)
        (position,) = self.positions()
        self.assertLess(position, self.SIZE / 2)
        # dropped, when it stays so
        clock.advance(29)
        self.assertEqual(len(self.positions()), 1)
        clock.advance(2)
        await self.until(lambda: not self.positions())

    async def test_reader_that_says_no_more(self) -> None:
        def talk() -> bytes:
            client = self.connect()
            client.sendall(
                get(b"/api/blob/a", HOST + b"Accept-Encoding: gzip\r\n") + get(b"/health/live", HOST)
            )
            got = client.recv(1000)
            client.shutdown(socket.SHUT_WR)
            while chunk := client.recv(1 << 20):
                got += chunk
            return got

        got = await deferToThread(talk)
        self.assertIn(self.path.read_bytes(), got)
        self.assertTrue(got.endswith(b'{"status":"ok"}'), got[-50:])

    async def test_reader_that_leaves(self) -> None:
        clock = task.Clock()
        self.listen(clock)
        client = self.connect(receive_bytes=4096)
        client.sendall(get(b"/api/blob/a", CLOSE))
        await self.until(lambda: waits(clock) == 30)
        client.close()
        await self.until(lambda: not self.positions() and waits(clock) is None)

    def listen(self, clock: task.Clock) -> None:
        """A second port, whose time-outs for readers this clock tells."""
        threads = FileThreads(reactor)
        threads.startService()
        self.addCleanup(threads.stopService)
        self.house = House(self, reactor, threads.run, reactor=clock)
        self.put()
        port = reactor.listenTCP(0, self.house.site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(self.drained)
        self.number = port.getHost().port


def waits(clock: task.Clock) -> float | None:
    """Until the next deadline of a connection, in seconds (Twisted's log tells the time each second)."""
    times = [call.getTime() - clock.seconds() for call in clock.getDelayedCalls()]
    return max((one for one in times if one > 1), default=None)
