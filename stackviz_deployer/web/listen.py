# SPDX-License-Identifier: Apache-2.0
"""Listening where an endpoint description says; a certificate that was renewed is used without a restart."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from twisted.application import strports
from twisted.application.service import IService
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from stackviz_deployer.web.halfclose import HalfClosable

log = Logger()

HANDED_OVER = "ssl-systemd"
"""``ssl-systemd:domain=INET6:index=0:privateKey=...:certKey=...``, the parts of ``systemd:`` and ``ssl:``."""
AGAIN_S = 5.0
"""After files could not be used: until they are tried again although they look the same."""

_FAMILIES = {"INET": socket.AF_INET, "INET6": socket.AF_INET6, "UNIX": socket.AF_UNIX}
_TLS_PARTS = {"privateKey", "certKey", "extraCertChain", "dhParameters", "sslmethod"}
_SEPARATOR = re.compile(r"(?<!\\):")
_ESCAPED = re.compile(r"\\(.)")


def listening(description: str, factory: IProtocolFactory, reactor: Any) -> IService:
    """The service of an endpoint description, Twisted's or ``HANDED_OVER``; TLS looks after its files.

    Raises ValueError when it is none, or its certificate or key cannot be used; TypeError, likewise;
    LookupError when systemd has handed no such socket over.
    """
    kind = description.partition(":")[0]
    if kind == "systemd":
        _check_socket(description, reactor)
    if kind not in ("ssl", HANDED_OVER):
        return strports.service(description, factory, reactor=reactor)
    try:
        if kind == "ssl":
            renewing: Any = _Renewing(reactor, description)
            return strports.service(description, factory, reactor=renewing)
        handed, tls = _apart(description)
        _check_socket(handed, reactor)
        secure: Any = TLSMemoryBIOFactory(_Renewed(tls, _read(tls), reactor), False, factory)
        return strports.service(handed, secure, reactor=reactor)
    except (OSError, SSL.Error, crypto.Error) as error:
        raise ValueError(f"its key or certificate cannot be used: {error}") from error


def examine(description: str, reactor: Any) -> None:
    """Raises what ``listening`` would, but for a socket that systemd has yet to hand over; opens no port."""
    kind = description.partition(":")[0]
    if kind == HANDED_OVER:
        handed, tls = _apart(description)
        _check_domain(handed)
        _read(tls)
    elif kind == "systemd":
        _check_domain(description)
    else:
        serverFromString(reactor, description)


def _check_domain(description: str) -> str | None:
    """The family that a ``systemd:`` description says; None when it says none.  Raises ValueError."""
    pieces = _SEPARATOR.split(description)[1:]
    named = dict(piece.partition("=")[::2] for piece in pieces if "=" in piece)
    domain = named.get("domain", next((piece for piece in pieces if "=" not in piece), None))
    if domain is not None and domain not in _FAMILIES:
        raise ValueError(f"its domain is one of {', '.join(_FAMILIES)}, not {domain!r}")
    return domain


def _check_socket(description: str, reactor: Any) -> None:
    """What Twisted takes on trust: a wrong family fails at the start, or at each connection."""
    domain = _check_domain(description)
    endpoint = serverFromString(reactor, description)
    if domain is None or not isinstance(endpoint, AdoptedStreamServerEndpoint):
        return
    with socket.socket(fileno=os.dup(endpoint.fileno)) as handed:
        if handed.family != _FAMILIES[domain]:
            family = handed.family.name.removeprefix("AF_")
            raise ValueError(f"the socket that systemd hands over is of {family}, not of {domain}")


def _apart(description: str) -> tuple[str, str]:
    """The ``systemd:`` description in one of ``HANDED_OVER``, and an ``ssl:`` one for its certificate."""
    pieces = _SEPARATOR.split(description)[1:]
    tls = [piece for piece in pieces if piece.partition("=")[0] in _TLS_PARTS]
    return ":".join(["systemd", *(one for one in pieces if one not in tls)]), ":".join(["ssl:0", *tls])


class _Renewing:
    """The reactor as an ``ssl:`` endpoint needs it."""

    def __init__(self, reactor: Any, description: str) -> None:
        self._reactor = reactor
        self._description = description

    def listenSSL(self, port: int, factory: Any, contextFactory: Any, **more: Any) -> Any:
        """As IReactorSSL's."""
        renewed = _Renewed(self._description, contextFactory.getContext(), self._reactor)
        return self._reactor.listenSSL(port, factory, renewed, **more)


class _Reading:
    """Stands in for a reactor, to get at what an endpoint description reads from its files."""

    context: Any = None

    def listenSSL(self, port: int, factory: Any, contextFactory: Any, **more: Any) -> None:  # noqa: ARG002
        """As IReactorSSL's."""
        self.context = contextFactory.getContext()


def _read(description: str) -> Any:
    """The context that an ``ssl:`` description means.  Raises what its files are to blame for."""
    reading, failures = _Reading(), list[Failure]()
    serverFromString(reading, description).listen(Factory()).addErrback(failures.append)
    for failure in failures:
        failure.raiseException()
    return reading.context


@implementer(IOpenSSLServerConnectionCreator)
class _Renewed:
    """The certificate of the files as they are when a connection comes; a stat of each is all it costs."""

    def __init__(self, description: str, first: Any, clock: Any) -> None:
        self._description = description
        self._files = _files(description)
        self._seen = self._stamps()
        self._context = first
        self._clock = clock
        self._again_s: float | None = None
        """When files that could not be used are tried again: the fault may have been another's."""

    def serverConnectionForTLS(self, protocol: Any) -> HalfClosable:
        """As IOpenSSLServerConnectionCreator's."""
        return HalfClosable.of(self.context(), protocol)

    def context(self) -> Any:
        """For the next connection.  Files that cannot be used (half written, say) change nothing."""
        stamps = self._stamps()
        changed = stamps != self._seen
        if changed or (self._again_s is not None and self._clock.seconds() >= self._again_s):
            self._seen, self._again_s = stamps, None
            try:
                self._context = _read(self._description)
            except Exception as error:  # noqa: BLE001  # whatever it is, the old certificate goes on
                self._again_s = self._clock.seconds() + AGAIN_S
                if changed:
                    self._tell(error)
            else:
                log.info("a new certificate: {files}", files=[str(path) for path in self._files])
        return self._context

    @staticmethod
    def _tell(error: Exception) -> None:
        log.error("the new certificate cannot be used, the old one stays: {error}", error=str(error))

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in self._files]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    # ctime, for rights that are mended afterwards change no mtime (and what changes that changes both)
    return found.st_ctime_ns, found.st_ino, found.st_size


def _files(description: str) -> list[Path]:
    """Those that the description names; Twisted's default for both is server.pem."""
    given = dict(piece.partition("=")[::2] for piece in _SEPARATOR.split(description) if "=" in piece)
    named = [
        given[key] for key in ("privateKey", "certKey", "extraCertChain", "dhParameters") if key in given
    ]
    return [Path(_ESCAPED.sub(r"\1", name)) for name in named or ["server.pem"]]
