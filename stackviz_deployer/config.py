# SPDX-License-Identifier: Apache-2.0
"""The configuration: one YAML file, every key optional, overridden by options and environment.

All defaults and units live here; ``etc/stackviz-deployer.yaml`` shows them (a test compares).
Unknown keys and wrong types are refused with the key's name.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs
import yaml
from attrs import Factory, frozen

from stackviz_deployer import readers as read
from stackviz_deployer import shared_servers
from stackviz_deployer.blob_place import beside, blobs, check_sizes
from stackviz_deployer.errors import ConfigError
from stackviz_deployer.settings import (
    Bucket,
    Connections,
    Directory,
    GerritServer,
    Limits,
    MysqlServer,
    Rates,
    RedisServer,
    Retention,
    ZuulServer,
)

DEFAULT_HTTP = "tcp:5000:interface=127.0.0.1"
DEFAULT_JJB = "project-config/jenkins/jobs"
MAX_DAYS = 36_500
MIN_TOKEN = 20
"""Characters."""
TOKEN_VARIABLE = "STACKVIZ_ADMIN_TOKEN"  # noqa: S105 - its name, not a token
_MAX_FILE_BYTES = 1 << 20
_HOST = re.compile(r"\*|[A-Za-z0-9*_-]+(\.[A-Za-z0-9*_-]+)*(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]+")
_ORIGIN = re.compile(r"https?://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:\d{1,5})?")
_TENANT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}")


def _default_gerrits() -> tuple[GerritServer, ...]:
    return (
        GerritServer(
            url="https://review.opendev.org/",
            aliases=("review.openstack.org",),
            ci_accounts=("jenkins", "zuul", "* CI"),
        ),
    )


@frozen(kw_only=True)
class Config:
    """What the daemon was told.  Sizes in bytes, times in seconds."""

    http: tuple[str, ...] = (DEFAULT_HTTP,)
    """Twisted server endpoint descriptions."""
    state_dir: Path = Path("var")
    stackviz: str | None = None
    """A StackViz build directory, the http:// URL of its development server, or None = built-in viewer."""
    jjb_yaml_path: Path | None = None
    """Job Builder's YAML; None when none was named and there is nothing at the default place."""
    gerrits: tuple[GerritServer, ...] = Factory(_default_gerrits)
    zuuls: tuple[ZuulServer, ...] = (ZuulServer(url="https://zuul.opendev.org/"),)
    log_hosts: tuple[str, ...] = (
        "logs.openstack.org",
        "logs.opendev.org",
        "storage.*.cloud.ovh.net",
        "*.ssl.cf*.rackcdn.com",
    )
    """``host[:port]``; ``*`` matches inside one label."""
    private_networks: tuple[str, ...] = ()
    """CIDRs that may be connected to although they are not globally routable."""
    resolve: Mapping[str, str] = Factory(dict)
    """``host: address[:port]``, instead of DNS."""
    workers: int = Factory(lambda: len(os.sched_getaffinity(0)))
    scrapes: int = 4
    limits: Limits = Factory(Limits)
    metrics: str | None = None
    """A Twisted server endpoint description for ``/metrics``; None = none."""
    access_log: Literal["off", "routes", "full"] = "off"
    """A line in the log for each answer: with its route, or with its path and the client's address, too."""
    retention: Retention = Factory(Retention)
    hosts: tuple[str, ...] = ()
    """Names accepted in Host, besides localhost and the address that was connected to."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call ``/api``."""
    proxies: tuple[str, ...] = ()
    """CIDRs, or ``unix``, whose X-Forwarded-For is believed."""
    rates: Rates = Factory(Rates)
    connections: Connections = Factory(Connections)
    admin_token_file: Path | None = None
    """Who knows what is in it may delete and pin tasks; see ``admin_token``."""
    role: Literal["all", "web", "worker"] = "all"
    """What this node does: ``web`` serves and works on no task, ``worker`` serves ``/health`` alone."""
    blobs: Directory | Bucket = Factory(Directory)
    """Where the sites' data and what people send lie."""
    database: MysqlServer | None = None
    """The server that several nodes keep their tasks in; None = SQLite in ``state_dir``."""
    redis: RedisServer | None = None
    """The server through which they share out the work; with ``database``, and never without it."""


