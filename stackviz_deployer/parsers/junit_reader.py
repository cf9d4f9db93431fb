# SPDX-License-Identifier: Apache-2.0
"""The elements of a JUnit report, in all its dialects.

``testsuites`` and ``testsuite`` may be nested and are treated alike; a ``testcase`` may be
anywhere; a failure outside of one is a failed test with its suite's name.  What is not known
(properties and the like) is passed over, with what is in it looked at.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

from attrs import Factory, define

from stackviz_deployer.parsers.junit_run import JunitRun, Texts
from stackviz_deployer.parsers.junit_times import Moment, duration_us, moment
from stackviz_deployer.parsers.junit_xml import StopReadingError
from stackviz_deployer.parsers.subunit_run import MAX_LINE_CHARS, Status, count_of

MAX_DEPTH = 100
MAX_REPEATS = 100
"""Attempts inside of one testcase."""
MAX_TEXTS = 100
"""Of one attempt, or of a suite; what one text consists of may be more."""
MAX_SUITES = 250_000
MAX_ID_CHARS = 4096
MAX_HOST_CHARS = 100

_SKIPPED = frozenset({"notrun", "disabled", "skipped", "ignored"})
_FAILED = frozenset({"fail", "failed", "failure", "error"})
"""Of the attribute ``status`` (GoogleTest, CTest and others), where no element says more."""

_End = Callable[[], None]
_Attributes = dict[str, str]


@define(eq=False)
class _Attempt(Texts):
    """At a test; mostly there is one."""

    status: Status | None = None
    notes: tuple[str, ...] | None = None
    duration_us: int | None = None


@define(eq=False)
class _Case(_Attempt):
    """A testcase that is being read."""

    test_id: str = ""
    named: bool = False
    own: Moment | None = None
    before: tuple[_Attempt, ...] = ()
    """Attempts that failed before the one that passed (flakyFailure)."""
    after: tuple[_Attempt, ...] = ()
    """Attempts that failed after the first (rerunFailure)."""


@define(eq=False)
class _Text:
    """Characters that are being read."""

    target: Texts
    key: str
    head: str = ""
    """What the element's attributes say; comes first."""
    room: int = 0
    parts: list[str] = Factory(list)

    def body(self) -> str:
        text = "".join(self.parts)
        return "" if text.isspace() else text


