# SPDX-License-Identifier: Apache-2.0
"""Blobs as objects of an S3-compatible store: ``<prefix>blobs/<SHA-256>``, and ``....blocks`` beside it.

Reading goes through copies on this node's disk (cache.py): small blobs and those that are
asked for as a whole are copied whole, of large ones the blocks that are asked for.  A copy
is checked before it is given out: a whole blob by its name, blocks by their CRC-32, an index
by gzip's.  What is damaged is not served, and its site ends as one whose data is lost.

What is removed, and when, the database that the nodes share decides: see condemned.py.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from stackviz_deployer.errors import DataLostError, NotFoundError, StoreError
from stackviz_deployer.model import BlobHash, BlobRef, BlobSpan
from stackviz_deployer.store.blobs import HELD_S, SUFFIX, Swept, Tally, settle
from stackviz_deployer.store.blockindex import (
    MAX_INDEX_BYTES,
    BlockIndex,
    Cut,
    DamagedIndexError,
    IndexCache,
    read_index,
)
from stackviz_deployer.store.cache import BlobCache, Room
from stackviz_deployer.store.condemned import Condemned
from stackviz_deployer.store.files import explained
from stackviz_deployer.store.s3calls import S3Calls
from stackviz_deployer.store.s3client import S3Client
from stackviz_deployer.store.scratch import Scratch, ScratchPlace

log = Logger()

T = TypeVar("T")

BELOW = "blobs/"
WHOLE_BYTES = 1 << 20
"""Blobs up to this size are copied whole, when a block is asked for."""
SEEN_S = 60.0
"""For which it is believed that an object is there."""
MAX_SEEN = 10_000
_DAMAGED = "this artifact's data is damaged; scrape the job again"
_GONE = "this artifact's data is lost from the server's object store; scrape the job again"


class S3BlobStore(Service):
    """interfaces.BlobStore in a bucket."""

    def __init__(
        self,
        state_dir: Path,
        client: S3Client,
        calls: S3Calls,
        condemned: Condemned,
        *,
        cache_bytes: int,
        held_s: float = HELD_S,
    ) -> None:
        """``calls``: started before this and stopped after it; ``condemned``: of the nodes' database.

        ``held_s``: longer than any task takes.
        """
        self._scratches = ScratchPlace(state_dir / "tmp", held_s)
        self._cache = BlobCache(state_dir / "cache" / "blobs", cache_bytes)
        self._client = client
        self._calls = calls
        self._condemned = condemned
        self._indices = IndexCache()
        self._coming: dict[str, list[Deferred[Path]]] = {}
        self._damaged: set[BlobHash] = set()
        self._seen_s: dict[BlobHash, float] = {}

    def startService(self) -> None:
        """Make the directories of copies and of work in progress.  Raises StoreError: how to mend it."""
        try:
            self._scratches.open()
            self._cache.open()
        except OSError as error:
            raise explained(error, "the state directory") from error
        super().startService()

    # interfaces.BlobStore, and what jobs and the sweeper use

    async def put(self, path: Path, blocks_path: Path | None = None) -> BlobRef:
        """As in interfaces.BlobStore; tried again for a while when the store does not answer."""
        name, size = await self._calls.local(settle, path)
        blob = BlobRef(hash=BlobHash(name), size=size, blocks=blocks_path is not None)
        await self._condemned.put(blob.hash)
        if blocks_path is not None:
            _, index_size = await self._calls.local(settle, blocks_path)
            await self._calls.stubborn(index_size, self._store, name + SUFFIX, blocks_path)
        await self._calls.stubborn(size, self._store, name, path)
        self._damaged.discard(blob.hash)
        for kept, file in ((name, path), (name + SUFFIX, blocks_path)):
            if file is not None:
                await self._calls.local(self._adopt, kept, file)
        return blob

    async def path(self, blob: BlobRef) -> Path:
        """A copy, to be opened within cache.GRACE_S.  Raises DataLostError, StoreError."""
        return await self._copy(blob.hash, blob.size, partial(self._fetch, blob, None))

    async def index_path(self, blob: BlobRef) -> Path:
        """A copy of the index, likewise.  Raises NotFoundError when the blob has none."""
        if not blob.blocks:
            raise NotFoundError("this artifact is not stored in blocks")
        return (await self._index(blob))[0]

    async def span(self, blob: BlobRef, first: int, last: int) -> BlobSpan:
        """As in interfaces.BlobStore."""
        if not blob.blocks:
            raise NotFoundError("this artifact is not stored in blocks")
        _, index = await self._index(blob)
        cut = index.cut(first, last)
        if blob.size <= WHOLE_BYTES or blob.hash in self._cache:
            path, offset = await self.path(blob), cut.offset
        else:
            name, offset = f"{blob.hash}.{first}-{last}", 0
            path = await self._copy(name, cut.size, partial(self._fetch, blob, cut))
        return BlobSpan(path=str(path), offset=offset, size=cut.size, head=cut.head, tail=cut.tail)

    def scratch(self) -> Scratch:
        """``async with blobs.scratch() as directory:`` an empty directory, gone afterwards."""
        return Scratch(self)

    async def make_scratch(self) -> Path:
        """What entering ``scratch()`` does."""
        return await self._calls.local(self._scratches.make)

    async def remove_scratch(self, directory: Path) -> None:
        """What leaving ``scratch()`` does; what cannot be removed is logged and left for the sweep."""
        await self._calls.local(self._scratches.remove, directory)

    def settled(self, hashes: Iterable[BlobHash]) -> None:
        """Nothing: see ``hold``."""

    async def hold(self, blobs: Sequence[BlobRef]) -> None:
        """See Condemned.hold."""
        await self._condemned.hold(blobs, self._absent)

    async def lost(self, blobs: Sequence[BlobRef]) -> frozenset[BlobHash]:
        """Those that are gone, not whole or damaged; of whole ones here the store is not asked.

        Raises StoreError when it does not answer: that says nothing of them.
        """
        now_s = time.monotonic()
        asked = [
            blob
            for blob in blobs
            if blob.hash in self._damaged
            or (blob.hash not in self._cache and now_s - self._seen_s.get(blob.hash, -SEEN_S) >= SEEN_S)
        ]
        return await self._absent(asked)

    async def _absent(self, blobs: Sequence[BlobRef]) -> frozenset[BlobHash]:
        """Those that the store does not have, or not whole.  Raises StoreError."""
        try:
            there = await gatherResults(
                [Deferred.fromCoroutine(self._is_there(blob)) for blob in blobs], consumeErrors=True
            )
        except FirstError as error:
            error.subFailure.raiseException()
        return frozenset(blob.hash for blob, is_there in zip(blobs, there, strict=True) if not is_there)

    async def remove(self, hashes: Iterable[BlobHash]) -> None:
        """Condemn blobs that no artifact names any more."""
        await self._condemned.add(hashes)

    async def clear(self, go_on: Callable[[], object] = lambda: True) -> int:
        """See Condemned.clear."""

        async def drop(name: BlobHash) -> None:
            self._seen_s.pop(name, None)
            await self._calls.remote(0, self._drop, name)

        return await self._condemned.clear(drop, go_on)

    async def sweep(self, known: AbstractSet[str]) -> Swept:
        """Remove old work in progress, and condemn blobs that are not ``known``."""
        temporaries = await self._calls.local(self._scratches.sweep)
        swept, strays = await self._calls.long(self._look, known, temporaries)
        await self._condemned.add(strays)
        return swept

    # copies

    async def _copy(self, name: str, size: int | None, fetch: Callable[[Room], None]) -> Path:
        """The copy ``name`` (of ``size`` bytes, if they are known), fetched once however many ask for it."""
        here = await self._calls.local(self._cache.give, name, size)
        if here is not None:
            return here
        answer: Deferred[Path] = Deferred()
        waiting = self._coming.setdefault(name, [])
        waiting.append(answer)
        if len(waiting) == 1:
            # Nobody's cancelling ends it: the others wait, and it ends by itself.
            Deferred.fromCoroutine(self._fetched(name, size, fetch)).addBoth(self._tell, name)
        return await answer

    async def _fetched(self, name: str, size: int | None, fetch: Callable[[Room], None]) -> Path:
        def get() -> Path:
            with self._cache.room() as room:
                fetch(room)
                return room.keep(name)

        return await self._calls.remote(size or MAX_INDEX_BYTES, get)

    def _tell(self, result: Path | Failure, name: str) -> None:
        for answer in self._coming.pop(name):
            if not answer.called:
                if isinstance(result, Failure):
                    answer.errback(result.value)
                else:
                    answer.callback(result)

    async def _index(self, blob: BlobRef) -> tuple[Path, BlockIndex]:
        name = blob.hash + SUFFIX
        path = await self._copy(name, None, partial(self._fetch_index, blob))
        try:
            index = await self._calls.local(self._indices.get, blob.hash, lambda: read_index(path, blob.size))
        except DamagedIndexError as error:
            log.error("{error}", error=str(error))  # noqa: TRY400 - it says all there is to say
            await self._calls.local(self._cache.drop, name)
            self._damaged.add(blob.hash)
            raise DataLostError("this artifact's index is damaged; scrape the job again") from None
        return path, index

    # What follows runs in the threads.

    def _fetch(self, blob: BlobRef, cut: Cut | None, room: Room) -> None:
        """Fetch a blob, or a slice of it, and check it; twice if need be."""
        size, span = (blob.size, None) if cut is None else (cut.size, (cut.offset, cut.size))
        room.reserve(size)
        for _ in range(2):
            with room.part.open("wb") as file:
                got = self._client.get(BELOW + blob.hash, file, span=span, max_bytes=size)
            if got is None:
                raise DataLostError(_GONE)
            if got == size and (
                _is_named(room.part, blob.hash) if cut is None else _is_sound(room.part, cut)
            ):
                return
        log.error("the object {name} is damaged", name=blob.hash)
        self._damaged.add(blob.hash)
        raise DataLostError(_DAMAGED)

    def _fetch_index(self, blob: BlobRef, room: Room) -> None:
        with room.part.open("wb") as file:
            got = self._client.get(
                BELOW + blob.hash + SUFFIX, file, max_bytes=MAX_INDEX_BYTES, sized=room.reserve
            )
        if got is None:
            raise DataLostError(_GONE)

    def _adopt(self, name: str, path: Path) -> None:
        """What was put is the first copy: its site is looked at next.  Without room there is none."""
        if name not in self._cache:
            with suppress(StoreError), self._cache.room() as room:
                room.reserve(path.stat().st_size, wait=False)
                path.replace(room.part)
                room.keep(name)
        path.unlink(missing_ok=True)

    def _store(self, name: str, path: Path) -> None:
        """Put an object, unless it is there, and the same."""
        there = self._client.head(BELOW + name)
        if there is None or there.size != path.stat().st_size or there.md5 not in (None, _md5(path)):
            self._client.put(BELOW + name, path)

    async def _is_there(self, blob: BlobRef) -> bool:
        def ask() -> bool:
            there = self._client.head(BELOW + blob.hash)
            if there is None or there.size != blob.size:
                return False
            return not blob.blocks or self._client.head(BELOW + blob.hash + SUFFIX) is not None

        if blob.hash in self._damaged or not await self._calls.remote(0, ask):
            return False
        while len(self._seen_s) >= MAX_SEEN:
            del self._seen_s[next(iter(self._seen_s))]
        self._seen_s[blob.hash] = time.monotonic()
        return True

    def _drop(self, name: BlobHash) -> None:
        for key in (name + SUFFIX, name):
            self._client.remove(BELOW + key)
            self._cache.drop(key)

    def _look(self, known: AbstractSet[str], temporaries: int) -> tuple[Swept, set[BlobHash]]:
        tally, strays, sizes = Tally(known), set(), []
        for one in self._client.listed(BELOW):
            name = tally.stray(one.key.removeprefix(BELOW), one.size)
            if name is not None:
                strays.add(name)
                sizes.append(one.size)
        return tally.swept(sizes, temporaries), strays


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _is_named(path: Path, name: str) -> bool:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == name


def _is_sound(path: Path, cut: Cut) -> bool:
    """Whether the slice inflates to what the index says."""
    inflater = zlib.decompressobj(wbits=31)
    size = int.from_bytes(cut.tail[-4:], "little")
    with path.open("rb") as file:
        data = cut.head + file.read() + cut.tail
    try:
        plain = inflater.decompress(data, size + 1)
    except zlib.error:
        return False
    return inflater.eof and len(plain) == size and not inflater.unused_data
