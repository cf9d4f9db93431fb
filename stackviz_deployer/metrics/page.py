# SPDX-License-Identifier: Apache-2.0
"""``GET /metrics``, on an endpoint of its own.

The text is written in a thread, once for all who ask at the same time, so that neither many
metrics nor many monitors hold the reactor.  It is for monitors: a page in a browser, whose name was
pointed here by DNS, reads nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from stackviz_deployer.interfaces import InThread, Meters

log = Logger()

IDLE_S = 15.0
WHOLE_S = 30.0
"""For a request and its answer, until all of it is taken; Prometheus waits 10 s unless it is told to."""
MOST_CONNECTIONS = 20
"""At once; one more, and the oldest is closed, so that those which are only held keep no monitor out."""

Write = Callable[[], bytes]
Named = Callable[[bytes, IAddress], bool]
"""Whether a Host header names this server, to which a connection came in at that address."""


class MetricsPage(Resource):
    """The page; ``snapshot`` is PrometheusMeters'."""

    isLeaf = True

    def __init__(self, snapshot: Callable[[], Write], in_thread: InThread) -> None:
        super().__init__()
        self._snapshot = snapshot
        self._in_thread = in_thread
        self._waiting: list[Request] = []

    def render_GET(self, request: Request) -> int:
        """The text, when it is written."""
        request.notifyFinish().addErrback(lambda _: self._forget(request))
        self._waiting.append(request)
        if len(self._waiting) == 1:
            self._in_thread(self._snapshot()).addCallbacks(self._written, self._failed)
        return NOT_DONE_YET

    def _written(self, text: bytes) -> None:
        for request in self._take():
            request.setHeader(b"Content-Type", CONTENT_TYPE_PLAIN_0_0_4.encode("ascii"))
            request.setHeader(b"Content-Length", b"%d" % len(text))
            request.write(b"" if request.method == b"HEAD" else text)
            request.finish()

    def _failed(self, failure: Failure) -> None:
        log.failure("writing the metrics", failure)
        for request in self._take():
            request.setResponseCode(500)
            request.finish()

    def _take(self) -> list[Request]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _forget(self, request: Request) -> None:
        if request in self._waiting:
            self._waiting.remove(request)


class _Request(Request):
    """A monitor asks by one of our names, and sends no body."""

    channel: _Channel

    def gotLength(self, length: int | None) -> None:
        super().gotLength(0)
        if length != 0:  # before it costs memory
            self.channel.forceAbortClient()

    def process(self) -> None:
        site = self.channel.site
        # a page that is allowed to send it may not read it, nor be fed with it
        self.setHeader(b"X-Content-Type-Options", b"nosniff")
        self.setHeader(b"Cross-Origin-Resource-Policy", b"same-origin")
        if self._is_for_us(site):
            super().process()
            return
        site.meters.count("limit_hits", limit="hosts")
        self.setResponseCode(421, b"Misdirected Request")
        self.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        self.setHeader(b"Content-Length", b"%d" % len(_WRONG_NAME))
        self.write(b"" if self.method == b"HEAD" else _WRONG_NAME)
        self.finish()

    def _is_for_us(self, site: MetricsSite) -> bool:
        hosts = self.requestHeaders.getRawHeaders(b"Host", [])
        if not hosts:  # HTTP/1.0 has none, and no browser speaks it
            return self.clientproto == b"HTTP/1.0"
        return len(hosts) == 1 and site.named(hosts[0], self.channel.getHost())


@implementer(IHalfCloseableProtocol)
class _Channel(HTTPChannel):
    """One request and its answer, in time; leaves the site's list when it goes."""

    site: MetricsSite
    _deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self._deadline = self.callLater(WHOLE_S, self._too_late)

    def checkPersistence(self, request: HTTPRequest, version: bytes) -> bool:  # noqa: ARG002  # Twisted's
        """No further request: answers to many at once would wait for a client that reads none of them."""
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.site.connections.pop(self, None)
        super().connectionLost(reason)

    def readConnectionLost(self) -> None:
        """The client has closed its half: what it asked for in time is answered, and then the rest closes."""
        if not self.requests:
            self.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our half is never closed by itself."""

    def _too_late(self) -> None:
        self._deadline = None
        self.site.meters.count("limit_hits", limit="metrics_seconds")
        self.forceAbortClient()


class MetricsSite(Site):
    """The factory of its port."""

    noisy = False
    protocol = _Channel  # type: ignore[assignment]  # Twisted means a proxy of HTTP/1 and HTTP/2

    def __init__(
        self,
        snapshot: Callable[[], Write],
        in_thread: InThread,
        reactor: IReactorTime,
        *,
        named: Named,
        meters: Meters,
    ) -> None:
        root = Resource()
        root.putChild(b"metrics", MetricsPage(snapshot, in_thread))
        super().__init__(root, requestFactory=_Request, timeout=IDLE_S, reactor=reactor)
        self.named = named
        self.meters = meters
        self.connections: dict[_Channel, None] = {}
        """The oldest first."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        while len(self.connections) >= MOST_CONNECTIONS:
            self.meters.count("limit_hits", limit="metrics_connections")
            oldest: Any = next(iter(self.connections))
            del self.connections[oldest]
            oldest.transport.abortConnection()
        channel: Any = super().buildProtocol(addr)
        self.connections[channel] = None
        return channel

    def acceptableProtocols(self) -> list[bytes]:
        """HTTP/1.1 alone, as on the other ports."""
        return [b"http/1.1"]

    def log(self, request: HTTPRequest) -> None:
        """Nothing: a monitor asks every few seconds."""


_WRONG_NAME = (
    b"this server does not go by the name in the request's Host header;"
    b" ask it by its address, or add the name to hosts in its configuration\n"
)
