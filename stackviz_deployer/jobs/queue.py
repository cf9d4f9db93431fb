# SPDX-License-Identifier: Apache-2.0
"""The queue, as those see it who submit tasks, cancel them and watch them.

The store holds the truth, the bus gives tasks to those who work on them (executor.py); what was
submitted is never forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from stackviz_deployer.background import Background
from stackviz_deployer.errors import CancelRefusedError, NotScrapableError, QueueFullError
from stackviz_deployer.interfaces import Bus, Fetcher, Lookup, Meters, NoMeters, TaskStore, Uploads
from stackviz_deployer.jobs.epilogue import Epilogue
from stackviz_deployer.jobs.executor import Executor
from stackviz_deployer.jobs.keys import fits, new_key
from stackviz_deployer.jobs.stubborn import Stubborn
from stackviz_deployer.jobs.submission import described, directory
from stackviz_deployer.jobs.uploads import SCHEME, id_of, shown, url_of
from stackviz_deployer.jobs.watchers import Watchers
from stackviz_deployer.model import Artifact, ArtifactId, Job, Submitted, Task, TaskId, TaskState, Upload
from stackviz_deployer.settings import Limits

log = Logger()

RECENT = 20
"""Tasks that ``recent`` tells of."""

END_S = 5.0
"""At stop: for what was asked to be recorded."""


class JobQueue(Service):
    """interfaces.Tasks over a store and a bus, of which it is an interfaces.Audience."""

    def __init__(
        self,
        *,
        bus: Bus,
        store: TaskStore,
        lookup: Lookup,
        fetcher: Fetcher,
        uploads: Uploads,
        clock: IReactorTime,
        limits: Limits,
        epilogue: Epilogue,
        executor: Executor | None = None,
        writable: Callable[[], None] = lambda: None,
        meters: Meters | None = None,
    ) -> None:
        """Of ``fetcher`` only ``check`` is used.  ``executor``: who works on tasks here; None: nobody.

        ``writable`` raises StoreError while it is known that results could not be stored.
        """
        self._bus = bus
        self._store = store
        self._lookup = lookup
        self._check = fetcher.check
        self._uploads = uploads
        self._clock = clock
        self._limits = limits
        self._epilogue = epilogue
        self._executor = executor
        self._writable = writable
        self._meters = meters or NoMeters()
        self._background = Background()
        self._stubborn = Stubborn(clock)
        self._watchers = Watchers()
        self._sweeping: Deferred[None] | None = None
        bus.join(self)

    # Service

    def startService(self) -> None:
        """Remove what an earlier process left of uploads without a task."""
        super().startService()
        self._sweeping = self._background.spawn(self._sweep(), "sweeping uploads")

    def stopService(self) -> Deferred[None]:
        """What was begun on somebody's behalf gets END_S to end."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        ended = await self._background.end(self._clock, END_S)
        if not (await self._epilogue.end(self._clock, END_S) and ended):
            log.error("something that was asked of the queue does not end; left behind")

    async def _sweep(self) -> None:
        waiting = await self._stubborn.ask("looking for uploads", partial(self._store.working_urls, SCHEME))
        known = frozenset(upload_id for url in waiting if (upload_id := id_of(url)) is not None)
        if removed := await self._uploads.sweep(known):
            log.info("{count} uploads without a task were removed", count=removed)

    # Tasks

    async def submit(self, url: str, *, force: bool = False) -> Submitted:
        """See interfaces.Tasks.  Goes on when whoever awaits it is cancelled."""
        return await self._background.observe(self._submit(url.strip(), force=force), "submitting a scrape")

    async def _submit(self, url: str, *, force: bool) -> Submitted:
        if id_of(url) is not None:
            raise NotScrapableError("these were somebody's own files, which were not kept: send them again")
        self._check(url)
        if (task := await self._store.live(directory(url))) is not None and (task.state.working or not force):
            return Submitted(task=await self._present(task))
        job = await described(self._lookup, url, self._clock)
        return await self._create(job, force=force)

    async def submit_upload(self, upload: Upload) -> Submitted:
        """See interfaces.Tasks.  Goes on when whoever awaits it is cancelled."""
        return await self._background.observe(self._submit_upload(upload), "submitting an upload")

    async def _submit_upload(self, upload: Upload) -> Submitted:
        try:
            job = Job(url=url_of(upload.id), name=upload.name or "Uploaded files")
            return await self._create(job, force=False)
        except Exception:
            await self._uploads.discard(upload.id)
            raise

    async def _create(self, job: Job, *, force: bool) -> Submitted:
        self._writable()
        key, key_hash = new_key()
        try:
            task, created = await self._store.create(
                job, cancel_hash=key_hash, force=force, queue_limit=self._limits.queue
            )
        except QueueFullError:
            self._meters.count("limit_hits", limit="limits.queue")
            raise
        if not created:
            return Submitted(task=await self._present(task))
        log.info("{task} is queued for {url}", task=task.id, url=shown(task.url))
        self._bus.offer(task)
        return Submitted(task=await self._present(task), cancel_key=key)

    async def cancel(self, task_id: TaskId, cancel_key: str) -> Task:
        """See interfaces.Tasks.  A task that has ended stays as it is.

        Raises NotFoundError, CancelRefusedError.
        """
        return await self._background.observe(self._cancel(task_id, cancel_key), "cancelling a task")

    async def _cancel(self, task_id: TaskId, cancel_key: str) -> Task:
        if not fits(cancel_key, await self._store.cancel_hash(task_id)):
            raise CancelRefusedError("this is not the key that was given out when the task was created")
        return await self._break_off(task_id)

    async def halt(self, task_id: TaskId) -> None:
        """Cancel a task without its key, and wait until nothing works on it here; an ended one stays."""
        await self._break_off(task_id)
        if self._executor is not None:
            await self._executor.idle(task_id)

    async def _break_off(self, task_id: TaskId) -> Task:
        # In the store first: then a kill finds it cancelled, and a finish that comes later is refused.
        task = await self._store.cancel(task_id)
        if task.state is TaskState.CANCELLED:
            self._epilogue.follow(task)
        self._bus.tell(task)
        self._bus.settle(task)  # behind the word of it: whoever is given the task tells of its end
        return task

    async def get(self, task_id: TaskId) -> Task:
        """The task with its present progress.  Raises NotFoundError."""
        return await self._present(await self._store.get(task_id))

    async def artifacts(self, task_id: TaskId) -> Sequence[Artifact]:
        """Of a finished task, in the order in which they are shown."""
        return await self._store.artifacts(task_id)

    async def artifact(self, artifact_id: ArtifactId) -> Artifact:
        """Raises NotFoundError."""
        return await self._store.artifact(artifact_id)

    async def recent(self) -> Sequence[Task]:
        """See interfaces.Tasks: an upload's address is known to whoever sent it, and stays so."""
        return await self._store.recent(RECENT, without=SCHEME)

    def watch(self, task_id: TaskId, changed: Callable[[Task], None]) -> Callable[[], None]:
        """See interfaces.Tasks."""
        return self._watchers.add(task_id, changed)

    def health(self) -> Mapping[str, Any]:
        """``queued``, ``running``, ``limit``; ``reasons`` and ``notes``, sentences: none when all is well."""
        bus = self._bus.health()
        executor: Mapping[str, Any] = {"running": 0, "reasons": ()}
        if self._executor is not None:
            executor = self._executor.health()
        reasons = [*self._stubborn.reasons, *executor["reasons"]]
        if bus["queued"] >= self._limits.queue:
            reasons.append("the queue is full")
        return {**bus, **executor, "limit": self._limits.queue, "reasons": reasons}

    # Audience

    def interests(self) -> Collection[TaskId]:
        """See interfaces.Audience."""
        return self._watchers.tasks

    def heard(self, task: Task) -> None:
        """See interfaces.Audience."""
        self._watchers.tell(task)

    async def _present(self, task: Task) -> Task:
        if self._executor is not None:
            task = self._executor.present(task)
        if task.state is not TaskState.PENDING:
            return task
        return evolve(task, progress=await self._bus.progress(task))
