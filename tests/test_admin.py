# SPDX-License-Identifier: Apache-2.0
"""The administrator's calls, at the real daemon, as docs/operations.rst shows them."""

import contextlib
import gzip
import http.client
import json
import os
import re
import socket
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase, TestCase

from stackviz_deployer.config import admin_token
from stackviz_deployer.errors import ConfigError
from tests.daemon import Daemon

TOKEN = "0123456789abcdef" * 4
DOC = Path(__file__).resolve().parent.parent / "docs" / "operations.rst"


class TokenTests(SynchronousTestCase):
    def file(self, text: str, mode: int = 0o600) -> Path:
        path = Path(self.mktemp())
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def test_where_it_is_from(self) -> None:
        self.assertIsNone(admin_token(None, {}))
        self.assertEqual(admin_token(None, {"STACKVIZ_ADMIN_TOKEN": TOKEN}), TOKEN)
        path = self.file(f"{TOKEN}\n")
        self.assertEqual(admin_token(path, {"STACKVIZ_ADMIN_TOKEN": "of the environment, ignored"}), TOKEN)

    def test_refusals(self) -> None:
        for path, words in (
            (Path("/nowhere"), "cannot read /nowhere"),
            (self.file(TOKEN, 0o644), "chmod o="),
            (self.file(""), "at least 20"),
            (self.file("x" * 19), "at least 20"),
            (self.file("a token of several words"), "without blanks"),
            (self.file("é" * 30), "cannot read"),
        ):
            error = self.assertRaises(ConfigError, admin_token, path, {})
            self.assertIn("admin_token_file", error.message)
            self.assertIn(words, error.message)
        error = self.assertRaises(ConfigError, admin_token, None, {"STACKVIZ_ADMIN_TOKEN": "short"})
        self.assertIn("STACKVIZ_ADMIN_TOKEN", error.message)


