# SPDX-License-Identifier: Apache-2.0
"""The two doors that tests come through: treq's in-memory agent over the site's resource, and a socket.

(StubTreq itself asks for gzip and inflates, whatever the test says; its agent below does neither.)
"""

import gzip
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import attrs
from treq.testing import RequestTraversalAgent
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from stackviz_deployer.settings import Connections, Rates
from stackviz_deployer.store.uploads import UploadStore
from stackviz_deployer.web.api import Api
from stackviz_deployer.web.blobs import FileThreads
from stackviz_deployer.web.clients import Clients
from stackviz_deployer.web.health import Health
from stackviz_deployer.web.kept import Kept
from stackviz_deployer.web.names import Names
from stackviz_deployer.web.site import DeployerSite, make_site
from stackviz_deployer.web.throttle import Throttle
from stackviz_deployer.web.upload import Reception
from tests.web.fakes import (
    PAGES,
    CountingMeters,
    FakeBlobs,
    FakeKeeper,
    FakeLookup,
    FakeTasks,
    at_once,
    write_tree,
)

UPLOAD_BYTES = 3 << 20
FREE = Rates(list=0, scrape=0, upload=0)


@attrs.frozen
class Reply:
    code: int
    headers: Any
    wire: bytes
    """The body as sent."""

    @property
    def body(self) -> bytes:
        """As a browser would show it."""
        if self.wire and self.header("Content-Encoding") == "gzip":
            return gzip.decompress(self.wire)
        return self.wire

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        values = self.headers.getRawHeaders(name)
        return None if values is None else ", ".join(values)


@implementer(IBodyProducer)
class Bytes:
    """A request's body."""

    def __init__(self, body: bytes) -> None:
        self.body, self.length = body, len(body)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(self.body)
        return succeed(None)

    def stopProducing(self) -> None:
        pass

    pauseProducing = resumeProducing = stopProducing


