# SPDX-License-Identifier: Apache-2.0
"""Parser processes of the real daemon that are killed at their start, again and again, or lack memory."""

import contextlib
import gzip
import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.daemon import Daemon

MIB = 1 << 20
TASK_S = 5.0
KILLED = "was killed, probably because the machine ran out of memory"


class Reaper(threading.Thread):
    """kill -9 for each child of a process, as soon as it is there: ``most`` of them, or until the end."""

    def __init__(self, pid: int, most: int = 1 << 30) -> None:
        super().__init__(daemon=True)
        self.children = Path(f"/proc/{pid}/task/{pid}/children")
        self.most = most
        self.killed: set[int] = set()
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.wait(0.002) and len(self.killed) < self.most:
            with contextlib.suppress(OSError):
                for child in map(int, self.children.read_text(encoding="ascii").split()):
                    os.kill(child, signal.SIGKILL)
                    self.killed.add(child)

    def end(self) -> None:
        self.over.set()
        self.join()


class WorkerFaultTests(TestCase):
    timeout = 180

    def daemon(self, **limits: Any) -> Daemon:
        base = Path(tempfile.mkdtemp(prefix="stackviz-deployer-"))
        self.addCleanup(shutil.rmtree, base)
        daemon = Daemon(base, {"zuuls": [], "gerrits": [], "workers": 1, "limits": limits})
        self.addCleanup(daemon.kill)
        return daemon

    def reaper(self, daemon: Daemon, most: int = 1 << 30) -> Reaper:
        assert daemon.process is not None
        reaper = Reaper(daemon.process.pid, most)
        self.addCleanup(reaper.end)
        return reaper

    def until(self, daemon: Daemon, status: str) -> dict[str, Any]:
        return daemon.until(status)

    def test_killed_at_the_start(self) -> None:
        daemon = self.daemon()
        daemon.launch()
        reaper = self.reaper(daemon, most=2)
        reaper.join(60)
        self.assertGreaterEqual(len(reaper.killed), 2)
        daemon.until_ready()
        self.assertEqual(self.until(daemon, "ok")["reasons"], [])
        self.assertEqual(len(daemon.scrape("sample")["artifacts"]), 5)
        self.assertIn(KILLED, daemon.log.read_text())

    def test_killed_again_and_again(self) -> None:
        daemon = self.daemon(task_seconds=TASK_S)
        daemon.start()
        before = daemon.scrape("sample")
        reaper = self.reaper(daemon)
        self.assertIn(KILLED, " ".join(self.until(daemon, "degraded")["reasons"]))
        began = time.monotonic()
        sent = daemon.send("/api/upload?name=a.subunit", b"test: a\nsuccess: a\n", {})[1]
        asked = daemon.post("/api/scrape", {"url": before["url"], "force": True})[1]
        for queued, code, words in (
            (sent, "worker-died", "no parser process became free within"),
            (asked, "task-timeout", "the scrape took longer than"),
        ):
            end = daemon.wait(queued["uuid"])
            self.assertEqual((end["status"], end["error"]), ("error", code), end)
            self.assertIn(words, end["message"])
        self.assertLess(time.monotonic() - began, TASK_S + 60)
        self.assertEqual(self.until(daemon, "degraded")["workers"]["ready"], 0)
        daemon.blob(before["artifacts"][0]["id"])  # what is there is served meanwhile
        self.assertGreater(len(reaper.killed), 4)
        reaper.end()
        self.assertEqual(self.until(daemon, "ok")["reasons"], [])
        self.assertEqual(len(daemon.scrape("sample", force=True)["artifacts"]), 5)

    def test_out_of_memory(self) -> None:
        """A report of 280,000 tests, 10 KB as it is sent: a process of 200 MiB cannot hold them."""
        daemon = self.daemon(memory_bytes=200 * MIB)
        daemon.start()
        assert daemon.process is not None
        report = gzip.compress(b"<testsuite>" + b"<testcase/>" * 280_000 + b"</testsuite>")
        _, queued = daemon.send("/api/upload?name=results.xml.gz", report, {})
        end = daemon.wait(queued["uuid"])
        self.assertEqual(end["error"], "too-large", end)
        self.assertIn("results.xml", end["message"])
        self.assertIn("more memory than a parser may have", end["message"])
        self.assertIsNone(daemon.process.poll())
        self.assertEqual(self.until(daemon, "ok")["reasons"], [])
        self.assertEqual(len(daemon.scrape("sample")["artifacts"]), 5)
