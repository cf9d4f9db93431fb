# SPDX-License-Identifier: Apache-2.0
"""Blobs as files: ``<root>/blobs/<first two digits>/<SHA-256>``, each a gzip file, never changed.

A blob gets its name by a rename, when it is whole and on the disk; its block index lies
beside it as ``<SHA-256>.blocks`` and gets its name first.  Work in progress lies in
``<state_dir>/tmp``.  All of it happens in threads of our own: the reactor's also look names
up.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from stackviz_deployer.errors import DataLostError, NotFoundError, StoreError
from stackviz_deployer.model import BlobHash, BlobRef, BlobSpan
from stackviz_deployer.store.blockindex import BlockIndex, DamagedIndexError, IndexCache, read_index
from stackviz_deployer.store.files import explained, fsync_directory, remove
from stackviz_deployer.store.inflight import InFlight, Threads
from stackviz_deployer.store.scratch import Scratch, ScratchPlace, older
from stackviz_deployer.trace import carried

log = Logger()

T = TypeVar("T")

THREADS = 4
HELD_S = 6 * 3600.0
"""What a put gave out has its row by then, or never gets one."""
HASH = re.compile(r"[0-9a-f]{64}")
SUFFIX = ".blocks"


@frozen(kw_only=True)
class Swept:
    """What ``sweep`` removed (or condemned, where nodes share it), and what it missed."""

    blobs: int
    """Blobs and block indices that no artifact names."""
    blob_bytes: int
    temporaries: int
    """Entries of the directory of work in progress."""
    missing: frozenset[BlobHash]
    """Blobs that artifacts name and that are not there."""
    kept: int
    """Blobs that artifacts name and that are there."""
    kept_bytes: int
    """Of those, and of their indices."""


class Tally:
    """What a sweep finds, entry by entry."""

    def __init__(self, known: AbstractSet[str]) -> None:
        self._known = known
        self._found: set[str] = set()
        self._kept_bytes = 0

    def stray(self, entry: str, size: int) -> BlobHash | None:
        """The blob that this is (or whose index), if nobody knows it."""
        name = entry.removesuffix(SUFFIX)
        if name in self._known:
            self._kept_bytes += size
            if name == entry:
                self._found.add(name)
            return None
        return BlobHash(name) if HASH.fullmatch(name) else None

    def swept(self, sizes: Sequence[int], temporaries: int) -> Swept:
        """``sizes``: of the strays that go."""
        return Swept(
            blobs=len(sizes),
            blob_bytes=sum(sizes),
            temporaries=temporaries,
            missing=frozenset(BlobHash(name) for name in self._known if name not in self._found),
            kept=len(self._found),
            kept_bytes=self._kept_bytes,
        )


class FileBlobStore(Service):
    """interfaces.BlobStore in a directory that is this process's alone, like that of work in progress."""

    def __init__(
        self, state_dir: Path, reactor: Any, *, held_s: float = HELD_S, path: Path | None = None
    ) -> None:
        """``reactor``: IReactorCore and IReactorFromThreads; ``held_s``: longer than any task takes.

        ``path``: where the blobs lie; None: in ``state_dir``.
        """
        self._blobs = (path or state_dir) / "blobs"
        self._scratches = ScratchPlace(state_dir / "tmp", held_s)
        self._reactor = reactor
        self._calls = InFlight()
        self._indices = IndexCache()
        self._started_s = time.time()
        self._held_s = held_s
        # What this process made lately, which is not for the sweep however it is dated; the lock makes
        # "is there" and "is removed" of one blob exclude each other.
        self._renaming = threading.Lock()
        self._put_s: dict[str, list[float]] = {}
        """Blobs, and when they were put by those whose rows are not there yet."""
        self._settled_s: dict[str, float] = {}
        """Blobs that got their rows, and when, the earliest first: a sweep may have asked just before."""

    def startService(self) -> None:
        """Make the directories.  Raises StoreError: how to mend it."""
        self._started_s = time.time()
        try:
            self._scratches.open()
            self._blobs.mkdir(mode=0o700, parents=True, exist_ok=True)
            # All at once, so that one fsync makes them durable and no put has to think of it.
            for number in range(256):
                (self._blobs / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
            fsync_directory(self._blobs)
            fsync_directory(self._blobs.parent)
        except OSError as error:
            raise explained(error, "the state directory") from error
        self._pool = Threads(0, THREADS, "blobs")
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
        may stay, without a row, until a later sweep.  Raises StoreError.
        """
        return await self._in_thread(self._put, path, blocks_path)

    async def path(self, blob: BlobRef) -> Path:
        """Where the blob lies.  Raises DataLostError when it is gone."""
        return await self._in_thread(existing, self._place(blob.hash))

    async def index_path(self, blob: BlobRef) -> Path:
        """Where its block index lies (gzipped JSON).

        Raises NotFoundError when it has none, DataLostError when it is gone or makes no sense.
        """
        if not blob.blocks:
            raise NotFoundError("this artifact is not stored in blocks")
        return await self._in_thread(self._sound_index, blob)

    async def span(self, blob: BlobRef, first: int, last: int) -> BlobSpan:
        """Blocks ``first`` to ``last``, inclusive, as a gzip file: head + slice of ``path`` + tail.

        Raises NotFoundError when the blob has no such blocks, DataLostError when it is gone
        or its index makes no sense (which is removed then).
        """
        if not blob.blocks:
            raise NotFoundError("this artifact is not stored in blocks")
        return await self._in_thread(self._span, blob, first, last)

    def scratch(self) -> Scratch:
        """``async with blobs.scratch() as directory:`` an empty directory, gone afterwards."""
        return Scratch(self)

    async def lost(self, blobs: Sequence[BlobRef]) -> frozenset[BlobHash]:
        """Those of ``blobs`` that are gone, or are not whole, or whose block index is gone.

        Raises StoreError when the directory cannot be looked into: that says nothing of them.
        """
        return await self._in_thread(self._lost, blobs)

    def settled(self, hashes: Iterable[BlobHash]) -> None:
        """Each of these, once for each put, has its row now; without this it is held for ``held_s``."""
        now_s = time.monotonic()
        with self._renaming:
            while self._settled_s and next(iter(self._settled_s.values())) < now_s - self._held_s:
                del self._settled_s[next(iter(self._settled_s))]
            for name in hashes:
                self._settled_s.pop(name, None)
                self._settled_s[name] = now_s
                puts = self._put_s.get(name)
                if puts is not None:
                    puts.pop(0)
                    if not puts:
                        del self._put_s[name]

    async def remove(self, hashes: Iterable[BlobHash]) -> None:
        """Remove blobs that no artifact names any more, and their indices.

        One that was put again meanwhile stays: its row may be on the way.  Whoever reads one
        at the moment reads on to its end.  What cannot be removed is logged and left for the
        sweep.
        """
        await self._in_thread(self._remove, tuple(hashes))

    async def clear(self, go_on: Callable[[], object] = lambda: True) -> int:  # noqa: ARG002 - of others
        """Nothing: ``remove`` has done it."""
        return 0

    async def hold(self, blobs: Sequence[BlobRef]) -> None:
        """Nothing: they are held since they were put."""

    async def sweep(self, known: AbstractSet[str]) -> Swept:
        """Remove what nobody wants: old work in progress, and blobs that are not ``known``.

        ``known``: the hashes that artifacts name, asked for just before.  Nothing that this
        process made within ``held_s`` is touched, so it may run beside the queue.  A file that
        cannot be removed is logged and left.
        """
        return await self._in_thread(self._sweep, known)

    async def make_scratch(self) -> Path:
        """What entering ``scratch()`` does."""
        return await self._in_thread(self._scratches.make)

    async def remove_scratch(self, directory: Path) -> None:
        """What leaving ``scratch()`` does; what cannot be removed is logged and left for the sweep."""
        await self._in_thread(self._scratches.remove, directory)

    async def _in_thread(self, fn: Callable[..., T], *args: Any) -> T:
        try:
            return await self._calls.run(
                lambda: deferToThreadPool(self._reactor, self._pool, carried(fn), *args)
            )
        except OSError as error:
            raise explained(error, "the state directory") from error

    # What follows runs in the threads.

    def _place(self, name: BlobHash) -> Path:
        return self._blobs / name[:2] / name

    def _index_place(self, name: BlobHash) -> Path:
        return self._blobs / name[:2] / (name + SUFFIX)

    def _put(self, path: Path, blocks_path: Path | None) -> BlobRef:
        name, size = settle(path)
        if blocks_path is not None:
            settle(blocks_path)
        blob = BlobHash(name)
        place = self._place(blob)
        with self._renaming:
            self._put_s.setdefault(blob, []).append(time.monotonic())
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
        place = existing(self._place(blob.hash))
        index = self._indices.get(blob.hash, lambda: self._read_index(blob))
        cut = index.cut(first, last)
        return BlobSpan(path=str(place), offset=cut.offset, size=cut.size, head=cut.head, tail=cut.tail)

    def _sound_index(self, blob: BlobRef) -> Path:
        # Read here, since whoever asks for it wants to cut by it next, and a browser could only say "torn".
        self._indices.get(blob.hash, lambda: self._read_index(blob))
        return existing(self._index_place(blob.hash))

    def _read_index(self, blob: BlobRef) -> BlockIndex:
        place = existing(self._index_place(blob.hash))
        try:
            return read_index(place, blob.size)
        except DamagedIndexError as error:
            # Gone is what it is: its site ends as one whose data is lost, and the next scrape brings another.
            log.error("{error}; it is removed", error=str(error))  # noqa: TRY400 - it says all there is to say
            with self._renaming:
                if blob.hash not in self._put_s:
                    remove(place)
            raise DataLostError("this artifact's index is damaged; scrape the job again") from error

    def _lost(self, blobs: Sequence[BlobRef]) -> frozenset[BlobHash]:
        gone = set()
        for blob in blobs:
            try:
                if existing(self._place(blob.hash)).stat().st_size != blob.size:
                    gone.add(blob.hash)
                elif blob.blocks:
                    existing(self._index_place(blob.hash))
            except (DataLostError, FileNotFoundError):
                gone.add(blob.hash)
        return frozenset(gone)

    def _remove(self, hashes: Sequence[BlobHash]) -> None:
        for name in hashes:
            with self._renaming:
                if name in self._put_s:
                    continue
                # The index first: an index without its blob is a stray, a blob without its index a lie.
                remove(self._index_place(name))
                remove(self._place(name))

    def _sweep(self, known: AbstractSet[str]) -> Swept:
        self._let_go()
        temporaries = self._scratches.sweep()
        tally, sizes = Tally(known), []
        for entry, size in self._entries():
            name = tally.stray(entry.name, size)
            if name is not None and self._remove_stray(entry, name):
                sizes.append(size)
        return tally.swept(sizes, temporaries)

    def _entries(self) -> Iterator[tuple[os.DirEntry[str], int]]:
        """All that lies where blobs do, and its size."""
        for number in range(256):
            for entry in list(os.scandir(self._blobs / f"{number:02x}")):
                yield entry, _size_of(entry)

    def _let_go(self) -> None:
        """Forget the puts of long ago: they have their rows by now."""
        before_s = time.monotonic() - self._held_s
        with self._renaming:
            held = {name: [put for put in puts if put >= before_s] for name, puts in self._put_s.items()}
            self._put_s = {name: puts for name, puts in held.items() if puts}

    def _strays_s(self) -> float:
        """What was last changed before then has no row on its way: of an earlier process, or long ago."""
        return max(self._started_s, time.time() - self._held_s)

    def _remove_stray(self, entry: os.DirEntry[str], name: str) -> bool:
        before_s = time.monotonic() - self._held_s
        with self._renaming:
            # whatever its date: the time of day may have been set back since our start
            if (
                name in self._put_s
                or self._settled_s.get(name, before_s) > before_s
                or not older(entry, self._strays_s())
            ):
                return False
            return remove(Path(entry.path))


def settle(path: Path) -> tuple[str, int]:
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


def existing(path: Path) -> Path:
    """``path``.  Raises DataLostError when nothing is there, StoreError when not even its directory is."""
    if not path.is_file():
        if not path.parent.is_dir():  # made at start: somebody took the whole directory away
            raise StoreError(
                f"{path.parent} is not there; put the blobs back (is their disk mounted?), or start the"
                " daemon again to begin without them",
                reason="the server cannot reach its data",
            )
        raise DataLostError("this artifact's data is lost from the server's disk; scrape the job again")
    return path


def _size_of(entry: os.DirEntry[str]) -> int:
    """Bytes; 0 when it is gone."""
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
