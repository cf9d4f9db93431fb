# SPDX-License-Identifier: Apache-2.0
"""When the tests of JUnit reports ran, as far as the reports tell.

A report says when a suite began and how long each test took, rarely more.  So tests are put
one after the other from their suite's beginning.  Such a sequence is a *strand*; suites
without a time of their own go on in their parent's, and those whose time is the same as
that of one before them (some writers give the report's time to all) go on behind it.
Strands that overlap in time get lanes of their own, by host.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Sequence

from attrs import define

from stackviz_deployer.parsers.junit_times import Moment
from stackviz_deployer.parsers.subunit_run import Test, count_of
from stackviz_deployer.parsers.subunit_shape import MAX_WORKERS

ESTIMATED = "estimated"
"""Tag of a test whose start no report tells."""

_FREE = 0
"""In place of a strand: the test told its own time, and overlaps the one before it."""


@define(eq=False)
class Strand:
    """Tests in a sequence."""

    number: int
    host: str
    start_us: int | None
    """None: no suite of it has a time; its tests are then at 0 and behind, until all is known."""
    cursor_us: int
    """Where the next test begins."""
    step_us: int
    """How exact its start is."""
    tests: int = 0
    shift_us: int = 0
    lane: int | None = None


class Layout:
    """Gives the tests of a run their times while they are read, and in the end their lanes."""

    def __init__(self) -> None:
        self.strand_of = array("I")
        """For each test of the run, in their order: the number of its strand."""
        self._strands: list[Strand] = []
        self._by_moment: dict[tuple[str, int], Strand] = {}
        self._undated: Strand | None = None
        self._estimated = 0
        self._without_duration = 0
        self._unzoned = 0
        self._same_moment = 0

    @property
    def dated(self) -> bool:
        """Whether any test has a date."""
        return any(strand.tests for strand in self._strands if strand.start_us is not None)

    def enter(self, host: str, when: Moment | None, parent: Strand | None) -> Strand:
        """The strand of a suite that begins ``when``, inside of one in ``parent``."""
        if when is None:
            if parent is not None:
                return parent
            if self._undated is None:
                self._undated = self._new(host, None)
            return self._undated
        self._unzoned += not when.zoned
        known = self._by_moment.get((host, when.us))
        if known is not None:
            self._same_moment += known is not parent and known.tests > 0
            return known
        if (
            parent is not None
            and parent.host == host
            and parent.start_us is not None
            and when.us + when.step_us >= parent.cursor_us
        ):
            parent.cursor_us = max(parent.cursor_us, when.us)
            self._by_moment[host, when.us] = parent
            return parent
        strand = self._by_moment[host, when.us] = self._new(host, when)
        return strand

    def leave(self, strand: Strand, parent: Strand | None) -> None:
        """A suite inside of another has ended: what follows in the outer one comes behind it."""
        if (
            parent is not None
            and parent is not strand
            and parent.host == strand.host
            and None not in (parent.start_us, strand.start_us)
        ):
            parent.cursor_us = max(parent.cursor_us, strand.cursor_us)

    def place(
        self, strand: Strand, duration_us: int | None, own: Moment | None
    ) -> tuple[int, int, str | None, int]:
        """Start, end, mark and number of the strand of its next test; ``own``: the time that it told."""
        if duration_us is None:
            self._without_duration += 1
            duration_us = 0
        number = strand.number
        start = strand.cursor_us
        mark: str | None = None
        if own is None or strand.start_us is None:
            self._estimated += 1
            mark = ESTIMATED
        else:
            self._unzoned += not own.zoned
            if own.us > start:
                start = own.us
            elif own.us + own.step_us < start:
                return own.us, own.us + duration_us, None, _FREE
        end = start + duration_us
        # what takes no time is drawn with 1 us
        strand.cursor_us = end if end > start else start + 1
        strand.tests += 1
        return start, end, mark, number

    def settle(self, tests: Sequence[Test]) -> list[str]:
        """Put the strands into lanes, and tag the tests with them; sentences on what was invented."""
        strands = [strand for strand in self._strands if strand.tests]
        undated = [strand for strand in strands if strand.start_us is None]
        lanes = self._assign([strand for strand in strands if strand.start_us is not None])
        for strand in undated:
            strand.shift_us = max((s.cursor_us + s.shift_us for s in strands if s is not strand), default=0)
            strand.lane = 0
        hosts = {strand.host for strand in strands}
        tags: list[tuple[str, ...]] = [()] * (len(self._strands) + 1)
        for strand in strands:
            worker = () if strand.lane is None or lanes > MAX_WORKERS else (f"worker-{strand.lane}",)
            host = (f"host:{strand.host}",) if strand.host and len(hosts) > 1 else ()
            tags[strand.number] = (*worker, *host)
        shifts = [0] * (len(self._strands) + 1)
        for strand in strands:
            shifts[strand.number] = strand.shift_us
        shared: dict[tuple[int, tuple[str, ...]], tuple[str, ...]] = {}
        for test, number in zip(tests, self.strand_of, strict=True):
            if test.tags:
                key = (number, test.tags)
                test.tags = shared.setdefault(key, (*tags[number], *test.tags))
            else:
                test.tags = tags[number]
            shift = shifts[number]
            if shift and test.start_us is not None and test.end_us is not None:
                test.start_us += shift
                test.end_us += shift
        said = self._sentences(len(tests), sum(strand.tests for strand in undated))
        if lanes > MAX_WORKERS:
            said.append(f"{lanes} suites ran at once: too many for a lane each, so some overlap in theirs.")
        return said

    def _new(self, host: str, when: Moment | None) -> Strand:
        strand = Strand(
            number=len(self._strands) + 1,
            host=host,
            start_us=None if when is None else when.us,
            cursor_us=0 if when is None else when.us,
            step_us=0 if when is None else when.step_us,
        )
        self._strands.append(strand)
        return strand

    @staticmethod
    def _assign(strands: Sequence[Strand]) -> int:
        """Lanes for strands that have a time, as few a host as keep them apart; how many."""
        hosts: dict[str, list[Strand]] = {}
        for strand in strands:
            hosts.setdefault(strand.host, []).append(strand)
        lanes = 0
        for of_host in hosts.values():
            busy: list[tuple[int, int]] = []  # (end, lane), a heap
            for strand in sorted(of_host, key=lambda s: (s.start_us or 0, s.number)):
                start = strand.start_us or 0
                # a time of whole seconds is up to a second early: that is no overlap
                if busy and busy[0][0] <= start + strand.step_us:
                    end, strand.lane = heapq.heappop(busy)
                    strand.shift_us = max(end - start, 0)
                else:
                    strand.lane = lanes
                    lanes += 1
                heapq.heappush(busy, (strand.cursor_us + strand.shift_us, strand.lane))
        return lanes

    def _sentences(self, tests: int, undated: int) -> list[str]:
        said = []
        if undated:
            where = "from 1970-01-01 on" if undated == tests else "behind the others"
            said.append(
                f"{count_of(undated, 'test belongs', 'tests belong')} to suites without a time:"
                f" shown one after the other, {where}."
            )
        if self._estimated > undated:
            number = self._estimated - undated
            said.append(
                f"The {'start' if number == 1 else 'starts'} of {count_of(number, 'test is', 'tests are')}"
                " estimated: reports tell when a suite began and how long each test took."
            )
        if self._same_moment:
            said.append(
                f"{count_of(self._same_moment, 'suite has', 'suites have')} the time of another"
                " on the same host: shown behind it."
            )
        if self._without_duration:
            number = self._without_duration
            said.append(
                f"{count_of(number, 'test has', 'tests have')} no duration: shown as if they took none."
            )
        if self._unzoned:
            said.append("Times without a zone are taken as UTC.")
        return said
