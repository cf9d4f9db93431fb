# SPDX-License-Identifier: Apache-2.0
"""Asking a store that fails for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from stackviz_deployer.errors import StoreError, UnreachableError

log = Logger()

T = TypeVar("T")

RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses while the store fails; then the last one again and again."""


class Stubborn:
    """Asks again, and knows what fails at the moment."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._trouble: dict[str, str] = {}

    @property
    def reasons(self) -> Sequence[str]:
        """What fails at the moment, and how: sentences."""
        return [f"{what} fails: {why}" for what, why in self._trouble.items()]

    def well(self, what: str) -> None:
        """What is being asked may take its time, but it fails no more."""
        self._trouble.pop(what, None)

    async def ask(self, what: str, ask: Callable[[], Awaitable[T]], tries: int | None = None) -> T:
        """What the store answers, asked again with growing pauses while it fails.

        Raises StoreError after so many ``tries``; None: never.  Those count that reached a store.
        """
        failures = refusals = 0
        try:
            while True:
                try:
                    return await ask()
                except StoreError as error:
                    failures += 1
                    refusals += not isinstance(error, UnreachableError)
                    if refusals == tries:
                        raise
                    if self._trouble.get(what) != error.message:
                        log.failure("{what} fails; tried again until it does not", what=what)
                    self._trouble[what] = error.message
                await deferLater(self._clock, RETRY_S[min(failures, len(RETRY_S)) - 1])
        finally:
            self._trouble.pop(what, None)
