# SPDX-License-Identifier: Apache-2.0
"""Where the scripts of a console begin and end, and how it ended.

Jenkins writes ``[job] $ /bin/bash -xe /tmp/hudson123.sh`` before each script, ``[SCP] ...`` while it
publishes and ``Finished: FAILURE`` at last.  Zuul 2.5 wrote ``[Zuul] Task exit code: 0`` behind
each script instead (formats/console.md, A).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from attrs import define, field

from stackviz_deployer.parsers.console_text import Lines

MAX_SECTIONS = 300
"""Further scripts become part of the last one."""

_SCRIPT = re.compile(rb"\[([^\]\n]{1,255})\] \$ (\S.*)")
# what Jenkins calls the file it writes a step's script to
_SHELL_STEP = re.compile(r"(?P<interpreter>\S.*?) (?:\S*/)?(?:hudson|jenkins)\d+\.\w+")
_FINISHED = re.compile(rb"Finished: ([A-Z_]{2,20})\s*")
_TEMPLATE = re.compile(rb"JJB template: (\S.{0,255})")
_ZUUL_RESULT = re.compile(rb"\[Zuul\] Job (?:complete|timed out), result: ([A-Z_]{2,20})\s*")
_ZUUL_HEAD_LINES = 50
_WORKSPACE = re.compile(
    rb"(?:\[Zuul\] )?Building remotely on .{1,300} in workspace /\S*/([^/\s@]{1,255})(?:@\d+)?\s*"
)


class Kind(Enum):
    """What a section is."""

    SETUP = "setup"
    SCRIPT = "script"
    """A shell step of the job: these are the ones that Job Builder's YAML can name."""
    COMMAND = "command"
    """Another command that Jenkins started, such as a build tool."""
    PUBLISHERS = "publishers"
    POST_BUILD = "post-build"
    """A script that a publisher ran."""
    TASK = "task"
    """Of a playbook (parsers.console_zuul)."""


class Border(NamedTuple):
    """A place where a block may end, and what follows up to the next."""

    size: int
    """Bytes."""
    first: int
    """Ordinal of the first line."""
    ms: int | None
    """Its time."""
    levels: tuple[int, ...] | None = None
    """How many lines of each of severity.LEVELS; None where there are none."""


@define
class Section:
    """Lines ``first`` to ``first + count - 1`` of the console."""

    kind: Kind
    first: int
    title: str = ""
    """Of a section that is not named after a template's scripts."""
    command: str = ""
    interpreter: str | None = None
    """``/bin/bash -xe``, if the console tells."""
    count: int = 0
    start_ms: int | None = None
    end_ms: int | None = None
    borders: list[Border] = field(factory=list)
    """Of each piece of the text."""
    by_finish: bool = False
    """A ``Finished:`` opened it, which a script may have printed."""


