# SPDX-License-Identifier: Apache-2.0
"""What a single node keeps, read for good; and the statement that puts a task of it into another database."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from attrs import frozen

from stackviz_deployer.errors import StoreError
from stackviz_deployer.model import BlobHash, BlobRef, TaskId, TaskState
from stackviz_deployer.store.blobs import SUFFIX
from stackviz_deployer.store.database import Cursor
from stackviz_deployer.store.migrate import load
from stackviz_deployer.store.sqlite import take
from stackviz_deployer.store.tasks import live, one

_TASK = (
    "id, url, live_url, state, job, message, error, warnings, cancel_hash, attempts, forgiven, owner,"
    " created_ms, started_ms, finished_ms, used_ms, pinned, expired_ms"
)
_ARTIFACT = (
    "id, task_id, artifact_type, artifact_name, is_primary, content_type, form, meta, blob_hash, blob_size,"
    " blob_blocks"
)

Put = Literal["put", "there", "without its URL"]


@frozen(kw_only=True)
class Moving:
    """A task with all that belongs to it, row by row."""

    row: Mapping[str, Any]
    artifacts: Sequence[Mapping[str, Any]]
    expired: Sequence[str]
    """What its artifacts were called, when it has expired."""

    @property
    def id(self) -> TaskId:
        """As the source has it; it stays the same."""
        return TaskId(self.row["id"])

    @property
    def blobs(self) -> Sequence[BlobRef]:
        """Each once."""
        return tuple(
            {
                part["blob_hash"]: BlobRef(
                    hash=BlobHash(part["blob_hash"]),
                    size=part["blob_size"],
                    blocks=bool(part["blob_blocks"]),
                )
                for part in self.artifacts
            }.values()
        )


class OneNode:
    """A state directory that no daemon uses.  Every method blocks; nothing in it is changed."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._path = state_dir / "stackviz.sqlite3"
        self._lock: int | None = None
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Keep daemons out until ``close``.  Raises StoreError: why it cannot be read, and what to do."""
        if not self._path.is_file():
            raise StoreError(f"there is no {self._path}; name the state directory of a single node")
        if not (self.state_dir / "blobs").is_dir():
            raise StoreError(f"there is no {self.state_dir / 'blobs'}; put the blobs back (is it mounted?)")
        try:
            self._lock = take(self._path, "stop it and run this again")
        except OSError as error:
            raise StoreError(f"cannot lock {self._path}: {error.strerror}; copy the directory") from error
        # Without a write-ahead log nothing but the file counts, and "immutable" keeps SQLite from making one.
        mode = "mode=ro" if self._path.with_name(self._path.name + "-wal").exists() else "immutable=1"
        try:
            self._connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?{mode}", uri=True)
            self._connection.row_factory = sqlite3.Row
            self._check()
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self._path}: {error}; put a backup in its place") from error

    def _check(self) -> None:
        form, newest = int(self._rows("PRAGMA user_version")[0][0]), load()[-1].version
        if form > newest:
            raise StoreError(
                f"{self._path} was written by a newer release (form {form}, this one knows {newest});"
                " install that"
            )
        if form < newest:
            raise StoreError(
                f"{self._path} has an older form ({form}, this release's is {newest}); start a single"
                " daemon of this release on it once, which brings it to that after a backup"
            )
        if (found := self._rows("PRAGMA quick_check(1)")[0][0]) != "ok":
            raise sqlite3.DatabaseError(found)

    def close(self) -> None:
        """Let daemons in again."""
        if self._connection is not None:
            self._connection.close()
        if self._lock is not None:
            os.close(self._lock)

    def tasks(self) -> Sequence[TaskId]:
        """All, the one queued first first.  Raises StoreError."""
        return tuple(row[0] for row in self._told("SELECT id FROM tasks ORDER BY seq"))

    def task(self, task_id: TaskId) -> Moving:
        """Raises StoreError, also when the row makes no sense."""
        if self._connection is not None:
            one(self._connection.cursor(), task_id)
        (row,) = self._told(f"SELECT {_TASK} FROM tasks WHERE id = ?", task_id)  # noqa: S608 - a constant
        artifacts = self._told(
            f"SELECT {_ARTIFACT} FROM artifacts WHERE task_id = ? ORDER BY seq",  # noqa: S608 - likewise
            task_id,
        )
        expired = self._told("SELECT id FROM expired_artifacts WHERE task_id = ?", task_id)
        return Moving(
            row=dict(row), artifacts=[dict(part) for part in artifacts], expired=[name for (name,) in expired]
        )

    def blob(self, blob: BlobRef) -> tuple[Path, Path | None]:
        """Where it should lie, and its block index, if it has one."""
        place = self.state_dir / "blobs" / blob.hash[:2] / blob.hash
        return place, place.with_name(place.name + SUFFIX) if blob.blocks else None

    def _told(self, sql: str, *values: str) -> list[sqlite3.Row]:
        try:
            return self._rows(sql, *values)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{self._path}: {error}; put a backup in its place") from error

    def _rows(self, sql: str, *values: str) -> list[sqlite3.Row]:
        if self._connection is None:
            raise ValueError("it is not open")
        with closing(self._connection.execute(sql, values)) as cursor:
            return cursor.fetchall()


def state_of(txn: Cursor, task_id: TaskId) -> TaskState | None:
    """The state of a task; None when it is not there."""
    row = txn.execute("SELECT state FROM tasks WHERE id = ?", (task_id,)).fetchone()
    return None if row is None else TaskState(row[0])


def put(txn: Cursor, moving: Moving) -> Put:
    """Insert a task with all that belongs to it, unless it is there.

    One that was at work is queued, as after a restart.  Its URL it gets when no other task holds that.
    """
    txn.execute("/*! SELECT value FROM marks WHERE name = 'create' FOR UPDATE */")  # as who creates tasks
    if state_of(txn, moving.id) is not None:
        return "there"
    row = dict(moving.row)
    if row["state"] == TaskState.PENDING:
        row.update(state=TaskState.QUEUED.value, started_ms=None, owner=None)
    yields = row["live_url"] is not None and live(txn, row["live_url"]) is not None
    if yields:
        row["live_url"] = None
    _insert(txn, "tasks", row)
    for artifact in moving.artifacts:
        _insert(txn, "artifacts", artifact)
    for artifact_id in moving.expired:
        _insert(txn, "expired_artifacts", {"id": artifact_id, "task_id": moving.id})
    return "without its URL" if yields else "put"


def _insert(txn: Cursor, table: str, row: Mapping[str, Any]) -> None:
    names, values = ", ".join(row), ", ".join("?" * len(row))
    txn.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", tuple(row.values()))  # noqa: S608 - ours
