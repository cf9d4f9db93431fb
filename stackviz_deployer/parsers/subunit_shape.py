# SPDX-License-Identifier: Apache-2.0
"""The tests of a run -> what the StackViz app reads (../shared/stackviz-contract.md, section 6).

The app draws lanes by position and believes every time: numbers with gaps, tests without
a worker, null times and empty spans make tests invisible there, so they are repaired here.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from attrs import frozen

from stackviz_deployer.parsers.subunit_run import Test, count_of

MAX_WORKERS = 256
"""More different worker tags than this are no workers any more."""
MAX_FREE_LANES = 64
"""For tests without a worker: how many of them may run at once before they share a lane."""

_WORKER = re.compile(r"worker-(\d{1,9})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_US = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_MIN_US = (datetime(1, 1, 2, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_ROWS_AT_ONCE = 1000


@frozen(kw_only=True)
class RunShape:
    """The two small artifacts of a run, and its counts."""

    rows: bytes
    """``subunit``: a JSON array."""
    stats: bytes
    """``subunit-stats``: a JSON object."""
    meta: dict[str, Any]
    """count, success, fail, skip, start_ms, end_ms (the last two None without tests)."""
    warnings: tuple[str, ...]
    """All of them, as they stand in the stats."""


def shape_run(tests: Sequence[Test], warnings: Sequence[str]) -> RunShape:
    """Repair the times of ``tests`` (in place) and lay them out."""
    said = [*warnings, *repair_times(tests)]
    counts = dict.fromkeys(("success", "fail", "skip"), 0)
    for test in tests:
        counts[test.status] += 1
    start_us = min((_us(test.start_us) for test in tests), default=None)
    end_us = max((_us(test.end_us) for test in tests), default=None)
    stats = {
        "count": len(tests),
        "start": None if start_us is None else iso(start_us),
        "end": None if end_us is None else iso(end_us),
        "total_duration": sum(_us(test.end_us) - _us(test.start_us) for test in tests) / 1e6,
        "failures": [
            {"name": test.name, "duration": _duration(test), "details": test.notes}
            for test in tests
            if test.status == "fail"
        ],
        "skips": [
            {"name": test.name, "duration": _duration(test), "details": test.notes and test.notes[0]}
            for test in tests
            if test.status == "skip"
        ],
        "warnings": said,
    }
    meta = {
        "count": len(tests),
        **counts,
        "start_ms": None if start_us is None else start_us // 1000,
        "end_ms": None if end_us is None else end_us // 1000,
    }
    return RunShape(
        rows=b"[%b]" % b",\n".join(_rows(tests)), stats=orjson.dumps(stats), meta=meta, warnings=tuple(said)
    )


def repair_times(tests: Sequence[Test]) -> Iterator[str]:
    """Give each test a start and a later end; yields what had to be invented."""
    untimed = halved = reversed_ = 0
    # a test without any time is put behind the one that was finished before it
    known = next((us for t in tests for us in (t.start_us, t.end_us) if us is not None), None)
    seen_us = 0 if known is None else known
    for test in tests:
        start, end = test.start_us, test.end_us
        if start is None and end is None:
            untimed += 1
            start = end = seen_us
        elif start is None or end is None:
            halved += 1
            start = end = start if end is None else end
        start = min(max(_us(start), _MIN_US), _MAX_US)
        end = min(_us(end), _MAX_US)
        reversed_ += end < start
        test.start_us = start
        test.end_us = seen_us = max(end, start + 1)  # what takes no time cannot be selected in the app
    if untimed and known is None:
        yield "The stream has no times: the tests are shown one after the other, from 1970-01-01 on."
    elif untimed:
        yield f"{count_of(untimed, 'test has', 'tests have')} no time: shown behind the test finished before."
    if halved:
        yield f"{count_of(halved, 'test has', 'tests have')} a start or an end only: shown without duration."
    if reversed_:
        yield (
            f"{count_of(reversed_, 'test ends before it starts', 'tests end before they start')}"
            " (the clock was set): shown without duration."
        )


def iso(us: int) -> str:
    """Microseconds since 1970 as ``2016-06-01T12:00:00.000000+00:00``."""
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds")


def assign_lanes(tests: Sequence[Test]) -> list[int]:
    """The lane of each test: 0, 1, ... without a gap, in the order of the workers' numbers.

    Tests that name no worker get lanes behind those, as few as keep them from
    overlapping (up to MAX_FREE_LANES).  Times must be repaired.
    """
    workers = {tags: _worker_of(tags) for tags in {test.tags for test in tests}}
    numbers = sorted({number for number in workers.values() if number is not None})[:MAX_WORKERS]
    dense = {number: lane for lane, number in enumerate(numbers)}
    lane_of = {tags: None if n is None else dense.get(n) for tags, n in workers.items()}
    lanes = [lane_of[test.tags] for test in tests]
    free = [i for i, lane in enumerate(lanes) if lane is None]
    free.sort(key=lambda i: _us(tests[i].start_us))
    busy: list[tuple[int, int]] = []  # (end, lane), a heap
    for i in free:
        if busy and (busy[0][0] <= _us(tests[i].start_us) or len(busy) >= MAX_FREE_LANES):
            lane = heapq.heappop(busy)[1]
        else:
            lane = len(numbers) + len(busy)
        heapq.heappush(busy, (_us(tests[i].end_us), lane))
        lanes[i] = lane
    return [lane or 0 for lane in lanes]


def _rows(tests: Sequence[Test]) -> Iterator[bytes]:
    """The array's elements, some at a time: all dicts at once would be most of our memory."""
    lanes = assign_lanes(tests)
    tags_of: dict[tuple[int, tuple[str, ...], str | None], list[str]] = {}
    for begin in range(0, len(tests), _ROWS_AT_ONCE):
        rows = []
        for test, lane in zip(
            tests[begin : begin + _ROWS_AT_ONCE], lanes[begin : begin + _ROWS_AT_ONCE], strict=True
        ):
            key = (lane, test.tags, test.mark)
            tags = tags_of.get(key)
            if tags is None:
                tags = tags_of[key] = _tags(lane, test.tags, test.mark)
            rows.append(
                {
                    "name": test.name,
                    "status": test.status,
                    "tags": tags,
                    "timestamps": (iso(_us(test.start_us)), iso(_us(test.end_us))),
                    "duration": _duration(test),
                    "details": {},
                }
            )
        yield orjson.dumps(rows)[1:-1]


def _tags(lane: int, tags: tuple[str, ...], mark: str | None) -> list[str]:
    """The lane's tag first: the app takes the first that begins with ``worker``."""
    own = f"worker-{lane}"
    rest = [f"orig:{tag}" if _WORKER.fullmatch(tag) else tag for tag in tags if tag != own]
    return [own, *rest, *([mark] if mark else [])]


def _worker_of(tags: tuple[str, ...]) -> int | None:
    return next((int(match[1]) for match in map(_WORKER.fullmatch, tags) if match), None)


def _duration(test: Test) -> float:
    return (_us(test.end_us) - _us(test.start_us)) / 1e6


def _us(time_us: int | None) -> int:
    """A time that is known by now."""
    if time_us is None:
        raise AssertionError("times are repaired first")
    return time_us