class Outline:
    """Finds the sections; is given the lines in their order, some at a time."""

    def __init__(self) -> None:
        self.sections = [Section(Kind.SETUP, 0, title="setup")]
        self.status: str | None = None
        self.template: str | None = None
        self.job: str | None = None
        """As Jenkins calls it: in front of each script, and its workspace."""
        self.left_out = False
        """Whether there were more than MAX_SECTIONS."""
        self.lines = 0
        self._zuul: bool | None = None
        self._between_tasks = True

    @property
    def too_many(self) -> str:
        """What ``left_out`` means, for a person."""
        return f"all scripts beyond {MAX_SECTIONS} sections are shown as one"

    @property
    def complete(self) -> bool:
        """Whether the console tells how the build ended: it was not torn on the way."""
        return self.status is not None or self.sections[-1].kind is Kind.PUBLISHERS

    def cut(self, lines: Lines, texts: list[bytes]) -> Iterator[tuple[Section, int, int]]:
        """Share out the lines, whose texts are ``texts``: (section, from, to), in order and without gaps."""
        count = len(texts)
        if self._zuul is None:
            self._find_workspace(lines)
            own = (at for at, text in lines.find(b"[Zuul] ") if text.startswith(b"[Zuul] "))
            self._zuul = next(own, _ZUUL_HEAD_LINES) < _ZUUL_HEAD_LINES
        opened = self._zuul_marks(lines, count) if self._zuul else self._jenkins_marks(lines)
        start = 0
        for at, section in opened:
            if at > start:
                yield self.sections[-1], start, at
            start = at
            self._open(section)
        if count > start:
            yield self.sections[-1], start, count
        self.lines += count

    def close(self) -> None:
        """After the last line: takes back what later lines proved wrong."""
        sections = [section for section in self.sections if section.count]
        kept: list[Section] = []
        for index, section in enumerate(sections):
            if section.by_finish and index + 1 < len(sections) and kept:
                # The build went on, so a script had printed it.
                kept[-1].count += section.count
                kept[-1].borders += section.borders
                kept[-1].end_ms = section.end_ms or kept[-1].end_ms
            else:
                kept.append(section)
        published = False
        for section in kept:
            if section.kind in (Kind.SCRIPT, Kind.POST_BUILD):
                section.kind = Kind.POST_BUILD if published else Kind.SCRIPT
            published = published or section.kind is Kind.PUBLISHERS
        self.sections = kept or self.sections[:1]
        if self.sections[-1].kind is not Kind.PUBLISHERS:
            self.status = None

    def _open(self, section: Section) -> None:
        if len(self.sections) >= MAX_SECTIONS and section.kind is not Kind.PUBLISHERS:
            self.left_out = True
            return
        self.sections.append(section)

    def _jenkins_marks(self, lines: Lines) -> list[tuple[int, Section]]:
        opened: list[tuple[int, Section]] = []
        for at, text in () if self.left_out else lines.find(b"] $ "):
            script = _SCRIPT.fullmatch(text)
            if script:
                opened.append((at, self._script(script, self.lines + at)))
        for at, text in lines.find(b"Finished: "):
            finished = _FINISHED.fullmatch(text)
            if finished:
                self.status = finished[1].decode()
                opened.append((at, Section(Kind.PUBLISHERS, self.lines + at, by_finish=True)))
        for at, text in lines.find(b"[SCP] "):
            if text.startswith(b"[SCP] "):
                opened.append((at, Section(Kind.PUBLISHERS, self.lines + at)))
        self._find_template(lines)
        opened.sort(key=lambda mark: mark[0])
        last = self.sections[-1]
        result = []
        for at, section in opened:
            both = section.kind is last.kind is Kind.PUBLISHERS
            if both and (section.by_finish or not last.by_finish):
                continue
            last = section
            result.append((at, section))
        return result

    def _script(self, found: re.Match[bytes], first: int) -> Section:
        command = found[2].decode().rstrip()
        shell = _SHELL_STEP.fullmatch(command)
        if shell is None:
            return Section(Kind.COMMAND, first, command=command)
        self.job = self.job or found[1].decode()
        return Section(Kind.SCRIPT, first, command=command, interpreter=shell["interpreter"])

    def _find_workspace(self, lines: Lines) -> None:
        for _, text in lines.find(b" in workspace /"):
            if found := _WORKSPACE.fullmatch(text):
                self.job = found[1].decode()
                return

    def _find_template(self, lines: Lines) -> None:
        if self.template is not None:
            return
        for _, text in lines.find(b"JJB template: "):
            found = _TEMPLATE.fullmatch(text.rstrip())
            if found:
                self.template = found[1].decode()
                return

    def _zuul_marks(self, lines: Lines, count: int) -> list[tuple[int, Section]]:
        """Zuul's own lines stand before the first script, behind each, and after the last."""
        self._find_template(lines)
        opened: list[tuple[int, Section]] = []
        kind = self.sections[-1].kind
        at = -1
        for mark, text in lines.find(b"[Zuul] "):
            if not text.startswith(b"[Zuul] "):
                continue
            if self._between_tasks and mark > at + 1:
                opened.append((at + 1, Section(Kind.SCRIPT, self.lines + at + 1)))
                kind, self._between_tasks = Kind.SCRIPT, False
            result = _ZUUL_RESULT.fullmatch(text)
            if result:
                self.status = result[1].decode()
            if text.startswith(b"[Zuul] Task exit code"):
                self._between_tasks = True
            elif kind is Kind.SCRIPT and (self._between_tasks or result):
                opened.append((mark, Section(Kind.PUBLISHERS, self.lines + mark)))
                kind, self._between_tasks = Kind.PUBLISHERS, False
            at = mark
        if self._between_tasks and at + 1 < count:
            opened.append((at + 1, Section(Kind.SCRIPT, self.lines + at + 1)))
            self._between_tasks = False
        return opened
