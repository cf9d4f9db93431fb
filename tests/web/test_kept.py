# SPDX-License-Identifier: Apache-2.0
"""Answers that are kept: the same as those made anew, bounded, and gone with their task."""

import gzip
import os
import socket
from typing import Any

from twisted.internet import task
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import TaskExpiredError
from stackviz_deployer.model import ArtifactId, TaskId
from stackviz_deployer.settings import Connections
from stackviz_deployer.web.kept import MOST_ARTIFACTS, MOST_BODY, Answer, Kept, Key
from stackviz_deployer.web.plain import MAX_PLAIN, read
from stackviz_deployer.web.request import LimitedRequest
from tests.web.door import Client, SocketCase
from tests.web.fakes import PAGES, UUID, an_artifact

HOST = b"Host: localhost\r\n"
GZIP = b"Accept-Encoding: gzip, deflate, br\r\n"
BROWSER = (
    b"User-Agent: Mozilla/5.0\r\nAccept: */*\r\nAccept-Language: de,en;q=0.5\r\nReferer: http://localhost/\r\n"
    b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nConnection: keep-alive\r\nCookie: a=b\r\n"
)


def get(path: bytes, fields: bytes = b"", host: bytes = HOST) -> bytes:
    return b"GET %s HTTP/1.1\r\n%s%s\r\n" % (path, host, fields)


class KeptCase(SocketCase):
    def setUp(self) -> None:
        super().setUp()
        self.listen()

    def listen(self) -> None:
        self.made: list[LimitedRequest] = []
        made = self.made

        class Counted(LimitedRequest):
            def __init__(self, *args: Any, **more: Any) -> None:
                super().__init__(*args, **more)
                made.append(self)

        self.house.site.requestFactory = Counted
        self.text = [os.urandom(3000) * 10, os.urandom(200_000)]
        self.blob = self.house.blobs.add(self.text)
        self.artifact = an_artifact(self.blob, "a")
        self.house.tasks.made[UUID] = [self.artifact]


