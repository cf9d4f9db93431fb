# SPDX-License-Identifier: Apache-2.0
"""``--migrate-from``: from a real single node's state directory to real daemons that share one."""

import gzip
import hashlib
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Any

import yaml

from tests.cluster.nodes import SharedTestCase
from tests.cluster.test_shared_store import SAMPLE
from tests.daemon import Daemon
from tests.s3_server import BUCKET, S3Server
from tests.test_admin import TOKEN
from tests.test_operation import TWISTD
from tests.test_uploads import DSTAT

ALONE: dict[str, Any] = {"zuuls": [], "gerrits": [], "workers": 1, "log_hosts": ["127.0.0.1:9"]}
LINES = gzip.decompress(DSTAT).splitlines(keepends=True)
TABLES = ("tasks", "artifacts", "expired_artifacts")
KILLED = """
import os, sys
import pymysql.cursors
wanted, left, number, victim = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

def seen(what):
    global left
    if what == wanted:
        left -= 1
        if left == 0:
            os.kill(victim or os.getpid(), number)

def audit(event, args):
    if event == "os.rename" and "/data/" in str(args[1]):
        seen("blob")

sys.addaudithook(audit)
execute = pymysql.cursors.Cursor.execute

def told(self, statement, args=None):
    for start in ("INSERT INTO tasks", "INSERT INTO artifacts", "COMMIT"):
        if statement.startswith(start):
            seen(start)
    return execute(self, statement, args)

pymysql.cursors.Cursor.execute = told
sys.argv[:5] = ["twistd"]
from twisted.scripts.twistd import run
run()
"""
"""Sends a signal to itself, or to another, before the so many-th of something: a blob's name, a statement."""


