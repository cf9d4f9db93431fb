# SPDX-License-Identifier: Apache-2.0
"""Listening where an endpoint description says; a certificate that was renewed is used without a restart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto
from twisted.application import strports
from twisted.application.service import IService
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.internet.ssl import ContextFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

log = Logger()

_SEPARATOR = re.compile(r"(?<!\\):")
_ESCAPED = re.compile(r"\\(.)")


def listening(description: str, factory: IProtocolFactory, reactor: Any) -> IService:
    """The service of a Twisted endpoint description; ``ssl:`` ones look after their files.

    Raises ValueError when it is none, or its certificate or key cannot be used; TypeError, likewise.
    """
    if not description.startswith("ssl:"):
        return strports.service(description, factory, reactor=reactor)
    try:
        renewing: Any = _Renewing(reactor, description)
        return strports.service(description, factory, reactor=renewing)
    except (OSError, SSL.Error, crypto.Error) as error:
        raise ValueError(f"its key or certificate cannot be used: {error}") from error


class _Renewing:
    """The reactor as an ``ssl:`` endpoint needs it."""

    def __init__(self, reactor: Any, description: str) -> None:
        self._reactor = reactor
        self._description = description

    def listenSSL(self, port: int, factory: Any, contextFactory: Any, **more: Any) -> Any:
        """As IReactorSSL's."""
        return self._reactor.listenSSL(port, factory, _Renewed(self._description, contextFactory), **more)


class _Reading:
    """Stands in for a reactor, to get at what an endpoint description reads from its files."""

    context: Any = None

    def listenSSL(self, port: int, factory: Any, contextFactory: Any, **more: Any) -> None:  # noqa: ARG002
        """As IReactorSSL's."""
        self.context = contextFactory.getContext()

    @staticmethod
    def failed(failure: Failure) -> None:
        log.error("the new certificate cannot be used, the old one stays: {error}", error=str(failure.value))


class _Renewed(ContextFactory):
    """The certificate of the files as they are when a connection comes; a stat of each is all it costs."""

    def __init__(self, description: str, first: Any) -> None:
        self._description = description
        self._files = _files(description)
        self._seen = self._stamps()
        self._context = first.getContext()

    def getContext(self) -> Any:
        """For the next connection.  Files that cannot be used (half written, say) change nothing."""
        stamps = self._stamps()
        if stamps != self._seen:
            self._seen = stamps
            reading = _Reading()
            try:
                serverFromString(reading, self._description).listen(Factory()).addErrback(_Reading.failed)
            except Exception:  # noqa: BLE001  # whatever is wrong with the files, the old certificate goes on
                _Reading.failed(Failure())
            if reading.context is not None:
                self._context = reading.context
                log.info("a new certificate: {files}", files=[str(path) for path in self._files])
        return self._context

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
