# SPDX-License-Identifier: Apache-2.0
"""Events of a subunit stream, v1 or v2 -> the tests of a run, and their details as they come.

A test's attachments are held while it runs and written when it is finished, so memory
grows with the tests that run at once, not with the length of the stream.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import orjson
from attrs import define, frozen

from stackviz_deployer.parsers.blockgzip import BlockGzipWriter
from stackviz_deployer.parsers.subunit_names import Names
from stackviz_deployer.parsers.subunit_v2 import (
    EXISTS,
    EXPECTED_FAILURE,
    FAIL,
    SKIP,
    SUCCESS,
    UNEXPECTED_SUCCESS,
)

Status = Literal["success", "fail", "skip"]

FINAL: Final[dict[int, Status]] = {
    SUCCESS: "success",
    UNEXPECTED_SUCCESS: "fail",
    SKIP: "skip",
    FAIL: "fail",
    EXPECTED_FAILURE: "success",
}
"""What StackViz knows of subunit's statuses (stackviz-contract.md, section 6)."""

UNFINISHED = "unfinished"
"""Tag of a test whose end is not in the stream."""

MAX_DAMAGES = 20
"""Damaged places that are listed one by one."""
MAX_LINE_CHARS = 1000
"""Of a failure's last lines and of a skip's reason; the whole text is in the details."""
_MAX_ID_BYTES = 4096
_MAX_KEY_CHARS = 100
_TAIL_CHARS = 64 << 10
_KNOWN_TAGS = 4096
_NOT_WORD = re.compile(r"\W")


@frozen(kw_only=True)
class RunLimits:
    """What a stream may make us hold or write."""

    tests: int = 250_000
    """About 0.5 KB each; the StackViz app gives up long before."""
    open_tests: int = 20_000
    test_bytes: int = 8 << 20
    """Attachments of one test."""
    held_bytes: int = 48 << 20
    """Attachments of all tests that are not finished."""
    attachments: int = 64
    """Of one test."""
    tags: int = 20
    tag_chars: int = 100
    text_bytes: int = 16 << 10
    """Text outside of tests that is kept for the case that there is nothing else."""


@define(eq=False)
class Test:
    """A test as it was told; the shapes are made of these (subunit_shape.py)."""

    name: str
    status: Status
    start_us: int | None
    end_us: int | None
    tags: tuple[str, ...]
    mark: str | None
    """A tag that we add."""
    notes: tuple[str, ...] | None
    """The traceback's last lines of a failure (of an unfinished test: what it said last), a skip's reason."""


class _Open:
    """A test that is not finished."""

    __slots__ = ("cut", "files", "held", "start_us", "tags")

    def __init__(self, start_us: int | None) -> None:
        self.start_us = start_us
        self.tags: tuple[str, ...] = ()
        self.files: dict[bytes, list[bytes]] = {}
        self.held = 0
        self.cut = False


