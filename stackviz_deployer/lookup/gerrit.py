# SPDX-License-Identifier: Apache-2.0
"""Asking one Gerrit for one change, comments included.

The body goes to a file and from there through a worker process: it can be megabytes, and the
reactor has better things to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from attrs import frozen

from stackviz_deployer.errors import (
    NotFoundError,
    ParseError,
    TooLargeError,
    UpstreamInvalidError,
    UpstreamStatusError,
    WorkerDiedError,
)
from stackviz_deployer.interfaces import CpuPool, Fetcher
from stackviz_deployer.lookup.query import host_of
from stackviz_deployer.model import GerritServer, InputFile, Limits, ParseRequest

Scratch = Callable[[], AbstractAsyncContextManager[Path]]
"""Makes an empty directory that is gone after the ``async with``."""

OPTIONS = urlencode([("o", "MESSAGES"), ("o", "DETAILED_ACCOUNTS"), ("o", "CURRENT_REVISION")])
"""All known since Gerrit 2.7; an option that a server does not know would be a 400."""


@frozen(kw_only=True)
class GerritBuild:
    """A build that a CI's comment tells of.  Fields as in parsers/gerrit.py."""

    ci: str
    name: str
    pipeline: str | None
    patchset: int | None
    finished_ms: int | None
    url: str | None
    page: str | None
    reason: str | None
    result: str | None
    error_detail: str | None
    duration: str | None
    voting: bool | None


@frozen(kw_only=True)
class GerritChange:
    """A change as one Gerrit knows it now."""

    server: GerritServer
    number: int
    project: str | None
    branch: str | None
    subject: str | None
    status: str | None
    """NEW, MERGED, ABANDONED."""
    patchset: int | None
    """The current one."""
    builds: tuple[GerritBuild, ...]
    """Newest first."""
    warnings: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where a person reads it."""
        project = f"c/{quote(self.project)}/+/" if self.project else ""
        return f"{self.server.url}{project}{self.number}"


class GerritClient:
    """Questions to Gerrits; keeps nothing."""

    def __init__(self, *, fetcher: Fetcher, cpu: CpuPool, limits: Limits, scratch: Scratch) -> None:
        self._fetcher = fetcher
        self._cpu = cpu
        self._limits = limits
        self._scratch = scratch

    async def change(
        self, server: GerritServer, number: int, *, project: str | None = None, timeout_s: float
    ) -> GerritChange:
        """The change with that number; ``timeout_s`` for each step of it.

        With ``project`` the question is exact; should the project not have it (it may have been
        renamed), the bare number is asked.  Raises NotFoundError, and Upstream*Error naming the host.
        """
        names = ([f"{quote(project, safe='')}~{number}"] if project else []) + [str(number)]
        for name in names:
            try:
                return await self._ask(server, name, timeout_s)
            except UpstreamStatusError as error:
                if error.status != 404:
                    raise
        raise NotFoundError(f"{host_of(server)} has no change {number}, or shows it to its members alone.")

    async def _ask(self, server: GerritServer, name: str, timeout_s: float) -> GerritChange:
        host = host_of(server)
        async with self._scratch() as directory:
            body, out = directory / "change.json", directory / "out"
            out.mkdir()
            await self._fetcher.fetch(
                f"{server.url}changes/{name}?{OPTIONS}",
                body,
                max_bytes=self._limits.listing_bytes,
                timeout_s=timeout_s,
                accept="application/json",
            )
            request = ParseRequest(
                parser="gerrit",
                inputs=(InputFile(path=str(body), name=host),),
                out_dir=str(out),
                max_bytes=self._limits.listing_bytes,
                options={"ci_accounts": list(server.ci_accounts), "host": host},
            )
            try:
                result = await self._cpu.run(request, timeout_s=timeout_s, urgent=True)
            except ParseError as error:
                raise UpstreamInvalidError(error.message) from error
            except (TooLargeError, WorkerDiedError) as error:
                raise UpstreamInvalidError(
                    f"{host}'s answer about change {name} could not be read: {error.message}"
                ) from error
        return _change(server, result.data, result.warnings)


def _change(server: GerritServer, data: Mapping[str, Any], warnings: tuple[str, ...]) -> GerritChange:
    builds = tuple(GerritBuild(**build) for build in data["builds"])
    return GerritChange(server=server, builds=builds, warnings=warnings, **data["change"])
