# SPDX-License-Identifier: Apache-2.0
"""The builds that comments tell of and those that Zuul knows, made one.  Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from attrs import frozen

from stackviz_deployer.lookup.gerrit import GerritBuild
from stackviz_deployer.lookup.logurl import LogUrl, log_url_or_none
from stackviz_deployer.lookup.zuul import ZuulBuild

ZUUL_ACCOUNT = "zuul"
"""Whose comments Zuul's results are, when there are none to tell."""
_PAGE_UUID = re.compile(r"/build/([0-9a-f]{32})(?:/|$)")
_DIRECTORY_UUID = re.compile(r"/([0-9a-f]{32}|[0-9a-f]{7})/?$")


@frozen(kw_only=True)
class CiBuild:
    """A build, whoever told of it."""

    ci: str
    name: str
    pipeline: str | None
    patchset: int | None
    result: str | None
    """None while it runs."""
    error_detail: str | None
    voting: bool | None
    finished_ms: int | None
    duration: str | None
    url: str | None
    """Where the logs are said to lie."""
    reason: str | None
    """Why there is no ``url``."""
    uuid: str | None = None
    manifest_url: str | None = None
    final: bool = True
    """Whether this one counted; Zuul tries again what failed before the job proper."""
    running: bool = False


def merged(comments: Sequence[GerritBuild], zuul: Sequence[ZuulBuild]) -> tuple[list[CiBuild], list[CiBuild]]:
    """Zuul's builds with what comments add, and the builds that comments alone tell of.

    Of a build that both know, Zuul's answer counts; the name of the account is the comments'.
    """
    index = _Index(zuul)
    names: dict[object, str] = {}
    """The account under which a tenant of a Zuul comments."""
    told: dict[int, GerritBuild] = {}
    others: list[GerritBuild] = []
    for comment in comments:
        build = index.same(comment)
        if build is None:
            others.append(comment)
        else:
            told.setdefault(id(build), comment)
            names.setdefault((build.zuul, build.tenant), comment.ci)
    known = [
        _of_zuul(build, told.get(id(build)), names.get((build.zuul, build.tenant), ZUUL_ACCOUNT))
        for build in zuul
    ]
    return known, [_of_comment(comment) for comment in others]


def newest_first(builds: Iterable[CiBuild]) -> list[CiBuild]:
    """The one that counts now, then the others by time: a retry never hides what it led to."""
    ordered = sorted(builds, key=_moment, reverse=True)
    head = next((build for build in ordered if build.final), None)
    if head is not None:
        ordered.remove(head)
        ordered.insert(0, head)
    return ordered


def find_build(builds: Iterable[CiBuild], wanted: LogUrl) -> CiBuild | None:
    """The build whose logs lie there, on whatever server the CI says."""
    if wanted.uuid is None or wanted.key is None:
        return None
    short = len(wanted.uuid) == 7
    for build in builds:
        if build.uuid is not None and build.uuid.startswith(wanted.uuid):
            if not short or build.name == wanted.name:
                return build
        elif build.url is not None and wanted.uuid in build.url:
            said = log_url_or_none(build.url)
            if said is not None and said.key == wanted.key:
                return build
    return None


class _Index:
    """Finds Zuul's record of the build that a line of a comment is about."""

    def __init__(self, builds: Sequence[ZuulBuild]) -> None:
        self._full: dict[str, ZuulBuild] = {}
        self._short: dict[tuple[str, str], ZuulBuild] = {}
        self._placed: dict[str, ZuulBuild] = {}
        self._nameless: dict[object, list[ZuulBuild]] = defaultdict(list)
        for build in builds:
            if build.url is not None:
                self._placed[build.url.rstrip("/")] = build
            if build.uuid is not None:
                self._full[build.uuid] = build
                self._short[build.name, build.uuid[:7]] = build
            else:  # skipped ones used to have no UUID
                self._nameless[build.name, build.pipeline, build.patchset, build.result].append(build)

    def same(self, comment: GerritBuild) -> ZuulBuild | None:
        uuid = _uuid_of(comment)
        if comment.url is not None and (build := self._placed.get(comment.url.rstrip("/"))) is not None:
            return build
        if uuid is not None and len(uuid) == 7:
            return self._short.get((comment.name, uuid))
        if uuid is not None and uuid in self._full:
            return self._full[uuid]
        if comment.url is not None:
            return None
        left = self._nameless[comment.name, comment.pipeline, comment.patchset, comment.result]
        return left.pop(0) if left else None


def _uuid_of(comment: GerritBuild) -> str | None:
    """All 32 digits or the first seven."""
    match = _PAGE_UUID.search(comment.page or "") or _DIRECTORY_UUID.search(comment.url or "")
    return match[1] if match else None


def _of_zuul(build: ZuulBuild, comment: GerritBuild | None, ci: str) -> CiBuild:
    return CiBuild(
        ci=ci if comment is None else comment.ci,
        name=build.name,
        pipeline=build.pipeline or (comment.pipeline if comment else None),
        patchset=build.patchset or (comment.patchset if comment else None),
        result=build.result,
        error_detail=build.error_detail or (comment.error_detail if comment else None),
        voting=build.voting,
        finished_ms=build.finished_ms,
        duration=build.duration,
        # It is a directory, whatever it looks like.
        url=build.url and f"{build.url.rstrip('/')}/",
        reason=build.reason,
        uuid=build.uuid,
        manifest_url=build.manifest_url,
        final=build.final,
        running=build.result is None,
    )


def _of_comment(build: GerritBuild) -> CiBuild:
    uuid = _uuid_of(build)
    return CiBuild(
        ci=build.ci,
        name=build.name,
        pipeline=build.pipeline,
        patchset=build.patchset,
        result=build.result,
        error_detail=build.error_detail,
        voting=build.voting,
        finished_ms=build.finished_ms,
        duration=build.duration,
        url=build.url,
        reason=build.reason,
        uuid=uuid if uuid is not None and len(uuid) == 32 else None,
    )


def _moment(build: CiBuild) -> tuple[bool, int]:
    return (build.running, build.finished_ms or 0)
