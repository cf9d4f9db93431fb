# SPDX-License-Identifier: Apache-2.0
"""One task from end to end: list, fetch, parse, store.

The pieces of work (a scraper's ``Wanted``) go side by side, a few at a time.  One that
fails is a warning of the task; only when nothing is left to show does the task fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from stackviz_deployer.errors import (
    NoArtifactsError,
    StackvizError,
    TaskTimeoutError,
    TooLargeError,
    UpstreamStatusError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
    WorkerDiedError,
)
from stackviz_deployer.interfaces import BlobStore, CpuPool, Fetcher, Listing, Meters, NoMeters, Scraper
from stackviz_deployer.jobs.progress import ProgressMeter
from stackviz_deployer.jobs.told import told_of_scrape, told_of_upload
from stackviz_deployer.jobs.uploads import TAKEN, Opened, UploadOpener, id_of
from stackviz_deployer.jobs.workbench import PARSE_SHARE, Made, Piece, Tools, Workbench
from stackviz_deployer.model import BlobRef, Job, ParsedArtifact, Progress, Task, Tree
from stackviz_deployer.settings import Limits

MAX_WARNINGS = 100
MAX_WARNING_CHARS = 2000
MAX_NAMED = 20
"""Directories, or failures of files, that a message lists."""

GRAVEST_FIRST = (
    WorkerDiedError,
    TooLargeError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
    UpstreamStatusError,
    StackvizError,
)
"""Which of several files' failures is the scrape's: what may pass or can be changed before what stays."""


@frozen(kw_only=True)
class Outcome:
    """What a task led to, ready to be recorded."""

    job: Job
    """The task's, with what its files told."""
    artifacts: tuple[tuple[ParsedArtifact, BlobRef], ...]
    """In the order in which they are to be shown."""
    warnings: tuple[str, ...]


class Pipeline:
    """Scrapes jobs.  Holds no state between two tasks."""

    def __init__(
        self,
        *,
        listing: Listing,
        fetcher: Fetcher,
        cpu: CpuPool,
        blobs: BlobStore,
        scrapers: Sequence[Scraper],
        uploads: UploadOpener,
        limits: Limits,
        clock: IReactorTime,
        scratch: Callable[[], AbstractAsyncContextManager[Path]],
        jjb_yaml_path: Path | None = None,
        jjb_cache_dir: Path | None = None,
        meters: Meters | None = None,
    ) -> None:
        """``scrapers``: in the order of their artifacts; ``scratch``: lends an empty directory.

        The directory must be where ``blobs`` can move files from.  ``jjb_yaml_path``: Job
        Builder's YAML, which names the sections of a console; ``jjb_cache_dir``: where it is
        kept in a form that is read faster.
        """
        self._meters = meters or NoMeters()
        self._listing = listing
        self._scratch = scratch
        self._scrapers = tuple(scrapers)
        self._uploads = uploads
        self._limits = limits
        self._clock = clock
        jjb = {"jjb_yaml_path": jjb_yaml_path, "jjb_cache_dir": jjb_cache_dir}
        self._tools = Tools(
            fetcher=fetcher,
            cpu=cpu,
            blobs=blobs,
            limits=limits,
            clock=clock,
            meters=self._meters,
            options={"console": {key: str(path) for key, path in jjb.items() if path is not None}},
        )

    async def run(self, task: Task, report: Callable[[Progress], None]) -> Outcome:
        """Scrape ``task.url``.  ``report`` hears of each stage and, now and then, how far it is.

        Raises what made it impossible: NoArtifactsError when nothing is found,
        TaskTimeoutError after ``limits.task_seconds``, else the StackvizError of what
        failed.  Nothing temporary is left, also when it is cancelled.
        """
        limit_s = self._limits.task_seconds

        def late(_result: object, _limit_s: float) -> Outcome:
            self._meters.count("limit_hits", limit="limits.task_seconds")
            raise TaskTimeoutError(f"the scrape took longer than {limit_s:g} s and was ended")

        meter = ProgressMeter(report, self._clock, self._meters)
        work = Deferred.fromCoroutine(self._run(task, meter))
        try:
            return await work.addTimeout(limit_s, self._clock, onTimeoutCancel=late)
        finally:
            meter.close()

    async def _run(self, task: Task, meter: ProgressMeter) -> Outcome:
        end_s = self._clock.seconds() + self._limits.task_seconds
        async with self._scratch() as scratch:
            meter.listing()
            listed = scratch / "listing"
            listed.mkdir()
            tools, job = self._tools, task.job
            opened = None
            upload_id = id_of(task.url)
            if upload_id is None:
                tree = await self._open(task.url, listed, job.manifest_url)
                pieces = self._pieces(tree)
            else:
                opened = await self._uploads.open(
                    upload_id, listed, timeout_s=self._limits.task_seconds * PARSE_SHARE
                )
                tools, tree = evolve(tools, fetcher=opened.fetcher), opened.tree
                job = evolve(job, name=opened.title or job.name)
                pieces = self._sent_pieces(tree)
            meter.expect(piece.wanted.files for piece in pieces)
            made = await Workbench(tools, job, meter, scratch, end_s).make(pieces)
        return _outcome(job, tree, made, opened)

    async def _open(self, url: str, listed: Path, manifest_url: str | None) -> Tree:
        try:
            return await self._listing.open(url, listed, manifest_url)
        except TooLargeError as error:
            self._meters.count("limit_hits", limit=error.limit or "limits.listing_bytes")
            raise

    def _all_pieces(self, tree: Tree) -> list[Piece]:
        """What the scrapers want."""
        chosen = [(scraper, wanted) for scraper in self._scrapers for wanted in scraper.choose(tree)]
        return [Piece(number=n, scraper=s, wanted=w) for n, (s, w) in enumerate(chosen)]

    def _sent_pieces(self, tree: Tree) -> list[Piece]:
        """Of an upload, where everything is worth showing.  Raises NoArtifactsError."""
        pieces = self._all_pieces(tree)
        if not pieces:
            unknown = ", ".join((*tree.looked_in, *(file.path for file in tree.files))[:MAX_NAMED])
            named = f" ({unknown})" if unknown else ""
            sentence = f"Nothing of what was sent can be shown{named}. Taken are {TAKEN}."
            raise NoArtifactsError(" ".join([sentence, *tree.warnings[:MAX_WARNINGS]]))
        return pieces

    def _pieces(self, tree: Tree) -> list[Piece]:
        """Of a job.  Raises NoArtifactsError when there is nothing worth showing."""
        pieces = self._all_pieces(tree)
        if any(piece.scraper.primary for piece in pieces):
            return pieces
        looked_for = "; ".join(f"{s.name}: {s.looks_for}" for s in self._scrapers if s.primary)
        looked_in = ", ".join(tree.looked_in[:MAX_NAMED]) + (
            " ..." if len(tree.looked_in) > MAX_NAMED else ""
        )
        seen = tree.seen or len(tree.files)
        sentences = [
            f"no supported artifacts could be found at {tree.url}.",
            f"Looked for {looked_for}.",
            f"Looked in {looked_in} ({seen} {'file' if seen == 1 else 'files'}).",
        ]
        if pieces:
            alone = ", ".join(piece.subject for piece in pieces)
            sentences.append(f"There is only {alone}, which shows nothing by itself.")
        raise NoArtifactsError(" ".join([*sentences, *tree.warnings[:MAX_WARNINGS]]))


