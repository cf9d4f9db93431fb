# SPDX-License-Identifier: Apache-2.0
"""What clients cost that ask and read nothing: the resident memory of the real daemon."""

import re
import socket
import time
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.daemon import Daemon

CLIENTS = 100
ASKED = 300
"""Requests that each of them sends at once."""
EACH = 400_000
"""Bytes that one may cost: some 130,000 are held, the rest is what malloc leaves between them."""
SPAN_S = 3.0
"""The memory has to stand still for so long."""


class SlowReaderTests(TestCase):
    timeout = 120

    def test_a_pipeline_costs_about_what_one_request_does(self) -> None:
        """Of a file that is sent plain: each answer is unpacked, and larger than what is buffered of it."""
        with Daemon(Path(self.mktemp()).absolute(), {"zuuls": []}) as daemon:
            assert daemon.process is not None
            pid = daemon.process.pid
            paths = [f"/api/blob/{one['id']}" for one in daemon.scrape("sample")["artifacts"]]
            sizes = {path: len(daemon.request("GET", path)[2]) for path in paths}
            path = min(sizes, key=lambda path: abs(sizes[path] - 160_000))
            self.assertGreater(sizes[path], 100_000)
            before = _rss(pid)
            asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * ASKED
            for _ in range(CLIENTS):
                client = socket.socket()
                self.addCleanup(client.close)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", daemon.port))
                client.sendall(asked)
            most, stood = before, time.monotonic()
            while time.monotonic() - stood < SPAN_S:
                now = _rss(pid)
                if now > most:
                    most, stood = now, time.monotonic()
                # it answers others meanwhile
                self.assertEqual(daemon.request("GET", "/health/live")[0], 200)
            self.assertGreater(most, before)
            self.assertLess((most - before) / CLIENTS, EACH)


def _rss(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) << 10