class Collector(Protocol):
    """An answer's body; fails when it is torn."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.done: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.chunks.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        if reason.check(ResponseDone):
            self.done.callback(None)
        else:
            self.done.errback(reason)


class House:
    """A whole site over fakes."""

    def __init__(
        self, case: Any, clock: Any, in_thread: Any, api_clock: Any = None, rates: Any = FREE, **more: Any
    ) -> None:
        self.lookup, self.tasks, self.keeper = FakeLookup(), FakeTasks(), FakeKeeper()
        blobs = Path(case.mktemp())
        blobs.mkdir(parents=True)
        self.blobs = FakeBlobs(blobs)
        self.uploads = UploadStore(blobs.parent, in_thread, upload_bytes=UPLOAD_BYTES)
        self.uploads.startService()
        self.meters = CountingMeters()
        more.setdefault("names", Names(["site.example", "a_b.example"]))
        self.kept = more.setdefault("kept", Kept())
        clients = more.setdefault("clients", Clients())
        connections = more.setdefault("connections", Connections())
        limits_clock = more.get("reactor", clock)
        throttle = Throttle(rates, clients=clients, clock=limits_clock, meters=self.meters)
        self.reception = reception = Reception(
            self.uploads,
            UPLOAD_BYTES,
            clients=clients,
            throttle=throttle,
            clock=limits_clock,
            meters=self.meters,
            serves=not more.get("health_alone", False),
        )
        self.api = api = Api(
            lookup=self.lookup,
            tasks=self.tasks,
            keeper=self.keeper,
            blobs=self.blobs,
            reception=reception,
            in_thread=in_thread,
            clock=api_clock or clock,
            version="1.2.3",
            clients=clients,
            throttle=throttle,
            meters=self.meters,
            kept=self.kept,
            event_streams=connections.events,
        )
        public = write_tree(Path(case.mktemp()), PAGES)
        health = Health(version="1.2.3", probe=self.tasks.health)
        self.site: DeployerSite = make_site(
            **{
                "api": api,
                "health": health,
                "tasks": self.tasks,
                "reception": reception,
                "public": public,
                "stackviz": None,
                "reactor": clock,
                "meters": self.meters,
                **more,
            }
        )


class StubCase(SynchronousTestCase):
    """Logic, without sockets or time."""

    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        self.clock = task.Clock()
        self.house = House(self, self.clock, at_once, **self.options)
        self.lookup, self.tasks, self.blobs = self.house.lookup, self.house.tasks, self.house.blobs
        self.agent = RequestTraversalAgent(self.house.site.resource)

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, data: bytes | None = None
    ) -> Reply:
        d = self.start(method, path, headers, data)
        return self.successResultOf(d)

    def start(
        self, method: str, path: str, headers: dict[str, str] | None = None, data: bytes | None = None
    ) -> Deferred[Reply]:
        given = Headers({name: [value] for name, value in (headers or {}).items()})
        self.collector = Collector()

        async def go() -> Reply:
            url = f"http://site.example{path}".encode()
            body = None if data is None else Bytes(data)
            response = await self.agent.request(method.encode(), url, given, body)
            response.deliverBody(self.collector)
            await self.collector.done
            return Reply(response.code, response.headers, b"".join(self.collector.chunks))

        d = Deferred.fromCoroutine(go())
        self.agent.flush()
        return d

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, {k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path: str, data: Any, **headers: str) -> Reply:
        given = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return self.ask("POST", path, given, body)


class SocketCase(TestCase):
    """A listening port; clients are blocking ones in threads, which know nothing of Twisted."""

    timeout = 180
    options: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        threads = FileThreads(reactor)
        threads.startService()
        self.addCleanup(threads.stopService)
        self.house = House(self, reactor, threads.run, **self.options)
        self.port = reactor.listenTCP(0, self.house.site, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.addCleanup(self.drained)
        self.number = self.port.getHost().port

    def drained(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.until(lambda: not connections()))

    async def until(self, true: Callable[[], bool]) -> None:
        """Let the reactor turn until ``true()``; the test's own time-out is the bound."""
        while not true():
            await task.deferLater(reactor, 0.005)

    def connect(self, *, receive_bytes: int | None = None) -> socket.socket:
        """A client's end; small sends to a listening port do not block."""
        s = socket.socket()
        self.addCleanup(s.close)
        s.settimeout(60)
        if receive_bytes is not None:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        s.connect(("127.0.0.1", self.number))
        return s

    def raw(self, sent: bytes, *, shut: bool = False) -> Deferred[bytes]:
        """Everything that comes back for these bytes, until the server closes."""

        def talk() -> bytes:
            with socket.create_connection(("127.0.0.1", self.number), timeout=60) as s:
                try:
                    s.sendall(sent)
                    if shut:
                        s.shutdown(socket.SHUT_WR)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                got = b""
                try:
                    while chunk := s.recv(65536):
                        got += chunk
                except ConnectionResetError:
                    got += b"<reset>"
                return got

        return deferToThread(talk)


class Client:
    """A blocking client that keeps its connection, for answers of known length."""

    def __init__(self, s: socket.socket) -> None:
        self.socket, self.got = s, b""

    def more(self) -> None:
        chunk = self.socket.recv(65536)
        if not chunk:
            raise EOFError
        self.got += chunk

    def ask(self, sent: bytes) -> tuple[int, dict[str, str], bytes]:
        self.socket.sendall(sent)
        return self.answer(bodiless=sent.startswith(b"HEAD"))

    def answer(self, *, bodiless: bool = False) -> tuple[int, dict[str, str], bytes]:
        while b"\r\n\r\n" not in self.got:
            self.more()
        status, headers, _ = split(self.got)
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        size = 0 if bodiless or status == 304 else int(headers["content-length"])
        while len(self.got) < size:
            self.more()
        body, self.got = self.got[:size], self.got[size:]
        return status, {**headers, ":status-line": head.partition(b"\r\n")[0].decode()}, body


def connections() -> list[Any]:
    """The server's ends of all connections."""
    busy = {*reactor.getReaders(), *reactor.getWriters()}  # one that is paused only writes
    return [one for one in busy if hasattr(one, "server")]


def split(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower-case names) and the rest of a raw answer."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {}
    for one in fields:
        name, _, value = one.partition(": ")
        assert name.lower() not in headers, one
        headers[name.lower()] = value
    return int(line.split()[1]), headers, rest
