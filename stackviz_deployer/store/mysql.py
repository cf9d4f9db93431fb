# SPDX-License-Identifier: Apache-2.0
"""A MySQL or MariaDB server that several nodes share, through adbapi and PyMySQL.

Writes run at READ COMMITTED: a statement sees what others committed before it, and one that reads
first locks what it read (``/*! FOR UPDATE */``), so that no decision rests on what is no more.
Above that level InnoDB would lock gaps between rows, too, over which nodes that only create and
claim would meet in deadlocks.  Reads run at REPEATABLE READ, in one snapshot, and lock nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from typing import Any, ParamSpec, TypeVar

import pymysql
from pymysql.err import IntegrityError, MySQLError, ProgrammingError
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from stackviz_deployer.errors import StoreError, UnknownOutcomeError, UnreachableError
from stackviz_deployer.settings import MysqlServer
from stackviz_deployer.store.database import Cursor, Kind, Statement
from stackviz_deployer.store.inflight import InFlight
from stackviz_deployer.store.migrate import Migration, load
from stackviz_deployer.store.mysql_errors import (
    CHANGED,
    DEADLOCK,
    DUPLICATE,
    LOCK_WAIT,
    code_of,
    explained,
    is_lost,
)
from stackviz_deployer.store.mysql_migrate import lock_name, migrate, newer_form, version
from stackviz_deployer.store.mysql_pool import (
    IDLE_S,
    LOCK_S,
    STATEMENT_S,
    THREADS,
    MysqlCursor,
    MysqlPool,
    PooledConnection,
    Reachable,
    connect_options,
    set_up,
)
from stackviz_deployer.trace import carried

log = Logger()

P = ParamSpec("P")
T = TypeVar("T")


RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "INDEX", "DROP")
"""What statements and forms, of this release and later ones, need."""
MIGRATE_S = 600
MOST_TRIES = {DEADLOCK: 6, CHANGED: 6, LOCK_WAIT: 2, DUPLICATE: 2}
"""Of a transaction that others are in the way of.

A lock was waited for already, for LOCK_S; a duplicate is what another node made since we looked,
which the next look shows.
"""
FORM_S = 10.0
"""Between two looks at whether a newer release has changed the tables under us."""
PAUSE_S = 0.02
"""The longest pause before the second try; it doubles."""

_BEGIN = {"read": "START TRANSACTION READ ONLY", "write": "START TRANSACTION READ WRITE"}


class MysqlDatabase(Service):
    """store.database.Database over a server."""

    def __init__(
        self,
        server: MysqlServer,
        reactor: Any,
        *,
        migrations: Sequence[Migration] | None = None,
        stop_s: float = 10.0,
        lock_s: int = LOCK_S,
        statement_s: float = STATEMENT_S,
        idle_s: int = IDLE_S,
        form_s: float = FORM_S,
        opened: Callable[[Cursor], None] = lambda _: None,
    ) -> None:
        """``reactor``: IReactorCore, IReactorThreads and IReactorTime; ``migrations``: None = the package's.

        ``lock_s``: how long a statement waits for rows that another has, ``statement_s``: how long it
        may take at all, ``idle_s``: how long a transaction may ask nothing; ``stop_s``: how long
        stopping waits before it cuts connections; ``form_s``: between two looks at the database's form.
        ``opened`` may read in the database of our form, before anybody else does.
        """
        self._server = server
        self._reactor = reactor
        self._migrations = migrations
        self._stop_s = stop_s
        self._lock_s = lock_s
        self._statement_s = statement_s
        self._idle_s = idle_s
        self._opened = opened
        self._calls = InFlight()
        self._pools: dict[str, MysqlPool] = {}
        self._newest = 0
        """The form that we know."""
        self._newer: str | None = None
        """Why nothing is read or written any more, for the operator."""
        self._look = LoopingCall(lambda: Deferred.fromCoroutine(self._look_at_form()))
        self._look.clock = reactor
        self._form_s = form_s

    def startService(self) -> None:
        """Bring the database to our form; waits for it.  Raises StoreError: how to mend it."""
        migrations = load("mysql") if self._migrations is None else self._migrations
        try:
            options = connect_options(self._server)
            with closing(pymysql.connect(**options)) as connection:
                set_up(connection, "write", lock_s=MIGRATE_S, statement_s=MIGRATE_S, answer_s=2 * MIGRATE_S)
                with closing(connection.cursor()) as cursor:
                    txn = MysqlCursor(cursor)
                    migrate(txn, self._server.where, self._server.name, migrations)
                    self._opened(txn)
        except MySQLError as error:
            raise explained(self._server.where, error) from error
        except OSError as error:
            raise _no_authorities(self._server, error) from error
        down = Reachable()
        self._pools = {
            kind: MysqlPool(
                kind,
                options,
                down,
                self._reactor,
                lock_s=self._lock_s,
                statement_s=self._statement_s,
                idle_s=self._idle_s,
            )
            for kind in THREADS
        }
        self._newest = migrations[-1].version
        self._calls.open()
        self._look.start(self._form_s, now=False)
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Wait for what runs, then close; what is asked from now on is refused."""
        super().stopService()
        if self._look.running:
            self._look.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        try:
            await self._calls.shut().addTimeout(self._stop_s, self._reactor)
        except DeadlineError:
            log.warn(  # noqa: G010 - Twisted's Logger has no warning()
                "statements still run after {seconds} s, cutting them off", seconds=self._stop_s
            )
            for pool in self._pools.values():
                pool.cut()
        for pool in self._pools.values():
            pool.close()
        self._pools = {}

    async def write(self, fn: Statement[P, T], *args: P.args, **kw: P.kwargs) -> T:
        """See store.database.Database; begun anew when another transaction was in the way."""
        return await self._run("write", fn, *args, **kw)

    async def read(self, fn: Statement[P, T], *args: P.args, **kw: P.kwargs) -> T:
        """See store.database.Database; asked once more on a new connection when one was lost."""
        return await self._run("read", fn, *args, **kw)

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[bool]:
        """See store.database.Database: a lock of the server, which ends with our connection at the latest.

        Raises StoreError.
        """
        self._check_form()
        lock = lock_name(self._server.name, name)
        ours = await self._in_thread("turn", lambda connection: _take(connection, lock))
        try:
            yield ours
        finally:
            if ours:
                with suppress(StoreError):  # then the connection is gone, and the lock with it
                    await self._in_thread("turn", lambda connection: _give(connection, lock))

    async def _look_at_form(self) -> None:
        try:
            found = await self._in_thread("read", lambda connection: _transact(connection, "read", version))
        except StoreError:  # it is away, as others tell
            return
        except Exception:  # noqa: BLE001  a table that is just being put back must not end the looking
            log.failure("looking at the database's form")
            return
        newer = self._newest < found
        if newer and self._newer is None:
            log.critical("a newer release has changed the database: nothing more is done with it")
        self._newer = newer_form(self._server.where, found, self._newest) if newer else None

    def _check_form(self) -> None:
        if self._newer is not None:
            raise UnreachableError(self._newer, reason="the server's database was changed by a newer release")

    async def _run(self, kind: Kind, fn: Statement[P, T], *args: P.args, **kw: P.kwargs) -> T:
        self._check_form()
        return await self._in_thread(
            kind, lambda connection: _transact(connection, kind, lambda txn: fn(txn, *args, **kw))
        )

    async def _in_thread(self, pool: str, work: Callable[[PooledConnection], T]) -> T:
        def submit() -> Deferred[T]:
            done: Deferred[T] = self._pools[pool].runWithConnection(carried(work))
            return done

        try:
            return await self._calls.run(submit)
        except _LostInCommitError as error:
            raise UnknownOutcomeError(
                f"{self._server.where}: the connection was lost in a COMMIT, which may have been done or not",
                reason="the server's database cannot be reached",
            ) from error
        except (IntegrityError, ProgrammingError):
            raise  # a mistake of ours, for the log with its traceback
        except MySQLError as error:
            raise explained(self._server.where, error) from error


