# SPDX-License-Identifier: Apache-2.0
"""Tasks: where they are kept, how nodes share them out, what others ask of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from stackviz_deployer.model import (
    Artifact,
    ArtifactId,
    BlobRef,
    Job,
    KeptTask,
    ParsedArtifact,
    Progress,
    Submitted,
    Task,
    TaskId,
    TaskState,
    Upload,
)


class TaskStore(Protocol):
    """Tasks and artifacts, durable.  Every method is one transaction."""

    async def create(self, job: Job, *, cancel_hash: str, force: bool, queue_limit: int) -> tuple[Task, bool]:
        """The live task of ``job.url``, or a new queued one (True).

        With ``force`` a finished one gives up its URL to a new one.  Raises QueueFullError.
        """

    async def finish(
        self,
        begun: Task,
        job: Job,
        artifacts: Sequence[tuple[ParsedArtifact, BlobRef]],
        warnings: Sequence[str],
    ) -> Task:
        """Record the artifacts and make the task finished, in one transaction.

        ``begun``: as ``claim`` or ``begin`` gave it.  Asked again it answers the same.  Raises
        TaskFailedError, and keeps nothing, when the task has ended otherwise or was taken over.
        """

    async def fail(self, begun: Task, *, code: str, message: str) -> Task:
        """Pending -> error; the URL is free again.  A task that has ended stays as it is.

        Raises TaskFailedError when the task was taken over.
        """

    async def cancel(self, task_id: TaskId) -> Task:
        """Pending or queued -> cancelled; the URL is free again."""

    async def release(self, begun: Task) -> None:
        """Pending -> queued, in its old place; this start does not count: the daemon stops on purpose.

        A task that has ended or was taken over stays as it is.
        """

    async def live(self, url: str) -> Task | None:
        """The task that holds ``url`` (of a directory, with its final slash), if there is one."""

    async def get(self, task_id: TaskId) -> Task:
        """Raises NotFoundError."""

    async def cancel_hash(self, task_id: TaskId) -> str:
        """The hash that the cancel key must have.  Raises NotFoundError."""

    async def artifacts(self, task_id: TaskId) -> Sequence[Artifact]:
        """In the order in which they are shown."""

    async def artifact(self, artifact_id: ArtifactId) -> Artifact:
        """Raises NotFoundError, TaskExpiredError."""

    async def queued(self) -> int:
        """How many tasks wait."""

    async def working_urls(self, prefix: str) -> frozenset[str]:
        """The URLs of queued and pending tasks that begin with ``prefix``."""

    async def recent(self, most: int, *, without: str) -> Sequence[Task]:
        """Finished tasks that hold their URL, the last first; none whose URL begins with ``without``."""


class OwnTaskStore(TaskStore, Protocol):
    """One that a single process has for itself: what is pending there is worked on here, or by nobody."""

    async def claim(self) -> Task | None:
        """The oldest queued task, now pending."""

    async def requeue(self) -> int:
        """Pending -> queued, after a crash; how many."""


class SharedTaskStore(TaskStore, Protocol):
    """One of several nodes, each of which begins what it was given."""

    async def begin(self, task_id: TaskId, owner: str, *, late: Callable[[], bool] = ...) -> Task | None:
        """Queued -> pending, or taken over from the node that had it, which may record nothing any more.

        Whoever has it already is given it again, and no start is counted: the first answer may
        have been lost.  One that was begun too often is given as it ends by this, in error.  None
        when there is nothing to begin: it has ended, or is unknown.  ``late`` (called in a thread)
        tells whether somebody else may have been told to begin it by now; asked when nobody can.
        Raises TaskFailedError when it says so.
        """

    async def waiting(self, most: int) -> Sequence[tuple[TaskId, TaskState]]:
        """Queued and pending tasks, the oldest first, no more than ``most``."""


class Audience(Protocol):
    """Who hears of tasks from the bus."""

    def interests(self) -> Collection[TaskId]:
        """The tasks that are of interest here; of others nothing need be told."""

    def heard(self, task: Task) -> None:
        """A task as it is now, whoever changed it; ``progress``, too, when that is what changed."""


class Bus(Protocol):
    """Between those who submit, watch and cancel tasks and those who work on them: here, or on other nodes.

    What is to be kept is in the store before the bus hears of it, so nothing is lost with a bus.  But for
    ``take`` and ``release`` nothing here fails or waits for long.
    """

    def join(self, audience: Audience) -> None:
        """``audience`` hears of what is told from now on."""

    def offer(self, task: Task) -> None:
        """A new task waits for somebody who has room for it."""

    async def take(self, waits: Callable[[], None]) -> Task:
        """Wait for a task to work on: pending now, begun on behalf of this node; or ended by that.

        One at a time is asked for.  Raises StoreError; asked again, it goes on.  ``waits`` is called
        when nothing fails (any more) and there is but no task, which may be for long.
        """

    def tell(self, task: Task) -> None:
        """Whoever is interested in the task hears of it as it is now, with its ``progress`` if it has one."""

    async def progress(self, task: Task) -> Progress | None:
        """What was last told of a task that is pending, as it was read just now."""

    def settle(self, task: Task) -> None:
        """The task has ended; or, still pending, it is one that was taken and is not worked on any more.

        What another node has taken meanwhile stays with it.
        """

    async def release(self, begun: Task) -> None:
        """Give a task back that was taken, because this node stops: somebody else may take it at once.

        Raises StoreError.
        """

    def health(self) -> Mapping[str, Any]:
        """``queued``: how many tasks wait; ``notes``: what is wrong and keeps no task from coming in."""


class Tasks(Protocol):
    """The queue, as ``web`` sees it."""

    async def submit(self, url: str, *, force: bool = False) -> Submitted:
        """Look the URL up, and queue a scrape of it or join the one that there is.

        Raises HostNotAllowedError, QueryNotUnderstoodError, QueueFullError.
        """

    async def submit_upload(self, upload: Upload) -> Submitted:
        """Queue a scrape of what was sent, which is discarded when the task ends, or when this fails.

        Raises QueueFullError.
        """

    async def cancel(self, task_id: TaskId, cancel_key: str) -> Task:
        """Stop the task.  Raises NotFoundError, CancelRefusedError."""

    async def get(self, task_id: TaskId) -> Task:
        """The task with its present progress.  Raises NotFoundError."""

    async def artifacts(self, task_id: TaskId) -> Sequence[Artifact]:
        """Of a finished task, in the order in which they are shown."""

    async def artifact(self, artifact_id: ArtifactId) -> Artifact:
        """Raises NotFoundError."""

    async def recent(self) -> Sequence[Task]:
        """The last tasks that finished and can be seen, the last first; never what somebody sent.

        There are few of them, whatever the store holds.
        """

    def watch(self, task_id: TaskId, changed: Callable[[Task], None]) -> Callable[[], None]:
        """Call ``changed`` with every later state or progress of the task; returns the way to stop."""

    def health(self) -> Mapping[str, Any]:
        """Queue length, running tasks and what is wrong (``reasons``, sentences), for /health."""


class Keeper(Protocol):
    """How long sites are kept, as ``web`` sees it."""

    def used(self, task_id: TaskId) -> None:
        """Somebody looks at this site: cheap, and remembered a little later."""

    async def check(self, task_id: TaskId, artifacts: Sequence[Artifact]) -> None:
        """Look whether the data of these artifacts of a finished task is there.

        Raises DataLostError when it is not, and the task is then expired; StoreError when
        that cannot be told.
        """


class Admin(Protocol):
    """What the operator does with tasks."""

    async def listed(self, *, state: TaskState | None, before: int | None, most: int) -> Sequence[KeptTask]:
        """The newest first, of one state or of all; those behind the one with the number ``before``."""

    async def pin(self, task_id: TaskId, *, pinned: bool) -> KeptTask:
        """Keep a task whatever its age, or no longer.  Raises NotFoundError."""

    async def delete(self, task_id: TaskId) -> None:
        """Cancel the task if it works, and forget it with all that it has.  Raises NotFoundError."""


class Copies(Protocol):
    """What is kept in memory of tasks' artifacts, and must not outlive them."""

    def ending(self) -> AbstractContextManager[Callable[[Iterable[TaskId]], None]]:
        """While tasks are being ended: nothing that is kept is given out, and nothing is taken in.

        What this gives is told which tasks have ended; when it is not, any may have.
        """
