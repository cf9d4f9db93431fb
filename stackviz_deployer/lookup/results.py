# SPDX-License-Identifier: Apache-2.0
"""Builds -> the entries of ``/api/list``.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from attrs import evolve, frozen

from stackviz_deployer.lookup.builds import CiBuild, newest_first
from stackviz_deployer.lookup.gerrit import GerritChange
from stackviz_deployer.lookup.logurl import LogUrl, log_url_or_none
from stackviz_deployer.lookup.query import host_in, host_of
from stackviz_deployer.lookup.zuul import ZuulBuild
from stackviz_deployer.model import Build, Job
from stackviz_deployer.settings import GerritServer

Refusal = Callable[[str], str | None]
"""Why a URL would never be fetched; None when it may be."""

MAX_OLDER = 50
"""Older builds that an entry lists."""
_PIPELINES = ("check", "gate")
"""What people look for first; the others follow by name."""
_DIGITS = re.compile(r"([0-9]{1,18})")
_NO_DIRECTORY = "The address is no directory of logs."


@frozen(kw_only=True)
class Subject:
    """What builds are of: a change, or a branch or a tag."""

    change: int | None = None
    project: str | None = None
    title: str | None = None
    url: str | None = None
    """Where a person reads it."""
    gerrit: str | None = None

    def url_of(self, patchset: int | None) -> str | None:
        """Where a person reads that patchset."""
        if self.url is None or patchset is None or self.gerrit is None:
            return self.url
        return f"{self.url}/{patchset}"


def subject_of_change(change: GerritChange) -> Subject:
    """As Gerrit knows it."""
    return Subject(
        change=change.number,
        project=change.project,
        title=change.subject,
        url=change.url,
        gerrit=host_of(change.server),
    )


def subject_of_build(build: ZuulBuild) -> Subject:
    """As far as Zuul knows it."""
    # Changes of other kinds (pull requests) have a number and a page, too.
    is_gerrit = build.change is not None and (build.ref or "").startswith("refs/changes/")
    return Subject(
        change=build.change,
        project=build.project,
        url=build.ref_url.rstrip("/") if build.ref_url else None,
        gerrit=host_in(build.ref_url) if is_gerrit else None,
    )


def is_of(build: ZuulBuild, change: GerritChange) -> bool:
    """Whether a build is of this change, not of another Gerrit's with the same number."""
    same_project = build.project is not None and build.project == change.project
    return build.change == change.number and (same_project or is_on(build, change.server))


def is_on(build: ZuulBuild, server: GerritServer) -> bool:
    """Whether the build's change lives there; a build that does not say where is believed to."""
    host = host_in(build.ref_url)
    aliases = {alias.lower().partition("/")[0] for alias in server.aliases}
    return host is None or host == host_of(server) or host in aliases


def patchsets(builds: Iterable[CiBuild]) -> tuple[int, ...]:
    """Those with results, newest first."""
    found = {build.patchset for build in builds if build.patchset is not None}
    return tuple(sorted(found, reverse=True))


def grouped(builds: Iterable[CiBuild]) -> list[list[CiBuild]]:
    """By patchset, CI, pipeline and job: the newest patchset first, then check, gate, then by name."""
    groups: dict[object, list[CiBuild]] = {}
    for build in builds:
        key = (build.patchset, build.ci, build.pipeline, build.name)
        groups.setdefault(key, []).append(build)
    return sorted((newest_first(group) for group in groups.values()), key=lambda group: _order(group[0]))


def job_of(subject: Subject, group: Sequence[CiBuild], refusal: Refusal) -> Job:
    """The entry for the builds of one job, the first counts.

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
        change_id=subject.change,
        revision=newest.patchset,
        change_project=subject.project,
        change_subject=subject.title,
        change_url=subject.url_of(newest.patchset),
        gerrit=subject.gerrit,
        voting=newest.voting,
        duration=newest.duration,
        finished_ms=newest.finished_ms,
        manifest_url=_manifest(newest, url, refusal),
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


def job_at(said: LogUrl, subject: Subject | None, build: CiBuild | None, refusal: Refusal) -> Job:
    """The entry for a log directory: what its URL says, filled in with what is known."""
    job = Job(
        url=said.root,
        name=said.name,
        pipeline=said.pipeline,
        change_id=said.change,
        revision=said.patchset,
    )
    if build is not None:
        job = evolve(
            job,
            name=build.name,
            status=build.result,
            pipeline=said.pipeline or build.pipeline,
            revision=said.patchset or build.patchset,
            ci_username=build.ci,
            voting=build.voting,
            duration=build.duration,
            finished_ms=build.finished_ms,
            manifest_url=_manifest(build, said.root, refusal),
        )
    if subject is not None:
        job = evolve(
            job,
            change_id=said.change or subject.change,
            change_project=subject.project,
            change_subject=subject.title,
            change_url=subject.url_of(job.revision),
            gerrit=subject.gerrit,
        )
    return job


def _manifest(build: CiBuild, root: str | None, refusal: Refusal) -> str | None:
    """The manifest's address, when it lists what lies at ``root`` and may be fetched."""
    if build.manifest_url is None or build.url is None or root is None:
        return None
    said = log_url_or_none(build.url)
    same = said is not None and said.root == root
    return build.manifest_url if same and refusal(build.manifest_url) is None else None


def _address(build: CiBuild, refusal: Refusal) -> tuple[str | None, str | None]:
    """Where the logs lie, or why they cannot be scraped."""
    if build.url is None:
        return None, build.reason
    said = log_url_or_none(build.url)
    if said is None:
        return None, _NO_DIRECTORY
    refused = refusal(said.root)
    return (said.root, None) if refused is None else (None, refused)


def _order(build: CiBuild) -> tuple[object, ...]:
    pipeline = build.pipeline or ""
    rank = _PIPELINES.index(pipeline) if pipeline in _PIPELINES else len(_PIPELINES) + (not pipeline)
    return (-(build.patchset or 0), rank, _natural(pipeline), _natural(build.name), build.ci)


def _natural(name: str) -> tuple[tuple[str, int], ...]:
    """So that python27 comes before python310."""
    return tuple(
        (part.casefold(), 0) if place % 2 == 0 else ("", int(part))
        for place, part in enumerate(_DIGITS.split(name))
    )
