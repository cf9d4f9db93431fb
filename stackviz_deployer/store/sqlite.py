# SPDX-License-Identifier: Apache-2.0
"""The SQLite file: opened, migrated, written by one thread and read by several.

Migrations run synchronously in ``startService``: a Deferred that fails there would be
ignored, and the daemon would run on.  All else happens in threads of our own.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from twisted.application.service import Service
from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.logger import Logger

from stackviz_deployer.errors import StoreError
from stackviz_deployer.store.database import Cursor, Kind, Statement
from stackviz_deployer.store.files import FULL, UNWRITABLE
from stackviz_deployer.store.inflight import InFlight
from stackviz_deployer.store.migrate import Migration, load, migrate
from stackviz_deployer.trace import carried

log = Logger()

P = ParamSpec("P")
T = TypeVar("T")

READERS = 4
READER_CACHE_KIB = 512
"""Of each reader: pages that the system's page cache holds as well (SQLite's default: 2,000 KiB)."""
LOCKED_S = 0.1
"""For which a write waits for a lock that the one before did not get."""

_BEGIN: dict[Kind, str] = {"read": "BEGIN", "write": "BEGIN IMMEDIATE"}
"""IMMEDIATE: a writer that first reads and then finds the file locked could not go on."""


class SqliteDatabase(Service):
    """store.database.Database over one SQLite file that this process has for itself."""

    def __init__(
        self,
        path: Path,
        reactor: Any,
        *,
        migrations: Sequence[Migration] | None = None,
        busy_s: float = 5.0,
        stop_s: float = 10.0,
        opened: Callable[[Cursor], None] = lambda _: None,
    ) -> None:
        """``reactor``: IReactorCore, IReactorThreads and IReactorTime; ``migrations``: None = the package's.

        ``busy_s``: how long we wait for somebody else's lock (an operator's ``sqlite3``, a
        backup); ``stop_s``: how long stopping waits for statements before it interrupts them;
        ``opened`` may read in the file of our form, before anybody else does.
        """
        self._path = path
        self._reactor = reactor
        self._migrations = migrations
        self._busy_s = busy_s
        self._stop_s = stop_s
        self._opened = opened
        self._calls = InFlight()
        self._lock: int | None = None
        self._locked = False
        """Whether the last write found the file locked; the writer's thread alone looks at it."""
        self._pools: dict[Kind, ConnectionPool] = {}

    def startService(self) -> None:
        """Take the file for us alone and bring it to our form.  Raises StoreError: how to mend it."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = take(self._path)
            self._path.touch(mode=0o600)
            self._migrate()
        except OSError as error:
            self._release()
            raise StoreError(
                f"cannot write {error.filename or self._path}: {error.strerror}; {_RIGHTS}"
            ) from error
        except BaseException:
            self._release()
            raise
        # Closed in this order: the last to close folds the log into the file, which a reader may not.
        self._pools = {"read": self._pool(READERS, _open_reader), "write": self._pool(1, _open_writer)}
        self._calls.open()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Wait for what runs, then close; what is asked from now on is refused."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        idle = self._calls.shut()
        try:
            await idle.addTimeout(self._stop_s, self._reactor)
        except DeadlineError:
            log.warn(  # noqa: G010 - Twisted's Logger has no warning()
                "statements still run after {seconds} s, interrupting them", seconds=self._stop_s
            )
            for pool in self._pools.values():
                for connection in list(pool.connections.values()):
                    connection.interrupt()
        for pool in self._pools.values():
            pool.close()
        self._pools = {}
        self._release()

    @asynccontextmanager
    async def turn(self, _name: str) -> AsyncIterator[bool]:
        """Always ours: nobody else has the file."""
        yield True

    async def write(self, fn: Statement[P, T], *args: P.args, **kw: P.kwargs) -> T:
        """``fn(txn, ...)`` as one transaction that sees and leaves a whole state.

        It runs in the writer's thread, one after the other.  An exception rolls back;
        cancelling does not: the transaction still runs.  Durable when this returns.
        Raises what ``fn`` raises, and StoreError when the disk or the file fails.
        """
        return await self._run("write", fn, *args, **kw)

    async def read(self, fn: Statement[P, T], *args: P.args, **kw: P.kwargs) -> T:
        """``fn(txn, ...)`` in one snapshot, beside the writer; it cannot change anything.

        Raises what ``fn`` raises, and StoreError when the disk or the file fails.
        """
        return await self._run("read", fn, *args, **kw)

    async def _run(self, kind: Kind, fn: Statement[P, T], *args: P.args, **kw: P.kwargs) -> T:
        def interaction(txn: sqlite3.Cursor) -> T:
            if kind == "write":
                # While somebody else has the lock, those behind the first need not wait as long.
                wait_s = LOCKED_S if self._locked else self._busy_s
                txn.execute(f"PRAGMA busy_timeout = {int(min(wait_s, self._busy_s) * 1000):d}")
                self._locked = True
                txn.execute(_BEGIN[kind])
                self._locked = False
            else:
                txn.execute(_BEGIN[kind])
            return fn(txn, *args, **kw)

        def submit() -> Deferred[T]:
            done: Deferred[T] = self._pools[kind].runInteraction(carried(interaction))
            return done

        try:
            return await self._calls.run(submit)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a mistake of ours, for the log with its traceback
        except sqlite3.DatabaseError as error:
            raise _explained(self._path, error) from error

    def _migrate(self) -> None:
        migrations = load() if self._migrations is None else self._migrations
        try:
            with closing(
                sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None)
            ) as connection:
                _check(connection)
                migrate(connection, self._path, migrations)
                # Only now: nothing of a file that migrate refuses is changed, its journal mode neither.
                _log_ahead(connection, self._path)
                self._opened(connection.cursor())
        except sqlite3.DatabaseError as error:
            raise _explained(self._path, error) from error

    def _pool(self, threads: int, openfun: Callable[[sqlite3.Connection], None]) -> ConnectionPool:
        return ConnectionPool(
            "sqlite3",
            str(self._path),
            check_same_thread=False,  # adbapi closes from the reactor's thread
            timeout=self._busy_s,
            isolation_level=None,  # we say BEGIN ourselves: Python's own way leaves DDL outside
            cp_min=1,
            cp_max=threads,
            cp_openfun=openfun,
            cp_reactor=self._reactor,
        )

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _open_writer(connection: sqlite3.Connection) -> None:
    """Set up the connection that writes; the write-ahead log is a property of the file, set at start.

    FULL, not NORMAL: in WAL mode NORMAL leaves a commit in the page cache, so that a power cut
    takes back tasks that were answered 202.  FULL costs about 0.3 ms a write,
    a few times a scrape.
    """
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _open_reader(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")


def _check(connection: sqlite3.Connection) -> None:
    if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(found)


def _log_ahead(connection: sqlite3.Connection, path: Path) -> None:
    if (mode := connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]) != "wal":
        raise StoreError(
            f"{path} cannot have a write-ahead log (journal mode {mode}), as on network file systems;"
            " name a state directory on a local disk (--state-dir)"
        )


def take(path: Path, remedy: str = "stop it, or give this one another (--state-dir)") -> int:
    """Lock ``<path>.lock`` until we close it or die.  Raises StoreError when another has it, and OSError.

    SQLite itself would let two daemons in, and each would queue the other's tasks anew and
    sweep its files away.
    """
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        raise StoreError(
            f"{path} is locked: another stackviz-deployer (process {owner or 'unknown'}) uses this state"
            f" directory; {remedy}"
        ) from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _explained(path: Path, error: sqlite3.DatabaseError) -> StoreError:
    """What SQLite said, and what a person does about it.  Codes: https://www.sqlite.org/rescode.html."""
    name = getattr(error, "sqlite_errorname", "") or "SQLITE_CORRUPT"  # quick_check's answer has no code
    for start, remedy in _REMEDIES:
        if name.startswith(start):
            reason = next((said for code, said in _REASONS if name.startswith(code)), None)
            if reason is not None:
                return StoreError(f"{path}: {error}; {remedy}", reason=reason)
            return StoreError(f"{path}: {error}; {remedy}")
    return StoreError(f"{path}: {error} ({name})")


