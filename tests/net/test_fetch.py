# SPDX-License-Identifier: Apache-2.0
"""The Fetcher against real sockets: what hostile and broken servers do, and what then happens."""

import gzip
import ipaddress
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall, deferLater
from twisted.trial.unittest import TestCase

from stackviz_deployer import __version__
from stackviz_deployer.errors import (
    AddressRefusedError,
    HostNotAllowedError,
    QueryNotUnderstoodError,
    StoreError,
    TooLargeError,
    UpstreamInvalidError,
    UpstreamStatusError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from stackviz_deployer.model import Fetched
from stackviz_deployer.net import agent
from stackviz_deployer.net.fetch import HttpFetcher
from stackviz_deployer.net.own import is_own_endpoint, source_towards
from tests.net.wire import Wire, WireFactory, certificates, reactor

Script = Callable[[Wire, bytes], None]
HOST = "logs.example"


class FetchTestCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.into = Path(self.mktemp())

    def serve(self, script: Script, *, tls: Any = None, interface: str = "127.0.0.1") -> WireFactory:
        factory = WireFactory(script)
        self.port = factory.listen(tls=tls, interface=interface)
        self.addCleanup(lambda: Deferred.fromCoroutine(factory.close()))
        return factory

    def fetcher(self, **options: Any) -> HttpFetcher:
        """One that finds ``logs.example`` at the server."""
        given = {
            "allowed": [HOST],
            "private_networks": ["127.0.0.0/8"],
            "resolve": {HOST: f"127.0.0.1:{self.port}"},
            **options,
        }
        fetcher = HttpFetcher(reactor, **given)
        self.addCleanup(lambda: Deferred.fromCoroutine(fetcher.close()))
        return fetcher

    def get(self, fetcher: HttpFetcher, url: str = f"http://{HOST}/x", **options: Any) -> "Deferred[Fetched]":
        given = {"max_bytes": 1 << 20, "timeout_s": 20.0, **options}
        return Deferred.fromCoroutine(fetcher.fetch(url, self.into, **given))

    async def fails(self, error: type[Exception], fetcher: HttpFetcher, *args: Any, **options: Any) -> str:
        failure = await self.assertFailure(self.get(fetcher, *args, **options), error)
        message: str = failure.message
        return message


class BodyTests(FetchTestCase):
    async def test_plain(self) -> None:
        server = self.serve(lambda wire, head: wire.answer(b"hello", b"Content-Type: text/plain"))
        told: list[int] = []
        fetched = await self.get(self.fetcher(), f"http://{HOST}/a%2Fb?c=d+e#f", on_bytes=told.append)
        self.assertEqual(
            fetched, Fetched(url=f"http://{HOST}/a%2Fb?c=d+e", content_type="text/plain", size=5)
        )
        self.assertEqual(self.into.read_bytes(), b"hello")
        self.assertEqual(sum(told), 5)
        lines = server.requests[0].split(b"\r\n")
        self.assertEqual(lines[0], b"GET /a%2Fb?c=d+e HTTP/1.1")
        self.assertIn(f"Host: {HOST}".encode(), lines)
        self.assertIn(f"User-Agent: stackviz-deployer/{__version__}".encode(), lines)

    async def test_encoded_body_is_stored_as_it_came(self) -> None:
        """One member after the other, more than Twisted's decoder would give (trap T27)."""
        wire_bytes = gzip.compress(b"a" * 1000) + gzip.compress(b"b" * 1000)
        self.serve(lambda wire, head: wire.answer(wire_bytes, b"Content-Encoding: gzip"))
        fetched = await self.get(self.fetcher())
        self.assertEqual(self.into.read_bytes(), wire_bytes)
        self.assertEqual(fetched.size, len(wire_bytes))

    async def test_empty_body(self) -> None:
        self.serve(lambda wire, head: wire.answer(b""))
        self.assertEqual((await self.get(self.fetcher())).size, 0)
        self.assertEqual(self.into.read_bytes(), b"")

    async def test_large_body_arrives_whole_and_waits_for_the_disk(self) -> None:
        body = os.urandom(1 << 20) * 24
        self.serve(lambda wire, head: wire.answer(body))
        await self.get(self.fetcher(), max_bytes=len(body))
        self.assertEqual(self.into.read_bytes(), body)

    async def test_slow_disk_holds_the_sender_up(self) -> None:
        """While the thread writes, no more than a few MiB come in, whatever the server has."""
        released, held = threading.Event(), threading.Event()
        body = b"x" * (64 << 20)
        self.serve(lambda wire, head: wire.answer(body))
        fetcher = self.fetcher()
        usual = fetcher._in_thread

        def slowly(function: Callable[[], Any]) -> Any:
            def job() -> Any:
                held.set()
                released.wait(20)
                return function()

            return usual(job)

        fetcher._run_in_thread = slowly
        told: list[int] = []
        done = self.get(fetcher, max_bytes=len(body), on_bytes=told.append)
        while not held.is_set():
            await deferLater(reactor, 0.01)
        seen = -1
        while seen != sum(told):  # until nothing more comes
            seen = sum(told)
            await deferLater(reactor, 0.2)
        self.assertLess(seen, 4 << 20)
        released.set()
        await done
        self.assertEqual(self.into.stat().st_size, len(body))

    async def test_connection_is_used_again(self) -> None:
        server = self.serve(lambda wire, head: wire.answer(b"x"))
        fetcher = self.fetcher()
        for _ in range(3):
            await self.get(fetcher)
        self.assertEqual(len(server.connections), 1)

    async def test_unwritable_file(self) -> None:
        self.serve(lambda wire, head: wire.answer(b"x"))
        self.into = Path("/proc/nothing/here")
        await self.fails(StoreError, self.fetcher())

    async def test_full_disk(self) -> None:
        self.serve(lambda wire, head: wire.answer(b"x"))
        self.into = Path("/dev/full")  # the kernel's own ENOSPC
        with self.assertRaises(StoreError) as caught:
            await self.get(self.fetcher())
        self.assertEqual(caught.exception.reason, "the server's disk is full")


class LimitTests(FetchTestCase):
    async def test_declared_length(self) -> None:
        server = self.serve(lambda wire, head: wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n"))
        message = await self.fails(TooLargeError, self.fetcher(), max_bytes=100)
        self.assertIn("100 bytes", message)
        await server.connections[0].lost
        self.assertFalse(self.into.exists())

    async def test_exactly_the_limit(self) -> None:
        self.serve(lambda wire, head: wire.answer(b"x" * 100))
        self.assertEqual((await self.get(self.fetcher(), max_bytes=100)).size, 100)

    def endless(self, wire: Wire, head: bytes) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        call = LoopingCall(wire.send, piece)
        call.start(0.001)
        wire.lost.addCallback(lambda _: call.stop())

    async def test_endless_body(self) -> None:
        server = self.serve(self.endless)
        await self.fails(TooLargeError, self.fetcher(), max_bytes=1 << 20)
        await server.connections[0].lost

    async def test_endless_body_over_tls(self) -> None:
        """Trap T6: over TLS a plain loseConnection lets the peer go on."""
        trust, tls = certificates(HOST)
        server = self.serve(self.endless, tls=tls)
        await self.fails(TooLargeError, self.fetcher(trust=trust), f"https://{HOST}/", max_bytes=1 << 20)
        await server.connections[0].lost

    async def test_endless_headers(self) -> None:
        def script(wire: Wire, head: bytes) -> None:
            wire.send(b"HTTP/1.1 200 OK\r\n")
            call = LoopingCall(wire.send, b"X-Filler: " + b"x" * 8000 + b"\r\n")
            call.start(0.0005)
            wire.lost.addCallback(lambda _: call.stop())

        server = self.serve(script)
        message = await self.fails(UpstreamInvalidError, self.fetcher())
        self.assertIn(HOST, message)
        await server.connections[0].lost
        self.assertGreater(agent.MAX_HEAD, 64 << 10)

    async def test_endless_interim_answers(self) -> None:
        def script(wire: Wire, head: bytes) -> None:
            call = LoopingCall(wire.send, b"HTTP/1.1 103 Early Hints\r\nX: " + b"x" * 8000 + b"\r\n\r\n")
            call.start(0.0005)
            wire.lost.addCallback(lambda _: call.stop())

        server = self.serve(script)
        await self.fails(UpstreamInvalidError, self.fetcher())
        await server.connections[0].lost

    async def test_slow_drip(self) -> None:
        """Bytes keep coming, so that no idle timer would ever end it (trap T1)."""

        def script(wire: Wire, head: bytes) -> None:
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            call = LoopingCall(wire.send, b"x")
            call.start(0.02)
            wire.lost.addCallback(lambda _: call.stop())

        server = self.serve(script)
        message = await self.fails(UpstreamTimeoutError, self.fetcher(), timeout_s=0.5)
        self.assertIn(f"{HOST} took longer than 0.5 seconds", message)
        await server.connections[0].lost

    async def test_silence(self) -> None:
        server = self.serve(lambda wire, head: None)
        await self.fails(UpstreamTimeoutError, self.fetcher(), timeout_s=0.3)
        await server.connections[0].lost

    async def test_the_wait_for_a_slot_counts(self) -> None:
        server = self.serve(lambda wire, head: None)
        fetcher = self.fetcher(slots=1)
        first = self.get(fetcher, timeout_s=10)
        await self.fails(UpstreamTimeoutError, fetcher, timeout_s=0.3)
        self.assertEqual(len(server.requests), 1)
        first.cancel()
        await self.assertFailure(first, CancelledError)

    async def test_slots(self) -> None:
        waiting: list[Wire] = []
        self.serve(lambda wire, head: waiting.append(wire))
        fetcher = self.fetcher(slots=2)
        gets = [self.get(fetcher, f"http://{HOST}/{i}") for i in range(5)]
        served = 0
        while served < 5:
            await deferLater(reactor, 0.05)
            self.assertLessEqual(len(waiting), 2)
            for wire in waiting:
                wire.answer(b"x")
                served += 1
            waiting.clear()
        await gatherResults(gets)
        self.assertEqual(fetcher._semaphores, {})


class SharedSlots:
    """interfaces.HostSlots that notes what is held, and lets in when told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.held_now = 0
        self.free: Deferred[None] = Deferred()

    @asynccontextmanager
    async def held(self, place: str, most: int) -> AsyncIterator[None]:
        self.asked.append((place, most))
        await self.free
        self.held_now += 1
        try:
            yield
        finally:
            self.held_now -= 1


class SharedSlotsTests(FetchTestCase):
    async def test_a_request_waits_for_a_slot_of_all_nodes(self) -> None:
        shared = SharedSlots()
        during: list[int] = []

        def script(wire: Wire, head: bytes) -> None:
            during.append(shared.held_now)
            wire.answer(b"x")

        self.serve(script)
        fetcher = self.fetcher(slots=2, shared_slots=shared)
        get = self.get(fetcher)
        await deferLater(reactor, 0.05)
        self.assertEqual((len(shared.asked), shared.asked[0][1], during), (1, 2, []))
        shared.free.callback(None)
        await get
        self.assertEqual((during, shared.held_now), ([1], 0))


class BrokenTests(FetchTestCase):
    async def test_length_promised_too_long(self) -> None:
        def script(wire: Wire, head: bytes) -> None:
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            wire.transport.loseConnection()

        server = self.serve(script)
        message = await self.fails(UpstreamUnreachableError, self.fetcher())
        self.assertIn("closed the connection", message)
        self.assertEqual(len(server.requests), 3)

    async def test_length_promised_too_short(self) -> None:
        self.serve(lambda wire, head: wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdefgh"))
        await self.get(self.fetcher())
        self.assertEqual(self.into.read_bytes(), b"abc")

    async def test_no_length_at_all(self) -> None:
        def script(wire: Wire, head: bytes) -> None:
            wire.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
            wire.transport.loseConnection()

        self.serve(script)
        message = await self.fails(UpstreamInvalidError, self.fetcher())
        self.assertIn("without saying how long", message)

    async def test_reset_in_the_middle_then_whole(self) -> None:
        """The second attempt starts the file, and the count, anew."""

        def script(wire: Wire, head: bytes) -> None:
            if len(server.requests) == 1:
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n", b"y" * 300_000)
                reactor.callLater(0.1, wire.transport.abortConnection)
            else:
                wire.answer(b"whole")

        server = self.serve(script)
        told: list[int] = []
        fetched = await self.get(self.fetcher(), on_bytes=told.append)
        self.assertEqual(fetched.size, 5)
        self.assertEqual(self.into.read_bytes(), b"whole")
        self.assertEqual(sum(told), 5)

    async def test_not_http(self) -> None:
        for junk in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 100 + b"\r\n", b"HTTP/1.1 OK\r\n\r\n"):
            self.serve(lambda wire, head, junk=junk: wire.send(junk))  # type: ignore[misc]
            message = await self.fails(UpstreamInvalidError, self.fetcher(), timeout_s=5)
            self.assertIn(HOST, message)

    async def test_nobody_there(self) -> None:
        factory = self.serve(lambda wire, head: None)
        await factory.port.stopListening()
        message = await self.fails(UpstreamUnreachableError, self.fetcher())
        self.assertEqual(message, f"{HOST} cannot be reached: Connection refused.")

    async def test_statuses(self) -> None:
        for status, tries in (
            (b"404 Not Found", 1),
            (b"403 Forbidden", 1),
            (b"503 Busy", 3),
            (b"204 None", 1),
        ):
            server = self.serve(
                lambda wire, head, s=status: wire.answer(b"" if s[:3] == b"204" else b"sorry", status=s)
            )
            failure = await self.assertFailure(self.get(self.fetcher()), UpstreamStatusError)
            self.assertEqual(failure.status, int(status[:3]))
            self.assertIn(f"{HOST} answered {status.decode()}", failure.message)
            self.assertEqual(len(server.requests), tries, status)

    async def test_long_error_page_is_not_read(self) -> None:
        server = self.serve(
            lambda wire, head: wire.send(b"HTTP/1.1 404 X\r\nContent-Length: 99999999\r\n\r\n", b"x" * 99999)
        )
        await self.fails(UpstreamStatusError, self.fetcher())
        await server.connections[0].lost

    async def test_retry_after(self) -> None:
        def script(wire: Wire, head: bytes) -> None:
            if len(server.requests) == 1:
                wire.answer(b"", b"Retry-After: 0", status=b"429 Too Many Requests")
            else:
                wire.answer(b"x")

        server = self.serve(script)
        await self.get(self.fetcher())
        self.assertEqual(len(server.requests), 2)

    async def test_retry_after_beyond_the_deadline(self) -> None:
        server = self.serve(
            lambda wire, head: wire.answer(b"", b"Retry-After: 3600", status=b"503 Service Unavailable")
        )
        await self.fails(UpstreamStatusError, self.fetcher(), timeout_s=5)
        self.assertEqual(len(server.requests), 1)


class CancelTests(FetchTestCase):
    async def test_at_any_time(self) -> None:
        """Waiting for headers, in the body: the connection ends, nothing more is asked."""
        for begin in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc"):
            came: Deferred[None] = Deferred()

            def script(wire: Wire, head: bytes, begin: bytes = begin, came: Any = came) -> None:
                wire.send(begin)
                reactor.callLater(0.05, came.callback, None)

            server = self.serve(script)
            done = self.get(self.fetcher())
            await came
            done.cancel()
            await self.assertFailure(done, CancelledError)
            await server.connections[0].lost
            self.assertEqual(len(server.requests), 1)

    async def test_between_attempts(self) -> None:
        came: Deferred[None] = Deferred()

        def script(wire: Wire, head: bytes) -> None:
            wire.answer(b"", b"Retry-After: 5", status=b"503 Busy")
            reactor.callLater(0.05, came.callback, None)

        self.serve(script)
        done = self.get(self.fetcher())
        await came
        done.cancel()
        await self.assertFailure(done, CancelledError)

    async def test_close_ends_what_runs(self) -> None:
        came: Deferred[None] = Deferred()
        server = self.serve(lambda wire, head: came.callback(None))
        fetcher = self.fetcher()
        done = self.get(fetcher)
        await came
        await fetcher.close()
        await self.assertFailure(done, CancelledError)
        await server.connections[0].lost


class AddressTests(FetchTestCase):
    def redirect(self, *locations: str) -> Script:
        left = list(locations)

        def script(wire: Wire, head: bytes) -> None:
            if left:
                wire.answer(b"", b"Location: " + left.pop(0).encode(), status=b"302 Found")
            else:
                wire.answer(b"there")

        return script

    async def test_redirects_are_followed(self) -> None:
        server = self.serve(self.redirect("/a", f"http://{HOST}/b", "c?d#e"))
        fetched = await self.get(self.fetcher())
        self.assertEqual(fetched.url, f"http://{HOST}/c?d")
        self.assertEqual(len(server.requests), 4)

    async def test_but_not_for_ever(self) -> None:
        self.serve(self.redirect("/a", "/b", "/c", "/d"))
        await self.fails(UpstreamInvalidError, self.fetcher())

    async def test_redirect_to_another_host(self) -> None:
        self.serve(self.redirect("http://evil.example/"))
        message = await self.fails(HostNotAllowedError, self.fetcher())
        self.assertIn(f"A redirect of {HOST} leads to evil.example", message)

    async def test_redirect_to_other_things(self) -> None:
        for location in (
            "file:///etc/passwd",
            "sample:job/",
            "ftp://x/",
            "http://user:pw@logs.example/",
            "//[",
            "",
        ):
            self.serve(self.redirect(location))
            message = await self.fails(UpstreamInvalidError, self.fetcher(sample_root=Path("/etc")))
            self.assertTrue(message.startswith(f"{HOST} redirects to "), message)
            self.assertFalse(message.endswith(".."), message)

    async def test_redirect_to_a_private_address(self) -> None:
        """An allowed name whose address is not public: the guard stands behind the list."""
        self.serve(self.redirect("http://inside.example/"))
        message = await self.fails(
            AddressRefusedError,
            self.fetcher(
                allowed=[HOST, "inside.example"],
                resolve={HOST: f"127.0.0.1:{self.port}", "inside.example": "10.0.0.1:80"},
            ),
        )
        self.assertIn("inside.example has the address 10.0.0.1", message)

    async def test_ways_to_write_this_machine(self) -> None:
        """Even when somebody allowed them by name."""
        server = self.serve(lambda wire, head: wire.answer(b"secret"))
        hosts = (
            "127.0.0.1",
            "0x7f.1",
            "127.1",
            "2130706433",
            "0",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
        )
        fetcher = self.fetcher(allowed=[f"{host}:{self.port}" for host in hosts], private_networks=[])
        for host in hosts:
            message = await self.fails(AddressRefusedError, fetcher, f"http://{host}:{self.port}/")
            self.assertIn("Its operator can add the network", message)
        self.assertEqual(server.connections, [])

    async def test_never_itself(self) -> None:
        """Nor when private_networks holds its address, however its port was opened."""
        for interface, host, own in (
            ("127.0.0.1", "127.0.0.1", True),
            ("127.0.0.1", "127.0.0.2", False),
            ("0.0.0.0", "127.0.0.2", True),
            ("0.0.0.0", "localhost", True),
            ("0.0.0.0", "10.9.8.7", False),
        ):
            server = self.serve(lambda wire, head: wire.answer(b"secret"), interface=interface)
            place = f"{host}:{self.port}"
            fetcher = self.fetcher(
                allowed=[place],
                private_networks=["127.0.0.0/8", "::1/128"],
                is_own=partial(is_own_endpoint, reactor),
            )
            if own:
                message = await self.fails(AddressRefusedError, fetcher, f"http://{place}/")
                self.assertIn("it does not ask itself", message)
            self.assertIs(is_own_endpoint(reactor, "127.0.0.1" if own else host, self.port), own, place)
            self.assertFalse(is_own_endpoint(reactor, "127.0.0.1", 1))
            self.assertEqual(server.connections, [])

    async def test_never_itself_by_an_outer_address(self) -> None:
        """One of the machine's own, public perhaps, when the daemon listens on all of them."""
        own, elsewhere = "198.51.100.7", "192.0.2.1"

        def source_of(_ip: Any) -> Any:  # a machine with one interface, whatever this one has
            return ipaddress.ip_address(own)

        self.serve(lambda wire, head: wire.answer(b"secret"), interface="0.0.0.0")
        for address, expected in (
            (own, True),
            (f"::ffff:{own}", True),
            (elsewhere, False),
            (f"::ffff:{elsewhere}", False),
        ):
            self.assertIs(is_own_endpoint(reactor, address, self.port, source_of), expected, address)
            self.assertFalse(is_own_endpoint(reactor, address, self.port, lambda _ip: None))
            self.assertFalse(is_own_endpoint(reactor, address, 1, source_of))

    def test_the_address_from_which_one_asks(self) -> None:
        """As the kernel says it: an own address is asked from itself, any other is not."""
        loopback, elsewhere = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("192.0.2.1")
        self.assertEqual(source_towards(loopback), loopback)
        outer = source_towards(elsewhere)
        self.assertNotEqual(outer, elsewhere)
        if outer is not None:  # a machine with more than its loopback
            self.assertEqual(source_towards(outer), outer)
            self.serve(lambda wire, head: wire.answer(b"secret"), interface="0.0.0.0")
            self.assertTrue(is_own_endpoint(reactor, str(outer), self.port))

    async def test_not_on_the_list(self) -> None:
        self.serve(lambda wire, head: wire.answer(b"x"))
        fetcher = self.fetcher()
        for url in ("http://evil.example/", f"http://{HOST}:8080/", f"http://127.0.0.1:{self.port}/"):
            await self.fails(HostNotAllowedError, fetcher, url)
            self.assertRaises(HostNotAllowedError, fetcher.check, url)
        for url in ("sample:job/", "gopher://x/", f"http://u@{HOST}/"):
            self.assertRaises(QueryNotUnderstoodError, fetcher.check, url)
        fetcher.check(f"http://{HOST}/x")

    async def test_ipv6(self) -> None:
        try:
            server = self.serve(lambda wire, head: wire.answer(b"six"), interface="::1")
        except CannotListenError:  # a machine without IPv6: how it fails there is what can be seen
            server = self.serve(lambda wire, head: wire.answer(b"four"))
            place = f"[::1]:{self.port}"
            fetcher = self.fetcher(allowed=[place], private_networks=["::1/128"])
            self.assertIn(place, await self.fails(UpstreamUnreachableError, fetcher, f"http://{place}/x"))
            self.assertEqual(server.requests, [])
            return
        place = f"[::1]:{self.port}"
        fetched = await self.get(
            self.fetcher(allowed=[place], private_networks=["::1/128"]), f"http://{place}/x"
        )
        self.assertEqual(fetched.size, 3)
        self.assertIn(f"Host: {place}".encode(), server.requests[0].split(b"\r\n"))


class TlsTests(FetchTestCase):
    async def test_trusted(self) -> None:
        """``resolve`` changes the address, not the name that the certificate must have."""
        trust, tls = certificates(HOST)
        self.serve(lambda wire, head: wire.answer(b"x"), tls=tls)
        self.assertEqual((await self.get(self.fetcher(trust=trust), f"https://{HOST}/")).size, 1)

    async def test_another_name(self) -> None:
        trust, tls = certificates("other.example", "127.0.0.1")
        server = self.serve(lambda wire, head: wire.answer(b"x"), tls=tls)
        message = await self.fails(UpstreamUnreachableError, self.fetcher(trust=trust), f"https://{HOST}/")
        self.assertIn(HOST, message)
        self.assertEqual(server.requests, [])

    async def test_not_trusted(self) -> None:
        _, tls = certificates(HOST)
        server = self.serve(lambda wire, head: wire.answer(b"x"), tls=tls)
        message = await self.fails(UpstreamUnreachableError, self.fetcher(), f"https://{HOST}/")
        self.assertIn("certificate verify failed", message)
        self.assertEqual(server.requests, [])


class SampleTests(FetchTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.port = 1
        self.root = Path(self.mktemp())
        (self.root / "job" / "logs").mkdir(parents=True)
        (self.root / "job" / "a b&c.txt").write_bytes(b"x" * 200_000)
        (self.root / "job" / "empty").touch()
        (self.root.parent / "secret").write_text("s")
        (self.root / "job" / "link").symlink_to(self.root.parent.absolute() / "secret")

    async def test_file(self) -> None:
        fetcher = self.fetcher(sample_root=self.root)
        fetched = await self.get(fetcher, "sample:job/a%20b%26c.txt")
        self.assertEqual(fetched.size, 200_000)
        self.assertEqual(self.into.read_bytes(), b"x" * 200_000)
        self.assertEqual((await self.get(fetcher, "sample:job/empty")).size, 0)

    async def test_index(self) -> None:
        for url in ("sample:job", "sample:job/"):
            fetched = await self.get(self.fetcher(sample_root=self.root), url)
            self.assertEqual(fetched.url, "sample:job/")
            page = self.into.read_text()
            self.assertIn('<li><a href="a%20b%26c.txt">a b&amp;c.txt</a></li>', page)
            self.assertIn('<li><a href="logs/">logs/</a></li>', page)

    async def test_limits_are_the_same(self) -> None:
        fetcher = self.fetcher(sample_root=self.root)
        await self.fails(TooLargeError, fetcher, "sample:job/a%20b%26c.txt", max_bytes=199_999)

    async def test_nothing_else_is_reachable(self) -> None:
        fetcher = self.fetcher(sample_root=self.root)
        for url in (
            "sample:",
            "sample:/etc/passwd",
            "sample:job/../../secret",
            "sample:job/%2e%2e/%2e%2e/secret",
            "sample:job/..%2f..%2fsecret",
            "sample:job//x",
            "sample:job/a%00",
            "sample:job/a\\b",
            "sample://host/x",
            "sample:job?x",
        ):
            self.assertRaises(QueryNotUnderstoodError, fetcher.check, url)
        for url in ("sample:job/link", "sample:job/none", "sample:none/"):
            failure = await self.assertFailure(self.get(fetcher, url), UpstreamStatusError)
            self.assertEqual(failure.status, 404)
