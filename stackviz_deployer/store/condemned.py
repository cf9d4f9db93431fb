# SPDX-License-Identifier: Apache-2.0
"""Which blobs of a place that nodes share may be removed: the database decides, not the place.

Of two nodes, one may put a blob, which is there already, for a new task, while the other
removes it, because no artifact names it.  No store of objects lets one ask "remove it if
nobody has put it since".  So:

* To remove a blob is to *condemn* it.  It is removed when it has been condemned for HELD_S and
  no artifact names it; while it is being removed, its row says so.
* A put first *spares* its blob: it takes the row away, and waits while the row says that the
  blob is being removed.  What it then finds, or puts, stays for HELD_S, for whoever condemns it
  later has to wait as long.  By then its artifact names it: before a task's end is recorded,
  ``hold`` spares again what was spared more than FRESH_S ago, and looks whether it is there.

All times are the database's, or measured by one node; no node's clock and no date of a
file or object counts.  (SQLite has no clock: of a daemon that is alone it is the machine's.)
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from twisted.internet.task import deferLater
from twisted.logger import Logger

from stackviz_deployer.errors import StoreError, UnreachableError
from stackviz_deployer.model import BlobHash, BlobRef
from stackviz_deployer.store.database import Cursor, Database

log = Logger()

HELD_S = 1800.0
"""For which a blob is condemned before it is removed; FRESH_S, and the longest transaction, are far less."""
FRESH_S = 600.0
"""For which it is relied on that a blob was spared."""
TAKEN_S = 600.0
"""After which a removal is another node's: whoever began it is dead, or stands still..."""
REMOVE_S = 240.0
"""...since nobody begins to remove a blob later than this after it said so."""
WAIT_S = 120.0
"""For which a put waits for a removal."""
PAUSE_S = 0.5
BATCH = 50
"""Blobs that one transaction says are being removed."""
_ADDED = 500

_NOW = "COALESCE(/*! UNIX_TIMESTAMP(NOW(3)) * 1000, */ ?, 0)"
"""A shared server's clock, or else what it is given."""


def condemn(txn: Cursor, hashes: Iterable[BlobHash], now_ms: int) -> None:
    """Those that are condemned already stay so since then."""
    new = [
        name
        for name in hashes
        if txn.execute("SELECT 1 FROM condemned WHERE blob_hash = ?", (name,)).fetchone() is None
    ]
    txn.executemany(
        f"REPLACE INTO condemned (blob_hash, since_ms) VALUES (?, {_NOW})",  # noqa: S608 - a constant
        [(name, now_ms) for name in new],
    )


def among(txn: Cursor, hashes: Iterable[BlobHash]) -> tuple[BlobHash, ...]:
    """Those that are condemned."""
    return tuple(
        name
        for name in hashes
        if txn.execute("SELECT 1 FROM condemned WHERE blob_hash = ?", (name,)).fetchone() is not None
    )


def spare(txn: Cursor, hashes: Sequence[BlobHash]) -> tuple[BlobHash, ...]:
    """They are not condemned any more; those that are being removed, which stay so."""
    txn.executemany(
        "DELETE FROM condemned WHERE blob_hash = ? AND removing_ms IS NULL", [(name,) for name in hashes]
    )
    return among(txn, hashes)


def doom(
    txn: Cursor, *, held_ms: int, taken_ms: int, most: int, now_ms: int
) -> tuple[int, tuple[BlobHash, ...]]:
    """Those that are to be removed now, and since when they are, as is noted.

    What an artifact names is spared.
    """
    now_ms = int(txn.execute(f"SELECT {_NOW}", (now_ms,)).fetchone()[0])
    found = txn.execute(
        """
        SELECT blob_hash FROM condemned
        WHERE since_ms <= ? AND (removing_ms IS NULL OR removing_ms <= ?)
        ORDER BY since_ms, blob_hash LIMIT ? /*! FOR UPDATE */
        """,
        (now_ms - held_ms, now_ms - taken_ms, most),
    ).fetchall()
    doomed = []
    for (name,) in found:
        if txn.execute("SELECT 1 FROM artifacts WHERE blob_hash = ? LIMIT 1", (name,)).fetchone():
            txn.execute("DELETE FROM condemned WHERE blob_hash = ?", (name,))
        else:
            txn.execute("UPDATE condemned SET removing_ms = ? WHERE blob_hash = ?", (now_ms, name))
            doomed.append(BlobHash(name))
    return now_ms, tuple(doomed)


