# SPDX-License-Identifier: Apache-2.0
"""One request: its body's bound, the names it may ask for, and an answer at its client's pace."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from http.client import responses
from io import BytesIO
from typing import TYPE_CHECKING, TypeVar

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import NO_BODY_CODES, NOT_MODIFIED, OK, RESPONSES, datetimeToString
from twisted.web.server import Request
from zope.interface import implementer

from stackviz_deployer.errors import (
    HostUnknownError,
    InvalidRequestError,
    RequestTooLargeError,
    StackvizError,
)
from stackviz_deployer.interfaces import Intake
from stackviz_deployer.model import TaskId
from stackviz_deployer.trace import REQUEST, new_request_id
from stackviz_deployer.web import upload
from stackviz_deployer.web.channel import SLICE
from stackviz_deployer.web.coming import Valve
from stackviz_deployer.web.errors import cut, fail, fail_page
from stackviz_deployer.web.kept import MOST_BODY, Answer, Key
from stackviz_deployer.web.names import well_formed
from stackviz_deployer.web.plain import Plain
from stackviz_deployer.web.ready import Ready

if TYPE_CHECKING:
    from stackviz_deployer.web.channel import LimitedChannel

log = Logger()

T = TypeVar("T")

MAX_BODY = 64 * 1024
"""Bytes of a request's body; uploads have a bound of their own."""
UPLOAD_PACE = 1024
"""Bytes a second that an upload has to bring, on average over connections.slow_seconds."""

ALWAYS_LIVE = b"/health/live"
"""A load balancer asks it by an address that may not be ours; it says nothing."""