_CORRUPT = (
    "the file is damaged or no database; put a backup in its place (<name>.v<N>.backup beside it),"
    " or move it away to start anew without the finished tasks"
)
_LOCKED = "another program holds the database open in a transaction; end it and try again"
_RIGHTS = "give this user the rights to the state directory, or name another (--state-dir)"
_REMEDIES = (
    ("SQLITE_NOTADB", _CORRUPT),
    ("SQLITE_CORRUPT", _CORRUPT),
    ("SQLITE_BUSY", _LOCKED),
    ("SQLITE_LOCKED", _LOCKED),
    ("SQLITE_READONLY", _RIGHTS),
    ("SQLITE_CANTOPEN", _RIGHTS),
    ("SQLITE_PERM", _RIGHTS),
    ("SQLITE_INTERRUPT", "the daemon is stopping; ask again when it is up"),
    ("SQLITE_FULL", "the disk is full; make room"),
    ("SQLITE_IOERR", "the disk or file system fails; look into the kernel's log"),
)
_REASONS = (
    ("SQLITE_FULL", FULL),
    ("SQLITE_READONLY", UNWRITABLE),
    ("SQLITE_IOERR", "the server's disk fails"),
    ("SQLITE_BUSY", "the server's database is locked"),
    ("SQLITE_LOCKED", "the server's database is locked"),
    ("SQLITE_CORRUPT", "the server's database is damaged"),
    ("SQLITE_NOTADB", "the server's database is damaged"),
)
"""What everybody may know."""
