# SPDX-License-Identifier: Apache-2.0
"""One piece of work of a task: fetch its files, parse them, store what came out."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from stackviz_deployer.background import together
from stackviz_deployer.errors import ParseError, StackvizError, StoreError, TooLargeError, WorkerDiedError
from stackviz_deployer.interfaces import BlobStore, CpuPool, Fetcher, Meters, Scraper, Wanted
from stackviz_deployer.jobs.budget import Budget, Share
from stackviz_deployer.jobs.progress import ProgressMeter
from stackviz_deployer.model import (
    BlobRef,
    InputFile,
    Job,
    ListedFile,
    ParsedArtifact,
    ParseRequest,
    ParseResult,
)
from stackviz_deployer.settings import Limits

log = Logger()

AT_ONCE = 4
"""Pieces of work of one task."""

FETCHES = 6
"""Files of one piece that are fetched side by side: a report can be hundreds of small ones."""

PARSE_SHARE = 0.8
"""Of the time that is left when a parser begins: one that hangs must not cost what the others made."""

MAX_ARTIFACTS = 16
"""That one parser run may make."""

OLDEST_MS = 946_684_800_000
"""The year 2000: earlier times are those of a clock that nobody set."""


@frozen(kw_only=True)
class Tools:
    """What every task works with."""

    fetcher: Fetcher
    cpu: CpuPool
    blobs: BlobStore
    limits: Limits
    clock: IReactorTime
    meters: Meters
    options: Mapping[str, Mapping[str, Any]]
    """For every request to a parser, by the parser's name."""


@frozen(kw_only=True)
class Piece:
    """What is to be made."""

    number: int
    """Among the task's pieces, from 0."""
    scraper: Scraper
    wanted: Wanted

    @property
    def subject(self) -> str:
        return ", ".join(file.path for file in self.wanted.files)


@frozen(kw_only=True)
class Made:
    """What became of a piece: artifacts, or the error that there are none for."""

    piece: Piece
    artifacts: tuple[tuple[ParsedArtifact, BlobRef], ...] = ()
    warnings: tuple[str, ...] = ()
    error: StackvizError | None = None
    waiting: tuple[ParseRequest, ParseResult] | None = None
    """Instead of artifacts: what hangs on the time of the tests, to be read again once that is known."""


