# SPDX-License-Identifier: Apache-2.0
"""Who may ask: the names in Host, the origins of other sites' pages, and what they get to see."""

import json

from stackviz_deployer.web.names import Names
from tests.web.door import SocketCase, split
from tests.web.fakes import UUID, a_task

JSON = b"Content-Type: application/json\r\n"
Q = b'{"q": "1"}'


def ask(path: bytes, host: bytes, more: bytes = b"", method: bytes = b"GET", body: bytes = b"") -> bytes:
    head = b"%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s" % (method, path, host, more)
    return head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


class HostTests(SocketCase):
    options = {"names": Names(["Stackviz.example.org", "192.0.2.7", "2001:db8::7"])}  # noqa: RUF012

    async def test_names(self) -> None:
        for host, wanted in (
            (b"localhost", 200),
            (b"LOCALHOST:5000", 200),
            (b"127.0.0.1", 200),
            (b"127.0.0.1:80", 200),
            (b"stackviz.EXAMPLE.org", 200),
            (b"stackviz.example.org.:443", 200),
            (b"192.0.2.7", 200),
            (b"[2001:db8::7]:443", 200),
            (b"[::ffff:127.0.0.1]", 200),
            (b"127.0.0.2", 421),
            (b"[::1]", 421),
            (b"example.org", 421),
            (b"x.stackviz.example.org", 421),
            (b"stackviz.example.org.evil.example", 421),
            (b"localhost.evil.example", 421),
            (b"rebound.evil.example", 421),
        ):
            self.assertEqual(split(await self.raw(ask(b"/", host)))[0], wanted, host)
        self.assertEqual(self.house.meters.counts["limit_hits,hosts"], 7)

    async def test_refusal(self) -> None:
        _, headers, body = split(await self.raw(ask(b"/", b"evil.example")))
        self.assertEqual(headers["content-type"], "text/plain; charset=utf-8")
        self.assertIn(b"hosts", body)
        self.assertNotIn(b"evil", body)
        code, _, body = split(await self.raw(ask(b"/api/list", b"evil.example", JSON, b"POST", Q)))
        self.assertEqual((code, json.loads(body)["error"]), (421, "host-unknown"))
        code, _, body = split(await self.raw(ask(b"/api/upload", b"evil.example", b"", b"POST", b"x")))
        self.assertEqual((code, json.loads(body)["error"]), (421, "host-unknown"))
        self.assertEqual(self.house.lookup.asked, [])
        self.assertFalse(self.house.uploads._coming)

    async def test_each_request_of_a_connection(self) -> None:
        first = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        got = await self.raw(first + ask(b"/", b"evil.example"))
        self.assertEqual([int(one[:3]) for one in got.split(b"HTTP/1.1 ")[1:]], [200, 421])
        got = await self.raw(ask(b"http://evil.example/", b"localhost"))
        self.assertEqual(split(got)[0], 421)

    async def test_load_balancer(self) -> None:
        self.assertEqual(split(await self.raw(ask(b"/health/live", b"10.9.8.7")))[0], 200)
        self.assertEqual(split(await self.raw(ask(b"/health", b"10.9.8.7")))[0], 421)
        self.assertEqual(split(await self.raw(b"GET / HTTP/1.0\r\n\r\n"))[0], 200)


