# SPDX-License-Identifier: Apache-2.0
"""The threads that talk to an object store, and the time that each call has.

Two pools: what is asked of a store that does not answer must not keep waiting what lies on
our own disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from stackviz_deployer.errors import StoreError
from stackviz_deployer.store.files import explained
from stackviz_deployer.store.inflight import InFlight, Threads
from stackviz_deployer.store.s3client import CONNECTIONS, PROBE, S3Client, StoreAwayError
from stackviz_deployer.store.s3transport import Call
from stackviz_deployer.trace import carried

log = Logger()

T = TypeVar("T")

LOCAL_THREADS = 4
CALL_S = 30.0
"""For what moves no data..."""
LEAST_RATE = 1 << 20
"""...and for each so many bytes that move, a second more."""
LONG_S = 3600.0
"""For a sweep."""
STUBBORN_S = 120.0
"""For which a put is tried while the store does not answer."""
PAUSE_S = 2.0
PROBE_S = 30.0
STOP_S = 5.0
"""For which stopping waits for what runs, before it is cut off."""


class S3Calls(Service):
    """Runs what blocks in threads; each call is cut off when its time is over or nobody waits for it."""

    def __init__(self, client: S3Client, reactor: Any) -> None:
        """``reactor``: IReactorCore, IReactorFromThreads and IReactorTime."""
        self._client = client
        self._reactor = reactor
        self._flying = InFlight()
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._probe()))
        self._loop.clock = reactor
        self._probing: Deferred[Any] | None = None
        self._running_calls: set[Call] = set()
        self._failed: StoreError | None = None

    def startService(self) -> None:
        """Begin to look, every PROBE_S, whether the store can be written to."""
        self._remote = Threads(0, CONNECTIONS, "s3")
        self._local = Threads(0, LOCAL_THREADS, "copies")
        for pool in (self._remote, self._local):
            pool.start()
        self._flying.open()
        super().startService()
        self._probing = self._loop.start(PROBE_S)

    def stopService(self) -> Deferred[None]:
        """Fires when what runs is done or cut off; what is asked from now on is refused."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._loop.running:
            self._loop.stop()
        idle = self._flying.shut()
        hurry = self._reactor.callLater(STOP_S, self._cut_all)
        await idle
        if self._probing is not None:
            await self._probing
        if hurry.active():
            hurry.cancel()
        for pool in (self._remote, self._local):
            pool.stop()
        self._client.close()

    def _cut_all(self) -> None:
        for call in list(self._running_calls):
            call.cut()

    # health

    def health(self) -> Mapping[str, Any]:
        """While the store cannot be used, a sentence.

        In ``notes`` when it is away, as it then is for all nodes: were they taken out of service for it,
        nobody would serve what they have copies of.  In ``reasons`` when it refuses what this node asks.
        """
        if self._failed is None:
            return {}
        key = "notes" if isinstance(self._failed, StoreAwayError) else "reasons"
        return {key: [self._failed.message]}

    def check(self) -> None:
        """Raise StoreError when the store could not be written to just now."""
        if self._failed is not None:
            raise StoreError(self._failed.message, reason=self._failed.reason)

    async def _probe(self) -> None:
        try:
            await self.remote(0, self._client.put_bytes, PROBE, b"probe")
        except StoreError as error:
            if self._failed is None:
                log.error("the object store fails: {error}", error=error.message)  # noqa: TRY400 - enough
            self._failed = error
        except Exception:  # noqa: BLE001 - a probe that fails must not be the last
            log.failure("probing the object store")
        else:
            if self._failed is not None:
                log.info("the object store works again")
            self._failed = None

    # calls

    async def local(self, fn: Callable[..., T], *args: Any) -> T:
        """``fn(*args)``, which looks at our disk alone.  Raises what it raises; for OSError, StoreError."""
        return await self._run(self._local, Call(), None, fn, *args)

    async def remote(self, size: int, fn: Callable[..., T], *args: Any) -> T:
        """``fn(*args)``, which asks the store and moves about ``size`` bytes.

        Raises what it raises; StoreError when its time is over.
        """
        return await self._run(self._remote, Call(), _time_for(size), fn, *args)

    async def long(self, fn: Callable[..., T], *args: Any) -> T:
        """``fn(*args)``, which asks the store thousands of times."""
        return await self._run(self._remote, Call(), LONG_S, fn, *args)

    async def stubborn(self, size: int, fn: Callable[..., T], *args: Any) -> T:
        """As ``remote``, and again for a while when the store does not answer: a task's work hangs on it."""
        end_s = time.monotonic() + STUBBORN_S
        while True:
            try:
                return await self.remote(size, fn, *args)
            except StoreAwayError as error:
                if time.monotonic() >= end_s or not self.running:
                    raise
                log.warn("{error}; tried again", error=error.message)  # noqa: G010 - Twisted's Logger
            await deferLater(self._reactor, PAUSE_S)

    async def _run(
        self, pool: ThreadPool, call: Call, time_s: float | None, fn: Callable[..., T], *args: Any
    ) -> T:
        def work() -> T:
            with call.current():
                return fn(*args)

        self._running_calls.add(call)
        timer = None if time_s is None else self._reactor.callLater(time_s, call.cut)
        try:
            return await self._flying.run(lambda: deferToThreadPool(self._reactor, pool, carried(work)))
        except OSError as error:
            raise explained(error, "the state directory") from error
        finally:
            # Also when the wait was cancelled: the thread is wanted for something else.
            if timer is not None and timer.active():
                timer.cancel()
            call.cut()
            self._running_calls.discard(call)


def _time_for(size: int) -> float:
    return CALL_S + size / LEAST_RATE
