# SPDX-License-Identifier: Apache-2.0
"""The site: what every request and every answer go through, and where everything is mounted."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from http.client import responses
from io import BytesIO
from pathlib import Path
from typing import Literal, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTCP, IReactorTime, ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http import NOT_MODIFIED, RESPONSES, datetimeToString
from twisted.web.http import Request as HTTPRequest
from twisted.web.iweb import IAgent
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site

from stackviz_deployer.errors import InvalidRequestError, NotFoundError, RequestTooLargeError, StackvizError
from stackviz_deployer.interfaces import Intake, Meters, NoMeters, Tasks
from stackviz_deployer.trace import REQUEST, new_request_id
from stackviz_deployer.web import upload
from stackviz_deployer.web.api import Api
from stackviz_deployer.web.errors import cut, fail
from stackviz_deployer.web.health import Health
from stackviz_deployer.web.pages import ErrorPage, FilePage, public_page
from stackviz_deployer.web.proxy import StackvizProxy
from stackviz_deployer.web.routes import Routes
from stackviz_deployer.web.stackviz import BuiltInViewer, Sites, StackvizBuild, Viewer
from stackviz_deployer.web.static import StaticFile, StaticTree
from stackviz_deployer.web.upload import Reception

log = Logger()

T = TypeVar("T")

MAX_BODY = 64 * 1024
"""Bytes of a request's body; uploads have a bound of their own."""
MAX_DRAINED = 4 << 20
"""Bytes of a refused body that are read and dropped, so that its client gets to read the refusal."""
IDLE_S = 60.0

PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    b"require-trusted-types-for 'script'; trusted-types app"
)

# On every answer; a resource that needs another value sets its own.
ALWAYS = (
    (b"Content-Security-Policy", PAGE_POLICY),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"same-origin"),
    (
        b"Permissions-Policy",
        b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
)

ROBOTS = b"User-agent: *\nDisallow: /\n"

# The original's API server had no prefix, and its examples are written so.
UNPREFIXED = frozenset({b"list", b"scrape", b"status", b"task", b"blob"})

_HOST = re.compile(
    rb"(?:(?!.{254})[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?"
)


