# SPDX-License-Identifier: Apache-2.0
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.threads import deferToThread

from stackviz_deployer.errors import StoreError
from stackviz_deployer.store.migrate import Migration
from stackviz_deployer.store.sqlite import SqliteDatabase
from tests.store.building import StoreTestCase

NUMBERS = (Migration(1, "0001_numbers.sql", "CREATE TABLE numbers (n INTEGER);\n"),)


def insert(txn, n):
    txn.execute("INSERT INTO numbers VALUES (?)", (n,))
    return txn.rowcount


def insert_then_raise(txn, n):
    insert(txn, n)
    raise ValueError("boom")


def numbers(txn):
    return [n for (n,) in txn.execute("SELECT n FROM numbers ORDER BY n")]


def increment(txn):
    """A read, then a write that depends on it."""
    (n,) = txn.execute("SELECT COALESCE(MAX(n), 0) FROM numbers").fetchone()
    txn.execute("INSERT INTO numbers VALUES (?)", (n + 1,))


def endless(txn, began):
    txn.connection.create_function("began", 0, began.set)
    txn.execute(
        "WITH RECURSIVE n(i) AS (SELECT began() UNION ALL SELECT 1 FROM n) SELECT COUNT(*) FROM n"
    ).fetchone()


class DatabaseTests(StoreTestCase):
    def numbers(self) -> SqliteDatabase:
        return self.database(migrations=NUMBERS)

    async def test_write_and_read(self) -> None:
        db = self.numbers()
        self.assertEqual(await db.write(insert, 5), 1)
        self.assertEqual(await db.read(numbers), [5])

    async def test_exception_rolls_back(self) -> None:
        db = self.numbers()
        with self.assertRaises(ValueError):
            await db.write(insert_then_raise, 5)
        self.assertEqual(await db.read(numbers), [])
        await db.write(insert, 6)  # the connection is usable
        self.assertEqual(await db.read(numbers), [6])

    async def test_read_cannot_write(self) -> None:
        db = self.numbers()
        with self.assertRaises(StoreError):
            await db.read(insert, 5)
        self.assertEqual(await db.read(numbers), [])

    async def test_writers_do_not_lose_updates(self) -> None:
        db = self.numbers()
        await gatherResults([Deferred.fromCoroutine(db.write(increment)) for _ in range(30)])
        self.assertEqual(await db.read(numbers), list(range(1, 31)))

    async def test_nobody_writes_in_between(self) -> None:
        """What a write has read stays true until it writes, whoever else has the file open."""
        db = self.numbers()

        def outsider(txn):
            numbers(txn)
            with closing(sqlite3.connect(self.path, timeout=0)) as other:
                other.execute("INSERT INTO numbers VALUES (9)")

        with self.assertRaises(StoreError) as caught:
            await db.write(outsider)
        self.assertIn("locked", caught.exception.message)
        self.assertEqual(await db.read(numbers), [])

    async def test_reads_during_a_slow_write(self) -> None:
        """They neither wait for it nor see half of it."""
        db = self.numbers()
        await db.write(insert, 1)
        began, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def slow(txn):
            insert(txn, 2)
            began.set()
            go_on.wait(30)
            insert(txn, 3)

        writing = Deferred.fromCoroutine(db.write(slow))
        await deferToThread(began.wait, 30)
        reads = [Deferred.fromCoroutine(db.read(numbers)) for _ in range(8)]
        self.assertEqual(await gatherResults(reads), [[1]] * 8)
        self.assertFalse(writing.called)
        go_on.set()
        await writing
        self.assertEqual(await db.read(numbers), [1, 2, 3])

    async def test_cancelled_write_still_commits(self) -> None:
        """Who cancels stops waiting; a thread cannot be stopped, and nothing is half done."""
        db = self.numbers()
        began, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def slow(txn):
            began.set()
            go_on.wait(30)
            insert(txn, 1)

        writing = Deferred.fromCoroutine(db.write(slow))
        await deferToThread(began.wait, 30)
        writing.cancel()
        with self.assertRaises(CancelledError):
            await writing
        stopped = db.stopService()
        self.assertFalse(stopped.called)  # the pool is not closed below the thread
        go_on.set()
        await stopped
        self.assertEqual(self.rows(), [1])

    def rows(self) -> list[int]:
        with closing(sqlite3.connect(self.path)) as connection:
            return numbers(connection)

    async def test_stop_waits_then_refuses(self) -> None:
        db = self.numbers()
        writes = [Deferred.fromCoroutine(db.write(increment)) for _ in range(20)]
        await db.stopService()
        self.assertTrue(all(d.called for d in writes))
        self.assertEqual(len(self.rows()), 20)
        for call in (db.write(insert, 1), db.read(numbers)):
            with self.assertRaises(StoreError):
                await call

    async def test_closed_cleanly(self) -> None:
        """Nothing beside the file but our lock: the log was folded in, all connections are closed."""
        db = self.numbers()
        await gatherResults([Deferred.fromCoroutine(db.read(numbers)) for _ in range(8)])
        await db.write(insert, 1)
        await db.stopService()
        names = sorted(path.name for path in self.state_dir.iterdir())
        self.assertEqual(names, ["stackviz.sqlite3", "stackviz.sqlite3.lock"])
        self.assertEqual(self.held(), [])

    def held(self) -> list[Path]:
        """Our files that this process has open."""
        targets = [fd.resolve() for fd in Path("/proc/self/fd").iterdir()]
        return [target for target in targets if self.state_dir.resolve() in target.parents]

    async def test_endless_statement_is_interrupted(self) -> None:
        db = self.database(migrations=NUMBERS, stop_s=0.01)
        began = threading.Event()
        reading = Deferred.fromCoroutine(db.read(endless, began))
        await deferToThread(began.wait, 30)
        await db.stopService()
        with self.assertRaises(StoreError):
            await reading

    async def test_start_again(self) -> None:
        db = self.numbers()
        await db.write(insert, 1)
        await db.stopService()
        db.startService()
        self.assertEqual(await db.read(numbers), [1])

    async def says(self, script: str, text: str) -> None:
        """A process that runs ``script`` over the file prints this, and nothing went wrong."""
        ran = await deferToThread(
            subprocess.run,
            [sys.executable, "-c", script, str(self.path)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual((ran.stdout, ran.stderr, ran.returncode), (text, "", 0))

    async def test_before_the_reactor_runs(self) -> None:
        """Started by twistd before reactor.run(): what is asked then is answered when it runs."""
        script = (
            "import sys; from pathlib import Path\n"
            "from twisted.internet import reactor\n"
            "from twisted.internet.defer import Deferred\n"
            "from stackviz_deployer.store.sqlite import SqliteDatabase\n"
            "from stackviz_deployer.store.tasks import waiting\n"
            "db = SqliteDatabase(Path(sys.argv[1]), reactor); db.startService()\n"
            "reactor.addSystemEventTrigger('before', 'shutdown', db.stopService)\n"
            "d = Deferred.fromCoroutine(db.read(waiting, 5))\n"
            "d.addCallback(lambda found: print(len(found))).addBoth(lambda _: reactor.stop())\n"
            "reactor.run()\n"
        )
        await self.says(script, "0\n")

    async def test_stop_before_the_reactor_runs(self) -> None:
        script = (
            "import sys; from pathlib import Path\n"
            "from twisted.internet import reactor\n"
            "from stackviz_deployer.store.blobs import FileBlobStore\n"
            "from stackviz_deployer.store.sqlite import SqliteDatabase\n"
            "path = Path(sys.argv[1])\n"
            "for s in (SqliteDatabase(path, reactor), FileBlobStore(path.parent, reactor)):\n"
            "    s.startService(); d = s.stopService(); print(d.called)\n"
            "reactor.callWhenRunning(reactor.stop); reactor.run()\n"
        )
        await self.says(script, "True\nTrue\n")

    async def test_settings(self) -> None:
        db = self.numbers()

        def settings(txn):
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
            return [txn.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        self.assertEqual(await db.write(settings), ["wal", 2, 1, 5000, 0])
        self.assertEqual((await db.read(settings))[3:], [5000, 1])

    async def test_private(self) -> None:
        db = self.numbers()
        await db.write(insert, 1)
        for path in self.state_dir.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode) & 0o077, 0, path.name)

    async def test_mistakes_are_not_dressed_up(self) -> None:
        """A wrong statement is a defect: its own exception, for the log."""
        db = self.database(migrations=[Migration(1, "x", "CREATE TABLE numbers (n INTEGER UNIQUE);\n")])
        await db.write(insert, 1)
        with self.assertRaises(sqlite3.IntegrityError):
            await db.write(insert, 1)

    async def test_full_disk(self) -> None:
        db = self.numbers()

        def fill(txn):
            txn.execute("PRAGMA max_page_count = 5")
            txn.execute("INSERT INTO numbers SELECT zeroblob(100000)")

        with self.assertRaises(StoreError) as caught:
            await db.write(fill)
        self.assertIn("make room", caught.exception.message)
        await db.write(insert, 1)
        self.assertEqual(await db.read(numbers), [1])


class StartTests(StoreTestCase):
    """What must stop the daemon before it listens, and what it says then."""

    def refused(self, *words: str, **kw) -> None:
        before = self.path.read_bytes() if self.path.is_file() else None
        database = SqliteDatabase(self.path, reactor, **kw)
        error = self.assertRaises(StoreError, database.startService)
        for word in (*words, str(self.path)):
            self.assertIn(word, error.message)
        self.assertFalse(database.running)
        if before is not None:
            self.assertEqual(self.path.read_bytes(), before)  # and nothing was changed

    def write(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def test_no_database(self) -> None:
        self.path.write_bytes(b"This is a text, and a long one, for SQLite reads 16 bytes. " * 100)
        self.refused("no database", "backup")

    def test_damaged(self) -> None:
        self.write(
            "PRAGMA page_size = 512",
            "CREATE TABLE numbers (n)",
            "CREATE INDEX numbers_n_idx ON numbers (n)",
            "INSERT INTO numbers WITH RECURSIVE n(i) AS"
            " (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000) SELECT i FROM n",
            "PRAGMA user_version = 1",
        )
        data = bytearray(self.path.read_bytes())
        data[512 * 9 : 512 * 11] = b"\xff" * 1024
        self.path.write_bytes(data)
        self.refused("damaged", "backup")

    def test_newer(self) -> None:
        self.write("CREATE TABLE x (y)", "PRAGMA user_version = 99")
        self.refused("newer stackviz-deployer", "form 99", "install that release")

    def test_another_program(self) -> None:
        self.write("CREATE TABLE x (y)")
        self.refused("another program", "--state-dir")

    def test_directory_is_a_file(self) -> None:
        (self.state_dir / "file").touch()
        self.path = self.state_dir / "file" / "stackviz.sqlite3"
        error = self.assertRaises(StoreError, SqliteDatabase(self.path, reactor).startService)
        self.assertIn("cannot write", error.message)
        self.assertIn("--state-dir", error.message)

    def test_file_is_a_directory(self) -> None:
        self.path.mkdir()
        self.refused("--state-dir")

    def test_unwritable(self) -> None:
        """As another user, since root may write everywhere."""
        script = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from twisted.internet import reactor\n"
            "from stackviz_deployer.store.sqlite import SqliteDatabase\n"
            "from stackviz_deployer.errors import StoreError\n"
            "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try: SqliteDatabase(Path('state/stackviz.sqlite3'), reactor).startService()\n"
            "except StoreError as error: print(error.message)\n"
        )
        base = self.state_dir / "base"  # the path is relative: who may enter what lies above does not matter
        base.mkdir(mode=0o755)
        (base / "state").mkdir(mode=0o555)
        ran = subprocess.run(
            [sys.executable, "-c", script],
            cwd=base,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertIn("give this user the rights", ran.stdout, ran.stderr)

    async def test_second_daemon(self) -> None:
        first = self.database()
        self.refused(f"process {os.getpid()}", "stop it")
        await first.stopService()
        self.database()

    def test_locked(self) -> None:
        """By a program that is not ours."""
        self.write("CREATE TABLE tasks (id)", "PRAGMA user_version = 1")
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN EXCLUSIVE")
        self.refused("another program holds the database", busy_s=0.05)

    async def test_start_after_refusal(self) -> None:
        """A refused start holds nothing."""
        self.path.write_bytes(b"x" * 4096)
        self.refused("no database")
        self.path.unlink()
        database = self.database(migrations=NUMBERS)
        await database.write(insert, 1)