class Workbench:
    """Makes the pieces of one task, ``AT_ONCE`` side by side, within the task's limits."""

    def __init__(self, tools: Tools, job: Job, meter: ProgressMeter, scratch: Path, end_s: float) -> None:
        """``end_s``: when the task's time is over, on the clock of ``tools``."""
        self._tools = tools
        self._job = job
        self._meter = meter
        self._scratch = scratch
        self._end_s = end_s
        self._budget = Budget(
            total_bytes=tools.limits.total_bytes, share_bytes=tools.limits.artifact_bytes, parts=AT_ONCE
        )

    async def make(self, pieces: Sequence[Piece]) -> list[Made]:
        """All of them, in their order.  A piece that fails does so by itself; StoreError fails all."""
        made = await together([self._guarded(piece, self._fetch_and_parse(piece)) for piece in pieces])
        reference_ms = _first_test_ms(made)
        return await together([self._guarded(one.piece, self._date(one, reference_ms)) for one in made])

    async def _guarded(self, piece: Piece, work: Coroutine[Any, Any, Made]) -> Made:
        try:
            return await work
        except (CancelledError, StoreError):
            raise
        except StackvizError as error:
            made = Made(piece=piece, error=error)
        except Exception:  # noqa: BLE001  a defect with one file is no reason to lose the others
            log.failure("making something of {subject} of {url}", subject=piece.subject, url=self._job.url)
            made = Made(
                piece=piece, error=ParseError(f"{piece.subject}: failed for a reason that the log tells")
            )
        self._meter.enter(piece.number, "done")
        return made

    async def _fetch_and_parse(self, piece: Piece) -> Made:
        share = await self._budget.take()
        try:
            request = await self._fetch(piece, share)
            result = await self._parse(piece, request)
            share.used = min(result.decoded_bytes, share.max_bytes)
        except (TooLargeError, WorkerDiedError) as error:
            if isinstance(error, TooLargeError):
                whole = share.max_bytes >= self._tools.limits.artifact_bytes
                usual = "limits.artifact_bytes" if whole else "limits.total_bytes"
                self._tools.meters.count("limit_hits", limit=error.limit or usual)
            share.used = share.max_bytes  # or nearly so, before it was given up
            raise
        finally:
            self._budget.give_back(share)
        if result.by_reference:
            return Made(piece=piece, waiting=(request, result))
        return await self._store(piece, result)

    async def _fetch(self, piece: Piece, share: Share) -> ParseRequest:
        directory = self._scratch / str(piece.number)
        out_dir = directory / "out"
        out_dir.mkdir(parents=True)
        inputs = await self._fetch_all(piece.wanted.files, directory, share.max_bytes)
        options: dict[str, Any] = {"job_name": self._job.name}
        if self._job.finished_ms is not None:
            options["reference_ms"] = self._job.finished_ms
        options |= self._tools.options.get(piece.wanted.parser, {})
        options |= piece.wanted.options
        return ParseRequest(
            parser=piece.wanted.parser,
            inputs=tuple(inputs),
            out_dir=str(out_dir),
            max_bytes=share.max_bytes // len(inputs),
            options=options,
        )

    async def _fetch_all(
        self, files: Sequence[ListedFile], directory: Path, max_bytes: int
    ) -> list[InputFile]:
        """The files, in their order.  No new one is begun when ``max_bytes`` have come of all together."""
        slots = DeferredSemaphore(FETCHES)
        left = max_bytes

        async def fetch(number: int, file: ListedFile) -> InputFile:
            nonlocal left
            into = directory / str(number)
            await slots.acquire()
            try:
                if left <= 0:
                    raise TooLargeError(f"{file.path}: the files before it have {max_bytes} bytes already")
                fetched = await self._tools.fetcher.fetch(
                    file.url,
                    into,
                    max_bytes=left,
                    timeout_s=self._tools.limits.fetch_seconds,
                    on_bytes=self._meter.received,
                )
                left -= fetched.size
            finally:
                slots.release()
            return InputFile(path=str(into), name=file.path)

        return await together([fetch(number, file) for number, file in enumerate(files)])

    async def _parse(self, piece: Piece, request: ParseRequest) -> ParseResult:
        self._meter.enter(piece.number, "parsing")
        left_s = self._end_s - self._tools.clock.seconds()
        result = await self._tools.cpu.run(request, timeout_s=max(left_s * PARSE_SHARE, 0.1))
        if len(result.artifacts) > MAX_ARTIFACTS:
            raise ParseError(f"{piece.subject}: {len(result.artifacts)} artifacts are more than it can have")
        for artifact in result.artifacts:
            for path in (artifact.path, artifact.blocks_path):
                # The parser has read a stranger's bytes: storing moves files, but only its own.
                if path is not None and Path(path).parent != Path(request.out_dir):
                    raise ParseError(f"{piece.subject}: its parser answered with a file that is not its own")
        return result

    async def _date(self, made: Made, reference_ms: int | None) -> Made:
        """Store what waited for the tests' time, read again if that is known.

        The end of the job, which was the reference until then, may lie in another year.
        """
        if made.waiting is None:
            return made
        request, result = made.waiting
        if reference_ms is not None:
            again = Path(request.out_dir).with_name("again")
            again.mkdir()
            options = {**request.options, "reference_ms": reference_ms}
            request = evolve(request, out_dir=str(again), options=options)
            result = await self._parse(made.piece, request)
        return await self._store(made.piece, result)

    async def _store(self, piece: Piece, result: ParseResult) -> Made:
        self._meter.enter(piece.number, "storing")
        blobs = await together([self._put(artifact) for artifact in result.artifacts])
        self._meter.enter(piece.number, "done")
        stored = tuple(zip(result.artifacts, blobs, strict=True))
        return Made(piece=piece, artifacts=stored, warnings=result.warnings)

    async def _put(self, artifact: ParsedArtifact) -> BlobRef:
        blocks_path = None if artifact.blocks_path is None else Path(artifact.blocks_path)
        return await self._tools.blobs.put(Path(artifact.path), blocks_path)


def _first_test_ms(made: Sequence[Made]) -> int | None:
    """When the first test began.  A stream without times is laid out from 1970 on, which tells nothing."""
    began = (
        artifact.meta.get("start_ms")
        for one in made
        for artifact, _ in one.artifacts
        if artifact.artifact_type == "subunit"
    )
    return min((ms for ms in began if isinstance(ms, int) and ms >= OLDEST_MS), default=None)
