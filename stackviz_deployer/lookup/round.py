# SPDX-License-Identifier: Apache-2.0
"""Several servers that are asked at once and heard one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from stackviz_deployer.errors import StackvizError

Named = tuple[str, Deferred[Any]]
"""A server's host, and its answer on the way."""


class Round:
    """What the servers have said so far, and who is still asked.

    Whoever makes one closes it: that gives up what has not come.
    """

    def __init__(self, *groups: Sequence[Named]) -> None:
        self._groups = groups
        self._asked = [one for group in groups for one in group]
        self._come: dict[int, Any] = {}
        self._heard = 0
        self._wake: Deferred[None] | None = None
        for at, (_, d) in enumerate(self._asked):
            d.addBoth(self._land, at)

    @property
    def asking(self) -> tuple[str, ...]:
        """The hosts whose answers have not come, each once."""
        return tuple(dict.fromkeys(host for at, (host, _) in enumerate(self._asked) if at not in self._come))

    def said(self, group: int) -> list[Any]:
        """What has come of a group's servers, in their order; errors of ours as values."""
        first = sum(len(one) for one in self._groups[:group])
        return [self._come[at] for at in range(first, first + len(self._groups[group])) if at in self._come]

    async def news(self) -> bool:
        """Wait until more has come than was there the last time; False when there is no more to come.

        Raises what is no StackvizError: a mistake of ours.
        """
        if self._heard == len(self._asked):
            return False
        if self._heard == len(self._come):
            self._wake = Deferred()
            await self._wake
        self._heard = len(self._come)
        for at, outcome in self._come.items():
            if isinstance(outcome, Failure):
                if not isinstance(outcome.value, StackvizError):
                    outcome.raiseException()
                self._come[at] = outcome.value
        return True

    def close(self) -> None:
        """Give up what has not come; harmless when all has."""
        for at, (_, d) in enumerate(self._asked):
            if at not in self._come:
                d.cancel()

    def _land(self, result: Any, at: int) -> None:
        self._come[at] = result
        wake, self._wake = self._wake, None
        if wake is not None and not wake.called:
            wake.callback(None)
