# SPDX-License-Identifier: Apache-2.0
"""Blobs and uploads as objects of a real S3 server's."""

import gzip
import io
import random
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from stackviz_deployer.errors import DataLostError, NotFoundError, StoreError
from stackviz_deployer.settings import Credentials
from stackviz_deployer.store import s3calls, s3client
from stackviz_deployer.store.condemned import HELD_S
from stackviz_deployer.store.s3blobs import MAX_SEEN, WHOLE_BYTES, S3BlobStore
from stackviz_deployer.store.s3calls import S3Calls
from stackviz_deployer.store.s3client import CONNECTIONS, S3Client, StoreAwayError
from stackviz_deployer.store.s3uploads import S3Uploads
from stackviz_deployer.store.shareduploads import HELD_S as UPLOAD_HELD_S
from stackviz_deployer.store.uploads import UploadStore
from tests.s3_server import CREDENTIALS, S3Server, Spoiler, shared_server
from tests.store.blob_contract import SharedContract, cut
from tests.store.building import StoreTestCase, a_blob, write_block_gzip

MIB = 1 << 20


class S3TestCase(StoreTestCase):
    """Over moto; tests/store/test_swift.py runs the same over Swift."""

    shared_server = staticmethod(shared_server)
    own_server = S3Server

    def setUp(self):
        super().setUp()
        self.server = self.shared_server()
        for key in self.server.stored():
            self.server.ask("DELETE", key)
        self.proxy = Spoiler(self.server.port)
        self.addCleanup(self.proxy.close)
        self.condemned()  # its database stops last
        self.store = self.node(self.state_dir)
        self.work = self.state_dir / "tmp" / "work"
        self.work.mkdir()

    def client(self, **place):
        place = self.server.place(self.proxy.port, **place)
        return S3Client(place, self.server.credentials, connections=CONNECTIONS)

    def node(self, state_dir=None, *, cache_bytes=64 * MIB, **place):
        client = self.client(**place)
        calls = self.start(S3Calls(client, reactor))
        state_dir = state_dir or Path(self.mktemp())
        store = S3BlobStore(state_dir, client, calls, self.condemned(), cache_bytes=cache_bytes)
        store.calls = calls
        return self.start(store)

    def another(self):
        return self.node()

    def large(self, n=3 * MIB, seed=1):
        """A file of that many bytes that nothing compresses."""
        path = self.work / f"large-{seed}"
        path.write_bytes(random.Random(seed).randbytes(n))
        return path

    async def large_in_blocks(self):
        random_ = random.Random(1)
        texts = [random_.randbytes(256 << 10) for _ in range(8)]
        path = self.work / "blocks.gz"
        blob = await self.store.put(path, write_block_gzip(path, texts))
        self.assertGreater(blob.size, WHOLE_BYTES)
        return blob, texts

    async def fails(self, coroutine, kind=StoreError):
        try:
            await coroutine
        except kind as error:
            return error.message
        raise AssertionError("nothing was raised")


class ContractTests(SharedContract, S3TestCase):
    def damage_index(self, blob):
        self.server.ask("PUT", f"blobs/{blob.hash}.blocks", b"no index")


class ReadTests(S3TestCase):
    async def test_only_the_blocks_that_are_asked_for(self):
        blob, texts = await self.large_in_blocks()
        other = self.another()
        self.assertEqual(gzip.decompress(cut(await other.span(blob, 2, 3))), texts[2] + texts[3])
        self.assertLess(other._cache.bytes, WHOLE_BYTES)
        self.assertNotIn(blob.hash, other._cache)
        asked = self.proxy.reads
        self.assertEqual(gzip.decompress(cut(await other.span(blob, 2, 3))), texts[2] + texts[3])
        self.assertEqual(self.proxy.reads, asked)

    async def test_one_download_for_many_readers(self):
        blob = await self.store.put(self.large())
        other = self.another()
        await other.lost([blob])
        asked = self.proxy.reads
        paths = await gatherResults([Deferred.fromCoroutine(other.path(blob)) for _ in range(20)])
        self.assertEqual(len(set(paths)), 1)
        self.assertEqual(self.proxy.reads, asked + 1)

    async def test_who_goes_leaves_it_to_the_others(self):
        blob = await self.store.put(self.large())
        other = self.another()
        one, two = (Deferred.fromCoroutine(other.path(blob)) for _ in range(2))
        one.addErrback(lambda _: None)
        one.cancel()
        self.assertEqual((await two).stat().st_size, blob.size)

    async def test_the_cache_is_bounded_and_readers_read_on(self):
        store = self.node(cache_bytes=8 * MIB)
        store._cache._grace_s = 0.0
        blobs = [await self.store.put(self.large(3 * MIB, seed)) for seed in range(6)]
        first = (await store.path(blobs[0])).open("rb")
        self.addCleanup(first.close)
        for blob in blobs * 2:
            await store.path(blob)
            files = list(store._cache._directory.iterdir())
            self.assertLessEqual(sum(path.stat().st_size for path in files), 8 * MIB)
        self.assertEqual(len(first.read()), 3 * MIB)
        await self.fails(self.node(cache_bytes=MIB).path(blobs[0]))

    async def test_who_was_given_a_copy_has_time_to_open_it(self):
        store = self.node(cache_bytes=4 * MIB)
        store._cache._grace_s = 1.0
        blobs = [await self.store.put(self.large(3 * MIB, seed)) for seed in range(2)]
        path = await store.path(blobs[0])
        began = time.monotonic()
        await store.path(blobs[1])
        self.assertGreater(time.monotonic() - began, 0.8)
        self.assertFalse(path.exists())

    async def test_copies_outlive_the_process_and_parts_do_not(self):
        blob = await self.store.put(self.large())
        state_dir = Path(self.mktemp())
        store = self.node(state_dir)
        await store.path(blob)
        store.stopService()
        torn = state_dir / "cache" / "blobs" / "x.part"
        torn.write_bytes(b"torn")
        self.server.ask("DELETE", f"blobs/{blob.hash}")
        again = self.node(state_dir)
        self.assertEqual((await again.path(blob)).stat().st_size, blob.size)
        self.assertFalse(torn.exists())

    async def test_a_cleared_cache(self):
        blob = await self.store.put(self.large())
        (await self.store.path(blob)).unlink()
        self.assertEqual((await self.store.path(blob)).stat().st_size, blob.size)


