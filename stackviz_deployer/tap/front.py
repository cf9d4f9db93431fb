# SPDX-License-Identifier: Apache-2.0
"""Builds what answers over HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import IService
from twisted.web.server import Site

from stackviz_deployer import __version__
from stackviz_deployer.config import Config, admin_token
from stackviz_deployer.errors import ConfigError
from stackviz_deployer.interfaces import Admin, BlobStore, InThread, Keeper, Lookup, Meters, Tasks, Uploads
from stackviz_deployer.web.admin import AdminApi
from stackviz_deployer.web.api import Api
from stackviz_deployer.web.clients import Clients
from stackviz_deployer.web.health import Health
from stackviz_deployer.web.kept import Kept
from stackviz_deployer.web.listen import listening as listening_at
from stackviz_deployer.web.names import Names
from stackviz_deployer.web.site import DeployerSite, make_site
from stackviz_deployer.web.static import packaged_public
from stackviz_deployer.web.throttle import Throttle
from stackviz_deployer.web.upload import Reception


def front(
    config: Config,
    reactor: Any,
    *,
    lookup: Lookup,
    tasks: Tasks,
    keeper: Keeper,
    admin: Admin,
    blobs: BlobStore,
    uploads: Uploads,
    kept: Kept,
    in_thread: InThread,
    health: Callable[[], Mapping[str, Any]],
    meters: Meters,
) -> DeployerSite:
    """Everything that ``http`` serves; the operator's part only when there is a token for it.

    Raises ConfigError.
    """
    clients = Clients(config.proxies)
    throttle = Throttle(config.rates, clients=clients, clock=reactor, meters=meters)
    reception = Reception(
        uploads,
        config.limits.upload_bytes,
        clients=clients,
        throttle=throttle,
        clock=reactor,
        meters=meters,
        serves=config.role != "worker",
    )
    token = admin_token(config.admin_token_file, os.environ)
    return make_site(
        api=Api(
            lookup=lookup,
            tasks=tasks,
            keeper=keeper,
            blobs=blobs,
            reception=reception,
            in_thread=in_thread,
            clock=reactor,
            version=__version__,
            clients=clients,
            throttle=throttle,
            meters=meters,
            kept=kept,
            event_streams=config.connections.events,
        ),
        health=Health(version=__version__, probe=health),
        admin=None
        if token is None
        else AdminApi(admin=admin, token=token, clients=clients, clock=reactor, meters=meters),
        tasks=tasks,
        reception=reception,
        health_alone=config.role == "worker",
        public=packaged_public(),
        stackviz=config.stackviz,
        reactor=reactor,
        meters=meters,
        access_log=config.access_log,
        clients=clients,
        connections=config.connections,
        names=Names(config.hosts),
        cors=config.cors,
        kept=kept,
    )


def listening(key: str, endpoint: str, site: Site, reactor: Any) -> IService:
    """A service that serves ``site`` at what ``key`` of the configuration names.  Raises ConfigError."""
    try:
        return listening_at(endpoint, site, reactor)
    except LookupError as error:
        raise ConfigError(f"{key}: {endpoint!r} needs a socket that systemd hands over; none came") from error
    except (ValueError, TypeError) as error:  # TypeError: too many parts, or one of an unknown name
        raise ConfigError(f"{key}: {endpoint!r} is no endpoint description ({error})") from error
