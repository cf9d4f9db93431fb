# SPDX-License-Identifier: Apache-2.0
"""Uploads on the disk: back-pressure, durability, nothing left behind."""

import os
from pathlib import Path

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import NotFoundError, StoreError, TooManyUploadsError
from stackviz_deployer.model import Upload
from stackviz_deployer.store import files, uploads
from stackviz_deployer.store.uploads import HIGH, UploadStore


class Threads:
    """Runs at once, or when the test says so."""

    def __init__(self):
        self.held = None

    def hold(self):
        self.held = []

    def run(self, fn, *args):
        if self.held is None:
            return maybeDeferred(fn, *args)
        d = Deferred()
        self.held.append((d, fn, args))
        return d

    def step(self):
        d, fn, args = self.held.pop(0)
        maybeDeferred(fn, *args).chainDeferred(d)

    def release(self):
        while self.held:
            self.step()
        self.held = None


class Producer:
    paused = False

    def pauseProducing(self):
        assert not self.paused
        self.paused = True

    def resumeProducing(self):
        assert self.paused
        self.paused = False

    def stopProducing(self):
        raise AssertionError("not ours to stop")


class UploadStoreTests(SynchronousTestCase):
    def setUp(self):
        self.state = Path(self.mktemp())
        self.threads = Threads()
        self.producer = Producer()
        self.failures = []
        self.store = self.open()

    def open(self, upload_bytes=1000):
        store = UploadStore(self.state, self.threads.run, upload_bytes=upload_bytes)
        store.startService()
        return store

    def begin(self):
        return self.store.begin(self.producer, self.failures.append)

    def finish(self, intake, name=None, boundary=None):
        return self.successResultOf(Deferred.fromCoroutine(intake.finish(name=name, boundary=boundary)))

    def kept(self, body=b"body"):
        intake = self.begin()
        intake.write(body)
        return self.finish(intake)

    def get(self, upload_id, store=None):
        return Deferred.fromCoroutine((store or self.store).get(upload_id))

    def there(self):
        return sorted(path.name for path in (self.state / "uploads").iterdir())

    def test_kept_as_it_came(self):
        intake = self.begin()
        body = os.urandom(3 << 20)
        for at in range(0, len(body), 65536):
            intake.write(body[at : at + 65536])
        upload = self.finish(intake, "n\u00e4me", "bound")
        self.assertEqual(upload, Upload(id=upload.id, size=len(body), name="n\u00e4me", boundary="bound"))
        self.assertEqual(self.store.body(upload.id).read_bytes(), body)
        self.assertEqual(self.there(), [upload.id])
        self.assertEqual(self.successResultOf(self.get(upload.id, self.open())), upload)
        self.assertEqual((self.state / "uploads" / upload.id).stat().st_mode & 0o77, 0)

    def test_back_pressure(self):
        self.threads.hold()
        intake = self.begin()
        written = 0
        while not self.producer.paused:
            intake.write(bytes(64 << 10))
            written += 64 << 10
        self.assertLessEqual(written, HIGH + (64 << 10))
        intake.write(bytes(64 << 10))  # what was on its way already
        self.threads.step()
        self.threads.step()
        self.assertFalse(self.producer.paused)
        done = Deferred.fromCoroutine(intake.finish(name=None, boundary=None))
        self.assertNoResult(done)
        self.threads.release()
        upload = self.successResultOf(done)
        self.assertEqual(self.store.body(upload.id).stat().st_size, written + (64 << 10))

    def test_abandoned_at_any_moment(self):
        for held in (False, True):
            for size in (0, 10, 300 << 10, 2 << 20):
                if held:
                    self.threads.hold()
                intake = self.begin()
                intake.write(bytes(size))
                intake.abandon()
                intake.write(b"more")
                intake.abandon()
                if held:
                    self.threads.release()
                self.assertEqual(self.there(), [])
        self.assertEqual(self.failures, [])

    def test_abandoned_after_the_end(self):
        intake = self.begin()
        intake.write(b"x")
        upload = self.finish(intake)
        intake.abandon()
        self.assertEqual(self.there(), [upload.id])

    def test_discard(self):
        upload = self.kept()
        for _ in range(2):
            self.successResultOf(Deferred.fromCoroutine(self.store.discard(upload.id)))
            self.assertEqual(self.there(), [])
        self.failureResultOf(self.get(upload.id), NotFoundError)

    def test_disk_that_fails(self):
        intake = self.begin()
        (self.state / "uploads").rename(self.state / "gone")
        intake.write(bytes(300 << 10))
        self.assertEqual([type(error) for error in self.failures], [StoreError])
        intake.write(bytes(300 << 10))
        intake = self.begin()
        intake.write(b"x")
        done = Deferred.fromCoroutine(intake.finish(name=None, boundary=None))
        self.failureResultOf(done, StoreError)
        self.assertEqual(len(self.failures), 1)

    def test_the_id_of_what_was_sent_is_in_no_line_on_the_disk(self):
        """Neither in what /health and the log say of a write, nor of a removal, that fails."""
        lines = []
        globalLogPublisher.addObserver(lines.append)
        self.addCleanup(globalLogPublisher.removeObserver, lines.append)
        upload = self.kept()
        self.patch(files.shutil, "rmtree", Path.rmdir)
        self.successResultOf(Deferred.fromCoroutine(self.store.discard(upload.id)))
        self.patch(uploads, "fsync_file", lambda path: path.with_name("missing").stat())
        intake = self.begin()
        intake.write(b"x")
        failure = self.failureResultOf(Deferred.fromCoroutine(intake.finish(name=None, boundary=None)))
        said = [failure.value.message, *map(formatEvent, lines)]
        self.assertTrue(any("cannot remove" in line for line in said), said)
        for line in said:
            self.assertNotIn(upload.id, line)
            self.assertNotRegex(line, r"uploads/[0-9a-f]{8}-")
        self.assertIn("uploads/(what somebody sent)/missing", said[0])

    def test_disk_that_fails_while_the_sender_waits(self):
        """Nobody reads a refusal who is still kept from sending."""
        self.threads.hold()
        intake = self.begin()
        (self.state / "uploads").rename(self.state / "gone")
        while not self.producer.paused:
            intake.write(bytes(64 << 10))
        self.threads.release()
        self.assertEqual([type(error) for error in self.failures], [StoreError])
        self.assertFalse(self.producer.paused)

    def test_too_much_waits(self):
        kept = [self.kept(bytes(1000)) for _ in range(uploads.KEPT)]
        self.assertRaises(TooManyUploadsError, self.begin)
        self.store = self.open()  # also after a start
        self.assertRaises(TooManyUploadsError, self.begin)
        self.successResultOf(Deferred.fromCoroutine(self.store.discard(kept[0].id)))
        self.begin()

    def test_sweep(self):
        """What a killed daemon left goes, but for tasks that wait and for what came since."""
        waiting, lost = self.kept(), self.kept()
        self.begin().write(bytes(300 << 10))
        self.store = self.open(upload_bytes=1 << 20)
        new = self.kept()
        self.assertEqual(len(self.there()), 4)
        swept = self.successResultOf(Deferred.fromCoroutine(self.store.sweep({waiting.id})))
        self.assertEqual(swept, 2)
        self.assertEqual(self.there(), sorted([waiting.id, new.id]))
        self.assertNotIn(lost.id, self.there())
        again = self.successResultOf(Deferred.fromCoroutine(self.store.sweep(set())))
        self.assertEqual(again, 0)

    def test_stop(self):
        self.begin().write(bytes(300 << 10))
        self.store.stopService()
        self.assertEqual(self.there(), [])

    def test_no_place(self):
        self.state.joinpath("uploads").rmdir()
        self.state.joinpath("uploads").write_text("")
        self.assertRaises(StoreError, self.open)
