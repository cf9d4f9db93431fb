# SPDX-License-Identifier: Apache-2.0
"""Blobs as files in a directory that several nodes use: a mount (NFS, CephFS...).

What a node puts comes into ``<path>/tmp`` and gets its name by a rename there.  Nodes see of
each other the files alone, so the date of a blob says whether its row may still be on the
way: each put makes it now, also of a blob that was there, and nothing younger than
``held_s`` is ever removed, be it that its site has expired; a later sweep does that.  Put
and removal of one blob at the same moment exclude each other by renames, which are atomic:
see ``_take_away``.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from stackviz_deployer.errors import StoreError
from stackviz_deployer.model import BlobHash, BlobRef
from stackviz_deployer.store.blobs import HELD_S, FileBlobStore, settle, size_of
from stackviz_deployer.store.files import AWAY, explained, fsync_directory, fsync_file, remove
from stackviz_deployer.store.scratch import older


class SharedBlobStore(FileBlobStore):
    """interfaces.BlobStore in a directory that other processes use, too."""

    def __init__(self, state_dir: Path, path: Path, reactor: Any, *, held_s: float = HELD_S) -> None:
        """``path``: the same on all nodes, whose clocks agree by far better than ``held_s``.

        Work in progress stays in ``state_dir``, which is this node's.
        """
        self._path = path
        self._incoming = path / "tmp"
        super().__init__(state_dir, reactor, held_s=held_s)

    def _root(self, state_dir: Path) -> Path:  # noqa: ARG002 - as in FileBlobStore
        return self._path

    def startService(self) -> None:
        """Make what is not there below ``path``, which must be.  Raises StoreError: how to mend it."""
        if not self._path.is_dir():  # to make it would write below the place of a mount that is not there
            raise StoreError(f"{self._path} is no directory; mount it, or make it", reason=AWAY)
        try:
            self._incoming.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise explained(error, str(self._incoming)) from error
        super().startService()

    # What follows runs in the threads.

    def _put(self, path: Path, blocks_path: Path | None) -> BlobRef:
        name, size = settle(path)
        blob = BlobHash(name)
        place = self._place(blob)
        # The index first, as in FileBlobStore.  What has been made young is safe from every sweep.
        whole = place.is_file() and place.stat().st_size == size
        if blocks_path is not None:
            settle(blocks_path)
            if not (whole and self._touch(self._index_place(blob))):
                self._bring(blocks_path, self._index_place(blob))
        if not (whole and self._touch(place)):
            self._bring(path, place)
        for file in (path, blocks_path):
            if file is not None:
                file.unlink(missing_ok=True)
        fsync_directory(place.parent)
        return BlobRef(hash=blob, size=size, blocks=blocks_path is not None)

    def _bring(self, path: Path, place: Path) -> None:
        """Give ``path`` the name ``place``, which is perhaps on another file system."""
        incoming = self._incoming / uuid4().hex
        try:
            shutil.copyfile(path, incoming)
            incoming.chmod(0o400)
            fsync_file(incoming)
            incoming.replace(place)
        except BaseException:
            incoming.unlink(missing_ok=True)
            raise

    def _touch(self, place: Path) -> bool:
        """Make it now; whether it is there."""
        try:
            os.utime(place)
        except FileNotFoundError:
            return False
        return True

    def _strays_s(self) -> float:
        return time.time() - self._held_s

    def _remove(self, hashes: Sequence[BlobHash]) -> None:
        for name in hashes:
            # The blob first: when it has been put again, so has its index.
            if self._take_away(self._place(name)):
                self._take_away(self._index_place(name))

    def _remove_stray(self, entry: os.DirEntry[str], name: str) -> int | None:  # noqa: ARG002 - likewise
        if not older(entry, self._strays_s()):
            return None
        size = size_of(entry)
        return size if self._take_away(Path(entry.path)) else None

    def _take_away(self, place: Path) -> bool:
        """Remove it unless it is young; whether it is gone.

        A put on another node either made it young before it got the other name, which is then seen
        and undone, or finds nothing there and brings its own.
        """
        aside = self._incoming / f"{uuid4().hex}.gone"
        try:
            if place.stat().st_mtime >= self._strays_s():
                return False
            place.rename(aside)
        except FileNotFoundError:
            return True
        with aside.open("rb") as file:  # opened, since NFS asks the server for a file's date then
            young = os.fstat(file.fileno()).st_mtime >= self._strays_s()
        if young:
            aside.replace(place)
            return False
        return remove(aside)

    def _sweep_incoming(self) -> int:
        """What a killed node left on its way."""
        removed = 0
        for entry in list(os.scandir(self._incoming)):
            if older(entry, self._strays_s()):
                removed += remove(Path(entry.path))
        return removed
