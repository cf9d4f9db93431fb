# SPDX-License-Identifier: Apache-2.0
"""The statements about how long tasks are kept, and what calls them.

A finished task expires: its artifacts go, its row stays and says what it was.  Rows of tasks
that have nothing to show any more are forgotten later.  Whoever calls removes the blobs that
are named here, *after* the transaction: a kill in between leaves strays for the sweep, never
a row without its blob.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from twisted.internet.defer import Deferred

from stackviz_deployer.errors import TaskNotReadyError
from stackviz_deployer.interfaces import Copies
from stackviz_deployer.model import BlobHash, Expired, KeptTask, TaskId, TaskState
from stackviz_deployer.store import artifacts as artifact_rows
from stackviz_deployer.store.database import Cursor, Database
from stackviz_deployer.store.inflight import InFlight
from stackviz_deployer.store.tasks import held, one, task_of_row, task_select

UNUSED = "Nobody had looked at it for as long as this server keeps sites."
ROOM = "Room was needed, and of all sites of this server it was the one not looked at for longest."

_LEAST_RECENTLY_USED = """
    SELECT id, used_ms FROM tasks WHERE disposable_ms IS NOT NULL ORDER BY disposable_ms, seq LIMIT ?
    /*! FOR UPDATE */
"""
_ENDED_LATELY = (
    "SELECT ended_ms FROM tasks WHERE ended_ms IS NOT NULL ORDER BY ended_ms DESC LIMIT 1 OFFSET ?"
)
_ENDED_BEFORE = "SELECT seq FROM tasks WHERE ended_ms < ? ORDER BY ended_ms LIMIT ? /*! FOR UPDATE */"
_SUM = "SELECT SUM(size) FROM (SELECT MAX(blob_size) AS size FROM artifacts GROUP BY blob_hash) AS blobs"


def note_uses(txn: Cursor, task_ids: Iterable[TaskId], now_ms: int) -> None:
    """These were looked at, until now."""
    txn.executemany(
        "UPDATE tasks SET used_ms = ? WHERE id = ? AND state = 'finished' AND used_ms < ?",
        [(now_ms, task_id, now_ms) for task_id in sorted(task_ids)],  # in one order: nobody waits in a ring
    )


def newest_use(txn: Cursor) -> int:
    """When a site was last used, in milliseconds; 0 without one."""
    return int(txn.execute("SELECT MAX(disposable_ms) FROM tasks").fetchone()[0] or 0)


def server_ms(txn: Cursor) -> int:
    """A shared server's time of day, in milliseconds UTC."""
    return int(txn.execute("SELECT UNIX_TIMESTAMP(NOW(3)) * 1000").fetchone()[0])


def agree(txn: Cursor, now_ms: int) -> int:
    """How late it is for all nodes of a shared database: as late as for the one whose clock is ahead."""
    txn.execute("UPDATE marks SET value = ? WHERE name = 'age_ms' AND value < ?", (now_ms, now_ms))
    return int(txn.execute("SELECT value FROM marks WHERE name = 'age_ms'").fetchone()[0])


def blob_bytes(txn: Cursor) -> int:
    """Bytes of all blobs that artifacts name, each once; their indices are not counted."""
    return int(txn.execute(_SUM).fetchone()[0] or 0)


def expire(txn: Cursor, *, before_ms: int, over_bytes: int, most: int, now_ms: int) -> Expired:
    """At most ``most`` finished tasks, the one used longest ago first, give up their artifacts.

    Those that were last used before ``before_ms``, and as many more as free ``over_bytes``.
    Pinned ones stay.  Each says why it went.
    """
    tasks: list[TaskId] = []
    hashes: list[BlobHash] = []
    freed = 0
    for task_id, used_ms in txn.execute(_LEAST_RECENTLY_USED, (most,)).fetchall():
        unused = used_ms < before_ms
        if not unused and freed >= over_bytes:
            break
        gone = _expire_one(txn, task_id, UNUSED if unused else ROOM, now_ms)
        tasks.append(task_id)
        hashes += gone
        freed += sum(gone.values())
    return Expired(tasks=tuple(tasks), hashes=tuple(hashes), bytes=freed)


