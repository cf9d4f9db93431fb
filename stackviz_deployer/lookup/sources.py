# SPDX-License-Identifier: Apache-2.0
"""All configured servers, asked at once.

Every question goes through one place that shares answers: a person's list, the scrape that
follows it and everybody who asks for the same change within half a minute cost one request a server.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NoReturn, TypeVar, cast

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from stackviz_deployer.errors import NotFoundError, StackvizError, UpstreamTimeoutError
from stackviz_deployer.interfaces import CpuPool, Fetcher, Meters
from stackviz_deployer.lookup.answer import Scratch
from stackviz_deployer.lookup.gerrit import FoundChanges, GerritChange, GerritClient
from stackviz_deployer.lookup.query import host_of
from stackviz_deployer.lookup.recent import Recent
from stackviz_deployer.lookup.round import Named
from stackviz_deployer.lookup.zuul import Question, ZuulAnswer, ZuulBuild, ZuulClient
from stackviz_deployer.settings import GerritServer, Limits, ZuulServer

KEEP_SECONDS = 30.0
KEEP_TENANTS_SECONDS = 600.0
KEEP_BUILDS = 50_000
"""Of all kept answers of one kind together, some 30 MB."""
MAX_ASKED_BUILDS = 3_000
"""Of all Zuuls and tenants together, for one question."""
MAX_TENANTS = 100
"""Of one Zuul, that a question is put to."""

T = TypeVar("T")
U = TypeVar("U")


@frozen(kw_only=True)
class Asked:
    """What the Zuuls said to one question."""

    builds: tuple[ZuulBuild, ...] = ()
    """Each Zuul's newest first, none twice."""
    answered: int = 0
    """How many know of what was asked; it may have no builds."""
    failed: tuple[StackvizError, ...] = ()
    """Those that could not be asked."""
    absent: tuple[NotFoundError, ...] = ()
    """Those that know nothing of it."""
    warnings: tuple[str, ...] = ()


async def gathered(asked: Sequence[Deferred[T]]) -> list[T | StackvizError]:
    """The results in their order, ours errors as values; all are waited for.

    Raises what is no StackvizError: a cancellation, or a mistake of ours.
    """
    outcomes: list[T | StackvizError] = []
    for _, answer in await DeferredList(asked, consumeErrors=True):
        # DeferredList's type forgets that the second of a pair may be a Failure.
        result = cast("T | Failure", answer)
        if not isinstance(result, Failure):
            outcomes.append(result)
        elif isinstance(result.value, StackvizError):
            outcomes.append(result.value)
        else:
            raise cast("BaseException", result.value)
    return outcomes