class OriginTests(SocketCase):
    options = {"cors": ("https://good.example",)}  # noqa: RUF012

    async def test_allowed(self) -> None:
        more = JSON + b"Origin: https://good.example\r\nSec-Fetch-Site: cross-site\r\n"
        code, headers, _ = split(await self.raw(ask(b"/api/list", b"localhost", more, b"POST", Q)))
        self.assertEqual(code, 200)
        self.assertEqual(headers["access-control-allow-origin"], "https://good.example")
        self.assertEqual(headers["vary"], "Origin")
        self.assertNotIn("access-control-allow-credentials", headers)
        # an error, too, is for it to read
        code, headers, _ = split(await self.raw(ask(b"/api/list", b"localhost", more, b"POST", b"{")))
        self.assertEqual((code, headers["access-control-allow-origin"]), (400, "https://good.example"))
        _, headers, _ = split(await self.raw(ask(b"/api/openapi.json", b"localhost", more)))
        self.assertEqual(headers["vary"], "Accept-Encoding, Origin")
        code, _, _ = split(await self.raw(ask(b"/api/upload", b"localhost", more, b"POST", b"x")))
        self.assertEqual(code, 202)

    async def test_only_the_api(self) -> None:
        more = JSON + b"Origin: https://good.example\r\n"
        code, headers, _ = split(await self.raw(ask(b"/list", b"localhost", more, b"POST", Q)))
        self.assertEqual(code, 403)
        self.assertNotIn("access-control-allow-origin", headers)
        _, headers, _ = split(await self.raw(ask(b"/", b"localhost", more)))
        self.assertNotIn("access-control-allow-origin", headers)

    async def test_others(self) -> None:
        for origin in (
            b"https://evil.example",
            b"http://good.example",
            b"null",
            b"https://good.example.evil.example",
        ):
            more = JSON + b"Origin: %s\r\n" % origin
            code, headers, _ = split(await self.raw(ask(b"/api/list", b"localhost", more, b"POST", Q)))
            self.assertEqual((code, headers["vary"]), (403, "Origin"))
            self.assertNotIn("access-control-allow-origin", headers)
        self.assertEqual(self.house.lookup.asked, [])

    async def test_preflight(self) -> None:
        wish = b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n"
        sent = ask(b"/api/list", b"localhost", b"Origin: https://good.example\r\n" + wish, b"OPTIONS")
        code, headers, body = split(await self.raw(sent))
        self.assertEqual((code, body), (204, b""))
        self.assertEqual(headers["access-control-allow-origin"], "https://good.example")
        self.assertIn("POST", headers["access-control-allow-methods"])
        self.assertEqual(headers["access-control-allow-headers"], "Content-Type")
        self.assertEqual(headers["vary"], "Origin")
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        sent = ask(b"/api/list", b"localhost", b"Origin: https://evil.example\r\n" + wish, b"OPTIONS")
        code, headers, _ = split(await self.raw(sent))
        self.assertEqual(code, 405)
        self.assertNotIn("access-control-allow-origin", headers)


class ClosedTests(SocketCase):
    """Without ``cors``: every call that changes or costs something, from another site's page."""

    async def test_foreign_pages(self) -> None:
        self.house.tasks.put(a_task())
        query = b'{"q": "%s", "cancel_key": "key", "url": "http://logs.openstack.org/x/"}' % UUID.encode()
        for path in (b"list", b"scrape", b"status", b"task", b"cancel", b"upload"):
            for sign in (
                b"Origin: https://evil.example\r\n",
                b"Origin: null\r\n",
                b"Sec-Fetch-Site: cross-site\r\n",
                b"Sec-Fetch-Site: same-site\r\n",
            ):
                sent = ask(b"/api/" + path, b"localhost", JSON + sign, b"POST", query)
                code, headers, body = split(await self.raw(sent))
                self.assertEqual((code, json.loads(body)["error"]), (403, "foreign-origin"), (path, sign))
                self.assertNotIn("access-control-allow-origin", headers)
        self.assertEqual((self.house.lookup.asked, self.house.tasks.submits), ([], []))
        self.assertEqual((self.house.tasks.cancelled, self.house.tasks.uploads), ([], []))

    async def test_own_pages(self) -> None:
        for more in (
            b"Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n",
            b"Sec-Fetch-Site: none\r\n",
            b"",
        ):
            sent = ask(b"/api/list", b"localhost", JSON + more, b"POST", Q)
            self.assertEqual(split(await self.raw(sent))[0], 200)

    async def test_what_a_form_could_send(self) -> None:
        for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=b"):
            for path in (b"list", b"scrape", b"status", b"task", b"cancel"):
                more = b"Content-Type: " + kind + b"\r\n"
                sent = ask(b"/api/" + path, b"localhost", more, b"POST", Q)
                self.assertEqual(split(await self.raw(sent))[0], 415)
