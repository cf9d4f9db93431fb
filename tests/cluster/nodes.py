# SPDX-License-Identifier: Apache-2.0
"""Several real daemons over one redis-server, one mariadbd and one directory; and a log server that waits."""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twisted.trial.unittest import TestCase

from stackviz_deployer.settings import MysqlServer
from tests import mariadb
from tests.daemon import Daemon
from tests.redis_server import Redis
from tests.test_uploads import STREAM

HOST = "logs.openstack.org"
NAME = b"testrepository.subunit"
PACE = 0.2
"""Of the times of cluster/bus.py: a dead node's task is taken over after 6 s."""
SOON_S = 60.0


class Logs:
    """Job after job, each with one stream; a job on hold sends it when it is let go."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._on_hold: set[int] = set()
        self._changed = threading.Condition()
        self.asked: dict[int, int] = {}
        """How often the stream of a job was asked for."""
        self.delay_s = 0.0
        """Before each stream."""
        self.stream = STREAM
        logs = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                _, number, name = self.path.split("/", 2)
                body, kind = logs.stream, "application/octet-stream"
                if not name:
                    body = b'<html><body><ul><li><a href="%s">%s</a></li></ul>' % (NAME, NAME)
                    kind = "text/html"
                elif name == NAME.decode():
                    logs.wait(int(number))
                else:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_args: object) -> None:
                """A daemon that is killed hangs up."""

        self.server = Server((address, 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, number: int) -> str:
        return f"http://{HOST}/{number}/"

    def hold(self, *jobs: int) -> None:
        with self._changed:
            self._on_hold.update(jobs)

    def let_go(self) -> None:
        with self._changed:
            self._on_hold.clear()
            self._changed.notify_all()

    def wait(self, job: int) -> None:
        """Until the stream is to be sent."""
        with self._changed:
            self.asked[job] = self.asked.get(job, 0) + 1
        time.sleep(self.delay_s)  # a slow server
        with self._changed:
            self._changed.wait_for(lambda: job not in self._on_hold)

    def stop(self) -> None:
        self.let_go()
        self.server.shutdown()
        self.server.server_close()


class SharedTestCase(TestCase):
    """What nodes share: a Redis, a database, a directory."""

    timeout = 300
    keeps = False
    """Whether Redis does through its restarts."""

    def setUp(self) -> None:
        # not below the checkout: of a path's length a socket's address bears little
        directory = tempfile.TemporaryDirectory(prefix="stackviz-deployer-")
        self.addCleanup(directory.cleanup)
        self.base = Path(directory.name)
        self.redis = Redis(self.base / "redis", keeps=self.keeps)
        self.redis.start()
        self.addCleanup(self.redis.stop)
        self.server = self.database()
        self.data = self.base / "data"
        self.data.mkdir()

    def database(self) -> MysqlServer:
        """An empty one of ``self.maria``."""
        self.maria = mariadb.shared()
        return self.maria.database()

    def configuration(self) -> dict[str, Any]:
        """Of a node that asks nobody else."""
        server = self.server
        secret = quote(server.password, safe="")
        return {
            "zuuls": [],
            "gerrits": [],
            "workers": 1,
            "database": f"mysql://{server.user}:{secret}@{server.host}:{server.port}/{server.name}",
            "redis": self.redis.url,
            "blobs": {"path": str(self.data)},
        }


class NodesTestCase(SharedTestCase):
    """Nodes whose jobs are those of ``Logs``."""

    timeout = 240

    def setUp(self) -> None:
        super().setUp()
        self.logs = Logs()
        self.addCleanup(self.logs.stop)
        self.nodes: dict[str, Daemon] = {}

    def configuration(self) -> dict[str, Any]:
        return {
            **super().configuration(),
            "scrapes": 2,
            "resolve": {HOST: f"127.0.0.1:{self.logs.port}"},
            "private_networks": ["127.0.0.0/8"],
        }

    def node(self, name: str, *, pace: float | None = PACE, start: bool = True, **config: Any) -> Daemon:
        instruments = [] if pace is None else [f"pace={pace}"]
        daemon = Daemon(self.base / name, {**self.configuration(), **config}, instruments=instruments)
        self.nodes[name] = daemon
        self.addCleanup(daemon.kill)
        if start:
            daemon.launch()
            self.joined(name)
        return daemon

    def joined(self, *names: str) -> None:
        """Wait until those of ``nodes`` that were launched say that all is well."""
        for name in names:
            daemon = self.nodes[name]
            daemon.until_ready()
            self.until(lambda daemon=daemon: not self.notes(daemon), f"{name} in the cluster")

    def together(self, roles: Mapping[str, str], **config: Any) -> list[Daemon]:
        """Nodes of these names and roles, started at once."""
        daemons = [self.node(name, start=False, role=role, **config) for name, role in roles.items()]
        for daemon in daemons:
            daemon.launch()
        self.joined(*roles)
        return daemons

    def notes(self, daemon: Daemon) -> list[str]:
        """What a node says is wrong."""
        return list(json.loads(daemon.request("GET", "/health")[2])["reasons"])

    def until(self, true: Callable[[], Any], what: str, soon_s: float = SOON_S) -> Any:
        deadline = time.monotonic() + soon_s
        while not (found := true()):
            if time.monotonic() > deadline:
                tails = "\n".join(
                    f"--- {name}\n{node.log.read_text()[-2500:]}" for name, node in self.nodes.items()
                )
                raise AssertionError(f"{what} did not come\n{tails}")
            time.sleep(0.05)  # not synchronisation: the poll's pace
        return found

    def submit(self, daemon: Daemon, number: int, **more: Any) -> str:
        status, queued = daemon.post("/api/scrape", {"url": self.logs.url(number), **more})
        self.assertEqual(status, 202, queued)
        return str(queued["uuid"])

    def row(self, uuid: str) -> Any:
        """State, owner and starts of a task, as the database has them; nothing of ours is on this way."""
        with self.maria.root(self.server.name) as root:
            return root.execute("SELECT state, owner, attempts FROM tasks WHERE id = %s", (uuid,))[0]

    def starts(self, uuids: Sequence[str]) -> list[int]:
        """How often each of these tasks was begun, as the database has it."""
        with self.maria.root(self.server.name) as root:
            found = dict(root.execute("SELECT id, attempts FROM tasks"))
        return [found[uuid] for uuid in uuids]

    def check(self, daemon: Daemon, uuid: str) -> list[str]:
        """It is finished, its artifacts are there once and whole; their types."""
        status, task = daemon.post("/api/task", {"q": uuid})
        self.assertEqual(status, 200, task)
        kinds = [one["artifact_type"] for one in task["artifacts"]]
        self.assertEqual(len(kinds), len(set(kinds)), kinds)
        for one in task["artifacts"]:
            self.assertTrue(daemon.blob(one["id"]))
        return kinds

    def emptied(self) -> None:
        """Redis holds no task any more."""
        for command in (("XLEN", "stackviz:queue"), ("HLEN", "stackviz:offered")):
            self.until(lambda command=command: self.redis.ask(*command) == 0, f"an end of {command}")


class Relay:
    """Passes connections to ``address`` on to a port of this machine's loopback."""

    def __init__(self, address: str, port: int) -> None:
        self.target = port
        self.listener = socket.create_server((address, 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self.listener.close()
