# SPDX-License-Identifier: Apache-2.0
import gzip
import hashlib
import json
import os
import stat
import threading
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import DataLostError, NotFoundError, StoreError
from stackviz_deployer.parsers.blockgzip import BlockGzipWriter
from stackviz_deployer.store.blobs import FileBlobStore
from stackviz_deployer.store.blockindex import IndexCache, read_index
from tests.store.blob_contract import BlobContract, cut
from tests.store.building import StoreTestCase, a_blob, write_block_gzip

OLD_S = 1_000_000_000


class BlobTestCase(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = self.blobs()
        self.work = self.state_dir / "tmp" / "work"
        self.work.mkdir()

    def file(self, data: bytes = b"data", name: str = "file.gz") -> Path:
        path = self.work / name
        path.write_bytes(data)
        return path

    def everything(self) -> list[str]:
        """The names of all files and of what is in progress."""
        return sorted(
            str(path.relative_to(self.state_dir))
            for path in self.state_dir.rglob("*")
            if path.is_file() or path.parent.name == "tmp"
        )


class ContractTests(BlobContract, BlobTestCase):
    def another(self) -> FileBlobStore:
        return self.store


class PutTests(BlobTestCase):
    async def test_where_it_lies(self) -> None:
        blob = await self.store.put(self.file())
        place = self.state_dir / "blobs" / blob.hash[:2] / blob.hash
        self.assertEqual((await self.store.path(blob), place.read_bytes()), (place, b"data"))

    async def test_private(self) -> None:
        path = self.work / "x.gz"
        blob = await self.store.put(path, write_block_gzip(path, [b"a"]))
        for place in (await self.store.path(blob), await self.store.index_path(blob)):
            self.assertEqual(stat.S_IMODE(place.stat().st_mode), 0o400)
            self.assertEqual(stat.S_IMODE(place.parent.stat().st_mode), 0o700)
        for name in ("blobs", "tmp"):
            self.assertEqual(stat.S_IMODE((self.state_dir / name).stat().st_mode), 0o700)

    async def test_twice(self) -> None:
        """The bytes and the index that are there stay, and the new files are gone."""
        inodes = set()
        for _ in range(2):
            path = self.work / "x.gz"
            blob = await self.store.put(path, write_block_gzip(path, [b"a\n", b"b\n"]))
            places = (await self.store.path(blob), await self.store.index_path(blob))
            inodes.add(tuple(place.stat().st_ino for place in places))
        self.assertEqual(len(inodes), 1)
        self.assertEqual(list(self.work.iterdir()), [])

    async def test_index_of_a_kill_is_replaced(self) -> None:
        path = self.work / "x.gz"
        index = write_block_gzip(path, [b"a"])
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (self.state_dir / "blobs" / digest[:2] / f"{digest}.blocks").write_bytes(b"of an older form")
        blob = await self.store.put(path, index)
        self.assertEqual(gzip.decompress(cut(await self.store.span(blob, 0, 0))), b"a")

    async def test_truncated_blob_is_replaced(self) -> None:
        """Somebody's disk was full once: the name alone is not believed."""
        blob = await self.store.put(self.file(b"data"))
        place = await self.store.path(blob)
        place.chmod(0o600)
        place.write_bytes(b"da")
        await self.store.put(self.file(b"data"))
        self.assertEqual(place.read_bytes(), b"data")

    async def test_links_and_pipes(self) -> None:
        """A parser that was taken over hands a secret in, or something that never ends."""
        (self.work / "link").symlink_to("/etc/passwd")
        os.mkfifo(self.work / "pipe")
        for name in ("link", "pipe", "absent", "."):
            with self.assertRaises(StoreError):
                await self.store.put(self.work / name)
        self.assertEqual(list((self.state_dir / "blobs").rglob("*/*")), [])

    async def test_stopped(self) -> None:
        puts = [Deferred.fromCoroutine(self.store.put(self.file(b"%d" % n, f"{n}"))) for n in range(20)]
        await self.store.stopService()
        self.assertTrue(all(d.called for d in puts))
        self.assertEqual(len({blob.hash for blob in await gatherResults(puts)}), 20)
        with self.assertRaises(StoreError):
            await self.store.put(self.file())
        self.assertEqual([t for t in threading.enumerate() if "blobs" in t.name], [])

    def test_unusable_directory(self) -> None:
        for name in ("blobs", "tmp"):
            self.state_dir = Path(self.mktemp())
            self.state_dir.mkdir()
            (self.state_dir / name).touch()
            error = self.assertRaises(StoreError, self.blobs)
            self.assertIn(str(self.state_dir / name), error.message)


class ScratchTests(BlobTestCase):
    async def test_removed(self) -> None:
        async with self.store.scratch() as first, self.store.scratch() as second:
            self.assertNotEqual(first, second)
            self.assertEqual(first.parent, self.state_dir / "tmp")
            self.assertEqual(stat.S_IMODE(first.stat().st_mode), 0o700)
            (first / "deep").mkdir()
            (first / "deep" / "file").write_bytes(b"x")
            (first / "link").symlink_to(self.work)
        self.assertFalse(first.exists() or second.exists())
        self.assertTrue(self.work.exists())  # links are not followed

    async def test_removed_after_an_exception(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            async with self.store.scratch() as directory:
                raise ZeroDivisionError
        self.assertFalse(directory.exists())

    async def test_removed_after_cancel(self) -> None:
        entered, never = Deferred(), Deferred()

        async def work() -> None:
            async with self.store.scratch() as directory:
                reactor.callLater(0, entered.callback, directory)  # not from within
                await never

        working = Deferred.fromCoroutine(work())
        directory = await entered
        working.cancel()
        with self.assertRaises(CancelledError):
            await working
        self.assertFalse(directory.exists())


class SweepTests(BlobTestCase):
    def age(self, path: Path) -> None:
        os.utime(path, (OLD_S, OLD_S), follow_symlinks=False)

    async def restart(self) -> None:
        await self.store.stopService()
        for path in self.state_dir.rglob("*"):
            self.age(path)
        self.store = self.blobs()

    async def test_what_a_kill_leaves(self) -> None:
        path = self.work / "x.gz"
        index = write_block_gzip(path, [b"a"])
        keep = await self.store.put(path, index)
        lost = await self.store.put(self.file(b"no row"))
        shard = self.state_dir / "blobs" / "00"
        (shard / ("00" * 32 + ".blocks")).write_bytes(b"renamed before its blob")
        (shard / "README").write_bytes(b"an operator's")
        (self.work / "deep").mkdir()
        (self.work / "deep" / "file").write_bytes(b"x")
        (self.state_dir / "tmp" / "link").symlink_to(self.state_dir / "blobs")
        await self.restart()
        swept = await self.store.sweep({keep.hash, "ff" * 32})
        self.assertEqual(
            (swept.blobs, swept.blob_bytes, swept.temporaries, swept.missing, swept.kept),
            (2, len(b"no row") + len(b"renamed before its blob"), 2, {"ff" * 32}, 1),
        )
        base = f"blobs/{keep.hash[:2]}/{keep.hash}"
        self.assertEqual(self.everything(), sorted(["blobs/00/README", base, base + ".blocks"]))
        with self.assertRaises(DataLostError):
            await self.store.path(lost)

    async def test_own_work_is_left(self) -> None:
        """Also what is dated before the start, as a renamed file may be, or by a clock set back."""
        await self.restart()
        async with self.store.scratch() as directory:
            path = directory / "x"
            path.write_bytes(b"x")
            self.age(path)
            blob = await self.store.put(path)
            self.age(directory)
            self.assertEqual((await self.store.sweep(frozenset())).blobs, 0)
            self.assertTrue(directory.exists())
            await self.store.path(blob)

    async def test_stray_blob_comes_back_to_life(self) -> None:
        """Put again by this process while no row named it: it is wanted now."""
        await self.store.put(self.file(b"data"))
        await self.restart()
        self.work.mkdir(exist_ok=True)
        blob = await self.store.put(self.file(b"data"))
        await self.store.sweep(frozenset())
        await self.store.path(blob)

    async def test_beside_puts(self) -> None:
        """Whichever comes first for a hash, a blob that put gave out is there afterwards."""
        for n in range(60):
            await self.store.put(self.file(b"%d" % n))
        await self.restart()
        self.work.mkdir(exist_ok=True)
        puts = [Deferred.fromCoroutine(self.store.put(self.file(b"%d" % n, f"{n}"))) for n in range(30)]
        sweeping = Deferred.fromCoroutine(self.store.sweep(frozenset()))
        puts += [Deferred.fromCoroutine(self.store.put(self.file(b"%d" % n, f"{n}"))) for n in range(30, 60)]
        blobs = await gatherResults(puts)
        await sweeping
        for blob in blobs:
            await self.store.path(blob)

    async def test_younger_is_left(self) -> None:
        """Of another process that shares the directory."""
        (self.state_dir / "tmp" / "other").mkdir()
        future = self.store._started_s + 60
        os.utime(self.state_dir / "tmp" / "other", (future, future))
        place = self.state_dir / "blobs" / "11" / ("11" * 32)
        place.write_bytes(b"x")
        os.utime(place, (future, future))
        await self.store.sweep(frozenset())
        self.assertTrue(place.exists())
        self.assertTrue((self.state_dir / "tmp" / "other").exists())

    async def test_own_work_of_long_ago(self) -> None:
        """What a put gave out and nobody recorded goes, too, once no task can want it any more."""
        self.store = self.start(FileBlobStore(self.state_dir, reactor, held_s=0.0))
        self.work.mkdir(exist_ok=True)
        blob = await self.store.put(self.file())
        self.assertEqual((await self.store.sweep({blob.hash})).blobs, 0)
        self.assertEqual((await self.store.sweep(frozenset())).blobs, 1)
        async with self.store.scratch() as directory:
            await self.store.sweep(frozenset())
            self.assertTrue(directory.exists())  # however long its task takes

    async def test_cannot_be_removed(self) -> None:
        """It is logged, and the rest goes."""
        shard = self.state_dir / "blobs" / "22"
        (shard / ("22" * 32)).mkdir()
        (shard / ("22" * 32) / "file").write_bytes(b"a directory in a blob's place goes like a blob")
        await self.restart()
        self.assertEqual((await self.store.sweep(frozenset())).blobs, 1)
        self.assertEqual(list(shard.iterdir()), [])

    async def test_the_clock_was_set_back(self) -> None:
        """What got its row after the sweep's list was made looks older than our start; it stays."""
        blob = await self.store.put(self.file())
        known: frozenset[str] = frozenset()
        self.store.settled([blob.hash])
        place = await self.store.path(blob)
        os.utime(place, (1, 1))
        self.assertEqual((await self.store.sweep(known)).blobs, 0)
        self.assertEqual(await self.store.lost([blob]), frozenset())


class RemoveTests(BlobTestCase):
    async def restart(self) -> None:
        await self.store.stopService()
        self.store = self.blobs()
        self.work.mkdir(exist_ok=True)

    async def test_remove(self) -> None:
        path = self.work / "x.gz"
        blob = await self.store.put(path, write_block_gzip(path, [b"a"]))
        other = await self.store.put(self.file(b"other"))
        await self.restart()
        await self.store.remove([blob.hash, a_blob(5).hash])
        self.assertEqual(await self.store.lost([blob, other]), {blob.hash})
        self.assertEqual(list((self.state_dir / "blobs" / blob.hash[:2]).glob(blob.hash + "*")), [])

    async def test_put_meanwhile(self) -> None:
        """Between the transaction that freed a blob and its removal, another task made the same one."""
        await self.store.put(self.file())
        await self.restart()
        blob = await self.store.put(self.file())
        await self.store.remove([blob.hash])
        self.assertEqual(await self.store.lost([blob]), frozenset())

    async def test_who_reads_reads_on(self) -> None:
        blob = await self.store.put(self.file(b"data"))
        await self.restart()
        with (await self.store.path(blob)).open("rb") as file:
            await self.store.remove([blob.hash])
            self.assertEqual(file.read(), b"data")

    async def test_lost(self) -> None:
        path = self.work / "x.gz"
        whole = await self.store.put(self.file(b"whole"))
        torn = await self.store.put(self.file(b"torn"))
        bare = await self.store.put(path, write_block_gzip(path, [b"a"]))
        self.assertEqual(await self.store.lost([whole, torn, bare]), frozenset())
        place = await self.store.path(torn)
        place.chmod(0o600)
        place.write_bytes(b"to")
        (await self.store.index_path(bare)).unlink()
        lost = await self.store.lost([whole, torn, bare, a_blob(7)])
        self.assertEqual(lost, {torn.hash, bare.hash, a_blob(7).hash})

    async def test_directory_is_gone(self) -> None:
        """That says nothing of the blobs."""
        blob = await self.store.put(self.file())
        (self.state_dir / "blobs").rename(self.state_dir / "elsewhere")
        for ask in (self.store.lost([blob]), self.store.path(blob)):
            with self.assertRaises(StoreError) as caught:
                await ask
            self.assertIn("mounted", caught.exception.message)
        (self.state_dir / "elsewhere").rename(self.state_dir / "blobs")
        self.assertEqual(await self.store.lost([blob]), frozenset())


class SpanTests(BlobTestCase):
    async def test_every_span(self) -> None:
        texts = [b"first\n" * 100, b"", b"second\n", bytes(range(256)) * 300, b"last"]
        path = self.work / "x.gz"
        blob = await self.store.put(path, write_block_gzip(path, texts))
        place = await self.store.path(blob)
        self.assertEqual(gzip.decompress(place.read_bytes()), b"".join(texts))
        for first in range(5):
            for last in range(first, 5):
                span = await self.store.span(blob, first, last)
                self.assertEqual(span.path, str(place))
                self.assertEqual(gzip.decompress(cut(span)), b"".join(texts[first : last + 1]))

    async def test_no_such_blocks(self) -> None:
        path = self.work / "x.gz"
        blob = await self.store.put(path, write_block_gzip(path, [b"a", b"b"]))
        for first, last in ((-1, 0), (0, 2), (2, 2), (1, 0), (0, 1 << 70)):
            with self.assertRaises(NotFoundError):
                await self.store.span(blob, first, last)

    async def test_as_the_parsers_write_it(self) -> None:
        path = self.work / "x.gz"
        writer = BlockGzipWriter(str(path), unit="line", block_bytes=1000)
        lines = [b"line %d of a log\n" % n for n in range(1000)]
        for n, line in enumerate(lines):
            writer.border(n, 1_000 * n)
            writer.write(line)
        index = path.with_name(Path(writer.close({"status": "FAILURE"})).name)
        blocks = json.loads(gzip.decompress(index.read_bytes()))["blocks"]
        blob = await self.store.put(path, index)
        self.assertGreater(len(blocks), 10)
        for first, last in ((0, 0), (3, 7), (len(blocks) - 1, len(blocks) - 1), (0, len(blocks) - 1)):
            begin = blocks[first][4]
            end = blocks[last + 1][4] if last + 1 < len(blocks) else len(lines)
            answer = gzip.decompress(cut(await self.store.span(blob, first, last)))
            self.assertEqual(answer, b"".join(lines[begin:end]))

    async def test_reads_the_index_once(self) -> None:
        path = self.work / "x.gz"
        blob = await self.store.put(path, write_block_gzip(path, [b"a"]))
        await self.store.span(blob, 0, 0)
        (await self.store.index_path(blob)).unlink()
        await self.store.span(blob, 0, 0)
        (await self.store.path(blob)).unlink()  # but the blob itself must be there
        with self.assertRaises(DataLostError):
            await self.store.span(blob, 0, 0)

    async def test_damaged_index(self) -> None:
        path = self.work / "x.gz"
        index = write_block_gzip(path, [b"a", b"b"])
        good = json.loads(gzip.decompress(index.read_bytes()))
        blob = await self.store.put(path, index)
        (offset, size, *rest), second = good["blocks"]
        self.store.settled([blob.hash])
        place = self.state_dir / "blobs" / blob.hash[:2] / f"{blob.hash}.blocks"
        for bad in (
            b"",
            b"no gzip",
            place.read_bytes()[:-9],
            gzip.compress(b"no JSON"),
            gzip.compress(b"\xff"),
            *(
                gzip.compress(json.dumps(document).encode())
                for document in (
                    [],
                    {"version": 1},
                    {**good, "blocks": 5},
                    {**good, "blocks": [[1]]},
                    {**good, "blocks": [[offset, "1", *rest]]},
                    {**good, "blocks": [[-1, size, *rest]]},
                    {**good, "blocks": [[offset, 1 << 80, *rest]]},
                    {**good, "blocks": [[offset, 1 << 40, *rest]]},
                    {**good, "blocks": [[offset, size + 1, *rest], second]},
                    {**good, "blocks": [[offset, size, 1, -1, 0, None], second]},
                )
            ),
        ):
            place.unlink(missing_ok=True)
            place.write_bytes(bad)
            with self.assertRaises(DataLostError) as caught:
                await self.store.span(blob, 0, 0)
            self.assertIn("damaged", caught.exception.message)
            self.assertEqual(await self.store.lost([blob]), {blob.hash})

    async def test_index_of_a_newer_release(self) -> None:
        """It is another release's business, and stays."""
        path = self.work / "x.gz"
        index = write_block_gzip(path, [b"a", b"b"])
        newer = {**json.loads(gzip.decompress(index.read_bytes())), "version": 2}
        index.write_bytes(gzip.compress(json.dumps(newer).encode()))
        blob = await self.store.put(path, index)
        self.store.settled([blob.hash])
        with self.assertRaises(StoreError):
            await self.store.span(blob, 0, 0)
        self.assertEqual(await self.store.lost([blob]), set())

    async def test_bomb(self) -> None:
        """An index that inflates without end is given up, not read."""
        path = self.work / "x.gz"
        blob = await self.store.put(path, write_block_gzip(path, [b"a"]))
        place = self.state_dir / "blobs" / blob.hash[:2] / f"{blob.hash}.blocks"
        place.unlink()
        place.write_bytes(await deferToThread(gzip.compress, b" " * (65 << 20), 1))
        with self.assertRaises(DataLostError):
            await self.store.span(blob, 0, 0)


class PropertyTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=100)
    @given(st.data(), st.lists(st.binary(max_size=200), min_size=1, max_size=12))
    def test_any_span_is_a_gzip_file(self, data, texts) -> None:
        base = Path(self.mktemp())
        base.mkdir()
        path = base / "x.gz"
        index = read_index(write_block_gzip(path, texts), path.stat().st_size)
        first = data.draw(st.integers(0, len(texts) - 1))
        last = data.draw(st.integers(first, len(texts) - 1))
        part = index.cut(first, last)
        slice_ = path.read_bytes()[part.offset : part.offset + part.size]
        self.assertEqual(gzip.decompress(part.head + slice_ + part.tail), b"".join(texts[first : last + 1]))


class CacheTests(SynchronousTestCase):
    def test_bounded_by_blocks(self) -> None:
        base = Path(self.mktemp())
        base.mkdir()
        path = base / "x.gz"
        index = read_index(write_block_gzip(path, [b"x"] * 68), path.stat().st_size)  # costs 100
        cache = IndexCache(max_blocks=300)
        for name in "abc":
            cache.get(name, lambda: index)
        self.assertIs(cache.get("a", lambda: 1 / 0), index)
        cache.get("d", lambda: index)
        self.assertEqual(cache.names(), ("c", "a", "d"))
        small = IndexCache(max_blocks=50)
        self.assertIs(small.get("a", lambda: index), index)  # too large to keep, not to use
        self.assertEqual(small.names(), ())