class LimitedRequest(Request):
    """A request with a bounded body, whose answer costs a slow reader's server no memory."""

    defaultContentType = b"text/plain; charset=utf-8"
    channel: LimitedChannel

    _received = 0
    _marked = 0
    _refused = False
    _intake: Intake | None = None
    _valve: Valve | None = None
    _deadline: IDelayedCall | None = None
    _rest: _Rest | None = None
    _finish_after_rest = False
    _began_s: float | None = None
    _request_id = ""
    _context: Context
    _answer_begun = False
    _plain: tuple[bytes, Plain] | None = None
    _generation = -1
    _held: Answer | None = None

    @property
    def request_id(self) -> str:
        """Ours alone, for the answer's X-Request-Id and every line in the log."""
        if not self._request_id:
            self._take_id(new_request_id())
        return self._request_id

    def _take_id(self, request_id: str) -> None:
        self._request_id = request_id
        self._context = copy_context()
        self._context.run(REQUEST.set, request_id)

    def as_own(self, call: Callable[..., T], *args: object) -> T:
        """``call(*args)`` in the context of this request (see trace.py)."""
        if REQUEST.get() == self.request_id:
            return call(*args)
        return self._context.run(call, *args)

    def gotLength(self, length: int | None) -> None:
        self.as_own(self._got_length, length)

    def _got_length(self, length: int | None) -> None:
        self.content = self._body = BytesIO()
        # Twisted tells a request its line only after its last byte; the channel has it already.
        self.method = self.channel._command  # noqa: SLF001
        self.path = self.channel._path.partition(b"?")[0]  # noqa: SLF001
        reception = self.channel.site.reception
        if reception.addressed(self.method, self.path):
            self._reception = reception
            self._valve = Valve(IPushProducer(self.transport), self.channel.site.clock)
            wrong_host = self._host_error()
            if wrong_host is not None:
                self._refuse(wrong_host)
                return
            try:
                # told from another request, or a thread's: the lines are of this one all the same
                refuse = partial(self.as_own, self._refuse)
                self._intake = reception.begin(self, self._valve, length, refuse)
            except StackvizError as error:
                self._refuse(error)
            else:
                self._deadline = self.channel.callLater(upload.WHOLE_S, partial(cut, self))
        elif length is not None and length > MAX_BODY:
            self._refuse(_too_large())

    def handleContentChunk(self, data: bytes) -> None:
        self.as_own(self._take_chunk, data)

    def _take_chunk(self, data: bytes) -> None:
        if self._refused:
            return
        self._received += len(data)
        if self._intake is not None:
            try:
                self._reception.check(self._received)
            except RequestTooLargeError as error:
                self._refuse(error)
            else:
                self._intake.write(data)
        elif self._received > MAX_BODY:
            self._refuse(_too_large())
        else:
            self._body.write(data)

    def keeps_up(self, span_s: float) -> bool:
        """Whether the body, an upload's, went on since this was asked last (or waits for our disk)."""
        if self._intake is None or self._valve is None:
            return False
        moved, self._marked = self._received - self._marked, self._received
        return self._valve.was_shut() or moved >= UPLOAD_PACE * span_s

    def take_intake(self) -> Intake | None:
        """See upload.Receiving."""
        intake, self._intake = self._intake, None
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        return intake

    def connectionLost(self, reason: Failure) -> None:
        self.drop_intake()
        if self._refused or self._began_s is not None:
            # A refused one was answered before it was whole, so it never gets to "finish"; and a
            # client that has everything may be gone before we do.
            length = self.responseHeaders.getRawHeaders(b"Content-Length", [b"-1"])[0]
            whole = self._refused or b"%d" % self.sentLength == length
            self.channel.site.answered(self, self._began_s, whole=whole)
        self._release()
        super().connectionLost(reason)

    def finish(self) -> None:
        if self._rest is not None:
            self._finish_after_rest = True
            return
        self._release()
        self.drop_intake()
        super().finish()

    def process(self) -> None:
        self._began_s = self.channel.site.clock.seconds()
        self._plain, self._generation = self.channel.plain, self.channel.site.kept.generation
        self.as_own(self._process)

    def _process(self) -> None:
        self._take_absolute_form()
        error = self._host_error()
        if error is not None and self.path != ALWAYS_LIVE:
            api = self.path.startswith(b"/api/")
            self.write((fail if api else fail_page)(self, error))
            self.finish()
        elif self.method == b"OPTIONS" and self._is_preflight():
            self.setResponseCode(204)
            self.setHeader(b"Access-Control-Allow-Methods", b"GET, HEAD, POST")
            self.setHeader(b"Access-Control-Allow-Headers", b"Content-Type")
            self.setHeader(b"Access-Control-Max-Age", b"600")
            self.finish()
        else:
            super().process()

    def allowed_origin(self) -> bytes | None:
        """The origin of the asking page, when ``cors`` lets it call the API."""
        cors = self.channel.site.cors
        if not cors or not self.path.startswith(b"/api/"):
            return None
        origins = self.requestHeaders.getRawHeaders(b"Origin", [])
        return origins[0] if len(origins) == 1 and origins[0] in cors else None

    def _is_preflight(self) -> bool:
        asked = self.requestHeaders.hasHeader(b"Access-Control-Request-Method")
        return asked and self.allowed_origin() is not None

    def _host_error(self) -> StackvizError | None:
        hosts = self.requestHeaders.getRawHeaders(b"Host", [])
        if not hosts:
            # HTTP/1.0 has none, and no browser speaks it
            return _no_host() if self.clientproto == b"HTTP/1.1" else None
        if len(hosts) > 1 or (hosts[0] != self.channel.accepted_host and not well_formed(hosts[0])):
            return _no_host()
        if hosts[0] != self.channel.accepted_host:
            if not self.channel.site.names.include(hosts[0], self.channel.getHost()):
                self.channel.site.meters.count("limit_hits", limit="hosts")
                return HostUnknownError(
                    "this server does not go by the name in the request's Host header;"
                    " its operator can add it to hosts in the configuration"
                )
            self.channel.accepted_host = hosts[0]
        return None

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        """As in Twisted, whose table of phrases is short of some (422)."""
        if message is None and code not in RESPONSES and code in responses:
            message = responses[code].encode("ascii")
        super().setResponseCode(code, message)

    def write(self, data: bytes) -> None:
        """As in Twisted; what is large goes out in slices, as the client takes them."""
        if not self.startedWriting:
            self._begin_answer()
        if self._rest is not None:
            self._rest.add(data)
        elif len(data) <= SLICE or self.producer is not None:
            super().write(data)
        else:
            bodiless = self.method == b"HEAD" or self.code in NO_BODY_CODES
            super().write(data[:SLICE])
            if not bodiless and not self._disconnected:
                self._send_rest(memoryview(data)[SLICE:])

    def _send_rest(self, data: memoryview) -> None:
        self._rest = _Rest(self, super().write)
        self._rest.add(data)
        self.registerProducer(self._rest, True)
        self._rest.resumeProducing()

    def rest_is_sent(self) -> None:
        """What was held back has gone."""
        self._rest = None
        if self.channel is not None:
            self.unregisterProducer()
            if self._finish_after_rest:
                self.finish()

    # What is answered to many alike: see kept.py.

    def may_share(self, body: int) -> bool:
        """See kept.may_share."""
        kept = self.channel.site.kept
        return self._plain is not None and body <= MOST_BODY and kept.has_room(body, self._generation)

    def share(self, body: bytes, task_id: TaskId | None, used: Callable[[], None] | None) -> bool:
        """See kept.share."""
        if self._plain is None or self.startedWriting or self.code not in (OK, NOT_MODIFIED):
            return False
        self._begin_answer()
        site, (path, plain) = self.channel.site, self._plain
        answer = Answer(
            etag=self.responseHeaders.getRawHeaders(b"ETag", [b""])[0],
            head=self.channel.lasting_head(b"%d" % self.code, self.code_message, self.responseHeaders),
            body=body,
            status=self.code,
            route=site.routes.of(path),
            task_id=task_id,
            used=used,
        )
        key = Key(path, plain.as_gzip, self.channel.secure, self.code == NOT_MODIFIED)
        if not site.kept.keep(key, answer, self._generation):
            return False
        self._hold(answer)
        return True

    def go_on(self, path: bytes, answer: Answer, rest: memoryview, began_s: float, request_id: str) -> None:
        """Send the ``rest`` of an answer that the channel has begun."""
        self.method, self.uri, self.path, self.clientproto = b"GET", path, path, b"HTTP/1.1"
        self._began_s = began_s
        self._take_id(request_id)
        size = len(answer.body)
        self.responseHeaders.setRawHeaders(b"Content-Length", [b"%d" % size])
        self.startedWriting, self.sentLength = 1, size - len(rest)
        self._hold(answer)
        self._finish_after_rest = True
        self._send_rest(rest)

    def _hold(self, answer: Answer) -> None:
        self.channel.site.kept.hold(answer)
        self._held = answer

    def _release(self) -> None:
        if self._held is not None:
            self.channel.site.kept.release(self._held)
            self._held = None

    def processingFailed(self, reason: Failure) -> Failure:
        """What no handler caught: logged, and answered without details."""
        self.as_own(self._answer_failed, reason)
        return reason

    def _answer_failed(self, reason: Failure) -> None:
        body = fail(self, reason)
        if self.channel is not None:
            self.write(body)
            self.finish()

    def _begin_answer(self) -> None:
        headers = self.responseHeaders
        if self.code == NOT_MODIFIED:
            # Twisted's is 0; a cache would take it for the length of what it holds (RFC 9110, 8.6)
            headers.removeHeader(b"Content-Length")
        if self._answer_begun:
            return
        self._answer_begun = True
        if self.channel.site.leaving:
            headers.setRawHeaders(b"Connection", [b"close"])
            self.channel.persistent = False
        headers.setRawHeaders(b"X-Request-Id", [self.request_id.encode("ascii")])
        if self.channel.site.cors and self.path.startswith(b"/api/"):
            varies = headers.getRawHeaders(b"Vary", [])
            headers.setRawHeaders(b"Vary", [b", ".join((*varies, b"Origin"))])
            origin = self.allowed_origin()
            if origin is not None:
                headers.setRawHeaders(b"Access-Control-Allow-Origin", [origin])
                headers.setRawHeaders(b"Access-Control-Expose-Headers", [b"Retry-After, X-Request-Id"])
        headers.removeHeader(b"Server")  # the channel's
        if not headers.hasHeader(b"Date"):
            headers.setRawHeaders(b"Date", [datetimeToString()])

    def _take_absolute_form(self) -> None:
        """``GET http://host/path`` means ``/path`` at ``host`` (RFC 9112, 3.2.2)."""
        scheme, mark, rest = self.path.partition(b"://")
        if mark and scheme.lower() in (b"http", b"https"):
            authority, _, tail = rest.partition(b"/")
            self.path = b"/" + tail
            self.requestHeaders.setRawHeaders(b"Host", [authority])

    def drop_intake(self) -> None:
        """Nobody took the body: it is not whole, or was refused."""
        intake = self.take_intake()
        if intake is not None:
            intake.abandon()

    def _refuse(self, error: StackvizError) -> None:
        """Answer at once, whatever of the body is still to come."""
        self._refused = True
        self.drop_intake()
        site = self.channel.site
        if isinstance(error, RequestTooLargeError):
            sent = site.reception.addressed(self.method, self.path)
            site.meters.count("limit_hits", limit="limits.upload_bytes" if sent else "request_body")
        log.debug("a body was refused: {code}", code=error.code)
        self.requestHeaders.removeHeader(b"Expect")  # or the channel would ask for the body
        self.clientproto = b"HTTP/1.1"
        body = fail(self, error)
        self.setHeader(b"Connection", b"close")
        self.write(body)
        self.channel.linger()


@implementer(IPushProducer)
class _Rest(Ready):
    """The rest of a body that lies in memory, once for all who are sent it."""

    def __init__(self, request: LimitedRequest, write: Callable[[bytes], None]) -> None:
        self._request = request
        self._write = write
        self._views: deque[memoryview] = deque()
        self._flowing = False

    def add(self, data: bytes | memoryview) -> None:
        self._views.append(memoryview(data))

    def resumeProducing(self) -> None:
        self._flowing = True
        while self._flowing and self._views:
            view = self._views.popleft()
            if len(view) > SLICE:
                self._views.appendleft(view[SLICE:])
            self._write(bytes(view[:SLICE]))
        if not self._views:
            self._flowing = False
            self._request.rest_is_sent()

    def pauseProducing(self) -> None:
        self._flowing = False

    def stopProducing(self) -> None:
        self._flowing = False
        self._views.clear()


def _no_host() -> InvalidRequestError:
    return InvalidRequestError("the Host header is not one host name")


def _too_large() -> RequestTooLargeError:
    return RequestTooLargeError(f"a request's body may have {MAX_BODY} bytes")
