# SPDX-License-Identifier: Apache-2.0
"""The bus of a daemon that is alone: the store is the queue, and everybody is in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from stackviz_deployer.interfaces import Audience, OwnTaskStore
from stackviz_deployer.model import Progress, Task, TaskId

log = Logger()


class LocalBus:
    """interfaces.Bus.  Tasks found pending at the first ``take`` are those of a daemon that was killed."""

    def __init__(self, store: OwnTaskStore, writable: Callable[[], None] = lambda: None) -> None:
        """``writable`` raises StoreError while it is known that results could not be stored."""
        self._store = store
        self._writable = writable
        self._audiences: list[Audience] = []
        self._progress: dict[TaskId, Progress] = {}
        self._queued = 0
        self._recovered = False
        self._claiming = False
        self._ended_meanwhile: set[TaskId] = set()
        """Told to have ended while a claim was on its way, which may bring just those."""
        self._bell: Deferred[None] | None = None
        self._rung = True

    def join(self, audience: Audience) -> None:
        """See interfaces.Bus."""
        self._audiences.append(audience)

    def offer(self, _task: Task) -> None:
        """See interfaces.Bus."""
        self._queued += 1
        self._ring()

    async def take(self, waits: Callable[[], None]) -> Task:
        """See interfaces.Bus."""
        if not self._recovered:
            if left := await self._store.requeue():
                log.info("{count} tasks of an earlier run are queued again", count=left)
            self._queued = await self._store.queued()
            self._recovered = True
        while True:
            await self._ringing()
            try:
                task = await self._claim()
            except BaseException:
                self._rung = True
                raise
            if task is not None:
                self._rung = True  # there may be more
                return task
            waits()

    async def _claim(self) -> Task | None:
        self._claiming = True
        try:
            self._writable()  # what could not be stored waits, rather than fail after all the work
            task = await self._store.claim()
        finally:
            ended, self._ended_meanwhile = self._ended_meanwhile, set()
            self._claiming = False
        if task is None:
            if not self._rung:
                self._queued = 0
            return None
        self._queued = max(self._queued - 1, 0)
        if task.id in ended:
            self._rung = True
            return None
        return task

    def tell(self, task: Task) -> None:
        """See interfaces.Bus."""
        if task.progress is not None:
            self._progress[task.id] = task.progress
        if not task.state.working:
            self._progress.pop(task.id, None)
            if self._claiming:
                self._ended_meanwhile.add(task.id)
            self._ring()  # a queued one less
        for audience in self._audiences:
            audience.heard(task)

    async def progress(self, task: Task) -> Progress | None:
        """See interfaces.Bus."""
        return self._progress.get(task.id)

    def settle(self, task: Task) -> None:
        """See interfaces.Bus."""
        self._progress.pop(task.id, None)

    async def release(self, begun: Task) -> None:
        """See interfaces.Bus."""
        self.settle(begun)
        await self._store.release(begun)

    def health(self) -> Mapping[str, Any]:
        """See interfaces.Bus."""
        return {"queued": self._queued, "notes": []}

    def _ring(self) -> None:
        """Let ``take`` look again."""
        self._rung = True
        if self._bell is not None:
            bell, self._bell = self._bell, None
            bell.callback(None)

    async def _ringing(self) -> None:
        """Until somebody rings, or at once if somebody did since the last look."""
        if not self._rung:
            self._bell = Deferred(self._unhang)
            await self._bell
        self._rung = False

    def _unhang(self, _bell: Deferred[None]) -> None:
        self._bell = None
