# SPDX-License-Identifier: Apache-2.0
"""What is told of each request: its id, its counters, its line in the access log."""

import json
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

from stackviz_deployer.log import JsonObserver
from tests.web.door import SocketCase, split

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n"
LIST = (
    b"POST /api/list?secret=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b'Content-Length: 10\r\nConnection: close\r\n\r\n{"q": "1"}'
)


class Recorder:
    """Meters that remember."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, str]]] = []

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self.told.append((name, labels))

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.told.append((name, labels))


class TellingTests(SocketCase):
    def setUp(self) -> Any:
        self.lines: list[dict[str, Any]] = []
        observer = JsonObserver(lambda data: self.lines.append(json.loads(data)))
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return super().setUp()

    def ours(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["namespace"].startswith("stackviz_deployer.web")]

    async def test_each_answer_has_an_id_of_our_own(self) -> None:
        seen = set()
        for extra in (b"", b"X-Request-Id: 0123456789abcdef\r\n", b"X-Request-Id: a\r\n"):
            _, headers, _ = split(await self.raw(GET % (b"/health/live", extra)))
            self.assertRegex(headers["x-request-id"], r"\A[0-9a-f]{16}\Z")
            seen.add(headers["x-request-id"])
        self.assertEqual(len(seen), 3)
        self.assertNotIn("0123456789abcdef", seen)

    async def test_a_refused_body_and_a_bad_host_have_one_too(self) -> None:
        for sent in (
            b"POST /api/list HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
        ):
            _, headers, _ = split(await self.raw(sent))
            self.assertIn("x-request-id", headers)
        refused = [line for line in self.ours() if "refused" in line["message"]]
        self.assertEqual(len(refused), 1)
        self.assertRegex(refused[0]["request"], r"\A[0-9a-f]{16}\Z")

    async def test_a_fault_is_logged_with_the_id_of_its_answer(self) -> None:
        answer: Deferred[Any] = Deferred()

        async def find(_q: str) -> Any:
            return await answer

        self.house.lookup.find = find
        asked = self.raw(LIST)
        reactor.callLater(0.05, answer.errback, ZeroDivisionError("a bug"))
        code, headers, _ = split(await asked)
        self.assertEqual(code, 500)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        failed = [line for line in self.ours() if line["level"] == "critical"]
        self.assertEqual([line.get("request") for line in failed], [headers["x-request-id"]])

    async def test_no_access_log_unless_wanted(self) -> None:
        await self.raw(GET % (b"/api/recent", b""))
        self.assertEqual(self.ours(), [])

    async def test_access_log_of_routes_tells_nothing_of_the_person(self) -> None:
        self.house.site.access_log = "routes"
        _, headers, _ = split(await self.raw(LIST))
        _, _, _ = split(await self.raw(GET % (b"/go/https://secret.example/?token=1", b"")))
        first, second = self.ours()
        self.assertEqual(first["request"], headers["x-request-id"])
        self.assertEqual((first["fields"]["route"], second["fields"]["route"]), ("/api/list", "/go/"))
        for word in ("secret", "127.0.0.1", "token"):
            self.assertNotIn(word, json.dumps([first, second]))

    async def test_full_access_log_has_no_query_string(self) -> None:
        self.house.site.access_log = "full"
        await self.raw(LIST)
        (line,) = self.ours()
        self.assertEqual((line["fields"]["path"], line["fields"]["peer"]), ("/api/list", "127.0.0.1"))
        self.assertNotIn("secret", json.dumps(line))

    async def test_counted_by_pattern_and_class(self) -> None:
        meters = self.house.site.meters = Recorder()
        for path in (b"/list/x", b"/s/1/2/3", b"/nonsense/%s" % (b"x" * 500), b"/api/blob/zz"):
            await self.raw(GET % (path, b""))
        await self.raw(b"POST /api/list HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
        # the last one is counted when the server has seen that its client is gone
        while (
            len(requests := [tuple(labels.values()) for name, labels in meters.told if name == "requests"])
            < 5
        ):
            await deferLater(reactor, 0)
        self.assertEqual(
            requests,
            [
                ("other", "4xx"),
                ("/s/<uuid>/", "4xx"),
                ("other", "4xx"),
                ("/api/blob/<artifact_id>", "4xx"),
                ("/api/list", "4xx"),
            ],
        )
        self.assertIn(("limit_hits", {"limit": "request_body"}), meters.told)
