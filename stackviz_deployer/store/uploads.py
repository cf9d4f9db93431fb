# SPDX-License-Identifier: Apache-2.0
"""What people send, kept on the disk until its task has ended: ``<root>/uploads/<uuid>/``.

A body comes into ``<uuid>.part/`` and gets its name by a rename, when it is whole and on
the disk.  Only then is there a task for it; whatever a killed daemon left without a task
that is still to end is removed at the next start.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure

from stackviz_deployer.errors import NotFoundError, StoreError, TooManyUploadsError
from stackviz_deployer.interfaces import InThread
from stackviz_deployer.model import Upload
from stackviz_deployer.store.files import explained, fsync_directory, fsync_file, remove

log = Logger()

KEPT = 16
"""Uploads of the largest size that may wait for their scrape."""
BATCH = 256 << 10
"""Bytes that are worth a trip to the writing thread."""
HIGH = 1 << 20
"""Bytes received and not yet written at which the sender is told to wait."""

PART = ".part"
BODY = "body"
_FACTS = "upload.json"


class UploadStore(Service):
    """interfaces.Uploads in a directory."""

    def __init__(
        self,
        root: Path,
        in_thread: InThread,
        *,
        upload_bytes: int,
        writable: Callable[[], None] = lambda: None,
    ) -> None:
        """``root``: the state directory, which is there or can be made.

        ``in_thread``: started before this and stopped after it; ``upload_bytes``: of the largest.
        ``writable`` raises StoreError while it is known that nothing can be stored.
        """
        self._writable = writable
        self._root = root / "uploads"
        self._in_thread = in_thread
        self._max_bytes = KEPT * upload_bytes
        self._coming: set[Intake] = set()
        self._kept: dict[str, int] = {}
        self._left: tuple[str, ...] = ()

    def startService(self) -> None:
        """Make the directory, and see what an earlier process left in it.  Raises StoreError."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._kept = self._sizes()
        except OSError as error:
            raise explained(error, "the directory of uploads") from error
        self._left = tuple(self._kept)
        super().startService()

    def _sizes(self) -> dict[str, int]:
        """Of the bodies that are there; blocking."""
        return {path.name: _size(path / BODY) for path in self._root.iterdir()}

    def forget_all(self) -> None:
        """What lay in the directory at the start has been removed."""
        self._kept.clear()
        self._left = ()

    def stopService(self) -> None:
        """What is still coming in is dropped."""
        super().stopService()
        for intake in list(self._coming):
            intake.abandon()

    def begin(self, producer: IPushProducer | None, failed: Callable[[StoreError], None]) -> Intake:
        """As in interfaces.Uploads."""
        self._writable()
        if sum(self._kept.values()) >= self._max_bytes:
            raise TooManyUploadsError("too many uploads wait to be read; try again later")
        intake = Intake(self._root / (str(uuid4()) + PART), self._in_thread, producer, failed)
        self._coming.add(intake)
        intake.ended.addBoth(self._ended, intake)
        return intake

    def _ended(self, upload: Upload | None, intake: Intake) -> None:
        self._coming.discard(intake)
        if upload is not None:
            self._kept[upload.id] = upload.size

    def body(self, upload_id: str) -> Path:
        """As in interfaces.Uploads."""
        return self._root / upload_id / BODY

    async def get(self, upload_id: str) -> Upload:
        """As in interfaces.Uploads."""

        def read() -> Upload:
            try:
                return Upload(**json.loads((self._root / upload_id / _FACTS).read_bytes()))
            except FileNotFoundError:
                raise NotFoundError("the files that were sent are not there any more") from None
            except OSError as error:
                raise explained(error, "the directory of uploads") from error

        upload: Upload = await self._in_thread(read)
        return upload

    async def discard(self, upload_id: str) -> None:
        """As in interfaces.Uploads."""
        await self._in_thread(remove, self._root / upload_id)
        self._kept.pop(upload_id, None)

    async def sweep(self, known: AbstractSet[str]) -> int:
        """As in interfaces.Uploads."""
        left, self._left = [name for name in self._left if name not in known], ()
        for name in left:
            await self.discard(name)
        return len(left)