def load(
    path: str | None, options: Mapping[str, Any], environ: Mapping[str, str], *, cwd: Path | None = None
) -> Config:
    """The configuration from ``path`` (None: defaults), overridden by ``options``.

    ``options`` holds what the command line gave, as YAML keys; ``environ`` is asked for
    ``JJB_YAML_PATH`` and systemd's ``STATE_DIRECTORY``.  Relative paths count from ``cwd``
    (the directory the daemon was started in), because twistd leaves it.
    Raises ConfigError with the key's name.
    """
    base = cwd or Path.cwd()
    given: dict[str, Any] = {"state_dir": environ.get("STATE_DIRECTORY", "").split(":")[0] or "var"}
    if environ.get("JJB_YAML_PATH"):
        given["jjb_yaml_path"] = environ["JJB_YAML_PATH"]
    data = _read(path)
    unknown = sorted(set(data) - set(_KEYS))
    if unknown:
        raise ConfigError(
            f"unknown key {unknown[0]!r} in the configuration; the keys are {', '.join(sorted(_KEYS))}"
        )
    for source in (data, options):
        given.update({key: value for key, value in source.items() if value is not None})
    values = {key: _KEYS[key](key, value) for key, value in given.items()}
    for key in ("state_dir", "jjb_yaml_path", "admin_token_file"):
        if key in values:
            values[key] = base / values[key].expanduser()
    if "blobs" in values:
        values["blobs"] = beside(values["blobs"], base)
    for key, of_url in (("database", shared_servers.database), ("redis", shared_servers.redis)):
        if key in values:
            server = of_url(key, values[key], environ)
            if server.ssl_ca is not None:
                server = attrs.evolve(server, ssl_ca=str(base / Path(server.ssl_ca).expanduser()))
            values[key] = server
    if "jjb_yaml_path" not in values and (base / DEFAULT_JJB).is_dir():
        values["jjb_yaml_path"] = base / DEFAULT_JJB
    config = Config(**values)
    _check_shared(config)
    check_sizes("blobs", config.blobs, config.limits)
    if config.stackviz is not None and not config.stackviz.startswith("http:"):
        config = attrs.evolve(config, stackviz=str(base / Path(config.stackviz).expanduser()))
    return config


def _check_shared(config: Config) -> None:
    if (config.database is None) is not (config.redis is None):
        missing, given = ("redis", "database") if config.redis is None else ("database", "redis")
        raise ConfigError(f"{missing}: is needed with {given!r}; a single node needs neither")
    if config.database is not None and config.blobs == Directory():
        raise ConfigError(
            "blobs: nodes that share a database need a common place for its sites' data, e.g."
            " {kind: files, path: /mnt/shared}"
        )


def admin_token(path: Path | None, environ: Mapping[str, str]) -> str | None:
    """The administrator's token: the file's, else that of ``STACKVIZ_ADMIN_TOKEN``; None = no such calls.

    Raises ConfigError when the file cannot be read, others may read it, or the token is short.
    """
    key, token = TOKEN_VARIABLE, environ.get(TOKEN_VARIABLE, "").strip()
    if path is not None:
        key = "admin_token_file"
        try:
            with path.open(encoding="ascii") as file:
                if os.fstat(file.fileno()).st_mode & 0o007:
                    raise ConfigError(f"{key}: everybody may read {path}; chmod o= {path}")
                token = file.read(_MAX_FILE_BYTES).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{key}: cannot read {path}: {error}") from error
    elif not token:
        return None
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{key}: the token needs at least {MIN_TOKEN} printable characters without blanks, such as"
            " those of `openssl rand -hex 32`"
        )
    return token


