# SPDX-License-Identifier: Apache-2.0
"""JSON of any size, read value by value: what is not asked for is passed over and never built.

A job-output.json holds all that every command printed, twice; of tens of megabytes some kilobytes
are wanted.  Memory is two chunks and the strings that are kept, whatever the document's size and depth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import orjson

from stackviz_deployer.parsers.sgr import text_runs

# Strings, and all that is neither a string nor a bracket.
_PLAIN = re.compile(rb'[^"\[\]{}]*+(?:"(?:[^"\\]++|\\.)*+"[^"\[\]{}]*+)*+', re.DOTALL)
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]+")
_SPACE = re.compile(rb"[ \t\r\n]*")
_NEW_LINE = re.compile(rb"[ \t\r]*\n[ \t\r\n]*")
_SCALAR = re.compile(rb"[-+.\w]{1,64}")
_LONGEST_SCALAR = 64
_KEY_BYTES = 1024
_ESCAPE_BYTES = 12
"""Of a character as two ``\\u`` escapes."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")


class EndsEarlyError(Exception):
    """The text ends within a value."""


class DamagedError(Exception):
    """The text is no JSON from here on."""


class JsonReader:
    """Goes through one document; every value that is named by ``members`` or ``items`` must be consumed.

    Raises EndsEarlyError or DamagedError where it cannot go on, and whatever ``chunks`` raises.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._data = b""
        self._at = 0

    def kind(self) -> str:
        """The first character of the next value: ``{``, ``[``, ``"`` or one of a number or word."""
        return chr(self._next())

    def members(self) -> Iterator[str]:
        """The keys of the next value, an object; nothing of any other value, which is passed over."""
        for _ in self._inside(b"{"):
            key, _ = self._string(_KEY_BYTES, keeps_end=False)
            if self._next() != ord(":"):
                raise DamagedError
            self._at += 1
            yield decode(key)

    def items(self) -> Iterator[None]:
        """Stops before each item of the next value, an array; nothing of any other value."""
        yield from self._inside(b"[")

    def skip(self, keep: int = 0) -> bytes:
        """Pass the next value over; the first ``keep`` bytes of its text."""
        first = self._next()
        if first == ord('"'):
            return b'"' + self._string(keep, keeps_end=False)[0] + b'"'
        if first in b"]},:":
            raise DamagedError
        if first not in b"[{":
            return self._word()
        kept = b""
        depth = 0
        while True:
            start = self._at
            self._at = self._end_of_piece(depth)
            if len(kept) < keep:
                kept += self._data[start : min(self._at, start + keep - len(kept))]
            piece = self._data[start : self._at]
            if piece[:1] and piece[0] in b"[]{}":
                depth += piece.count(b"[") + piece.count(b"{") - piece.count(b"]") - piece.count(b"}")
                if depth <= 0:
                    return kept
            elif self._at == len(self._data):
                self._fill()
            elif self._data[self._at] == ord('"'):  # goes on beyond the data
                text = self._string(keep - len(kept), keeps_end=False)[0]
                kept = (kept + b'"' + text + b'"')[:keep]

    def _end_of_piece(self, depth: int) -> int:
        """Of a run of brackets (not beyond the last that closes), else of what is none."""
        brackets = _BRACKETS.match(self._data, self._at)
        if brackets is None:
            return _end_of_plain(self._data, self._at)
        closing = brackets[0].count(b"]") + brackets[0].count(b"}")
        return brackets.end() if closing < depth else brackets.start() + 1

    def scalar(self, max_chars: int = 300) -> Any:
        """The next value if it is a string (cut), a number, a boolean or null; else None."""
        first = self._next()
        if first == ord('"'):
            return decode(self._string(6 * max_chars, keeps_end=False)[0], cut_end=True)[:max_chars]
        if first in b"[{":
            self.skip()
            return None
        try:
            return orjson.loads(self._word())
        except orjson.JSONDecodeError:
            raise (EndsEarlyError if self._at == len(self._data) else DamagedError) from None

    def text(self, max_bytes: int, *, keeps_end: bool) -> tuple[bytes, bool]:
        """The escaped text of the next value, its first or last ``max_bytes``, and whether that is not all.

        Of a value that is no string: its JSON.
        """
        if self._next() == ord('"'):
            return self._string(max_bytes, keeps_end=keeps_end)
        raw = self.skip(max_bytes)
        cut = len(raw) >= max_bytes
        return _NEW_LINE.sub(b" ", raw).replace(b"\\", b"\\\\").replace(b'"', b'\\"'), cut

    def _inside(self, opening: bytes) -> Iterator[None]:
        if self._next() != opening[0]:
            self.skip()
            return
        closing = opening[0] + 2  # ASCII
        self._at += 1
        while True:
            byte = self._next()
            if byte == closing:
                self._at += 1
                return
            if byte == ord(","):
                self._at += 1
                continue
            if byte in b"]}:" or (opening == b"{" and byte != ord('"')):
                raise DamagedError
            yield

    def _next(self) -> int:
        """The next byte that is no blank."""
        while True:
            found = _SPACE.match(self._data, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._data):
                return self._data[self._at]
            self._fill()

    def _fill(self) -> None:
        """More data behind what was not read yet."""
        chunk = next(self._chunks, b"")
        if not chunk:
            raise EndsEarlyError
        self._data = self._data[self._at :] + chunk
        self._at = 0

    def _word(self) -> bytes:
        with suppress(EndsEarlyError):
            while len(self._data) - self._at <= _LONGEST_SCALAR:
                self._fill()
        found = _SCALAR.match(self._data, self._at)
        if not found:
            raise DamagedError
        self._at = found.end()
        return found[0]

    def _string(self, keep: int, *, keeps_end: bool) -> tuple[bytes, bool]:
        """The escaped text of the string that begins here; at most ``keep`` bytes of it, and whether cut."""
        kept = b""
        cut = False
        start = self._at + 1
        while True:
            end = _end_of_string(self._data, start)
            closed = end < len(self._data) and self._data[end] == ord('"')
            if keep:
                piece = self._data[start:end]
                cut = cut or len(kept) + len(piece) > keep
                kept = (kept + piece[-keep:])[-keep:] if keeps_end else kept + piece[: keep - len(kept)]
            self._at = end
            if closed:
                self._at += 1
                return kept, cut
            self._fill()
            start = 0


def decode(raw: bytes, *, cut_end: bool = False) -> str:
    """Escaped text for a person: without control characters, and what cannot be decoded replaced."""
    return text_runs(decode_written(raw, cut_end=cut_end))[0]


def decode_written(raw: bytes, *, cut_start: bool = False, cut_end: bool = False) -> str:
    """The same as it was written for a terminal.

    A cut may have gone through the middle of an escape of JSON.
    """
    if cut_end:
        raw = raw[: len(raw) - _torn_escape(raw)]
    first = 0
    while True:
        text = _loads(raw[first:])
        if text is not None or not cut_start or first >= _ESCAPE_BYTES:
            break
        first += 1
    if text is None:
        text = raw.decode("utf-8", "replace")
    if cut_end:
        text = text.removesuffix("\ufffd")
    return _CONTROL.sub("", text)


def _loads(raw: bytes) -> str | None:
    quoted = b'"' + raw + b'"'
    try:
        return str(orjson.loads(quoted))
    except orjson.JSONDecodeError:
        pass
    try:
        # halves of surrogate pairs: how Python writes bytes that it could not decode
        text = json.loads(quoted.decode("utf-8", "replace"), strict=False)
    except ValueError:
        return None
    return str(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _torn_escape(raw: bytes) -> int:
    """How many bytes at the end are the beginning of an escape."""
    at = raw.rfind(b"\\", max(0, len(raw) - 6))
    if at < 0:
        return 0
    backslashes = at + 1 - len(raw[: at + 1].rstrip(b"\\"))
    if backslashes % 2 == 0:
        return 0
    whole = 6 if raw[at + 1 : at + 2] == b"u" else 2
    return len(raw) - at if len(raw) - at < whole else 0


def _end_of_plain(data: bytes, start: int) -> int:
    found = _PLAIN.match(data, start)
    return found.end() if found else start


def _end_of_string(data: bytes, start: int) -> int:
    """Where the closing quote is; else how far the data is whole characters."""
    found = _INSIDE.match(data, start)
    return found.end() if found else start
