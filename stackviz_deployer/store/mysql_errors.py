# SPDX-License-Identifier: Apache-2.0
"""What MySQL's and MariaDB's errors mean for us: begin again, connect again, or tell the operator.

Codes: https://mariadb.com/kb/en/mariadb-error-codes/; those from 2000 on are the client's.
"""

from __future__ import annotations

import ssl

from pymysql.err import InterfaceError, MySQLError

from stackviz_deployer.errors import StoreError, UnreachableError
from stackviz_deployer.store.files import FULL

DEADLOCK, LOCK_WAIT, CHANGED, DUPLICATE = 1213, 1205, 1020, 1062
CR_SSL = 2026

_LOST = frozenset({1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 1970, 2006, 2013, 2014, 2055, 4031})
"""The connection is no more, or the server is about to end it."""


def code_of(error: BaseException) -> int:
    """0 of one that has none."""
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0


def is_lost(error: MySQLError) -> bool:
    """Whether a new connection may help."""
    # InterfaceError: what PyMySQL says of a connection that it has closed before
    return code_of(error) in _LOST or isinstance(error, InterfaceError)


def explained(where: str, error: MySQLError) -> StoreError:
    """What the server said, and what a person does about it; ``where``: without the password."""
    code = code_of(error)
    said = (str(error.args[1]) if len(error.args) > 1 else str(error)) or "the connection was lost"
    if isinstance(getattr(error, "original_exception", None), ssl.SSLError):
        code = CR_SSL  # PyMySQL says 2003 of it, as of a server that is not there
    for codes, remedy, reason in _REMEDIES:
        if code in codes:
            kind = UnreachableError if reason is _AWAY else StoreError
            return kind(f"{where}: {said}; {remedy}", reason=reason)
    return StoreError(f"{where}: {said} (error {code})", reason="the server's database fails")


_AWAY = "the server's database cannot be reached"
_REMEDIES: tuple[tuple[frozenset[int], str, str], ...] = (
    (
        frozenset({2002, 2003, 2005}),
        "is it running, and do 'database' and the firewall name the right place?",
        _AWAY,
    ),
    (
        _LOST | {2012, 2020, 2027, 0},
        "it restarts, or something between here and there cuts connections",
        _AWAY,
    ),
    (
        frozenset({1045, 1251, 1524, 1698, 2054, 2059}),
        "correct the user and the password in 'database', or the server's accounts",
        _AWAY,
    ),
    (
        frozenset({1044, 1049, 1142, 1143, 1227, 1370}),
        "create the database, and GRANT ALL ON it to this user",
        _AWAY,
    ),
    (frozenset({CR_SSL}), "compare 'ssl_ca' with the server's certificate and its name", _AWAY),
    (
        frozenset({1040, 1203, 1226, 1129}),
        "allow more connections (max_connections): each node has up to 9",
        "the server's database has too many connections",
    ),
    (
        frozenset({1290, 1792, 1836, 1223, 1209}),
        "name the server that may be written to",
        "the server's database cannot be written to",
    ),
    (
        frozenset({1153, 1301}),
        "raise the server's max_allowed_packet",
        "the server's database takes no row so large",
    ),
    (frozenset({3, 28, 1021, 1114}), "the server's disk is full; make room", FULL),
    (
        frozenset({DEADLOCK, LOCK_WAIT, CHANGED}),
        "something holds rows locked for long: see SHOW ENGINE INNODB STATUS",
        "the server's database is busy",
    ),
    (
        frozenset({1969, 3024, 1317}),
        "a statement took too long: see the server's slow query log",
        "the server's database is slow",
    ),
)
