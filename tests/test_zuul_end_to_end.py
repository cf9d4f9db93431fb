# SPDX-License-Identifier: Apache-2.0
"""A build of today through the front door: a page of Zuul, its logs, the site."""

import gzip
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.daemon import Daemon, free_port
from tests.fake_zuul import NOVA, build
from tests.servers import Apache
from tests.test_end_to_end import ROOT, generate

FIXTURES = ROOT / "tests" / "fixtures"

UUID = "d6b05d233d1b47a9b51694b4da905ab1"
PLACE = f"v1/AUTH_x/zuul_opendev_logs_d6b/openstack/{UUID}"
URL = f"http://storage.gra.cloud.ovh.net/{PLACE}/"
TEMPEST = "e7c165d233d1b47a9b51694b4da905ab"
TEMPEST_PLACE = f"v1/AUTH_x/zuul_opendev_logs_e7c/openstack/{TEMPEST}"
TEMPEST_URL = f"http://storage.gra.cloud.ovh.net/{TEMPEST_PLACE}/"


def devstack_tempest(root: Path) -> None:
    """What devstack-tempest of today leaves, and the manifest that tells of it (formats/artifacts.md)."""
    files = {
        "job-output.txt": gzip.decompress((FIXTURES / "zuul/job-output.txt.gz").read_bytes()),
        "job-output.json.gz": (FIXTURES / "zuul/job-output.json.gz").read_bytes(),
        "testrepository.subunit": gzip.decompress(
            (FIXTURES / "subunit/last-testtools-2.9.1.subunit.gz").read_bytes()
        ),
        "testr_results.html": b"<html></html>",
        "controller/logs/dstat-csv_log.txt": (FIXTURES / "dstat/dool.csv").read_bytes(),
        "compute1/logs/dstat-csv_log.txt": (FIXTURES / "dstat/pcp-dstat.csv").read_bytes(),
        "controller/logs/screen-n-cpu.txt": b"-\n",
        "zuul-info/inventory.yaml": b"{}\n",
    }
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    manifest = json.dumps({"tree": told(root), "index_links": True})
    (root / "zuul-manifest.json").write_text(manifest)
    # not the index that would be read instead of the manifest
    (root / "index.html").write_text("<html><h1>Coverage</h1></html>")


def told(directory: Path) -> list[dict[str, Any]]:
    """The directory as zuul-jobs' generator tells of it."""
    entries: list[dict[str, Any]] = []
    for path in sorted(directory.iterdir(), key=lambda path: (path.is_file(), path.name)):
        if path.is_dir():
            mimetype, more = "application/directory", {"children": told(path)}
        else:
            mimetype, more = "text/plain", {"last_modified": 1795340133, "size": path.stat().st_size}
        entries.append({"name": path.name, "mimetype": mimetype, "encoding": None, **more})
    return entries


