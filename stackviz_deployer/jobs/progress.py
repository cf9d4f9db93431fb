# SPDX-License-Identifier: Apache-2.0
"""How far a task is, told often enough for a person and no more often."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from stackviz_deployer.interfaces import Meters, NoMeters
from stackviz_deployer.model import ListedFile, Progress

STAGES = ("fetching", "parsing", "storing", "done")

EVERY_S = 0.2
"""Between two reports of one stage."""


class ProgressMeter:
    """Counts what the parts of a task do at the same time, and shows the stage that holds it up.

    That is ``fetching`` (in bytes) until the last file is there, then ``parsing`` (in
    pieces of work), then ``storing``.
    """

    def __init__(
        self, report: Callable[[Progress], None], clock: IReactorTime, meters: Meters | None = None
    ) -> None:
        self._meters = meters or NoMeters()
        self._report = report
        self._clock = clock
        self._shown: Progress | None = None
        self._shown_s = 0.0
        self._stage = ""
        self._stage_s = 0.0
        self._latest: Progress | None = None
        self._later: IDelayedCall | None = None
        """Tells the latest when EVERY_S are over, so that a stall shows what it stalled at."""
        self._at: list[int] = []
        """Of each piece of work: the stage it is in, as an index of STAGES."""
        self._bytes = 0
        self._bytes_expected = 0

    def listing(self) -> None:
        """Nothing is known yet."""
        self._show(Progress(stage="listing"))

    def expect(self, works: Iterable[Iterable[ListedFile]]) -> None:
        """What is going to be fetched.  Sizes of listings are only a guide; one unknown, all unknown."""
        sizes = [[file.size for file in files] for files in works]
        flat = [size for work in sizes for size in work]
        self._at = [0] * len(sizes)
        self._bytes_expected = 0 if None in flat else sum(size or 0 for size in flat)
        self._update()

    def received(self, size: int) -> None:
        """``size`` more bytes came."""
        self._bytes += size
        self._update()

    def enter(self, work: int, stage: str) -> None:
        """Piece of work number ``work`` is now in ``stage``, one of STAGES; it may leave some out."""
        self._at[work] = STAGES.index(stage)
        self._update()

    def _update(self) -> None:
        slowest = STAGES[min(self._at)]
        if slowest == "fetching":
            total = max(self._bytes_expected, self._bytes) if self._bytes_expected else 0
            self._show(Progress(stage=slowest, done=self._bytes, total=total))
        elif slowest != "done":
            past = sum(at > STAGES.index(slowest) for at in self._at)
            self._show(Progress(stage=slowest, done=past, total=len(self._at)))

    def close(self) -> None:
        """Nothing more is told."""
        self._enter_stage("")
        self._forget_later()

    def _forget_later(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _enter_stage(self, stage: str) -> None:
        """The stage that holds the task up changes; "" is none."""
        now_s = self._clock.seconds()
        if self._stage:
            self._meters.observe("stage_seconds", now_s - self._stage_s, stage=self._stage)
        self._stage, self._stage_s = stage, now_s

    def _show(self, progress: Progress) -> None:
        self._latest = progress
        if progress.stage != self._stage:
            self._enter_stage(progress.stage)
        wait_s = self._shown_s + EVERY_S - self._clock.seconds()
        if self._shown is not None and self._shown.stage == progress.stage and wait_s > 0:
            if self._later is None:
                self._later = self._clock.callLater(wait_s, self._tell)
            return
        self._forget_later()
        self._tell()

    def _tell(self) -> None:
        self._later = None
        if self._latest is not None and self._latest != self._shown:
            self._shown, self._shown_s = self._latest, self._clock.seconds()
            self._report(self._latest)
