# SPDX-License-Identifier: Apache-2.0
"""What nodes tell each other, over one channel: what becomes of tasks, and what must not be kept any more.

Messages may be lost, whenever a connection is: so nothing hangs on one.  While a node hears nothing it
asks the database about what is of interest to it, and keeps nothing of tasks in memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from attrs import asdict, evolve
from twisted.logger import Logger

from stackviz_deployer.cluster.link import Link, LinkError
from stackviz_deployer.cluster.scripts import PROGRESS
from stackviz_deployer.cluster.stream import Keys
from stackviz_deployer.errors import NotFoundError, StoreError
from stackviz_deployer.interfaces import Audience, Copies, TaskStore
from stackviz_deployer.model import Progress, Task, TaskId

log = Logger()

PROGRESS_S = 60
"""What was told of a task's progress is kept for those who come late."""

Spawn = Callable[[Any, str], object]


class Events:
    """The audiences of this node, and the channel to the others."""

    def __init__(
        self,
        *,
        keys: Keys,
        node: str,
        store: TaskStore,
        copies: Copies,
        spawn: Spawn,
        left: Callable[[], None],
    ) -> None:
        """``left`` is told that a node has let go of a task that it worked on."""
        self._keys = keys
        self._node = node
        self._store = store
        self._copies = copies
        self._spawn = spawn
        self._left = left
        self._audiences: list[Audience] = []
        self._known: dict[TaskId, Task] = {}
        """Pending tasks of interest, as they were last read, with what was told of their progress since."""
        self._asking: dict[TaskId, bool] = {}
        """Tasks that are being read; whether they have to be once more."""
        self._unread: set[TaskId] = set()
        """Tasks that the database did not tell of when it was asked."""
        self._deaf = ExitStack()
        self._deaf.enter_context(copies.ending())

    def join(self, audience: Audience) -> None:
        """See interfaces.Bus."""
        self._audiences.append(audience)

    # from this node

    def tell(self, task: Task, link: Link) -> None:
        """Tell the audiences here at once, and those of the other nodes."""
        if not task.state.working:
            self._known.pop(task.id, None)
        elif task.progress is not None:
            self._known[task.id] = task
        self._deliver(task)
        if link.up:
            self._spawn(self._publish(task, link), f"telling the other nodes of {task.id}")

    async def _publish(self, task: Task, link: Link) -> None:
        channel, facts = self._keys.events, {"id": task.id, "attempt": task.attempt}
        try:
            if task.progress is None:
                await link.call("PUBLISH", channel, self.message(**facts))
            else:
                progress = asdict(task.progress)
                message = self.message(**facts, progress=progress)
                keys = (self._keys.progress(task.id),)
                await PROGRESS.run(link, keys, channel, message, json.dumps(progress), PROGRESS_S)
        except LinkError as error:
            log.debug("{task} is not told of: {error}", task=task.id, error=error)

    def message(self, **facts: object) -> str:
        """What goes over the channel."""
        return json.dumps({"node": self._node, **facts})

    async def progress(self, task: Task, link: Link) -> Progress | None:
        """What was last told of a pending task's progress, by whichever node."""
        found = None
        try:
            told = await link.call("GET", self._keys.progress(task.id)) if link.up else None
            if told is not None:
                found = _progress(json.loads(told))
        except (LinkError, ValueError) as error:
            log.debug("no progress of {task} is known: {error}", task=task.id, error=error)
        known = self._known.get(task.id)
        if found is None:
            return known.progress if known is not None and known.attempt == task.attempt else None
        if task.id in self.interests() and (known is None or known.attempt <= task.attempt):
            self._known[task.id] = evolve(task, progress=found)
        return found

    # from other nodes

    async def listen(self, link: Link) -> None:
        """Prepare ``link`` for messages; nothing told from now on is missed."""
        await link.call("SUBSCRIBE", self._keys.events)
        self._deaf.close()
        self.refresh(self.interests())

    def deaf(self) -> None:
        """The link is lost."""
        self._deaf.close()
        self._deaf.enter_context(self._copies.ending())

    def heard(self, text: str) -> None:
        """A message.  Raises ValueError or KeyError for one that is none of ours."""
        facts = json.loads(text)
        if facts["node"] == self._node:
            return
        if facts.get("left"):
            self._left()
        if "gone" in facts:
            with self._copies.ending() as those:
                if facts["gone"] is not None:
                    those(TaskId(task_id) for task_id in facts["gone"])
        if "id" in facts:
            self._changed(TaskId(facts["id"]), facts)

    def _changed(self, task_id: TaskId, facts: Mapping[str, Any]) -> None:
        if task_id not in self.interests():
            self._known.pop(task_id, None)
            return
        known, progress = self._known.get(task_id), _progress(facts.get("progress"))
        if progress is not None and known is not None and known.attempt == facts["attempt"]:
            self._known[task_id] = evolve(known, progress=progress)
            self._deliver(self._known[task_id])
        else:
            self.refresh([task_id])

    def interests(self) -> set[TaskId]:
        """What any audience wants to hear of."""
        return {task_id for audience in self._audiences for task_id in audience.interests()}

    def look_again(self, *, hearing: bool) -> None:
        """Read what could not be read; while no messages come, all that is of interest."""
        unread, self._unread = self._unread, set()
        self.refresh(unread & self.interests() if hearing else self.interests())

    def refresh(self, ids: Collection[TaskId]) -> None:
        """Read those tasks, and tell the audiences here what they are."""
        for task_id in ids:
            if task_id in self._asking:
                self._asking[task_id] = True
            else:
                self._spawn(self._read(task_id), f"reading {task_id} for those who watch it")

    async def _read(self, task_id: TaskId) -> None:
        self._asking[task_id] = True
        try:
            while self._asking[task_id]:
                self._asking[task_id] = False
                try:
                    task = await self._store.get(task_id)
                except NotFoundError:  # deleted by an administrator: nobody waits for it any more
                    return
                except StoreError:
                    self._unread.add(task_id)
                    return
                if task.state.working:
                    self._known = {one: self._known[one] for one in self._known.keys() & self.interests()}
                    known = self._known.get(task_id)
                    if known is not None and (known.state, known.attempt) == (task.state, task.attempt):
                        task = evolve(task, progress=known.progress)  # which the database does not have
                    self._known[task_id] = task
                else:
                    self._known.pop(task_id, None)
                self._deliver(task)
        finally:
            del self._asking[task_id]

    def _deliver(self, task: Task) -> None:
        for audience in self._audiences:
            audience.heard(task)


class SharedCopies:
    """interfaces.Copies of this node and of all others."""

    def __init__(self, own: Copies, announce: Callable[[str, object], None]) -> None:
        """``announce`` tells the other nodes a fact: its name and its value."""
        self._own = own
        self._announce = announce

    @contextmanager
    def ending(self) -> Iterator[Callable[[Iterable[TaskId]], None]]:
        """See interfaces.Copies."""
        ended: list[TaskId] | None = None
        with self._own.ending() as own:

            def those(tasks: Iterable[TaskId]) -> None:
                nonlocal ended
                ended = list(tasks)
                own(ended)

            try:
                yield those
            finally:
                if ended is None or ended:
                    self._announce("gone", ended)


def _progress(facts: Any) -> Progress | None:
    """Raises ValueError for what another release, or another program, wrote."""
    if facts is None:
        return None
    try:
        return Progress(stage=str(facts["stage"]), done=int(facts["done"]), total=int(facts["total"]))
    except (TypeError, KeyError) as error:
        raise ValueError(f"no progress: {facts!r}") from error
