# SPDX-License-Identifier: Apache-2.0
"""The statements about tasks; store.task_store calls them.

Each statement is a function of a transaction and gives model values.  A task holds its URL
through ``live_url``, which is unique: two requests for one URL cannot both make a task.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve

from stackviz_deployer.errors import (
    InternalError,
    NotFoundError,
    QueueFullError,
    StoreError,
    TaskFailedError,
    WorkerDiedError,
)
from stackviz_deployer.model import (
    BlobRef,
    Job,
    ParsedArtifact,
    Task,
    TaskId,
    TaskState,
)
from stackviz_deployer.store import artifacts as artifact_rows
from stackviz_deployer.store.artifacts import storable
from stackviz_deployer.store.database import Cursor

MAX_STARTS = 3
"""How often a task is begun.  One that takes the daemon down each time must not do so for ever."""
_STOPPED_TOO_OFTEN = (
    f"the daemon was stopped {MAX_STARTS} times while it worked on this job, so it is not begun once more;"
    " the daemon's log says why it stopped; scrape the job again to try"
)

LOOKED_THROUGH = 200
"""Tasks that ``recent`` looks at."""

_COLUMNS = (
    "id, url, job, state, message, error, created_ms, started_ms, finished_ms, warnings, attempts, owner"
)
_STATE, _OWNER = (_COLUMNS.split(", ").index(name) for name in ("state", "owner"))
_SELECT = f"SELECT {_COLUMNS} FROM tasks "  # noqa: S608 - a constant
_AMONG_THE_LAST = f"""
    SELECT {_COLUMNS} FROM (
        SELECT * FROM tasks WHERE finished_ms IS NOT NULL ORDER BY finished_ms DESC, seq DESC LIMIT ?
    ) AS latest
    WHERE state = 'finished' AND live_url IS NOT NULL AND substr(url, 1, ?) <> ?
    ORDER BY finished_ms DESC, seq DESC LIMIT ?
