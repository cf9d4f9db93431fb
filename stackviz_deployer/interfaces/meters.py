# SPDX-License-Identifier: Apache-2.0
"""What the operator counts."""

from __future__ import annotations

from typing import Protocol


class Meters(Protocol):
    """What the operator counts.  Neither method waits or fails; each costs about a microsecond.

    ``name`` and the names of the labels are those of ``metrics/catalogue.py`` (without the
    prefix ``stackviz_``).  A label's value is a word of our own code (a route's pattern, an
    error's code, a limit's configured name: ``count("limit_hits", limit="connections.total")``),
    never a part of what a client or another server sent.
    """

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Something happened (``amount`` times, or so many bytes)."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Something was measured: seconds, of a histogram."""


class NoMeters:
    """Nobody counts: what takes ``Meters`` has this for a default."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Nothing."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Nothing."""
