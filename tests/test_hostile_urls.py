# SPDX-License-Identifier: Apache-2.0
"""hostile_urls.txt through the front door, by every way that a URL can come: no canary may be reached.

The canaries are real listeners on the loopback, IPv4 and IPv6.  Beside them, on 127.0.0.9, stands the
one server that the daemon may talk to, a log server and a Zuul; it says what a line of the table says
wherever an answer of such a server may hold a URL.
"""

import contextlib
import html
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from attrs import frozen
from twisted.internet import reactor as _reactor
from twisted.internet.defer import maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.names import dns
from twisted.names.server import DNSServerFactory
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from stackviz_deployer.net.hosts import parse_place
from tests.daemon import Daemon, free_port
from tests.fake_gerrit import JENKINS, FakeGerrit, change
from tests.fake_gerrit import message as comment
from tests.fake_zuul import NOVA, FakeZuul, build

reactor: Any = _reactor
TABLE = Path(__file__).with_name("hostile_urls.txt")
SERVER = "127.0.0.9"
NAMES = {
    "loopback.example": "127.0.0.1",
    "six.example": "[::1]",
    "mapped.example": "[::ffff:127.0.0.1]",
    "nat64.example": "[64:ff9b::7f00:1]",
    "metadata.example": "169.254.169.254",
    "private.example": "192.168.1.1",
}
CHARACTERS = {"<TAB>": "\t", "<CR>": "\r", "<LF>": "\n", "<NUL>": "\0", "<SP>": " "}
FORM = "query-not-understood"
REFUSALS = {"address-refused", "host-not-allowed", FORM, "upstream-invalid"}


@frozen
class Line:
    code: str
    url: str

    @property
    def place(self) -> str | None:
        """``host[:port]`` for the allow-list, where the URL has one that such a list can hold."""
        if self.code == FORM:
            return None
        netloc = urlsplit(self.url).netloc
        host, port = parse_place(netloc)
        port = port or 80
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def table(port: int, server: str) -> list[Line]:
    lines = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            code, url = line.split(maxsplit=1)
            url = url.replace("{port}", str(port)).replace("{server}", server)
            for written, character in CHARACTERS.items():
                url = url.replace(written, character)
            lines.append(Line(code, url))
    return lines


class Canary(Protocol):
    def connectionMade(self) -> None:
        self.factory.reached.append(str(self.transport.getPeer()))
        self.transport.loseConnection()


class Server(Resource):
    """The allowed one.  ``/<way>/<n>/...`` is about line ``n`` of the table."""

    isLeaf = True

    def __init__(self, answer: Callable[[str, int, str], tuple[int, bytes | str]]) -> None:
        super().__init__()
        self.answer = answer
        self.zuul: FakeZuul | None = None
        self.gerrit: FakeGerrit | None = None
        self.asked: Counter[str] = Counter()

    def render_GET(self, request: Request) -> bytes | int:
        path = request.path.decode()
        if path.startswith("/api/") and self.zuul is not None:
            return self.zuul.render_GET(request)
        if path.startswith("/changes/") and self.gerrit is not None:
            return self.gerrit.render_GET(request)
        _, way, number, rest = (*path.split("/", 3), "", "", "")[:4]
        self.asked[f"{way}/{rest}"] += 1
        request.setHeader("connection", "close")
        code, value = self.answer(way, int(number or 0), rest)
        request.setResponseCode(code)
        if code == 302:
            request.responseHeaders.setRawHeaders("location", [value])
            return b""
        request.setHeader("content-type", "text/html; charset=utf-8")
        return value if isinstance(value, bytes) else value.encode()


