# SPDX-License-Identifier: Apache-2.0
"""``/s/<uuid>/``: the site of a task, or the page that says why there is none (yet)."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from stackviz_deployer.errors import NotFoundError, StoreError
from stackviz_deployer.interfaces import Tasks
from stackviz_deployer.model import TaskId, TaskState
from stackviz_deployer.web.errors import fail, fail_page
from stackviz_deployer.web.pages import refuse_method
from stackviz_deployer.web.static import StaticFile, StaticTree

STACKVIZ_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    b"connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
"""What an unmodified StackViz build needs, and no more (stackviz-contract.md, 7.6)."""

CONFIG_PATH = "data/config.json"
CONFIG = b'{"deployer": true, "root": "/s", "apiRoot": "/api"}'
"""Tells a StackViz build that it is served by us; the same bytes for every task."""

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")

_STATUS_PAGE = {
    None: 404,
    TaskState.QUEUED: 200,
    TaskState.PENDING: 200,
    TaskState.ERROR: 422,
    TaskState.CANCELLED: 422,
    TaskState.EXPIRED: 410,
}


class Viewer(Protocol):
    """What stands at ``/s/<uuid>/`` of a finished task."""

    async def serve(self, request: Request, task_id: TaskId, path: str) -> bytes | None:
        """Answer for ``path`` below the site: the body, or None when it was written already.

        Raises NotFoundError.
        """


class BuiltInViewer:
    """``s.html`` of our pages; what it needs besides lies outside ``/s/``."""

    def __init__(self, public: StaticTree) -> None:
        self._public = public

    async def serve(self, request: Request, task_id: TaskId, path: str) -> bytes:  # noqa: ARG002  # same for all
        page = self._public.get("s.html") if path in ("", "index.html") else None
        if page is None:
            raise NotFoundError("there is no such file")
        return page.answer(request)


class StackvizBuild:
    """An unmodified StackViz build: the same files for every task."""

    def __init__(self, tree: StaticTree) -> None:
        self._tree = tree

    async def serve(self, request: Request, task_id: TaskId, path: str) -> bytes:  # noqa: ARG002  # same for all
        file = self._tree.get(path or "index.html")
        if file is None:
            raise NotFoundError("the StackViz build has no such file")
        request.setHeader(b"Content-Security-Policy", STACKVIZ_POLICY)
        return file.answer(request)


class Sites(Resource):
    """Everything under ``/s/``."""

    isLeaf = True

    def __init__(self, *, tasks: Tasks, public: StaticTree, viewer: Viewer) -> None:
        super().__init__()
        self._tasks = tasks
        self._status_page = public.get("status.html")
        self._viewer = viewer
        self._config = StaticFile.of(CONFIG, "application/json")

    def render(self, request: Request) -> bytes | int:
        if request.method not in (b"GET", b"HEAD"):
            return refuse_method(request, b"GET, HEAD")
        task_id, *rest = [segment.decode("utf-8", "surrogateescape") for segment in request.postpath or [b""]]
        if not _ID.fullmatch(task_id):
            return fail_page(request, NotFoundError("there is nothing at this address"))
        if not rest:
            # the build's addresses are relative: without the slash they would lead elsewhere
            request.setResponseCode(301)
            request.setHeader(b"Location", f"/s/{task_id}/".encode("ascii"))
            request.setHeader(b"Content-Length", b"0")
            return b""
        # A segment may hold a decoded %2F; the trees' keys and the proxy know only plain ones.
        path = "/".join(rest) if all("/" not in segment for segment in rest) else "\0"
        work = Deferred.fromCoroutine(self._serve(request, TaskId(task_id), path))
        gone = False

        def leave(_: Failure) -> None:
            nonlocal gone
            gone = True
            work.cancel()

        request.notifyFinish().addErrback(leave)

        def finish(body: bytes | None) -> None:
            if body is not None:
                request.write(body)
            if not gone:
                request.finish()

        def failed(failure: Failure) -> None:
            if gone and failure.check(CancelledError):
                return
            finish(self._error(request, failure, path))

        work.addCallback(finish)
        work.addErrback(failed)
        return NOT_DONE_YET

    async def _serve(self, request: Request, task_id: TaskId, path: str) -> bytes | None:
        state: TaskState | None
        try:
            state = (await self._tasks.get(task_id)).state
        except NotFoundError:
            state = None
        if state is not TaskState.FINISHED:
            if not _is_page(path):
                raise NotFoundError("this task has no site: its page says why")
            return self._say_state(request, _STATUS_PAGE[state])
        if path == CONFIG_PATH:
            return self._config.answer(request, cache=b"no-store")
        return await self._viewer.serve(request, task_id, path)

    def _say_state(self, request: Request, status: int) -> bytes:
        if self._status_page is None:
            raise NotFoundError("this task has no site; POST /api/status says how it stands")
        return self._status_page.answer(request, status=status, cache=b"no-store")

    def _error(self, request: Request, failure: Failure, path: str) -> bytes:
        if not _is_page(path):
            return fail(request, failure)
        body = fail_page(request, failure)
        if failure.check(StoreError) and self._status_page is not None and not request.startedWriting:
            return self._say_state(request, request.code)  # it says so in its words, and waits for the store
        return body


def _is_page(path: str) -> bool:
    """Whether somebody looks at what is there, rather than a page fetching a part of itself."""
    return PurePosixPath(path).suffix in ("", ".html")
