# SPDX-License-Identifier: Apache-2.0
"""Parser processes: one supervised child per slot, over pipes, so that killing one fails its own work only.

The children are ``parsers.worker`` (its docstring is the protocol).  A ProcessPoolExecutor
would lose every pending future with one killed child; here the others never notice.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context, copy_context
from itertools import count
from typing import Any

import orjson
from attrs import Factory, define
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from stackviz_deployer.errors import (
    ParseError,
    QueueFullError,
    StackvizError,
    StoreError,
    TooLargeError,
    WorkerDiedError,
)
from stackviz_deployer.interfaces import Meters, NoMeters
from stackviz_deployer.model import ParseRequest, ParseResult

log = Logger()

COMMAND = (sys.executable, "-I", "-m", "stackviz_deployer.parsers.worker")
"""-I: neither PYTHON* variables nor the current directory choose what a worker runs."""

NICENESS = 10
NICENESS_URGENT = 5
"""Below the reactor; a look-up that a person waits for above the scrapes."""

MAX_ANSWER_BYTES = (4 << 20) + 4096
"""The worker's own limit and room for the envelope: only a broken child sends more."""

STDERR_LINES = 100
STDERR_LINE_BYTES = 1000
"""What a child may say in the log for one request."""

RESTART_S = (0.0, 0.1, 1.0, 5.0, 15.0, 30.0)
"""Pauses before a child that ended without being asked anything is started again."""

START_S = 60.0
"""For a child to be ready; then it is killed, and the next one tries."""

STOP_S = 4.0
"""For killed children to be gone: the daemon's end does not wait for one that hangs in the kernel."""

_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
"""Nothing else of the daemon's environment (credentials among it) reaches a parser."""


@define(eq=False)
class _Work:
    """One request on its way."""

    number: int
    line: bytes
    subject: str
    urgent: bool
    done: Deferred[ParseResult]
    deadline: IDelayedCall
    context: Context = Factory(copy_context)
    """Whose it is: its lines in the log carry the task's id."""
    child: _Child | None = None


