# SPDX-License-Identifier: Apache-2.0
"""The builds of a change -> the entries of ``/api/list``.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from attrs import evolve

from stackviz_deployer.errors import QueryNotUnderstoodError
from stackviz_deployer.lookup.gerrit import GerritBuild, GerritChange
from stackviz_deployer.lookup.logurl import LogUrl, parse_log_url
from stackviz_deployer.lookup.query import host_of
from stackviz_deployer.model import Build, Job

Refusal = Callable[[str], str | None]
"""Why a URL would never be fetched; None when it may be."""

MAX_OLDER = 50
"""Older builds that an entry lists."""
_PIPELINES = ("check", "gate")
"""What people look for first; the others follow by name."""
_DIGITS = re.compile(r"([0-9]{1,18})")
_NO_DIRECTORY = "The address is no directory of logs."


def patchsets(change: GerritChange) -> tuple[int, ...]:
    """Those with results, newest first."""
    found = {build.patchset for build in change.builds if build.patchset is not None}
    return tuple(sorted(found, reverse=True))


def grouped(change: GerritChange, patchset: int | None) -> list[list[GerritBuild]]:
    """The builds of a patchset by CI, pipeline and job, newest first: check, gate, then by name.

    ``patchset`` None: those that nobody says the patchset of.
    """
    groups: dict[tuple[str, str | None, str], list[GerritBuild]] = {}
    for build in change.builds:
        if build.patchset == patchset:
            groups.setdefault((build.ci, build.pipeline, build.name), []).append(build)
    return sorted(groups.values(), key=lambda group: _order(group[0]))


def job_of(change: GerritChange, group: Sequence[GerritBuild], refusal: Refusal) -> Job:
    """The entry for the builds of one job, the newest counts.

    An address that ``refusal`` refuses is replaced by its reason.
    """
    newest, older = group[0], group[1 : MAX_OLDER + 1]
    url, reason = _address(newest, refusal)
    if url is None and newest.error_detail:
        reason = f"{reason} {newest.result}: {newest.error_detail}"
    return Job(
        url=url,
        reason=reason,
        name=newest.name,
        status=newest.result,
        pipeline=newest.pipeline,
        ci_username=newest.ci,
        change_id=change.number,
        revision=newest.patchset,
        change_project=change.project,
        change_subject=change.subject,
        change_url=_change_url(change, newest.patchset),
        gerrit=host_of(change.server),
        voting=newest.voting,
        duration=newest.duration,
        finished_ms=newest.finished_ms,
        builds=tuple(
            Build(
                url=_address(build, refusal)[0],
                status=build.result,
                duration=build.duration,
                finished_ms=build.finished_ms,
            )
            for build in older
        ),
    )


def find_build(change: GerritChange, wanted: LogUrl) -> GerritBuild | None:
    """The build whose logs lie there, on whatever server the comment says."""
    if wanted.key is not None and wanted.uuid is not None:
        for build in change.builds:
            if build.url is not None and wanted.uuid in build.url:
                said = _said(build.url)
                if said is not None and said.key == wanted.key:
                    return build
    return None


def job_at(said: LogUrl, change: GerritChange | None, build: GerritBuild | None) -> Job:
    """The entry for a log directory: what its URL says, filled in with what Gerrit knows."""
    job = Job(
        url=said.root,
        name=said.name,
        pipeline=said.pipeline,
        change_id=said.change,
        revision=said.patchset,
    )
    if change is not None:
        job = evolve(
            job,
            change_project=change.project,
            change_subject=change.subject,
            change_url=_change_url(change, said.patchset),
            gerrit=host_of(change.server),
        )
    if build is not None:
        job = evolve(
            job,
            status=build.result,
            ci_username=build.ci,
            voting=build.voting,
            duration=build.duration,
            finished_ms=build.finished_ms,
        )
    return job


def _said(url: str | None) -> LogUrl | None:
    try:
        return None if url is None else parse_log_url(url)
    except QueryNotUnderstoodError:
        return None


def _address(build: GerritBuild, refusal: Refusal) -> tuple[str | None, str | None]:
    """Where the logs lie, or why they cannot be scraped."""
    if build.url is None:
        return None, build.reason
    said = _said(build.url)
    if said is None:
        return None, _NO_DIRECTORY
    refused = refusal(said.root)
    return (said.root, None) if refused is None else (None, refused)


def _change_url(change: GerritChange, patchset: int | None) -> str:
    return change.url if patchset is None else f"{change.url}/{patchset}"


def _order(build: GerritBuild) -> tuple[object, ...]:
    pipeline = build.pipeline or ""
    rank = _PIPELINES.index(pipeline) if pipeline in _PIPELINES else len(_PIPELINES) + (not pipeline)
    return (rank, _natural(pipeline), _natural(build.name), build.ci)


def _natural(name: str) -> tuple[tuple[str, int], ...]:
    """So that python27 comes before python310."""
    return tuple(
        (part.casefold(), 0) if place % 2 == 0 else ("", int(part))
        for place, part in enumerate(_DIGITS.split(name))
    )
