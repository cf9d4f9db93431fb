# SPDX-License-Identifier: Apache-2.0
"""What follows the end of a task, at the node that recorded it."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from stackviz_deployer.background import Background
from stackviz_deployer.interfaces import Meters, NoMeters, Uploads
from stackviz_deployer.jobs.uploads import id_of
from stackviz_deployer.model import Task


class Epilogue:
    """Counts ends, and discards what was sent for tasks that have ended."""

    def __init__(self, uploads: Uploads, meters: Meters | None = None) -> None:
        self._uploads = uploads
        self._meters = meters or NoMeters()
        self._background = Background()

    def follow(self, task: Task) -> None:
        """``task`` has ended, and this node has just recorded it."""
        result = task.state.value
        self._meters.count("tasks", result=result, reason=task.error or "")
        if task.started_ms is not None and task.finished_ms is not None:
            seconds = max(task.finished_ms - task.started_ms, 0) / 1000
            self._meters.observe("task_seconds", seconds, result=result)
        upload_id = id_of(task.url)
        if upload_id is not None:
            self._background.spawn(self._uploads.discard(upload_id), f"discarding {task.id}'s upload")

    async def end(self, clock: IReactorTime, timeout_s: float) -> bool:
        """See ``Background.end``."""
        return await self._background.end(clock, timeout_s)
