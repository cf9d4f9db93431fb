# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from stackviz_deployer.parsers.ci_comments import CiComment, CommentBuild, parse_comment

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "lookup"
PUBLIC = ROOT.parent / "shared" / "data" / "public" / "gerrit"
LOGS = "http://logs.openstack.org"
ZUUL = "https://zuul.opendev.org/t/openstack/build/"


def public(name: str) -> Any:
    path = PUBLIC / f"elastic-recheck__elastic_recheck_tests_unit_{name}.json"
    if not path.exists():
        raise SkipTest(f"needs {path}")
    return json.loads(path.read_text(encoding="utf-8"))


class SampleTests(SynchronousTestCase):
    """The samples of formats/ci-comments.md, by its numbers."""

    def one(self, line: str, tag: str | None = None) -> CommentBuild:
        (build,) = parse_comment(f"Patch Set 1:\n\nBuild succeeded.\n\n{line}\n", tag).builds
        return build

    def test_1_comment_before_the_results(self) -> None:
        comment = parse_comment(
            "Patch Set 4: Doesn't seem to work\n\nBuild failed.  For information on how to proceed, see "
            "http://wiki.example.org/x\n\n"
            f"- check-tempest-dsvm-neutron-heat-slow {LOGS}/68/89568/4/check/"
            "check-tempest-dsvm-neutron-heat-slow/86b349d : SUCCESS in 21m 48s (non-voting)\n"
            f"- check-tempest-dsvm-postgres-full {LOGS}/68/89568/4/check/"
            "check-tempest-dsvm-postgres-full/265befe : SUCCESS in 1h 03m 30s"
        )
        self.assertEqual((comment.patchset, comment.outcome, comment.pipeline), (4, "failed", None))
        slow, postgres = comment.builds
        self.assertEqual(
            slow,
            CommentBuild(
                name="check-tempest-dsvm-neutron-heat-slow",
                url=f"{LOGS}/68/89568/4/check/check-tempest-dsvm-neutron-heat-slow/86b349d/",
                result="SUCCESS",
                duration="21m 48s",
                voting=False,
            ),
        )
        self.assertEqual((postgres.duration, postgres.voting), ("1h 03m 30s", True))

    def test_2_jenkins_2014(self) -> None:
        comments = [parse_comment(event.get("comment", "")) for event in public("jenkins_events")["events"]]
        self.assertEqual([len(comment.builds) for comment in comments], [11, 0, 0])
        self.assertEqual((comments[0].patchset, comments[0].outcome), (1, "failed"))
        self.assertEqual(comments[0].builds[0].duration, "46s")
        self.assertEqual({build.result for build in comments[0].builds}, {"SUCCESS", "FAILURE"})

    def test_3_stream_events(self) -> None:
        comments = [(event["comment"], parse_comment(event["comment"])) for event in public("gerrit_events")]
        self.assertEqual(sum(len(comment.builds) for _, comment in comments), 116)
        self.assertEqual(len([c for _, c in comments if c.outcome == "succeeded"]), 7)
        self.assertEqual(len([c for _, c in comments if c.outcome == "failed"]), 4)
        for text, comment in comments:
            self.assertEqual(len(comment.builds), sum(line.startswith("- ") for line in text.split("\n")))
            for build in comment.builds:
                # drafts of documents too lead to the logs
                assert build.url is not None
                self.assertTrue(build.url.startswith(f"{LOGS}/"), build.url)
                self.assertTrue(build.url.endswith("/") and len(build.url.split("/")[-2]) == 7, build.url)

    def test_4_zuul_2020(self) -> None:
        build = self.one(
            f"- openstack-tox-molecule {ZUUL}b218ec9b40b442a5874fc571e5d3b5e5 : SUCCESS in 3m 29s"
        )
        self.assertEqual((build.name, build.result, build.url), ("openstack-tox-molecule", "SUCCESS", None))
        self.assertIn(f"{ZUUL}b218ec9b40b442a5874fc571e5d3b5e5", str(build.reason))
        self.assertIn("did not", str(build.reason))  # Zuul could not be asked, or no longer knows

    def test_5_third_party(self) -> None:
        comment = parse_comment(
            "Patch Set 1: Verified+1\n\nBuild succeeded (check pipeline).\n\n"
            "- zuul-build-image http://logs/f7490be/ : SUCCESS in 29m 22s (non-voting)\n"
        )
        self.assertEqual((comment.patchset, comment.pipeline), (1, "check"))
        self.assertEqual(comment.builds[0].url, "http://logs/f7490be/")

    def test_6_gerrit_trigger(self) -> None:
        page = "https://jenkins.opendaylight.org/releng/job/lf-infra-lftools-tox-verify-any/285/"
        logs = (
            "https://logs.opendaylight.org/releng/vex-yul-odl-jenkins-1/lf-infra-lftools-tox-verify-any/285"
        )
        (build,) = parse_comment(
            f"Patch Set 2: Verified+1\n\nBuild Successful \n\n{page} : SUCCESS\n\nLogs: {logs}"
        ).builds
        self.assertEqual(
            build, CommentBuild(name="lf-infra-lftools-tox-verify-any", url=f"{logs}/", result="SUCCESS")
        )
        self.assertEqual(parse_comment(f"Patch Set 2:\n\nBuild Started {page}").builds, ())

    def test_7_gerrit_trigger_without_logs(self) -> None:
        (build,) = parse_comment(
            "Patch Set 2: Verified-1\n\nBuild Failed \n\n"
            "https://build.whamcloud.com/job/lustre-reviews/126400/ : FAILURE"
        ).builds
        self.assertEqual((build.name, build.result, build.url), ("lustre-reviews", "FAILURE", None))
        self.assertIn("https://build.whamcloud.com/job/lustre-reviews/126400", str(build.reason))

    def test_8_no_word_pipeline(self) -> None:
        comment = parse_comment(
            "Patch Set 1:\n\nBuild succeeded (gate).\n"
            "https://zuul.example.com/t/tenant-one/buildset/f495c3661ca346a198c80a01387d6ba4\n"
        )
        self.assertEqual(comment.pipeline, "gate")

    def test_9_not_a_result(self) -> None:
        self.assertEqual(
            parse_comment(
                "I noticed jenkins failed, I think you hit bug(s):\n\n"
                "- check-tempest-dsvm-neutron-full: https://bugs.launchpad.net/bugs/1357476\n"
            ),
            CiComment(),
        )

    def test_zuul_14(self) -> None:
        text = (FIXTURES / "zuul14-failure.constructed.txt").read_text(encoding="utf-8")
        comment = parse_comment(text)
        self.assertEqual((comment.patchset, comment.outcome, comment.pipeline), (8, "failed", "check"))
        self.assertEqual(
            [(b.name, b.result, b.error_detail, b.duration, b.voting) for b in comment.builds],
            [
                ("openstack-tox-pep8", "SUCCESS", None, "6m 05s", True),
                ("nova-next", "FAILURE", None, "1h 46m 12s", True),
                ("nova-ceph-multistore", "TIMED_OUT", None, "3h 00m 09s", False),
                ("nova-live-migration", "RETRY_LIMIT", "Host unreachable", "2m 01s", True),
                ("tempest-slow-py3", "POST_FAILURE", None, "40s", True),
                ("grenade", "NODE_FAILURE", "Node(set) request 300-0012345678 failed", None, True),
                ("tempest-full-py3", "SKIPPED", "Skipped due to failed job openstack-tox-pep8", None, False),
            ],
        )
        self.assertEqual({b.url for b in comment.builds}, {None})
        self.assertEqual(comment.builds[-1].reason, "The job was skipped: it has no logs.")

    def test_pipeline_of_the_tag(self) -> None:
        text = (FIXTURES / "zuul14-success-arm64.constructed.txt").read_text(encoding="utf-8")
        self.assertEqual(parse_comment(text).pipeline, "ARM64")
        self.assertEqual(parse_comment(text, "autogenerated:zuul:check-arm64").pipeline, "check-arm64")
        self.assertEqual(parse_comment(text, "autogenerated:gerrit:newPatchSet").pipeline, "ARM64")

    def test_hyphens_and_wrapped_sentences(self) -> None:
        comment = parse_comment(
            "Patch Set 3:\n\nBuild failed (third-party-check pipeline) integration testing on\nOpenDev.\n\n"
            f"- openstack-operator:functional.x/y {LOGS}/1/1/3/c/j/abcdef0/ : SUCCESS in 2s\r\n"
        )
        self.assertEqual(comment.pipeline, "third-party-check")
        self.assertEqual(comment.builds[0].name, "openstack-operator:functional.x/y")

    def test_votes(self) -> None:
        for votes in ["", " Verified+1", " Code-Review+1 Verified-2", " -Verified"]:
            self.assertEqual(parse_comment(f"Patch Set 12:{votes}\n\nhello").patchset, 12)

    def test_without_names(self) -> None:
        build = self.one(f"- {LOGS}/26/271726/2/check/gate-x/7c374a7 : SUCCESS in 3m 29s")
        self.assertEqual((build.name, build.url), ("gate-x", f"{LOGS}/26/271726/2/check/gate-x/7c374a7/"))
        build = self.one("- gate-x : LOST")
        self.assertEqual((build.name, build.url, build.result), ("gate-x", None, "LOST"))
        self.assertTrue(build.reason)

    def test_name_instead_of_an_address(self) -> None:
        build = self.one("- gate-x gate-x : NOT_REGISTERED")
        self.assertEqual((build.name, build.url, build.result), ("gate-x", None, "NOT_REGISTERED"))

    def test_words_of_the_job(self) -> None:
        build = self.one(f"- gate-x {LOGS}/x/ : Please rebase, it is old in 3m 29s")
        self.assertEqual((build.result, build.error_detail), ("Please rebase, it is old", None))

    def test_addresses(self) -> None:
        for given_, url in [
            (f"{LOGS}/x", f"{LOGS}/x/"),
            (f"{LOGS}/x/", f"{LOGS}/x/"),
            (f"{LOGS}/x/console.html?a=b#c", f"{LOGS}/x/"),
            (
                "http://docs-draft.openstack.org/44/60244/12/check/j/60c7b1b/doc/build/html/",
                f"{LOGS}/44/60244/12/check/j/60c7b1b/",
            ),
            ("http://docs-draft.openstack.org/some/page/", None),
            ("http:///x", None),
            ("http://[x/", None),
            (f"{LOGS}/{'x' * 3000}", None),
        ]:
            build = self.one(f"- j {given_} : SUCCESS in 2s")
            self.assertEqual(build.url, url, given_)
            self.assertEqual(build.reason is None, url is not None, given_)

    def test_lists_of_people(self) -> None:
        for line in [
            "- one two : three",
            "- this : that",
            "-- x y : FAILURE",
            "- a b c : FAILURE",
            "- : SUCCESS",
        ]:
            self.assertEqual(parse_comment(f"Patch Set 1:\n\n{line}").builds, (), line)

    def test_only_newlines_end_lines(self) -> None:
        build = self.one(f"- gate-x {LOGS}/x/ : FAILURE said\u0085so\u2028too in 2s")
        self.assertEqual((build.result, build.error_detail), ("FAILURE", "said\u0085so\u2028too"))

    @settings(deadline=1000)
    @given(
        st.one_of(
            st.text(max_size=300),
            st.lists(
                st.sampled_from(
                    [
                        "Patch Set 1:",
                        "\n",
                        "- ",
                        "job ",
                        LOGS,
                        "/7c374a7",
                        "docs-draft.",
                        "http://",
                        " : ",
                        "SUCCESS",
                        " in 1h 2m 3s",
                        " (non-voting)",
                        "Build failed (",
                        "check pipeline)",
                        "/build/" + "a" * 32,
                        "[",
                    ]
                )
            ).map("".join),
        )
    )
    @example("- " + "a" * 4000)
    @example("- x http://y : " + " in 1h" * 600)
    @example("- x http://y : " + " in " + "1" * 4000)
    @example("- x http://docs-draft." + "a/" * 2000 + " : SUCCESS")
    @example("- x http://y" + "/build" * 600 + " : SUCCESS")
    @example("http://x" + "/job/a/1" * 500 + " : ")
    @example("Build failed (" * 300)
    @example("Patch Set 1:" + " Code-Review+1" * 300 + "!")
    @example("\n" * 300_000)
    def test_any_text(self, text: str) -> None:
        for build in parse_comment(text).builds:
            self.assertTrue(build.name)
            self.assertEqual(build.url is None, build.reason is not None)
            self.assertTrue(build.url is None or build.url.endswith("/"))
