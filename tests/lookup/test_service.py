# SPDX-License-Identifier: Apache-2.0
import json
from collections.abc import Coroutine
from typing import Any

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import (
    HostNotAllowedError,
    NotFoundError,
    QueryNotUnderstoodError,
    StackvizError,
    UpstreamInvalidError,
    UpstreamStatusError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
    WorkerDiedError,
)
from stackviz_deployer.interfaces import Lookup
from stackviz_deployer.lookup.results import MAX_OLDER
from stackviz_deployer.lookup.service import BESIDE_SECONDS, DESCRIBE_SECONDS, FIND_SECONDS, LookupService
from stackviz_deployer.lookup.sources import (
    KEEP_SECONDS,
    KEEP_TENANTS_SECONDS,
    MAX_ASKED_BUILDS,
    MAX_TENANTS,
)
from stackviz_deployer.lookup.zuul import MAX_LISTED
from stackviz_deployer.model import Answer, Job
from stackviz_deployer.settings import GerritServer, Limits, ZuulServer
from tests.fake_gerrit import JENKINS, README_CHANGES, change, jenkins_comment, log_url, message
from tests.lookup.fakes import DirectCpu, FakeFetcher, Scratches

OPENDEV = GerritServer(url="https://review.opendev.org/", aliases=("review.openstack.org",))
OTHER = GerritServer(url="https://gerrit.example.org/r/")
BASE = f"{OPENDEV.url}changes/"
OTHER_BASE = f"{OTHER.url}changes/"
SAMPLE = Job(url="sample:gate-x/", name="gate-x", status="FAILURE", pipeline="check")
GATE_URL = "http://logs.openstack.org/26/271726/2/gate/gate-stackviz-python27/937cf7b/"


def body(entry: dict[str, Any]) -> bytes:
    return b")]}'\n" + json.dumps(entry).encode()


class LookupTestCase(SynchronousTestCase):
    gerrits: tuple[GerritServer, ...] = (OPENDEV,)
    zuuls: tuple[ZuulServer, ...] = ()

    def setUp(self) -> None:
        self.clock = Clock()
        self.fetcher = FakeFetcher("logs.openstack.org", "swift.example.org")
        self.cpu = DirectCpu()
        self.scratches = Scratches()
        self.lookup = self.make_lookup(self.zuuls)
        for entry in README_CHANGES:
            self.fetcher.answers[f"{BASE}{entry['_number']}"] = body(entry)
        self.addCleanup(lambda: self.assertEqual(self.scratches.open, 0))

    def make_lookup(self, zuuls: tuple[ZuulServer, ...]) -> Lookup:
        return LookupService(
            fetcher=self.fetcher,
            cpu=self.cpu,
            gerrits=self.gerrits,
            zuuls=zuuls,
            samples=(SAMPLE,),
            limits=Limits(),
            clock=self.clock,
            scratch=self.scratches,
        )

    def serve(self, *messages: dict[str, Any], number: int = 5, patchset: int = 3) -> None:
        self.fetcher.answers[f"{BASE}{number}"] = body(change(number, "a/b", "A change", patchset, messages))

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(coroutine)

    def find(self, q: str) -> Answer:
        return self.successResultOf(self.start(self.lookup.find(q)))

    def fails(self, q: str, kind: type[StackvizError]) -> str:
        return self.failureResultOf(self.start(self.lookup.find(q)), kind).value.message

    def describe(self, url: str) -> Job:
        return self.successResultOf(self.start(self.lookup.describe(url)))


