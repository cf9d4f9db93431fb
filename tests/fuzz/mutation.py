# SPDX-License-Identifier: Apache-2.0
"""Inputs made from inputs: damaged, repeated, crossed, and with the words of their format."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random

MAX_BYTES = 16 << 10
"""Of an input: what a parser does wrong it does with little; what costs is test_bombs.py's."""

Repair = Callable[[bytearray], None]
"""Puts right what only keeps damage out: checksums."""

NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"127",
    b"255",
    b"256",
    b"65535",
    b"65536",
    b"2147483648",
    b"4294967296",
    b"9223372036854775808",
    b"1e308",
    b"1e999",
    b"-0",
    b"NaN",
    b"Infinity",
    b"0x10",
    b"9" * 400,
    b"1.5",
    "\u0661\u0662".encode(),
    "\u00b2".encode(),
)
"""Written out; the last ones are digits to some and no numbers to others."""
BYTES = (
    b"\0",
    b"\xff",
    b"\x1b[",
    b"\x1b]",
    b"\r",
    b"\n",
    b"\r\n",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    "\u2028".encode(),
    "\u202e".encode(),
    "\U0001f600".encode(),
    b"\\ud800",
    b"\\u0000",
    b"%00",
    b"%2e%2e%2f",
    b"../",
    b"..\\",
    b"&#0;",
    b"&#xD800;",
    b"&lt;",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"-->",
    b'"',
    b"'",
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b",",
    b"://",
    b"@",
    b"#",
    b"?",
    b";",
    b"\x7f",
    b"\x85",
    b"null",
)


def mutated(random: Random, seeds: Sequence[bytes], words: Sequence[bytes], repair: Repair | None) -> bytes:
    """An input that is nearly one of the ``seeds``."""
    data = bytearray(random.choice(seeds))
    for _ in range(min(12, 1 + int(random.expovariate(0.5)))):
        random.choice(_STEPS)(random, data, seeds, words)
    if repair is not None and random.random() < 0.7:
        repair(data)
    return bytes(data[:MAX_BYTES])


def _span(random: Random, data: bytearray) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    size = min(int(random.paretovariate(0.6)), 4096)
    return start, min(len(data), start + size)


def _flip(random: Random, data: bytearray, _seeds: Sequence[bytes], _words: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set(random: Random, data: bytearray, _seeds: Sequence[bytes], _words: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] = random.randrange(256)


def _word(random: Random, data: bytearray, _seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    """In front of what is there, or in its place."""
    start, end = _span(random, data)
    pool = random.choice((words or BYTES, words or BYTES, BYTES, NUMBERS))
    data[start : start if random.random() < 0.6 else end] = random.choice(pool)


def _delete(random: Random, data: bytearray, _seeds: Sequence[bytes], _words: Sequence[bytes]) -> None:
    start, end = _span(random, data)
    del data[start:end]


def _repeat(random: Random, data: bytearray, _seeds: Sequence[bytes], _words: Sequence[bytes]) -> None:
    start, end = _span(random, data)
    times = min(2 ** random.randrange(10), 1 + (MAX_BYTES - len(data)) // (end - start or 1))
    data[start:start] = data[start:end] * max(times, 0)


def _move(random: Random, data: bytearray, _seeds: Sequence[bytes], _words: Sequence[bytes]) -> None:
    start, end = _span(random, data)
    piece = data[start:end]
    del data[start:end]
    at = random.randrange(len(data) + 1)
    data[at:at] = piece


def _cross(random: Random, data: bytearray, seeds: Sequence[bytes], _words: Sequence[bytes]) -> None:
    """The beginning of one, the end of another."""
    other = random.choice(seeds)
    start = random.randrange(len(data) + 1)
    data[start:] = other[random.randrange(len(other) + 1) :]


def _truncate(random: Random, data: bytearray, _seeds: Sequence[bytes], _words: Sequence[bytes]) -> None:
    del data[random.randrange(len(data) + 1) :]


def _number(random: Random, data: bytearray, _seeds: Sequence[bytes], _words: Sequence[bytes]) -> None:
    """A number of the file, written out or binary, becomes another."""
    places = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if places and random.random() < 0.7:
        start = end = random.choice(places)
        while end < len(data) and 48 <= data[end] <= 57:
            end += 1
        data[start:end] = random.choice(NUMBERS)
    elif len(data) >= 8:
        start = random.randrange(len(data) - 7)
        form = random.choice(("<H", ">H", "<L", ">L", "<Q", ">Q"))
        size = struct.calcsize(form)
        value = random.choice((0, 1, 1 << 7, (1 << 8 * size - 1) - 1, 1 << 8 * size - 1, (1 << 8 * size) - 1))
        data[start : start + size] = struct.pack(form, value)


def _line(random: Random, data: bytearray, seeds: Sequence[bytes], _words: Sequence[bytes]) -> None:
    """Lines change places, or one of another file comes in."""
    lines = bytes(data).split(b"\n")
    if random.random() < 0.3:
        lines.insert(random.randrange(len(lines) + 1), random.choice(random.choice(seeds).split(b"\n")))
    else:
        lines.insert(random.randrange(len(lines)), lines.pop(random.randrange(len(lines))))
    data[:] = b"\n".join(lines)


_STEPS = (
    _flip,
    _set,
    _word,
    _word,
    _word,
    _delete,
    _repeat,
    _move,
    _cross,
    _truncate,
    _number,
    _number,
    _line,
)


def repair_subunit(data: bytearray) -> None:
    """Packets of the second version get the length that fits, and their checksum."""
    at = data.find(b"\xb3")
    while 0 <= at < len(data) - 8:
        head, size = at + 3, data[at + 3]
        width = 1 + (size >> 6)
        length = int.from_bytes(data[head : head + width], "big") & ((1 << 8 * width - 2) - 1)
        end = at + length
        if length < 8 or end > len(data):
            at = data.find(b"\xb3", at + 1)
            continue
        data[end - 4 : end] = struct.pack(">L", zlib.crc32(data[at : end - 4]))
        at = data.find(b"\xb3", end)


def repair_archive(data: bytearray) -> None:
    """Headers of a tar get their checksum."""
    for at in range(0, len(data) - 511, 512):
        header = data[at : at + 512]
        if header[257:262] == b"ustar":
            total = sum(header) - sum(header[148:156]) + 8 * 32
            data[at + 148 : at + 156] = b"%06o\0 " % (total & 0o777777)
