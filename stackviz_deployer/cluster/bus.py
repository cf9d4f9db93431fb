# SPDX-License-Identifier: Apache-2.0
"""The bus of nodes that share a database: Redis says who takes which task, and what becomes of it.

The database is the truth.  Every start of a task is counted there and fences off the start before it,
so that whatever Redis forgets or tells twice, a task ends once.  What is queued there and not in Redis,
because Redis was away or has lost it, is found by comparing the two.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from typing import Any

from attrs import define, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from stackviz_deployer.background import Background
from stackviz_deployer.cluster.compare import Comparison
from stackviz_deployer.cluster.events import Events, SharedCopies
from stackviz_deployer.cluster.link import TIMEOUT_S, AwayError, Link, LinkError, RefusedError
from stackviz_deployer.cluster.stream import Keys, TaskStream
from stackviz_deployer.errors import NotFoundError, StoreError, TaskFailedError
from stackviz_deployer.interfaces import Audience, Copies, SharedTaskStore
from stackviz_deployer.model import Progress, Task, TaskId
from stackviz_deployer.settings import RedisServer

log = Logger()

END_S = 5.0
"""At stop: for what is still to be told."""


@frozen(kw_only=True)
class Times:
    """In seconds."""

    renew: float = 5.0
    """A node says so often that it works on its tasks, and looks so often for those of others."""
    idle: float = 30.0
    """What was not renewed for so long is taken over."""
    block: float = 1.0
    """A wait for the next task, before anything else is looked after."""
    compare: float = 10.0
    """Between two comparisons of the database with Redis."""
    timeout: float = TIMEOUT_S


@define
class _InHand:
    """A task that was given to this node, and is yet to be begun in the database."""

    task_id: TaskId
    since_s: float
    """When it was asked for."""
    until_s: float
    """Until then at least nobody else is given it."""
    ended: bool = False


class RedisBus(Service):
    """interfaces.Bus over Redis.  Started before whoever uses it, stopped after."""

    def __init__(
        self,
        server: RedisServer,
        reactor: Any,
        *,
        store: SharedTaskStore,
        copies: Copies,
        node: str,
        works: bool,
        writable: Callable[[], None] = lambda: None,
        times: Times | None = None,
    ) -> None:
        """``node``: a name that no other process has or had.  ``works``: whether ``take`` is called here.

        ``copies``: what this node keeps in memory of tasks.  ``writable`` raises StoreError while it is
        known that results could not be stored.
        """
        self._store = store
        self._clock: IReactorTime = reactor
        self._times = times or Times()
        self._node = node
        self._works = works
        self._writable = writable
        self._background = Background()
        self._keys = Keys(server.prefix)
        self._stream = TaskStream(self._keys, node, lease_ms=int(self._times.idle * 1000))
        self._events = Events(
            keys=self._keys,
            node=node,
            store=store,
            copies=copies,
            spawn=self._background.spawn,
            left=self._look_soon,
        )
        self._events.join(self)
        self.copies: Copies = SharedCopies(copies, self._announce)
        """To be told of ends of sites: no node gives out what it kept of them."""
        timeout_s = self._times.timeout
        self._main = Link(server, reactor, name=node, ready=self._connected, timeout_s=timeout_s)
        self._ear = Link(
            server,
            reactor,
            name=f"{node}:events",
            ready=self._events.listen,
            lost=self._events.deaf,
            heard=self._events.heard,
            timeout_s=timeout_s,
        )
        self._taker = Link(
            server, reactor, name=f"{node}:queue", ready=self._stream.prepare, timeout_s=timeout_s
        )
        self._links = [self._main, self._ear, *([self._taker] if works else [])]
        self._held: dict[TaskId, Progress | None] = {}
        """Tasks that this node has in Redis' eyes, and how far they are."""
        self._in_hand: _InHand | None = None
        self._gave_back = False
        """Whether the last task was given back, because the database could not be reached to begin it."""
        self._left = False
        """Whether nothing more is taken."""
        self._look_s = 0.0
        """When to look again for tasks of nodes that are gone."""
        self._comparison = Comparison(store, self._stream, self._clock, sure_s=self._times.idle)
        self._queued = 0
        self._soon: IDelayedCall | None = None
        """The comparison after a new connection."""
        self._trouble: dict[str, str] = {}
        self._loops = [
            (LoopingCall(self._renew), self._times.renew),
            (LoopingCall(self._compare_now), self._times.compare),
        ]
        for loop, _ in self._loops:
            loop.clock = self._clock

    # Service

    def startService(self) -> None:
        """Connect, and go on until stopped; Redis may be there or not."""
        super().startService()
        for link in self._links:
            link.startService()
        for loop, every_s in self._loops:
            loop.start(every_s, now=False)
        self._background.spawn(self._compare(), "comparing the database with Redis")

    def stopService(self) -> Deferred[None]:
        """Let go of what is still held, and close the connections."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for loop, _ in self._loops:
            loop.stop()
        if self._soon is not None and self._soon.active():
            self._soon.cancel()
        for task_id in self._held.keys() - self.interests():  # what is being begun is given back then
            self._background.spawn(self._hand_over(task_id), f"handing {task_id} over")
        if not await self._background.end(self._clock, END_S):
            log.error("something that was to be told to other nodes was not")
        for link in self._links:
            await link.stopService()
        await self._background.end(self._clock, END_S)

    # Audience: of what is being taken

    def interests(self) -> Collection[TaskId]:
        """See interfaces.Audience."""
        return () if self._in_hand is None else (self._in_hand.task_id,)

    def heard(self, task: Task) -> None:
        """See interfaces.Audience."""
        hand = self._in_hand
        if hand is not None and task.id == hand.task_id and not task.state.working:
            hand.ended = True

    # Bus: giving and taking

    def join(self, audience: Audience) -> None:
        """See interfaces.Bus."""
        self._events.join(audience)

    def offer(self, task: Task) -> None:
        """See interfaces.Bus.  When Redis does not hear it, the next comparison finds the task."""
        self._queued += 1
        self._quietly(self._stream.offer(self._main, [task.id]), f"offering {task.id}")

    async def take(self, waits: Callable[[], None]) -> Task:
        """See interfaces.Bus."""
        try:
            while True:
                if self._in_hand is None:
                    if self._gave_back:
                        await self._store.queued()  # no other task either, while it cannot be begun
                        self._gave_back = False
                    self._in_hand = await self._next(waits)
                begun = await self._background.observe(self._begin(self._in_hand), "beginning a task")
                if begun is not None:
                    return begun
        except CancelledError:
            self._left = True
            self._background.spawn(self._leave(), "leaving the queue")
            raise

    async def _begin(self, hand: _InHand) -> Task | None:
        """The task, begun; or ended by that.  None when it is not ours to begin.  Raises StoreError."""
        task_id = hand.task_id
        try:
            task = await self._store.begin(
                task_id, self._node, late=lambda: self._clock.seconds() >= hand.until_s
            )
        except TaskFailedError as error:
            log.info("{task} is not begun: {error}", task=task_id, error=error)
            self._in_hand = None
            self._held.pop(task_id, None)
            return None
        except StoreError:
            # It is tried again, but who finds no way to the database for long has one that others may find.
            if self._left or self._clock.seconds() - hand.since_s >= self._times.idle:
                self._in_hand, self._gave_back = None, True
                await self._hand_over(task_id)
            if self._left:
                return None
            raise
        self._in_hand = None
        self._queued = max(self._queued - 1, 0)
        if task is None or hand.ended:
            self._let_go(task_id, ended=True)
            if task is None:
                self._background.spawn(self._tell_end(task_id), f"telling of {task_id}'s end")
            return None
        if self._left and task.state.working:
            await self.release(task)
        return task

    async def _tell_end(self, task_id: TaskId) -> None:
        """Whoever ended it may have died before it told of that."""
        try:
            self.tell(await self._store.get(task_id))
        except (NotFoundError, StoreError) as error:
            log.debug("nothing is told of {task}: {error}", task=task_id, error=error)

    async def _next(self, waits: Callable[[], None]) -> _InHand:
        """A task that is this node's to begin.  Raises StoreError while results could not be stored."""
        while True:
            self._writable()  # what could not be stored is for another node
            waits()
            await self._taker.wait()
            asked_s = self._clock.seconds()
            try:
                task_id = await self._look() or await self._stream.read(
                    self._taker, self._times.block, self._held
                )
                self._trouble.pop("taking tasks", None)
                if task_id is not None:
                    self._held[task_id] = None
                    return _InHand(task_id, asked_s, asked_s + self._times.idle)
            except AwayError as error:
                log.debug("no task is taken: {error}", error=error)
                await deferLater(self._clock, 0.05)
            except RefusedError as error:
                await self._refused(error)

    async def _leave(self) -> None:
        """Nothing more is taken; what was given in the meantime is for others."""
        await self._taker.stopService()
        try:
            await self._stream.leave(self._main)
        except LinkError as error:
            log.debug("the queue is not told of the end: {error}", error=error)

    async def _look(self) -> TaskId | None:
        """Now and then: a task that its node has left or not renewed."""
        if self._clock.seconds() < self._look_s:
            return None
        task_id = await self._stream.take_over(self._taker, self._times.idle, self._held)
        if task_id is None:
            self._look_s = self._clock.seconds() + self._times.renew
        else:
            log.info("{task} is taken over: its node is gone, or gave it back", task=task_id)
        return task_id

    def _look_soon(self) -> None:
        self._look_s = min(self._look_s, self._clock.seconds())

    async def _refused(self, error: RefusedError) -> None:
        if str(error).startswith(("NOGROUP", "UNBLOCKED")):  # Redis was emptied
            try:
                await self._stream.prepare(self._taker)
            except AwayError:
                await deferLater(self._clock, 0.05)
                return
            except RefusedError as worse:
                error = worse
            else:
                log.info("the queue in Redis is gone; it is made anew from the database")
                await self._compare()
                return
        self._trouble["taking tasks"] = f"Redis refuses to give tasks: {error}"
        self._look_later()  # it may have refused to renew claims, too
        await deferLater(self._clock, 1.0)

    def settle(self, task: Task) -> None:
        """See interfaces.Bus."""
        if task.id in self._held or not task.state.working:
            self._let_go(task.id, ended=not task.state.working)

    def _let_go(self, task_id: TaskId, *, ended: bool) -> None:
        self._held.pop(task_id, None)
        self._quietly(self._stream.settle(self._main, task_id, ended=ended), f"settling {task_id}")

    async def release(self, begun: Task) -> None:
        """See interfaces.Bus."""
        self._held.pop(begun.id, None)
        try:
            await self._store.release(begun)
        finally:
            await self._hand_over(begun.id)

    async def _hand_over(self, task_id: TaskId) -> None:
        self._held.pop(task_id, None)
        try:
            await self._stream.hand_over(self._main, task_id, self._events.message(left=True))
        except LinkError as error:
            log.info("{task} is taken over when its lease ends: {error}", task=task_id, error=error)

    # Bus: telling

    def tell(self, task: Task) -> None:
        """See interfaces.Bus."""
        if task.id in self._held and task.progress is not None:
            self._held[task.id] = task.progress
        self._events.tell(task, self._main)

    async def progress(self, task: Task) -> Progress | None:
        """See interfaces.Bus."""
        if task.id in self._held:
            return self._held[task.id]
        return await self._events.progress(task, self._main)

    def _announce(self, name: str, value: object) -> None:
        message = self._events.message(**{name: value})
        self._quietly(self._main.call("PUBLISH", self._keys.events, message), "telling the other nodes")

    def health(self) -> Mapping[str, Any]:
        """See interfaces.Bus; and ``node``, this one's name."""
        away = {link.trouble for link in self._links if link.trouble is not None}
        notes = [f"{one}; tasks wait in the database until it can" for one in sorted(away)]
        return {"node": self._node, "queued": self._queued, "notes": [*notes, *self._trouble.values()]}

    # what goes on by itself

    def _look_later(self) -> None:
        """Whoever works on something has time to say so before anybody takes it over."""
        self._look_s = self._clock.seconds() + 2 * self._times.renew

    async def _connected(self, link: Link) -> None:
        self._look_later()
        await self._renewed(link)
        self._comparison.begin_anew()
        pause_s = random.uniform(0, self._times.renew / 5)  # noqa: S311 - no secret; not all nodes at once
        self._soon = self._clock.callLater(pause_s, self._compare_now)

    async def _renewed(self, link: Link) -> None:
        what, asked_s, hand = "renewing claims", self._clock.seconds(), self._in_hand
        try:
            lost = await self._stream.renew(link, list(self._held))
        except RefusedError as error:
            self._trouble[what] = f"Redis refuses what nodes write: {error}; tasks wait in the database"
            return
        self._trouble.pop(what, None)
        if hand is not None:
            hand.until_s = 0.0 if hand.task_id in lost else max(hand.until_s, asked_s + self._times.idle)
        # Another node was given them, and begins them if it lives: the database says so.
        self._events.refresh(lost)

    def _renew(self) -> None:
        if self._main.up:
            self._quietly(self._renewed(self._main), "renewing claims")
        if self._ear.up:
            self._quietly(self._ear.call("PING"), "asking whether messages still come")
        self._events.look_again(hearing=self._ear.up)

    def _compare_now(self) -> None:
        if self.running:
            self._background.spawn(self._compare(), "comparing the database with Redis")

    async def _compare(self) -> None:
        """Put into Redis what waits in the database and is not there."""
        what = "comparing the database with Redis"
        try:
            self._queued = await self._store.queued()
            if self._works and self._main.up:
                await self._comparison.offer_all(self._main, self._held)
        except LinkError as error:
            log.debug("{what} fails: {error}", what=what, error=error)
        except StoreError as error:
            if what not in self._trouble:
                log.failure("{what} fails; tried again", what=what)
            self._trouble[what] = f"{what} fails: {error.message}"
        else:
            self._trouble.pop(what, None)

    def _quietly(self, work: Any, what: str) -> None:
        """Ask Redis for something that is made up for later if it fails."""

        async def ask() -> None:
            try:
                await work
            except LinkError as error:
                log.debug("{what} fails: {error}", what=what, error=error)

        self._background.spawn(ask(), what)
