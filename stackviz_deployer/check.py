# SPDX-License-Identifier: Apache-2.0
"""``twistd stackviz-deployer --check``: are the configuration and the parts it names usable here and now.

Blocking, before any reactor runs; nothing is changed or left behind.  Each part gives one
line: ``ok``, ``warning`` (the daemon would start) or ``error`` (it would not, or could do
nothing), and what to do.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from fcntl import LOCK_NB, LOCK_SH, LOCK_UN, flock
from ipaddress import ip_address
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import frozen

from stackviz_deployer.config import Config
from stackviz_deployer.descriptors import affordable, hard_limit, needed
from stackviz_deployer.settings import Bucket, Directory

CONNECT_S = 5.0
"""For one address of a server: the connection and TLS."""
RESOLVE_S = 5.0
"""For a server's name."""
MAX_ADDRESSES = 4
"""Of one server that are tried."""
WORKER_S = 30.0
LOW_BYTES = 1 << 30
"""Free room below which a warning is due."""

Verdict = Literal["ok", "warning", "error"]
Refusal = Callable[[str, int], str | None]
"""What speaks against a connection to a numeric address and port, in words; None when nothing does."""


@frozen
class Finding:
    """What was found of one part."""

    verdict: Verdict
    part: str
    text: str

    def __str__(self) -> str:
        return f"{self.verdict:8}{self.part}: {self.text}"


@frozen(kw_only=True)
class Means:
    """What ``check`` asks of the parts that it may not know (tap/ knows them)."""

    parse_endpoint: Callable[[str], object]
    """Raises ValueError or TypeError; whatever its certificate is to blame for."""
    newest_form: Callable[[], int]
    """Of the database."""
    shared: Callable[[Config], Iterator[Finding]]
    """Of the servers that several nodes share."""
    worker_command: Sequence[str]
    """Starts a parser process."""
    try_bucket: Callable[[Bucket], str | None]
    """What is wrong with it, and how to mend that; None when it can be used."""
    refusal: Callable[[str], str | None]
    """The guard's, for addresses of other servers."""
    is_among: Callable[[Sequence[tuple[str, int]], str, int], bool]
    """Whether who connects to an address and port comes to one of the first ones."""


def check(config: Config, means: Means) -> Iterator[Finding]:
    """Every part, one after the other; the servers side by side."""
    state = config.state_dir
    running = _holder(state / "stackviz.sqlite3.lock")
    if running is not None:
        yield Finding(
            "warning",
            "state_dir",
            f"{state} is in use by a running daemon (process {running}); its database and ports are judged"
            " as that daemon's",
        )
    yield from _state_dir(state)
    yield from _blobs(config.blobs, means.try_bucket)
    if config.database is None:
        yield _database(state / "stackviz.sqlite3", means.newest_form())
    yield from means.shared(config)
    ours = running is not None
    for endpoint in config.http:
        yield _endpoint("http", endpoint, means.parse_endpoint, ours=ours)
    if config.metrics is not None:
        yield _endpoint("metrics", config.metrics, means.parse_endpoint, ours=ours)
    yield _descriptors(config)
    yield _stackviz(config.stackviz)
    if config.jjb_yaml_path is not None:
        yield _jjb(config.jjb_yaml_path)
    yield _worker([*means.worker_command, str(config.limits.memory_bytes), "0", str(os.getpid())])
    own = _own(config)

    def refusal(address: str, port: int) -> str | None:
        why = means.refusal(address)
        if why is not None:
            return f"{why}; add its network to private_networks if it is meant"
        if means.is_among(own, address, port):
            return "where the daemon itself listens; it does not ask itself"
        return None

    yield from _servers(config, refusal)


