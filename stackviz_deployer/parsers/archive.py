# SPDX-License-Identifier: Apache-2.0
"""What lies in a tar or zip archive, entry after entry; nothing is ever written under an entry's name.

Links, devices and directories are passed over: only the bytes of ordinary files come out.
Archives in archives are files like any other.
"""

from __future__ import annotations

import copy
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from typing import cast

from attrs import frozen
from isal import isal_zlib

from stackviz_deployer.errors import ParseError, TooLargeError

MAX_ENTRIES = 20_000
"""Of one archive, of all kinds: the logs of a large job have some 5,000."""

HEAD_BYTES = 512
"""Enough of a file's beginning for ``is_zip`` and ``is_tar``."""

_READ_BYTES = 64 << 10
_MAX_DIRECTORY_BYTES = 8 << 20
"""Of a zip's directory, which the library reads at once: MAX_ENTRIES with names of 350 bytes."""
_MAX_TAR_HEADER_BYTES = 64 << 10
"""Of a long name or of pax records, which the library reads at once."""
_MAX_ENDS = 64
"""Times that the library may ask for more behind the end: it skips an entry in steps, with no look at
what it gets, and the size of one is whatever a header says."""
_TAR_HEADERS = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
_ZIP_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
_TAR_DAMAGE = (tarfile.TarError, ValueError, OverflowError, RecursionError)


@frozen
class Entry:
    """An ordinary file in an archive."""

    name: str
    """As the archive has it: a stranger's text."""
    chunks: Iterator[bytes]
    """Its bytes, to be read before the next entry is asked for; they may end early (see ``warnings``)."""


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so is a zip archive, perhaps an empty one."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def is_tar(head: bytes) -> bool:
    """Whether a file that begins so (512 bytes of it, decoded) is a tar archive of any dialect."""
    if len(head) < tarfile.BLOCKSIZE:
        return False
    try:
        tarfile.TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def tar_entries(chunks: Iterator[bytes], *, subject: str, warnings: list[str]) -> Iterator[Entry]:
    """The files of a decoded tar archive, in one pass.

    Damage ends it with a sentence in ``warnings``.  Raises TooLargeError for too many
    entries, ParseError for headers that are made to cost memory.
    """
    try:
        with tarfile.open(fileobj=_Reader(chunks), mode="r|", tarinfo=_TarInfo, errors="replace") as tar:
            count = skipped = 0
            while (member := tar.next()) is not None:
                count = _counted(count, subject)
                if not member.isreg() or member.issparse():
                    skipped += not member.isdir()
                    continue
                yield Entry(member.name, _tar_chunks(tar, member, subject, warnings))
            _tell_skipped(skipped, subject, warnings)
    except _TAR_DAMAGE as error:
        _tell_damaged(error, subject, warnings)


def zip_entries(path: str, *, subject: str, warnings: list[str]) -> Iterator[Entry]:
    """The files of a zip archive.

    What cannot be read (encrypted, damaged, an unknown method) ends in ``warnings``.  Raises
    ParseError when there is no directory to read, TooLargeError for too many entries.
    """
    with _BoundedFile(path, subject) as file:
        try:
            archive = zipfile.ZipFile(file)
        except _ZIP_DAMAGE as error:
            raise ParseError(f"{subject}: the zip archive cannot be read ({error})") from error
        with archive:
            count = skipped = 0
            for info in archive.infolist():
                count = _counted(count, subject)
                mode = info.external_attr >> 16
                if info.filename.endswith("/"):  # is_dir() wants a name
                    continue
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                    skipped += 1
                elif info.flag_bits & 1:
                    warnings.append(f"{subject}: {info.filename[:200]!a} is encrypted and was left out.")
                else:
                    yield Entry(info.filename, _zip_chunks(archive, info, subject, warnings))
            _tell_skipped(skipped, subject, warnings)


def _tar_chunks(
    tar: tarfile.TarFile, member: tarfile.TarInfo, subject: str, warnings: list[str]
) -> Iterator[bytes]:
    # read() would throw away what came before the damage
    file = cast("io.BufferedReader", tar.extractfile(member))
    try:
        while chunk := file.read1(_READ_BYTES):
            yield chunk
    except _TAR_DAMAGE as error:
        _tell_damaged(error, subject, warnings)


def _tell_damaged(error: Exception, subject: str, warnings: list[str]) -> None:
    sentence = f"{subject}: the tar archive is damaged ({error}); the rest is missing."
    if sentence not in warnings:  # the entry and the archive both end there
        warnings.append(sentence)


def _zip_chunks(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, subject: str, warnings: list[str]
) -> Iterator[bytes]:
    unchecked = copy.copy(info)
    del unchecked.CRC  # the library would throw away what it read last when the sum is wrong
    crc = 0
    try:
        with archive.open(unchecked) as member:
            while chunk := member.read(_READ_BYTES):
                crc = isal_zlib.crc32(chunk, crc)
                yield chunk
        if crc != info.CRC:
            warnings.append(f"{subject}: {info.filename[:200]!a} is damaged (wrong checksum).")
    except _ZIP_DAMAGE as error:
        warnings.append(f"{subject}: {info.filename[:200]!a} is damaged ({error}); its rest is missing.")


def _counted(count: int, subject: str) -> int:
    if count >= MAX_ENTRIES:
        raise TooLargeError(f"{subject}: the archive has more than {MAX_ENTRIES} entries")
    return count + 1


def _tell_skipped(count: int, subject: str, warnings: list[str]) -> None:
    if count:
        warnings.append(f"{subject}: {count} links, devices and the like were left out.")


class _Reader(io.RawIOBase):
    """Chunks as the file that tarfile's stream mode reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")
        self._ends = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At least one byte, unless the chunks have ended.  Raises ReadError for asking on and on."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ends += 1
                if self._ends > _MAX_ENDS:
                    raise tarfile.ReadError("unexpected end of data")
                return b""
            self._left = memoryview(chunk)
        data = self._left[:size] if size >= 0 else self._left
        self._left = self._left[len(data) :]
        return bytes(data)


class _TarInfo(tarfile.TarInfo):
    """A header that does not make the library read a stranger's gigabyte into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _TarInfo:
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0 or (info.type in _TAR_HEADERS and info.size > _MAX_TAR_HEADER_BYTES):
            raise ParseError("the tar archive has a header of an impossible size")
        return info


class _BoundedFile(io.FileIO):
    """A file of which nobody reads more than a zip's directory may have at once."""

    def __init__(self, path: str, subject: str) -> None:
        super().__init__(path, "rb")
        self._subject = subject

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = self._rest()
        if size > _MAX_DIRECTORY_BYTES:
            raise TooLargeError(f"{self._subject}: its directory is over {_MAX_DIRECTORY_BYTES} bytes")
        return super().read(size) or b""

    def _rest(self) -> int:
        here = self.tell()
        end = self.seek(0, io.SEEK_END)
        self.seek(here)
        return max(end - here, 0)
