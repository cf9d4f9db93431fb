# SPDX-License-Identifier: Apache-2.0
"""Observers: cancelled alone, told the result, and a late failure is not lost."""

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import QueueFullError
from stackviz_deployer.web.observe import observe


class ObserveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.cancelled: list[object] = []
        self.work: Deferred[int] = Deferred(self.cancelled.append)
        self.observer = observe(self.work, "the work")

    def test_result(self) -> None:
        self.work.callback(7)
        self.assertEqual(self.successResultOf(self.observer), 7)

    def test_failure(self) -> None:
        self.work.errback(QueueFullError("full"))
        self.failureResultOf(self.observer, QueueFullError)

    def test_cancelled_alone(self) -> None:
        self.observer.cancel()
        self.failureResultOf(self.observer, CancelledError)
        self.assertEqual(self.cancelled, [])
        self.work.callback(7)

    def test_late_failures(self) -> None:
        self.observer.cancel()
        self.failureResultOf(self.observer, CancelledError)
        self.work.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_late_refusals_are_nobodys_business(self) -> None:
        self.observer.cancel()
        self.failureResultOf(self.observer, CancelledError)
        self.work.errback(QueueFullError("full"))
        self.assertEqual(self.flushLoggedErrors(), [])
