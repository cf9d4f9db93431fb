# SPDX-License-Identifier: Apache-2.0
"""The sample job: ``sample:<job>/...`` URLs, answered from files of the package as a server would."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from zope.interface import implementer

from stackviz_deployer.errors import OutOfFilesError, QueryNotUnderstoodError
from stackviz_deployer.interfaces import InThread

SCHEME = "sample:"
_CHUNK = 64 << 10
_FORM = re.compile(r"sample:(?P<path>[A-Za-z0-9._~!$&'()*+,;=:@%/-]{1,1000})")


def segments(url: str) -> tuple[str, ...]:
    """The names in a ``sample:`` URL.  Raises QueryNotUnderstoodError for anything but plain names."""
    match = _FORM.fullmatch(url)
    wrong = QueryNotUnderstoodError(f"{url[:200]!a} is no address of the sample job (sample:<job>/<file>).")
    if match is None:
        raise wrong
    names = tuple(unquote(name, errors="replace") for name in match["path"].removesuffix("/").split("/"))
    if any(name in ("", ".", "..") or re.search(r"[/\\\x00-\x1f]", name) for name in names):
        raise wrong
    return names


@frozen
class _Found:
    """What lies at a URL: an open file, or the text of an index."""

    url: str
    size: int
    content_type: bytes
    read: Callable[[int], bytes]
    close: Callable[[], None]


class SampleAnswer:
    """A body.Answer from the package's files."""

    phrase = b"OK"

    def __init__(self, found: _Found | None, url: str, run_in_thread: InThread) -> None:
        self.url = url if found is None else found.url
        self.code = 404 if found is None else 200
        self.phrase = b"Not Found" if found is None else b"OK"
        self.length: int | object = 0 if found is None else found.size
        self.headers = Headers({b"Content-Type": [found.content_type]} if found else {})
        self._found = found
        self._run_in_thread = run_in_thread

    def deliverBody(self, protocol: IProtocol) -> None:
        feeder = _Feeder(protocol, self._found, self._run_in_thread)
        protocol.makeConnection(feeder)  # type: ignore[arg-type]  # as in twisted.web, a producer that can be closed
        feeder.resumeProducing()


@implementer(IPushProducer)
class _Feeder:
    """Reads in the thread, a chunk at a time, as long as it is not told to wait."""

    def __init__(self, protocol: IProtocol, found: _Found | None, run_in_thread: InThread) -> None:
        self._protocol = protocol
        self._found = found
        self._run_in_thread = run_in_thread
        self._running = False
        self._wanted = False
        self._ended = False

    def resumeProducing(self) -> None:
        self._wanted = True
        if self._running or self._ended:
            return
        if self._found is None:
            self._end(ResponseDone())
            return
        self._running = True
        found = self._found
        self._run_in_thread(lambda: found.read(_CHUNK)).addCallbacks(self._came, self._failed)

    def pauseProducing(self) -> None:
        self._wanted = False

    def stopProducing(self) -> None:
        self._end(CancelledError())

    def loseConnection(self) -> None:
        self._end(CancelledError())

    def _came(self, data: bytes) -> None:
        self._running = False
        if self._ended:
            self._close()
        elif data:
            self._protocol.dataReceived(data)
            if self._wanted:
                self.resumeProducing()
        else:
            self._end(ResponseDone())

    def _failed(self, failure: Failure) -> None:
        self._running = False
        self._end(failure.value)

    def _end(self, reason: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = True
        if not self._running:
            self._close()
        self._protocol.connectionLost(Failure(reason))

    def _close(self) -> None:
        if self._found is not None:
            self._found.close()


class SampleFiles:
    """The files below ``root``, one directory a job."""

    def __init__(self, root: Path, run_in_thread: InThread) -> None:
        self._root = root
        self._run_in_thread = run_in_thread

    def request(self, url: str) -> Deferred[SampleAnswer]:
        """The answer for ``url``.  Raises QueryNotUnderstoodError."""
        names = segments(url)
        return self._run_in_thread(lambda: self._find(names)).addCallback(
            lambda found: SampleAnswer(found, url, self._run_in_thread)
        )

    def _find(self, names: tuple[str, ...]) -> _Found | None:
        """In the thread."""
        root = self._root.resolve()
        path = root.joinpath(*names).resolve()
        if not path.is_relative_to(root) or path == root:
            return None
        url = SCHEME + "/".join(quote(name) for name in names)
        try:
            if path.is_dir():
                return _index(url + "/", path)
            file: BinaryIO = path.open("rb")
            return _Found(url, path.stat().st_size, b"application/octet-stream", file.read, file.close)
        except OSError as error:
            if OutOfFilesError.fits(error):
                raise OutOfFilesError(str(path)) from error
            return None


def _index(url: str, path: Path) -> _Found:
    """A directory as the plainest of Apache's indexes."""
    rows = []
    for entry in sorted(path.iterdir(), key=lambda entry: entry.name):
        name = entry.name + ("/" if entry.is_dir() else "")
        rows.append(f'<li><a href="{html.escape(quote(name))}">{html.escape(name)}</a></li>\n')
    title = f"Index of {html.escape(path.name)}"
    page = (
        f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body><h1>{title}</h1>\n<ul>\n{''.join(rows)}</ul>\n</body></html>\n"
    ).encode()
    pieces = iter((page,))
    return _Found(url, len(page), b"text/html; charset=utf-8", lambda _: next(pieces, b""), lambda: None)
