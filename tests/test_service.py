# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from twisted.application import strports
from twisted.application.service import Service
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.service import Staged


class Child(Service):
    def __init__(self, name: str, events: list[str]) -> None:
        self.setName(name)
        self.events = events
        self.stopped = Deferred()

    def startService(self) -> None:
        super().startService()
        self.events.append(f"start {self.name}")

    def stopService(self) -> Deferred:
        super().stopService()
        self.events.append(f"stop {self.name}")
        return self.stopped


class StagedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.events = []
        self.clock = Clock()
        self.staged = Staged(self.clock, stage_s=20)
        self.children = [Child(name, self.events) for name in "abc"]
        for child in self.children:
            child.setServiceParent(self.staged)

    def stop(self) -> Deferred:
        self.staged.startService()
        self.assertEqual(self.events, ["start a", "start b", "start c"])
        self.events.clear()
        return self.staged.stopService()

    def test_one_at_a_time(self) -> None:
        done = self.stop()
        self.assertFalse(self.staged.running)
        for n, child in enumerate(reversed(self.children), 1):
            self.assertEqual(self.events, ["stop c", "stop b", "stop a"][:n])
            self.assertNoResult(done)
            child.stopped.callback(None)
        self.successResultOf(done)

    def test_failure_does_not_keep_the_others(self) -> None:
        self.children[2].stopped.errback(ValueError("boom"))
        self.children[1].stopService = lambda: 1 / 0
        done = self.stop()
        self.children[0].stopped.callback(None)
        self.successResultOf(done)
        self.assertEqual(self.events, ["stop c", "stop a"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_hanging_child_is_given_up(self) -> None:
        done = self.stop()
        self.clock.advance(19.9)
        self.assertEqual(self.events, ["stop c"])
        self.clock.advance(0.2)
        self.assertEqual(self.events, ["stop c", "stop b"])
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        for child in self.children[:2]:
            child.stopped.callback(None)
        self.successResultOf(done)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_without_clock(self) -> None:
        staged = Staged()
        child = Child("x", self.events)
        child.setServiceParent(staged)
        staged.startService()
        done = staged.stopService()
        self.assertNoResult(done)
        child.stopped.callback(None)
        self.successResultOf(done)

    def test_start_fails_loudly(self) -> None:
        """Nothing swallows what a child raises, and the later children are not started."""
        self.children[1].startService = lambda: 1 / 0
        self.assertRaises(ZeroDivisionError, self.staged.startService)
        self.assertEqual(self.events, ["start a"])

    def test_what_the_operator_has_to_mend(self) -> None:
        """No traceback; one line, and status 1."""
        told: list[str] = []

        def observe(event: LogEvent) -> None:
            told.append(str(formatEvent(event)))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        folder = Path(self.mktemp()).absolute()
        for endpoint, words in (
            ("tcp:99999", "port must be 0-65535"),
            (f"unix:{folder}/socket", f"No such file or directory.*{folder}"),
        ):
            staged = Staged(self.clock)
            strports.service(endpoint, Factory(), reactor=reactor).setServiceParent(staged)
            told.clear()
            with self.assertRaises(SystemExit) as caught:
                staged.privilegedStartService()
            self.assertEqual(caught.exception.code, 1)
            self.assertRegex("\n".join(told), f"(?m)^not started: .*{words}")

    def test_stopped_child_may_be_replaced(self) -> None:
        """disownServiceParent of a running child goes MultiService's own way."""
        self.staged.startService()
        self.children[1].stopped = fail(ValueError("boom"))
        gone = self.children[1].disownServiceParent()
        self.failureResultOf(gone, ValueError)
        self.assertEqual(list(self.staged), [self.children[0], self.children[2]])
