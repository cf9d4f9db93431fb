# SPDX-License-Identifier: Apache-2.0
"""The look-up with the real Fetcher and a real parser process, against a Gerrit on loopback."""

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from stackviz_deployer.cpu import WorkerPool
from stackviz_deployer.errors import (
    NotFoundError,
    StackvizError,
    UpstreamInvalidError,
    UpstreamStatusError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from stackviz_deployer.lookup.service import LookupService
from stackviz_deployer.model import Answer
from stackviz_deployer.net.fetch import HttpFetcher
from stackviz_deployer.settings import GerritServer, Limits
from tests.fake_gerrit import README_CHANGES, FakeGerrit, listen
from tests.lookup.fakes import Scratches
from tests.web.fakes import CountingMeters


class OverHttpTests(TestCase):
    timeout = 60

    async def setUp(self) -> None:
        self.fake = FakeGerrit(README_CHANGES, base="/r/")
        self.port = listen(reactor, self.fake)
        self.cpu = WorkerPool(reactor, slots=1, memory_bytes=2 << 30)
        self.cpu.startService()
        self.fetcher = HttpFetcher(
            reactor,
            allowed=["logs.openstack.org", "review.opendev.org"],
            private_networks=["127.0.0.0/8"],
            resolve={"review.opendev.org": f"127.0.0.1:{self.port.getHost().port}"},
        )
        self.scratches = Scratches()
        self.meters = CountingMeters()
        self.lookup = self.make_lookup()

    def make_lookup(self, limits: Limits | None = None, **deadlines: float) -> LookupService:
        return LookupService(
            fetcher=self.fetcher,
            cpu=self.cpu,
            gerrits=[GerritServer(url="http://review.opendev.org/r/", aliases=("review.openstack.org",))],
            samples=(),
            limits=limits or Limits(),
            meters=self.meters,
            clock=reactor,
            scratch=self.scratches,
            **deadlines,
        )

    async def tearDown(self) -> None:
        await self.fetcher.close()
        await self.cpu.stopService()
        await maybeDeferred(self.port.stopListening)
        self.assertEqual(self.scratches.open, 0)

    async def fails(self, q: str, kind: type[StackvizError]) -> Any:
        return await self.assertFailure(Deferred.fromCoroutine(self.lookup.find(q)), kind)

    async def test_readme(self) -> None:
        answer: Answer = await self.lookup.find("https://review.openstack.org/r/#/c/271726/")
        self.assertEqual(
            [(job.name, job.status, job.voting) for job in answer.results[:2]],
            [("gate-stackviz-pep8", "SUCCESS", True), ("gate-stackviz-python27", "SUCCESS", True)],
        )
        job = await self.lookup.describe(
            "http://logs.openstack.org/26/271726/2/gate/gate-stackviz-python27/937cf7b/"
        )
        self.assertEqual((job.status, job.ci_username), ("SUCCESS", "jenkins"))
        self.assertEqual(self.fake.asked, ["/r/changes/271726"])

    async def test_project_travels_encoded(self) -> None:
        await self.lookup.find("http://review.opendev.org/r/c/openstack/stackviz/+/271726/1")
        self.assertEqual(self.fake.asked, ["/r/changes/openstack%2Fstackviz~271726"])

    async def test_absent(self) -> None:
        error = await self.fails("1", NotFoundError)
        self.assertIn("review.opendev.org", error.message)

    async def test_nonsense(self) -> None:
        for mode in ("html", "garbage", "cut", "deep"):
            self.fake.mode = mode
            error = await self.fails("271726", UpstreamInvalidError)
            self.assertIn("review.opendev.org", error.message)

    async def test_an_answer_within_the_limit(self) -> None:
        self.lookup = self.make_lookup(Limits(listing_bytes=1 << 20))
        self.assertTrue((await self.lookup.find("271726")).results)
        self.assertEqual(self.meters.counts["limit_hits,limits.listing_bytes"], 0)

    async def test_an_answer_over_the_limit(self) -> None:
        hit = "limit_hits,limits.listing_bytes"
        self.lookup = self.make_lookup(Limits(listing_bytes=1000))
        error = await self.fails("271726", StackvizError)
        self.assertEqual((error.code, self.meters.counts[hit]), ("too-large", 1))
        while not any(self.fetcher._pool._connections.values()):  # so that its time-out is over, too
            await deferLater(reactor, 0.005)

    async def test_login_wanted(self) -> None:
        self.fake.mode = "401"
        error = await self.fails("271726", UpstreamStatusError)
        self.assertEqual(error.status, 401)
        self.assertIn("review.opendev.org", error.message)

    async def test_slow(self) -> None:
        self.lookup = self.make_lookup(find_timeout_s=0.5)
        for mode in ("slow", "drip"):
            self.fake.mode = mode
            error = await self.fails("271726", UpstreamTimeoutError)
            self.assertIn("review.opendev.org", error.message)

    async def test_the_last_who_leaves_hangs_up(self) -> None:
        self.fake.mode = "slow"
        arrived = self.fake.arrived = Deferred()
        gone = self.fake.left = Deferred()
        waiting = [Deferred.fromCoroutine(self.lookup.find("271726")) for _ in range(2)]
        await arrived
        for d in waiting:
            d.addErrback(lambda _: None)
            d.cancel()
        await gone
        self.assertEqual(len(self.fake.asked), 1)

    async def test_down(self) -> None:
        await self.port.stopListening()
        error = await self.fails("271726", UpstreamUnreachableError)
        self.assertIn("review.opendev.org", error.message)
