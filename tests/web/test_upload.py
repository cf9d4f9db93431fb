# SPDX-License-Identifier: Apache-2.0
"""``POST /api/upload`` at the door: streamed to the disk, bounded, refused early, nothing left behind."""

import json
import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from stackviz_deployer.errors import QueueFullError, StoreError
from stackviz_deployer.store import uploads
from stackviz_deployer.web import coming
from stackviz_deployer.web import upload as door
from stackviz_deployer.web.channel import MAX_DRAINED
from stackviz_deployer.web.request import MAX_BODY
from tests.web.door import UPLOAD_BYTES, SocketCase, connections, split

CLOSE = b"Host: site.example\r\nConnection: close\r\n"
FORM = b"Content-Type: multipart/form-data; boundary=b\r\n"


def post(body: bytes, *, query: bytes = b"", head: bytes = CLOSE, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    line = b"POST /api/upload%s HTTP/1.1\r\n" % query
    return line + head + b"Content-Length: %d\r\n\r\n" % size + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    line = b"POST /api/upload HTTP/1.1\r\n" + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"
    return line + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


class UploadCase(SocketCase):
    def there(self) -> list[str]:
        return sorted(path.name for path in self.house.uploads.body("x").parent.parent.iterdir())

    async def accepted(self, sent: bytes) -> Any:
        code, _, answer = split(await self.raw(sent))
        self.assertEqual(code, 202, answer)
        self.assertEqual(set(json.loads(answer)), {"status", "uuid", "cancel_key"})
        return self.house.tasks.uploads[-1]

    async def refused(self, sent: bytes, code: int, error: str) -> str:
        got, headers, answer = split(await self.raw(sent))
        data = json.loads(answer)
        self.assertEqual((got, data["error"]), (code, error))
        self.assertEqual(headers["content-type"], "application/json")
        self.assertEqual(self.house.tasks.uploads, [])
        await self.until(lambda: not self.there())
        return str(data["message"])


class AcceptedTests(UploadCase):
    async def test_raw(self) -> None:
        body = os.urandom(UPLOAD_BYTES)  # just as many as may be
        upload = await self.accepted(post(body, query=b"?name=test%20repository.subunit%0a%ff%e2%80%ae"))
        self.assertEqual((upload.name, upload.boundary), ("test repository.subunit_\ufffd_", None))
        self.assertEqual(upload.size, len(body))
        self.assertEqual(self.house.uploads.body(upload.id).read_bytes(), body)
        self.assertEqual(self.there(), [upload.id])

    async def test_any_type(self) -> None:
        for kind in (b"application/x-www-form-urlencoded", b"application/json", b"text/html", b"nonsense"):
            upload = await self.accepted(post(b"a=b&c", head=CLOSE + b"Content-Type: " + kind + b"\r\n"))
            self.assertEqual((upload.name, upload.boundary), (None, None))
            self.assertEqual(self.house.uploads.body(upload.id).read_bytes(), b"a=b&c")

    async def test_form(self) -> None:
        upload = await self.accepted(post(b"--b--\r\n", head=CLOSE + FORM))
        self.assertEqual(upload.boundary, "b")

    async def test_chunked(self) -> None:
        chunks = [os.urandom(50_000) for _ in range(30)]
        upload = await self.accepted(chunked(*chunks))
        self.assertEqual(self.house.uploads.body(upload.id).read_bytes(), b"".join(chunks))

    async def test_forms_of_the_line(self) -> None:
        """A final slash; and the absolute form, whose body has the bound of every other."""
        body = post(b"x" * 100)
        for line in (b"POST /api/upload/ HTTP", b"POST http://site.example/api/upload HTTP"):
            upload = await self.accepted(body.replace(b"POST /api/upload HTTP", line))
            self.assertEqual(self.house.uploads.body(upload.id).read_bytes(), b"x" * 100)

    async def test_two_on_one_connection(self) -> None:
        first = post(b"1" * MAX_BODY * 2, head=b"Host: site.example\r\n")
        got = await self.raw(first + post(b"2" * MAX_BODY * 2))
        self.assertEqual(got.count(b"HTTP/1.1 202"), 2)
        self.assertEqual([upload.size for upload in self.house.tasks.uploads], [MAX_BODY * 2] * 2)

    async def test_client_that_waits_for_100_continue(self) -> None:
        client = self.connect()

        def talk() -> bytes:
            client.sendall(post(b"", length=5, head=CLOSE + b"Expect: 100-continue\r\n"))
            self.assertTrue(client.recv(1000).startswith(b"HTTP/1.1 100 "))
            client.sendall(b"hello")
            return client.recv(10_000)

        code, _, _ = split(await deferToThread(talk))
        self.assertEqual(code, 202)

    async def test_disk_that_is_slow(self) -> None:
        """The client has to wait; memory does not grow; nothing is lost."""
        held: list[Any] = []
        run = self.house.uploads._in_thread

        def slow(fn: Any, *args: Any) -> Any:
            gate: Deferred[None] = Deferred()
            held.append(gate)
            return gate.addCallback(lambda _: run(fn, *args))

        self.patch(self.house.uploads, "_in_thread", slow)
        body = os.urandom(UPLOAD_BYTES)
        done = self.raw(post(body))
        await self.until(lambda: bool(held))
        intake = next(iter(self.house.uploads._coming))
        await self.until(lambda: intake._paused)
        self.assertLess(intake.size, uploads.HIGH + (256 << 10))
        self.patch(intake, "_in_thread", run)
        held[0].callback(None)
        code, _, _ = split(await done)
        self.assertEqual(code, 202)
        upload = self.house.tasks.uploads[-1]
        self.assertEqual(self.house.uploads.body(upload.id).read_bytes(), body)


class RefusedTests(UploadCase):
    async def test_too_large_by_its_length(self) -> None:
        message = await self.refused(post(b"x" * 1000, length=UPLOAD_BYTES + 1), 413, "request-too-large")
        self.assertIn("3 MiB", message)
        self.assertIn("limits.upload_bytes", message)

    async def test_too_large_in_chunks(self) -> None:
        sent = chunked(*[bytes(60_000)] * (UPLOAD_BYTES // 60_000 + 1))
        self.assertIn("3 MiB", await self.refused(sent, 413, "request-too-large"))

    async def test_client_that_sends_all_of_it_still_reads_the_refusal(self) -> None:
        sent = chunked(*[bytes(60_000)] * ((UPLOAD_BYTES + MAX_DRAINED) // 60_000 - 3))
        client = self.connect()

        def talk() -> bytes:
            client.sendall(sent)
            got = b""
            while chunk := client.recv(65536):
                got += chunk
            return got

        code, _, _ = split(await deferToThread(talk))
        self.assertEqual(code, 413)

    async def test_foreign_pages(self) -> None:
        for header in (b"Origin: http://evil.example\r\n", b"Sec-Fetch-Site: cross-site\r\n"):
            # refused before its body comes
            await self.refused(post(b"", length=100_000, head=CLOSE + header), 403, "foreign-origin")
            absolute = post(b"x", head=CLOSE + header).replace(b" /api", b" http://site.example/api")
            await self.refused(absolute, 403, "foreign-origin")

    async def test_empty(self) -> None:
        for sent in (post(b""), chunked(), post(b"", head=CLOSE + FORM)):
            await self.refused(sent, 400, "invalid-request")

    async def test_headers_that_make_no_sense(self) -> None:
        for kind, code, error in (
            (b"multipart/mixed; boundary=b", 415, "unsupported-media-type"),
            (b"multipart/form-data", 400, "invalid-request"),
            (b"multipart/form-data; boundary=" + b"b" * 201, 400, "invalid-request"),
            (b"multipart/form-data; boundary=\xff", 400, "invalid-request"),
        ):
            await self.refused(post(b"x" * 9, head=CLOSE + b"Content-Type: " + kind + b"\r\n"), code, error)
        for name in (b"n" * 256, b"%20" * 256):
            await self.refused(post(b"x", query=b"?name=" + name), 400, "invalid-request")
        await self.refused(
            post(b"x" * 300_000, head=b"Host: a b\r\nConnection: close\r\n"), 400, "invalid-request"
        )

    async def test_other_methods_and_paths_have_the_small_bound(self) -> None:
        large = post(b"x" * (MAX_BODY + 1))
        for line in (b"PUT /api/upload HTTP", b"POST /upload HTTP", b"POST /api/uploads HTTP"):
            await self.refused(large.replace(b"POST /api/upload HTTP", line), 413, "request-too-large")
        code, _, _ = split(await self.raw(post(b"x").replace(b"POST", b"PUT")))
        self.assertEqual(code, 405)

    async def test_too_many(self) -> None:
        self.patch(coming, "AT_ONCE", 1)
        first = self.connect()
        first.sendall(post(b"x" * 300_000, length=400_000))
        await self.until(lambda: len(self.there()) == 1)
        code, headers, answer = split(await self.raw(post(b"", length=5)))
        self.assertEqual((code, json.loads(answer)["error"]), (503, "too-many-uploads"))
        self.assertEqual(headers["retry-after"], "30")
        self.assertEqual(self.house.meters.counts["limit_hits,uploads_at_once"], 1)
        first.sendall(b"x" * 100_000)
        await self.until(lambda: len(self.house.tasks.uploads) == 1)

    async def test_disk_that_fails(self) -> None:
        root = self.house.uploads.body("x").parent.parent
        root.rmdir()
        code, _, answer = split(await self.raw(post(b"x" * 300_000, length=UPLOAD_BYTES)))
        self.assertEqual((code, json.loads(answer)["error"]), (503, "store-failed"))
        self.assertNotIn(str(root), json.loads(answer)["message"])
        code, _, answer = split(await self.raw(post(b"x")))
        self.assertEqual((code, json.loads(answer)["error"]), (503, "store-failed"))
        self.flushLoggedErrors(StoreError)
        root.mkdir()

    async def test_full_queue(self) -> None:
        self.house.tasks.outcome = QueueFullError("1000 scrapes wait")
        code, _, answer = split(await self.raw(post(b"x")))
        self.assertEqual((code, json.loads(answer)["error"]), (503, "queue-full"))


class GoneTests(UploadCase):
    async def test_cut_off_in_the_middle(self) -> None:
        for sent in (
            post(b"x" * 300_000, length=400_000),
            post(b"x", length=400_000),
            chunked(b"x" * 60_000, end=b""),
            chunked(b"x" * 300_000, end=b"5\r\nab"),
        ):
            client = self.connect()
            client.sendall(sent)
            await self.until(lambda: bool(self.house.uploads._coming))
            client.close()
            await self.until(lambda: not connections() and not self.house.uploads._coming)
            self.assertEqual(self.there(), [])
        self.assertEqual(self.house.tasks.uploads, [])

    async def test_body_that_drips(self) -> None:
        self.patch(door, "WHOLE_S", 0.3)
        client = self.connect()
        client.sendall(post(b"x" * 300_000, length=400_000))
        await self.until(lambda: len(self.there()) == 1)
        await self.until(lambda: not connections() and not self.house.uploads._coming)
        self.assertEqual(self.there(), [])

    async def test_chunks_that_make_no_sense(self) -> None:
        await self.raw(chunked(b"x" * 300_000, end=b"nonsense\r\n"))
        await self.until(lambda: not self.house.uploads._coming)
        self.assertEqual(self.there(), [])

    async def test_gone_before_the_answer(self) -> None:
        """The body was whole: its task is made, as that of a scrape would be."""
        self.house.tasks.outcome = Deferred()
        outcome = self.house.tasks.outcome
        client = self.connect()
        client.sendall(post(b"x" * 10))
        await self.until(lambda: len(self.house.tasks.uploads) == 1)
        client.close()
        await self.until(lambda: not connections())
        outcome.callback(None)
        self.assertEqual(len(self.there()), 1)
