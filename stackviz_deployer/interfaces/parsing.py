# SPDX-License-Identifier: Apache-2.0
"""What is made of logs: which files are wanted, and who parses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from stackviz_deployer.model import ListedFile, ParseRequest, ParseResult, Tree


class CpuPool(Protocol):
    """Parser processes."""

    async def run(self, request: ParseRequest, *, timeout_s: float, urgent: bool = False) -> ParseResult:
        """Parse in a worker process.

        ``timeout_s`` covers the wait for a free process and the work.  ``urgent`` work
        (look-ups that a person waits for) has a slot of its own.  Raises what the parser
        raised (ParseError, TooLargeError), WorkerDiedError, or QueueFullError.
        """


class Scraper(Protocol):
    """One kind of artifact: which files it wants, and which parser makes something of them."""

    name: str
    globs: Sequence[str]
    """The names that ``choose`` wants, without a compressor's suffix; nothing else reaches its Tree.

    One with a slash is compared with the end of the whole path: ``test-results/*.xml``.
    """
    looks_for: str
    """For a person: the names that are looked for."""
    primary: bool
    """Whether a job is worth showing with this kind alone."""

    def choose(self, tree: Tree) -> Sequence[Wanted]:
        """The files of this kind, each with its parser, best first."""


class Wanted(Protocol):
    """A piece of work: fetch these files, parse them together."""

    @property
    def parser(self) -> str: ...
    @property
    def files(self) -> tuple[ListedFile, ...]: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
