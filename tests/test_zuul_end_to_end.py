# SPDX-License-Identifier: Apache-2.0
"""A build of today through the front door: a page of Zuul, its logs, the site."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.daemon import Daemon, free_port
from tests.fake_zuul import NOVA, build
from tests.servers import Apache
from tests.test_end_to_end import ROOT, generate

UUID = "d6b05d233d1b47a9b51694b4da905ab1"
PLACE = f"v1/AUTH_x/zuul_opendev_logs_d6b/openstack/{UUID}"
URL = f"http://storage.gra.cloud.ovh.net/{PLACE}/"


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
        builds.write_text(json.dumps({"openstack": [one]}))
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
