# SPDX-License-Identifier: Apache-2.0
"""Sending stored files: read in threads, at the client's pace, as they lie or inflated on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from isal import isal_zlib
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from twisted.web.server import Request
from zope.interface import implementer

from stackviz_deployer.errors import DataLostError, OutOfFilesError
from stackviz_deployer.interfaces import InThread
from stackviz_deployer.model import BlobSpan, TaskId
from stackviz_deployer.trace import carried
from stackviz_deployer.web.errors import cut
from stackviz_deployer.web.headers import POLICY, RAW_POLICY
from stackviz_deployer.web.kept import may_share, share
from stackviz_deployer.web.negotiate import accepts_gzip, not_modified
from stackviz_deployer.web.observe import observe
from stackviz_deployer.web.ready import Ready

log = Logger()

T = TypeVar("T")

READ_BYTES = 128 * 1024
INFLATED_BYTES = 16 * 1024
"""Of a stored file at a time when it is sent plain; what is not unpacked yet waits with its reader."""
PLAIN_BYTES = 32 * 1024
"""Of what it is unpacked to: two or three of these wait for a reader that stops."""
IMMUTABLE = b"public, max-age=31536000, immutable"

STORED_TYPE = "application/gzip"
SHOWN_TYPE = "text/plain"
"""What a browser shows without interpreting it.  Anything else is only offered for saving."""


class FileThreads(Service):
    """Threads for reading files, apart from the reactor's own (which resolve names)."""

    def __init__(self, reactor: IReactorFromThreads, threads: int = 4) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, threads, "files")

    def startService(self) -> None:
        super().startService()
        self._pool.start()

    def stopService(self) -> None:
        super().stopService()
        self._pool.stop()

    def run(self, fn: Callable[..., T], /, *args: object) -> Deferred[T]:
        """See interfaces.InThread."""
        return deferToThreadPool(self._reactor, self._pool, carried(fn), *args)


def whole(path: str, size: int | None = None) -> BlobSpan:
    """A complete gzip file as a span; blocking when ``size`` is not known."""
    if size is None:
        size = Path(path).stat().st_size
    return BlobSpan(path=path, offset=0, size=size, head=b"", tail=b"")


class _Source(Protocol):
    def read(self) -> bytes: ...
    def close(self) -> None: ...


class _Stored:
    """Reads a span as it lies.  Blocking; for one thread at a time."""

    def __init__(self, span: BlobSpan) -> None:
        try:
            self._file = Path(span.path).open("rb")  # noqa: SIM115  # closed by close()
        except FileNotFoundError:
            raise DataLostError("this artifact's data is gone; scrape the job again") from None
        except OSError as error:
            if OutOfFilesError.fits(error):
                raise OutOfFilesError(span.path) from error
            raise
        self._file.seek(span.offset)
        self._left = span.size
        self._head = span.head
        self._tail = span.tail

    def read(self, most: int = READ_BYTES) -> bytes:
        """Some bytes, b"" at the end."""
        data = b""
        if self._left:
            data = self._file.read(min(most, self._left))
            if not data:
                raise EOFError(f"{self._file.name} is {self._left} bytes shorter than it should be")
            self._left -= len(data)
        data = self._head + data
        self._head = b""
        if not self._left:
            data += self._tail
            self._tail = b""
        return data

    def close(self) -> None:
        self._file.close()


def _read_whole(span: BlobSpan) -> bytes:
    """A span as it lies; shorter than it should be when the file is.  Blocking."""
    source = _Stored(span)
    try:
        return b"".join(iter(source.read, b""))
    except EOFError:
        return b""
    finally:
        source.close()


class _Inflated:
    """Reads a span as plain bytes, never more than PLAIN_BYTES at once.  Blocking, likewise."""

    def __init__(self, span: BlobSpan) -> None:
        self._stored = _Stored(span)
        self._inflater = isal_zlib.decompressobj(wbits=31)

    def read(self) -> bytes:
        while not self._inflater.eof:
            wire = self._inflater.unconsumed_tail or self._stored.read(INFLATED_BYTES)
            data = self._inflater.decompress(wire, PLAIN_BYTES)
            if data:
                return data
            if not wire:
                raise EOFError("a stored gzip ends early")
        return b""

    def close(self) -> None:
        self._stored.close()


