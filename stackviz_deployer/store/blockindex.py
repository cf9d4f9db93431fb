# SPDX-License-Identifier: Apache-2.0
"""The block index of a blob (parsers/blockgzip.py writes it), and gzip files of a run of blocks.

A block is a run of whole deflate blocks that ends in a full flush, so that header + slice +
final empty block + trailer is a gzip file again; the trailer's CRC-32 comes from those of
the blocks, and nothing is inflated.
"""

from __future__ import annotations

import gzip
import json
import struct
import threading
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from isal import isal_zlib

from stackviz_deployer.errors import DataLostError, NotFoundError, StoreError

MAX_INDEX_BYTES = 64 << 20
"""Decoded; a block takes about 60 bytes of it and stands for 64 KiB."""
MAX_CACHED_BLOCKS = 200_000
"""Of all indices that are kept at once: 24 bytes each."""
_ENTRY_COST = 32
"""What an index costs besides its blocks, in blocks."""

_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Deflate, no flags, no time, unknown system: RFC 1952, section 2.3."""
_FINAL_BLOCK = b"\x03\x00"
_MASK = 0xFFFFFFFF


class DamagedIndexError(Exception):
    """An index that its blob cannot be read by any more; the message is for the log."""


@frozen(kw_only=True)
class Cut:
    """A gzip file: ``head``, the slice of the blob, ``tail``."""

    offset: int
    size: int
    head: bytes
    tail: bytes


@frozen(kw_only=True)
class BlockIndex:
    """What is needed of an index to cut: a row a block."""

    offsets: Sequence[int]
    """One more than there are blocks: the last is where the last block ends."""
    plain_sizes: Sequence[int]
    crcs: Sequence[int]

    def __len__(self) -> int:
        return len(self.crcs)

    def cut(self, first: int, last: int) -> Cut:
        """Blocks ``first`` to ``last``, inclusive.  Raises NotFoundError when there are no such."""
        if not 0 <= first <= last < len(self):
            raise NotFoundError(
                f"there are no blocks {first} to {last}; there are {len(self)}, counted from 0"
            )
        crc = plain_size = 0
        for n in range(first, last + 1):
            # From isa-l, a dependency already: 1 us a block, where pure Python takes 40.
            crc = isal_zlib.crc32_combine(crc, self.crcs[n], self.plain_sizes[n])
            plain_size += self.plain_sizes[n]
        return Cut(
            offset=self.offsets[first],
            size=self.offsets[last + 1] - self.offsets[first],
            head=_HEAD,
            tail=_FINAL_BLOCK + struct.pack("<II", crc, plain_size & _MASK),
        )


def read_index(path: Path, blob_size: int) -> BlockIndex:
    """The index at ``path``, of a blob of ``blob_size`` bytes.

    Raises DamagedIndexError when it is no index, or one of another file: a wrong slice would
    reach a browser as a broken gzip file, with nothing to tell why.  DataLostError when there
    is none; StoreError for one of a newer release.
    """
    try:
        with gzip.open(path) as file:
            return _parse(file.read(MAX_INDEX_BYTES + 1), blob_size)
    except FileNotFoundError:
        raise DataLostError(
            "this artifact's index is lost from the server's disk; scrape the job again"
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError, TypeError, KeyError, OverflowError) as error:
        raise DamagedIndexError(f"the block index {path} is damaged ({error})") from error


def _parse(raw: bytes, blob_size: int) -> BlockIndex:
    if len(raw) > MAX_INDEX_BYTES:
        raise ValueError(f"more than {MAX_INDEX_BYTES} bytes")
    data: Any = json.loads(raw)
    if data["version"] != 1:
        raise _of_a_newer_release(data["version"])
    offsets, plain_sizes, crcs = array("Q"), array("Q"), array("L")
    end = None
    for offset, size, plain_size, crc, *_ in data["blocks"]:
        if end not in (None, offset) or size < 0 or not 0 <= crc <= _MASK:
            raise ValueError(f"block {len(crcs)} is not behind the one before")
        end = offset + size
        offsets.append(offset)
        plain_sizes.append(plain_size)
        crcs.append(crc)
    offsets.append(end or 0)
    if offsets[-1] > blob_size:
        raise ValueError("it is of a longer file")
    return BlockIndex(offsets=offsets, plain_sizes=plain_sizes, crcs=crcs)


def _of_a_newer_release(version: object) -> StoreError:
    return StoreError(
        f"a block index has the form {str(version)[:20]}, which this release does not know;"
        " install the newer one",
        reason="the server is older than its data",
    )


class IndexCache:
    """The indices used last, of so many blocks together.  Any thread may call."""

    def __init__(self, max_blocks: int = MAX_CACHED_BLOCKS) -> None:
        self._left = max_blocks
        self._kept: OrderedDict[str, BlockIndex] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str, read: Callable[[], BlockIndex]) -> BlockIndex:
        """The index ``name``, by ``read`` when it is not kept; two at once may both read it."""
        with self._lock:
            if (index := self._kept.get(name)) is not None:
                self._kept.move_to_end(name)
                return index
        index = read()
        with self._lock:
            if name not in self._kept:
                self._kept[name] = index
                self._left -= _cost(index)
                while self._left < 0:
                    self._left += _cost(self._kept.popitem(last=False)[1])
        return index

    def names(self) -> Iterable[str]:
        """Those kept, the one used longest ago first."""
        with self._lock:
            return tuple(self._kept)


def _cost(index: BlockIndex) -> int:
    return len(index) + _ENTRY_COST
