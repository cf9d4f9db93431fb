# SPDX-License-Identifier: Apache-2.0
"""A job's files from the directory indexes of its log server, one folder at a time.

Where jobs leave what we show is a small set of places (formats/artifacts.md): the root, ``logs/``
(with ``old/`` and ``new/`` for grenade), ``test-results/``, and the same below a folder a host.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen
from twisted.internet.defer import Deferred, DeferredSemaphore, FirstError, gatherResults
from twisted.logger import Logger

from stackviz_deployer.errors import NotFoundError, ParseError, StackvizError, UpstreamStatusError
from stackviz_deployer.interfaces import CpuPool, Fetcher
from stackviz_deployer.model import InputFile, Limits, ListedFile, ParseRequest, Tree

log = Logger()

CONCURRENT = 16
"""Requests of one listing at a time; the Fetcher has its own bound a host."""
MAX_FOLDERS = 100
"""Folders of one job that are looked into."""
MAX_FILES = 100_000

_GONE = frozenset({404, 410})
# folders of a root that are no hosts' and hold nothing we show: sites, configuration, tools' data
_PASSED_BY = frozenset(
    {
        "ara",
        "ara-report",
        "apache",
        "apache_config",
        "conf",
        "cover",
        "coverage",
        "doc",
        "docs",
        "etc",
        "html",
        "libvirt",
        "openvswitch",
        "rabbitmq",
        "releasenotes",
        "stackviz",
        "sudoers.d",
        "tarballs",
        "zuul-info",
    }
)
_LOGS = re.compile(r"logs|test[-_]results")
_BELOW_LOGS = re.compile(r"old|new|test[-_]results|subnode-?[0-9]+")


@frozen
class _Folder:
    path: str
    """Relative to the root, decoded, ending in a slash; empty for the root."""
    url: str

    @property
    def shown(self) -> str:
        return self.path or "./"

    @property
    def expected(self) -> bool:
        """Whether its absence would be a surprise: its name says that results are there."""
        return _LOGS.fullmatch(self.path.rstrip("/").rpartition("/")[2]) is not None

    def leads_to(self, name: str) -> bool:
        """Whether the folder ``name`` in this one may hold what we show."""
        parts = self.path.rstrip("/").split("/") if self.path else []
        if not parts:
            return name not in _PASSED_BY
        if _LOGS.fullmatch(parts[-1]):
            return _BELOW_LOGS.fullmatch(name) is not None
        return len(parts) == 1 and _LOGS.fullmatch(name) is not None


@define
class _Walk:
    """One call of open."""

    scratch: Path
    root: str = ""
    """The root's address as it answered: everything else lies below it."""
    files: dict[str, ListedFile] = Factory(dict)
    looked_in: list[str] = Factory(list)
    warnings: list[str] = Factory(list)
    pages: int = 0
    slots: DeferredSemaphore = Factory(lambda: DeferredSemaphore(CONCURRENT))


class DirectoryListing:
    """interfaces.Listing for log servers that show directories as index pages."""

    def __init__(self, fetcher: Fetcher, cpu: CpuPool, limits: Limits) -> None:
        self._fetcher = fetcher
        self._cpu = cpu
        self._limits = limits

    async def open(self, url: str, scratch: Path) -> Tree:
        """As in interfaces.Listing; ``url`` gets a final slash if it has none.

        Raises NotFoundError when the directory is gone, ParseError when it is no index, and
        what the Fetcher raises for the root and its ``logs/``; other folders end in warnings.
        """
        url = re.split(r"[?#]", url, maxsplit=1)[0]
        root = _Folder("", url if url.endswith("/") else url + "/")
        walk = _Walk(scratch)
        level = [root]
        while level:
            if walk.pages + len(level) > MAX_FOLDERS:
                walk.warnings.append(f"The job has too many folders; only {MAX_FOLDERS} were looked into.")
                level = level[: MAX_FOLDERS - walk.pages]
            level = [folder for found in await self._all(level, walk) for folder in found]
        files = tuple(sorted(walk.files.values(), key=lambda file: file.path))
        return Tree(
            url=walk.root, files=files, looked_in=tuple(sorted(walk.looked_in)), warnings=tuple(walk.warnings)
        )

    async def _all(self, folders: Sequence[_Folder], walk: _Walk) -> list[list[_Folder]]:
        """Look into the folders at once; when one fails for good, give the others up."""
        looks = [Deferred.fromCoroutine(self._look(folder, walk)) for folder in folders]
        try:
            return list(await gatherResults(looks, consumeErrors=True))
        except FirstError as first:
            for look in looks:
                look.cancel()
            first.subFailure.raiseException()
            raise  # for the type checker: the line above raised

    async def _look(self, folder: _Folder, walk: _Walk) -> list[_Folder]:
        """Take the files of a folder into the walk; the folders in it that are worth a look."""
        try:
            base, entries = await self._read(folder, walk)
        except StackvizError as error:
            gone = isinstance(error, UpstreamStatusError) and error.status in _GONE
            if not folder.path:
                if gone:
                    raise NotFoundError(
                        f"There is nothing at {folder.url}. Log servers keep logs for some weeks only: "
                        "these may have expired."
                    ) from error
                raise
            if folder.path == "logs/" and not gone:
                raise
            if not gone and (folder.expected or not isinstance(error, ParseError)):
                walk.warnings.append(f"{folder.path} could not be read: {error.message}")
            return []
        walk.looked_in.append(folder.shown)
        if not folder.path:
            walk.root = base
        return self._sort(folder, base, entries, walk)

    def _sort(
        self, folder: _Folder, base: str, entries: Sequence[dict[str, Any]], walk: _Walk
    ) -> list[_Folder]:
        below = []
        for entry in entries:
            name, url = str(entry["name"]), str(entry["url"])
            if not url.startswith(base):  # the parser gives no such thing; another one might
                continue
            path = folder.path + name
            if entry["dir"]:
                if folder.leads_to(name):
                    below.append(_Folder(path + "/", url))
            elif len(walk.files) < MAX_FILES:
                walk.files.setdefault(path, ListedFile(path=path, url=url, size=entry["size"]))
            else:
                walk.warnings.append(f"The job has too many files; only {MAX_FILES:,} were looked at.")
                return []
        return below

    async def _read(self, folder: _Folder, walk: _Walk) -> tuple[str, list[dict[str, Any]]]:
        """The address of the folder as it answered, and its entries."""
        walk.pages += 1
        page = walk.scratch / f"{walk.pages}.index"
        out = walk.scratch / f"{walk.pages}.out"
        await walk.slots.acquire()
        try:
            fetched = await self._fetcher.fetch(
                folder.url,
                page,
                max_bytes=self._limits.listing_bytes,
                timeout_s=self._limits.fetch_seconds,
                accept="text/html, */*;q=0.5",
            )
            base = fetched.url.rpartition("/")[0] + "/" if "/" in fetched.url else fetched.url
            if walk.root and not base.startswith(walk.root):
                raise ParseError(f"{folder.url} leads out of the job's directory, to {fetched.url}.")
            out.mkdir()
            result = await self._cpu.run(
                ParseRequest(
                    parser="listing",
                    inputs=(InputFile(path=str(page), name=f"The directory {folder.url}"),),
                    out_dir=str(out),
                    max_bytes=self._limits.listing_bytes,
                    options={"url": fetched.url},
                ),
                timeout_s=self._limits.task_seconds,  # mostly the wait for a free process
            )
        finally:
            walk.slots.release()
            page.unlink(missing_ok=True)
            shutil.rmtree(out, ignore_errors=True)
        walk.warnings.extend(result.warnings)
        return base, list(result.data["entries"])
