# SPDX-License-Identifier: Apache-2.0
"""How bad each line of a log is: found once, where it is parsed, so that no reader guesses again.

A line has a level of its own (oslo, Python's logging, syslog and the journal's short-precise form,
Jenkins, Ansible and Zuul, compilers, ``Traceback``), or it continues the line before it and
inherits that one's.  Looking at each line costs more than all the rest of reading a console, so words are
searched for in whole chunks first; only the lines that hold one, and those that follow
such a line, are looked at.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from stackviz_deployer.parsers.console_text import Lines

LEVELS = ("WARNING", "ERROR", "CRITICAL")
"""What is above INFO; a level is a place in this, plus one: 0 is everything below."""
WARNING, ERROR, CRITICAL = 1, 2, 3

MAX_INHERITED = 1000
"""Lines that one line may give its level to."""
_MAX_LOOSE = 10
"""Of those, dated lines that look like nothing in particular: may be another program's."""
_HEAD_BYTES = 400
"""As much of a line is looked at."""

_RANKS = {
    b"WARNING": WARNING, b"WARN": WARNING, b"TRACE": ERROR, b"ERROR": ERROR, b"ERR": ERROR,
    b"CRITICAL": CRITICAL, b"CRIT": CRITICAL, b"FATAL": CRITICAL, b"ALERT": CRITICAL, b"EMERG": CRITICAL,
}  # fmt: skip
_NAMES = rb"DEBUG|INFO|AUDIT|NOTICE|TRACE|WARN(?:ING)?|ERR(?:OR)?|CRIT(?:ICAL)?|FATAL|ALERT|EMERG"

_WORDS = (
    b"ERROR", b"WARN", b"CRIT", b"FATAL", b"FAIL", b"Traceback (most", b"rror: ", b"arning: ", b"rror]",
    b"arning]", b"fatal: ", b": *** ", b"END RESULT_",
)  # fmt: skip
"""One of them is in every line that has a level of its own above INFO; none is in an ordinary line."""

_HOST = rb"((?:[\w.-]{1,64}(?: -> [\w.-]{1,64})? \| )?)"
_COLOUR = rb"(?:#033\[[\d;]*m)*"
_STAMP = (
    rb"(?:\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]?"
    rb"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"
    rb"|\[?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]?)"
)
# Time, then at most a machine, a program, a process and the time once more; then the level.
_LEVEL = rb"(?:\[?" + _COLOUR + rb"(" + _NAMES + rb")\b(?![=/.-])|\[(?:Note|System|Info|Debug)\])"
_RECORD = re.compile(_HOST + _STAMP + rb"(?: {1,3}[^\s\"'=;{}]{1,80}){0,6}? {1,3}" + _LEVEL)
_BEFORE = re.compile(_HOST)
_STAMPED = re.compile(_STAMP + rb"(?= |$)")
# Apache, MySQL and their kind: [error], [wsgi:error], [Warning]
_BRACKETED = re.compile(rb"[^\"']{0,120}?\[(?:[\w-]{1,30}:)?([Ee]rror|[Ww]arning|warn|crit|alert|emerg)\]")
_BLANK = rb"(?: |\\t)*"
_MARK = re.compile(
    _BLANK + _COLOUR + rb"(?:\[(" + _NAMES + rb")\](?:\s|:|$)"
    rb"|(" + _NAMES + rb")(?::|$| - )"
    rb"|(?:[\w./+-]{1,200}: ){0,2}(?:fatal )?([Ee]rror|[Ww]arning|fatal): )"
)
_COMPILER = re.compile(rb"\S{1,200}?:\d{1,7}(?::\d{1,5})?: (?:fatal )?(error|warning): ")
_FAILURE = re.compile(
    rb"MODULE FAILURE|(?:Finished: |\[Zuul\] Job .{1,40}, result: )FAILURE"
    rb"|(?:PRE-|POST-|CLEANUP-)?RUN END RESULT_(?!NORMAL)"
    rb"|.{0,300}?(?:\.\.\. FAILED\b|: \*\*\* )"
)
_IGNORED = re.compile(rb"ERROR: Ignoring Errors")
_TRACEBACK = b"Traceback (most recent call last)"
_EXCEPTION = re.compile(rb"[A-Za-z_][\w.]*(?::|$| \()")
# The shell's trace, results of tests and tasks, banners: these begin something else.
_NEW = re.compile(
    rb"\+|\$ |\{\d+\} |\[\S+\] \$ |(?:ok|changed|skipping|included)\b"
    rb"|(?:PLAY|TASK|LOOP|HANDLER|RUN|PRE-RUN|POST-RUN)\b"
)
_BRACKETS = re.compile(rb"[\[\]{}()]+,?$")


class _Rule(Enum):
    """What continues a line."""

    INDENTED = 1
    """What is further in, and the brackets around it."""
    RECORD = 2
    """Whatever is no record of its own, for a while."""
    TRACEBACK = 3
    """What is further in, and the exception at the end."""


class _Own(NamedTuple):
    """What a line says of itself; made for each line that is looked at, so a light one."""

    level: int
    rule: _Rule
    host: bytes
    indent: int
    """Bytes before the text, after the host and the time."""