class _Child(ProcessProtocol):
    """One process, from start to end."""

    def __init__(self, pool: WorkerPool, slot: _Slot) -> None:
        self._pool = pool
        self._slot = slot
        self._buffer = bytearray()
        self._errors = bytearray()
        self._error_lines = STDERR_LINES
        self.ready = False
        self.ending = False
        """Whether it gets no more work: killed, or its last answer came."""
        self._in_order = False
        """Whether its end, when it comes, is by our will or the price of one request."""
        self._exhausted = False
        """Whether it said that its memory is used up: then its answer was its last."""
        self.work: _Work | None = None
        self.ended: Deferred[None] = Deferred()
        self.transport: IProcessTransport  # set by makeConnection

    @property
    def pid(self) -> int | None:
        pid: int | None = self.transport.pid
        return pid

    @property
    def idle(self) -> bool:
        return self.ready and not self.ending and self.work is None

    def give(self, work: _Work) -> None:
        self.work, work.child = work, self
        self._error_lines = STDERR_LINES
        self.transport.writeToChild(0, work.line)

    def dismiss(self) -> None:
        """Nobody waits for its work any longer, and there is no other way to stop that."""
        self.work, self._in_order = None, True
        self.kill()

    def kill(self) -> None:
        self.ending = True
        try:
            self.transport.signalProcess("KILL")
        except Exception:  # noqa: BLE001  ProcessExitedAlready, or OSError of a race with it
            log.debug("worker {pid} had ended before it was killed", pid=self.pid)

    def outReceived(self, data: bytes) -> None:
        self._buffer += data
        while not self.ending and (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            try:
                self._line(line)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self._nonsense(f"{type(error).__name__}: {error}")
        if len(self._buffer) > MAX_ANSWER_BYTES:
            self._nonsense("a line without end")

    def _line(self, line: bytes) -> None:
        message = orjson.loads(line)
        if not self.ready:
            self.ready = bool(message["ready"])
            self._slot.child_ready()
            log.debug("worker {pid} is ready", pid=self.pid)
            self._pool.dispatch()
            return
        work = self.work
        if work is None or message["id"] != work.number:
            raise ValueError("an answer that nobody asked for")
        outcome = outcome_of(message)
        self.work = None
        self.ending = self._in_order = self._exhausted = bool(message.get("last", False))
        if self._exhausted and isinstance(outcome, TooLargeError):
            outcome.limit = "limits.memory_bytes"
        self._slot.failures = 0
        self._pool.settle(work, outcome)
        self._pool.dispatch()

    def _nonsense(self, what: str) -> None:
        log.error("worker {pid} does not keep to the protocol ({what}); ended", pid=self.pid, what=what)
        del self._buffer[:]
        work, self.work = self.work, None
        self._in_order = work is not None
        self.kill()
        if work is not None:
            why = "the process that read it talked nonsense and was ended"
            self._pool.settle(work, WorkerDiedError(f"{work.subject}: {why}"))

    def errReceived(self, data: bytes) -> None:
        self._errors += data
        *lines, rest = self._errors.split(b"\n")
        self._errors = rest[: STDERR_LINE_BYTES + 1]
        for line in lines:
            self._log(bytes(line))

    def _log(self, line: bytes) -> None:
        self._error_lines -= 1
        if self._error_lines >= 0 and line:
            text = line[:STDERR_LINE_BYTES].decode("utf-8", "backslashreplace")
            context = copy_context() if self.work is None else self.work.context
            context.run(log.warn, "worker {pid}: {text}", pid=self.pid, text=text)
        elif self._error_lines == -1:
            log.warn("worker {pid} says more; left out", pid=self.pid)  # noqa: G010  likewise

    def processEnded(self, reason: Failure) -> None:
        self._log(bytes(self._errors))
        work, self.work = self.work, None
        why = _cause(reason)
        self.ending = True
        kind = "memory" if self._exhausted else "dismissed" if self._in_order else _kind(reason)
        self._pool.meters.count("worker_ends", kind=kind)
        self._slot.ended(why, in_order=self._in_order or work is not None)
        if work is not None:
            self._pool.settle(work, WorkerDiedError(f"{work.subject}: the process that read it {why}"))
        self.ended.callback(None)


class _Slot:
    """The place of one child, and of those that follow it."""

    def __init__(self, pool: WorkerPool, *, urgent: bool) -> None:
        self._pool = pool
        self.urgent = urgent
        self.child: _Child | None = None
        self.failures = 0
        """Ends in a row without an answer between them, of children that had nothing to do."""
        self.problem: str | None = None
        self._timer: IDelayedCall | None = None
        """Until the next start, or for the present child to be ready."""

    def start(self) -> None:
        child = _Child(self._pool, self)
        try:
            self._pool.spawn(child, NICENESS_URGENT if self.urgent else NICENESS)
        except OSError as error:  # no memory or process for a fork: later perhaps
            self._pool.meters.count("worker_ends", kind="not-started")
            self._again(f"could not be started ({error})")
            return
        self.child = child
        self._pool.meters.count("worker_starts")
        self._timer = self._pool.reactor.callLater(START_S, child.kill)

    def child_ready(self) -> None:
        self._stop_timer()

    def ended(self, why: str, *, in_order: bool) -> None:
        self.child = None
        self._stop_timer()
        if not self._pool.running:
            return
        if in_order:
            self.start()
        else:
            self._again(why)

    def _again(self, why: str) -> None:
        pause = RESTART_S[min(self.failures, len(RESTART_S) - 1)]
        self.failures += 1
        self.problem = f"a parser process {why}"
        log.error("a parser process {why}; started again in {pause} s", why=why, pause=pause)
        self._timer = self._pool.reactor.callLater(pause, self.start)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def stop(self) -> _Child | None:
        """No more children here; the present one, if any, is killed: it holds nothing that matters."""
        self._stop_timer()
        child = self.child
        if child is not None:
            child.kill()
        return child


class WorkerPool(Service):
    """``interfaces.CpuPool`` over ``slots`` children, and one more that only urgent work gets."""

    def __init__(
        self,
        reactor: Any,
        *,
        slots: int,
        memory_bytes: int,
        queue_limit: int = 1000,
        command: Sequence[str] = COMMAND,
        meters: Meters | None = None,
    ) -> None:
        """Nothing starts before ``startService``.

        ``reactor``: IReactorProcess and IReactorTime; ``memory_bytes``: address space of each
        child; ``queue_limit``: requests that may wait, urgent ones counted apart.
        """
        self.reactor = reactor
        self.meters = meters or NoMeters()
        self._memory_bytes = memory_bytes
        self._queue_limit = queue_limit
        self._command = tuple(command)
        self._slots = [_Slot(self, urgent=True), *(_Slot(self, urgent=False) for _ in range(slots))]
        self._waiting: deque[_Work] = deque()
        self._urgent: deque[_Work] = deque()
        self._numbers = count(1)
        self._environment = {"LC_ALL": "C.UTF-8", "TZ": "UTC"} | {
            name: os.environ[name] for name in _ENVIRONMENT if name in os.environ
        }

    # Service

    def startService(self) -> None:
        super().startService()
        for slot in self._slots:
            slot.start()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for work in [*self._urgent, *self._waiting]:
            self.settle(work, WorkerDiedError(f"{work.subject}: the daemon is stopping"))
        children = [child for slot in self._slots if (child := slot.stop()) is not None]
        gone: Deferred[Any] = DeferredList([child.ended for child in children], consumeErrors=True)
        await gone.addTimeout(STOP_S, self.reactor, onTimeoutCancel=_give_up)

    # CpuPool

    async def run(self, request: ParseRequest, *, timeout_s: float, urgent: bool = False) -> ParseResult:
        """Parse in a child.  ``timeout_s`` covers the wait for a free child and the work.

        Raises ParseError, TooLargeError, WorkerDiedError; StoreError when the disk is full;
        QueueFullError when too many wait.
        Cancelling takes a waiting request back and kills the child of a running one.
        """
        queue = self._urgent if urgent else self._waiting
        subject = request.inputs[0].name if request.inputs else request.parser
        if not self.running:
            raise WorkerDiedError(f"{subject}: the parser processes are stopped")
        if len(queue) >= self._queue_limit:
            raise QueueFullError("Too many files wait to be read; try again later.")
        number = next(self._numbers)
        line = orjson.dumps({"id": number, "request": request.to_json()}) + b"\n"
        work: _Work
        done: Deferred[ParseResult] = Deferred(lambda _: self._drop(work))
        deadline = self.reactor.callLater(timeout_s, lambda: self._expire(work, timeout_s))
        work = _Work(number, line, subject, urgent, done, deadline)
        queue.append(work)
        self.dispatch()
        return await done

    def health(self) -> Mapping[str, Any]:
        """Counts of children and of waiting requests; ``reasons``: why children do not start."""
        children = [slot.child for slot in self._slots if slot.child is not None]
        failing = [slot for slot in self._slots if slot.child is None or not slot.child.ready]
        problems = {slot.problem for slot in failing if slot.failures and slot.problem}
        return {
            "processes": len(self._slots),
            "ready": sum(child.ready and not child.ending for child in children),
            "busy": sum(child.work is not None for child in children),
            "waiting": len(self._waiting) + len(self._urgent),
            "reasons": sorted(problems),
        }

    # for the children

    def spawn(self, child: _Child, niceness: int) -> None:
        arguments = [*self._command, str(self._memory_bytes), str(niceness), str(os.getpid())]
        self.reactor.spawnProcess(child, arguments[0], arguments, env=self._environment)

    def dispatch(self) -> None:
        """Give waiting requests to idle children, in their order."""
        for slot in self._slots:  # the urgent slot is the first
            child = slot.child
            if child is None or not child.idle:
                continue
            if self._urgent:
                child.give(self._urgent.popleft())
            elif self._waiting and not slot.urgent:
                child.give(self._waiting.popleft())

    def settle(self, work: _Work, outcome: ParseResult | Exception) -> None:
        """End a request; whoever asked goes on."""
        self._drop(work)
        if work.done.called:
            return
        self.meters.count("parses", result=getattr(outcome, "code", "ok"))
        if isinstance(outcome, Exception):
            work.done.errback(outcome)
        else:
            work.done.callback(outcome)

    def _drop(self, work: _Work) -> None:
        """Forget a request: no deadline, no place in a queue, no child that works on it."""
        if work.deadline.active():
            work.deadline.cancel()
        child, work.child = work.child, None
        if child is not None:
            if child.work is work:  # cancelled or late, not answered
                child.dismiss()
            return
        queue = self._urgent if work.urgent else self._waiting
        if work in queue:
            queue.remove(work)

    def _expire(self, work: _Work, timeout_s: float) -> None:
        if work.child is None:
            why = f"no parser process became free within {timeout_s:g} s"
        else:
            why = f"the process that read it took longer than {timeout_s:g} s and was ended"
        self.settle(work, WorkerDiedError(f"{work.subject}: {why}"))


@define
class InlinePool:
    """The pool's synchronous twin for tests: the same answers, made at once in this process."""

    perform: Callable[[bytes], tuple[bytes, bool]]
    """``parsers.worker.perform``."""
    requests: list[ParseRequest] = Factory(list)
    """What was asked so far."""

    async def run(self, request: ParseRequest, *, timeout_s: float, urgent: bool = False) -> ParseResult:  # noqa: ARG002  the Protocol's
        """Parse here and now."""
        self.requests.append(request)
        answer, _last = self.perform(orjson.dumps({"id": 0, "request": request.to_json()}))
        outcome = outcome_of(orjson.loads(answer))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def outcome_of(answer: Mapping[str, Any]) -> ParseResult | Exception:
    """The result or the error that a worker's decoded answer holds.

    Raises KeyError or TypeError when it holds neither.
    """
    if "error" not in answer:
        return ParseResult.from_json(answer["result"])
    error = answer["error"]
    kinds: dict[object, type[StackvizError]] = {kind.code: kind for kind in (TooLargeError,)}
    if error["code"] == StoreError.code:  # a worker has no other trouble with the disk
        return StoreError(str(error["message"]), reason="the server's disk is full")
    return kinds.get(error["code"], ParseError)(str(error["message"]))


def _cause(reason: Failure) -> str:
    """Why a child ended, as the rest of a sentence."""
    number = getattr(reason.value, "signal", None)
    if number == signal.SIGKILL:
        return "was killed, probably because the machine ran out of memory"
    if number is not None:
        return f"crashed ({signal.Signals(number).name})"
    return f"ended by itself (status {getattr(reason.value, 'exitCode', None)})"


def _kind(reason: Failure) -> str:
    """The same as a word, for the metrics."""
    number = getattr(reason.value, "signal", None)
    if number is None:
        return "exited"
    return "killed" if number == signal.SIGKILL else "crashed"


def _give_up(_result: object, _timeout_s: float) -> None:
    log.error("a parser process does not end; left behind")
