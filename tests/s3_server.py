# SPDX-License-Identifier: Apache-2.0
"""An S3 server in a process of its own, and a proxy in front of it that spoils what it brings.

The server is moto's: it keeps its objects in memory, so that a restart is the loss of all of them.
tests/swift_server.py has one that people run.
"""

from __future__ import annotations

import atexit
import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from stackviz_deployer.settings import Bucket, Credentials
from tests.daemon import free_port

START_S = 60.0
BUCKET = "stackviz"
SOMEBODY = (
    "AWS4-HMAC-SHA256 Credential=SOMEBODY/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)
METHODS = (b"GET ", b"PUT ", b"HEAD ", b"DELETE ")
REFUSAL = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CREDENTIALS = Credentials(access_key="AKIATESTTESTTESTTEST", secret_key="a-secret-that-is-in-no-log")


class ObjectServer:
    """``start()`` returns when the bucket is there; ``kill()`` and ``stop()`` when the process is gone."""

    credentials = CREDENTIALS
    forgets = True
    """Whether it is empty after ``kill`` and ``start``."""

    def __init__(self) -> None:
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def place(self, port: int | None = None, **more: Any) -> Bucket:
        """The bucket, perhaps by the port of a proxy."""
        endpoint = f"http://127.0.0.1:{port or self.port}"
        return Bucket(**{"endpoint": endpoint, "bucket": BUCKET, "prefix": "sv/", **more})


class S3Server(ObjectServer):
    """moto's."""

    def __init__(self, base: Path, **environ: str) -> None:
        super().__init__()
        self.log = base / "s3.log"
        self.environ = environ
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        try:
            import moto  # noqa: F401
        except ImportError as error:
            raise SkipTest("needs moto[server] (pip install .[test])") from error
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("moto_process.py")), str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environ},
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.ask("PUT", "")
            except (OSError, http.client.HTTPException):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"moto did not start:\n{self.log.read_text()[-3000:]}") from None
                time.sleep(0.05)  # not synchronisation: the poll's pace
            else:
                return

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    stop = kill

    def ask(self, method: str, key: str, body: bytes | None = None, path: str | None = None) -> bytes:
        """A request whose signature moto does not look at; ``key`` is below the prefix."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            where = path or f"/{BUCKET}/{f'sv/{key}' if key else ''}"
            connection.request(method, where, body, {"Authorization": SOMEBODY})
            answer = connection.getresponse()
            data = answer.read()
            assert answer.status < 300, (method, key, answer.status, data)
            return data
        finally:
            connection.close()

    def age(self, key: str, by_s: float) -> None:
        """Make an object older."""
        self.ask("POST", "", path=f"/-age/{BUCKET}/sv/{key}?{by_s}")

    def stored(self) -> set[str]:
        """The keys of all objects, below the prefix, without the probe's."""
        listing = self.ask("GET", "", path=f"/{BUCKET}?list-type=2&max-keys=1000").decode()
        found = {part.split("</Key>")[0].removeprefix("sv/") for part in listing.split("<Key>")[1:]}
        return found - {"probe"}


@cache
def shared_server() -> S3Server:
    """One for all tests of this process, started when the first asks for it."""
    base = Path("s3-server").absolute()
    base.mkdir(exist_ok=True)
    server = S3Server(base)
    server.start()
    atexit.register(server.stop)
    return server


class Spoiler:
    """A TCP proxy to ``port``; ``mode`` is what happens, to open connections, too.

    ``pass``; ``refuse`` (503 to everything); ``cut`` (after ``after`` bytes of what the server
    sends); ``drip`` (a byte each 0.1 s of that); ``silent`` (nothing is passed on); ``flip`` (a bit of
    each piece of a body that a client sends).
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.mode = "pass"
        self.after = 0
        self.reads = 0
        """GETs that came from clients while nothing was spoiled."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.mode = "closed"
        for one in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            self._open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._to)) as server:
            self._open.append(server)
            back = threading.Thread(target=self._back, args=(server, client), daemon=True)
            back.start()
            while data := client.recv(1 << 16):
                if self.mode == "refuse":
                    client.sendall(REFUSAL)
                    break
                if self.mode == "flip" and not data.startswith(METHODS):
                    data = bytes([data[0] ^ 1]) + data[1:]
                if self.mode != "silent":
                    server.sendall(data)
                    self.reads += data.startswith(b"GET ")
        client.close()

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if self.mode == "cut" and sent + len(data) > self.after:
                    client.sendall(data[: max(self.after - sent, 0)])
                    break
                if self.mode == "drip":
                    for byte in data:
                        client.sendall(bytes([byte]))
                        time.sleep(0.1)
                else:
                    client.sendall(data)
                sent += len(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
