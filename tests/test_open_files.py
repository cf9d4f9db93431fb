# SPDX-License-Identifier: Apache-2.0
"""No file can be opened any more: the limit is lowered while the daemon runs, and raised again."""

import http.client
import json
import os
import resource
import socket
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.daemon import Daemon

TRIES = 20


class DescriptorTests(TestCase):
    timeout = 180

    def setUp(self) -> None:
        config = {"zuuls": [], "gerrits": [], "workers": 1, "connections": {"client": 1000}}
        self.daemon = Daemon(Path(self.mktemp()).absolute(), config)
        self.addCleanup(self.daemon.kill)
        self.held: list[socket.socket] = []
        self.addCleanup(self.let_go)

    def let_go(self) -> None:
        while self.held:
            self.held.pop().close()

    def pid(self) -> int:
        assert self.daemon.process is not None
        return self.daemon.process.pid

    def connect(self) -> socket.socket:
        self.held.append(socket.create_connection(("127.0.0.1", self.daemon.port), timeout=120))
        return self.held[-1]

    def ask(
        self, held: http.client.HTTPConnection, method: str, path: str, body: Any = None
    ) -> tuple[int, Any]:
        """On a connection that is there."""
        data = None if body is None else json.dumps(body)
        held.request(method, path, data, {"Content-Type": "application/json"} if body is not None else {})
        answer = held.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if answer.headers.get_content_subtype() == "json" else text

    def until(self, held: http.client.HTTPConnection, status: str) -> list[str]:
        return list(self.daemon.until(status, lambda: self.ask(held, "GET", "/health")[1])["reasons"])

    def processor_s(self) -> float:
        fields = Path(f"/proc/{self.pid()}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_none_left_and_then_some(self) -> None:
        self.daemon.start()
        task = self.daemon.scrape("sample")
        held = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=120)
        self.addCleanup(held.close)
        self.ask(held, "GET", "/health/live")
        before = resource.prlimit(self.pid(), resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid(), resource.RLIMIT_NOFILE, (1, before[1]))
        reasons = " ".join(self.until(held, "degraded"))
        self.assertIn("no connection is accepted: too many open files; allow the daemon more", reasons)
        spent = self.processor_s()
        for _ in range(TRIES):  # they wait in the kernel's queue
            self.connect()
        time.sleep(2)  # what is measured
        self.assertLess(self.processor_s() - spent, 0.3)
        status, answer = self.ask(held, "GET", f"/api/blob/{task['artifacts'][0]['id']}")
        self.assertEqual((status, answer["error"]), (503, "store-failed"), answer)
        self.assertIn("as many files and connections open as it may", answer["message"])
        status, queued = self.ask(held, "POST", "/api/scrape", {"url": task["url"], "force": True})
        self.assertEqual(status, 202, queued)  # its row needs no new file
        resource.prlimit(self.pid(), resource.RLIMIT_NOFILE, before)
        self.let_go()
        self.assertEqual(self.until(held, "ok"), [])
        end = self.daemon.wait(queued["uuid"])
        if end["status"] != "finished":
            self.assertEqual(end["error"], "store-failed", end)
            self.assertIn("as many files and connections open as it may", end["message"])
        self.assertEqual(self.daemon.scrape("sample", force=True)["url"], task["url"])
        self.daemon.blob(task["artifacts"][0]["id"])
