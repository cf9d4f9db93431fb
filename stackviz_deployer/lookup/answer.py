# SPDX-License-Identifier: Apache-2.0
"""One JSON answer of another server.

The body goes to a file and from there through a worker process: it can be megabytes, and the
reactor has better things to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from stackviz_deployer.errors import ParseError, TooLargeError, UpstreamInvalidError, WorkerDiedError
from stackviz_deployer.interfaces import CpuPool, Fetcher, Meters
from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.settings import Limits

Scratch = Callable[[], AbstractAsyncContextManager[Path]]
"""Makes an empty directory that is gone after the ``async with``."""


async def read_json(
    url: str,
    *,
    host: str,
    parser: str,
    options: Mapping[str, Any],
    timeout_s: float,
    fetcher: Fetcher,
    cpu: CpuPool,
    limits: Limits,
    scratch: Scratch,
    meters: Meters,
) -> ParseResult:
    """What ``parser`` makes of the answer at ``url``; ``timeout_s`` for each, fetching and parsing.

    Raises what the fetcher raises, and UpstreamInvalidError naming ``host`` for an answer that
    cannot be read.
    """
    async with scratch() as directory:
        body, out = directory / "answer.json", directory / "out"
        out.mkdir()
        try:
            await fetcher.fetch(
                url, body, max_bytes=limits.listing_bytes, timeout_s=timeout_s, accept="application/json"
            )
        except TooLargeError:
            meters.count("limit_hits", limit="limits.listing_bytes")
            raise
        request = ParseRequest(
            parser=parser,
            inputs=(InputFile(path=str(body), name=host),),
            out_dir=str(out),
            max_bytes=limits.listing_bytes,
            options={**options, "host": host},
        )
        try:
            return await cpu.run(request, timeout_s=timeout_s, urgent=True)
        except ParseError as error:
            raise UpstreamInvalidError(error.message) from error
        except (TooLargeError, WorkerDiedError) as error:
            if isinstance(error, TooLargeError):
                meters.count("limit_hits", limit=error.limit or "limits.listing_bytes")
            raise UpstreamInvalidError(f"{host}'s answer could not be read: {error.message}") from error
