# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the seams of interfaces: in memory, at once, and told by the test what to do.

An answer may be a value, an exception (raised), a Deferred (waited for), or a function of
the call's arguments that gives one of these.
"""

import hashlib
import itertools
import shutil
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import evolve
from twisted.internet.defer import Deferred

from stackviz_deployer.errors import NotFoundError, QueueFullError, TaskFailedError, UpstreamStatusError
from stackviz_deployer.model import (
    Answer,
    Artifact,
    ArtifactId,
    BlobHash,
    BlobRef,
    Fetched,
    Job,
    ListedFile,
    ParsedArtifact,
    ParseResult,
    Task,
    TaskId,
    TaskState,
    Tree,
)


async def given(answer, *args):
    """What ``answer`` stands for."""
    if callable(answer):
        answer = answer(*args)
    if isinstance(answer, Deferred):
        answer = await answer
    if isinstance(answer, Exception):
        raise answer
    return answer


class FakeFetcher:
    """Bodies by URL; ``bodies`` may be changed at any time."""

    def __init__(self, bodies=None):
        self.bodies = dict(bodies or {})
        self.fetched = []
        self.refusals = {}

    def check(self, url):
        if url in self.refusals:
            raise self.refusals[url]

    async def fetch(self, url, into, *, max_bytes, timeout_s, accept="*/*", on_bytes=None):
        self.fetched.append((url, max_bytes, timeout_s))
        if url not in self.bodies:
            raise UpstreamStatusError(f"{url} answered 404", 404)
        body = await given(self.bodies[url], url)
        into.write_bytes(body)
        if on_bytes is not None:
            on_bytes(len(body))
        return Fetched(url=url, content_type=None, size=len(body))


class FakeListing:
    """The files that the test names."""

    def __init__(self, *paths, sizes=None, warnings=()):
        self.paths = paths
        self.sizes = sizes or {}
        self.warnings = warnings
        self.answer = None
        self.scratches = []
        self.manifest_urls = []

    async def open(self, url, scratch, manifest_url=None):
        self.scratches.append(scratch)
        self.manifest_urls.append(manifest_url)
        if self.answer is not None:
            return await given(self.answer, url)
        files = tuple(ListedFile(path=p, url=url + p, size=self.sizes.get(p)) for p in self.paths)
        return Tree(url=url, files=files, looked_in=("./", "logs/"), warnings=tuple(self.warnings))


class FakeUploads:
    """What was sent, in a directory of the test; no bodies come in."""

    def __init__(self, root):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.kept = {}
        self.discarded = []
        self.swept = []

    def put(self, upload, body=b""):
        self.kept[upload.id] = upload
        self.body(upload.id).write_bytes(body)
        return upload

    def body(self, upload_id):
        return self.root / upload_id

    async def get(self, upload_id):
        if upload_id not in self.kept:
            raise NotFoundError("nothing was sent")
        return self.kept[upload_id]

    async def discard(self, upload_id):
        self.discarded.append(upload_id)
        self.kept.pop(upload_id, None)

    async def sweep(self, known):
        self.swept.append(known)
        return 0


class FakeLookup:
    """Describes every URL, at once."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda url: Job(url=url, name="gate-x"))
        self.asked = []

    async def find(self, q):
        return Answer(results=(await given(self.answer, q),))

    async def describe(self, url):
        self.asked.append(url)
        return await given(self.answer, url)


class FakeCpu:
    """A parser per name: request -> ParseResult, exception or Deferred."""

    def __init__(self, **parsers):
        self.parsers = parsers
        self.requests = []
        self.timeouts = []

    async def run(self, request, *, timeout_s, urgent=False):
        self.requests.append(request)
        self.timeouts.append(timeout_s)
        return await given(self.parsers[request.parser], request)


def made(request, kind, *, primary=True, name=None, decoded=10, warnings=(), **meta):
    """What a well-behaved parser gives: one artifact, its file in out_dir."""
    path = Path(request.out_dir, f"{kind}.gz")
    path.write_bytes(b"made of " + Path(request.inputs[0].path).read_bytes())
    artifact = ParsedArtifact(
        artifact_type=kind,
        artifact_name=name or request.inputs[0].name,
        content_type="application/json",
        primary=primary,
        path=str(path),
        meta=meta,
    )
    return ParseResult(artifacts=(artifact,), warnings=tuple(warnings), decoded_bytes=decoded)


class MemoryBlobStore:
    """Blobs in a directory of the test; ``failing`` is raised by put when it is set."""

    def __init__(self, root):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.failing = None

    @asynccontextmanager
    async def scratch(self):
        directory = Path(tempfile.mkdtemp(prefix="scratch-", dir=self.root))
        try:
            yield directory
        finally:
            shutil.rmtree(directory)

    def scratches(self):
        return list(self.root.glob("scratch-*"))

    async def put(self, path, blocks_path=None):
        await given(self.failing)
        body = path.read_bytes()
        name = hashlib.sha256(body).hexdigest()
        path.rename(self.root / name)
        if blocks_path is not None:
            blocks_path.rename(self.root / f"{name}.blocks")
        return BlobRef(hash=BlobHash(name), size=len(body), blocks=blocks_path is not None)

    async def path(self, blob):
        return self._existing(blob.hash)

    async def index_path(self, blob):
        return self._existing(f"{blob.hash}.blocks")

    async def span(self, blob, first, last):
        raise NotFoundError("the fake cuts no blocks")

    def _existing(self, name):
        path = self.root / name
        if not path.exists():
            raise NotFoundError("gone")
        return path


