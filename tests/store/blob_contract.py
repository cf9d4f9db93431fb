# SPDX-License-Identifier: Apache-2.0
"""What every blob store does, whatever it keeps its blobs in: see interfaces.BlobStore."""

import gzip
import hashlib
from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults

from stackviz_deployer.errors import DataLostError, NotFoundError, StoreError
from stackviz_deployer.model import BlobSpan
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
    """What those do that several nodes use; ``age`` makes a blob and its index old."""

    async def test_sweep(self):
        wanted = await self.store.put(self.file(b"wanted"))
        stray, _ = await self.in_blocks()
        young = await self.store.put(self.file(b"young"))
        for blob in (wanted, stray):
            self.age(blob)
        swept = await self.another().sweep({wanted.hash, a_blob(7).hash})
        self.assertEqual((swept.blobs, swept.kept, swept.missing), (2, 1, {a_blob(7).hash}))
        self.assertEqual(await self.another().lost([wanted, stray, young]), {stray.hash})

    async def test_put_again_is_young_again(self):
        """Its row may be on the way, although the blob lies there since long ago."""
        blob, _ = await self.in_blocks()
        self.age(blob)
        await self.another().put(*self.blocks_again())
        await self.store.sweep(set())
        await self.store.remove([blob.hash])
        self.assertEqual(await self.store.lost([blob]), set())

    def blocks_again(self):
        path = self.work / "again.gz"
        return path, write_block_gzip(path, [b"a\n", b"b\n", b"c\n"])

    async def test_remove(self):
        blob, _ = await self.in_blocks()
        other = await self.store.put(self.file())
        self.age(blob)
        await self.another().remove([blob.hash, a_blob(7).hash])
        self.assertEqual(await self.another().lost([blob, other]), {blob.hash})
        self.assertEqual((await self.another().sweep({other.hash})).blobs, 0)
