# SPDX-License-Identifier: Apache-2.0
"""The main job through the front door: the daemon as a subprocess, a real Apache httpd
with a generated job, a fake Gerrit, and python-subunit's own tools as the judge of counts.
"""

import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.daemon import Daemon, free_port
from tests.servers import Apache

ROOT = Path(__file__).resolve().parent.parent
JOB = "24/269624/19/check/gate-tempest-dsvm-full/84f9b4a"


def generate(out: Path, *args: str) -> dict[str, Any]:
    """A job's directory as Jenkins laid it out; what the generator says of it."""
    flat = out.parent / "flat"
    subprocess.run(
        [sys.executable, str(ROOT / "bench" / "gen_job.py"), str(flat), *args],
        check=True,
        capture_output=True,
    )
    (out / "logs").mkdir(parents=True)
    (flat / "console.html").rename(out / "console.html")
    for name in ("testrepository.subunit.gz", "dstat-csv.txt.gz"):
        (flat / name).rename(out / "logs" / name)
    return json.loads((flat / "expected.json").read_text())


def judge(stream: bytes, tool: str) -> str:
    """What one of python-subunit's filters says of the stream."""
    path = Path(sys.executable).parent / tool
    return subprocess.run([str(path)], input=stream, capture_output=True, check=False).stdout.decode()


class Site:
    """Apache with one job, a fake Gerrit that knows its change, and the daemon between them."""

    def __init__(self, base: Path, *generator: str) -> None:
        self.base = base
        self.root = base / "htdocs"
        self.expected = generate(self.root / JOB, *generator)
        self.apache = Apache(self.root, base / "apache")
        self.gerrit_port = free_port()
        self.gerrit: subprocess.Popen[bytes] | None = None

    def start(self) -> Daemon:
        self.apache.start()
        self.gerrit = subprocess.Popen(
            [sys.executable, "-m", "tests.fake_gerrit", "--port", str(self.gerrit_port)], cwd=ROOT
        )
        return Daemon(
            self.base / "daemon",
            {
                "gerrits": [{"url": "http://review.opendev.org/", "aliases": ["review.openstack.org"]}],
                "zuuls": [],
                "resolve": {
                    "review.opendev.org": f"127.0.0.1:{self.gerrit_port}",
                    "logs.openstack.org": f"127.0.0.1:{self.apache.port}",
                },
                "private_networks": ["127.0.0.0/8"],
            },
        )

    def stop(self) -> None:
        if self.gerrit is not None:
            self.gerrit.kill()
            self.gerrit.wait()
        self.apache.stop()


class SiteTestCase(TestCase):
    timeout = 300
    generator: tuple[str, ...] = (
        "--tests",
        "300",
        "--dstat-rows",
        "400",
        "--console-mb",
        "0.5",
        "--att-max",
        "8192",
    )

    def setUp(self) -> None:
        # not below the checkout: started by root, Apache becomes somebody who may not enter that
        base = Path(tempfile.mkdtemp(prefix="stackviz-deployer-"))
        self.addCleanup(shutil.rmtree, base)
        base.chmod(0o755)
        self.site = Site(base, *self.generator)
        self.addCleanup(self.site.stop)
        self.daemon = self.site.start()


