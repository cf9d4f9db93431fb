# SPDX-License-Identifier: Apache-2.0
"""The queue in Redis: one stream with a consumer group, and who works on what.

``<prefix>queue`` is the stream (group ``workers``), ``<prefix>offered`` a hash of the tasks that are in
it to their entries, ``<prefix>lease:<id>`` names the node that works on a task as long as it renews
that.  All of it can be lost: the database knows what waits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attrs import frozen

from stackviz_deployer.cluster.link import TIMEOUT_S, Link, RefusedError
from stackviz_deployer.cluster.scripts import HAND_OVER, LEASE, LEAVE, OFFER, RENEW, SETTLE, TIDY
from stackviz_deployer.model import TaskId

GROUP = "workers"
MOST_ID = 64
"""Characters of a task's id, which the database keeps."""
FORGOTTEN_MS = 3_600_000
"""Consumers of nodes that are gone are forgotten after this."""


@frozen
class Keys:
    """The names in Redis."""

    prefix: str

    @property
    def queue(self) -> str:
        return f"{self.prefix}queue"

    @property
    def offered(self) -> str:
        return f"{self.prefix}offered"

    @property
    def events(self) -> str:
        return f"{self.prefix}events"

    def lease(self, task_id: str) -> str:
        return f"{self.prefix}lease:{task_id}"

    def alive(self, node: str) -> str:
        return f"{self.prefix}alive:{node}"

    def progress(self, task_id: str) -> str:
        return f"{self.prefix}progress:{task_id}"


class TaskStream:
    """What one node does with the queue.  Every method raises AwayError and RefusedError."""

    def __init__(self, keys: Keys, node: str, *, lease_ms: int) -> None:
        self._keys = keys
        self._node = node
        self._lease_ms = lease_ms

    async def prepare(self, link: Link) -> None:
        """Make the group if it is not there, and forget consumers of nodes that are gone."""
        try:
            await link.call("XGROUP", "CREATE", self._keys.queue, GROUP, "0", "MKSTREAM")
        except RefusedError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        await TIDY.run(link, (self._keys.queue,), GROUP, FORGOTTEN_MS)

    async def offer(self, link: Link, ids: Sequence[TaskId]) -> int:
        """Put those into the queue that are not in it; how many."""
        return int(await OFFER.run(link, (self._keys.queue, self._keys.offered), *ids)) if ids else 0

    async def read(self, link: Link, block_s: float, but: Collection[TaskId]) -> TaskId | None:
        """The next task that nobody was given, waiting ``block_s`` for it; none of ``but``, leased."""
        answer = await link.call(
            *("XREADGROUP", "GROUP", GROUP, self._node, "COUNT", 1, "BLOCK", int(block_s * 1000)),
            *("STREAMS", self._keys.queue, ">"),
            timeout_s=block_s + TIMEOUT_S,
        )
        if not answer:
            return None
        ((entry, fields),) = answer[0][1]
        return await self._leased_of(link, entry, fields, but)

    async def take_over(self, link: Link, idle_s: float, but: Collection[TaskId]) -> TaskId | None:
        """A task that was in somebody's hand and was not renewed for ``idle_s``; none of ``but``, leased."""
        cursor = "0-0"
        while True:
            cursor, entries, *_ = await link.call(
                *("XAUTOCLAIM", self._keys.queue, GROUP, self._node, int(idle_s * 1000), cursor),
                *("COUNT", 1),
            )
            for entry, fields in filter(None, entries):
                if (task_id := await self._leased_of(link, entry, fields, but)) is not None:
                    return task_id
            if cursor == "0-0":
                return None

    async def _leased_of(
        self, link: Link, entry: str, fields: Sequence[str | bytes] | None, but: Collection[TaskId]
    ) -> TaskId | None:
        """The task of an entry when this node may work on it now; others may not while that is renewed."""
        if fields is None or len(fields) != 2 or fields[0] != "id" or not _is_id(fields[1]):
            await link.call("XACK", self._keys.queue, GROUP, entry)  # none of ours
            await link.call("XDEL", self._keys.queue, entry)
            return None
        task_id = TaskId(str(fields[1]))
        keys = (self._keys.queue, self._keys.offered, self._keys.lease(task_id))
        ours = await LEASE.run(link, keys, GROUP, task_id, entry, self._node, self._lease_ms)
        return task_id if ours and task_id not in but else None

    async def leased(self, link: Link, ids: Sequence[TaskId]) -> frozenset[TaskId]:
        """Those of ``ids`` that some node says it works on."""
        if not ids:
            return frozenset()
        owners = await link.call("MGET", *map(self._keys.lease, ids))
        return frozenset(task_id for task_id, owner in zip(ids, owners, strict=True) if owner is not None)

    async def renew(self, link: Link, ids: Sequence[TaskId]) -> Sequence[TaskId]:
        """Go on with ``ids``; those that another node has by now."""
        keys = (self._keys.queue, self._keys.offered, self._keys.alive(self._node))
        lost = await RENEW.run(link, keys, self._keys.lease(""), GROUP, self._node, self._lease_ms, *ids)
        return [TaskId(task_id) for task_id in lost]

    async def settle(self, link: Link, task_id: TaskId, *, ended: bool) -> None:
        """Take the task out of the queue; unless it has ``ended``, only if it is not another node's."""
        await SETTLE.run(link, self._keys_of(task_id), GROUP, task_id, "" if ended else self._node)

    async def hand_over(self, link: Link, task_id: TaskId, message: str) -> None:
        """Let go of the task, so that the next who looks takes it over; tell all nodes ``message``."""
        keys = self._keys_of(task_id)
        await HAND_OVER.run(link, keys, GROUP, task_id, self._node, self._keys.events, message)

    async def leave(self, link: Link) -> None:
        """Let go of what was given to this node and is not leased."""
        await LEAVE.run(link, (self._keys.queue,), GROUP, self._node, self._keys.lease(""))

    def _keys_of(self, task_id: TaskId) -> tuple[str, str, str, str]:
        keys = self._keys
        return keys.queue, keys.offered, keys.lease(task_id), keys.progress(task_id)


def _is_id(value: str | bytes) -> bool:
    return isinstance(value, str) and len(value) <= MOST_ID  # bytes: no UTF-8
