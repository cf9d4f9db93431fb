# SPDX-License-Identifier: Apache-2.0
"""The API: each handler parses, makes one call, and serialises."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import resources

import orjson
import yaml
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.server import Request

from stackviz_deployer.errors import (
    DataLostError,
    InvalidRequestError,
    NotFoundError,
    NotScrapableError,
    TaskExpiredError,
    TaskFailedError,
    TaskNotReadyError,
)
from stackviz_deployer.interfaces import BlobStore, InThread, Keeper, Lookup, Meters, Tasks
from stackviz_deployer.model import Artifact, ArtifactId, BlobSpan, Task, TaskId, TaskState
from stackviz_deployer.web import body, documents
from stackviz_deployer.web.blobs import FileSender, whole
from stackviz_deployer.web.clients import Clients
from stackviz_deployer.web.errors import fail
from stackviz_deployer.web.events import EventStreams
from stackviz_deployer.web.kept import Kept
from stackviz_deployer.web.looking import LINES, tell_look_up
from stackviz_deployer.web.negotiate import accepts
from stackviz_deployer.web.observe import observe
from stackviz_deployer.web.static import StaticFile
from stackviz_deployer.web.throttle import Throttle
from stackviz_deployer.web.upload import Reception

MAX_SPAN = 256
"""Blocks in one answer: 16 MiB of text."""

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_SPAN = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


class Api:
    """Everything under ``/api`` (the site mounts five of the routes without the prefix as well)."""

    app = Klein()
    # a slash too many is forgiven, not answered with a redirect that a POST would not survive
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False

    def __init__(
        self,
        *,
        lookup: Lookup,
        tasks: Tasks,
        keeper: Keeper,
        blobs: BlobStore,
        reception: Reception,
        in_thread: InThread,
        clock: IReactorTime,
        version: str,
        clients: Clients,
        throttle: Throttle,
        meters: Meters,
        kept: Kept,
        event_streams: int,
    ) -> None:
        self._lookup = lookup
        self._tasks = tasks
        self._keeper = keeper
        self._blobs = blobs
        self._reception = reception
        self._in_thread = in_thread
        self._clock = clock
        self._files = FileSender(in_thread)
        self._kept = kept
        self._throttle = throttle
        self._events = EventStreams(tasks, clock, most=event_streams, clients=clients, meters=meters)
        self._openapi = StaticFile.of(openapi_json(version), "application/json")

    @app.handle_errors(Exception)  # type: ignore[arg-type]  # Klein means IRequest; ours are Requests
    def failed(self, request: Request, failure: Failure) -> bytes:
        return fail(request, failure)

    @app.route("/list", methods=["POST"])
    async def list_jobs(self, request: Request) -> bytes | None:
        q = body.text(body.read_object(request), "q")
        self._throttle.take("list", request)
        if accepts(request, LINES):
            await tell_look_up(request, self._lookup, q, self._clock)
            return None
        return documents.answer(request, documents.listing(await self._lookup.find(q)))

    @app.route("/scrape", methods=["POST"])
    async def scrape(self, request: Request) -> bytes:
        entry = body.read_object(request)
        force = body.flag(entry, "force")
        if "url" in entry and entry["url"] is None:
            raise NotScrapableError("this build has no log directory that could be scraped" + _reason(entry))
        url = body.text(entry, "url")
        self._throttle.take("scrape", request)
        # a client that hangs up must not leave a task half made
        work = Deferred.fromCoroutine(self._tasks.submit(url, force=force))
        outcome = await observe(work, "submitting a scrape")
        status = 202 if outcome.task.state.working else 200
        return documents.answer(request, documents.submitted(outcome), status)

    @app.route("/upload", methods=["POST"])
    async def upload(self, request: Request) -> bytes:
        work = Deferred.fromCoroutine(self._reception.take(request, self._tasks))
        outcome = await observe(work, "taking an upload")
        return documents.answer(request, documents.submitted(outcome), 202)

    @app.route("/status", methods=["POST"])
    async def status(self, request: Request) -> bytes:
        task_id = task_id_of(body.text(body.read_object(request), "q"))
        return documents.answer(request, documents.status(await self._tasks.get(task_id)))

    @app.route("/cancel", methods=["POST"])
    async def cancel(self, request: Request) -> bytes:
        data = body.read_object(request)
        task_id, key = task_id_of(body.text(data, "q")), body.text(data, "cancel_key")
        work = Deferred.fromCoroutine(self._tasks.cancel(task_id, key))
        return documents.answer(request, documents.status(await observe(work, "cancelling a task")))

    @app.route("/task", methods=["POST"])
    async def task(self, request: Request) -> bytes:
        task = await self._tasks.get(task_id_of(body.text(body.read_object(request), "q")))
        refuse_unfinished(task)
        artifacts = await self._tasks.artifacts(task.id)
        await self._keeper.check(task.id, artifacts)
        self._keeper.used(task.id)
        shown = [documents.artifact(one) for one in artifacts]
        return documents.answer(request, documents.task(task, shown))

    @app.route("/recent", methods=["GET"])
    async def recent(self, request: Request) -> bytes:
        tasks = await self._tasks.recent()
        return documents.answer(request, {"sites": [documents.status(task) for task in tasks]})

    @app.route("/events/<task_id>", methods=["GET"])
    async def events(self, request: Request, task_id: str) -> None:
        await self._events.serve(request, task_id_of(task_id))

    @app.route("/blob/<artifact_id>", methods=["GET"])
    async def blob(self, request: Request, artifact_id: str) -> None:
        artifact = await self._artifact(artifact_id)
        async with self._reading(artifact):
            path = await self._blobs.path(artifact.blob)
            span = whole(str(path), artifact.blob.size)
            await self._send(request, artifact, span, artifact.blob.hash, artifact.content_type)

    @app.route("/blob/<artifact_id>/gzip", methods=["GET"])
    async def stored(self, request: Request, artifact_id: str) -> None:
        artifact = await self._artifact(artifact_id)
        async with self._reading(artifact):
            path = await self._blobs.path(artifact.blob)
            span = whole(str(path), artifact.blob.size)
            await self._files.send_stored(request, span, tag=f"{artifact.blob.hash}-gzip")

    @app.route("/blob/<artifact_id>/blocks", methods=["GET"])
    async def blocks(self, request: Request, artifact_id: str) -> None:
        artifact = await self._in_blocks(artifact_id)
        tag = f"{artifact.blob.hash}-blocks"
        async with self._reading(artifact):
            path = await self._blobs.index_path(artifact.blob)
            span = await self._in_thread(whole, str(path))
            await self._send(request, artifact, span, tag, "application/json")

    @app.route("/blob/<artifact_id>/blocks/<span>", methods=["GET"])
    async def block(self, request: Request, artifact_id: str, span: str) -> None:
        first, last = _span(span)
        artifact = await self._in_blocks(artifact_id)
        tag = f"{artifact.blob.hash}-{first}-{last}"
        async with self._reading(artifact):
            part = await self._blobs.span(artifact.blob, first, last)
            await self._send(request, artifact, part, tag, "text/plain; charset=utf-8")

    @app.route("/openapi.json", methods=["GET"])
    def openapi(self, request: Request) -> bytes:
        return self._openapi.answer(request)

    @asynccontextmanager
    async def _reading(self, artifact: Artifact) -> AsyncIterator[None]:
        """What is read counts as use; what is gone ends its site."""
        self._keeper.used(artifact.task_id)
        try:
            yield
        except DataLostError:
            await self._keeper.check(artifact.task_id, [artifact])
            raise

    async def _send(
        self, request: Request, artifact: Artifact, span: BlobSpan, tag: str, content_type: str
    ) -> None:
        """``span``, of the artifact; each time that it is given again from memory counts as use, too."""
        used = partial(self._keeper.used, artifact.task_id)
        await self._files.send(
            request, span, tag=tag, content_type=content_type, task_id=artifact.task_id, used=used
        )

    async def _artifact(self, artifact_id: str) -> Artifact:
        if not _ID.fullmatch(artifact_id):
            raise NotFoundError("there is no such artifact")
        known = self._kept.artifact(ArtifactId(artifact_id))
        if known is not None:
            return known
        generation = self._kept.generation
        found = await self._tasks.artifact(ArtifactId(artifact_id))
        self._kept.keep_artifact(found, generation)
        return found

    async def _in_blocks(self, artifact_id: str) -> Artifact:
        artifact = await self._artifact(artifact_id)
        if not artifact.blob.blocks:
            raise NotFoundError("this artifact has no blocks; read it whole")
        return artifact


def openapi_json(version: str) -> bytes:
    """The OpenAPI document, with the version that runs."""
    source = resources.files("stackviz_deployer.web") / "openapi.yaml"
    document = yaml.safe_load(source.read_bytes())
    document["info"]["version"] = version
    return orjson.dumps(document)


def refuse_unfinished(task: Task) -> None:
    """Raise what the task's state means to somebody who wants its results."""
    if task.state.working:
        raise TaskNotReadyError("this scrape is still at work; watch /api/events or ask /api/status")
    if task.state is TaskState.EXPIRED:
        said = task.message or "This scrape has expired."
        raise TaskExpiredError(f"{said} Scrape the job again while its logs are there.")
    if task.state is not TaskState.FINISHED:
        raise TaskFailedError(task.message or f"this scrape ended as {task.state.value}")


def task_id_of(text: str) -> TaskId:
    """Raises NotFoundError for what cannot be one."""
    if not _ID.fullmatch(text):
        raise NotFoundError("there is no such task")
    return TaskId(text)


def _reason(entry: dict[str, object]) -> str:
    """What the listing said of a build without URL; it goes back to whoever sent it, and nowhere else."""
    reason = entry.get("reason")
    return f": {reason[:500]}" if isinstance(reason, str) and reason else ""


def _span(text: str) -> tuple[int, int]:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise InvalidRequestError("blocks are asked for as <n> or <n>-<m>, counted from 0")
    first = int(match[1])
    last = first if match[2] is None else int(match[2])
    if last < first or last - first >= MAX_SPAN:
        raise InvalidRequestError(f"ask for 1 to {MAX_SPAN} blocks, the lower number first")
    return first, last
