# SPDX-License-Identifier: Apache-2.0
"""The examples of etc/cluster/: what reads them takes them, and they do what docs/cluster.rst says."""

import http.client
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from urllib.parse import urlsplit

from twisted.trial.unittest import SynchronousTestCase, TestCase

from stackviz_deployer.blob_place import MAX_OBJECT
from stackviz_deployer.config import load
from stackviz_deployer.settings import Bucket
from tests.daemon import ANSWER_S, Daemon, free_port
from tests.test_operation import ETC, TWISTD, debian

EXAMPLES = ETC / "cluster"
NAME = "stackviz.example.org"


class ConfigurationTests(SynchronousTestCase):
    def test_it_is_read(self) -> None:
        config = load(str(EXAMPLES / "stackviz-deployer.yaml"), {}, {}, cwd=Path("/"))
        assert config.database is not None
        assert config.redis is not None
        assert isinstance(config.blobs, Bucket)
        self.assertEqual((config.database.host, config.database.tls), ("db.example.org", True))
        self.assertEqual((config.redis.host, config.redis.tls), ("redis.example.org", True))
        self.assertEqual(urlsplit(config.blobs.endpoint).scheme, "https")
        self.assertLessEqual(config.limits.upload_bytes, MAX_OBJECT)
        self.assertEqual((config.hosts, config.proxies), ((NAME,), ("192.0.2.10/32",)))


class UnitTests(TestCase):
    def test_systemd_takes_the_drop_ins(self) -> None:
        analyze = debian("systemd-analyze", "systemd")
        program = "/opt/stackviz-deployer/bin/twistd"
        unit = (ETC / "stackviz-deployer.service").read_text(encoding="utf-8")
        page = (ETC.parent / "docs" / "cluster.rst").read_text(encoding="utf-8")
        (mount,) = re.findall(r"::\n\n((?: {4}\S.*\n|\n)+)(?=The load balancer)", page)
        for role in ("web", "worker"):
            base = Path(self.mktemp()).absolute()
            name = "stackviz-deployer.service"
            (base / f"{name}.d").mkdir(parents=True)
            drop_in = (EXAMPLES / f"{role}.conf").read_text(encoding="utf-8")
            for file, text in (
                (name, unit),
                (f"{name}.d/cluster.conf", drop_in),
                (f"{name}.d/mount.conf", textwrap.dedent(mount)),
            ):
                (base / file).write_text(text.replace(program, TWISTD), encoding="utf-8")
                done = subprocess.run(
                    [analyze, "verify", str(base / name)],
                    env={**os.environ, "SYSTEMD_UNIT_PATH": f"{base}:"},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), file)
            (line,) = [one for one in drop_in.splitlines() if one.startswith("ExecStart=/")]
            config = str(EXAMPLES / "stackviz-deployer.yaml")
            command = line.replace("${CREDENTIALS_DIRECTORY}/config.yaml", config)
            self.assertIn(f"--config {config} --role {role}", command)
            done = subprocess.run(
                [TWISTD, *command.split()[1:], "--help"],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.assertEqual(done.returncode, 0, done.stderr)


class SizingTests(SynchronousTestCase):
    def test_the_table_is_the_benchs(self) -> None:
        command = [sys.executable, "-m", "bench.sizing"]
        done = subprocess.run(
            command, cwd=ETC.parent, capture_output=True, text=True, timeout=120, check=True
        )
        page = (ETC.parent / "docs" / "cluster.rst").read_text(encoding="utf-8")
        self.assertIn(f"\n\n{done.stdout}\n", page)


class BalancerTests(TestCase):
    timeout = 240

    def test_haproxy(self) -> None:
        """One node that is there, and one that is not: nobody sees the second."""
        haproxy = debian("haproxy", "haproxy")
        base = Path(self.mktemp()).absolute()
        node = Daemon(
            base / "node",
            {"zuuls": [], "gerrits": [], "workers": 1, "hosts": [NAME], "proxies": ["127.0.0.0/8"]}
            | {"rates": {"upload": 0, "list": 2, "scrape": 0}},
        )
        node.start()
        self.addCleanup(node.stop)
        port = free_port()
        text = (EXAMPLES / "haproxy.cfg").read_text(encoding="utf-8")
        for old, new in (
            (":443 ssl crt /etc/haproxy/stackviz.pem", f"127.0.0.1:{port}"),
            ("192.0.2.11:5000", f"127.0.0.1:{node.port}"),
            ("192.0.2.12:5000", f"127.0.0.1:{free_port()}"),
        ):
            self.assertEqual(text.count(old), 1)
            text = text.replace(old, new)
        config = base / "haproxy.cfg"
        config.write_text(text, encoding="utf-8")
        log = base / "haproxy.log"
        with log.open("wb") as file:
            balancer = subprocess.Popen([haproxy, "-db", "-f", str(config)], stdout=file, stderr=file)
        self.addCleanup(balancer.wait)
        self.addCleanup(balancer.terminate)
        through = Daemon(base / "unused")
        through.port, through.log = port, log
        deadline = time.monotonic() + ANSWER_S
        while "Server nodes/web2 is DOWN" not in log.read_text(encoding="utf-8"):
            self.assertLess(time.monotonic(), deadline, log.read_text(encoding="utf-8"))
            time.sleep(0.05)  # not synchronisation: the poll's pace
        for _ in range(4):
            self.assertEqual(through.request("GET", "/health/live")[0], 200)
        status, queued = through.post("/api/scrape", {"url": "sample:gate-tempest-dsvm-full/"})
        self.assertEqual(status, 202, queued)
        self.assertEqual(list(through.events(queued["uuid"]))[-1]["status"], "finished")
        # the node knows clients by what the balancer says, not by what they say themselves
        seen = []
        for number in range(4):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
            self.addCleanup(connection.close)
            headers = {"Content-Type": "application/json", "X-Forwarded-For": f"198.51.100.{number}"}
            connection.request("POST", "/api/list", b'{"q": "sample"}', headers)
            seen.append(connection.getresponse().status)
        self.assertEqual(seen, [200, 200, 429, 429])
        node.kill()
        self.assertEqual(through.request("GET", "/health/live")[0], 503)
