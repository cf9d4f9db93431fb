# SPDX-License-Identifier: Apache-2.0
"""The form of the database, and the way from an older one to ours.

``PRAGMA user_version`` says which form a file has: the number of the last migration that
ran.  Migrations are package data, ``migrations/<dialect>/NNNN_name.sql``, numbered without a
gap and never edited after a release.  What differs for MySQL stands in mysql_migrate.py.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from attrs import frozen
from twisted.logger import Logger

from stackviz_deployer.errors import StoreError
from stackviz_deployer.store.files import fsync_directory, fsync_file

log = Logger()

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


@frozen
class Migration:
    """One step: from ``version - 1`` to ``version``."""

    version: int
    name: str
    sql: str


Dialect = Literal["sqlite", "mysql"]
FIRST: dict[Dialect, int] = {"sqlite": 1, "mysql": 3}
"""The form with which each began; the numbers are the same ones."""


def load(dialect: Dialect = "sqlite", directory: Traversable | None = None) -> tuple[Migration, ...]:
    """The migrations of the package (or of ``directory``), in order.

    Raises StoreError when their numbers have a gap: the installation is incomplete.
    """
    if directory is None:
        directory = resources.files("stackviz_deployer.store") / "migrations" / dialect
    found = sorted(
        (
            Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8"))
            for entry in directory.iterdir()
            if (match := _NAME.fullmatch(entry.name))
        ),
        key=lambda migration: migration.version,
    )
    first = FIRST[dialect]
    if not found or [m.version for m in found] != list(range(first, first + len(found))):
        raise StoreError(
            f"the package's migrations are incomplete ({', '.join(m.name for m in found) or 'none'});"
            " install stackviz-deployer again"
        )
    return tuple(found)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> int:
    """Bring the database at ``path``, open in ``connection``, to the newest form; how many steps it took.

    Each step is one transaction, its number included, so that a kill leaves the form before
    or after it.  A database that holds something is first copied to
    ``<name>.v<version>.backup``.  The connection must have ``isolation_level=None``.
    Raises StoreError for a file that is another program's or a newer release's.
    """
    version = _version(connection)
    newest = migrations[-1].version
    if version > newest:
        raise StoreError(
            f"{path} was written by a newer stackviz-deployer (form {version}, this one knows {newest});"
            f" install that release, or put the backup {path.name}.v{newest}.backup back in its place"
        )
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise StoreError(f"{path} is another program's database; name another state directory (--state-dir)")
    todo = [m for m in migrations if m.version > version]
    if version and todo:
        backup = path.with_name(f"{path.name}.v{version}.backup")
        _back_up(connection, backup)
        log.info("kept the database as it was at {backup}", backup=str(backup))
    for migration in todo:
        _step(connection, migration)
        if version:
            log.info("migrated the database by {name}", name=migration.name)
    return len(todo)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _step(connection: sqlite3.Connection, migration: Migration) -> None:
    # A table can be rebuilt only with foreign keys off, and the switch does nothing inside
    # of a transaction.  No executescript: it would commit first.
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements(migration.sql):
            connection.execute(statement)
        _check_references(connection, migration)
        connection.execute(f"PRAGMA user_version = {migration.version:d}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk rolls back by itself
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _check_references(connection: sqlite3.Connection, migration: Migration) -> None:
    if broken := connection.execute("PRAGMA foreign_key_check").fetchall():
        raise StoreError(
            f"{migration.name} would leave {len(broken)} rows without the row that they belong to;"
            " nothing was changed; please report this"
        )


def statements(sql: str) -> Iterator[str]:
    """The statements of a script, one by one; a statement ends at the end of a line."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip() and not all(s.startswith("--") for s in pending.strip().splitlines()):
        raise StoreError(f"a migration's last statement has no end: {pending.strip()[:80]}")


def _back_up(connection: sqlite3.Connection, backup: Path) -> None:
    partial = backup.with_name(backup.name + ".part")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    with closing(sqlite3.connect(partial)) as copy:
        connection.backup(copy)
        # One file without companions: it can be put back with mv alone.
        copy.execute("PRAGMA journal_mode = DELETE")
    fsync_file(partial)
    partial.replace(backup)
    fsync_directory(backup.parent)
