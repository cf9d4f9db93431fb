# SPDX-License-Identifier: Apache-2.0
"""The tests of a run -> what the StackViz app reads.

The app draws lanes by position and believes every time: numbers with gaps, tests without
a worker, null times and empty spans make tests invisible there, so they are repaired here.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson
from attrs import frozen

from stackviz_deployer.parsers.subunit_run import UNFINISHED, Test, count_of

MAX_WORKERS = 256
"""More different worker tags than this are no workers any more."""
MAX_FREE_LANES = 64
"""For tests without a worker: how many of them may run at once before they share a lane."""

_WORKER = re.compile(r"worker-(\d{1,9})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_US = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_MIN_US = (datetime(1, 1, 2, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_ROWS_AT_ONCE = 1000

Span = tuple[int, int]
"""Start and end of a test, microseconds since 1970."""


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
    """Lay a run out; ``warnings`` are what is to be said of it before what is repaired here."""
    spans, repairs = repair_times(tests)
    said = (*warnings, *repairs)
    counts = dict.fromkeys(("success", "fail", "skip"), 0)
    failures = []
    skips = []
    for test, (start, end) in zip(tests, spans, strict=True):
        counts[test.status] += 1
        if test.status != "success":
            entry = {"name": test.name, "duration": (end - start) / 1e6, "details": test.notes}
            if test.status == "fail":
                failures.append(entry)
            else:
                skips.append(entry | {"details": test.notes and test.notes[0]})
    first = min((start for start, _ in spans), default=None)
    last = max((end for _, end in spans), default=None)
    stats = {
        "count": len(tests),
        "start": None if first is None else iso(first),
        "end": None if last is None else iso(last),
        "total_duration": sum(end - start for start, end in spans) / 1e6,
        "failures": failures,
        "skips": skips,
        "warnings": said,
    }
    meta = {
        "count": len(tests),
        **counts,
        "start_ms": None if first is None else first // 1000,
        "end_ms": None if last is None else last // 1000,
    }
    return RunShape(
        rows=b"[%b]" % b",\n".join(_rows(tests, spans)), stats=orjson.dumps(stats), meta=meta, warnings=said
    )


def repair_times(tests: Sequence[Test]) -> tuple[list[Span], list[str]]:
    """A start and a later end for each test, and sentences on what had to be invented."""
    untimed = halved = reversed_ = 0
    known = next((us for t in tests for us in (t.start_us, t.end_us) if us is not None), None)
    # a test without any time is put behind the one that was finished before it
    seen = 0 if known is None else known
    spans = []
    for test in tests:
        start, end = test.start_us, test.end_us
        if start is None or end is None:
            if start is end:
                untimed += 1
                start = end = seen
            else:
                halved += 1
                start = end = (start or 0) + (end or 0)
        elif end < start:
            reversed_ += 1
        start = min(max(start, _MIN_US), _MAX_US)
        # what takes no time cannot be selected in the app
        seen = min(max(end, start + 1), _MAX_US + 1)
        spans.append((start, seen))
    said = []
    if untimed and known is None:
        said.append("The stream has no times: the tests are shown one after the other, from 1970-01-01 on.")
    elif untimed:
        said.append(
            f"{count_of(untimed, 'test has', 'tests have')} no time: shown behind the test finished before."
        )
    if halved:
        said.append(
            f"{count_of(halved, 'test has', 'tests have')} a start or an end only: shown without duration."
        )
    if reversed_:
        said.append(
            f"{count_of(reversed_, 'test ends before it starts', 'tests end before they start')}"
            " (the clock was set): shown without duration."
        )
    return spans, said


def iso(us: int) -> str:
    """Microseconds since 1970 as ``2016-06-01T12:00:00.000000+00:00``."""
    seconds, fraction = divmod(us, 1_000_000)
    return f"{_iso_second(seconds)}.{fraction:06d}+00:00"


@lru_cache(maxsize=1024)
def _iso_second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def assign_lanes(tests: Sequence[Test], spans: Sequence[Span]) -> list[int]:
    """The lane of each test: 0, 1, ... without a gap, in the order of the workers' numbers.

    Tests that name no worker get lanes behind those, as few as keep them from overlapping (up to
    MAX_FREE_LANES); but one without an end goes to the worker that fell silent before it began.
    """
    workers = {tags: _worker_of(tags) for tags in {test.tags for test in tests}}
    numbers = sorted({number for number in workers.values() if number is not None})[:MAX_WORKERS]
    dense = {number: lane for lane, number in enumerate(numbers)}
    lane_of = {tags: -1 if number is None else dense.get(number, -1) for tags, number in workers.items()}
    lanes = [lane_of[test.tags] for test in tests]
    _give_to_silent_workers(tests, spans, lanes)
    busy: list[tuple[int, int]] = []  # (end, lane), a heap
    for start, end, i in sorted((*spans[i], i) for i, lane in enumerate(lanes) if lane < 0):
        if busy and (busy[0][0] <= start or len(busy) >= MAX_FREE_LANES):
            lane = heapq.heappop(busy)[1]
        else:
            lane = len(numbers) + len(busy)
        heapq.heappush(busy, (end, lane))
        lanes[i] = lane
    return lanes


def _give_to_silent_workers(tests: Sequence[Test], spans: Sequence[Span], lanes: list[int]) -> None:
    """Published streams tell a test's worker when it ends, so not of one that hung."""
    hung = sorted((spans[i], i) for i, test in enumerate(tests) if test.mark == UNFINISHED and lanes[i] < 0)
    if not hung:
        return
    ends: dict[int, int] = {}
    for (_, end), lane in zip(spans, lanes, strict=True):
        if lane >= 0:
            ends[lane] = max(end, ends.get(lane, end))
    for (start, end), i in hung:
        silent = [(last, lane) for lane, last in ends.items() if last <= start]
        if silent:
            lanes[i] = max(silent)[1]  # a worker goes on at once
            ends[lanes[i]] = end


def _rows(tests: Sequence[Test], spans: Sequence[Span]) -> Iterator[bytes]:
    """The array's elements, some at a time: all dicts at once would be most of our memory."""
    tags_of: dict[tuple[int, tuple[str, ...], str | None], list[str]] = {}
    rows = []
    for test, (start, end), lane in zip(tests, spans, assign_lanes(tests, spans), strict=True):
        key = (lane, test.tags, test.mark)
        tags = tags_of.get(key)
        if tags is None:
            tags = tags_of[key] = _tags(*key)
        rows.append(
            {
                "name": test.name,
                "status": test.status,
                "tags": tags,
                "timestamps": (iso(start), iso(end)),
                "duration": (end - start) / 1e6,
                "details": {},
            }
        )
        if len(rows) == _ROWS_AT_ONCE:
            yield orjson.dumps(rows)[1:-1]
            rows.clear()
    if rows:
        yield orjson.dumps(rows)[1:-1]


def _tags(lane: int, tags: tuple[str, ...], mark: str | None) -> list[str]:
    """The lane's tag first: the app takes the first that begins with ``worker``."""
    own = f"worker-{lane}"
    rest = [f"orig:{tag}" if _WORKER.fullmatch(tag) else tag for tag in tags if tag != own]
    return [own, *rest, *([mark] if mark else [])]


def _worker_of(tags: tuple[str, ...]) -> int | None:
    return next((int(match[1]) for match in map(_WORKER.fullmatch, tags) if match), None)
