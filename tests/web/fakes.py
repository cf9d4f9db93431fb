# SPDX-License-Identifier: Apache-2.0
"""In-memory Lookup, Tasks and BlobStore, and a directory of small pages."""

import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, maybeDeferred

from stackviz_deployer.errors import CancelRefusedError, NotFoundError
from stackviz_deployer.model import (
    Answer,
    Artifact,
    ArtifactId,
    BlobHash,
    BlobRef,
    BlobSpan,
    Job,
    Submitted,
    Task,
    TaskId,
    TaskState,
    Upload,
)

UUID = "f223e63b-6ac0-4236-9c1c-4dec769310aa"
URL = "http://logs.openstack.org/24/269624/19/check/gate-tempest-dsvm-full/84f9b4a/"
JOB = Job(
    url=URL,
    name="gate-tempest-dsvm-full",
    status="SUCCESS",
    pipeline="check",
    ci_username="jenkins",
    change_id=269624,
    revision=19,
    change_project="openstack/cinder",
    change_subject="Support for consistency groups in ScaleIO driver",
)


def a_task(state: TaskState = TaskState.FINISHED, **more: Any) -> Task:
    given: dict[str, Any] = {"id": TaskId(UUID), "url": URL, "job": JOB, "state": state, "created_ms": 1_000}
    return Task(**{**given, **more})


class FakeLookup:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Answer | Exception | Deferred[Answer] = Answer(results=(JOB,))
        self.parts: list[Answer] = []
        """Told before the answer."""
        self.tell: Callable[[Answer], None] | None = None
        """Of the last who asked."""

    async def find(self, q: str, tell: Callable[[Answer], None] | None = None) -> Answer:
        self.asked.append(q)
        self.tell = tell
        for part in self.parts if tell is not None else ():
            tell(part)
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, Deferred):
            return await self.answer
        return self.answer

    async def describe(self, url: str) -> Job:
        return evolve(JOB, url=url)


class FakeTasks:
    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.made: dict[str, list[Artifact]] = {}
        self.submits: list[tuple[str, bool]] = []
        self.outcome: Submitted | Exception | Deferred[Submitted] = Submitted(
            task=a_task(TaskState.QUEUED), cancel_key="key"
        )
        self.uploads: list[Upload] = []
        self.gets = 0
        self.gate: Deferred[None] | None = None
        self.watchers: list[Callable[[Task], None]] = []
        self.report: dict[str, Any] = {"queued": 0}
        self.cancelled: list[str] = []

    def put(self, task: Task) -> None:
        """A new state, told to whoever watches."""
        self.tasks[task.id] = task
        for watcher in list(self.watchers):
            watcher(task)

    async def submit(self, url: str, *, force: bool = False) -> Submitted:
        self.submits.append((url, force))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if isinstance(self.outcome, Deferred):
            return await self.outcome
        return self.outcome

    async def submit_upload(self, upload: Upload) -> Submitted:
        self.uploads.append(upload)
        if isinstance(self.outcome, Deferred):
            return await self.outcome
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def cancel(self, task_id: TaskId, cancel_key: str) -> Task:
        task = await self.get(task_id)
        if cancel_key != "key":
            raise CancelRefusedError("that is not the key of this task")
        self.cancelled.append(task_id)
        return evolve(task, state=TaskState.CANCELLED)

    async def get(self, task_id: TaskId) -> Task:
        self.gets += 1
        found = self.tasks.get(task_id)
        if self.gate is not None:  # what was read may be old by the time it arrives
            await self.gate
        if found is None:
            raise NotFoundError("there is no such task")
        return found

    async def artifacts(self, task_id: TaskId) -> Sequence[Artifact]:
        return self.made.get(task_id, [])

    async def artifact(self, artifact_id: ArtifactId) -> Artifact:
        for made in self.made.values():
            for one in made:
                if one.id == artifact_id:
                    return one
        raise NotFoundError("there is no such artifact")

    async def recent(self) -> Sequence[Task]:
        return [task for task in self.tasks.values() if task.state is TaskState.FINISHED]

    def watch(self, task_id: TaskId, changed: Callable[[Task], None]) -> Callable[[], None]:
        self.watchers.append(changed)
        return lambda: self.watchers.remove(changed)

    def health(self) -> Mapping[str, Any]:
        return self.report


