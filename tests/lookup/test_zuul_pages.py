# SPDX-License-Identifier: Apache-2.0
"""The look-up of Zuul's pages, of log URLs and of Gerrit's searches, on loopback, with the real Fetcher."""

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from stackviz_deployer.errors import (
    HostNotAllowedError,
    NotFoundError,
    QueryNotUnderstoodError,
    UpstreamInvalidError,
    UpstreamUnreachableError,
)
from stackviz_deployer.lookup.service import MAX_CHANGES_ASKED
from stackviz_deployer.lookup.zuul import MAX_LISTED
from tests.fake_gerrit import change
from tests.fake_zuul import (
    ARM,
    NEXT,
    NOVA,
    PEP8,
    SWIFT,
    build,
    ref,
    running,
)
from tests.lookup.over_http import BUILDSET, PEP8_ROOT, SHA, ZuulTestCase


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
