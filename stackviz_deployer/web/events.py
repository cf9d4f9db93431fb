# SPDX-License-Identifier: Apache-2.0
"""Server-sent events: the progress of a task, for whoever watches its page."""

from __future__ import annotations

import orjson
from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from stackviz_deployer.errors import TooManyStreamsError
from stackviz_deployer.interfaces import Meters, Tasks
from stackviz_deployer.model import Task, TaskId
from stackviz_deployer.web.clients import Clients
from stackviz_deployer.web.documents import status
from stackviz_deployer.web.places import Places
from stackviz_deployer.web.ready import Endless
from stackviz_deployer.web.stream import NewestStream

SHARE = 10
"""One client may hold this part of the streams."""


class EventStreams:
    """All open streams: ``event: status`` with the JSON of ``/api/status``.

    First the present state, then each change, last the end state; then the stream ends.
    A client that comes back (``Last-Event-ID`` or not) gets the present state likewise.
    """

    def __init__(
        self, tasks: Tasks, clock: IReactorTime, *, most: int, clients: Clients, meters: Meters
    ) -> None:
        self._tasks = tasks
        self._clock = clock
        self._clients = clients
        self._meters = meters
        self.places = Places(most, max(1, most // SHARE))

    async def serve(self, request: Request, task_id: TaskId) -> None:
        """Answer ``request`` until the task ends or the client goes; the task does not notice either way.

        Raises NotFoundError, TooManyStreamsError.
        """
        client = self._clients.of(request)
        full = self.places.full(client)
        if full is not None:
            self._meters.count("limit_hits", limit="connections.events")
            whose = "your address watches" if full == "client" else "this server's clients watch"
            raise TooManyStreamsError(f"{whose} as many tasks as can be; ask /api/status instead")
        stream = _Events(request, self._clock, b": still here\n\n")

        def push(task: Task) -> None:
            stream.push(
                lambda: b"event: status\ndata: " + orjson.dumps(status(task)) + b"\n\n",
                last=not task.state.working,
            )

        self.places.take(client)
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
            self.places.leave(client)


class _Events(NewestStream, Endless):
    """Whoever reads it asks again by itself when it ends early."""

    def leave(self) -> None:
        if self.started:
            self.close()
            self.done.callback(None)