class EndToEndTests(SiteTestCase):
    def test_list_scrape_events_task_blob(self) -> None:
        with self.daemon as daemon:
            status, listed = daemon.post("/api/list", {"q": "269624,19"})
            self.assertEqual(status, 200, listed)
            entry = next(e for e in listed["results"] if e["name"] == "gate-tempest-dsvm-full")
            self.assertEqual(entry["url"], f"http://logs.openstack.org/{JOB}/")
            status, queued = daemon.post("/api/scrape", entry)
            self.assertEqual(status, 202, queued)
            self.assertEqual(queued["status"], "queued")
            again = daemon.post("/api/scrape", entry)[1]
            self.assertEqual(again["uuid"], queued["uuid"])
            self.assertNotIn("cancel_key", again)
            events = list(daemon.events(queued["uuid"]))
            self.assertEqual(events[-1]["status"], "finished", events[-1])
            status, task = daemon.post("/api/task", {"q": queued["uuid"]})
            self.assertEqual(status, 200)
            self.check_task(task)
            self.check_subunit(daemon, task)
            self.check_others(daemon, task)
            status, headers, page = daemon.request("GET", f"/s/{task['id']}/")
            self.assertEqual((status, headers.get_content_type()), (200, "text/html"))
            self.assertIn(b"<!doctype html>", page[:100].lower())
            self.assertEqual(daemon.stop(), -15)

    def check_task(self, task: dict[str, Any]) -> None:
        self.assertEqual(task["change_id"], 269624)
        self.assertEqual(task["change_project"], "openstack/cinder")
        self.assertEqual((task["revision"], task["pipeline"]), (19, "check"))
        types = [a["artifact_type"] for a in task["artifacts"]]
        self.assertEqual(sorted(types), ["console", "dstat", "subunit", "subunit-details", "subunit-stats"])
        names = {a["artifact_name"] for a in task["artifacts"] if a["artifact_type"].startswith("subunit")}
        self.assertEqual(names, {"testrepository.subunit"})
        self.assertEqual(task["warnings"], [])

    def artifact(self, daemon: Daemon, task: dict[str, Any], kind: str) -> bytes:
        return daemon.blob(next(a["id"] for a in task["artifacts"] if a["artifact_type"] == kind))

    def check_subunit(self, daemon: Daemon, task: dict[str, Any]) -> None:
        stream = gzip.decompress((self.site.root / JOB / "logs" / "testrepository.subunit.gz").read_bytes())
        said = dict(line.split(":") for line in judge(stream, "subunit-stats").splitlines() if ":" in line)
        stats = json.loads(self.artifact(daemon, task, "subunit-stats"))
        self.assertEqual(stats["count"], int(said["Total tests"]))
        self.assertEqual(len(stats["failures"]), int(said["Failed tests"]))
        self.assertEqual(len(stats["skips"]), int(said["Skipped tests"]))
        tests = json.loads(self.artifact(daemon, task, "subunit"))
        statuses = [test["status"] for test in tests]
        self.assertEqual(len(tests), self.site.expected["tests"])
        self.assertEqual({s: statuses.count(s) for s in set(statuses)}, self.site.expected["counts"])
        workers = {test["tags"][0] for test in tests}
        self.assertEqual(workers, {w.strip() for w in said["Seen tags"].split(",") if "worker" in w})
        details = json.loads(self.artifact(daemon, task, "subunit-details"))
        self.assertLessEqual(set(details), {test["name"] for test in tests})
        failed = [test["name"] for test in tests if test["status"] == "fail"]
        for name in failed:
            self.assertIn("Traceback (most recent call last)", details[name]["traceback"])

    def check_others(self, daemon: Daemon, task: dict[str, Any]) -> None:
        rows = self.artifact(daemon, task, "dstat").decode().splitlines()
        self.assertTrue(rows[0].strip('"').startswith("Dstat") and rows[0].strip('"').endswith("CSV output"))
        self.assertEqual(len(rows) - 6, 400)
        console = json.loads(self.artifact(daemon, task, "console"))
        lines = [line for script in console["scripts"] for line in script["lines"]]
        with (self.site.root / JOB / "console.html").open(encoding="utf-8") as file:
            self.assertEqual(len(lines), sum(1 for _ in file) - 2)  # without <pre> and </pre>
        self.assertEqual(console["status"], "SUCCESS")

    def test_sample_needs_no_network(self) -> None:
        with Daemon(self.site.base / "offline") as daemon:
            task = daemon.scrape("sample")
            stats = json.loads(self.artifact(daemon, task, "subunit-stats"))
            self.assertEqual((stats["count"], len(stats["failures"])), (379, 6))
            self.assertEqual(daemon.post("/api/list", {"q": "sample"})[1]["results"][0]["url"], task["url"])

    def test_log_server_down(self) -> None:
        with self.daemon as daemon:
            self.site.apache.stop()
            _, queued = daemon.post("/api/scrape", {"url": f"http://logs.openstack.org/{JOB}/"})
            end = daemon.wait(queued["uuid"])
            self.assertEqual(end["status"], "error")
            self.assertIn("logs.openstack.org", end["message"])
            status, refused = daemon.post("/api/task", {"q": queued["uuid"]})
            self.assertEqual((status, refused["error"]), (422, "task-failed"))
            self.assertEqual(daemon.request("GET", f"/s/{queued['uuid']}/")[0], 422)

    def test_gerrit_down(self) -> None:
        with self.daemon as daemon:
            assert self.site.gerrit is not None
            self.site.gerrit.kill()
            self.site.gerrit.wait()
            status, answer = daemon.post("/api/list", {"q": "271726"})
            self.assertEqual((status, answer["error"]), (502, "upstream-unreachable"))
            self.assertIn("review.opendev.org", answer["message"])
            task = daemon.scrape(f"http://logs.openstack.org/{JOB}/")
            self.assertEqual((task["change_id"], task["change_subject"]), (269624, None))
