# SPDX-License-Identifier: Apache-2.0
"""Blobs as files in a directory that several nodes use: a mount (NFS, CephFS...).

What a node puts comes into ``<path>/tmp`` and gets its name by a rename there.  What is removed,
and when, the database that the nodes share decides: see condemned.py.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any
from uuid import uuid4

from stackviz_deployer.errors import StoreError
from stackviz_deployer.model import BlobHash, BlobRef
from stackviz_deployer.store.blobs import HELD_S, FileBlobStore, Swept, Tally, settle
from stackviz_deployer.store.condemned import Condemned
from stackviz_deployer.store.files import AWAY, explained, fsync_directory, fsync_file, remove
from stackviz_deployer.store.scratch import older


class SharedBlobStore(FileBlobStore):
    """interfaces.BlobStore in a directory that other processes use, too."""

    def __init__(
        self, state_dir: Path, path: Path, condemned: Condemned, reactor: Any, *, held_s: float = HELD_S
    ) -> None:
        """``path``: the same on all nodes; ``condemned``: of the database that they share.

        Work in progress stays in ``state_dir``, which is this node's.
        """
        self._path = path
        self._incoming = path / "tmp"
        self._condemned = condemned
        super().__init__(state_dir, reactor, held_s=held_s, path=path)

    def startService(self) -> None:
        """Make what is not there below ``path``, which must be.  Raises StoreError: how to mend it."""
        if not self._path.is_dir():  # to make it would write below the place of a mount that is not there
            raise StoreError(f"{self._path} is no directory; mount it, or make it", reason=AWAY)
        try:
            self._incoming.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise explained(error, str(self._incoming)) from error
        super().startService()

    async def put(self, path: Path, blocks_path: Path | None = None) -> BlobRef:
        """As in FileBlobStore."""
        name, size = await self._in_thread(settle, path)
        if blocks_path is not None:
            await self._in_thread(settle, blocks_path)
        blob = BlobRef(hash=BlobHash(name), size=size, blocks=blocks_path is not None)
        await self._condemned.put(blob.hash)
        await self._in_thread(self._place_both, blob, path, blocks_path)
        return blob

    async def hold(self, blobs: Sequence[BlobRef]) -> None:
        """See Condemned.hold."""
        await self._condemned.hold(blobs, self.lost)

    def settled(self, hashes: Iterable[BlobHash]) -> None:
        """Nothing: see ``hold``."""

    async def remove(self, hashes: Iterable[BlobHash]) -> None:
        """Condemn blobs that no artifact names any more."""
        await self._condemned.add(hashes)

    async def clear(self, go_on: Callable[[], object] = lambda: True) -> int:
        """See Condemned.clear."""
        return await self._condemned.clear(lambda name: self._in_thread(self._drop, name), go_on)

    async def sweep(self, known: AbstractSet[str]) -> Swept:
        """Remove old work in progress, and condemn blobs that are not ``known``."""
        swept, strays = await self._in_thread(self._look, known)
        await self._condemned.add(strays)
        return swept

    # What follows runs in the threads.

    def _place_both(self, blob: BlobRef, path: Path, blocks_path: Path | None) -> None:
        place, index = self._place(blob.hash), self._index_place(blob.hash)
        there = place.is_file() and place.stat().st_size == blob.size
        # The index first, as in FileBlobStore; one that is damaged is removed by whoever reads it next.
        if blocks_path is not None and not (there and _is_same(blocks_path, index)):
            self._bring(blocks_path, index)
        if not there:
            self._bring(path, place)
        for file in (path, blocks_path):
            if file is not None:
                file.unlink(missing_ok=True)
        fsync_directory(place.parent)

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

    def _drop(self, name: BlobHash) -> None:
        for place in (self._index_place(name), self._place(name)):
            if not remove(place):
                raise StoreError(f"cannot remove {place}; the log says why")

    def _look(self, known: AbstractSet[str]) -> tuple[Swept, set[BlobHash]]:
        temporaries = self._scratches.sweep() + self._sweep_incoming()
        tally, strays, sizes = Tally(known), set(), []
        for entry, size in self._entries():
            name = tally.stray(entry.name, size)
            if name is not None:
                strays.add(name)
                sizes.append(size)
        return tally.swept(sizes, temporaries), strays

    def _sweep_incoming(self) -> int:
        """What a killed node left on its way."""
        removed, before_s = 0, time.time() - self._held_s
        for entry in list(os.scandir(self._incoming)):
            if older(entry, before_s):
                removed += remove(Path(entry.path))
        return removed


def _is_same(path: Path, place: Path) -> bool:
    try:
        return filecmp.cmp(path, place, shallow=False)
    except FileNotFoundError:
        return False
