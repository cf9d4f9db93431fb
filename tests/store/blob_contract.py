# SPDX-License-Identifier: Apache-2.0
"""What every blob store does, whatever it keeps its blobs in: see interfaces.BlobStore."""

import gzip
import hashlib
import threading
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from stackviz_deployer.errors import DataLostError, NotFoundError, StoreError
from stackviz_deployer.model import BlobSpan
from stackviz_deployer.store.condemned import FRESH_S, HELD_S
from tests.store.building import a_blob, write_block_gzip


def cut(span: BlobSpan) -> bytes:
    """What a client gets of a span."""
    with Path(span.path).open("rb") as file:
        file.seek(span.offset)
        return span.head + file.read(span.size) + span.tail


class BlobContract:
    """``self.store``: a started store, two of which may share their data (``another``)."""

    def file(self, data: bytes = b"data", name: str = "file.gz") -> Path:
        path = self.work / name
        path.write_bytes(data)
        return path

    async def in_blocks(self, texts=(b"a\n", b"b\n", b"c\n")):
        path = self.work / "blocks.gz"
        index = write_block_gzip(path, list(texts))
        document = index.read_bytes()
        return await self.store.put(path, index), document

    async def test_whole(self):
        path = self.file()
        blob = await self.store.put(path)
        digest = hashlib.sha256(b"data").hexdigest()
        self.assertEqual((blob.hash, blob.size, blob.blocks), (digest, 4, False))
        self.assertFalse(path.exists())
        for store in (self.store, self.another()):
            self.assertEqual((await store.path(blob)).read_bytes(), b"data")
            with self.assertRaises(NotFoundError):
                await store.index_path(blob)
            with self.assertRaises(NotFoundError):
                await store.span(blob, 0, 0)

    async def test_in_blocks(self):
        blob, document = await self.in_blocks()
        self.assertTrue(blob.blocks)
        self.assertEqual(list(self.work.iterdir()), [])
        for store in (self.store, self.another()):
            self.assertEqual((await store.index_path(blob)).read_bytes(), document)
            self.assertEqual(gzip.decompress(cut(await store.span(blob, 1, 1))), b"b\n")
            self.assertEqual(gzip.decompress(cut(await store.span(blob, 0, 2))), b"a\nb\nc\n")
            self.assertEqual(gzip.decompress((await store.path(blob)).read_bytes()), b"a\nb\nc\n")
            for first, last in ((3, 3), (0, 3)):
                with self.assertRaises(NotFoundError):
                    await store.span(blob, first, last)

    async def test_twice_and_from_two_sides(self):
        first = await self.store.put(self.file())
        second = await self.another().put(self.file())
        self.assertEqual(first, second)
        self.assertEqual((await self.store.path(first)).read_bytes(), b"data")

    async def test_index_comes_later(self):
        path = self.work / "x.gz"
        index = write_block_gzip(path, [b"a"])
        copy = self.file(path.read_bytes(), "copy.gz")
        plain = await self.store.put(copy)
        blob = await self.store.put(path, index)
        self.assertEqual(blob.hash, plain.hash)
        self.assertEqual(gzip.decompress(cut(await self.store.span(blob, 0, 0))), b"a")

    async def test_many_at_once(self):
        puts = [
            Deferred.fromCoroutine(self.store.put(self.file(b"%d" % (n % 5), f"{n}.gz"))) for n in range(20)
        ]
        blobs = await gatherResults(puts)
        self.assertEqual(len({blob.hash for blob in blobs}), 5)
        for n, blob in enumerate(blobs):
            self.assertEqual((await self.store.path(blob)).read_bytes(), b"%d" % (n % 5))

    async def test_links_are_not_followed(self):
        """A parser that was taken over hands a secret in."""
        (self.work / "link").symlink_to("/etc/passwd")
        for name in ("link", "absent", "."):
            with self.assertRaises(StoreError):
                await self.store.put(self.work / name)

    async def test_gone(self):
        for call in (
            self.store.path(a_blob()),
            self.store.index_path(a_blob(blocks=True)),
            self.store.span(a_blob(blocks=True), 0, 0),
        ):
            with self.assertRaises(DataLostError):
                await call

    async def test_lost(self):
        blob, _ = await self.in_blocks()
        other = a_blob(7)
        self.assertEqual(await self.another().lost([blob, other]), {other.hash})


