# SPDX-License-Identifier: Apache-2.0
"""What a terminal would have made of text: its colours as runs beside it, all other sequences gone.

Colours are those of ECMA-48's SGR (``ESC [ 1 ; 31 m``), of which a run keeps weight, slant, lines and one
of sixteen colours; what asks for one of 256 or of 16 million gets the nearest of the sixteen, since the page
chooses shades that can be read.  Concealed and blinking text is ordinary text: nothing may hide.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import orjson

MAX_RUNS = 100
"""In a line; what comes after them has no colour."""
MAX_CARRIED = 1000
"""Lines without a sequence that one which nobody ended reaches over."""
_MAX_STREAMS = 16
"""Machines whose colours are known at a time."""

ESCAPE = b"\x1b"
# Kept: colours (group 1).  Not kept: a note hidden in Jenkins' raw log, cursor movements (CSI; also torn by
# the end of the line), titles and hyperlinks (OSC), other strings (DCS, SOS, PM, APC), character sets, modes
# and what else has two letters, lone escapes.  A string without an end is text: nothing behind it may vanish.
_SEQUENCE = re.compile(
    rb"\x1b\[8mha:[^\x1b\n]*\x1b\[0m"
    rb"|(\x1b\[[0-9;:]{0,64}m)"
    rb"|\x1b\[[0-?]*+[ -/]*+(?:[@-~]|(?=\n)|\Z)"
    rb"|\x1b\][^\x07\x1b\n]{0,8192}+(?:\x07|\x1b\\)"
    rb"|\x1b[PX^_][^\x1b\n]{0,8192}+\x1b\\"
    rb"|\x1b(?:[ -/]{1,4}+[0-~]|[]PX^_78=>cM\\])?"
)
# To the first column: how some programs begin a line of progress anew.
_HOME = re.compile(rb"\x1b\[[01]?G")
_SGR = re.compile(rb"\x1b\[([0-9;:]*)m")
_DATE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})? \|(?: |$)")
_HOST = re.compile(rb"[\w.-]{1,64}(?: -> [\w.-]{1,64})? \| ")


class Style(NamedTuple):
    """How letters look; a colour is its number among the sixteen, None for the usual one."""

    marks: str = ""
    """Some of ``BIUS`` in this order: bold, italic, underlined, struck out."""
    ink: int | None = None
    ground: int | None = None
    dim: bool = False
    swapped: bool = False

    def code(self) -> str:
        """As it is stored: marks, then the ink as a hexadecimal digit, then ``/`` and the ground."""
        ink, ground = self.ink, self.ground
        if self.swapped:
            # The usual colours swapped: a grey, and on it what can be read there.
            ink, ground = ground, 7 if ink is None else ink
        if self.dim and ink is None:
            ink = 8
        return f"{self.marks}{'' if ink is None else f'{ink:x}'}{'' if ground is None else f'/{ground:x}'}"


PLAIN = Style()
_ON = {1: "B", 3: "I", 4: "U", 9: "S", 21: "U"}
_OFF = {22: "B", 23: "I", 24: "U", 29: "S"}


def keep_colours(text: bytes) -> bytes:
    """Whole lines without sequences other than SGR; a lone escape is none."""
    return _SEQUENCE.sub(rb"\1", _HOME.sub(b"\r", text))


class Colours:
    """Takes the colours out of the lines of one text, which are given in their order, some at a time."""

    def __init__(self) -> None:
        self._open: dict[bytes, tuple[Style, int]] = {}
        """By machine: what has not been ended yet, and for how many lines it may go on."""

    def take(self, text: bytes) -> tuple[bytes, dict[int, bytes]]:
        """Whole lines of ``keep_colours``, escaped for JSON, without their colours; and the runs by line.

        Runs are ``start+length:code`` with blanks between them, counted in UTF-16 units of the line
        behind its date.  Colours go on over lines, but stay with the machine whose name begins the line.
        """
        if not self._open and ESCAPE not in text:
            return text, {}
        found: dict[int, bytes] = {}
        lines = text.split(b"\n")
        for number, line in enumerate(lines):
            if ESCAPE in line:
                lines[number], runs = self._line(_SGR.split(line))
            elif self._open and line:
                _, runs = self._line([line])
            else:
                continue
            if runs:
                found[number] = runs
        return b"\n".join(lines), found

    def _line(self, parts: list[bytes]) -> tuple[bytes, bytes]:
        plain = b"".join(parts[::2])
        date = _DATE.match(plain)
        start = date.end() if date else 0
        host = _HOST.match(plain, start)
        machine = host[0] if host else b""
        style, left = self._open.pop(machine, (PLAIN, 0))
        style, runs = _runs(parts, style, start, len(machine))
        left = MAX_CARRIED if len(parts) > 1 else left - 1
        if style != PLAIN and left > 0:
            self._open[machine] = (style, left)
            if len(self._open) > _MAX_STREAMS:
                del self._open[next(iter(self._open))]
        return plain, runs


def text_runs(text: str) -> tuple[str, str]:
    """A text of any number of lines without its sequences; its runs, over all of it."""
    if "\x1b" not in text:
        return text, ""
    kept = _SEQUENCE.sub(rb"\1", text.encode("utf-8", "replace"))
    parts = [
        orjson.dumps(part.decode("utf-8", "replace"))[1:-1] if at % 2 == 0 else part
        for at, part in enumerate(_SGR.split(kept))
    ]
    _, runs = _runs(parts, PLAIN, 0, 0)
    return _SGR.sub(b"", kept).decode("utf-8", "replace"), runs.decode()


def _runs(parts: list[bytes], style: Style, before: int, prefix: int) -> tuple[Style, bytes]:
    """Runs of a line cut at its sequences, whose parameters are every second part; and the style at its end.

    ``before`` units are not counted, and the ``prefix`` behind them has the usual colours.
    """
    runs: list[tuple[int, int, str]] = []
    at = -before
    for number, part in enumerate(parts):
        if number % 2:
            style = apply(style, part)
            continue
        if not part:
            continue
        start, at = max(at, prefix), at + _units(part)
        if at <= start or len(runs) >= MAX_RUNS:
            continue
        code = _code(style)
        if not code:
            continue
        if runs and runs[-1][2] == code and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], at, code)
        else:
            runs.append((start, at, code))
    return style, " ".join(f"{start}+{end - start}:{code}" for start, end, code in runs).encode()


def _units(part: bytes) -> int:
    """How long a browser takes text to be that is escaped for JSON."""
    if b"\\" not in part and part.isascii():
        return len(part)
    return len(orjson.loads(b'"' + part + b'"').encode("utf-16-le")) // 2


@lru_cache(maxsize=4096)
def _code(style: Style) -> str:
    return style.code()


@lru_cache(maxsize=4096)
def apply(style: Style, parameters: bytes) -> Style:
    """The style after ``ESC [ parameters m``; what it does not know changes nothing."""
    words = parameters.split(b";")
    at = 0
    while at < len(words):
        # With colons, what belongs together is one word.
        first, *own = words[at].split(b":")
        at += 1
        code = int(first or b"0") if len(first) < 5 else -1
        if code in (38, 48, 58):
            colour, used = _extended(own, whole=True) if own else _extended(words[at:], whole=False)
            at += 0 if own else used
            if code == 38:
                style = style._replace(ink=colour)
            elif code == 48:
                style = style._replace(ground=colour)
        elif own:
            # 4:0 is no line, 4:3 a wavy one.
            style = _simple(style, 24 if own[0] == b"0" else 4) if code == 4 else style
        else:
            style = _simple(style, code)
    return style


def _simple(style: Style, code: int) -> Style:
    if code == 0:
        return PLAIN
    if code in _ON:
        return style._replace(marks="".join(mark for mark in "BIUS" if mark in style.marks + _ON[code]))
    if code in _OFF:
        return style._replace(marks=style.marks.replace(_OFF[code], ""), dim=style.dim and code != 22)
    if code in (2, 7, 27):
        return style._replace(dim=True) if code == 2 else style._replace(swapped=code == 7)
    for base, first in ((30, 0), (90, 8)):
        if base <= code < base + 8:
            return style._replace(ink=code - base + first)
        if base + 10 <= code < base + 18:
            return style._replace(ground=code - base - 10 + first)
    if code in (39, 49):
        return style._replace(ink=None) if code == 39 else style._replace(ground=None)
    return style


def _extended(words: list[bytes], *, whole: bool) -> tuple[int | None, int]:
    """A colour by ``5;n`` or ``2;r;g;b``, and how many words it has; ``whole``: ``2::r:g:b``, too."""
    numbers = [int(word) if word.isdigit() and len(word) < 5 else 0 for word in words[:6]]
    if numbers[:1] == [5] and len(numbers) > 1:
        return _of_256(numbers[1]), 2
    if numbers[:1] == [2] and len(numbers) > 3:
        rgb = numbers[2:5] if whole and len(numbers) > 4 else numbers[1:4]
        return _nearest(*rgb), 4
    return None, len(words)


def _of_256(number: int) -> int | None:
    if number < 16:
        return number
    if number < 232:
        number -= 16
        steps = (0, 95, 135, 175, 215, 255)
        return _nearest(steps[number // 36], steps[number // 6 % 6], steps[number % 6])
    return _nearest(*[8 + 10 * (number - 232)] * 3) if number < 256 else None


def _nearest(red: int, green: int, blue: int) -> int | None:
    """Of the sixteen: a grey by how light it is, a colour by what it has most of red, green and blue."""
    rgb = (red, green, blue)
    high, low = max(rgb), min(rgb)
    if high > 255:
        return None
    if high - low < 48 or high < 40:
        return 0 if high < 64 else 8 if high < 150 else 7 if high < 230 else 15
    middle = (high + low) / 2
    hue = sum(bit for bit, part in zip((1, 2, 4), rgb, strict=True) if part > middle)
    return hue + (8 if low > 70 or (high > 230 and low > 40) else 0)
