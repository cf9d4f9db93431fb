# SPDX-License-Identifier: Apache-2.0
"""Bodies of answers: into a file, bounded, cancellable at any moment, without blocking the reactor."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IPushProducer, ITransport
from twisted.internet.protocol import Protocol as BaseProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers

from stackviz_deployer.errors import OutOfFilesError, StoreError, TooLargeError
from stackviz_deployer.interfaces import InThread

T = TypeVar("T")

BATCH = 256 << 10
"""Bytes that are worth a trip to the writing thread."""
HIGH = 1 << 20
"""Bytes received and not yet written at which the sender is told to wait."""
MAX_DRAIN = 32 << 10
"""Bytes of an unwanted body that are read rather than closing the connection."""


class Answer(Protocol):
    """What is used of twisted.web.iweb.IResponse."""

    code: int
    phrase: bytes
    headers: Headers
    length: int | object
    """Bytes of the body, or twisted.web.iweb.UNKNOWN_LENGTH."""

    def deliverBody(self, protocol: IProtocol) -> None: ...


def producer_of(transport: ITransport | None) -> IPushProducer:
    """The transport of a body, which is a producer, too (twisted.web's TransportProxyProducer)."""
    return cast(IPushProducer, transport)


def drop(transport: ITransport | None) -> None:
    """End the transfer.  Over TLS loseConnection alone would wait for a peer that goes on sending."""
    if transport is not None:
        producer_of(transport).stopProducing()
        transport.loseConnection()


class FileSink(BaseProtocol):
    """Writes a body into a file.

    ``done`` fires with the number of bytes once all of them are in the file, or fails with
    TooLargeError, StoreError or what ended the connection; the file is closed then.
    Cancelling it ends the transfer at once (the file is closed soon after).
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        too_large: Callable[[], TooLargeError],
        on_bytes: Callable[[int], None] | None,
        run_in_thread: InThread,
    ) -> None:
        self.received = 0
        self.done: Deferred[int] = Deferred(self._cancel)
        self._path = path
        self._max_bytes = max_bytes
        self._too_large = too_large
        self._on_bytes = on_bytes
        self._run_in_thread = run_in_thread
        self._pending = bytearray()
        self._writing = 0  # bytes that the thread has in hand
        self._busy = False
        self._paused = False
        self._complete = False
        self._cancelled = False
        self._error: Failure | None = None
        self._file: BinaryIO | None = None  # the thread's, one job at a time

    @property
    def _abandoned(self) -> bool:
        return self._cancelled or self._error is not None

    def _cancel(self, _: Deferred[int]) -> None:
        self._cancelled = True
        drop(self.transport)
        self._work()

    def dataReceived(self, data: bytes) -> None:
        if self._abandoned:
            return
        self.received += len(data)
        if self.received > self._max_bytes:
            drop(self.transport)
            self._fail(Failure(self._too_large()))
            return
        if self._on_bytes is not None:
            self._on_bytes(len(data))
        self._pending += data
        if len(self._pending) >= BATCH:
            self._work()
        if len(self._pending) + self._writing > HIGH and not self._paused:
            self._paused = True
            producer_of(self.transport).pauseProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ResponseDone):
            self._complete = True
            self._work()
        else:
            self._fail(reason)

    def _fail(self, failure: Failure) -> None:
        if self._error is None:
            self._error = failure
        self._work()

    def _work(self) -> None:
        """Give the thread its next job, unless it has one; at the end, fire ``done``."""
        if self._busy:
            return
        if self._abandoned:
            self._pending.clear()
            if self._file is None:
                self._finish()
                return
        data = bytes(self._pending)
        self._pending.clear()
        self._writing = len(data)
        self._busy = True
        last = self._abandoned or self._complete
        self._run_in_thread(lambda: self._write(data, last=last)).addCallbacks(self._written, self._unwritten)

    def _write(self, data: bytes, *, last: bool) -> None:
        """In the thread."""
        if self._file is None:
            self._file = self._path.open("wb", buffering=0)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        if last:
            self._file.close()
            self._file = None

    def _written(self, _: None) -> None:
        self._busy = False
        self._writing = 0
        if self._complete and self._file is None:
            self._finish()
            return
        if self._paused and len(self._pending) < BATCH and not self._abandoned:
            self._paused = False
            producer_of(self.transport).resumeProducing()
        if self._complete or self._abandoned or len(self._pending) >= BATCH:
            self._work()

    def _unwritten(self, failure: Failure) -> None:
        self._busy = False
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()
        self._file = None
        if not self._abandoned:
            drop(self.transport)
            error: StoreError
            if OutOfFilesError.fits(failure.value):
                error = OutOfFilesError(str(self._path))
            else:
                full = getattr(failure.value, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
                error = StoreError(
                    f"{self._path} cannot be written: {failure.getErrorMessage()}",
                    reason="the server's disk is full" if full else "the server cannot write to its disk",
                )
            self._error = Failure(error)
        self._finish()

    def _finish(self) -> None:
        if self.done.called or self._cancelled:
            return
        if self._error is not None:
            self.done.errback(self._error)
        else:
            self.done.callback(self.received)


class Drain(BaseProtocol):
    """Reads the body of an answer that nobody wants, if it is short, so that the connection can be kept."""

    def __init__(self) -> None:
        self.done: Deferred[None] = Deferred(lambda _: drop(self.transport))
        self._left = MAX_DRAIN

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            drop(self.transport)
            self._end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  # Twisted's signature
        self._end()

    def _end(self) -> None:
        if not self.done.called:
            self.done.callback(None)


class Dropper(BaseProtocol):
    """Ends the transfer of a body before it begins."""

    def connectionMade(self) -> None:
        drop(self.transport)
