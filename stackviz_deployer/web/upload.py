# SPDX-License-Identifier: Apache-2.0
"""``POST /api/upload``: a body of any size on its way to the disk, and what its headers say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from multipart import parse_options_header  # type: ignore[import-untyped]  # annotated, without py.typed
from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from stackviz_deployer.errors import (
    InvalidRequestError,
    RequestTooLargeError,
    StackvizError,
    TooManyUploadsError,
    UnsupportedMediaTypeError,
)
from stackviz_deployer.interfaces import Intake, Meters, Tasks, Uploads
from stackviz_deployer.model import Submitted
from stackviz_deployer.web.body import header, refuse_foreign
from stackviz_deployer.web.clients import Clients
from stackviz_deployer.web.coming import Coming, Placed, Valve
from stackviz_deployer.web.throttle import Throttle

PATH = b"/api/upload"
WHOLE_S = 1800.0
"""For a body to come in whole: 256 MiB at 1.2 Mbit/s.  The places are few."""
MAX_NAME = 255
"""Characters of ``?name=``."""
MAX_BOUNDARY = 200
"""RFC 2046 allows 70."""


class Reception:
    """Where uploads go, and how large one may be."""

    def __init__(
        self,
        uploads: Uploads,
        upload_bytes: int,
        *,
        clients: Clients,
        throttle: Throttle,
        clock: IReactorTime,
        meters: Meters,
        serves: bool = True,
    ) -> None:
        """``serves``: whether this node takes uploads at all."""
        self._serves = serves
        self._uploads = uploads
        self._clients = clients
        self._throttle = throttle
        self._meters = meters
        self.coming = Coming(clock, meters)
        self.max_bytes = upload_bytes

    def addressed(self, method: bytes, path: bytes) -> bool:
        """Whether a request's line asks for an upload."""
        return self._serves and method == b"POST" and path.rstrip(b"/") == PATH

    def begin(
        self,
        request: Request,
        producer: Valve | None,
        length: int | None,
        failed: Callable[[StackvizError], None],
    ) -> Intake:
        """Let the body of ``request`` come in from ``producer``; only its headers are here.

        ``failed`` is told when the disk fails, or when this has to give way (coming.py).  Raises
        ForeignOriginError, RequestTooLargeError, RateLimitedError, TooManyUploadsError, StoreError.
        """
        refuse_foreign(request)
        if length is not None:
            self.check(length)
        return self._admit(request, producer, failed)

    def _admit(
        self, request: Request, producer: Valve | None, failed: Callable[[StackvizError], None]
    ) -> Placed:
        client = self._clients.of(request)
        self.coming.check_share(client)
        self._throttle.take("upload", request)
        giving_way = self.coming.giving_way(client)
        try:
            intake = self._uploads.begin(producer, failed)
        except TooManyUploadsError:
            self._meters.count("limit_hits", limit="uploads_at_once")
            raise
        if giving_way is not None:
            giving_way.give_way()
        return self.coming.place(client, intake, failed, producer)

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
        intake = self._admit(request, None, lambda _error: None)
        intake.write(request.content.read() if request.content else b"")
        return intake


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
    name = values[-1].decode("utf-8", "replace") if values else ""
    if len(name) > MAX_NAME:
        raise InvalidRequestError(f"the name is longer than {MAX_NAME} characters")
    return "".join(char if char.isprintable() else "_" for char in name.strip()) or None


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
