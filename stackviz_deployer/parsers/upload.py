# SPDX-License-Identifier: Apache-2.0
"""What somebody sent -> the files in it that a scraper may want, each under a number of ours.

A body is one file, or several as multipart/form-data; each of them may be a tar (however
compressed) or zip archive.  Names only say what a file is and how it is called on the page.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from attrs import evolve
from multipart import (  # type: ignore[import-untyped]  # it has annotations, and no py.typed
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
)

from stackviz_deployer.errors import NoArtifactsError, ParseError, TooLargeError
from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.parsers.archive import (
    HEAD_BYTES,
    MAX_ENTRIES,
    Entry,
    is_tar,
    is_zip,
    tar_entries,
    zip_entries,
)
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.recognise import known_path, recognised

MAX_PARTS = 1000
"""Of a multipart body; also files that are kept of all of it."""
MAX_NAME_CHARS = 100
"""Of each piece of a path."""
MAX_DEPTH = 8
"""Pieces of a path; the last ones count."""
MAX_NAMED = 20
"""Files that a message lists."""
MAX_TITLED = 3
"""Files that a title lists."""

_ARCHIVE_SUFFIX = re.compile(r"(?:\.(?:tar|tgz|tbz2?|txz|zip))?(?:\.(?:gz|xz|bz2|zst))?$", re.IGNORECASE)
_DRIVE = re.compile("[A-Za-z]:")
_JUNK = re.compile(r"(?:^|/)(?:__MACOSX/|\._|\.DS_Store$)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202f\u2066-\u2069\ufeff\ud800-\udfff]")


def parse(request: ParseRequest) -> ParseResult:
    """Unpack one body into ``request.out_dir``: files named by numbers, as they lay in it.

    Options: ``globs`` (what scrapers look for), ``name`` (of the body, or None), ``boundary``
    (of a multipart body, else None), ``entry_bytes`` (of one file).  ``max_bytes`` bounds
    what is written, and what all archives of the body decode to together.

    ``data``: ``{"title": str | None, "named": bool, "files": [{"file": "0", "path": ..., "size": n}],
    "seen": n, "left_out": [paths]}``; ``path`` is the name for scrapers and people, ``named`` says that
    ``title`` is what the sender calls all of it, and not made of file names.
    Raises NoArtifactsError (nothing was sent), ParseError, TooLargeError.
    """
    unpacking = _Unpacking(request)
    options = request.options
    body, name = request.inputs[0], options["name"]
    called = name and shown_path(name)
    if options["boundary"] is None:
        title = unpacking.take(body, called, alone=True, prefixed=False)
    else:
        parts = list(unpacking.parts(body, options["boundary"]))
        if not parts:
            raise NoArtifactsError("No file was sent: each is a part of the form with a filename.")
        alone = len(parts) == 1
        shown: list[str] = []
        others: list[str] = []
        for part in parts:
            kept = len(unpacking.files)
            taken = unpacking.take(part, part.name, alone=alone, prefixed=not alone) or part.name
            (shown if len(unpacking.files) > kept else others).append(taken)
            Path(part.path).unlink()
        title = called or _title(shown or others)
    return ParseResult(
        data={
            "title": title,
            "named": called is not None,
            "files": unpacking.files,
            "seen": unpacking.seen,
            "left_out": unpacking.left_out,
        },
        warnings=tuple(unpacking.warnings),
        decoded_bytes=unpacking.written,
    )


def shown_path(name: str) -> str | None:
    """A stranger's name for a file as a relative path that harms nobody; None when nothing is left of it."""
    pieces = [_CONTROL.sub("_", piece).strip()[-MAX_NAME_CHARS:] for piece in re.split(r"[/\\]", name)]
    kept = [piece for piece in pieces if piece not in ("", ".", "..") and not _DRIVE.fullmatch(piece)]
    return "/".join(kept[-MAX_DEPTH:]) or None


def _title(names: list[str]) -> str:
    """What to call several files that were sent together."""
    if len(names) == 1:
        return names[0]
    bases = [name.rpartition("/")[2] for name in names]
    listed = (
        bases
        if len(bases) <= MAX_TITLED
        else [*bases[: MAX_TITLED - 1], f"{len(bases) - MAX_TITLED + 1} more"]
    )
    return f"{', '.join(listed[:-1])} and {listed[-1]}"


