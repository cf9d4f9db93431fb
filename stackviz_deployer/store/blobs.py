# SPDX-License-Identifier: Apache-2.0
"""Blobs as files: ``<state_dir>/blobs/<first two digits>/<SHA-256>``, each a gzip file, never changed.

A blob gets its name by a rename, when it is whole and on the disk; its block index lies
beside it as ``<SHA-256>.blocks`` and gets its name first.  Work in progress lies in
``<state_dir>/tmp``.  All of it happens in threads of our own: the reactor's also look names
up.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from stackviz_deployer.errors import NotFoundError, StoreError
from stackviz_deployer.model import BlobHash, BlobRef, BlobSpan
from stackviz_deployer.store.blockindex import BlockIndex, IndexCache, read_index
from stackviz_deployer.store.files import fsync_directory
from stackviz_deployer.store.inflight import InFlight
from stackviz_deployer.trace import carried

log = Logger()

T = TypeVar("T")

THREADS = 4
_HASH = re.compile(r"[0-9a-f]{64}")
_SUFFIX = ".blocks"


@frozen(kw_only=True)
class Swept:
    """What ``sweep`` removed, and what it missed."""

    blobs: int
    """Blobs and block indices that no artifact names."""
    blob_bytes: int
    temporaries: int
    """Entries of the directory of work in progress."""
    missing: int
    """Blobs that artifacts name and that are not there."""


class FileBlobStore(Service):
    """interfaces.BlobStore in a directory, and the directory of work in progress beside it."""

    def __init__(self, state_dir: Path, reactor: Any) -> None:
        """``reactor``: IReactorCore and IReactorFromThreads."""
        self._blobs = state_dir / "blobs"
        self._tmp = state_dir / "tmp"
        self._reactor = reactor
        self._calls = InFlight()
        self._indices = IndexCache()
        self._started_s = time.time()
        # What this process made, which is not for the sweep however it is dated; the lock makes
        # "is there" and "is removed" of one blob exclude each other.
        self._renaming = threading.Lock()
        self._own: set[str] = set()

    def startService(self) -> None:
        """Make the directories.  Raises StoreError: how to mend it."""
        self._started_s = time.time()
        try:
            for directory in (self._tmp, self._blobs):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # All at once, so that one fsync makes them durable and no put has to think of it.
            for number in range(256):
                (self._blobs / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
            fsync_directory(self._blobs)
            fsync_directory(self._blobs.parent)
        except OSError as error:
            raise _explained(error) from error
        self._pool = ThreadPool(0, THREADS, "blobs")
        self._starting = self._reactor.callWhenRunning(self._pool.start)
        self._calls.open()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Wait for what is being written, then end the threads; what is asked from now on is refused."""
        super().stopService()

        def stop(_: None) -> None:
            if not self._pool.started and self._starting is not None:
                self._reactor.removeSystemEventTrigger(self._starting)
            self._pool.stop()

        return self._calls.shut().addCallback(stop)

    async def put(self, path: Path, blocks_path: Path | None = None) -> BlobRef:
        """Take the file, and its block index, out of ``path``: durable when this returns.

        Both must lie in a ``scratch`` directory (or on the same file system).  A blob that
        is there already keeps its bytes and its index.  When the caller cancels, the blob
        may stay, without a row, until the next start's sweep.  Raises StoreError.
        """
        return await self._in_thread(self._put, path, blocks_path)

    async def path(self, blob: BlobRef) -> Path:
        """Where the blob lies.  Raises NotFoundError when it is gone."""
        return await self._in_thread(_existing, self._place(blob.hash))

    async def index_path(self, blob: BlobRef) -> Path:
        """Where its block index lies (gzipped JSON).  Raises NotFoundError when it has none."""
        if not blob.blocks:
            raise NotFoundError("this artifact is not stored in blocks")
        return await self._in_thread(_existing, self._index_place(blob.hash))

    async def span(self, blob: BlobRef, first: int, last: int) -> BlobSpan:
        """Blocks ``first`` to ``last``, inclusive, as a gzip file: head + slice of ``path`` + tail.

        Raises NotFoundError when the blob is gone or has no such blocks, StoreError when its
        index makes no sense.
        """
        if not blob.blocks:
            raise NotFoundError("this artifact is not stored in blocks")
        return await self._in_thread(self._span, blob, first, last)

    def scratch(self) -> Scratch:
        """``async with blobs.scratch() as directory:`` an empty directory, gone afterwards."""
        return Scratch(self)

    async def sweep(self, known: AbstractSet[str]) -> Swept:
        """Remove what an earlier process left: work in progress, and blobs that are not ``known``.

        ``known``: the hashes that artifacts name.  Nothing that this process made is touched,
        so it may run beside the queue.  A file that cannot be removed is logged and left.
        """
        swept = await self._in_thread(self._sweep, known)
        log.info(
            "swept {blobs} blobs without an artifact ({size} bytes), {temporaries} temporary files",
            blobs=swept.blobs,
            size=swept.blob_bytes,
            temporaries=swept.temporaries,
        )
        if swept.missing:
            log.error(
                "{missing} blobs are gone from {directory}; their artifacts answer 404",
                missing=swept.missing,
                directory=str(self._blobs),
            )
        return swept

    async def make_scratch(self) -> Path:
        """What entering ``scratch()`` does."""
        return await self._in_thread(self._make_scratch)

    async def remove_scratch(self, directory: Path) -> None:
        """What leaving ``scratch()`` does; what cannot be removed is logged and left for the sweep."""
        await self._in_thread(self._remove_scratch, directory)

    async def _in_thread(self, fn: Callable[..., T], *args: Any) -> T:
        try:
            return await self._calls.run(
                lambda: deferToThreadPool(self._reactor, self._pool, carried(fn), *args)
            )
        except OSError as error:
            raise _explained(error) from error

    # What follows runs in the threads.

    def _place(self, name: BlobHash) -> Path:
        return self._blobs / name[:2] / name

    def _index_place(self, name: BlobHash) -> Path:
        return self._blobs / name[:2] / (name + _SUFFIX)

    def _put(self, path: Path, blocks_path: Path | None) -> BlobRef:
        name, size = _settle(path)
        if blocks_path is not None:
            _settle(blocks_path)
        blob = BlobHash(name)
        place = self._place(blob)
        with self._renaming:
            self._own.add(blob)
            there = place.is_file() and place.stat().st_size == size
            if blocks_path is not None:
                index = self._index_place(blob)
                # An index without its blob is what a kill left, perhaps of an older form.
                if there and index.exists():
                    blocks_path.unlink()
                else:
                    blocks_path.replace(index)
            if there:
                path.unlink()
            else:
                path.replace(place)
        # Also when the blob was there: whoever renamed it may not have come to this line yet.
        fsync_directory(place.parent)
        return BlobRef(hash=blob, size=size, blocks=blocks_path is not None)

    def _span(self, blob: BlobRef, first: int, last: int) -> BlobSpan:
        place = _existing(self._place(blob.hash))
        index = self._indices.get(blob.hash, lambda: self._read_index(blob))
        cut = index.cut(first, last)
        return BlobSpan(path=str(place), offset=cut.offset, size=cut.size, head=cut.head, tail=cut.tail)

    def _read_index(self, blob: BlobRef) -> BlockIndex:
        return read_index(_existing(self._index_place(blob.hash)), blob.size)

    def _make_scratch(self) -> Path:
        with self._renaming:
            directory = Path(tempfile.mkdtemp(dir=self._tmp))
            self._own.add(directory.name)
        return directory

    def _remove_scratch(self, directory: Path) -> None:
        _remove_tree(directory)
        with self._renaming:
            self._own.discard(directory.name)

    def _sweep(self, known: AbstractSet[str]) -> Swept:
        temporaries = 0
        for entry in list(os.scandir(self._tmp)):
            with self._renaming:
                ours = entry.name in self._own
            if not ours and self._older(entry):
                _remove_tree(Path(entry.path))
                temporaries += 1
        blobs = blob_bytes = found = 0
        for number in range(256):
            for entry in list(os.scandir(self._blobs / f"{number:02x}")):
                name = entry.name.removesuffix(_SUFFIX)
                if name in known:
                    found += name == entry.name
                elif _HASH.fullmatch(name) and (size := self._remove_stray(entry, name)) is not None:
                    blobs += 1
                    blob_bytes += size
        return Swept(blobs=blobs, blob_bytes=blob_bytes, temporaries=temporaries, missing=len(known) - found)

    def _remove_stray(self, entry: os.DirEntry[str], name: str) -> int | None:
        with self._renaming:
            if name in self._own or not self._older(entry):
                return None
            try:
                size = entry.stat(follow_symlinks=False).st_size
                Path(entry.path).unlink()
            except OSError:
                log.failure("cannot remove {path}", path=entry.path)
                return None
        return size

    def _older(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.stat(follow_symlinks=False).st_mtime < self._started_s
        except FileNotFoundError:
            return False


class Scratch:
    """One temporary directory, as an asynchronous context manager."""

    def __init__(self, store: FileBlobStore) -> None:
        self._store = store
        self._directory: Path | None = None

    async def __aenter__(self) -> Path:
        self._directory = await self._store.make_scratch()
        return self._directory

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._directory is not None:
            await self._store.remove_scratch(self._directory)


def _settle(path: Path) -> tuple[str, int]:
    """The file's SHA-256 and size, once it is on the disk, private and read-only.

    The file is a parser's, and parsers read what strangers wrote: no link is followed.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{path} is no file")
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fchmod(fd, 0o400)
        os.fsync(fd)
        return digest, found.st_size


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise NotFoundError("this artifact's data is not stored any more")
    return path


def _remove_tree(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        log.failure("cannot remove {path}", path=str(path))


def _explained(error: OSError) -> StoreError:
    return StoreError(
        f"{error.filename or 'the state directory'}: {error.strerror or error};"
        " make room on the disk, and give this user the rights to the state directory"
    )
