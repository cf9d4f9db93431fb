# SPDX-License-Identifier: Apache-2.0
"""The neighbours of the look-up, in one process."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred

from stackviz_deployer.errors import HostNotAllowedError, StackvizError, UpstreamStatusError
from stackviz_deployer.model import Fetched, ParseRequest, ParseResult
from stackviz_deployer.parsers import gerrit, zuul

PARSERS = {"gerrit": gerrit.parse, "zuul": zuul.parse}


class FakeFetcher:
    """A ``Fetcher`` that answers from ``answers``: URL -> body, an error, or a Deferred of a body.

    The URL may be given without its query.
    """

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self.answers: dict[str, bytes | StackvizError | Deferred[bytes]] = {}
        self.asked: list[str] = []
        self.timeouts: list[float] = []

    def check(self, url: str) -> None:
        if urlsplit(url).netloc not in self.hosts:
            raise HostNotAllowedError(f"{urlsplit(url).netloc} is not in log_hosts")

    async def fetch(self, url: str, into: Path, *, max_bytes: int, timeout_s: float, **_: Any) -> Fetched:
        place = url if url in self.answers else url.partition("?")[0]
        self.asked.append(place)
        self.timeouts.append(timeout_s)
        answer = self.answers.get(place, UpstreamStatusError(f"{place}: 404", 404))
        if isinstance(answer, Deferred):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        assert len(answer) <= max_bytes
        into.write_bytes(answer)  # noqa: ASYNC240  a few bytes, in a test
        return Fetched(url=url, content_type="application/json", size=len(answer))


class DirectCpu:
    """A ``CpuPool`` without processes."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None

    async def run(self, request: ParseRequest, *, timeout_s: float, urgent: bool = False) -> ParseResult:
        assert urgent
        assert timeout_s > 0
        if self.trouble is not None:
            raise self.trouble
        return PARSERS[request.parser](request)


class Scratches:
    """Temporary directories, and how many are open."""

    def __init__(self) -> None:
        self.open = 0
        self.made = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Path]:
        self.open += 1
        self.made += 1
        try:
            with tempfile.TemporaryDirectory() as directory:
                yield Path(directory)
        finally:
            self.open -= 1