class _LostInCommitError(Exception):
    pass


def form_of(server: MysqlServer) -> int:
    """The form that the database has, 0 of an empty one.  Blocks.  Raises StoreError."""
    return _asked(server, lambda cursor: version(MysqlCursor(cursor)))


def missing_rights(server: MysqlServer) -> Sequence[str]:
    """Which of RIGHTS the user has not; none when it cannot be told (rights by a role).  Likewise."""

    def ask(cursor: Any) -> Sequence[str]:
        cursor.execute("SELECT CURRENT_ROLE()")
        if cursor.fetchone()[0] not in (None, "NONE"):
            return ()
        # a right's schema may be a pattern, as LIKE has them
        cursor.execute(
            "SELECT privilege_type FROM information_schema.user_privileges UNION SELECT privilege_type"
            " FROM information_schema.schema_privileges WHERE DATABASE() LIKE table_schema"
        )
        held = {row[0] for row in cursor.fetchall()}
        return tuple(right for right in RIGHTS if right not in held)

    return _asked(server, ask)


def _asked(server: MysqlServer, ask: Callable[[Any], T]) -> T:
    try:
        with closing(pymysql.connect(**connect_options(server))) as connection:
            set_up(connection, "read", lock_s=LOCK_S, statement_s=STATEMENT_S)
            with closing(connection.cursor()) as cursor:
                return ask(cursor)
    except MySQLError as error:
        raise explained(server.where, error) from error
    except OSError as error:
        raise _no_authorities(server, error) from error


def _no_authorities(server: MysqlServer, error: OSError) -> StoreError:
    return StoreError(f"{server.where}: 'ssl_ca' in 'database' names {server.ssl_ca}: {error}")


def _transact(connection: PooledConnection, kind: Kind, fn: Callable[[Cursor], T]) -> T:
    """One transaction, begun again while that is harmless: nothing of the try before was kept."""
    tries, reconnected = 1, False
    while True:
        committing = False
        try:
            with closing(connection.cursor()) as cursor:
                cursor.execute(_BEGIN[kind])
                result = fn(MysqlCursor(cursor))
                committing = kind == "write"
                cursor.execute("COMMIT")
                return result
        except MySQLError as error:
            if is_lost(error):
                connection.drop()
                if committing:
                    raise _LostInCommitError from error
                if reconnected:
                    raise
                reconnected = True
                connection.reconnect()
                continue
            connection.undo()
            if tries >= MOST_TRIES.get(code_of(error), 1):
                raise
        except BaseException:
            connection.undo()
            raise
        time.sleep(random.uniform(0, PAUSE_S * 2**tries))  # noqa: S311 - no secret; a thread of the pool
        tries += 1


def _take(connection: PooledConnection, lock: str) -> bool:
    for last in (False, True):
        try:
            with closing(connection.cursor()) as cursor:
                cursor.execute("SELECT GET_LOCK(%s, 0)", (lock,))
                return bool(cursor.fetchone()[0] == 1)
        except MySQLError as error:
            connection.drop()
            if last or not is_lost(error):
                raise
            connection.reconnect()
    raise AssertionError("unreachable")


def _give(connection: PooledConnection, lock: str) -> None:
    try:
        with closing(connection.cursor()) as cursor:
            cursor.execute("DO RELEASE_LOCK(%s)", (lock,))
    except MySQLError:
        connection.drop()
        raise
