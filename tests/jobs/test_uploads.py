# SPDX-License-Identifier: Apache-2.0
"""Tasks over what somebody sent: pipeline and queue on fakes."""

import uuid
from pathlib import Path

from twisted.internet.defer import Deferred

from stackviz_deployer.errors import (
    NoArtifactsError,
    NotFoundError,
    NotScrapableError,
    ParseError,
    QueueFullError,
    TooLargeError,
)
from stackviz_deployer.jobs.uploads import id_of, url_of
from stackviz_deployer.model import Job, ParseResult, Task, TaskId, TaskState, Upload
from tests.fakes import made
from tests.jobs.test_pipeline import PipelineTestCase, dstat, subunit
from tests.jobs.test_queue import QueueTestCase

ID = str(uuid.UUID(int=7))


def unpacking(files, *, title=None, named=False, left_out=(), warnings=()):
    """A worker that finds ``files`` (path -> bytes) in what was sent."""

    def parse(request):
        listed = []
        for number, (path, body) in enumerate(files.items()):
            Path(request.out_dir, str(number)).write_bytes(body)
            listed.append({"file": str(number), "path": path, "size": len(body)})
        data = {
            "title": title,
            "named": named,
            "files": listed,
            "seen": len(files) + len(left_out),
            "left_out": list(left_out),
        }
        return ParseResult(data=data, warnings=tuple(warnings))

    return parse


class UploadPipelineTests(PipelineTestCase):
    def setUp(self):
        super().setUp()
        self.uploads.put(Upload(id=ID, size=4, name="mine.tar", boundary=None), b"body")
        self.cpu.parsers["upload"] = unpacking({"x.subunit": b"stream", "dstat.csv": b"rows"}, title="mine")
        self.task = Task(
            id=TaskId("t"),
            url=url_of(ID),
            job=Job(url=url_of(ID), name="mine.tar"),
            state=TaskState.PENDING,
            created_ms=0,
        )

    def test_all_of_it(self):
        outcome = self.outcome(self.task)
        self.assertEqual(self.types(outcome), [("subunit", "x.subunit"), ("dstat", "dstat.csv")])
        self.assertEqual((outcome.job.name, outcome.job.url), ("mine", url_of(ID)))
        self.assertEqual(self.fetcher.fetched, [])
        self.assertEqual(self.listing.scratches, [])
        stored = self.successResultOf(Deferred.fromCoroutine(self.blobs.path(outcome.artifacts[0][1])))
        self.assertEqual(stored.read_bytes(), b"made of stream")

    def test_the_worker_is_told(self):
        self.outcome(self.task)
        request = self.cpu.requests[0]
        self.assertEqual(Path(request.inputs[0].path), self.uploads.body(ID))
        self.assertEqual(request.max_bytes, self.limits.total_bytes)
        self.assertEqual(request.options["entry_bytes"], self.limits.artifact_bytes)
        self.assertIn("*.subunit", request.options["globs"])
        self.assertEqual((request.options["name"], request.options["boundary"]), ("mine.tar", None))

    def test_everything_is_worth_showing_alone(self):
        self.cpu.parsers["upload"] = unpacking({"dstat.csv": b"rows"})
        outcome = self.outcome(self.task)
        self.assertEqual(self.types(outcome), [("dstat", "dstat.csv")])
        self.assertEqual(outcome.job.name, "mine.tar")

    def test_what_fails_is_a_warning_beside_what_does_not(self):
        self.cpu.parsers["subunit"] = ParseError("x.subunit: no stream")
        outcome = self.outcome(self.task)
        self.assertEqual(self.types(outcome), [("dstat", "dstat.csv")])
        self.assertEqual(outcome.warnings, ("x.subunit: no stream",))

    def test_left_out(self):
        self.cpu.parsers["upload"] = unpacking({"x.subunit": b"s"}, left_out=["notes.txt"], warnings=["torn"])
        outcome = self.outcome(self.task)
        self.assertEqual(
            outcome.warnings, ("torn", "Left out, for they are none of what is shown: notes.txt.")
        )

    def test_nothing_known(self):
        self.cpu.parsers["upload"] = unpacking({}, left_out=["notes.txt"], warnings=["torn"])
        message = self.failure(NoArtifactsError, self.task).message
        for words in ("(notes.txt)", "subunit streams, JUnit XML, dstat CSV", "torn"):
            self.assertIn(words, message)

    def test_nothing_at_all(self):
        """As in an archive of empty directories."""
        self.cpu.parsers["upload"] = unpacking({})
        self.assertIn("can be shown. Taken", self.failure(NoArtifactsError, self.task).message)

    def test_worker_that_fails(self):
        self.cpu.parsers["upload"] = TooLargeError("more than")
        self.failure(TooLargeError, self.task)

    def test_gone(self):
        self.uploads.kept.clear()
        self.failure(NotFoundError, self.task)

    def test_worker_that_names_a_path(self):
        """It has read a stranger's bytes."""

        def parse(_request):
            listed = [{"file": "../../etc/passwd", "path": "x.subunit", "size": 1}]
            return ParseResult(
                data={"title": None, "named": False, "files": listed, "seen": 1, "left_out": []}
            )

        self.cpu.parsers["upload"] = parse
        self.failure(ParseError, self.task)

    def test_too_large_for_its_share(self):
        self.cpu.parsers["upload"] = unpacking({"x.subunit": bytes(101), "dstat.csv": b"rows"})
        outcome = self.outcome(self.task)
        self.assertEqual(self.types(outcome), [("dstat", "dstat.csv")])
        self.assertIn("larger than 100 bytes", outcome.warnings[0])

    def test_one_file_for_two_scrapers(self):
        self.cpu.parsers |= {"subunit": subunit, "dstat": dstat}
        self.cpu.parsers["console"] = lambda request: made(request, "console")
        self.cpu.parsers["upload"] = unpacking({"dstat.subunit": b"x", "dstat.csv.subunit": b"y"})
        outcome = self.outcome(self.task)
        self.assertIn("subunit", [kind for kind, _ in self.types(outcome)])


