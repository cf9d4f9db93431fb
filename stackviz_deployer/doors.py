# SPDX-License-Identifier: Apache-2.0
"""What happens when no file can be opened any more, in spite of the limits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

log = Logger()

SPARE = 4
"""Descriptors that must be free for connections to be taken."""
LOOK_S = 0.25


class DescriptorWatch(Service):
    """While no file can be opened, no connection is accepted either: clients wait in the kernel's queue.

    A port of Twisted's keeps one descriptor to turn clients away with.  Once that is lost, each turn
    of the reactor would try in vain to accept, and log it.
    """

    def __init__(self, reactor: Any) -> None:
        """``reactor``: IReactorFDSet and IReactorTime."""
        self._reactor = reactor
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor
        self._paused: list[Any] = []
        self._full = False

    def startService(self) -> None:
        """Begin."""
        super().startService()
        self._loop.start(LOOK_S, now=False)

    def stopService(self) -> None:
        """End; ports that wait are closed by whoever opened them."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()

    def getReaders(self) -> Sequence[Any]:
        """The reactor's, and the ports that wait."""
        return [*self._reactor.getReaders(), *self._paused]

    def health(self) -> Mapping[str, Any]:
        """``reasons``: sentences."""
        why = "too many open files; allow the daemon more (LimitNOFILE= in its unit, ulimit -n)"
        return {"reasons": [f"no connection is accepted: {why}"] if self._full else []}

    def _look(self) -> None:
        full = not _free(SPARE)
        if full and not self._full:
            log.error("no file can be opened any more; no connection is accepted until one can")
        elif self._full and not full:
            log.info("files can be opened again; connections are accepted")
        self._full = full
        if full:
            ports: list[Any] = [one for one in self._reactor.getReaders() if IListeningPort.providedBy(one)]
            for port in ports:
                port.stopReading()
                self._paused.append(port)
        else:
            while self._paused:
                port = self._paused.pop()
                if port.connected:
                    port.startReading()


def _free(count: int) -> bool:
    taken: list[int] = []
    try:
        while len(taken) < count:
            taken.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return False
    else:
        return True
    finally:
        for one in taken:
            os.close(one)
