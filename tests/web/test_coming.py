# SPDX-License-Identifier: Apache-2.0
"""All places for uploads are taken: who gives way to whom, at the door and on time's side of each bound."""

import json
import socket

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from stackviz_deployer.store.uploads import HIGH
from stackviz_deployer.web import coming
from stackviz_deployer.web.clients import Clients
from stackviz_deployer.web.coming import AT_ONCE, CLIENT_COMING, FAIR_PACE, GRACE_S
from tests.web.door import split
from tests.web.test_limits import LimitCase, read_all


def begun(client: int, size: int, length: int = 1 << 20) -> bytes:
    return (
        b"POST /api/upload HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n"
        b"X-Forwarded-For: 192.0.2.%d\r\nContent-Length: %d\r\n\r\n%s" % (client, length, b"x" * size)
    )


class ComingTests(LimitCase):
    options = {"clients": Clients(["127.0.0.1/32"])}  # noqa: RUF012

    async def begin(self, client: int, size: int = 1) -> socket.socket:
        """An upload of this client's, of which ``size`` bytes have come."""
        before = {id(one) for one in self.house.uploads._coming}
        s = self.connect()
        await deferToThread(s.sendall, begun(client, size))
        await self.until(
            lambda: any(one.size == size and id(one) not in before for one in self.house.uploads._coming)
        )
        return s

    async def fill(self, clients: int, size: int = 1) -> list[socket.socket]:
        return [await self.begin(n % clients, size) for n in range(AT_ONCE)]

    async def end_well(self, s: socket.socket, sent: int) -> None:
        await deferToThread(s.sendall, b"x" * ((1 << 20) - sent))
        self.assertEqual(split(await deferToThread(read_all, s))[0], 202)

    async def gave_way(self, s: socket.socket) -> None:
        status, headers, body = split(await deferToThread(read_all, s))
        self.assertEqual((status, json.loads(body)["error"]), (503, "too-many-uploads"))
        self.assertEqual(headers["retry-after"], "30")
        self.assertIn("others", json.loads(body)["message"])

    async def refused(self, client: int) -> None:
        status, _, body = split(await self.raw(begun(client, 5, 5)))
        self.assertEqual((status, json.loads(body)["error"]), (503, "too-many-uploads"))

    async def test_four_addresses_do_not_keep_everybody_out(self) -> None:
        drips = await self.fill(AT_ONCE // CLIENT_COMING)
        for newcomer in (100, 101):
            self.assertEqual(split(await self.raw(begun(newcomer, 5, 5)))[0], 202)
        self.assertEqual(self.hits("uploads_at_once"), 1)
        self.assertEqual(len(self.house.uploads._coming), AT_ONCE - 1)
        self.assertEqual(len(self.house.reception.coming), AT_ONCE - 1)
        for s in drips:
            s.close()

    async def test_who_has_the_most_gives_up_the_one_that_brought_least(self) -> None:
        """Down to one more than the newcomer has, and no further, however new they all are."""
        with_four = [await self.begin(1, size) for size in (400, 100, 300, 200)]
        rest = [await self.begin(n, 50) for n in range(2, AT_ONCE - 2)]
        await self.begin(100, 5)
        await self.gave_way(with_four[1])
        await self.begin(101, 5)
        await self.gave_way(with_four[3])
        await self.begin(102, 5)
        await self.gave_way(with_four[2])
        await self.refused(103)
        await self.refused(100)  # nobody has more than it would have
        self.assertEqual(self.hits("uploads_at_once"), 5)
        for s in rest:
            await self.end_well(s, 50)
        await self.end_well(with_four[0], 400)

    async def test_the_slowest_below_the_pace_gives_way_after_its_grace(self) -> None:
        enough = int(FAIR_PACE * GRACE_S)
        for n in range(AT_ONCE - 2):
            await self.begin(n, enough)
        slow = await self.begin(50, enough - 1)
        slowest = await self.begin(51, enough - 2)
        self.clock.advance(GRACE_S - 0.1)
        await self.refused(100)
        self.clock.advance(0.1)
        first, second = await self.begin(100), await self.begin(101)
        await self.gave_way(slowest)
        await self.gave_way(slow)
        await self.refused(102)  # the others keep the pace, and these two have their grace
        for s in (first, second):
            await self.end_well(s, 1)

    async def test_the_time_of_a_slow_disk_is_not_the_senders(self) -> None:
        """Whom we made wait is as quick as when it was let; once it may go on, its own time runs."""
        self.patch(coming, "AT_ONCE", 1)
        run, gate = self.house.uploads._in_thread, Deferred[None]()
        self.patch(self.house.uploads, "_in_thread", lambda *work: gate.addCallback(lambda _: run(*work)))
        s = self.connect()
        enough = HIGH + (1 << 18)
        self.patch(coming, "FAIR_PACE", enough / 20)
        await deferToThread(s.sendall, begun(1, enough, 2 * enough))
        await self.until(lambda: any(one.size > HIGH for one in self.house.uploads._coming))
        self.clock.advance(28)
        await self.refused(100)
        self.patch(self.house.uploads, "_in_thread", run)
        gate.callback(None)
        await self.until(lambda: any(one.size == enough for one in self.house.uploads._coming))
        self.clock.advance(19)
        await self.refused(100)
        self.clock.advance(2)
        await self.begin(100)
        await self.gave_way(s)

    async def test_one_that_is_whole_is_let_alone(self) -> None:
        """Its sender has done all; the disk takes its time."""
        self.patch(coming, "AT_ONCE", 1)
        run, gate = self.house.uploads._in_thread, Deferred[None]()
        self.patch(self.house.uploads, "_in_thread", lambda *work: gate.addCallback(lambda _: run(*work)))
        whole = self.raw(begun(1, 5, 5))
        await self.until(lambda: [one.whole for one in self.house.reception.coming._placed] == [True])
        self.clock.advance(GRACE_S)
        await self.refused(100)
        self.patch(self.house.uploads, "_in_thread", run)
        gate.callback(None)
        self.assertEqual(split(await whole)[0], 202)
        self.assertEqual(split(await self.raw(begun(100, 5, 5)))[0], 202)
