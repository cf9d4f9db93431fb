# SPDX-License-Identifier: Apache-2.0
"""``POST /api/upload``: a body of any size on its way to the disk, and what its headers say of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol, cast

from multipart import parse_options_header  # type: ignore[import-untyped]  # annotated, without py.typed
from twisted.internet.interfaces import IPushProducer
from twisted.web.server import Request

from stackviz_deployer.errors import (
    InvalidRequestError,
    RequestTooLargeError,
    StackvizError,
    TooManyUploadsError,
    UnsupportedMediaTypeError,
)
from stackviz_deployer.interfaces import Intake, Meters, Tasks, Uploads
from stackviz_deployer.model import Submitted, Upload
from stackviz_deployer.web.body import header, refuse_foreign
from stackviz_deployer.web.clients import Clients
from stackviz_deployer.web.places import Places
from stackviz_deployer.web.throttle import Throttle

PATH = b"/api/upload"
WHOLE_S = 1800.0
"""For a body to come in whole: 256 MiB at 1.2 Mbit/s.  The places are few."""
CLIENT_COMING = 4
"""Uploads that one client may have on their way at once; the places are 16."""
MAX_NAME = 255
"""Characters of ``?name=``."""
MAX_BOUNDARY = 200
"""RFC 2046 allows 70."""


class Reception:
    """Where uploads go, and how large one may be."""

    def __init__(
        self, uploads: Uploads, upload_bytes: int, *, clients: Clients, throttle: Throttle, meters: Meters
    ) -> None:
        self._uploads = uploads
        self._clients = clients
        self._throttle = throttle
        self._meters = meters
        self._places = Places(sys.maxsize, CLIENT_COMING)
        self.max_bytes = upload_bytes

    @staticmethod
    def addressed(method: bytes, path: bytes) -> bool:
        """Whether a request's line asks for an upload."""
        return method == b"POST" and path.rstrip(b"/") == PATH

    def begin(
        self,
        request: Request,
        producer: IPushProducer | None,
        length: int | None,
        failed: Callable[[StackvizError], None],
    ) -> Intake:
        """Let the body of ``request`` come in from ``producer``; only its headers are here.

        ``failed`` is told when the disk fails.  Raises ForeignOriginError,
        RequestTooLargeError, RateLimitedError, TooManyUploadsError, StoreError.
        """
        refuse_foreign(request)
        if length is not None:
            self.check(length)
        client = self._clients.of(request)
        if self._places.full(client) is not None:
            self._meters.count("limit_hits", limit="uploads_of_one_client")
            raise TooManyUploadsError(
                f"your address sends {CLIENT_COMING} files already; send this when one of them is through"
            )
        self._throttle.take("upload", request)
        try:
            intake = self._uploads.begin(producer, failed)
        except TooManyUploadsError:
            self._meters.count("limit_hits", limit="uploads_at_once")
            raise
        self._places.take(client)
        return _Placed(intake, lambda: self._places.leave(client))

    def check(self, size: int) -> None:
        """Raise RequestTooLargeError when a body has as many bytes."""
        if size > self.max_bytes:
            shown = (
                f"{self.max_bytes / (1 << 20):g} MiB"
                if self.max_bytes >= 1 << 20
                else f"{self.max_bytes} bytes"
            )
            raise RequestTooLargeError(
                f"an upload may have {shown} as it is sent (limits.upload_bytes); compress it, or send less"
            )

    async def take(self, request: Request, tasks: Tasks) -> Submitted:
        """Make a task of a body that came in whole.

        Raises InvalidRequestError, UnsupportedMediaTypeError, QueueFullError, StoreError.
        """
        intake = self._received(request)
        try:
            refuse_foreign(request)
            _refuse_empty(intake.size)
            name, boundary = _name(request), _boundary(request)
        except Exception:
            intake.abandon()
            raise
        return await tasks.submit_upload(await intake.finish(name=name, boundary=boundary))

    def _received(self, request: Request) -> Intake:
        taken = cast("Receiving", request).take_intake()
        if taken is not None:
            return taken
        # a request line of another form (http://host/api/upload): what came is small, and in memory
        self._throttle.take("upload", request)
        intake = self._uploads.begin(None, lambda _error: None)
        intake.write(request.content.read() if request.content else b"")
        return intake


class _Placed:
    """An Intake that gives its client's place back at its end."""

    def __init__(self, intake: Intake, leave: Callable[[], None]) -> None:
        self._intake = intake
        self._leave: Callable[[], None] | None = leave
        self.write = intake.write

    @property
    def size(self) -> int:
        return self._intake.size

    async def finish(self, *, name: str | None, boundary: str | None) -> Upload:
        try:
            return await self._intake.finish(name=name, boundary=boundary)
        finally:
            self._end()

    def abandon(self) -> None:
        self._intake.abandon()
        self._end()

    def _end(self) -> None:
        if self._leave is not None:
            leave, self._leave = self._leave, None
            leave()


class Receiving(Protocol):
    """What is used of site.LimitedRequest."""

    def take_intake(self) -> Intake | None:
        """What came in, once: the taker sees to its end."""


def _refuse_empty(size: int) -> None:
    if not size:
        raise InvalidRequestError("the body is empty: send a file, as it is or as multipart/form-data")


def _name(request: Request) -> str | None:
    """The file's name as its sender says it; the last one, if several are given."""
    values: list[bytes] = (request.args or {}).get(b"name", [])
    name = values[-1].decode("utf-8", "replace").strip() if values else ""
    if len(name) > MAX_NAME:
        raise InvalidRequestError(f"the name is longer than {MAX_NAME} characters")
    return "".join(char if char.isprintable() else "_" for char in name) or None


def _boundary(request: Request) -> str | None:
    """Of a form; None for a body that is the file itself, whatever its type is said to be."""
    media_type, options = parse_options_header(header(request, "Content-Type") or "")
    if not media_type.startswith("multipart/"):
        return None
    if media_type != "multipart/form-data":
        raise UnsupportedMediaTypeError("of the multipart types only multipart/form-data is taken")
    boundary: str = options.get("boundary", "")
    if not 0 < len(boundary) <= MAX_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
        raise InvalidRequestError("the form's Content-Type has no usable boundary")
    return boundary
