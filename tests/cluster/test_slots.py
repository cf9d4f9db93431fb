# SPDX-License-Identifier: Apache-2.0
"""The limit of requests to a host that nodes have together, over a real Redis."""

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults, maybeDeferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from stackviz_deployer.cluster.slots import SharedSlots, SlotTimes
from tests.redis_server import Redis

QUICK = SlotTimes(lease=1.0, renew=0.2, ask=0.05, timeout=2.0)


class SharedSlotsTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.redis = Redis(Path(self.mktemp()).absolute())
        self.redis.start()
        self.addCleanup(self.redis.stop)
        self.open: list[str] = []
        self.most = 0
        self.order: list[str] = []

    async def node(self, name: str, times: SlotTimes = QUICK) -> SharedSlots:
        slots = SharedSlots(self.redis.server, reactor, node=name, times=times)
        slots.startService()
        self.addCleanup(lambda: maybeDeferred(slots.stopService) if slots.running else None)
        await slots._link.wait()
        return slots

    async def request(
        self, slots: SharedSlots, name: str, until: Deferred[None] | float, place: str = "h"
    ) -> None:
        async with slots.held(place, 2):
            self.open.append(name)
            self.order.append(name)
            self.most = max(self.most, len(self.open))
            await (deferLater(reactor, until) if isinstance(until, float) else until)
            self.open.remove(name)

    def begin(self, *args, **kw) -> Deferred[None]:
        return Deferred.fromCoroutine(self.request(*args, **kw))

    async def until(self, true) -> None:
        while not true():
            await deferLater(reactor, 0.01)  # the pace of looking

    async def test_limit_of_all_nodes(self) -> None:
        nodes = [await self.node(name) for name in ("one", "two", "three")]
        await gatherResults([self.begin(nodes[n % 3], str(n), 0.05) for n in range(15)])
        self.assertEqual(self.most, 2)
        self.assertEqual(len(self.order), 15)

    async def test_in_the_order_of_asking(self) -> None:
        """A node that has a slot and asks for the next does not keep out one that waited before."""
        one, other = await self.node("one"), await self.node("other")
        ends: list[Deferred[None]] = [Deferred() for _ in range(2)]
        begun = [self.begin(one, f"first {n}", end) for n, end in enumerate(ends)]
        await self.until(lambda: len(self.open) == 2)
        waiting = self.begin(other, "waited", 0.0)
        await deferLater(reactor, 0.2)
        late = [self.begin(one, f"late {n}", 0.0) for n in range(3)]
        await deferLater(reactor, 0.2)
        self.assertEqual(len(self.order), 2)
        ends[0].callback(None)
        await waiting
        self.assertEqual(self.order[2], "waited")
        ends[1].callback(None)
        await gatherResults([*begun, *late])

    async def test_places_are_apart(self) -> None:
        one = await self.node("one")
        ends: list[Deferred[None]] = [Deferred() for _ in range(4)]
        begun = [self.begin(one, str(n), end, place=f"host {n % 2}") for n, end in enumerate(ends)]
        await self.until(lambda: len(self.open) == 4)
        for end in ends:
            end.callback(None)
        await gatherResults(begun)

    async def test_a_slot_is_kept_as_long_as_it_is_used_and_no_longer(self) -> None:
        one, other = await self.node("one"), await self.node("other")
        ends: list[Deferred[None]] = [Deferred() for _ in range(2)]
        begun = [self.begin(one, f"long {n}", end) for n, end in enumerate(ends)]
        await self.until(lambda: len(self.open) == 2)
        waiting = self.begin(other, "next", 0.0)
        await deferLater(reactor, 2 * QUICK.lease)  # renewed meanwhile
        self.assertEqual(len(self.order), 2)
        # the node's connection dies with it, and what it held comes free
        await one._link.stopService()
        await waiting
        self.assertEqual(self.order[2], "next")
        for end in ends:
            end.callback(None)
        await gatherResults(begun)

    async def test_who_gives_up_waiting_is_in_nobodys_way(self) -> None:
        one = await self.node("one")
        ends: list[Deferred[None]] = [Deferred() for _ in range(2)]
        begun = [self.begin(one, str(n), end) for n, end in enumerate(ends)]
        await self.until(lambda: len(self.open) == 2)
        gone = self.begin(one, "gone", 0.0)
        await deferLater(reactor, 0.1)
        gone.cancel()
        with self.assertRaises(CancelledError):
            await gone
        after = self.begin(one, "after", 0.0)
        for end in ends:
            end.callback(None)
        await gatherResults([*begun, after])
        self.assertEqual(self.order[2], "after")

    async def test_without_redis_each_node_has_its_own_limit_alone(self) -> None:
        one = await self.node("one")
        ends: list[Deferred[None]] = [Deferred() for _ in range(2)]
        begun = [self.begin(one, str(n), end) for n, end in enumerate(ends)]
        await self.until(lambda: len(self.open) == 2)
        waiting = self.begin(one, "waits", 0.0)
        await deferLater(reactor, 0.1)
        self.redis.kill()
        await waiting
        await self.request(one, "another", 0.0)
        for end in ends:
            end.callback(None)
        await gatherResults(begun)
        self.redis.start()
        await one._link.wait()
        await gatherResults([self.begin(one, f"again {n}", 0.02) for n in range(6)])
        self.assertLessEqual(len(self.open), 2)
