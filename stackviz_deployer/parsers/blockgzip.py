# SPDX-License-Identifier: Apache-2.0
"""Gzip files as they are stored; the large ones so that a part can be sent without inflating.

Block gzip (docs/artifacts.rst): one gzip member whose deflate data has a full
flush after about every 64 KiB of text.  A flush ends at a byte and forgets what came
before, so each block is raw deflate data of its own: a gzip header, the slice of any run
of blocks, an empty final block (``03 00``) and the trailer are a gzip file again.
"""

from __future__ import annotations

import zlib
from typing import Any, BinaryIO, Literal, Self

import orjson
from isal import isal_zlib

HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Of every file here: deflate, no name, no time, unknown system; same data, same bytes."""
FINAL_BLOCK = b"\x03\x00"
"""An empty last deflate block."""

_LEVEL = 2
"""isal's.  Measured with the 38 MB of details of 3,000 generated tests: level 0 60 ms and 7.54 MB,
1 62 ms and 5.73 MB, 2 62 ms and 5.70 MB, 3 182 ms and 5.56 MB; zlib's 6 513 ms."""
_LARGE_BYTES = 32 << 20
_BUFFER_BYTES = 256 << 10
_FEED_BYTES = 64 << 10
"""Text is handed to the compressor in pieces of about this size."""


def write_gzip(path: str, data: bytes) -> None:
    """Write ``data`` as a gzip file, as small as it gets (zlib level 9), unless it is very large.

    Measured with the 125 MB of rows of 500,000 tests: level 9 3.1 s and 6.4 MB, 6 1.0 s and 7.2 MB.
    """
    deflate = zlib.compressobj(9 if len(data) < _LARGE_BYTES else 6, zlib.DEFLATED, -15)
    with open(path, "wb") as file:  # noqa: PTH123 - paths are str on this side of the pipe
        file.write(HEADER)
        file.write(deflate.compress(data))
        file.write(deflate.flush())
        file.write(_trailer(zlib.crc32(data), len(data)))


class BlockGzipWriter:
    """Writes a block gzip file, and its index beside it.

    The index is gzipped JSON at ``path + ".blocks"``::

        {"version": 1, "unit": "test" | "line", "plain_size": N, "blocks": [
            [offset, size, plain_size, crc32, first, first_ms | null], ...], ...extra}

    ``offset`` and ``size`` are the block's slice of the gzip file, without the final empty
    block and the trailer; ``first`` is the ordinal of the first test or line that begins in
    it, ``first_ms`` when that was.  As a context manager it closes the file when something
    fails in between; the part that was written is then no gzip file.
    """

    def __init__(self, path: str, *, unit: Literal["test", "line"], block_bytes: int = 65536) -> None:
        self._path = path
        self._unit = unit
        self._block_bytes = block_bytes
        self._file: BinaryIO = open(path, "wb", _BUFFER_BYTES)  # noqa: SIM115, PTH123 - lives as long as we do
        self._file.write(HEADER)
        self._offset = len(HEADER)
        self._deflate = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, -15)
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._blocks: list[tuple[int, int, int, int, int, int | None]] = []
        self._crc = 0
        self._plain_size = 0
        self._start_block()

    def _start_block(self) -> None:
        self._block_size = 0
        self._block_plain = 0
        self._block_crc = 0
        self._first: tuple[int, int | None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Append text."""
        self._pending.append(data)
        self._pending_size += len(data)
        if self._pending_size >= _FEED_BYTES:
            self._feed()

    def border(self, ordinal: int, ms: int | None) -> int:
        """Say that what comes next is test or line number ``ordinal``, first seen at ``ms``.

        Blocks are cut here and nowhere else, once they hold ``block_bytes`` of text.  Returns
        the number of the block that holds what comes next.
        """
        if self._block_plain + self._pending_size >= self._block_bytes:
            self._end_block()
        if self._first is None:
            self._first = (ordinal, ms)
        return len(self._blocks)

    def close(self, extra: dict[str, Any] | None = None) -> str:
        """Finish both files; returns the index's path."""
        if self._block_plain or self._pending_size:
            self._end_block()
        self._file.write(FINAL_BLOCK)
        self._file.write(_trailer(self._crc, self._plain_size))
        self._file.close()
        index = {
            "version": 1,
            "unit": self._unit,
            "plain_size": self._plain_size,
            "blocks": self._blocks,
            **(extra or {}),
        }
        index_path = self._path + ".blocks"
        write_gzip(index_path, orjson.dumps(index))
        return index_path

    def _feed(self) -> None:
        data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        self._pending.clear()
        self._pending_size = 0
        self._block_plain += len(data)
        self._block_crc = isal_zlib.crc32(data, self._block_crc)
        self._emit(self._deflate.compress(data))

    def _emit(self, deflated: bytes) -> None:
        self._file.write(deflated)
        self._block_size += len(deflated)

    def _end_block(self) -> None:
        if self._pending:
            self._feed()
        self._emit(self._deflate.flush(isal_zlib.Z_FULL_FLUSH))
        first, first_ms = self._first or (0, None)
        self._blocks.append(
            (self._offset, self._block_size, self._block_plain, self._block_crc, first, first_ms)
        )
        self._offset += self._block_size
        self._plain_size += self._block_plain
        self._crc = isal_zlib.crc32_combine(self._crc, self._block_crc, self._block_plain)
        self._start_block()


def _trailer(crc: int, size: int) -> bytes:
    return crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