class SharedContract(BlobContract):
    """What those do that several nodes use, which share a database, too."""

    async def test_what_nobody_names_is_removed_later(self):
        wanted = await self.store.put(self.file(b"wanted"))
        stray, _ = await self.in_blocks()
        coming = await self.store.put(self.file(b"its task is at work"))
        other = self.another()
        swept = await other.sweep({wanted.hash, a_blob(7).hash})
        self.assertEqual((swept.blobs, swept.kept, swept.missing), (3, 1, {a_blob(7).hash}))
        self.assertEqual(await other.clear(), 0)
        await self.pass_time(HELD_S - 60)
        self.assertEqual(await self.another().clear(), 0)
        await self.name(coming)
        await other.sweep({wanted.hash, coming.hash})  # which begins nothing anew
        await self.pass_time(60)
        self.assertEqual(await self.another().clear(), 1)
        self.assertEqual(await self.another().lost([wanted, stray, coming]), {stray.hash})
        swept = await other.sweep({wanted.hash, coming.hash})
        self.assertEqual((swept.blobs, swept.kept), (0, 2))

    async def test_a_put_mends_a_damaged_index(self):
        blob, document = await self.in_blocks()
        self.damage_index(blob)
        await self.another().put(*self.blocks_again())
        self.assertEqual((await self.another().index_path(blob)).read_bytes(), document)

    async def test_remove(self):
        blob, _ = await self.in_blocks()
        other = await self.store.put(self.file())
        await self.another().remove([blob.hash, a_blob(7).hash])
        self.assertEqual(await self.another().clear(), 0)
        await self.pass_time(HELD_S)
        self.assertEqual(await self.another().clear(), 2)
        self.assertEqual(await self.another().lost([blob, other]), {blob.hash})

    async def test_a_put_spares(self):
        """Its row may be on the way, although the blob lies there since long ago."""
        blob, _ = await self.in_blocks()
        await self.store.remove([blob.hash])
        await self.pass_time(HELD_S)
        await self.another().put(*self.blocks_again())
        self.assertEqual(await self.store.clear(), 0)
        await self.store.sweep(set())  # condemned anew, and the time begins anew
        self.assertEqual(await self.store.clear(), 0)
        self.assertEqual(await self.another().lost([blob]), set())

    def blocks_again(self):
        path = self.work / "again.gz"
        return path, write_block_gzip(path, [b"a\n", b"b\n", b"c\n"])

    async def test_a_put_during_the_removal(self):
        """Another node removes the same blob at the same moment: the put waits, and brings it again."""
        blob, _ = await self.in_blocks()
        remover = self.another()
        begun, go = threading.Event(), threading.Event()
        drop = remover._drop

        def late(name):
            begun.set()
            go.wait(30)
            drop(name)

        remover._drop = late
        await remover.remove([blob.hash])
        await self.pass_time(HELD_S)
        removing = Deferred.fromCoroutine(remover.clear())
        await deferToThread(begun.wait, 30)
        putting = Deferred.fromCoroutine(self.store.put(*self.blocks_again()))
        await deferLater(reactor, 0.5)  # not synchronisation: were it not to wait, it would be done by then
        self.assertNoResult(putting)
        go.set()
        self.assertEqual(await removing, 1)
        self.assertEqual(await putting, blob)
        self.assertEqual(await self.another().lost([blob]), set())

    async def test_a_task_that_is_recorded_long_after(self):
        """It could not be for a while, and another node takes its blobs for strays."""
        kept, gone = await self.store.put(self.file(b"kept")), await self.store.put(self.file(b"gone"))
        await self.store.hold([kept, gone])
        self.forget_that_it_spared(self.store)
        other = self.another()
        await other.remove([gone.hash])
        await self.pass_time(HELD_S)
        await other.remove([kept.hash])
        self.assertEqual(await other.clear(), 1)
        with self.assertRaises(StoreError):
            await self.store.hold([kept, gone])
        await self.pass_time(HELD_S)
        self.assertEqual(await other.clear(), 0)
        self.assertEqual(await self.another().lost([kept, gone]), {gone.hash})
        await self.store.hold([kept])

    def forget_that_it_spared(self, store):
        store._condemned._clock = lambda: time.monotonic() + FRESH_S
