# SPDX-License-Identifier: Apache-2.0
"""What people send, in a directory that several nodes use: any node's workers may read it.

A body is removed by the node whose worker read it.  What nobody will read is told by its
age: another node's may be coming in just now, or have its task in a moment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from stackviz_deployer.interfaces import InThread
from stackviz_deployer.store.files import explained
from stackviz_deployer.store.scratch import older
from stackviz_deployer.store.uploads import BODY, PART, UploadStore

log = Logger()

HELD_S = 3600.0
"""What was written last so long ago is not coming in any more, and has its task, or never gets one."""
LOOK_S = 30.0
"""Between two looks at what all nodes keep."""


class SharedUploads(UploadStore):
    """interfaces.Uploads in a directory that other processes use, too."""

    def __init__(
        self,
        path: Path,
        in_thread: InThread,
        clock: IReactorTime,
        *,
        upload_bytes: int,
        writable: Callable[[], None] = lambda: None,
    ) -> None:
        """``path``: as SharedBlobStore's, which is started before this."""
        super().__init__(path, in_thread, upload_bytes=upload_bytes, writable=writable)
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._loop.clock = clock
        self._running: Deferred[Any] | None = None

    def startService(self) -> None:
        """Make the directory, and begin to look at what all nodes keep.  Raises StoreError."""
        super().startService()
        self._running = self._loop.start(LOOK_S, now=False)

    def stopService(self) -> Deferred[Any] | None:  # type: ignore[override]  # UploadStore's need not be waited for
        """Fires when no look is at work."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return self._running

    async def _look(self) -> None:
        try:
            self._kept = await self._in_thread(self._sizes)
        except OSError:
            log.failure("cannot look at the uploads")

    async def sweep(self, known: AbstractSet[str]) -> int:
        """Remove those that are not ``known`` and that nobody has written to for HELD_S; how many."""

        def strays() -> list[str]:
            before_s = time.time() - HELD_S
            return [
                entry.name
                for entry in list(os.scandir(self._root))
                if entry.name.removesuffix(PART) not in known and _untouched(entry, before_s)
            ]

        try:
            found = await self._in_thread(strays)
        except OSError as error:
            raise explained(error, str(self._root)) from error
        for name in found:
            await self.discard(name)
        return len(found)


def _untouched(entry: os.DirEntry[str], before_s: float) -> bool:
    """Whether neither the directory nor the body in it was written to since ``before_s``."""
    if not older(entry, before_s):
        return False
    try:
        return (Path(entry.path) / BODY).stat().st_mtime < before_s
    except FileNotFoundError:
        return True
