# SPDX-License-Identifier: Apache-2.0
"""Ids follow the work: through coroutines, Deferreds, threads, the database, the worker pool."""

import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger, LogPublisher
from twisted.trial.unittest import TestCase

from stackviz_deployer import cpu
from stackviz_deployer.background import Background
from stackviz_deployer.cpu import WorkerPool
from stackviz_deployer.errors import WorkerDiedError
from stackviz_deployer.log import JournalObserver, JsonObserver
from stackviz_deployer.model import ParseRequest
from stackviz_deployer.store.sqlite import SqliteDatabase
from stackviz_deployer.trace import REQUEST, TASK, new_request_id
from stackviz_deployer.web.blobs import FileThreads

SAYS = """
import sys
sys.stdout.write('{"ready": true}\\n'); sys.stdout.flush()
sys.stdin.readline()
sys.stderr.write("a parser's complaint\\n"); sys.stderr.flush()
"""


class TraceTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.lines: list[dict[str, Any]] = []
        observer = JsonObserver(lambda data: self.lines.append(json.loads(data)))
        self.path = Path(self.mktemp()).absolute() / "db"
        self.log = Logger("test", observer=LogPublisher(observer))

    def ids(self) -> list[tuple[Any, Any]]:
        return [(line.get("request"), line.get("task")) for line in self.lines]

    async def test_each_coroutine_has_its_own(self) -> None:
        shared: Deferred[None] = Deferred()

        async def work(name: str) -> None:
            TASK.set(name)
            self.log.info("before")
            await deferLater(reactor, 0)
            self.log.info("after a timer")
            waiter: Deferred[None] = Deferred()
            shared.addCallback(lambda _: waiter.callback(None))
            await waiter
            self.log.info("after somebody else's callback")

        background = Background()
        works = [background.spawn(work(name), name) for name in "abc"]
        await deferLater(reactor, 0.01)
        TASK.set("the caller's")
        shared.callback(None)
        for one in works:
            await one
        self.assertEqual(sorted(task for _, task in self.ids()), sorted("abc" * 3))
        self.assertEqual(TASK.get(), "the caller's")

    async def test_threads(self) -> None:
        threads = FileThreads(reactor)
        threads.startService()
        self.addCleanup(threads.stopService)
        REQUEST.set("r1")
        TASK.set("t1")
        await threads.run(self.log.info, "in a thread")
        self.assertEqual(self.ids(), [("r1", "t1")])
        REQUEST.set(None)
        await threads.run(self.log.info, "the next one")
        self.assertEqual(self.ids()[1], (None, "t1"))

    async def test_database(self) -> None:
        database = SqliteDatabase(self.path, reactor)
        database.startService()
        self.addCleanup(database.stopService)
        TASK.set("t2")
        await database.read(lambda _txn: self.log.info("in a transaction"))
        await database.write(lambda _txn: self.log.info("in another"))
        self.assertEqual(self.ids(), [(None, "t2")] * 2)

    async def test_what_a_worker_says_belongs_to_its_task(self) -> None:
        self.patch(cpu.log, "observer", self.log.observer)
        pool = WorkerPool(reactor, slots=1, memory_bytes=1 << 30, command=(sys.executable, "-c", SAYS))
        pool.startService()
        self.addCleanup(pool.stopService)
        TASK.set("t3")
        request = ParseRequest(parser="x", inputs=(), out_dir="/", max_bytes=1)
        with self.assertRaises(WorkerDiedError):
            await pool.run(request, timeout_s=30)
        said = [line for line in self.lines if "complaint" in line["message"]]
        self.assertEqual([line["task"] for line in said], ["t3"])

    def test_journal(self) -> None:
        written: list[bytes] = []
        log = Logger("test", observer=LogPublisher(JournalObserver(written.append)))
        log.info("plain")
        REQUEST.set("r")
        TASK.set("t")
        self.addCleanup(REQUEST.set, None)
        self.addCleanup(TASK.set, None)
        log.info("both")
        self.assertEqual(written, [b"<6>test: plain\n", b"<6>test: both [request=r task=t]\n"])

    def test_ids_differ(self) -> None:
        ids = {new_request_id() for _ in range(1000)}
        self.assertEqual(len(ids), 1000)
        self.assertEqual({len(one) for one in ids}, {16})
