# SPDX-License-Identifier: Apache-2.0
"""An answer in parts, each of which makes the one before it worthless."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.web.server import Request
from zope.interface import implementer

from stackviz_deployer.web.channel import SLICE

HEARTBEAT_S = 15.0
"""Shorter than the idle time-outs of usual proxies (nginx: 60 s)."""


@implementer(IPushProducer)
class NewestStream:
    """One client.  Holds at most two parts: what is left of the one being sent, and the newest."""

    def __init__(self, request: Request, clock: IReactorTime, beat: bytes = b"") -> None:
        """``beat`` is sent when nothing else is, to keep proxies waiting."""
        self._request = request
        self._beat_bytes = beat
        self._newest: Callable[[], bytes] | None = None
        self._last = False
        self._rest = memoryview(b"")
        self._rest_is_last = False
        self._flowing = False
        self._started = False
        self._heart = LoopingCall(self._beat)
        self._heart.clock = clock
        self.done: Deferred[None] = Deferred()
        """Fires when the last part has been sent."""

    def head(self, content_type: bytes) -> None:
        """Set the headers."""
        self._request.setHeader(b"Content-Type", content_type)
        self._request.setHeader(b"Cache-Control", b"no-store")
        self._request.setHeader(b"X-Accel-Buffering", b"no")

    def start(self) -> None:
        """Begin to send, with what was pushed before if anything was; harmless when repeated."""
        if self._started:
            return
        self._started = self._flowing = True
        self._request.registerProducer(self, True)
        self._heart.start(HEARTBEAT_S, now=False)
        self._send()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to send."""
        return self._newest is None

    @property
    def started(self) -> bool:
        """Whether the answer has begun, so that its status cannot change any more."""
        return self._started

    def push(self, make: Callable[[], bytes], *, last: bool = False) -> None:
        """Send what ``make`` makes as soon as the client takes it, unless a later part comes before."""
        self._newest, self._last = make, last
        self._send()

    def close(self) -> None:
        """Let go of the clock and the connection; harmless when repeated."""
        self._flowing = False
        if self._heart.running:
            self._heart.stop()
        if self._started and self._request.channel is not None:
            self._request.unregisterProducer()
        self._started = False

    def pauseProducing(self) -> None:
        self._flowing = False

    def resumeProducing(self) -> None:
        self._flowing = self._started
        self._send()

    def stopProducing(self) -> None:
        self.close()

    def _send(self) -> None:
        while self._flowing and (self._rest or self._newest is not None):
            if not self._rest and self._newest is not None:
                make, self._newest = self._newest, None
                self._rest, self._rest_is_last = memoryview(make()), self._last
            piece, self._rest = self._rest[:SLICE], self._rest[SLICE:]
            self._request.write(bytes(piece))
            if self._rest_is_last and not self._rest:
                self.close()
                self.done.callback(None)

    def _beat(self) -> None:
        if self._flowing and self._beat_bytes:
            self._request.write(self._beat_bytes)