class EqualTests(KeptCase):
    async def test_table(self) -> None:
        """Each request thrice: the second and third answers are the first one's, whoever made them."""
        file, blob = b"/js/main.js", b"/api/blob/a"
        etag = await self.etag(file, b"")
        zipped = await self.etag(file, GZIP)
        stored = await self.etag(blob, GZIP)
        for name, sent, status, kept in (
            ("page", get(b"/"), 200, True),
            ("page of a browser", get(b"/", BROWSER + GZIP), 200, True),
            ("file", get(file), 200, True),
            ("file, gzip", get(file, GZIP), 200, True),
            ("field names in any case", get(file, b"aCCEPT-eNCODING:gzip\r\n"), 200, True),
            ("gzip refused", get(file, b"Accept-Encoding: gzip;q=0\r\n"), 200, True),
            ("unchanged", get(file, b"If-None-Match: " + etag + b"\r\n"), 304, True),
            ("unchanged, weakly", get(file, b'If-None-Match: "x", W/' + etag + b"\r\n"), 304, True),
            ("unchanged, gzip", get(file, GZIP + b"If-None-Match: " + zipped + b"\r\n"), 304, True),
            ("the other encoding's tag", get(file, GZIP + b"If-None-Match: " + etag + b"\r\n"), 200, False),
            ("changed", get(file, b'If-None-Match: "other"\r\n'), 200, False),
            ("robots", get(b"/robots.txt"), 200, True),
            ("blob", get(blob, GZIP), 200, True),
            ("blob without the prefix", get(b"/blob/a", GZIP), 200, True),
            ("blob, unchanged", get(blob, GZIP + b"If-None-Match: " + stored + b"\r\n"), 304, True),
            ("block", get(blob + b"/blocks/0", GZIP), 200, True),
            ("blocks", get(blob + b"/blocks/0-1", GZIP), 200, True),
            ("index of blocks", get(blob + b"/blocks", GZIP), 200, True),
            ("query", get(file + b"?v=1"), 200, False),
            ("range", get(blob, GZIP + b"Range: bytes=0-9\r\n"), 200, False),
            ("head", get(file).replace(b"GET", b"HEAD"), 200, False),
            ("head of a blob", get(blob, GZIP).replace(b"GET", b"HEAD"), 200, False),
            ("unknown field", get(file, b"X-Anything: 1\r\n"), 200, False),
            ("field twice", get(file, b"Accept: a\r\nAccept: b\r\n"), 200, False),
            ("another site's page", get(file, b"Sec-Fetch-Site: cross-site\r\n"), 200, False),
            ("origin", get(blob, GZIP + b"Origin: http://localhost\r\n"), 200, False),
            ("empty body", get(file, b"Content-Length: 0\r\n"), 200, False),
            ("no such file", get(b"/js/none.js"), 404, False),
            ("no such artifact", get(b"/api/blob/b", GZIP), 404, False),
            ("whatever follows", get(b"/go/271726"), 200, False),
            ("health", get(b"/health/live"), 200, False),
        ):
            client = Client(self.connect())
            # the Host header of a new connection is looked at in the ordinary way
            await deferToThread(client.ask, get(b"/health/live"))
            answers = [await deferToThread(client.ask, sent)]
            before = len(self.made)
            answers += [await deferToThread(client.ask, sent) for _ in range(2)]
            self.assertEqual(len(self.made) - before, 0 if kept else 2, name)
            self.assertEqual(answers[0][0], status, name)
            ids = {headers.pop("x-request-id") for _, headers, _ in answers}
            self.assertEqual((len(ids), {len(one) for one in ids}), (3, {16}), name)
            for _, headers, _ in answers:
                self.assertRegex(headers.pop("date"), r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
            self.assertEqual(answers[1], answers[0], name)
            self.assertEqual(answers[2], answers[0], name)
            client.socket.close()

    async def etag(self, path: bytes, fields: bytes) -> bytes:
        client = Client(self.connect())
        headers = (await deferToThread(client.ask, get(path, fields)))[1]
        client.socket.close()
        return headers["etag"].encode()

    async def test_bodies(self) -> None:
        client = Client(self.connect())
        for _ in range(3):
            _, _, page = await deferToThread(client.ask, get(b"/"))
            self.assertEqual(page, PAGES["index.html"])
            _, _, stored = await deferToThread(client.ask, get(b"/api/blob/a", GZIP))
            self.assertEqual(gzip.decompress(stored), b"".join(self.text))
            _, _, part = await deferToThread(client.ask, get(b"/api/blob/a/blocks/1", GZIP))
            self.assertEqual(gzip.decompress(part), self.text[1])
        client.socket.close()

    async def test_unknown_host_on_a_connection_that_was_good(self) -> None:
        client = Client(self.connect())
        for _ in range(2):
            self.assertEqual((await deferToThread(client.ask, get(b"/")))[0], 200)
        evil = get(b"/", host=b"Host: evil.example\r\n")
        self.assertEqual((await deferToThread(client.ask, evil))[0], 421)
        self.assertEqual((await deferToThread(client.ask, get(b"/")))[0], 200)
        client.socket.close()
        fresh = Client(self.connect())
        self.assertEqual((await deferToThread(fresh.ask, evil))[0], 421)
        fresh.socket.close()

    async def test_counted_alike(self) -> None:
        client = Client(self.connect())
        await deferToThread(client.ask, get(b"/health/live"))
        for turn in (1, 2, 3):
            await deferToThread(client.ask, get(b"/api/blob/a", GZIP))
            counts = self.house.meters.counts
            self.assertEqual(counts["requests,/api/blob/<artifact_id>,2xx"], turn)
            self.assertEqual(counts["served_bytes,/api/blob/<artifact_id>"], turn * self.blob.size)
            self.assertEqual(self.house.keeper.uses, [UUID] * turn)
        client.socket.close()

    async def test_pipelined(self) -> None:
        """Answers come in the order of the requests, however they came and were answered."""
        client = Client(self.connect())
        await deferToThread(client.ask, get(b"/api/blob/a", GZIP))
        await deferToThread(client.ask, get(b"/js/main.js"))
        client.socket.sendall(
            get(b"/js/main.js") + get(b"/api/blob/a", GZIP) + get(b"/go/1") + get(b"/js/main.js")
        )
        sizes = [len((await deferToThread(client.answer))[2]) for _ in range(4)]
        main, go = len(PAGES["js/main.js"]), len(PAGES["go.html"])
        self.assertEqual(sizes, [main, self.blob.size, go, main])
        client.socket.close()

    async def test_head_in_two_pieces(self) -> None:
        client = Client(self.connect())
        whole = get(b"/js/main.js", BROWSER)
        await deferToThread(client.ask, whole)
        for cut in (1, 20, len(whole) - 2):
            client.socket.sendall(whole[:cut])
            await task.deferLater(self.reactor, 0.02)
            client.socket.sendall(whole[cut:])
            self.assertEqual((await deferToThread(client.answer))[2], PAGES["js/main.js"])
        client.socket.close()

    @property
    def reactor(self) -> Any:
        from twisted.internet import reactor

        return reactor


class AccessLogTests(KeptCase):
    options = {"access_log": "routes"}  # noqa: RUF012

    async def test_each_is_told(self) -> None:
        client = Client(self.connect())
        for turn in (1, 2, 3):
            await deferToThread(client.ask, get(b"/js/main.js"))
            self.assertEqual(len(self.made), turn)
        client.socket.close()


class EndTests(KeptCase):
    """Nothing is served from memory after its task's end."""

    async def ask(self, client: Client, path: bytes = b"/api/blob/a") -> int:
        return (await deferToThread(client.ask, get(path, GZIP)))[0]

    async def warm(self) -> Client:
        client = Client(self.connect())
        for path in (b"/api/blob/a", b"/api/blob/a/blocks/0"):
            self.assertEqual([await self.ask(client, path) for _ in range(3)], [200] * 3)
        self.made.clear()
        return client

    def expire(self) -> None:
        async def gone(_: ArtifactId) -> Any:
            raise TaskExpiredError("expired")

        self.house.tasks.artifact = gone  # type: ignore[method-assign]

    async def test_ended(self) -> None:
        client = await self.warm()
        with self.house.kept.ending() as those:
            self.expire()  # the transaction is done, and its news on the way: not even now
            self.assertEqual(await self.ask(client, b"/js/main.js"), 200)
            self.assertEqual(await self.ask(client), 410)
            those([TaskId(UUID)])
        self.assertEqual(await self.ask(client), 410)
        self.assertEqual(await self.ask(client, b"/api/blob/a/blocks/0"), 410)
        client.socket.close()

    async def test_not_known_which(self) -> None:
        client = await self.warm()
        with self.assertRaises(ZeroDivisionError), self.house.kept.ending():
            self.expire()
            raise ZeroDivisionError
        self.assertEqual(await self.ask(client), 410)
        client.socket.close()

    async def test_others_stay(self) -> None:
        client = await self.warm()
        with self.house.kept.ending() as those:
            those([TaskId("another")])
        self.assertEqual(await self.ask(client), 200)
        self.assertEqual(self.made, [])
        client.socket.close()

    async def test_begun_before_and_read_after_the_end(self) -> None:
        """A row that was read before the end is not kept after it."""
        house, client = self.house, Client(self.connect())
        real = house.tasks.artifact

        async def late(artifact_id: ArtifactId) -> Any:
            found = await real(artifact_id)
            with house.kept.ending() as those:
                those([TaskId(UUID)])
            return found

        house.tasks.artifact = late  # type: ignore[method-assign]
        self.assertEqual(await self.ask(client), 200)
        self.expire()
        self.assertEqual(await self.ask(client), 410)
        client.socket.close()


class SlowReaderCase(KeptCase):
    limits = Connections()

    def setUp(self) -> None:
        self.clock = task.Clock()
        self.options = {"reactor": self.clock, "connections": self.limits}
        super().setUp()

    def listen(self) -> None:
        super().listen()
        self.big = self.house.blobs.add([os.urandom(MOST_BODY - 4096)])
        self.house.tasks.made[UUID].append(an_artifact(self.big, "big"))
        self.wire = (self.house.blobs.directory / self.big.hash).read_bytes()
        # else the system takes all of it
        self.port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)

    async def stuck(self) -> tuple[Client, Any]:
        warm = Client(self.connect())
        for _ in range(2):
            self.assertEqual((await deferToThread(warm.ask, get(b"/api/blob/big", GZIP)))[2], self.wire)
        warm.socket.close()
        client = Client(self.connect(receive_bytes=4096))
        await deferToThread(client.ask, get(b"/js/main.js"))
        self.made.clear()
        client.socket.sendall(get(b"/api/blob/big", GZIP))
        await self.until(lambda: bool(self.made))  # for the rest alone
        (answer,) = [one for one in self.house.kept._answers.values() if one.readers]
        self.assertEqual(len(answer.body), len(self.wire))
        return client, answer