class FakeKeeper:
    """``lost`` is what a check of any of these artifacts' hashes raises."""

    def __init__(self) -> None:
        self.uses: list[str] = []
        self.lost: dict[str, Exception] = {}

    def used(self, task_id: TaskId) -> None:
        self.uses.append(task_id)

    async def check(self, task_id: TaskId, artifacts: Sequence[Artifact]) -> None:
        for one in artifacts:
            if one.blob.hash in self.lost:
                raise self.lost[one.blob.hash]


class CountingMeters:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.counts[",".join([name, *labels.values()])] += int(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        pass


class FakeBlobs:
    """Blobs in a directory; blocks as design.md, section 5, has them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.blocks: dict[str, list[bytes]] = {}

    def add(self, blocks: list[bytes]) -> BlobRef:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        slices = [deflater.compress(b) + deflater.flush(zlib.Z_FULL_FLUSH) for b in blocks]
        plain = b"".join(blocks)
        trailer = zlib.crc32(plain).to_bytes(4, "little") + (len(plain) & 0xFFFFFFFF).to_bytes(4, "little")
        wire = HEADER + b"".join(slices) + deflater.flush() + trailer
        ref = BlobRef(hash=BlobHash(hashlib.sha256(wire).hexdigest()), size=len(wire), blocks=len(blocks) > 1)
        (self.directory / ref.hash).write_bytes(wire)
        (self.directory / f"{ref.hash}.blocks").write_bytes(gzip.compress(b'{"version":1,"blocks":[]}'))
        self.blocks[ref.hash] = blocks
        self.slices = slices
        return ref

    async def put(self, path: Path, blocks_path: Path | None = None) -> BlobRef:
        raise NotImplementedError

    async def path(self, blob: BlobRef) -> Path:
        return self.directory / blob.hash

    async def index_path(self, blob: BlobRef) -> Path:
        return self.directory / f"{blob.hash}.blocks"

    async def span(self, blob: BlobRef, first: int, last: int) -> BlobSpan:
        blocks = self.blocks[blob.hash]
        if last >= len(blocks):
            raise NotFoundError("there is no such block")
        plain = b"".join(blocks[first : last + 1])
        return BlobSpan(
            path=str(self.directory / blob.hash),
            offset=len(HEADER) + sum(map(len, self.slices[:first])),
            size=sum(map(len, self.slices[first : last + 1])),
            head=HEADER,
            tail=b"\x03\x00" + zlib.crc32(plain).to_bytes(4, "little") + len(plain).to_bytes(4, "little"),
        )


HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"


def an_artifact(
    blob: BlobRef, artifact_id: str = "79f81039-d51c-46af-a8cb-13e31efe1a57", **more: Any
) -> Artifact:
    given: dict[str, Any] = {
        "id": ArtifactId(artifact_id),
        "task_id": TaskId(UUID),
        "artifact_type": "subunit",
        "artifact_name": "testrepository.subunit",
        "primary": True,
        "content_type": "application/json",
        "blob": blob,
        "form": 1,
    }
    return Artifact(**{**given, **more})


def at_once(fn: Callable[..., Any], /, *args: object) -> Deferred[Any]:
    """Instead of a thread."""
    return maybeDeferred(fn, *args)


PAGES = {
    "index.html": b"<!doctype html><title>index</title>" + b"<p>padding</p>" * 50,
    "go.html": b"<!doctype html><title>go</title>",
    "s.html": b"<!doctype html><title>viewer</title>",
    "status.html": b"<!doctype html><title>status</title>",
    "favicon.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "css/main.css": b"body { color: black }\n" * 40,
    "js/main.js": b"'use strict';\n" * 40,
    ".secret": b"dot file",
    ".git/config": b"dot folder",
}

BUILD = {
    "index.html": b"<!doctype html><title>StackViz</title><script src='js/main.js'></script>",
    "css/main.css": b"@font-face { src: url(../fonts/fontawesome-webfont.eot?v=4.4.0) }\n" * 20,
    "js/main.js": b"angular.module('app');\n" * 100,
    "fonts/fontawesome-webfont.woff2": b"wOF2" + bytes(range(256)),
    "fonts/fontawesome-webfont.woff": b"wOFF",
    "fonts/fontawesome-webfont.ttf": b"\0\1\0\0",
    "fonts/fontawesome-webfont.eot": b"eot",
    "fonts/fontawesome-webfont.svg": b"<svg/>",
    "data/config.json": b'{"deployer": false}',
}


def write_tree(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, body in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return root
