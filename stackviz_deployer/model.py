# SPDX-License-Identifier: Apache-2.0
"""The values that cross the borders of the house: frozen, without I/O, without Twisted.

Times are integer milliseconds UTC, sizes are bytes.  A dict lives only between a JSON
parser and one of the constructors here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, NewType

from attrs import Factory, asdict, field, frozen

TaskId = NewType("TaskId", str)
ArtifactId = NewType("ArtifactId", str)
BlobHash = NewType("BlobHash", str)
"""SHA-256 of a blob as it lies (that is, gzipped), 64 hexadecimal digits."""


class TaskState(enum.StrEnum):
    """Where a scrape stands.  queued -> pending -> finished | error | cancelled; finished -> expired."""

    QUEUED = "queued"
    PENDING = "pending"
    FINISHED = "finished"
    ERROR = "error"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def live(self) -> bool:
        """Whether the task still holds its URL: a second request for it joins this one."""
        return self in (TaskState.QUEUED, TaskState.PENDING, TaskState.FINISHED)

    @property
    def working(self) -> bool:
        """Whether the end is still to come."""
        return self in (TaskState.QUEUED, TaskState.PENDING)


@frozen(kw_only=True)
class Build:
    """One run of a job; a Job lists its older ones, newest first."""

    url: str | None
    status: str | None = None
    duration: str | None = None
    """As the CI wrote it: ``1h 03m 30s``."""
    finished_ms: int | None = None


@frozen(kw_only=True)
class Job:
    """A CI job of a change, as ``/api/list`` shows it and ``/api/task`` repeats it.

    ``url`` is the job's log directory and ends in a slash; it is None for a build that
    cannot be scraped, and then ``reason`` says why.  ``status`` is the CI's own word
    (SUCCESS, FAILURE, TIMED_OUT...), None while unknown.
    """

    url: str | None
    name: str
    status: str | None = None
    pipeline: str | None = None
    ci_username: str | None = None
    change_id: int | None = None
    """The number of the change, not its I... key."""
    revision: int | None = None
    """The number of the patchset."""
    change_project: str | None = None
    change_subject: str | None = None
    change_url: str | None = None
    """Where a person reads the change."""
    gerrit: str | None = None
    """Host of the Gerrit that the change is from."""
    voting: bool | None = None
    duration: str | None = None
    finished_ms: int | None = None
    reason: str | None = None
    manifest_url: str | None = None
    """The build's ``zuul-manifest.json``, where its artifacts name one: all files below ``url``."""
    builds: tuple[Build, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The entry of ``/api/list``: flat, every key present."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """A job from what ``to_json`` gave (the database keeps it so)."""
        known = {name: data[name] for name in _JOB_FIELDS if name in data}
        known["builds"] = tuple(Build(**build) for build in data.get("builds", ()))
        return cls(**known)


_JOB_FIELDS = tuple(name for name in Job.__annotations__ if name != "builds")


@frozen(kw_only=True)
class Choice:
    """One of several changes that a query fits; ``q`` asks for this one alone."""

    q: str
    change_id: int
    change_project: str
    change_subject: str
    change_branch: str | None = None
    """Backports have everything else in common."""


@frozen(kw_only=True)
class Answer:
    """What a look-up found."""

    results: tuple[Job, ...] = ()
    message: str | None = None
    """For a person: why there is nothing, or how many changes fit."""
    choices: tuple[Choice, ...] = ()
    warnings: tuple[str, ...] = ()
    """Sources that could not be asked."""
    asking: tuple[str, ...] = ()
    """Hosts whose answers have not come: this is what is known until then."""


@frozen(kw_only=True)
class Progress:
    """How far a pending task is: ``done`` of ``total`` (bytes or files) in ``stage``; total 0 = unknown."""

    stage: str
    """listing, fetching, parsing or storing."""
    done: int = 0
    total: int = 0


@frozen(kw_only=True)
class Task:
    """One scrape."""

    id: TaskId
    url: str
    job: Job
    state: TaskState
    message: str | None = None
    """For error: what went wrong, for a person.  For others mostly None."""
    error: str | None = None
    """For error: the stable code (errors.py)."""
    created_ms: int
    started_ms: int | None = None
    finished_ms: int | None = None
    attempt: int = 0
    """How often it was begun; who began it last, with this number, alone may record its end."""
    owner: str | None = None
    """The node that works on it, or did last; None without a cluster."""
    progress: Progress | None = None
    """Only while pending, and only of tasks that this process works on."""
    warnings: tuple[str, ...] = ()
    """What the scrape left out or repaired, in sentences; of finished tasks."""


@frozen(kw_only=True)
class Submitted:
    """What asking for a scrape led to."""

    task: Task
    cancel_key: str | None = None
    """Only for the request that created the task."""


@frozen(kw_only=True)
class BlobRef:
    """A stored blob: one gzip member, named by the hash of its bytes as they lie."""

    hash: BlobHash
    size: int
    blocks: bool = False
    """Whether a block index lies beside it."""


@frozen(kw_only=True)
class Artifact:
    """One thing that was made of a job's files.  The names are those StackViz reads."""

    id: ArtifactId
    task_id: TaskId
    artifact_type: str
    artifact_name: str
    primary: bool
    content_type: str
    blob: BlobRef
    form: int
    """Version of the stored form of this type."""
    meta: Mapping[str, Any] = Factory(dict)
    """Small facts for the list of artifacts, e.g. the test counts."""


@frozen(kw_only=True)
class BlobSpan:
    """Some blocks of a block-gzip blob, to be sent as ``head`` + a slice of the file + ``tail``.

    The three together are an ordinary gzip file; nothing is inflated to make it.
    """

    path: str
    offset: int
    size: int
    head: bytes
    tail: bytes


@frozen(kw_only=True)
class Expired:
    """Tasks that gave up their artifacts, and the blobs that nobody names any more."""

    tasks: tuple[TaskId, ...] = ()
    hashes: tuple[BlobHash, ...] = ()
    bytes: int = 0
    """Of those blobs."""


@frozen(kw_only=True)
class KeptTask:
    """A task as the operator sees it."""

    task: Task
    number: int
    """Counted up from the first task; the place of a list's page."""
    pinned: bool
    used_ms: int | None
    """When somebody last looked at it; None of one that never finished."""
    expired_ms: int | None
    artifacts: int
    bytes: int
    """Of its artifacts, gzipped as they lie; another task may share them."""


@frozen(kw_only=True)
class Upload:
    """What somebody sent in place of a URL: one body, as it came, not yet looked into."""

    id: str
    """A UUID; tasks name it as ``upload:<id>/``."""
    size: int
    name: str | None = None
    """As the sender calls it: a stranger's text."""
    boundary: str | None = None
    """Of a multipart/form-data body."""


@frozen(kw_only=True)
class ListedFile:
    """A file below a job's root."""

    path: str
    """Relative to the root, decoded, with forward slashes: ``logs/testrepository.subunit.gz``."""
    url: str
    size: int | None = None
    """As the listing says, often rounded; never to be trusted."""


@frozen(kw_only=True)
class Tree:
    """The files of a job that were found, and where was looked."""

    url: str
    files: tuple[ListedFile, ...]
    looked_in: tuple[str, ...]
    """Directories that were read, relative to the root; the root itself is ``./``."""
    warnings: tuple[str, ...] = ()
    seen: int = 0
    """How many files there are; ``files`` are those among them that a scraper may want."""


@frozen(kw_only=True)
class Fetched:
    """An answer whose body lies in a file, byte for byte as it came over the wire (not decoded)."""

    url: str
    """After redirects."""
    content_type: str | None
    size: int


@frozen(kw_only=True)
class InputFile:
    """A fetched file on its way to a parser."""

    path: str
    """Where it lies, still in the encoding of the wire."""
    name: str
    """Its path in the job's tree, for artifact names and messages."""


@frozen(kw_only=True)
class ParseRequest:
    """What a worker process is asked.  Bytes travel as paths of files, never as messages."""

    parser: str
    """A key of parsers.worker.PARSERS."""
    inputs: tuple[InputFile, ...]
    out_dir: str
    """An existing empty directory; whatever is left in it is removed by the asker."""
    max_bytes: int
    """Decoded bytes that one input may have."""
    options: Mapping[str, Any] = Factory(dict)
    """JSON values, per parser."""

    def to_json(self) -> dict[str, Any]:
        """For the pipe."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ParseRequest:
        """From the pipe."""
        return cls(
            parser=data["parser"],
            inputs=tuple(InputFile(**i) for i in data["inputs"]),
            out_dir=data["out_dir"],
            max_bytes=data["max_bytes"],
            options=data["options"],
        )


@frozen(kw_only=True)
class ParsedArtifact:
    """A file that a parser made: one gzip member in the request's out_dir."""

    artifact_type: str
    artifact_name: str
    content_type: str
    primary: bool
    path: str
    blocks_path: str | None = None
    """The block index beside it: gzipped JSON as parsers.blockgzip writes it."""
    form: int = 1
    meta: Mapping[str, Any] = Factory(dict)


@frozen(kw_only=True)
class ParseResult:
    """What a worker process answers."""

    artifacts: tuple[ParsedArtifact, ...] = ()
    warnings: tuple[str, ...] = ()
    """Sentences for a person: what was left out or repaired."""
    data: Any = None
    """For parsers that give a value instead of files (listing, Gerrit): JSON."""
    decoded_bytes: int = field(default=0)
    """Decoded bytes read, for the task's total."""
    by_reference: bool = False
    """Whether another ``reference_ms`` among the options could have led to something else."""

    def to_json(self) -> dict[str, Any]:
        """For the pipe."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ParseResult:
        """From the pipe."""
        return cls(
            artifacts=tuple(ParsedArtifact(**a) for a in data["artifacts"]),
            warnings=tuple(data["warnings"]),
            data=data["data"],
            decoded_bytes=data["decoded_bytes"],
            by_reference=data["by_reference"],
        )
