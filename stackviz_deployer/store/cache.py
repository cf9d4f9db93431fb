# SPDX-License-Identifier: Apache-2.0
"""Copies of objects on this node's disk: ``<state_dir>/cache/blobs/<name>``, of so many bytes together.

A copy gets its name by a rename, when it is whole and on the disk, so that what a kill or a
power cut leaves is either whole or swept at the next start.  The one used longest ago goes
first.  Who was given a copy has GRACE_S to open it, in which it stays; after that its name
may go under the reader, whose open file does not.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Self
from uuid import uuid4

from attrs import define

from stackviz_deployer.errors import StoreError
from stackviz_deployer.store.files import fsync_file, remove

GRACE_S = 10.0
ROOM_S = 3 * GRACE_S
"""For which room is waited."""
_PART = ".part"
_BLOCK = 4096


@define
class _Copy:
    size: int
    given_s: float


class BlobCache:
    """Any thread may call; every method blocks."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        """The one used longest ago first."""
        self._coming = 0
        """Bytes that room was made for, and that are not copies yet."""
        self.bytes = 0
        """Of all copies."""

    def open(self) -> None:
        """Take over what an earlier process left.  Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = []
        for entry in os.scandir(self._directory):
            if entry.name.endswith(_PART):
                remove(Path(entry.path))
            else:
                said = entry.stat(follow_symlinks=False)
                found.append((said.st_mtime, entry.name, said.st_size))
        with self._changed:
            for _, name, size in sorted(found):
                self._copies[name] = _Copy(size, time.monotonic() - GRACE_S)
                self.bytes += _cost(size)
            self._evict(0)

    def give(self, name: str, size: int | None = None) -> Path | None:
        """The copy, to be opened within GRACE_S; None when there is none (of that size)."""
        place = self._directory / name
        with self._changed:
            copy = self._copies.get(name)
            if copy is None:
                return None
            try:
                there = place.stat().st_size  # somebody may have cleared the directory
            except FileNotFoundError:
                there = -1
            if there != copy.size or size not in (None, there):
                self._drop(name)
                return None
            copy.given_s = time.monotonic()
            self._copies.move_to_end(name)
        os.utime(place)  # the order after the next start
        return place

    def room(self) -> Room:
        """``with cache.room() as room:`` a place for a new copy."""
        return Room(self, self._directory / f"{uuid4().hex}{_PART}")

    def reserve(self, size: int, *, wait: bool) -> bool:
        """Make room for so many bytes; whether there is.  Raises StoreError when there can be none."""
        cost = _cost(size)
        if cost > self._max_bytes:
            raise StoreError(
                f"{size} bytes are more than the cache may hold; raise blobs.cache_bytes ({self._max_bytes})"
            )
        end_s = time.monotonic() + (ROOM_S if wait else 0.0)
        with self._changed:
            while not self._evict(cost):
                if time.monotonic() >= end_s:
                    return False
                self._changed.wait(min(GRACE_S, 1.0))
            self._coming += cost
        return True

    def free(self, size: int) -> None:
        """What room was made for does not come, or has come."""
        with self._changed:
            self._coming -= _cost(size)
            self._changed.notify_all()

    def keep(self, part: Path, name: str, size: int) -> Path:
        """See Room.keep."""
        place = self._directory / name
        fsync_file(part)
        with self._changed:
            self._forget(name)
            part.replace(place)
            self._copies[name] = _Copy(size, time.monotonic())
            self.bytes += _cost(size)
        return place

    def drop(self, name: str) -> None:
        """Remove a copy, if it is there."""
        with self._changed:
            if name in self._copies:
                self._drop(name)

    def __contains__(self, name: str) -> bool:
        with self._changed:
            return name in self._copies

    def _evict(self, more: int) -> bool:
        """Whether there is room for so many bytes more, once the oldest have gone that may go."""
        before_s = time.monotonic() - GRACE_S
        if self.bytes + self._coming + more > self._max_bytes:
            for name, copy in list(self._copies.items()):
                if copy.given_s <= before_s:
                    self._drop(name)
                if self.bytes + self._coming + more <= self._max_bytes:
                    break
        return self.bytes + self._coming + more <= self._max_bytes

    def _drop(self, name: str) -> None:
        self._forget(name)
        remove(self._directory / name)

    def _forget(self, name: str) -> None:
        copy = self._copies.pop(name, None)
        if copy is not None:
            self.bytes -= _cost(copy.size)


class Room:
    """A file that may become a copy, and the bytes that are kept free for it."""

    def __init__(self, cache: BlobCache, part: Path) -> None:
        self.part = part
        """Where it may be written, once room is reserved."""
        self._cache = cache
        self._size: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.part.unlink(missing_ok=True)
        if self._size is not None:
            self._cache.free(self._size)

    def reserve(self, size: int, *, wait: bool = True) -> None:
        """Raises StoreError when there is no room (in ROOM_S)."""
        if not self._cache.reserve(size, wait=wait):
            raise StoreError(
                "all of the cache is in use; raise blobs.cache_bytes",
                reason="the server has too much to read at once",
            )
        self._size = size

    def keep(self, name: str) -> Path:
        """Make the file the copy ``name``, to be opened within GRACE_S.  Raises OSError."""
        self.part.chmod(0o400)
        return self._cache.keep(self.part, name, self.part.stat().st_size)


def _cost(size: int) -> int:
    """What a file takes of a disk."""
    return max(-(-size // _BLOCK), 1) * _BLOCK
