# SPDX-License-Identifier: Apache-2.0
"""Through the front door of the real daemon, wherever the sites' data lies."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tests.daemon import Daemon
from tests.test_uploads import STREAM


def serve(case: TestCase, base: Path, blobs: dict[str, Any], **config: Any) -> Daemon:
    """A started daemon, stopped when the test ends."""
    given = {"gerrits": [], "zuuls": [], "workers": 1, "blobs": blobs, **config}
    daemon = Daemon(base, given)
    daemon.start()
    case.addCleanup(daemon.stop)
    return daemon


def uploaded(case: TestCase, daemon: Daemon) -> dict[str, Any]:
    """The finished task of a stream that was sent."""
    status, queued = daemon.send("/api/upload?name=testrepository.subunit", STREAM, {})
    case.assertEqual(status, 202, queued)
    end = daemon.wait(queued["uuid"])
    case.assertEqual(end["status"], "finished", end)
    return daemon.post("/api/task", {"q": queued["uuid"]})[1]


def read_all(case: TestCase, daemon: Daemon, task: dict[str, Any]) -> int:
    """Read every artifact whole and by block, as browsers do; how many blocks there were."""
    count = 0
    for artifact in task["artifacts"]:
        where = f"/api/blob/{artifact['id']}"
        status, headers, stored = daemon.request("GET", where, headers={"Accept-Encoding": "gzip"})
        case.assertEqual((status, headers["Content-Encoding"]), (200, "gzip"), where)
        plain = gzip.decompress(stored)
        case.assertEqual(daemon.request("GET", where)[2], plain)
        case.assertEqual(
            daemon.request(
                "GET", where, headers={"Accept-Encoding": "gzip", "If-None-Match": headers["ETag"]}
            )[0],
            304,
        )
        status, said, body = daemon.request("HEAD", where, headers={"Accept-Encoding": "gzip"})
        case.assertEqual((status, int(said["Content-Length"]), body), (200, len(stored), b""))
        status, _, index = daemon.request("GET", f"{where}/blocks")
        if status == 404:
            continue
        blocks = json.loads(index)["blocks"]
        parts = [daemon.request("GET", f"{where}/blocks/{n}")[2] for n in range(len(blocks))]
        case.assertEqual(b"".join(parts)[:100], plain[:100])
        case.assertIn(b"".join(parts), plain)
        count += len(parts)
    return count


class DirectoryTests(TestCase):
    timeout = 300

    def test_a_directory_of_its_own(self) -> None:
        base = Path(self.mktemp()).absolute()
        place = base / "mount"
        place.mkdir(parents=True)
        daemon = serve(self, base / "daemon", {"path": str(place)})
        task = uploaded(self, daemon)
        self.assertGreater(read_all(self, daemon, task), 0)
        self.assertTrue(list(place.glob("blobs/??/*")))
        self.assertFalse((daemon.state / "blobs").exists())
        self.assertEqual(list((place / "uploads").iterdir()) + list((place / "tmp").iterdir()), [])
        daemon.stop()
        shutil.rmtree(place / "blobs")
        daemon.start()
        self.assertEqual(daemon.post("/api/task", {"q": task["id"]})[0], 410)
