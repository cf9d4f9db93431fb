# SPDX-License-Identifier: Apache-2.0
"""How long sites are kept, and that nothing else stays on the disk.

Every minute: what was looked at is noted, and what nobody looked at for long, or what is too
much, expires, the least recently used first.  At start and daily: what a kill left is
removed, sites whose data is gone expire, and old rows are forgotten.  All in batches, each a
short transaction and one trip to a thread.  Of nodes that share a database one is at it at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from stackviz_deployer.background import Background
from stackviz_deployer.errors import DataLostError, StoreError
from stackviz_deployer.model import Artifact, BlobHash, BlobRef, Expired, TaskId
from stackviz_deployer.settings import Retention

log = Logger()

EXPIRE_S = 60.0
TIDY_S = 86_400.0
BATCH = 50
"""Tasks in one transaction."""
ROWS_DAYS = 90.0
"""For how long it is known of a task that it expired, failed or was cancelled."""
ROWS = 100_000
"""Of so many such tasks at most."""
MANY_LOST = 20
"""Blobs; when more are missing, and more than are there, the disk is not the right one."""
FLUSH = 500
"""Uses that one transaction notes."""

LOST = "Its data was lost from the server's disk."
SHARED_TIDY_S = 3600.0
"""TIDY_S of data that several nodes share, of which any may be killed."""
_DAY_MS = 86_400_000


class KeptRows(Protocol):
    """What is used of store.retention.SqlRetention."""

    def turn(self) -> AbstractAsyncContextManager[bool]: ...
    async def agree(self) -> None: ...
    async def note_uses(self, task_ids: Iterable[TaskId]) -> None: ...
    async def blob_hashes(self) -> frozenset[BlobHash]: ...
    async def blob_bytes(self) -> int: ...
    async def expire(self, *, unused_ms: int, over_bytes: int, most: int) -> Expired: ...
    async def lose(self, task_id: TaskId, message: str) -> Expired: ...
    async def with_blobs(self, hashes: Iterable[BlobHash]) -> frozenset[TaskId]: ...
    async def forget(self, *, ended_ms: int, keep: int, most: int) -> int: ...


class Swept(Protocol):
    """What a sweep of the files removed, and what it missed; see store.blobs.Swept."""

    @property
    def blobs(self) -> int: ...
    @property
    def blob_bytes(self) -> int: ...
    @property
    def temporaries(self) -> int: ...
    @property
    def missing(self) -> frozenset[BlobHash]: ...
    @property
    def kept(self) -> int: ...
    @property
    def kept_bytes(self) -> int: ...


class KeptFiles(Protocol):
    """What is used of store.blobs.FileBlobStore."""

    async def sweep(self, known: AbstractSet[str]) -> Swept: ...
    async def lost(self, blobs: Sequence[BlobRef]) -> frozenset[BlobHash]: ...
    async def remove(self, hashes: Iterable[BlobHash]) -> None: ...
    async def clear(self, go_on: Callable[[], object]) -> int: ...


class Sweeper(Service):
    """interfaces.Keeper, over the rows and the files of the store."""

    def __init__(
        self,
        *,
        rows: KeptRows,
        files: KeptFiles,
        retention: Retention,
        clock: IReactorTime,
        sweep_uploads: Callable[[], Awaitable[int]] | None = None,
        tidy_s: float = TIDY_S,
    ) -> None:
        """``sweep_uploads``: removes those without a task, where nobody else does.

        ``tidy_s``: between two tidyings.
        """
        self._sweep_uploads = sweep_uploads
        self._tidy_s = tidy_s
        self._rows = rows
        self._files = files
        self._retention = retention
        self._clock = clock
        self._background = Background()
        self._loop: Deferred[None] | None = None
        self._pause: Deferred[None] | None = None
        self._used: set[TaskId] = set()
        self._tidied_s: float | None = None
        self._trouble: dict[str, str] = {}
        self._suspicion: str | None = None
        """Why it is not believed that data is lost."""
        self._facts = {
            "blobs": 0,
            "blob_bytes": 0,
            "file_bytes": 0,
            "expired": 0,
            "limit_bytes": retention.bytes,
        }

    def startService(self) -> None:
        """Begin; nobody waits for the end."""
        super().startService()
        self._loop = self._background.spawn(self._run(), "keeping the state directory in order")

    def stopService(self) -> Deferred[None]:
        """Fires when the batch at work is done and the last uses are noted."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        if self._loop is not None:
            await self._loop
        await self._try("noting uses", self._flush)

    # interfaces.Keeper

    def used(self, task_id: TaskId) -> None:
        """Somebody looks at this site; noted with the others, within EXPIRE_S."""
        self._used.add(task_id)

    async def check(self, task_id: TaskId, artifacts: Sequence[Artifact]) -> None:
        """See interfaces.Keeper."""
        gone = await self._files.lost([artifact.blob for artifact in artifacts])
        if not gone:
            return
        if self._suspicion is not None:
            raise StoreError(self._suspicion, reason="the server cannot reach its data")
        await self._lose([task_id])
        raise DataLostError(f"{LOST} Scrape the job again while its logs are there.")

    def health(self) -> Mapping[str, Any]:
        """For /health and metrics: ``reasons``, and counts.

        ``blobs`` and ``file_bytes`` (with their indices) were counted by the last tidying,
        ``blob_bytes`` by the last look for too much, of which ``limit_bytes`` are allowed;
        ``expired``: sites since the start.
        """
        reasons = [f"{what} fails: {why}" for what, why in self._trouble.items()]
        if self._suspicion is not None:
            reasons.append(self._suspicion)
        return {**self._facts, "reasons": reasons}

    # the loop

    async def _run(self) -> None:
        while self.running:
            await self._try("keeping the nodes' time", self._rows.agree)
            await self._try("noting uses", self._flush)
            await self._try("taking turns", self._take_turn)
            if not self.running:
                break
            self._pause = deferLater(self._clock, EXPIRE_S)
            with suppress(CancelledError):
                await self._pause

    async def _take_turn(self) -> None:
        async with self._rows.turn() as ours:
            if not ours:  # another node is at it
                return
            if self._tidied_s is None or self._clock.seconds() - self._tidied_s >= self._tidy_s:
                await self._try("tidying up", self._tidy)
                self._tidied_s = self._clock.seconds()
            await self._try("expiring sites", self._expire)
            await self._try("removing blobs", self._clear)

    async def _try(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except StoreError as error:
            if what not in self._trouble:
                log.failure("{what} fails; tried again", what=what)
            self._trouble[what] = error.message
        except Exception:  # noqa: BLE001  a defect in one step must not end the others, nor this one for ever
            if what not in self._trouble:
                log.failure("{what} meets a defect; tried again", what=what)
            self._trouble[what] = "a defect, of which the log tells"
        else:
            self._trouble.pop(what, None)

    async def _flush(self) -> None:
        while self._used:
            batch = [self._used.pop() for _ in range(min(FLUSH, len(self._used)))]
            try:
                await self._rows.note_uses(batch)
            except Exception:
                self._used.update(batch)
                raise

    async def _expire(self) -> None:
        size = await self._rows.blob_bytes()
        self._facts["blob_bytes"] = size
        count = freed = 0
        while self.running:
            over = max(size - freed - self._retention.bytes, 0)
            expired = await self._rows.expire(
                unused_ms=int(self._retention.days * _DAY_MS), over_bytes=over, most=BATCH
            )
            if not expired.tasks:
                break
            await self._files.remove(expired.hashes)
            count += len(expired.tasks)
            freed += expired.bytes
            self._facts["blob_bytes"] = size - freed
            self._facts["expired"] += len(expired.tasks)
        if count:
            log.info("{count} sites expired, which made room for {size} bytes", count=count, size=freed)
        if self.running and size - freed > self._retention.bytes:
            log.warn(  # noqa: G010 - Twisted's Logger has no warning()
                "pinned sites alone have {size} bytes, more than retention.bytes ({limit})",
                size=size - freed,
                limit=self._retention.bytes,
            )

    async def _clear(self) -> None:
        count = 0
        while self.running and (gone := await self._files.clear(lambda: self.running)):
            count += gone
        if count:
            log.info("{count} blobs of sites that are gone were removed", count=count)

    async def _tidy(self) -> None:
        swept = await self._files.sweep(await self._rows.blob_hashes())
        self._facts.update(blobs=swept.kept, file_bytes=swept.kept_bytes)
        log.info(
            "swept {blobs} blobs without an artifact ({size} bytes), {temporaries} temporary files",
            blobs=swept.blobs,
            size=swept.blob_bytes,
            temporaries=swept.temporaries,
        )
        missing = swept.missing & await self._rows.blob_hashes()  # what expired meanwhile is no loss
        self._suspicion = None
        if len(missing) > max(MANY_LOST, swept.kept):
            self._suspicion = (
                f"{len(missing)} blobs of {len(missing) + swept.kept} are missing: is the right disk mounted"
                " (or the right bucket named)? their sites answer 503 until they are back, or expire"
            )
            log.critical("{suspicion}", suspicion=self._suspicion)
        elif missing:
            log.error("{count} blobs are lost from the disk; their sites expire", count=len(missing))
            await self._lose(sorted(await self._rows.with_blobs(missing)))
        if self._sweep_uploads is not None and (count := await self._sweep_uploads()):
            log.info("{count} uploads without a task were removed", count=count)
        forgotten = 0
        while self.running and (
            count := await self._rows.forget(ended_ms=int(ROWS_DAYS * _DAY_MS), keep=ROWS, most=BATCH * 10)
        ):
            forgotten += count
        if forgotten:
            log.info("{count} tasks that had nothing to show any more are forgotten", count=forgotten)

    async def _lose(self, task_ids: Sequence[TaskId]) -> None:
        for task_id in task_ids:
            expired = await self._rows.lose(task_id, LOST)
            if expired.tasks:
                log.error("{task} has lost its data and is expired", task=task_id)
                self._facts["expired"] += 1
            await self._files.remove(expired.hashes)
