# SPDX-License-Identifier: Apache-2.0
"""Whether the store can be written to, tried now and then: a full disk shows before a task meets it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from stackviz_deployer.errors import OutOfFilesError, StoreError
from stackviz_deployer.interfaces import InThread
from stackviz_deployer.store.database import Cursor, Database
from stackviz_deployer.store.files import FULL, explained

log = Logger()

PROBE_S = 5.0
PROBE_BYTES = 64 << 10
LOW_BYTES = 64 << 20
LOW_SHARE = 0.02
"""Room that is too little: LOW_BYTES, or this share of a small file system."""
_NAME = ".probe"


class DiskProbe(Service):
    """Writes a little to the state directory each PROBE_S, and locks the database for a moment."""

    def __init__(
        self,
        state_dir: Path,
        database: Database,
        in_thread: InThread,
        clock: IReactorTime,
        *,
        data: Path | None = None,
    ) -> None:
        """``in_thread`` and ``database``: started before this and stopped after it.

        ``data``: where the data lies, with a directory ``tmp`` in it; None = in ``state_dir``.
        """
        self._roots = (state_dir,) if data is None else (state_dir, data)
        self._tried = [state_dir / "tmp" / _NAME]
        if data is None:
            self._tried.append(state_dir / "blobs" / "00" / _NAME)
        else:  # where other nodes probe, too
            self._tried.append(data / "tmp" / f"{_NAME}-{uuid4().hex}")
        self._database = database
        self._in_thread = in_thread
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._probe()))
        self._loop.clock = clock
        self._running: Deferred[Any] | None = None
        self._room: tuple[int, int] = (0, 0)
        self._reasons: tuple[str, ...] = ()
        self._failed: StoreError | None = None

    def startService(self) -> None:
        """Begin; the first probe is at once."""
        super().startService()
        self._running = self._loop.start(PROBE_S)

    def stopService(self) -> Deferred[Any] | None:
        """Fires when no probe is at work."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        return self._running

    def health(self) -> Mapping[str, Any]:
        """``free_bytes`` for us, ``total_bytes`` of the data's file system, and ``reasons`` (sentences)."""
        free, total = self._room
        return {"free_bytes": free, "total_bytes": total, "reasons": list(self._reasons)}

    def check(self) -> None:
        """Raise StoreError when the last probe could not write: what would have to be stored is not begun.

        Want of descriptors does not count: it may be over in a moment, and who meets it says so.
        """
        if self._failed is not None:  # a new one: what is raised keeps the frames that it passed
            raise StoreError(self._failed.message, reason=self._failed.reason)

    async def _probe(self) -> None:
        reasons = []
        failed: StoreError | None = None
        for look in (self._look_at_disk, self._look_at_database):
            try:
                await look()
            except StoreError as error:
                reasons.append(error.message)
                if failed is None and not isinstance(error, OutOfFilesError):
                    failed = error
            except Exception:  # noqa: BLE001 - a probe that fails must not be the last
                log.failure("probing the store")
        for reason in reasons:
            if reason not in self._reasons:
                log.error("the store fails: {reason}", reason=reason)
        if self._reasons and not reasons:
            log.info("the store works again")
        self._reasons, self._failed = tuple(reasons), failed

    async def _look_at_disk(self) -> None:
        low = []
        for root in self._roots:
            free, total = self._room = await self._in_thread(_room, root)
            if free < min(LOW_BYTES, int(total * LOW_SHARE)):
                low.append(f"{root}: only {free} bytes are left on the disk; make room")
        await self._in_thread(_write, self._tried)
        if low:
            raise StoreError("; ".join(low), reason=FULL)

    async def _look_at_database(self) -> None:
        await self._database.write(_nothing)


def _nothing(_txn: Cursor) -> None:
    """To have begun a transaction that writes is all."""


def _room(directory: Path) -> tuple[int, int]:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def _write(paths: Sequence[Path]) -> None:
    """Raises StoreError."""
    for path in paths:
        try:
            try:
                with path.open("wb", buffering=0) as file:
                    file.write(bytes(PROBE_BYTES))
                    os.fsync(file.fileno())
            finally:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise explained(error, str(path.parent)) from error
