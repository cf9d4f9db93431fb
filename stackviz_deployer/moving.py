# SPDX-License-Identifier: Apache-2.0
"""``--migrate-from STATE_DIR``: a single node's tasks and blobs, copied into the shared stores.

Task by task: its blobs first, then its rows in one transaction.  So a kill leaves the task
out or in, and blobs without a row at most, which the next run names or a sweep removes.
The source is only read; nothing that is at the target is replaced.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import define
from twisted.application.service import IService
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.threads import deferToThread

from stackviz_deployer.errors import ConfigError, DataLostError, StoreError, UnreachableError
from stackviz_deployer.interfaces import BlobStore
from stackviz_deployer.jobs.uploads import SCHEME
from stackviz_deployer.model import BlobRef, TaskId, TaskState
from stackviz_deployer.settings import Directory
from stackviz_deployer.store.blockindex import DamagedIndexError, read_index
from stackviz_deployer.store.database import Database
from stackviz_deployer.store.files import explained
from stackviz_deployer.store.onenode import Moving, OneNode, put, state_of

_CHUNK = 1 << 20
_SAY_S = 10.0

Say = Callable[[str], None]


def check_target(source: Path, database: object, blobs: object) -> None:
    """Raises ConfigError when what has these ``database`` and ``blobs`` cannot take ``source`` in."""
    if database is None:
        raise ConfigError(
            "the configuration has no 'database'; set 'database', 'redis' and 'blobs' as the nodes that"
            " shall share the tasks have them"
        )
    if isinstance(blobs, Directory) and blobs.path is not None:
        pairs = ((blobs.path, source), (blobs.path / "blobs", source / "blobs"))
        if any(one.exists() and other.exists() and one.samefile(other) for one, other in pairs):
            raise ConfigError(
                f"source and target are the same: blobs.path is {blobs.path}; name another directory there"
            )


@define
class _Tally:
    total: int
    seen: int = 0
    moved: int = 0
    there: int = 0
    left: int = 0
    blob_bytes: int = 0


class Mover:
    """Moves from one to the other; ``blobs`` and ``database`` are started."""

    def __init__(
        self,
        source: OneNode,
        database: Database,
        blobs: Any,
        say: Say,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``blobs``: interfaces.BlobStore, and jobs.sweeper.KeptFiles."""
        self._source = source
        self._database = database
        self._blobs = blobs
        self._say = say
        self._elapsed_s = elapsed_s

    async def move(self) -> int:
        """All of it; how many tasks had to be left.  Raises StoreError when it cannot go on."""
        ids = self._source.tasks()
        tally = _Tally(len(ids))
        said_s = self._elapsed_s()
        for task_id in ids:
            try:
                await self._one(self._read(task_id), tally)
            except _LeftError as error:
                tally.left += 1
                self._say(f"left: task {task_id}: {error}")
            tally.seen += 1
            if self._elapsed_s() - said_s >= _SAY_S:
                said_s = self._elapsed_s()
                self._say(f"{tally.seen} of {tally.total} tasks, {_mib(tally.blob_bytes)} of blobs copied")
        self._say(
            f"{tally.moved} of {tally.total} tasks moved, with {_mib(tally.blob_bytes)} of blobs;"
            f" {tally.there} were there already, {tally.left} are left"
        )
        return tally.left

    def _read(self, task_id: TaskId) -> Moving:
        try:
            return self._source.task(task_id)
        except StoreError as error:
            raise _LeftError(error.message) from error

    async def _one(self, moving: Moving, tally: _Tally) -> None:
        state = moving.row["state"]
        if state in (TaskState.QUEUED, TaskState.PENDING) and moving.row["url"].startswith(SCHEME):
            raise _LeftError(
                "what somebody sent for it waits to be read; start the single node until its queue is empty,"
                " stop it, and run this again"
            )
        there = await self._database.read(state_of, moving.id)
        needed: Sequence[BlobRef] = moving.blobs
        if there is not None:
            # Whoever lost data at the target runs this again to bring it back.
            lost = await self._blobs.lost(needed) if there is TaskState.FINISHED else ()
            needed = [blob for blob in needed if blob.hash in lost]
        for blob in needed:
            await self._copy(blob)
            tally.blob_bytes += blob.size
        if there is not None:
            tally.there += 1
        else:
            await self._blobs.hold(needed)
            result = await self._put(moving)
            tally.there += result == "there"
            tally.moved += result != "there"
            if result == "without its URL":
                self._say(
                    f"task {moving.id} keeps its address and gives up {moving.row['url']}, which another"
                    " task holds there"
                )
        self._blobs.settled([blob.hash for blob in needed])

    async def _put(self, moving: Moving) -> str:
        try:
            return await self._database.write(put, moving)
        except UnreachableError:  # it may be put: then it is there
            return await self._database.write(put, moving)
        except StoreError as error:
            await self._database.read(state_of, moving.id)  # raises when it is not this task's fault
            raise _LeftError(error.message) from error

    async def _copy(self, blob: BlobRef) -> None:
        place, index = self._source.blob(blob)
        store: BlobStore = self._blobs
        async with self._blobs.scratch() as scratch:
            copy, index_copy = scratch / "blob", None if index is None else scratch / "blocks"
            await deferToThread(_copied, place, copy, blob)
            if index is not None and index_copy is not None:
                await deferToThread(_copied_index, index, index_copy, blob)
            await store.put(copy, index_copy)


