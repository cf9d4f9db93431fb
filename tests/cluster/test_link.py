# SPDX-License-Identifier: Apache-2.0
"""The connection to Redis, with a real redis-server; and with servers that behave as one in trouble does."""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from stackviz_deployer.cluster.link import AwayError, Link, RefusedError
from stackviz_deployer.errors import ConfigError
from stackviz_deployer.settings import RedisServer
from tests.net.wire import signed
from tests.redis_server import Redis

reactor: Any = _reactor
SOON_S = 10.0


async def until(true: Callable[[], object], what: str = "what was waited for") -> None:
    """Until ``true()`` is; fails after SOON_S."""
    end_s = reactor.seconds() + SOON_S
    while not true():
        if reactor.seconds() > end_s:
            raise AssertionError(f"{what} did not come")
        await deferLater(reactor, 0.01)  # not synchronisation: the poll's pace


class RedisTestCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.base = Path(tempfile.mkdtemp(dir=Path(self.mktemp()).parent.resolve())).absolute()

    def redis(self, **options: Any) -> Redis:
        redis = Redis(self.base / f"redis{len(list(self.base.iterdir()))}", **options)
        self.addCleanup(redis.stop)
        redis.start()
        return redis

    def link(self, server: Redis | RedisServer, **options: Any) -> Link:
        """Started; stopped by the test's end."""
        if isinstance(server, Redis):
            server = server.server
        link = Link(server, reactor, **{"name": "test", "timeout_s": 2.0, **options})
        link.startService()
        self.addCleanup(link.stopService)
        return link

    async def refused(self, asked: Awaitable[Any], error: type[Exception]) -> str:
        try:
            answer = await asked
        except error as refusal:
            return str(refusal)
        raise AssertionError(f"{answer!r} instead of {error.__name__}")