def stated_limits(config: Config) -> dict[str, float]:
    """Every configured number that bounds something, by the name of its key (``limits.queue``)."""
    found: dict[str, float] = {}
    for name, value in attrs.asdict(config, recurse=False).items():
        if isinstance(value, MysqlServer | RedisServer):
            continue
        if attrs.has(type(value)):
            value = attrs.asdict(value, recurse=False)  # noqa: PLW2901 - the same, as a mapping
        numbers = value.items() if isinstance(value, Mapping) else [("", value)]
        for key, number in numbers:
            if isinstance(number, int | float) and not isinstance(number, bool):
                found[f"{name}.{key}" if key else name] = float(number)
    return found


def _read(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with Path(path).open("rb") as file:
            text = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    if len(text) > _MAX_FILE_BYTES:
        raise ConfigError(f"the configuration {path} is over {_MAX_FILE_BYTES} bytes")
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {path} is not YAML: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"the configuration {path} must be a mapping of keys to values")
    return {str(key): value for key, value in data.items()}


def _http(key: str, value: object) -> tuple[str, ...]:
    endpoints = read.many(key, [value] if isinstance(value, str) else value, read.text)
    if not endpoints:
        raise ConfigError(f"{key}: at least one endpoint is needed, e.g. {DEFAULT_HTTP!r}")
    return endpoints


def _stackviz(key: str, value: object) -> str:
    text = read.text(key, value)
    if "://" in text:
        parts = urlsplit(text)
        if parts.scheme != "http" or not parts.hostname:
            raise ConfigError(f"{key}: {text!r} is neither a directory nor an http:// URL")
    return text


def _word(*words: str) -> Callable[[str, Any], str]:
    def reader(key: str, value: object) -> str:
        text = "off" if value is False else value  # what YAML makes of a bare "off"
        if text not in words:
            raise ConfigError(
                f"{key}: one of {', '.join(words[:-1])} and {words[-1]} is needed, not {value!r}"
            )
        return str(text)

    return reader


def _gerrit(key: str, value: object) -> GerritServer:
    data = read.mapping(key, value, {"url", "aliases", "ci_accounts"})
    extra = {
        name: read.many(f"{key}.{name}", data[name], read.text)
        for name in ("aliases", "ci_accounts")
        if name in data
    }
    return GerritServer(url=_server_url(f"{key}.url", data.get("url"), "a Gerrit"), **extra)


def _zuul(key: str, value: object) -> ZuulServer:
    data = read.mapping(key, value, {"url", "tenants", "white_label"})
    tenants = data.get("tenants")
    white_label = data.get("white_label", False)
    if not isinstance(white_label, bool):
        raise ConfigError(f"{key}.white_label: true or false is needed, not {white_label!r}")
    if tenants is not None:
        tenants = read.many(f"{key}.tenants", tenants, _tenant)
        if white_label:
            raise ConfigError(f"{key}.tenants: a white-label Zuul has one tenant, which URLs do not name")
        if not tenants:
            raise ConfigError(f"{key}.tenants: at least one is needed; leave the key out to ask the server")
    return ZuulServer(
        url=_server_url(f"{key}.url", data.get("url"), "a Zuul"), tenants=tenants, white_label=white_label
    )


def _tenant(key: str, value: object) -> str:
    text = read.text(key, value)
    if not _TENANT.fullmatch(text):
        raise ConfigError(f"{key}: {text!r} is no name of a tenant")
    return text


def _server_url(key: str, value: object, what: str) -> str:
    url = read.text(key, value)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"{key}: {url!r} is no http(s) URL of {what}")
    return url if url.endswith("/") else url + "/"


def _host(key: str, value: object) -> str:
    text = read.text(key, value).lower()
    if not _HOST.fullmatch(text):
        raise ConfigError(f"{key}: {text!r} is no host[:port]")
    return text


def _network(key: str, value: object) -> str:
    try:
        return str(ipaddress.ip_network(read.text(key, value)))
    except ValueError as error:
        raise ConfigError(f"{key}: {value!r} is no network, e.g. 10.0.0.0/8 ({error})") from error


