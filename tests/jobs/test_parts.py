# SPDX-License-Identifier: Apache-2.0
"""The small parts of jobs/: budget, progress, background work."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.background import Background, together
from stackviz_deployer.errors import TooLargeError
from stackviz_deployer.jobs.budget import Budget
from stackviz_deployer.jobs.keys import fits, new_key
from stackviz_deployer.jobs.progress import EVERY_S, ProgressMeter
from stackviz_deployer.model import ListedFile, Progress


class BudgetTests(SynchronousTestCase):
    def take(self, budget):
        return Deferred.fromCoroutine(budget.take())

    def test_waiting_may_be_cancelled(self):
        budget = Budget(total_bytes=10, share_bytes=10, parts=2)
        first = self.successResultOf(self.take(budget))
        second, third = self.take(budget), self.take(budget)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertNoResult(third)
        budget.give_back(first)
        self.assertEqual(self.successResultOf(third).max_bytes, 10)

    @given(
        total=st.integers(1, 50),
        share=st.integers(1, 20),
        parts=st.integers(1, 4),
        uses=st.lists(st.integers(0, 20), max_size=12),
    )
    def test_never_over_and_nobody_waits_for_ever(self, total, share, parts, uses):
        budget = Budget(total_bytes=total, share_bytes=share, parts=parts)
        lent, used, refused, served = [], 0, 0, 0

        def got(share):
            lent.append(share)

        def not_got(failure):
            nonlocal refused
            failure.trap(TooLargeError)
            refused += 1

        for _ in uses:
            self.take(budget).addCallbacks(got, not_got)
        for use in uses:
            if not lent:
                break
            self.assertLessEqual(len(lent), parts)
            self.assertLessEqual(sum(one.max_bytes for one in lent) + used, total)
            one = lent.pop(0)
            one.used = min(use, one.max_bytes)
            used += one.used
            served += 1
            budget.give_back(one)
        self.assertEqual(served + refused, len(uses))
        if refused:
            self.assertEqual(used, total)


class ProgressTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.seen = []
        self.meter = ProgressMeter(self.seen.append, self.clock)

    def expect(self, *sizes):
        self.meter.expect([[ListedFile(path="x", url="x", size=size)] for size in sizes])

    def test_rate(self):
        self.expect(1000)
        for _ in range(100):
            self.clock.advance(EVERY_S / 10)
            self.meter.received(1)
        self.assertLessEqual(len(self.seen), 12)
        self.assertGreaterEqual(len(self.seen), 10)

    def test_a_stall_shows_what_it_stalled_at(self):
        self.expect(1000)
        self.clock.advance(1)
        self.meter.received(10)
        self.meter.received(20)
        self.assertEqual(self.seen[-1].done, 10)
        self.clock.advance(EVERY_S)
        self.assertEqual(self.seen[-1].done, 30)
        told = len(self.seen)
        self.clock.advance(10)
        self.assertEqual(len(self.seen), told)

    def test_nothing_is_told_after_the_end(self):
        self.expect(1000)
        self.meter.received(10)
        self.meter.close()
        told = len(self.seen)
        self.clock.advance(10)
        self.assertEqual((len(self.seen), self.clock.getDelayedCalls()), (told, []))

    def test_a_new_stage_is_told_at_once(self):
        self.expect(10, 10)
        self.meter.enter(0, "parsing")
        self.meter.enter(1, "parsing")
        self.meter.enter(0, "storing")
        self.meter.enter(1, "done")
        self.assertEqual([p.stage for p in self.seen], ["fetching", "parsing", "storing"])

    def test_sizes_of_listings_are_only_a_guide(self):
        self.expect(10, 10)
        self.clock.advance(1)
        self.meter.received(30)
        self.assertEqual(self.seen[-1], Progress(stage="fetching", done=30, total=30))

    def test_unknown_sizes(self):
        self.expect(10, None)
        self.clock.advance(1)
        self.meter.received(30)
        self.assertEqual(self.seen[-1], Progress(stage="fetching", done=30, total=0))

    def test_failed_pieces_hold_nothing_up(self):
        self.expect(10, 10)
        self.meter.enter(0, "done")
        self.meter.enter(1, "parsing")
        self.assertEqual(self.seen[-1], Progress(stage="parsing", done=1, total=2))


class BackgroundTests(SynchronousTestCase):
    def test_failures_are_logged_and_go_no_further(self):
        async def fail():
            raise ValueError("x")

        self.assertIsNone(self.successResultOf(Background().spawn(fail(), "a test")))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_observed_work_outlives_its_observer(self):
        background, held, ends = Background(), Deferred(), []

        async def work():
            ends.append(await held)

        d = Deferred.fromCoroutine(background.observe(work(), "a test"))
        d.cancel()
        self.failureResultOf(d, CancelledError)
        end = Deferred.fromCoroutine(background.end(Clock(), 1))
        self.assertNoResult(end)
        held.callback(1)
        self.assertEqual(ends, [1])
        self.assertTrue(self.successResultOf(end))

    def test_observed_failures_are_the_observers(self):
        async def fail():
            raise ValueError("x")

        background = Background()
        self.failureResultOf(Deferred.fromCoroutine(background.observe(fail(), "a test")), ValueError)

    def test_end_is_bounded_and_touches_nothing(self):
        background, clock, held = Background(), Clock(), Deferred()

        async def work():
            await held

        background.spawn(work(), "a test")
        end = Deferred.fromCoroutine(background.end(clock, 2))
        clock.advance(2)
        self.assertFalse(self.successResultOf(end))
        self.assertFalse(held.called)
        held.callback(None)

    def test_together_waits_for_the_cancelled(self):
        cleanup = Deferred()

        async def tidy():
            try:
                await Deferred()
            finally:
                await cleanup

        async def fail(when):
            await when
            raise ValueError("x")

        when = Deferred()
        d = Deferred.fromCoroutine(together([tidy(), fail(when)]))
        when.callback(None)
        self.assertNoResult(d)
        cleanup.callback(None)
        self.failureResultOf(d, ValueError)


class KeyTests(SynchronousTestCase):
    def test_keys(self):
        key, kept = new_key()
        self.assertNotIn(key, kept)
        self.assertTrue(fits(key, kept))
        self.assertFalse(fits(key + "x", kept))
        self.assertNotEqual(new_key()[0], key)
