# SPDX-License-Identifier: Apache-2.0
"""Other servers that break off at each stage, and names that DNS does not give: told, and over in the end.

The servers and the name server are real and on the loopback; the daemon is the real one.
"""

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.threads import deferToThread
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSServerError
from twisted.names.server import DNSServerFactory

from tests.daemon import Daemon, free_port
from tests.net.site import SiteTestCase
from tests.net.wire import Wire, WireFactory, certificates

reactor: Any = _reactor
INDEX = b'<h1>Index of /</h1><ul><li><a href="console.html">console.html</a></li></ul>'
CONSOLE = b"2016-01-01 00:00:00.123 | all is well\n"
PIECE = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + INDEX


class UpstreamTestCase(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.broken: Callable[[Wire, str], bool] = lambda _wire, _path: False
        """Whether it has answered in its own way."""

    def answer(self, wire: Wire, head: bytes) -> None:
        path = head.split()[1].decode().removeprefix("/job/")
        if self.broken(wire, path):
            return
        body = {"": INDEX, "console.html": CONSOLE}.get(path)
        if body is None:
            wire.answer(b"", status=b"404 Not Found")
        else:
            wire.answer(body)

    def config(self, *places: str, **more: Any) -> dict[str, Any]:
        return super().config(*places, limits={"fetch_seconds": 20, "task_seconds": 90}, **more)

    def end(self, daemon: Daemon, place: str, scheme: str = "http") -> dict[str, Any]:
        """Of a scrape; what failed must have left its message in the log."""
        status, answer = daemon.post("/api/scrape", {"url": f"{scheme}://{place}/job/", "force": True})
        self.assertEqual(status, 202, answer)
        end = daemon.wait(answer["uuid"])
        if end["status"] == "error":
            log = daemon.log.read_text()
            self.assertIn(f"{answer['uuid']} is error: {end['message'][:60]}", log)
            self.assertEqual(daemon.post("/api/task", {"q": answer["uuid"]})[0], 422)
        self.assertEqual(daemon.request("GET", "/health/ready")[0], 200)  # it is not ours
        return end


def reset(wire: Wire, *first: bytes) -> bool:
    """RST, after these bytes."""
    wire.send(*first)
    if first:  # they go out at once, an abort would drop them
        wire.transport.doWrite()
    wire.transport.setTcpNoDelay(True)
    wire.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wire.transport.abortConnection()
    return True


class Breaker(Wire):
    def dataReceived(self, _data: bytes) -> None:
        reset(self)


class ResetTests(UpstreamTestCase):
    def test_each_stage(self) -> Deferred[None]:
        return deferToThread(self._each_stage)

    def _each_stage(self) -> None:
        closed = free_port()
        place = f"127.0.0.1:{self.port}"
        stages: dict[str, Callable[[Wire, str], bool]] = {
            "before headers": lambda wire, _path: reset(wire),
            "in the headers": lambda wire, _path: reset(wire, b"HTTP/1.1 200 OK\r\nContent-"),
            "in a listing": lambda wire, path: path == "" and reset(wire, PIECE),
            "between listing and files": lambda wire, path: path == "console.html" and reset(wire),
            "in a file": lambda wire, path: path == "console.html" and reset(wire, PIECE),
        }
        with Daemon(self.base / "d", self.config(place, f"127.0.0.1:{closed}")) as daemon:
            end = self.end(daemon, f"127.0.0.1:{closed}")
            self.assertEqual((end["status"], end["error"]), ("error", "upstream-unreachable"))
            self.assertIn("refused", end["message"])
            for stage, broken in stages.items():
                self.broken = broken
                end = self.end(daemon, place)
                self.assertEqual((end["status"], end.get("error")), ("error", "upstream-unreachable"), stage)
                self.assertIn(place, end["message"], stage)
                self.assertNotIn("artifacts", end)
            # once is not for ever: the next try is the one that counts
            seen: list[str] = []
            self.broken = lambda wire, path: (
                seen.append(path) or (seen.count(path) == 1 and reset(wire, PIECE))
            )
            self.assertEqual(self.end(daemon, place)["status"], "finished")
            self.broken = lambda _wire, _path: False
            self.assertEqual(self.end(daemon, place)["status"], "finished")

    def test_tls(self) -> Deferred[None]:
        """One who resets in the handshake, and one whose certificate nobody signed."""
        _, server = certificates("127.0.0.1")
        secret = WireFactory(self.answer)
        port = secret.listen(tls=server)
        self.addCleanup(lambda: Deferred.fromCoroutine(secret.close()))
        self.factory.protocol = Breaker
        return deferToThread(self._tls, f"127.0.0.1:{self.port}", f"127.0.0.1:{port}")

    def _tls(self, resetting: str, unsigned: str) -> None:
        with Daemon(self.base / "d", self.config(resetting, unsigned)) as daemon:
            for place in (resetting, unsigned):
                end = self.end(daemon, place, "https")
                self.assertEqual(end.get("error"), "upstream-unreachable", end)
                self.assertIn(place, end["message"])

    def test_look_up(self) -> Deferred[None]:
        """A Gerrit and a Zuul that reset: the look-up says who, and answers when they are back."""
        return deferToThread(self._look_up)

    def _look_up(self) -> None:
        server = {"url": f"http://127.0.0.1:{self.port}/"}
        with Daemon(self.base / "d", self.config(gerrits=[server])) as daemon:
            for broken in (
                lambda wire, _path: reset(wire),
                lambda wire, _path: reset(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n)]}'\n{"),
            ):
                self.broken = broken
                status, answer = daemon.post("/api/list", {"q": "271726"})
                self.assertEqual((status, answer["error"]), (502, "upstream-unreachable"), answer)
                self.assertIn(f"127.0.0.1:{self.port}", answer["message"])
                self.assertIn("/api/list answered 502: upstream-unreachable", daemon.log.read_text())
            self.broken = lambda _wire, _path: False
            status, answer = daemon.post("/api/list", {"q": "271726"})
            self.assertEqual((status, answer["error"]), (404, "not-found"), answer)  # it speaks again


