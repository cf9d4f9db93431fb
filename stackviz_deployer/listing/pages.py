# SPDX-License-Identifier: Apache-2.0
"""One page of a log server, fetched and parsed: an index, or a manifest."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.defer import DeferredSemaphore

from stackviz_deployer.errors import HostNotAllowedError, ParseError, UpstreamStatusError
from stackviz_deployer.interfaces import CpuPool, Fetcher
from stackviz_deployer.model import InputFile, ParseRequest
from stackviz_deployer.settings import Limits

CONCURRENT = 16
"""Requests of one listing at a time; the Fetcher has its own bound a host."""

_HERE_NOT = frozenset({400, 401, 403, 404, 405, 410})
_GONE = frozenset({404, 410})


def is_gone(error: Exception) -> bool:
    """Whether the server says that there is nothing."""
    return isinstance(error, UpstreamStatusError) and error.status in _GONE


def is_absent(error: Exception) -> bool:
    """Whether the page is not there, as far as we are told.

    Object stores refuse what they do not have; others send one elsewhere, or show a page of their own.
    """
    return isinstance(error, (ParseError, HostNotAllowedError)) or (
        isinstance(error, UpstreamStatusError) and error.status in _HERE_NOT
    )


@frozen
class Page:
    """What a page told."""

    url: str
    """After redirects."""
    base: str
    """The folder that it lies in, with its slash."""
    data: Mapping[str, Any]
    warnings: tuple[str, ...]


class PageReader:
    """The pages of one listing, their number bounded by whoever asks."""

    def __init__(self, fetcher: Fetcher, cpu: CpuPool, limits: Limits, scratch: Path) -> None:
        self._fetcher = fetcher
        self._cpu = cpu
        self._limits = limits
        self._scratch = scratch
        self._slots = DeferredSemaphore(CONCURRENT)
        self.asked = 0
        """How many pages were asked for so far."""

    async def read(
        self,
        address: str,
        parser: str,
        *,
        name: str,
        accept: str,
        below: str = "",
        timeout_s: float | None = None,
        **options: Any,
    ) -> Page:
        """Fetch ``address`` and have ``parser`` read it, with ``options``; ``url`` is where it was found.

        ``name`` names the page in messages; ``timeout_s`` is for the fetch, if not that of every
        file.  Raises what the Fetcher and the parser raise, and ParseError when a redirect leads
        out of ``below``.
        """
        self.asked += 1
        page = self._scratch / f"{self.asked}.page"
        out = self._scratch / f"{self.asked}.out"
        await self._slots.acquire()
        try:
            fetched = await self._fetcher.fetch(
                address,
                page,
                max_bytes=self._limits.listing_bytes,
                timeout_s=self._limits.fetch_seconds if timeout_s is None else timeout_s,
                accept=accept,
            )
            if not fetched.url.startswith(below):
                raise ParseError(f"{address} leads out of the job's directory, to {fetched.url}.")
            out.mkdir()
            result = await self._cpu.run(
                ParseRequest(
                    parser=parser,
                    inputs=(InputFile(path=str(page), name=name),),
                    out_dir=str(out),
                    max_bytes=self._limits.listing_bytes,
                    options={"url": fetched.url, **options},
                ),
                timeout_s=self._limits.task_seconds,  # mostly the wait for a free process
            )
        finally:
            self._slots.release()
            page.unlink(missing_ok=True)
            shutil.rmtree(out, ignore_errors=True)
        path = fetched.url.partition("?")[0]
        base = path.rpartition("/")[0] + "/" if "/" in path else path
        return Page(fetched.url, base, result.data, result.warnings)