class LimitedRequest(Request):
    """A request with a bounded body, and an answer with our headers whoever wrote it."""

    defaultContentType = b"text/plain; charset=utf-8"

    _received = 0
    _drained = 0
    _refused = False
    _intake: Intake | None = None
    _deadline: IDelayedCall | None = None
    _began_s: float | None = None
    _request_id = ""
    _context: Context

    @property
    def request_id(self) -> str:
        """Ours alone, for the answer's X-Request-Id and every line in the log."""
        if not self._request_id:
            self._request_id = new_request_id()
            self._context = copy_context()
            self._context.run(REQUEST.set, self._request_id)
        return self._request_id

    def as_own(self, call: Callable[..., T], *args: object) -> T:
        """``call(*args)`` in the context of this request (see trace.py)."""
        if REQUEST.get() == self.request_id:
            return call(*args)
        return self._context.run(call, *args)

    def gotLength(self, length: int | None) -> None:
        self.as_own(self._got_length, length)

    def _got_length(self, length: int | None) -> None:
        self.content = self._body = BytesIO()
        site = getattr(self.channel, "site", None)
        # Twisted tells a request its line only after its last byte; the channel has it already.
        self.method = self.channel._command  # noqa: SLF001
        self.path = self.channel._path.partition(b"?")[0]  # noqa: SLF001
        if isinstance(site, DeployerSite) and site.reception.addressed(self.method, self.path):
            self._reception = site.reception
            try:
                self._intake = site.reception.begin(self, length, self._refuse)
            except StackvizError as error:
                self._refuse(error)
            else:
                self._deadline = self.channel.callLater(upload.WHOLE_S, partial(cut, self))
        elif length is not None and length > MAX_BODY:
            self._refuse(_too_large())

    def handleContentChunk(self, data: bytes) -> None:
        self.as_own(self._take_chunk, data)

    def _take_chunk(self, data: bytes) -> None:
        self._received += len(data)
        if self._refused:
            self._drained += len(data)
            if self._drained > MAX_DRAINED:
                cut(self)
        elif self._intake is not None:
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

    def take_intake(self) -> Intake | None:
        """See upload.Receiving."""
        intake, self._intake = self._intake, None
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        return intake

    def connectionLost(self, reason: Failure) -> None:
        self._drop_intake()
        site = getattr(self.channel, "site", None)
        if isinstance(site, DeployerSite) and (self._refused or self._began_s is not None):
            # A refused one was answered before it was whole, so it never gets to "finish"; and a
            # client that has everything may be gone before we do.
            length = self.responseHeaders.getRawHeaders(b"Content-Length", [b"-1"])[0]
            whole = self._refused or b"%d" % self.sentLength == length
            site.answered(self, self._began_s, whole=whole)
        super().connectionLost(reason)

    def finish(self) -> None:
        self._drop_intake()
        super().finish()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if self._refused:
            self.loseConnection()
        else:
            super().requestReceived(command, path, version)

    def process(self) -> None:
        site = getattr(self.channel, "site", None)
        if isinstance(site, DeployerSite):
            self._began_s = site.clock.seconds()
        self.as_own(self._process)

    def _process(self) -> None:
        self._take_absolute_form()
        hosts = self.requestHeaders.getRawHeaders(b"Host", [])
        missing = not hosts and self.clientproto == b"HTTP/1.1"
        if missing or len(hosts) > 1 or not all(map(_HOST.fullmatch, hosts)):
            body = fail(self, InvalidRequestError("the Host header is not one host name"))
            self.write(body)
            self.finish()
            return
        super().process()

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        """As in Twisted, whose table of phrases is short of some (422)."""
        if message is None and code not in RESPONSES and code in responses:
            message = responses[code].encode("ascii")
        super().setResponseCode(code, message)

    def write(self, data: bytes) -> None:
        if not self.startedWriting:
            if self.code == NOT_MODIFIED:
                # Twisted's is 0; a cache would take it for the length of what it holds (RFC 9110, 8.6)
                self.responseHeaders.removeHeader(b"Content-Length")
            for name, value in ALWAYS:
                if not self.responseHeaders.hasHeader(name):
                    self.setHeader(name, value)
            self.setHeader(b"X-Request-Id", self.request_id.encode("ascii"))
            self.setHeader(b"Server", b"stackviz-deployer")
            self.setHeader(b"Date", datetimeToString())
        super().write(data)

    def processingFailed(self, reason: Failure) -> Failure:
        """What no handler caught: logged, and answered without details."""
        self.as_own(self._answer_failed, reason)
        return reason

    def _answer_failed(self, reason: Failure) -> None:
        body = fail(self, reason)
        if self.channel is not None:
            self.write(body)
            self.finish()

    def _take_absolute_form(self) -> None:
        """``GET http://host/path`` means ``/path`` at ``host`` (RFC 9112, 3.2.2)."""
        scheme, mark, rest = self.path.partition(b"://")
        if mark and scheme.lower() in (b"http", b"https"):
            authority, _, tail = rest.partition(b"/")
            self.path = b"/" + tail
            self.requestHeaders.setRawHeaders(b"Host", [authority])

    def _drop_intake(self) -> None:
        """Nobody took the body: it is not whole, or was refused."""
        intake = self.take_intake()
        if intake is not None:
            intake.abandon()

    def _refuse(self, error: StackvizError) -> None:
        """Answer at once, whatever of the body is still to come."""
        self._refused = True
        self._drop_intake()
        site = getattr(self.channel, "site", None)
        if isinstance(error, RequestTooLargeError) and isinstance(site, DeployerSite):
            sent = site.reception.addressed(self.method, self.path)
            site.meters.count("limit_hits", limit="limits.upload_bytes" if sent else "request_body")
        log.info("a body was refused: {code}", code=error.code)
        self.requestHeaders.removeHeader(b"Expect")  # or the channel would ask for the body
        self.clientproto = b"HTTP/1.1"
        body = fail(self, error)
        self.setHeader(b"Connection", b"close")
        self.write(body)
        if ITCPTransport.providedBy(self.transport) and not self.isSecure():
            # a close with unread bytes would be a reset, and the client might never see the answer
            self.transport.loseWriteConnection()
        else:
            self.loseConnection()


class Root(Resource):
    """Mounts everything by the first piece of the path."""

    def __init__(self, *, api: Api, health: Health, sites: Sites, public: StaticTree) -> None:
        super().__init__()
        self._api = api.app.resource()
        self._health = health.app.resource()
        self._sites = sites
        self._public = public
        self._go = FilePage(public.get("go.html"))
        self._robots = FilePage(StaticFile.of(ROBOTS, "text/plain; charset=utf-8"))

    def getChild(self, path: bytes, request: Request) -> IResource:
        rest = request.postpath or []
        if path == b"api":
            return _if_text(self._api, request)
        if path in UNPREFIXED or path == b"health":
            request.prepath, request.postpath = [], [path, *rest]
            return _if_text(self._health if path == b"health" else self._api, request)
        if path == b"s":
            return self._sites
        if path == b"go":
            return self._go
        if path == b"robots.txt" and not rest:
            return self._robots
        return public_page(self._public, [path, *rest])


