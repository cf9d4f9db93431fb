# SPDX-License-Identifier: Apache-2.0
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.lookup.recent import Recent


class RecentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.recent: Recent[str, str] = Recent(self.clock, ttl_s=30, max_cost=10, cost=len)
        self.made: list[Deferred[str]] = []
        self.cancelled = 0

    async def make(self) -> str:
        work: Deferred[str] = Deferred()
        self.made.append(work)
        try:
            return await work
        except CancelledError:
            self.cancelled += 1
            raise

    def test_made_once_for_all_who_wait(self) -> None:
        waiting = [self.recent.get("a", self.make) for _ in range(3)]
        self.assertEqual(len(self.made), 1)
        self.made[0].callback("x")
        self.assertEqual([self.successResultOf(d) for d in waiting], ["x"] * 3)

    def test_kept_for_a_while(self) -> None:
        first = self.recent.get("a", self.make)
        self.made[0].callback("x")
        self.successResultOf(first)
        self.clock.advance(29.9)
        self.assertEqual(self.successResultOf(self.recent.get("a", self.make)), "x")
        self.assertEqual(list(self.recent.values()), ["x"])
        self.clock.advance(0.1)
        self.assertEqual(list(self.recent.values()), [])
        self.assertNoResult(self.recent.get("a", self.make))

    def test_made_at_once(self) -> None:
        async def make() -> str:
            return "x"

        self.assertEqual(self.successResultOf(self.recent.get("a", make)), "x")

    def test_failures_reach_all_and_are_not_kept(self) -> None:
        waiting = [self.recent.get("a", self.make) for _ in range(2)]
        self.made[0].errback(ValueError("no"))
        for d in waiting:
            self.failureResultOf(d, ValueError)
        self.recent.get("a", self.make)
        self.assertEqual(len(self.made), 2)

    def test_one_who_leaves_takes_nothing_from_others(self) -> None:
        leaving, staying = self.recent.get("a", self.make), self.recent.get("a", self.make)
        leaving.cancel()
        self.failureResultOf(leaving, CancelledError)
        self.assertEqual(self.cancelled, 0)
        self.made[0].callback("x")
        self.assertEqual(self.successResultOf(staying), "x")

    def test_the_last_who_leaves_stops_the_work(self) -> None:
        waiting = [self.recent.get("a", self.make) for _ in range(2)]
        for d in waiting:
            d.cancel()
            self.failureResultOf(d, CancelledError)
        self.assertEqual(self.cancelled, 1)
        again = self.recent.get("a", self.make)
        self.assertEqual(len(self.made), 2)
        self.made[1].callback("y")
        self.assertEqual(self.successResultOf(again), "y")

    def test_nobody_joins_work_that_is_ending(self) -> None:
        cleaning: Deferred[None] = Deferred()

        async def make() -> str:
            try:
                return await Deferred()
            finally:
                await cleaning

        first = self.recent.get("a", make)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        second = self.recent.get("a", self.make)
        cleaning.callback(None)
        self.made[0].callback("x")
        self.assertEqual(self.successResultOf(second), "x")

    def test_bounded(self) -> None:
        for key, value in [("a", "x" * 4), ("b", "y" * 4), ("a", ""), ("c", "z" * 4), ("huge", "h" * 11)]:
            d = self.recent.get(key, self.make)
            if self.made and not self.made[-1].called:
                self.made[-1].callback(value)
            self.successResultOf(d)
        # b was not asked for longest; what is too large alone is not kept
        self.assertEqual(sorted(self.recent.values()), ["xxxx", "zzzz"])