class Intake:
    """interfaces.Intake: one body on its way to the disk, written by a thread, a batch at a time."""

    def __init__(
        self,
        directory: Path,
        in_thread: InThread,
        producer: IPushProducer | None,
        failed: Callable[[StoreError], None],
    ) -> None:
        self.size = 0
        self.ended: Deferred[Upload | None] = Deferred()
        """Fires with what is kept, or None when nothing is."""
        self._directory = directory
        self._in_thread = in_thread
        self._producer = producer
        self._failed = failed
        self._pending = bytearray()
        self._writing = 0
        self._busy = False
        self._paused = False
        self._abandoned = False
        self._facts: dict[str, Any] | None = None
        """Once the body is whole."""
        self._finished: Deferred[Upload] | None = None
        self._file: BinaryIO | None = None  # the thread's, one job at a time

    def write(self, data: bytes) -> None:
        """The next bytes; the producer is paused while too many wait for the disk."""
        self.size += len(data)
        if self._abandoned:
            return
        self._pending += data
        if len(self._pending) >= BATCH:
            self._work()
        if len(self._pending) + self._writing > HIGH and not self._paused and self._producer is not None:
            self._paused = True
            self._producer.pauseProducing()

    async def finish(self, *, name: str | None, boundary: str | None) -> Upload:
        """The body is whole: durable when this returns.  Raises StoreError."""
        upload_id = self._directory.name.removesuffix(PART)
        self._facts = {"id": upload_id, "size": self.size, "name": name, "boundary": boundary}
        self._finished = Deferred()
        self._work()
        return await self._finished

    def abandon(self) -> None:
        """Nothing of it is wanted; nothing of it stays.  After the end this does nothing."""
        if not self._abandoned and not self.ended.called:
            self._abandoned = True
            self._pending.clear()
            self._work()

    def _work(self) -> None:
        if self._busy or self.ended.called:
            return
        self._busy = True
        if self._abandoned:
            self._in_thread(self._drop).addBoth(self._dropped)
            return
        data = bytes(self._pending)
        self._pending.clear()
        self._writing = len(data)
        self._in_thread(self._write, data, self._facts).addCallbacks(self._written, self._unwritten)

    def _written(self, upload: Upload | None) -> None:
        self._busy = False
        self._writing = 0
        if upload is not None:
            self.ended.callback(upload)
            if self._finished is not None:
                self._finished.callback(upload)
            return
        if len(self._pending) < BATCH:
            self._resume()
        if self._abandoned or self._facts is not None or len(self._pending) >= BATCH:
            self._work()

    def _resume(self) -> None:
        if self._paused and self._producer is not None:
            self._paused = False
            self._producer.resumeProducing()

    def _unwritten(self, failure: Failure) -> None:
        self._busy = False
        self._resume()  # or the sender would never get to read what went wrong
        error = failure.value
        if not isinstance(error, OSError):
            log.failure("writing an upload", failure)
            error = OSError(0, str(error))
        wanted = not self._abandoned
        self.abandon()
        self._work()
        if not wanted:
            return
        if self._finished is not None:
            self._finished.errback(explained(error, "the directory of uploads"))
        else:
            self._failed(explained(error, "the directory of uploads"))

    def _dropped(self, result: object) -> None:
        self._busy = False
        if isinstance(result, Failure):
            log.failure("removing an upload", result)
        self.ended.callback(None)

    # What follows runs in the threads.

    def _write(self, data: bytes, facts: dict[str, Any] | None) -> Upload | None:
        if self._file is None:
            self._directory.mkdir(mode=0o700)
            self._file = (self._directory / BODY).open("xb", buffering=0)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        if facts is None:
            return None
        self._file.close()
        (self._directory / _FACTS).write_text(json.dumps(facts), encoding="ascii")
        for name in (BODY, _FACTS):
            fsync_file(self._directory / name)
        fsync_directory(self._directory)
        self._directory.rename(self._directory.with_name(facts["id"]))
        fsync_directory(self._directory.parent)
        return Upload(**facts)

    def _drop(self) -> None:
        if self._file is not None:
            self._file.close()
        remove(self._directory)


def _size(body: Path) -> int:
    try:
        return body.stat().st_size
    except FileNotFoundError:
        return 0
