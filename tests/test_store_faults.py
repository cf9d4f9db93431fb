# SPDX-License-Identifier: Apache-2.0
"""The store's faults, injected into the real daemon: told in log, /health, to the client; then over."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

from twisted.trial.unittest import SkipTest, TestCase

from tests.daemon import Daemon

SIZE = 48 << 20


class FaultTests(TestCase):
    timeout = 180

    def setUp(self) -> None:
        self.daemon = Daemon(Path(self.mktemp()).absolute(), {"zuuls": [], "gerrits": []})
        self.addCleanup(self.daemon.kill)

    def until(self, status: str) -> list[str]:
        """The reasons of /health once it says so."""
        deadline = time.monotonic() + 30
        while True:
            health = json.loads(self.daemon.request("GET", "/health")[2])
            if health["status"] == status:
                return health["reasons"]
            self.assertLess(time.monotonic(), deadline, health)
            time.sleep(0.05)  # not synchronisation: the poll's pace

    def refused(self) -> str:
        """What a scrape is answered while the store fails."""
        status, headers, body = self.daemon.request("POST", "/api/scrape", {"url": self.url, "force": True})
        self.assertEqual((status, headers["Retry-After"]), (503, "30"), body)
        answer = json.loads(body)
        self.assertEqual(answer["error"], "store-failed")
        self.assertNotIn(str(self.daemon.state), answer["message"])
        return answer["message"]

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

    def test_disk_full(self) -> None:
        self.daemon.state.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.daemon.state)],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            raise SkipTest("needs the right to mount a small tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.daemon.state)], check=True)
        self.addCleanup(self.daemon.kill)
        self.daemon.start()
        uuid = self.made()
        filler = self.daemon.state / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
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
        self.check_served(uuid)
        for shard in shards:
            shard.chmod(0o700)
        self.assertEqual(self.until("ok"), [])
        self.scrape_again()

    def test_locked(self) -> None:
        self.daemon.start()
        uuid = self.made()
        with contextlib.closing(sqlite3.connect(self.daemon.state / "stackviz.sqlite3")) as other:
            other.execute("BEGIN IMMEDIATE")
            self.assertIn("another program holds the database", " ".join(self.until("degraded")))
            begun = time.monotonic()
            self.assertIn("locked", self.refused())
            self.assertLess(time.monotonic() - begun, 8)
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