async def together(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Both results, worked out at the same time."""
    both: list[Deferred[Any]] = [Deferred.fromCoroutine(first), Deferred.fromCoroutine(second)]
    results = await gathered(both)
    for result in results:
        if isinstance(result, StackvizError):
            raise result
    return cast("tuple[T, U]", tuple(results))


def combined(outcomes: Iterable[Sequence[ZuulAnswer | StackvizError] | StackvizError]) -> Asked:
    """What the Zuuls said together; of each its answers, or why there are none."""
    found: dict[object, ZuulBuild] = {}
    failed: list[StackvizError] = []
    absent: list[NotFoundError] = []
    warnings: list[str] = []
    answered = 0
    for outcome in outcomes:
        for answer in [outcome] if isinstance(outcome, StackvizError) else outcome:
            if isinstance(answer, ZuulAnswer):
                answered += 1
                warnings.extend(answer.warnings)
                for build in answer.builds:
                    # Two addresses of one Zuul (one of them white-label) know the same builds.
                    found.setdefault(build.uuid or build, build)
            elif isinstance(answer, NotFoundError):
                absent.append(answer)
            else:
                failed.append(answer)
    if len(found) > MAX_ASKED_BUILDS:
        warnings.append(f"Zuul knows of {len(found)} builds; only {MAX_ASKED_BUILDS} were looked at.")
    return Asked(
        builds=tuple(islice(found.values(), MAX_ASKED_BUILDS)),
        answered=answered,
        failed=tuple(failed),
        absent=tuple(absent),
        warnings=tuple(dict.fromkeys(warnings)),
    )


class Sources:
    """The Gerrits and Zuuls of the configuration."""

    def __init__(
        self,
        *,
        gerrits: Sequence[GerritServer],
        zuuls: Sequence[ZuulServer],
        fetcher: Fetcher,
        cpu: CpuPool,
        limits: Limits,
        clock: IReactorTime,
        scratch: Scratch,
        work_timeout_s: float,
        meters: Meters,
    ) -> None:
        """``work_timeout_s``: how long a question may take, however impatient the first who asks it."""
        self.gerrits = tuple(gerrits)
        self.zuuls = tuple(zuuls)
        self._clock = clock
        self._work_timeout_s = work_timeout_s
        self._gerrit = GerritClient(fetcher=fetcher, cpu=cpu, limits=limits, scratch=scratch, meters=meters)
        self._zuul = ZuulClient(fetcher=fetcher, cpu=cpu, limits=limits, scratch=scratch, meters=meters)
        self._changes: Recent[tuple[str, str | None, int], GerritChange] = Recent(
            clock, ttl_s=KEEP_SECONDS, max_cost=KEEP_BUILDS, cost=lambda change: 50 + len(change.builds)
        )
        self._answers: Recent[tuple[ZuulServer, str | None, Question], ZuulAnswer] = Recent(
            clock, ttl_s=KEEP_SECONDS, max_cost=KEEP_BUILDS, cost=lambda answer: 10 + len(answer.builds)
        )
        self._tenants: Recent[ZuulServer, tuple[str, ...]] = Recent(
            clock, ttl_s=KEEP_TENANTS_SECONDS, max_cost=1000, cost=lambda _: 1
        )

    def recent_changes(self, number: int | None = None) -> list[GerritChange]:
        """Those (of that number) that were asked for a moment ago."""
        return [change for change in self._changes.values() if number is None or change.number == number]

    def recent_builds(self) -> Iterator[ZuulBuild]:
        """Those that were asked for a moment ago."""
        for answer in self._answers.values():
            yield from answer.builds

    async def changes(
        self, servers: Sequence[GerritServer], number: int, project: str | None, timeout_s: float
    ) -> list[GerritChange | StackvizError]:
        """What each Gerrit says of the change; all are asked at once, each for so long."""
        asked = self.ask_changes(servers, number, project, timeout_s)
        return await gathered([answer for _, answer in asked])

    def ask_changes(
        self, servers: Sequence[GerritServer], number: int, project: str | None, timeout_s: float
    ) -> list[Named]:
        """The same on its way: of each Gerrit a GerritChange."""
        return [(host_of(server), self._change(server, number, project, timeout_s)) for server in servers]

    async def search(
        self, servers: Sequence[GerritServer], text: str, timeout_s: float
    ) -> list[FoundChanges | StackvizError]:
        """What each Gerrit finds; all are asked at once, each for so long."""
        asked = [
            Deferred.fromCoroutine(self._gerrit.search(server, text, timeout_s=timeout_s))
            for server in servers
        ]
        return await gathered(
            [
                self._within(timeout_s, host_of(server), one)
                for server, one in zip(servers, asked, strict=True)
            ]
        )

    async def builds(
        self,
        questions: Sequence[Question],
        timeout_s: float,
        *,
        tenant: str | None = None,
    ) -> Asked:
        """What Zuul says; the Zuuls and their tenants are asked at once, each Zuul for so long.

        ``tenant`` None: all of them.
        """
        asked = self.ask_builds(questions, timeout_s, tenant=tenant)
        return combined(await gathered([answer for _, answer in asked]))

    def ask_builds(
        self,
        questions: Sequence[Question],
        timeout_s: float,
        *,
        zuul: ZuulServer | None = None,
        tenant: str | None = None,
    ) -> list[Named]:
        """``builds``, begun: an answer of each Zuul (``zuul`` None: of all), to be given to ``combined``."""
        zuuls = self.zuuls if zuul is None else (zuul,)
        return [
            (host_of(one), Deferred.fromCoroutine(self._of_one(one, tenant, questions, timeout_s)))
            for one in zuuls
        ]

    async def _of_one(
        self, zuul: ZuulServer, tenant: str | None, questions: Sequence[Question], timeout_s: float
    ) -> list[ZuulAnswer | StackvizError]:
        until = self._clock.seconds() + timeout_s
        tenants: Sequence[str | None] = [None]
        if not zuul.white_label:
            tenants = await self._tenants_of(zuul, timeout_s) if tenant is None else [tenant]
            if tenant is not None and tenant not in (zuul.tenants or [tenant]):
                return [NotFoundError(f"{host_of(zuul)} is not asked about its tenant {tenant[:100]}.")]
        left = max(until - self._clock.seconds(), 0.0)
        return await gathered(
            [self._answer(zuul, name, question, left) for name in tenants for question in questions]
        )

    async def _tenants_of(self, zuul: ZuulServer, timeout_s: float) -> Sequence[str]:
        if zuul.tenants is not None:
            return zuul.tenants
        asked = self._tenants.get(zuul, lambda: self._zuul.tenants(zuul, timeout_s=self._work_timeout_s))
        names = await self._within(timeout_s, host_of(zuul), asked)
        return names[:MAX_TENANTS]

    def _answer(
        self, zuul: ZuulServer, tenant: str | None, question: Question, timeout_s: float
    ) -> Deferred[ZuulAnswer]:
        asked = self._answers.get(
            (zuul, tenant, question),
            lambda: self._zuul.ask(zuul, tenant, question, timeout_s=self._work_timeout_s),
        )
        return self._within(timeout_s, host_of(zuul), asked)

    def _change(
        self, server: GerritServer, number: int, project: str | None, timeout_s: float
    ) -> Deferred[GerritChange]:
        asked = self._changes.get(
            (server.url, project, number),
            lambda: self._gerrit.change(server, number, project=project, timeout_s=self._work_timeout_s),
        )
        return self._within(timeout_s, host_of(server), asked)

    def _within(self, timeout_s: float, host: str, asked: Deferred[T]) -> Deferred[T]:
        # The work has the longer deadline: somebody more patient may join it.
        def slow(_: object, after: float) -> NoReturn:
            raise UpstreamTimeoutError(f"{host} did not answer within {after:.3g} seconds.")

        return asked.addTimeout(timeout_s, self._clock, onTimeoutCancel=slow)