@implementer(IPushProducer)
class _Transfer(Ready):
    """One body on its way to one client."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._paused = False
        self._resumed: Deferred[None] | None = None
        self.stopped = False
        request.notifyFinish().addErrback(lambda _: self.stopProducing())

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._wake()

    def stopProducing(self) -> None:
        self.stopped = True
        self._wake()

    def _wake(self) -> None:
        if self._resumed is not None:
            resumed, self._resumed = self._resumed, None
            resumed.callback(None)

    async def room(self) -> bool:
        """Wait until the client can take more; False when it is gone (the channel drops one that stalls)."""
        if self._paused and not self.stopped:
            self._resumed = Deferred()
            await self._resumed
        return not self.stopped

    def drop(self) -> None:
        """Cut the connection, so that the client does not take a part for the whole."""
        if not self.stopped:
            self.stopped = True
            cut(self._request)


def _guard(request: Request, content_type: str) -> None:
    """Whoever opens the address itself gets a file or plain text; scripts that fetch it notice nothing."""
    request.setHeader(POLICY, RAW_POLICY)
    if content_type.partition(";")[0].strip().lower() != SHOWN_TYPE:
        request.setHeader(b"Content-Disposition", b"attachment")


class FileSender:
    """Sends spans of stored gzip files, each under an address whose content never changes."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread

    async def send(
        self,
        request: Request,
        span: BlobSpan,
        *,
        tag: str,
        content_type: str,
        task_id: TaskId,
        used: Callable[[], None],
    ) -> None:
        """Answer ``request`` with ``span``, gzipped or plain as the client takes it.

        ``tag`` names the content for its ETag; ``task_id`` and ``used``: see kept.share.  Raises
        DataLostError while nothing was written yet; later trouble cuts the connection.  The caller
        finishes the request.
        """
        as_gzip = accepts_gzip(request)
        request.setHeader(b"Vary", b"Accept-Encoding")
        _guard(request, content_type)
        request.setHeader(b"Cache-Control", IMMUTABLE)
        if not_modified(request, f'"{tag}"'.encode() if as_gzip else f'"{tag}-plain"'.encode()):
            share(request, b"", task_id=task_id, used=used)
            return
        request.setHeader(b"Content-Type", content_type.encode("ascii", "replace"))
        if as_gzip:
            size = len(span.head) + span.size + len(span.tail)
            request.setHeader(b"Content-Encoding", b"gzip")
            request.setHeader(b"Content-Length", b"%d" % size)
            if request.method == b"GET" and may_share(request, size):
                body = await self._in_thread(_read_whole, span)
                if len(body) == size and share(request, body, task_id=task_id, used=used):
                    request.write(body)
                    return
        # The pump outlives a cancelled handler: a file must not be closed under a reading thread.
        pump = Deferred.fromCoroutine(self._pump(request, span, as_gzip=as_gzip))
        await observe(pump, "sending a blob")

    async def send_stored(self, request: Request, span: BlobSpan, *, tag: str) -> None:
        """Answer ``request`` with ``span`` as a gzip file, which nothing unpacks; else as send()."""
        _guard(request, STORED_TYPE)
        request.setHeader(b"Cache-Control", IMMUTABLE)
        if not_modified(request, f'"{tag}"'.encode()):
            return
        request.setHeader(b"Content-Type", STORED_TYPE.encode())
        request.setHeader(b"Content-Length", b"%d" % (len(span.head) + span.size + len(span.tail)))
        pump = Deferred.fromCoroutine(self._pump(request, span, as_gzip=True))
        await observe(pump, "sending a blob as it lies")

    async def _pump(self, request: Request, span: BlobSpan, *, as_gzip: bool) -> None:
        transfer = _Transfer(request)
        opener: Callable[[BlobSpan], _Source] = _Stored if as_gzip else _Inflated
        source = await self._in_thread(opener, span)
        try:
            if request.method == b"HEAD" or transfer.stopped:
                return
            request.registerProducer(transfer, True)
            try:
                while await transfer.room():
                    data = await self._in_thread(source.read)
                    if not data or transfer.stopped:
                        break
                    request.write(data)
                    del data  # the transport has its own; a reader that stops would hold both
            except Exception:  # noqa: BLE001  # whatever it is, the client must see a torn body
                log.failure("sending {path} failed", path=span.path)
                transfer.drop()
            finally:
                if request.channel is not None:
                    request.unregisterProducer()
        finally:
            await self._in_thread(source.close)