class AdminTests(TestCase):
    timeout = 120

    def daemon(self, **config) -> Daemon:
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        self.token = base / "admin.token"
        self.token.write_text(f"{TOKEN}\n", encoding="ascii")
        self.token.chmod(0o600)
        offline = {"zuuls": [], "gerrits": [], "admin_token_file": str(self.token)}
        daemon = Daemon(base, {**offline, **config})
        self.addCleanup(daemon.kill)
        daemon.start()
        return daemon

    def ask(self, daemon, method, path, token=TOKEN, **headers):
        given = {"Authorization": f"Bearer {token}"} if token else {}
        status, answered, body = daemon.request(method, f"/api/admin{path}", headers={**given, **headers})
        return status, answered, json.loads(body)

    def blobs(self, daemon) -> list[Path]:
        return [path for path in (daemon.state / "blobs").rglob("*") if path.is_file()]

    def test_as_documented(self) -> None:
        daemon = self.daemon()
        uuid = daemon.scrape("sample")["id"]
        self.assertGreater(len(self.blobs(daemon)), 0)
        text = DOC.read_text(encoding="utf-8")
        commands = re.findall(r"^    \$ (curl .*/api/admin/.*)$", text, re.MULTILINE)
        self.assertEqual(len(commands), 4)
        said = []
        for command in commands:
            done = subprocess.run(
                command.replace("localhost:5000", f"127.0.0.1:{daemon.port}"),
                shell=True,  # as a person types it
                cwd=daemon.base,
                env={**os.environ, "UUID": uuid},
                capture_output=True,
                check=True,
            )
            said.append(json.loads(done.stdout))
        listed, pinned, unpinned, deleted = said
        self.assertEqual([one["uuid"] for one in listed["tasks"]], [uuid])
        self.assertEqual((listed["tasks"][0]["artifacts"], listed["tasks"][0]["pinned"]), (5, False))
        self.assertEqual((pinned["pinned"], unpinned["pinned"]), (True, False))
        self.assertEqual(deleted, {"deleted": uuid})
        self.assertEqual(daemon.post("/api/status", {"q": uuid})[0], 404)
        self.assertEqual(daemon.request("GET", f"/s/{uuid}/")[0], 404)
        self.assertEqual(self.blobs(daemon), [])  # at once, although this process made them

    def test_nothing_of_a_deleted_site_is_served_from_memory(self) -> None:
        daemon = self.daemon()
        task = daemon.scrape("sample")
        paths = [f"/api/blob/{one['id']}" for one in task["artifacts"]]
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        self.addCleanup(connection.close)

        def statuses() -> set[int]:
            found = set()
            for path in paths:
                connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
                response = connection.getresponse()
                response.read()
                found.add(response.status)
            return found

        for _ in range(3):
            self.assertEqual(statuses(), {200})
        self.assertEqual(self.ask(daemon, "DELETE", f"/tasks/{task['id']}")[0], 200)
        self.assertEqual(statuses(), {404})

    def test_off_unless_configured(self) -> None:
        daemon = Daemon(Path(self.mktemp()).absolute(), {"zuuls": [], "gerrits": []})
        self.addCleanup(daemon.kill)
        daemon.start()
        nothing = daemon.request("GET", "/api/nothing")
        for method, path in (("GET", "/tasks"), ("DELETE", "/tasks/x"), ("PUT", "/tasks/x/pin")):
            status, _, answer = self.ask(daemon, method, path)
            self.assertEqual((status, answer), (404, json.loads(nothing[2])))

    def test_refusals(self) -> None:
        daemon = self.daemon()
        uuid = daemon.scrape("sample")["id"]
        for method, path in (
            ("GET", "/tasks"),
            ("DELETE", f"/tasks/{uuid}"),
            ("PUT", f"/tasks/{uuid}/pin"),
            ("DELETE", f"/tasks/{uuid}/pin"),
        ):
            status, headers, answer = self.ask(daemon, method, path, token=None)
            self.assertEqual((status, answer["error"]), (401, "unauthorized"))
            self.assertTrue(headers["WWW-Authenticate"].startswith("Bearer"))
        self.assertEqual(self.ask(daemon, "GET", "/tasks", **{"Sec-Fetch-Site": "cross-site"})[0], 403)
        for query in ("?state=gone", "?most=0", "?most=201", "?most=x", "?before=-1"):
            self.assertEqual(self.ask(daemon, "GET", f"/tasks{query}")[0], 400)
        for method, path in (("DELETE", "/tasks/x"), ("PUT", "/tasks/x/pin"), ("DELETE", "/tasks/%00")):
            self.assertEqual(self.ask(daemon, method, path)[0], 404)
        for _ in range(10):
            self.assertEqual(self.ask(daemon, "GET", "/tasks", token="wrong")[0], 401)
        status, headers, answer = self.ask(daemon, "DELETE", f"/tasks/{uuid}")
        self.assertEqual((status, answer["error"], headers["Retry-After"]), (429, "too-many-attempts", "60"))
        self.assertEqual(daemon.post("/api/status", {"q": uuid})[1]["status"], "finished")
        text = daemon.log.read_text()
        self.assertIn("a wrong admin token from 127.0.0.1", text)
        self.assertNotIn(TOKEN, text)

    def test_a_working_task_is_cancelled_first(self) -> None:
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        daemon = self.daemon(
            log_hosts=["logs.example.org"],
            resolve={"logs.example.org": f"127.0.0.1:{silent.getsockname()[1]}"},
            private_networks=["127.0.0.0/8"],
        )
        uuid = daemon.post("/api/scrape", {"url": "http://logs.example.org/1/"})[1]["uuid"]
        silent.settimeout(30)
        connection, _ = silent.accept()  # it is at work, and waits
        self.addCleanup(connection.close)
        stream = daemon.events(uuid)
        self.assertEqual(next(stream)["status"], "pending")
        self.assertEqual(self.ask(daemon, "DELETE", f"/tasks/{uuid}")[0], 200)
        self.assertEqual(list(stream)[-1]["status"], "cancelled")
        self.assertEqual(daemon.post("/api/status", {"q": uuid})[0], 404)
        connection.settimeout(30)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(4096):
                pass  # the daemon let go of it
        self.assertEqual(list((daemon.state / "tmp").iterdir()), [])
        self.assertEqual(json.loads(daemon.request("GET", "/health")[2])["queue"]["running"], 0)
        self.assertNotIn("Traceback", daemon.log.read_text())

    def test_who_reads_a_deleted_blob_gets_it_whole(self) -> None:
        """A client that is slower than its site's end, which is what an expired one's readers are."""
        daemon = self.daemon()
        body = b"".join(
            b"2016-02-01 00:00:00.000 | %s\n" % os.urandom(60).hex().encode() for _ in range(70_000)
        )
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("POST", "/api/upload?name=job-output.txt", body)
        uuid = json.loads(connection.getresponse().read())["uuid"]
        self.assertEqual(daemon.wait(uuid)["status"], "finished")
        largest = max(daemon.post("/api/task", {"q": uuid})[1]["artifacts"], key=lambda one: one["size"])
        self.assertGreater(largest["size"], 4 << 20)
        (place,) = (path for path in self.blobs(daemon) if path.stat().st_size == largest["size"])
        expected = place.read_bytes()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(60)
            client.connect(("127.0.0.1", daemon.port))
            client.sendall(
                b"GET /api/blob/%s HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n"
                b"Connection: close\r\n\r\n" % largest["id"].encode()
            )
            got = client.recv(1024)
            self.assertEqual(self.ask(daemon, "DELETE", f"/tasks/{uuid}")[0], 200)
            self.assertEqual(daemon.request("GET", f"/api/blob/{largest['id']}")[0], 404)
            while chunk := client.recv(1 << 16):
                got += chunk
        head, _, answer = got.partition(b"\r\n\r\n")
        self.assertIn(b"200 OK", head)
        self.assertEqual(answer, expected)
        self.assertEqual(gzip.decompress(answer)[:20], gzip.decompress(expected)[:20])
