# SPDX-License-Identifier: Apache-2.0
"""The examples of etc/cluster/: what reads them takes them, and they do what docs/cluster.rst says."""

import contextlib  # not "suppress" by name: trial takes that in a module for its own
import http.client
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.trial.unittest import SynchronousTestCase, TestCase

from stackviz_deployer.blob_place import MAX_OBJECT
from stackviz_deployer.config import load
from stackviz_deployer.settings import Bucket
from tests.cluster.nodes import HOST, Logs
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

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.config = {
            "zuuls": [],
            "gerrits": [],
            "workers": 1,
            "hosts": [NAME],
            "proxies": ["127.0.0.0/8"],
            "rates": {"upload": 0, "list": 0, "scrape": 0},
        }

    def node(self, name: str, **config: Any) -> Daemon:
        node = Daemon(self.base / name, {**self.config, **config})
        node.start()
        self.addCleanup(node.stop)
        return node

    def balanced(self, web1: int, web2: int) -> Daemon:
        """The door of a HAProxy in front of these ports."""
        port = free_port()
        text = (EXAMPLES / "haproxy.cfg").read_text(encoding="utf-8")
        for old, new in (
            (":443 ssl crt /etc/haproxy/stackviz.pem", f"127.0.0.1:{port}"),
            ("192.0.2.11:5000", f"127.0.0.1:{web1}"),
            ("192.0.2.12:5000", f"127.0.0.1:{web2}"),
        ):
            self.assertIn(old, text)
            text = text.replace(old, new)
        config = self.base / "haproxy.cfg"
        config.write_text(text, encoding="utf-8")
        through = Daemon(self.base / "unused")
        through.port, through.log = port, self.base / "haproxy.log"
        with through.log.open("wb") as file:
            command = [debian("haproxy", "haproxy"), "-db", "-f", str(config)]
            balancer = subprocess.Popen(command, stdout=file, stderr=file)
        self.addCleanup(balancer.wait)
        self.addCleanup(balancer.terminate)
        deadline = time.monotonic() + ANSWER_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return through
            self.assertLess(time.monotonic(), deadline, through.log.read_text(encoding="utf-8"))
            time.sleep(0.05)  # not synchronisation: the poll's pace

    def until_told(self, through: Daemon, what: str) -> None:
        deadline = time.monotonic() + ANSWER_S
        while what not in through.log.read_text(encoding="utf-8"):
            self.assertLess(time.monotonic(), deadline, through.log.read_text(encoding="utf-8"))
            time.sleep(0.05)  # not synchronisation: the poll's pace

    def test_haproxy(self) -> None:
        """One node that is there, and one that is not: nobody sees the second."""
        node = self.node("node", rates={"upload": 0, "list": 2, "scrape": 0})
        through = self.balanced(node.port, free_port())
        self.until_told(through, "Server nodes/web2 is DOWN")
        for _ in range(4):
            self.assertEqual(through.request("GET", "/health/live")[0], 200)
        status, queued = through.post("/api/scrape", {"url": "sample:gate-tempest-dsvm-full/"})
        self.assertEqual(status, 202, queued)
        self.assertEqual(list(through.events(queued["uuid"]))[-1]["status"], "finished")
        # the node knows clients by what the balancer says, not by what they say themselves
        seen = []
        for number in range(4):
            connection = http.client.HTTPConnection("127.0.0.1", through.port, timeout=ANSWER_S)
            self.addCleanup(connection.close)
            headers = {"Content-Type": "application/json", "X-Forwarded-For": f"198.51.100.{number}"}
            connection.request("POST", "/api/list", b'{"q": "sample"}', headers)
            seen.append(connection.getresponse().status)
        self.assertEqual(seen, [200, 200, 429, 429])
        node.kill()
        self.assertEqual(through.request("GET", "/health/live")[0], 503)

    def test_a_node_that_stops_fails_no_request(self) -> None:
        """Clients and balancer keep their connections, and ask without a pause."""
        nodes = [self.node(name) for name in ("one", "other")]
        through = self.balanced(*(node.port for node in nodes))
        enough = threading.Event()
        failed: list[Any] = []
        answered = [0] * 6

        def ask(number: int) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", through.port, timeout=ANSWER_S)
            headers = {"Content-Type": "application/json"}
            while not enough.is_set():
                try:
                    if number % 2:
                        connection.request("GET", "/")
                    else:
                        connection.request("POST", "/api/list", b'{"q": "sample"}', headers)
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status != 200:
                        failed.append(answer.status)
                except (OSError, http.client.HTTPException) as error:
                    failed.append(error)
                    connection.close()
                answered[number] += 1
            connection.close()

        askers = [threading.Thread(target=ask, args=(number,)) for number in range(len(answered))]
        for asker in askers:
            asker.start()
        try:
            for node in nodes:
                before = list(answered)
                deadline = time.monotonic() + ANSWER_S
                while any(now - then < 20 for now, then in zip(answered, before, strict=True)):
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.05)  # not synchronisation: the poll's pace
                node.stop()
                node.start()
        finally:
            enough.set()
            for asker in askers:
                asker.join()
        self.assertEqual(failed, [])

    def test_no_node_is_ready(self) -> None:
        """They say what is the matter; what needs nothing of it is served."""
        logs = Logs()
        self.addCleanup(logs.stop)
        logs.hold(1)
        node = self.node(
            "node",
            scrapes=1,
            limits={"queue": 1},
            resolve={HOST: f"127.0.0.1:{logs.port}"},
            private_networks=["127.0.0.0/8"],
        )
        through = self.balanced(node.port, free_port())
        status, queued = through.post("/api/scrape", {"url": logs.url(1)})
        self.assertEqual(status, 202)
        self.assertTrue(any(one["status"] == "pending" for one in through.events(queued["uuid"])))
        self.assertEqual(through.post("/api/scrape", {"url": logs.url(2)})[0], 202)
        self.until_told(through, "Server nodes/web1 is DOWN, reason: Layer7 wrong status")
        self.assertEqual(through.request("GET", "/")[0], 200)
        status, error = through.post("/api/scrape", {"url": logs.url(3)})
        self.assertEqual((status, error["error"]), (503, "queue-full"))