"""  # noqa: S608 - a constant


def create(
    txn: Cursor,
    task_id: TaskId,
    job: Job,
    cancel_hash: str,
    *,
    force: bool,
    queue_limit: int,
    now_ms: int,
) -> tuple[Task, bool]:
    """The task that holds ``job.url``, or a new one, ``task_id`` (True).

    ``force`` frees the URL of a finished task, which stays readable by its id; one that is
    queued or pending is joined even so, for its result will be as new.  ``task_id`` that there
    is already was created by this request, whose answer was lost.  Raises
    QueueFullError when ``queue_limit`` tasks are queued.
    """
    if job.url is None:
        raise ValueError("a job without a URL cannot be scraped")
    # Nodes create one after the other: else two could count the queue, or miss each other's URL.
    txn.execute("/*! SELECT value FROM marks WHERE name = 'create' FOR UPDATE */")
    if (row := txn.execute(_SELECT + "WHERE id = ?", (task_id,)).fetchone()) is not None:
        return task_of_row(row), True
    holder = live(txn, job.url)
    if holder is not None:
        if holder.state.working or not force:
            return holder, False
        txn.execute("UPDATE tasks SET live_url = NULL WHERE id = ?", (holder.id,))
    if (waits := queued(txn)) >= queue_limit:
        raise QueueFullError(f"{waits} scrapes wait already, which is the limit; try again later")
    txn.execute(
        """
        INSERT INTO tasks (id, url, live_url, state, job, cancel_hash, created_ms)
        VALUES (?, ?, ?, 'queued', ?, ?, ?)
        """,
        (task_id, job.url, job.url, json.dumps(job.to_json()), cancel_hash, now_ms),
    )
    return one(txn, task_id), True


def claim(txn: Cursor, now_ms: int) -> Task | None:
    """Make the oldest queued task pending, and count the start.

    One whose row cannot be read ends in error: it must not hold up those behind it.
    """
    while row := txn.execute(
        _SELECT + "WHERE state = 'queued' ORDER BY seq LIMIT 1 /*! FOR UPDATE */"
    ).fetchone():
        if (task := _start(txn, row, None, now_ms)) is not None:
            return task
    return None


def begin(
    txn: Cursor, task_id: TaskId, owner: str, now_ms: int, late: Callable[[], bool] = lambda: False
) -> Task | None:
    """Make a queued task pending, or take over a pending one, and count the start.

    ``owner`` that has it already is given it as it is.  One that was begun MAX_STARTS times is given
    as it ends, in error.  One whose row cannot be read ends likewise; None then, and when there is
    nothing to begin.  Raises TaskFailedError when it is ``late`` once nobody else can begin it.
    """
    row = txn.execute(
        _SELECT + "WHERE id = ? AND state IN ('queued', 'pending') /*! FOR UPDATE */",
        (task_id,),
    ).fetchone()
    if row is None:
        return None
    if row[_STATE] == TaskState.PENDING and row[_OWNER] == owner:
        return task_of_row(row)
    if late():
        raise TaskFailedError("the task was given to this worker too long ago: another may have it by now")
    if row[_STATE] == TaskState.PENDING and _give_up(txn, now_ms, task_id):
        return one(txn, task_id)
    return _start(txn, row, owner, now_ms)


def _start(txn: Cursor, row: Sequence[Any], owner: str | None, now_ms: int) -> Task | None:
    task_id = TaskId(row[0])
    try:
        task = task_of_row(row)
    except StoreError:
        txn.execute(
            """
            UPDATE tasks SET state = 'error', error = ?, message = ?, finished_ms = ?, live_url = NULL
            WHERE id = ?
            """,
            (InternalError.code, "what was noted of this task cannot be read", now_ms, task_id),
        )
        return None
    task = evolve(
        task,
        state=TaskState.PENDING,
        attempt=task.attempt + 1,
        owner=owner,
        started_ms=max(task.created_ms, now_ms),
    )
    txn.execute(
        "UPDATE tasks SET state = 'pending', attempts = ?, owner = ?, started_ms = ? WHERE id = ?",
        (task.attempt, owner, task.started_ms, task_id),
    )
    return task


def finish(
    txn: Cursor,
    begun: Task,
    job: Job,
    artifacts: Sequence[tuple[ParsedArtifact, BlobRef]],
    warnings: Sequence[str],
    *,
    now_ms: int,
    used_ms: int,
) -> Task:
    """Pending -> finished, with its artifacts.

    ``used_ms``: now by the clock of retention.

    What this start finished before stays as it was recorded: the answer may have been lost.
    Raises TaskFailedError, and keeps nothing, when the task is not pending any more, because it
    was cancelled meanwhile or has ended, or when it was begun anew.
    """
    task = held(txn, begun.id)
    if task.attempt == begun.attempt and task.state is TaskState.FINISHED:
        return task
    if task.state is not TaskState.PENDING:
        raise TaskFailedError(f"the result of this scrape is not kept, because the task is {task.state}")
    _check_start(task, begun)
    txn.execute(
        """
        UPDATE tasks
        SET state = 'finished', job = ?, warnings = ?, used_ms = ?,
            finished_ms = CASE WHEN started_ms > ? THEN started_ms ELSE ? END
        WHERE id = ?
        """,
        (
            json.dumps(job.to_json()),
            json.dumps(list(warnings)),
            used_ms,
            now_ms,
            now_ms,
            task.id,
        ),
    )
    artifact_rows.add(txn, task.id, artifacts)
    return one(txn, task.id)


def fail(txn: Cursor, begun: Task, *, error: str, message: str, now_ms: int) -> Task:
    """Pending -> error, the URL is free again.  A task that has ended stays as it is.

    Raises TaskFailedError when the task was begun anew, or waits for it.
    """
    task = held(txn, begun.id)
    if not task.state.working:
        return task
    _check_start(task, begun)
    return end_badly(txn, task.id, TaskState.ERROR, now_ms, error=error, message=message)


def _check_start(task: Task, begun: Task) -> None:
    if task.state is not TaskState.PENDING or task.attempt != begun.attempt:
        raise TaskFailedError(
            f"the outcome of start {begun.attempt} of this scrape is not kept, because the task was given"
            f" to another worker ({task.state}, start {task.attempt})"
        )


def end_badly(
    txn: Cursor,
    task_id: TaskId,
    state: TaskState,
    now_ms: int,
    *,
    error: str | None = None,
    message: str | None = None,
) -> Task:
    """Queued or pending -> ``state`` (error or cancelled), the URL is free again.

    A task that has ended stays as it is.
    """
    txn.execute(
        """
        UPDATE tasks
        SET state = ?, error = ?, message = ?, live_url = NULL,
            finished_ms = CASE
                WHEN COALESCE(started_ms, created_ms) > ? THEN COALESCE(started_ms, created_ms) ELSE ?
            END
        WHERE id = ? AND state IN ('queued', 'pending')
        """,
        (state, error, None if message is None else storable(message), now_ms, now_ms, task_id),
    )
    return one(txn, task_id)


def release(txn: Cursor, begun: Task) -> None:
    """Pending -> queued, in the old place; the start is forgiven.  Else the task stays as it is."""
    txn.execute(
        """
        UPDATE tasks SET state = 'queued', started_ms = NULL, owner = NULL, forgiven = forgiven + 1
        WHERE id = ? AND state = 'pending' AND attempts = ?
        """,
        (begun.id, begun.attempt),
    )


def live(txn: Cursor, url: str) -> Task | None:
    """The task that holds ``url``."""
    # A URL is too long for an index of MySQL, which has one of its hash.
    row = txn.execute(
        _SELECT + "WHERE /*! live_key = SHA2(:url, 256) AND */ live_url = :url", {"url": url}
    ).fetchone()
    return None if row is None else task_of_row(row)


def requeue(txn: Cursor, now_ms: int) -> int:
    """Pending -> queued, in the old place; how many.

    Those that were begun MAX_STARTS times already end in error with WorkerDiedError's code
    instead: most likely it is they that take the daemon down.
    """
    _give_up(txn, now_ms)
    txn.execute("UPDATE tasks SET state = 'queued', started_ms = NULL, owner = NULL WHERE state = 'pending'")
    return txn.rowcount


def _give_up(txn: Cursor, now_ms: int, task_id: TaskId | None = None) -> int:
    """Pending tasks (``task_id``: that one alone) that were begun MAX_STARTS times -> error; how many."""
    which = "" if task_id is None else " AND id = ?"
    txn.execute(
        f"""
        UPDATE tasks
        SET state = 'error', error = ?, message = ?, live_url = NULL,
            finished_ms = CASE WHEN started_ms > ? THEN started_ms ELSE ? END
        WHERE state = 'pending' AND attempts - forgiven >= ?{which}
        """,  # noqa: S608 - constants
        (
            WorkerDiedError.code,
            _STOPPED_TOO_OFTEN,
            now_ms,
            now_ms,
            MAX_STARTS,
            *([] if task_id is None else [task_id]),
        ),
    )
    return txn.rowcount


def waiting(txn: Cursor, most: int) -> tuple[tuple[TaskId, TaskState], ...]:
    """Queued and pending tasks, the oldest first."""
    # Each by the index of states: in the order of both at once MySQL goes through all that ever was.
    rows = txn.execute(
        """
        SELECT id, state, seq FROM
            (SELECT id, state, seq FROM tasks WHERE state = 'queued' ORDER BY seq LIMIT ?) AS queued
        UNION ALL SELECT id, state, seq FROM
            (SELECT id, state, seq FROM tasks WHERE state = 'pending' ORDER BY seq LIMIT ?) AS pending
        ORDER BY seq LIMIT ?
        """,
        (most, most, most),
    )
    return tuple((TaskId(row[0]), TaskState(row[1])) for row in rows.fetchall())


def one(txn: Cursor, task_id: TaskId) -> Task:
    """Raises NotFoundError."""
    row = txn.execute(_SELECT + "WHERE id = ?", (task_id,)).fetchone()
    if row is None:
        raise NotFoundError("there is no such task")
    return task_of_row(row)


def held(txn: Cursor, task_id: TaskId) -> Task:
    """``one`` that nobody else changes until the transaction ends.  Raises NotFoundError."""
    row = txn.execute(_SELECT + "WHERE id = ? /*! FOR UPDATE */", (task_id,)).fetchone()
    if row is None:
        raise NotFoundError("there is no such task")
    return task_of_row(row)


def cancel_hash(txn: Cursor, task_id: TaskId) -> str:
    """Raises NotFoundError."""
    row = txn.execute("SELECT cancel_hash FROM tasks WHERE id = ?", (task_id,)).fetchone()
    if row is None:
        raise NotFoundError("there is no such task")
    return str(row[0])


def queued(txn: Cursor) -> int:
    """How many tasks wait; those that have ended cost nothing."""
    return int(txn.execute("SELECT COUNT(*) FROM tasks WHERE state = 'queued'").fetchone()[0])


def working_urls(txn: Cursor, prefix: str) -> frozenset[str]:
    """Of queued and pending tasks, those that begin with ``prefix``."""
    rows = txn.execute(
        "SELECT url FROM tasks WHERE state IN ('queued', 'pending') AND substr(url, 1, ?) = ?",
        (len(prefix), prefix),
    )
    return frozenset(row[0] for row in rows.fetchall())


def recent(txn: Cursor, most: int, without: str) -> tuple[Task, ...]:
    """Finished tasks that hold their URL, the last first; none whose URL begins with ``without``.

    Looked for among the last LOOKED_THROUGH that ended, so that the cost has a bound.
    """
    rows = txn.execute(_AMONG_THE_LAST, (LOOKED_THROUGH, len(without), without, most))
    return tuple(task_of_row(row) for row in rows.fetchall())


def task_select(more: str) -> str:
    """``SELECT ... FROM tasks`` of ``task_of_row``'s columns, and ``more`` behind them (constant SQL)."""
    return f"SELECT {_COLUMNS}, {more} FROM tasks"  # noqa: S608 - constants


def task_of_row(row: Sequence[Any]) -> Task:
    """Raises StoreError for a row that somebody else wrote, or the disk spoiled."""
    try:
        return Task(
            id=row[0],
            url=row[1],
            job=Job.from_json(json.loads(row[2])),
            state=TaskState(row[3]),
            message=row[4],
            error=row[5],
            created_ms=row[6],
            started_ms=row[7],
            finished_ms=row[8],
            warnings=tuple(json.loads(row[9])),
            attempt=row[10],
            owner=row[11],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"task {row[0]} in the database cannot be read ({error!r})") from error
