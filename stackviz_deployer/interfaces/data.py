# SPDX-License-Identifier: Apache-2.0
"""Sites' data, and what people send."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer

from stackviz_deployer.errors import StoreError
from stackviz_deployer.model import BlobRef, BlobSpan, Upload

T = TypeVar("T")


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


class InThread(Protocol):
    """Call ``fn(*args)`` away from the reactor's thread."""

    def __call__(self, fn: Callable[..., T], /, *args: object) -> Deferred[T]: ...