def lose(txn: Cursor, task_id: TaskId, message: str, now_ms: int) -> Expired:
    """Finished -> expired, pinned or not, since its data is gone; ``message`` says so.  Else nothing."""
    row = txn.execute("SELECT state FROM tasks WHERE id = ? /*! FOR UPDATE */", (task_id,)).fetchone()
    if row is None or row[0] != TaskState.FINISHED:
        return Expired()
    gone = _expire_one(txn, task_id, message, now_ms)
    return Expired(tasks=(task_id,), hashes=tuple(gone), bytes=sum(gone.values()))


def with_blobs(txn: Cursor, hashes: Iterable[BlobHash]) -> frozenset[TaskId]:
    """The tasks whose artifacts name one of these."""
    found: set[TaskId] = set()
    for name in hashes:
        rows = txn.execute("SELECT task_id FROM artifacts WHERE blob_hash = ?", (name,))
        found.update(row[0] for row in rows.fetchall())
    return frozenset(found)


def forget(txn: Cursor, *, before_ms: int, keep: int, most: int) -> int:
    """Delete the rows of tasks that ended with nothing, or expired, before ``before_ms``; how many.

    Of younger ones the last ``keep`` stay.  No more than ``most`` at once.
    """
    row = txn.execute(_ENDED_LATELY, (keep,)).fetchone()
    before_ms = before_ms if row is None else max(before_ms, row[0] + 1)
    old = txn.execute(_ENDED_BEFORE, (before_ms, most)).fetchall()
    txn.executemany("DELETE FROM tasks WHERE seq = ?", old)
    return len(old)


def pin(txn: Cursor, task_id: TaskId, *, pinned: bool) -> KeptTask:
    """Keep a task whatever its age, or no longer.  Raises NotFoundError."""
    txn.execute("UPDATE tasks SET pinned = ? WHERE id = ?", (pinned, task_id))
    return kept(txn, task_id)


def delete(txn: Cursor, task_id: TaskId) -> Expired:
    """Forget a task that has ended, with all that it has.

    Raises NotFoundError, and TaskNotReadyError for one that is queued or pending.
    """
    if held(txn, task_id).state.working:
        raise TaskNotReadyError("this task is still at work")
    gone = _drop_artifacts(txn, task_id)
    txn.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
    return Expired(tasks=(task_id,), hashes=tuple(gone), bytes=sum(gone.values()))


def kept(txn: Cursor, task_id: TaskId) -> KeptTask:
    """Raises NotFoundError."""
    one(txn, task_id)
    return page(txn, where="tasks.id = ?", values=(task_id,), most=1)[0]


def listed(txn: Cursor, *, state: TaskState | None, before: int | None, most: int) -> tuple[KeptTask, ...]:
    """The newest first, of one state or of all; those behind ``before`` (a KeptTask's ``number``)."""
    where: list[str] = ["1 = 1"]
    values: list[Any] = []
    if state is not None:
        where.append("state = ?")
        values.append(state.value)
    if before is not None:
        where.append("seq < ?")
        values.append(before)
    return page(txn, where=" AND ".join(where), values=values, most=most)


def page(txn: Cursor, *, where: str, values: Sequence[Any], most: int) -> tuple[KeptTask, ...]:
    """``where``: constant SQL."""
    sql = task_select(
        "pinned, used_ms, expired_ms, seq,"
        " (SELECT COUNT(*) FROM artifacts WHERE task_id = tasks.id),"
        " (SELECT COALESCE(SUM(blob_size), 0) FROM artifacts WHERE task_id = tasks.id)"
    )
    rows = txn.execute(f"{sql} WHERE {where} ORDER BY seq DESC LIMIT ?", (*values, most))
    return tuple(
        KeptTask(
            task=task_of_row(row[:-6]),
            pinned=bool(row[-6]),
            used_ms=row[-5],
            expired_ms=row[-4],
            number=row[-3],
            artifacts=row[-2],
            bytes=int(row[-1]),
        )
        for row in rows.fetchall()
    )


