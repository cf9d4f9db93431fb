# SPDX-License-Identifier: Apache-2.0
"""What became of each task of a Zuul build, and which of them it failed by.

Ansible's results say ``failed`` of a failure that is ignored or rescued, too, and have no mark that tells
them apart; the statistics at the end of a playbook count each kind (formats/console.md, D).  A host
that really fails runs nothing more, so its last failure is the one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from attrs import define, field

MAX_FAILURES = 200
"""Of one build; further ones are not listed, but keep their result."""

_TIMED_OUT = re.compile(r"timed? ?out", re.IGNORECASE)


@define
class Result:
    """Of one task on one host."""

    result: str = "ok"
    """ok, changed, skipped, failed, ignored, rescued or unreachable."""
    action: str | None = None
    rc: int | None = None
    duration_ms: int | None = None
    by_rc: bool = False
    """Nothing but the exit code says that it failed."""
    assumed: bool = False
    """Whether it failed, was ignored or was rescued is not known for certain."""
    excerpts: dict[str, str | dict[str, str]] | None = None
    """Of what failed: ``msg``, the ends of ``stdout``, ``stderr`` and ``exception``; their colours."""
    items: int | None = None
    """Of a loop: how many."""
    failed_items: list[dict[str, object]] | None = None


@define
class Task:
    name: str = ""
    role: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    hosts: dict[str, Result] = field(factory=dict)


@define
class Play:
    name: str = ""
    has_id: bool = False
    start_ms: int | None = None
    end_ms: int | None = None
    tasks: list[Task] = field(factory=list)


@define
class Playbook:
    playbook: str = ""
    phase: str | None = None
    index: int | None = None
    trusted: bool | None = None
    branch: str | None = None
    plays: list[Play] = field(factory=list)
    stats: dict[str, dict[str, int]] | None = None
    """By host; None when the file ends before it."""
    result: str = "ok"
    """ok, failed, unreachable, timed-out, error (it could not be run) or incomplete."""

    def walk(self) -> Iterator[tuple[int, int, Task]]:
        """(number of the play, of the task in it, task), in the order in which they ran."""
        for number, play in enumerate(self.plays):
            for at, task in enumerate(play.tasks):
                yield number, at, task


@define
class Failure:
    """Where a playbook failed: numbers, None for what there is none of."""

    playbook: int
    play: int | None = None
    task: int | None = None
    host: str | None = None


_Place = tuple[int, int, Result]
"""Numbers of the play and of the task in it, and what became of it on one host."""


def settle(playbook: Playbook, number: int) -> list[Failure]:
    """Give each result of the playbook its final name; the failures it ended by, in their order."""
    if kind := _synthetic(playbook):
        playbook.result = kind
        return [Failure(number, 0)]
    hosts: dict[str, list[_Place]] = {}
    for play, task, one in playbook.walk():
        for host, result in one.hosts.items():
            hosts.setdefault(host, []).append((play, task, result))
    fatal: list[tuple[int, int, str]] = []
    for host, results in hosts.items():
        stats = None if playbook.stats is None else playbook.stats.get(host, {})
        found = _settle_unknown(results) if stats is None else _settle_host(results, stats)
        fatal += [(play, task, host) for play, task, _ in found]
    fatal.sort()
    failures = [Failure(number, play, task, host) for play, task, host in fatal]
    if playbook.stats is None:
        playbook.result = "incomplete"
        return failures
    bad = [host for host, stats in playbook.stats.items() if stats.get("failures", 0) > 0]
    lost = [host for host, stats in playbook.stats.items() if stats.get("unreachable", 0) > 0]
    if bad or lost:
        playbook.result = "failed" if bad else "unreachable"
    # what has no result of its own, such as a variable that is undefined where the hosts are named
    return failures or [Failure(number, host=host) for host in (bad or lost)[:1]]


def blamed(playbooks: list[Playbook], failures: list[Failure]) -> Failure | None:
    """What the build failed by: the first failure before or in its run, else after it; never a cleanup's."""
    for phases in (("pre", "run", None), ("post",)):
        for failure in failures:
            if playbooks[failure.playbook].phase in phases:
                return failure
    return None


def was_killed(playbooks: list[Playbook]) -> bool:
    """Whether a run playbook must have ended without statistics: Zuul leaves such a one out."""
    phases = {one.phase for one in playbooks}
    before = [one for one in playbooks if one.phase == "pre"]
    return (
        "post" in phases
        and "run" not in phases
        and bool(before)
        and all(one.result == "ok" for one in before)
    )


def status(playbooks: list[Playbook], failure: Failure | None, *, whole: bool) -> str | None:
    """As Zuul would call the build; None when the file does not tell."""
    if failure is not None:
        playbook = playbooks[failure.playbook]
        if playbook.result == "incomplete":
            return None
        if playbook.phase == "post":
            return "POST_FAILURE"
        return "TIMED_OUT" if playbook.result == "timed-out" else "FAILURE"
    ran = any(one.phase == "run" and one.result == "ok" for one in playbooks)
    return "SUCCESS" if whole and ran else None


def _synthetic(playbook: Playbook) -> str | None:
    """What Zuul wrote in place of a playbook that gave no results."""
    plays = playbook.plays
    if playbook.stats != {} or not plays or any(play.has_id or play.tasks for play in plays):
        return None
    return "timed-out" if _TIMED_OUT.search(plays[0].name) else "error"


def _settle_unknown(results: list[_Place]) -> list[_Place]:
    """Without statistics: a failure after which the host did more was not its end."""
    for _, _, result in results[:-1]:
        if result.result in ("failed", "unreachable"):
            _handle(result, "ignored", assumed=True)
    fatal = [one for one in results[-1:] if one[2].result in ("failed", "unreachable")]
    for _, _, result in fatal:
        result.assumed = True
    return fatal


def _settle_host(results: list[_Place], stats: dict[str, int]) -> list[_Place]:
    unreachable = [one for one in results if one[2].result == "unreachable"]
    lost = stats.get("unreachable", 0)
    for _, _, result in unreachable[: max(0, len(unreachable) - lost)]:
        _handle(result, "ignored")
    ignored, rescued = stats.get("ignored", 0), stats.get("rescued", 0)
    failed = _failed(results, stats.get("failures", 0) + ignored + rescued)
    real = min(stats.get("failures", 0), len(failed))
    fatal = failed[len(failed) - real :]
    handled = [result for _, _, result in failed[: len(failed) - real]]
    # Where there are both nothing tells which is which.
    assumed = bool(ignored and rescued) or len(handled) > ignored + rescued
    for place, result in enumerate(handled):
        _handle(result, "rescued" if rescued and place >= ignored else "ignored", assumed=assumed)
    return [*fatal, *(one for one in unreachable if one[2].result == "unreachable")]


def _failed(results: list[_Place], expected: int) -> list[_Place]:
    """The failed ones; those that only their exit code tells of if the others are too few."""
    failed = [one for one in results if one[2].result == "failed"]
    certain = [one for one in failed if not one[2].by_rc]
    if len(certain) < expected:
        return failed
    for _, _, result in failed:
        if result.by_rc:
            _handle(result, "ok")
    return certain


def _handle(result: Result, name: str, *, assumed: bool = False) -> None:
    result.result, result.assumed = name, assumed


def results(playbooks: Iterable[Playbook]) -> dict[str, int]:
    """How many results of each name."""
    counts: dict[str, int] = {}
    for playbook in playbooks:
        for _, _, task in playbook.walk():
            for result in task.hosts.values():
                counts[result.result] = counts.get(result.result, 0) + 1
    return counts
