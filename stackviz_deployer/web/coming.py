# SPDX-License-Identifier: Apache-2.0
"""The uploads that come in just now: few places, and who gives one up when all are taken.

A place may be held for half an hour by a body that only drips.  So that a few clients cannot keep all
others out, nobody's place is safe while somebody waits for one: who has several gives up to who has
none, and who brings little gives up to everybody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer, IReactorTime
from zope.interface import implementer

from stackviz_deployer.errors import StackvizError, TooManyUploadsError
from stackviz_deployer.interfaces import Intake, Meters
from stackviz_deployer.model import Upload

AT_ONCE = 16
"""Bodies that come in at a time."""
CLIENT_COMING = 4
"""Of one client; fewer while all places are taken and others have fewer."""
GRACE_S = 10.0
"""For an upload to show its pace."""
FAIR_PACE = 32 * 1024
"""Bytes a second, on average while they were taken, that keep an upload its place while all are taken."""


@implementer(IPushProducer)
class Valve:
    """What brings an upload, and how long it was told to wait for our disk: no fault of its sender's."""

    def __init__(self, producer: IPushProducer, clock: IReactorTime) -> None:
        self._producer = producer
        self._clock = clock
        self._was_shut = False
        self._shut_s: float | None = None
        """Since when it is."""
        self._waited_s = 0.0
        """Before that."""

    def was_shut(self) -> bool:
        """At any time since this was asked last."""
        was, self._was_shut = self._was_shut, self._shut_s is not None
        return was

    def waited_s(self) -> float:
        """All in all."""
        return self._waited_s + (0.0 if self._shut_s is None else self._clock.seconds() - self._shut_s)

    def pauseProducing(self) -> None:
        self._was_shut = True
        if self._shut_s is None:
            self._shut_s = self._clock.seconds()
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._waited_s, self._shut_s = self.waited_s(), None
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self._producer.stopProducing()


class Coming:
    """Gives out the places."""

    def __init__(self, clock: IReactorTime, meters: Meters) -> None:
        self._clock = clock
        self._meters = meters
        self._placed: set[Placed] = set()

    def __len__(self) -> int:
        return len(self._placed)

    def check_share(self, client: str) -> None:
        """Raise TooManyUploadsError when ``client`` has as many places as one may have."""
        if sum(one.client == client for one in self._placed) >= CLIENT_COMING:
            self._meters.count("limit_hits", limit="uploads_of_one_client")
            raise TooManyUploadsError(
                f"your address sends {CLIENT_COMING} files already; send this when one of them is through"
            )

    def giving_way(self, client: str) -> Placed | None:
        """Whose place ``client`` would get; None when there is a free one.  Raises TooManyUploadsError."""
        if len(self._placed) < AT_ONCE:
            return None
        now_s = self._clock.seconds()
        coming = [one for one in self._placed if not one.whole]
        held = Counter(one.client for one in coming)
        most = max(held.values(), default=0)
        if most > held[client] + 1:
            candidates = [one for one in coming if held[one.client] == most]
        else:
            candidates = [
                one for one in coming if one.age_s(now_s) >= GRACE_S and one.pace(now_s) < FAIR_PACE
            ]
        self._meters.count("limit_hits", limit="uploads_at_once")
        if not candidates:
            raise TooManyUploadsError("too many uploads are on their way; try again later")
        return min(candidates, key=lambda one: one.pace(now_s))

    def place(
        self, client: str, intake: Intake, failed: Callable[[StackvizError], None], valve: Valve | None
    ) -> Placed:
        """A body of this client's comes in through ``valve``; ``failed`` is told when it has to give way."""
        placed = Placed(
            client, intake, failed, self._placed.discard, began_s=self._clock.seconds(), valve=valve
        )
        self._placed.add(placed)
        return placed


class Placed:
    """interfaces.Intake of a body that has a place, and gives it back at its end."""

    def __init__(
        self,
        client: str,
        intake: Intake,
        failed: Callable[[StackvizError], None],
        leave: Callable[[Placed], None],
        *,
        began_s: float,
        valve: Valve | None,
    ) -> None:
        self.client = client
        self.whole = False
        """Whether it has come in, and is only brought to the disk."""
        self.write = intake.write
        self._intake = intake
        self._failed = failed
        self._leave = leave
        self._began_s = began_s
        self._valve = valve

    @property
    def size(self) -> int:
        return self._intake.size

    def age_s(self, now_s: float) -> float:
        """Since its start, without what it waited for our disk."""
        return now_s - self._began_s - (self._valve.waited_s() if self._valve else 0.0)

    def pace(self, now_s: float) -> float:
        """Bytes a second of its age; a body that has just begun is not quick for its first bytes."""
        return self.size / max(self.age_s(now_s), GRACE_S)

    async def finish(self, *, name: str | None, boundary: str | None) -> Upload:
        self.whole = True
        try:
            return await self._intake.finish(name=name, boundary=boundary)
        finally:
            self._leave(self)

    def abandon(self) -> None:
        self._intake.abandon()
        self._leave(self)

    def give_way(self) -> None:
        """To one that waits: its sender is told."""
        self._failed(
            TooManyUploadsError(
                "this was broken off, for others wait to send and it came in slowest; send it again later"
            )
        )