class _Unpacking:
    """One body on its way into ``out_dir``."""

    def __init__(self, request: ParseRequest) -> None:
        self._out = Path(request.out_dir)
        self._globs = list(request.options["globs"])
        self._max_bytes = request.max_bytes
        self._entry_bytes = int(request.options["entry_bytes"])
        self._taken: set[str] = set()
        self._decoded = 0
        """Bytes that came out of archives so far, whether anybody wants them or not."""
        self._entries = 0
        self.written = 0
        self.seen = 0
        self.files: list[dict[str, Any]] = []
        self.left_out: list[str] = []
        self.warnings: list[str] = []

    def parts(self, body: InputFile, boundary: str) -> Iterator[InputFile]:
        """The files of a multipart body, each written to a file."""
        parser = PushMultipartParser(boundary, max_segment_count=MAX_PARTS)
        decoder = Decoder(body.path, name=body.name, max_bytes=self._max_bytes)
        number = 0
        try:
            for filename, chunks in _segments(parser, decoder):
                if filename is None:
                    continue
                part = self._out / f"part{number}"
                number += 1
                with part.open("wb") as file:
                    file.writelines(chunks)
                yield InputFile(path=str(part), name=shown_path(filename) or f"file-{number}")
        except MultipartError as error:
            raise ParseError(f"The form that was sent is damaged ({error.args[0]}).") from error

    def take(self, part: InputFile, name: str | None, *, alone: bool, prefixed: bool) -> str | None:
        """Unpack an archive, or take a file as it is; returns what to call it.

        ``prefixed``: the files of an archive get its name in front, for there are other parts.
        """
        left = self._max_bytes - self._decoded
        decoder = Decoder(part.path, name=name or "the archive", max_bytes=left)
        decoded = iter(decoder)
        head = _first(decoded, HEAD_BYTES)
        subject = name or "The archive"
        if is_tar(head):
            stream = self._metered(chain((head,), decoded))
            entries = tar_entries(stream, subject=subject, warnings=self.warnings)
        elif is_zip(head):
            entries = self._metered_entries(zip_entries(part.path, subject=subject, warnings=self.warnings))
        else:
            self._keep(Path(part.path), name or "upload", alone=alone)
            return name
        folder = _ARCHIVE_SUFFIX.sub("", (name or "").rpartition("/")[2]) if prefixed else ""
        kept = len(self.files)
        for entry in entries:
            self._entries += 1
            if self._entries > MAX_ENTRIES:
                raise TooLargeError(
                    f"The archives that were sent have more than {MAX_ENTRIES} entries together."
                )
            path = shown_path(entry.name)
            if path is not None and not _JUNK.search(path):
                self._write(entry.chunks, path)
        self.warnings += decoder.warnings
        common = _shorten([one["path"] for one in self.files[kept:]])
        for one in self.files[kept:]:
            one["path"] = self._distinct((f"{folder}/" if folder else "") + one["path"][len(common) :])
        return _ARCHIVE_SUFFIX.sub("", name) if name else common.rstrip("/") or None

    def _metered(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks of an archive.  Raises TooLargeError when all archives together have too many."""
        for chunk in chunks:
            self._decoded += len(chunk)
            if self._decoded > self._max_bytes:
                raise TooLargeError(f"What was sent has more than {self._max_bytes} bytes when unpacked.")
            yield chunk

    def _metered_entries(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Those of a zip, which come each by itself, and may share their bytes."""
        for entry in entries:
            yield evolve(entry, chunks=self._metered(entry.chunks))

    def _write(self, chunks: Iterator[bytes], path: str) -> None:
        """Take an archive's entry, if it is something."""
        self.seen += 1
        begin = next(chunks, None)
        if begin is None:  # without a file: an archive of nothing but these only costs time
            self._leave_out(path)
            return
        into = self._next()
        size, shown = 0, None
        with into.open("wb") as file:
            for number, chunk in enumerate(chain((begin,), chunks)):
                size += len(chunk)
                if size > self._entry_bytes:
                    self.warnings.append(f"{path} has more than {self._entry_bytes} bytes and was left out.")
                    break
                file.write(chunk)
                if number == 0:
                    file.flush()
                    shown = self._shown(into, path, alone=False)
                    if shown is None:
                        break
        if shown is None or size > self._entry_bytes:
            into.unlink()
            self._leave_out(path)
            return
        self._add(into, shown, size)

    def _keep(self, file: Path, path: str, *, alone: bool) -> None:
        """Take a file that was sent by itself."""
        self.seen += 1
        shown = self._shown(file, path, alone=alone)
        if shown is None:
            self._leave_out(path)
            return
        into = self._next()
        try:
            os.link(file, into)
        except OSError:  # across file systems, or where there are no links
            shutil.copyfile(file, into)
        self._add(into, self._distinct(shown), into.stat().st_size)

    def _add(self, file: Path, path: str, size: int) -> None:
        self._count(size)
        if len(self.files) >= MAX_PARTS:
            raise TooLargeError(f"What was sent has more than {MAX_PARTS} files that could be shown.")
        self.files.append({"file": file.name, "path": path, "size": size})

    def _count(self, size: int) -> None:
        self.written += size
        if self.written > self._max_bytes:
            raise TooLargeError(f"What was sent has more than {self._max_bytes} bytes when unpacked.")

    def _shown(self, file: Path, path: str, *, alone: bool) -> str | None:
        return path if known_path(path, self._globs) else recognised(str(file), path, alone=alone)

    def _leave_out(self, path: str) -> None:
        if len(self.left_out) < MAX_NAMED:
            self.left_out.append(path)

    def _next(self) -> Path:
        return self._out / str(len(self.files))

    def _distinct(self, path: str) -> str:
        """``path``, in a folder of its own where another file has it already."""
        number, shown = 1, path
        while shown in self._taken:
            number += 1
            shown = f"{number}/{path}"
        self._taken.add(shown)
        return shown


def _segments(
    parser: PushMultipartParser, chunks: Iterable[bytes]
) -> Iterator[tuple[str | None, Iterator[bytes]]]:
    """Each part's filename and bytes; these are to be read before the next part."""
    events = (event for chunk in chain(chunks, (b"",)) for event in parser.parse(chunk))
    for event in events:
        if isinstance(event, MultipartSegment):
            data = iter(lambda: next(events), None)
            yield event.filename or None, data
            for _ in data:
                pass


def _first(chunks: Iterator[bytes], size: int) -> bytes:
    head = b""
    while len(head) < size and (chunk := next(chunks, None)) is not None:
        head += chunk
    return head


def _shorten(paths: list[str]) -> str:
    """The folders that all ``paths`` are in, with a slash at the end."""
    folders = {path.rpartition("/")[0] for path in paths}
    if not folders:
        return ""
    common = os.path.commonpath(folders) if "" not in folders else ""
    return f"{common}/" if common else ""
