# SPDX-License-Identifier: Apache-2.0
"""What statements are written for, whichever database runs them.

One text of SQL serves SQLite, MySQL and MariaDB.  ``?`` stands for a value, ``:name`` for one of
a mapping.  What MySQL alone needs stands in its own comments, ``/*! FOR UPDATE */``: it runs them,
SQLite skips them.  What only one of them knows (``MAX(a, b)``, ``GREATEST``, ``INDEXED BY``,
partial indices, ``LIMIT`` within ``IN``) is not used.  The form of the tables is another matter:
see migrations/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeAlias, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Kind = Literal["read", "write"]


class Cursor(Protocol):
    """What statements use of a cursor of sqlite3; an open transaction."""

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /) -> Cursor: ...
    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> Sequence[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...
    @property
    def rowcount(self) -> int: ...


Statement: TypeAlias = Callable[Concatenate[Cursor, P], T]
"""A module-level function of a transaction: it must not wait, nor give out the cursor."""


class Database(Protocol):
    """``write`` and ``read`` each run a function in a transaction of its own."""

    async def write(self, fn: Statement[P, T], *args: P.args, **kw: P.kwargs) -> T:
        """``fn(txn, ...)`` as one transaction; durable when this returns.

        An exception rolls back; cancelling does not: the transaction still runs.  ``fn`` may run
        more than once, when others were in its way, but only one run is kept.
        Raises what ``fn`` raises, StoreError when the database fails, and UnknownOutcomeError
        when nobody can tell whether it was kept.
        """

    async def read(self, fn: Statement[P, T], *args: P.args, **kw: P.kwargs) -> T:
        """``fn(txn, ...)`` in one snapshot; it cannot change anything.

        Raises what ``fn`` raises, and StoreError when the database fails.
        """

    def turn(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Whether it is our turn to do what only one node may do at a time, until the context ends."""
