# SPDX-License-Identifier: Apache-2.0
"""The examples of the original's README, replayed as written with real HTTPie and jq.

Only ``localhost:5000`` becomes the daemon's port and the uuids become real ones; the hosts
are pointed at test servers by ``resolve``.  What today's answers hold beyond the examples is said
where it is compared.
"""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.trial.unittest import SkipTest

from tests.test_end_to_end import JOB, SiteTestCase

# the example's answers, as far as they are facts about OpenStack's CI
PEP8 = {
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
PYTHON27 = {
    "change_id": 271726,
    "change_project": "openstack/stackviz",
    "change_subject": "Add nprogress progress bars to timeline and test-details.",
    "name": "gate-stackviz-python27",
    "pipeline": "gate",
    "revision": 2,
    "status": "SUCCESS",
    "url": "http://logs.openstack.org/26/271726/2/gate/gate-stackviz-python27/937cf7b/",
}


class ExampleTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        if shutil.which("jq") is None:
            raise SkipTest("needs jq (Debian package jq)")
        self.daemon.start()
        self.addCleanup(self.daemon.stop)
        self.bin = Path(sys.executable).parent
        if not (self.bin / "http").exists():
            raise SkipTest("needs HTTPie (pip install '.[test]')")
        # show both, as HTTPie does at a terminal
        self.httpie = self.site.base / "httpie"
        self.httpie.mkdir()
        (self.httpie / "config.json").write_text(
            json.dumps({"default_options": ["--print=hb", "--pretty=none"]})
        )

    def run_command(self, command: str, **environment: str) -> str:
        """What the command prints, HTTPie's stdin being a terminal (else it takes it for the body)."""
        ours, theirs = pty.openpty()
        try:
            done = subprocess.run(
                [
                    "bash",
                    "-o",
                    "pipefail",
                    "-c",
                    command.replace("localhost:5000", f"localhost:{self.daemon.port}"),
                ],
                stdin=theirs,
                capture_output=True,
                env={**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", **environment},
                timeout=60,
                check=False,
            )
        finally:
            os.close(ours)
            os.close(theirs)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode().replace("\r\n", "\n")

    def run_example(self, command: str) -> tuple[str, dict[str, str], Any]:
        """Status line, headers, JSON body."""
        printed = self.run_command(command, HTTPIE_CONFIG_DIR=str(self.httpie))
        head, _, body = printed.partition("\n\n")
        status, *lines = head.splitlines()
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        return status, headers, json.loads(body) if body.strip() else None

    def test_list_a_change(self) -> None:
        status, headers, answer = self.run_example("http post localhost:5000/list q=271726")
        self.assertIn(" 200 OK", status)
        self.assertEqual(headers["content-type"], "application/json")
        # the example shows nine keys; ours hold more (builds, voting, duration...)
        entries = [{key: entry[key] for key in PEP8} for entry in answer["results"]]
        self.assertIn(PEP8, entries)

    def test_list_a_revision(self) -> None:
        _, _, answer = self.run_example("http post localhost:5000/list q=271726,1")
        self.assertTrue(answer["results"])
        self.assertEqual({entry["revision"] for entry in answer["results"]}, {1})

    def test_list_a_gerrit_url(self) -> None:
        _, _, by_url = self.run_example(
            "http post localhost:5000/list q='https://review.openstack.org/#/c/271726/'"
        )
        _, _, by_number = self.run_example("http post localhost:5000/list q=271726")
        self.assertEqual(by_url, by_number)

    def test_list_a_log_url(self) -> None:
        status, _, answer = self.run_example(
            "http post localhost:5000/list "
            "q='http://logs.openstack.org/26/271726/2/gate/gate-stackviz-python27/937cf7b/'"
        )
        self.assertIn(" 200 OK", status)
        (entry,) = answer["results"]
        self.assertEqual({key: entry[key] for key in PYTHON27}, PYTHON27)
        # null in the example; the CI's comment is found, so ours says whose it was
        self.assertEqual(entry["ci_username"], "jenkins")

    def test_scrape_status_task_blob(self) -> None:
        listed = self.daemon.post("/list", {"q": "269624"})[1]
        url = listed["results"][2]["url"]
        directory = self.site.root / urlsplit(url).path.strip("/")
        if not directory.exists():  # whichever job is third: the same files
            directory.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(self.site.root / JOB, directory)
        example = (
            "http post localhost:5000/list q=269624 | jq '.results[2]' | http post localhost:5000/scrape"
        )
        queued = json.loads(self.run_command(example))
        self.assertEqual(queued["status"], "queued")
        uuid = queued["uuid"]
        self.daemon.wait(uuid)
        status, _, answer = self.run_example(f"http post localhost:5000/status q={uuid}")
        self.assertIn(" 200 OK", status)
        # the example shows these two; ours also say which job it is
        self.assertEqual((answer["status"], answer["uuid"]), ("finished", uuid))
        status, _, task = self.run_example(f"http post localhost:5000/task q={uuid}")
        self.assertIn(" 200 OK", status)
        self.assertEqual(task["id"], uuid)
        self.assertEqual(task["change_project"], "openstack/cinder")
        self.assertEqual(task["change_subject"], "Support for consistency groups in ScaleIO driver")
        self.assertEqual((task["change_id"], task["revision"], task["pipeline"]), (269624, 19, "check"))
        artifacts = {a["artifact_type"]: a for a in task["artifacts"]}
        for kind, content_type in [("dstat", "text/csv"), ("subunit", "application/json")]:
            self.assertEqual(artifacts[kind]["content_type"], content_type)
            self.assertEqual(artifacts[kind]["content_encoding"], "gzip")
        blob = artifacts["dstat"]["id"]
        status, headers, _ = self.run_example(f"http get localhost:5000/blob/{blob} --headers")
        self.assertIn(" 200 OK", status)
        self.assertEqual(headers["content-encoding"], "gzip")
        self.assertEqual(headers["content-type"].split(";")[0], "text/csv")