class Severity:
    """Finds the levels; is given the lines in their order, some at a time."""

    def __init__(self) -> None:
        self._before: _Own | None = None
        """The line that is being continued."""
        self._inherited = 0
        self._loose = 0

    def levels(self, lines: Lines, dates: list[bytes], texts: list[bytes]) -> list[tuple[int, int]]:
        """(position, level) of the lines above INFO, in order.

        ``dates`` and ``texts`` are those of ``lines.split()``, or the first ones of them.
        """
        found: list[tuple[int, int]] = []
        judged = self._continue(0, dates, texts, found) if self._before else 0
        number = done = 0
        for at in _offsets(lines.text):
            number += lines.text.count(b"\n", done, at)
            done = at
            if number < judged:
                continue
            if number >= len(texts):
                break
            judged = number + 1
            own = _own(texts[number])
            if own is not None and own.level:
                found.append((number, own.level))
                self._begin(own)
                judged = self._continue(judged, dates, texts, found)
        return found

    def _begin(self, own: _Own) -> None:
        self._before, self._inherited, self._loose = own, 0, 0

    def _continue(
        self, number: int, dates: list[bytes], texts: list[bytes], found: list[tuple[int, int]]
    ) -> int:
        """From line ``number`` on as far as a level reaches; returns the first line not looked at."""
        for number in range(number, len(texts)):  # noqa: B020, PLR1704 - counts on from where it began
            before = self._before
            if before is None:
                return number
            own = _own(texts[number])
            if own is not None:
                self._before = None
                if own.level:
                    if own.rule is _Rule.TRACEBACK:
                        own = _within(own, before)
                    found.append((number, own.level))
                    self._begin(own)
            elif self._inherits(before, dates[number], texts[number]):
                found.append((number, before.level))
            else:
                self._before = None
        return len(texts)

    def _inherits(self, before: _Own, date: bytes, text: bytes) -> bool:
        """Whether a line without a level of its own continues ``before``."""
        self._inherited += 1
        if self._inherited > MAX_INHERITED or not text.startswith(before.host):
            return False
        stamp = _STAMPED.match(text, len(before.host))
        start = stamp.end() + 1 if stamp else len(before.host)
        indent = _indent(text, start)
        rest = text[start + indent : start + indent + 200]
        if before.rule is _Rule.TRACEBACK:
            if indent > before.indent or not rest:
                return True
            self._before = None
            return _EXCEPTION.match(rest) is not None
        if stamp:
            return False
        if indent > before.indent:
            return bool(rest)
        if before.rule is _Rule.INDENTED:
            return _BRACKETS.match(rest) is not None
        self._loose += bool(date)  # undated: written by the same call as the line before
        return bool(rest) and self._loose <= _MAX_LOOSE and _NEW.match(rest) is None


def _offsets(text: bytes) -> list[int]:
    """Where the words are: at most one of each in a line, in order."""
    offsets: list[int] = []
    for word in _WORDS:
        at = text.find(word)
        while at >= 0:
            offsets.append(at)
            at = text.find(word, text.find(b"\n", at))
    offsets.sort()
    return offsets


def _within(own: _Own, before: _Own) -> _Own:
    """A traceback within a record has the record's level."""
    if before.rule is _Rule.RECORD and own.host == before.host:
        return own._replace(level=before.level)
    return own


def _own(text: bytes) -> _Own | None:
    """None for a line that is no record and has no mark; level 0 for a record below WARNING."""
    head = text[:_HEAD_BYTES]
    record = _RECORD.match(head)
    if record:
        return _Own(_RANKS.get(record[2], 0), _Rule.RECORD, record[1], 0)
    before = _BEFORE.match(head)
    prefix = before[0] if before else b""
    start = len(prefix)
    stamp = _STAMPED.match(head, start)
    if stamp:
        start = stamp.end() + 1
    indent = _indent(head, start)
    if head.startswith(_TRACEBACK, start + indent):
        return _Own(ERROR, _Rule.TRACEBACK, prefix, indent)
    mark = _MARK.match(head, start)
    if mark:
        if _IGNORED.match(head, start):
            return _Own(WARNING, _Rule.INDENTED, prefix, indent)
        return _Own(_rank(mark[1] or mark[2] or mark[3]), _Rule.INDENTED, prefix, indent)
    compiler = _COMPILER.match(head, start)
    if compiler:
        return _Own(_rank(compiler[1]), _Rule.INDENTED, prefix, indent)
    bracketed = _BRACKETED.match(head, start)
    if bracketed:
        return _Own(_rank(bracketed[1]), _Rule.RECORD if stamp else _Rule.INDENTED, prefix, indent)
    if _FAILURE.match(head, start):
        return _Own(ERROR, _Rule.INDENTED, prefix, indent)
    return None


def _rank(word: bytes) -> int:
    return ERROR if word == b"fatal" else _RANKS.get(word.upper(), 0)


def _indent(text: bytes, start: int) -> int:
    """Bytes of blanks and (escaped) tabs from ``start`` on."""
    at = start
    while True:
        if text.startswith(b" ", at):
            at += 1
        elif text.startswith(b"\\t", at):
            at += 2
        else:
            return at - start