def _outcome(job: Job, tree: Tree, made: Sequence[Made], sent: Opened | None) -> Outcome:
    """Raises what failed when no primary piece gave anything; of what was ``sent`` each piece is one."""
    primary = [one for one in made if sent or one.piece.scraper.primary]
    if not any(one.artifacts for one in primary):
        errors = [one.error for one in primary if one.error is not None]
        if len(errors) == 1:
            raise errors[0]
        said = [error.message for error in errors] or [text for one in primary for text in one.warnings]
        more = f"; and {len(said) - MAX_NAMED} more" if len(said) > MAX_NAMED else ""
        message = "None of the job's files could be read: " + "; ".join(said[:MAX_NAMED]) + more
        if errors:
            raise min(errors, key=_gravity).saying(message)
        raise NoArtifactsError(message)
    secondary = [one for one in made if one not in primary]
    span = _span(primary)
    secondary.sort(key=lambda one: not _overlap(span, _span([one])))
    shown = [*primary, *secondary]
    warnings = [*tree.warnings]
    for one in shown:
        warnings += one.warnings
        if one.error is not None:
            warnings.append(one.error.message)
    artifacts = tuple(pair for one in shown for pair in one.artifacts)
    parsed = [artifact for artifact, _ in artifacts]
    job = told_of_upload(job, parsed, named=sent.named) if sent else told_of_scrape(job, parsed)
    return Outcome(job=job, artifacts=artifacts, warnings=_bounded(warnings))


def _gravity(error: StackvizError) -> int:
    return next(n for n, kind in enumerate(GRAVEST_FIRST) if isinstance(error, kind))


def _bounded(warnings: Sequence[str]) -> tuple[str, ...]:
    """Each once, no more and no longer than a page can show."""
    distinct = [text[:MAX_WARNING_CHARS] for text in dict.fromkeys(warnings)]
    if len(distinct) > MAX_WARNINGS:
        left_out = len(distinct) - MAX_WARNINGS
        return (*distinct[:MAX_WARNINGS], f"{left_out} more warnings are left out.")
    return tuple(distinct)


def _span(made: Sequence[Made]) -> tuple[int, int] | None:
    """From the first to the last moment that the artifacts tell of, in milliseconds."""
    metas = [artifact.meta for one in made for artifact, _ in one.artifacts]
    starts = [ms for meta in metas if isinstance(ms := meta.get("start_ms"), int)]
    ends = [ms for meta in metas if isinstance(ms := meta.get("end_ms"), int)]
    return (min(starts), max(ends)) if starts and ends else None


def _overlap(one: tuple[int, int] | None, other: tuple[int, int] | None) -> bool:
    return one is not None and other is not None and one[0] <= other[1] and other[0] <= one[1]
