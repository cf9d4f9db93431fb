# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping in stages.  Nothing here knows what the stages do."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from stackviz_deployer.errors import StackvizError

log = Logger()


class Staged(MultiService):
    """Children that start in their order and stop one at a time, the last first.

    MultiService stops all of them at once, and then the database is gone before the handlers
    that use it.  A child that fails or hangs
    does not keep the others from stopping.

    What an operator has to mend before it can start (a taken port or one that is none, a state directory of
    somebody else's, a socket in a directory that is not there) ends the process with status 1 and one
    line in the log.
    """

    def __init__(self, clock: IReactorTime | None = None, *, stage_s: float = 20.0) -> None:
        """With a ``clock`` each child has ``stage_s`` to stop; without, as long as it takes."""
        super().__init__()
        self._clock = clock
        self._stage_s = stage_s

    def privilegedStartService(self) -> None:
        """Endpoints begin to listen here."""
        _or_exit(super().privilegedStartService)

    def startService(self) -> None:
        """The children in their order."""
        _or_exit(super().startService)

    def stopService(self) -> Deferred[None]:
        """Fires when the last child has stopped, or was given up."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for child in reversed(list(self)):
            stopped = maybeDeferred(child.stopService)
            if self._clock is not None:
                stopped.addTimeout(self._stage_s, self._clock)
            try:
                await stopped
            except Exception:  # noqa: BLE001 - whatever it is, the next child must be stopped
                log.failure("stopping {child}", child=child)


class Closing(Service):
    """Closes what is no service itself when its turn to stop comes."""

    def __init__(self, close: Callable[[], Coroutine[Deferred[Any], Any, None]]) -> None:
        self._close = close

    def stopService(self) -> Deferred[None]:
        """Fires when it is closed."""
        super().stopService()
        return Deferred.fromCoroutine(self._close())


def _or_exit(start: Callable[[], object]) -> None:
    try:
        start()
    except (StackvizError, CannotListenError, OSError, OverflowError) as error:  # the last: ports over 65535
        log.critical("not started: {error}", error=error)
        raise SystemExit(1) from error
