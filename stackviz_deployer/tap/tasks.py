# SPDX-License-Identifier: Apache-2.0
"""Builds the parts that keep tasks and share them out: alone, or with other nodes."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.application.service import IService

from stackviz_deployer.clock import Elapsed
from stackviz_deployer.config import Config
from stackviz_deployer.errors import ConfigError
from stackviz_deployer.interfaces import Bus, Copies, HostSlots
from stackviz_deployer.jobs.local import LocalBus
from stackviz_deployer.store.database import Cursor
from stackviz_deployer.store.retention import agree, newest_use, server_ms
from stackviz_deployer.store.sqlite import SqliteDatabase
from stackviz_deployer.store.task_store import SqlTaskStore


@frozen(kw_only=True)
class Distribution:
    """How tasks come to those who work on them, and word of them to those who watch."""

    bus: Bus
    slots: HostSlots | None
    """Of hosts, for all nodes together."""
    copies: Copies
    """To be told of the ends of sites."""
    services: tuple[IService, ...]
    """To be started in this order, behind the store."""


def task_database(config: Config, reactor: Any, ages: Elapsed) -> Any:
    """store.database.Database, a service.  When it starts it sets ``ages``, the clock of retention.

    Raises ConfigError.
    """
    if config.database is None:

        def resume(txn: Cursor) -> None:
            ages.resume(newest_use(txn), _alive_ms(config.state_dir))

        return SqliteDatabase(config.state_dir / "stackviz.sqlite3", reactor, opened=resume)
    try:  # PyMySQL is for those who need it
        from stackviz_deployer.store.mysql import MysqlDatabase  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"database: mysql needs {error.name}; pip install 'stackviz-deployer[cluster]'"
        ) from error

    def join(txn: Cursor) -> None:
        # How late it is, the nodes that run have agreed on; our machine's time of day is no part of it.
        ages.begin(server_ms(txn))
        agreed_ms = agree(txn, 0)
        ages.resume(max(newest_use(txn), agreed_ms), agreed_ms)

    return MysqlDatabase(config.database, reactor, opened=join)


def distribution(
    config: Config, reactor: Any, *, store: SqlTaskStore, kept: Copies, writable: Callable[[], None]
) -> Distribution:
    """``kept``: what this node keeps in memory of tasks.

    ``writable`` raises StoreError while it is known that results could not be stored.  Raises ConfigError.
    """
    if config.redis is None:
        return Distribution(bus=LocalBus(store, writable), slots=None, copies=kept, services=())
    from stackviz_deployer.cluster.bus import RedisBus  # noqa: PLC0415 - txredisapi installs the reactor
    from stackviz_deployer.cluster.slots import SharedSlots  # noqa: PLC0415

    node = node_name()
    slots = SharedSlots(config.redis, reactor, node=node)
    bus = RedisBus(
        config.redis,
        reactor,
        store=store,
        copies=kept,
        node=node,
        works=config.role != "web",
        writable=writable,
    )
    return Distribution(bus=bus, slots=slots, copies=bus.copies, services=(slots, bus))


def node_name() -> str:
    """A name that no other process has or had."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _alive_ms(state_dir: Path) -> int:
    """When a daemon last worked here: its probe of the disk leaves a trace every few seconds."""
    try:
        return (state_dir / "tmp").stat().st_mtime_ns // 1_000_000
    except OSError:
        return 0
