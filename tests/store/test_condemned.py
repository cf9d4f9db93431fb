# SPDX-License-Identifier: Apache-2.0
"""Which blobs may be removed, and what a put does meanwhile: nodes that share a database."""

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from stackviz_deployer.errors import StoreError, UnreachableError
from stackviz_deployer.store import condemned
from stackviz_deployer.store.condemned import BATCH, FRESH_S, HELD_S, REMOVE_S, TAKEN_S, Condemned
from tests.store.building import OnMysql, StoreTestCase, a_blob

A, B, C = (a_blob(n) for n in (1, 2, 3))
NAMES = [blob.hash for blob in (A, B, C)]


def stamps(txn):
    return txn.execute("SELECT removing_ms FROM condemned ORDER BY blob_hash").fetchall()


class CondemnedTests(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.gone: list[str] = []
        self.one, self.two = self.condemned(), self.condemned()

    async def remove(self, name) -> None:
        self.gone.append(name)

    async def none_lost(self, _) -> frozenset:
        return frozenset()

    async def test_for_so_long(self) -> None:
        await self.one.add(NAMES[:2])
        await self.pass_time(HELD_S - 60)
        await self.two.add(NAMES)  # since then, for the first two
        self.assertEqual(await self.two.clear(self.remove), 0)
        await self.pass_time(60)
        self.assertEqual(await self.two.clear(self.remove), 2)
        self.assertEqual(self.gone, NAMES[:2])
        self.assertEqual(await self.one.clear(self.remove), 0)
        await self.pass_time(HELD_S)
        self.assertEqual(await self.one.clear(self.remove), 1)
        self.assertEqual(self.gone, NAMES)

    async def test_what_an_artifact_names_is_spared(self) -> None:
        await self.one.add(NAMES)
        await self.pass_time(HELD_S)
        await self.name(A, B)
        self.assertEqual(await self.two.clear(self.remove), 1)
        self.assertEqual(self.gone, [C.hash])
        await self.pass_time(HELD_S)
        self.assertEqual(await self.two.clear(self.remove), 0)

    async def test_what_is_put_is_spared(self) -> None:
        await self.one.add(NAMES)
        await self.two.put(A.hash)
        await self.pass_time(HELD_S)
        self.assertEqual(await self.one.clear(self.remove), 2)
        self.assertNotIn(A.hash, self.gone)

    async def test_more_than_a_batch(self) -> None:
        await self.one.add([a_blob(n).hash for n in range(BATCH + 1)])
        await self.pass_time(HELD_S)
        self.assertEqual([await self.one.clear(self.remove) for _ in range(3)], [BATCH, 1, 0])

    async def test_a_removal_that_fails(self) -> None:
        """It may still come about: nobody relies on it for a while.  The rest are as they were."""

        async def fail(name) -> None:
            if name == B.hash:
                raise StoreError("away")
            await self.remove(name)

        await self.one.add(NAMES)
        await self.pass_time(HELD_S)
        with self.assertRaises(StoreError):
            await self.one.clear(fail)
        self.assertEqual(await self.two.clear(self.remove), 1)
        self.assertEqual(self.gone, [A.hash, C.hash])
        self.patch(condemned, "WAIT_S", 0.0)
        with self.assertRaises(StoreError):
            await self.two.put(B.hash)
        await self.pass_time(TAKEN_S)
        self.assertEqual(await self.two.clear(self.remove), 1)
        await self.two.put(B.hash)
        self.assertEqual(self.gone, [A.hash, C.hash, B.hash])

    async def test_who_is_slow_leaves_the_rest(self) -> None:
        """Once others may take a removal over, nobody begins it."""
        now = [0.0]
        slow = Condemned(self.shared, reactor, clock=lambda: now[0])

        async def remove(name) -> None:
            now[0] += REMOVE_S
            await self.remove(name)

        await self.one.add(NAMES)
        await self.pass_time(HELD_S)
        self.assertEqual(await slow.clear(remove), 1)
        self.assertEqual(await self.two.clear(self.remove), 2)
        self.assertEqual(self.gone, NAMES)

    async def test_an_answer_that_comes_late(self) -> None:
        """By then others may have begun what it says is ours."""
        now, shared = [0.0], self.shared

        class Late:
            async def write(self, *args, **kw):
                said = await shared.write(*args, **kw)
                now[0] += REMOVE_S
                return said

        await self.one.add(NAMES)
        await self.pass_time(HELD_S)
        slow = Condemned(Late(), reactor, clock=lambda: now[0])
        self.assertEqual(await slow.clear(self.remove), 0)
        self.assertEqual(await self.two.clear(self.remove), 3)

    async def test_who_stops_leaves_the_rest(self) -> None:
        await self.one.add(NAMES)
        await self.pass_time(HELD_S)
        self.assertEqual(await self.one.clear(self.remove, lambda: len(self.gone) < 1), 1)
        self.assertEqual(await self.two.clear(self.remove), 2)
        self.assertEqual(self.gone, NAMES)

    async def test_who_stood_still_changes_nothing_of_what_others_took_over(self) -> None:
        """Neither what it removed nor what it left may be put before the other is done with it, too."""
        self.patch(condemned, "WAIT_S", 0.0)
        other: list[Deferred] = []
        go = Deferred()

        async def late(name) -> None:
            await go
            await self.remove(name)

        now = [0.0]
        slow = Condemned(self.shared, reactor, clock=lambda: now[0])

        async def still(name) -> None:
            now[0] += TAKEN_S
            await self.pass_time(TAKEN_S)
            before = await self.shared.read(stamps)
            other.append(Deferred.fromCoroutine(self.two.clear(late)))
            while await self.shared.read(stamps) == before:
                pass  # the other has it when this changes
            await self.remove(name)

        await self.one.add([A.hash, B.hash])
        await self.pass_time(HELD_S)
        self.assertEqual(await slow.clear(still), 1)
        for name in (A.hash, B.hash):
            with self.assertRaises(StoreError):
                await self.one.put(name)
        go.callback(None)
        self.assertEqual(await other[0], 2)
        for name in (A.hash, B.hash):
            await self.one.put(name)

    async def test_a_put_waits_for_a_removal(self) -> None:
        begun, go = Deferred(), Deferred()

        async def remove(name) -> None:
            begun.callback(None)
            await go
            await self.remove(name)

        await self.one.add([A.hash])
        await self.pass_time(HELD_S)
        removing = Deferred.fromCoroutine(self.one.clear(remove))
        await begun
        asked = Deferred.fromCoroutine(self.two.put(A.hash))
        holding = Deferred.fromCoroutine(self.two.hold([A], self.none_lost))
        await self.two.put(B.hash)  # others do not wait
        self.assertNoResult(asked)
        self.assertNoResult(holding)
        go.callback(None)
        self.assertEqual(await removing, 1)
        await asked
        await holding

    async def test_hold_asks_again_what_was_spared_long_ago(self) -> None:
        now, asked = [0.0], []
        node = Condemned(self.shared, reactor, clock=lambda: now[0])

        async def lost(blobs) -> frozenset:
            asked.append([blob.hash for blob in blobs])
            return frozenset()

        await node.put(A.hash)
        now[0] = FRESH_S / 2
        await node.put(B.hash)
        await node.hold([A, B], lost)
        self.assertEqual(asked, [])
        await self.one.add(NAMES)
        now[0] = FRESH_S
        await node.hold([A, B, C], lost)
        self.assertEqual(asked, [[A.hash, C.hash]])
        await self.pass_time(HELD_S)
        await self.one.clear(self.remove)
        self.assertEqual(self.gone, [B.hash])
        self.assertLessEqual(len(node._spared_s), 3)

    async def test_without_the_database(self) -> None:
        """What is put then is asked for before it is recorded."""

        class Away:
            async def read(self, *_):
                raise UnreachableError("away")

        await self.one.add([A.hash])
        node = Condemned(Away(), reactor)
        await node.put(A.hash)
        with self.assertRaises(UnreachableError):
            await node.hold([A], self.none_lost)
        node._database = self.shared
        await node.hold([A], self.none_lost)
        await self.pass_time(HELD_S)
        self.assertEqual(await self.one.clear(self.remove), 0)

    async def test_two_who_clear(self) -> None:
        await self.one.add([a_blob(n).hash for n in range(20)])
        await self.pass_time(HELD_S)

        async def remove(name) -> None:
            await deferLater(reactor, 0)
            await self.remove(name)

        clearing = [Deferred.fromCoroutine(node.clear(remove)) for node in (self.one, self.two)]
        self.assertEqual(sum([await one for one in clearing]), 20)
        self.assertEqual(len(set(self.gone)), len(self.gone))


class MysqlCondemnedTests(OnMysql, CondemnedTests):
    """The same over a real server."""
