# SPDX-License-Identifier: Apache-2.0
"""What other servers have: jobs, their logs, and how both are reached."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from stackviz_deployer.model import Answer, Fetched, Job, Tree


class Fetcher(Protocol):
    """The only way to another server (or to the sample job): every rule about addresses is behind it."""

    async def fetch(
        self,
        url: str,
        into: Path,
        *,
        max_bytes: int,
        timeout_s: float,
        accept: str = "*/*",
        on_bytes: Callable[[int], None] | None = None,
    ) -> Fetched:
        """Write the body of ``url`` into the file ``into``, as it comes over the wire.

        ``max_bytes`` counts wire bytes; ``timeout_s`` covers everything: the wait for a
        slot, redirects, retries and the body.  ``on_bytes`` is told of each chunk's length
        (and, before another attempt, of what is to come again as a negative one).
        Raises HostNotAllowedError, AddressRefusedError, Upstream*Error, TooLargeError; the
        file may then hold a part, which the caller removes with its directory.
        """

    def check(self, url: str) -> None:
        """Raise HostNotAllowedError or QueryNotUnderstoodError when ``url`` would never be fetched."""


class HostSlots(Protocol):
    """A limit of requests to one host that holds for several nodes."""

    def held(self, place: str, most: int) -> AbstractAsyncContextManager[None]:
        """Wait until fewer than ``most`` of all nodes' contexts for ``place`` are open, and be one of them.

        It does not fail: when nobody can tell, there is no limit.
        """


class Lookup(Protocol):
    """From what was pasted to jobs."""

    async def find(self, q: str, tell: Callable[[Answer], None] | None = None) -> Answer:
        """The jobs that ``q`` means.  Raises QueryNotUnderstoodError, NotFoundError, Upstream*Error.

        ``tell`` hears what is known while some servers have not answered (``Answer.asking``): first
        who is asked, then what each adds.  The value is what there is in the end.
        """

    async def describe(self, url: str) -> Job:
        """What is known of the job at this log URL: recent answers, else asked for anew.

        A source that is down leaves fields None; only a refused or impossible URL raises.
        """


class Listing(Protocol):
    """From a job's URL to its files."""

    async def open(self, url: str, scratch: Path, manifest_url: str | None = None) -> Tree:
        """The files of the job at ``url`` that scrapers may want.

        ``scratch`` is an empty directory for temporary files; ``manifest_url`` is where the
        build's own record says that its zuul-manifest.json lies.
        """
