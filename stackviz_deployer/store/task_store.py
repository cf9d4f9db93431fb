# SPDX-License-Identifier: Apache-2.0
"""interfaces.TaskStore: the statements about tasks, each in a transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar
from uuid import uuid4

from stackviz_deployer.errors import UnknownOutcomeError
from stackviz_deployer.model import (
    Artifact,
    ArtifactId,
    BlobRef,
    Job,
    ParsedArtifact,
    Task,
    TaskId,
    TaskState,
)
from stackviz_deployer.store import artifacts as artifact_rows
from stackviz_deployer.store import tasks as statements
from stackviz_deployer.store.database import Database, Statement

P = ParamSpec("P")
T = TypeVar("T")


class SqlTaskStore:
    """interfaces.TaskStore over a Database.

    ``clock`` gives the time in milliseconds UTC, ``kept_clock`` that of retention (None: the same).
    """

    def __init__(
        self, database: Database, clock: Callable[[], int], kept_clock: Callable[[], int] | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._kept_clock = kept_clock or clock

    async def create(self, job: Job, *, cancel_hash: str, force: bool, queue_limit: int) -> tuple[Task, bool]:
        """See ``create``; the row is on disk when the id is handed out."""
        return await self._surely(
            statements.create,
            TaskId(str(uuid4())),
            job,
            cancel_hash,
            force=force,
            queue_limit=queue_limit,
            now_ms=self._clock(),
        )

    async def claim(self) -> Task | None:
        """See ``claim``."""
        return await self._database.write(statements.claim, self._clock())

    async def begin(
        self, task_id: TaskId, owner: str, *, late: Callable[[], bool] = lambda: False
    ) -> Task | None:
        """See ``begin``; ``late`` is called in a thread."""
        return await self._surely(statements.begin, task_id, owner, self._clock(), late)

    async def waiting(self, most: int) -> Sequence[tuple[TaskId, TaskState]]:
        """See ``waiting``."""
        return await self._database.read(statements.waiting, most)

    async def finish(
        self,
        begun: Task,
        job: Job,
        artifacts: Sequence[tuple[ParsedArtifact, BlobRef]],
        warnings: Sequence[str],
    ) -> Task:
        """See ``finish``."""
        return await self._surely(
            statements.finish,
            begun,
            job,
            artifacts,
            warnings,
            now_ms=self._clock(),
            used_ms=self._kept_clock(),
        )

    async def fail(self, begun: Task, *, code: str, message: str) -> Task:
        """See ``fail``."""
        return await self._surely(statements.fail, begun, error=code, message=message, now_ms=self._clock())

    async def cancel(self, task_id: TaskId) -> Task:
        """See ``end_badly``."""
        return await self._surely(statements.end_badly, task_id, TaskState.CANCELLED, self._clock())

    async def release(self, begun: Task) -> None:
        """See ``release``."""
        await self._surely(statements.release, begun)

    async def live(self, url: str) -> Task | None:
        """See ``live``."""
        return await self._database.read(statements.live, url)

    async def requeue(self) -> int:
        """See ``requeue``."""
        return await self._database.write(statements.requeue, self._clock())

    async def get(self, task_id: TaskId) -> Task:
        """Raises NotFoundError."""
        return await self._database.read(statements.one, task_id)

    async def cancel_hash(self, task_id: TaskId) -> str:
        """Raises NotFoundError."""
        return await self._database.read(statements.cancel_hash, task_id)

    async def artifacts(self, task_id: TaskId) -> Sequence[Artifact]:
        """In the order in which they are shown."""
        return await self._database.read(artifact_rows.of_task, task_id)

    async def artifact(self, artifact_id: ArtifactId) -> Artifact:
        """Raises NotFoundError."""
        return await self._database.read(artifact_rows.one, artifact_id)

    async def queued(self) -> int:
        """See ``queued``."""
        return await self._database.read(statements.queued)

    async def working_urls(self, prefix: str) -> frozenset[str]:
        """See ``working_urls``."""
        return await self._database.read(statements.working_urls, prefix)

    async def recent(self, most: int, *, without: str) -> Sequence[Task]:
        """See ``recent``."""
        return await self._database.read(statements.recent, most, without)

    async def _surely(self, fn: Statement[P, T], *args: P.args, **kw: P.kwargs) -> T:
        """Write; again when nobody can tell whether it was kept: each of these finds what it did."""
        try:
            return await self._database.write(fn, *args, **kw)
        except UnknownOutcomeError:
            return await self._database.write(fn, *args, **kw)
