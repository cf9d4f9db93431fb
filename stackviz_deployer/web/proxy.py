# SPDX-License-Identifier: Apache-2.0
"""StackViz's dev server behind ``/s/<uuid>/``, for those who work on StackViz itself."""

from __future__ import annotations

from urllib.parse import quote, urljoin

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from twisted.web.server import Request

from stackviz_deployer.errors import NotFoundError, UpstreamInvalidError, UpstreamUnreachableError
from stackviz_deployer.model import TaskId
from stackviz_deployer.web.errors import cut
from stackviz_deployer.web.stackviz import STACKVIZ_POLICY

log = Logger()

HEADERS_S = 30.0
"""How long the dev server may take to begin its answer (it may have to build first)."""

# What is passed on, each way.  Everything else is between two neighbours, or ours to say.
_ASKED = (
    b"Accept",
    b"Accept-Encoding",
    b"Accept-Language",
    b"If-Modified-Since",
    b"If-None-Match",
    b"If-Range",
    b"Range",
    b"User-Agent",
)
_ANSWERED = (
    b"Accept-Ranges",
    b"Cache-Control",
    b"Content-Encoding",
    b"Content-Language",
    b"Content-Range",
    b"Content-Type",
    b"ETag",
    b"Expires",
    b"Last-Modified",
    b"Vary",
)


class StackvizProxy:
    """A dev server in place of a build: GET and HEAD alone, bodies streamed as they come."""

    def __init__(self, base: str, agent: IAgent, clock: IReactorTime) -> None:
        """``base`` is the dev server's address; ``agent`` must not decode bodies (a plain Agent does not)."""
        self._base = base if base.endswith("/") else base + "/"
        self._agent = agent
        self._clock = clock

    async def serve(self, request: Request, task_id: TaskId, path: str) -> None:
        """See ``stackviz.Viewer``.  Raises UpstreamUnreachableError (no answer), UpstreamInvalidError."""
        response = await self._ask(request, path)
        try:
            self._begin(request, response, task_id)
        except UpstreamInvalidError:
            response.deliverBody(_Unwanted())
            raise
        if request.method == b"HEAD" or response.code in (204, 304):
            return  # there is no body
        relay = _Relay(request)
        response.deliverBody(relay)
        await relay.done

    async def _ask(self, request: Request, path: str) -> IResponse:
        if any(segment in (".", "..") for segment in path.split("/")) or "\0" in path:
            raise NotFoundError("there is no such file")
        url = self._base + quote(path, safe="/", errors="surrogateescape")
        _, mark, query = request.uri.partition(b"?")
        headers = Headers()
        for name in _ASKED:
            values = request.requestHeaders.getRawHeaders(name)
            if values:
                headers.setRawHeaders(name, values)
        asked = self._agent.request(request.method, url.encode("ascii") + mark + query, headers, None)
        try:
            return await asked.addTimeout(HEADERS_S, self._clock)
        except CancelledError:  # our client has gone
            raise
        except Exception as error:
            log.info("StackViz's dev server at {base} does not answer: {error}", base=self._base, error=error)
            raise UpstreamUnreachableError(
                f"StackViz's dev server at {self._base} does not answer; is it running (gulp dev)?"
            ) from error

    def _begin(self, request: Request, response: IResponse, task_id: TaskId) -> None:
        location = response.headers.getRawHeaders(b"Location", [None])[0]
        if location is not None:
            target = urljoin(self._base, location.decode("ascii", "replace"))
            if not target.startswith(self._base):
                raise UpstreamInvalidError("StackViz's dev server redirects to another server")
            rest = target.removeprefix(self._base)
            request.setHeader(b"Location", f"/s/{task_id}/{rest}".encode("ascii", "replace"))
        request.setResponseCode(response.code)
        for name in _ANSWERED:
            values = response.headers.getRawHeaders(name)
            if values:
                request.responseHeaders.setRawHeaders(name, values)
        length = response.headers.getRawHeaders(b"Content-Length")
        if length:
            request.responseHeaders.setRawHeaders(b"Content-Length", length)
        request.setHeader(b"Content-Security-Policy", STACKVIZ_POLICY)


class _Relay(Protocol):
    """Writes a body to a request at the pace of its client."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.done: Deferred[None] = Deferred(lambda _: self._drop())

    def connectionMade(self) -> None:
        self._request.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        self._request.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._request.channel is not None:
            self._request.unregisterProducer()
            if not reason.check(ResponseDone, PotentialDataLoss):
                cut(self._request)
        if not self.done.called:
            self.done.callback(None)

    def _drop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


class _Unwanted(Protocol):
    """Closes the connection of a body that nobody takes, which would else stay open, paused."""

    def connectionMade(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