class HostileTestCase(TestCase):
    timeout = 180

    def setUp(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="stackviz-deployer-"))
        self.addCleanup(shutil.rmtree, self.base)
        self.canary = Factory.forProtocol(Canary)
        self.canary.noisy = False
        self.canary.reached = []
        self.port = self.listen(0, self.canary, "127.0.0.1")
        self.listen(self.port, self.canary, "127.0.0.2")
        self.listen(self.port, self.canary, "127.255.255.254")
        with contextlib.suppress(CannotListenError):  # without IPv6 there is nothing to be reached, either
            self.listen(self.port, self.canary, "::1")
        self.server = Server(self.answer)
        site = Site(self.server)
        site.noisy = False
        self.place = f"{SERVER}:{self.listen(self.port, site, SERVER)}"
        self.lines = table(self.port, self.place)

    def listen(self, port: int, factory: Any, interface: str) -> int:
        listening = reactor.listenTCP(port, factory, interface=interface)
        self.addCleanup(lambda: maybeDeferred(listening.stopListening))
        return int(listening.getHost().port)

    def url(self, way: str, number: int = 0) -> str:
        return f"http://{self.place}/{way}/{number}/"

    def answer(self, way: str, number: int, rest: str) -> tuple[int, bytes | str]:
        hostile = self.lines[number].url
        if way == "moved" or (way == "moved-file" and rest == "testrepository.subunit"):
            # a server may send any bytes but those that end the header
            return 302, hostile.translate({ord(c): "%0" for c in "\r\n\0"}).encode()
        if way == "moved-file" and not rest:
            return (
                200,
                '<h1>Index of /</h1><ul><li><a href="testrepository.subunit">testrepository.subunit</a></ul>',
            )
        if way == "links" and rest in ("", "logs/"):
            rows = [
                f'<li><a href="{html.escape(line.url + tail)}">{tail or "logs/"}</a></li>'
                for line in self.lines
                for tail in ("", "logs/", "testrepository.subunit")
            ]
            return 200, f"<h1>Index of /</h1><ul>{''.join(rows)}<li><a href='logs/'>logs/</a></li></ul>"
        if way == "names" and rest == "zuul-manifest.json":
            return 200, json.dumps(
                {
                    "tree": [
                        {"name": name, "mimetype": "text/plain", "size": 1}
                        for line in self.lines
                        for name in (
                            line.url + "testrepository.subunit",
                            f"../../{line.url}/console.html",
                            f"//{line.url}/x.subunit",
                            f"@{line.url}",
                        )
                    ]
                    + [{"name": "console.html?" + quote(self.lines[0].url), "mimetype": "text/plain"}]
                }
            )
        return 404, b""

    def daemon(self, *, listed: bool = False, **more: Any) -> Daemon:
        """One that may talk to the server; with ``listed`` all hosts of the table are in its log_hosts."""
        places = {line.place for line in self.lines if line.place is not None} if listed else set()
        config = {
            "gerrits": [],
            "zuuls": [{"url": f"http://{self.place}/", "tenants": ["openstack"]}],
            "log_hosts": [self.place, *sorted(places)],
            "resolve": NAMES,
            "private_networks": [f"{SERVER}/32"],
            "workers": 2,
            "limits": {"fetch_seconds": 20, "task_seconds": 60},
        }
        return Daemon(self.base / ("listed" if listed else "plain"), config | more)

    def ends(self, daemon: Daemon, urls: Sequence[str]) -> list[tuple[str, str]]:
        """Code and message with which the scrape of each URL ends."""
        answers = [daemon.post("/api/scrape", {"url": url}) for url in urls]
        ended = []
        for status, answer in answers:
            end = daemon.wait(answer["uuid"]) if status == 202 else answer
            ended.append((end.get("error") or end["status"], end.get("message") or ""))
        return ended

    def silent(self) -> None:
        self.assertEqual(self.canary.reached, [])


