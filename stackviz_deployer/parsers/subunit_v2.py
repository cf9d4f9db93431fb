# SPDX-License-Identifier: Apache-2.0
"""Subunit v2 packets -> events, as the bytes come.

A packet (the protocol's description is part of python-subunit)::

    0xb3, flags (16 bits: version 2 in the first four), length of all (varint),
    [time] [test id] [tags] [MIME type] [file name, content] [route code], CRC-32

with big-endian numbers and varints whose first two bits say how many bytes follow.  What
is no whole packet with its right checksum is no packet: reading goes on at the next one
that is.  python-subunit believes a damaged packet's length instead, and takes a stray 0xb3
for a packet.
"""

from __future__ import annotations

import codecs
import re
import struct
from typing import Protocol

from isal import isal_zlib

MIN_PACKET_BYTES = 8
"""Signature, flags, length and checksum."""

# flags
_TEST_ID = 0x0800
_ROUTE_CODE = 0x0400
_TIME = 0x0200
_TAGS = 0x0080
_FILE = 0x0040
_MIME_TYPE = 0x0020
_STATUS = 0x0007
_VERSION = 0xF000
_VERSION_2 = 0x2000

# statuses
NONE, EXISTS, IN_PROGRESS, SUCCESS, UNEXPECTED_SUCCESS, SKIP, FAIL, EXPECTED_FAILURE = range(8)

MAX_WASTE_BYTES = 2 << 30
"""How much may be checksummed in vain: a stream made of packets that claim 4 MiB would cost days."""
_WASTE_OF_ONE = 1 << 10
"""What each place where no packet begins counts beside what it claims: looking there takes time, too."""
_HEAD_BYTES = 16 << 10
"""As much of a stretch between packets is kept, to show it and to tell text from damage."""
_CACHED_TAGS = 1024
MAX_TAGS = 1000
"""Of one packet: testr's workers have one, test frameworks a handful."""
MAX_ALL_TAGS = 10_000_000
"""Of a stream, those of the usual single one not counted: 500 MB can hold 250 million."""

_BINARY = re.compile(rb"[\0-\x07\x0e-\x1a\x1c-\x1f\x7f]")
_PACKET_BEGIN = re.compile(rb"\xb3[\x20-\x2f]")
_NEXT = re.compile(rb"\xb3(?:[\x20-\x2f]|\Z)")
"""Where a packet may begin; at the end of a chunk its second byte is yet to come."""

_header = struct.Struct(">HB").unpack_from
_u32 = struct.Struct(">I").unpack_from


class EventSink(Protocol):
    """Who is told what a stream says; subunit_run.TestRun is one."""

    def event(  # noqa: PLR0917 - once per packet: keywords would cost a tenth of the reader's time
        self,
        test_id: bytes,
        route: bytes | None,
        status: int,
        time_us: int | None,
        tags: tuple[str, ...] | None,
        file_name: bytes | None,
        file_bytes: bytes,
    ) -> None:
        """One packet about a test.  ``time_us``: microseconds since 1970, UTC; None = not said."""

    def text(self, head: bytes, size: int) -> None:
        """A stretch of ``size`` bytes that belongs to no test, and how it begins."""

    def damage(self, offset: int, size: int) -> None:
        """``size`` bytes at ``offset`` of the decoded stream that were left out."""


