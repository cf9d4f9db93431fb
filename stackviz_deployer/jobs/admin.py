# SPDX-License-Identifier: Apache-2.0
"""What the operator does with tasks: see them all, keep one, remove one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from twisted.logger import Logger

from stackviz_deployer.background import Background
from stackviz_deployer.model import BlobHash, Expired, KeptTask, TaskId, TaskState

log = Logger()


class _Rows(Protocol):
    async def listed(
        self, *, state: TaskState | None, before: int | None, most: int
    ) -> Sequence[KeptTask]: ...
    async def pin(self, task_id: TaskId, *, pinned: bool) -> KeptTask: ...
    async def delete(self, task_id: TaskId) -> Expired: ...


class _Files(Protocol):
    async def remove(self, hashes: Iterable[BlobHash]) -> None: ...


class Administration:
    """interfaces.Admin over the rows and the files of the store."""

    def __init__(self, *, rows: _Rows, files: _Files, halt: Callable[[TaskId], Awaitable[None]]) -> None:
        """``halt`` cancels a task that works, and returns when nothing works on it any more."""
        self._rows = rows
        self._files = files
        self._halt = halt
        self._background = Background()

    async def listed(self, *, state: TaskState | None, before: int | None, most: int) -> Sequence[KeptTask]:
        """See interfaces.Admin."""
        return await self._rows.listed(state=state, before=before, most=most)

    async def pin(self, task_id: TaskId, *, pinned: bool) -> KeptTask:
        """See interfaces.Admin."""
        return await self._rows.pin(task_id, pinned=pinned)

    async def delete(self, task_id: TaskId) -> None:
        """See interfaces.Admin.  Goes on when whoever awaits it is cancelled."""
        await self._background.observe(self._delete(task_id), "deleting a task")

    async def _delete(self, task_id: TaskId) -> None:
        await self._halt(task_id)
        gone = await self._rows.delete(task_id)
        await self._files.remove(gone.hashes)
        log.info("{task} was deleted by an administrator", task=task_id)
