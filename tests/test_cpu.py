# SPDX-License-Identifier: Apache-2.0
"""The pool over real children, most of them hostile."""

import os
import signal
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock, deferLater
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from stackviz_deployer.cpu import (
    MAX_ANSWER_BYTES,
    RESTART_S,
    START_S,
    STDERR_LINE_BYTES,
    STDERR_LINES,
    STOP_S,
    InlinePool,
    WorkerPool,
)
from stackviz_deployer.errors import ParseError, QueueFullError, StoreError, TooLargeError, WorkerDiedError
from stackviz_deployer.model import InputFile, ParseRequest
from stackviz_deployer.parsers import worker
from tests.parsers import hostile

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = (
    sys.executable,
    "-I",
    "-c",
    (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.parsers import hostile; from stackviz_deployer.parsers import worker\n"
        "worker.main(sys.argv[1:], parsers=hostile.PARSERS, warm=())"
    ),
)


def request(parser, **options):
    return ParseRequest(
        parser=parser,
        inputs=(InputFile(path="/dev/null", name="logs/x.subunit"),),
        out_dir="/nowhere",
        max_bytes=10,
        options=options,
    )


def start(pool, parser, *, timeout_s=30.0, urgent=False, **options):
    return Deferred.fromCoroutine(pool.run(request(parser, **options), timeout_s=timeout_s, urgent=urgent))


async def appears(path):
    """The file that a hostile parser makes when it runs; trial's own time-out bounds the wait."""
    while not path.exists():
        await deferLater(reactor, 0.005, int)
    return int(path.read_text())


