# SPDX-License-Identifier: Apache-2.0
"""Server-sent events: the progress of a task, for whoever watches its page."""

from __future__ import annotations

import orjson
from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from stackviz_deployer.errors import TooManyStreamsError
from stackviz_deployer.interfaces import Tasks
from stackviz_deployer.model import Task, TaskId
from stackviz_deployer.web.documents import status
from stackviz_deployer.web.stream import NewestStream

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
        stream = NewestStream(request, self._clock, b": still here\n\n")

        def push(task: Task) -> None:
            stream.push(
                lambda: b"event: status\ndata: " + orjson.dumps(status(task)) + b"\n\n",
                last=not task.state.working,
            )

        self._open += 1
        # watched before asked, so that no change falls between the two
        unwatch = self._tasks.watch(task_id, push)
        try:
            task = await self._tasks.get(task_id)
            if stream.empty:
                push(task)
            stream.head(b"text/event-stream; charset=utf-8")
            if request.method != b"HEAD":
                stream.start()
                await stream.done
        finally:
            unwatch()
            stream.close()
            self._open -= 1