class ReportReader:
    """Handler of one file's XML (junit_xml.Handler)."""

    def __init__(self, run: JunitRun) -> None:
        self._run = run
        self._max_chars = run.limits.test_bytes
        self._begins: dict[str, Callable[[str, _Attributes], _End | None]] = {
            "testsuites": self._begin_suite,
            "testsuite": self._begin_suite,
            "testcase": self._begin_case,
            "failure": self._begin_failure,
            "error": self._begin_failure,
            "skipped": self._begin_skip,
            "rerunFailure": self._begin_repeat,
            "rerunError": self._begin_repeat,
            "flakyFailure": self._begin_repeat,
            "flakyError": self._begin_repeat,
            "stackTrace": self._begin_trace,
            "system-out": self._begin_output,
            "system-err": self._begin_output,
        }
        self._tags: list[str] = []
        self._ends: list[_End | None] = []
        self._suites = [run.suite("", "", None, None, None)]
        """The first is for testcases outside of any."""
        self._suites_begun = 0
        self._attempts: list[_Attempt] = []
        self._texts: list[_Text] = []
        self._case_chars = 0
        self._suite_chars = 0
        self._cut_chars = 0
        self._cut_texts = 0
        self._repeats_left_out = 0
        self._lost: list[str] = []
        self.root: str | None = None
        """Of the first document."""
        self.cases = 0
        """Finished ones."""

    @property
    def is_report(self) -> bool:
        """Whether there was anything of JUnit in it."""
        return self.cases > 0 or self.root in ("testsuites", "testsuite")

    # junit_xml.Handler

    def attach(self, parser: Any) -> None:
        """As there."""
        self._parser = parser
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end

    @property
    def depth(self) -> int:
        """As there."""
        return len(self._tags)

    def interrupt(self) -> Sequence[str]:
        """As there: suites stay open, a testcase does not; it counts if it is known how it ended."""
        if self._texts:
            self._parser.CharacterDataHandler = None  # also hands out the characters that it holds
        suites = (None, self._end_suite)
        kept = next((n for n, end in enumerate(self._ends) if end not in suites), len(self._ends))
        while kept and self._ends[kept - 1] is None:  # nothing that matters is open in there
            kept -= 1
        while len(self._ends) > kept:
            self._tags.pop()
            end = self._ends.pop()
            case = self._attempts[-1] if end == self._end_case else None
            if isinstance(case, _Case) and case.status is None:
                self._attempts.pop()
                self._lost.append(case.test_id[:200])
            elif end is not None:
                with contextlib.suppress(StopReadingError):  # it has been told already
                    end()
        return tuple(self._tags)

    def close(self) -> list[str]:
        """The file ends; what was left out of it."""
        self.interrupt()
        while self._suites:
            self._end_suite()
        self._run.end_file()
        said = []
        if self._lost:
            number = len(self._lost)
            said.append(
                f"{count_of(number, 'test', 'tests')} in which the file is damaged"
                f" {'is' if number == 1 else 'are'} left out: {', '.join(self._lost[:10])}"
                + (", ..." if number > 10 else "")
            )
        if self._repeats_left_out:
            said.append(
                f"{count_of(self._repeats_left_out, 'attempt is', 'attempts are')} left out:"
                f" a test is shown with {MAX_REPEATS} at most."
            )
        if self._cut_texts:
            said.append(
                f"{count_of(self._cut_texts, 'text was', 'texts were')} cut:"
                f" {self._cut_chars} characters were left out."
            )
        return said

    def _start(self, tag: str, attributes: _Attributes) -> None:
        self._tags.append(tag)
        begin = self._begins.get(tag)
        if begin is None and ":" in tag:
            begin = self._begins.get(tag.rpartition(":")[2])
        self._ends.append(begin(tag, attributes) if begin is not None else None)
        if len(self._tags) > MAX_DEPTH:
            raise StopReadingError(f"Elements are nested more than {MAX_DEPTH} deep")
        if self.root is None:
            self.root = tag.rpartition(":")[2][:100]

    def _end(self, _tag: str) -> None:
        self._tags.pop()
        end = self._ends.pop()
        if end is not None:
            end()

    def _characters(self, data: str) -> None:
        text = self._texts[-1]
        if len(data) > text.room:
            if text.room >= 0:
                self._cut_texts += 1
            self._cut_chars += len(data) - max(text.room, 0)
            data = data[: max(text.room, 0)]
            text.room = -1
        else:
            text.room -= len(data)
        if data:
            text.parts.append(data)

    # suites

    def _begin_suite(self, _tag: str, attributes: _Attributes) -> _End:
        self._suites_begun += 1
        if self._suites_begun > MAX_SUITES:
            raise StopReadingError(f"There are more than {MAX_SUITES:,} suites")
        outer = self._suites[-1]
        suite = self._run.suite(
            attributes.get("name", "")[:MAX_ID_CHARS],
            attributes.get("hostname", "")[:MAX_HOST_CHARS] or outer.host,
            moment(attributes.get("timestamp")),
            duration_us(attributes.get("time")),
            outer if len(self._suites) > 1 else None,
        )
        self._suites.append(suite)
        return self._end_suite

    def _end_suite(self) -> None:
        suite = self._suites.pop()
        self._run.end_suite(suite, self._suites[-1] if self._suites else None)
        self._suite_chars -= sum(map(len, suite.details.values()))

    # tests

    def _begin_case(self, _tag: str, attributes: _Attributes) -> _End:
        get = attributes.get
        name = get("name", "")
        classname = get("classname") or get("class") or ""
        suite = self._suites[-1].name
        if classname:
            test_id = name if name.startswith(classname) else f"{classname}.{name}" if name else classname
        else:
            test_id = f"{suite}.{name}" if suite and name and name != suite else name or suite
        status: Status | None = None
        said = get("status")
        if said is not None:
            said = said.lower()
            status = "skip" if said in _SKIPPED else "fail" if said in _FAILED else None
        if not self._attempts:
            self._case_chars = 0
        case = _Case(
            test_id=test_id[:MAX_ID_CHARS],
            named=bool(name),
            duration_us=duration_us(get("time")),
            own=moment(get("timestamp")) if "timestamp" in attributes else None,
            status=status,
        )
        self._attempts.append(case)
        return self._end_case

    def _end_case(self) -> None:
        if self._run.full:
            raise StopReadingError(f"There are more than {self._run.limits.tests:,} tests")
        case = self._attempts.pop()
        assert isinstance(case, _Case)  # noqa: S101 - attempts inside of it have ended before
        self.cases += 1
        suite = self._suites[-1]
        add = self._run.add
        for one in case.before:
            add(suite, case.test_id, "fail", one.duration_us or 0, None, one.details, one.notes, case.named)
        add(
            suite,
            case.test_id,
            case.status or "success",
            case.duration_us,
            case.own,
            case.details,
            case.notes,
            case.named,
        )
        for one in case.after:
            add(suite, case.test_id, "fail", one.duration_us or 0, None, one.details, one.notes, case.named)

    # how they ended, and what they said

    def _begin_failure(self, _tag: str, attributes: _Attributes) -> _End:
        end = self._end_result
        if not self._attempts:  # of a whole suite, that may have no test for it
            self._case_chars = 0
            self._attempts.append(_Case(test_id=self._suites[-1].name, duration_us=0))
            end = self._end_failed_suite
        attempt = self._attempts[-1]
        attempt.status = "fail"
        return self._begin_text(attempt, "traceback", _head(attributes), end)

    def _begin_skip(self, _tag: str, attributes: _Attributes) -> _End | None:
        if not self._attempts:
            return None
        attempt = self._attempts[-1]
        attempt.status = attempt.status or "skip"
        return self._begin_text(attempt, "reason", _head(attributes), self._end_result)

    def _begin_repeat(self, tag: str, attributes: _Attributes) -> _End | None:
        case = self._attempts[-1] if self._attempts else None
        if not isinstance(case, _Case):
            return None
        attempt = _Attempt(status="fail", duration_us=duration_us(attributes.get("time")))
        if len(case.before) + len(case.after) >= MAX_REPEATS:
            self._repeats_left_out += 1
        elif "flaky" in tag:
            case.before += (attempt,)
        else:
            case.after += (attempt,)
        self._attempts.append(attempt)
        return self._begin_text(attempt, "traceback", _head(attributes), self._end_repeat)

    def _begin_trace(self, _tag: str, _attributes: _Attributes) -> _End | None:
        if not self._attempts:
            return None
        return self._begin_text(self._attempts[-1], "traceback", "", self._end_output)

    def _begin_output(self, tag: str, _attributes: _Attributes) -> _End:
        key: Literal["stdout", "stderr"] = "stdout" if tag.endswith("out") else "stderr"
        target: Texts = self._attempts[-1] if self._attempts else self._suites[-1]
        return self._begin_text(target, key, "", self._end_output)

    def _begin_text(self, target: Texts, key: str, head: str, end: _End) -> _End:
        if self._attempts:
            head = head[: max(self._max_chars - self._case_chars, 0)]
            self._case_chars += len(head)
            room = self._max_chars - self._case_chars
        else:
            room = self._max_chars - self._suite_chars
        if target.pieces >= MAX_TEXTS:
            head, room = "", 0
        self._texts.append(_Text(target=target, key=key, head=head, room=max(room, 0)))
        self._parser.CharacterDataHandler = self._characters
        return end

    def _pop_text(self) -> tuple[_Text, str]:
        text = self._texts.pop()
        if not self._texts:
            self._parser.CharacterDataHandler = None
        body = text.body()
        if self._attempts:
            self._case_chars += len(body)
        else:
            self._suite_chars += len(body)
        return text, body

    def _end_output(self) -> None:
        text, body = self._pop_text()
        if body:
            text.target.add(text.key, body)

    def _end_result(self) -> None:
        text, body = self._pop_text()
        said = _joined(text.head, body)
        if said:
            text.target.add(text.key, said)
        attempt = text.target
        assert isinstance(attempt, _Attempt)  # noqa: S101 - suites have no results
        if text.key == "reason":
            if attempt.status == "skip" and attempt.notes is None:
                attempt.notes = _notes(text.head, body, lines=1)
        elif attempt.notes is None or "reason" in attempt.details:
            attempt.notes = _notes(text.head, body, lines=2)

    def _end_failed_suite(self) -> None:
        self._end_result()
        self._end_case()

    def _end_repeat(self) -> None:
        text, body = self._pop_text()
        attempt = self._attempts.pop()
        body = attempt.details.pop("traceback", body)  # the text of its stackTrace
        said = _joined(text.head, body)
        # message and traceback come first
        attempt.details = ({"traceback": said} if said else {}) | attempt.details
        attempt.notes = _notes(text.head, body, lines=2)


def _head(attributes: _Attributes) -> str:
    """Message, or what stands for it."""
    return (attributes.get("message") or "").strip() or (attributes.get("type") or "").strip()


def _joined(head: str, body: str) -> str:
    """The message and then the text, unless that begins with it (Java's with its type before)."""
    if not head or not body:
        return head or body
    begin = body.lstrip()[: len(head) + MAX_LINE_CHARS]
    if begin.startswith(head) or begin.partition(": ")[2].startswith(head):
        return body
    return f"{head}\n\n{body}"


def _notes(head: str, body: str, *, lines: int) -> tuple[str, ...] | None:
    """Distinct lines that tell why; the text's first where the message is a mere word (``Failed``)."""
    found = [line.strip() for line in head[: 4 * MAX_LINE_CHARS].splitlines() if line.strip()][:lines]
    if len(found) < lines and not (found and " " in found[0]):
        first = next((line.strip() for line in body[: 4 * MAX_LINE_CHARS].splitlines() if line.strip()), "")
        found += [first] if first else []
    return tuple(dict.fromkeys(line[:MAX_LINE_CHARS] for line in found)) or None