def _too_large() -> RequestTooLargeError:
    return RequestTooLargeError(f"a request's body may have {MAX_BODY} bytes")


def _if_text(resource: IResource, request: Request) -> IResource:
    """``resource``, unless the path is not UTF-8 (Klein would log a traceback for each such request)."""
    try:
        b"/".join(request.postpath or []).decode("utf-8")
    except UnicodeDecodeError:
        return ErrorPage(NotFoundError("there is nothing at this address"))
    return resource


AccessLog = Literal["off", "routes", "full"]


class DeployerSite(Site):
    """The factory of the listening ports."""

    noisy = False
    reception: Reception
    clock: IReactorTime
    routes: Routes
    meters: Meters
    access_log: AccessLog = "off"

    def log(self, request: HTTPRequest) -> None:
        """An answer is whole."""
        self.answered(request, getattr(request, "_began_s", None), whole=True)

    def answered(self, request: HTTPRequest, began_s: float | None, *, whole: bool) -> None:
        """Count it, and tell it where that is wanted."""
        # A refused body's request has no path of its own yet, only its line's.
        route = self.routes.of(request.path or b"")
        status = f"{request.code // 100}xx" if whole else "cut"
        seconds = 0.0 if began_s is None else self.clock.seconds() - began_s
        self.meters.count("requests", route=route, status=status)
        if began_s is not None:
            self.meters.observe("request_seconds", seconds, route=route)
        self.meters.count("served_bytes", request.sentLength, route=route)
        if self.access_log != "off" and isinstance(request, LimitedRequest):
            request.as_own(self._tell, request, route, status, seconds)

    def _tell(self, request: HTTPRequest, route: str, status: str, seconds: float) -> None:
        facts = {
            "method": request.method.decode("ascii", "replace"),
            "route": route,
            "status": status if status == "cut" else request.code,
            "size": request.sentLength,
            "ms": round(seconds * 1000, 1),
        }
        if self.access_log == "full":
            facts["peer"] = getattr(request.getClientAddress(), "host", "-")
            facts["path"] = request.path.decode("ascii", "backslashreplace")
            log.info("{peer} {method} {path} {status} {size} bytes in {ms} ms", **facts)
        else:
            log.info("{method} {route} {status} {size} bytes in {ms} ms", **facts)


def make_site(
    *,
    api: Api,
    health: Health,
    tasks: Tasks,
    reception: Reception,
    public: Path,
    stackviz: str | None,
    reactor: IReactorTime,
    agent: IAgent | None = None,
    meters: Meters | None = None,
    access_log: AccessLog = "off",
) -> DeployerSite:
    """The whole site, to be given to an endpoint's ``listen``; files are read here, once, blocking.

    ``public`` is the directory of our pages (``static.packaged_public()``).  ``stackviz`` is
    a StackViz build directory, the ``http://`` address of its dev server, or None for the
    built-in viewer.  ``agent`` asks the dev server (default: one of the reactor's own).
    Raises ConfigError when a directory cannot be used.
    """
    pages = StaticTree.load(public)
    viewer: Viewer
    if stackviz is None:
        viewer = BuiltInViewer(pages)
    elif stackviz.startswith(("http://", "https://")):
        viewer = StackvizProxy(stackviz, agent or _agent(reactor), reactor)
    else:
        viewer = StackvizBuild(StaticTree.load(Path(stackviz)))
    root = Root(api=api, health=health, sites=Sites(tasks=tasks, public=pages, viewer=viewer), public=pages)
    site = DeployerSite(
        root,
        requestFactory=LimitedRequest,
        parsePOSTFormSubmission=False,
        timeout=IDLE_S,
        reactor=reactor,
    )
    site.reception = reception
    site.clock, site.meters, site.access_log = reactor, meters or NoMeters(), access_log
    site.routes = Routes(api.app.url_map, health.app.url_map, UNPREFIXED)
    return site


def _agent(reactor: IReactorTime) -> IAgent:
    if not IReactorTCP.providedBy(reactor):
        raise TypeError("the reactor cannot connect")
    return Agent(reactor, connectTimeout=5.0, pool=HTTPConnectionPool(reactor))
