# SPDX-License-Identifier: Apache-2.0
"""The site: what every request and every answer go through, and where everything is mounted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTCP, IReactorTime
from twisted.logger import Logger
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http import Request as HTTPRequest
from twisted.web.iweb import IAgent
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site
from werkzeug.routing import Map

from stackviz_deployer.errors import NotFoundError
from stackviz_deployer.interfaces import Meters, NoMeters, Tasks
from stackviz_deployer.settings import Connections
from stackviz_deployer.web.admin import AdminApi
from stackviz_deployer.web.api import Api
from stackviz_deployer.web.channel import LimitedChannel, TurnedAway
from stackviz_deployer.web.clients import Clients
from stackviz_deployer.web.health import Health
from stackviz_deployer.web.kept import Kept
from stackviz_deployer.web.names import Names
from stackviz_deployer.web.pages import ErrorPage, FilePage, public_page
from stackviz_deployer.web.places import Places
from stackviz_deployer.web.proxy import StackvizProxy
from stackviz_deployer.web.request import LimitedRequest
from stackviz_deployer.web.routes import Routes
from stackviz_deployer.web.stackviz import BuiltInViewer, Sites, StackvizBuild, Viewer
from stackviz_deployer.web.static import StaticFile, StaticTree
from stackviz_deployer.web.upload import Reception

log = Logger()

ROBOTS = b"User-agent: *\nDisallow: /\n"

# The original's API server had no prefix, and its examples are written so.
UNPREFIXED = frozenset({b"list", b"scrape", b"status", b"task", b"blob"})

_TURNED_AWAY = {
    "total": ("connections.total", "this server has as many connections as it takes; try again later"),
    "client": (
        "connections.client",
        "your address holds as many connections as one may; close some, or try again later",
    ),
}


class Root(Resource):
    """Mounts everything by the first piece of the path."""

    def __init__(
        self, *, api: Api, admin: AdminApi | None, health: Health, sites: Sites, public: StaticTree
    ) -> None:
        super().__init__()
        self._api = api.app.resource()
        self._admin = None if admin is None else admin.app.resource()
        self._health = health.app.resource()
        self._sites = sites
        self._public = public
        # its addresses are without number: each is made anew
        self._go = FilePage(public.get("go.html"), shared=False)
        self._robots = FilePage(StaticFile.of(ROBOTS, "text/plain; charset=utf-8"))

    def getChild(self, path: bytes, request: Request) -> IResource:
        rest = request.postpath or []
        if path == b"api" and self._admin is not None and rest[:1] == [b"admin"]:
            request.prepath, request.postpath = [path, rest[0]], rest[1:]
            return _if_text(self._admin, request)
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


class HealthAlone(Resource):
    """What a node answers that only works on tasks."""

    def __init__(self, health: Health) -> None:
        super().__init__()
        self._health = health.app.resource()

    def getChild(self, path: bytes, request: Request) -> IResource:
        if path != b"health":
            error = NotFoundError("this node works on tasks; other nodes serve pages and the API")
            return ErrorPage(error, for_people=request.method in (b"GET", b"HEAD") and path != b"api")
        request.prepath, request.postpath = [], [path, *(request.postpath or [])]
        return _if_text(self._health, request)


def _if_text(resource: IResource, request: Request) -> IResource:
    """``resource``, unless the path is not UTF-8 (Klein would log a traceback for each such request)."""
    try:
        b"/".join(request.postpath or []).decode("utf-8")
    except UnicodeDecodeError:
        return ErrorPage(NotFoundError("there is nothing at this address"))
    return resource


AccessLog = Literal["off", "routes", "full"]


class DeployerSite(Site):
    """The factory of the listening ports, and what their connections share."""

    noisy = False
    protocol = LimitedChannel  # type: ignore[assignment]  # Twisted means a proxy of HTTP/1 and HTTP/2

    def __init__(
        self,
        root: IResource,
        *,
        reception: Reception,
        clients: Clients,
        connections: Connections,
        names: Names,
        cors: Sequence[str],
        kept: Kept,
        routes: Routes,
        meters: Meters,
        access_log: AccessLog,
        clock: IReactorTime,
    ) -> None:
        """``connections`` bounds all that listen for this site together."""
        self.slow_s = connections.slow_seconds
        super().__init__(
            root,
            requestFactory=LimitedRequest,
            parsePOSTFormSubmission=False,
            timeout=self.slow_s,
            reactor=clock,
        )
        self.reception = reception
        self.clients = clients
        self.names = names
        self.kept = kept
        self.cors = frozenset(origin.encode("ascii") for origin in cors)
        self.routes = routes
        self.meters = meters
        self.access_log = access_log
        self.clock = clock
        self.places = Places(connections.total, connections.client)
        self.channels: set[LimitedChannel] = set()
        """All connections."""
        self.idle: dict[LimitedChannel, None] = {}
        """Those between two requests, the longest first."""
        self.leaving = False
        """Each answer is its connection's last (see leaving.py)."""
        self.empty: Deferred[None] | None = None
        """Fires when the last connection has gone."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        peer = self.clients.of_connection(addr)
        full = self.places.full(peer)
        if full == "total" and self._make_room():
            full = None
        if full is not None:
            limit, message = _TURNED_AWAY[full]
            self.meters.count("limit_hits", limit=limit)
            return TurnedAway(message)
        channel: Any = super().buildProtocol(addr)
        channel.peer = peer
        return channel

    def gone(self, channel: LimitedChannel) -> None:
        """A connection is closed."""
        self.idle.pop(channel, None)
        self.channels.discard(channel)
        if self.empty is not None and not self.channels:
            empty, self.empty = self.empty, None
            empty.callback(None)

    def _make_room(self) -> bool:
        """Who waits goes before who keeps a connection for later: its client opens another, unasked."""
        longest = next(iter(self.idle), None)
        if longest is None:
            return False
        del self.idle[longest]
        longest.transport.abortConnection()
        return True

    def acceptableProtocols(self) -> list[bytes]:
        """HTTP/2 would come past all that the channel does, were its package installed."""
        return [b"http/1.1"]

    def log(self, request: HTTPRequest) -> None:
        """An answer is whole."""
        self.answered(request, getattr(request, "_began_s", None), whole=True)

    def answered(self, request: HTTPRequest, began_s: float | None, *, whole: bool) -> None:
        """Count it, and tell it where that is wanted."""
        # A refused body's request has no path of its own yet, only its line's.
        route = self.routes.of(request.path or b"")
        status = f"{request.code // 100}xx" if whole else "cut"
        seconds = self._count(route, status, request.sentLength, began_s)
        if self.access_log != "off" and isinstance(request, LimitedRequest):
            request.as_own(self._tell, request, route, status, seconds)

    def counted(self, route: str, status: int, size: int, began_s: float) -> None:
        """The same of an answer without a request (see kept.py), when nobody wants to be told."""
        self._count(route, f"{status // 100}xx", size, began_s)

    def _count(self, route: str, status: str, size: int, began_s: float | None) -> float:
        """How many seconds it took."""
        seconds = 0.0 if began_s is None else self.clock.seconds() - began_s
        self.meters.count("requests", route=route, status=status)
        if began_s is not None:
            self.meters.observe("request_seconds", seconds, route=route)
        self.meters.count("served_bytes", size, route=route)
        return seconds

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
    health_alone: bool = False,
    admin: AdminApi | None = None,
    public: Path,
    stackviz: str | None,
    reactor: IReactorTime,
    agent: IAgent | None = None,
    clients: Clients | None = None,
    connections: Connections | None = None,
    names: Names | None = None,
    cors: Sequence[str] = (),
    kept: Kept | None = None,
    meters: Meters | None = None,
    access_log: AccessLog = "off",
) -> DeployerSite:
    """The whole site, to be given to an endpoint's ``listen``; files are read here, once, blocking.

    ``public`` is the directory of our pages (``static.packaged_public()``).  ``stackviz`` is
    a StackViz build directory, the ``http://`` address of its dev server, or None for the
    built-in viewer; ``admin``: None = there are no such calls.  ``agent`` asks the dev server
    (default: one of the reactor's own).  ``health_alone``: nothing else is served.
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
    root: Resource = HealthAlone(health)
    if not health_alone:
        sites = Sites(tasks=tasks, public=pages, viewer=viewer)
        root = Root(api=api, admin=admin, health=health, sites=sites, public=pages)
    return DeployerSite(
        root,
        reception=reception,
        clients=clients or Clients(),
        connections=connections or Connections(),
        names=names or Names(),
        cors=cors,
        kept=kept or Kept(),
        routes=Routes(_routes(api, health, admin), UNPREFIXED),
        meters=meters or NoMeters(),
        access_log=access_log,
        clock=reactor,
    )


def _routes(api: Api, health: Health, admin: AdminApi | None) -> dict[str, Map]:
    routes = {"": health.app.url_map, "/api": api.app.url_map}
    return routes if admin is None else {**routes, "/api/admin": admin.app.url_map}


def _agent(reactor: IReactorTime) -> IAgent:
    if not IReactorTCP.providedBy(reactor):
        raise TypeError("the reactor cannot connect")
    return Agent(reactor, connectTimeout=5.0, pool=HTTPConnectionPool(reactor))
