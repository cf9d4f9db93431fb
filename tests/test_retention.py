# SPDX-License-Identifier: Apache-2.0
"""Sites that expire, through the front door of the real daemon, which is also killed at it."""

import hashlib
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from stackviz_deployer.model import BlobHash, BlobRef, Job
from stackviz_deployer.store import tasks as statements
from stackviz_deployer.store.sqlite import SqliteDatabase
from tests.daemon import Daemon
from tests.probed import HELD
from tests.store.building import a_parsed

OFFLINE = {"zuuls": [], "gerrits": []}
TASKS = 3000
TURN_S = 0.25
"""For one turn of the reactor, of its thread's processor time."""
KEPT = 100
"""Of those, in tests of the size."""
SHARED = b"what all of them have"


def fill(txn, blobs: Path) -> None:
    """TASKS finished tasks, each with a blob of its own, a shared one and one that only two have."""
    shared = write(blobs, SHARED)
    for n in range(TASKS):
        job = Job(url=f"http://logs.openstack.org/{n}/", name=f"gate-{n}")
        task, _ = statements.create(txn, f"task-{n}", job, "0", force=False, queue_limit=TASKS, now_ms=n + 1)
        begun = statements.begin(txn, task.id, "a", n + 1)
        made = [write(blobs, b"%07d" % n), write(blobs, b"pair %07d" % (n // 2)), shared]
        artifacts = [(a_parsed(str(k)), b) for k, b in enumerate(made)]
        statements.finish(txn, begun, job, artifacts, [], now_ms=n + 1, used_ms=n + 1)
    newest = TASKS - KEPT
    txn.execute("UPDATE tasks SET used_ms = ? WHERE seq > ?", (int(time.time() * 1000), newest))


def write(blobs: Path, data: bytes) -> BlobRef:
    name = hashlib.sha256(data).hexdigest()
    place = blobs / name[:2] / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return BlobRef(hash=BlobHash(name), size=len(data))


class ManyTests(TestCase):
    timeout = 300

    def setUp(self) -> None:
        base = Path(self.mktemp()).absolute()
        self.held = base / "held"
        self.daemon = Daemon(base, OFFLINE, instruments=[f"held={self.held}"])
        self.held.write_bytes(bytes(HELD.size))
        self.addCleanup(self.daemon.kill)
        self.database = self.daemon.state / "stackviz.sqlite3"

    async def filled(self) -> None:
        database = SqliteDatabase(self.database, reactor)
        database.startService()
        try:
            await database.write(fill, self.daemon.state / "blobs")
        finally:
            await database.stopService()

    def ask(self, sql: str) -> list[tuple]:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    def expired(self) -> int:
        return self.ask("SELECT COUNT(*) FROM tasks WHERE state = 'expired'")[0][0]

    def on_disk(self) -> set[str]:
        return {path.name for path in (self.daemon.state / "blobs").rglob("*") if path.is_file()}

    def named(self) -> set[str]:
        return {name for (name,) in self.ask("SELECT DISTINCT blob_hash FROM artifacts")}

    def half_expired(self) -> set[tuple]:
        """Tasks whose state and whose artifacts disagree; there must never be any."""
        return set(
            self.ask(
                "SELECT id FROM tasks WHERE (state = 'finished')"
                " <> EXISTS (SELECT 1 FROM artifacts WHERE task_id = tasks.id)"
            )
        )

    async def test_killed_in_the_middle(self) -> None:
        await self.filled()
        self.assertEqual(len(self.on_disk()), TASKS + TASKS // 2 + 1)
        self.daemon.launch()
        deadline = time.monotonic() + 120
        while not (done := self.expired()):  # the poll's pace is that of the statement
            self.assertLess(time.monotonic(), deadline)
        self.daemon.kill()
        done = self.expired()
        self.assertLess(done, TASKS - KEPT, "it was not in the middle any more")
        self.assertEqual(done % 50, 0)
        # consistent as it lies: no site is half there, and all that a row names is on the disk
        self.assertEqual(self.half_expired(), set())
        self.assertLessEqual(self.named(), self.on_disk())

        self.daemon.start()
        deadline = time.monotonic() + 120
        while self.expired() < TASKS - KEPT:
            self.assertLess(time.monotonic(), deadline)
            self.assertEqual(self.daemon.request("GET", "/health/live")[0], 200)
        busy_s, _ = HELD.unpack(self.held.read_bytes())
        self.assertLess(busy_s, TURN_S)
        while self.on_disk() != self.named():
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(self.half_expired(), set())
        self.assertEqual(len(self.named()), KEPT + KEPT // 2 + 1)
        self.assertIn(hashlib.sha256(SHARED).hexdigest(), self.named())
        health = json.loads(self.daemon.request("GET", "/health")[2])
        self.assertEqual((health["status"], health["sites"]["reasons"]), ("ok", []))
        status, answer = self.daemon.post("/api/task", {"q": f"task-{TASKS - 1}"})
        self.assertEqual((status, len(answer["artifacts"])), (200, 3))
        self.assertEqual(self.daemon.post("/api/task", {"q": "task-0"})[0], 410)
        self.daemon.stop()
        # what is left has a bound of its own: the next minute's sweep has nothing to do
        self.daemon.start()
        self.assertEqual(self.expired(), TASKS - KEPT)


class ExpiredTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.daemon = Daemon(Path(self.mktemp()).absolute(), OFFLINE)
        self.addCleanup(self.daemon.kill)

    def test_an_expired_site(self) -> None:
        """Its page and its addresses say so, its facts stay, and the job can be scraped again."""
        self.daemon.start()
        task = self.daemon.scrape("sample")
        self.daemon.stop()
        with closing(sqlite3.connect(self.daemon.state / "stackviz.sqlite3")) as connection, connection:
            connection.execute("UPDATE tasks SET used_ms = 1")
        self.daemon.start()
        deadline = time.monotonic() + 120
        while self.daemon.post("/api/status", {"q": task["id"]})[1]["status"] != "expired":
            self.assertLess(time.monotonic(), deadline)
        facts = self.daemon.post("/api/status", {"q": task["id"]})[1]
        self.assertEqual(facts["job"]["name"], task["name"])
        self.assertEqual(self.daemon.request("GET", f"/s/{task['id']}/")[0], 410)
        status, answer = self.daemon.post("/api/task", {"q": task["id"]})
        self.assertEqual((status, answer["error"]), (410, "expired"))
        self.assertIn("again", answer["message"])
        for artifact in task["artifacts"]:
            for tail in ("", "/blocks", "/blocks/0"):
                status, _, body = self.daemon.request("GET", f"/api/blob/{artifact['id']}{tail}")
                self.assertEqual((status, json.loads(body)["error"]), (410, "expired"))
        files = [path for path in (self.daemon.state / "blobs").rglob("*") if path.is_file()]
        self.assertEqual(files, [])
        # nothing of it is in the way of a new run, with or without force
        status, again = self.daemon.post("/api/scrape", {"url": task["url"]})
        self.assertEqual(status, 202)
        self.assertNotEqual(again["uuid"], task["id"])
        self.assertEqual(self.daemon.wait(again["uuid"])["status"], "finished")

    def test_looked_at_is_kept(self) -> None:
        self.daemon.start()
        task = self.daemon.scrape("sample")
        self.daemon.stop()
        path = self.daemon.state / "stackviz.sqlite3"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE tasks SET used_ms = ?", (int(time.time() * 1000) - 6 * 86_400_000,))
        self.daemon.start()
        self.daemon.blob(task["artifacts"][0]["id"])
        self.daemon.stop()  # notes it on the way out
        with closing(sqlite3.connect(path)) as connection:
            (used_ms,) = connection.execute("SELECT used_ms FROM tasks").fetchone()
        self.assertLess(abs(used_ms - time.time() * 1000), 60_000)

    def test_damaged_index(self) -> None:
        """A blob whose block index makes no sense is lost like one that is gone."""
        self.daemon.start()
        task = self.daemon.scrape("sample")
        damaged = next((self.daemon.state / "blobs").rglob("*.blocks"))
        damaged.unlink()
        damaged.write_bytes(b"no index")
        answers = [
            self.daemon.request("GET", f"/api/blob/{artifact['id']}/blocks") for artifact in task["artifacts"]
        ]
        status, _, body = next(answer for answer in answers if answer[0] not in (200, 404))
        self.assertEqual((status, json.loads(body)["error"]), (410, "data-lost"))
        self.assertIn("is damaged", self.daemon.log.read_text())
        self.assertEqual(self.daemon.post("/api/status", {"q": task["id"]})[1]["status"], "expired")
        status, again = self.daemon.post("/api/scrape", {"url": task["url"]})
        self.assertEqual(status, 202)
        self.assertEqual(self.daemon.wait(again["uuid"])["status"], "finished")
        self.assertGreater(damaged.stat().st_size, 50)

    def test_lost_data(self) -> None:
        """A finished site whose data is gone says so, stops being one, and can be made again."""
        self.daemon.start()
        task = self.daemon.scrape("sample")
        for path in (self.daemon.state / "blobs").rglob("*"):
            if path.is_file():
                path.unlink()
        status, _, body = self.daemon.request("GET", f"/api/blob/{task['artifacts'][0]['id']}")
        self.assertEqual((status, json.loads(body)["error"]), (410, "data-lost"))
        status, answer = self.daemon.post("/api/task", {"q": task["id"]})
        self.assertEqual((status, answer["error"]), (410, "expired"))
        self.assertIn("lost", answer["message"])
        facts = self.daemon.post("/api/status", {"q": task["id"]})[1]
        self.assertEqual(facts["status"], "expired")
        self.assertIn("lost", facts["message"])
        self.assertIn("lost its data", self.daemon.log.read_text())
        status, again = self.daemon.post("/api/scrape", {"url": task["url"]})
        self.assertEqual(status, 202)
        self.assertEqual(self.daemon.wait(again["uuid"])["status"], "finished")