class SlowReaderTests(SlowReaderCase):
    """What a client does not take at once waits without another copy, and for so long only."""

    async def test_takes_its_time(self) -> None:
        client, answer = await self.stuck()
        client.socket.sendall(get(b"/js/main.js"))
        self.assertEqual((await deferToThread(client.answer))[2], self.wire)
        self.assertEqual((await deferToThread(client.answer))[2], PAGES["js/main.js"])
        self.assertEqual(answer.readers, 0)
        self.assertEqual((await deferToThread(client.ask, get(b"/js/main.js")))[0], 200)
        self.assertEqual(self.house.meters.counts["requests,/api/blob/<artifact_id>,2xx"], 3)
        client.socket.close()

    async def test_takes_longer_than_a_head_may(self) -> None:
        """A request that came meanwhile has no deadline before it is its turn."""
        client, answer = await self.stuck()
        (request,) = self.made
        client.socket.sendall(get(b"/js/main.js"))
        for taken in range(150_000, 900_001, 150_000):
            before = request.sentLength
            while len(client.got) < taken:
                await deferToThread(client.more)
            await self.until(lambda: request.sentLength > before)  # noqa: B023
            self.clock.advance(15)
        self.assertEqual((await deferToThread(client.answer))[2], self.wire)
        self.assertEqual((await deferToThread(client.answer))[2], PAGES["js/main.js"])
        await self.until(lambda: answer.readers == 0)
        client.socket.close()

    async def test_stops(self) -> None:
        client, answer = await self.stuck()
        channel = self.made[0].channel
        self.assertLess(len(channel.transport.dataBuffer) + channel.transport._tempDataLen, 4 * 65536)
        self.clock.advance(31)
        await self.until(lambda: answer.readers == 0)
        self.assertEqual(self.house.meters.counts["limit_hits,connections.slow_seconds"], 1)
        self.assertEqual(self.house.meters.counts["requests,/api/blob/<artifact_id>,cut"], 1)
        client.socket.close()

    async def test_reads_on_to_the_end_of_what_has_ended(self) -> None:
        client, answer = await self.stuck()
        with self.house.kept.ending() as those:
            those([TaskId(UUID)])
        self.assertGreaterEqual(self.house.kept.bytes, len(self.wire))
        self.assertEqual((await deferToThread(client.answer))[2], self.wire)
        await self.until(lambda: answer.readers == 0)
        self.assertLess(self.house.kept.bytes, len(self.wire))
        client.socket.close()


