# SPDX-License-Identifier: Apache-2.0
"""The queue: what was submitted is scraped, a few at a time, and never forgotten.

The store holds the truth; here are only the tasks being worked on, their progress, and who
watches.  A task that runs when the daemon stops goes back into the queue; one that ran when it
was killed stays ``pending`` in the store and is queued again at the next start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from attrs import define, evolve
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from stackviz_deployer.errors import (
    CancelRefusedError,
    InternalError,
    NotScrapableError,
    QueueFullError,
    StackvizError,
    StoreError,
    TaskFailedError,
)
from stackviz_deployer.interfaces import Fetcher, Lookup, Meters, NoMeters, TaskStore, Uploads
from stackviz_deployer.jobs.background import Background, finished
from stackviz_deployer.jobs.keys import fits, new_key
from stackviz_deployer.jobs.pipeline import Outcome, Pipeline
from stackviz_deployer.jobs.submission import described, directory
from stackviz_deployer.jobs.uploads import SCHEME, id_of, shown, url_of
from stackviz_deployer.jobs.watchers import Watchers
from stackviz_deployer.model import (
    Artifact,
    ArtifactId,
    BlobHash,
    Job,
    Limits,
    Progress,
    Submitted,
    Task,
    TaskId,
    TaskState,
    Upload,
)
from stackviz_deployer.trace import TASK

log = Logger()

T = TypeVar("T")

RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses while the store fails; then the last one again and again."""

RECORD_TRIES = 4
"""To record an outcome; then the task fails for want of a store, if the store can record that."""

GRACE_S = 5.0
"""At stop: for running tasks to finish by themselves."""

END_S = 5.0
"""At stop: for cancelled tasks to clean up behind them."""


RECENT = 20
"""Tasks that ``recent`` tells of."""


@define(eq=False)
class _Running:
    """A task that is being worked on."""

    task: Task
    work: Deferred[None] | None = None
    dropped: bool = False
    """Whether its outcome is not wanted any more: it was cancelled, or is left for the next start."""
    progress: Progress | None = None

    def drop(self) -> None:
        self.dropped = True
        if self.work is not None:
            self.work.cancel()