def _resolve(key: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: a mapping of hosts to addresses is needed, not {value!r}")
    result = {}
    for host, target in value.items():
        text = read.text(f"{key}.{host}", target)
        try:
            parts = urlsplit(f"//{text}")
            ipaddress.ip_address(parts.hostname or "")
            parts.port  # noqa: B018 - raises when it is no port
        except ValueError as error:
            raise ConfigError(f"{key}.{host}: {text!r} is no address[:port] ({error})") from error
        result[_host(f"{key} (host)", host)] = text
    return result


def _limits(key: str, value: object) -> Limits:
    fields = attrs.fields_dict(Limits)
    data = read.mapping(key, value, set(fields))
    readers: dict[str, Callable[[str, Any], Any]] = {"queue": read.count}
    values = {}
    for name, entry in data.items():
        default_reader = read.seconds if name.endswith("_seconds") else read.size
        values[name] = readers.get(name, default_reader)(f"{key}.{name}", entry)
    return Limits(**values)


def _retention(key: str, value: object) -> Retention:
    data = read.mapping(key, value, {"days", "bytes"})
    values: dict[str, Any] = {}
    if "days" in data:
        days = data["days"]
        if isinstance(days, bool) or not isinstance(days, int | float) or not 0 < days <= MAX_DAYS:
            raise ConfigError(f"{key}.days: a number above 0 and up to {MAX_DAYS} is needed, not {days!r}")
        values["days"] = float(days)
    if "bytes" in data:
        values["bytes"] = read.size(f"{key}.bytes", data["bytes"])
    return Retention(**values)


def _name(key: str, value: object) -> str:
    text = read.text(key, value).lower().removesuffix(".")  # as DNS writes a whole name
    if not _NAME.fullmatch(text):
        raise ConfigError(f"{key}: {text!r} is no name or address of a host (without scheme and port)")
    return text


def _origin(key: str, value: object) -> str:
    text = read.text(key, value).lower()
    if not _ORIGIN.fullmatch(text):
        raise ConfigError(f"{key}: {text!r} is no origin, such as https://dashboard.example.org")
    return text


def _proxy(key: str, value: object) -> str:
    return "unix" if value == "unix" else _network(key, value)


def _rates(key: str, value: object) -> Rates:
    data = read.mapping(key, value, set(attrs.fields_dict(Rates)))
    return Rates(**{name: read.count(f"{key}.{name}", entry, least=0) for name, entry in data.items()})


def _connections(key: str, value: object) -> Connections:
    data = read.mapping(key, value, set(attrs.fields_dict(Connections)))
    values: dict[str, Any] = {}
    for name, entry in data.items():
        reader = read.seconds if name == "slow_seconds" else read.count
        values[name] = reader(f"{key}.{name}", entry)
    return Connections(**values)


_KEYS: dict[str, Callable[[str, Any], Any]] = {
    "http": _http,
    "state_dir": read.path,
    "stackviz": _stackviz,
    "jjb_yaml_path": read.path,
    "gerrits": lambda key, value: read.many(key, value, _gerrit),
    "zuuls": lambda key, value: read.many(key, value, _zuul),
    "log_hosts": lambda key, value: read.many(key, value, _host),
    "private_networks": lambda key, value: read.many(key, value, _network),
    "resolve": _resolve,
    "workers": read.count,
    "scrapes": read.count,
    "limits": _limits,
    "metrics": read.text,
    "access_log": _word("off", "routes", "full"),
    "retention": _retention,
    "hosts": lambda key, value: read.many(key, value, _name),
    "cors": lambda key, value: read.many(key, value, _origin),
    "proxies": lambda key, value: read.many(key, value, _proxy),
    "rates": _rates,
    "connections": _connections,
    "admin_token_file": read.path,
    "role": _word("all", "web", "worker"),
    "blobs": blobs,
    "database": read.text,
    "redis": read.text,
}