class Source:
    """What a single node leaves: a pinned site, one that yields its URL, an error, one expired."""

    def __init__(self, base: Path) -> None:
        token = base / "token"
        base.mkdir()
        token.write_text(TOKEN, encoding="ascii")
        token.chmod(0o600)
        self.daemon = daemon = Daemon(base / "alone", {**ALONE, "admin_token_file": str(token)})
        self.state = daemon.state
        daemon.start()
        try:
            self.first = daemon.scrape("sample")["id"]
            status, again = daemon.post("/api/scrape", {"url": SAMPLE, "force": True})
            assert status == 202, again
            self.second = again["uuid"]
            assert daemon.wait(self.second)["status"] == "finished"
            self.dstat = self.sent(b"".join(LINES[:500]), "dstat-csv.txt")
            self.gone = self.sent(b"".join(LINES[:400]), "dstat-csv.txt")
            status, bad = daemon.post("/api/scrape", {"url": "http://127.0.0.1:9/nothing/"})
            assert status == 202, bad
            self.bad = bad["uuid"]
            assert daemon.wait(self.bad)["status"] == "error"
            told = daemon.request(
                "PUT", f"/api/admin/tasks/{self.second}/pin", headers={"Authorization": f"Bearer {TOKEN}"}
            )
            assert told[0] == 200, told
            self.sites = {uuid: self.site(daemon, uuid) for uuid in (self.first, self.second, self.dstat)}
            self.expired = next(iter(self.site(daemon, self.gone)))
            # what a retention of years would do, now: the data of one is lost, and somebody looks
            name = self.ask(f"SELECT blob_hash FROM artifacts WHERE task_id = '{self.gone}'")[0][0]
            assert len(self.ask(f"SELECT id FROM artifacts WHERE blob_hash = '{name}'")) == 1
            (self.state / "blobs" / name[:2] / name).unlink()
            assert daemon.post("/api/task", {"q": self.gone})[0] == 410
            assert daemon.post("/api/status", {"q": self.gone})[1]["status"] == "expired"
        finally:
            daemon.stop()

    def sent(self, body: bytes, name: str) -> str:
        status, queued = self.daemon.send(f"/api/upload?name={name}", body, {})
        assert status == 202, queued
        assert self.daemon.wait(queued["uuid"])["status"] == "finished"
        return str(queued["uuid"])

    def site(self, daemon: Daemon, uuid: str) -> dict[str, tuple[bytes, bytes]]:
        """Each artifact's blob and block index (or what is said instead of one), in the order shown."""
        status, task = daemon.post("/api/task", {"q": uuid})
        assert status == 200, task
        ids = [one["id"] for one in task["artifacts"]]
        return {one: (daemon.blob(one), daemon.request("GET", f"/api/blob/{one}/blocks")[2]) for one in ids}

    def ask(self, sql: str) -> list[tuple]:
        with closing(sqlite3.connect(self.state / "stackviz.sqlite3", timeout=10)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            found = connection.execute(sql).fetchall()
            connection.commit()
            return found


class MovingCase(SharedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.shared = {**self.configuration(), **ALONE}

    def move(self, state: Path, *killed: object, victim: int = 0, **config: Any) -> tuple[int, str]:
        """Status and what it says.  ``killed``: see KILLED; ``victim``: a process, 0 = that which moves."""
        file = self.base / "new.yaml"
        given = {**self.shared, "state_dir": str(self.base / "new"), **config}
        given = {key: value for key, value in given.items() if value is not None}
        file.write_text(yaml.safe_dump(given), encoding="utf-8")
        command = [sys.executable, "-c", KILLED, *map(str, (*killed, victim))] if killed else [TWISTD]
        done = subprocess.run(
            [*command, "stackviz-deployer", f"--config={file}", f"--migrate-from={state}"],
            cwd=self.base,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(done.stderr, "")
        self.assertNotIn("Traceback", done.stdout)
        self.assertNotIn(self.server.password, done.stdout)
        return done.returncode, done.stdout

    def node(self) -> Daemon:
        daemon = Daemon(self.base / "node", self.shared)
        self.addCleanup(daemon.kill)
        daemon.start()
        return daemon

    def rows(self, *tables: str) -> dict[str, int]:
        with self.maria.root(self.server.name) as root:
            return {one: root.execute(f"SELECT COUNT(*) FROM {one}")[0][0] for one in tables or TABLES}

    def target(self, sql: str) -> list[tuple]:
        with self.maria.root(self.server.name) as root:
            return root.execute(sql)


class BucketTests(MovingCase):
    def test_moved_into_a_bucket(self) -> None:
        source, server = Source(self.base / "source"), S3Server(self.base)
        server.start()
        self.addCleanup(server.stop)
        key = self.base / "key"
        key.write_text("[default]\naws_access_key_id = k\naws_secret_access_key = s\n", encoding="ascii")
        key.chmod(0o600)
        self.shared["blobs"] = {
            "kind": "s3",
            "endpoint": server.url,
            "bucket": BUCKET,
            "prefix": "moved",
            "credentials_file": str(key),
        }
        for words in ("5 of 5 tasks moved", "0 of 5 tasks moved"):
            status, said = self.move(source.state)
            self.assertEqual(status, 0, said)
            self.assertIn(words, said)
        node = self.node()
        for uuid, site in source.sites.items():
            self.assertEqual(source.site(node, uuid), site)


class MovingTests(MovingCase):
    source: Source

    def setUp(self) -> None:
        super().setUp()
        cls = type(self)
        if not hasattr(cls, "kept"):  # made once: nothing may change it
            cls.kept = Source(Path(self.mktemp()).absolute())
            cls.kept_rows = {one: cls.kept.ask(f"SELECT COUNT(*) FROM {one}")[0][0] for one in TABLES}
        self.source = cls.kept
        self.state = self.base / "state"
        shutil.copytree(self.source.state, self.state)

    def edit(self, sql: str) -> None:
        with closing(sqlite3.connect(self.state / "stackviz.sqlite3")) as connection:
            connection.execute(sql)
            connection.commit()

    def all_is_there(self) -> None:
        self.assertEqual(self.rows(), self.kept_rows)
        node = self.node()
        for uuid, site in self.source.sites.items():
            self.assertEqual(self.source.site(node, uuid), site)
            self.assertEqual(list(self.source.site(node, uuid)), list(site))
        self.assertEqual(node.post("/api/status", {"q": self.source.bad})[1]["status"], "error")
        self.assertEqual(node.post("/api/status", {"q": self.source.gone})[1]["status"], "expired")
        self.assertEqual(node.request("GET", f"/api/blob/{self.source.expired}")[0], 410)
        again = node.post("/api/scrape", {"url": SAMPLE})
        self.assertEqual((again[0], again[1]["uuid"]), (200, self.source.second))
        columns = "pinned, used_ms, created_ms, started_ms, finished_ms, expired_ms, cancel_hash, attempts"
        for uuid in (self.source.second, self.source.gone):
            select = f"SELECT {columns} FROM tasks WHERE id = '{uuid}'"
            ours, theirs = self.target(select)[0], self.source.ask(select)[0]
            self.assertEqual(ours[2:], theirs[2:])
            self.assertEqual(ours[0], int(uuid == self.source.second))
        node.stop()
        self.assertNotIn("Traceback", node.log.read_text())

    def test_moved_and_served(self) -> None:
        before = self.digests()
        status, said = self.move(self.state)
        self.assertEqual(status, 0, said)
        self.assertIn("5 of 5 tasks moved", said)
        self.assertEqual(self.digests(), before)
        used = f"SELECT used_ms FROM tasks WHERE id = '{self.source.first}'"
        self.assertEqual(self.target(used), self.source.ask(used))
        status, said = self.move(self.state)
        self.assertEqual(status, 0, said)
        self.assertIn("0 of 5 tasks moved, with 0.0 MiB of blobs; 5 were there already, 0 are left", said)
        self.all_is_there()

    def digests(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.state)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.state.rglob("*")
            if path.is_file() and path.suffix != ".lock"
        }

    def test_killed_and_run_again(self) -> None:
        for killed in (
            ("blob", 1, SIGKILL),
            ("blob", 4, SIGKILL),
            ("INSERT INTO tasks", 1, SIGKILL),
            ("INSERT INTO artifacts", 3, SIGKILL),
            ("COMMIT", 4, SIGKILL),
        ):
            status, said = self.move(self.state, *killed)
            self.assertEqual(status, -SIGKILL, (killed, said))
            # consistent at each moment: no site is half there, and what rows name is in its place
            half = (
                "SELECT id FROM tasks WHERE (state = 'finished')"
                " <> EXISTS (SELECT 1 FROM artifacts WHERE task_id = tasks.id)"
            )
            if self.target("SHOW TABLES LIKE 'artifacts'"):
                self.assertEqual(list(self.target(half)), [])
                for (name,) in self.target("SELECT DISTINCT blob_hash FROM artifacts"):
                    place = self.data / "blobs" / name[:2] / name
                    self.assertEqual(hashlib.sha256(place.read_bytes()).hexdigest(), name)
        status, said = self.move(self.state)
        self.assertEqual(status, 0, said)
        self.all_is_there()

    def test_a_signal_ends_it_in_words(self) -> None:
        for number in (SIGTERM, SIGINT):
            status, said = self.move(self.state, "blob", 1, number)
            self.assertEqual((status, said), (1, "stopped; what was moved stays, run this again\n"))
            self.assertEqual(list((self.base / "new" / "tmp").iterdir()), [])
        self.assertEqual(self.move(self.state)[0], 0)
        self.assertEqual(self.rows(), self.kept_rows)

    def test_what_was_at_work_or_waits(self) -> None:
        killed = self.base / "killed"
        with closing(sqlite3.connect(self.state / "stackviz.sqlite3")) as connection:
            connection.execute(
                "UPDATE tasks SET state = 'pending', live_url = url, owner = 'x', finished_ms = NULL,"
                f" error = NULL, message = NULL WHERE id = '{self.source.bad}'"
            )
            connection.execute(
                "INSERT INTO tasks (id, url, live_url, state, job, cancel_hash, created_ms) SELECT 'sent',"
                f" 'upload:1/', 'upload:1/', 'queued', job, '0', 1 FROM tasks WHERE id = '{self.source.bad}'"
            )
            connection.execute(
                "INSERT INTO tasks (id, url, live_url, state, job, cancel_hash, created_ms)"
                " VALUES ('spoiled', 'x', NULL, 'cancelled', '{', '0', 1)"
            )
            connection.commit()
            shutil.copytree(self.state, killed)  # as a kill leaves it, with a log that counts
        self.assertTrue((killed / "stackviz.sqlite3-wal").stat().st_size)
        status, said = self.move(killed)
        self.assertEqual(status, 1, said)
        self.assertIn("left: task sent: what somebody sent for it waits to be read; start the single", said)
        self.assertIn("left: task spoiled: task spoiled in the database cannot be read", said)
        self.assertIn("5 of 7 tasks moved", said)
        select = f"SELECT state, owner, started_ms FROM tasks WHERE id = '{self.source.bad}'"
        self.assertEqual(list(self.target(select)), [("queued", None, None)])
        node = self.node()
        self.assertEqual(node.wait(self.source.bad)["status"], "error")  # it was begun there, and ended

    def test_damaged_and_lost(self) -> None:
        (name,) = next(
            iter(self.source.ask(f"SELECT blob_hash FROM artifacts WHERE task_id = '{self.source.dstat}'"))
        )
        place = self.state / "blobs" / name[:2] / name
        whole = place.read_bytes()
        place.chmod(0o600)
        place.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        status, said = self.move(self.state)
        self.assertEqual(status, 1)
        self.assertRegex(said, rf"left: task {self.source.dstat}: the blob .*/{name} is damaged")
        self.assertIn("4 of 5 tasks moved", said)
        self.assertFalse((self.data / "blobs" / name[:2] / name).exists())
        place.unlink()
        self.assertIn(f"{name} is lost", self.move(self.state)[1])
        place.write_bytes(whole)
        status, said = self.move(self.state)
        self.assertEqual(status, 0, said)
        self.assertIn("1 of 5 tasks moved", said)
        # lost at the target: brought back
        (self.data / "blobs" / name[:2] / name).unlink()
        self.assertEqual(self.move(self.state)[0], 0)
        self.all_is_there()

    def test_another_task_holds_the_url(self) -> None:
        node = self.node()
        status, there = node.post("/api/scrape", {"url": SAMPLE})
        self.assertEqual(status, 202, there)
        node.wait(there["uuid"])
        status, said = self.move(self.state)
        self.assertEqual(status, 0, said)
        self.assertIn(f"task {self.source.second} keeps its address and gives up {SAMPLE}", said)
        status, again = node.post("/api/scrape", {"url": SAMPLE})
        self.assertEqual((status, again["uuid"]), (200, there["uuid"]))
        self.assertEqual(self.source.site(node, self.source.second), self.source.sites[self.source.second])

    def test_refusals(self) -> None:
        def refused(words: str, state: Path = self.state, **config: Any) -> None:
            status, said = self.move(state, **config)
            self.assertEqual(status, 1, said)
            self.assertRegex(said, f"^error: .*{words}")
            self.assertEqual(len(said.splitlines()), 1, said)

        refused("no 'database'; set 'database', 'redis' and 'blobs'", database=None, redis=None)
        refused("source and target are the same", blobs={"path": str(self.state)})
        refused("there is no .*name the state directory", self.base / "nowhere")
        self.source.daemon.start()
        try:
            refused(r"another stackviz-deployer \(process \d+\) uses .*; stop it", self.source.state)
        finally:
            self.source.daemon.stop()
        refused("no directory; mount it, or make it", blobs={"path": str(self.base / "unmounted")})
        refused("127.0.0.1", database="mysql://stackviz:secret@127.0.0.1:9/stackviz")
        self.edit("PRAGMA user_version = 99")
        refused("newer release .*install that")
        self.edit("PRAGMA user_version = 2")
        refused("older form .*start a single daemon of this release")
        (self.state / "stackviz.sqlite3").write_bytes(b"no database" * 100)
        refused("put a backup in its place")
        shutil.rmtree(self.state / "blobs")
        refused("put the blobs back")
        self.assertFalse(
            self.target("SELECT 1 FROM tasks") if self.target("SHOW TABLES LIKE 'tasks'") else ()
        )