class ChangeTests(LookupTestCase):
    def test_readme_change(self) -> None:
        answer = self.find("271726")
        self.assertEqual(
            [(job.pipeline, job.name, job.revision) for job in answer.results],
            [
                (pipeline, f"gate-stackviz-{name}", 2)
                for pipeline in ("check", "gate")
                for name in ("pep8", "python27", "python34")
            ],
        )
        expected = {
            "change_id": 271726,
            "change_project": "openstack/stackviz",
            "change_subject": "Add nprogress progress bars to timeline and test-details.",
            "ci_username": "jenkins",
            "name": "gate-stackviz-pep8",
            "pipeline": "check",
            "revision": 2,
            "status": "SUCCESS",
            "url": "http://logs.openstack.org/26/271726/2/check/gate-stackviz-pep8/7c374a7/",
        }
        entry = answer.results[0].to_json()
        self.assertEqual({key: entry[key] for key in expected}, expected)
        self.assertEqual(entry["gerrit"], "review.opendev.org")
        self.assertEqual(entry["change_url"], "https://review.opendev.org/c/openstack/stackviz/+/271726/2")
        self.assertEqual((answer.message, answer.warnings), (None, ()))

    def test_readme_revision_and_url(self) -> None:
        self.assertEqual({job.revision for job in self.find("271726,1").results}, {1})
        by_url = self.find("https://review.openstack.org/#/c/271726/")
        self.assertEqual(by_url, self.find("271726"))

    def test_readme_third_of_269624(self) -> None:
        """Its newest patchset has no results: the one before counts."""
        job = self.find("269624").results[2]
        self.assertEqual(
            job.url, "http://logs.openstack.org/24/269624/19/check/gate-tempest-dsvm-full/84f9b4a/"
        )
        self.assertEqual((job.revision, job.status), (19, "SUCCESS"))

    def test_rechecks(self) -> None:
        job = self.find("269624").results[2]
        (older,) = job.builds
        self.assertEqual(
            older.url, "http://logs.openstack.org/24/269624/19/check/gate-tempest-dsvm-full/5ca1ab1/"
        )
        self.assertEqual((older.status, older.duration), ("FAILURE", "1h 11m 40s"))
        assert older.finished_ms is not None
        assert job.finished_ms is not None
        self.assertLess(older.finished_ms, job.finished_ms)

    def test_order(self) -> None:
        self.serve(
            *(
                jenkins_comment(
                    5,
                    3,
                    pipeline,
                    f"2016-01-0{n} 00:00:00",
                    [(name, f"{n}234567", "SUCCESS in 2s") for name in names],
                )
                for n, (pipeline, names) in enumerate(
                    [
                        ("post", ["p"]),
                        ("gate", ["b"]),
                        ("check", ["py310", "py27", "A", "b"]),
                        ("check-arm64", ["c"]),
                    ],
                    1,
                )
            )
        )
        self.assertEqual(
            [(job.pipeline, job.name) for job in self.find("5").results],
            [
                ("check", "A"), ("check", "b"), ("check", "py27"), ("check", "py310"), ("gate", "b"),
                ("check-arm64", "c"), ("post", "p"),
            ],
        )  # fmt: skip

    def test_each_ci_has_entries_of_its_own(self) -> None:
        answer = self.find("948311")
        self.assertEqual(
            [(job.ci_username, job.pipeline, job.name) for job in answer.results],
            [
                ("acme-ci", "check", "acme-tempest"),
                ("zuul", "check", "nova-next"),
                ("zuul", "check", "openstack-tox-pep8"),
                ("zuul", "check-arm64", "openstack-tox-arm64"),
            ],
        )
        acme, nova, _, arm = answer.results
        self.assertEqual({job.url for job in answer.results}, {None})
        self.assertIn("logs.acme.invalid is not in log_hosts", str(acme.reason))
        self.assertIn("RETRY_LIMIT: Host unreachable", str(nova.reason))
        self.assertIn("https://zuul.opendev.org/t/openstack/build/", str(nova.reason))
        self.assertIs(arm.voting, False)

    def test_pipeline_and_patchset_of_the_log_address(self) -> None:
        """Jenkins's comments of 2014, on a server that does not say the revision either."""
        address = log_url(5, 2, "gate", "j", "7c374a7")
        text = f"Build succeeded.\n\n- j {address} : SUCCESS in 2s\n- k k : LOST\n"
        self.serve(message(JENKINS, "2014-01-01 00:00:00", text, None))
        (job,) = self.find("5").results
        self.assertEqual((job.pipeline, job.revision, job.url), ("gate", 2, f"{address}/"))

    def test_builds_of_nobody_knows_which_patchset(self) -> None:
        self.serve(message(JENKINS, "2014-01-01 00:00:00", "Build succeeded.\n\n- k k : LOST\n", None))
        (job,) = self.find("5").results
        self.assertEqual((job.name, job.pipeline, job.revision, job.url), ("k", None, None, None))

    def test_nothing_yet(self) -> None:
        answer = self.find("300001")
        self.assertEqual(answer.results, ())
        self.assertEqual(answer.message, "Change 300001 on review.opendev.org has no CI results yet.")

    def test_patchset_without_results(self) -> None:
        answer = self.find("269624,20")
        self.assertEqual(answer.results, ())
        self.assertIn("these patchsets have: 19", str(answer.message))

    def test_no_such_patchset(self) -> None:
        self.assertIn("has no patchset 3; its newest is 2", self.fails("271726,3", NotFoundError))

    def test_no_such_change(self) -> None:
        self.assertIn("review.opendev.org has no change 1,", self.fails("1", NotFoundError))

    def test_project_of_the_url_is_asked_first(self) -> None:
        exact = f"{BASE}openstack%2Fstackviz~271726"
        self.fetcher.answers[exact] = self.fetcher.answers[f"{BASE}271726"]
        self.find("https://review.opendev.org/c/openstack/stackviz/+/271726")
        self.assertEqual(self.fetcher.asked, [exact])

    def test_renamed_project(self) -> None:
        answer = self.find("https://review.opendev.org/c/old/name/+/271726")
        self.assertEqual(self.fetcher.asked, [f"{BASE}old%2Fname~271726", f"{BASE}271726"])
        self.assertEqual(len(answer.results), 6)

    def test_project_cannot_reach_elsewhere(self) -> None:
        self.fails("https://review.opendev.org/c/../../x?y/+/1", QueryNotUnderstoodError)
        self.fails("https://review.opendev.org/c/..%2F..%2Fa%2Faccounts%3Fx/+/1", NotFoundError)
        self.assertEqual(self.fetcher.asked[0], f"{BASE}..%2F..%2Fa%2Faccounts%3Fx~1")

    def test_not_understood(self) -> None:
        self.assertIn("Accepted:", self.fails("what?", QueryNotUnderstoodError))
        self.assertIn(
            "gerrit.unknown.org", self.fails("https://gerrit.unknown.org/c/a/+/1", HostNotAllowedError)
        )
        self.assertEqual(self.fetcher.asked, [])

    def test_very_many_results(self) -> None:
        jobs = [(f"j{n}", f"{n:07x}", "SUCCESS in 2s") for n in range(2000)]
        self.serve(*(jenkins_comment(5, 3, "check", f"2016-01-0{n} 00:00:00", jobs) for n in (1, 2)))
        d = self.start(self.lookup.find("5"))
        self.assertNoResult(d)  # others have their turn meanwhile
        self.clock.pump([0] * 20)
        answer = self.successResultOf(d)
        self.assertEqual(len(answer.results), 2000)
        self.assertIn("oldest were left out", answer.warnings[0])

    def test_very_many_rechecks(self) -> None:
        job = [("j", "abcdef0", "SUCCESS in 2s")]
        self.serve(*(jenkins_comment(5, 3, "check", f"2016-01-01 00:{n:02}:00", job) for n in range(60)))
        (entry,) = self.find("5").results
        self.assertEqual(len(entry.builds), MAX_OLDER)