class MemoryTaskStore:
    """Tasks in dicts.  ``failing[method]`` is what a call of ``method`` meets first (see ``given``).

    ``wanted``: the ids of which ``begin`` was asked.
    """

    def __init__(self, clock):
        self._clock = clock
        self._numbers = itertools.count(1)
        self.tasks = {}
        self.kept = {}
        self.hashes = {}
        self.live_urls = {}
        self.failing = {}
        self.wanted = []

    async def create(self, job, *, cancel_hash, force, queue_limit):
        await given(self.failing.get("create"))
        known = self.live_urls.get(job.url)
        if known is not None:
            task = self.tasks[known]
            if task.state.working or not force:
                return task, False
        if sum(task.state is TaskState.QUEUED for task in self.tasks.values()) >= queue_limit:
            raise QueueFullError("full")
        task_id = TaskId(f"task-{next(self._numbers)}")
        task = Task(id=task_id, url=job.url, job=job, state=TaskState.QUEUED, created_ms=self._now())
        self.tasks[task_id], self.live_urls[job.url], self.hashes[task_id] = task, task_id, cancel_hash
        return task, True

    async def claim(self):
        await given(self.failing.get("claim"))
        for task in self.tasks.values():
            if task.state is TaskState.QUEUED:
                return self._start(task, None)
        return None

    async def begin(self, task_id, owner, *, late=lambda: False):
        self.wanted.append(task_id)
        await given(self.failing.get("begin"))
        task = self.tasks.get(task_id)
        if task is None or not task.state.working:
            return None
        if task.state is TaskState.PENDING and task.owner == owner:
            return task
        if late():
            raise TaskFailedError("too late")
        return self._start(task, owner)

    def _start(self, task, owner):
        return self._set(
            task.id,
            state=TaskState.PENDING,
            started_ms=self._now(),
            attempt=task.attempt + 1,
            owner=owner,
        )

    async def waiting(self, most):
        await given(self.failing.get("waiting"))
        return tuple((task.id, task.state) for task in self.tasks.values() if task.state.working)[:most]

    async def finish(self, begun, job, artifacts, warnings):
        await given(self.failing.get("finish"))
        task_id = begun.id
        if not self._theirs(begun):
            raise TaskFailedError("not pending, or begun anew")
        self.kept[task_id] = [
            Artifact(
                id=ArtifactId(f"{task_id}-{number}"),
                task_id=task_id,
                artifact_type=one.artifact_type,
                artifact_name=one.artifact_name,
                primary=one.primary,
                content_type=one.content_type,
                blob=blob,
                form=one.form,
                meta=one.meta,
            )
            for number, (one, blob) in enumerate(artifacts)
        ]
        return self._set(
            task_id, state=TaskState.FINISHED, job=job, warnings=tuple(warnings), finished_ms=self._now()
        )

    async def fail(self, begun, *, code, message):
        await given(self.failing.get("fail"))
        if self.tasks[begun.id].state.working and not self._theirs(begun):
            raise TaskFailedError("begun anew")
        return self._end(begun.id, TaskState.ERROR, error=code, message=message)

    async def cancel(self, task_id):
        await given(self.failing.get("cancel"))
        return self._end(task_id, TaskState.CANCELLED)

    async def release(self, begun):
        await given(self.failing.get("release"))
        if self._theirs(begun):
            self._set(begun.id, state=TaskState.QUEUED, started_ms=None, owner=None)

    def _theirs(self, begun):
        task = self.tasks[begun.id]
        return task.state is TaskState.PENDING and task.attempt == begun.attempt

    async def live(self, url):
        await given(self.failing.get("live"))
        return self.tasks.get(self.live_urls.get(url))

    async def requeue(self):
        await given(self.failing.get("requeue"))
        pending = [task.id for task in self.tasks.values() if task.state is TaskState.PENDING]
        for task_id in pending:
            self._set(task_id, state=TaskState.QUEUED, started_ms=None)
        return len(pending)

    async def get(self, task_id):
        if task_id not in self.tasks:
            raise NotFoundError("no such task")
        return self.tasks[task_id]

    async def cancel_hash(self, task_id):
        await self.get(task_id)
        return self.hashes[task_id]

    async def artifacts(self, task_id):
        return self.kept.get(task_id, [])

    async def artifact(self, artifact_id):
        for kept in self.kept.values():
            for one in kept:
                if one.id == artifact_id:
                    return one
        raise NotFoundError("no such artifact")

    async def queued(self):
        return [task.state for task in self.tasks.values()].count(TaskState.QUEUED)

    async def working_urls(self, prefix):
        return frozenset(
            task.url for task in self.tasks.values() if task.state.working and task.url.startswith(prefix)
        )

    async def recent(self, most, *, without):
        finished = [task for task in self.tasks.values() if task.state is TaskState.FINISHED]
        finished.sort(key=lambda task: task.finished_ms, reverse=True)
        return tuple(task for task in finished if not task.url.startswith(without))[:most]

    def _end(self, task_id, state, **facts):
        task = self.tasks[task_id]
        if not task.state.working:
            return task
        if self.live_urls.get(task.url) == task_id:
            del self.live_urls[task.url]
        return self._set(task_id, state=state, finished_ms=self._now(), **facts)

    def _set(self, task_id, **facts):
        self.tasks[task_id] = evolve(self.tasks[task_id], **facts)
        return self.tasks[task_id]

    def _now(self):
        return int(self._clock.seconds() * 1000)
