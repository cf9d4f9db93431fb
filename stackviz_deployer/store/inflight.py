# SPDX-License-Identifier: Apache-2.0
"""Work that threads do for us, counted until the threads are done with it.

A thread cannot be stopped.  Who cancels gets rid of the wait alone, so a pool may be closed
only when its last thread is idle, whoever still waits; and a pool that is closed forgets
what it is given without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from stackviz_deployer.errors import StoreError

T = TypeVar("T")


class _Daemonic(Thread):
    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw, daemon=True)


class Threads(ThreadPool):
    """Threads that do not hold up a process that ends without having stopped them, as one does that fails."""

    threadFactory = _Daemonic


class InFlight:
    """Counts the calls into a thread pool; refuses new ones while shut."""

    def __init__(self) -> None:
        self._open = False
        self._count = 0
        self._idle: list[Deferred[None]] = []

    def open(self) -> None:
        """Let calls in."""
        self._open = True

    def shut(self) -> Deferred[None]:
        """Let no further call in; fires when the last one's thread is done."""
        self._open = False
        idle: Deferred[None] = Deferred()
        if self._count:
            self._idle.append(idle)
        else:
            idle.callback(None)
        return idle

    def run(self, submit: Callable[[], Deferred[T]]) -> Deferred[T]:
        """The answer of what ``submit`` starts; cancelling leaves the work itself alone.

        Raises StoreError when shut.
        """
        if not self._open:
            raise StoreError("the store is stopped; ask again when the daemon is up")
        answer: Deferred[T] = Deferred()

        def settle(result: T | Failure) -> None:
            self._count -= 1
            if isinstance(result, Failure):
                answer.errback(result)
            else:
                answer.callback(result)
            if not self._count:
                waiting, self._idle = self._idle, []
                for idle in waiting:
                    idle.callback(None)

        self._count += 1
        submit().addBoth(settle)
        return answer
