# SPDX-License-Identifier: Apache-2.0
"""The form of a shared database, brought to ours by one node at a time.

The table ``stackviz_form`` says which form it has.  A statement that changes tables commits by
itself in MySQL, so a step cannot be all or nothing: its statements can be repeated instead,
and its number is noted behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from twisted.logger import Logger

from stackviz_deployer.errors import StoreError
from stackviz_deployer.store.migrate import Migration, statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stackviz_deployer.store.database import Cursor

log = Logger()

OTHERS_S = 120
"""For which a node waits for another that changes the form."""

_OURS = ("tasks", "artifacts", "expired_artifacts", "marks", "condemned")


def migrate(txn: Cursor, where: str, name: str, migrations: Sequence[Migration]) -> int:
    """Bring the database ``name`` to the newest form; how many steps it took.  Each statement commits.

    Raises StoreError for tables that are another program's or a newer release's.
    """
    with _alone(txn, where, name):
        found = version(txn)
        newest = migrations[-1].version
        if found > newest:
            raise StoreError(newer_form(where, found, newest))
        if found == 0:
            _check_foreign(txn, where)
        todo = [m for m in migrations if m.version > found]
        txn.execute(
            "CREATE TABLE IF NOT EXISTS stackviz_form (one TINYINT PRIMARY KEY, version INT NOT NULL)"
            " ENGINE = InnoDB"
        )
        collation = _collation(txn)
        for migration in todo:
            for statement in statements(migration.sql):
                txn.execute(statement.replace("{collation}", collation))
            txn.execute("REPLACE INTO stackviz_form (one, version) VALUES (1, ?)", (migration.version,))
            log.info("migrated the database by {name}", name=migration.name)
        return len(todo)


def newer_form(where: str, found: int, newest: int) -> str:
    """Why the database is not for this release, and what to do."""
    return (
        f"{where} was written by a newer stackviz-deployer (form {found}, this one knows {newest});"
        " install that release on every node"
    )


@contextmanager
def _alone(txn: Cursor, where: str, name: str) -> Iterator[None]:
    lock = lock_name(name, "form")
    if txn.execute("SELECT GET_LOCK(?, ?)", (lock, OTHERS_S)).fetchone()[0] != 1:
        raise StoreError(
            f"{where}: another node has been changing the form for {OTHERS_S} s; try again later"
        )
    try:
        yield
    finally:
        txn.execute("DO RELEASE_LOCK(?)", (lock,))


def lock_name(database: str, what: str) -> str:
    """Of GET_LOCK, whose names all databases of a server share; the server keeps 64 characters."""
    return f"stackviz.{what}.{database}"[:64]


def version(txn: Cursor) -> int:
    """The form that there is; 0: none."""
    if not _tables(txn) & {"stackviz_form"}:
        return 0
    row = txn.execute("SELECT version FROM stackviz_form").fetchone()
    return 0 if row is None else int(row[0])


def _check_foreign(txn: Cursor, where: str) -> None:
    """A kill during the first step leaves tables of ours; then there is a table of the form already."""
    tables = _tables(txn)
    if "stackviz_form" not in tables and (found := sorted(tables & set(_OURS))):
        raise StoreError(
            f"{where} has tables of another program ({', '.join(found)}); give stackviz-deployer a database"
            " of its own"
        )


def _tables(txn: Cursor) -> frozenset[str]:
    rows = txn.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
    return frozenset(row[0] for row in rows.fetchall())


def _collation(txn: Cursor) -> str:
    """By code points, with blanks at the end counted, as SQLite compares."""
    server = str(txn.execute("SELECT VERSION()").fetchone()[0])
    return "utf8mb4_nopad_bin" if "MariaDB" in server else "utf8mb4_0900_bin"