class RoomTests(SlowReaderCase):
    """At the cap, the connection goes that was not used for longest, and none that is in use."""

    limits = Connections(total=2, client=5, events=20)

    async def test_not_whose_answer_is_on_its_way(self) -> None:
        client, _ = await self.stuck()
        idle = Client(self.connect())
        await deferToThread(idle.ask, get(b"/js/main.js"))
        new = Client(self.connect())
        self.assertEqual((await deferToThread(new.ask, get(b"/js/main.js")))[0], 200)
        self.assertEqual((await deferToThread(client.answer))[2], self.wire)
        for one in (client, idle, new):
            one.socket.close()

    async def test_not_who_was_answered_from_memory_just_now(self) -> None:
        first, second = Client(self.connect()), Client(self.connect())
        for client in (first, second, first):
            self.assertEqual((await deferToThread(client.ask, get(b"/js/main.js")))[0], 200)
        new = Client(self.connect())
        for client in (new, first):
            self.assertEqual((await deferToThread(client.ask, get(b"/js/main.js")))[0], 200)
        for client in (first, second, new):
            client.socket.close()


def an_answer(body: int, task_id: str | None = "t") -> Answer:
    return Answer(
        etag=b"", head=b"", body=bytes(body), status=200, route="r", task_id=task_id and TaskId(task_id)
    )


def a_key(path: str) -> Key:
    return Key(path.encode(), as_gzip=False, secure=False, unchanged=False)


class BoundTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kept = Kept(most_bytes=10_000)

    def keep(self, path: str, body: int, task_id: str | None = "t") -> Answer | None:
        answer = an_answer(body, task_id)
        return answer if self.kept.keep(a_key(path), answer, self.kept.generation) else None

    def test_least_recently_used_goes(self) -> None:
        for path in "abc":
            self.assertTrue(self.keep(path, 1000))
        self.kept.find(a_key("a"))
        self.assertTrue(self.keep("d", 1000))
        self.assertEqual([bool(self.kept.find(a_key(p))) for p in "abcd"], [True, False, True, True])
        self.assertLessEqual(self.kept.bytes, 10_000)

    def test_what_is_read_stays_and_counts(self) -> None:
        held = [self.keep(path, 1000) for path in "abc"]
        for answer in held:
            assert answer is not None
            self.kept.hold(answer)
        self.assertFalse(self.keep("d", 1000))
        with self.kept.ending() as those:
            those([TaskId("t")])
        self.assertIsNone(self.kept.find(a_key("a")))
        self.assertFalse(self.keep("d", 1000))
        for answer in held:
            assert answer is not None
            self.kept.release(answer)
        self.assertEqual(self.kept.bytes, 0)
        self.assertTrue(self.keep("d", 1000))

    def test_replaced(self) -> None:
        self.keep("a", 1000)
        before = self.kept.bytes
        self.keep("a", 1000)
        self.assertEqual(self.kept.bytes, before)

    def test_too_large(self) -> None:
        self.kept = Kept()
        self.assertTrue(self.keep("a", MOST_BODY))
        self.assertFalse(self.keep("b", MOST_BODY + 1))

    def test_files_of_the_program_cost_no_bodies(self) -> None:
        self.assertTrue(self.keep("a", 100_000, None))
        self.assertLess(self.kept.bytes, 10_000)
        with self.kept.ending():
            pass
        self.assertTrue(self.kept.find(a_key("a")))

    def test_asked_for_before_or_during_an_end(self) -> None:
        before = self.kept.generation
        with self.kept.ending() as those:
            during = self.kept.generation
            self.assertFalse(self.keep("a", 1))
            those([])
        for generation in (before, during):
            self.assertFalse(self.kept.keep(a_key("a"), an_answer(1), generation))
        self.assertTrue(self.keep("a", 1))

    def test_artifacts(self) -> None:
        blob = an_artifact(None)  # type: ignore[arg-type]
        for n in range(MOST_ARTIFACTS + 1):
            self.kept.keep_artifact(an_artifact(blob.blob, str(n)), self.kept.generation)
        self.assertIsNone(self.kept.artifact(ArtifactId("0")))
        self.assertIsNotNone(self.kept.artifact(ArtifactId("1")))
        with self.kept.ending() as those:
            self.assertIsNone(self.kept.artifact(ArtifactId("1")))
            those([TaskId(UUID)])
        self.assertIsNone(self.kept.artifact(ArtifactId("1")))


class PlainTests(SynchronousTestCase):
    def test_not_plain(self) -> None:
        for sent in (
            b"",
            b"\r\n\r\n",
            get(b"/")[:-2],
            get(b"/") + b"x",
            get(b"/") + get(b"/"),
            get(b"/").replace(b"GET", b"get"),
            get(b"/").replace(b"GET", b"POST"),
            get(b"/").replace(b"HTTP/1.1", b"HTTP/1.0"),
            get(b"/").replace(b"/ HTTP", b"/  HTTP"),
            get(b"/").replace(b"\r\n", b"\n"),
            get(b"http://localhost/"),
            get(b"*"),
            get(b"/?q"),
            get(b"/#f"),
            get(b"/\xc3\xa4"),
            get(b"/", host=b""),
            get(b"/", host=HOST * 2),
            get(b"/", host=b"Host : localhost\r\n"),
            get(b"/", b" folded: 1\r\n"),
            get(b"/", b"Accept: a\r\n b\r\n"),
            get(b"/", b"Accept: \x00\r\n"),
            get(b"/", b"Accept: \xc3\r\n"),
            get(b"/", b"Accept\r\n"),
            get(b"/", b"Connection: close\r\n"),
            get(b"/", b"Connection: keep-alive, close\r\n"),
            get(b"/", b"Connection: upgrade\r\n"),
            get(b"/", b"Upgrade: websocket\r\n"),
            get(b"/", b"Expect: 100-continue\r\n"),
            get(b"/", b"Content-Length: 5\r\n"),
            get(b"/", b"Transfer-Encoding: chunked\r\n"),
            get(b"/", b"Authorization: Bearer x\r\n"),
            get(b"/", b"If-Modified-Since: x\r\n"),
            get(b"/", b"Accept: " + b"x" * MAX_PLAIN + b"\r\n"),
        ):
            self.assertIsNone(read(sent), sent)

    def test_plain(self) -> None:
        found = read(get(b"/a%20b/;c=d", BROWSER + GZIP + b'If-None-Match: "x"\r\n'))
        assert found is not None
        path, plain = found
        self.assertEqual((path, plain.host, plain.as_gzip), (b"/a%20b/;c=d", b"localhost", True))
        self.assertEqual([plain.has_already(tag) for tag in (b'"x"', b'"y"')], [True, False])
        self.assertEqual(read(get(b"/")), (b"/", read(get(b"/x"))[1]))  # type: ignore[index]
