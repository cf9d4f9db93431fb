# SPDX-License-Identifier: Apache-2.0
"""A job's files from the indexes of its log server, one folder at a time, the likely ones first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import Factory, define, frozen
from twisted.internet.defer import Deferred, FirstError, gatherResults

from stackviz_deployer.errors import NotFoundError, ParseError, StackvizError
from stackviz_deployer.listing.pages import Page, PageReader, is_absent, is_gone
from stackviz_deployer.listing.places import is_expected, rank
from stackviz_deployer.model import ListedFile, Tree

MAX_REQUESTS = 100
"""Pages of one job that are asked for."""
MAX_FILES = 2000
"""Wanted files of one job, as in parsers/wanted.py."""
INDEX = "index.html"

_ACCEPT = "text/html, */*;q=0.5"


@frozen
class _Folder:
    path: str
    """Relative to the root, decoded, ending in a slash; empty for the root."""
    url: str
    rank: int = 0


@define
class Walk:
    """One walk over the folders of the job at ``root``; ``names`` are the globs of what is wanted."""

    reader: PageReader
    root: str
    names: Sequence[str] | None
    files: dict[str, ListedFile] = Factory(dict)
    seen: int = 0
    looked_in: list[str] = Factory(list)
    warnings: list[str] = Factory(list)
    by_index: bool = False
    """Whether folders are index.html files here, as in object stores."""

    async def run(self) -> Tree:
        """The tree.

        Raises NotFoundError when the directory is gone, ParseError when it is no index, and
        what the Fetcher raises for the root and its ``logs/``; other folders end in warnings.
        """
        folders = await self._root()
        while folders:
            first = min(folder.rank for folder in folders)
            wave = [folder for folder in folders if folder.rank == first]
            folders = [folder for folder in folders if folder.rank != first]
            room = MAX_REQUESTS - self.reader.asked
            if len(wave) > room:
                self.warnings.append(f"The job has too many folders; only {MAX_REQUESTS} were asked for.")
                wave, folders = wave[:room], []
            for found in await self._all(wave):
                folders += found
        return Tree(
            url=self.root,
            files=tuple(sorted(self.files.values(), key=lambda file: file.path)),
            looked_in=tuple(sorted(self.looked_in)),
            warnings=tuple(self.warnings),
            seen=self.seen,
        )

    async def _root(self) -> list[_Folder]:
        """Look into the root: its index.html, else the directory."""
        try:
            page = await self._read(_Folder("", self.root + INDEX))
            self.by_index = True
        except StackvizError as error:
            if not is_absent(error):
                raise
            try:
                page = await self._read(_Folder("", self.root))
            except StackvizError as failure:
                if is_gone(failure):
                    raise NotFoundError(
                        f"There is nothing at {self.root}. Log servers keep logs for some weeks only: "
                        "these may have expired."
                    ) from failure
                raise
        self.root = page.base
        return self._sort(_Folder("", self.root), page)

    async def _all(self, folders: Sequence[_Folder]) -> list[list[_Folder]]:
        """Look into the folders at once; when one fails for good, give the others up."""
        looks = [Deferred.fromCoroutine(self._look(folder)) for folder in folders]
        try:
            return list(await gatherResults(looks, consumeErrors=True))
        except FirstError as first:
            for look in looks:
                look.cancel()
            first.subFailure.raiseException()
            raise  # for the type checker: the line above raised

    async def _look(self, folder: _Folder) -> list[_Folder]:
        """Take the files of a folder into the walk; the folders in it that are worth a look."""
        try:
            try:
                page = await self._read(folder)
            except StackvizError as error:
                again = self.by_index and folder.url.endswith("/") and self.reader.asked < MAX_REQUESTS
                if not again or not is_absent(error):
                    raise
                page = await self._read(_Folder(folder.path, folder.url + INDEX))
        except StackvizError as error:
            if folder.path == "logs/" and not is_gone(error):
                raise  # half a job would be shown as a whole one
            if not is_gone(error) and (is_expected(folder.path) or not isinstance(error, ParseError)):
                self.warnings.append(f"{folder.path} could not be read: {error.message}")
            return []
        return self._sort(folder, page)

    async def _read(self, folder: _Folder) -> Page:
        page = await self.reader.read(
            folder.url,
            "listing",
            name=f"The directory {folder.url}",
            accept=_ACCEPT,
            below=self.root if folder.path else "",
            path=folder.path,
            names=self.names,
        )
        self.warnings += page.warnings
        return page

    def _sort(self, folder: _Folder, page: Page) -> list[_Folder]:
        below = []
        self.looked_in.append(folder.path or "./")
        self.seen += int(page.data["seen"])
        for entry in page.data["entries"]:
            found = self._entry(folder, page, entry)
            if found is not None:
                below.append(found)
        return below

    def _entry(self, folder: _Folder, page: Page, entry: dict[str, Any]) -> _Folder | None:
        path, url = folder.path + str(entry["name"]), str(entry["url"])
        if not url.startswith(page.base):  # the parser gives no such thing; another one might
            return None
        if entry["dir"]:
            soon = rank(path)
            return None if soon is None else _Folder(path + "/", url, soon)
        if len(self.files) < MAX_FILES:
            self.files.setdefault(path, ListedFile(path=path, url=url, size=entry["size"]))
        elif len(self.files) == MAX_FILES and path not in self.files:
            warning = f"The job has too many files; only {MAX_FILES:,} of those wanted were looked at."
            if warning not in self.warnings:
                self.warnings.append(warning)
        return None
