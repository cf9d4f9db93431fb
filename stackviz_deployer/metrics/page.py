# SPDX-License-Identifier: Apache-2.0
"""``GET /metrics``, on an endpoint of its own.

The text is written in a thread, once for all who ask at the same time, so that neither many
metrics nor many monitors hold the reactor.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

log = Logger()

IDLE_S = 15.0

Write = Callable[[], bytes]
InThread = Callable[[Write], "Deferred[bytes]"]


class MetricsPage(Resource):
    """The page; ``snapshot`` is PrometheusMeters', ``in_thread`` calls a function away from the reactor."""

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


class _Bodiless(Request):
    """A monitor sends no body; whoever does is cut off before it costs memory."""

    def gotLength(self, length: int | None) -> None:
        super().gotLength(0)
        if length != 0:
            self.channel.forceAbortClient()


class MetricsSite(Site):
    """The factory of its port."""

    noisy = False

    def __init__(self, snapshot: Callable[[], Write], in_thread: InThread, reactor: IReactorTime) -> None:
        root = Resource()
        root.putChild(b"metrics", MetricsPage(snapshot, in_thread))
        super().__init__(root, requestFactory=_Bodiless, timeout=IDLE_S, reactor=reactor)

    def log(self, request: HTTPRequest) -> None:
        """Nothing: a monitor asks every few seconds."""