class UploadQueueTests(QueueTestCase):
    def setUp(self):
        super().setUp()
        self.upload = self.uploads.put(Upload(id=ID, size=4, name=None))

    def submit_upload(self):
        return self.ask(self.queue.submit_upload(self.upload))

    def test_to_the_end(self):
        self.start()
        submitted = self.successResultOf(self.submit_upload())
        self.assertEqual(submitted.task.url, url_of(ID))
        self.assertEqual(submitted.task.job.name, "Uploaded files")
        self.assertIsNotNone(submitted.cancel_key)
        self.assertEqual(self.lookup.asked, [])
        self.assertEqual(self.uploads.discarded, [])
        self.pipeline.runs[submitted.task.id].errback(NoArtifactsError("nothing"))
        self.assertIs(self.store.tasks[submitted.task.id].state, TaskState.ERROR)
        self.assertEqual(self.uploads.discarded, [ID])

    def test_cancelled(self):
        for running in (False, True):
            self.uploads.discarded.clear()
            if running:
                self.start()
            submitted = self.successResultOf(self.submit_upload())
            task = self.successResultOf(self.ask(self.queue.cancel(submitted.task.id, submitted.cancel_key)))
            self.assertIs(task.state, TaskState.CANCELLED)
            self.assertEqual(self.uploads.discarded, [ID])

    def test_full_queue(self):
        self.store.failing["create"] = QueueFullError("full")
        self.failureResultOf(self.submit_upload(), QueueFullError)
        self.assertEqual(self.uploads.discarded, [ID])

    def test_not_told_to_everybody(self):
        self.start()
        sent, scraped = self.successResultOf(self.submit_upload()), self.submit()
        self.finish(sent)
        self.finish(scraped)
        recent = self.successResultOf(self.ask(self.queue.recent()))
        self.assertEqual([task.id for task in recent], [scraped.task.id])

    def test_nobody_can_ask_for_one(self):
        self.start()
        submitted = self.successResultOf(self.submit_upload())
        for force in (False, True):
            error = self.failureResultOf(
                self.ask(self.queue.submit(submitted.task.url, force=force)), NotScrapableError
            )
            self.assertIn("send them again", error.value.message)
        self.assertEqual(len(self.store.tasks), 1)

    def test_left_for_the_next_start(self):
        self.start()
        submitted = self.successResultOf(self.submit_upload())
        stopped = self.queue.stopService()
        self.clock.pump([5.0, 5.0])
        self.successResultOf(stopped)
        self.assertIs(self.store.tasks[submitted.task.id].state, TaskState.QUEUED)
        self.assertEqual(self.uploads.discarded, [])
        self.queue = self.start(self.build())
        self.assertEqual(self.uploads.swept[-1], {ID})

    def test_other_urls_are_none(self):
        self.assertIsNone(id_of("http://upload/x/"))
        self.assertEqual(id_of(url_of(ID)), ID)
