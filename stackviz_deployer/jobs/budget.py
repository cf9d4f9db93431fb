# SPDX-License-Identifier: Apache-2.0
"""What the parts of one task may use together."""

from __future__ import annotations

from collections import deque

from attrs import define
from twisted.internet.defer import Deferred

from stackviz_deployer.errors import TooLargeError


@define(eq=False)
class Share:
    """What one part may use; ``used`` is set before it is given back."""

    max_bytes: int
    used: int = 0


class Budget:
    """Decoded bytes of a task, lent in shares of one file's limit to a few parts at a time.

    A part is given less than a whole share only when nobody can give anything back, so
    that the order of the parts does not decide whether a job fits.
    """

    def __init__(self, *, total_bytes: int, share_bytes: int, parts: int) -> None:
        self._total = self._left = total_bytes
        self._share = share_bytes
        self._parts = parts
        self._lent = 0
        self._waiting: deque[Deferred[None]] = deque()

    async def take(self) -> Share:
        """A share, in the order of asking.  Raises TooLargeError when everything is used up."""
        if self._waiting or not self._can_lend():
            turn: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(turn)
            await turn
        else:
            self._lent += 1
        share = Share(min(self._share, self._left))
        if share.max_bytes <= 0:
            self.give_back(share)
            raise TooLargeError(
                f"the files of this job have more than {self._total} bytes together when decoded"
            )
        self._left -= share.max_bytes
        return share

    def give_back(self, share: Share) -> None:
        """Return what of ``share`` was not used."""
        self._lent -= 1
        self._left += max(share.max_bytes, 0) - share.used
        while self._waiting and self._can_lend():
            self._lent += 1
            self._waiting.popleft().callback(None)

    def _can_lend(self) -> bool:
        return self._lent == 0 or (self._lent < self._parts and self._left >= self._share)
