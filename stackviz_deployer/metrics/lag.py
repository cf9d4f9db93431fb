# SPDX-License-Identifier: Apache-2.0
"""How late the reactor is: a timer that is due again and again."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from stackviz_deployer.interfaces import Meters

EVERY_S = 0.25


class LagProbe(Service):
    """Measures while it runs; a call costs some microseconds."""

    def __init__(self, clock: IReactorTime, meters: Meters) -> None:
        self._clock = clock
        self._meters = meters
        self._due: IDelayedCall | None = None
        self._due_s = 0.0
        self.max_s = 0.0

    def startService(self) -> None:
        super().startService()
        # From when the reactor runs: the daemon's start is not its lag.
        self._due = self._clock.callLater(0, self._next)

    def stopService(self) -> None:
        super().stopService()
        if self._due is not None and self._due.active():
            self._due.cancel()

    def _ring(self) -> None:
        lag_s = max(self._clock.seconds() - self._due_s, 0.0)
        self.max_s = max(self.max_s, lag_s)
        self._meters.observe("reactor_lag_seconds", lag_s)
        self._next()

    def _next(self) -> None:
        self._due_s = self._clock.seconds() + EVERY_S
        self._due = self._clock.callLater(EVERY_S, self._ring)
