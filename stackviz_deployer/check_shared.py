# SPDX-License-Identifier: Apache-2.0
"""``--check`` of the servers that several nodes share; blocking, and nothing there is changed."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from io import BufferedRWPair

from stackviz_deployer.check import CONNECT_S, Finding
from stackviz_deployer.config import Config
from stackviz_deployer.errors import StoreError
from stackviz_deployer.settings import MysqlServer, RedisServer
from stackviz_deployer.store.migrate import load

LEAST_REDIS = (6, 2)
"""XAUTOCLAIM came with it."""
MOST_BYTES = 64 << 10
"""Of an answer of Redis'."""


def shared(config: Config) -> Iterator[Finding]:
    """Whether both can be used; nothing without them."""
    if config.database is not None:
        yield _database(config.database)
    if config.redis is not None:
        yield _redis(config.redis)


def _database(server: MysqlServer) -> Finding:
    try:
        from stackviz_deployer.store.mysql import form_of, missing_rights  # noqa: PLC0415 - PyMySQL is for those who need it
    except ImportError as error:
        return Finding(
            "error", "database", f"mysql needs {error.name}; pip install 'stackviz-deployer[cluster]'"
        )
    try:
        form = form_of(server)
        missing = missing_rights(server)
    except StoreError as error:
        return Finding("error", "database", error.message)
    newest = load("mysql")[-1].version
    if form > newest:
        text = f"{server.where} was written by a newer release (form {form}, this one knows {newest})"
        return Finding("error", "database", f"{text}; install that")
    if missing:
        text = f"{server.where}: the user may not {', '.join(missing)} there; GRANT ALL ON it to this user"
        return Finding("error", "database", text)
    if form == newest:
        return Finding("ok", "database", f"{server.where}, form {form}")
    return Finding(
        "ok", "database", f"{server.where}; the next start brings its form from {form} to {newest}"
    )


def _redis(server: RedisServer) -> Finding:
    try:
        about = _about(server)
        version = tuple(int(part) for part in about["redis_version"].split(".") if part)
    except KeyError:
        return Finding("error", "redis", f"{server.where}: this is no Redis; correct 'redis'")
    except (OSError, ValueError) as error:
        remedy = "correct 'redis', or start the server"
        if not server.tls and isinstance(error, ConnectionResetError | _HungUpError):
            remedy = "does it want TLS (rediss://)?"
        return Finding("error", "redis", f"{server.where}: {error}; {remedy}")
    if version < LEAST_REDIS:
        least = ".".join(map(str, LEAST_REDIS))
        return Finding("error", "redis", f"{server.where}: Redis {least} or newer is needed")
    policy = about.get("maxmemory_policy", "noeviction")
    if about.get("maxmemory", "0") != "0" and policy != "noeviction":
        text = f"{server.where} removes what it likes when it is full: set its maxmemory-policy to noeviction"
        return Finding("warning", "redis", f"{text}, it is {policy}")
    return Finding("ok", "redis", f"{server.where}, Redis {'.'.join(map(str, version))}")


class _HungUpError(ValueError):
    pass


def _about(server: RedisServer) -> dict[str, str]:
    """What a server says of itself.  Raises OSError, and ValueError with what it said else."""
    with ExitStack() as closing:
        wire = closing.enter_context(socket.create_connection((server.host, server.port), timeout=CONNECT_S))
        if server.tls:
            context = ssl.create_default_context(cafile=server.ssl_ca)
            wire = closing.enter_context(context.wrap_socket(wire, server_hostname=server.host))
        file = closing.enter_context(wire.makefile("rwb"))
        if server.password is not None:
            user = [] if server.username is None else [server.username]
            _ask(file, "AUTH", *user, server.password)
        _ask(file, "SELECT", str(server.db))
        found = re.findall(
            r"^(\w+):([\w.-]+)\r?$", _ask(file, "INFO").decode("utf-8", "replace"), re.MULTILINE
        )
    return dict(found)


def _ask(file: BufferedRWPair, *words: str) -> bytes:
    """A command's answer.  Raises ValueError."""
    encoded = [word.encode() for word in words]
    file.write(b"*%d\r\n" % len(encoded))
    file.write(b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded))
    file.flush()
    line = file.readline(MOST_BYTES)
    if line[:1] == b"+":
        return line
    if line[:1] == b"$" and line[1:].strip().isdigit():
        return file.read(min(int(line[1:]), MOST_BYTES) + 2)
    if not line:
        raise _HungUpError("it hung up")
    raise ValueError(line[1:].decode("utf-8", "replace").strip()[:200])
