# SPDX-License-Identifier: Apache-2.0
"""The configuration's ``database`` and ``redis``: the servers that several nodes share.

No message repeats a URL: it may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from stackviz_deployer.errors import ConfigError
from stackviz_deployer.settings import MysqlServer, RedisServer

_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_PREFIX = re.compile(r"[A-Za-z0-9_.:{}-]{1,64}")
_DATABASES = 65_536
"""More than any Redis has."""


def database(key: str, text: str, environ: Mapping[str, str]) -> MysqlServer:
    """``mysql://user:password@host:port/name?ssl_ca=...``, or ``mysql``: what ``MYSQL_*`` say.

    Raises ConfigError.
    """
    if text == "mysql":
        return MysqlServer(
            user=environ.get("MYSQL_ENV_MYSQL_USER") or "stackviz",
            password=environ.get("MYSQL_ENV_MYSQL_PASSWORD") or "stackviz",
            name=environ.get("MYSQL_ENV_MYSQL_DATABASE") or "stackviz",
            host=environ.get("MYSQL_PORT_3306_TCP_ADDR") or "localhost",
            port=_variable("MYSQL_PORT_3306_TCP_PORT", environ, 3306),
        )
    form = "mysql://user:password@host:port/name, or mysql"
    parts = _split(key, text, ("mysql",), form)
    query = _query(key, parts, {"ssl", "ssl_ca"})
    ssl_ca = query.get("ssl_ca")
    tls = _flag(f"{key}?ssl", query["ssl"]) if "ssl" in query else ssl_ca is not None
    if ssl_ca is not None and not tls:
        raise ConfigError(f"{key}: ssl_ca is of no use with ssl=false")
    name = unquote(parts.path.removeprefix("/"))
    if not name or "/" in name or len(name) > 64:
        raise ConfigError(f"{key}: a database must be named, as in {form}")
    return MysqlServer(
        user=unquote(parts.username or "stackviz"),
        password=unquote(parts.password or ""),
        host=parts.hostname or "",
        port=parts.port or 3306,
        name=name,
        tls=tls,
        ssl_ca=ssl_ca,
    )


def redis(key: str, text: str, environ: Mapping[str, str]) -> RedisServer:
    """``redis[s]://user:password@host:port/number?prefix=...&ssl_ca=...``, or ``env``: ``REDIS_PORT_6379_*``.

    Raises ConfigError.
    """
    if text == "env":
        return RedisServer(
            host=environ.get("REDIS_PORT_6379_TCP_ADDR") or "localhost",
            port=_variable("REDIS_PORT_6379_TCP_PORT", environ, 6379),
        )
    form = "redis://:password@host:port/0, rediss://..., or env"
    parts = _split(key, text, ("redis", "rediss"), form)
    query = _query(key, parts, {"prefix", "ssl_ca"})
    number = parts.path.removeprefix("/") or "0"
    if not number.isascii() or not number.isdigit() or int(number) >= _DATABASES:
        raise ConfigError(f"{key}: Redis numbers its databases, as in {form}")
    prefix = query.get("prefix", "stackviz:")
    if not _PREFIX.fullmatch(prefix):
        raise ConfigError(f"{key}: a prefix has letters, digits and _.:-, 64 at most")
    if "ssl_ca" in query and parts.scheme != "rediss":
        raise ConfigError(f"{key}: ssl_ca is of use with rediss:// alone")
    return RedisServer(
        host=parts.hostname or "",
        port=parts.port or 6379,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        db=int(number),
        tls=parts.scheme == "rediss",
        ssl_ca=query.get("ssl_ca"),
        prefix=prefix,
    )


def _split(key: str, text: str, schemes: tuple[str, ...], form: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        bad = parts.scheme not in schemes or not parts.hostname or parts.fragment or parts.port == 0
    except ValueError:  # its text may repeat the URL
        bad = True
    if bad:
        raise ConfigError(f"{key}: a URL is needed, as in {form} (with %-escapes in the password)")
    return parts


def _query(key: str, parts: SplitResult, known: set[str]) -> dict[str, str]:
    found = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(found) - known):
        raise ConfigError(f"{key}: unknown {unknown[0]!r} behind the ?; known are {', '.join(sorted(known))}")
    return found


def _flag(key: str, text: str) -> bool:
    if text not in _TRUE + _FALSE:
        raise ConfigError(f"{key}: true or false is needed, not {text!r}")
    return text in _TRUE


def _variable(name: str, environ: Mapping[str, str], default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65_536:
        raise ConfigError(f"{name}: {text!r} is no port")
    return int(text)
