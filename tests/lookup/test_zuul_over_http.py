# SPDX-License-Identifier: Apache-2.0
"""The look-up in Gerrits and Zuuls on loopback, with the real Fetcher."""

from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import TestCase

from stackviz_deployer.cpu import WorkerPool
from stackviz_deployer.errors import (
    HostNotAllowedError,
    NotFoundError,
    QueryNotUnderstoodError,
    StackvizError,
    UpstreamInvalidError,
    UpstreamStatusError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from stackviz_deployer.interfaces import CpuPool
from stackviz_deployer.lookup.service import MAX_CHANGES_ASKED, LookupService
from stackviz_deployer.lookup.zuul import MAX_LISTED
from stackviz_deployer.model import Answer, Job
from stackviz_deployer.net.fetch import HttpFetcher
from stackviz_deployer.settings import GerritServer, Limits, ZuulServer
from tests import fake_gerrit
from tests.fake_gerrit import JENKINS, README_CHANGES, ZUUL, FakeGerrit, change, message
from tests.fake_zuul import (
    ARM,
    NEXT,
    NOVA,
    PEP8,
    SHAPES,
    SWIFT,
    TENANTS,
    FakeZuul,
    build,
    listen,
    ref,
    running,
)
from tests.lookup.fakes import DirectCpu, Scratches

BUILDSET = "f495c3661ca346a198c80a01387d6ba4"
PEP8_ROOT = f"{SWIFT}/zuul_opendev_logs_012/openstack/{PEP8}/"
OPENDEV = ZuulServer(url="http://zuul.opendev.org/")
SHA = "0a1b2c3d4e" * 4


class ZuulTestCase(TestCase):
    timeout = 60
    hosts = ("storage.*.cloud.ovh.net", "*.ssl.cf*.rackcdn.com", "logs.openstack.org")
    zuuls: tuple[ZuulServer, ...] = (OPENDEV,)

    async def setUp(self) -> None:
        self.gerrit = FakeGerrit(README_CHANGES)
        self.zuul = FakeZuul(TENANTS)
        self.other = FakeZuul({}, base="/zuul/")
        self.ports = [fake_gerrit.listen(reactor, self.gerrit)]
        self.ports += [listen(reactor, zuul) for zuul in (self.zuul, self.other)]
        self.names = ("review.opendev.org", "zuul.opendev.org", "sf.example.org")
        self.cpu: CpuPool = DirectCpu()
        self.fetcher = HttpFetcher(
            reactor,
            allowed=[*self.hosts, *self.names],
            private_networks=["127.0.0.0/8"],
            resolve={
                name: f"127.0.0.1:{port.getHost().port}"
                for name, port in zip(self.names, self.ports, strict=True)
            },
        )
        self.scratches = Scratches()
        self.make_lookup()

    def make_lookup(self, *zuuls: ZuulServer, **deadlines: float) -> None:
        self.lookup = LookupService(
            fetcher=self.fetcher,
            cpu=self.cpu,
            gerrits=[GerritServer(url="http://review.opendev.org/", aliases=("review.openstack.org",))],
            zuuls=zuuls or self.zuuls,
            samples=(),
            limits=Limits(),
            clock=reactor,
            scratch=self.scratches,
            **deadlines,
        )

    async def tearDown(self) -> None:
        await self.fetcher.close()
        for port in self.ports:
            await maybeDeferred(port.stopListening)
        self.assertEqual(self.scratches.open, 0)

    async def stop(self, fake: FakeZuul | FakeGerrit) -> None:
        await self.ports[(self.gerrit, self.zuul, self.other).index(fake)].stopListening()

    async def fails(self, q: str, kind: type[StackvizError]) -> str:
        error: Any = await self.assertFailure(Deferred.fromCoroutine(self.lookup.find(q)), kind)
        return str(error.message)

    async def one(self, q: str) -> Job:
        answer = await self.lookup.find(q)
        (job,) = answer.results
        self.assertEqual(answer.warnings, ())
        return job

    def by_name(self, answer: Answer) -> dict[tuple[str | None, str], Job]:
        found = {(job.ci_username, job.name): job for job in answer.results}
        self.assertEqual(len(found), len(answer.results))
        return found


class WorkerTests(ZuulTestCase):
    async def test_a_real_parser_process(self) -> None:
        pool = WorkerPool(reactor, slots=1, memory_bytes=2 << 30)
        pool.startService()
        self.addCleanup(pool.stopService)
        self.cpu = pool
        self.make_lookup()
        self.assertEqual((await self.one(PEP8)).url, PEP8_ROOT)
        self.assertEqual(len((await self.lookup.find("948311")).results), 7)


class ChangeTests(ZuulTestCase):
    async def test_comments_and_zuul_are_one(self) -> None:
        answer = await self.lookup.find("948311")
        self.assertEqual(answer.warnings, ())
        found = self.by_name(answer)
        self.assertEqual(
            set(found),
            {
                ("acme-ci", "acme-tempest"),  # third party: only a comment tells of it
                ("zuul", "openstack-tox-pep8"),
                ("zuul", "openstack-tox-arm64"),
                ("zuul", "nova-next"),
                ("zuul", "tempest-full"),
                ("zuul", "nova-multinode"),
                ("zuul", "nova-skipped"),
            },
        )
        pep8 = found["zuul", "openstack-tox-pep8"]
        self.assertEqual(
            pep8,
            Job(
                url=PEP8_ROOT,
                name="openstack-tox-pep8",
                status="SUCCESS",
                pipeline="check",
                ci_username="zuul",
                change_id=948311,
                revision=8,
                change_project="openstack/nova",
                change_subject="libvirt: say why",
                change_url="http://review.opendev.org/c/openstack/nova/+/948311/8",
                gerrit="review.opendev.org",
                voting=True,
                duration="6m 05s",
                finished_ms=1746007565000,
                manifest_url=f"{PEP8_ROOT}zuul-manifest.json",
            ),
        )
        self.assertEqual(found["zuul", "openstack-tox-arm64"].pipeline, "check-arm64")
        self.assertIs(found["zuul", "openstack-tox-arm64"].voting, False)

    async def test_retries_are_older_builds(self) -> None:
        job = self.by_name(await self.lookup.find("948311,8"))["zuul", "nova-next"]
        self.assertEqual((job.status, job.url), ("RETRY_LIMIT", None))
        self.assertEqual(job.reason, "Zuul knows of no logs of this build. RETRY_LIMIT: Host unreachable")
        self.assertEqual([older.status for older in job.builds], ["RETRY", "RETRY"])
        self.assertEqual(
            [older.url for older in job.builds],
            [f"{SWIFT}/zuul_opendev_logs_{n * 3}/openstack/{n * 32}/" for n in "21"],
        )

    async def test_a_recheck_that_runs(self) -> None:
        job = self.by_name(await self.lookup.find("948311"))["zuul", "tempest-full"]
        self.assertEqual((job.status, job.url, job.reason), (None, None, "The build is still running."))
        (older,) = job.builds
        self.assertEqual((older.status, older.duration), ("FAILURE", "1h 12m 03s"))
        self.assertIsNotNone(older.url)

    async def test_without_logs(self) -> None:
        found = self.by_name(await self.lookup.find("948311"))
        self.assertIn("skipped", str(found["zuul", "nova-skipped"].reason))
        failure = found["zuul", "nova-multinode"]
        self.assertIn("no machine", str(failure.reason))
        self.assertIn("Node(set) request 300 failed", str(failure.reason))

    async def test_a_skipped_job_is_listed_once(self) -> None:
        """Its line in the comment has an address, its record has no UUID."""
        self.gerrit.changes[5] = change(
            5, "a/b", "s", 1,
            [
                message(
                    ZUUL, "2026-01-01 00:00:00",
                    "Patch Set 1:\n\nBuild failed (check pipeline).\n\n"
                    f"- j http://zuul.opendev.org/t/openstack/build/{'7' * 32} : SKIPPED\n"
                    "- k k : SKIPPED\n",
                    1, "autogenerated:zuul:check",
                )
            ],
        )  # fmt: skip
        of = ref("a/b", 5, 1)
        for name in "jk":
            self.zuul.tenants["openstack"].append(build(of, name, None, "SKIPPED", log_url=None))
        answer = await self.lookup.find("5")
        self.assertEqual([(job.name, job.builds) for job in answer.results], [("j", ()), ("k", ())])

    async def test_log_addresses_of_2018(self) -> None:
        """Comments named the logs themselves; Zuul knows the same builds by their whole UUIDs."""
        root = "http://logs.openstack.org/05/5/1/check/j/abcdef0/"
        self.gerrit.changes[5] = change(
            5, "a/b", "s", 1,
            [message(ZUUL, "2018-01-01 00:00:00", f"Build succeeded (check).\n\n- j {root} : SUCCESS", 1)],
        )  # fmt: skip
        self.zuul.tenants["openstack"].append(
            build(ref("a/b", 5, 1), "j", "abcdef0" + "1" * 25, log_url=root, manifest=False)
        )
        (job,) = (await self.lookup.find("5")).results
        self.assertEqual((job.url, job.builds, job.manifest_url), (root, (), None))

    async def test_log_addresses_of_other_forms(self) -> None:
        """A third party that lays out its logs in its own way, and whose Zuul is asked, too."""
        root = f"{SWIFT}/our-ci/change-5/run-1/"
        self.gerrit.changes[5] = change(
            5, "a/b", "s", 1,
            [message(ZUUL, "2026-01-01 00:00:00", f"Build succeeded (check).\n\n- j {root} : SUCCESS", 1)],
        )  # fmt: skip
        self.zuul.tenants["zuul"].append(build(ref("a/b", 5, 1), "j", "9" * 32, log_url=root[:-1]))
        (job,) = (await self.lookup.find("5")).results
        self.assertEqual((job.url, job.builds), (root, ()))
        self.assertEqual(await self.lookup.describe(root), job)
        self.make_lookup()  # nothing was asked a moment ago
        self.assertEqual(await self.lookup.describe(root), Job(url=root, name="run-1"))

    async def test_changes_of_jenkins(self) -> None:
        before = await self.lookup.find("271726")
        self.assertEqual({job.ci_username for job in before.results}, {JENKINS["username"]})
        self.assertEqual((len(before.results), before.warnings), (6, ()))

    async def test_shapes(self) -> None:
        answers = []
        for shape in SHAPES:
            self.zuul.shape = shape
            self.make_lookup()
            answers.append(
                [
                    await self.lookup.find(q)
                    for q in ("948311", NEXT, BUILDSET, f"{SWIFT}/x/openstack/{PEP8}/")
                ]
            )
        self.assertEqual(*answers)

    async def test_patchset_travels(self) -> None:
        await self.lookup.find("948311,8")
        self.assertIn("/api/tenant/openstack/builds?change=948311&patchset=8&limit=500", self.zuul.asked)
        self.assertEqual(
            {uri.split("/")[3] for uri in self.zuul.asked if "builds" in uri},
            {"openstack", "opendev", "zuul"},
        )

    async def test_tenants_are_asked_for_once(self) -> None:
        await self.lookup.find("948311")
        await self.lookup.find("271726")
        self.assertEqual(self.zuul.asked.count("/api/tenants"), 1)

    async def test_configured_tenants(self) -> None:
        self.make_lookup(evolve(OPENDEV, tenants=("openstack",)))
        await self.lookup.find("948311")
        self.assertEqual(self.zuul.asked, ["/api/tenant/openstack/builds?change=948311&limit=500"])
        said = await self.fails(f"http://zuul.opendev.org/t/opendev/build/{PEP8}", NotFoundError)
        self.assertIn("zuul.opendev.org", said)
        self.assertEqual(len(self.zuul.asked), 1)

    async def test_unknown_tenant_of_the_configuration(self) -> None:
        self.make_lookup(evolve(OPENDEV, tenants=("openstack", "gone")))
        answer = await self.lookup.find("948311")
        self.assertEqual(len(answer.results), 7)
        self.assertEqual(answer.warnings, ("zuul.opendev.org (tenant gone) has no such tenant.",))

    async def test_only_zuul_has_results(self) -> None:
        self.zuul.tenants["opendev"] = [build(ref("openstack/stackviz", 300001, 1), "j", "9" * 32)]
        (job,) = (await self.lookup.find("300001")).results
        self.assertEqual((job.name, job.change_subject, job.ci_username), ("j", "Not tested yet", "zuul"))

    async def test_same_number_elsewhere(self) -> None:
        """A Zuul may test changes of a Gerrit that is not configured, and pull requests."""
        pull = {**ref("org/tool", 948311, None), "ref": "refs/pull/948311/head"}
        pull["ref_url"] = "https://github.example.org/org/tool/pull/948311"
        pull["patchset"] = SHA
        theirs = ref("x/y", 948311, 3, review="https://review.example.org")
        self.zuul.tenants["zuul"] = [build(theirs, "theirs", "8" * 32), build(pull, "pull", "9" * 32)]
        found = self.by_name(await self.lookup.find("948311"))
        job = found["zuul", "theirs"]
        self.assertEqual(
            (job.gerrit, job.change_project, job.revision, job.change_subject, job.change_url),
            ("review.example.org", "x/y", 3, None, "https://review.example.org/c/x/y/+/948311/3"),
        )
        job = found["zuul", "pull"]
        self.assertEqual(
            (job.gerrit, job.change_project, job.revision, job.change_url),
            (None, "org/tool", None, "https://github.example.org/org/tool/pull/948311"),
        )
        self.assertEqual(len(found), 9)
        here = await self.lookup.find("https://review.opendev.org/c/openstack/nova/+/948311")
        self.assertEqual({job.gerrit for job in here.results}, {"review.opendev.org"})

    async def test_hosts_that_are_not_allowed(self) -> None:
        self.zuul.tenants["opendev"] = [
            build(ref("a/b", 948311, 8), "elsewhere", "9" * 32, log_url="https://logs.example.org/x/"),
            build(NOVA, "inside", "8" * 32, log_url="http://169.254.169.254/latest/"),
            {
                **build(NOVA, "mixed", "6" * 32),
                "artifacts": [{"name": "m", "url": "http://evil/m", "metadata": {"type": "zuul_manifest"}}],
            },
        ]
        found = self.by_name(await self.lookup.find("948311"))
        for name, host in [("elsewhere", "logs.example.org"), ("inside", "169.254.169.254")]:
            job = found["zuul", name]
            self.assertEqual((job.url, job.manifest_url), (None, None))
            self.assertIn(host, str(job.reason))
        self.assertIsNotNone(found["zuul", "mixed"].url)
        self.assertIsNone(found["zuul", "mixed"].manifest_url)


class TroubleTests(ZuulTestCase):
    async def listed_by_comments(self) -> Answer:
        answer = await self.lookup.find("948311")
        self.assertEqual(
            {job.name for job in answer.results},
            {"acme-tempest", "nova-next", "openstack-tox-arm64", "openstack-tox-pep8"},
        )
        return answer

    async def test_zuul_is_down(self) -> None:
        await self.stop(self.zuul)
        (warning,) = (await self.listed_by_comments()).warnings
        self.assertIn("zuul.opendev.org", warning)

    async def test_zuul_is_slow_or_talks_nonsense(self) -> None:
        self.make_lookup(evolve(OPENDEV, tenants=("openstack",)), find_timeout_s=1.0)
        for mode in ("slow", "drip", "html", "garbage", "cut", "deep", "list", "503", "401"):
            self.zuul.mode = mode
            (warning,) = (await self.listed_by_comments()).warnings
            self.assertIn("zuul.opendev.org", warning, mode)

    async def test_tenants_cannot_be_read(self) -> None:
        for mode in ("html", "503"):
            self.zuul.mode = mode
            (warning,) = (await self.listed_by_comments()).warnings
            self.assertIn("zuul.opendev.org", warning)

    async def test_one_tenant_is_slow(self) -> None:
        self.make_lookup(find_timeout_s=1.0)
        self.zuul.slow_tenants = {"opendev"}
        answer = await self.lookup.find("948311")
        self.assertEqual(len(answer.results), 7)
        (warning,) = answer.warnings
        self.assertIn("zuul.opendev.org did not answer within", warning)

    async def test_gerrit_is_down(self) -> None:
        await self.stop(self.gerrit)
        answer = await self.lookup.find("948311")
        self.assertEqual(len(answer.results), 6)
        (warning,) = answer.warnings
        self.assertIn("review.opendev.org", warning)
        job = answer.results[0]
        self.assertEqual(
            (job.change_project, job.change_subject, job.gerrit),
            ("openstack/nova", None, "review.opendev.org"),
        )

    async def test_both_are_down(self) -> None:
        await self.stop(self.gerrit)
        await self.stop(self.zuul)
        message = await self.fails("948311", UpstreamUnreachableError)
        for host in ("review.opendev.org", "zuul.opendev.org"):
            self.assertIn(host, message)

    async def test_absent_and_zuul_is_down(self) -> None:
        await self.stop(self.zuul)
        said = await self.fails("1", NotFoundError)
        self.assertIn("review.opendev.org has no change 1", said)
        self.assertIn("zuul.opendev.org", said)

    async def test_a_build_that_cannot_be_asked_for(self) -> None:
        self.make_lookup(find_timeout_s=1.0)
        url = f"http://zuul.opendev.org/t/openstack/build/{PEP8}"
        for mode, kind in [
            ("slow", UpstreamTimeoutError),
            ("garbage", UpstreamInvalidError),
            ("list", UpstreamInvalidError),
            ("503", UpstreamStatusError),
        ]:
            self.zuul.mode = mode
            for q in (url, PEP8):
                self.assertIn("zuul.opendev.org", await self.fails(q, kind))

    async def test_facts_of_a_build_without_gerrit(self) -> None:
        await self.stop(self.gerrit)
        answer = await self.lookup.find(f"http://zuul.opendev.org/t/openstack/build/{PEP8}")
        self.assertEqual(answer.results[0].url, PEP8_ROOT)
        self.assertIn("review.opendev.org", answer.warnings[0])


class PageTests(ZuulTestCase):
    async def test_build(self) -> None:
        for q in [
            PEP8,
            f"http://zuul.opendev.org/t/openstack/build/{PEP8}",
            f"https://zuul.opendev.org/t/openstack/build/{PEP8}/log/controller/logs/x.txt#L12",
            f"zuul.opendev.org/t/openstack/stream/{PEP8}?logfile=console.log",
        ]:
            job = await self.one(q)
            self.assertEqual(
                (job.url, job.name, job.ci_username, job.change_subject, job.revision),
                (PEP8_ROOT, "openstack-tox-pep8", "zuul", "libvirt: say why", 8),
            )
        self.assertEqual(job, self.by_name(await self.lookup.find("948311"))["zuul", "openstack-tox-pep8"])

    async def test_buildset(self) -> None:
        for q in [BUILDSET, f"http://zuul.opendev.org/t/openstack/buildset/{BUILDSET}"]:
            answer = await self.lookup.find(q)
            self.assertEqual(
                [(job.name, job.status, len(job.builds)) for job in answer.results],
                [
                    ("nova-multinode", "NODE_FAILURE", 0),
                    ("nova-next", "RETRY_LIMIT", 2),
                    ("nova-skipped", "SKIPPED", 0),
                    ("openstack-tox-pep8", "SUCCESS", 0),
                    ("tempest-full", "FAILURE", 0),
                ],
            )
            self.assertEqual({job.pipeline for job in answer.results}, {"check"})
            self.assertEqual({job.change_subject for job in answer.results}, {"libvirt: say why"})

    async def test_running(self) -> None:
        job = await self.one("c" * 32)
        self.assertEqual((job.url, job.status), (None, None))

    async def test_status_of_a_change(self) -> None:
        answer = await self.lookup.find("http://zuul.opendev.org/t/openstack/status/change/948311,8")
        self.assertEqual(len(answer.results), 6)
        self.assertIn("/api/tenant/openstack/builds?change=948311&patchset=8&limit=500", self.zuul.asked)

    async def test_builds_of_a_page(self) -> None:
        page = "http://zuul.opendev.org/t/openstack"
        for rest, names in [
            ("/builds?job_name=nova-next", ["nova-next"]),
            ("/builds?job_name=nova-*&result=NODE_FAILURE", ["nova-multinode"]),
            ("/job/openstack-tox-pep8", ["openstack-tox-pep8"]),
            ("/status/pipeline/check-arm64", ["openstack-tox-arm64"]),
            ("/builds?branch=stable/*", []),
        ]:
            answer = await self.lookup.find(page + rest)
            self.assertEqual([job.name for job in answer.results], names, rest)
        self.assertEqual(answer.message, "Zuul has no builds there.")
        self.assertEqual(
            len((await self.lookup.find(f"{page}/project/opendev.org/openstack/nova")).results), 6
        )
        self.assertEqual(len((await self.lookup.find(f"{page}/status")).results), 6)

    async def test_many_changes_ask_no_gerrit(self) -> None:
        for count, asked in [(MAX_CHANGES_ASKED, MAX_CHANGES_ASKED), (MAX_CHANGES_ASKED + 1, 0)]:
            self.zuul.tenants["opendev"] = [
                build(ref("a/b", number, 1), "j", f"{number:032x}") for number in range(1, count + 1)
            ]
            self.gerrit.asked.clear()
            self.make_lookup()
            answer = await self.lookup.find("http://zuul.opendev.org/t/opendev/builds?job_name=j")
            self.assertEqual({job.change_id for job in answer.results}, set(range(1, count + 1)))
            self.assertEqual(
                len({path.rpartition("~")[2] for path in self.gerrit.asked if "~" in path}), asked
            )

    async def test_not_of_a_change(self) -> None:
        of = ref("openstack/nova", None, None, newrev=SHA)
        self.zuul.tenants["openstack"].append(build(of, "periodic-x", "9" * 32, pipeline="periodic"))
        job = await self.one("9" * 32)
        self.assertEqual(
            (job.change_id, job.change_project, job.gerrit, job.change_url, job.pipeline),
            (None, "openstack/nova", None, f"https://opendev.org/openstack/nova/commit/{SHA}", "periodic"),
        )

    async def test_absent(self) -> None:
        for q in ["9" * 32, f"http://zuul.opendev.org/t/openstack/build/{'9' * 32}"]:
            self.assertIn("zuul.opendev.org: there is no build", await self.fails(q, NotFoundError))
        self.assertIn(
            "no such tenant", await self.fails("http://zuul.opendev.org/t/x/builds?change=1", NotFoundError)
        )

    async def test_empty_buildset(self) -> None:
        self.zuul.tenants["openstack"] = [running(NOVA, "x", "1" * 32)]
        self.zuul.tenants["openstack"][0]["job_name"] = ""
        answer = await self.lookup.find(BUILDSET)
        self.assertEqual((answer.results, answer.message), ((), "Zuul has no builds there."))

    async def test_pages_are_scraped_by_their_build(self) -> None:
        """Whoever posts a page of Zuul to /api/scrape gets the build's logs, not the page."""
        job = await self.lookup.describe(f"http://zuul.opendev.org/t/openstack/build/{PEP8}/logs")
        self.assertEqual(job.url, PEP8_ROOT)
        for url, kind in [
            (f"http://zuul.opendev.org/t/openstack/build/{NEXT}", NotFoundError),
            (f"http://zuul.opendev.org/t/openstack/buildset/{BUILDSET}", QueryNotUnderstoodError),
        ]:
            await self.assertFailure(Deferred.fromCoroutine(self.lookup.describe(url)), kind)

    async def test_pages_are_never_scraped_themselves(self) -> None:
        await self.stop(self.zuul)
        url = f"http://zuul.opendev.org/t/openstack/build/{PEP8}"
        error: Any = await self.assertFailure(
            Deferred.fromCoroutine(self.lookup.describe(url)), NotFoundError
        )
        self.assertIn("zuul.opendev.org", error.message)

    async def test_very_many_builds(self) -> None:
        for tenant, digit in [("openstack", "1"), ("opendev", "2"), ("zuul", "3")]:
            self.zuul.tenants[tenant] = [
                build(NOVA, f"j{n % 3}", f"{digit}{n:031x}") for n in range(MAX_LISTED + 1)
            ]
        answer = await self.lookup.find("948311")
        self.assertEqual(sum(1 for job in answer.results if job.name.startswith("j")), 3)
        self.assertIn("zuul.opendev.org (tenant openstack) was asked for the newest 500", answer.warnings[0])

    async def test_no_zuul_is_configured(self) -> None:
        self.zuuls = ()
        self.make_lookup()
        await self.fails(PEP8, NotFoundError)
        await self.fails(f"https://zuul.opendev.org/t/openstack/build/{PEP8}", HostNotAllowedError)


class OtherZuulsTests(ZuulTestCase):
    """White-label and below a path."""

    async def setUp(self) -> None:
        await super().setUp()
        self.other.tenants = {"local": [build(ref("sf/config", 77, 1), "sf-tox", "5" * 32)]}
        self.white = ZuulServer(url="http://sf.example.org/zuul/", white_label=True)
        self.below = ZuulServer(url="http://sf.example.org/zuul/")

    async def test_sub_path(self) -> None:
        self.make_lookup(OPENDEV, self.below)
        job = await self.one(f"https://sf.example.org/zuul/t/local/build/{'5' * 32}")
        self.assertEqual(job.name, "sf-tox")
        self.assertEqual(self.other.asked, [f"/zuul/api/tenant/local/build/{'5' * 32}"])
        self.assertEqual(self.zuul.asked, [])

    async def test_white_label(self) -> None:
        self.other.white_label = "local"
        self.make_lookup(OPENDEV, self.white)
        for q in [f"https://sf.example.org/zuul/build/{'5' * 32}/console", "5" * 32]:
            self.assertEqual((await self.one(q)).name, "sf-tox")
        self.assertEqual(self.other.asked[0], f"/zuul/api/build/{'5' * 32}")
        self.assertEqual((await self.lookup.find("77")).results[0].name, "sf-tox")
        self.assertIn("/zuul/api/builds?change=77&limit=500", self.other.asked)

    async def test_two_doors_of_one_zuul(self) -> None:
        self.other.tenants = TENANTS
        self.other.white_label = "openstack"
        self.make_lookup(OPENDEV, self.white)
        answer = await self.lookup.find("948311")
        job = self.by_name(answer)["zuul", "nova-next"]
        self.assertEqual((len(answer.results), len(job.builds)), (7, 2))

    async def test_one_is_down(self) -> None:
        await self.stop(self.other)
        self.make_lookup(OPENDEV, self.below)
        answer = await self.lookup.find("948311")
        self.assertEqual(len(answer.results), 7)
        self.assertIn("sf.example.org", answer.warnings[0])
        self.assertEqual((await self.one(PEP8)).url, PEP8_ROOT)
        self.assertIn("sf.example.org", await self.fails("9" * 32, UpstreamUnreachableError))

    async def test_the_account_is_the_one_that_comments(self) -> None:
        """Software Factory's Zuul reports as a third party, also of builds that it did not report."""
        self.gerrit.changes[78] = change(
            78, "a/b", "s", 1,
            [
                message(
                    {"name": "SF CI", "username": "sf-ci"}, "2026-01-01 00:00:00",
                    "Patch Set 1:\n\nBuild succeeded (check pipeline).\n\n"
                    f"- sf-tox http://sf.example.org/zuul/t/local/build/{'5' * 32} : SUCCESS in 2s\n",
                    1,
                )
            ],
        )  # fmt: skip
        of = ref("a/b", 78, 1)
        self.other.tenants["local"] = [
            build(of, "sf-tox", "5" * 32),
            build(of, "sf-tox", "6" * 32, "RETRY", final=False, end="2025-04-30T09:00:00"),
            running(of, "sf-next", "7" * 32),
        ]
        self.make_lookup(OPENDEV, self.below)
        found = self.by_name(await self.lookup.find("78"))
        self.assertEqual(set(found), {("sf-ci", "sf-tox"), ("sf-ci", "sf-next")})
        self.assertEqual(len(found["sf-ci", "sf-tox"].builds), 1)


class LogUrlTests(ZuulTestCase):
    async def test_uuid_in_the_path(self) -> None:
        for below in ["", "job-output.txt", "controller/logs/screen-n-cpu.txt#L12", "zuul-manifest.json"]:
            job = await self.one(PEP8_ROOT + below)
            self.assertEqual(
                (job.url, job.name, job.status, job.pipeline, job.ci_username, job.revision),
                (PEP8_ROOT, "openstack-tox-pep8", "SUCCESS", "check", "zuul", 8),
            )
            self.assertEqual((job.change_id, job.change_subject), (948311, "libvirt: say why"))
            self.assertEqual(job.manifest_url, f"{PEP8_ROOT}zuul-manifest.json")
        self.assertEqual(self.zuul.asked, [f"/api/tenant/openstack/build/{PEP8}"])
        self.assertEqual(job, self.by_name(await self.lookup.find("948311"))["zuul", "openstack-tox-pep8"])

    async def test_entries_describe_themselves(self) -> None:
        """What a scrape stores is what the list said, at no further cost."""
        answer = await self.lookup.find("948311")
        asked = len(self.zuul.asked) + len(self.gerrit.asked)
        described = 0
        for job in answer.results:
            if job.url is not None:
                self.assertEqual(await self.lookup.describe(job.url), evolve(job, builds=()))
                described += 1
        self.assertEqual(described, 2)
        self.assertEqual(len(self.zuul.asked) + len(self.gerrit.asked), asked)

    async def test_rackspace(self) -> None:
        root = f"https://11b77813494a95a1b8ad-d28bfbac581c22e8bbce39a73023702a.ssl.cf5.rackcdn.com/openstack/{ARM}/"
        job = await self.one(f"{root}testr_results.html")
        self.assertEqual((job.url, job.name, job.pipeline), (root, "openstack-tox-arm64", "check-arm64"))
        # the manifest that Zuul names lists another place
        self.assertIsNone(job.manifest_url)

    async def test_no_tenant_in_the_path(self) -> None:
        job = await self.one(f"{SWIFT}/logs/{PEP8}/job-output.txt")
        self.assertEqual((job.url, job.name), (f"{SWIFT}/logs/{PEP8}/", "openstack-tox-pep8"))

    async def test_address_that_looks_like_a_file(self) -> None:
        self.zuul.tenants["opendev"] = [build(NOVA, "j", "9" * 32, log_url=f"{SWIFT}/x/job-1.d")]
        job = await self.one("9" * 32)
        self.assertEqual(job.url, f"{SWIFT}/x/job-1.d/")
        self.assertEqual((await self.lookup.describe(str(job.url))).url, job.url)

    async def test_short_uuid(self) -> None:
        root = f"{SWIFT}/zuul_opendev_logs_012/948311/8/check/openstack-tox-pep8/0123456/"
        job = await self.lookup.describe(f"{root}job-output.txt")
        self.assertEqual((job.url, job.status, job.change_subject), (root, "SUCCESS", "libvirt: say why"))
        self.assertIn("/api/tenant/openstack/builds?change=948311&patchset=8&limit=500", self.zuul.asked)

    async def test_short_uuid_of_what_was_pushed(self) -> None:
        of = ref("openstack/nova", None, None, newrev=SHA)
        self.zuul.tenants["openstack"] += [
            build(of, "nova-docs", "abcdef0" + "1" * 25, pipeline="post"),
            build(of, "periodic-x", "abcdef1" + "1" * 25, "FAILURE", pipeline="periodic"),
        ]
        for place, status in [
            (f"zuul_opendev_logs_abc/{SHA[:2]}/{SHA}/post/nova-docs/abcdef0", "SUCCESS"),
            (
                "zuul_opendev_logs_abc/periodic/opendev.org/openstack/nova/master/periodic-x/abcdef1",
                "FAILURE",
            ),
        ]:
            job = await self.one(f"{SWIFT}/{place}/")
            self.assertEqual(
                (job.status, job.change_project, job.change_id), (status, "openstack/nova", None)
            )

    async def test_a_build_that_nobody_knows(self) -> None:
        job = await self.one(f"{SWIFT}/zuul_opendev_logs_999/openstack/{'9' * 32}/")
        self.assertEqual((job.name, job.status), ("9" * 32, None))
        job = await self.one(f"{SWIFT}/some/directory/")
        self.assertEqual((job.name, job.url), ("directory", f"{SWIFT}/some/directory/"))

    async def test_zuul_is_down(self) -> None:
        await self.stop(self.zuul)
        answer = await self.lookup.find(PEP8_ROOT)
        self.assertEqual((answer.results[0].url, answer.results[0].name), (PEP8_ROOT, PEP8))
        self.assertIn("zuul.opendev.org", answer.warnings[0])
        self.assertEqual((await self.lookup.describe(PEP8_ROOT)).url, PEP8_ROOT)

    async def test_zuul_is_slow(self) -> None:
        self.make_lookup(describe_timeout_s=0.5)
        self.zuul.mode = "slow"
        self.assertEqual((await self.lookup.describe(PEP8_ROOT)).name, PEP8)


class SearchTests(ZuulTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.picked = "I" + "0c" * 20
        for number, branch in [(71, "master"), (72, "stable/2025.1")]:
            self.gerrit.changes[number] = {
                **change(number, "a/b", "Fix", 1, []), "change_id": self.picked, "branch": branch
            }  # fmt: skip

    async def test_one(self) -> None:
        change_id = f"I{948311:040x}"
        expected = await self.lookup.find("948311")
        for q in [
            change_id,
            f"https://review.opendev.org/q/{change_id}",
            f"review.openstack.org/id/{change_id}",
        ]:
            answer = await self.lookup.find(q)
            self.assertEqual((answer.choices, set(answer.results)), ((), set(expected.results)))

    async def test_several(self) -> None:
        answer = await self.lookup.find(self.picked)
        self.assertEqual(
            [(c.change_id, c.change_project, c.change_subject, c.change_branch) for c in answer.choices],
            [(71, "a/b", "Fix", "master"), (72, "a/b", "Fix", "stable/2025.1")],
        )
        self.assertEqual((answer.results, answer.message), ((), "2 changes fit."))
        for choice in answer.choices:
            self.assertIn(f"Change {choice.change_id} ", str((await self.lookup.find(choice.q)).message))

    async def test_very_many(self) -> None:
        for number in range(1000, 1040):
            self.gerrit.changes[number] = change(number, "big/one", "x", 1, [])
        answer = await self.lookup.find("https://review.opendev.org/q/project:big/one,25")
        self.assertEqual((len(answer.choices), answer.message), (25, "25 changes fit, the newest of many."))

    async def test_none(self) -> None:
        self.assertIn("review.opendev.org", await self.fails("I" + "9" * 40, NotFoundError))
        self.assertIn(
            "does not understand",
            await self.fails("https://review.opendev.org/q/x:(", QueryNotUnderstoodError),
        )

    async def test_trouble(self) -> None:
        for mode in ("html", "garbage", "deep"):
            self.gerrit.mode = mode
            self.assertIn("review.opendev.org", await self.fails(self.picked, UpstreamInvalidError))

    async def test_gerrit_is_down(self) -> None:
        await self.stop(self.gerrit)
        await self.fails(self.picked, UpstreamUnreachableError)
