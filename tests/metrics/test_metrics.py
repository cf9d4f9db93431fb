# SPDX-License-Identifier: Apache-2.0
"""The counters, their page, and the bounds of their labels."""

import ast
import socket
from pathlib import Path
from threading import get_ident
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent, readBody

from stackviz_deployer.config import Config, stated_limits
from stackviz_deployer.interfaces import Meters, NoMeters
from stackviz_deployer.limits import counted_limits
from stackviz_deployer.metrics.catalogue import FAMILIES, Kind
from stackviz_deployer.metrics.lag import EVERY_S, LagProbe
from stackviz_deployer.metrics.meters import MAX_CHILDREN, OTHER, PrometheusMeters
from stackviz_deployer.metrics.page import MOST_CONNECTIONS, WHOLE_S, MetricsSite
from stackviz_deployer.web.admin import AdminApi
from stackviz_deployer.web.api import Api
from stackviz_deployer.web.health import Health
from stackviz_deployer.web.names import Names
from stackviz_deployer.web.routes import Routes
from stackviz_deployer.web.site import UNPREFIXED
from tests.limits.page import operators
from tests.web.fakes import CountingMeters

PACKAGE = Path(__file__).resolve().parent.parent.parent / "stackviz_deployer"
MOUNTED = {"": Health.app.url_map, "/api": Api.app.url_map, "/api/admin": AdminApi.app.url_map}
ROUTES = Routes(MOUNTED, UNPREFIXED)
UNNUMBERED = {"hosts"}
"""What is counted as a limit and has no number."""


