# SPDX-License-Identifier: Apache-2.0
"""Server-sent events: the progress of a task, for whoever watches its page."""

from __future__ import annotations

import orjson
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.server import Request
from zope.interface import implementer

from stackviz_deployer.errors import TooManyStreamsError
from stackviz_deployer.interfaces import Tasks
from stackviz_deployer.model import Task, TaskId
from stackviz_deployer.web.documents import status
from stackviz_deployer.web.errors import cut

log = Logger()

HEARTBEAT_S = 15.0
"""Shorter than the idle time-outs of usual proxies (nginx: 60 s)."""
STALLED_BEATS = 4
"""After so many heartbeats that a client did not take, it is dropped."""
MAX_STREAMS = 500


class EventStreams:
    """All open streams: ``event: status`` with the JSON of ``/api/status``.

    First the present state, then each change, last the end state; then the stream ends.
    A client that comes back (``Last-Event-ID`` or not) gets the present state likewise.
    """

    def __init__(self, tasks: Tasks, clock: IReactorTime, *, max_streams: int = MAX_STREAMS) -> None:
        self._tasks = tasks
        self._clock = clock
        self._max_streams = max_streams
        self._open = 0

    async def serve(self, request: Request, task_id: TaskId) -> None:
        """Answer ``request`` until the task ends or the client goes; the task does not notice either way.

        Raises NotFoundError, TooManyStreamsError.
        """
        if self._open >= self._max_streams:
            raise TooManyStreamsError("too many pages are watching tasks; ask /api/status instead")
        stream = _Stream(request, self._clock)
        self._open += 1
        # watched before asked, so that no change falls between the two
        unwatch = self._tasks.watch(task_id, stream.push)
        try:
            task = await self._tasks.get(task_id)
            request.setHeader(b"Content-Type", b"text/event-stream; charset=utf-8")
            request.setHeader(b"Cache-Control", b"no-store")
            request.setHeader(b"X-Accel-Buffering", b"no")
            if request.method != b"HEAD":
                stream.start(task)
                await stream.done
        finally:
            unwatch()
            stream.close()
            self._open -= 1


@implementer(IPushProducer)
class _Stream:
    """One client.  Holds at most one state that was not sent: the newest."""

    def __init__(self, request: Request, clock: IReactorTime) -> None:
        self._request = request
        self._newest: Task | None = None
        self._flowing = False
        self._started = False
        self._missed_beats = 0
        self._heart = LoopingCall(self._beat)
        self._heart.clock = clock
        self.done: Deferred[None] = Deferred()

    def start(self, task: Task) -> None:
        """Send the present state: ``task``, unless a later one came while it was fetched."""
        if self._newest is None:
            self._newest = task
        self._started = self._flowing = True
        self._request.registerProducer(self, True)
        self._heart.start(HEARTBEAT_S, now=False)
        self._send()

    def push(self, task: Task) -> None:
        self._newest = task
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
        self._missed_beats = 0
        self._send()

    def stopProducing(self) -> None:
        self.close()

    def _send(self) -> None:
        if not self._flowing or self._newest is None:
            return
        task, self._newest = self._newest, None
        self._request.write(b"event: status\ndata: " + orjson.dumps(status(task)) + b"\n\n")
        if not task.state.working:
            self.close()
            self.done.callback(None)

    def _beat(self) -> None:
        if self._flowing:
            self._request.write(b": still here\n\n")
            return
        self._missed_beats += 1
        if self._missed_beats >= STALLED_BEATS:
            log.info("dropped an event stream whose client read nothing")
            cut(self._request)
