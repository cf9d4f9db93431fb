# SPDX-License-Identifier: Apache-2.0
"""Which of the database's tasks are put into Redis, and when."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.cluster.compare import Comparison
from stackviz_deployer.model import Job
from tests.fakes import MemoryTaskStore

SURE_S = 30.0


class FakeStream:
    """What is leased, and what was offered."""

    def __init__(self) -> None:
        self.alive: set[str] = set()
        self.offered: list[str] = []

    async def leased(self, _link: Any, ids: list[str]) -> frozenset[str]:
        return frozenset(self.alive.intersection(ids))

    async def offer(self, _link: Any, ids: list[str]) -> int:
        self.offered += ids
        return len(ids)


class ComparisonTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.store = MemoryTaskStore(self.clock)
        self.stream = FakeStream()
        stream: Any = self.stream
        self.comparison = Comparison(self.store, stream, self.clock, sure_s=SURE_S)
        job = Job(url="http://logs.example/1/", name="x")
        task, _ = self.done(self.store.create(job, cancel_hash="", force=False, queue_limit=9))
        self.task_id = task.id

    def done(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def look(self) -> list[str]:
        """What is offered now."""
        link: Any = None
        self.stream.offered.clear()
        self.done(self.comparison.offer_all(link, []))
        return list(self.stream.offered)

    def test_what_waits_at_once(self) -> None:
        self.assertEqual(self.look(), [self.task_id])

    def test_who_works_on_it_has_time_to_come_back(self) -> None:
        """Redis starts empty; two looks follow each other closely, before the owner is connected again."""
        self.done(self.store.begin(self.task_id, "owner"))
        self.assertEqual(self.look(), [])
        self.clock.advance(SURE_S - 1)
        self.assertEqual(self.look(), [])
        self.stream.alive.add(self.task_id)
        self.clock.advance(SURE_S)
        self.assertEqual(self.look(), [])

    def test_nobody_works_on_it(self) -> None:
        self.done(self.store.begin(self.task_id, "nobody"))
        self.assertEqual(self.look(), [])
        self.clock.advance(SURE_S)
        self.assertEqual(self.look(), [self.task_id])

    def test_who_could_not_say_so_is_waited_for_anew(self) -> None:
        self.done(self.store.begin(self.task_id, "owner"))
        self.assertEqual(self.look(), [])
        self.clock.advance(SURE_S)
        self.comparison.begin_anew()
        self.assertEqual(self.look(), [])
