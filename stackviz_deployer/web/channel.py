# SPDX-License-Identifier: Apache-2.0
"""One connection: its head, its deadlines and its pace, under limits that Twisted does not have.

``connections.slow_seconds`` is the measure of all: a head has so long to come in whole, and so
has an ordinary body; an upload must go on in each such span; a reader must take something of
what waits for it; and what is left when a connection closes must be gone.  Every refusal is
ours, with our headers, and its client gets to read it.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, datetimeToString
from twisted.web.http_headers import Headers
from zope.interface import implementer

from stackviz_deployer.trace import REQUEST, new_request_id
from stackviz_deployer.web.headers import POLICY, refusal, standing
from stackviz_deployer.web.kept import Key
from stackviz_deployer.web.plain import Plain, read
from stackviz_deployer.web.ready import Endless, Ready

if TYPE_CHECKING:
    from stackviz_deployer.web.request import LimitedRequest
    from stackviz_deployer.web.site import DeployerSite

log = Logger()

MAX_HEAD = 16 * 1024
"""Bytes of a request's line and headers together; a line of its own over it is a URL too long."""
MAX_FIELDS = 100
IDLE_S = 60.0
"""Between two requests; longer than the time that usual proxies keep theirs (nginx: 60 s) is of no use."""
LINGER_S = 5.0
"""A refused client may go on sending for so long, and ...."""
MAX_DRAINED = 4 << 20
""".... so many bytes, so that it gets to read the refusal (a close with unread bytes is a reset)."""
MAX_LENGTH_DIGITS = 18
SLICE = 64 * 1024
"""Bytes of a body in memory that are handed to a transport at a time."""

_STANDING = {
    (secure, policy): standing(secure=secure, policy=policy) + b"\r\n"
    for secure in (False, True)
    for policy in (False, True)
}


