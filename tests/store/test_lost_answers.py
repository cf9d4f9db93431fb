# SPDX-License-Identifier: Apache-2.0
"""A COMMIT whose answer does not come, because something on the way cuts connections."""

from attrs import evolve
from twisted.internet import reactor

from stackviz_deployer.errors import StoreError, TaskFailedError, UnknownOutcomeError
from stackviz_deployer.model import TaskState
from stackviz_deployer.store.mysql import MysqlDatabase
from stackviz_deployer.store.task_store import SqlTaskStore
from tests import mariadb
from tests.cutter import Cutter
from tests.store.building import StoreTestCase, Ticks, a_blob, a_job, a_parsed, counts


class LostAnswerTests(StoreTestCase):
    timeout = 120

    def setUp(self) -> None:
        super().setUp()
        server = mariadb.shared().database()
        self.cutter = Cutter(server.port)
        self.addCleanup(self.cutter.stop)
        address = evolve(server, port=self.cutter.port)
        self.store = SqlTaskStore(self.start(MysqlDatabase(address, reactor, lock_s=1, idle_s=3)), Ticks())
        self.there = SqlTaskStore(self.start(MysqlDatabase(server, reactor)), Ticks())
        """Another node's, which nothing cuts."""
        self.number = 0

    async def task(self, *, begun: bool = True):
        self.number += 1
        task, _ = await self.there.create(a_job(self.number), cancel_hash="0", force=False, queue_limit=99)
        return await self.there.begin(task.id, "node") if begun else task

    async def create(self):
        self.number += 1
        task, created = await self.store.create(
            a_job(self.number), cancel_hash="0", force=False, queue_limit=99
        )
        self.assertTrue(created)  # or nobody would have its key
        return task

    async def begin(self):
        return await self.store.begin((await self.task(begun=False)).id, "node")

    async def finish(self):
        task = await self.task()
        return await self.store.finish(task, task.job, [(a_parsed(), a_blob())], [])

    async def fail(self):
        return await self.store.fail(await self.task(), code="too-large", message="x")

    async def release(self):
        task = await self.task()
        await self.store.release(task)
        return await self.there.get(task.id)

    async def cancel(self):
        return await self.store.cancel((await self.task()).id)

    async def test_each_is_done_once(self) -> None:
        for ask, state, attempts in (
            (self.create, TaskState.QUEUED, 0),
            (self.begin, TaskState.PENDING, 1),
            (self.finish, TaskState.FINISHED, 1),
            (self.fail, TaskState.ERROR, 1),
            (self.release, TaskState.QUEUED, 1),
            (self.cancel, TaskState.CANCELLED, 1),
        ):
            for word in ("before", "behind"):
                with self.subTest(ask=ask.__name__, cut=word):
                    self.cutter.plan = [word]
                    task = await ask()
                    self.assertEqual(self.cutter.plan, [])
                    self.assertEqual(await self.there.get(task.id), task)
                    self.assertEqual((task.state, task.attempt), (state, attempts))
                    count = int(state is TaskState.FINISHED)
                    self.assertEqual(len(await self.there.artifacts(task.id)), count)
        self.assertEqual(sum((await counts(self.there._database)).values()), self.number)

    async def test_forgiven_once(self) -> None:
        """A release that is asked twice gives back one start."""
        self.cutter.plan = ["behind"]
        task = await self.release()
        for owner in ("a", "b", "c"):  # MAX_STARTS more, and none but those
            self.assertEqual((await self.there.begin(task.id, owner)).state, TaskState.PENDING)
        self.assertEqual((await self.there.begin(task.id, "d")).state, TaskState.ERROR)

    async def test_cut_again(self) -> None:
        """Then nobody can tell; whoever asks once more gets what was done."""
        task = await self.task()
        self.cutter.plan = ["behind", "behind"]
        with self.assertRaises(UnknownOutcomeError):
            await self.store.finish(task, task.job, [(a_parsed(), a_blob())], [])
        done = await self.store.finish(task, task.job, [(a_parsed(), a_blob())], [])
        self.assertEqual(done.state, TaskState.FINISHED)
        self.assertEqual(len(await self.there.artifacts(task.id)), 1)

    async def test_the_server_does_not_hear_of_it(self) -> None:
        """It goes on holding the rows, for as long as a transaction may ask nothing; then all goes on."""
        task = await self.task()
        self.cutter.plan = ["unheard"]
        with self.assertRaises(StoreError) as caught:
            await self.store.finish(task, task.job, [(a_parsed(), a_blob())], [])
        self.assertEqual(caught.exception.reason, "the server's database is busy")
        while True:
            try:
                done = await self.store.finish(task, task.job, [(a_parsed(), a_blob())], [])
            except StoreError:
                continue
            break
        self.assertEqual(done.state, TaskState.FINISHED)
        self.assertEqual(len(await self.there.artifacts(task.id)), 1)

    async def test_taken_over_meanwhile(self) -> None:
        """What was not done is not done any more when another has begun the task."""
        task = await self.task()
        self.cutter.plan = ["before", "before"]
        with self.assertRaises(UnknownOutcomeError):
            await self.store.finish(task, task.job, [(a_parsed(), a_blob())], [])
        await self.there.begin(task.id, "another")
        with self.assertRaises(TaskFailedError):
            await self.store.finish(task, task.job, [(a_parsed(), a_blob())], [])
        self.assertEqual(await self.there.artifacts(task.id), ())
