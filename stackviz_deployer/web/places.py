# SPDX-License-Identifier: Apache-2.0
"""Places that are held for a while (connections, event streams, uploads), and each client's share."""

from __future__ import annotations

from typing import Literal

Full = Literal["total", "client"]


class Places:
    """So many in all, and of them so many for one client.  Holds a number for each client inside, no more."""

    def __init__(self, total: int, share: int) -> None:
        self._total = total
        self._share = share
        self._held: dict[str, int] = {}
        self.taken = 0

    def full(self, client: str | None) -> Full | None:
        """Which limit keeps ``client`` out.  None as client: one that shares belong to others, a proxy."""
        if client is not None and self._held.get(client, 0) >= self._share:
            return "client"
        if self.taken >= self._total:
            return "total"
        return None

    def take(self, client: str | None) -> None:
        """Somebody has come in; ``full`` was asked before."""
        self.taken += 1
        if client is not None:
            self._held[client] = self._held.get(client, 0) + 1

    def leave(self, client: str | None) -> None:
        """The same one has gone."""
        self.taken -= 1
        if client is not None:
            left = self._held[client] - 1
            if left:
                self._held[client] = left
            else:
                del self._held[client]
