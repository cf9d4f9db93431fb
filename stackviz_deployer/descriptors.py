# SPDX-License-Identifier: Apache-2.0
"""File descriptors: each connection is one, and a second while a file is sent on it.

The usual soft limit (1024) is below what the default configuration promises, and is only soft
because of programs that use select(): we raise it to what we need.
"""

from __future__ import annotations

import resource

from attrs import evolve
from twisted.logger import Logger

from stackviz_deployer.config import Config

log = Logger()

EACH = 2
OWN = 256
"""Our own: listening ports, database, log, scrapes and their files, uploads."""
WORKER = 4
"""Pipes of a parser process, and room for one that takes its place."""
LEAST = 8
"""Connections that are let in whatever the limit; with these at least an operator can ask."""


def needed(config: Config) -> int:
    """Descriptors for all connections of ``connections.total`` at once, and all else."""
    return EACH * config.connections.total + _own(config)


def affordable(config: Config, limit: int) -> int:
    """Connections that ``limit`` descriptors are enough for, up to ``connections.total``."""
    return min(config.connections.total, max(LEAST, (limit - _own(config)) // EACH))


def provided(config: Config) -> Config:
    """Raise this process's soft limit as far as needed; where it cannot be, fewer connections are let in."""
    soft, hard = (_finite(one) for one in resource.getrlimit(resource.RLIMIT_NOFILE))
    wanted = min(needed(config), hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        soft = wanted
    total = affordable(config, soft)
    if total == config.connections.total:
        return config
    log.warn(  # noqa: G010  # Twisted's Logger has no warning()
        "{limit} file descriptors are enough for {total} connections, not for the {wanted} of"
        " connections.total; raise the limit (LimitNOFILE) to {needed}",
        limit=soft,
        total=total,
        wanted=config.connections.total,
        needed=needed(config),
    )
    return evolve(config, connections=evolve(config.connections, total=total))


def hard_limit() -> int:
    """What this process's limit could be raised to."""
    return _finite(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _own(config: Config) -> int:
    return OWN + WORKER * config.workers


def _finite(limit: int) -> int:
    return 1 << 30 if limit == resource.RLIM_INFINITY else limit
