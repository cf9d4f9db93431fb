# SPDX-License-Identifier: Apache-2.0
"""When another attempt is made, and when: treq's stub, a clock, and no thread."""

from email.utils import formatdate
from pathlib import Path
from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import CancelledError, Deferred, execute
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from stackviz_deployer.errors import UpstreamStatusError, UpstreamTimeoutError
from stackviz_deployer.model import Fetched
from stackviz_deployer.net.fetch import BACKOFF_S, HttpFetcher


class Scripted(Resource):
    """Answers each request with the next (status, Retry-After), the last one again and again."""

    isLeaf = True

    def __init__(self, *answers: tuple[int, str | None]) -> None:
        super().__init__()
        self.answers = answers
        self.asked = 0

    def render(self, request: Any) -> bytes:
        status, retry_after = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        request.setResponseCode(status)
        if retry_after is not None:
            request.setHeader("Retry-After", retry_after)
        return b"body"


class RetryTests(SynchronousTestCase):
    def start(self, *answers: tuple[int, str | None], timeout_s: float = 100) -> "Deferred[Fetched]":
        self.clock = MemoryReactorClock()
        self.server = Scripted(*answers)
        fetcher = HttpFetcher(self.clock, allowed=["h"], client=StubTreq(self.server), run_in_thread=execute)
        self.into = Path(self.mktemp())
        return Deferred.fromCoroutine(
            fetcher.fetch("http://h/x", self.into, max_bytes=100, timeout_s=timeout_s)
        )

    def test_transient(self) -> None:
        for status in (429, 500, 502, 503, 504):
            done = self.start((status, None), (status, None), (200, None))
            self.assertEqual(self.server.asked, 1)
            self.clock.advance(BACKOFF_S[0] - 0.01)
            self.assertEqual(self.server.asked, 1)
            self.clock.advance(0.01)
            self.assertEqual(self.server.asked, 2)
            self.clock.advance(BACKOFF_S[1])
            self.assertEqual(self.successResultOf(done).size, 4)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_three_attempts(self) -> None:
        done = self.start((503, None))
        self.clock.pump(BACKOFF_S)
        self.assertEqual(self.failureResultOf(done, UpstreamStatusError).value.status, 503)
        self.assertEqual(self.server.asked, 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_permanent(self) -> None:
        for status in (400, 401, 403, 404, 410, 501):
            self.failureResultOf(self.start((status, "1")), UpstreamStatusError)
            self.assertEqual(self.server.asked, 1)

    def test_retry_after(self) -> None:
        done = self.start((503, "30"), (200, None))
        self.clock.advance(29)
        self.assertEqual(self.server.asked, 1)
        self.clock.advance(1)
        self.successResultOf(done)

    def test_retry_after_as_a_date(self) -> None:
        done = self.start((429, formatdate(usegmt=True, timeval=None)), (200, None))
        self.clock.advance(0)
        self.successResultOf(done)

    def test_no_wait_beyond_the_deadline(self) -> None:
        self.failureResultOf(self.start((503, "99"), timeout_s=99), UpstreamStatusError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        done = self.start((503, "98"), (200, None), timeout_s=99)
        self.clock.advance(98)
        self.successResultOf(done)

    def test_cancelled_while_it_waits(self) -> None:
        done = self.start((503, "30"), (200, None))
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.server.asked, 1)

    def test_one_deadline_over_all(self) -> None:
        done = self.start((503, "6"), (503, "6"), (200, None), timeout_s=10)
        self.clock.advance(6)
        failure = self.failureResultOf(done, UpstreamStatusError)
        self.assertEqual((failure.value.status, self.server.asked), (503, 2))
        self.assertNotIsInstance(failure.value, UpstreamTimeoutError)
