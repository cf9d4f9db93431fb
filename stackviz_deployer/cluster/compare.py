# SPDX-License-Identifier: Apache-2.0
"""What waits in the database and is not in Redis, which was away, or has lost it: put there."""

from __future__ import annotations

from collections.abc import Collection

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

    def __init__(self, store: SharedTaskStore, stream: TaskStream) -> None:
        self._store = store
        self._stream = stream
        self._suspects: frozenset[TaskId] = frozenset()
        """Pending tasks that nobody said to work on, at the last look."""

    def begin_anew(self) -> None:
        """Those that work on something could not say so."""
        self._suspects = frozenset()

    async def offer_all(self, link: Link, held: Collection[TaskId]) -> None:
        """``held``: what this node works on.  Raises AwayError, RefusedError, StoreError."""
        waiting = await self._store.waiting(COMPARED)
        queued = [task_id for task_id, state in waiting if state is TaskState.QUEUED]
        pending = [task_id for task_id, state in waiting if state is TaskState.PENDING]
        leased = await self._stream.leased(link, pending)
        suspects = frozenset(pending).difference(leased, held)
        # those that work on a task say so more often than this looks: twice is no accident
        forgotten = [task_id for task_id in pending if task_id in suspects & self._suspects]
        self._suspects = suspects
        if new := await self._stream.offer(link, [*forgotten, *queued]):
            log.info("{count} tasks of the database were not in Redis; they are now", count=new)
