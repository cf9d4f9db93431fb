# SPDX-License-Identifier: Apache-2.0
"""Works on tasks, a few at a time, as the bus gives them.

The store holds the truth; here are only the tasks being worked on.  A task that runs when the
daemon stops goes back into the queue; one that ran when it was killed stays ``pending`` in the
store until somebody takes it over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import define, evolve
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from stackviz_deployer.background import Background, finished
from stackviz_deployer.errors import InternalError, NotFoundError, StackvizError, StoreError, TaskFailedError
from stackviz_deployer.interfaces import Bus, Meters, NoMeters, TaskStore
from stackviz_deployer.jobs.epilogue import Epilogue
from stackviz_deployer.jobs.pipeline import Outcome, Pipeline
from stackviz_deployer.jobs.stubborn import Stubborn
from stackviz_deployer.jobs.uploads import shown
from stackviz_deployer.model import BlobHash, BlobRef, Progress, Task, TaskId
from stackviz_deployer.trace import TASK

log = Logger()

RECORD_TRIES = 4
"""To record an outcome; then the task fails for want of a store, if the store can record that."""

GRACE_S = 5.0
"""At stop: for running tasks to finish by themselves."""

CLAIMING = "claiming tasks"
END_S = 5.0
"""At stop: for cancelled tasks to clean up behind them."""


@define(eq=False)
class _Running:
    """A task that is being worked on."""

    task: Task
    work: Deferred[None] | None = None
    dropped: bool = False
    """Whether its outcome is not wanted any more: it was cancelled, taken over, or is left to the next."""

    def drop(self) -> None:
        self.dropped = True
        if self.work is not None:
            self.work.cancel()


async def _held_anyway(_: Sequence[BlobRef]) -> None:
    """What nobody else may remove."""


class Executor(Service):
    """Takes tasks from a bus and runs them through a pipeline.  An interfaces.Audience of that bus."""

    def __init__(
        self,
        *,
        bus: Bus,
        store: TaskStore,
        pipeline: Pipeline,
        clock: IReactorTime,
        scrapes: int,
        epilogue: Epilogue,
        hold: Callable[[Sequence[BlobRef]], Awaitable[None]] = _held_anyway,
        settled: Callable[[Iterable[BlobHash]], None] = lambda _hashes: None,
        meters: Meters | None = None,
    ) -> None:
        """``scrapes``: tasks at once.

        ``hold`` sees to it that blobs stay, whose rows are about to be made (raises StoreError), and
        ``settled`` is told of blobs that have their rows now.
        """
        self._bus = bus
        self._store = store
        self._pipeline = pipeline
        self._clock = clock
        self._slots = DeferredSemaphore(scrapes)
        self._hold = hold
        self._settled = settled
        self._epilogue = epilogue
        self._meters = meters or NoMeters()
        self._background = Background()
        self._stubborn = Stubborn(clock)
        self._running: dict[TaskId, _Running] = {}
        self._loop: Deferred[None] | None = None
        bus.join(self)

    # Service

    def startService(self) -> None:
        """Begin with what an earlier process left."""
        super().startService()
        self._loop = self._background.spawn(self._work_off(), "the queue")

    def stopService(self) -> Deferred[None]:
        """No new task begins; running ones get GRACE_S to finish, then are left to whoever is next."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
        works = [one.work for one in self._running.values() if one.work is not None]
        await finished(works, self._clock, GRACE_S)
        for one in list(self._running.values()):
            log.info("{task} is left for the next start", task=one.task.id)
            self._background.spawn(self._bus.release(one.task), f"releasing task {one.task.id}")
            one.drop()
        if not await self._background.end(self._clock, END_S):
            log.error("some work of the queue does not end; left behind")

    # what others ask

    def present(self, task: Task) -> Task:
        """The task as it is worked on here, else as it is; what was read of it may be a little old."""
        running = self._running.get(task.id)
        if running is None or running.dropped or not task.state.working:
            return task
        return running.task

    async def idle(self, task_id: TaskId) -> None:
        """Wait until nothing works on this task here; no longer than END_S."""
        running = self._running.get(task_id)
        if running is not None and running.work is not None:
            await finished([running.work], self._clock, END_S)

    def health(self) -> Mapping[str, Any]:
        """``running`` and ``reasons`` (sentences; empty when all is well)."""
        reasons = list(self._stubborn.reasons)
        if self.running and self._loop is not None and self._loop.called:
            reasons.append("the queue stands still; the log says why; start the daemon again")
        return {"running": len(self._running), "reasons": reasons}

    # Audience

    def interests(self) -> Collection[TaskId]:
        """See interfaces.Audience."""
        return self._running.keys()

    def heard(self, task: Task) -> None:
        """See interfaces.Audience.  What has ended otherwise, or was begun anew, is not worked on."""
        running = self._running.get(task.id)
        if running is not None and (not task.state.live or task.attempt > running.task.attempt):
            log.info("{task} is not worked on any more: it has ended, or another node has it", task=task.id)
            running.drop()

    # the loop

    async def _work_off(self) -> None:
        while self.running:
            await self._slots.acquire()
            try:
                task = await self._stubborn.ask(CLAIMING, partial(self._bus.take, self._well))
            except BaseException:
                self._slots.release()
                raise
            if task.state.working:
                self._begin(task)
            else:
                self._slots.release()
                self._end(task, task)

    def _well(self) -> None:
        # until there is a task it would be said to fail, and a balancer would bring this node none
        self._stubborn.well(CLAIMING)

    def _begin(self, task: Task) -> None:
        running = self._running[task.id] = _Running(task)
        self._bus.tell(task)
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
            self._slots.release()
        self._end(task, ended)
        if ended is None and not running.dropped:
            await self._tell_present(task)

    async def _tell_present(self, task: Task) -> None:
        """Whoever ended it, or took it over, may have died before it told of that."""
        try:
            self._bus.tell(await self._store.get(task.id))
        except (NotFoundError, StoreError) as error:
            log.info("nothing is told of {task}: {error}", task=task.id, error=error)

    def _end(self, task: Task, ended: Task | None) -> None:
        """``ended``: as it was recorded here; None when it was not."""
        if ended is not None:
            state, message = ended.state.value, ended.message or shown(ended.url)
            log.info("{task} is {state}: {message}", task=task.id, state=state, message=message)
            self._epilogue.follow(ended)
            self._bus.tell(ended)
        self._bus.settle(ended or task)  # behind the word of it: whoever is given the task tells of its end

    async def _outcome(self, running: _Running) -> Task | None:
        """The task as it ended; None when its end is recorded already, or not ours to record."""
        task = running.task
        try:
            outcome = await self._pipeline.run(task, partial(self._progressed, running))
            return await self._stubborn.ask(
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

    async def _record(self, begun: Task, outcome: Outcome) -> Task:
        await self._hold([blob for _, blob in outcome.artifacts])
        task = await self._store.finish(begun, outcome.job, outcome.artifacts, outcome.warnings)
        self._settled(blob.hash for _, blob in outcome.artifacts)
        self._meters.count("stored_bytes", sum(blob.size for _, blob in outcome.artifacts))
        return task

    async def _fail(self, task: Task, code: str, message: str) -> Task | None:
        """The task as it ended; None when another works on it now, or an administrator deleted it."""
        try:
            return await self._stubborn.ask(
                "recording failures", partial(self._store.fail, task, code=code, message=message)
            )
        except (TaskFailedError, NotFoundError):
            return None

    def _progressed(self, running: _Running, progress: Progress) -> None:
        if not running.dropped:
            self._bus.tell(evolve(running.task, progress=progress))
