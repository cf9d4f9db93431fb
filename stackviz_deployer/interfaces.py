# SPDX-License-Identifier: Apache-2.0
"""The seams of the house: what each part offers the others.

``web`` and ``jobs`` know these alone; ``tap`` puts the real ones behind them.  Everything
that waits takes its deadline from its caller or from Limits, and can be cancelled
(cancelling the Deferred that holds the coroutine stops the work and frees what it held).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.interfaces import IPushProducer

from stackviz_deployer.errors import StoreError
from stackviz_deployer.model import (
    Answer,
    Artifact,
    ArtifactId,
    BlobRef,
    BlobSpan,
    Fetched,
    Job,
    KeptTask,
    ListedFile,
    ParsedArtifact,
    ParseRequest,
    ParseResult,
    Progress,
    Submitted,
    Task,
    TaskId,
    TaskState,
    Tree,
    Upload,
)


class Fetcher(Protocol):
    """The only way to another server (or to the sample job): every rule about addresses is behind it."""

    async def fetch(
        self,
        url: str,
        into: Path,
        *,
        max_bytes: int,
        timeout_s: float,
        accept: str = "*/*",
        on_bytes: Callable[[int], None] | None = None,
    ) -> Fetched:
        """Write the body of ``url`` into the file ``into``, as it comes over the wire.

        ``max_bytes`` counts wire bytes; ``timeout_s`` covers everything: the wait for a
        slot, redirects, retries and the body.  ``on_bytes`` is told of each chunk's length
        (and, before another attempt, of what is to come again as a negative one).
        Raises HostNotAllowedError, AddressRefusedError, Upstream*Error, TooLargeError; the
        file may then hold a part, which the caller removes with its directory.
        """

    def check(self, url: str) -> None:
        """Raise HostNotAllowedError or QueryNotUnderstoodError when ``url`` would never be fetched."""


class Lookup(Protocol):
    """From what was pasted to jobs."""

    async def find(self, q: str, tell: Callable[[Answer], None] | None = None) -> Answer:
        """The jobs that ``q`` means.  Raises QueryNotUnderstoodError, NotFoundError, Upstream*Error.

        ``tell`` hears what is known while some servers have not answered (``Answer.asking``): first
        who is asked, then what each adds.  The value is what there is in the end.
        """

    async def describe(self, url: str) -> Job:
        """What is known of the job at this log URL: recent answers, else asked for anew.

        A source that is down leaves fields None; only a refused or impossible URL raises.
        """


class Listing(Protocol):
    """From a job's URL to its files."""

    async def open(self, url: str, scratch: Path, manifest_url: str | None = None) -> Tree:
        """The files of the job at ``url`` that scrapers may want.

        ``scratch`` is an empty directory for temporary files; ``manifest_url`` is where the
        build's own record says that its zuul-manifest.json lies.
        """


class CpuPool(Protocol):
    """Parser processes."""

    async def run(self, request: ParseRequest, *, timeout_s: float, urgent: bool = False) -> ParseResult:
        """Parse in a worker process.

        ``timeout_s`` covers the wait for a free process and the work.  ``urgent`` work
        (look-ups that a person waits for) has a slot of its own.  Raises what the parser
        raised (ParseError, TooLargeError), WorkerDiedError, or QueueFullError.
        """


class Scraper(Protocol):
    """One kind of artifact: which files it wants, and which parser makes something of them."""

    name: str
    globs: Sequence[str]
    """The names that ``choose`` wants, without a compressor's suffix; nothing else reaches its Tree.

    One with a slash is compared with the end of the whole path: ``test-results/*.xml``.
    """
    looks_for: str
    """For a person: the names that are looked for."""
    primary: bool
    """Whether a job is worth showing with this kind alone."""

    def choose(self, tree: Tree) -> Sequence[Wanted]:
        """The files of this kind, each with its parser, best first."""


class Wanted(Protocol):
    """A piece of work: fetch these files, parse them together."""

    @property
    def parser(self) -> str: ...
    @property
    def files(self) -> tuple[ListedFile, ...]: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


class TaskStore(Protocol):
    """Tasks and artifacts, durable.  Every method is one transaction."""

    async def create(self, job: Job, *, cancel_hash: str, force: bool, queue_limit: int) -> tuple[Task, bool]:
        """The live task of ``job.url``, or a new queued one (True).

        With ``force`` a finished one gives up its URL to a new one.  Raises QueueFullError.
        """

    async def claim(self) -> Task | None:
        """The oldest queued task, now pending; for a store that one process has for itself."""

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

    async def requeue(self) -> int:
        """Pending -> queued, after a crash; how many."""

    async def get(self, task_id: TaskId) -> Task:
        """Raises NotFoundError."""

    async def cancel_hash(self, task_id: TaskId) -> str:
        """The hash that the cancel key must have.  Raises NotFoundError."""

    async def artifacts(self, task_id: TaskId) -> Sequence[Artifact]:
        """In the order in which they are shown."""

    async def artifact(self, artifact_id: ArtifactId) -> Artifact:
        """Raises NotFoundError, TaskExpiredError."""

    async def counts(self) -> Mapping[str, int]:
        """How many tasks of each state."""

    async def working_urls(self, prefix: str) -> frozenset[str]:
        """The URLs of queued and pending tasks that begin with ``prefix``."""

    async def recent(self, most: int, *, without: str) -> Sequence[Task]:
        """Finished tasks that hold their URL, the last first; none whose URL begins with ``without``."""


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

    async def take(self) -> Task:
        """Wait for a task to work on: pending now, begun on behalf of this node; or ended by that.

        One at a time is asked for.  Raises StoreError; asked again, it goes on.
        """

    def tell(self, task: Task) -> None:
        """Whoever is interested in the task hears of it as it is now, with its ``progress`` if it has one."""

    async def progress(self, task_id: TaskId) -> Progress | None:
        """What was last told of a pending task."""

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


