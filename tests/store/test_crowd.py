# SPDX-License-Identifier: Apache-2.0
"""Three nodes' stores, busy with the same few tasks at once, over one MariaDB."""

import random
import time

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from stackviz_deployer.errors import NotFoundError, TaskFailedError, TaskNotReadyError
from stackviz_deployer.model import TaskState
from stackviz_deployer.store.mysql import MysqlDatabase
from stackviz_deployer.store.retention import SqlRetention
from stackviz_deployer.store.task_store import SqlTaskStore
from tests import mariadb
from tests.store.building import StoreTestCase, Ticks, a_blob, a_job, a_parsed

GOES_ON_S = 6.0
FENCED = (TaskFailedError, NotFoundError, TaskNotReadyError)
"""What whoever comes too late is told."""


class CrowdTests(StoreTestCase):
    timeout = 120

    async def test_nobody_is_in_anybodys_way(self) -> None:
        """No deadlock, no wait and no duplicate comes out, and every row makes sense."""
        seed = random.randrange(1 << 30)
        chance = random.Random(seed)
        server, ticks = mariadb.shared().database(), Ticks()
        databases = [self.start(MysqlDatabase(server, reactor)) for _ in range(3)]
        nodes = [(SqlTaskStore(one, ticks), SqlRetention(one, ticks)) for one in databases]
        ids: list = []
        ends_s = time.monotonic() + GOES_ON_S
        done: dict[str, int] = {}

        async def act(number: int) -> None:
            store, rows = nodes[number % 3]
            what = chance.choice(
                (
                    "create",
                    "create",
                    "work",
                    "work",
                    "work",
                    "cancel",
                    "delete",
                    "pin",
                    "expire",
                    "use",
                    "forget",
                )
            )
            if what == "create" or not ids:
                job = a_job(chance.randrange(12))
                force = chance.random() < 0.5
                task, _ = await store.create(job, cancel_hash="0", force=force, queue_limit=10_000)
                ids.append(task.id)
                return
            task_id = chance.choice(ids[-30:])
            if what == "work":
                begun = await store.begin(task_id, f"node {number}")
                if begun is None or not begun.state.working:
                    return
                made = [(a_parsed(str(n)), a_blob(chance.randrange(9))) for n in range(3)]
                end = chance.choice(("finish", "finish", "fail", "release"))
                if end == "finish":
                    await store.finish(begun, begun.job, made, [])
                elif end == "fail":
                    await store.fail(begun, code="x", message="y")
                else:
                    await store.release(begun)
            elif what == "cancel":
                await store.cancel(task_id)
            elif what == "delete":
                await rows.delete(task_id)
            elif what == "pin":
                await rows.pin(task_id, pinned=chance.random() < 0.5)
            elif what == "expire":
                await rows.expire(unused_ms=50, over_bytes=chance.randrange(5), most=5)
            elif what == "use":
                await rows.note_uses(chance.sample(ids[-30:], min(5, len(ids[-30:]))))
            else:
                await rows.forget(ended_ms=200, keep=20, most=5)
            done[what] = done.get(what, 0) + 1

        async def busy(number: int) -> None:
            while time.monotonic() < ends_s:
                try:
                    await act(number)
                except FENCED:
                    done["fenced"] = done.get("fenced", 0) + 1

        await gatherResults([Deferred.fromCoroutine(busy(number)) for number in range(9)])
        self.assertEqual(len(done), 8, f"seed {seed}: {done}")
        with mariadb.shared().root(server.name) as root:
            urls = root.execute("SELECT live_url FROM tasks WHERE live_url IS NOT NULL")
            bare = root.execute(
                "SELECT id, state FROM tasks WHERE (state = 'finished')"
                " <> EXISTS (SELECT 1 FROM artifacts WHERE task_id = tasks.id)"
            )
            counts = root.execute("SELECT DISTINCT COUNT(*) FROM artifacts GROUP BY task_id")
        self.assertEqual(len(urls), len(set(urls)), f"seed {seed}")
        self.assertEqual(list(bare), [], f"seed {seed}")
        self.assertEqual(list(counts), [(3,)], f"seed {seed}")
        store, _ = nodes[0]
        for task_id, state in await store.waiting(1000):
            self.assertIn(state, (TaskState.QUEUED, TaskState.PENDING))
            self.assertEqual((await store.cancel(task_id)).state, TaskState.CANCELLED)
