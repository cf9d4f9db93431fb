# SPDX-License-Identifier: Apache-2.0
"""Bodies as they came over the wire -> decoded chunks, bounded at every step.

What a file is compressed with is read from its first bytes, never from its name or a
header: servers send ``foo.gz`` with and without ``Content-Encoding``, and sometimes
compress it once more.
"""

from __future__ import annotations

import bz2
import lzma
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Protocol, cast

from attrs import frozen
from isal import igzip_lib, isal_zlib

from stackviz_deployer.errors import ParseError, TooLargeError

CHUNK_BYTES = 256 << 10
"""No chunk that a Decoder gives is longer."""

_READ_BYTES = 64 << 10
_LAYERS = 2
"""Content-Encoding over a compressed file; nobody compresses a third time by accident."""
_MAX_MEMBERS = 1 << 16
"""A 4 GiB file of bgzip has as many; a file of empty members only costs time."""
_MAX_HEADER_BYTES = 128 << 10
"""Of a gzip member: its extra field alone may have 64 KiB; names have no bound of their own."""
_XZ_MEMORY_BYTES = 128 << 20
"""``xz -9`` needs 65 MiB; the format allows 4 GiB."""


class Decoder:
    """The decoded bytes of one file, in chunks; to be iterated once.

    A file that is torn or damaged gives all that could be decoded and then a sentence in
    ``warnings``, no exception.  Raises TooLargeError when more than ``max_bytes`` come
    out (of either layer), ParseError for a file made to cost time.
    """

    def __init__(self, path: str, *, name: str, max_bytes: int) -> None:
        self._path = path
        self._name = name
        self._max_bytes = max_bytes
        self.decoded_bytes = 0
        """How many bytes were given so far."""
        self.warnings: list[str] = []

    def __iter__(self) -> Iterator[bytes]:
        with open(self._path, "rb") as file:  # noqa: PTH123 - ours is a str: it came over a pipe
            chunks: Iterator[bytes] = iter(lambda: file.read(_READ_BYTES), b"")
            for _ in range(_LAYERS):
                head = _head_of(chunks)
                chunks = chain(head, chunks)
                magic = b"".join(head)
                codec = next((c for c in _CODECS if c.magic.match(magic)), None)
                if codec is None:
                    break
                chunks = self._counted(self._decode(codec, chunks))
            for chunk in self._counted(chunks):
                self.decoded_bytes += len(chunk)
                yield chunk

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        left = self._max_bytes
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise TooLargeError(f"{self._name} has more than {self._max_bytes} bytes when decoded")
            yield chunk

    def _decode(self, codec: _Codec, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Member after member: gzip, xz and bzip2 files may all be concatenated."""
        member: _Member | None = None
        members = 0
        pending = b""
        for chunk in chunks:
            pending += chunk
            while pending:
                if member is None:
                    if members:
                        pending = pending.lstrip(b"\0")  # padding, of tapes and of xz
                    if len(pending) < _MAGIC_BYTES:
                        break
                    if not codec.magic.match(pending):
                        self._warn_trailing(codec)
                        return
                    members += 1
                    if members > _MAX_MEMBERS:
                        raise ParseError(
                            f"{self._name} consists of more than {_MAX_MEMBERS} {codec.name} members"
                        )
                    member = codec.open()
                try:
                    yield from _drain(member, pending)
                except _DAMAGE as error:
                    self.warnings.append(
                        f"{self._name}: the {codec.name} data is damaged ({error}); the rest is missing."
                    )
                    return
                pending = b""
                if member.eof:
                    pending = member.unused_data
                    member = None
        if member is not None:
            self.warnings.append(f"{self._name}: the {codec.name} data ends early; the rest is missing.")
        elif pending.strip(b"\0"):
            if members:
                self._warn_trailing(codec)
            else:
                self.warnings.append(f"{self._name}: the {codec.name} data ends within its header.")

    def _warn_trailing(self, codec: _Codec) -> None:
        self.warnings.append(f"{self._name}: bytes after the end of the {codec.name} data were left out.")


class _Member(Protocol):
    """What bz2.BZ2Decompressor and its kind have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _GzipMember:
    """One gzip member (RFC 1952).

    Header and trailer are read here and not by the library, because the library throws
    the last decoded bytes away when the checksum behind them is wrong.
    """

    def __init__(self) -> None:
        self.eof = False
        self.needs_input = True
        self.unused_data = b""
        self._held = b""
        self._in_trailer = False
        self._inflater: igzip_lib.IgzipDecompressor | None = None
        self._crc = 0
        self._size = 0

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._inflater is None:
            self._held += data
            end = _gzip_header_end(self._held)
            if end is None:
                if len(self._held) > _MAX_HEADER_BYTES:
                    raise ValueError("endless header")
                return b""
            data, self._held = self._held[end:], b""
            self._inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
        if self._in_trailer:
            self._end(data)
            return b""
        out = self._inflater.decompress(data, max_length)
        self._crc = isal_zlib.crc32(out, self._crc)
        self._size += len(out)
        if self._inflater.eof:
            self._in_trailer = True
            self._held = self._inflater.unused_data
            self.needs_input = len(self._held) < 8
        else:
            self.needs_input = self._inflater.needs_input
        return out

    def _end(self, data: bytes) -> None:
        self._held += data
        self.needs_input = len(self._held) < 8
        if self.needs_input:
            return
        if self._held[:4] != self._crc.to_bytes(4, "little"):
            raise ValueError("wrong checksum")
        if self._held[4:8] != (self._size & 0xFFFFFFFF).to_bytes(4, "little"):
            raise ValueError("wrong length")
        self.unused_data = self._held[8:]
        self.eof = True


def _gzip_header_end(data: bytes) -> int | None:
    """Where the deflate data begins; None while the header is not whole."""
    if len(data) < 10:
        return None
    flags = data[3]
    pos = 10
    if flags & 4:  # FEXTRA
        if len(data) < pos + 2:
            return None
        pos += 2 + int.from_bytes(data[pos : pos + 2], "little")
    for flag in (8, 16):  # FNAME, FCOMMENT
        if flags & flag:
            pos = data.find(b"\0", pos) + 1
            if not pos:
                return None
    if flags & 2:  # FHCRC
        pos += 2
    return pos if pos <= len(data) else None


@frozen
class _Codec:
    name: str
    magic: re.Pattern[bytes]
    open: Callable[[], _Member]


def _open_xz() -> _Member:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)


_CODECS = (
    _Codec("gzip", re.compile(rb"\x1f\x8b\x08"), _GzipMember),
    _Codec("xz", re.compile(rb"\xfd7zXZ\0"), _open_xz),
    # the block's own magic too: "BZh9" alone may begin a text
    _Codec("bzip2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), bz2.BZ2Decompressor),
)
_MAGIC_BYTES = 10
"""As many bytes decide; no member of any codec is shorter."""
_ISAL_ERROR = cast("type[Exception]", igzip_lib.IsalError)  # its stub takes the class for an instance
_DAMAGE = (ValueError, EOFError, OSError, lzma.LZMAError, _ISAL_ERROR)


def _head_of(chunks: Iterator[bytes]) -> list[bytes]:
    """Chunks that hold the magic, taken from ``chunks``; less only when there is no more."""
    head: list[bytes] = []
    for chunk in chunks:
        head.append(chunk)
        if sum(map(len, head)) >= _MAGIC_BYTES:
            break
    return head


def _drain(member: _Member, data: bytes) -> Iterator[bytes]:
    while True:
        out = member.decompress(data, CHUNK_BYTES)
        if out:
            yield out
        if member.eof or member.needs_input:
            return
        data = b""