@implementer(IHalfCloseableProtocol)
class LimitedChannel(HTTPChannel):
    """HTTP/1.1 of one client."""

    MAX_LENGTH = MAX_HEAD
    totalHeadersSize = MAX_HEAD
    maxHeaders = MAX_FIELDS

    site: DeployerSite
    transport: Any  # TCP's or TLS's: more than ITransport
    peer: str | None = None
    """Whose share of the connections this one is; None: nobody's."""
    accepted_host: bytes | None = None
    """The Host header that was good for an earlier request."""
    plain: tuple[bytes, Plain] | None = None
    """The path and the fields of the request that comes in just now, if it is a plain one (plain.py)."""

    _in_head = False
    _idle = False
    _over = False
    _heard_all = False
    _drained = 0
    _stalled: IDelayedCall | None = None
    _counted = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self._counted = True
        self.site.channels.add(self)
        self.site.places.take(self.peer)
        self.secure = ISSLTransport.providedBy(self.transport)
        self._socket = None if self.secure else getattr(self.transport, "socket", None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._over = True
        self._watch_reader(on=False)
        self.site.gone(self)
        if self._counted:
            self._counted = False
            self.site.places.leave(self.peer)
        super().connectionLost(reason)

    # What comes in.

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            self._drained += len(data)
            if self._drained > MAX_DRAINED:
                self.transport.abortConnection()
            return
        if self._may_be_short and not (self.requests or self._in_head or self._buffer or self.paused):
            self.plain = read(data)
            if self.plain is not None and self._answer_at_once(*self.plain):
                self.plain = None
                return
        if self._idle and data:
            self._begin()
        # past HTTPChannel's own, which grants more time for every byte
        LineReceiver.dataReceived(self, data)
        self.plain = None

    @property
    def _may_be_short(self) -> bool:
        """Whether an answer needs no request of its own: it says what all say (kept.py)."""
        return bool(self.persistent) and not self.site.leaving

    @property
    def quiet(self) -> bool:
        """Nothing of a request has come in that is not answered."""
        return self._idle or not (self._in_head or self.requests or self._buffer)

    def end_streams(self) -> None:
        """What has no end of its own ends now; its client comes again, to somebody else."""
        for request in self.requests:
            if isinstance(request.producer, Endless):
                request.producer.leave()

    def lineReceived(self, line: bytes) -> None:
        if self._over:
            return
        if self._receivedHeaderSize + len(line) > MAX_HEAD:
            self._refuse_long()
            return
        if self._in_head and line[:1] in (b" ", b"\t"):
            self.turn_away(400, "invalid-request", "a header field may not go on in a second line")
            return
        if line and not self._in_head:
            self._begin()
            self._in_head = True
        super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002  # Twisted's
        self._refuse_long()

    def headerReceived(self, line: bytes) -> bool:
        if self._over:
            return False
        if self._receivedHeaderCount >= MAX_FIELDS:
            self.site.meters.count("limit_hits", limit="request_head")
            self.turn_away(431, "head-too-large", f"a request may have {MAX_FIELDS} header fields")
            return False
        return bool(super().headerReceived(line))

    def _maybeChooseTransferDecoder(self, header: bytes, data: bytes) -> bool:
        # Lengths on which a proxy before us might think otherwise: Twisted lets "identity" pass, and
        # chunks in HTTP/1.0; and Python's int() gives up on too many digits.
        doubtful = (
            self._version != b"HTTP/1.1" or data.lower() != b"chunked"
            if header == b"Transfer-Encoding"
            else header == b"Content-Length" and len(data) > MAX_LENGTH_DIGITS
        )
        if doubtful:
            return bool(self._failChooseTransferDecoder())
        return bool(super()._maybeChooseTransferDecoder(header, data))

    def allHeadersReceived(self) -> None:
        self._in_head = False
        if self.length != 0:
            self.setTimeout(self.site.slow_s)  # anew, for the body
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if not self._over:
            super().allContentReceived()

    def rawDataReceived(self, data: bytes) -> None:
        if not self._over:
            super().rawDataReceived(data)

    def requestDone(self, request: LimitedRequest) -> None:
        super().requestDone(request)
        if not self.persistent or self._handlingRequest or self._over:
            return
        if self._heard_all or self.site.leaving:
            self.loseConnection()
        elif not self._in_head:
            self._wait_for_next()

    def _wait_for_next(self) -> None:
        self._idle = True
        self.site.idle.pop(self, None)  # the last of them, for it was in use just now
        self.site.idle[self] = None
        self.setTimeout(IDLE_S)

    def _begin(self) -> None:
        """The time of a request's head runs from its first byte."""
        if self._idle:
            self._idle = False
            self.site.idle.pop(self, None)
            self.setTimeout(self.site.slow_s)

    # What goes out.

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        self.transport.writeSequence(self._head(version, code, reason, headers))

    def _head(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> list[bytes]:
        lines = [version, b" ", code, b" ", reason, b"\r\n"]
        for name, values in headers.getAllRawHeaders():
            for value in values:
                lines += (name, b": ", value, b"\r\n")
        lines.append(_STANDING[self.secure, not headers.hasHeader(POLICY)])
        return lines

    def lasting_head(self, code: bytes, reason: bytes, headers: Headers) -> bytes:
        """A head without what differs each time, and without its end: see kept.Answer."""
        lasting = headers.copy()
        for name in (b"Date", b"X-Request-Id"):
            lasting.removeHeader(name)
        return b"".join(self._head(b"HTTP/1.1", code, reason, lasting)).removesuffix(b"\r\n")

    def _answer_at_once(self, path: bytes, plain: Plain) -> bool:
        """Answer a plain request that was answered before, if that answer is kept.

        Neither a request nor its headers are made: they cost four times what sending does.
        """
        site = self.site
        answer = site.kept.find(Key(path, plain.as_gzip, self.secure, plain.has is not None))
        if (
            answer is None
            or plain.host != self.accepted_host
            or (plain.has is not None and not plain.has_already(answer.etag))
            or site.access_log != "off"
            # what was written before has to go first
            or (self._socket is not None and (self.transport.dataBuffer or self.transport._tempDataBuffer))  # noqa: SLF001
        ):
            return False
        began_s = site.clock.seconds()
        request_id = new_request_id()
        head = b"%sDate: %s\r\nX-Request-Id: %s\r\n\r\n" % (
            answer.head,
            datetimeToString(),
            request_id.encode("ascii"),
        )
        if answer.used is not None:
            answer.used()
        rest = self._send(head, answer.body)
        if rest is None:
            site.counted(answer.route, answer.status, len(answer.body), began_s)
            self._wait_for_next()
        else:
            self._begin()  # or it would pass for one that can go, and what comes next for its head
            self._begin_rest().go_on(path, answer, rest, began_s, request_id)
        return True

    def _send(self, head: bytes, body: bytes) -> memoryview | None:
        """Write both, past the transport's buffer, which would copy them; what does not fit is returned."""
        sent = 0
        if self._socket is not None:
            # full, or broken: of either the transport will hear
            with suppress(OSError):
                sent = self._socket.sendmsg((head, body))
        if sent == len(head) + len(body):
            return None
        rest = memoryview(body)[max(sent - len(head), 0) :]
        fits = len(rest) <= SLICE
        self.transport.writeSequence((head[sent:], bytes(rest) if fits else b""))
        return None if fits else rest

    def _begin_rest(self) -> LimitedRequest:
        """A request in the state in which its answer has begun (see HTTPChannel.allContentReceived)."""
        request = cast("LimitedRequest", self.requestFactory(self))
        self.requests.append(request)
        self._savedTimeOut = self.setTimeout(None)
        self._handlingRequest = True
        self.setRawMode()
        return request

    def pauseProducing(self) -> None:
        """The client does not keep up: nothing more is made for it, nor heard from it."""
        super().pauseProducing()
        self.paused = True  # LineReceiver's: or all pipelined requests that have come would be answered
        self._networkProducer.pauseProducing()
        self._watch_reader(on=True)

    def resumeProducing(self) -> None:
        self._watch_reader(on=False)
        self.paused = False
        super().resumeProducing()
        if self.paused:
            # What was resumed filled the buffer again at once; Twisted, or we, would now listen to a
            # client of whom nothing is read, and LineReceiver keeps without a bound what comes then.
            self._networkProducer.pauseProducing()
            return
        if self._handlingRequest and sum(map(len, self._dataBuffer)) <= self._optimisticEagerReadSize:
            self._networkProducer.resumeProducing()
        if self._buffer:
            LineReceiver.dataReceived(self, b"")

    def loseConnection(self) -> None:
        super().loseConnection()
        self._watch_reader(on=False)
        if self._abortingCall is None:
            self._abortingCall = self.callLater(self.site.slow_s, self.forceAbortClient)

    def _watch_reader(self, *, on: bool) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        if on and not self._over:
            self._stalled = self.callLater(self.site.slow_s, self._reader_stalled)

    def _reader_stalled(self) -> None:
        self._stalled = None
        self.forceAbortClient()

    # The end.

    def readConnectionLost(self) -> None:
        """Nothing more comes: the client has closed its half (RFC 9293, 3.6), or all.

        Which of the two only writing tells.  So what it was answered is still sent, and an answer
        that lies ready goes on; what works for an answer is given up, as when it is gone for sure.
        """
        self._heard_all = True
        if self._over:
            self.transport.loseConnection()
        elif not (self.requests and isinstance(self.requests[0].producer, Ready)):
            self.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our half is closed, by ``linger``."""

    def timeoutConnection(self) -> None:
        if self._over:
            self.transport.abortConnection()
        elif self.quiet:
            self.loseConnection()
        elif self.requests and cast("LimitedRequest", self.requests[-1]).keeps_up(self.site.slow_s):
            self.setTimeout(self.site.slow_s)
        else:
            self.site.meters.count("limit_hits", limit="connections.slow_seconds")
            self.turn_away(408, "too-slow", "the request did not come in in time; send it again")

    def forceAbortClient(self) -> None:
        """What was written is not taken."""
        self._abortingCall = None
        self.site.meters.count("limit_hits", limit="connections.slow_seconds")
        log.debug("dropped a client that read nothing: {peer}", peer=self.peer)
        self.transport.abortConnection()

    def turn_away(self, status: int, code: str, message: str) -> None:
        """Answer what is no request (yet), and close."""
        if self._over:
            return
        begun = cast("list[LimitedRequest]", self.requests[-1:])
        request_id = begun[0].request_id if begun else new_request_id()
        context = copy_context()
        context.run(REQUEST.set, request_id)
        context.run(log.debug, "{peer} was turned away: {code}", peer=self.peer, code=code)
        self.transport.write(refusal(status, code, message, secure=self.secure, request_id=request_id))
        self.linger()

    def linger(self) -> None:
        """All is said; what still comes is dropped, and then the connection."""
        if self._over:
            return
        self._over = True
        self._watch_reader(on=False)
        self.clearLineBuffer()
        for request in cast("list[LimitedRequest]", self.requests):
            request.drop_intake()
        self._networkProducer.resumeProducing()
        # our half alone is nothing that Twisted can close over TLS
        half: Any = None if self.secure else ITCPTransport(self.transport, None)
        if half is not None:
            half.unregisterProducer()
            half.loseWriteConnection()
        else:
            self.loseConnection()
        self.setTimeout(LINGER_S)

    def _refuse_long(self) -> None:
        if self._in_head:
            self.turn_away(431, "head-too-large", f"a request's head may have {MAX_HEAD} bytes")
        else:
            self.turn_away(414, "uri-too-long", f"an address may have {MAX_HEAD} bytes")
        self.site.meters.count("limit_hits", limit="request_head")

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.turn_away(400, "invalid-request", "this is no valid request (RFC 9112)")


class TurnedAway(Protocol):
    """A connection over the limit: it is told so, if that costs nothing, and closed."""

    def __init__(self, message: str) -> None:
        self._message = message

    def connectionMade(self) -> None:
        transport: Any = self.transport
        if ISSLTransport.providedBy(transport):
            transport.abortConnection()  # a handshake is what an attacker would like us to pay for
            return
        answer = refusal(
            503,
            "too-many-connections",
            self._message,
            secure=False,
            request_id=new_request_id(),
            retry_after_s=10,
        )
        transport.write(answer)
        transport.loseConnection()
