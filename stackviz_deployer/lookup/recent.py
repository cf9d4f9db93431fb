# SPDX-License-Identifier: Apache-2.0
"""Answers that are shared while they are on their way, and kept for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Iterator
from typing import Any, Generic, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@frozen
class _Kept(Generic[V]):
    value: V
    until: float
    cost: int


class _Flight(Generic[V]):
    """Work that several wait for; it is stopped when the last of them leaves."""

    def __init__(self, landed: Callable[[V | Failure], None], left: Callable[[], None]) -> None:
        self._landed = landed
        self._left = left
        self._waiters: list[Deferred[V]] = []
        self._work: Deferred[V] | None = None

    def join(self) -> Deferred[V]:
        waiter: Deferred[V] = Deferred(self._leave)
        self._waiters.append(waiter)
        return waiter

    def start(self, work: Coroutine[Any, Any, V]) -> None:
        self._work = Deferred.fromCoroutine(work)
        self._work.addBoth(self._land)

    def _leave(self, waiter: Deferred[V]) -> None:
        self._waiters.remove(waiter)
        if not self._waiters and self._work is not None:
            # First, so that nobody joins what is about to end.
            self._left()
            self._work.cancel()

    def _land(self, result: V | Failure) -> None:
        waiters, self._waiters = self._waiters, []
        self._landed(result)
        for waiter in waiters:
            if isinstance(result, Failure):
                waiter.errback(result.value)
            else:
                waiter.callback(result)


class Recent(Generic[K, V]):
    """Values by key, each made once however many ask, forgotten ``ttl_s`` after it was made.

    ``max_cost`` bounds the sum of ``cost(value)``; the ones not asked for longest go first.
    Failures are not kept.
    """

    def __init__(self, clock: IReactorTime, *, ttl_s: float, max_cost: int, cost: Callable[[V], int]) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._max_cost = max_cost
        self._cost = cost
        self._kept: OrderedDict[K, _Kept[V]] = OrderedDict()
        self._flights: dict[K, _Flight[V]] = {}

    def get(self, key: K, make: Callable[[], Coroutine[Any, Any, V]]) -> Deferred[V]:
        """The value; the Deferred is the caller's own, cancelling it takes nothing from others."""
        self._forget_old()
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return succeed(kept.value)
        running = self._flights.get(key)
        if running is not None:
            return running.join()
        flight: _Flight[V] = _Flight(
            lambda result: self._landed(key, flight, result), lambda: self._drop(key, flight)
        )
        self._flights[key] = flight
        waiter = flight.join()
        flight.start(make())
        return waiter

    def values(self) -> Iterator[V]:
        """Those that are kept."""
        self._forget_old()
        return iter([kept.value for kept in self._kept.values()])

    def _landed(self, key: K, flight: _Flight[V], result: V | Failure) -> None:
        if self._flights.get(key) is not flight:  # nobody waits any more
            return
        del self._flights[key]
        if isinstance(result, Failure):
            return
        cost = self._cost(result)
        if cost <= self._max_cost:
            self._kept[key] = _Kept(result, self._clock.seconds() + self._ttl_s, cost)
            while sum(kept.cost for kept in self._kept.values()) > self._max_cost:
                self._kept.popitem(last=False)

    def _drop(self, key: K, flight: _Flight[V]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _forget_old(self) -> None:
        now = self._clock.seconds()
        for key in [key for key, kept in self._kept.items() if kept.until <= now]:
            del self._kept[key]
