# SPDX-License-Identifier: Apache-2.0
"""A job-output.json as values: its playbooks, plays, tasks and results (formats/console.md, D)."""

from __future__ import annotations

import datetime as dt
import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from attrs import define, field, frozen

from stackviz_deployer.parsers.job_output_blame import Play, Playbook, Result, Task
from stackviz_deployer.parsers.job_output_stream import DamagedError, JsonReader, decode, decode_written
from stackviz_deployer.parsers.sgr import text_runs

MAX_NODES = 200_000
"""Playbooks, plays, tasks, results and hosts of statistics together."""
MAX_EXCERPTS = 100
"""Failed results of a playbook that keep their output: the last ones."""
EXCERPT_BYTES = 8 << 10
EXCERPT_LINES = 42
MAX_ITEMS = 10
"""Failed ones that are kept of a loop."""

_MAX_NAME = 300
_MAX_ITEM = 200
_LEFT_OUT = "[…]"
_KEEPS_END = {"msg": False, "stdout": True, "stderr": True, "exception": True}
"""What is kept of a failed result: the end, or else the beginning."""
_NO_EXCEPTION = "(traceback unavailable)"
_FLAGS = ("failed", "changed", "skipped", "unreachable", "failed_when_result")
_STATS = ("ok", "changed", "failures", "unreachable", "skipped", "rescued", "ignored")
_DELTA = re.compile(r"(?:(\d{1,4}) days?, )?(\d{1,2}):(\d\d):(\d\d)(?:\.(\d{1,6}))?")


class TooManyError(Exception):
    """MAX_NODES were read."""


@frozen
class _Excerpt:
    """Escaped text, not looked at yet: most results did not fail."""

    raw: bytes
    cut: bool
    keeps_end: bool

    def text(self) -> tuple[str, str]:
        """At most EXCERPT_LINES, and a mark where something is missing; its colours (parsers.sgr)."""
        return text_runs(self._written())

    def _written(self) -> str:
        cut = self.cut
        text = decode_written(self.raw, cut_start=cut and self.keeps_end, cut_end=cut and not self.keeps_end)
        lines = text.rstrip().split("\n")
        if len(lines) > EXCERPT_LINES:
            cut = True
            lines = lines[-EXCERPT_LINES:] if self.keeps_end else lines[:EXCERPT_LINES]
        if not cut:
            return "\n".join(lines)
        return "\n".join([_LEFT_OUT, *lines] if self.keeps_end else [*lines, _LEFT_OUT])


@define
class _Raw:
    """A result as Ansible tells it."""

    flags: dict[str, Any] = field(factory=dict)
    rc: int | None = None
    action: str | None = None
    duration_ms: int | None = None
    texts: dict[str, _Excerpt] = field(factory=dict)
    item: str | None = None
    items: int | None = None
    failed_items: list[dict[str, object]] = field(factory=list)

    @property
    def by_rc(self) -> bool:
        """Failed although nothing but the exit code says so, as Zuul's own pages have it."""
        return (
            bool(self.rc)
            and self.flags.get("failed") is not True
            and self.flags.get("failed_when_result") is not False
        )

    @property
    def name(self) -> str:
        for flag, name in (("unreachable", "unreachable"), ("failed", "failed")):
            if self.flags.get(flag) is True:
                return name
        if self.by_rc:
            return "failed"
        for name in ("skipped", "changed"):
            if self.flags.get(name) is True:
                return name
        return "ok"

    def excerpts(self) -> dict[str, str | dict[str, str]]:
        """Those that say something, and under ``sgr`` the colours of those that have any."""
        texts = {key: excerpt.text() for key, excerpt in self.texts.items()}
        told: dict[str, str | dict[str, str]] = {
            key: text for key, (text, _) in texts.items() if text and text != _NO_EXCEPTION
        }
        runs = {key: found for key, (_, found) in texts.items() if found and key in told}
        return {**told, "sgr": runs} if runs else told