def _expire_one(txn: Cursor, task_id: TaskId, message: str, now_ms: int) -> dict[BlobHash, int]:
    txn.execute(
        "INSERT INTO expired_artifacts (id, task_id) SELECT id, task_id FROM artifacts WHERE task_id = ?",
        (task_id,),
    )
    txn.execute(
        """
        UPDATE tasks SET state = 'expired', message = ?, expired_ms = ?, live_url = NULL WHERE id = ?
        """,
        (message, now_ms, task_id),
    )
    return _drop_artifacts(txn, task_id)


def _drop_artifacts(txn: Cursor, task_id: TaskId) -> dict[BlobHash, int]:
    """The blobs that nobody names any more, and their sizes."""
    had = {artifact.blob.hash: artifact.blob.size for artifact in artifact_rows.of_task(txn, task_id)}
    txn.execute("DELETE FROM artifacts WHERE task_id = ?", (task_id,))
    return {
        name: size
        for name, size in had.items()
        if txn.execute("SELECT 1 FROM artifacts WHERE blob_hash = ? LIMIT 1", (name,)).fetchone() is None
    }


class SqlRetention:
    """interfaces.KeptRows over a Database.

    ``clock`` gives the time in milliseconds; one that is never set back or forward while it runs.

    ``copies`` hears of each task that ends here, before whoever ended it does.  ``agreed``, of a database
    that several nodes share, is told how late it is by their clocks.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int],
        copies: Copies | None = None,
        *,
        agreed: Callable[[int], None] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._copies = copies
        self._agreed = agreed
        self._ends = InFlight()
        self._ends.open()

    def turn(self) -> AbstractAsyncContextManager[bool]:
        """Whether this node may expire and tidy up until the context ends; no other may meanwhile."""
        return self._database.turn("keeping")

    async def agree(self) -> None:
        """Let no node's clock be behind another's."""
        if self._agreed is not None:
            self._agreed(await self._database.write(agree, self._clock()))

    async def note_uses(self, task_ids: Iterable[TaskId]) -> None:
        """See ``note_uses``."""
        await self._database.write(note_uses, task_ids, self._clock())

    async def blob_hashes(self) -> frozenset[BlobHash]:
        """Every blob that an artifact names."""
        return await self._database.read(artifact_rows.blob_hashes)

    async def blob_bytes(self) -> int:
        """See ``blob_bytes``."""
        return await self._database.read(blob_bytes)

    async def expire(self, *, unused_ms: int, over_bytes: int, most: int) -> Expired:
        """See ``expire``; ``unused_ms``: for how long nobody looked."""
        now_ms = self._clock()
        return await self._end(
            lambda: self._database.write(
                expire, before_ms=now_ms - unused_ms, over_bytes=over_bytes, most=most, now_ms=now_ms
            )
        )

    async def lose(self, task_id: TaskId, message: str) -> Expired:
        """See ``lose``."""
        return await self._end(lambda: self._database.write(lose, task_id, message, self._clock()))

    async def with_blobs(self, hashes: Iterable[BlobHash]) -> frozenset[TaskId]:
        """See ``with_blobs``."""
        return await self._database.read(with_blobs, hashes)

    async def forget(self, *, ended_ms: int, keep: int, most: int) -> int:
        """See ``forget``; ``ended_ms``: for how long they have been over."""
        return await self._database.write(forget, before_ms=self._clock() - ended_ms, keep=keep, most=most)

    async def pin(self, task_id: TaskId, *, pinned: bool) -> KeptTask:
        """See ``pin``."""
        return await self._database.write(pin, task_id, pinned=pinned)

    async def delete(self, task_id: TaskId) -> Expired:
        """See ``delete``."""
        return await self._end(lambda: self._database.write(delete, task_id))

    async def listed(self, *, state: TaskState | None, before: int | None, most: int) -> Sequence[KeptTask]:
        """See ``listed``."""
        return await self._database.read(listed, state=state, before=before, most=most)

    async def _end(self, write: Callable[[], Coroutine[Any, Any, Expired]]) -> Expired:
        copies = self._copies
        if copies is None:
            return await write()

        async def end() -> Expired:
            with copies.ending() as those:
                expired = await write()
                those(expired.tasks)
            return expired

        # Who cancels stops waiting; the transaction goes on, and the copies have to know its end.
        return await self._ends.run(lambda: Deferred.fromCoroutine(end()))