class V2Reader:
    """Feed it chunks of any size; it tells ``sink``.  Holds a chunk and one packet (4 MiB) at most."""

    def __init__(self, sink: EventSink, *, max_waste_bytes: int = MAX_WASTE_BYTES) -> None:
        self._sink = sink
        self._parts: list[bytes] = []
        self._size = 0
        self._need = MIN_PACKET_BYTES
        self._offset = 0
        """Of the first byte that is held, in the decoded stream."""
        self._waste_left = max_waste_bytes
        self._tags_left = MAX_ALL_TAGS
        self._stray_offset = 0
        self._stray_size = 0
        self._stray_head = bytearray()
        self._one_tag: dict[bytes, tuple[str, ...]] = {}
        """Fields that hold a single tag, as they lie, and what they say."""

    def feed(self, data: bytes) -> None:
        """Read on."""
        self._parts.append(data)
        self._size += len(data)
        # a packet of 4 MiB that comes in crumbs is put together once, not at each of them
        if self._size >= self._need:
            self._read_held(final=False)

    def close(self) -> None:
        """No more comes: a packet that is not whole is damage."""
        self._read_held(final=True)
        self._end_stray()

    def _read_held(self, *, final: bool) -> None:
        data = b"".join(self._parts) if len(self._parts) != 1 else self._parts[0]
        pos = self._read(data, final=final)
        self._offset += pos
        rest = data[pos:] if pos < len(data) else b""
        self._parts = [rest] if rest else []
        self._size = len(rest)

    def _read(self, data: bytes, *, final: bool) -> int:
        """Read the whole packets in ``data``; returns where the first that is not whole begins."""
        view = memoryview(data)
        crc32 = isal_zlib.crc32
        end = len(data)
        last = end - MIN_PACKET_BYTES
        pos = 0
        while pos <= last:
            if data[pos] == 0xB3:
                flags, b = _header(data, pos + 1)
                if b < 64:
                    length = b
                    start = pos + 4
                elif b < 128:
                    length = (b & 63) << 8 | data[pos + 4]
                    start = pos + 5
                else:  # 192 and above: a length of four bytes, which the protocol forbids
                    length = (b & 63) << 16 | data[pos + 4] << 8 | data[pos + 5] if b < 192 else 0
                    start = pos + 6
                stop = pos + length - 4
                if flags & _VERSION == _VERSION_2 and stop >= start:
                    if stop + 4 <= end:
                        if crc32(view[pos:stop]) == _u32(data, stop)[0]:
                            if self._stray_size:
                                self._end_stray()
                            self._read_packet(data, pos, start, stop, flags)
                            pos = stop + 4
                            continue
                        self._waste_left -= length
                    elif not final:
                        self._need = length
                        return pos
                self._waste_left -= _WASTE_OF_ONE
                if self._waste_left < 0:  # it was made to cost time: nothing more is looked for
                    self._stray(data, pos, end)
                    return end
            next_one = _NEXT.search(data, pos + 1)
            after = end if next_one is None else next_one.start()
            self._stray(data, pos, after)
            pos = after
        if final and pos < end:
            self._stray(data, pos, end)
            return end
        self._need = MIN_PACKET_BYTES
        return pos

    def _read_packet(self, data: bytes, begin: int, pos: int, stop: int, flags: int) -> None:
        """One packet: its fields from ``pos`` on, its checksum at ``stop``."""
        time_us = tags = file_name = route = None
        file_bytes = test_id = b""
        try:
            if flags & _TIME:
                (seconds,) = _u32(data, pos)
                nanoseconds, pos = _varint(data, pos + 4)
                time_us = seconds * 1_000_000 + round(nanoseconds / 1000)
            if flags & _TEST_ID:
                size, pos = _varint(data, pos)
                test_id = data[pos : pos + size]
                pos += size
            if flags & _TAGS:
                if data[pos] == 1 and data[pos + 1] < 64:  # one short tag, the worker: nearly always
                    end = pos + 2 + data[pos + 1]
                    tags = self._one_tag.get(data[pos:end])
                if tags is None:
                    tags, pos = self._read_tags(data, pos, stop)
                else:
                    pos = end
            if flags & _MIME_TYPE:
                size, pos = _varint(data, pos)
                pos += size
            if flags & _FILE:
                size, pos = _varint(data, pos)
                file_name = data[pos : pos + size]
                size, pos = _varint(data, pos + size)
                file_bytes = data[pos : pos + size]
                pos += size
            if flags & _ROUTE_CODE:
                size, pos = _varint(data, pos)
                route = data[pos : pos + size]
                pos += size
        except (IndexError, struct.error):
            pos = stop + 1
        if pos > stop:  # a field claims more than its packet has
            self._sink.damage(self._offset + begin, stop + 4 - begin)
        elif flags & _TEST_ID:
            self._sink.event(test_id, route, flags & _STATUS, time_us, tags, file_name, file_bytes)
        elif file_bytes:
            self._sink.text(file_bytes[:_HEAD_BYTES], len(file_bytes))

    def _read_tags(self, data: bytes, begin: int, stop: int) -> tuple[tuple[str, ...], int]:
        count, pos = _varint(data, begin)
        self._tags_left -= min(count, MAX_TAGS)
        if count > MAX_TAGS or self._tags_left < 0:
            raise IndexError
        tags = []
        for _ in range(count):
            size, pos = _varint(data, pos)
            tags.append(str(data[pos : pos + size], "utf-8", "replace"))
            pos += size
            if pos > stop:
                raise IndexError
        found = tuple(tags)
        if count == 1 and len(self._one_tag) < _CACHED_TAGS:
            self._one_tag[data[begin:pos]] = found
        return found, pos

    def _stray(self, data: bytes, begin: int, end: int) -> None:
        if not self._stray_size:
            self._stray_offset = self._offset + begin
            self._stray_head = bytearray()
        self._stray_size += end - begin
        room = _HEAD_BYTES - len(self._stray_head)
        if room > 0:
            self._stray_head += data[begin : min(end, begin + room)]

    def _end_stray(self) -> None:
        if self._stray_size:
            if _is_text(self._stray_head):
                self._sink.text(bytes(self._stray_head), self._stray_size)
            else:
                self._sink.damage(self._stray_offset, self._stray_size)
            self._stray_size = 0


def contains_packet(data: bytes) -> bool:
    """Whether there is a whole and right packet about a test in ``data``."""
    probe = _Probe()
    reader = V2Reader(probe)
    reader.feed(data)
    reader.close()
    return probe.found


class _Probe:
    def __init__(self) -> None:
        self.found = False

    def event(self, *_: object) -> None:
        self.found = True

    def text(self, head: bytes, size: int) -> None:
        pass

    def damage(self, offset: int, size: int) -> None:
        pass


def _is_text(head: bytearray) -> bool:
    """Whether a stretch between packets that begins so was printed, or is a broken packet."""
    if _BINARY.search(head):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return not _PACKET_BEGIN.search(head)
    return True


def _varint(data: bytes, pos: int) -> tuple[int, int]:
    b = data[pos]
    if b < 64:
        return b, pos + 1
    if b < 128:
        return (b & 63) << 8 | data[pos + 1], pos + 2
    if b < 192:
        return (b & 63) << 16 | data[pos + 1] << 8 | data[pos + 2], pos + 3
    return (b & 63) << 24 | data[pos + 1] << 16 | data[pos + 2] << 8 | data[pos + 3], pos + 4