class Names:
    """A name server that fails as it is told to."""

    def __init__(self) -> None:
        self.mode = "NXDOMAIN"

    def query(self, query: Any, timeout: Any = None) -> Any:
        if self.mode == "silent":
            return Deferred()
        if self.mode != "ok":
            return fail({"NXDOMAIN": DNSNameError, "SERVFAIL": DNSServerError}[self.mode](dns.Message()))
        if query.type != dns.A:
            return succeed(([], [], []))
        name = query.name.name.decode()
        return succeed(([dns.RRHeader(name, dns.A, ttl=0, payload=dns.Record_A("127.0.0.1", 0))], [], []))


class DnsTests(UpstreamTestCase):
    def test_names(self) -> Deferred[None]:
        names = Names()
        factory = DNSServerFactory()
        factory.resolver = names
        factory.noisy = False
        protocol = dns.DNSDatagramProtocol(factory)
        protocol.noisy = False
        listening = reactor.listenUDP(0, protocol, interface="127.0.0.1")
        self.addCleanup(lambda: maybeDeferred(listening.stopListening))
        return deferToThread(self._names, names, listening.getHost().port)

    def _names(self, names: Names, port: int) -> None:
        place = f"logs.example:{self.port}"
        daemon = Daemon(self.base / "d", self.config(place), instruments=[f"dns={port}"])
        with daemon:
            for names.mode in ("NXDOMAIN", "SERVFAIL", "silent"):
                end = self.end(daemon, place)
                self.assertEqual(end.get("error"), "upstream-unreachable", (names.mode, end))
                self.assertIn(f"The host {place} is not known (DNS).", end["message"])
            names.mode = "ok"
            self.assertEqual(self.end(daemon, place)["status"], "finished")