class TestRun:
    """Takes the events of one stream (an EventSink); writes details to ``details``."""

    def __init__(self, details: BlockGzipWriter, limits: RunLimits | None = None) -> None:
        self.tests: list[Test] = []
        """In order of completion; those that were not finished come last."""
        self.last_us: int | None = None
        """The latest time that was told."""
        self._details = details
        self._limits = limits or RunLimits()
        self._open: dict[tuple[bytes, bytes | None], _Open] = {}
        self._names = Names()
        self._held = 0
        self._any_details = False
        self._tags: dict[tuple[str, ...], tuple[str, ...]] = {}
        # what is reported in the end
        self._texts = 0
        self._text_bytes = 0
        self._text = bytearray()
        self._damages: list[tuple[int, int]] = []
        self._damage_count = 0
        self._damage_bytes = 0
        self._cut_bytes = 0
        self._cut_tests = 0
        self._ignored_events = 0
        self._details.write(b"{\n")

    # EventSink

    def event(  # noqa: PLR0917 - see EventSink
        self,
        test_id: bytes,
        route: bytes | None,
        status: int,
        time_us: int | None,
        tags: tuple[str, ...] | None,
        file_name: bytes | None,
        file_bytes: bytes,
    ) -> None:
        """See EventSink."""
        if status == EXISTS:  # a list of tests, not a result
            return
        if time_us is not None and (self.last_us is None or time_us > self.last_us):
            self.last_us = time_us
        key = (test_id, route)
        test = self._open.get(key)
        if test is None:
            if not self._may_open():
                self._ignored_events += 1
                return
            test = self._open[key] = _Open(time_us)
        elif test.start_us is None:
            test.start_us = time_us
        if tags is not None and tags != test.tags:
            test.tags = self._few_tags(tags)
        if file_bytes and file_name is not None:
            self._attach(test, file_name, file_bytes)
        if status in FINAL:
            del self._open[key]
            self._held -= test.held
            mark = "xfail" if status == EXPECTED_FAILURE else None
            self._finish(test_id, test, FINAL[status], time_us, mark)

    def text(self, head: bytes, size: int) -> None:
        """See EventSink."""
        self._texts += 1
        self._text_bytes += size
        room = self._limits.text_bytes - len(self._text)
        if room > 0:
            self._text += head[:room]

    def damage(self, offset: int, size: int) -> None:
        """See EventSink."""
        self._damage_count += 1
        self._damage_bytes += size
        if len(self._damages) < MAX_DAMAGES:
            self._damages.append((offset, size))

    def add(self, test: Test, details: dict[str, str]) -> None:
        """Take a test that is told as a whole (JUnit); its name is changed if another has it."""
        test.name = self._names.take_whole(test.name)
        if details:
            self._write_details(test.name, details, test.start_us)
        self.tests.append(test)

    # the end

    def close(self) -> None:
        """Finish the tests that the stream left open, and the text of the details."""
        for (test_id, _), test in self._open.items():
            end_us = self.last_us if test.start_us is not None else None
            self._finish(test_id, test, "fail", end_us, UNFINISHED)
        self._open.clear()
        self._held = 0
        self._details.write(b"\n}\n" if self._any_details else b"}\n")

    def warnings(self) -> list[str]:
        """What was left out, in sentences."""
        found = [
            f"The stream is damaged at byte {offset}: {size} bytes that are no whole packet were skipped."
            for offset, size in self._damages
        ]
        if self._damage_count > len(self._damages):
            more = self._damage_count - len(self._damages)
            found.append(
                f"{more} more damaged places follow; {self._damage_bytes} bytes were skipped in all."
            )
        if self._texts and self.tests:
            first = next((line for line in self.found_text().splitlines() if line.strip()), "")
            found.append(
                f"{count_of(self._texts, 'stretch', 'stretches')} of text between the packets"
                f" ({self._text_bytes} bytes) belong to no test; the first line is: {first.strip()[:200]}"
            )
        unfinished = sum(test.mark == UNFINISHED for test in self.tests)
        if unfinished:
            found.append(
                f"{count_of(unfinished, 'test was', 'tests were')} not finished when the stream ended;"
                " shown as failed, up to the last time in the stream."
            )
        if self._cut_tests:
            found.append(
                f"Attachments of {count_of(self._cut_tests, 'test', 'tests')} were cut:"
                f" {self._cut_bytes} bytes were left out."
            )
        if self._ignored_events:
            found.append(
                f"There are more tests than can be shown: {self._ignored_events} events were left out."
            )
        return found

    def found_text(self) -> str:
        """The text outside of tests, as much of it as is kept."""
        text = self._text.decode("utf-8", "replace")
        if self._text_bytes > len(self._text):
            text += "…"
        return text

    # one test

    def _may_open(self) -> bool:
        return (
            len(self._open) < self._limits.open_tests
            and len(self._open) + len(self.tests) < self._limits.tests
        )

    def _few_tags(self, tags: tuple[str, ...]) -> tuple[str, ...]:
        """Bounded, and one object for all tests that have the same."""
        known = self._tags.get(tags)
        if known is None:
            known = tuple(tag[: self._limits.tag_chars] for tag in tags[: self._limits.tags])
            if len(self._tags) < _KNOWN_TAGS:
                self._tags[known] = known
        return known

    def _attach(self, test: _Open, file_name: bytes, data: bytes) -> None:
        limits = self._limits
        room = min(limits.test_bytes - test.held, limits.held_bytes - self._held)
        if file_name not in test.files and len(test.files) >= limits.attachments:
            room = 0
        if len(data) > room:
            if not test.cut:
                test.cut = True
                self._cut_tests += 1
            self._cut_bytes += len(data) - room
            data = data[:room]
        if data:
            test.files.setdefault(file_name, []).append(data)
            test.held += len(data)
            self._held += len(data)

    def _finish(
        self, test_id: bytes, test: _Open, status: Status, end_us: int | None, mark: str | None
    ) -> None:
        name = self._names.take(str(test_id[:_MAX_ID_BYTES], "utf-8", "replace"))
        details = _texts(test.files) if test.files else {}
        notes = _notes(status, details, mark) if details and status != "success" else None
        if details:
            self._write_details(name, details, test.start_us if test.start_us is not None else end_us)
        self.tests.append(
            Test(
                name=name,
                status=status,
                start_us=test.start_us,
                end_us=end_us,
                tags=test.tags,
                mark=mark,
                notes=notes,
            )
        )

    def _write_details(self, name: str, details: dict[str, str], time_us: int | None) -> None:
        write = self._details.write
        if self._any_details:
            write(b",\n")
        self._any_details = True
        self._details.border(len(self.tests), None if time_us is None else time_us // 1000)
        write(b"%b:%b" % (orjson.dumps(name), orjson.dumps(details)))


def _texts(files: dict[bytes, list[bytes]]) -> dict[str, str]:
    """What StackViz's tabs show: word characters as keys, texts."""
    found: dict[str, str] = {}
    for raw, parts in files.items():
        key = _NOT_WORD.sub("", str(raw, "utf-8", "replace"))[:_MAX_KEY_CHARS] or "attachment"
        text = str(parts[0] if len(parts) == 1 else b"".join(parts), "utf-8", "replace")
        found[key] = found[key] + text if key in found else text
    return found


def _notes(status: Status, details: dict[str, str], mark: str | None) -> tuple[str, ...] | None:
    if status == "skip":
        reason = details.get("reason", "").strip()
        return (reason[:MAX_LINE_CHARS],) if reason else None
    traceback = next((text for key, text in details.items() if key.startswith("traceback")), "")
    if mark == UNFINISHED and not traceback:
        traceback = next(reversed(details.values()))  # where it was is all that can be told
    lines = traceback[-_TAIL_CHARS:].strip().splitlines()
    last = lines[-2:] if lines and "Details" in lines[-1] else lines[-1:]
    # distinct: equal lines are an error for Angular's ng-repeat
    return tuple(dict.fromkeys(line[:MAX_LINE_CHARS] for line in last)) or None


def count_of(number: int, one: str, many: str) -> str:
    """``1 test was`` or ``2 tests were``."""
    return f"{number} {one if number == 1 else many}"
