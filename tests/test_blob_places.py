# SPDX-License-Identifier: Apache-2.0
"""Through the front door of the real daemon, wherever the sites' data lies."""

import gzip
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import TestCase

from tests.daemon import Daemon
from tests.s3_server import BUCKET, S3Server
from tests.swift_server import SwiftServer
from tests.test_operation import TWISTD
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


class BucketTests(TestCase):
    timeout = 300
    own_server: type[S3Server | SwiftServer] = S3Server

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.server = self.own_server(self.base)
        self.server.start()
        self.addCleanup(self.server.stop)
        self.key = self.server.credentials
        self.key_file = self.base / "key"
        self.key_file.write_text(
            f"[default]\naws_access_key_id = {self.key.access_key}\n"
            f"aws_secret_access_key = {self.key.secret_key}"
        )
        self.key_file.chmod(0o600)

    def blobs(self, **more: Any) -> dict[str, Any]:
        given = {"kind": "s3", "endpoint": self.server.url, "bucket": BUCKET, "prefix": "sv"}
        return {**given, "credentials_file": str(self.key_file), **more}

    def secretless(self, *texts: str) -> None:
        for text in texts:
            self.assertNotIn(self.key.access_key, text)
            self.assertNotIn(self.key.secret_key, text)

    def test_a_bucket(self) -> None:
        daemon = serve(self, self.base / "daemon", self.blobs())
        task = uploaded(self, daemon)
        blocks = read_all(self, daemon, task)
        self.assertGreater(blocks, 0)
        self.assertFalse((daemon.state / "blobs").exists())
        self.assertFalse(any(key.startswith("uploads/") for key in self.server.stored()))
        self.assertEqual(
            len([key for key in self.server.stored() if not key.endswith(".blocks")]), len(task["artifacts"])
        )
        # another start, with nothing on the disk, as another node's would be
        daemon.stop()
        shutil.rmtree(daemon.state / "cache")
        daemon.start()
        self.assertEqual(read_all(self, daemon, task), blocks)
        # the store away: what is here is served, what cannot be stored is refused, /health says why
        self.server.kill()
        self.assertEqual(read_all(self, daemon, task), blocks)
        self.until(lambda: daemon.send("/api/upload?name=testrepository.subunit", STREAM, {})[0] == 503)
        self.until(lambda: "does not answer" in daemon.request("GET", "/health")[2].decode())
        health = daemon.request("GET", "/health")[2].decode()
        self.assertEqual(daemon.request("GET", "/health")[0], 503)
        # no balancer takes the node away: all the others are in the same case, and what is here is served
        self.assertEqual(daemon.request("GET", "/health/ready")[0], 200)
        # and back; what it does not have any more, and is not here, is lost, and said so
        self.server.start()
        self.until(lambda: "does not answer" not in daemon.request("GET", "/health")[2].decode())
        daemon.stop()
        shutil.rmtree(daemon.state / "cache")
        daemon.start()
        if self.server.forgets:
            self.assertEqual(daemon.post("/api/task", {"q": task["id"]})[0], 410)
        else:
            self.assertEqual(read_all(self, daemon, task), blocks)
        uploaded(self, daemon)
        self.secretless(daemon.log.read_text(), health)

    def until(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 90
        while not is_so():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.5)  # not synchronisation: the poll's pace

    def check(self, **more: Any) -> str:
        """What --check says of the place."""
        config = {"gerrits": [], "zuuls": [], "log_hosts": [], "state_dir": str(self.base / "state")}
        file = self.base / "check.yaml"
        file.write_text(yaml.safe_dump({**config, "blobs": self.blobs(**more)}), encoding="utf-8")
        command = [TWISTD, "stackviz-deployer", "--http=tcp:0", f"--config={file}", "--check"]
        done = subprocess.run(command, cwd=self.base, capture_output=True, text=True, timeout=60, check=False)
        self.secretless(done.stdout, done.stderr)
        (line,) = [line for line in done.stdout.splitlines() if " blobs: " in line]
        return line

    def test_check(self) -> None:
        self.assertTrue(self.check().startswith("ok"), self.check())
        self.assertIn("no such bucket", self.check(bucket="another"))
        self.assertIn("does not answer", self.check(endpoint="http://127.0.0.1:1"))
        self.assertIn("cannot use", self.check(ca_file=str(self.key_file)))
        self.key_file.chmod(0o644)
        self.assertIn("everybody may read", self.check())
        self.assertEqual(self.server.stored(), set())

    def spoil_key(self) -> None:
        self.server.kill()
        self.server.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "1"
        self.server.start()

    def test_wrong_key(self) -> None:
        self.spoil_key()
        self.assertIn("refuses this access key", self.check())
        daemon = Daemon(self.base / "daemon", {"gerrits": [], "zuuls": [], "blobs": self.blobs()})
        daemon.launch()  # it is alive, and not ready
        self.addCleanup(daemon.stop)

        def says_so() -> bool:
            try:
                return "refuses this access key" in daemon.request("GET", "/health")[2].decode()
            except OSError:  # it does not listen yet
                return False

        self.until(says_so)
        # that is this node's own trouble: others may serve in its stead
        self.assertEqual(daemon.request("GET", "/health/ready")[0], 503)
        status, answer = daemon.send("/api/upload?name=testrepository.subunit", STREAM, {})
        self.assertEqual(status, 503)
        health = daemon.request("GET", "/health")[2].decode()
        self.secretless(health, json.dumps(answer), daemon.log.read_text())


class SwiftBucketTests(BucketTests):
    """The same over OpenStack Swift."""

    own_server = SwiftServer

    def spoil_key(self) -> None:
        self.key_file.write_text(self.key_file.read_text() + "x\n")
