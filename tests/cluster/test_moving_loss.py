# SPDX-License-Identifier: Apache-2.0
"""``--migrate-from`` into a database that dies meanwhile, or whose answers are lost."""

import itertools
from pathlib import Path
from signal import SIGKILL

from twisted.internet import reactor

from stackviz_deployer.moving import Mover
from stackviz_deployer.store.blobs import FileBlobStore
from stackviz_deployer.store.onenode import OneNode
from stackviz_deployer.store.sqlite import SqliteDatabase
from tests import mariadb
from tests.cluster.test_moving import TABLES, MovingCase, Source
from tests.cutter import Cutter
from tests.store.building import StoreTestCase, a_job


class LossTests(MovingCase):
    def database(self):
        """One that may be killed, and keeps what it acknowledged."""
        self.maria = mariadb.MariaDb()
        self.addCleanup(self.maria.remove)
        return self.maria.database()

    def setUp(self) -> None:
        super().setUp()
        self.source = Source(self.base / "source")

    def all_is_there(self) -> None:
        """Nothing is lost, nothing is there twice."""
        wanted = {one: self.source.ask(f"SELECT COUNT(*) FROM {one}")[0][0] for one in TABLES}
        self.assertEqual(self.rows(), wanted)
        node = self.node()
        for uuid, site in self.source.sites.items():
            self.assertEqual(self.source.site(node, uuid), site)

    def test_killed_and_run_again(self) -> None:
        for killed in (("INSERT INTO tasks", 1), ("INSERT INTO artifacts", 3), ("COMMIT", 3), ("blob", 1)):
            process = self.maria.process
            assert process
            status, said = self.move(self.source.state, *killed, SIGKILL, victim=process.pid)
            process.wait()
            self.assertEqual(status, 1, (killed, said))
            self.assertRegex(said, r"error: .*; what was moved stays, run this again\n$")
            self.assertNotIn("left:", said)
            self.maria.start()
        status, said = self.move(self.source.state)
        self.assertEqual(status, 0, said)
        self.all_is_there()

    def test_the_answer_to_a_commit_is_lost(self) -> None:
        """The task is there by then, or it is put once more; it is not left."""
        for word in ("before", "behind"):
            cutter = Cutter(self.server.port)
            self.addCleanup(cutter.stop)
            cutter.plan = [*["through"] * 3, word]  # a look and a put of each
            database = self.shared["database"].replace(f":{self.server.port}/", f":{cutter.port}/")
            status, said = self.move(self.source.state, database=database)
            self.assertEqual((status, cutter.plan), (0, []), said)
            self.assertIn("0 are left", said)
            if word == "before":
                with self.maria.root(self.server.name) as root:
                    root.execute("DELETE FROM tasks")
        self.all_is_there()


class ProgressTests(StoreTestCase):
    async def test_it_says_how_far_it_is(self) -> None:
        """Every ten seconds; by this clock each look at it takes four."""
        store = self.tasks()
        for number in range(7):
            await store.create(a_job(number), cancel_hash="0", force=False, queue_limit=9)
        await self.opened.stopService()
        (self.state_dir / "blobs").mkdir()
        source = OneNode(self.state_dir)
        source.open()
        self.addCleanup(source.close)
        other = Path(self.mktemp())
        target = self.start(SqliteDatabase(other / "stackviz.sqlite3", reactor))
        blobs = self.start(FileBlobStore(other, reactor))
        seconds, said = itertools.count(0, 4), []
        left = await Mover(source, target, blobs, said.append, lambda: float(next(seconds))).move()
        self.assertEqual(left, 0)
        self.assertEqual(
            said,
            [
                "3 of 7 tasks, 0.0 MiB of blobs copied",
                "6 of 7 tasks, 0.0 MiB of blobs copied",
                "7 of 7 tasks moved, with 0.0 MiB of blobs; 0 were there already, 0 are left",
            ],
        )