class TableTests(HostileTestCase):
    def test_pasted(self) -> None:
        """Into the page, and sent as a job to be scraped."""
        return deferToThread(self._pasted)

    def _pasted(self) -> None:
        self.assertGreaterEqual(len(self.lines), 60)
        with self.daemon() as daemon:
            for line in self.lines:
                for call, body in (("list", {"q": line.url}), ("scrape", {"url": line.url})):
                    status, answer = daemon.post(f"/api/{call}", body)
                    self.assertIn(status, (400, 422), (call, line, answer))
                    self.assertIn(answer["error"], ("host-not-allowed", FORM), (call, line, answer))
                    self.assertGreater(len(answer["message"]), 20)
                    self.assertNotIn("secret", answer["message"])
        self.assertEqual(self.server.asked, {})
        self.silent()

    def test_pasted_where_everything_is_listed(self) -> None:
        """The address guard stands alone, and suffices."""
        return deferToThread(self._pasted_where_everything_is_listed)

    def _pasted_where_everything_is_listed(self) -> None:
        with self.daemon(listed=True) as daemon:
            for line in self.lines:
                daemon.post("/api/list", {"q": line.url})
            ends = self.ends(daemon, [line.url for line in self.lines])
        for line, (code, message) in zip(self.lines, ends, strict=True):
            self.assertEqual(code, line.code, (line, message))
        self.silent()

    def test_redirects(self) -> None:
        """Of the job's directory and of a file in it."""
        return deferToThread(self._redirects)

    def _redirects(self) -> None:
        for listed in (False, True):
            with self.daemon(listed=listed) as daemon:
                for way in ("moved", "moved-file"):
                    ends = self.ends(daemon, [self.url(way, n) for n in range(len(self.lines))])
                    for line, (code, message) in zip(self.lines, ends, strict=True):
                        if line.code != FORM:
                            expected = {"address-refused"} if listed else {"host-not-allowed", "not-found"}
                            if way == "moved" or not listed:
                                expected |= {"not-found", "host-not-allowed"}
                            self.assertIn(code, expected, (way, line, message))
                        else:  # some are paths of the server itself, where there is nothing
                            self.assertIn(
                                code, REFUSALS | {"not-found", "upstream-error"}, (way, line, message)
                            )
            self.assertGreaterEqual(self.server.asked["moved-file/testrepository.subunit"], len(self.lines))
        self.silent()

    def test_answers_of_zuul(self) -> None:
        """``log_url`` and the manifest's address."""
        return deferToThread(self._answers_of_zuul)

    def _answers_of_zuul(self) -> None:
        builds = []
        for n, line in enumerate(self.lines):
            builds.append(build(NOVA, f"logs-{n}", f"{n:032x}", log_url=line.url, manifest=False))
            named = build(
                NOVA, f"named-{n}", f"{n + 1000:032x}", log_url=self.url("named") + f"{n + 1000:032x}/"
            )
            for artifact in named["artifacts"]:
                artifact["url"] = f"{line.url}zuul-manifest.json"
            builds.append(named)
        self.server.zuul = FakeZuul({"openstack": builds})
        for listed in (False, True):
            with self.daemon(listed=listed) as daemon:
                for n, line in enumerate(self.lines):
                    status, answer = daemon.post("/api/list", {"q": f"{n:032x}"})
                    self.assertEqual((status, len(answer["results"])), (200, 1), answer)
                    (entry,) = answer["results"]
                    if not listed or line.code == FORM:
                        self.assertIsNone(entry["url"], (line, entry))
                        self.assertTrue(entry["reason"], line)
                    status, answer = daemon.post("/api/scrape", {**entry, "url": line.url})
                    if status == 202:
                        answer = daemon.wait(answer["uuid"])
                    self.assertIn(answer["error"], REFUSALS, (line, answer))
                self.server.asked.clear()
                urls = [f"{self.url('named')}{n + 1000:032x}/" for n in range(len(self.lines))]
                for line, (code, message) in zip(self.lines, self.ends(daemon, urls), strict=True):
                    self.assertEqual(code, "not-found", (line, message))
                own = [name for name in self.server.asked if name.endswith("/zuul-manifest.json")]
                self.assertEqual(len(own), len(self.lines))  # what the server has itself was read instead
        self.silent()

    def test_answers_of_gerrit(self) -> None:
        """What a CI's comment names as the place of its logs."""
        return deferToThread(self._answers_of_gerrit)

    def _answers_of_gerrit(self) -> None:
        lines = "\n".join(f"- gate-{n} {line.url} : SUCCESS in 1m 00s" for n, line in enumerate(self.lines))
        text = f"Patch Set 1: Verified+1\n\nBuild succeeded (check pipeline).\n\n{lines}\n"
        said = comment(JENKINS, "2016-01-22 20:11:00", text, 1)
        self.server.gerrit = FakeGerrit([change(4711, "openstack/nova", "Hostile", 1, [said])])
        gerrit = {"gerrits": [{"url": f"http://{self.place}/"}], "zuuls": []}
        for listed in (False, True):
            with self.daemon(listed=listed, **gerrit) as daemon:
                status, answer = daemon.post("/api/list", {"q": "4711"})
                self.assertEqual(status, 200, answer)
                entries = answer["results"]
                self.assertGreater(len(entries), 20)  # most lines are ones of a comment's grammar
                offered = [entry for entry in entries if entry["url"] is not None]
                if not listed:
                    self.assertEqual(offered, [])
                    self.assertTrue(all(entry["reason"] for entry in entries))
                else:
                    self.assertTrue(offered)  # the guard is asked, not the list alone
                urls = [entry["url"] for entry in offered] + [line.url for line in self.lines]
                for url, (code, words) in zip(urls, self.ends(daemon, urls), strict=True):
                    self.assertIn(code, REFUSALS, (url, words))
        self.silent()

    def test_links_and_names(self) -> None:
        """Of an index page and of a manifest."""
        return deferToThread(self._links_and_names)

    def _links_and_names(self) -> None:
        for listed in (False, True):
            with self.daemon(listed=listed) as daemon:
                for code, message in self.ends(daemon, [self.url("links"), self.url("names")]):
                    self.assertIn(code, ("no-artifacts", "upstream-error"), message)
        self.silent()


