# SPDX-License-Identifier: Apache-2.0
"""A connection to Redis that is made again whenever it is lost, with a deadline for everything.

The protocol is txredisapi's; its factories are not used.  They give up for good when the answer
to AUTH or SELECT does not come (a server that restarts, or has too many clients), let commands wait
without end while there is no connection, do not check the server's certificate, and turn texts that
look like numbers into numbers (txredisapi 1.6.0).  ClientService is none either: a connection that is
lost while it is being prepared is an unhandled error to it (Twisted 26.10).
"""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import txredisapi
from OpenSSL import SSL, crypto
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from stackviz_deployer.errors import ConfigError
from stackviz_deployer.settings import RedisServer

log = Logger()

TIMEOUT_S = 5.0
"""Of a command, and of making a connection."""

RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses before the next attempt to connect, each shortened by chance; then the last again and again."""

SETTLED_S = 10.0
"""A connection that lasted so long was a good one: the pauses begin anew."""

_CERTIFICATE = re.compile(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class LinkError(Exception):
    """Redis did not do what it was asked to."""


class AwayError(LinkError):
    """There is no connection, or it was lost, or no answer came in time."""


class RefusedError(LinkError):
    """Redis answered with an error; it begins with Redis' word for it (``NOGROUP ...``)."""


class _Losable:
    """A protocol that tells when it is lost, and reads what is there at once.

    txredisapi's reads one text in each turn of the reactor, and copies all that is behind it each time:
    a node that hears a few hundred messages together would be busy with them for long.
    """

    def __init__(self) -> None:
        super().__init__(charset="utf-8", convertNumbers=False)  # type: ignore[call-arg]  # of the other base
        self.lost: Deferred[None] = Deferred()
        self.why: BaseException | None = None
        """Of the loss."""
        self._unread = bytearray()

    def dataReceived(self: Any, data: bytes) -> None:
        unread, at = self._unread, 0
        unread += data
        while not self.lost.called:
            if self.line_mode:
                end = unread.find(b"\r\n", at)
                if end < 0:
                    if len(unread) - at > self.MAX_LENGTH:
                        self.transport.abortConnection()
                    break
                line, at = bytes(unread[at:end]), end + 2
                self.lineReceived(line.decode("utf-8", "replace"))
            else:
                end = at + self.bulk_length
                if len(unread) < end:
                    break
                text, at = bytes(unread[at : end - 2]), end
                self.bulk_length = 0
                self.line_mode = 1
                self.bulkDataReceived(text)
        del unread[:at]

    def connectionLost(self, why: Failure) -> None:
        self.why = why.value
        self.lost.callback(None)  # before those hear of it who wait for answers
        super().connectionLost(why)  # type: ignore[misc]  # of the other base


class _Commands(_Losable, txredisapi.RedisProtocol):  # type: ignore[misc]  # it has no types
    """For questions and answers."""


