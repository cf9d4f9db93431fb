# SPDX-License-Identifier: Apache-2.0
import sqlite3
import stat
import subprocess
import sys
import tarfile
import time
from contextlib import closing
from pathlib import Path

from stackviz_deployer.errors import StoreError
from stackviz_deployer.model import TaskId
from stackviz_deployer.store.migrate import Migration, load, migrate, statements
from tests.store.building import StoreTestCase

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
ONE = Migration(1, "0001_one.sql", "CREATE TABLE a (x INTEGER PRIMARY KEY);\n")
TWO = Migration(2, "0002_two.sql", "ALTER TABLE a ADD COLUMN y TEXT;\nUPDATE a SET y = 'old';\n")
THREE = Migration(3, "0003_three.sql", "CREATE TABLE b (x REFERENCES a (x));\n")


class MigrateTests(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(self.close)

    def close(self) -> None:
        self.connection.close()  # the one that there is in the end

    def migrate(self, *migrations: Migration) -> int:
        return migrate(self.connection, self.path, migrations)

    def version(self) -> int:
        return self.connection.execute("PRAGMA user_version").fetchone()[0]

    def names(self) -> list[str]:
        return sorted(path.name for path in self.state_dir.iterdir() if "backup" in path.name)

    def test_new(self) -> None:
        self.assertEqual(self.migrate(ONE, TWO, THREE), 3)
        self.assertEqual(self.version(), 3)
        self.assertEqual(self.names(), [])  # nothing to keep
        self.assertEqual(self.migrate(ONE, TWO, THREE), 0)

    def test_upgrade_keeps_a_backup(self) -> None:
        self.migrate(ONE)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("INSERT INTO a VALUES (5)")  # lies in the log, not in the file
        self.assertEqual(self.migrate(ONE, TWO, THREE), 2)
        self.assertEqual(self.connection.execute("SELECT * FROM a").fetchall(), [(5, "old")])
        self.assertEqual(self.names(), ["stackviz.sqlite3.v1.backup"])
        backup = self.state_dir / self.names()[0]
        self.assertEqual(stat.S_IMODE(backup.stat().st_mode), 0o600)
        with closing(sqlite3.connect(backup)) as kept:
            self.assertEqual(kept.execute("PRAGMA user_version").fetchone(), (1,))
            self.assertEqual(kept.execute("SELECT * FROM a").fetchall(), [(5,)])
            self.assertEqual(kept.execute("PRAGMA journal_mode").fetchone(), ("delete",))

    def test_step_is_all_or_nothing(self) -> None:
        self.migrate(ONE)
        self.connection.execute("INSERT INTO a VALUES (5)")
        broken = Migration(2, "0002_broken.sql", TWO.sql + "DROP TABLE no_such_table;\n")
        self.assertRaises(sqlite3.OperationalError, self.migrate, ONE, broken, THREE)
        self.assertEqual(self.version(), 1)
        self.assertEqual(self.connection.execute("SELECT * FROM a").fetchall(), [(5,)])
        self.assertFalse(self.connection.in_transaction)
        self.assertEqual(self.migrate(ONE, TWO, THREE), 2)

    def test_earlier_steps_stay(self) -> None:
        broken = Migration(3, "0003_broken.sql", "DROP TABLE no_such_table;\n")
        self.assertRaises(sqlite3.OperationalError, self.migrate, ONE, TWO, broken)
        self.assertEqual(self.version(), 2)

    def test_references_are_checked(self) -> None:
        """Tables may be rebuilt in a step, but not leave rows whose owner is gone."""
        self.migrate(ONE, TWO, THREE)
        self.connection.execute("INSERT INTO a VALUES (5, 'y')")
        self.connection.execute("INSERT INTO b VALUES (5)")
        rebuild = Migration(
            4,
            "0004_rebuild.sql",
            "CREATE TABLE a2 (x INTEGER PRIMARY KEY);\nINSERT INTO a2 SELECT x FROM a;\n"
            "DROP TABLE a;\nALTER TABLE a2 RENAME TO a;\n",
        )
        self.assertEqual(self.migrate(ONE, TWO, THREE, rebuild), 1)
        lose = Migration(5, "0005_lose.sql", "DELETE FROM a;\n")
        error = self.assertRaises(StoreError, self.migrate, ONE, TWO, THREE, rebuild, lose)
        self.assertIn("0005_lose.sql would leave 1 rows", error.message)
        self.assertEqual(self.version(), 4)
        self.assertEqual(self.connection.execute("SELECT * FROM a").fetchall(), [(5,)])
        self.assertEqual(self.connection.execute("PRAGMA foreign_keys").fetchone(), (1,))

    def test_killed_in_a_step(self) -> None:
        """The process dies before COMMIT: the next start finds the old form and goes on."""
        self.migrate(ONE)
        self.connection.execute("INSERT INTO a VALUES (5)")
        self.connection.close()
        script = (
            "import os, sqlite3, sys; from pathlib import Path\n"
            "from stackviz_deployer.store.migrate import Migration, migrate\n"
            "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "c.create_function('die', 0, lambda: os.kill(os.getpid(), 9))\n"
            f"migrate(c, Path(sys.argv[1]), [Migration(1, 'x', ''),"
            f" Migration(2, 'y', {TWO.sql + 'SELECT die();' + chr(10)!r})])\n"
        )
        ran = subprocess.run([sys.executable, "-c", script, str(self.path)], timeout=60, check=False)
        self.assertEqual(ran.returncode, -9)
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.assertEqual(self.version(), 1)
        self.assertEqual(self.migrate(ONE, TWO), 1)
        self.assertEqual(self.connection.execute("SELECT * FROM a").fetchall(), [(5, "old")])


class UpgradeTests(StoreTestCase):
    async def test_from_form_1(self) -> None:
        """A state directory that the release before form 2 wrote: every task keeps its state and its data."""
        with tarfile.open(FIXTURES / "state-form1.tar.xz") as archive:
            archive.extractall(self.state_dir, filter="data")
        before = {row["id"]: dict(row) for row in self.rows_of_file("SELECT * FROM tasks")}
        begun_ms = int(time.time() * 1000) - 1000
        tasks, blobs = self.tasks(), self.blobs()
        after = {row["id"]: dict(row) for row in self.rows_of_file("SELECT * FROM tasks")}
        states = sorted(row["state"] for row in after.values())
        self.assertEqual(states, ["cancelled", "error", "error", "finished", "finished", "pending", "queued"])
        for task_id, row in before.items():
            self.assertEqual({key: after[task_id][key] for key in row}, row)
            self.assertEqual((after[task_id]["pinned"], after[task_id]["expired_ms"]), (0, None))
            used_ms = after[task_id]["used_ms"]
            if row["state"] == "finished":
                self.assertGreaterEqual(used_ms, begun_ms)  # nobody knows: its time begins now
                artifacts = await tasks.artifacts(TaskId(task_id))
                self.assertEqual(len(artifacts), 5)
                self.assertEqual(await blobs.lost([one.blob for one in artifacts]), frozenset())
            else:
                self.assertIsNone(used_ms)
        self.assertTrue((self.state_dir / "stackviz.sqlite3.v1.backup").exists())
        swept = await blobs.sweep(await self.rows.blob_hashes())
        self.assertEqual((swept.blobs, swept.missing), (0, frozenset()))

    def rows_of_file(self, sql: str) -> list[sqlite3.Row]:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(sql).fetchall()


class LoadTests(StoreTestCase):
    def test_of_the_package(self) -> None:
        migrations = load()
        self.assertEqual([m.version for m in migrations], list(range(1, len(migrations) + 1)))
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            migrate(connection, Path("x"), migrations)
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            )
            self.assertEqual(
                {name for (name,) in tables}, {"tasks", "artifacts", "expired_artifacts", "condemned"}
            )

    def test_gap(self) -> None:
        for names in ((), ("0002_b.sql",), ("0001_a.sql", "0003_c.sql"), ("0001_a.sql", "0001_b.sql")):
            directory = Path(self.mktemp())
            directory.mkdir()
            for name in (*names, "README", "0009_editor.sql~"):
                (directory / name).touch()
            error = self.assertRaises(StoreError, load, "sqlite", directory)
            self.assertIn("install stackviz-deployer again", error.message)

    def test_statements(self) -> None:
        sql = (
            "-- a comment; with a semicolon\nCREATE TABLE t (\n  x TEXT DEFAULT 'a;\n'  -- one; more\n);\n\n"
            "CREATE TRIGGER r AFTER INSERT ON t BEGIN\n  DELETE FROM t;\n  SELECT 1;\nEND;\n-- the end\n"
        )
        found = list(statements(sql))
        self.assertEqual(len(found), 2)
        self.assertEqual("".join(found), sql.removesuffix("-- the end\n"))

    def test_statement_without_end(self) -> None:
        self.assertRaises(StoreError, list, statements("CREATE TABLE t (x);\nDROP TABLE t\n"))
