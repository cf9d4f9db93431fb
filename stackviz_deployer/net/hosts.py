# SPDX-License-Identifier: Apache-2.0
"""Which URLs may be asked for at all: their form, and the allow-list of hosts.

What passes here is fetched byte for byte: nothing behind it re-encodes or completes a URL, so that
the host that was checked is the host that is asked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import quote

import idna
from attrs import frozen

from stackviz_deployer.errors import ConfigError, HostNotAllowedError, QueryNotUnderstoodError

MAX_URL = 4096
"""Characters; Apache refuses request lines above 8190 bytes, log URLs are below 500."""
DEFAULT_PORTS = {"http": 80, "https": 443}

_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::(?P<port>[0-9]{0,5}))?", re.IGNORECASE)
_NEVER = re.compile(r"[\x00-\x20\x7f\\]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# what RFC 3986 lets stand in a path and a query, and "%"; anything else is written as %XX
_STANDS = "!$&'()*+,-./:;=?@_~%[]"

_ANY = "x--any--x"  # stands for "*" while a pattern is read as a host


@frozen(kw_only=True)
class Target:
    """A URL of the right form, taken apart."""

    url: str
    """ASCII, without fragment, with a path; exactly what is asked for."""
    scheme: str
    host: str
    """Lower-case, an IPv6 address without its brackets."""
    port: int

    @property
    def place(self) -> str:
        """The host as messages and the allow-list write it: with its port unless it is the scheme's own."""
        return _place(self.host, None if self.port == DEFAULT_PORTS[self.scheme] else self.port)


def _place(host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _host(text: str) -> str:
    """The canonical form of a host.  Raises ValueError."""
    if text.startswith("["):
        return ipaddress.IPv6Address(text[1:-1]).compressed
    host = text if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    host = host.lower().removesuffix(".")
    if not host or len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise ValueError(text)
    return host


def parse_place(text: str) -> tuple[str, int | None]:
    """``host[:port]`` taken apart, the host in its canonical form.  Raises ValueError."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not of the form host or host:port")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"there is no port {port}")
    return _host(match["host"]), port


def parse_url(url: str) -> Target:
    """Take ``url`` apart.  Raises QueryNotUnderstoodError when it is no plain http(s) URL."""
    shown = ascii(url[:200])
    if len(url) > MAX_URL:
        raise QueryNotUnderstoodError(f"The URL {shown}... is longer than {MAX_URL} characters.")
    if _NEVER.search(url):
        raise QueryNotUnderstoodError(
            f"The URL {shown} holds a space, a backslash or a control character; write %20 and so on."
        )
    match = _URL.match(url)
    if match is None or match["scheme"].lower() not in DEFAULT_PORTS:
        raise QueryNotUnderstoodError(f"{shown} is no http:// or https:// URL.")
    if "@" in match["authority"]:
        raise QueryNotUnderstoodError("URLs with a user name or password are not fetched; leave them out.")
    scheme = match["scheme"].lower()
    try:
        host, given_port = parse_place(match["authority"])
    except ValueError as error:  # idna.IDNAError and ipaddress.AddressValueError are such
        raise QueryNotUnderstoodError(f"The host in the URL {shown} makes no sense.") from error
    port = given_port or DEFAULT_PORTS[scheme]
    rest = match["rest"] if match["rest"].startswith("/") else "/" + match["rest"]
    try:
        rest = quote(_STRAY_PERCENT.sub("%25", rest), safe=_STANDS)
    except UnicodeEncodeError as error:
        raise QueryNotUnderstoodError(f"The URL {shown} holds half a character.") from error
    written = _place(host, None if port == DEFAULT_PORTS[scheme] else port)
    return Target(url=f"{scheme}://{written}{rest}", scheme=scheme, host=host, port=port)


class AllowedHosts:
    """The allow-list: ``host[:port]`` entries, in which ``*`` stands for a part of one label.

    An entry without a port stands for the scheme's own port.  Raises ConfigError.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(dict.fromkeys(patterns))
        self._exact: set[tuple[str, int | None]] = set()
        self._globs: list[tuple[re.Pattern[str], int | None]] = []
        for pattern in self._patterns:
            host, port = self._read(pattern)
            if "*" in host:
                glob = "[a-z0-9_-]+".join(re.escape(piece) for piece in host.split("*"))
                self._globs.append((re.compile(glob), port))
            else:
                self._exact.add((host, port))

    @staticmethod
    def _read(pattern: str) -> tuple[str, int | None]:
        if "**" in pattern or not pattern.partition(":")[0].strip("*."):
            raise ConfigError(f"log_hosts: {pattern!r} would allow everything.")
        try:
            host, port = parse_place(pattern.replace("*", _ANY))
        except ValueError as error:
            raise ConfigError(
                f"log_hosts: {pattern!r} is not of the form host or host:port ({error})."
            ) from error
        return host.replace(_ANY, "*"), port

    def admit(self, target: Target, *, linked_by: str | None = None) -> None:
        """Raise HostNotAllowedError unless the list names the host; ``linked_by`` is who sent us there."""
        port = None if target.port == DEFAULT_PORTS[target.scheme] else target.port
        # an entry that spells the scheme's own port out stands for that port, too
        if {(target.host, port), (target.host, target.port)} & self._exact:
            return
        for glob, glob_port in self._globs:
            if glob_port in (port, target.port) and glob.fullmatch(target.host):
                return
        how = f"{linked_by} leads to {target.place}, which" if linked_by else target.place
        known = ", ".join(self._patterns[:20]) + (", ..." if len(self._patterns) > 20 else "")
        raise HostNotAllowedError(
            f"{how} is not one of the hosts that this server reads from: {known or 'there are none'}. "
            "Its operator can add it to log_hosts."
        )
