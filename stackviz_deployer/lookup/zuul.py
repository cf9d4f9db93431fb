# SPDX-License-Identifier: Apache-2.0
"""Asking one Zuul about builds (``zuul/web/__init__.py`` has the routes)."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote, urlencode

from attrs import frozen

from stackviz_deployer.errors import NotFoundError, UpstreamStatusError
from stackviz_deployer.interfaces import CpuPool, Fetcher, Meters
from stackviz_deployer.lookup.answer import Scratch, read_json
from stackviz_deployer.lookup.query import host_of
from stackviz_deployer.model import ParseResult
from stackviz_deployer.settings import Limits, ZuulServer

MAX_LISTED = 500
"""Builds of one question; a check run of a big project has some 40."""


@frozen(kw_only=True)
class ZuulBuild:
    """A build as one Zuul knows it.  Fields as in parsers/zuul.py."""

    zuul: ZuulServer
    tenant: str | None
    """None on a white-label server."""
    uuid: str | None
    name: str
    pipeline: str | None
    result: str | None
    error_detail: str | None
    voting: bool | None
    final: bool
    started_ms: int | None
    finished_ms: int | None
    duration: str | None
    url: str | None
    reason: str | None
    manifest_url: str | None
    project: str | None
    branch: str | None
    change: int | None
    patchset: int | None
    newrev: str | None
    ref: str | None
    ref_url: str | None


@frozen(kw_only=True)
class Question:
    """What a Zuul can be asked."""

    kind: Literal["build", "buildset", "builds"]
    """The first two by ``uuid``, the last by ``filters``."""
    uuid: str = ""
    filters: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class ZuulAnswer:
    """Builds, newest first."""

    builds: tuple[ZuulBuild, ...]
    warnings: tuple[str, ...] = ()


class ZuulClient:
    """Questions to Zuuls; keeps nothing."""

    def __init__(
        self, *, fetcher: Fetcher, cpu: CpuPool, limits: Limits, scratch: Scratch, meters: Meters
    ) -> None:
        self._meters = meters
        self._fetcher = fetcher
        self._cpu = cpu
        self._limits = limits
        self._scratch = scratch

    async def tenants(self, zuul: ZuulServer, *, timeout_s: float) -> tuple[str, ...]:
        """The names of all tenants.  Raises Upstream*Error naming the host."""
        result = await self._read(zuul, f"{zuul.url}api/tenants", "tenants", timeout_s)
        return tuple(result.data["tenants"])

    async def ask(
        self, zuul: ZuulServer, tenant: str | None, question: Question, *, timeout_s: float
    ) -> ZuulAnswer:
        """The builds in question; ``timeout_s`` for each step of it.  ``tenant`` None: a white-label server.

        Raises NotFoundError (no such build, build set or tenant), and Upstream*Error naming the host.
        """
        asked = host_of(zuul) if tenant is None else f"{host_of(zuul)} (tenant {tenant})"
        base = f"{zuul.url}api/" if tenant is None else f"{zuul.url}api/tenant/{quote(tenant, safe='')}/"
        if question.kind == "builds":
            what = "builds?" + urlencode([*question.filters, ("limit", str(MAX_LISTED))])
        else:
            what = f"{question.kind}/{question.uuid}"
        try:
            result = await self._read(zuul, base + what, question.kind, timeout_s)
        except UpstreamStatusError as error:
            if error.status != 404:
                raise
            missing = "such tenant" if question.kind == "builds" else f"{question.kind} {question.uuid}"
            raise NotFoundError(f"{asked} has no {missing}.") from error
        builds = tuple(ZuulBuild(zuul=zuul, tenant=tenant, **build) for build in result.data["builds"])
        warnings = result.warnings
        if question.kind == "builds" and len(builds) >= MAX_LISTED:
            warnings += (f"{asked} was asked for the newest {MAX_LISTED} builds; there may be more.",)
        return ZuulAnswer(builds=builds, warnings=warnings)

    async def _read(self, zuul: ZuulServer, url: str, kind: str, timeout_s: float) -> ParseResult:
        return await read_json(
            url,
            host=host_of(zuul),
            parser="zuul",
            options={"kind": kind},
            timeout_s=timeout_s,
            fetcher=self._fetcher,
            cpu=self._cpu,
            limits=self._limits,
            scratch=self._scratch,
            meters=self._meters,
        )
