# SPDX-License-Identifier: Apache-2.0
"""From what was pasted to jobs: the ``Lookup`` of interfaces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from stackviz_deployer.errors import (
    HostNotAllowedError,
    NotFoundError,
    QueryNotUnderstoodError,
    StackvizError,
)
from stackviz_deployer.interfaces import CpuPool, Fetcher, Meters, NoMeters
from stackviz_deployer.lookup.answer import Scratch
from stackviz_deployer.lookup.describe import Describer
from stackviz_deployer.lookup.found import Found, by_change, naming_all, nothing_yet, once
from stackviz_deployer.lookup.gerrit import FoundChanges, GerritChange
from stackviz_deployer.lookup.logurl import parse_log_url
from stackviz_deployer.lookup.query import (
    ChangeQuery,
    LogUrlQuery,
    SampleQuery,
    SearchQuery,
    host_of,
    parse_query,
    zuul_query,
)
from stackviz_deployer.lookup.results import (
    grouped,
    is_on,
    job_of,
    patchsets,
)
from stackviz_deployer.lookup.round import Round
from stackviz_deployer.lookup.sources import Asked, Sources, combined, gathered
from stackviz_deployer.lookup.zuul import Question, ZuulBuild
from stackviz_deployer.lookup.zuul_page import BuildQuery, BuildsQuery
from stackviz_deployer.model import Answer, Choice, Job
from stackviz_deployer.settings import GerritServer, Limits, ZuulServer

FIND_SECONDS = 20.0
"""How long a person waits for an answer of a server."""
BESIDE_SECONDS = 8.0
"""How long a person waits for a Zuul that is asked next to Gerrit, which knows most of it."""
DESCRIBE_SECONDS = 8.0
"""How long a scrape waits for facts that it can do without."""
TURN_BUILDS = 200
"""How many are made into entries at a stretch: some 10 ms."""
MAX_CHANGES_ASKED = 3
"""Changes that Gerrit is asked about for the builds of one Zuul page."""
SAMPLE = "sample:"

Tell = Callable[[Answer], None]


class LookupService:
    """Implements interfaces.Lookup with the configured Gerrits and Zuuls and the jobs of the package."""

    def __init__(
        self,
        *,
        fetcher: Fetcher,
        cpu: CpuPool,
        gerrits: Sequence[GerritServer],
        zuuls: Sequence[ZuulServer] = (),
        samples: Sequence[Job],
        limits: Limits,
        clock: IReactorTime,
        scratch: Scratch,
        find_timeout_s: float = FIND_SECONDS,
        describe_timeout_s: float = DESCRIBE_SECONDS,
        meters: Meters | None = None,
    ) -> None:
        """``samples`` are the package's own jobs; ``scratch`` makes directories for others' answers."""
        self._find_timeout_s = find_timeout_s
        self._describe_timeout_s = describe_timeout_s
        self._fetcher = fetcher
        self._samples = tuple(samples)
        self._clock = clock
        self._sources = Sources(
            gerrits=gerrits,
            zuuls=zuuls,
            fetcher=fetcher,
            cpu=cpu,
            limits=limits,
            clock=clock,
            scratch=scratch,
            work_timeout_s=find_timeout_s,
            meters=meters or NoMeters(),
        )
        self._describer = Describer(self._sources, clock, self._refusal)

    async def find(self, q: str, tell: Callable[[Answer], None] | None = None) -> Answer:
        """As in interfaces.Lookup."""
        query = parse_query(q, self._sources.gerrits, self._sources.zuuls)
        if isinstance(query, ChangeQuery):
            return await self._find_change(query, tell)
        if isinstance(query, SearchQuery):
            return await self._find_changes(query, tell)
        if isinstance(query, BuildQuery | BuildsQuery):
            return await self._find_builds(query, self._find_timeout_s, tell)
        if isinstance(query, LogUrlQuery):
            job, warnings = await self._at(query.url, self._find_timeout_s)
            return Answer(results=(job,), warnings=warnings)
        return Answer(results=self._samples if query.url is None else (self._sample(query),))

    async def describe(self, url: str) -> Job:
        """As in interfaces.Lookup; of a page of Zuul about one build, the job that it shows."""
        if url.startswith(SAMPLE):
            return self._sample(SampleQuery(url=url))
        page = zuul_query(url, self._sources.zuuls)
        if page is None:
            job, _ = await self._at(url, self._describe_timeout_s)
            return job
        try:
            found = (await self._find_builds(page, self._describe_timeout_s)).results
        except StackvizError as error:
            # The page itself is nothing to scrape.
            raise NotFoundError(f"Where the logs of this build lie is not known: {error.message}") from error
        if len(found) != 1:
            raise QueryNotUnderstoodError("This page of Zuul shows several builds; give the URL of one.")
        if found[0].url is None:
            raise NotFoundError(found[0].reason or "The build has no logs.")
        return found[0]

    async def _at(self, url: str, timeout_s: float) -> tuple[Job, tuple[str, ...]]:
        """The job at a log address, and which sources could not be asked about it."""
        said = parse_log_url(url)
        self._fetcher.check(said.root)
        return await self._describer.describe(said, timeout_s)

    def _sample(self, query: SampleQuery) -> Job:
        wanted = (query.url or "").rstrip("/") + "/"
        for job in self._samples:
            if job.url == wanted:
                return job
        raise NotFoundError(f"There is no {wanted[:200]}; ask for 'sample' to see the sample jobs.")

    async def _find_change(self, query: ChangeQuery, tell: Tell | None = None) -> Answer:
        """Gerrit's comments and Zuul's records, asked at the same time."""
        servers = self._sources.gerrits if query.gerrit is None else (query.gerrit,)
        if not servers and not self._sources.zuuls:
            raise NotFoundError("No Gerrit is configured; give the URL of a log directory instead.")
        filters = [("change", str(query.number))]
        if query.patchset is not None:
            filters.append(("patchset", str(query.patchset)))
        zuul_timeout_s = min(self._find_timeout_s, BESIDE_SECONDS) if servers else self._find_timeout_s
        asked = Round(
            self._sources.ask_changes(servers, query.number, query.project, self._find_timeout_s),
            self._sources.ask_builds([Question(kind="builds", filters=tuple(filters))], zuul_timeout_s),
        )

        async def known() -> Answer:
            return await self._of_change(query, asked.said(0), combined(asked.said(1)), asked.asking)

        await _hear(asked, known, tell)
        return await known()

    async def _of_change(
        self,
        query: ChangeQuery,
        outcomes: Sequence[GerritChange | StackvizError],
        asked: Asked,
        asking: tuple[str, ...],
    ) -> Answer:
        """What the Gerrits and Zuuls say of a change; nothing is missing as long as some are ``asking``."""
        failed = [error for error in outcomes if isinstance(error, StackvizError)]
        absent = [error for error in failed if isinstance(error, NotFoundError)]
        failed = [error for error in failed if error not in absent]
        changes = [change for change in outcomes if isinstance(change, GerritChange)]
        there = []
        for change in changes:
            if query.patchset is not None and query.patchset > (change.patchset or query.patchset):
                absent.append(
                    NotFoundError(
                        f"Change {query.number} on {host_of(change.server)} has no patchset "
                        f"{query.patchset}; its newest is {change.patchset}."
                    )
                )
            else:
                there.append(change)
        found = by_change(there, [b for b in asked.builds if b.change == query.number], query.gerrit)
        if not found and not asking:
            if failed:
                # Whoever could not be asked may have it: "not found" would be a guess.
                raise naming_all([*failed, *asked.failed])
            raise NotFoundError(" ".join(error.message for error in (*absent, *asked.failed)))
        results: list[Job] = []
        for one in found:
            newest = next(iter(patchsets(one.builds)), None)
            results.extend(await self._jobs(one, newest if query.patchset is None else query.patchset))
        message = None if results or asking else " ".join(nothing_yet(one, query) for one in found)
        warnings = [error.message for error in (*failed, *asked.failed)]
        if not asking:
            warnings += [error.message for error in asked.absent]
        warnings += [warning for change in there for warning in change.warnings]
        return Answer(
            results=tuple(results),
            message=message,
            warnings=once(warnings, asked.warnings),
            asking=asking,
        )

    async def _find_changes(self, query: SearchQuery, tell: Tell | None) -> Answer:
        """The change that a search finds, or the choice between several."""
        servers = self._sources.gerrits if query.gerrit is None else (query.gerrit,)
        if not servers:
            raise NotFoundError("No Gerrit is configured; give the URL of a log directory instead.")
        if tell is not None:
            tell(Answer(asking=tuple(host_of(server) for server in servers)))
        outcomes = await self._sources.search(servers, query.text, self._find_timeout_s)
        failed = [outcome for outcome in outcomes if isinstance(outcome, StackvizError)]
        answers = [outcome for outcome in outcomes if isinstance(outcome, FoundChanges)]
        changes = [change for answer in answers for change in answer.changes]
        if not changes and failed:
            raise failed[0]
        warnings = once(error.message for error in failed)
        if not changes:
            hosts = " and ".join(host_of(server) for server in servers)
            raise NotFoundError(f"{hosts}: no change fits {query.text[:200]}, or only for members.")
        more = any(answer.more for answer in answers)
        if len(changes) == 1 and not more:
            (only,) = changes
            answer = await self._find_change(
                ChangeQuery(number=only.number, gerrit=only.server, project=only.project), tell
            )
            return Answer(
                results=answer.results, message=answer.message, warnings=once(warnings, answer.warnings)
            )
        choices = tuple(
            Choice(
                q=change.url,
                change_id=change.number,
                change_project=change.project or "",
                change_subject=change.subject or "",
                change_branch=change.branch,
            )
            for change in changes
        )
        message = f"{len(choices)} changes fit" + (", the newest of many." if more else ".")
        return Answer(choices=choices, message=message, warnings=warnings)

    async def _find_builds(
        self, query: BuildQuery | BuildsQuery, timeout_s: float, tell: Tell | None = None
    ) -> Answer:
        """The builds of a page of Zuul, or with a UUID."""
        if not self._sources.zuuls:
            raise NotFoundError("No Zuul is configured; give the URL of the build's log directory instead.")
        until = self._clock.seconds() + timeout_s
        going = Round(
            self._sources.ask_builds(_questions(query), timeout_s, zuul=query.zuul, tenant=query.tenant)
        )

        async def known() -> Answer:
            return await self._of_builds(combined(going.said(0)).builds, (), asking=going.asking)

        await _hear(going, known, tell)
        asked = combined(going.said(0))
        if not asked.builds:
            return self._no_builds(query, asked)
        changes = self._changes_of(asked.builds)
        if tell is not None and changes:
            hosts = dict.fromkeys(host_of(server) for server, _, _ in changes)
            tell(await self._of_builds(asked.builds, (), asking=tuple(hosts)))
        left = max(until - self._clock.seconds(), 0.0)
        outcomes = await gathered(
            [
                answer
                for server, number, project in changes
                for _, answer in self._sources.ask_changes([server], number, project, left)
            ]
        )
        warnings = [
            outcome.message
            for outcome in outcomes
            if isinstance(outcome, StackvizError) and not isinstance(outcome, NotFoundError)
        ]
        # A UUID is found once: that others could not be asked does not matter.
        if isinstance(query, BuildsQuery):
            warnings += [error.message for error in (*asked.failed, *asked.absent)]
        return await self._of_builds(
            asked.builds,
            [outcome for outcome in outcomes if isinstance(outcome, GerritChange)],
            warnings=once(warnings, asked.warnings),
        )

    async def _of_builds(
        self,
        builds: Sequence[ZuulBuild],
        changes: Sequence[GerritChange],
        *,
        warnings: tuple[str, ...] = (),
        asking: tuple[str, ...] = (),
    ) -> Answer:
        results: list[Job] = []
        for one in by_change(changes, builds, None, comments=False):
            results.extend(await self._jobs(one))
        return Answer(results=tuple(results), warnings=warnings, asking=asking)

    def _no_builds(self, query: BuildQuery | BuildsQuery, asked: Asked) -> Answer:
        if asked.answered:
            warnings = once(error.message for error in asked.failed)
            if not asked.failed or isinstance(query, BuildsQuery):
                return Answer(message="Zuul has no builds there.", warnings=warnings)
        if asked.failed:
            raise naming_all(asked.failed)
        if isinstance(query, BuildQuery):
            zuuls = self._sources.zuuls if query.zuul is None else (query.zuul,)
            hosts = " and ".join(host_of(zuul) for zuul in zuuls)
            what = query.kind or "build or buildset"
            raise NotFoundError(f"{hosts}: there is no {what} {query.uuid}, or only for members.")
        raise NotFoundError(" ".join(once(error.message for error in asked.absent)))

    def _changes_of(self, builds: Sequence[ZuulBuild]) -> list[tuple[GerritServer, int, str | None]]:
        """The changes of the builds, when they are few, and on which Gerrits they are."""
        ones = {(build.change, build.project, build.ref_url): build for build in builds}
        if len(ones) > MAX_CHANGES_ASKED:
            return []
        return [
            (server, number, project)
            for (number, project, _), build in ones.items()
            if number is not None
            for server in self._sources.gerrits
            if is_on(build, server)
        ]

    async def _jobs(self, found: Found, *wanted: int | None) -> list[Job]:
        """The entries, of the wanted patchset if one is.

        The reactor has its turn now and then, there can be thousands.
        """
        jobs: list[Job] = []
        builds = 0
        for group in grouped(build for build in found.builds if not wanted or build.patchset in wanted):
            if builds > TURN_BUILDS:
                await deferLater(self._clock, 0)
                builds = 0
            jobs.append(job_of(found.subject, group, self._refusal))
            builds += len(group)
        return jobs

    def _refusal(self, url: str) -> str | None:
        try:
            self._fetcher.check(url)
        except (HostNotAllowedError, QueryNotUnderstoodError) as error:
            return error.message
        return None


async def _hear(asked: Round, known: Callable[[], Awaitable[Answer]], tell: Tell | None) -> None:
    """Wait for all of them; tell who is asked, and what is known whenever some have answered."""
    try:
        if tell is not None and asked.asking:
            tell(Answer(asking=asked.asking))
        while await asked.news():
            if tell is not None and asked.asking:
                tell(await known())
    finally:
        asked.close()


def _questions(query: BuildQuery | BuildsQuery) -> list[Question]:
    if isinstance(query, BuildsQuery):
        return [Question(kind="builds", filters=query.filters)]
    if query.kind == "build":
        return [Question(kind="build", uuid=query.uuid)]
    if query.kind == "buildset":
        return [Question(kind="buildset", uuid=query.uuid)]
    return [Question(kind="build", uuid=query.uuid), Question(kind="buildset", uuid=query.uuid)]
