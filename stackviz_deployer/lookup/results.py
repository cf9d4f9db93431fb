# SPDX-License-Identifier: Apache-2.0
"""The builds of a change -> the entries of ``/api/list``.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from stackviz_deployer.errors import QueryNotUnderstoodError
from stackviz_deployer.lookup.gerrit import GerritBuild, GerritChange
from stackviz_deployer.lookup.logurl import LogUrl, parse_log_url
from stackviz_deployer.lookup.query import host_of
from stackviz_deployer.model import Build, Job

Refusal = Callable[[str], str | None]
"""Why a URL would never be fetched; None when it may be."""

_PIPELINES = ("check", "gate")
"""What people look for first; the others follow by name."""
_DIGITS = re.compile(r"([0-9]{1,18})")
_NO_DIRECTORY = "The address is no directory of logs."


@frozen(kw_only=True)
class _Entry:
    build: GerritBuild
    said: LogUrl | None
    """What its log address says."""

    @property
    def pipeline(self) -> str | None:
        """As the comment says; Jenkins did not until 2015, but its log address does."""
        if self.build.pipeline is not None or self.said is None:
            return self.build.pipeline
        return self.said.pipeline


def patchsets(change: GerritChange) -> tuple[int, ...]:
    """Those with results, newest first."""
    found = {_patchset(change, build) for build in change.builds}
    return tuple(sorted((patchset for patchset in found if patchset is not None), reverse=True))


def jobs_of(change: GerritChange, patchset: int | None, refusal: Refusal) -> tuple[Job, ...]:
    """One entry per CI, pipeline and job, its newest build first; check, gate, then by name.

    ``patchset`` None: of the builds that nobody says the patchset of.  An address that
    ``refusal`` refuses is replaced by its reason.
    """
    groups: dict[tuple[str, str | None, str], list[_Entry]] = {}
    for build in change.builds:
        if _patchset(change, build) == patchset:
            entry = _Entry(build=build, said=_said(build.url))
            groups.setdefault((build.ci, entry.pipeline, build.name), []).append(entry)
    jobs = [_job(change, patchset, group, refusal) for group in groups.values()]
    return tuple(sorted(jobs, key=_order))


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


def _patchset(change: GerritChange, build: GerritBuild) -> int | None:
    """As Gerrit says, else as the log address does."""
    if build.patchset is None and (said := _said(build.url)) is not None and said.change == change.number:
        return said.patchset
    return build.patchset


def _job(change: GerritChange, patchset: int | None, group: Sequence[_Entry], refusal: Refusal) -> Job:
    newest, older = group[0], group[1:]
    url, reason = _address(newest, refusal)
    if url is None and newest.build.error_detail:
        reason = f"{reason} {newest.build.result}: {newest.build.error_detail}"
    return Job(
        url=url,
        reason=reason,
        name=newest.build.name,
        status=newest.build.result,
        pipeline=newest.pipeline,
        ci_username=newest.build.ci,
        change_id=change.number,
        revision=patchset,
        change_project=change.project,
        change_subject=change.subject,
        change_url=_change_url(change, patchset),
        gerrit=host_of(change.server),
        voting=newest.build.voting,
        duration=newest.build.duration,
        finished_ms=newest.build.finished_ms,
        builds=tuple(
            Build(
                url=_address(entry, refusal)[0],
                status=entry.build.result,
                duration=entry.build.duration,
                finished_ms=entry.build.finished_ms,
            )
            for entry in older
        ),
    )


def _address(entry: _Entry, refusal: Refusal) -> tuple[str | None, str | None]:
    """Where the logs lie, or why they cannot be scraped."""
    if entry.build.url is None:
        return None, entry.build.reason
    if entry.said is None:
        return None, _NO_DIRECTORY
    refused = refusal(entry.said.root)
    return (entry.said.root, None) if refused is None else (None, refused)


def _change_url(change: GerritChange, patchset: int | None) -> str:
    return change.url if patchset is None else f"{change.url}/{patchset}"


def _order(job: Job) -> tuple[object, ...]:
    pipeline = job.pipeline or ""
    rank = _PIPELINES.index(pipeline) if pipeline in _PIPELINES else len(_PIPELINES) + (not pipeline)
    return (rank, _natural(pipeline), _natural(job.name), job.ci_username or "")


def _natural(name: str) -> tuple[tuple[str, int], ...]:
    """So that python27 comes before python310."""
    return tuple(
        (part.casefold(), 0) if place % 2 == 0 else ("", int(part))
        for place, part in enumerate(_DIGITS.split(name))
    )