class Build:
    """The playbooks, filled while they are read: whatever ends that, they hold what came before."""

    def __init__(self) -> None:
        self.playbooks: list[Playbook] = []
        self._nodes = 0
        self._excerpts: deque[Result] = deque()

    def read(self, reader: JsonReader) -> None:
        """Raises EndsEarlyError, DamagedError, TooManyError."""
        if reader.kind() != "[":
            raise DamagedError
        for _ in reader.items():
            if reader.kind() == "{":
                self._playbook(reader)
            else:
                reader.skip()

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise TooManyError

    def _playbook(self, reader: JsonReader) -> None:
        self._count()
        playbook = Playbook()
        known = False
        self._excerpts.clear()
        for key in _members(reader):
            if key in _PLAYBOOK_KEYS and not known:
                known = True
                self.playbooks.append(playbook)
            if key == "plays":
                for _ in reader.items():
                    self._play(reader, playbook)
            elif key == "stats":
                playbook.stats = self._stats(reader)
            elif key == "index":
                playbook.index = _number(reader)
            elif key == "trusted":
                playbook.trusted = reader.scalar() is True
            elif key == "playbook":
                playbook.playbook = _name(reader) or ""
            elif key == "phase":
                playbook.phase = _name(reader)
            elif key == "branch":
                playbook.branch = _name(reader)
            else:
                reader.skip()

    def _stats(self, reader: JsonReader) -> dict[str, dict[str, int]]:
        hosts: dict[str, dict[str, int]] = {}
        for host in reader.members():
            self._count()
            counts = hosts.setdefault(host[:_MAX_NAME], {})
            for key in reader.members():
                number = _number(reader)
                if key in _STATS and number is not None:
                    counts[key] = max(0, number)
        return hosts

    def _play(self, reader: JsonReader, playbook: Playbook) -> None:
        self._count()
        play = Play()
        playbook.plays.append(play)
        for key in _members(reader):
            if key == "play":
                for of_play in _members(reader):
                    if of_play == "name":
                        play.name = _name(reader) or ""
                    elif of_play == "id":
                        play.has_id = bool(reader.scalar())
                    elif of_play == "duration":
                        play.start_ms, play.end_ms = _duration(reader)
                    else:
                        reader.skip()
            elif key == "tasks":
                for _ in reader.items():
                    self._task(reader, play)
            else:
                reader.skip()

    def _task(self, reader: JsonReader, play: Play) -> None:
        self._count()
        task = Task()
        play.tasks.append(task)
        for key in _members(reader):
            if key == "hosts":
                for host in reader.members():
                    self._count()
                    result = self._result(reader)
                    task.hosts.setdefault(host[:_MAX_NAME], result)
            elif key == "task":
                for of_task in _members(reader):
                    if of_task == "name":
                        task.name = _name(reader) or ""
                    elif of_task == "duration":
                        task.start_ms, task.end_ms = _duration(reader)
                    else:
                        reader.skip()
            elif key == "role":
                for of_role in reader.members():
                    if of_role == "name":
                        task.role = _name(reader)
                    else:
                        reader.skip()
            else:
                reader.skip()

    def _result(self, reader: JsonReader) -> Result:
        raw = _raw(reader)
        result = Result(
            result=raw.name,
            action=raw.action,
            rc=raw.rc,
            duration_ms=raw.duration_ms,
            by_rc=raw.by_rc,
            items=raw.items,
        )
        if result.result in ("failed", "unreachable"):
            result.excerpts = raw.excerpts()
            result.failed_items = raw.failed_items or None
            self._excerpts.append(result)
            if len(self._excerpts) > MAX_EXCERPTS:
                oldest = self._excerpts.popleft()
                oldest.excerpts = oldest.failed_items = None
        return result


_ONCE = frozenset({"playbook", "phase", "index", "plays", "stats", "play", "tasks", "hosts", "task", "name"})
_PLAYBOOK_KEYS = ("playbook", "phase", "plays", "stats")
"""Without any of them an object is no playbook."""


def _members(reader: JsonReader) -> Iterator[str]:
    """The keys of an object; one that comes twice means that the end of the object is missing."""
    seen: set[str] = set()
    for key in reader.members():
        if key in _ONCE:
            if key in seen:
                raise DamagedError
            seen.add(key)
        yield key


def _raw(reader: JsonReader, *, in_loop: bool = False) -> _Raw:
    raw = _Raw()
    for key in reader.members():
        if key in _KEEPS_END:
            keeps_end = _KEEPS_END[key]
            raw.texts[key] = _Excerpt(*reader.text(EXCERPT_BYTES, keeps_end=keeps_end), keeps_end)
        elif key in _FLAGS:
            raw.flags[key] = reader.scalar()
        elif key == "rc":
            raw.rc = _number(reader)
        elif key == "action":
            raw.action = _name(reader)
        elif key == "delta":
            raw.duration_ms = _delta(reader.scalar())
        elif key == "item":
            text, cut = reader.text(_MAX_ITEM, keeps_end=False)
            raw.item = decode(text, cut_end=cut)
        elif key == "results" and not in_loop:
            raw.items = 0
            for _ in reader.items():
                raw.items += 1
                one = _raw(reader, in_loop=True)
                if one.name in ("failed", "unreachable") and len(raw.failed_items) < MAX_ITEMS:
                    raw.failed_items.append({"item": one.item, "rc": one.rc, **one.excerpts()})
        else:
            reader.skip()
    return raw


def _name(reader: JsonReader) -> str | None:
    value = reader.scalar(_MAX_NAME)
    return value if isinstance(value, str) else None


def _number(reader: JsonReader) -> int | None:
    """Also of a string of digits: Zuul writes ``"index": "0"``."""
    value = reader.scalar()
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53 else None


def _duration(reader: JsonReader) -> tuple[int | None, int | None]:
    times = {key: _ms(reader.scalar()) for key in reader.members()}
    return times.get("start"), times.get("end")


def _ms(value: object) -> int | None:
    """``2026-11-22T09:42:29.314478Z`` -> milliseconds; without an offset it is UTC."""
    if not isinstance(value, str):
        return None
    try:
        time = dt.datetime.fromisoformat(value)
        return round((time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _delta(value: object) -> int | None:
    """``0:00:00.013597`` -> milliseconds."""
    found = _DELTA.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[:4])
    fraction = int((found[5] or "").ljust(3, "0")[:3])
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + fraction
