# SPDX-License-Identifier: Apache-2.0
"""A job's files: from its manifest where there is one, else from the indexes of its folders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from stackviz_deployer.errors import (
    HostNotAllowedError,
    ParseError,
    QueryNotUnderstoodError,
    StackvizError,
    TooLargeError,
    UpstreamStatusError,
    WorkerDiedError,
)
from stackviz_deployer.interfaces import CpuPool, Fetcher
from stackviz_deployer.listing.directory import Walk
from stackviz_deployer.listing.pages import PageReader, is_absent
from stackviz_deployer.model import Limits, ListedFile, Tree

MANIFEST = "zuul-manifest.json"

_ACCEPT = "application/json, */*;q=0.5"
# whatever else goes wrong would go wrong with the directory, too
_NO_MANIFEST = (
    HostNotAllowedError,
    ParseError,
    QueryNotUnderstoodError,
    TooLargeError,
    UpstreamStatusError,
    WorkerDiedError,
)


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

        Raises NotFoundError when there is nothing at ``url``, ParseError when that is no index, and
        what the Fetcher raises for the root and its ``logs/``; all else ends in warnings.
        """
        url = re.split(r"[?#]", url, maxsplit=1)[0]
        root = url if url.endswith("/") else url + "/"
        reader = PageReader(self._fetcher, self._cpu, self._limits, scratch)
        warnings: list[str] = []
        for address in dict.fromkeys((manifest_url or root + MANIFEST, root + MANIFEST)):
            try:
                tree = await self._manifest(reader, root, address)
            except _NO_MANIFEST as error:
                if (
                    address != manifest_url
                    and isinstance(error, UpstreamStatusError)
                    and not is_absent(error)
                ):
                    raise  # a server in trouble is not asked for three more pages
                if address == manifest_url or not isinstance(error, (ParseError, UpstreamStatusError)):
                    warnings.append(_unread(address, error))
            else:
                if tree.seen:
                    return tree
        walk = Walk(reader, root, self._names, warnings=warnings)
        return await walk.run()

    async def _manifest(self, reader: PageReader, root: str, address: str) -> Tree:
        page = await reader.read(
            address,
            "manifest",
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
    return f"The manifest {address} could not be used, the directories were read instead: {error.message}"
