# SPDX-License-Identifier: Apache-2.0
"""What bodies may be compressed with: how each is recognised, and a bounded decompressor for one member."""

from __future__ import annotations

import bz2
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol, cast

from attrs import frozen
from isal import igzip_lib, isal_zlib

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CHUNK_BYTES = 256 << 10
"""No piece that comes out of a member is longer."""
PROBE_BYTES = 4096
"""As many bytes tell every codec."""
_MAX_HEADER_BYTES = 128 << 10
"""Of a gzip member: its extra field alone may have 64 KiB; names have no bound of their own."""
_XZ_MEMORY_BYTES = 128 << 20
"""``xz -9`` needs 65 MiB; the format allows 4 GiB."""
_ZSTD_WINDOW_LOG = 27
"""128 MiB, what ``zstd --ultra -22`` needs and the command itself accepts; the format allows 3.75 TiB."""


class Member(Protocol):
    """What bz2.BZ2Decompressor and its kind have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


@frozen
class Codec:
    """One way to compress."""

    name: str
    magic: re.Pattern[bytes]
    """How a member begins."""
    magic_bytes: int
    """As many bytes decide; no member is shorter."""
    open: Callable[[], Member]
    probed: bool = False
    """Whether a text may begin like this, too, so that only decoding tells."""


def codec_of(head: bytes) -> Codec | None:
    """What a body that begins with ``head`` (PROBE_BYTES, or all of it) is compressed with."""
    for codec in _CODECS:
        if codec.magic.match(head) and (not codec.probed or _decodes(codec.open(), head)):
            return codec
    return None


def drain(member: Member, data: bytes) -> Iterator[bytes]:
    """What comes out of ``member`` for ``data``, in pieces of at most CHUNK_BYTES.  Raises DAMAGE."""
    while True:
        out = member.decompress(data, CHUNK_BYTES)
        if out:
            yield out
        if member.eof or member.needs_input:
            return
        data = b""


def _decodes(member: Member, head: bytes) -> bool:
    """Whether all of ``head`` makes sense to ``member``: to its end, or with a result."""
    size = 0
    try:
        for out in drain(member, head):
            size += len(out)
            if size > 4 * CHUNK_BYTES:
                break
    except DAMAGE:
        return False
    if not member.eof and len(head) < PROBE_BYTES:
        return False  # so little may make sense by chance
    return (member.eof or size > len(head) // 2) and not member.unused_data.strip(b"\0")


class _Deflate:
    """Deflate data (RFC 1951) without a wrapping.

    Headers and trailers of the wrappings are read here and not by the library, because the
    library throws the last decoded bytes away when the checksum behind them is wrong.
    """

    trailer_bytes = 0

    def __init__(self) -> None:
        self.eof = False
        self.needs_input = True
        self.unused_data = b""
        self._held = b""
        self._in_trailer = False
        self._inflater: igzip_lib.IgzipDecompressor | None = None

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._inflater is None:
            self._held += data
            end = self.header_end(self._held)
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
        self.count(out)
        if self._inflater.eof:
            self._in_trailer = True
            self._held = self._inflater.unused_data
            self.needs_input = len(self._held) < self.trailer_bytes
        else:
            self.needs_input = self._inflater.needs_input
        return out

    def _end(self, data: bytes) -> None:
        self._held += data
        self.needs_input = len(self._held) < self.trailer_bytes
        if not self.needs_input:
            self.check(self._held[: self.trailer_bytes])
            self.unused_data = self._held[self.trailer_bytes :]
            self.eof = True

    def header_end(self, data: bytes) -> int | None:
        """Where the deflate data begins; None while the header is not whole."""
        return 0 if data else None

    def count(self, out: bytes) -> None:
        """These bytes came out."""

    def check(self, trailer: bytes) -> None:
        """Raise ValueError when ``trailer`` tells of other bytes than those that came out."""


class _GzipMember(_Deflate):
    """One member of a gzip file (RFC 1952)."""

    trailer_bytes = 8

    def __init__(self) -> None:
        super().__init__()
        self._crc = 0
        self._size = 0

    def header_end(self, data: bytes) -> int | None:
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

    def count(self, out: bytes) -> None:
        self._crc = isal_zlib.crc32(out, self._crc)
        self._size += len(out)

    def check(self, trailer: bytes) -> None:
        if trailer[:4] != self._crc.to_bytes(4, "little"):
            raise ValueError("wrong checksum")
        if trailer[4:] != (self._size & 0xFFFFFFFF).to_bytes(4, "little"):
            raise ValueError("wrong length")


class _ZlibStream(_Deflate):
    """What HTTP calls deflate (RFC 1950)."""

    trailer_bytes = 4

    def __init__(self) -> None:
        super().__init__()
        self._adler = 1

    def header_end(self, data: bytes) -> int | None:
        return 2 if len(data) >= 2 else None

    def count(self, out: bytes) -> None:
        self._adler = zlib.adler32(out, self._adler)

    def check(self, trailer: bytes) -> None:
        if trailer != self._adler.to_bytes(4, "big"):
            raise ValueError("wrong checksum")


def _open_xz() -> Member:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)


def _open_zstd() -> Member:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})


_CODECS = (
    Codec("gzip", re.compile(rb"\x1f\x8b\x08"), 3, _GzipMember),
    Codec("xz", re.compile(rb"\xfd7zXZ\0"), 6, _open_xz),
    # the block's own magic too: "BZh9" alone may begin a text
    Codec("bzip2", re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), 10, bz2.BZ2Decompressor),
    # a frame, or one of those that decoders skip (pzstd begins with it)
    Codec("zstd", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), 4, _open_zstd),
    # Content-Encoding: deflate is never asked for, but sent by some; its header is short
    Codec("zlib", re.compile(rb"\x78[\x01\x5e\x9c\xda]"), 2, _ZlibStream, probed=True),
    # ... and some leave the header away: three bits say that a Huffman table follows
    Codec(
        "deflate",
        re.compile(b"[" + b"".join(b"\\x%02x" % n for n in range(256) if n & 6 == 4) + b"]"),
        1,
        _Deflate,
        probed=True,
    ),
)
_ISAL_ERROR = cast("type[Exception]", igzip_lib.IsalError)  # its stub takes the class for an instance
DAMAGE = (ValueError, EOFError, OSError, lzma.LZMAError, zstd.ZstdError, _ISAL_ERROR)
"""What a member raises for data that is not what its beginning promised."""
