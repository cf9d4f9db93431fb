# SPDX-License-Identifier: Apache-2.0
"""What a task's files tell of its job."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.jobs.told import told_of_scrape, told_of_upload
from stackviz_deployer.model import Job, ParsedArtifact


def console(status=None, job=None, kind="console"):
    return artifact(kind, status=status, job=job)


def tests(success=0, fail=0):
    return artifact("subunit", success=success, fail=fail)


def artifact(kind, **meta):
    return ParsedArtifact(
        artifact_type=kind,
        artifact_name=kind,
        content_type="application/json",
        primary=True,
        path="x",
        form=1,
        meta=meta,
    )


class UploadTests(SynchronousTestCase):
    def told(self, *artifacts, named=False):
        job = told_of_upload(Job(url="upload:x/", name="a and b"), artifacts, named=named)
        return job.status

    def named(self, *artifacts, named=False):
        return told_of_upload(Job(url="upload:x/", name="a and b"), artifacts, named=named).name

    def test_failed_tests_are_no_success(self):
        self.assertEqual(self.told(console("SUCCESS"), tests(success=9, fail=1)), "FAILURE")
        self.assertEqual(self.told(console("SUCCESS"), tests(success=9), tests(fail=1)), "FAILURE")
        self.assertEqual(self.told(console(None), tests(fail=1)), "FAILURE")
        self.assertEqual(self.told(tests(success=3, fail=1)), "FAILURE")

    def test_what_says_more_than_failed_stays(self):
        for status in ("TIMED_OUT", "UNSTABLE", "ABORTED", "POST_FAILURE"):
            self.assertEqual(self.told(console(status), tests(fail=1)), status)

    def test_a_build_can_fail_without_a_test(self):
        self.assertEqual(self.told(console("FAILURE"), tests(success=3)), "FAILURE")
        self.assertEqual(self.told(console("SUCCESS"), console("TIMED_OUT")), "TIMED_OUT")
        self.assertEqual(self.told(console("FAILURE", kind="job-output")), "FAILURE")

    def test_success(self):
        self.assertEqual(self.told(console("SUCCESS"), tests(success=3)), "SUCCESS")
        self.assertEqual(self.told(tests(success=3)), "SUCCESS")

    def test_unknown(self):
        self.assertIsNone(self.told(artifact("dstat", rows=4)))
        self.assertIsNone(self.told(tests()))
        # its console does not say how the build ended, so the tests alone cannot
        self.assertIsNone(self.told(console(None), tests(success=3)))

    def test_name(self):
        self.assertEqual(self.named(console(job="tempest-full")), "tempest-full")
        self.assertEqual(self.named(console(job="tempest-full"), console(), tests()), "tempest-full")
        self.assertEqual(self.named(tests()), "a and b")

    def test_the_senders_name_stands(self):
        self.assertEqual(self.named(console(job="tempest-full"), named=True), "a and b")

    def test_of_two_jobs_it_is_neither(self):
        self.assertEqual(self.named(console(job="one"), console(job="two")), "a and b")

    def test_a_console_can_say_anything(self):
        for job in ("\u202egnol", "a\nb", "x" * 300, "", "workspace", 7):
            self.assertEqual(self.named(console(job=job)), "a and b")


class ScrapeTests(SynchronousTestCase):
    def test_the_ci_knows_best(self):
        job = Job(url="https://logs.example/1/", name="gate", status="SUCCESS")
        self.assertEqual(told_of_scrape(job, [console("FAILURE"), tests(fail=1)]), job)

    def test_else_its_console(self):
        job = Job(url="https://logs.example/1/", name="gate")
        self.assertEqual(told_of_scrape(job, [tests(fail=1), console("SUCCESS", job="x")]).status, "SUCCESS")
        self.assertEqual(told_of_scrape(job, [console(None)]), job)
