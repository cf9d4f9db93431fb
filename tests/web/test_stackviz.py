# SPDX-License-Identifier: Apache-2.0
"""``/s/<uuid>/``: states, the built-in viewer, a StackViz build, and its dev server."""

import json
from pathlib import Path
from typing import Any

from treq.testing import RequestTraversalAgent
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from stackviz_deployer.errors import StoreError
from stackviz_deployer.model import TaskState
from stackviz_deployer.web.stackviz import STACKVIZ_POLICY
from tests.web.door import House, Reply, SocketCase, StubCase, split
from tests.web.fakes import BUILD, PAGES, UUID, a_task, an_artifact, at_once, write_tree

SITE = f"/s/{UUID}/"
CONFIG = {"deployer": True, "root": "/s", "apiRoot": "/api"}


class StateTests(StubCase):
    def test_page_says_the_state(self) -> None:
        self.check_page(404)
        for state, code in (
            (TaskState.QUEUED, 200),
            (TaskState.PENDING, 200),
            (TaskState.ERROR, 422),
            (TaskState.CANCELLED, 422),
            (TaskState.EXPIRED, 410),
        ):
            self.tasks.put(a_task(state))
            self.check_page(code)

    def check_page(self, code: int) -> None:
        for path in ("", "index.html", "some/page"):
            reply = self.get(SITE + path)
            self.assertEqual((reply.code, reply.body), (code, PAGES["status.html"]))
            self.assertEqual(reply.header("Cache-Control"), "no-store")
            self.assertIsNone(reply.header("ETag"))
            # a 304 would leave the browser with the page of another state
            self.assertEqual(self.get(SITE + path, If_None_Match="*").code, code)
        for path in ("js/main.js", "data/config.json", "fonts/x.woff2"):
            reply = self.get(SITE + path)
            self.assertEqual((reply.code, reply.json["error"]), (404, "not-found"))

    def test_redirect_to_the_slash(self) -> None:
        for state in (None, TaskState.FINISHED):
            if state:
                self.tasks.put(a_task(state))
            reply = self.get(f"/s/{UUID}")
            self.assertEqual((reply.code, reply.header("Location")), (301, SITE))

    def test_nonsense(self) -> None:
        for path in (
            "/s",
            "/s/",
            "/s//",
            "/s//evil.example/",
            "/s/a%2Fb/",
            "/s/%0d%0aX:%20y",
            "/s/%ff/",
            "/s/a.b/",
        ):
            reply = self.get(path)
            self.assertEqual(reply.code, 404, path)
            self.assertIsNone(reply.header("Location"))
        self.assertEqual(self.ask("POST", SITE).header("Allow"), "GET, HEAD")

    def test_waits_for_the_store(self) -> None:
        self.tasks.gate = Deferred()
        d = self.start("GET", SITE)
        self.assertNoResult(d)
        self.tasks.gate.callback(None)
        self.agent.flush()
        self.assertEqual(self.successResultOf(d).code, 404)

    def test_no_store(self) -> None:
        """The page says it in its words, and goes on by itself when the store is back."""
        for path, page in ((SITE, True), (f"{SITE}data/config.json", False)):
            self.tasks.gate = fail(StoreError("/secret/path", reason="its disk is full"))
            reply = self.get(path)
            self.assertEqual((reply.code, reply.header("Retry-After")), (503, "30"))
            self.assertEqual(reply.header("Cache-Control"), "no-store")
            self.assertNotIn(b"secret", reply.body)
            self.assertEqual(reply.body == PAGES["status.html"], page)
            self.assertEqual(len(self.flushLoggedErrors(StoreError)), 1)

    def test_trouble(self) -> None:
        self.tasks.gate = fail(ZeroDivisionError("secret"))
        reply = self.get(SITE)
        self.assertEqual(reply.code, 500)
        self.assertNotIn(b"secret", reply.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class BuiltInViewerTests(StubCase):
    def test_finished(self) -> None:
        self.tasks.put(a_task())
        for path in ("", "index.html", "?x=1"):
            reply = self.get(SITE + path)
            self.assertEqual((reply.code, reply.body), (200, PAGES["s.html"]))
            self.assertEqual(reply.header("Cache-Control"), "no-cache")
        self.assertEqual(self.ask("HEAD", SITE).code, 200)
        self.assertEqual(self.get(SITE + "missing").header("Content-Type"), "text/plain; charset=utf-8")
        self.assertEqual(self.get(SITE + "js/main.js").code, 404)


class BuildTests(StubCase):
    """Each URL of the contract's sections 1 and 2."""

    def setUp(self) -> None:
        build = write_tree(Path(self.mktemp()), BUILD)
        self.options = {"stackviz": str(build)}
        super().setUp()
        self.tasks.put(a_task())

    def test_files_and_types(self) -> None:
        for path, name, content_type in (
            ("", "index.html", "text/html; charset=utf-8"),
            ("css/main.css", "css/main.css", "text/css; charset=utf-8"),
            ("js/main.js", "js/main.js", "application/javascript; charset=utf-8"),
            *(
                (f"fonts/fontawesome-webfont.{end}?v=4.4.0", f"fonts/fontawesome-webfont.{end}", content_type)
                for end, content_type in (
                    ("woff2", "font/woff2"),
                    ("woff", "font/woff"),
                    ("ttf", "font/ttf"),
                    ("eot", "application/vnd.ms-fontobject"),
                    ("svg", "image/svg+xml"),
                )
            ),
        ):
            reply = self.get(SITE + path, Accept_Encoding="gzip, deflate, br, zstd")
            self.assertEqual((reply.code, reply.body), (200, BUILD[name]), path)
            self.assertEqual(reply.header("Content-Type"), content_type)
            self.assertEqual(reply.header("Content-Security-Policy"), STACKVIZ_POLICY.decode())
            self.assertEqual(reply.header("Cache-Control"), "no-cache")
            etag = str(reply.header("ETag"))
            again = self.get(SITE + path, Accept_Encoding="gzip", If_None_Match=etag)
            self.assertEqual(again.code, 304)
        self.assertEqual(self.get(SITE + "missing.js").json["error"], "not-found")
        self.assertEqual(self.get(SITE + "js%2Fmain.js").code, 404)
        self.assertEqual(self.get(SITE + "../../etc/passwd").code, 404)

    def test_config_is_ours(self) -> None:
        reply = self.get(SITE + "data/config.json", Accept="application/json, text/plain, */*")
        self.assertEqual((reply.code, reply.json), (200, CONFIG))
        self.assertEqual(reply.header("Content-Type"), "application/json")
        self.assertEqual(reply.header("Cache-Control"), "no-store")

    def test_task_and_blob_as_stackviz_asks(self) -> None:
        blob = self.blobs.add([b'[{"name": "a"}]'])
        self.tasks.made[UUID] = [an_artifact(blob)]
        headers = {
            "Content_Type": "application/json;charset=UTF-8",
            "Accept": "application/json, text/plain, */*",
            "Origin": "http://site.example",
            "Referer": f"http://site.example{SITE}",
        }
        replies = [self.post("/api/task", {"q": UUID}, **headers) for _ in range(3)]
        self.assertEqual({reply.body for reply in replies}, {replies[0].body})
        artifact = replies[0].json["artifacts"][0]
        reply = self.get(f"/api/blob/{artifact['id']}", Accept_Encoding="gzip, deflate, br, zstd")
        self.assertEqual(json.loads(reply.body), [{"name": "a"}])

    def test_unfinished_shows_our_page_under_our_policy(self) -> None:
        self.tasks.put(a_task(TaskState.PENDING))
        reply = self.get(SITE)
        self.assertEqual(reply.body, PAGES["status.html"])
        self.assertIsNone(reply.header("Content-Security-Policy"))  # the request adds the usual one


class DevServer(Resource):
    """Stands for ``gulp dev``."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[bytes, bytes]] = []
        self.headers: list[dict[bytes, list[bytes]]] = []
        self.held: Any = None

    def render(self, request: Any) -> Any:
        self.asked.append((request.method, request.uri))
        self.headers.append(dict(request.requestHeaders.getAllRawHeaders()))
        request.setHeader("X-Powered-By", "node")
        request.setHeader("Set-Cookie", "a=b")
        request.setHeader("Connection", "keep-alive")
        request.setHeader("Content-Security-Policy", "default-src *")
        if request.path == b"/moved":
            request.redirect(b"/js/main.js")
            return b""
        if request.path == b"/elsewhere":
            request.redirect(b"http://evil.example/")
            return b""
        if request.path == b"/missing.js":
            request.setResponseCode(404)
            return b"Cannot GET"
        if request.path == b"/held":
            self.held = request
            request.write(b"first,")
            return NOT_DONE_YET
        request.setHeader("Content-Type", "application/javascript")
        return b"dev build"


class ProxyTests(StubCase):
    def setUp(self) -> None:
        self.dev = DevServer()
        self.upstream = RequestTraversalAgent(self.dev)
        self.options = {"stackviz": "http://localhost:3000", "agent": self.upstream}
        super().setUp()
        self.tasks.put(a_task())

    def pump(self) -> None:
        for _ in range(4):
            self.upstream.flush()
            self.agent.flush()

    def ask(self, method: str, path: str, headers: Any = None, data: bytes | None = None) -> Reply:
        d = self.start(method, path, headers, data)
        self.pump()
        return self.successResultOf(d)

    def test_passes_on(self) -> None:
        reply = self.get(
            SITE + "js/a%20b.js?v=1",
            User_Agent="me",
            Cookie="secret=1",
            Upgrade="websocket",
            If_None_Match='"x"',
        )
        self.assertEqual((reply.code, reply.body), (200, b"dev build"))
        self.assertEqual(self.dev.asked, [(b"GET", b"/js/a%20b.js?v=1")])
        sent = self.dev.headers[0]
        self.assertEqual(sent[b"User-Agent"], [b"me"])
        self.assertEqual(sent[b"Host"], [b"localhost:3000"])
        self.assertEqual(sent[b"If-None-Match"], [b'"x"'])
        self.assertEqual({b"Cookie", b"Upgrade"} & set(sent), set())
        self.assertEqual(reply.header("Content-Type"), "application/javascript")
        self.assertEqual(reply.header("Content-Security-Policy"), STACKVIZ_POLICY.decode())
        for name in ("X-Powered-By", "Set-Cookie"):
            self.assertIsNone(reply.header(name))

    def test_config_is_ours(self) -> None:
        self.assertEqual(self.get(SITE + "data/config.json").json, CONFIG)
        self.assertEqual(self.dev.asked, [])

    def test_unfinished_task_asks_nothing(self) -> None:
        self.tasks.put(a_task(TaskState.PENDING))
        self.assertEqual(self.get(SITE).body, PAGES["status.html"])
        self.assertEqual(self.dev.asked, [])

    def test_head_and_errors(self) -> None:
        reply = self.ask("HEAD", SITE)
        self.assertEqual((reply.code, reply.body, reply.header("Content-Length")), (200, b"", "9"))
        self.assertEqual(self.dev.asked, [(b"HEAD", b"/")])
        self.assertEqual(self.get(SITE + "missing.js").code, 404)
        self.assertEqual(self.ask("POST", SITE).code, 405)
        self.assertEqual(self.get(SITE + "..%2f..%2fetc").code, 404)
        self.assertEqual(len(self.dev.asked), 2)

    def test_redirects(self) -> None:
        reply = self.get(SITE + "moved")
        self.assertEqual((reply.code, reply.header("Location")), (302, SITE + "js/main.js"))
        reply = self.get(SITE + "elsewhere")
        self.assertEqual((reply.code, reply.header("Location")), (502, None))

    def test_streams(self) -> None:
        d = self.start("GET", SITE + "held")
        self.pump()
        self.assertEqual(self.collector.chunks, [b"first,"])
        self.assertNoResult(d)
        self.dev.held.write(b"second")
        self.dev.held.finish()
        self.pump()
        self.assertEqual(self.successResultOf(d).body, b"first,second")

    def test_torn_body(self) -> None:
        d = self.start("GET", SITE + "held")
        self.upstream.flush()
        self.dev.held.channel.transport.abortConnection()
        self.pump()
        self.failureResultOf(d)


class DeadDevServerTests(StubCase):
    def setUp(self) -> None:
        super().setUp()
        self.answers: list[Deferred[Any]] = []
        case = self

        class Agent:
            def request(self, *args: Any) -> Deferred[Any]:
                return case.answers.pop(0)

        self.house = House(self, self.clock, at_once, stackviz="http://localhost:3000/", agent=Agent())
        self.agent = RequestTraversalAgent(self.house.site.resource)
        self.house.tasks.put(a_task())

    def test_down(self) -> None:
        self.answers = [fail(Refused()), fail(Refused())]
        reply = self.get(SITE)
        self.assertEqual((reply.code, reply.header("Content-Type")), (502, "text/plain; charset=utf-8"))
        self.assertIn(b"is it running", reply.body)
        self.assertEqual(self.get(SITE + "js/main.js").json["error"], "upstream-unreachable")

    def test_silent(self) -> None:
        cancelled = []
        self.answers = [Deferred(cancelled.append)]
        d = self.start("GET", SITE)
        self.clock.advance(29.9)
        self.agent.flush()
        self.assertNoResult(d)
        self.clock.advance(0.2)
        self.agent.flush()
        self.assertEqual(self.successResultOf(d).code, 502)
        self.assertEqual(len(cancelled), 1)


class ProxySocketTests(SocketCase):
    """The dev server on a port of its own."""

    def setUp(self) -> None:
        self.dev = DevServer()
        self.upstream = reactor.listenTCP(0, Site(self.dev), interface="127.0.0.1")
        self.addCleanup(self.upstream.stopListening)
        self.base = f"http://127.0.0.1:{self.upstream.getHost().port}/"
        self.pool = HTTPConnectionPool(reactor, persistent=False)
        self.options = {"stackviz": self.base, "agent": Agent(reactor, pool=self.pool)}
        super().setUp()
        self.house.tasks.put(a_task())

    def request(self, path: str) -> bytes:
        return f"GET {SITE}{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()

    async def test_streams(self) -> None:
        answer = self.raw(self.request("held"))
        await self.until(lambda: self.dev.held is not None)
        self.dev.held.write(b"second")
        self.dev.held.finish()
        code, headers, body = split(await answer)
        self.assertEqual((code, headers["transfer-encoding"]), (200, "chunked"))
        self.assertEqual(body, b"6\r\nfirst,\r\n6\r\nsecond\r\n0\r\n\r\n")

    async def test_torn_answer_stays_torn(self) -> None:
        answer = self.raw(self.request("held"))
        await self.until(lambda: self.dev.held is not None)
        self.dev.held.transport.abortConnection()
        self.assertFalse((await answer).endswith(b"0\r\n\r\n"))

    async def test_client_that_leaves(self) -> None:
        client = self.connect()
        client.sendall(self.request("held"))
        await self.until(lambda: self.dev.held is not None)
        lost: list[Any] = []
        self.dev.held.notifyFinish().addErrback(lost.append)
        client.close()
        await self.until(lambda: len(lost) == 1)

    async def test_client_that_does_not_read(self) -> None:
        client = self.connect(receive_bytes=4096)
        client.sendall(self.request("held"))
        await self.until(lambda: self.dev.held is not None)
        paused: list[Any] = []

        class Flood:
            def __init__(self, request: Any) -> None:
                self.request, self.flowing = request, True

            def resumeProducing(self) -> None:
                self.flowing = True

            def pauseProducing(self) -> None:
                self.flowing = False
                paused.append(True)

            def stopProducing(self) -> None:
                self.flowing = False

        flood = Flood(self.dev.held)
        self.dev.held.registerProducer(flood, True)
        sent = 0
        while flood.flowing and sent < 64 << 20:
            self.dev.held.write(b"x" * 65536)
            sent += 65536
            await task.deferLater(reactor, 0)
        # what the client does not take is not taken from the dev server either
        self.assertLess(sent, 64 << 20)
        self.dev.held.unregisterProducer()
        client.close()

    async def test_redirect_elsewhere_keeps_no_connection(self) -> None:
        code, _, _ = split(await self.raw(self.request("elsewhere")))
        self.assertEqual(code, 502)

    async def test_agent_of_its_own(self) -> None:
        self.assertIsNotNone(House(self, reactor, at_once, stackviz=self.base).site)

    async def test_down(self) -> None:
        await self.upstream.stopListening()
        code, headers, body = split(await self.raw(self.request("")))
        self.assertEqual((code, headers["content-type"]), (502, "text/plain; charset=utf-8"))
        self.assertIn(b"is it running", body)
