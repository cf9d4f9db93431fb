# SPDX-License-Identifier: Apache-2.0
"""Bodies as they came over the wire -> decoded chunks, bounded at every step.

What a file is compressed with is read from its first bytes, never from its name or a
header: servers send ``foo.gz`` with and without ``Content-Encoding``, and sometimes
compress it once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.parsers.codecs import CHUNK_BYTES, DAMAGE, PROBE_BYTES, Codec, Member, codec_of, drain

__all__ = ["CHUNK_BYTES", "Decoder"]

_READ_BYTES = 64 << 10
_LAYERS = 2
"""Content-Encoding over a compressed file; nobody compresses a third time by accident."""
_MAX_MEMBERS = 1 << 16
"""A 4 GiB file of bgzip has as many; a file of empty members only costs time."""


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
                codec = codec_of(b"".join(head))
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

    def _decode(self, codec: Codec, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Member after member: gzip, xz, bzip2 and zstd files may all be concatenated."""
        member: Member | None = None
        members = 0
        pending = b""
        for chunk in chunks:
            pending += chunk
            while pending:
                if member is None:
                    if members:
                        pending = pending.lstrip(b"\0")  # padding, of tapes and of xz
                    if len(pending) < codec.magic_bytes:
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
                    yield from drain(member, pending)
                except DAMAGE as error:
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

    def _warn_trailing(self, codec: Codec) -> None:
        self.warnings.append(f"{self._name}: bytes after the end of the {codec.name} data were left out.")


def _head_of(chunks: Iterator[bytes]) -> list[bytes]:
    """Chunks that tell the codec, taken from ``chunks``; less only when there is no more."""
    head: list[bytes] = []
    size = 0
    while size < PROBE_BYTES and (chunk := next(chunks, b"")):
        head.append(chunk)
        size += len(chunk)
    return head
