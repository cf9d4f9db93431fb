# SPDX-License-Identifier: Apache-2.0
"""Where the playbooks and tasks of a job-output.txt begin and end, and how the build ended.

Zuul's executor writes ``RUN START: [...]`` and ``RUN END RESULT_...: [...]`` around each playbook; its
callback writes a blank line and a banner (``PLAY [..]``, ``TASK [..]``, ``PLAY RECAP``) before what each
task prints (formats/console.md, C).  What a machine prints stands behind ``host | ``, so the banners of an
Ansible that a job runs itself are none of ours; what ``debug`` prints does not, so ours need the blank
line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

from stackviz_deployer.parsers.console_outline import Kind, Section
from stackviz_deployer.parsers.console_text import MARK_BYTES, Lines

MAX_SECTIONS = 1500
"""Further tasks become part of the section before them; playbooks still begin one of their own."""
MAX_PLAYBOOKS = 200

_START = re.compile(
    rb"((?:PRE-|POST-|CLEANUP-)?RUN) START: \[(?:(?:un)?trusted : )?(.{1,600}?)(?:@[^@\]]*)?\]"
)
_END = re.compile(rb"((?:PRE-|POST-|CLEANUP-)?RUN) END RESULT_([A-Z_]{1,40}): \[.*")
_PLAY = re.compile(rb"PLAY \[(.*)\]")
_TASK = re.compile(rb"(?:TASK|LOOP|HANDLER|RUNNING HANDLER|CLEANUP TASK) \[(.*)\]")
_RECAP = b"PLAY RECAP"
_RECAP_BAD = re.compile(rb"[^|]{1,300} \| ok: \d.*\b(?:unreachable|failed): [1-9]")
_JOB = re.compile(rb"Job: (\S{1,255})\s*")
_JOB_HEADS = (b"# Job Information", b"Ansible Version: ")
"""A line of these stands before it (the role emit-job-header of zuul-jobs)."""
_MARKS = (b"RUN START: [", b"RUN END RESULT_", b"PLAY [", b"TASK [", b"LOOP [", b"HANDLER [", _RECAP)
_PLAYBOOKS = re.compile(r"(?:^|/)(playbooks/.+)")

_PHASES = {b"PRE-RUN": "pre", b"RUN": "run", b"POST-RUN": "post", b"CLEANUP-RUN": "cleanup"}
_RESULTS = {"TIMED_OUT": "TIMED_OUT", "ABORTED": "ABORTED", "DISK_FULL": "DISK_FULL"}
"""As Zuul calls the build then; of a playbook that went wrong in another way: FAILURE."""


def is_job_output(lines: Lines, name: str) -> bool:
    """Whether a console is Zuul's, by the name of the file or else its first ``lines``."""
    if name.rpartition("/")[2].startswith("job-output"):
        return True
    if any(text.startswith(b"Job console starting") for _, text in lines.find(b"Job console starting")):
        return True
    return any(_START.fullmatch(text) for _, text in lines.find(b"RUN START: ["))


