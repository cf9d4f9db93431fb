# SPDX-License-Identifier: Apache-2.0
"""One task from listing to blobs, on fakes and a clock."""

from pathlib import Path

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import (
    NoArtifactsError,
    ParseError,
    StoreError,
    TaskTimeoutError,
    TooLargeError,
    UpstreamStatusError,
    UpstreamTimeoutError,
    WorkerDiedError,
)
from stackviz_deployer.jobs import pipeline
from stackviz_deployer.jobs.pipeline import MAX_WARNINGS, Pipeline
from stackviz_deployer.jobs.uploads import UploadOpener
from stackviz_deployer.jobs.workbench import AT_ONCE, FETCHES, MAX_ARTIFACTS
from stackviz_deployer.model import Job, ParseResult, Task, TaskId, TaskState
from stackviz_deployer.parsers import dstat as real_dstat
from stackviz_deployer.parsers import subunit as real_subunit
from stackviz_deployer.scrapers import SCRAPERS
from stackviz_deployer.settings import Limits
from tests.fakes import FakeCpu, FakeFetcher, FakeListing, FakeUploads, MemoryBlobStore, made
from tests.parsers import subunit_oracle as oracle

ROOT = "http://logs.example/1/271726/1/check/gate-x/abc1234/"
STREAM, CONSOLE, DSTAT = "logs/testrepository.subunit.gz", "console.html", "logs/dstat-csv.txt.gz"


def a_task(**job):
    job = Job(url=ROOT, name="gate-x", **job)
    return Task(id=TaskId("t"), url=ROOT, job=job, state=TaskState.PENDING, created_ms=0)


def subunit(request, **kwargs):
    name = request.options["artifact_names"][0]
    return made(request, "subunit", name=name, **{"start_ms": 1000, "end_ms": 2000, **kwargs})


def console(request, **kwargs):
    return made(request, "console", name=request.options["artifact_name"], **kwargs)


def dstat(request, **kwargs):
    name = request.options["artifact_name"]
    return made(request, "dstat", primary=False, name=name, **{"start_ms": 1500, "end_ms": 2500, **kwargs})


