# SPDX-License-Identifier: Apache-2.0
"""Asking one Gerrit for one change, comments included, or for the changes that a search finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from attrs import frozen

from stackviz_deployer.errors import NotFoundError, QueryNotUnderstoodError, UpstreamStatusError
from stackviz_deployer.interfaces import CpuPool, Fetcher, Meters
from stackviz_deployer.lookup.answer import Scratch, read_json
from stackviz_deployer.lookup.query import host_of
from stackviz_deployer.model import ParseResult
from stackviz_deployer.settings import GerritServer, Limits

MAX_FOUND = 25
"""Changes of a search; more are no choice for a person."""
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


@frozen(kw_only=True)
class FoundChanges:
    """What one Gerrit found; their ``builds`` were not asked for."""

    changes: tuple[GerritChange, ...]
    more: bool
    """Whether there are others."""


class GerritClient:
    """Questions to Gerrits; keeps nothing."""

    def __init__(
        self, *, fetcher: Fetcher, cpu: CpuPool, limits: Limits, scratch: Scratch, meters: Meters
    ) -> None:
        self._meters = meters
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

    async def search(self, server: GerritServer, text: str, *, timeout_s: float) -> FoundChanges:
        """The changes that Gerrit's query ``text`` finds.  Raises Upstream*Error naming the host."""
        what = urlencode([("q", text), ("n", str(MAX_FOUND))])
        try:
            result = await self._read(server, f"changes/?{what}", timeout_s, {"kind": "changes"})
        except UpstreamStatusError as error:
            if error.status == 400:
                raise QueryNotUnderstoodError(f"{host_of(server)} does not understand the search.") from error
            raise
        return FoundChanges(
            changes=tuple(
                GerritChange(server=server, builds=(), **change) for change in result.data["changes"]
            ),
            more=result.data["more"],
        )

    async def _ask(self, server: GerritServer, name: str, timeout_s: float) -> GerritChange:
        options = {"ci_accounts": list(server.ci_accounts)}
        result = await self._read(server, f"changes/{name}?{OPTIONS}", timeout_s, options)
        builds = tuple(GerritBuild(**build) for build in result.data["builds"])
        return GerritChange(server=server, builds=builds, warnings=result.warnings, **result.data["change"])

    async def _read(
        self, server: GerritServer, what: str, timeout_s: float, options: Mapping[str, Any]
    ) -> ParseResult:
        return await read_json(
            f"{server.url}{what}",
            host=host_of(server),
            parser="gerrit",
            options=options,
            timeout_s=timeout_s,
            fetcher=self._fetcher,
            cpu=self._cpu,
            limits=self._limits,
            scratch=self._scratch,
            meters=self._meters,
        )
