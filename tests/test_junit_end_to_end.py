# SPDX-License-Identifier: Apache-2.0
"""JUnit reports through the front door: a real Apache httpd, the daemon as a subprocess."""

import gzip
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.daemon import Daemon, free_port
from tests.servers import Apache

FIXTURES = Path(__file__).resolve().parent / "fixtures" / "junit"
JOB = "24/269624/19/check/gate-example-unit/84f9b4a"


class JunitEndToEndTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        # not below the checkout: started by root, Apache becomes somebody who may not enter that
        base = Path(tempfile.mkdtemp(prefix="stackviz-deployer-"))
        self.addCleanup(shutil.rmtree, base)
        base.chmod(0o755)
        self.job = base / "htdocs" / JOB
        self.job.mkdir(parents=True)
        self.apache = Apache(base / "htdocs", base / "apache")
        self.apache.start()
        self.addCleanup(self.apache.stop)
        nobody = free_port()
        self.daemon = Daemon(
            base / "daemon",
            {
                "gerrits": [{"url": "http://review.opendev.org/", "aliases": ["review.openstack.org"]}],
                "resolve": {
                    "review.opendev.org": f"127.0.0.1:{nobody}",
                    "logs.openstack.org": f"127.0.0.1:{self.apache.port}",
                },
                "private_networks": ["127.0.0.0/8"],
            },
        )

    def artifacts(self, task: dict[str, Any], name: str) -> dict[str, Any]:
        """The documents of one run, by their type."""
        return {
            a["artifact_type"]: json.loads(self.daemon.blob(a["id"]))
            for a in task["artifacts"]
            if a["artifact_name"] == name
        }

    def test_a_directory_of_classes_and_a_report_in_the_root(self) -> None:
        shutil.copytree(FIXTURES / "surefire", self.job / "surefire-reports")
        (self.job / "junit.xml.gz").write_bytes(gzip.compress((FIXTURES / "pytest.xml").read_bytes()))
        (self.job / "coverage.xml").write_text("<coverage/>")
        with self.daemon as daemon:
            task = daemon.scrape(f"http://logs.openstack.org/{JOB}/")
            self.assertEqual(
                [(a["artifact_name"], a["artifact_type"], a["primary"]) for a in task["artifacts"]],
                [
                    (name, kind, kind == "subunit")
                    for name in ("junit.xml", "junit")
                    for kind in ("subunit", "subunit-stats", "subunit-details")
                ],
            )
            of_pytest = self.artifacts(task, "junit.xml")
            self.assertEqual(len(of_pytest["subunit"]), 7)
            self.assertEqual(of_pytest["subunit-stats"]["start"], "2026-11-22T07:00:00.250000+00:00")
            of_classes = self.artifacts(task, "junit")
            statuses = [test["status"] for test in of_classes["subunit"]]
            self.assertEqual({s: statuses.count(s) for s in statuses}, {"success": 3, "fail": 4, "skip": 1})
            failed = of_classes["subunit-details"]["org.example.FirstTest.fails"]
            self.assertIn("at org.example.FirstTest.fails(FirstTest.java:20)", failed["traceback"])
            self.assertIn("junit: 1 test was tried more than once", " ".join(task["warnings"]))
            details = next(a for a in task["artifacts"] if a["artifact_type"] == "subunit-details")
            self.assertTrue(details["blocks"])
            status, headers, _ = daemon.request("GET", f"/s/{task['id']}/")
            self.assertEqual((status, headers.get_content_type()), (200, "text/html"))
            self.assertEqual(daemon.stop(), -15)

    def test_a_report_that_is_refused(self) -> None:
        (self.job / "junit.xml").write_text(
            '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
            '<testsuite><testcase name="&e;"/></testsuite>'
        )
        with self.daemon as daemon:
            _, queued = daemon.post("/api/scrape", {"url": f"http://logs.openstack.org/{JOB}/"})
            end = daemon.wait(queued["uuid"])
            self.assertEqual((end["status"], end["error"]), ("error", "parse-failed"))
            self.assertIn("junit.xml has a DOCTYPE, which is refused", end["message"])
            self.assertEqual(daemon.stop(), -15)
