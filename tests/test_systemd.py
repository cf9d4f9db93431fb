# SPDX-License-Identifier: Apache-2.0
"""The unit and the socket of etc/: what systemd says of them, and the daemon under what they demand.

No systemd runs where the tests do.  What can be had without one is real: its own programs judge
the files, what the unit has the kernel forbid for good is switched on, sockets are handed over by
LISTEN_FDS, and every system call of daemon and workers is compared with the unit's filter.
"""

import http.client
import http.server
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

import yaml
from twisted.trial.unittest import TestCase

from tests.daemon import ANSWER_S, Daemon, free_port
from tests.test_operation import ETC, TWISTD, debian
from tests.web.test_listen import write_certificate

T = TypeVar("T")

UNIT = (ETC / "stackviz-deployer.service").read_text(encoding="utf-8")

# prctl, then exec: what they switch on is inherited and can never be switched off
CONFINE = """
import ctypes, os, sys
prctl = ctypes.CDLL(None).prctl
for option in map(int, sys.argv[1].split(",")):
    assert prctl(option, 1, 0, 0, 0) == 0
os.execvp(sys.argv[2], sys.argv[2:])
"""
RULES = {"NoNewPrivileges": 38, "MemoryDenyWriteExecute": 65}
"""Of the unit, and the kernel's name for each: PR_SET_NO_NEW_PRIVS, PR_SET_MDWE."""
SWITCHED_ON = [str(option) for rule, option in RULES.items() if f"\n{rule}=yes\n" in UNIT]
CONFINED = [sys.executable, "-c", CONFINE, ",".join(SWITCHED_ON)]

INDEX = b'<h1>Index of /job/</h1><ul><li><a href="console.html">console.html</a></li></ul>'
CONSOLE = b"2016-01-01 00:00:00.123 | all is well\n" * 20


class LogHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {"/job/": INDEX, "/job/console.html": CONSOLE}.get(self.path, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Nothing."""


class UnitTests(TestCase):
    def test_systemd_takes_the_unit(self) -> None:
        analyze = debian("systemd-analyze", "systemd")
        text = (ETC / "stackviz-deployer.service").read_text(encoding="utf-8")
        unit = Path(self.mktemp()).absolute() / "stackviz-deployer.service"
        unit.parent.mkdir()
        # the one thing that is not here: the path that the package is installed to
        unit.write_text(text.replace("/opt/stackviz-deployer/bin/twistd", TWISTD), encoding="utf-8")
        done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_systemd_takes_the_socket(self) -> None:
        analyze = debian("systemd-analyze", "systemd")
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        for name in ("stackviz-deployer.service", "stackviz-deployer.socket"):
            text = (ETC / name).read_text(encoding="utf-8")
            (base / name).write_text(
                text.replace("/opt/stackviz-deployer/bin/twistd", TWISTD), encoding="utf-8"
            )
        done = subprocess.run(
            [analyze, "verify", str(base / "stackviz-deployer.socket")],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_systemd_takes_the_drop_ins_of_the_documentation(self) -> None:
        analyze = debian("systemd-analyze", "systemd")
        text = (ETC.parent / "docs" / "operations.rst").read_text(encoding="utf-8")
        blocks = [
            textwrap.dedent(block)
            for block in re.findall(r"::\n\n((?: {4}\S.*\n)+)", text)
            if block.lstrip().startswith(("[Socket]", "[Service]"))
        ]
        self.assertEqual(len(blocks), 4)
        token, sockets, credentials, capability = blocks
        for service in (token, credentials, capability):
            base = Path(self.mktemp()).absolute()
            for name, drop_in in (
                ("stackviz-deployer.socket", sockets),
                ("stackviz-deployer.service", service),
            ):
                unit = (ETC / name).read_text(encoding="utf-8")
                (base / f"{name}.d").mkdir(parents=True)
                (base / f"{name}.d" / "override.conf").write_text(drop_in, encoding="utf-8")
                (base / name).write_text(
                    unit.replace("/opt/stackviz-deployer/bin/twistd", TWISTD), encoding="utf-8"
                )
            done = subprocess.run(
                [analyze, "verify", str(base / "stackviz-deployer.socket")],
                env={**os.environ, "SYSTEMD_UNIT_PATH": f"{base}:"},
                capture_output=True,
                text=True,
                check=False,
            )
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_the_handed_over_port_of_the_documentation(self) -> None:
        text = (ETC.parent / "docs" / "operations.rst").read_text(encoding="utf-8")
        block = text.partition(".. the configuration of a handed over port\n")[2].partition("yaml\n\n")[2]
        given = yaml.safe_load(textwrap.dedent(block.partition("\n\n")[0]))
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        write_certificate(base, 1)
        (base / "chain.pem").write_bytes((base / "cert.pem").read_bytes())
        self.assertEqual(given["http"].count("/run/credentials/stackviz-deployer.service/"), 3)
        endpoint = given["http"].replace("/run/credentials/stackviz-deployer.service", str(base))
        config = base / "config.yaml"
        config.write_text(yaml.safe_dump({**given, "http": endpoint, "zuuls": [], "gerrits": []}))
        command = [TWISTD, "stackviz-deployer", "--check", f"--config={config}", f"--state-dir={base}"]
        for key, verdict in (("key.pem", "ok "), ("missing.pem", "error ")):
            config.write_text(config.read_text().replace("key.pem", key))
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            line = next(line for line in done.stdout.splitlines() if "http:" in line)
            self.assertTrue(line.startswith(verdict), line)

    def test_exposure(self) -> None:
        analyze = debian("systemd-analyze", "systemd")
        done = subprocess.run(
            [analyze, "security", "--offline=true", "--threshold=20", str(ETC / "stackviz-deployer.service")],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout[-500:] + done.stderr)
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
        assert found is not None, done.stdout
        self.assertLessEqual(float(found[1]), 1.5)  # what docs/operations.rst says

    def test_the_unit_names_options_and_a_logger_that_exist(self) -> None:
        text = (ETC / "stackviz-deployer.service").read_text(encoding="utf-8")
        command = next(line for line in text.splitlines() if line.startswith("ExecStart=")).split()[1:]
        command[command.index("--config") + 1] = str(ETC / "stackviz-deployer.yaml")
        done = subprocess.run(
            [TWISTD, *command, "--help"], capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)


class Activated(Daemon):
    """The daemon with a listening socket of somebody else's, as systemd hands it over (sd_listen_fds(3))."""

    listener: socket.socket

    def spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        fd = self.listener.fileno()
        script = f'exec 3<&{fd}; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http; exec "$@"'
        return subprocess.Popen(
            ["sh", "-c", script, "sh", *command],
            cwd=self.base,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[fd],
        )

    def endpoint(self) -> str:
        return "systemd:domain=INET:index=0"


class SocketTests(TestCase):
    timeout = 180

    def test_restart_under_load_refuses_nobody_and_loses_no_task(self) -> None:
        base = Path(self.mktemp()).absolute()
        daemon = Activated(base, {"zuuls": [], "scrapes": 2})
        daemon.listener = socket.create_server(("127.0.0.1", daemon.port), backlog=4096)
        self.addCleanup(daemon.listener.close)
        daemon.start()
        self.addCleanup(daemon.stop)
        entry = daemon.post("/api/list", {"q": "sample"})[1]["results"][0]
        uuids = [daemon.post("/api/scrape", {**entry, "force": True})[1]["uuid"]]
        uuids += [self.upload(daemon) for _ in range(12)]
        self.assertIn(daemon.post("/api/status", {"q": uuids[-1]})[1]["status"], ("queued", "pending"))
        answered: list[int] = []
        trouble: list[str] = []
        stop = threading.Event()

        def visit() -> None:
            while not stop.is_set():
                try:
                    answered.append(daemon.request("GET", "/health/live")[0])
                except (OSError, http.client.HTTPException) as error:
                    trouble.append(repr(error))

        visitors = [threading.Thread(target=visit) for _ in range(4)]
        for visitor in visitors:
            visitor.start()
        try:
            for _ in range(2):
                before = len(answered)
                daemon.stop()
                daemon.start()
                self.assertGreater(len(answered), before)
            ends = {daemon.wait(uuid)["status"] for uuid in uuids}
        finally:
            stop.set()
            for visitor in visitors:
                visitor.join()
        self.assertEqual(ends, {"finished"})
        self.assertEqual([error for error in trouble if "Refused" in error], [])
        self.assertEqual(trouble, [])
        self.assertEqual(set(answered), {200})
        self.assertNotIn("Traceback", daemon.log.read_text())

    def upload(self, daemon: Daemon) -> str:
        lines = "".join(f"2016-01-26 18:32:{n % 60:02d}.000 | line {n}\n" for n in range(200_000))
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=ANSWER_S)
        try:
            connection.request("POST", "/api/upload?name=console.html", lines.encode())
            answer = connection.getresponse()
            self.assertEqual(answer.status, 202)
            return str(json.loads(answer.read())["uuid"])
        finally:
            connection.close()

    def handed_over(self, base: Path, endpoint: str, *prefix: str) -> Daemon:
        """A daemon to which systemd's own program hands a socket over when the first one comes."""
        activate = debian("systemd-socket-activate", "systemd")
        through = Daemon(base, {"zuuls": []})
        command = [activate, f"--listen=127.0.0.1:{through.port}", "--fdname=http", *prefix, TWISTD]
        command += ["--nodaemon", "--pidfile=", "stackviz-deployer", f"--config={through.config}"]
        command += [f"--http={endpoint}", f"--state-dir={through.state}"]
        with through.log.open("wb") as log:
            process = subprocess.Popen(command, cwd=base, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        return through

    def until_answered(self, ask: Callable[[], T]) -> T:
        """Once it listens; the first who comes waits while the daemon starts."""
        deadline = time.monotonic() + 120
        while True:
            try:
                return ask()
            except ConnectionRefusedError:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)  # not synchronisation: the poll's pace

    def test_systemds_own_way_of_handing_over(self) -> None:
        through = self.handed_over(Path(self.mktemp()).absolute(), "systemd:domain=INET:index=0")
        status = self.until_answered(lambda: through.request("GET", "/health/live")[0])
        self.assertEqual(status, 200, through.log.read_text())

    def test_tls_over_systemds_socket(self) -> None:
        """For a port below 1024 without any capability."""
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        first = write_certificate(base, 1)
        endpoint = f"ssl-systemd:domain=INET:index=0:privateKey={base}/key.pem:certKey={base}/cert.pem"
        through = self.handed_over(base, endpoint, *CONFINED)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

        def ask() -> tuple[int, str | None, bytes | None]:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", through.port, timeout=ANSWER_S, context=context
            )
            try:
                connection.request("GET", "/health/live")
                shown = connection.sock.getpeercert(binary_form=True)
                answer = connection.getresponse()
                return answer.status, answer.getheader("Strict-Transport-Security"), shown
            finally:
                connection.close()

        self.assertEqual(self.until_answered(ask), (200, "max-age=31536000", first), through.log.read_text())
        second = write_certificate(base, 2)
        self.assertEqual(ask()[2], second)


