# SPDX-License-Identifier: Apache-2.0
"""Coroutines that nobody awaits for long: kept, logged, waited for when the daemon stops."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

log = Logger()

T = TypeVar("T")


class Background:
    """The one place where work is started that outlives whoever asked for it."""

    def __init__(self) -> None:
        self._works: set[Deferred[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], what: str) -> Deferred[None]:
        """Run ``work``; what it raises is logged with ``what`` and goes no further.

        The Deferred is for cancelling and for waiting: it always fires with None.
        """
        done = Deferred.fromCoroutine(work)
        self._works.add(done)

        def ended(result: Failure | None) -> None:
            self._works.discard(done)
            if isinstance(result, Failure) and not isinstance(result.value, CancelledError):
                log.failure("{what} failed", failure=result, what=what)

        return done.addBoth(ended)

    async def observe(self, work: Coroutine[Any, Any, T], what: str) -> T:
        """The outcome of ``work``, which goes on when whoever awaits this is cancelled.

        A client that hangs up cancels its handler (trap T19 in style/STYLE-STUDY.md).
        """
        outcome: Deferred[T] = Deferred()

        async def run() -> None:
            try:
                result = await work
            except Exception as error:
                if outcome.called:
                    raise
                outcome.errback(error)
            else:
                if not outcome.called:
                    outcome.callback(result)

        self.spawn(run(), what)
        return await outcome

    async def end(self, clock: IReactorTime, timeout_s: float) -> bool:
        """Wait until nothing runs any more; False when something still did after ``timeout_s``."""
        return await finished(list(self._works), clock, timeout_s)


async def finished(works: Sequence[Deferred[None]], clock: IReactorTime, timeout_s: float) -> bool:
    """Wait for ``works`` without touching them; False when some still ran after ``timeout_s``."""
    ends: list[Deferred[None]] = []
    for work in works:
        end: Deferred[None] = Deferred()
        ends.append(end)
        work.addBoth(_pass_on, end)
    everything = DeferredList(ends, consumeErrors=True)
    late = False

    def give_up(_result: object, _timeout_s: float) -> None:
        nonlocal late
        late = True

    await everything.addTimeout(timeout_s, clock, onTimeoutCancel=give_up)
    return not late


async def together(works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, run side by side; when one raises, the others are cancelled and waited for."""
    running = [Deferred.fromCoroutine(work) for work in works]
    try:
        return await gatherResults(running, consumeErrors=True)
    except Exception as error:
        for one in running:
            one.cancel()
        await DeferredList(running, consumeErrors=True)
        if isinstance(error, FirstError):
            error.subFailure.raiseException()
        raise


def _pass_on(result: T, end: Deferred[None]) -> T:
    if not end.called:
        end.callback(None)
    return result
