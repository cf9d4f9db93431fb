# SPDX-License-Identifier: Apache-2.0
"""Blobs and uploads in a directory that several nodes use."""

import os
from pathlib import Path
from unittest import skipUnless

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import StoreError, TooManyUploadsError
from stackviz_deployer.store.blobs import HELD_S
from stackviz_deployer.store.sharedblobs import SharedBlobStore
from stackviz_deployer.store.shareduploads import HELD_S as UPLOAD_HELD_S
from stackviz_deployer.store.shareduploads import LOOK_S, SharedUploads
from tests.store.blob_contract import SharedContract
from tests.store.building import StoreTestCase

OTHER_FILE_SYSTEM = Path("/dev/shm")


def make_old(path: Path, by_s: float) -> None:
    then = path.stat().st_mtime - by_s
    os.utime(path, (then, then))


class SharedBlobTests(SharedContract, StoreTestCase):
    def setUp(self):
        super().setUp()
        self.place = Path(self.mktemp())
        self.place.mkdir()
        self.store = self.start(SharedBlobStore(self.state_dir, self.place, self.condemned(), reactor))
        self.work = self.state_dir / "tmp" / "work"
        self.work.mkdir()

    def another(self):
        return self.start(SharedBlobStore(Path(self.mktemp()), self.place, self.condemned(), reactor))

    def damage_index(self, blob):
        path = self.place / "blobs" / blob.hash[:2] / f"{blob.hash}.blocks"
        path.chmod(0o600)
        path.write_bytes(b"no index")

    async def test_what_a_killed_node_left(self):
        old, young = self.place / "tmp" / "old", self.place / "tmp" / "young"
        for path in (old, young):
            path.touch()
        make_old(old, HELD_S + 60)
        swept = await self.store.sweep(set())
        self.assertEqual((swept.temporaries, old.exists(), young.exists()), (1, False, True))

    @skipUnless(OTHER_FILE_SYSTEM.is_dir(), "no second file system at /dev/shm")
    async def test_on_another_file_system(self):
        place = OTHER_FILE_SYSTEM / f"stackviz-test-{os.getpid()}"
        place.mkdir()
        self.addCleanup(os.system, f"rm -r {place}")
        self.assertNotEqual(place.stat().st_dev, self.state_dir.stat().st_dev)
        store = self.start(SharedBlobStore(self.state_dir, place, self.condemned(), reactor))
        blob = await store.put(self.file())
        self.assertEqual((await store.path(blob)).read_bytes(), b"data")
        self.assertEqual(list((place / "tmp").iterdir()) + list(self.work.iterdir()), [])

    def test_a_mount_that_is_not_there(self):
        """Nothing is made below it: that would lie on the wrong disk."""
        absent = Path(self.mktemp())
        with self.assertRaisesRegex(StoreError, "mount it"):
            SharedBlobStore(self.state_dir, absent, self.condemned(), reactor).startService()
        self.assertFalse(absent.exists())


class SharedUploadTests(SynchronousTestCase):
    def setUp(self):
        self.place = Path(self.mktemp())
        self.place.mkdir()
        self.clock = Clock()

    def node(self, upload_bytes=1000):
        store = SharedUploads(self.place, maybeDeferred, self.clock, upload_bytes=upload_bytes)
        store.startService()
        return store

    def do(self, coroutine):
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def sent(self, store, body=b"body"):
        intake = store.begin(None, self.fail)
        intake.write(body)
        return self.do(intake.finish(name="x", boundary=None))

    def test_another_node_reads_it(self):
        one, two = self.node(), self.node()
        upload = self.sent(one)
        self.assertEqual(self.do(two.get(upload.id)), upload)
        self.assertEqual(two.body(upload.id).read_bytes(), b"body")
        self.do(two.discard(upload.id))
        self.assertEqual(list((self.place / "uploads").iterdir()), [])

    def test_sweep(self):
        """What another node takes in, or has just taken in, is not swept, neither at its start."""
        one = self.node()
        known, fresh, stray = (self.sent(one) for _ in range(3))
        coming = one.begin(None, self.fail)
        coming.write(b"x" * (1 << 20))
        two = self.node()
        for path in (self.place / "uploads").iterdir():
            if path.name != fresh.id:
                make_old(path, UPLOAD_HELD_S + 60)
        for upload in (known, stray):
            make_old(one.body(upload.id), UPLOAD_HELD_S + 60)
        self.assertEqual(self.do(two.sweep({known.id})), 1)
        left = {path.name for path in (self.place / "uploads").iterdir()}
        self.assertEqual({name for name in left if not name.endswith(".part")}, {known.id, fresh.id})
        self.assertEqual(len(left), 3)
        self.do(coming.finish(name=None, boundary=None))

    def test_the_bound_counts_what_all_nodes_keep(self):
        one, two = self.node(upload_bytes=1), self.node(upload_bytes=1)
        uploads = [self.sent(one, b"x") for _ in range(16)]
        two.begin(None, self.fail).abandon()
        self.clock.advance(LOOK_S)
        self.assertRaises(TooManyUploadsError, two.begin, None, self.fail)
        for upload in uploads:
            self.do(two.discard(upload.id))
        self.clock.advance(LOOK_S)
        one.begin(None, self.fail).abandon()