class _Messages(_Losable, txredisapi.SubscriberProtocol):  # type: ignore[misc]  # it has no types
    """For messages; of the answers to commands it knows the last three parts alone."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        super().__init__()
        self._heard = heard

    def messageReceived(self, _pattern: object, _channel: object, message: object) -> None:
        try:
            self._heard(message if isinstance(message, str) else "")
        except Exception:  # noqa: BLE001  what one message does wrong must not cost the connection
            log.failure("taking a message from Redis")


class Link(Service):
    """One connection, kept up while the service runs."""

    def __init__(
        self,
        server: RedisServer,
        reactor: Any,
        *,
        name: str,
        ready: Callable[[Link], Awaitable[None]] | None = None,
        lost: Callable[[], None] = lambda: None,
        heard: Callable[[str], None] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """``name``: what the server's CLIENT LIST shows.

        ``ready`` prepares each new connection, of which it may use ``call``; the connection counts as
        made when it returns, and is dropped when it raises.  ``lost`` is told of the end of one that
        counted.  ``heard`` gets the messages of the channels that ``ready`` has subscribed to; such a
        connection can do nothing else but PING.  Raises ConfigError when ``ssl_ca`` cannot be read.
        """
        self._server = server
        self._trust = _trust(server)
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._client = name
        self._ready = ready
        self._lost = lost
        self._heard = heard
        self._timeout_s = timeout_s
        self._protocol: Any = None
        self._loop: Deferred[None] | None = None
        self._waiting: set[Deferred[None]] = set()
        self.trouble: str | None = f"{server.where} is not connected yet"
        """Why there is no connection, for the operator; None while there is one."""

    def startService(self) -> None:
        """Begin to connect."""
        super().startService()
        self._loop = Deferred.fromCoroutine(self._keep())
        self._loop.addErrback(self._ended)

    def stopService(self) -> Deferred[None]:
        """Close the connection, whatever waits for it."""
        super().stopService()
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.cancel()
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        protocol, self._protocol = self._protocol, None
        self.trouble = f"{self._server.where} is not connected any more"
        if protocol is not None and protocol.connected:
            gone: Deferred[None] = Deferred()
            protocol.lost.addBoth(gone.callback)
            protocol.transport.abortConnection()
            await gone

    @property
    def up(self) -> bool:
        """Whether there is a connection, prepared and not known to be lost."""
        return self._protocol is not None and self.trouble is None

    async def wait(self) -> None:
        """Until there is a connection."""
        if not self.up:
            made: Deferred[None] = Deferred(self._waiting.discard)
            self._waiting.add(made)
            await made

    async def call(self, *command: str | int | bytes, timeout_s: float | None = None) -> Any:
        """The answer to one command: str, int, None, or a list of such; bytes for what is no UTF-8.

        ``timeout_s``: for one that waits by itself.  When it is over the connection is closed, because
        answers come in the order of the questions.  Raises AwayError (also when it is not known whether
        the command was done), RefusedError.
        """
        protocol = self._protocol
        if protocol is None:
            raise AwayError(self.trouble or f"{self._server.where} is not connected")
        limit_s = self._timeout_s if timeout_s is None else timeout_s

        def late(_result: object, _limit_s: float) -> Any:
            if protocol.transport is not None:
                protocol.transport.abortConnection()
            raise AwayError(f"{self._server.where} did not answer within {limit_s:g} s")

        try:
            answer: Deferred[Any] = protocol.execute_command(*command)
            return await answer.addTimeout(limit_s, self._clock, onTimeoutCancel=late)
        except txredisapi.ResponseError as error:
            words = str(error).strip()
            if words.startswith("READONLY"):  # another has taken its place, and maybe its name
                protocol.transport.abortConnection()
                raise AwayError(f"{self._server} is a replica: {words}") from error
            raise RefusedError(words) from error
        except txredisapi.RedisError as error:
            raise AwayError(f"{self._server.where}: {_words(protocol.why or error)}") from error

    async def _keep(self) -> None:
        failures = 0
        while self.running:
            began_s = self._clock.seconds()
            try:
                protocol = await self._connect()
            except Exception as error:  # noqa: BLE001  whatever it is: another attempt
                if not self.running:  # cancelled, which has several names
                    return
                self._note(f"{self._server.where} cannot be used: {_words(error)}")
            else:
                self.trouble = None
                log.info("connected to {server} ({name})", server=self._server.where, name=self._client)
                waiting, self._waiting = self._waiting, set()
                for made in waiting:
                    made.callback(None)
                await _wait(protocol.lost)
                self._protocol = None
                self._note(f"the connection to {self._server.where} was lost")
                self._lost()
            failures = 0 if self._clock.seconds() - began_s >= SETTLED_S else failures + 1
            pause_s = RETRY_S[min(failures, len(RETRY_S) - 1)]
            await deferLater(self._clock, pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    async def _connect(self) -> Any:
        """A prepared connection.  Raises what made that impossible; then nothing is left open."""
        heard = self._heard
        factory = Factory.forProtocol(_Commands if heard is None else lambda: _Messages(heard))
        factory.noisy = False
        connecting: Deferred[Any] = self._endpoint().connect(factory)
        protocol = await connecting.addTimeout(self._timeout_s, self._clock)
        self._protocol = protocol
        try:
            protocol.transport.setTcpNoDelay(True)
            protocol.transport.setTcpKeepAlive(True)
            await self._greet()
            if self._ready is not None:
                await self._ready(self)
        except BaseException:
            self._protocol = None
            if protocol.transport is not None:
                protocol.transport.abortConnection()
            raise
        return protocol

    async def _greet(self) -> None:
        server = self._server
        if server.password is not None:
            user = () if server.username is None else (server.username,)
            await self.call("AUTH", *user, server.password)
        if server.db:
            await self.call("SELECT", server.db)
        await self.call("CLIENT", "SETNAME", self._client)

    def _endpoint(self) -> IStreamClientEndpoint:
        server = self._server
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            self._reactor, server.host, server.port, timeout=self._timeout_s
        )
        if not server.tls:
            return endpoint
        return wrapClientTLS(optionsForClientTLS(server.host, trustRoot=self._trust), endpoint)

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble and self.running:
            log.warn("{trouble}; tried again until it can", trouble=trouble)  # noqa: G010 - Twisted's Logger
        self.trouble = trouble

    def _ended(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            where = self._server.where
            log.failure("the connection to {server} is not kept up any more", failure, server=where)


def _trust(server: RedisServer) -> Any:
    """Who may have signed the server's certificate; None: whom the system believes.  Raises ConfigError."""
    if server.ssl_ca is None:
        return None
    try:
        found = _CERTIFICATE.findall(Path(server.ssl_ca).read_bytes())
        authorities = [Certificate.loadPEM(pem) for pem in found]
    except OSError as error:
        raise ConfigError(f"redis: cannot read ssl_ca {server.ssl_ca}: {error.strerror}") from error
    except crypto.Error:
        authorities = []
    if not authorities:
        raise ConfigError(f"redis: ssl_ca {server.ssl_ca} has no certificate in PEM form")
    return trustRootFromCertificates(authorities)


async def _wait(lost: Deferred[None]) -> None:
    """Until ``lost`` fires; it may be waited for again."""
    mine: Deferred[None] = Deferred()

    def pass_on(_result: None) -> None:
        if not mine.called:
            mine.callback(None)

    lost.addCallback(pass_on)
    await mine


def _words(error: BaseException) -> str:
    """What an operator can make of it; a secret is in none of them."""
    if isinstance(error, SSL.Error):  # of OpenSSL's own words the last are for people
        reasons = error.args[0] if error.args else ()
        return "; ".join(str(reason[-1]) for reason in reasons) or "TLS failed"
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