class WorkerPoolTests(TestCase):
    timeout = 60

    def pool(self, slots=1, **kwargs):
        pool = WorkerPool(reactor, slots=slots, memory_bytes=kwargs.pop("memory_bytes", 1 << 30), **kwargs)
        pool.startService()
        self.addCleanup(pool.stopService)
        return pool

    def marker(self):
        return Path(self.mktemp()).resolve()

    def hostile(self, slots=1, **kwargs):
        return self.pool(slots, command=HOSTILE, **kwargs)

    async def died(self, d, *words):
        with self.assertRaises(WorkerDiedError) as caught:
            await d
        self.assertIn("logs/x.subunit", caught.exception.message)
        for word in words:
            self.assertIn(word, caught.exception.message)

    async def pid(self, pool):
        return (await start(pool, "pid")).data["pid"]

    async def test_the_real_command_starts(self):
        """-I and the bare environment find the installed package; an unknown parser is an answer."""
        pool = self.pool()
        with self.assertRaises(ParseError):
            await start(pool, "no such parser")

    async def test_result_and_confinement(self):
        os.environ["STACKVIZ_TEST_SECRET"] = "x"
        self.addCleanup(os.environ.pop, "STACKVIZ_TEST_SECRET")
        pool = self.hostile()
        data = (await start(pool, "pid")).data
        self.assertNotEqual(data["pid"], os.getpid())
        self.assertEqual(data["nice"], min(os.nice(0) + 10, 19))  # there is no more
        self.assertNotIn("STACKVIZ_TEST_SECRET", data["environ"])
        # urgent work takes any free child, the slot of its own first: once that one is there
        while (health := pool.health())["ready"] < health["processes"]:
            await deferLater(reactor, 0.005, int)
        urgent = (await start(pool, "pid", urgent=True)).data
        self.assertEqual(urgent["nice"], min(os.nice(0) + 5, 19))

    async def test_children_are_reused(self):
        pool = self.hostile()
        self.assertEqual(await self.pid(pool), await self.pid(pool))

    async def test_parsers_errors_come_through(self):
        pool = self.hostile()
        with self.assertRaises(ParseError) as caught:
            await start(pool, "refuse")
        self.assertEqual(caught.exception.message, "logs/x.subunit: not a stream")
        with self.assertRaises(TooLargeError):
            await start(pool, "too_large")
        with self.assertRaises(TooLargeError):
            await start(pool, "huge")
        with self.assertRaises(StoreError) as full:
            await start(pool, "full_disk")
        self.assertEqual(full.exception.reason, "the server's disk is full")
        with self.assertRaises(ParseError):
            await start(pool, "defect")

    async def test_kill_9_fails_one_request_alone(self):
        pool = self.hostile(slots=2)
        started = self.marker()
        victim = start(pool, "sleep", started=str(started))
        pid = await appears(started)
        others = [start(pool, "pid") for _ in range(5)]
        os.kill(pid, signal.SIGKILL)
        await self.died(victim, "was killed")
        for answer in await gatherResults(others):
            self.assertNotEqual(answer.data["pid"], pid)
        started.unlink()
        again = [start(pool, "sleep", started=str(started)), start(pool, "pid")]
        self.assertNotEqual(await appears(started), pid)
        await again[1]
        self.assertEqual(pool.health()["reasons"], [])
        again[0].addErrback(lambda f: f.trap(CancelledError))
        again[0].cancel()

    async def test_crash_and_exit_are_told_apart(self):
        pool = self.hostile()
        await self.died(start(pool, "segfault"), "SIGSEGV")
        await self.died(start(pool, "leave"), "status 3")
        self.assertEqual((await start(pool, "pid")).warnings, ())

    async def test_deadline_ends_a_loop(self):
        pool = self.hostile()
        before = await self.pid(pool)
        await self.died(start(pool, "spin", timeout_s=0.3), "longer than 0.3 s")
        self.assertNotEqual(await self.pid(pool), before)

    async def test_deadline_of_a_waiting_request_ends_nobody(self):
        pool = self.hostile()
        started = self.marker()
        running = start(pool, "sleep", started=str(started))
        pid = await appears(started)
        await self.died(start(pool, "pid", timeout_s=0.05), "became free")
        os.kill(pid, 0)
        running.addErrback(lambda f: f.trap(CancelledError))
        running.cancel()

    async def test_memory(self):
        pool = self.hostile(memory_bytes=300 << 20)
        before = await self.pid(pool)
        with self.assertRaises(TooLargeError):
            await start(pool, "memory")
        self.assertNotEqual(await self.pid(pool), before)

    async def test_protocol_garbage(self):
        pool = self.hostile()
        for parser in ("garbage", "impostor", "endless"):
            await self.died(start(pool, parser), "nonsense")
        await self.pid(pool)

    async def test_prints_do_no_harm(self):
        pool = self.hostile()
        self.assertEqual((await start(pool, "noise")).data, "quiet")

    async def test_cancel_running_kills_its_child(self):
        pool = self.hostile()
        started = self.marker()
        running = start(pool, "spin", started=str(started))
        pid = await appears(started)
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        self.assertNotEqual(await self.pid(pool), pid)
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)

    async def test_cancel_waiting(self):
        pool = self.hostile()
        started = self.marker()
        running = start(pool, "sleep", started=str(started))
        pid = await appears(started)
        waiting = start(pool, "pid")
        self.assertEqual(pool.health()["waiting"], 1)
        waiting.cancel()
        with self.assertRaises(CancelledError):
            await waiting
        self.assertEqual(pool.health()["waiting"], 0)
        os.kill(pid, 0)
        running.addErrback(lambda f: f.trap(CancelledError))
        running.cancel()

    async def test_queue_bound(self):
        pool = self.hostile(queue_limit=2)
        running = [start(pool, "sleep")]
        await start(pool, "pid", urgent=True)
        while pool.health()["busy"] == 0:  # the ordinary child may start after the urgent one
            await deferLater(reactor, 0.005, int)
        running += [start(pool, "sleep") for _ in range(2)]
        with self.assertRaises(QueueFullError):
            await start(pool, "sleep")
        await start(pool, "pid", urgent=True)
        for d in running:
            d.addErrback(lambda f: f.trap(CancelledError))
            d.cancel()

    async def test_urgent_work_passes_the_scrapes(self):
        pool = self.hostile(slots=2)
        busy = [start(pool, "sleep") for _ in range(6)]
        await start(pool, "pid", urgent=True)
        self.assertEqual(pool.health()["waiting"] + pool.health()["busy"], 6)
        for d in busy:
            d.addErrback(lambda f: f.trap(CancelledError))
            d.cancel()

    async def test_first_come_first_served(self):
        pool = self.hostile()
        order = []
        work = [
            start(pool, "copy" if n % 2 else "pid").addBoth(lambda _, n=n: order.append(n)) for n in range(6)
        ]
        await gatherResults(work)
        self.assertEqual(order, list(range(6)))

    async def test_stop_ends_children_and_requests(self):
        pool = WorkerPool(reactor, slots=2, memory_bytes=1 << 30, command=HOSTILE)
        pool.startService()
        started = self.marker()
        spinning = start(pool, "spin", started=str(started))
        idle = await self.pid(pool)
        pid = await appears(started)
        begun = reactor.seconds()
        await pool.stopService()
        self.assertLess(reactor.seconds() - begun, STOP_S)
        await self.died(spinning, "was killed")
        for child in (pid, idle):
            self.assertRaises(ProcessLookupError, os.kill, child, 0)
        await self.died(start(pool, "pid"), "stopped")

    async def test_a_command_that_never_starts_is_told(self):
        pool = self.pool(command=(sys.executable, "-c", "import sys; sys.exit(7)"))
        await self.died(start(pool, "pid", timeout_s=1.0), "became free")
        self.assertIn("status 7", pool.health()["reasons"][0])
        self.assertEqual(pool.health()["ready"], 0)


class FakeTransport:
    pid = 4711

    def __init__(self):
        self.killed = 0
        self.written = b""

    def signalProcess(self, _name):
        self.killed += 1

    def writeToChild(self, _descriptor, data):
        self.written += data


class FakeReactor(Clock):
    """Processes that do what the test says."""

    def __init__(self):
        super().__init__()
        self.started = []

    def spawnProcess(self, protocol, _executable, _args, env):
        del env
        self.started.append(protocol)
        protocol.makeConnection(FakeTransport())