def run(reactor: Any, services: Sequence[IService], mover: Mover, say: Say) -> int:
    """Run the reactor until all is moved, or cannot be, or a signal comes; the status to exit with.

    ``services`` are started in their order, and stopped the other way round.
    """
    status, stopping = 1, False

    async def work() -> None:
        nonlocal status
        started: list[IService] = []
        try:
            for service in services:
                service.startService()
                started.append(service)
            status = int(await mover.move() > 0)
        except StoreError as error:
            say(f"error: {error.message}; what was moved stays, run this again")
        except OSError as error:
            say(f"error: {explained(error, 'the state directory').message}; then run this again")
        except CancelledError:
            say("stopped; what was moved stays, run this again")
        finally:
            for service in reversed(started):
                await maybeDeferred(service.stopService)

    def begin() -> None:
        done = Deferred.fromCoroutine(work())

        def end() -> Deferred[None]:
            nonlocal stopping
            stopping = True
            done.cancel()
            return done

        def ended(_: object) -> None:
            if not stopping:
                reactor.stop()

        reactor.addSystemEventTrigger("before", "shutdown", end)
        done.addErrback(lambda failure: say(f"error: {failure.getTraceback()}")).addCallback(ended)

    reactor.callWhenRunning(begin)
    reactor.run()
    return status


class _LeftError(Exception):
    """A task stays where it is; the message says why."""


def _copied(place: Path, copy: Path, blob: BlobRef) -> None:
    """Raises _LeftError unless it is whole: its name is its SHA-256."""
    digest = hashlib.sha256()
    with _opened(place) as source, copy.open("xb") as target:
        while data := _read(source, place):
            digest.update(data)
            target.write(data)
        size = target.tell()
    if digest.hexdigest() != blob.hash or size != blob.size:
        raise _LeftError(f"the blob {place} is damaged")


def _copied_index(place: Path, copy: Path, blob: BlobRef) -> None:
    with _opened(place) as source, copy.open("xb") as target:
        while data := _read(source, place):
            target.write(data)
    try:
        read_index(copy, blob.size)
    except (DamagedIndexError, DataLostError) as error:
        raise _LeftError(f"the block index {place} is damaged") from error


def _opened(place: Path) -> Any:
    try:
        return os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0)
    except FileNotFoundError:
        raise _LeftError(f"{place} is lost") from None
    except OSError as error:
        raise _LeftError(f"{place} cannot be read ({error.strerror})") from error


def _read(source: Any, place: Path) -> bytes:
    try:
        return bytes(source.read(_CHUNK))
    except OSError as error:
        raise _LeftError(f"{place} cannot be read ({error.strerror})") from error


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
