# SPDX-License-Identifier: Apache-2.0
"""What is known of the job at a log address."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from stackviz_deployer.errors import NotFoundError, StackvizError
from stackviz_deployer.lookup.builds import CiBuild, find_build, merged
from stackviz_deployer.lookup.gerrit import GerritChange
from stackviz_deployer.lookup.logurl import LogUrl
from stackviz_deployer.lookup.query import host_of
from stackviz_deployer.lookup.results import (
    Refusal,
    Subject,
    is_of,
    is_on,
    job_at,
    subject_of_build,
    subject_of_change,
)
from stackviz_deployer.lookup.sources import Asked, Sources, together
from stackviz_deployer.lookup.zuul import Question, ZuulBuild
from stackviz_deployer.model import Job

log = Logger()

_Told = tuple[Job, tuple[str, ...]]
"""The job, and which sources could not be asked about it."""


class Describer:
    """Fills in what a log address says with what Gerrit's comments and Zuul know of the build."""

    def __init__(self, sources: Sources, clock: IReactorTime, refusal: Refusal) -> None:
        self._sources = sources
        self._clock = clock
        self._refusal = refusal

    async def describe(self, said: LogUrl, timeout_s: float) -> _Told:
        """The job there; whatever is wrong elsewhere leaves fields None."""
        if said.uuid is None:
            return self._job(said, *self._recently_at(said.root)), ()
        try:
            return await self._described(said, said.uuid, timeout_s)
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001  a scrape goes on without these facts, whatever is wrong with us
            log.failure("describing {url}", url=said.root)
            return self._job(said, None, None), ("What CI knows could not be read; see the log.",)

    def _recently_at(self, root: str) -> tuple[Subject | None, CiBuild | None]:
        """The build that a list of a moment ago placed there: sites lay out their logs as they like."""
        builds = [build for build in self._sources.recent_builds() if _is_at(build.url, root)]
        for change in self._sources.recent_changes():
            comments = [comment for comment in change.builds if _is_at(comment.url, root)]
            for told in chain(*merged(comments, [build for build in builds if is_of(build, change)])):
                return subject_of_change(change), told
        for build in builds:
            return subject_of_build(build), merged((), [build])[0][0]
        return None, None

    async def _described(self, said: LogUrl, uuid: str, timeout_s: float) -> _Told:
        until = self._clock.seconds() + timeout_s
        builds: Sequence[ZuulBuild] = [
            build for build in self._sources.recent_builds() if _may_be(build.uuid, said)
        ]
        number = said.change or _change_of(builds)
        changes: Sequence[GerritChange] = [] if number is None else self._sources.recent_changes(number)
        failed: list[StackvizError] = []
        asked_gerrit = False
        if self._match(said, changes, builds) is None:
            outcomes, asked = await together(
                self._changes(said.change, [], timeout_s), self._builds(said, uuid, timeout_s)
            )
            asked_gerrit = said.change is not None
            builds = [build for build in asked.builds if _may_be(build.uuid, said)]
            number = said.change or _change_of(builds)
            changes = [outcome for outcome in outcomes if isinstance(outcome, GerritChange)]
            failed = [*(o for o in outcomes if isinstance(o, StackvizError)), *asked.failed]
        if number is not None and not changes and not asked_gerrit:
            left = max(until - self._clock.seconds(), 0.0)
            outcomes = await self._changes(number, builds, left)
            changes = [outcome for outcome in outcomes if isinstance(outcome, GerritChange)]
            failed.extend(outcome for outcome in outcomes if isinstance(outcome, StackvizError))
        return self._told(said, changes, builds, failed)

    async def _changes(
        self, number: int | None, builds: Sequence[ZuulBuild], timeout_s: float
    ) -> list[GerritChange | StackvizError]:
        """The change on every Gerrit, or on those where the builds say that it is."""
        if number is None:
            return []
        servers = [
            server
            for server in self._sources.gerrits
            if not builds or any(is_on(build, server) for build in builds)
        ]
        project = builds[0].project if builds else None
        return await self._sources.changes(servers, number, project, timeout_s)

    async def _builds(self, said: LogUrl, uuid: str, timeout_s: float) -> Asked:
        """What Zuul can be asked: by the UUID when it is whole, else by what is beside it in the path."""
        if len(uuid) == 32:
            question = Question(kind="build", uuid=uuid)
        elif said.change is not None:
            filters = (("change", str(said.change)), ("patchset", str(said.patchset)))
            question = Question(kind="builds", filters=filters)
        elif said.newrev is not None:
            question = Question(kind="builds", filters=(("newrev", said.newrev), ("job_name", said.name)))
        else:
            filters = (("pipeline", str(said.pipeline)), ("job_name", said.name))
            question = Question(kind="builds", filters=filters)
        until = self._clock.seconds() + timeout_s
        asked = await self._sources.builds([question], timeout_s, tenant=said.tenant)
        if said.tenant is not None and not asked.builds and not asked.failed:
            # What stood before the UUID was no tenant's name, but a directory's.
            asked = await self._sources.builds([question], max(until - self._clock.seconds(), 0.0))
        return asked

    def _told(
        self,
        said: LogUrl,
        changes: Sequence[GerritChange],
        builds: Sequence[ZuulBuild],
        failed: Iterable[StackvizError],
    ) -> _Told:
        warnings = tuple(
            dict.fromkeys(error.message for error in failed if not isinstance(error, NotFoundError))
        )
        match = self._match(said, changes, builds)
        if match is not None:
            subject, build = match
            noted = tuple(warning for change in changes for warning in change.warnings)
            return self._job(said, subject, build), noted if subject.title else (*noted, *warnings)
        if len(changes) == 1 and not warnings:
            return self._job(said, subject_of_change(changes[0]), None), changes[0].warnings
        if len(changes) > 1:
            hosts = " and ".join(host_of(change.server) for change in changes)
            warnings += (f"{hosts} both have a change {said.change}; which one this job is of is not known.",)
        return self._job(said, None, None), warnings

    def _match(
        self, said: LogUrl, changes: Sequence[GerritChange], builds: Sequence[ZuulBuild]
    ) -> tuple[Subject, CiBuild] | None:
        """The build that lies there, and what it is of."""
        for change in changes:
            comments = [c for c in change.builds if _names(c.url, said) or _names(c.page, said)]
            known, others = merged(comments, [build for build in builds if is_of(build, change)])
            found = find_build([*known, *others], said)
            if found is not None:
                return subject_of_change(change), found
        for build in builds:
            found = find_build(merged((), [build])[0], said)
            if found is not None:
                return subject_of_build(build), found
        return None

    def _job(self, said: LogUrl, subject: Subject | None, build: CiBuild | None) -> Job:
        return job_at(said, subject, build, self._refusal)


def _may_be(uuid: str | None, said: LogUrl) -> bool:
    return uuid is not None and said.uuid is not None and uuid.startswith(said.uuid)


def _is_at(url: str | None, root: str) -> bool:
    return url is not None and url.rstrip("/") == root.rstrip("/")


def _names(url: str | None, said: LogUrl) -> bool:
    return url is not None and said.uuid is not None and said.uuid in url


def _change_of(builds: Sequence[ZuulBuild]) -> int | None:
    return next((build.change for build in builds if build.change is not None), None)