class OwnTests(HostileTestCase):
    def test_its_own_endpoint(self) -> None:
        """And that of its metrics; also where private_networks and log_hosts would let it through."""
        return deferToThread(self._its_own_endpoint)

    def _its_own_endpoint(self) -> None:
        daemon = Daemon(self.base / "own")
        metrics = free_port()
        places = [
            f"{host}:{port}"
            for port in (daemon.port, metrics)
            for host in ("127.0.0.1", "localhost", "0x7f.1", "own.example")
        ]
        config = {
            "metrics": f"tcp:{metrics}:interface=127.0.0.1",
            "gerrits": [],
            "zuuls": [],
            "log_hosts": [*places, self.place],
            "resolve": {"own.example": "127.0.0.1"},
            "private_networks": ["127.0.0.0/8", "::1/128"],
        }
        daemon.config.write_text(json.dumps(config))
        self.lines = [Line("", f"http://{place}/health/") for place in places]
        with daemon:
            pasted = [line.url for line in self.lines]
            moved = [self.url("moved", n) for n in range(len(self.lines))]
            for code, message in self.ends(daemon, pasted + moved):
                self.assertEqual(code, "address-refused", message)
                self.assertIn("it does not ask itself", message)
        self.silent()


class Turncoat:
    """A name server that gives another answer each time: rebinding."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def query(self, query: Any, timeout: Any = None) -> Any:
        name = query.name.name.decode()
        if query.type == dns.A:
            self.asked.append(name)
        now = self.answers[min(max(len(self.asked) - 1, 0), len(self.answers) - 1)]
        rows = [
            dns.RRHeader(name, record.TYPE, ttl=0, payload=record)
            for record in (dns.Record_AAAA(one, 0) if ":" in one else dns.Record_A(one, 0) for one in now)
            if query.type == record.TYPE
        ]
        return succeed((rows, [], []))


class RebindingTests(HostileTestCase):
    async def test_rebinding(self) -> None:
        """A listed name that is the server at first, and this machine when the daemon comes back."""
        turncoat = await self.turn([SERVER], ["127.0.0.1"])
        self.assertGreater(len(turncoat.asked), 1)
        self.assertEqual(sum(self.server.asked.values()), 1)  # as long as the name was the server's
        self.silent()

    async def test_rebinding_to_and_fro(self) -> None:
        await self.turn(*[[SERVER], ["127.0.0.1", "::1"]] * 20)
        self.silent()

    async def test_both_at_once(self) -> None:
        """Of several addresses those that are allowed are tried, and no other."""
        await self.turn(["127.0.0.1", "::1", "127.0.0.2", SERVER, "169.254.169.254"], code="not-found")
        self.assertGreaterEqual(sum(self.server.asked.values()), 2)
        self.silent()

    async def turn(self, *answers: list[str], code: str = "address-refused") -> Turncoat:
        turncoat = Turncoat(*answers)
        factory = DNSServerFactory()
        factory.resolver = turncoat
        factory.noisy = False
        protocol = dns.DNSDatagramProtocol(factory)
        protocol.noisy = False
        listening = reactor.listenUDP(0, protocol, interface="127.0.0.1")
        self.addCleanup(lambda: maybeDeferred(listening.stopListening))
        config = {
            "gerrits": [],
            "zuuls": [],
            "log_hosts": [f"rebind.example:{self.port}"],
            "private_networks": [f"{SERVER}/32"],
        }
        daemon = Daemon(self.base / "dns", config, instruments=[f"dns={listening.getHost().port}"])

        def scrape() -> None:
            with daemon:
                ((found, message),) = self.ends(daemon, [f"http://rebind.example:{self.port}/x/0/"])
            self.assertEqual(found, code, message)

        await deferToThread(scrape)
        self.assertTrue(turncoat.asked)
        return turncoat
