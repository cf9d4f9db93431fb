# SPDX-License-Identifier: Apache-2.0
"""What a shared server can do to us, done by a real one."""

import threading
import time
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pymysql
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from stackviz_deployer.clock import Elapsed
from stackviz_deployer.errors import StackvizError, StoreError, UnknownOutcomeError
from stackviz_deployer.model import TaskState
from stackviz_deployer.store.migrate import Migration, load
from stackviz_deployer.store.mysql import MysqlDatabase
from stackviz_deployer.store.mysql_pool import DOWN_S
from stackviz_deployer.store.retention import SqlRetention, agree, server_ms
from stackviz_deployer.store.task_store import SqlTaskStore
from tests import mariadb
from tests.net.wire import signed
from tests.store.building import StoreTestCase, Ticks, a_blob, a_job, a_parsed

AWAY = "the server's database cannot be reached"


@cache
def rough() -> mariadb.MariaDb:
    """One that is killed, filled and closed, and keeps what it has committed."""
    return mariadb.MariaDb()


def add(txn, name, value=0):
    txn.execute("INSERT INTO marks (name, value) VALUES (?, ?)", (name, value))


def names(txn):
    return {row[0] for row in txn.execute("SELECT name FROM marks")} - {"create", "age_ms"}


class MysqlTestCase(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.maria = self.a_server()
        self.server = self.maria.database()

    def a_server(self) -> mariadb.MariaDb:
        return mariadb.shared()

    def node(self, server=None, **kw) -> MysqlDatabase:
        return self.start(MysqlDatabase(server or self.server, reactor, **kw))

    def root(self):
        return self.maria.root(self.server.name)

    def here(self) -> Path:
        return self.state_dir.resolve()

    def refused(self, server, **kw) -> str:
        error = self.assertRaises(StoreError, MysqlDatabase(server, reactor, **kw).startService)
        self.assertNotIn(server.password, error.message)
        return error.message

    async def reason(self, call) -> str:
        with self.assertRaises(StoreError) as caught:
            await call
        self.assertNotIn(self.server.password, caught.exception.message)
        return caught.exception.reason


class FormTests(MysqlTestCase):
    def version(self) -> int:
        with self.root() as root:
            return root.execute("SELECT version FROM stackviz_form")[0][0]

    async def test_two_nodes_start_at_once(self) -> None:
        nodes = [MysqlDatabase(self.server, reactor) for _ in range(3)]
        await gatherResults([deferToThread(node.startService) for node in nodes])
        for node in nodes:
            await node.stopService()
        self.assertEqual(self.version(), load("mysql")[-1].version)

    async def test_the_forms_have_the_same_numbers(self) -> None:
        self.assertEqual(load("mysql")[-1].version, load("sqlite")[-1].version)

    async def test_columns_are_those_of_sqlite(self) -> None:
        self.node()
        sqlite = self.database()

        def columns(txn, table):
            return {row[1] for row in txn.execute(f"PRAGMA table_xinfo({table})")}

        for table in ("tasks", "artifacts", "expired_artifacts", "condemned"):
            with self.root() as root:
                found = {row[0] for row in root.execute(f"SHOW COLUMNS FROM {table}")}
            self.assertEqual(found - {"live_key"}, await sqlite.read(columns, table))

    async def test_a_step_that_was_broken_off(self) -> None:
        """Any number of its statements was run: the next start runs them all again."""
        await self.node().stopService()
        with self.root() as root:
            root.execute("DELETE FROM stackviz_form")
            root.execute("DROP TABLE marks")
            root.execute("DROP TABLE expired_artifacts")
        database = self.node()
        self.assertEqual(await database.read(names), set())
        self.assertEqual(self.version(), load("mysql")[-1].version)

    async def test_a_newer_form(self) -> None:
        await self.node().stopService()
        with self.root() as root:
            root.execute("UPDATE stackviz_form SET version = 99")
        self.assertIn("newer stackviz-deployer (form 99", self.refused(self.server))

    async def test_a_newer_form_while_it_runs(self) -> None:
        """A node of an older release does nothing more with it, and says why."""
        database = self.node(form_s=0.05)
        store = SqlTaskStore(database, Ticks())
        await store.create(a_job(), cancel_hash="0", force=False, queue_limit=5)
        with self.root() as root:
            root.execute("UPDATE stackviz_form SET version = 99")
        while True:
            try:
                await store.queued()
            except StoreError as error:
                self.assertIn("newer stackviz-deployer (form 99", error.message)
                self.assertEqual(error.reason, "the server's database was changed by a newer release")
                break
        for refused in (
            store.create(a_job(2), cancel_hash="0", force=False, queue_limit=5),
            database.turn("x").__aenter__(),
        ):
            with self.assertRaises(StoreError):
                await refused
        with self.root() as root:
            self.assertEqual(root.execute("SELECT COUNT(*) FROM tasks")[0][0], 1)
            root.execute("UPDATE stackviz_form SET version = 3")  # a backup is put back
        while True:
            try:
                self.assertEqual(await store.queued(), 1)
            except StoreError:
                await deferToThread(time.sleep, 0.01)  # the pace of asking again
            else:
                break

    async def test_a_form_that_makes_no_sense_for_a_while(self) -> None:
        """As while a backup is put back: the node goes on looking."""
        database = self.node(form_s=0.02)
        with self.root() as root:
            root.execute("ALTER TABLE stackviz_form MODIFY version TEXT")
            root.execute("UPDATE stackviz_form SET version = 'none'")
        while not self.flushLoggedErrors(ValueError):
            await deferToThread(time.sleep, 0.01)  # the pace of asking again
        with self.root() as root:
            root.execute("UPDATE stackviz_form SET version = '99'")
        while True:
            try:
                await database.read(names)
            except StoreError:
                break
        self.flushLoggedErrors(ValueError)

    async def test_another_programs_tables(self) -> None:
        with self.root() as root:
            root.execute("CREATE TABLE tasks (id INT)")
        self.assertIn("another program (tasks)", self.refused(self.server))
        with self.root() as root:
            self.assertEqual([row[0] for row in root.execute("SHOW TABLES")], ["tasks"])

    async def test_the_next_step(self) -> None:
        await self.node().stopService()
        ours = load("mysql")
        more = Migration(ours[-1].version + 1, "9999_more.sql", "CREATE TABLE IF NOT EXISTS more (x INT);\n")
        self.node(migrations=[*ours, more])
        self.assertEqual(self.version(), more.version)

    async def test_who_may_not_change_tables(self) -> None:
        server = self.maria.database(rights="SELECT, INSERT, UPDATE, DELETE")
        self.assertIn("GRANT ALL", self.refused(server))


class StartTests(MysqlTestCase):
    def test_refusals_say_what_to_do(self) -> None:
        for server, word in (
            (evolve(self.server, password="a wrong one"), "correct the user and the password"),
            (evolve(self.server, user="nobody"), "correct the user and the password"),
            (evolve(self.server, name="no_such"), "create the database"),
            (evolve(self.server, port=mariadb.free_port()), "is it running"),
            (evolve(self.server, host="no-such-host.invalid"), "is it running"),
            (evolve(self.server, tls=True), "SSL is required"),
            (evolve(self.server, tls=True, ssl_ca="/no/such.pem"), "ssl_ca"),
        ):
            with self.subTest(server=server):
                self.assertIn(word, self.refused(server))

    async def test_tls(self) -> None:
        directory = self.here()
        root, leaf = signed("127.0.0.1")
        other, _ = signed("127.0.0.1")
        for name, pem in (("root", root), ("leaf", leaf), ("other", other)):
            (directory / name).write_bytes(pem)
        maria = mariadb.MariaDb(f"ssl-cert={directory / 'leaf'}", f"ssl-key={directory / 'leaf'}")
        self.addCleanup(maria.remove)
        server = maria.database(tls=True, ssl_ca=str(directory / "root"))
        database = self.node(server)

        def cipher(txn):
            return txn.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'").fetchone()[1]

        self.assertTrue(await database.read(cipher))
        for wrong in (evolve(server, ssl_ca=str(directory / "other")), evolve(server, host="localhost")):
            self.assertRegex(self.refused(wrong), "certificate verify failed.*; compare 'ssl_ca'")


class TransactionTests(MysqlTestCase):
    async def test_an_exception_rolls_back(self) -> None:
        database = self.node()

        def fail(txn):
            add(txn, "x")
            raise StackvizError("no")

        with self.assertRaises(StackvizError):
            await database.write(fail)
        self.assertEqual(await database.read(names), set())
        with self.assertRaises(StoreError):
            await database.read(add, "x")

    async def test_signs_in_texts(self) -> None:
        database = self.node()
        for text in ("100 %", "%s", "?", ":name", "a'b\\", "\U0001f600", "X", "x ", "x"):
            await database.write(add, text)
        found = await database.read(names)
        self.assertEqual(len(found), 9)  # by code points, with blanks at the end
        self.assertIn("a'b\\", found)

    async def test_a_deadlock_is_begun_anew(self) -> None:
        database = self.node()
        await database.write(add, "one")
        await database.write(add, "two")
        both = threading.Barrier(2)
        tries = []

        def take(txn, first, second):
            tries.append(first)
            txn.execute("UPDATE marks SET value = value + 1 WHERE name = ?", (first,))
            if len(tries) <= 2:
                both.wait(10)
            txn.execute("UPDATE marks SET value = value + 1 WHERE name = ?", (second,))

        await gatherResults(
            [
                Deferred.fromCoroutine(database.write(take, "one", "two")),
                Deferred.fromCoroutine(database.write(take, "two", "one")),
            ]
        )
        self.assertEqual(len(tries), 3)

        def values(txn):
            return txn.execute("SELECT value FROM marks WHERE name IN ('one', 'two')").fetchall()

        self.assertEqual(await database.read(values), ((2,), (2,)))

    async def test_a_lock_that_somebody_keeps(self) -> None:
        database = self.node(lock_s=1)
        with self.root() as root:
            root.execute("BEGIN")
            root.execute("SELECT * FROM marks FOR UPDATE")
            store = SqlTaskStore(database, Ticks())
            refused = self.reason(store.create(a_job(), cancel_hash="0", force=False, queue_limit=5))
            self.assertEqual(await refused, "the server's database is busy")
            root.execute("ROLLBACK")
        _, created = await store.create(a_job(), cancel_hash="0", force=False, queue_limit=5)
        self.assertTrue(created)

    async def test_a_statement_without_end(self) -> None:
        database = self.node(statement_s=0.2)

        def sleep(txn):
            txn.execute("SELECT SLEEP(30)").fetchall()

        self.assertEqual(await self.reason(database.read(sleep)), "the server's database is slow")

    async def test_snapshot(self) -> None:
        """A read sees one state, whatever is committed meanwhile."""
        database = self.node()

        def twice(txn):
            before = names(txn)
            with self.root() as root:
                root.execute("INSERT INTO marks VALUES ('meanwhile', 0)")
            return before == names(txn)

        self.assertTrue(await database.read(twice))
        self.assertEqual(await database.read(names), {"meanwhile"})

    async def test_stops_though_a_statement_runs(self) -> None:
        database = self.node(stop_s=0.2)

        def sleep(txn):
            began.set()
            txn.execute("SELECT SLEEP(30)").fetchall()

        began = threading.Event()
        running = Deferred.fromCoroutine(database.write(sleep))
        await deferToThread(began.wait, 10)
        before = time.monotonic()
        await database.stopService()
        with self.assertRaises(StoreError):
            await running
        self.assertLess(time.monotonic() - before, 10)


class LostTests(MysqlTestCase):
    """Connections that end: by wait_timeout, an administrator, a router on the way."""

    def kill_all(self) -> None:
        with self.root() as root:
            for (one,) in root.execute(
                "SELECT id FROM information_schema.processlist WHERE user = %s", (self.server.user,)
            ):
                root.execute(f"KILL {one}")

    async def test_idle_ones(self) -> None:
        database = self.node()
        await database.read(names)
        await database.write(add, "before")
        async with database.turn("x") as ours:
            self.assertTrue(ours)
        self.kill_all()
        self.assertEqual(await database.read(names), {"before"})
        await database.write(add, "after")
        async with database.turn("x") as ours:
            self.assertTrue(ours)
        self.assertEqual(await database.read(names), {"before", "after"})

    async def test_within_a_transaction(self) -> None:
        """Nothing of it was committed: it is begun once more, and once only."""
        database = self.node()
        calls = []

        def cut(txn, times):
            calls.append(1)
            add(txn, f"x{len(calls)}")
            if len(calls) <= times:
                self.kill_all()
            add(txn, f"y{len(calls)}")

        await database.write(cut, 1)
        self.assertEqual(await database.read(names), {"x2", "y2"})
        self.assertEqual(await self.reason(database.write(cut, 9)), AWAY)
        self.assertEqual(len(calls), 4)
        self.assertEqual(await database.read(names), {"x2", "y2"})

    async def test_within_commit(self) -> None:
        """Whether that was done nobody can tell: it is not repeated here."""
        database = self.node()
        calls = []

        def cut(txn):
            calls.append(1)
            add(txn, "x")
            self.kill_all()

        with self.assertRaises(UnknownOutcomeError):
            await database.write(cut)
        self.assertEqual(len(calls), 1)
        await database.write(add, "next")

    async def test_who_holds_the_turn_dies(self) -> None:
        one, other = self.node(), self.node()
        async with one.turn("keeping") as ours:
            self.assertTrue(ours)
            async with other.turn("keeping") as theirs:
                self.assertFalse(theirs)
            async with other.turn("something else") as theirs:
                self.assertTrue(theirs)
            self.kill_all()
            async with other.turn("keeping") as theirs:
                self.assertTrue(theirs)
        async with other.turn("keeping") as theirs:
            self.assertTrue(theirs)


class SilentTests(MysqlTestCase):
    """A node that holds rows and says nothing any more: it is suspended, or its machine lost its power."""

    async def test_others_go_on(self) -> None:
        """The server ends its transaction; when it wakes up it begins that anew."""
        silent, other = self.node(idle_s=1), SqlTaskStore(self.node(lock_s=1), Ticks())
        holds, wakes = threading.Event(), threading.Event()
        tries = []

        def create(txn):
            tries.append(1)
            txn.execute("SELECT value FROM marks WHERE name = 'create' FOR UPDATE")
            holds.set()
            wakes.wait(30)
            add(txn, "x")

        silently = Deferred.fromCoroutine(silent.write(create))
        self.addCleanup(wakes.set)
        await deferToThread(holds.wait, 10)
        began_s = time.monotonic()
        while time.monotonic() - began_s < 10:
            try:
                await other.create(a_job(), cancel_hash="0", force=False, queue_limit=5)
            except StoreError:
                continue
            break
        else:
            self.fail("nobody can create a task")
        wakes.set()
        await silently
        self.assertEqual((len(tries), await silent.read(names)), (2, {"x"}))


class AgesTests(MysqlTestCase):
    DAY_MS = 86_400_000

    async def test_all_nodes_have_one_time(self) -> None:
        """The latest of their clocks, which none falls behind; whatever their machines' time of day."""
        database = self.node()
        now_ms = await database.read(server_ms)
        self.assertLess(abs(now_ms - time.time() * 1000), 60_000)
        ahead, behind = Elapsed(lambda: now_ms, lambda: 0.0), Elapsed(lambda: now_ms - 9000, lambda: 0.0)
        for ages in (ahead, behind, ahead):
            await SqlRetention(database, ages.now_ms, agreed=ages.at_least).agree()
        self.assertEqual((behind.now_ms(), ahead.now_ms()), (now_ms, now_ms))
        self.assertEqual(await database.write(agree, 0), now_ms)


class RoughTests(MysqlTestCase):
    timeout = 240

    def a_server(self) -> mariadb.MariaDb:
        return rough()

    def setting(self, name: str, value: object) -> None:
        with self.root() as root:
            ((before,),) = root.execute(f"SELECT @@GLOBAL.{name}")
            root.execute(f"SET GLOBAL {name} = {value}")
        self.addCleanup(self.set_back, name, before)

    def set_back(self, name: str, value: object) -> None:
        with self.root() as root:
            root.execute(f"SET GLOBAL {name} = {value}")

    async def works_again(self, database) -> None:
        await deferToThread(time.sleep, DOWN_S)  # for so long it is not tried, whoever asks
        await database.write(add, "again")
        self.assertIn("again", await database.read(names))

    async def test_read_only(self) -> None:
        database = self.node()
        await database.write(add, "before")
        self.setting("read_only", 1)
        refused = await self.reason(database.write(add, "x"))
        self.assertEqual(refused, "the server's database cannot be written to")
        self.assertEqual(await database.read(names), {"before"})
        self.set_back("read_only", 0)
        await self.works_again(database)

    async def test_too_many_connections(self) -> None:
        database = self.node()
        self.setting("max_connections", 10)
        with ExitStack() as others:
            for _ in range(20):
                try:
                    other = pymysql.connect(
                        host="127.0.0.1", port=self.server.port, user="root", password=mariadb.ROOT_PASSWORD
                    )
                except pymysql.err.OperationalError:
                    break
                others.callback(other.close)
            refused = await self.reason(database.read(names))
        self.assertEqual(refused, "the server's database has too many connections")
        await self.works_again(database)

    async def test_a_row_that_is_too_large(self) -> None:
        self.setting("max_allowed_packet", 1 << 20)
        database = self.node()
        store = SqlTaskStore(database, Ticks())
        task, _ = await store.create(a_job(), cancel_hash="0", force=False, queue_limit=5)
        begun = await store.begin(task.id, "a")
        refused = await self.reason(store.finish(begun, begun.job, [], ["w" * (1 << 20)]))
        self.assertEqual(refused, "the server's database takes no row so large")
        self.assertEqual((await store.finish(begun, begun.job, [], ["w" * 9000])).state, TaskState.FINISHED)

    async def test_away_for_a_while(self) -> None:
        """Who asks meanwhile is told, and soon: not each waits for a connection of its own."""
        database = self.node()
        await database.write(add, "before")
        self.maria.kill()
        try:
            before = time.monotonic()
            for _ in range(50):
                self.assertEqual(await self.reason(database.read(names)), AWAY)
            self.assertLess(time.monotonic() - before, 10)
        finally:
            self.maria.start()
        await self.works_again(database)
        self.assertEqual(await database.read(names), {"before", "again"})

    async def test_killed_again_and_again_under_load(self) -> None:
        """What was answered is so, and each task has one result, whoever asked twice."""
        nodes = [SqlTaskStore(self.node(), Ticks()) for _ in range(2)]
        created, finished = {}, set()
        rounds = 4
        going = True

        async def stubborn(call, *args, **kw):
            while True:
                try:
                    return await call(*args, **kw)
                except StoreError:
                    await deferToThread(time.sleep, 0.1)  # the pace of asking again

        async def client(number: int) -> None:
            store, owner = nodes[number % 2], f"node {number}"
            count = 0
            while going:
                count += 1
                job = a_job(url=f"https://logs.example/{number}/{count}/")
                task, _ = await stubborn(store.create, job, cancel_hash="0", force=False, queue_limit=10_000)
                created[job.url] = task.id
                begun = await stubborn(store.begin, task.id, owner)
                made = [(a_parsed(str(n)), a_blob(n)) for n in range(3)]
                done = await stubborn(store.finish, begun, begun.job, made, [])
                self.assertEqual((done.state, done.owner), (TaskState.FINISHED, owner))
                finished.add(task.id)

        clients = [Deferred.fromCoroutine(client(number)) for number in range(6)]
        for number in range(rounds):
            wanted = len(finished) + 20
            while len(finished) < wanted:
                await deferToThread(time.sleep, 0.02)  # the load's pace
            self.maria.kill()
            if number % 2:
                await deferToThread(time.sleep, DOWN_S)
            await deferToThread(self.maria.start)
        going = False
        await gatherResults(clients)

        self.assertEqual(set(created.values()), finished)
        with self.root() as root:
            rows = root.execute("SELECT id, url, state, attempts FROM tasks")
            each = dict(root.execute("SELECT task_id, COUNT(*) FROM artifacts GROUP BY task_id"))
        self.assertEqual({row[1]: row[0] for row in rows}, created)
        self.assertEqual(len(rows), len(created))
        self.assertEqual({row[2:] for row in rows}, {("finished", 1)})
        self.assertEqual(each, dict.fromkeys(finished, 3))
