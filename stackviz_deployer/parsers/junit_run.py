# SPDX-License-Identifier: Apache-2.0
"""The testcases of JUnit reports -> the tests of one run, with their details.

Tests are held for a while before they are written: what a suite printed comes behind its
tests, and belongs to the first that failed.
"""

from __future__ import annotations

from attrs import Factory, define

from stackviz_deployer.parsers.junit_layout import Layout, Strand
from stackviz_deployer.parsers.junit_times import Moment
from stackviz_deployer.parsers.subunit_run import RunLimits, Status, Test, TestRun, count_of

FLAKY = "flaky"
"""Tag of every attempt at a test whose attempts ended differently."""

LIMITS = RunLimits(tests=1_000_000, test_bytes=8 << 20, held_bytes=24 << 20)
"""Texts are counted in characters here."""

_MAX_WAITING = 1000
"""Tests that are held."""


@define(eq=False)
class Texts:
    """What a test or a suite said."""

    details: dict[str, str] = Factory(dict)
    """As in ``subunit-details``: word characters -> text."""
    pieces: int = 0
    """Elements that they come from."""

    def add(self, key: str, text: str) -> None:
        self.pieces += 1
        known = self.details.get(key)
        self.details[key] = text if known is None else f"{known}\n{text}"


@define(eq=False)
class Suite(Texts):
    """A suite that is being read."""

    name: str = ""
    host: str = ""
    strand: Strand | None = None
    attempts: dict[str, Test] = Factory(dict)
    """The first attempt at each test, by its id; suites of one name and host share them."""
    told_us: int | None = None
    """How long it took by its own account."""
    took_us: int = 0
    """How long its tests took, one after the other."""
    tests: int = 0
    place: tuple[int, int] | None = None
    """Of the first test that failed: which batch of held tests, and where in it."""


class JunitRun:
    """Takes testcases and gives them to a TestRun."""

    def __init__(self, run: TestRun, limits: RunLimits = LIMITS) -> None:
        self.limits = limits
        self.layout = Layout()
        self._run = run
        self._waiting: list[tuple[Test, dict[str, str], int]] = []
        """A test, its details and the number of its strand."""
        self._waiting_chars = 0
        self._batch = 0
        self._taken = 0
        self._homeless = 0
        self._parallel = 0
        self._attempts: dict[tuple[str, str], dict[str, Test]] = {}
        self._repeated: dict[int, list[Test]] = {}
        """Attempts at one test, by the identity of the first."""
        self.flaky = 0
        """Tests whose attempts ended differently."""

    @property
    def full(self) -> bool:
        """Whether no more tests can be shown."""
        return self._taken >= self.limits.tests

    def suite(
        self, name: str, host: str, when: Moment | None, told_us: int | None, parent: Suite | None
    ) -> Suite:
        """A suite begins; ``told_us``: how long it says that it took."""
        attempts = self._attempts.setdefault((name, host), {})
        strand = self.layout.enter(host, when, None if parent is None else parent.strand)
        return Suite(name=name, host=host, strand=strand, attempts=attempts, told_us=told_us)

    def add(  # noqa: PLR0917 - called for each of half a million tests
        self,
        suite: Suite,
        test_id: str,
        status: Status,
        duration_us: int | None,
        own: Moment | None,
        details: dict[str, str],
        notes: tuple[str, ...] | None,
        named: bool,  # noqa: FBT001 - likewise
    ) -> None:
        """One attempt at a test; ``named``: whether ``test_id`` can tell tests apart."""
        self._taken += 1
        strand = suite.strand
        assert strand is not None  # noqa: S101 - suite() gave it one
        if own is not None and strand.start_us is None:
            strand = suite.strand = self.layout.enter(suite.host, own, None)
        start, end, mark, number = self.layout.place(strand, duration_us, own)
        test = Test(test_id, status, start, end, (), mark, notes)
        if named:
            first = suite.attempts.setdefault(test_id, test)
            if first is not test:
                self._repeated.setdefault(id(first), [first]).append(test)
        if len(self._waiting) >= _MAX_WAITING or self._waiting_chars > self.limits.held_bytes:
            self._write()
        suite.tests += 1
        suite.took_us += end - start
        if status == "fail" and suite.place is None:
            suite.place = (self._batch, len(self._waiting))
        self._waiting.append((test, details, number))
        if details:
            self._waiting_chars += sum(map(len, details.values()))

    def end_suite(self, suite: Suite, parent: Suite | None) -> None:
        """A suite ends: what it printed goes to one of its tests."""
        if suite.details:
            batch, place = suite.place or (-1, -1)
            if not suite.tests or not self._waiting:
                self._homeless += 1
            else:
                if batch != self._batch:
                    place = len(self._waiting) - 1  # all passed, or it is written already
                _, details, _ = self._waiting[place]
                for key, text in suite.details.items():
                    alone = suite.tests == 1 and key not in details
                    details[key if alone else f"suite_{key}"] = text
                    self._waiting_chars += len(text)
        if suite.told_us and suite.took_us > suite.told_us * 1.1 + 1_000_000:
            self._parallel += 1
        if parent is None:
            return
        parent.tests += suite.tests
        parent.took_us += suite.took_us
        if suite.strand is not None and parent.strand is not None:
            self.layout.leave(suite.strand, parent.strand)

    def end_file(self) -> None:
        """A file ends: a test of the same name in the next is not another attempt."""
        for attempts in self._repeated.values():
            if len({test.status for test in attempts}) > 1:
                self.flaky += 1
                for test in attempts:
                    test.tags = (FLAKY,)
        self._repeated.clear()
        self._attempts.clear()

    def close(self) -> list[str]:
        """All is read: write what is held, settle times and lanes; what is to be said of it."""
        self._write()
        said = []
        if self._homeless:
            said.append(
                f"The output of {count_of(self._homeless, 'suite', 'suites')} without tests is left out."
            )
        if self._parallel:
            them = "it" if self._parallel == 1 else "them"
            said.append(
                f"{count_of(self._parallel, 'suite', 'suites')} took less time than the tests in {them}"
                " together: tests ran at once, but nothing tells which."
            )
        if self.flaky:
            said.append(
                f"{count_of(self.flaky, 'test was', 'tests were')} tried more than once with different"
                f" results: every attempt is shown, tagged {FLAKY}."
            )
        return said + self.layout.settle(self._run.tests)

    def _write(self) -> None:
        for test, details, number in self._waiting:
            self._run.add(test, details)
            self.layout.strand_of.append(number)
        self._waiting.clear()
        self._waiting_chars = 0
        self._batch += 1