class PipelineTestCase(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.listing = FakeListing(STREAM, CONSOLE, DSTAT)
        self.fetcher = FakeFetcher({ROOT + path: path.encode() for path in (STREAM, CONSOLE, DSTAT)})
        self.cpu = FakeCpu(subunit=subunit, console=console, dstat=dstat)
        self.blobs = MemoryBlobStore(self.mktemp())
        self.limits = Limits(artifact_bytes=100, total_bytes=400, fetch_seconds=7, task_seconds=50)
        self.uploads = FakeUploads(self.mktemp())
        self.progress = []

    def start(self, task=None, **kwargs):
        pipeline = Pipeline(
            listing=self.listing,
            fetcher=self.fetcher,
            cpu=self.cpu,
            blobs=self.blobs,
            scrapers=SCRAPERS,
            uploads=UploadOpener(uploads=self.uploads, cpu=self.cpu, scrapers=SCRAPERS, limits=self.limits),
            limits=self.limits,
            clock=self.clock,
            scratch=self.blobs.scratch,
            **kwargs,
        )
        return Deferred.fromCoroutine(pipeline.run(task or a_task(), self.progress.append))

    def outcome(self, *args, **kwargs):
        outcome = self.successResultOf(self.start(*args, **kwargs))
        self.clean()
        return outcome

    def failure(self, kind, *args, **kwargs):
        error = self.failureResultOf(self.start(*args, **kwargs), kind).value
        self.clean()
        return error

    def clean(self):
        """Nothing temporary is left, and no clock still runs."""
        self.assertEqual(self.blobs.scratches(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def types(self, outcome):
        return [(a.artifact_type, a.artifact_name) for a, _ in outcome.artifacts]


class ManyFilesTests(PipelineTestCase):
    """A JUnit report is one run, and can be hundreds of files."""

    def setUp(self):
        super().setUp()
        self.paths = [f"TEST-{number:02}.xml" for number in range(20)]
        self.listing = FakeListing(*self.paths)
        self.cpu = FakeCpu(junit=lambda request: made(request, "subunit", name="junit"))
        self.limits = Limits(artifact_bytes=100, total_bytes=400)

    def test_a_few_are_fetched_side_by_side(self):
        waits = {path: Deferred() for path in self.paths}
        self.fetcher.bodies = {ROOT + path: wait for path, wait in waits.items()}
        d = self.start()
        self.assertEqual(len(self.fetcher.fetched), FETCHES)
        waits[self.paths[0]].callback(b"1")
        self.assertEqual(len(self.fetcher.fetched), FETCHES + 1)
        for path in reversed(self.paths[1:]):
            waits[path].callback(b"1")
        self.successResultOf(d)
        (request,) = self.cpu.requests
        self.assertEqual([file.name for file in request.inputs], self.paths)
        self.clean()

    def test_together_they_stay_within_the_limit(self):
        self.fetcher.bodies = {ROOT + path: b"x" * 30 for path in self.paths}
        error = self.failure(TooLargeError)
        self.assertIn("the files before it have 100 bytes already", error.message)
        self.assertEqual([limit for _, limit, _ in self.fetcher.fetched], [100, 70, 40, 10])


class GoodJobTests(PipelineTestCase):
    def test_all_kinds(self):
        outcome = self.outcome()
        self.assertEqual(
            self.types(outcome),
            [
                ("subunit", "testrepository.subunit"),
                ("console", "console.html"),
                ("dstat", "dstat-csv.txt"),
            ],
        )
        self.assertEqual(outcome.warnings, ())
        for (_, blob), path in zip(outcome.artifacts, (STREAM, CONSOLE, DSTAT), strict=True):
            stored = self.successResultOf(Deferred.fromCoroutine(self.blobs.path(blob)))
            self.assertEqual(stored.read_bytes(), b"made of " + path.encode())

    def test_requests(self):
        self.outcome(
            a_task(finished_ms=77), jjb_yaml_path=Path("/etc/jjb"), jjb_cache_dir=Path("/var/cache/jjb")
        )
        by_parser = {request.parser: request for request in self.cpu.requests}
        always = {"job_name": "gate-x", "reference_ms": 77}
        self.assertEqual(
            by_parser["subunit"].options, {**always, "artifact_names": ["testrepository.subunit"]}
        )
        self.assertEqual(
            by_parser["console"].options,
            {
                **always,
                "artifact_name": "console.html",
                "jjb_yaml_path": "/etc/jjb",
                "jjb_cache_dir": "/var/cache/jjb",
            },
        )
        self.assertEqual(by_parser["subunit"].max_bytes, 100)
        self.assertEqual([file.name for file in by_parser["subunit"].inputs], [STREAM])
        self.assertEqual({url for url, _, _ in self.fetcher.fetched}, set(self.fetcher.bodies))
        self.assertEqual({(size, s) for _, size, s in self.fetcher.fetched}, {(100, 7)})
        self.assertEqual(len({request.out_dir for request in self.cpu.requests}), 3)

    def test_progress(self):
        held = Deferred()
        self.cpu.parsers["subunit"] = held
        d = self.start()
        stages = [p.stage for p in self.progress]
        self.assertEqual(stages[0], "listing")
        self.assertEqual(stages[-1], "parsing")
        self.assertIn("fetching", stages)
        self.assertEqual(self.progress[-1].total, 3)
        held.callback(ParseResult())
        self.successResultOf(d)

    def test_console_tells_a_missing_status(self):
        self.cpu.parsers["console"] = lambda request: console(request, status="FAILURE")
        self.assertEqual(self.outcome().job.status, "FAILURE")
        self.assertEqual(self.outcome(a_task(status="SUCCESS")).job.status, "SUCCESS")

    def test_the_builds_manifest_is_passed_on(self):
        manifest_url = ROOT + "zuul-manifest.json"
        self.outcome(a_task(manifest_url=manifest_url))
        self.outcome()
        self.assertEqual(self.listing.manifest_urls, [manifest_url, None])

    def test_warnings_of_listing_and_parsers_once_each(self):
        self.listing.warnings = ("a", "b")
        self.cpu.parsers["subunit"] = lambda request: subunit(request, warnings=("b", "c"))
        self.assertEqual(self.outcome().warnings, ("a", "b", "c"))

    def test_warnings_bound(self):
        self.cpu.parsers["subunit"] = lambda r: subunit(r, warnings=[str(n) for n in range(MAX_WARNINGS)])
        self.assertEqual(len(self.outcome().warnings), MAX_WARNINGS)
        self.cpu.parsers["subunit"] = lambda r: subunit(r, warnings=[str(n) for n in range(MAX_WARNINGS + 3)])
        self.assertEqual(self.outcome().warnings[MAX_WARNINGS:], ("3 more warnings are left out.",))

    def test_metrics_of_the_tests_time_come_first(self):
        paths = [STREAM, "a/logs/dstat-csv.txt", "b/logs/dstat-csv.txt"]
        self.listing.paths = paths
        self.fetcher.bodies = {ROOT + path: path.encode() for path in paths}

        def early(request):
            other = request.inputs[0].name.startswith("a/")
            return dstat(request, **({"start_ms": 1, "end_ms": 2} if other else {}))

        self.cpu.parsers["dstat"] = early
        self.assertEqual(
            self.types(self.outcome())[1:], [("dstat", "b/dstat-csv.txt"), ("dstat", "a/dstat-csv.txt")]
        )


class YearTests(PipelineTestCase):
    """dstat writes no year: the tests' own time tells it."""

    BEGAN = 1_483_228_790_000  # ten seconds before 2017

    def setUp(self):
        super().setUp()
        self.cpu.parsers["dstat"] = self.undated
        self.cpu.parsers["subunit"] = lambda request: subunit(request, start_ms=self.BEGAN)

    def undated(self, request):
        reference = request.options.get("reference_ms")
        return evolve(dstat(request, start_ms=reference, end_ms=reference), by_reference=True)

    def start_ms(self, **job):
        return self.outcome(a_task(**job)).artifacts[-1][0].meta["start_ms"]

    def times_read(self):
        return [r.parser for r in self.cpu.requests].count("dstat")

    def test_read_again_with_the_time_of_the_tests(self):
        outcome = self.outcome()
        self.assertEqual(outcome.artifacts[-1][0].meta["start_ms"], self.BEGAN)
        self.assertEqual(self.times_read(), 2)
        self.assertEqual(outcome.warnings, ())

    def test_the_tests_know_better_than_the_job(self):
        """A job that ends in the new year may have begun its tests in the old one."""
        self.assertEqual(self.start_ms(finished_ms=self.BEGAN + 60_000), self.BEGAN)
        self.assertEqual(self.times_read(), 2)

    def test_a_console_began_before_the_tests(self):
        self.cpu.parsers["console"] = lambda request: console(request, start_ms=self.BEGAN - 3_600_000)
        self.assertEqual(self.start_ms(), self.BEGAN)

    def test_once_is_enough_when_the_file_knows(self):
        self.cpu.parsers["dstat"] = dstat
        self.assertEqual(self.start_ms(finished_ms=self.BEGAN), 1500)
        self.assertEqual(self.times_read(), 1)

    def test_kept_as_it_is_when_nobody_knows(self):
        self.listing.paths = (CONSOLE, DSTAT)
        self.assertIsNone(self.start_ms())
        self.assertEqual(self.times_read(), 1)

    def test_the_job_knows_where_no_test_does(self):
        """A stream without times is laid out from 1970 on."""
        self.cpu.parsers["subunit"] = lambda request: subunit(request, start_ms=0)
        self.assertEqual(self.start_ms(finished_ms=self.BEGAN), self.BEGAN)
        self.assertEqual(self.times_read(), 1)

    def test_a_real_job_over_new_year(self):
        """StackViz takes the year of the first test; the job's end would give it January's rows."""
        clock = [
            *((f"31-12 23:59:{second}", self.BEGAN - 50_000 + second * 1000) for second in (50, 58)),
            *((f"01-01 00:00:0{second}", self.BEGAN + 10_000 + second * 1000) for second in (0, 5, 9)),
        ]
        head = (
            '"Dstat 0.7.3 CSV output"\n"Author:","x"\n"Host:","n"\n'
            '"Cmdline:","dstat",,,,"Date:","31 Dec 2016 23:59:50 UTC"\n'
            '"system","memory usage"\n"time","used"\n'
        )
        csv = head + "".join(f"{text},{ms}\n" for text, ms in clock)
        stream = oracle.write(
            {"test_id": "a.T.t", "test_status": status, "timestamp": oracle.moment(ms * 1000)}
            for status, ms in (("inprogress", self.BEGAN + 2000), ("success", self.BEGAN + 15_000))
        )
        self.fetcher.bodies |= {ROOT + STREAM: stream, ROOT + DSTAT: csv.encode()}
        self.listing.paths = (STREAM, DSTAT)
        self.limits = evolve(self.limits, artifact_bytes=1 << 20, total_bytes=4 << 20)
        self.cpu.parsers |= {"subunit": real_subunit.parse, "dstat": real_dstat.parse}
        outcome = self.outcome(a_task(finished_ms=self.BEGAN + 3_600_000))
        meta = outcome.artifacts[-1][0].meta
        self.assertEqual((meta["rows"], meta["start_ms"], meta["end_ms"]), (2, self.BEGAN, self.BEGAN + 8000))
        self.assertIn("kept 2016, left out 3 rows of 2017", outcome.warnings[-1])


class BadJobTests(PipelineTestCase):
    def test_nothing_found_says_what_and_where(self):
        self.listing.paths = ("index.html", "logs/screen-n-cpu.txt")
        self.listing.warnings = ("logs/secret/ could not be read",)
        message = self.failure(NoArtifactsError).message
        self.assertTrue(message.startswith("no supported artifacts could be found"))
        for part in (ROOT, "testrepository.subunit", "console.html", "./, logs/", "2 files", "logs/secret/"):
            self.assertIn(part, message)

    def test_metrics_alone_are_not_enough(self):
        self.listing.paths = (DSTAT,)
        self.assertIn(DSTAT, self.failure(NoArtifactsError).message)
        self.assertEqual(self.fetcher.fetched, [])

    def test_a_broken_optional_file_is_a_warning(self):
        self.cpu.parsers["dstat"] = ParseError("dstat-csv.txt: is no table")
        outcome = self.outcome()
        self.assertEqual([t for t, _ in self.types(outcome)], ["subunit", "console"])
        self.assertEqual(outcome.warnings, ("dstat-csv.txt: is no table",))

    def test_one_broken_primary_file_is_a_warning(self):
        self.cpu.parsers["console"] = WorkerDiedError("console.html: was killed")
        del self.fetcher.bodies[ROOT + DSTAT]
        outcome = self.outcome()
        self.assertEqual([t for t, _ in self.types(outcome)], ["subunit"])
        self.assertEqual(len(outcome.warnings), 2)

    def test_every_primary_file_broken(self):
        self.cpu.parsers["console"] = ParseError("console.html: is none")
        self.cpu.parsers["subunit"] = TooLargeError("x.subunit: too large")
        message = self.failure(TooLargeError).message
        self.assertIn("console.html: is none", message)
        self.assertIn("x.subunit: too large", message)

    def test_the_scrape_fails_as_its_gravest_file(self):
        """That nothing is there would not be true: a later try may find it."""
        self.cpu.parsers["console"] = TooLargeError("console.html: took more memory than it may")
        self.cpu.parsers["subunit"] = WorkerDiedError("x.subunit: its parser was killed")
        error = self.failure(WorkerDiedError)
        self.assertEqual(str(error), error.message)
        self.assertIn("x.subunit: its parser was killed; console.html: took more", error.message)

    def test_what_another_server_answered_keeps_its_status(self):
        self.listing.paths = (CONSOLE, STREAM)
        for path in self.listing.paths:
            self.fetcher.bodies[ROOT + path] = UpstreamStatusError(f"{path}: 503", 503)
        error = self.failure(UpstreamStatusError)
        self.assertEqual(error.status, 503)

    def test_a_single_failure_keeps_its_code(self):
        self.listing.paths = (STREAM,)
        self.cpu.parsers["subunit"] = TooLargeError("x.subunit: too large")
        self.failure(TooLargeError)

    def test_primary_files_that_give_nothing(self):
        self.listing.paths = (CONSOLE, DSTAT)
        self.cpu.parsers["console"] = lambda _request: ParseResult(warnings=("console.html is empty",))
        self.assertIn("console.html is empty", self.failure(NoArtifactsError).message)

    def test_a_defect_in_a_part_is_logged_and_costs_that_part(self):
        self.cpu.parsers["dstat"] = RuntimeError("secret")
        outcome = self.outcome()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertIn(DSTAT, outcome.warnings[0])
        self.assertNotIn("secret", outcome.warnings[0])

    def test_listing_fails(self):
        self.listing.answer = UpstreamStatusError("logs.example answered 500", 500)
        self.failure(UpstreamStatusError)

    def test_a_store_that_fails_fails_the_task(self):
        self.blobs.failing = StoreError("disk full")
        self.failure(StoreError)

    def test_a_parser_cannot_have_other_files_stored(self):
        victim = Path(self.mktemp())
        victim.write_text("precious")

        def thief(request):
            result = console(request)
            return evolve(result, artifacts=(evolve(result.artifacts[0], path=str(victim.resolve())),))

        def index_thief(request):
            result = subunit(request)
            return evolve(
                result, artifacts=(evolve(result.artifacts[0], blocks_path=request.out_dir + "/../x"),)
            )

        self.cpu.parsers.update(console=thief, subunit=index_thief)
        self.failure(ParseError)
        self.assertEqual(victim.read_text(), "precious")

    def test_number_of_artifacts_on_both_sides(self):
        def many(count):
            def parse(request):
                one = console(request).artifacts[0]
                paths = [Path(request.out_dir, str(n)) for n in range(count)]
                for path in paths:
                    path.write_bytes(path.name.encode())
                return ParseResult(artifacts=tuple(evolve(one, path=str(path)) for path in paths))

            return parse

        self.listing.paths = (CONSOLE,)
        self.cpu.parsers["console"] = many(MAX_ARTIFACTS)
        self.assertEqual(len(self.outcome().artifacts), MAX_ARTIFACTS)
        self.cpu.parsers["console"] = many(MAX_ARTIFACTS + 1)
        self.failure(ParseError)


class BoundTests(PipelineTestCase):
    def streams(self, count):
        self.listing.paths = tuple(f"{n}/testrepository.subunit" for n in range(count))
        self.fetcher.bodies = {ROOT + path: b"x" for path in self.listing.paths}

    def test_many_failures_are_told_in_few_words(self):
        self.patch(pipeline, "MAX_NAMED", 4)
        self.streams(6)
        self.cpu.parsers["subunit"] = lambda request: ParseError("it is none")
        message = self.failure(ParseError).message
        self.assertTrue(message.endswith("; and 2 more"), message)
        self.assertEqual(message.count("it is none"), 4)

    def test_pieces_at_once(self):
        self.streams(AT_ONCE + 2)
        held = [Deferred() for _ in range(AT_ONCE + 2)]
        parse = iter(held)
        self.cpu.parsers["subunit"] = lambda _request: next(parse)
        self.limits = evolve(self.limits, total_bytes=100 * 100)
        d = self.start()
        self.assertEqual(len(self.cpu.requests), AT_ONCE)
        held[0].callback(ParseResult())
        self.assertEqual(len(self.cpu.requests), AT_ONCE + 1)
        for one in held[1:]:
            one.callback(ParseResult())
        self.failureResultOf(d, NoArtifactsError)

    def test_total_is_shared_and_unused_shares_come_back(self):
        self.streams(8)
        self.cpu.parsers["subunit"] = lambda request: subunit(request, decoded=40)
        outcome = self.outcome()
        self.assertEqual(len(outcome.artifacts), 8)
        # 400 bytes in all: after seven times 40 the last may have 120, hence its own limit
        self.assertEqual({request.max_bytes for request in self.cpu.requests}, {100})

    def test_total_used_up(self):
        self.streams(6)
        self.cpu.parsers["subunit"] = lambda request: subunit(request, decoded=request.max_bytes)
        self.limits = evolve(self.limits, total_bytes=350)
        outcome = self.outcome()
        self.assertEqual([request.max_bytes for request in self.cpu.requests], [100, 100, 100, 50])
        self.assertEqual(len(outcome.artifacts), 4)
        self.assertEqual(len(outcome.warnings), 1)
        self.assertIn("350 bytes", outcome.warnings[0])

    def test_files_that_are_given_up_count_whole(self):
        self.streams(6)
        self.cpu.parsers["subunit"] = lambda request: TooLargeError(request.inputs[0].name)
        self.assertIn("400 bytes", self.failure(TooLargeError).message)
        self.assertEqual(len(self.cpu.requests), 4)

    def test_task_deadline(self):
        self.cpu.parsers["subunit"] = Deferred()
        d = self.start()
        self.clock.advance(49.9)
        self.assertNoResult(d)
        self.clock.advance(0.1)
        self.assertIn("50 s", self.failureResultOf(d, TaskTimeoutError).value.message)
        self.clean()

    def test_a_parser_gets_less_than_the_time_that_is_left(self):
        self.fetcher.bodies[ROOT + STREAM] = body = Deferred()
        d = self.start()
        self.clock.advance(10)
        body.callback(b"x")
        self.assertEqual(self.cpu.timeouts[-1], 32.0)
        self.successResultOf(d)

    def test_deadline_while_listing(self):
        self.listing.answer = Deferred()
        d = self.start()
        self.clock.advance(50)
        self.failureResultOf(d, TaskTimeoutError)
        self.clean()

    def test_fetch_deadline_is_the_files_alone(self):
        self.fetcher.bodies[ROOT + DSTAT] = UpstreamTimeoutError("logs.example took longer than 7 s")
        self.assertEqual(self.outcome().warnings, ("logs.example took longer than 7 s",))


class CancelTests(PipelineTestCase):
    def test_at_every_wait(self):
        """Wherever it waits, cancelling ends that wait, the siblings and the scratch directory."""
        waits = {
            "listing": lambda held: setattr(self.listing, "answer", held),
            "fetch": lambda held: self.fetcher.bodies.__setitem__(ROOT + STREAM, held),
            "parse": lambda held: self.cpu.parsers.__setitem__("subunit", held),
            "store": lambda held: setattr(self.blobs, "failing", held),
        }
        for name, block in waits.items():
            self.setUp()
            cancelled = []
            block(Deferred(lambda _, name=name, cancelled=cancelled: cancelled.append(name)))
            d = self.start()
            self.assertNoResult(d)
            d.cancel()
            self.failureResultOf(d, CancelledError)
            self.assertEqual(set(cancelled), {name})
            self.clean()

    def test_a_failing_sibling_cancels_the_others(self):
        cancelled = []
        self.cpu.parsers["subunit"] = Deferred(lambda _: cancelled.append("subunit"))
        self.blobs.failing = StoreError("disk full")
        self.failure(StoreError)
        self.assertEqual(cancelled, ["subunit"])
