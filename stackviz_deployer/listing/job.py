# SPDX-License-Identifier: Apache-2.0
"""A job's files: from its manifest where there is one, else from the indexes of its folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from stackviz_deployer.errors import (
    AddressRefusedError,
    HostNotAllowedError,
    NotFoundError,
    ParseError,
    QueryNotUnderstoodError,
    StackvizError,
    TooLargeError,
    UpstreamInvalidError,
    UpstreamStatusError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
    WorkerDiedError,
)
from stackviz_deployer.interfaces import CpuPool, Fetcher
from stackviz_deployer.listing.directory import Walk
from stackviz_deployer.listing.pages import PageReader, is_absent
from stackviz_deployer.model import ListedFile, Tree
from stackviz_deployer.settings import Limits

MANIFEST = "zuul-manifest.json"
GUESS_SECONDS = 20.0
"""For a manifest that nobody said is there: a server that hangs at what it does not have has a directory."""

_ACCEPT = "application/json, */*;q=0.5"
# whatever else goes wrong beside the directory would go wrong with that, too
_NO_MANIFEST = (
    HostNotAllowedError,
    ParseError,
    QueryNotUnderstoodError,
    TooLargeError,
    UpstreamStatusError,
    UpstreamTimeoutError,
    WorkerDiedError,
)
_NOT_ELSEWHERE = (*_NO_MANIFEST, AddressRefusedError, UpstreamInvalidError, UpstreamUnreachableError)
"""Why a manifest that lies elsewhere is done without."""


class JobListing:
    """interfaces.Listing: zuul-manifest.json, then index.html, then the directory itself.

    ``names`` are the globs of the files that are wanted (interfaces.Scraper); without them, all are.
    """

    def __init__(
        self, fetcher: Fetcher, cpu: CpuPool, limits: Limits, *, names: Sequence[str] | None = None
    ) -> None:
        self._fetcher = fetcher
        self._cpu = cpu
        self._limits = limits
        self._names = None if names is None else list(dict.fromkeys(names))

    async def open(self, url: str, scratch: Path, manifest_url: str | None = None) -> Tree:
        """As in interfaces.Listing; ``url`` gets a final slash if it has none.

        Raises NotFoundError when there is nothing at ``url``, TooLargeError or WorkerDiedError
        when there is but a manifest that is refused, ParseError when ``url`` is no index, and what the
        Fetcher raises for the root and its ``logs/``; all else ends in warnings.
        """
        url = re.split(r"[?#]", url, maxsplit=1)[0]
        root = url if url.endswith("/") else url + "/"
        reader = PageReader(self._fetcher, self._cpu, self._limits, scratch)
        unread: list[tuple[str, StackvizError]] = []
        own = root + MANIFEST
        for address in dict.fromkeys((manifest_url or own, own)):
            told = address == manifest_url
            limit_s = self._limits.fetch_seconds if told else min(self._limits.fetch_seconds, GUESS_SECONDS)
            passing = _NO_MANIFEST if address == own else _NOT_ELSEWHERE
            try:
                tree = await self._manifest(reader, root, address, limit_s)
            except passing as error:
                if not told and isinstance(error, UpstreamStatusError) and not is_absent(error):
                    raise  # a server in trouble is not asked for three more pages
                if told or not isinstance(error, (ParseError, UpstreamStatusError)):
                    unread.append((address, error))
            else:
                if tree.seen:
                    return tree
        try:
            return await Walk(
                reader, root, self._names, warnings=[_done_without(*one) for one in unread]
            ).run()
        except NotFoundError as gone:
            for _, refused in unread:
                if isinstance(refused, (TooLargeError, WorkerDiedError)):
                    raise refused from gone
            raise NotFoundError(" ".join([gone.message, *(_unread(*one) for one in unread)])) from gone

    async def _manifest(self, reader: PageReader, root: str, address: str, timeout_s: float) -> Tree:
        page = await reader.read(
            address,
            "manifest",
            timeout_s=timeout_s,
            name=f"The manifest {address}",
            accept=_ACCEPT,
            url=root,
            names=self._names,
        )
        files = tuple(
            ListedFile(path=str(file["path"]), url=str(file["url"]), size=file["size"])
            for file in page.data["files"]
        )
        return Tree(
            url=root,
            files=files,
            looked_in=(MANIFEST,),
            warnings=page.warnings,
            seen=int(page.data["seen"]),
        )


def _unread(address: str, error: StackvizError) -> str:
    return f"The manifest {address} could not be used: {error.message}"


def _done_without(address: str, error: StackvizError) -> str:
    return f"The manifest {address} could not be used, the directories were read instead: {error.message}"
