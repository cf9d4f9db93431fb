# SPDX-License-Identifier: Apache-2.0
"""Work in progress: a directory for each piece, in ``<state_dir>/tmp``, which is one process's alone."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Protocol

from stackviz_deployer.store.files import remove


class ScratchPlace:
    """The directory of work in progress.  Every method blocks: for threads."""

    def __init__(self, root: Path, held_s: float) -> None:
        """``held_s``: longer than any piece of work takes."""
        self._root = root
        self._held_s = held_s
        self._started_s = time.time()
        self._lock = threading.Lock()
        self._ours: set[str] = set()

    def open(self) -> None:
        """Make the directory.  What lies in it now is nobody's.  Raises OSError."""
        self._started_s = time.time()
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def make(self) -> Path:
        """An empty directory."""
        with self._lock:
            directory = Path(tempfile.mkdtemp(dir=self._root))
            self._ours.add(directory.name)
        return directory

    def remove(self, directory: Path) -> None:
        """Remove one; what cannot be removed is logged and left for the sweep."""
        remove(directory)
        with self._lock:
            self._ours.discard(directory.name)

    def sweep(self) -> int:
        """Remove what an earlier process left; how many entries."""
        removed = 0
        for entry in list(os.scandir(self._root)):
            with self._lock:
                ours = entry.name in self._ours
            if not ours and older(entry, max(self._started_s, time.time() - self._held_s)):
                removed += remove(Path(entry.path))
        return removed


class ScratchMaker(Protocol):
    """What is used of a blob store."""

    async def make_scratch(self) -> Path: ...
    async def remove_scratch(self, directory: Path) -> None: ...


class Scratch:
    """One temporary directory, as an asynchronous context manager."""

    def __init__(self, store: ScratchMaker) -> None:
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


def older(entry: os.DirEntry[str], before_s: float) -> bool:
    """Whether it is there and was last changed before ``before_s``."""
    try:
        return entry.stat(follow_symlinks=False).st_mtime < before_s
    except FileNotFoundError:
        return False