class HostSlots(Protocol):
    """A limit of requests to one host that holds for several nodes."""

    def held(self, place: str, most: int) -> AbstractAsyncContextManager[None]:
        """Wait until fewer than ``most`` of all nodes' contexts for ``place`` are open, and be one of them.

        It does not fail: when nobody can tell, there is no limit.
        """


class Intake(Protocol):
    """A body that is coming in, on its way to the disk."""

    @property
    def size(self) -> int:
        """Bytes received so far."""

    def write(self, data: bytes) -> None:
        """The next bytes; the producer is paused while too many wait for the disk."""

    async def finish(self, *, name: str | None, boundary: str | None) -> Upload:
        """The body is whole: durable when this returns.  Raises StoreError."""

    def abandon(self) -> None:
        """Nothing of it is wanted; nothing of it stays.  After the end this does nothing."""


class Uploads(Protocol):
    """What people send, kept until its task has ended."""

    def begin(self, producer: IPushProducer | None, failed: Callable[[StoreError], None]) -> Intake:
        """A body is about to come from ``producer``.

        ``failed`` is told, once, when it cannot be written (then it is abandoned already).
        Raises TooManyUploadsError; StoreError when it is known that nothing can be written.
        """

    async def get(self, upload_id: str) -> Upload:
        """Raises NotFoundError."""

    def body(self, upload_id: str) -> Path:
        """Where its body lies."""

    async def discard(self, upload_id: str) -> None:
        """Remove it, if it is there."""

    async def sweep(self, known: AbstractSet[str]) -> int:
        """Remove those that an earlier process left and that are not ``known``; how many."""


class BlobStore(Protocol):
    """Write-once gzip files, named by their hash."""

    async def put(self, path: Path, blocks_path: Path | None = None) -> BlobRef:
        """Take the file (it is moved away), durable when this returns."""

    async def path(self, blob: BlobRef) -> Path:
        """Where the blob lies.  Raises DataLostError when it is gone."""

    async def index_path(self, blob: BlobRef) -> Path:
        """Where the block index lies (gzipped JSON).

        Raises NotFoundError when the blob has none, DataLostError when it is gone.
        """

    async def span(self, blob: BlobRef, first: int, last: int) -> BlobSpan:
        """Blocks ``first`` to ``last``, inclusive, as a gzip file of their own.

        Raises NotFoundError when the blob has no such blocks, DataLostError when it is gone.
        """


class Keeper(Protocol):
    """How long sites are kept, as ``web`` sees it."""

    def used(self, task_id: TaskId) -> None:
        """Somebody looks at this site: cheap, and remembered a little later."""

    async def check(self, task_id: TaskId, artifacts: Sequence[Artifact]) -> None:
        """Look whether the data of these artifacts of a finished task is there.

        Raises DataLostError when it is not, and the task is then expired; StoreError when
        that cannot be told.
        """


class Copies(Protocol):
    """What is kept in memory of tasks' artifacts, and must not outlive them."""

    def ending(self) -> AbstractContextManager[Callable[[Iterable[TaskId]], None]]:
        """While tasks are being ended: nothing that is kept is given out, and nothing is taken in.

        What this gives is told which tasks have ended; when it is not, any may have.
        """


class Meters(Protocol):
    """What the operator counts.  Neither method waits or fails; each costs about a microsecond.

    ``name`` and the names of the labels are those of ``metrics/catalogue.py`` (without the
    prefix ``stackviz_``).  A label's value is a word of our own code (a route's pattern, an
    error's code, a limit's configured name: ``count("limit_hits", limit="connections.total")``),
    never a part of what a client or another server sent.
    """

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Something happened (``amount`` times, or so many bytes)."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Something was measured: seconds, of a histogram."""


class NoMeters:
    """Nobody counts: what takes ``Meters`` has this for a default."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Nothing."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Nothing."""


class Admin(Protocol):
    """What the operator does with tasks."""

    async def listed(self, *, state: TaskState | None, before: int | None, most: int) -> Sequence[KeptTask]:
        """The newest first, of one state or of all; those behind the one with the number ``before``."""

    async def pin(self, task_id: TaskId, *, pinned: bool) -> KeptTask:
        """Keep a task whatever its age, or no longer.  Raises NotFoundError."""

    async def delete(self, task_id: TaskId) -> None:
        """Cancel the task if it works, and forget it with all that it has.  Raises NotFoundError."""


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
