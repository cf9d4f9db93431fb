# SPDX-License-Identifier: Apache-2.0
"""Cleaning up once, after the start, what an earlier process left when it was killed."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from stackviz_deployer.jobs.background import Background
from stackviz_deployer.model import BlobHash


class _Rows(Protocol):
    async def blob_hashes(self) -> frozenset[BlobHash]: ...


class _Files(Protocol):
    async def sweep(self, known: AbstractSet[str]) -> Any: ...


class Sweeper(Service):
    """Runs ``files.sweep`` with the hashes that ``rows`` knows, beside the queue, once per start."""

    def __init__(self, rows: _Rows, files: _Files) -> None:
        self._rows = rows
        self._files = files
        self._background = Background()
        self._sweep: Deferred[None] | None = None

    def startService(self) -> None:
        """Begin; nobody waits for the end."""
        super().startService()
        self._sweep = self._background.spawn(self._run(), "sweeping the state directory")

    def stopService(self) -> Deferred[None] | None:
        """Fires when nothing is being swept any more."""
        super().stopService()
        return self._sweep

    async def _run(self) -> None:
        await self._files.sweep(await self._rows.blob_hashes())
