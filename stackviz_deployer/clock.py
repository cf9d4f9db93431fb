# SPDX-License-Identifier: Apache-2.0
"""Time of day for what people read, and a clock that nobody sets for everything that waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def _elapsed_s() -> float:
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def now_ms() -> int:
    """Milliseconds UTC, by the clock that an administrator, NTP or a waking machine may set."""
    return time.time_ns() // 1_000_000


OFF_MS = 86_400_000
"""A day: a clock that is years ahead at a start makes nothing older than that."""


class Elapsed:
    """Milliseconds UTC, but for the steps that the time of day has made since: only ages are told by it."""

    def __init__(
        self, day_ms: Callable[[], int] = now_ms, elapsed_s: Callable[[], float] = _elapsed_s
    ) -> None:
        """``elapsed_s``: counts on whatever is set, also while the machine sleeps."""
        self._elapsed_s = elapsed_s
        self._offset_ms = day_ms() - int(elapsed_s() * 1000)

    def begin(self, day_ms: int) -> None:
        """Go on from this time of day, which is another machine's."""
        self._offset_ms = day_ms - int(self._elapsed_s() * 1000)

    def at_least(self, floor_ms: int) -> None:
        """Go on from here if it is later, as when the clock was ahead while an earlier process ran."""
        self._offset_ms += max(floor_ms - self.now_ms(), 0)

    def no_later_than(self, ceiling_ms: int) -> None:
        """Go on from there if it is earlier, as when the clock is ahead at a start."""
        self._offset_ms -= max(self.now_ms() - ceiling_ms, 0)

    def resume(self, used_ms: int, alive_ms: int) -> None:
        """After an earlier run, before anybody asks.

        ``used_ms``: the last use that it noted, 0 = none; ``alive_ms``: when it last did anything.
        The time without a daemon counts as OFF_MS at most.
        """
        if used_ms:
            self.no_later_than(max(used_ms, alive_ms) + OFF_MS)
            self.at_least(used_ms)

    def now_ms(self) -> int:
        """Never less than before."""
        return self._offset_ms + int(self._elapsed_s() * 1000)


def run_steadily(reactor: Any) -> None:
    """Let the timers of ``reactor`` (a ReactorBase) go by the monotonic clock; before there are any.

    Twisted's own go by the time of day: an hour back, and no deadline, loop or limit of pace
    ends for an hour; an hour forward, and all of them end at once.
    """
    if reactor.getDelayedCalls():
        raise RuntimeError("the reactor has timers already, which go by another clock")
    reactor.seconds = time.monotonic
