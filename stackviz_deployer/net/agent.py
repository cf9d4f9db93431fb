# SPDX-License-Identifier: Apache-2.0
"""The HTTP client below the Fetcher: treq over a guarded Agent that gives the bytes of the wire."""

from __future__ import annotations

from typing import Any, cast

from hyperlink import EncodedURL
from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, ITCPTransport
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.client import Agent, HTTPConnectionPool, _HTTP11ClientFactory
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from stackviz_deployer.errors import UpstreamInvalidError

MAX_HEAD = 192 << 10
"""Bytes that may come before the headers are complete (a first piece of the body included)."""


class CheckedURL(EncodedURL):
    """A URL for treq that stays as it was checked, to the byte.

    treq would write it anew (and its hyperlink stumbles over IPv6 addresses).
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def to_uri(self) -> CheckedURL:
        return self

    def to_text(self, with_password: bool = False) -> str:  # noqa: ARG002, FBT001, FBT002  # hyperlink's signature
        return self._text


class _BoundedProtocol(HTTP11ClientProtocol):
    """Gives up on a peer whose headers do not end: Twisted bounds one line, not their number."""

    _left: int | None = None
    _overrun = False

    def request(self, request: Request) -> Deferred[IResponse]:
        self._left = MAX_HEAD

        def came(result: Any) -> Any:
            self._left = None
            if self._overrun and isinstance(result, Failure):
                raise UpstreamInvalidError("its headers do not end")
            return result

        return cast("Deferred[IResponse]", super().request(request).addBoth(came))

    def dataReceived(self, data: bytes) -> None:
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                self._overrun = True
                cast(ITCPTransport, self.transport).abortConnection()  # TLS has it, too
                return
        super().dataReceived(data)


class _BoundedFactory(_HTTP11ClientFactory):
    noisy = False  # or two log lines for each connection

    def buildProtocol(self, addr: Any) -> _BoundedProtocol:  # noqa: ARG002  # Twisted's signature
        return _BoundedProtocol(self._quiescentCallback)


def connection_pool(reactor: IReactorTime, per_host: int) -> HTTPConnectionPool:
    """A pool of our own: treq's is shared by everyone who calls its functions."""
    pool = HTTPConnectionPool(reactor, persistent=True)
    pool._factory = _BoundedFactory  # noqa: SLF001  # documented there, and the only way in
    pool.maxPersistentPerHost = per_host
    pool.cachedConnectionTimeout = 4  # Apache closes after 5 s
    return pool


@implementer(IAgent)
class RawAgent:
    """Hides Content-Encoding from treq, so that bodies stay as they came, and cookies: we keep none."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        def hide(response: IResponse) -> IResponse:
            response.headers.removeHeader(b"Content-Encoding")
            response.headers.removeHeader(b"Set-Cookie")
            return response

        return self._agent.request(method, uri, headers, bodyProducer).addCallback(hide)


def raw_client(
    reactor: IReactorTime, endpoints: IAgentEndpointFactory, pool: HTTPConnectionPool
) -> HTTPClient:
    """A treq client that never decodes an answer; redirects are the caller's (allow_redirects=False)."""
    return HTTPClient(RawAgent(Agent.usingEndpointFactory(reactor, endpoints, pool)))