def removed(txn: Cursor, since_ms: int, gone: Iterable[BlobHash], left: Iterable[BlobHash]) -> None:
    """``gone`` are removed; ``left`` nobody has begun to remove, and they are condemned as before.

    What is being removed since another time is another node's.
    """
    txn.executemany(
        "DELETE FROM condemned WHERE blob_hash = ? AND removing_ms = ?", [(name, since_ms) for name in gone]
    )
    txn.executemany(
        "UPDATE condemned SET removing_ms = NULL WHERE blob_hash = ? AND removing_ms = ?",
        [(name, since_ms) for name in left],
    )


class Condemned:
    """The condemned blobs of a place that nodes share."""

    def __init__(
        self, database: Database, reactor: Any, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``reactor``: IReactorTime; ``clock``: seconds, never set back."""
        self._database = database
        self._reactor = reactor
        self._clock = clock
        self._spared_s: dict[BlobHash, float] = {}

    async def add(self, hashes: Iterable[BlobHash]) -> None:
        """Condemn them.  Raises StoreError."""
        names = sorted(hashes)  # in one order: nobody waits in a ring
        for at in range(0, len(names), _ADDED):
            await self._database.write(condemn, names[at : at + _ADDED], _now_ms())

    async def put(self, name: BlobHash) -> None:
        """Spare a blob that is about to be put.

        Without the database the put goes on: ``hold`` asks again, before its artifact can name it.
        """
        try:
            await self._spare([name])
        except UnreachableError as error:
            log.info("{name} is put unspared: {why}", name=name, why=error.message)

    async def hold(
        self, blobs: Sequence[BlobRef], lost: Callable[[Sequence[BlobRef]], Awaitable[frozenset[BlobHash]]]
    ) -> None:
        """What was put stays until its artifacts, recorded right now, name it.

        ``lost``: those that the place does not have.  Raises StoreError.
        """
        since_s = self._clock() - FRESH_S
        stale = [blob for blob in blobs if self._spared_s.get(blob.hash, since_s) <= since_s]
        if stale:
            await self._spare(sorted({blob.hash for blob in stale}))
            if gone := await lost(stale):
                raise StoreError(
                    f"{len(gone)} blobs of this task were removed while it waited to be recorded;"
                    " scrape the job again"
                )

    async def _spare(self, names: Sequence[BlobHash]) -> None:
        end_s = self._clock() + WAIT_S
        while True:
            began_s = self._clock()
            left = await self._database.read(among, names)
            if left:
                left = await self._database.write(spare, left)
            if not left:
                break
            if began_s >= end_s:
                raise StoreError(
                    f"the removal of blob {left[0]} does not end; in {TAKEN_S / 60:.0f} minutes another node"
                    " takes it over: scrape the job again then"
                )
            await deferLater(self._reactor, PAUSE_S)
        for name in names:
            self._spared_s.pop(name, None)  # the one spared last last
            self._spared_s[name] = began_s
        while next(iter(self._spared_s.values()), began_s) <= began_s - FRESH_S:
            del self._spared_s[next(iter(self._spared_s))]

    async def clear(
        self, remove: Callable[[BlobHash], Awaitable[object]], go_on: Callable[[], object] = lambda: True
    ) -> int:
        """Remove some of those whose time has come, by ``remove``; how many, 0 when there are no more.

        ``go_on``: whether there is time for another.
        """
        end_s = self._clock() + REMOVE_S  # counted from before it is noted: the answer may take a while
        since_ms, names = await self._database.write(
            doom, held_ms=int(HELD_S * 1000), taken_ms=int(TAKEN_S * 1000), most=BATCH, now_ms=_now_ms()
        )
        begun = gone = 0
        try:
            for name in names:
                if self._clock() >= end_s or not go_on():
                    break
                begun += 1
                await remove(name)
                gone += 1
        finally:
            if names:
                await self._database.write(removed, since_ms, names[:gone], names[begun:])
        return gone


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