class Traced(Daemon):
    """Under strace, which notes the names of its and its workers' system calls."""

    def spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        strace = debian("strace", "strace")
        return subprocess.Popen(
            [strace, "-f", "-qq", "-o", str(self.base / "calls"), *command],
            cwd=self.base,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


class ConfinedTests(TestCase):
    timeout = 180

    def test_tls_both_ways_under_the_units_rules(self) -> None:
        """A log server is asked over TLS, and the site served over it: by what the unit lets them do."""
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        write_certificate(base, 1)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LogHandler)
        server.daemon_threads = True
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(base / "cert.pem", base / "key.pem")
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        place = f"localhost:{server.server_port}"
        own = free_port()
        files = f"privateKey={base}/key.pem:certKey={base}/cert.pem"
        given = {"zuuls": [], "gerrits": [], "log_hosts": [place], "private_networks": ["127.0.0.0/8"]}
        given |= {"metrics": f"ssl:{own}:interface=127.0.0.1:{files}"}
        daemon = Daemon(base, given)
        self.addCleanup(daemon.stop)
        daemon.start("env", f"SSL_CERT_FILE={base}/cert.pem", *CONFINED)
        status, queued = daemon.post("/api/scrape", {"url": f"https://{place}/job/"})
        self.assertEqual(status, 202, queued)
        end = daemon.wait(queued["uuid"])
        self.assertEqual(end["status"], "finished", end)
        trusting = ssl.create_default_context(cafile=str(base / "cert.pem"))
        served = http.client.HTTPSConnection("localhost", own, timeout=ANSWER_S, context=trusting)
        self.addCleanup(served.close)
        served.request("GET", "/metrics")
        self.assertEqual(served.getresponse().status, 200)
        assert daemon.process is not None
        status_file = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
        self.assertIn("NoNewPrivs:\t1", status_file)

    def test_the_filter_has_every_system_call(self) -> None:
        analyze = debian("systemd-analyze", "systemd")
        daemon = Traced(Path(self.mktemp()).absolute(), {"zuuls": []})
        self.addCleanup(daemon.stop)
        daemon.start()
        self.assertEqual(len(daemon.scrape("sample")["artifacts"]), 5)
        assert daemon.process is not None
        children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
        os.kill(int(children.read_text().split()[0]), signal.SIGTERM)
        daemon.process.wait(60)
        daemon.process = None
        text = (daemon.base / "calls").read_text(encoding="utf-8", errors="replace")
        used = set(re.findall(r"^\d+ +([a-z0-9_]+)\(", text, re.MULTILINE))
        self.assertIn("prlimit64", used)  # what workers do to themselves
        groups = {
            group: set(subprocess.check_output([analyze, "syscall-filter", group], text=True).split())
            for group in ("@system-service", "@privileged")
        }
        allowed = self.expanded(analyze, groups["@system-service"])
        allowed -= self.expanded(analyze, groups["@privileged"])
        # exec of the workers' interpreter and what every process does are in @default and @process
        # SQLite gives its files the owner of the database, but only where it runs as root
        self.assertEqual(used - allowed - ({"fchown"} if os.geteuid() == 0 else set()), set())

    def expanded(self, analyze: str, names: set[str]) -> set[str]:
        found = set()
        for name in names:
            if name.startswith("@"):
                listed = subprocess.check_output([analyze, "syscall-filter", name], text=True)
                found |= self.expanded(analyze, {line.strip() for line in listed.splitlines()[1:]})
            else:
                found.add(name)
        return found
