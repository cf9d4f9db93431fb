# SPDX-License-Identifier: Apache-2.0
"""Which answers go on for a client that says no more (channel.readConnectionLost), and which have no end."""

from __future__ import annotations


class Ready:
    """A producer of what lies in memory or on the disk: nobody works for it, and it has an end."""


class Endless:
    """A producer that goes on for as long as what it tells of."""

    def leave(self) -> None:
        """End the answer where it is: this daemon stops."""
        raise NotImplementedError
