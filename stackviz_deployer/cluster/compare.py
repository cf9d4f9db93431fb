# SPDX-License-Identifier: Apache-2.0
"""What waits in the database and is not in Redis, which was away, or has lost it: put there."""

from __future__ import annotations

from collections.abc import Collection

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from stackviz_deployer.cluster.link import Link
from stackviz_deployer.cluster.stream import TaskStream
from stackviz_deployer.interfaces import SharedTaskStore
from stackviz_deployer.model import TaskId, TaskState

log = Logger()

COMPARED = 1000
"""Tasks of the database, the oldest, that are compared with Redis at a time."""


class Comparison:
    """One node's look at both, again and again."""

    def __init__(
        self, store: SharedTaskStore, stream: TaskStream, clock: IReactorTime, *, sure_s: float
    ) -> None:
        """``sure_s``: of whose work nothing was said for so long, nobody works on it."""
        self._store = store
        self._stream = stream
        self._clock = clock
        self._sure_s = sure_s
        self._suspects: dict[TaskId, float] = {}
        """Pending tasks that nobody said to work on at the last look, and since when."""

    def begin_anew(self) -> None:
        """Those that work on something could not say so."""
        self._suspects = {}

    async def offer_all(self, link: Link, held: Collection[TaskId]) -> None:
        """``held``: what this node works on.  Raises AwayError, RefusedError, StoreError."""
        waiting = await self._store.waiting(COMPARED)
        queued = [task_id for task_id, state in waiting if state is TaskState.QUEUED]
        pending = [task_id for task_id, state in waiting if state is TaskState.PENDING]
        leased = await self._stream.leased(link, pending)
        now_s = self._clock.seconds()
        suspects = frozenset(pending).difference(leased, held)
        # who works on a task may be about to find its way back to Redis, to say so
        self._suspects = {task_id: self._suspects.get(task_id, now_s) for task_id in suspects}
        forgotten = [
            task_id for task_id in pending if now_s - self._suspects.get(task_id, now_s) >= self._sure_s
        ]
        if new := await self._stream.offer(link, [*forgotten, *queued]):
            log.info("{count} tasks of the database were not in Redis; they are now", count=new)
