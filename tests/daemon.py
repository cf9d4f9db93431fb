# SPDX-License-Identifier: Apache-2.0
"""The real daemon as a subprocess, for tests that go through its front door.

``Daemon`` starts ``twistd -n stackviz-deployer`` on a free loopback port with a state
directory of its own, and talks plain HTTP to it with the standard library (so that nothing of ours is on
both sides of the wire).
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Self

import yaml

# generous: a machine that has much else to do is no failure
START_S = 120.0
STOP_S = 90.0
ANSWER_S = 120.0
TASK_S = 180.0


def free_port() -> int:
    """A loopback port that nothing listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Daemon:
    """``with Daemon(base, config) as daemon: ...``; ``base`` is a directory of the test's.

    ``instruments``: those of tests/probed.py.
    """

    def __init__(
        self, base: Path, config: dict[str, Any] | None = None, *, instruments: Sequence[str] = ()
    ) -> None:
        self.instruments = instruments
        self.base = base
        self.state = base / "state"
        self.port = free_port()
        base.mkdir(parents=True, exist_ok=True)
        self.config = base / "config.yaml"
        # a test asks more often than a person; the limits have tests of their own
        given = {"rates": {"list": 0, "scrape": 0, "upload": 0}, **(config or {})}
        self.config.write_text(yaml.safe_dump(given), encoding="utf-8")
        self.log = base / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def launch(self, *prefix: str) -> subprocess.Popen[bytes]:
        """Start it, by the command ``prefix`` if there is one, and wait for nothing."""
        twistd = shutil.which("twistd", path=str(Path(sys.executable).parent)) or "twistd"
        command = [twistd]
        if self.instruments:
            command = [sys.executable, str(Path(__file__).with_name("probed.py")), *self.instruments, "--"]
        with self.log.open("ab") as log:
            command += ["--nodaemon", "--pidfile=", "stackviz-deployer", f"--config={self.config}"]
            command += [f"--http={self.endpoint()}", f"--state-dir={self.state}"]
            self.process = self.spawn([*prefix, *command], log)
        return self.process

    def start(self, *prefix: str) -> None:
        """Start it and wait until it says that it is ready."""
        self.launch(*prefix)
        self.until_ready()

    def until_ready(self) -> None:
        """Wait until one that was launched says that it is ready."""
        process = self.process
        assert process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"the daemon ended at once:\n{self.log.read_text()[-4000:]}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.request("GET", "/health/ready")[0] == 200:
                    return
            time.sleep(0.05)  # not synchronisation: the poll's pace
        raise AssertionError(f"the daemon did not get ready:\n{self.log.read_text()[-4000:]}")

    def health(self) -> dict[str, Any]:
        """What it says of itself."""
        return dict(json.loads(self.request("GET", "/health")[2]))

    def until(self, status: str, ask: Callable[[], dict[str, Any]] | None = None) -> dict[str, Any]:
        """``/health`` once it says so; ``ask`` gets it where a new connection would not do."""
        deadline = time.monotonic() + ANSWER_S
        while True:
            health = (ask or self.health)()
            if health["status"] == status:
                return health
            if time.monotonic() > deadline:
                raise AssertionError(f"{status} is awaited, it is {health}")
            time.sleep(0.02)  # not synchronisation: the poll's pace

    def endpoint(self) -> str:
        """Where it listens."""
        return f"tcp:{self.port}:interface=127.0.0.1"

    def spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Run ``command``."""
        return subprocess.Popen(command, cwd=self.base, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self) -> int | None:
        """SIGTERM; its exit status."""
        if self.process is None:
            return None
        self.process.terminate()
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            self.process = None

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body as they came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            send = dict(headers or {})
            data = None
            if body is not None:
                data = json.dumps(body).encode()
                send.setdefault("Content-Type", "application/json")
            connection.request(method, path, data, send)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Status and decoded JSON."""
        status, _, data = self.request("POST", path, body)
        return status, json.loads(data)

    def send(self, path: str, body: bytes | Iterable[bytes], headers: dict[str, str]) -> tuple[int, Any]:
        """Post bytes as they are, or in chunks as they come: status and decoded JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def events(self, uuid: str) -> Iterator[dict[str, Any]]:
        """What ``/api/events/<uuid>`` tells, until it ends the stream."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TASK_S)
        try:
            connection.request("GET", f"/api/events/{uuid}", headers={"Accept": "text/event-stream"})
            response = connection.getresponse()
            assert response.status == 200, response.read()
            for line in response:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])
        finally:
            connection.close()

    def wait(self, uuid: str) -> dict[str, Any]:
        """The last state of a task."""
        return list(self.events(uuid))[-1]

    def scrape(self, q: str, pick: int = 0, **extra: Any) -> dict[str, Any]:
        """List, scrape one result, wait: the finished task's ``/api/task`` answer."""
        status, listed = self.post("/api/list", {"q": q})
        assert status == 200, listed
        status, queued = self.post("/api/scrape", {**listed["results"][pick], **extra})
        assert status in (200, 202), queued
        end = self.wait(queued["uuid"])
        assert end["status"] == "finished", end
        status, task = self.post("/api/task", {"q": queued["uuid"]})
        assert status == 200, task
        return task

    def blob(self, artifact_id: str) -> bytes:
        """A blob, inflated."""
        status, headers, data = self.request(
            "GET", f"/api/blob/{artifact_id}", headers={"Accept-Encoding": "gzip"}
        )
        assert status == 200, data
        assert headers["Content-Encoding"] == "gzip"
        return gzip.decompress(data)
