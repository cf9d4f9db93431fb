# SPDX-License-Identifier: Apache-2.0
"""Tasks that read what somebody sent, in place of what lies at a URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.interfaces import CpuPool, Fetcher, Scraper, TaskStore, Uploads
from stackviz_deployer.model import Fetched, InputFile, ListedFile, ParseRequest, Tree
from stackviz_deployer.settings import Limits

SCHEME = "upload:"
"""Of the URL that such a task has: ``upload:<id>/``.  Nobody can ask for one."""

TAKEN = (
    "subunit streams, JUnit XML, dstat CSV, consoles (console.html, job-output.txt), job-output.json,"
    " and tar or zip archives of them"
)
"""For a person."""


def url_of(upload_id: str) -> str:
    """What its task has for a URL."""
    return f"{SCHEME}{upload_id}/"


def id_of(url: str) -> str | None:
    """Which upload a task's URL means; None for every other URL."""
    return url.removeprefix(SCHEME).rstrip("/") if url.startswith(SCHEME) else None


def shown(url: str) -> str:
    """A task's URL for the log: an upload's is its sender's secret, and the task's id is there anyway."""
    return url if id_of(url) is None else f"{SCHEME}(what somebody sent)"


async def sweep(uploads: Uploads, store: TaskStore) -> int:
    """Remove what no task will read any more; how many."""
    working = await store.working_urls(SCHEME)
    return await uploads.sweep(
        frozenset(upload_id for url in working if (upload_id := id_of(url)) is not None)
    )


@frozen(kw_only=True)
class Opened:
    """An upload's files, as a log server's would be."""

    tree: Tree
    fetcher: Fetcher
    title: str | None
    """What it calls itself."""
    named: bool
    """Whether its sender says so; else it is made of file names."""


class UploadOpener:
    """Unpacks uploads in the worker processes."""

    def __init__(
        self, *, uploads: Uploads, cpu: CpuPool, scrapers: Sequence[Scraper], limits: Limits
    ) -> None:
        self._uploads = uploads
        self._cpu = cpu
        self._globs = sorted({glob for scraper in scrapers for glob in scraper.globs})
        self._limits = limits

    async def open(self, upload_id: str, scratch: Path, *, timeout_s: float) -> Opened:
        """Unpack into ``scratch``, an empty directory that must last as long as the fetcher is used.

        Raises NotFoundError, ParseError, TooLargeError, NoArtifactsError (nothing was sent).
        """
        upload = await self._uploads.get(upload_id)
        out = scratch / "files"
        out.mkdir()
        body = InputFile(path=str(self._uploads.body(upload_id)), name=upload.name or "What was sent")
        request = ParseRequest(
            parser="upload",
            inputs=(body,),
            out_dir=str(out),
            max_bytes=self._limits.total_bytes,
            options={
                "globs": self._globs,
                "name": upload.name,
                "boundary": upload.boundary,
                "entry_bytes": self._limits.artifact_bytes,
            },
        )
        result = await self._cpu.run(request, timeout_s=timeout_s)
        url, data = url_of(upload_id), result.data
        found = {}
        for one in data["files"]:
            file = str(one["file"])
            # The worker has read a stranger's bytes: its numbers are checked, its names never used as such.
            if not (file.isascii() and file.isdigit()):
                raise ParseError("What was sent could not be unpacked.")
            found[url + file] = (out / file, ListedFile(path=one["path"], url=url + file, size=one["size"]))
        warnings = list(result.warnings)
        if data["left_out"] and found:
            warnings.append(f"Left out, for they are none of what is shown: {', '.join(data['left_out'])}.")
        tree = Tree(
            url=url,
            files=tuple(listed for _, listed in found.values()),
            looked_in=tuple(data["left_out"]),
            warnings=tuple(warnings),
            seen=data["seen"],
        )
        title = data["title"]
        return Opened(
            tree=tree,
            fetcher=_Unpacked({file_url: path for file_url, (path, _) in found.items()}),
            title=title if isinstance(title, str) else None,
            named=data["named"] is True,
        )


class _Unpacked:
    """interfaces.Fetcher over files that are here already."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def check(self, url: str) -> None:
        """Every URL that a tree of ours names is one of ours."""

    async def fetch(
        self,
        url: str,
        into: Path,
        *,
        max_bytes: int,
        timeout_s: float,  # noqa: ARG002  # as in interfaces.Fetcher; nothing here takes time
        accept: str = "*/*",  # noqa: ARG002  # likewise
        on_bytes: Callable[[int], None] | None = None,
    ) -> Fetched:
        """As in interfaces.Fetcher; ``into`` is another name of the same file."""
        file = self._files[url]
        size = file.stat().st_size
        if size > max_bytes:
            raise TooLargeError(f"A file of what was sent is larger than {max_bytes} bytes.")
        os.link(file, into)
        if on_bytes is not None:
            on_bytes(size)
        return Fetched(url=url, content_type=None, size=size)
