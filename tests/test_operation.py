# SPDX-License-Identifier: Apache-2.0
"""What an operator does: start with options, be told what is wrong, install the unit, stop."""

import gzip
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, TestCase

from stackviz_deployer import __version__
from tests.daemon import Daemon

ETC = Path(__file__).resolve().parent.parent / "etc"
TWISTD = str(Path(sys.executable).parent / "twistd")


def debian(program: str, package: str) -> str:
    """The program's path; skips without it."""
    found = shutil.which(program)
    if found is None:
        raise SkipTest(f"needs {program} (Debian package {package})")
    return found


class CommandLineTests(TestCase):
    def run_twistd(self, *args: str) -> tuple[int, str]:
        Path(self.mktemp()).mkdir()
        done = subprocess.run(
            [TWISTD, "--nodaemon", "--pidfile=", "stackviz-deployer", *args],
            cwd=self.mktemp().rpartition("/")[0],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def test_help_shows_every_option_with_its_default(self) -> None:
        status, text = self.run_twistd("--help")
        self.assertEqual(status, 0)
        for words in [
            "--config=",
            "--http=",
            "tcp:5000:interface=127.0.0.1",
            "--state-dir=",
            "$STATE_DIRECTORY",
            "--stackviz=",
            "built-in viewer",
            "--jjb-yaml-path=",
            "--check",
            "$JJB_YAML_PATH",
        ]:
            self.assertIn(words, text)

    def test_version(self) -> None:
        self.assertEqual(self.run_twistd("--version"), (0, f"stackviz-deployer {__version__}\n"))

    def test_wrong_configuration_ends_with_a_message(self) -> None:
        config = Path(self.mktemp())
        config.write_text("colour: red\n", encoding="utf-8")
        status, text = self.run_twistd(f"--config={config.absolute()}")
        self.assertEqual(status, 1)
        self.assertIn("unknown key 'colour'", text)
        for wrong, words in (
            ("log_hosts: ['*']", "log_hosts"),
            ("http: ['foo:5000']", "http: 'foo:5000'"),
            ("http: ['systemd:domain=INET:index=0']", "needs a socket that systemd hands over"),
            ("http: ['tcp:x']", "http: 'tcp:x'"),
            ("http: ['tcp:1:2:3:4:5:6']", "http: 'tcp:1:2:3:4:5:6'"),
        ):
            config.write_text(wrong, encoding="utf-8")
            status, text = self.run_twistd(f"--config={config.absolute()}", f"--state-dir={self.mktemp()}")
            self.assertEqual(status, 1)
            self.assertIn(words, text)
            self.assertNotIn("Traceback", text)

    def test_state_that_cannot_be_used_ends_with_a_message(self) -> None:
        place = Path(self.mktemp())
        place.write_text("no directory", encoding="utf-8")
        status, text = self.run_twistd("--http=tcp:0:interface=127.0.0.1", f"--state-dir={place.absolute()}")
        self.assertEqual(status, 1)
        self.assertIn(f"cannot write {place.absolute()}", text)
        self.assertNotIn("Traceback", text)

    def test_taken_port_ends_with_a_message(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            status, text = self.run_twistd(
                f"--http=tcp:{port}:interface=127.0.0.1", f"--state-dir={self.mktemp()}"
            )
        self.assertEqual(status, 1)
        self.assertIn("Address already in use", text)
        self.assertNotIn("Traceback", text)

    def test_no_such_stackviz_ends_with_a_message(self) -> None:
        status, text = self.run_twistd("--stackviz=/nowhere", f"--state-dir={self.mktemp()}")
        self.assertEqual(status, 1)
        self.assertIn("/nowhere", text)
        self.assertNotIn("Traceback", text)


class RunningTests(TestCase):
    timeout = 120

    def daemon(self, config: dict[str, Any] | None = None) -> Daemon:
        daemon = Daemon(Path(self.mktemp()).absolute(), config)
        self.addCleanup(daemon.stop)
        return daemon

    def test_health(self) -> None:
        daemon = self.daemon()
        daemon.start()
        for path in ("/health", "/health/live", "/health/ready"):
            status, headers, body = daemon.request("GET", path)
            self.assertEqual((status, headers.get_content_type()), (200, "application/json"))
            self.assertEqual(json.loads(body)["status"], "ok")

    def test_sigterm_stops_within_a_bound_and_the_scrape_goes_on_later(self) -> None:
        daemon = self.daemon()
        daemon.start()
        entry = daemon.post("/api/list", {"q": "sample"})[1]["results"][0]
        uuid = daemon.post("/api/scrape", entry)[1]["uuid"]
        begun = time.monotonic()
        self.assertEqual(daemon.stop(), -15)
        self.assertLess(time.monotonic() - begun, 60)
        self.assertNotIn("Traceback", daemon.log.read_text())
        daemon.start()
        self.assertEqual(daemon.wait(uuid)["status"], "finished")

    def test_a_second_daemon_on_the_same_state_is_refused(self) -> None:
        daemon = self.daemon()
        daemon.start()
        second = Daemon(daemon.base / "second")
        second.state = daemon.state
        self.addCleanup(second.stop)
        error = self.assertRaises(AssertionError, second.start)
        self.assertIn("stackviz", str(error))
        self.assertEqual(daemon.request("GET", "/health")[0], 200)

    def test_the_examples_of_etc_work(self) -> None:
        """The daemon starts with the packaged configuration, and a StackViz build gets its config.json."""
        build = Path(self.mktemp()).absolute()
        (build / "data").mkdir(parents=True)
        (build / "index.html").write_text("<!doctype html><title>StackViz</title>", encoding="utf-8")
        (build / "data" / "config.json").write_text("{}", encoding="utf-8")
        daemon = self.daemon()
        shutil.copy(ETC / "stackviz-deployer.yaml", daemon.config)
        text = daemon.config.read_text(encoding="utf-8")
        daemon.config.write_text(text.replace("stackviz: ~", f"stackviz: {build}"), encoding="utf-8")
        daemon.start()
        task = daemon.scrape("sample")
        self.assertIn(b"<title>StackViz</title>", daemon.request("GET", f"/s/{task['id']}/")[2])
        config = json.loads(daemon.request("GET", f"/s/{task['id']}/data/config.json")[2])
        self.assertEqual(config, json.loads((ETC / "config.json").read_text(encoding="utf-8")))


class NginxTests(TestCase):
    timeout = 120

    def test_the_example_serves_the_daemon(self) -> None:
        nginx = debian("nginx", "nginx-light")
        daemon = Daemon(Path(self.mktemp()).absolute())
        self.addCleanup(daemon.stop)
        daemon.start()
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        text = (ETC / "nginx.conf").read_text(encoding="utf-8")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        config = base / "nginx.conf"
        text = text.replace("127.0.0.1:5000", f"127.0.0.1:{daemon.port}")
        text = text.replace("listen 8080", f"listen 127.0.0.1:{port}")
        config.write_text(
            text.replace("/tmp/stackviz-deployer-nginx.pid", str(base / "pid")), encoding="utf-8"
        )
        server = subprocess.Popen(
            [nginx, "-c", str(config), "-g", "daemon off;"], stderr=subprocess.DEVNULL, cwd=base
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        deadline = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)  # not synchronisation: the poll's pace
        through = Daemon(base / "unused")
        through.port = port
        task = through.scrape("sample")
        self.assertEqual(len(task["artifacts"]), 5)
        # uploads are no siblings of the others: larger, and passed on as they come
        sample = resources.files("stackviz_deployer") / "sample/gate-tempest-dsvm-full/logs"
        body = gzip.decompress((sample / "testrepository.subunit.gz").read_bytes())
        self.assertGreater(len(body), 64 << 10)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("POST", "/api/upload", body)
        answer = connection.getresponse()
        self.assertEqual(answer.status, 202)
        self.assertEqual(through.wait(json.loads(answer.read())["uuid"])["status"], "finished")