class SupervisionTests(SynchronousTestCase):
    """Restarts and bounds on a clock."""

    def setUp(self):
        self.reactor = FakeReactor()
        self.pool = WorkerPool(self.reactor, slots=0, memory_bytes=1)
        self.pool.startService()

    def child(self):
        return self.reactor.started[-1]

    def end(self, child):
        child.processEnded(Failure(ProcessDone(0)))

    def test_back_off_of_a_child_that_cannot_start(self):
        for number, pause in enumerate([*RESTART_S, RESTART_S[-1]], start=1):
            self.assertEqual(len(self.reactor.started), number)
            self.end(self.child())
            if pause:
                self.reactor.advance(pause - 0.01)
                self.assertEqual(len(self.reactor.started), number)
            self.reactor.advance(0.01)
        self.assertIn("ended by itself", self.pool.health()["reasons"][0])

    def test_an_answer_ends_the_back_off(self):
        self.end(self.child())
        self.reactor.advance(0)
        self.end(self.child())
        self.reactor.advance(1)
        child = self.child()
        child.outReceived(b'{"ready":true}\n')
        d = start(self.pool, "pid", urgent=True)
        answer, _ = worker.perform(child.transport.written.strip(), hostile.PARSERS)
        child.outReceived(answer[:10])
        self.assertNoResult(d)
        child.outReceived(answer[10:] + b"\n")
        self.assertEqual(self.successResultOf(d).data["pid"], os.getpid())
        self.assertEqual(self.pool.health()["reasons"], [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_ready_child_makes_up_for_one_that_died(self):
        self.end(self.child())
        self.assertEqual(len(self.pool.health()["reasons"]), 1)
        self.reactor.advance(0)
        self.assertEqual(len(self.pool.health()["reasons"]), 1)
        self.child().outReceived(b'{"ready":true}\n')
        self.assertEqual(self.pool.health()["reasons"], [])

    def test_a_child_that_does_not_get_ready_is_replaced(self):
        self.reactor.advance(START_S - 0.1)
        self.assertEqual(self.child().transport.killed, 0)
        self.reactor.advance(0.1)
        self.assertEqual(self.child().transport.killed, 1)
        self.end(self.child())
        self.reactor.advance(0)
        self.assertEqual(len(self.reactor.started), 2)

    def test_death_with_work_restarts_at_once(self):
        self.child().outReceived(b'{"ready":true}\n')
        d = start(self.pool, "pid", urgent=True)
        self.end(self.child())
        self.failureResultOf(d, WorkerDiedError)
        self.assertEqual(len(self.reactor.started), 2)

    def test_nonsense_at_start_is_paused_not_looped(self):
        self.child().outReceived(b"Python error\n")
        self.assertEqual(self.child().transport.killed, 1)
        self.end(self.child())
        self.assertEqual(len(self.reactor.started), 1)
        self.reactor.advance(0)
        self.child().outReceived(b"Python error\n")
        self.end(self.child())
        self.reactor.advance(0.09)
        self.assertEqual(len(self.reactor.started), 2)

    def test_answer_bound_on_both_sides(self):
        child = self.child()
        child.outReceived(b"x" * MAX_ANSWER_BYTES)
        self.assertEqual(child.transport.killed, 0)
        child.outReceived(b"x")
        self.assertEqual(child.transport.killed, 1)

    def test_what_a_child_says_is_bounded(self):
        said = []
        globalLogPublisher.addObserver(said.append)
        self.addCleanup(globalLogPublisher.removeObserver, said.append)
        child = self.child()
        for _ in range(3):
            child.errReceived(b"x" * 100_000)  # no end of line
        child.errReceived(b"\n" + b"line\n" * (2 * STDERR_LINES))
        texts = [event["text"] for event in said if "text" in event]
        self.assertEqual(len(texts), STDERR_LINES)
        self.assertLessEqual(max(map(len, texts)), STDERR_LINE_BYTES)

    def test_stop_does_not_wait_for_ever(self):
        self.child().outReceived(b'{"ready":true}\n')
        stopped = self.pool.stopService()
        self.assertEqual(self.child().transport.killed, 1)
        self.reactor.advance(STOP_S - 0.1)
        self.assertNoResult(stopped)
        self.reactor.advance(0.1)
        self.successResultOf(stopped)

    def test_stop_during_back_off(self):
        self.end(self.child())
        self.successResultOf(self.pool.stopService())
        self.reactor.advance(60)
        self.assertEqual(len(self.reactor.started), 1)


class InlinePoolTests(SynchronousTestCase):
    def test_same_answers(self):
        pool = InlinePool(lambda line: worker.perform(line, hostile.PARSERS))
        self.assertEqual(self.successResultOf(start(pool, "pid")).data["pid"], os.getpid())
        self.failureResultOf(start(pool, "refuse"), ParseError)
        self.failureResultOf(start(pool, "too_large"), TooLargeError)
        self.assertEqual([r.parser for r in pool.requests], ["pid", "refuse", "too_large"])