class ZuulOutline:
    """Finds the sections; is given the lines in their order, some at a time."""

    def __init__(self) -> None:
        self.sections = [Section(Kind.SETUP, 0, title="setup")]
        self.status: str | None = None
        self.job: str | None = None
        """As the build's own head says, before its run."""
        self.left_out = False
        """Whether there were more than MAX_SECTIONS."""
        self.lines = 0
        self._before = b""
        """The line before."""
        self._in_recap = False
        self._playbooks = 0
        self._label = ""
        """Of the playbook: ``run: playbooks/x.yaml``."""
        self._phase: str | None = None
        self._fresh = False
        """Neither play nor task of the playbook was seen."""
        self._failed = self._recapped = False
        """Of the playbook, by its recap."""
        self._run_passed = self._post_seen = False

    @property
    def too_many(self) -> str:
        """What ``left_out`` means, for a person."""
        return f"all tasks beyond {MAX_SECTIONS} are shown with the one before them"

    def cut(self, lines: Lines, texts: list[bytes]) -> Iterator[tuple[Section, int, int]]:
        """Share out the lines, whose texts are ``texts``: (section, from, to), in order and without gaps."""
        start = 0
        if self.job is None and self._playbooks <= 1:
            self._find_job(lines, texts)
        if self._in_recap:
            self._read_recap(texts, 0)
        for at in self._marks(lines, len(texts)):
            section = self._mark(texts, at, blank=self._line_before(texts, at) == b"")
            if section is None:
                continue
            if at > start:
                yield self.sections[-1], start, at
            start = at
            self.sections.append(section)
        if len(texts) > start:
            yield self.sections[-1], start, len(texts)
        self.lines += len(texts)
        self._before = texts[-1][:MARK_BYTES]

    def close(self) -> None:
        """After the last line."""
        self.sections = [section for section in self.sections if section.count] or self.sections[:1]
        for section in self.sections:
            # times are those of different machines
            if section.start_ms is not None and section.end_ms is not None:
                section.end_ms = max(section.start_ms, section.end_ms)
        if self.status is None and self._run_passed and self._post_seen:
            self.status = "SUCCESS"

    def _find_job(self, lines: Lines, texts: list[bytes]) -> None:
        """The first playbook prints it."""
        for at, text in lines.find(b"Job: "):
            found = _JOB.fullmatch(text)
            if found and at < len(texts) and self._line_before(texts, at).startswith(_JOB_HEADS):
                self.job = found[1].decode()
                return

    def _line_before(self, texts: list[bytes], at: int) -> bytes:
        return texts[at - 1] if at else self._before

    @staticmethod
    def _marks(lines: Lines, count: int) -> list[int]:
        found: set[int] = set()
        for mark in _MARKS:
            found.update(at for at, text in lines.find(mark) if mark in text[:40] and at < count)
        return sorted(found)

    def _mark(self, texts: list[bytes], at: int, *, blank: bool) -> Section | None:
        """Take note of a line that may be a banner; the section that it begins."""
        text = texts[at][:MARK_BYTES]
        if start := _START.fullmatch(text):
            return self._start(start, self.lines + at)
        if end := _END.fullmatch(text):
            self._end(_PHASES[end[1]], end[2].decode())
            return None
        if text == _RECAP:
            self._in_recap = self._recapped = True
            self._read_recap(texts, at + 1)
            return self._open("PLAY RECAP", self.lines + at)
        if not blank:
            return None
        if play := _PLAY.fullmatch(text):
            if self._fresh:  # the playbook's own section has it
                self._fresh = False
                return None
            return self._open(f"PLAY {_plain(play[1])}", self.lines + at)
        if task := _TASK.fullmatch(text):
            self._fresh = False
            return self._open(_plain(task[1]), self.lines + at)
        return None

    def _start(self, start: re.Match[bytes], first: int) -> Section | None:
        self._phase = _PHASES[start[1]]
        self._label = f"{self._phase}: {short_playbook(_plain(start[2]))}"
        self._fresh = True
        self._failed = self._recapped = self._in_recap = False
        self._post_seen = self._post_seen or self._phase in ("post", "cleanup")
        self._playbooks += 1
        if self._playbooks > MAX_PLAYBOOKS:
            self.left_out = True
            return None
        return Section(Kind.TASK, first, title=self._label)

    def _open(self, title: str, first: int) -> Section | None:
        if len(self.sections) - min(self._playbooks, MAX_PLAYBOOKS) >= MAX_SECTIONS:
            self.left_out = True
            return None
        return Section(Kind.TASK, first, title=f"{self._label} | {title}" if self._label else title)

    def _read_recap(self, texts: list[bytes], at: int) -> None:
        """The lines of hosts, up to the blank one."""
        for number in range(at, len(texts)):
            if texts[number] == b"" or b" | ok: " not in texts[number]:
                self._in_recap = False
                return
            if _RECAP_BAD.match(texts[number][:MARK_BYTES]) and not self._failed:
                self._failed = True
                self._blame("FAILURE")

    def _end(self, phase: str, result: str) -> None:
        if result != "NORMAL":
            self._blame(_RESULTS.get(result, "FAILURE"))
        elif phase == "run" and self._recapped and not self._failed:
            self._run_passed = True
        self._phase = None

    def _blame(self, status: str) -> None:
        """The first thing that went wrong is the build's result."""
        if self._phase == "cleanup" or self.status is not None:
            return
        self.status = "POST_FAILURE" if self._phase == "post" else status


def short_playbook(path: str) -> str:
    """``playbooks/x.yaml`` of ``opendev.org/openstack/tempest/playbooks/x.yaml``."""
    found = _PLAYBOOKS.search(path)
    return found[1] if found else "/".join(path.split("/")[-2:])


def _plain(text: bytes) -> str:
    """What was escaped for JSON."""
    try:
        return str(orjson.loads(b'"' + text + b'"'))
    except orjson.JSONDecodeError:
        return text.decode("utf-8", "replace")
