# SPDX-License-Identifier: Apache-2.0
"""The store's faults, injected into the real daemon: told in log, /health, to the client; then over."""

import contextlib
import http.server
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, TestCase

from tests.daemon import Daemon

SIZE = 48 << 20
INDEX = b'<h1>Index of /job/</h1><ul><li><a href="console.html">console.html</a></li></ul>'
CONSOLE = b"2016-01-01 00:00:00.123 | all is well\n" * 200_000


class HalfServer(http.server.ThreadingHTTPServer):
    """A log server that sends half of its console, and the rest when ``rest`` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        self.half, self.rest = threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), HalfHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.rest.set()
        self.shutdown()
        self.server_close()


class HalfHandler(http.server.BaseHTTPRequestHandler):
    server: HalfServer

    def do_GET(self) -> None:
        body = {"/job/": INDEX, "/job/console.html": CONSOLE}.get(self.path, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body is not CONSOLE:
            self.wfile.write(body)
            return
        middle = len(body) // 2
        with contextlib.suppress(OSError):  # whose disk is full hangs up
            self.wfile.write(body[:middle])
            self.server.half.set()
            self.server.rest.wait(60)
            self.wfile.write(body[middle:])

    def log_message(self, *_args: object) -> None:
        """Nothing."""


class FaultTests(TestCase):
    timeout = 180

    def setUp(self) -> None:
        self.daemon = Daemon(Path(self.mktemp()).absolute(), {"zuuls": [], "gerrits": []})
        self.addCleanup(self.daemon.kill)

    def until(self, status: str) -> list[str]:
        """The reasons of /health once it says so."""
        return list(self.daemon.until(status)["reasons"])

    def refused(self) -> str:
        """What a scrape is answered while the store fails."""
        return self.message(*self.daemon.request("POST", "/api/scrape", {"url": self.url, "force": True}))

    def message(self, status: int, headers: Any, body: bytes) -> str:
        self.assertEqual((status, headers["Retry-After"]), (503, "30"), body)
        answer = json.loads(body)
        self.assertEqual(answer["error"], "store-failed")
        self.assertNotIn(str(self.daemon.state), answer["message"])
        return answer["message"]

    def send_upload(self) -> tuple[int, Any, bytes]:
        return self.daemon.request("POST", "/api/upload", {"of": "any kind"})

    def upload_refused(self) -> str:
        return self.message(*self.send_upload())

    def made(self) -> str:
        task = self.daemon.scrape("sample")
        self.url = task["url"]
        return task["id"]

    def check_served(self, uuid: str) -> None:
        """A site from before the fault, with and after it."""
        status, task = self.daemon.post("/api/task", {"q": uuid})
        self.assertEqual(status, 200, task)
        for artifact in task["artifacts"]:
            self.daemon.blob(artifact["id"])

    def scrape_again(self) -> None:
        status, again = self.daemon.post("/api/scrape", {"url": self.url, "force": True})
        self.assertEqual(status, 202)
        self.assertEqual(self.daemon.wait(again["uuid"])["status"], "finished")

    def on_a_small_disk(self) -> Path:
        """Start the daemon with SIZE bytes for its state; where these can be reached."""
        self.daemon.state.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.daemon.state)]
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            self.addCleanup(subprocess.run, ["umount", "-l", str(self.daemon.state)], check=True)
            self.addCleanup(self.daemon.kill)
            self.daemon.start()
            return self.daemon.state
        # who may not mount may in a namespace of his own, into which /proc is the way
        own = ["unshare", "--map-root-user", "--mount", "sh", "-c", f'{shlex.join(mount)} && exec "$@"', "sh"]
        if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
            raise SkipTest("needs the right to mount a small tmpfs, be it in a namespace of one's own")
        self.daemon.start(*own)
        assert self.daemon.process is not None
        return Path(f"/proc/{self.daemon.process.pid}/root{self.daemon.state}")

    def fill(self, filler: Path) -> None:
        with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def test_disk_fills_in_the_middle_of_a_scrape(self) -> None:
        server = HalfServer()
        self.addCleanup(server.close)
        place = f"127.0.0.1:{server.server_port}"
        given = {"zuuls": [], "gerrits": [], "log_hosts": [place], "private_networks": ["127.0.0.0/8"]}
        self.daemon = Daemon(Path(self.mktemp()).absolute(), given)
        self.addCleanup(self.daemon.kill)
        disk = self.on_a_small_disk()
        self.url = f"http://{place}/job/"
        status, queued = self.daemon.post("/api/scrape", {"url": self.url})
        self.assertEqual(status, 202, queued)
        self.assertTrue(server.half.wait(30), "nobody asked for the file")
        filler = disk / "filler"
        self.fill(filler)
        server.rest.set()
        end = self.daemon.wait(queued["uuid"])
        self.assertEqual((end["status"], end["error"]), ("error", "store-failed"), end)
        self.assertIn("the server's disk is full", end["message"])
        self.assertNotIn(str(self.daemon.state), end["message"])
        self.fill(filler)  # what the scrape had taken is free again
        self.assertIn("make room", " ".join(self.until("degraded")))
        self.assertIn("disk is full", self.refused())
        self.assertIn("No space left on device", self.daemon.log.read_text())
        filler.unlink()
        self.assertEqual(self.until("ok"), [])
        self.scrape_again()
        self.assertEqual(list((disk / "tmp").iterdir()), [])

    def test_what_waits_goes_on_waiting_while_the_disk_is_full(self) -> None:
        server = HalfServer()
        self.addCleanup(server.close)
        place = f"127.0.0.1:{server.server_port}"
        given = {"log_hosts": [place], "private_networks": ["127.0.0.0/8"], "scrapes": 1}
        given |= {"zuuls": [], "gerrits": []}
        self.daemon = Daemon(Path(self.mktemp()).absolute(), given)
        self.addCleanup(self.daemon.kill)
        disk = self.on_a_small_disk()
        _, first = self.daemon.post("/api/scrape", {"url": f"http://{place}/job/"})
        self.assertTrue(server.half.wait(30), "nobody asked for the file")
        _, listed = self.daemon.post("/api/list", {"q": "sample"})
        status, waiting = self.daemon.post("/api/scrape", listed["results"][0])
        self.assertEqual((status, waiting["status"]), (202, "queued"), waiting)
        filler = disk / "filler"
        self.fill(filler)
        self.until("degraded")
        server.rest.set()
        self.assertEqual(self.daemon.wait(first["uuid"])["error"], "store-failed")
        self.fill(filler)  # what the first one had taken is free again
        deadline = time.monotonic() + 30
        while "claiming tasks fails" not in " ".join(self.until("degraded")):
            self.assertLess(time.monotonic(), deadline)
        _, still = self.daemon.post("/api/status", {"q": waiting["uuid"]})
        self.assertEqual(still["status"], "queued")
        filler.unlink()
        self.assertEqual(self.daemon.wait(waiting["uuid"])["status"], "finished")
        self.assertEqual(self.until("ok"), [])

    def test_disk_full(self) -> None:
        disk = self.on_a_small_disk()
        uuid = self.made()
        filler = disk / "filler"
        self.fill(filler)
        self.assertIn("make room", " ".join(self.until("degraded")))
        self.assertIn("disk is full", self.refused())
        self.check_served(uuid)
        self.assertIn("the store fails", self.daemon.log.read_text())
        filler.unlink()
        self.assertEqual(self.until("ok"), [])
        self.scrape_again()
        self.check_served(uuid)

    def test_blobs_cannot_be_written(self) -> None:
        prefix = []
        if os.getuid() == 0:  # whom no mode keeps from writing, unless without this capability
            prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        self.daemon.start(*prefix)
        uuid = self.made()
        shards = [self.daemon.state / "blobs", *(self.daemon.state / "blobs").iterdir()]
        for shard in shards:
            shard.chmod(0o500)
        self.assertIn("Permission denied", " ".join(self.until("degraded")))
        self.assertIn("the server cannot write to its disk", self.refused())
        self.assertIn("the server cannot write to its disk", self.upload_refused())
        self.check_served(uuid)
        status, there = self.daemon.post("/api/scrape", {"url": self.url})
        self.assertEqual((status, there["uuid"]), (200, uuid))
        for shard in shards:
            shard.chmod(0o700)
        self.assertEqual(self.until("ok"), [])
        self.scrape_again()
        self.assertEqual(self.send_upload()[0], 202)

    def test_locked(self) -> None:
        self.daemon.start()
        uuid = self.made()
        with contextlib.closing(sqlite3.connect(self.daemon.state / "stackviz.sqlite3")) as other:
            other.execute("BEGIN IMMEDIATE")
            self.assertIn("another program holds the database", " ".join(self.until("degraded")))
            begun = time.monotonic()
            self.assertIn("locked", self.refused())
            self.assertLess(time.monotonic() - begun, 30)  # not held until the lock goes
            self.check_served(uuid)
            other.execute("ROLLBACK")
        self.assertEqual(self.until("ok"), [])
        self.scrape_again()

    def not_started(self) -> str:
        process = self.daemon.launch()
        self.assertEqual(process.wait(30), 1)
        text = self.daemon.log.read_text()
        self.assertNotIn("Traceback", text)
        return text

    def test_corrupted_or_newer(self) -> None:
        self.daemon.start()
        self.made()
        self.daemon.stop()
        path = self.daemon.state / "stackviz.sqlite3"
        shutil.copy(path, path.with_name("kept"))
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 999")
        self.assertIn("written by a newer stackviz-deployer (form 999", self.not_started())
        path.write_bytes(b"no database at all" * 1000)
        self.assertIn("the file is damaged or no database; put a backup in its place", self.not_started())
        shutil.move(path.with_name("kept"), path)
        self.daemon.start()
        self.assertEqual(self.daemon.scrape("sample")["url"], self.url)
