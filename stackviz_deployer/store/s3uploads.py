# SPDX-License-Identifier: Apache-2.0
"""What people send, as objects: ``<prefix>uploads/<uuid>/body`` and ``.../upload.json``.

A body comes in on the disk of the node that it is sent to, and moves to the store when it is
whole.  The node whose worker reads it fetches it for that, and removes both when the task
has ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from attrs import asdict
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from stackviz_deployer.errors import NotFoundError, StoreError, TooManyUploadsError
from stackviz_deployer.model import Upload
from stackviz_deployer.store.files import remove
from stackviz_deployer.store.s3calls import S3Calls
from stackviz_deployer.store.s3client import S3Client
from stackviz_deployer.store.shareduploads import HELD_S, LOOK_S
from stackviz_deployer.store.uploads import BODY, KEPT, Intake, UploadStore

log = Logger()

BELOW = "uploads/"
_FACTS = "upload.json"
_MAX_FACTS = 64 << 10


class S3Uploads(Service):
    """interfaces.Uploads in a bucket."""

    def __init__(
        self,
        local: UploadStore,
        root: Path,
        client: S3Client,
        calls: S3Calls,
        clock: Any,
        *,
        upload_bytes: int,
    ) -> None:
        """``local``: in ``root``, where bodies come in and are read; started and stopped with this.

        ``calls``: started before this and stopped after it.
        """
        self._local = local
        self._root = root
        self._client = client
        self._calls = calls
        self._max_bytes = KEPT * upload_bytes
        self._upload_bytes = upload_bytes
        self._stored_bytes = 0
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._loop.clock = clock
        self._looking: Deferred[Any] | None = None

    def startService(self) -> None:
        """Make the directory, and empty it: what an earlier process left in it nobody reads."""
        self._local.startService()
        for path in (self._root / "uploads").iterdir():
            remove(path)
        self._local.forget_all()
        super().startService()
        self._looking = self._loop.start(LOOK_S)

    def stopService(self) -> Deferred[Any] | None:
        """What is still coming in is dropped; fires when no look is at work."""
        super().stopService()
        self._local.stopService()
        if self._loop.running:
            self._loop.stop()
        return self._looking

    def begin(self, producer: IPushProducer | None, failed: Callable[[StoreError], None]) -> S3Intake:
        """As in interfaces.Uploads."""
        self._calls.check()
        if self._stored_bytes >= self._max_bytes:
            raise TooManyUploadsError("too many uploads wait to be read; try again later")
        return S3Intake(self, self._local.begin(producer, failed))

    def body(self, upload_id: str) -> Path:
        """Where its body lies, once ``get`` has fetched it."""
        return self._local.body(upload_id)

    async def store(self, upload: Upload) -> None:
        """Move what came in to the store.  Raises StoreError, and nothing of it stays."""

        def put() -> None:
            # The body first: who finds the facts finds it, too.
            self._client.put(_key(upload.id, BODY), self._local.body(upload.id))
            self._client.put_bytes(_key(upload.id, _FACTS), json.dumps(asdict(upload)).encode("ascii"))

        try:
            await self._calls.remote(upload.size, put)  # somebody waits
        finally:
            await self._local.discard(upload.id)

    async def get(self, upload_id: str) -> Upload:
        """As in interfaces.Uploads; fetches the body."""

        def fetch() -> Upload:
            directory = self._local.body(upload_id).parent
            directory.mkdir(mode=0o700, exist_ok=True)
            facts = directory / _FACTS
            with facts.open("wb") as file:
                got = self._client.get(_key(upload_id, _FACTS), file, max_bytes=_MAX_FACTS)
            if got is not None and got > _MAX_FACTS:
                remove(directory)
                raise StoreError(f"what is noted of the upload {upload_id} is not what a node wrote")
            if got is not None:
                upload = Upload(**json.loads(facts.read_bytes()))
                with (directory / BODY).open("wb") as file:
                    got = self._client.get(_key(upload_id, BODY), file, max_bytes=upload.size)
            if got is None:
                remove(directory)
                raise NotFoundError("the files that were sent are not there any more")
            if got != upload.size:
                raise StoreError(f"the upload {upload_id} is not whole in the object store")
            return upload

        return await self._calls.stubborn(self._upload_bytes, fetch)

    async def discard(self, upload_id: str) -> None:
        """As in interfaces.Uploads."""

        def remove_both() -> None:
            for name in (_FACTS, BODY):
                self._client.remove(_key(upload_id, name))

        await self._local.discard(upload_id)
        await self._calls.stubborn(0, remove_both)

    async def sweep(self, known: AbstractSet[str]) -> int:
        """Remove those that are not ``known`` and not young; how many."""

        def strays() -> set[str]:
            before_s = time.time() - HELD_S
            old: dict[str, bool] = {}
            for one in self._client.listed(BELOW):
                upload_id = one.key.split("/")[1]
                old[upload_id] = old.get(upload_id, True) and one.changed_s < before_s
            return {upload_id for upload_id, is_old in old.items() if is_old and upload_id not in known}

        found = await self._calls.long(strays)
        for upload_id in sorted(found):
            await self.discard(upload_id)
        return len(found)

    async def _look(self) -> None:
        """What all nodes keep."""
        try:
            self._stored_bytes = await self._calls.long(
                lambda: sum(one.size for one in self._client.listed(BELOW))
            )
        except StoreError as error:
            log.warn("cannot look at the uploads: {error}", error=error.message)  # noqa: G010 - Twisted's


class S3Intake:
    """interfaces.Intake: one body on its way to this node's disk, and then to the store."""

    def __init__(self, uploads: S3Uploads, local: Intake) -> None:
        self._uploads = uploads
        self._local = local

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return self._local.size

    def write(self, data: bytes) -> None:
        """As in interfaces.Intake."""
        self._local.write(data)

    async def finish(self, *, name: str | None, boundary: str | None) -> Upload:
        """As in interfaces.Intake."""
        upload = await self._local.finish(name=name, boundary=boundary)
        await self._uploads.store(upload)
        return upload

    def abandon(self) -> None:
        """As in interfaces.Intake."""
        self._local.abandon()


def _key(upload_id: str, name: str) -> str:
    return f"{BELOW}{upload_id}/{name}"
