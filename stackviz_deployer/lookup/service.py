# SPDX-License-Identifier: Apache-2.0
"""From what was pasted to jobs: the ``Lookup`` of interfaces.py.

Every question to a Gerrit goes through one place that shares answers: a person's list, the scrape
that follows it and everybody who asks for the same change within half a minute cost one request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, cast

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from stackviz_deployer.errors import (
    HostNotAllowedError,
    NotFoundError,
    QueryNotUnderstoodError,
    StackvizError,
    UpstreamTimeoutError,
)
from stackviz_deployer.interfaces import CpuPool, Fetcher
from stackviz_deployer.lookup.gerrit import GerritChange, GerritClient, Scratch
from stackviz_deployer.lookup.logurl import LogUrl, parse_log_url
from stackviz_deployer.lookup.query import (
    ChangeQuery,
    LogUrlQuery,
    SampleQuery,
    host_of,
    parse_query,
)
from stackviz_deployer.lookup.recent import Recent
from stackviz_deployer.lookup.results import find_build, grouped, job_at, job_of, patchsets
from stackviz_deployer.model import Answer, GerritServer, Job, Limits

FIND_SECONDS = 20.0
"""How long a person waits for an answer."""
DESCRIBE_SECONDS = 8.0
"""How long a scrape waits for facts that it can do without."""
KEEP_SECONDS = 30.0
KEEP_BUILDS = 50_000
"""Of all kept answers together, some 30 MB."""
TURN_BUILDS = 200
"""How many are made into entries at a stretch: some 10 ms."""
SAMPLE = "sample:"

_Key = tuple[str, str | None, int]
_Outcome = tuple[GerritServer, GerritChange | StackvizError]

log = Logger()


class LookupService:
    """Implements interfaces.Lookup with the configured Gerrits and the jobs of the package."""

    def __init__(
        self,
        *,
        fetcher: Fetcher,
        cpu: CpuPool,
        gerrits: Sequence[GerritServer],
        samples: Sequence[Job],
        limits: Limits,
        clock: IReactorTime,
        scratch: Scratch,
        find_timeout_s: float = FIND_SECONDS,
        describe_timeout_s: float = DESCRIBE_SECONDS,
    ) -> None:
        """``samples`` are the package's own jobs; ``scratch`` makes directories for Gerrit's answers."""
        self._find_timeout_s = find_timeout_s
        self._describe_timeout_s = describe_timeout_s
        self._fetcher = fetcher
        self._gerrits = tuple(gerrits)
        self._samples = tuple(samples)
        self._clock = clock
        self._client = GerritClient(fetcher=fetcher, cpu=cpu, limits=limits, scratch=scratch)
        self._recent: Recent[_Key, GerritChange] = Recent(
            clock, ttl_s=KEEP_SECONDS, max_cost=KEEP_BUILDS, cost=lambda change: 50 + len(change.builds)
        )

    async def find(self, q: str) -> Answer:
        """As in interfaces.Lookup."""
        query = parse_query(q, self._gerrits)
        if isinstance(query, ChangeQuery):
            return await self._find_change(query)
        if isinstance(query, LogUrlQuery):
            job, warnings = await self._describe(query.url, self._find_timeout_s)
            return Answer(results=(job,), warnings=warnings)
        return Answer(results=self._samples if query.url is None else (self._sample(query),))

    async def describe(self, url: str) -> Job:
        """As in interfaces.Lookup."""
        if url.startswith(SAMPLE):
            return self._sample(SampleQuery(url=url))
        job, _ = await self._describe(url, self._describe_timeout_s)
        return job

    def _sample(self, query: SampleQuery) -> Job:
        wanted = (query.url or "").rstrip("/") + "/"
        for job in self._samples:
            if job.url == wanted:
                return job
        raise NotFoundError(f"There is no {wanted[:200]}; ask for 'sample' to see the sample jobs.")

    async def _find_change(self, query: ChangeQuery) -> Answer:
        servers = self._gerrits if query.gerrit is None else (query.gerrit,)
        if not servers:
            raise NotFoundError("No Gerrit is configured; give the URL of a log directory instead.")
        outcomes = await self._ask(servers, query.number, query.project, self._find_timeout_s)
        found = []
        failed: list[StackvizError] = []
        absent: list[StackvizError] = []
        for server, outcome in outcomes:
            if isinstance(outcome, NotFoundError):
                absent.append(outcome)
            elif isinstance(outcome, StackvizError):
                failed.append(outcome)
            elif query.patchset is not None and query.patchset > (outcome.patchset or query.patchset):
                absent.append(
                    NotFoundError(
                        f"Change {query.number} on {host_of(server)} has no patchset {query.patchset}; "
                        f"its newest is {outcome.patchset}."
                    )
                )
            else:
                found.append(outcome)
        if not found:
            # Whoever could not be asked may have it: "not found" would be a guess.
            raise failed[0] if failed else _joined(absent)
        warnings = [error.message for error in failed]
        results: list[Job] = []
        for change in found:
            newest = next(iter(patchsets(change)), None)
            patchset = newest if query.patchset is None else query.patchset
            results.extend(await self._jobs(change, patchset))
            warnings.extend(change.warnings)
        message = None if results else " ".join(_nothing_yet(change, query.patchset) for change in found)
        return Answer(results=tuple(results), message=message, warnings=tuple(warnings))

    async def _jobs(self, change: GerritChange, patchset: int | None) -> list[Job]:
        """The entries of a patchset; the reactor has its turn now and then, there can be thousands."""
        jobs: list[Job] = []
        builds = 0
        for group in grouped(change, patchset):
            if builds > TURN_BUILDS:
                await deferLater(self._clock, 0)
                builds = 0
            jobs.append(job_of(change, group, self._refusal))
            builds += len(group)
        return jobs

    async def _describe(self, url: str, timeout_s: float) -> tuple[Job, tuple[str, ...]]:
        """The job at a log address, and which sources could not be asked about it."""
        said = parse_log_url(url)
        self._fetcher.check(said.root)
        if said.change is None or not self._gerrits:
            return job_at(said, None, None), ()
        recent = [change for change in self._recent.values() if change.number == said.change]
        for change in recent:
            if (build := find_build(change, said)) is not None:
                return job_at(said, change, build), change.warnings
        try:
            outcomes = await self._ask(self._gerrits, said.change, None, timeout_s)
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001  a scrape goes on without these facts, whatever is wrong with us
            log.failure("describing {url}", url=said.root)
            return job_at(said, None, None), ("What Gerrit knows could not be read; see the log.",)
        return self._filled_in(said, outcomes)

    def _filled_in(self, said: LogUrl, outcomes: Sequence[_Outcome]) -> tuple[Job, tuple[str, ...]]:
        changes = [outcome for _, outcome in outcomes if isinstance(outcome, GerritChange)]
        warnings = tuple(
            outcome.message
            for _, outcome in outcomes
            if isinstance(outcome, StackvizError) and not isinstance(outcome, NotFoundError)
        )
        for change in changes:
            if (build := find_build(change, said)) is not None:
                return job_at(said, change, build), change.warnings
        if len(changes) == 1 and not warnings:
            return job_at(said, changes[0], None), changes[0].warnings
        if len(changes) > 1:
            hosts = " and ".join(host_of(change.server) for change in changes)
            warnings += (f"{hosts} both have a change {said.change}; which one this job is of is not known.",)
        return job_at(said, None, None), warnings

    async def _ask(
        self, servers: Sequence[GerritServer], number: int, project: str | None, timeout_s: float
    ) -> list[_Outcome]:
        """What each says of the change; all are asked at once, each for so long."""
        asked = [self._ask_one(server, number, project, timeout_s) for server in servers]
        answers = await DeferredList(asked, consumeErrors=True)
        outcomes: list[_Outcome] = []
        # DeferredList's type forgets that the second of a pair may be a Failure.
        for server, (_, answer) in zip(
            servers, cast("list[tuple[bool, GerritChange | Failure]]", answers), strict=True
        ):
            if isinstance(answer, GerritChange):
                outcomes.append((server, answer))
            elif isinstance(answer.value, StackvizError):
                outcomes.append((server, answer.value))
            else:  # cancelled, or a mistake of ours
                raise cast("BaseException", answer.value)
        return outcomes

    def _ask_one(
        self, server: GerritServer, number: int, project: str | None, timeout_s: float
    ) -> Deferred[GerritChange]:
        # The work has the longer deadline: somebody more patient may join it.
        answer = self._recent.get(
            (server.url, project, number),
            lambda: self._client.change(server, number, project=project, timeout_s=self._find_timeout_s),
        )

        def slow(_: object, after: float) -> NoReturn:
            raise UpstreamTimeoutError(f"{host_of(server)} did not answer within {after:g} seconds.")

        return answer.addTimeout(timeout_s, self._clock, onTimeoutCancel=slow)

    def _refusal(self, url: str) -> str | None:
        try:
            self._fetcher.check(url)
        except (HostNotAllowedError, QueryNotUnderstoodError) as error:
            return error.message
        return None


def _joined(absent: Sequence[StackvizError]) -> NotFoundError:
    return NotFoundError(" ".join(error.message for error in absent))


def _nothing_yet(change: GerritChange, patchset: int | None) -> str:
    """Why a change gives no entries, and where there are some."""
    host = host_of(change.server)
    known = patchsets(change)
    what = f"Change {change.number}" if patchset is None else f"Patchset {patchset} of change {change.number}"
    if patchset is not None and known:
        others = ", ".join(str(number) for number in known[:20])
        return f"{what} on {host} has no CI results; these patchsets have: {others}."
    return f"{what} on {host} has no CI results yet."