class CommandTests(RedisTestCase):
    async def test_answers_are_what_was_stored(self) -> None:
        """Texts that look like numbers stay texts, bytes that are no text stay bytes, in lists too."""
        link = self.link(self.redis())
        await until(lambda: link.up)
        for text in ("007", "1e5", "-1", "1.50", "inf", "", "ünï", "a\r\nb", "x" * 100_000):
            await link.call("SET", "k", text)
            self.assertEqual(await link.call("GET", "k"), text)
        await link.call("SET", "k", b"\xff\xfe\r\n\x00")
        self.assertEqual(await link.call("GET", "k"), b"\xff\xfe\r\n\x00")
        self.assertEqual(await link.call("MGET", "k", "none"), [b"\xff\xfe\r\n\x00", None])
        self.assertEqual(
            await link.call("EVAL", "return {1, {'2', {}, false}, 'x'}", 0), [1, ["2", [], None], "x"]
        )
        self.assertIsNone(await link.call("XREAD", "COUNT", 1, "STREAMS", "none", "0"))

    async def test_large_answers(self) -> None:
        """In time, and in one turn of the reactor for each piece that comes."""
        link = self.link(self.redis())
        await until(lambda: link.up)
        texts = [f"{n}" * (n % 50) for n in range(20_000)]
        for at in range(0, len(texts), 5000):
            await link.call("RPUSH", "l", *texts[at : at + 5000])
        began_s = reactor.seconds()
        self.assertEqual(await link.call("LRANGE", "l", 0, -1), texts)
        self.assertLess(reactor.seconds() - began_s, 3.0)  # txredisapi's own reader: minutes

    async def test_errors_do_not_shift_answers(self) -> None:
        """Also one inside of a list, and one whose asker has gone."""
        link = self.link(self.redis())
        await until(lambda: link.up)
        asked = [
            Deferred.fromCoroutine(link.call(*command))
            for command in (["ECHO", "1"], ["NOPE"], ["ECHO", "3"])
        ]
        given_up = Deferred.fromCoroutine(link.call("ECHO", "4"))
        last = Deferred.fromCoroutine(link.call("ECHO", "5"))
        given_up.cancel()
        given_up.addErrback(lambda _cancelled: None)
        self.assertIn("unknown command", await self.refused(asked[1], RefusedError))
        self.assertEqual(await gatherResults([asked[0], asked[2], last]), ["1", "3", "5"])
        self.assertTrue(
            (
                await self.refused(
                    link.call("XREADGROUP", "GROUP", "g", "me", "STREAMS", "s", ">"), RefusedError
                )
            ).startswith("NOGROUP")
        )
        self.assertTrue(link.up)

    async def test_deadline_ends_the_connection(self) -> None:
        """What comes after it could not be told from the answer that did not come."""
        link = self.link(self.redis())
        await until(lambda: link.up)
        slow = Deferred.fromCoroutine(link.call("BLPOP", "none", 0, timeout_s=0.2))
        behind = Deferred.fromCoroutine(link.call("ECHO", "x"))
        self.assertIn("within 0.2 s", await self.refused(slow, AwayError))
        await self.refused(behind, AwayError)
        await until(lambda: link.up)
        self.assertEqual(await link.call("ECHO", "x"), "x")

    async def test_messages(self) -> None:
        redis = self.redis()
        heard: list[str] = []

        def hear(message: str) -> None:
            heard.append(message)
            if message == "bad":
                raise ValueError(message)

        async def subscribe(link: Link) -> None:
            await link.call("SUBSCRIBE", "c")

        listener = self.link(redis, ready=subscribe, heard=hear)
        link = self.link(redis)
        await until(lambda: link.up and listener.up)
        for message in ("1", "bad", "ü"):
            self.assertEqual(await link.call("PUBLISH", "c", message), 1)
        self.assertEqual(await listener.call("PING"), ["pong", ""])
        await until(lambda: len(heard) == 3)
        self.assertEqual(heard, ["1", "bad", "ü"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class EntranceTests(RedisTestCase):
    async def test_password_and_database(self) -> None:
        redis = self.redis(password="s3cret")
        link = self.link(evolve(redis.server, db=3))
        await until(lambda: link.up)
        await link.call("SET", "here", "x")
        self.assertEqual(redis.ask("-n", "3", "KEYS", "*"), ["here"])
        self.assertIn("name=test", redis.ask("CLIENT", "LIST"))

    async def test_wrong_password_is_told_and_tried_again(self) -> None:
        """An operator who changes it on the server need not start the daemons anew."""
        redis = self.redis(password="s3cret")
        link = self.link(evolve(redis.server, password="wrong"))
        await until(lambda: "WRONGPASS" in (link.trouble or ""))
        self.assertNotIn("wrong@", link.trouble or "")
        redis.ask("CONFIG", "SET", "requirepass", "wrong")
        await until(lambda: link.up)
        none = self.link(evolve(redis.server, password=None))
        await until(lambda: "NOAUTH" in (none.trouble or ""))

    async def test_user(self) -> None:
        redis = self.redis()
        redis.ask("ACL", "SETUSER", "svd", "on", ">pw", "~*", "&*", "+@all")
        link = self.link(evolve(redis.server, username="svd", password="pw"))
        await until(lambda: link.up)
        self.assertEqual(await link.call("ACL", "WHOAMI"), "svd")

    async def test_secrets_are_not_shown(self) -> None:
        server = RedisServer(host="::1", username="u", password="s3cret", db=2, tls=True)
        self.assertEqual(server.where, "rediss://[::1]:6379/2")
        self.assertNotIn("s3cret", repr(server))

    async def test_tls(self) -> None:
        """With a certificate that is checked: its authority, and its name."""
        root, leaf = signed("127.0.0.1", "localhost")
        file = self.base / "redis.pem"
        file.write_bytes(leaf)
        redis = self.redis(certificate=file, password="s3cret")
        stale, _ = signed("localhost", authority="its predecessor")
        authorities = self.base / "ca.pem"
        authorities.write_bytes(stale + root)
        server = evolve(redis.server, tls=True, ssl_ca=str(authorities))
        link = self.link(server)
        await until(lambda: link.up)
        big = "x" * 300_000
        await link.call("SET", "k", big)
        await link.call("RPUSH", "l", *[f"{n}" for n in range(300)])
        self.assertEqual(await link.call("GET", "k"), big)
        self.assertEqual(await link.call("LRANGE", "l", 0, -1), [f"{n}" for n in range(300)])
        await self.refused(link.call("BLPOP", "none", 0, timeout_s=0.1), AwayError)
        await until(lambda: link.up)
        stranger = self.link(evolve(server, ssl_ca=None))
        await until(lambda: "certificate verify failed" in (stranger.trouble or ""), "the refusal")

    def test_authorities_that_are_none(self) -> None:
        """The daemon does not start with them."""
        file = self.base / "ca.pem"
        for content, words in (
            (None, "cannot read ssl_ca"),
            (b"key", "no certificate"),
            (b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", "no certificate"),
        ):
            if content is not None:
                file.write_bytes(content)
            with self.assertRaises(ConfigError) as raised:
                Link(RedisServer(tls=True, ssl_ca=str(file)), reactor, name="test")
            self.assertIn(words, raised.exception.message)


class LossTests(RedisTestCase):
    async def test_restart(self) -> None:
        """What waits fails at once, what is asked while it is away does too, then all is well again."""
        redis = self.redis()
        lost: list[int] = []
        link = self.link(redis, lost=lambda: lost.append(1))
        await until(lambda: link.up)
        waiting = Deferred.fromCoroutine(link.call("BLPOP", "none", 0, timeout_s=30))
        redis.kill()
        await self.refused(waiting, AwayError)
        await until(lambda: not link.up)
        self.assertEqual(lost, [1])
        await self.refused(link.call("ECHO", "x"), AwayError)
        await until(lambda: "refused" in (link.trouble or ""))
        redis.start()
        await until(lambda: link.up)
        self.assertEqual(await link.call("ECHO", "x"), "x")

    async def test_stop(self) -> None:
        redis = self.redis()
        link = self.link(redis)
        await until(lambda: link.up)
        waiting = Deferred.fromCoroutine(link.call("BLPOP", "none", 0, timeout_s=30))
        await link.stopService()
        await self.refused(waiting, AwayError)
        self.assertFalse(link.up)
        await until(lambda: "name=test" not in redis.ask("CLIENT", "LIST"))

    async def test_what_prepares_it_may_fail(self) -> None:
        redis = self.redis()
        tries: list[int] = []

        async def ready(link: Link) -> None:
            tries.append(1)
            if len(tries) < 3:
                await link.call("NOPE")

        link = self.link(redis, ready=ready)
        await until(lambda: link.up)
        self.assertEqual(len(tries), 3)
        self.assertEqual(redis.ask("CLIENT", "LIST").count("name=test"), 1)


class Odd(Protocol):
    """Says ``greeting`` at once, then what ``answer`` gives; None: hangs up."""

    greeting = b""
    answer: bytes | None = b""

    def connectionMade(self) -> None:
        self.factory.seen += 1  # type: ignore[attr-defined]
        self.transport.write(self.greeting)

    def dataReceived(self, _data: bytes) -> None:
        if self.answer is None:
            self.transport.loseConnection()
        else:
            self.transport.write(self.answer)


class OddServerTests(RedisTestCase):
    """txredisapi's own factories give up for good in most of these."""

    async def odd(self, **manner: Any) -> tuple[Link, Any]:
        factory = Factory.forProtocol(type("Manner", (Odd,), manner))
        factory.noisy = False
        factory.seen = 0
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        server = RedisServer(host="127.0.0.1", port=port.getHost().port, password="s3cret", db=1)
        return self.link(server, timeout_s=0.2), factory

    async def meet(self, trouble: str, **manner: Any) -> None:
        link, factory = await self.odd(**manner)
        await until(lambda: trouble in (link.trouble or ""), f"{trouble!r} (it says {link.trouble!r})")
        await until(lambda: factory.seen > 2, "another attempt")
        self.assertFalse(link.up)
        await link.stopService()
        seen = factory.seen
        await deferLater(reactor, 0.3)  # not synchronisation: nothing may come in this time
        self.assertEqual(factory.seen, seen)

    async def test_silent(self) -> None:
        await self.meet("within 0.2 s")

    async def test_hangs_up(self) -> None:
        await self.meet("closed cleanly", answer=None)

    async def test_full(self) -> None:
        await self.meet(
            "max number of clients", greeting=b"-ERR max number of clients reached\r\n", answer=None
        )

    async def test_loading(self) -> None:
        await self.meet("LOADING", answer=b"-LOADING Redis is loading the dataset in memory\r\n")

    async def test_no_redis(self) -> None:
        await self.meet("", greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def test_not_there(self) -> None:
        link, _ = await self.odd()
        away = self.link(RedisServer(host="none.invalid"))
        await until(lambda: "DNS" in (away.trouble or "") or "resolve" in (away.trouble or ""), str(link))