class JobQueue(Service):
    """``interfaces.Tasks`` over a store and a pipeline."""

    def __init__(
        self,
        *,
        store: TaskStore,
        pipeline: Pipeline,
        lookup: Lookup,
        fetcher: Fetcher,
        uploads: Uploads,
        clock: IReactorTime,
        scrapes: int,
        limits: Limits,
        settled: Callable[[Iterable[BlobHash]], None] = lambda _hashes: None,
        writable: Callable[[], None] = lambda: None,
        meters: Meters | None = None,
    ) -> None:
        """``scrapes``: tasks at once.  Of ``fetcher`` only ``check`` is used.

        ``settled`` is told of blobs that have their rows now; ``writable`` raises StoreError
        while it is known that results could not be stored.
        """
        self._writable = writable
        self._store = store
        self._pipeline = pipeline
        self._lookup = lookup
        self._check = fetcher.check
        self._uploads = uploads
        self._clock = clock
        self._scrapes = scrapes
        self._settled = settled
        self._limits = limits
        self._meters = meters or NoMeters()
        self._background = Background()
        self._watchers = Watchers()
        self._running: dict[TaskId, _Running] = {}
        self._queued = 0
        self._claiming = False
        self._cancelled_meanwhile: set[TaskId] = set()
        """Cancelled while a claim was on its way, which may bring just those."""
        self._bell: Deferred[None] | None = None
        self._rung = False
        self._loop: Deferred[None] | None = None
        self._trouble: dict[str, str] = {}
        """What of the store fails at the moment, and how."""

    # Service

    def startService(self) -> None:
        """Begin with what an earlier process left."""
        super().startService()
        self._loop = self._background.spawn(self._work_off(), "the queue")

    def stopService(self) -> Deferred[None]:
        """No new task begins; running ones get GRACE_S to finish, then are left for the next start."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
        works = [one.work for one in self._running.values() if one.work is not None]
        await finished(works, self._clock, GRACE_S)
        for one in list(self._running.values()):
            log.info("{task} is left for the next start", task=one.task.id)
            one.drop()
            self._background.spawn(self._store.release(one.task), f"releasing task {one.task.id}")
        if not await self._background.end(self._clock, END_S):
            log.error("some work of the queue does not end; left behind")

    # Tasks

    async def submit(self, url: str, *, force: bool = False) -> Submitted:
        """See interfaces.Tasks.  Goes on when whoever awaits it is cancelled."""
        return await self._background.observe(self._submit(url.strip(), force=force), "submitting a scrape")

    async def _submit(self, url: str, *, force: bool) -> Submitted:
        if id_of(url) is not None:
            raise NotScrapableError("these were somebody's own files, which were not kept: send them again")
        self._check(url)
        if (task := await self._store.live(directory(url))) is not None and (task.state.working or not force):
            return Submitted(task=self._present(task))
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
            return Submitted(task=self._present(task))
        self._queued += 1
        self._ring()
        log.info("{task} is queued for {url}", task=task.id, url=shown(task.url))
        return Submitted(task=self._present(task), cancel_key=key)

    def _discard(self, task: Task) -> None:
        """What was sent for ``task``, which has ended."""
        upload_id = id_of(task.url)
        if upload_id is not None and not task.state.working:
            self._background.spawn(self._uploads.discard(upload_id), f"discarding {task.id}'s upload")

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
        """Cancel a task without its key, and wait until nothing works on it any more; an ended one stays."""
        running = self._running.get(task_id)
        await self._break_off(task_id)
        if running is not None and running.work is not None:
            await finished([running.work], self._clock, END_S)

    async def _break_off(self, task_id: TaskId) -> Task:
        # In the store first: then a kill finds it cancelled, and a finish that comes later is refused.
        if self._claiming:
            self._cancelled_meanwhile.add(task_id)
        task = await self._store.cancel(task_id)
        running = self._running.get(task_id)
        if running is not None and not task.state.live:
            running.drop()
        if task.state is TaskState.CANCELLED:
            self._ended(task)
        self._discard(task)
        self._watchers.tell(task)
        self._ring()
        return task

    async def get(self, task_id: TaskId) -> Task:
        """The task with its present progress.  Raises NotFoundError."""
        return self._present(await self._store.get(task_id))

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
        """``queued``, ``running``, ``limit`` and ``reasons`` (sentences; empty when all is well)."""
        reasons = [f"{what} fails: {why}" for what, why in self._trouble.items()]
        if self._queued >= self._limits.queue:
            reasons.append("the queue is full")
        if self.running and self._loop is not None and self._loop.called:
            reasons.append("the queue stands still; the log says why; start the daemon again")
        return {
            "queued": self._queued,
            "running": len(self._running),
            "limit": self._limits.queue,
            "reasons": reasons,
        }

    # the loop

    async def _work_off(self) -> None:
        left = await self._stubborn("recovering tasks", self._store.requeue)
        if left:
            log.info("{count} tasks of an earlier run are queued again", count=left)
        waiting = await self._stubborn("looking for uploads", partial(self._store.working_urls, SCHEME))
        known = frozenset(upload_id for url in waiting if (upload_id := id_of(url)) is not None)
        self._background.spawn(self._sweep(known), "sweeping uploads")
        self._queued = (await self._stubborn("counting tasks", self._store.counts)).get("queued", 0)
        while self.running:
            if len(self._running) < self._scrapes and (task := await self._claim()) is not None:
                self._begin(task)
            else:
                await self._ringing()

    async def _sweep(self, known: frozenset[str]) -> None:
        if removed := await self._uploads.sweep(known):
            log.info("{count} uploads without a task were removed", count=removed)

    async def _claim(self) -> Task | None:
        self._claiming, self._rung = True, False
        try:
            task = await self._stubborn("claiming tasks", self._next)
        finally:
            cancelled, self._cancelled_meanwhile = self._cancelled_meanwhile, set()
            self._claiming = False
        if task is None:
            if not self._rung:
                self._queued = 0
            return None
        self._queued = max(self._queued - 1, 0)
        if task.id in cancelled:
            self._rung = True
            return None
        return task

    async def _next(self) -> Task | None:
        self._writable()  # what could not be stored waits, rather than fail after all the work
        return await self._store.claim()

    def _begin(self, task: Task) -> None:
        running = self._running[task.id] = _Running(task)
        self._watchers.tell(task)
        work = self._background.spawn(self._scrape(running), f"task {task.id}")
        running.work = work
        if running.dropped:  # by a watcher, before there was anything to cancel
            work.cancel()

    async def _scrape(self, running: _Running) -> None:
        task = running.task
        TASK.set(task.id)  # of this coroutine's context alone
        try:
            ended = await self._outcome(running)
        except CancelledError:
            if not running.dropped:  # nobody wanted this: it must not stay pending for ever
                ended = await self._fail(
                    task, InternalError.code, "the scrape was broken off for no known reason; try again"
                )
            else:
                ended = None
        finally:
            self._running.pop(task.id, None)
            self._ring()
        if ended is not None:
            state, message = ended.state.value, ended.message or shown(ended.url)
            log.info("{task} is {state}: {message}", task=task.id, state=state, message=message)
            self._ended(ended)
            self._discard(ended)
            self._watchers.tell(ended)

    async def _record(self, begun: Task, outcome: Outcome) -> Task:
        task = await self._store.finish(begun, outcome.job, outcome.artifacts, outcome.warnings)
        self._settled(blob.hash for _, blob in outcome.artifacts)
        self._meters.count("stored_bytes", sum(blob.size for _, blob in outcome.artifacts))
        return task

    def _ended(self, task: Task) -> None:
        result = task.state.value
        self._meters.count("tasks", result=result, reason=task.error or "")
        if task.started_ms is not None and task.finished_ms is not None:
            seconds = max(task.finished_ms - task.started_ms, 0) / 1000
            self._meters.observe("task_seconds", seconds, result=result)

    async def _outcome(self, running: _Running) -> Task | None:
        """The task as it ended; None when its end is recorded already, or not ours to record."""
        task = running.task
        try:
            outcome = await self._pipeline.run(task, partial(self._progressed, running))
            return await self._stubborn(
                "recording results",
                partial(self._record, task, outcome),
                tries=RECORD_TRIES,
            )
        except CancelledError:
            raise
        except TaskFailedError:  # cancelled or taken over, while the results were on their way
            return None
        except StoreError as error:  # its message is for the operator: it names paths
            log.failure("{task} cannot be stored", task=task.id)
            return await self._fail(task, StoreError.code, f"{error.reason}; try again later")
        except StackvizError as error:
            return await self._fail(task, error.code, error.message)
        except Exception:  # noqa: BLE001  a defect must not take the queue along
            log.failure("{task} met a defect", task=task.id)
            return await self._fail(
                task, InternalError.code, "the daemon failed on this job; its log says why"
            )

    async def _fail(self, task: Task, code: str, message: str) -> Task | None:
        """The task as it ended; None when another works on it now."""
        try:
            return await self._stubborn(
                "recording failures", partial(self._store.fail, task, code=code, message=message)
            )
        except TaskFailedError:
            return None

    def _progressed(self, running: _Running, progress: Progress) -> None:
        running.progress = progress
        if not running.dropped:
            self._watchers.tell(self._present(running.task))

    def _present(self, task: Task) -> Task:
        running = self._running.get(task.id)
        if running is None or running.dropped or not task.state.working:
            return task
        return evolve(running.task, progress=running.progress)

    async def _stubborn(self, what: str, ask: Callable[[], Awaitable[T]], tries: int | None = None) -> T:
        """What the store answers, asked again with growing pauses while it fails."""
        failures = 0
        try:
            while True:
                try:
                    return await ask()
                except StoreError as error:
                    failures += 1
                    if failures == tries:
                        raise
                    if self._trouble.get(what) != error.message:
                        log.failure("{what} fails; tried again until it does not", what=what)
                    self._trouble[what] = error.message
                await deferLater(self._clock, RETRY_S[min(failures, len(RETRY_S)) - 1])
        finally:
            self._trouble.pop(what, None)

    # the bell

    def _ring(self) -> None:
        """Let the loop look again."""
        self._rung = True
        if self._bell is not None:
            bell, self._bell = self._bell, None
            bell.callback(None)

    async def _ringing(self) -> None:
        """Until somebody rings, or at once if somebody did since the last look."""
        if not self._rung:
            self._bell = Deferred()
            await self._bell
        self._rung = False