def _holder(lock: Path) -> str | None:
    """The process id of the daemon that holds the state directory; None without one."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        flock(fd, LOCK_SH | LOCK_NB)
        flock(fd, LOCK_UN)
    except BlockingIOError:
        return os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
    finally:
        os.close(fd)
    return None


def _state_dir(state: Path) -> Iterator[Finding]:
    place = next((one for one in (state, *state.parents) if one.exists()), Path("/"))
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield Finding(
            "error",
            "state_dir",
            f"cannot write {place}; give this user the rights to it, or name another (--state-dir)",
        )
        return
    for name in ("blobs", "tmp", "uploads"):
        part = state / name
        if part.exists() and not os.access(part, os.W_OK | os.X_OK):
            yield Finding("error", "state_dir", f"cannot write {part}; give this user the rights to it")
    yield _free("state_dir", state, place)


def _free(part: str, named: Path, place: Path) -> Finding:
    room = os.statvfs(place)
    free = room.f_bavail * room.f_frsize
    shown = f"{named}, {free / (1 << 30):.1f} GiB free"
    if free < LOW_BYTES:
        return Finding("warning", part, f"{shown}; make room, or name another place")
    return Finding("ok", part, shown)


def _blobs(place: Directory | Bucket, try_bucket: Callable[[Bucket], str | None]) -> Iterator[Finding]:
    if isinstance(place, Bucket):
        trouble = try_bucket(place)
        shown = f"{place.endpoint}, bucket {place.bucket}"
        if trouble is None:
            yield Finding("ok", "blobs", f"{shown}: can be written, read, listed and deleted")
        else:
            yield Finding("error", "blobs", trouble)
        return
    path = place.path
    if path is None:
        return
    if not path.is_dir():
        yield Finding("error", "blobs", f"{path} is no directory; mount it, or make it")
        return
    for part in (path, path / "blobs", path / "tmp", path / "uploads"):
        if part.exists() and not os.access(part, os.W_OK | os.X_OK):
            yield Finding("error", "blobs", f"cannot write {part}; give this user the rights to it")
            return
    yield _free("blobs", path, path)


def _database(path: Path, newest: int) -> Finding:
    if not path.exists():
        return Finding("ok", "database", f"{path} is made at the first start")
    # Beside a running daemon, or after a kill, what counts stands in the write-ahead log.  Without
    # one nothing writes, and "immutable" keeps SQLite from making one.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=CONNECT_S)
        ) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return Finding("error", "database", f"{path}: {error}; put a backup in its place")
    if found != "ok":
        return Finding("error", "database", f"{path} is damaged ({found}); put a backup in its place")
    if version > newest:
        return Finding(
            "error",
            "database",
            f"{path} was written by a newer release (form {version}, this one knows {newest}); install that",
        )
    if version < newest:
        return Finding("ok", "database", f"form {version}; the next start migrates it to {newest}")
    return Finding("ok", "database", f"form {version}, undamaged")


def _endpoint(key: str, endpoint: str, parse: Callable[[str], object], *, ours: bool) -> Finding:
    kind, _, rest = endpoint.partition(":")
    try:
        parse(endpoint)
    except (ValueError, TypeError, OSError) as error:
        return Finding("error", key, f"{endpoint!r} is no endpoint description that works here ({error})")
    except Exception as error:  # noqa: BLE001 - keys and certificates raise what their library likes
        return Finding("error", key, f"{endpoint!r}: {error}")
    if kind == "systemd":
        return Finding("ok", key, f"{endpoint!r}; the socket is systemd's")
    if kind == "ssl-systemd":
        return Finding("ok", key, f"{endpoint!r}; the socket is systemd's, the certificate can be used")
    if kind not in ("tcp", "ssl"):
        return Finding("ok", key, f"{endpoint!r}; whether it can be bound is seen at the start")
    host, port = _place(rest)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, int(port)))
    except (OSError, ValueError, OverflowError) as error:  # the last: ports over 65535
        if ours and getattr(error, "errno", None) == 98:  # EADDRINUSE
            return Finding("ok", key, f"{endpoint!r} is taken, it seems by the running daemon")
        return Finding("error", key, f"cannot listen on {endpoint!r}: {error}; free the port or name another")
    return Finding("ok", key, f"{endpoint!r} can be bound")


def _place(rest: str) -> tuple[str, str]:
    """Interface (empty: every one) and port of a ``tcp:`` or ``ssl:`` description, without its kind."""
    parts = rest.replace("\\:", "\0").split(":")
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    port = named.get("port") or next((part for part in parts if "=" not in part), "")
    return named.get("interface", "").replace("\0", ":"), port


def _own(config: Config) -> list[tuple[str, int]]:
    """Where the daemon will listen, as far as its endpoints say so."""
    found = []
    for endpoint in (*config.http, *([] if config.metrics is None else [config.metrics])):
        kind, _, rest = endpoint.partition(":")
        host, port = _place(rest)
        if kind in ("tcp", "ssl") and port.isdigit():
            with suppress(ValueError):  # a name; the endpoint's own finding says that it must be numeric
                found.append((str(ip_address(host or "0.0.0.0")), int(port)))  # noqa: S104 - compared, not bound
    return found


def _descriptors(config: Config) -> Finding:
    limit, need = hard_limit(), needed(config)
    total = affordable(config, limit)
    if total < config.connections.total:
        text = f"{limit} file descriptors do for {total} of connections.total; allow {need} (LimitNOFILE)"
        return Finding("warning", "connections", text)
    return Finding("ok", "connections", f"{config.connections.total} at once need {need} file descriptors")


def _stackviz(stackviz: str | None) -> Finding:
    if stackviz is None:
        return Finding("ok", "stackviz", "the built-in viewer")
    if stackviz.startswith("http:"):
        parts = urlsplit(stackviz)
        # the operator's own, which the daemon passes on from wherever it is: no guard
        place = (str(parts.hostname), parts.port or 80)
        trouble = _unreachable(*place, tls=False, resolve=None, refusal=lambda *_place: None)
        return (
            Finding("warning", "stackviz", f"{stackviz}: {trouble}; start the development server")
            if trouble
            else Finding("ok", "stackviz", f"{stackviz} answers")
        )
    if not (Path(stackviz) / "index.html").is_file():
        return Finding("error", "stackviz", f"{stackviz} holds no index.html: name the build's directory")
    return Finding("ok", "stackviz", stackviz)


def _jjb(path: Path) -> Finding:
    if os.access(path, os.R_OK):
        return Finding("ok", "jjb_yaml_path", str(path))
    return Finding("warning", "jjb_yaml_path", f"{path} cannot be read: scripts of consoles get no names")


def _worker(command: Sequence[str]) -> Finding:
    """Start one; it says that it is ready and ends with its input."""
    try:
        done = subprocess.run(  # noqa: S603 - a command of our own
            command, input=b"", capture_output=True, timeout=WORKER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("error", "workers", f"a parser process cannot be started: {error}")
    if b'"ready"' not in done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return Finding("error", "workers", f"a parser process ends at once: {' '.join(said)[:500]}")
    return Finding("ok", "workers", "a parser process starts")


def _servers(config: Config, refusal: Refusal) -> Iterator[Finding]:
    asked: list[tuple[str, str, int, bool]] = []
    for key, urls in (("gerrits", config.gerrits), ("zuuls", config.zuuls)):
        for server in urls:
            parts = urlsplit(server.url)
            tls = parts.scheme == "https"
            asked.append((key, str(parts.hostname), parts.port or (443 if tls else 80), tls))
    for pattern in config.log_hosts:
        if "*" in pattern:
            continue
        parts = urlsplit(f"//{pattern}")
        # without a port either scheme's will do: TLS is what most have
        asked.append(("log_hosts", str(parts.hostname), parts.port or 443, parts.port is None))
    if not asked:
        return
    with ThreadPoolExecutor(min(len(asked), 16)) as pool:
        troubles = pool.map(
            lambda one: _unreachable(*one[1:3], tls=one[3], resolve=config.resolve, refusal=refusal), asked
        )
        for (key, host, port, _), trouble in zip(asked, troubles, strict=True):
            if trouble:
                text = f"{host}:{port} cannot be reached: {trouble}; what needs it fails until it can"
                yield Finding("warning", key, text)
            else:
                yield Finding("ok", key, f"{host}:{port} can be reached")


def _unreachable(host: str, port: int, *, tls: bool, resolve: Any, refusal: Refusal) -> str | None:
    """What keeps us from ``host``; None when nothing does."""
    address = (resolve or {}).get(f"{host}:{port}") or (resolve or {}).get(host)
    target = (host, port)
    if address is not None:
        parts = urlsplit(f"//{address}")
        target = (str(parts.hostname), parts.port or port)
    trouble = "it has no address"
    try:
        for numeric in _addresses(*target):
            why = refusal(numeric, target[1])
            if why is not None:
                trouble = f"{numeric} is {why}"
                continue
            try:
                _connect(numeric, target[1], host if tls else None)
            except OSError as error:
                trouble = str(error)
            else:
                return None
    except OSError as error:
        return str(error)
    return trouble


def _connect(numeric: str, port: int, name: str | None) -> None:
    """Connect, with TLS for ``name`` if there is one.  Raises OSError."""
    with socket.create_connection((numeric, port), CONNECT_S) as plain:
        if name is not None:
            with ssl.create_default_context().wrap_socket(plain, server_hostname=name):
                pass


def _addresses(host: str, port: int) -> list[str]:
    """The first few of ``host``'s, numeric.  Raises OSError, TimeoutError among them."""
    answers: SimpleQueue[list[str] | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError(str(error)))
        else:
            answers.put([str(row[4][0]) for row in found[:MAX_ADDRESSES]])

    # The C library's look-up cannot be broken off: its thread is left behind, and ends with the process.
    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=RESOLVE_S)
    except Empty:
        raise TimeoutError(f"DNS gave no answer within {RESOLVE_S:g} seconds") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def report(findings: Iterator[Finding]) -> int:
    """Print each as it is found; the status to exit with."""
    worst = 0
    for finding in findings:
        print(finding, flush=True)  # noqa: T201 - what the option is for
        worst = max(worst, int(finding.verdict == "error"))
    return worst