class DamageTests(S3TestCase):
    async def test_a_damaged_object_is_not_served_and_is_mended_by_the_next_put(self):
        path = self.large()
        data = path.read_bytes()
        blob = await self.store.put(path)
        self.server.ask("PUT", f"blobs/{blob.hash}", b"x" + data[1:])
        other = self.another()
        self.assertIn("damaged", await self.fails(other.path(blob), DataLostError))
        self.assertEqual(await other.lost([blob]), {blob.hash})
        self.flushLoggedErrors()
        path.write_bytes(data)
        await other.put(path)
        self.assertEqual(await other.lost([blob]), set())
        self.assertEqual((await self.another().path(blob)).read_bytes(), data)

    async def test_other_sizes(self):
        blob = await self.store.put(self.large())
        for data in (b"short", bytes(blob.size + 1)):
            self.server.ask("PUT", f"blobs/{blob.hash}", data)
            other = self.another()
            await self.fails(other.path(blob), DataLostError)
            self.assertEqual(await self.another().lost([blob]), {blob.hash})

    async def test_a_damaged_block(self):
        blob, texts = await self.large_in_blocks()
        data = bytearray((await self.store.path(blob)).read_bytes())
        data[len(data) // 2] ^= 1
        self.server.ask("PUT", f"blobs/{blob.hash}", bytes(data))
        other = self.another()
        outcomes = set()
        for n, text in enumerate(texts):
            try:
                self.assertEqual(gzip.decompress(cut(await other.span(blob, n, n))), text)
                outcomes.add("sound")
            except DataLostError:
                outcomes.add("damaged")
        self.assertEqual(outcomes, {"sound", "damaged"})

    async def test_blocks_behind_the_end(self):
        blob, texts = await self.large_in_blocks()
        data = (await self.store.path(blob)).read_bytes()
        self.server.ask("PUT", f"blobs/{blob.hash}", data[: len(data) // 2])
        other = self.another()
        self.assertEqual(gzip.decompress(cut(await other.span(blob, 0, 0))), texts[0])
        await self.fails(other.span(blob, 7, 7), DataLostError)

    async def test_a_damaged_index(self):
        blob, _ = await self.large_in_blocks()
        self.server.ask("PUT", f"blobs/{blob.hash}.blocks", b"no index")
        other = self.another()
        for call in (other.index_path(blob), other.span(blob, 0, 0)):
            await self.fails(call, DataLostError)
        self.assertEqual(await other.lost([blob]), {blob.hash})


class FaultTests(S3TestCase):
    def setUp(self):
        super().setUp()
        self.patch(s3calls, "STUBBORN_S", 0.0)

    async def test_503_and_back(self):
        blob = await self.store.put(self.large())
        other = self.another()
        self.proxy.mode = "refuse"
        said = await self.fails(other.path(blob), StoreAwayError)
        self.assertIn("503", said)
        await self.fails(other.lost([blob]), StoreAwayError)
        await self.fails(other.put(self.file()), StoreAwayError)
        self.proxy.mode = "pass"
        self.assertEqual((await other.path(blob)).stat().st_size, blob.size)

    def file(self):
        path = self.work / "file"
        path.write_bytes(b"data")
        return path

    async def test_what_is_here_is_read_while_the_store_is_away(self):
        blob = await self.store.put(self.large())
        self.proxy.mode = "refuse"
        self.assertEqual(await self.store.lost([blob]), set())
        self.assertEqual((await self.store.path(blob)).stat().st_size, blob.size)

    async def test_a_task_waits_for_a_store_that_comes_back(self):
        self.patch(s3calls, "STUBBORN_S", 60.0)
        self.patch(s3calls, "PAUSE_S", 0.1)
        self.proxy.mode = "refuse"
        put = Deferred.fromCoroutine(self.store.put(self.large()))
        reactor.callLater(1.0, setattr, self.proxy, "mode", "pass")
        blob = await put
        self.assertEqual(await self.another().lost([blob]), set())

    async def test_cut_in_the_middle(self):
        blob = await self.store.put(self.large())
        other = self.another()
        self.proxy.mode, self.proxy.after = "cut", MIB
        await self.fails(other.path(blob), StoreAwayError)
        self.assertEqual(other._cache.bytes, 0)
        self.assertEqual(list(other._cache._directory.iterdir()), [])
        self.proxy.mode = "pass"
        self.assertEqual((await other.path(blob)).stat().st_size, blob.size)

    async def test_a_store_that_drips_is_cut_off(self):
        """Each byte comes in time: only the whole has a deadline, in the head, in the body and in a PUT."""
        blob = await self.store.put(self.large())
        self.patch(s3calls, "CALL_S", 1.0)
        self.patch(s3calls, "LEAST_RATE", 100 * MIB)
        other = self.another()
        self.proxy.mode = "drip"
        for call in (lambda: other.path(blob), lambda: other.lost([blob]), lambda: other.put(self.file())):
            began = time.monotonic()
            said = await self.fails(call(), StoreAwayError)
            self.assertLess(time.monotonic() - began, 5.0)
            self.assertIn("TookTooLong", said)

    async def test_a_silent_store_holds_no_stop(self):
        blob = await self.store.put(self.large())
        self.patch(s3calls, "STOP_S", 0.5)
        other = self.another()
        self.proxy.mode = "silent"
        asked = Deferred.fromCoroutine(other.path(blob))
        asked.addErrback(lambda failure: failure.trap(StoreError))
        began = time.monotonic()
        other.stopService()
        await other.calls.stopService()
        await asked
        self.assertLess(time.monotonic() - began, 10.0)

    async def test_killed_in_the_middle_and_up_again(self):
        server = self.own_server(self.state_dir)
        server.start()
        self.addCleanup(server.stop)
        proxy = Spoiler(server.port)
        self.addCleanup(proxy.close)
        client = S3Client(server.place(proxy.port), server.credentials, connections=CONNECTIONS)
        calls = self.start(S3Calls(client, reactor))
        store = S3BlobStore(Path(self.mktemp()), client, calls, self.condemned(), cache_bytes=64 * MIB)
        self.start(store)
        path = self.large()
        data = path.read_bytes()
        blob = await store.put(path)
        store._cache.drop(blob.hash)
        proxy.mode = "drip"
        asked = Deferred.fromCoroutine(self.fails(store.path(blob), StoreAwayError))
        await deferToThread(server.kill)
        await asked
        self.assertEqual(list(store._cache._directory.iterdir()), [])
        proxy.mode = "pass"
        await deferToThread(server.start)
        if server.forgets:
            await self.fails(store.path(blob), DataLostError)
            path.write_bytes(data)
            await store.put(path)
            store._cache.drop(blob.hash)
        self.assertEqual((await store.path(blob)).read_bytes(), data)

    async def test_no_bucket(self):
        """Nothing of it is taken for lost data, neither after a HEAD, which cannot tell the two apart."""
        blob = await self.store.put(self.large())
        other = self.node(bucket="another")
        await other.remove([blob.hash])
        await self.pass_time(HELD_S)
        for call in (other.path(blob), other.lost([blob]), other.sweep({blob.hash}), other.clear()):
            self.assertIn("no such bucket", await self.fails(call))

    async def test_nothing_listens(self):
        self.proxy.close()
        other = self.node()
        said = await self.fails(other.path(a_blob()), StoreAwayError)
        self.assertIn("does not answer", said)

    async def test_health(self):
        calls = self.store.calls
        await calls._probe()
        self.assertEqual(calls.health(), {})
        calls.check()
        self.proxy.mode = "refuse"
        await calls._probe()
        (note,) = calls.health()["notes"]
        self.assertIn("503", note)
        self.assertNotIn("reasons", calls.health())
        self.assertRaises(StoreError, calls.check)
        self.proxy.mode = "pass"
        await calls._probe()
        self.assertEqual(calls.health(), {})


class SeenTests(S3TestCase):
    async def test_no_more_are_remembered(self):
        blob = await self.store.put(self.large(10))
        node = self.another()
        node._seen_s = dict.fromkeys(map(str, range(MAX_SEEN)), 0.0)
        self.assertEqual(await node.lost([blob]), frozenset())
        self.assertEqual(len(node._seen_s), MAX_SEEN)
        self.assertEqual([blob.hash in node._seen_s, "0" in node._seen_s], [True, False])


class RightsTests(StoreTestCase):
    """Against a server that looks at signatures."""

    def check_refused(self, place, credentials):
        client = S3Client(place, credentials, connections=1)
        self.addCleanup(client.close)
        for call in (
            lambda: client.head("x"),
            lambda: client.get("x", io.BytesIO(), max_bytes=1),
            lambda: client.put_bytes("x", b""),
            lambda: list(client.listed("")),
            lambda: client.remove("x"),
            client.try_all,
        ):
            error = self.assertRaises(StoreError, call)
            self.assertIn("refuses this access key", error.message)
            self.assertIn("may not use", error.reason)
            for secret in (credentials.access_key, credentials.secret_key):
                self.assertNotIn(secret, str(error) + repr(client._place))

    def test_wrong_credentials(self):
        server = S3Server(self.state_dir, INITIAL_NO_AUTH_ACTION_COUNT="1")
        server.start()
        self.addCleanup(server.stop)
        self.check_refused(server.place(), CREDENTIALS)

    def test_they_are_never_shown(self):
        self.assertEqual(repr(CREDENTIALS), "Credentials()")
        self.assertNotIn("secret", str(Credentials(access_key="a", secret_key="secret")))


class UploadTests(S3TestCase):
    def uploads(self, state_dir=None):
        state_dir = state_dir or Path(self.mktemp())
        client = self.client()
        calls = self.start(S3Calls(client, reactor))
        local = UploadStore(state_dir, deferToThread, upload_bytes=1000)
        return self.start(S3Uploads(local, state_dir, client, calls, reactor, upload_bytes=1000))

    async def sent(self, uploads, body=b"body"):
        intake = uploads.begin(None, self.fail)
        intake.write(body)
        return await intake.finish(name="x", boundary=None)

    async def test_another_node_reads_it(self):
        one, two = self.uploads(), self.uploads()
        upload = await self.sent(one)
        self.assertFalse(one.body(upload.id).exists())
        self.assertEqual(await two.get(upload.id), upload)
        self.assertEqual(two.body(upload.id).read_bytes(), b"body")
        await two.discard(upload.id)
        self.assertFalse(two.body(upload.id).parent.exists())
        self.assertEqual(self.server.stored(), set())
        with self.assertRaises(NotFoundError):
            await one.get(upload.id)

    async def test_sweep(self):
        one = self.uploads()
        known, fresh, stray = [await self.sent(one) for _ in range(3)]
        for key in self.server.stored():
            if fresh.id not in key:
                self.server.age(key, UPLOAD_HELD_S + 60)
        self.assertEqual(await self.uploads().sweep({known.id}), 1)
        self.assertEqual({key.split("/")[1] for key in self.server.stored()}, {known.id, fresh.id})
        self.assertNotIn(stray.id, str(self.server.stored()))

    async def test_facts_that_are_none(self):
        upload = await self.sent(self.uploads())
        (key,) = [key for key in self.server.stored() if key.endswith(".json")]
        whole = self.server.ask("GET", key)
        state_dir = Path(self.mktemp())
        two = self.uploads(state_dir)
        self.server.ask("PUT", key, whole.ljust((64 << 10) + 1))
        self.assertIn("not what a node wrote", await self.fails(two.get(upload.id)))
        self.assertEqual(list((state_dir / "uploads").iterdir()), [])
        self.server.ask("PUT", key, whole.ljust(64 << 10))
        self.assertEqual(await two.get(upload.id), upload)

    async def test_what_cannot_be_stored_is_refused(self):
        self.patch(s3calls, "STUBBORN_S", 0.0)
        state_dir = Path(self.mktemp())
        one = self.uploads(state_dir)
        self.proxy.mode = "refuse"
        await self.fails(self.sent(one))
        self.assertEqual(list((state_dir / "uploads").iterdir()), [])

    async def test_what_a_killed_node_left_here(self):
        state_dir = Path(self.mktemp())
        (state_dir / "uploads" / "x.part").mkdir(parents=True)
        self.uploads(state_dir)
        self.assertEqual(list((state_dir / "uploads").iterdir()), [])


class PagesTests(S3TestCase):
    async def test_more_than_a_page(self):
        self.patch(s3client, "PAGE", 3)
        blobs = [await self.store.put(self.large(10, seed)) for seed in range(8)]
        swept = await self.another().sweep({blob.hash for blob in blobs})
        self.assertEqual((swept.kept, swept.missing), (8, set()))
