# SPDX-License-Identifier: Apache-2.0
"""What the operator sets, as values: ``config`` makes them, each part is given its own."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen


@frozen(kw_only=True)
class Retention:
    """How long sites are kept; config.py reads it, defaults as documented there."""

    days: float = 7.0
    """Since somebody looked at the site last."""
    bytes: int = 20 << 30
    """Of all blobs together, gzipped as they lie."""


@frozen(kw_only=True)
class Directory:
    """Blobs and uploads lie in a directory."""

    path: Path | None = None
    """One of their own, which several nodes may share; None = in state_dir, which is one node's."""


@frozen(kw_only=True)
class Bucket:
    """Blobs and uploads are objects of an S3-compatible store."""

    endpoint: str
    """Of the store, not of the bucket: ``https://host[:port]``."""
    bucket: str
    prefix: str = ""
    """Of every key; empty, or with a slash at its end."""
    region: str = "us-east-1"
    credentials_file: Path | None = None
    """None = what the environment says; see blob_place.credentials."""
    ca_file: Path | None = None
    """Certificates of who may vouch for the endpoint; None = the system's."""
    cache_bytes: int = 10 << 30
    """Of the copies on this node's disk."""


@frozen(kw_only=True)
class Credentials:
    """An S3 store's access key; never shown."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class GerritServer:
    """A Gerrit that changes are looked up on."""

    url: str
    """Ends in a slash; may have a path (``https://gerrit.example.org/r/``)."""
    aliases: tuple[str, ...] = ()
    """Host names that meant this server, e.g. before it was renamed."""
    ci_accounts: tuple[str, ...] = ("jenkins", "zuul", "* CI")
    """Whose comments are CI results: a username, or a glob on the display name."""


@frozen(kw_only=True)
class ZuulServer:
    """A Zuul that builds are looked up on."""

    url: str
    """Ends in a slash; may have a path (``https://softwarefactory-project.io/zuul/``)."""
    tenants: tuple[str, ...] | None = None
    """Those that are asked; None: all that the server names."""
    white_label: bool = False
    """Whether the server shows one tenant as if there were no others (``https://host/build/<uuid>``)."""


@frozen(kw_only=True)
class MysqlServer:
    """A MySQL or MariaDB server that several nodes share, and the database there."""

    host: str = "localhost"
    port: int = 3306
    user: str = "stackviz"
    password: str = field(default="stackviz", repr=False)
    name: str = "stackviz"
    tls: bool = False
    """Whether the connection must be encrypted, and the server's certificate be good for ``host``."""
    ssl_ca: str | None = None
    """Path of the certificates that are believed; None: the machine's."""

    @property
    def where(self) -> str:
        """For messages: without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mysql://{self.user}@{host}:{self.port}/{self.name}"


@frozen(kw_only=True)
class RedisServer:
    """A Redis server that several nodes share."""

    host: str = "localhost"
    port: int = 6379
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    db: int = 0
    tls: bool = False
    """Whether to encrypt; then the server's certificate must be good for ``host``."""
    ssl_ca: str | None = None
    """Path of the certificates that are believed; None: the machine's."""
    prefix: str = "stackviz:"
    """Of all our keys and channels."""

    @property
    def where(self) -> str:
        """For messages: without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"


@frozen(kw_only=True)
class Limits:
    """What a task may cost; config.py reads them, defaults as documented there."""

    artifact_bytes: int = 512 << 20
    """Decoded bytes of one file."""
    total_bytes: int = 2 << 30
    """Decoded bytes of all files of a task."""
    upload_bytes: int = 256 << 20
    """Bytes of one upload as it is sent."""
    listing_bytes: int = 32 << 20
    """Decoded bytes of one directory index or API answer."""
    fetch_seconds: float = 120.0
    task_seconds: float = 600.0
    queue: int = 1000
    memory_bytes: int = 2 << 30
    """Address space of a parser process."""


@frozen(kw_only=True)
class Connections:
    """How many clients may be served at once, and how slow each may be."""

    total: int = 2000
    client: int = 200
    """Of one address (IPv6: of one /64)."""
    events: int = 500
    """Event streams."""
    slow_seconds: float = 30.0


@frozen(kw_only=True)
class Rates:
    """Calls a minute of one client, with bursts of as many; 0: no limit."""

    list: int = 60
    scrape: int = 30
    upload: int = 10