def read(meters: PrometheusMeters) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels."""
    text = meters.snapshot()().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class MeterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.meters = PrometheusMeters()

    def test_counts_and_observations(self) -> None:
        for _ in range(3):
            self.meters.count("requests", route="/api/list", status="2xx")
        self.meters.count("fetched_bytes", 1000)
        self.meters.observe("request_seconds", 0.02, route="/api/list")
        samples = read(self.meters)
        labels = (("route", "/api/list"), ("status", "2xx"))
        self.assertEqual(samples["stackviz_requests_total", labels], 3)
        self.assertEqual(samples["stackviz_fetched_bytes_total", ()], 1000)
        bucket = "stackviz_request_seconds_bucket"
        self.assertEqual(samples[bucket, (("le", "0.005"), ("route", "/api/list"))], 0)
        self.assertEqual(samples[bucket, (("le", "0.025"), ("route", "/api/list"))], 1)

    def test_gauges_are_asked_each_time(self) -> None:
        facts = {"ready": 1, "busy": 0}
        self.meters.gauge("workers", lambda: facts)
        self.meters.gauge("queue_length", lambda: 7)
        self.assertEqual(read(self.meters)["stackviz_workers", (("state", "ready"),)], 1)
        facts["ready"] = 2
        samples = read(self.meters)
        self.assertEqual(samples["stackviz_workers", (("state", "ready"),)], 2)
        self.assertEqual(samples["stackviz_queue_length", ()], 7)

    def test_broken_gauge_hides_no_other(self) -> None:
        self.meters.gauge("queue_length", lambda: 1 / 0)
        self.meters.gauge("tasks_running", lambda: 2)
        samples = read(self.meters)
        self.assertNotIn(("stackviz_queue_length", ()), samples)
        self.assertEqual(samples["stackviz_tasks_running", ()], 2)

    def test_labels_are_bounded_whoever_errs(self) -> None:
        for n in range(10 * MAX_CHILDREN):
            self.meters.count("tasks", result="error", reason=f"reason-{n}")
        found = {
            (dict(labels)["result"], dict(labels)["reason"]): value
            for (name, labels), value in read(self.meters).items()
            if name == "stackviz_tasks_total"
        }
        self.assertEqual(len(found), MAX_CHILDREN + 1)
        self.assertEqual(found[OTHER, OTHER], 9 * MAX_CHILDREN)

    def test_other_labels_than_the_catalogues_are_a_mistake(self) -> None:
        self.assertRaises(ValueError, self.meters.count, "requests", status="2xx")
        self.assertRaises(KeyError, self.meters.count, "colours")
        self.assertRaises(ValueError, self.meters.gauge, "requests", lambda: 1)

    def test_the_null_one_takes_the_same(self) -> None:
        meters: Meters = NoMeters()
        meters.count("requests", route="/", status="2xx")
        meters.observe("request_seconds", 1.0, route="/")


class CallTests(SynchronousTestCase):
    """Every call in the package, compared with the catalogue: most run only when something fails."""

    def calls(self) -> list[tuple[str, ast.Call]]:
        found = []
        for path in PACKAGE.rglob("*.py"):
            if "public" in path.relative_to(PACKAGE).parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Attribute)
                    and node.func.attr in ("count", "observe")
                    and ast.unparse(node.func.value).endswith("meters")
                ):
                    found.append((f"{path.name}:{node.lineno}", node))
        return found

    def test_names_and_labels(self) -> None:
        calls = self.calls()
        self.assertGreater(len(calls), 12)
        told = set()
        for where, call in calls:
            name = ast.literal_eval(call.args[0])
            family = FAMILIES[name]
            wanted = Kind.COUNTER if call.func.attr == "count" else Kind.HISTOGRAM
            self.assertIs(family.kind, wanted, where)
            self.assertEqual(tuple(keyword.arg for keyword in call.keywords), family.labels, where)
            told.add(name)
        untold = {family.name for family in FAMILIES.values() if family.kind is not Kind.GAUGE} - told
        self.assertEqual(untold, set())

    def test_limits_that_are_hit_are_stated(self) -> None:
        stated = stated_limits(Config()).keys() | counted_limits().keys() | UNNUMBERED
        named = {
            node.value
            for _, call in self.calls()
            if ast.literal_eval(call.args[0]) == "limit_hits"
            for node in ast.walk(call.keywords[0].value)
            if isinstance(node, ast.Constant)
        }
        self.assertGreater(len(named), 3)
        self.assertEqual(named - stated, set())

    def test_the_documented_limits_are_those_of_the_gauge_and_of_the_counters(self) -> None:
        rows = {row.name: (row.number, row.cells[1] == "yes") for row in operators()}
        defaults = {**stated_limits(Config()), **counted_limits()}
        self.assertEqual(
            {**{name: number for name, (number, _) in rows.items()}, "workers": 0}, {**defaults, "workers": 0}
        )
        texts = {
            node.value
            for path in PACKAGE.rglob("*.py")
            if "public" not in path.relative_to(PACKAGE).parts and path.name not in ("config.py", "limits.py")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        self.assertEqual(
            {name for name, (_, counted) in rows.items() if counted},
            texts & rows.keys() - {"workers", "scrapes"},
        )

    def test_each_configured_limit_is_stated(self) -> None:
        limits = stated_limits(Config())
        self.assertEqual(limits["limits.artifact_bytes"], 512 << 20)
        self.assertEqual(limits["limits.task_seconds"], 600)
        self.assertEqual(limits["scrapes"], 4)


class RouteTests(SynchronousTestCase):
    def test_patterns(self) -> None:
        for path, pattern in (
            (b"/", "/"),
            (b"/js/lib/x.js", "static"),
            (b"/go/https://x/", "/go/"),
            (b"/s/9/data/config.json", "/s/<uuid>/"),
            (b"/api/list", "/api/list"),
            (b"/list", "/api/list"),
            (b"/api/list/", "/api/list"),
            (b"/blob/1", "/api/blob/<artifact_id>"),
            (b"/api/blob/1/blocks/2-3", "/api/blob/<artifact_id>/blocks/<span>"),
            (b"/health/ready", "/health/ready"),
            (b"/api/admin/tasks", "/api/admin/tasks"),
            (b"/api/admin/tasks/9", "/api/admin/tasks/<task_id>"),
            (b"/api/admin/tasks/9/pin", "/api/admin/tasks/<task_id>/pin"),
            (b"/api/admin/9", "other"),
            (b"/api", "other"),
            (b"/api/blob/1/2/3", "other"),
            (b"*", "other"),
            (b"", "other"),
        ):
            self.assertEqual(ROUTES.of(path), pattern, path)

    def test_each_route_of_the_api_has_its_pattern(self) -> None:
        for prefix, routes in MOUNTED.items():
            for rule in routes.iter_rules():
                self.assertIn(prefix + rule.rule, ROUTES.patterns)

    @given(st.binary(max_size=60).map(lambda rest: b"/" + rest) | st.binary(max_size=20))
    def test_nothing_that_is_sent_becomes_a_label(self, path: bytes) -> None:
        for sent in (path, b"/api" + path, b"/api/blob" + path, b"/blob" + path):
            self.assertIn(ROUTES.of(sent), ROUTES.patterns)

    def test_there_are_few(self) -> None:
        self.assertLess(len(ROUTES.patterns) * 6, MAX_CHILDREN)


class LagTests(SynchronousTestCase):
    def test_late_timers_are_seen(self) -> None:
        clock, meters = Clock(), PrometheusMeters()
        probe = LagProbe(clock, meters)
        probe.startService()
        clock.advance(0)
        clock.advance(EVERY_S)
        clock.advance(EVERY_S + 0.2)
        clock.advance(EVERY_S)
        self.assertAlmostEqual(probe.max_s, 0.2)
        samples = read(meters)
        self.assertEqual(samples["stackviz_reactor_lag_seconds_count", ()], 3)
        self.assertEqual(samples["stackviz_reactor_lag_seconds_bucket", (("le", "0.15"),)], 2)
        self.assertEqual(samples["stackviz_reactor_lag_seconds_bucket", (("le", "0.25"),)], 3)
        probe.stopService()
        self.assertEqual(clock.getDelayedCalls(), [])


class PageTests(TestCase):
    timeout = 60

    site: MetricsSite

    def listen(self, snapshot: Any, in_thread: Any = deferToThread, clock: Any = reactor) -> str:
        self.meters = CountingMeters()
        named = Names(["prom.example"]).include
        self.site = MetricsSite(snapshot, in_thread, clock, named=named, meters=self.meters)
        port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.number = port.getHost().port
        return f"http://127.0.0.1:{port.getHost().port}"

    async def get(self, url: str) -> tuple[int, bytes]:
        answer = await Agent(reactor).request(b"GET", url.encode())
        return answer.code, await readBody(answer)

    async def test_page(self) -> None:
        meters = PrometheusMeters()
        meters.count("fetched_bytes", 5)
        base = self.listen(meters.snapshot)
        status, text = await self.get(f"{base}/metrics")
        self.assertEqual(status, 200)
        self.assertIn(b"\nstackviz_fetched_bytes_total 5.0\n", text)
        self.assertIn(b"process_resident_memory_bytes", text)
        for other in ("/", "/other"):
            self.assertEqual((await self.get(base + other))[0], 404)

    async def test_the_text_is_written_away_from_the_reactor_once_for_all_who_ask(self) -> None:
        here, threads, started = get_ident(), [], []
        gate: Deferred[None] = Deferred()

        def snapshot() -> Any:
            self.assertEqual(get_ident(), here)
            started.append(True)
            return lambda: (threads.append(get_ident()), b"text\n")[1]

        def in_thread(write: Any) -> Deferred[bytes]:
            return gate.addCallback(lambda _: deferToThread(write))

        base = self.listen(snapshot, in_thread)
        asked = [Deferred.fromCoroutine(self.get(f"{base}/metrics")) for _ in range(5)]
        page = await deferToThread(lambda: None)
        while len(self.site.resource.children[b"metrics"]._waiting) < 5:
            await deferToThread(lambda: None)
        gate.callback(page)
        for one in asked:
            self.assertEqual(await one, (200, b"text\n"))
        self.assertEqual(len(started), 1)
        self.assertNotIn(here, threads)

    async def test_failure_is_told(self) -> None:
        base = self.listen(lambda: bytes, lambda _write: fail(ZeroDivisionError()))
        self.assertEqual((await self.get(f"{base}/metrics"))[0], 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def ask(self, head: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.number), timeout=20) as s:
            s.sendall(head + b"\r\n")
            got = b""
            while chunk := s.recv(65536):
                got += chunk
            return got

    async def test_a_monitor_that_closes_its_half_reads_the_text(self) -> None:
        """``printf 'GET /metrics ...' | nc -N``."""
        gate: Deferred[None] = Deferred()
        self.listen(lambda: lambda: b"text\n", lambda write: gate.addCallback(lambda _: deferToThread(write)))

        def talk() -> bytes:
            with socket.create_connection(("127.0.0.1", self.number), timeout=20) as s:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                s.shutdown(socket.SHUT_WR)
                reactor.callFromThread(reactor.callLater, 0.05, gate.callback, None)
                return b"".join(iter(lambda: s.recv(65536), b""))

        self.assertTrue((await deferToThread(talk)).endswith(b"\r\ntext\n"))

    async def test_a_monitor_that_closes_its_half_of_a_request_is_gone(self) -> None:
        self.listen(lambda: lambda: b"text\n")

        def talk(sent: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", self.number), timeout=20) as s:
                s.sendall(sent)
                s.shutdown(socket.SHUT_WR)
                return s.recv(65536)

        for sent in (b"", b"GET /met"):
            self.assertEqual(await deferToThread(talk, sent), b"")
        self.assertEqual(len(self.site.connections), 0)

    async def test_names(self) -> None:
        """A page of another name, pointed here by DNS, reads nothing; a monitor asks by ours."""
        self.listen(lambda: lambda: b"text\n")
        close = b"Connection: close\r\n"
        for host, wanted in (
            (b"127.0.0.1:9109", 200),
            (b"localhost", 200),
            (b"prom.example:9109", 200),
            (b"evil.example", 421),
            (b"127.0.0.1.evil.example", 421),
            (b"127.0.0.2", 421),
            (b"\xff", 421),
            (b"", 421),
            (b"localhost\r\nHost: evil.example", 421),
        ):
            for path in (b"/metrics", b"/"):
                head = b"GET %s HTTP/1.1\r\nHost: %s\r\n%s" % (path, host, close)
                got = await deferToThread(self.ask, head)
                self.assertEqual(int(got.split()[1]), 404 if (wanted, path) == (200, b"/") else wanted, host)
                self.assertNotIn(b"evil", got)
                self.assertEqual(got.endswith(b"\r\n\r\ntext\n"), (wanted, path) == (200, b"/metrics"))
                self.assertIn(b"\r\nX-Content-Type-Options: nosniff\r\n", got)
        self.assertEqual(self.meters.counts["limit_hits,hosts"], 12)
        self.assertIn(b" 421 ", await deferToThread(self.ask, b"GET /metrics HTTP/1.1\r\n" + close))
        self.assertTrue((await deferToThread(self.ask, b"GET /metrics HTTP/1.0\r\n")).endswith(b"text\n"))

    async def test_who_holds_connections_keeps_no_monitor_out(self) -> None:
        base = self.listen(lambda: lambda: b"text\n")
        held = []
        for _ in range(MOST_CONNECTIONS + 2):
            held.append(socket.create_connection(("127.0.0.1", self.number), timeout=20))
            self.addCleanup(held[-1].close)
            held[-1].sendall(b"GET /metrics HT")
        while self.meters.counts["limit_hits,metrics_connections"] < 2:
            await deferToThread(lambda: None)
        self.assertEqual(len(self.site.connections), MOST_CONNECTIONS)
        for oldest in held[:2]:
            with self.assertRaises(ConnectionResetError):
                await deferToThread(oldest.recv, 1)
        self.assertEqual(await self.get(f"{base}/metrics"), (200, b"text\n"))
        held[-1].sendall(b"TP/1.0\r\n\r\n")
        answer = await deferToThread(held[-1].recv, 1000)
        self.assertTrue(answer.startswith(b"HTTP/1.0 200 "), answer)
        for one in held:
            one.close()
        while self.site.connections:
            await deferToThread(lambda: None)

    async def test_who_reads_nothing_is_owed_one_text_and_not_for_long(self) -> None:
        clock, text = Clock(), b"x" * (8 << 20)
        self.listen(lambda: lambda: text, clock=clock)
        one = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for _ in range(MOST_CONNECTIONS):
            client = socket.create_connection(("127.0.0.1", self.number), timeout=20)
            self.addCleanup(client.close)
            client.sendall(one * 300)
        while len(self.answered()) < MOST_CONNECTIONS:
            await deferToThread(lambda: None)
        clock.advance(WHOLE_S - 1)
        await deferToThread(lambda: None)
        self.assertEqual(len(self.site.connections), MOST_CONNECTIONS)
        for channel in self.site.connections:
            held = len(channel.transport.dataBuffer) + channel.transport._tempDataLen
            self.assertLess(held, len(text) + 1000)
            self.assertEqual(channel.requests, [])
            self.assertNotIn(channel.transport, reactor.getReaders())
            self.assertLess(sum(map(len, channel._dataBuffer)), 100_000)
        clock.advance(2)
        while self.site.connections:
            await deferToThread(lambda: None)
        self.assertEqual(self.meters.counts["limit_hits,metrics_seconds"], MOST_CONNECTIONS)
        self.assertEqual(self.left(clock), 1)

    def left(self, clock: Clock) -> int:
        """How many calls wait; one is the factory's, for the log's date."""
        return len(clock.getDelayedCalls())

    def answered(self) -> list[Any]:
        """The connections that are to be closed once their answer is taken."""
        return [one for one in self.site.connections if one.transport.disconnecting]

    async def test_a_connection_has_one_request(self) -> None:
        clock = Clock()
        self.listen(lambda: lambda: b"text\n", clock=clock)
        got = await deferToThread(self.ask, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        self.assertIn(b"\r\nConnection: close\r\n", got)
        self.assertEqual(got.count(b"text\n"), 1)
        while self.site.connections:
            await deferToThread(lambda: None)
        self.assertEqual(self.left(clock), 1)

    async def test_a_head_that_drips_ends(self) -> None:
        """Each byte would grant it more time."""
        clock = Clock()
        self.listen(lambda: lambda: b"text\n", clock=clock)
        with socket.create_connection(("127.0.0.1", self.number), timeout=20) as client:
            client.sendall(b"GET /metrics HT")
            while not self.site.connections:
                await deferToThread(lambda: None)
            (channel,) = self.site.connections
            for _ in range(3):
                channel.resetTimeout()
                clock.advance(WHOLE_S / 3 + 0.1)
            while self.site.connections:
                await deferToThread(lambda: None)
            with self.assertRaises(ConnectionResetError):
                await deferToThread(client.recv, 1)