class ZuulEndToEndTests(TestCase):
    timeout = 300

    def setUp(self) -> None:
        base = Path(tempfile.mkdtemp(prefix="stackviz-deployer-"))
        self.addCleanup(shutil.rmtree, base)
        base.chmod(0o755)
        generate(base / "htdocs" / PLACE, "--tests", "30", "--dstat-rows", "40", "--console-mb", "0.1")
        apache = Apache(base / "htdocs", base / "apache")
        apache.start()
        self.addCleanup(apache.stop)
        builds = base / "builds.json"
        # this server writes no manifest: what Zuul names is not always there
        one = build(NOVA, "tempest-full", UUID, "FAILURE", log_url=URL, manifest=False)
        devstack_tempest(base / "htdocs" / TEMPEST_PLACE)
        other = build(NOVA, "devstack-tempest", TEMPEST, "FAILURE", log_url=TEMPEST_URL)
        builds.write_text(json.dumps({"openstack": [one, other]}))
        names = {"storage.gra.cloud.ovh.net": apache.port}
        for host, module, *more in [
            ("review.opendev.org", "tests.fake_gerrit"),
            ("zuul.opendev.org", "tests.fake_zuul", "--builds", str(builds), "--shape", "flat"),
        ]:
            names[host] = free_port()
            child = subprocess.Popen(
                [sys.executable, "-m", module, "--port", str(names[host]), *more], cwd=ROOT
            )
            self.addCleanup(child.wait)
            self.addCleanup(child.kill)
        self.daemon = Daemon(
            base / "daemon",
            {
                "gerrits": [{"url": "http://review.opendev.org/"}],
                "zuuls": [{"url": "http://zuul.opendev.org/"}],
                "resolve": {name: f"127.0.0.1:{port}" for name, port in names.items()},
                "private_networks": ["127.0.0.0/8"],
            },
        )

    def test_from_the_page_to_the_site(self) -> None:
        with self.daemon as daemon:
            task = daemon.scrape(f"https://zuul.opendev.org/t/openstack/build/{UUID}/logs")
            self.assertEqual(
                (task["url"], task["name"], task["change_subject"], task["ci_username"], task["pipeline"]),
                (URL, "tempest-full", "libvirt: say why", "zuul", "check"),
            )
            types = {artifact["artifact_type"] for artifact in task["artifacts"]}
            self.assertLessEqual({"subunit", "dstat"}, types)
            # the log's address, the UUID and a file of it are the same job: its task is joined
            for q in (URL, UUID, f"{URL}logs/testrepository.subunit.gz#L1"):
                self.assertEqual(daemon.scrape(q)["id"], task["id"])
            status, listed = daemon.post("/api/list", {"q": "948311,8"})
            self.assertEqual((status, listed.get("warnings")), (200, None))
            self.assertIn(URL, [entry["url"] for entry in listed["results"]])
            status, joined = daemon.post(
                "/api/scrape", {"url": f"http://zuul.opendev.org/t/openstack/build/{UUID}"}
            )
            self.assertEqual((status, joined["uuid"]), (200, task["id"]))

    def test_readme_look_up_as_it_is_answered(self) -> None:
        """The command that README shows, and that what it prints has the shape of what README prints."""
        text = (ROOT / "README.rst").read_text(encoding="utf-8")
        found = re.search(r"\$ (curl -N.*?localhost:5000/api/list)\n(.*?)\n\n", text, re.DOTALL)
        assert found is not None
        command, shown = found[1], [line.strip() for line in found[2].splitlines()]
        with self.daemon as daemon:
            done = subprocess.run(
                ["/bin/sh", "-c", command.replace("localhost:5000", f"127.0.0.1:{daemon.port}")],
                capture_output=True,
                timeout=60,
                check=True,
            )
            lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(json.loads(shown[0]), lines[0])
        self.assertTrue(all(sorted(line["asking"]) == line["asking"] != [] for line in lines[:-1]))
        self.assertNotIn("asking", lines[-1])
        jobs = lines[-1]["results"]
        self.assertIn('"results":[{"url":"http://logs.openstack.org/26/271726/2/', shown[-1])
        self.assertTrue(jobs)
        for job in jobs:
            self.assertTrue(job["url"].startswith("http://logs.openstack.org/26/271726/2/"), job)

    def test_what_devstack_tempest_leaves(self) -> None:
        with self.daemon as daemon:
            task = daemon.scrape(
                f"https://zuul.opendev.org/t/openstack/build/{TEMPEST}/log/job-output.txt#12"
            )
            self.assertEqual((task["name"], task["url"]), ("devstack-tempest", TEMPEST_URL))
            self.assertEqual(task["warnings"], [])
            found = [(one["artifact_type"], one["artifact_name"]) for one in task["artifacts"]]
            self.assertEqual(
                sorted(found),
                [
                    ("console", "job-output.txt"),
                    ("dstat", "compute1/dstat-csv_log.txt"),
                    ("dstat", "controller/dstat-csv_log.txt"),
                    ("job-output", "job-output.json"),
                    ("subunit", "testrepository.subunit"),
                    ("subunit-details", "testrepository.subunit"),
                    ("subunit-stats", "testrepository.subunit"),
                ],
            )
            self.assertEqual(found[0], ("subunit", "testrepository.subunit"))
            hosts = [name for kind, name in found if kind == "dstat"]
            self.assertEqual(hosts[0], "controller/dstat-csv_log.txt")
            meta = {one["artifact_type"]: one["meta"] for one in task["artifacts"]}
            # shared/data/TRUTH.subunit.tsv of this stream
            counts = {key: meta["subunit"][key] for key in ("success", "fail", "skip")}
            self.assertEqual(counts, {"success": 1350, "fail": 2, "skip": 3})
            self.assertEqual(
                (meta["job-output"]["status"], meta["console"]["status"]), ("FAILURE", "FAILURE")
            )
