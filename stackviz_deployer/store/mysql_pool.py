# SPDX-License-Identifier: Apache-2.0
"""Connections to MySQL or MariaDB in adbapi's threads, and a cursor that our statements understand."""

from __future__ import annotations

import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import lru_cache
from typing import Any, TypeVar

from pymysql.constants import CLIENT
from pymysql.err import MySQLError, OperationalError
from twisted.enterprise import adbapi

from stackviz_deployer.errors import StoreError
from stackviz_deployer.settings import MysqlServer

T = TypeVar("T")

THREADS: dict[str, int] = {"read": 4, "write": 4, "turn": 1}
"""Connections of a node, each with a thread of its own."""

CONNECT_S = 5
"""For making a connection, and then for each word of the server until it is set up."""
STATEMENT_S = 10
ANSWER_S = 12
"""For which a thread waits for the server's next bytes; then the connection is given up.

The server ends a statement before that.
"""
LOCK_S = 5
IDLE_S = 15
"""For which a transaction of ours may ask nothing; then the server ends it, and others get at its rows.

So long they wait for those of a node that is suspended, or lost its power: TCP alone would tell in hours.
"""
DOWN_S = 1.0
"""For which nobody tries to connect after somebody could not: who waits is told at once."""

_SQL_MODE = "STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
_ISOLATION = {"read": "REPEATABLE READ", "write": "READ COMMITTED", "turn": "READ COMMITTED"}


class MysqlCursor:
    """store.database.Cursor over PyMySQL's."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._most: int = cursor.connection.largest_statement

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> MysqlCursor:
        """Run it; its rows are here, and are fetched from this."""
        statement: str = self._cursor.mogrify(_translated(sql), parameters)
        # The server would cut the connection, which looks as if it had failed.
        if len(statement) * 4 > self._most and len(statement.encode(errors="replace")) >= self._most:
            raise StoreError(
                f"a statement of {len(statement)} characters is too large for the server's database;"
                f" raise its max_allowed_packet, which is {self._most}",
                reason="the server's database takes no row so large",
            )
        self._cursor.execute(statement)
        return self

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> MysqlCursor:
        """Run it for each."""
        for values in parameters:
            self.execute(sql, values)
        return self

    def fetchone(self) -> Any:
        """The next row, or None."""
        return self._cursor.fetchone()

    def fetchall(self) -> Sequence[Any]:
        """The rows that are left."""
        rows: Sequence[Any] = self._cursor.fetchall()
        return rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())

    @property
    def rowcount(self) -> int:
        """Rows that the statement met, changed or not."""
        return int(self._cursor.rowcount)


@lru_cache(maxsize=256)
def _translated(sql: str) -> str:
    """``?`` and ``:name`` in PyMySQL's way.  Neither stands in a literal of our SQL."""
    sql = sql.replace("%", "%%").replace("?", "%s")
    return re.sub(r":([a-z]\w*)", r"%(\1)s", sql)


class PooledConnection(adbapi.Connection):
    """A thread's connection.  Our transactions end themselves, so adbapi's ends do nothing."""

    def commit(self) -> None:
        """Done already, or not to be done."""

    def rollback(self) -> None:
        """Done already."""

    def undo(self) -> None:
        """Roll back; a connection that cannot is dropped, which does the same."""
        try:
            with closing(self.cursor()) as cursor:
                cursor.execute("ROLLBACK")
        except MySQLError:
            self.drop()

    def drop(self) -> None:
        """Close it; whoever comes next to this thread gets a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.disconnect(connection)


class Reachable:
    """Whether the server could be reached when somebody tried last; the threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: tuple[float, MySQLError] | None = None

    def shut(self) -> None:
        """Let nobody connect any more."""
        with self._lock:
            self._failed = (math.inf, OperationalError(2006, "the daemon is stopping"))

    def connect(self, connect: Callable[[], T]) -> T:
        """What ``connect`` gives, unless it failed a moment ago."""
        with self._lock:
            failed = self._failed
        if failed is not None and time.monotonic() < failed[0]:
            raise type(failed[1])(*failed[1].args)
        try:
            connection = connect()
        except MySQLError as error:
            with self._lock:
                self._failed = (time.monotonic() + DOWN_S, error)
            raise
        with self._lock:
            self._failed = None
        return connection


class MysqlPool(adbapi.ConnectionPool):
    """Threads of one kind (a key of THREADS), a connection each."""

    connectionFactory = PooledConnection

    def __init__(
        self,
        kind: str,
        options: Mapping[str, Any],
        down: Reachable,
        reactor: Any,
        *,
        lock_s: int,
        statement_s: float,
        idle_s: int,
    ) -> None:
        super().__init__(
            "pymysql",
            **options,
            cp_min=1,
            cp_max=THREADS[kind],
            cp_openfun=lambda connection: set_up(
                connection, kind, lock_s=lock_s, statement_s=statement_s, idle_s=idle_s
            ),
            cp_reactor=reactor,
            cp_name=f"mysql-{kind}",
        )
        self._down = down

    def connect(self) -> Any:
        """The connection of the thread that calls."""
        if (connection := self.connections.get(self.threadID())) is not None:
            return connection
        return self._down.connect(super().connect)

    def cut(self) -> None:
        """End what the threads wait for, for good: PyMySQL has no way of its own to do so from outside."""
        self._down.shut()
        for connection in list(self.connections.values()):
            with suppress(OSError, AttributeError):
                connection._sock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001 - no other way


def connect_options(server: MysqlServer) -> dict[str, Any]:
    """For pymysql.connect.  Raises OSError when the certificates cannot be read."""
    options: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password.encode(),
        "database": server.name,
        "charset": "utf8mb4",
        "autocommit": True,  # we say START TRANSACTION ourselves
        "connect_timeout": CONNECT_S,
        "read_timeout": CONNECT_S,
        "write_timeout": ANSWER_S,
        "client_flag": CLIENT.FOUND_ROWS,  # as SQLite counts them
        "program_name": "stackviz-deployer",
        "local_infile": False,
    }
    if server.tls:
        options["ssl"] = ssl.create_default_context(cafile=server.ssl_ca)
    return options


def set_up(
    connection: Any,
    kind: str,
    *,
    lock_s: int,
    statement_s: float,
    idle_s: int = IDLE_S,
    answer_s: float = ANSWER_S,
) -> None:
    """What a server, or another program's defaults, must not decide for us."""
    with closing(connection.cursor()) as cursor:
        cursor.execute("SELECT VERSION(), @@max_allowed_packet")
        version, connection.largest_statement = cursor.fetchone()
        if "MariaDB" in version:
            limits = f"max_statement_time = {statement_s:f}, idle_transaction_timeout = {idle_s:d}"
        else:
            limits = f"max_execution_time = {int(statement_s * 1000):d}"
            if kind == "write":  # it knows no limit of transactions alone
                limits += f", wait_timeout = {idle_s:d}"
        cursor.execute(
            f"SET SESSION sql_mode = '{_SQL_MODE}', time_zone = '+00:00',"
            f" innodb_lock_wait_timeout = {lock_s:d}, {limits}"
        )
        cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {_ISOLATION[kind]}")
    connection._read_timeout = answer_s  # noqa: SLF001 - it takes one, for connecting and for all else
