# SPDX-License-Identifier: Apache-2.0
"""The unit and the socket of etc/: what systemd says of them, and the daemon under what they demand.

No systemd runs where the tests do.  What can be had without one is real: its own programs judge
the files, the kernel's W^X rule is switched on as MemoryDenyWriteExecute does, sockets are handed
over by LISTEN_FDS, and every system call of daemon and workers is compared with the unit's filter.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from twisted.trial.unittest import TestCase

from tests.daemon import ANSWER_S, Daemon, free_port
from tests.test_operation import ETC, TWISTD, debian

CONFINE = """
import ctypes, os, sys
PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 38, 65
prctl = ctypes.CDLL(None).prctl
assert prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
"""


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
        self.assertLessEqual(float(found[1]), 2.0)

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

    def test_systemds_own_way_of_handing_over(self) -> None:
        activate = debian("systemd-socket-activate", "systemd")
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        port = free_port()
        (base / "config.yaml").write_text("zuuls: []\n", encoding="utf-8")
        with (base / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    activate,
                    f"--listen=127.0.0.1:{port}",
                    "--fdname=http",
                    TWISTD,
                    "--nodaemon",
                    "--pidfile=",
                    "stackviz-deployer",
                    f"--config={base / 'config.yaml'}",
                    "--http=systemd:domain=INET:index=0",
                    f"--state-dir={base / 'state'}",
                ],
                cwd=base,
                stdout=log,
                stderr=log,
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        through = Daemon(base / "unused")
        through.port = port
        deadline = time.monotonic() + 120
        while True:  # until it listens; the first who comes waits while the daemon starts
            try:
                self.assertEqual(through.request("GET", "/health/live")[0], 200, (base / "log").read_text())
                break
            except ConnectionRefusedError:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)  # not synchronisation: the poll's pace


class Confined(Daemon):
    """Under the kernel's own rules that the unit switches on."""

    def spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        # prctl, then exec: what both switch on is inherited and can never be switched off
        return super().spawn([sys.executable, "-c", CONFINE, *command], log)


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

    def test_no_memory_is_written_and_run(self) -> None:
        """MemoryDenyWriteExecute and NoNewPrivileges, workers and TLS included."""
        daemon = Confined(Path(self.mktemp()).absolute(), {"zuuls": []})
        self.addCleanup(daemon.stop)
        daemon.start()
        self.assertEqual(len(daemon.scrape("sample")["artifacts"]), 5)
        assert daemon.process is not None
        status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
        self.assertIn("NoNewPrivs:\t1", status)

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