class TroubleTests(LookupTestCase):
    def test_errors_of_the_way(self) -> None:
        for error in [
            UpstreamUnreachableError("review.opendev.org cannot be reached"),
            UpstreamStatusError("review.opendev.org answered 503", 503),
            UpstreamTimeoutError("review.opendev.org took too long"),
        ]:
            self.fetcher.answers[f"{BASE}7"] = error
            self.assertEqual(self.fails("7", type(error)), error.message)

    def test_nonsense(self) -> None:
        for answer in [b"<html>Sign in</html>", b"", b")]}'\n[]"]:
            self.fetcher.answers[f"{BASE}7"] = answer
            self.assertIn("review.opendev.org", self.fails("7", UpstreamInvalidError))

    def test_worker_died(self) -> None:
        self.cpu.trouble = WorkerDiedError("killed")
        self.assertIn("review.opendev.org", self.fails("271726", UpstreamInvalidError))

    def test_slow(self) -> None:
        self.fetcher.answers[f"{BASE}7"] = Deferred()
        d = self.start(self.lookup.find("7"))
        self.clock.advance(FIND_SECONDS - 0.01)
        self.assertNoResult(d)
        self.assertEqual(self.scratches.open, 1)
        self.clock.advance(0.01)
        error = self.failureResultOf(d, UpstreamTimeoutError).value
        self.assertIn("review.opendev.org did not answer within 20 seconds", error.message)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        self.fetcher.answers[f"{BASE}7"] = Deferred()
        d = self.start(self.lookup.find("7"))
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual(self.scratches.open, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_gerrit(self) -> None:
        lookup = LookupService(
            fetcher=self.fetcher, cpu=self.cpu, gerrits=(), samples=(), limits=Limits(), clock=self.clock,
            scratch=self.scratches,
        )  # fmt: skip
        self.failureResultOf(self.start(lookup.find("5")), NotFoundError)
        self.assertEqual(self.successResultOf(self.start(lookup.describe(GATE_URL))).pipeline, "gate")
        self.assertEqual(self.successResultOf(self.start(lookup.find("sample"))), Answer())


class SharingTests(LookupTestCase):
    def test_recent_answers_are_kept(self) -> None:
        self.find("271726")
        self.clock.advance(KEEP_SECONDS - 1)
        self.find("271726,1")
        self.assertEqual(len(self.fetcher.asked), 1)
        self.clock.advance(1)
        self.find("271726")
        self.assertEqual(len(self.fetcher.asked), 2)

    def test_requests_in_flight_are_shared(self) -> None:
        pending: Deferred[bytes] = Deferred()
        self.fetcher.answers[f"{BASE}7"] = pending
        first, second = (self.start(self.lookup.find(q)) for q in ("7", "7,1"))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        pending.callback(body(change(7, "a/b", "s", 1, [])))
        self.assertEqual(len(self.fetcher.asked), 1)
        self.assertIn("Patchset 1", self.successResultOf(second).message)

    def test_a_failure_is_asked_again(self) -> None:
        self.fails("7", NotFoundError)
        self.serve(number=7)
        self.find("7")


class LogUrlTests(LookupTestCase):
    def test_readme_log_url(self) -> None:
        (job,) = self.find(GATE_URL).results
        expected = {
            "change_id": 271726,
            "change_project": "openstack/stackviz",
            "change_subject": "Add nprogress progress bars to timeline and test-details.",
            "ci_username": "jenkins",  # null in 2016, which did not look for the comment
            "name": "gate-stackviz-python27",
            "pipeline": "gate",
            "revision": 2,
            "status": "SUCCESS",
            "url": GATE_URL,
        }
        self.assertEqual({key: job.to_json()[key] for key in expected}, expected)

    def test_same_as_the_entry_of_the_list(self) -> None:
        for job in self.find("271726").results:
            assert job.url is not None
            self.assertEqual(self.describe(job.url), evolve(job, builds=()))
        self.assertEqual(len(self.fetcher.asked), 1)

    def test_older_build(self) -> None:
        job = self.find(
            "http://logs.openstack.org/24/269624/19/check/gate-tempest-dsvm-full/5ca1ab1"
        ).results[0]
        self.assertEqual((job.status, job.ci_username), ("FAILURE", "jenkins"))

    def test_on_another_server(self) -> None:
        job = self.describe(
            "http://swift.example.org/v1/26/271726/2/gate/gate-stackviz-python27/937cf7b/console.html"
        )
        self.assertEqual(
            job.url, "http://swift.example.org/v1/26/271726/2/gate/gate-stackviz-python27/937cf7b/"
        )
        self.assertEqual(job.status, "SUCCESS")

    def test_build_that_gerrit_does_not_tell_of(self) -> None:
        job = self.describe("http://logs.openstack.org/26/271726/2/experimental/x/0000000/")
        self.assertEqual((job.status, job.ci_username, job.pipeline), (None, None, "experimental"))
        self.assertEqual(job.change_project, "openstack/stackviz")

    def test_not_of_a_change(self) -> None:
        job = self.describe("http://logs.openstack.org/periodic/periodic-x/abcdef0/")
        self.assertEqual((job.pipeline, job.name, job.change_id), ("periodic", "periodic-x", None))
        self.assertEqual(
            self.describe("http://swift.example.org/some/job").url, "http://swift.example.org/some/job/"
        )
        self.assertEqual(self.fetcher.asked, [])

    def test_no_such_change(self) -> None:
        answer = self.find("http://logs.openstack.org/01/1/1/check/x/abcdef0/")
        self.assertEqual((answer.results[0].change_id, answer.warnings), (1, ()))

    def test_gerrit_is_down(self) -> None:
        self.fetcher.answers[f"{BASE}271726"] = UpstreamUnreachableError("review.opendev.org is down")
        answer = self.find(GATE_URL)
        self.assertEqual(answer.warnings, ("review.opendev.org is down",))
        expected = Job(
            url=GATE_URL, name="gate-stackviz-python27", pipeline="gate", change_id=271726, revision=2
        )
        self.assertEqual(answer.results, (expected,))
        self.assertEqual(self.describe(GATE_URL), expected)

    def test_gerrit_is_slow(self) -> None:
        self.fetcher.answers[f"{BASE}271726"] = Deferred()
        d = self.start(self.lookup.describe(GATE_URL))
        self.clock.advance(DESCRIBE_SECONDS)
        self.assertEqual(self.successResultOf(d).status, None)
        self.assertEqual(self.scratches.open, 0)

    def test_a_mistake_of_ours_fails_no_scrape(self) -> None:
        self.cpu.trouble = ZeroDivisionError()
        self.assertEqual(self.describe(GATE_URL).name, "gate-stackviz-python27")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_cancelled(self) -> None:
        self.fetcher.answers[f"{BASE}271726"] = Deferred()
        d = self.start(self.lookup.describe(GATE_URL))
        d.cancel()
        self.failureResultOf(d, CancelledError)

    def test_refused(self) -> None:
        for url, kind in [
            ("http://elsewhere.example.org/x/", HostNotAllowedError),
            ("http://logs.openstack.org/../x/", QueryNotUnderstoodError),
            ("http://me:secret@logs.openstack.org/x/", QueryNotUnderstoodError),
        ]:
            self.failureResultOf(self.start(self.lookup.describe(url)), kind)
            self.fails(url, kind)
        self.assertEqual(self.fetcher.asked, [])

    def test_gerrit_trigger(self) -> None:
        """Its log addresses say nothing by themselves; the list of a moment ago does."""
        page = "https://jenkins.example.org/releng/job/lf-tox-verify/285/"
        root = "http://swift.example.org/releng/node-1/lf-tox-verify/285/"
        text = f"Patch Set 3: Verified+1\n\nBuild Successful \n\n{page} : SUCCESS\n\nLogs: {root[:-1]}"
        author = {"name": "jenkins-releng", "username": "jenkins"}
        self.serve(message(author, "2026-01-01 00:00:00", text, 3))
        (job,) = self.find("5").results
        self.assertEqual((job.url, job.name, job.change_subject), (root, "lf-tox-verify", "A change"))
        self.assertEqual(self.describe(root), job)
        self.clock.advance(KEEP_SECONDS)
        self.assertEqual(self.describe(root), Job(url=root, name="lf-tox-verify/285"))

    def test_sample(self) -> None:
        for q in ["sample", "sample:gate-x/", "sample:gate-x"]:
            self.assertEqual(self.find(q), Answer(results=(SAMPLE,)))
        self.assertEqual(self.describe("sample:gate-x"), SAMPLE)
        self.fails("sample:other/", NotFoundError)
        self.failureResultOf(self.start(self.lookup.describe("sample:../x/")), NotFoundError)


class ZuulTests(LookupTestCase):
    """Asking Zuul beside Gerrit; what comes of it is tested over HTTP (test_zuul_over_http.py)."""

    zuuls = (ZuulServer(url="https://zuul.example.org/", tenants=("a", "b")),)
    asked = "https://zuul.example.org/api/tenant/{}/builds?change={}&limit=500"
    builds = "https://zuul.example.org/api/tenant/{}/builds"

    def test_all_are_asked_at_once(self) -> None:
        for place in (f"{BASE}7", self.builds.format("a"), self.builds.format("b")):
            self.fetcher.answers[place] = Deferred()
        d = self.start(self.lookup.find("7"))
        self.assertEqual(self.fetcher.asked, [f"{BASE}7", self.builds.format("a"), self.builds.format("b")])
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_deadline_each(self) -> None:
        self.fetcher.answers[self.asked.format("a", 271726)] = Deferred()
        self.fetcher.answers[self.asked.format("b", 271726)] = b"[]"
        d = self.start(self.lookup.find("271726"))
        self.clock.advance(BESIDE_SECONDS - 0.01)
        self.assertNoResult(d)
        self.clock.advance(0.01)
        answer = self.successResultOf(d)
        self.assertEqual(len(answer.results), 6)
        self.assertEqual(answer.warnings, ("zuul.example.org did not answer within 8 seconds.",))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_tenants_take_of_the_deadline(self) -> None:
        self.lookup = self.make_lookup((ZuulServer(url="https://zuul.example.org/"),))
        listing: Deferred[bytes] = Deferred()
        self.fetcher.answers["https://zuul.example.org/api/tenants"] = listing
        self.fetcher.answers[self.asked.format("a", 271726)] = Deferred()
        d = self.start(self.lookup.find("271726"))
        self.clock.advance(BESIDE_SECONDS / 2)
        listing.callback(b'[{"name": "a"}]')
        self.clock.advance(BESIDE_SECONDS / 2 - 0.01)
        self.assertNoResult(d)
        self.clock.advance(0.02)
        self.assertEqual(len(self.successResultOf(d).results), 6)

    def test_a_scrape_waits_less(self) -> None:
        uuid = "d6b05d233d1b47a9b51694b4da905ab1"
        url = f"http://swift.example.org/a/{uuid}/"
        self.fetcher.answers[f"https://zuul.example.org/api/tenant/a/build/{uuid}"] = Deferred()
        d = self.start(self.lookup.describe(url))
        self.clock.advance(DESCRIBE_SECONDS)
        self.assertEqual(self.successResultOf(d), Job(url=url, name=uuid))
        self.assertEqual(self.scratches.open, 0)

    def test_tenants_are_asked_again_some_day(self) -> None:
        self.lookup = self.make_lookup((ZuulServer(url="https://zuul.example.org/"),))
        place = "https://zuul.example.org/api/tenants"
        self.fetcher.answers[place] = b"[]"
        for _ in range(2):
            self.find("271726")
        self.clock.advance(KEEP_TENANTS_SECONDS)
        self.find("271726")
        self.assertEqual(self.fetcher.asked.count(place), 2)

    def test_very_many_tenants(self) -> None:
        self.lookup = self.make_lookup((ZuulServer(url="https://zuul.example.org/"),))
        for count in (MAX_TENANTS, MAX_TENANTS + 1):
            tenants = [{"name": f"t{n}"} for n in range(count)]
            self.fetcher.answers["https://zuul.example.org/api/tenants"] = json.dumps(tenants).encode()
            self.fetcher.asked.clear()
            self.find("271726")
            self.assertEqual(len([url for url in self.fetcher.asked if "/tenant/" in url]), MAX_TENANTS)
            self.clock.advance(KEEP_TENANTS_SECONDS)

    def test_very_many_builds(self) -> None:
        tenants = [f"t{n}" for n in range(MAX_ASKED_BUILDS // MAX_LISTED + 1)]
        self.lookup = self.make_lookup((ZuulServer(url="https://zuul.example.org/", tenants=tuple(tenants)),))
        for more in (0, 1):
            for number, tenant in enumerate(tenants):
                count = (MAX_LISTED - 1) if number < len(tenants) - 1 else len(tenants) - 1 + more
                answer = [
                    {"job_name": "j", "uuid": f"{number:x}{n:031x}", "change": 300001, "result": "SUCCESS"}
                    for n in range(count)
                ]
                self.fetcher.answers[self.asked.format(tenant, 300001)] = json.dumps(answer).encode()
            answer = self.find("300001")
            self.assertEqual(len(answer.warnings), more, answer.warnings)
            self.clock.advance(KEEP_SECONDS)

    def test_a_mistake_of_ours_is_not_hidden(self) -> None:
        self.fetcher.answers[self.asked.format("a", 271726)] = b"[]"
        self.cpu.trouble = ZeroDivisionError()
        self.failureResultOf(self.start(self.lookup.find("271726")), ZeroDivisionError)


class SeveralGerritsTests(LookupTestCase):
    gerrits = (OPENDEV, OTHER)

    def other(self, number: int, *messages: dict[str, Any]) -> None:
        self.fetcher.answers[f"{OTHER_BASE}{number}"] = body(change(number, "c/d", "Other", 2, messages))

    def test_all_are_asked_at_once(self) -> None:
        self.fetcher.answers[f"{BASE}7"] = Deferred()
        self.fetcher.answers[f"{OTHER_BASE}7"] = Deferred()
        d = self.start(self.lookup.find("7"))
        self.assertEqual(self.fetcher.asked, [f"{BASE}7", f"{OTHER_BASE}7"])
        d.cancel()
        self.failureResultOf(d, CancelledError)

    def test_both_have_it(self) -> None:
        self.other(
            271726, jenkins_comment(271726, 1, "check", "2016-01-01 00:00:00", [("j", "0000001", "SUCCESS")])
        )
        answer = self.find("271726")
        self.assertEqual(
            [job.gerrit for job in answer.results], ["review.opendev.org"] * 6 + ["gerrit.example.org"]
        )
        self.assertEqual({job.revision for job in answer.results}, {1, 2})

    def test_a_url_asks_one(self) -> None:
        self.other(271726)
        answer = self.find("https://gerrit.example.org/r/c/271726")
        self.assertEqual(self.fetcher.asked, [f"{OTHER_BASE}271726"])
        self.assertEqual(answer.message, "Change 271726 on gerrit.example.org has no CI results yet.")

    def test_one_is_down(self) -> None:
        self.fetcher.answers[f"{OTHER_BASE}271726"] = UpstreamUnreachableError("gerrit.example.org is down")
        answer = self.find("271726")
        self.assertEqual((len(answer.results), answer.warnings), (6, ("gerrit.example.org is down",)))

    def test_one_is_slow(self) -> None:
        self.fetcher.answers[f"{OTHER_BASE}271726"] = Deferred()
        d = self.start(self.lookup.find("271726"))
        self.clock.advance(FIND_SECONDS)
        self.assertIn("gerrit.example.org", self.successResultOf(d).warnings[0])

    def test_absent_here_and_down_there_is_not_absent(self) -> None:
        self.fetcher.answers[f"{OTHER_BASE}7"] = UpstreamUnreachableError("gerrit.example.org is down")
        self.fails("7", UpstreamUnreachableError)

    def test_absent_everywhere(self) -> None:
        said = self.fails("7", NotFoundError)
        self.assertIn("review.opendev.org", said)
        self.assertIn("gerrit.example.org", said)

    def test_log_url_is_of_the_one_that_tells_of_it(self) -> None:
        self.other(271726)
        self.assertEqual(self.describe(GATE_URL).gerrit, "review.opendev.org")

    def test_log_url_that_neither_tells_of(self) -> None:
        self.other(271726)
        answer = self.find("http://logs.openstack.org/26/271726/2/experimental/x/0000000/")
        self.assertEqual(answer.results[0].change_subject, None)
        self.assertIn("review.opendev.org and gerrit.example.org", answer.warnings[0])
