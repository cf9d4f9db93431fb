# SPDX-License-Identifier: Apache-2.0
"""Who wants to hear of which task."""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.logger import Logger

from stackviz_deployer.model import Task, TaskId

log = Logger()


class Watchers:
    """Observers per task; one that raises is logged and harms nobody."""

    def __init__(self) -> None:
        self._of: dict[TaskId, dict[object, Callable[[Task], None]]] = {}

    @property
    def tasks(self) -> Collection[TaskId]:
        """Those that somebody wants to hear of."""
        return self._of.keys()

    def add(self, task_id: TaskId, changed: Callable[[Task], None]) -> Callable[[], None]:
        """Call ``changed`` with each later state; returns the way to stop, which may be called twice."""
        token = object()
        self._of.setdefault(task_id, {})[token] = changed

        def stop() -> None:
            mine = self._of.get(task_id)
            if mine is not None and mine.pop(token, None) is not None and not mine:
                del self._of[task_id]

        return stop

    def tell(self, task: Task) -> None:
        """Every watcher of ``task.id`` hears of it, also when one of them stops another."""
        mine = self._of.get(task.id, {})
        for token in list(mine):
            changed = mine.get(token)
            if changed is None:
                continue
            try:
                changed(task)
            except Exception:  # noqa: BLE001  somebody's page is not the task's business
                log.failure("telling a watcher of {task}", task=task.id)
