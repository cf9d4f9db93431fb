# SPDX-License-Identifier: Apache-2.0
"""A look-up that asks Gerrits and Zuuls on loopback, with the real Fetcher."""

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import TestCase

from stackviz_deployer.errors import (
    StackvizError,
)
from stackviz_deployer.interfaces import CpuPool
from stackviz_deployer.lookup.service import LookupService
from stackviz_deployer.model import Answer, Job
from stackviz_deployer.net.fetch import HttpFetcher
from stackviz_deployer.settings import GerritServer, Limits, ZuulServer
from tests import fake_gerrit
from tests.fake_gerrit import README_CHANGES, FakeGerrit
from tests.fake_zuul import (
    PEP8,
    SWIFT,
    TENANTS,
    FakeZuul,
    listen,
)
from tests.lookup.fakes import DirectCpu, Scratches

BUILDSET = "f495c3661ca346a198c80a01387d6ba4"
PEP8_ROOT = f"{SWIFT}/zuul_opendev_logs_012/openstack/{PEP8}/"
OPENDEV = ZuulServer(url="http://zuul.opendev.org/")
SHA = "0a1b2c3d4e" * 4


class ZuulTestCase(TestCase):
    timeout = 60
    hosts = ("storage.*.cloud.ovh.net", "*.ssl.cf*.rackcdn.com", "logs.openstack.org")
    zuuls: tuple[ZuulServer, ...] = (OPENDEV,)

    async def setUp(self) -> None:
        self.gerrit = FakeGerrit(README_CHANGES)
        self.zuul = FakeZuul(TENANTS)
        self.other = FakeZuul({}, base="/zuul/")
        self.ports = [fake_gerrit.listen(reactor, self.gerrit)]
        self.ports += [listen(reactor, zuul) for zuul in (self.zuul, self.other)]
        self.names = ("review.opendev.org", "zuul.opendev.org", "sf.example.org")
        self.cpu: CpuPool = DirectCpu()
        self.fetcher = HttpFetcher(
            reactor,
            allowed=[*self.hosts, *self.names],
            private_networks=["127.0.0.0/8"],
            resolve={
                name: f"127.0.0.1:{port.getHost().port}"
                for name, port in zip(self.names, self.ports, strict=True)
            },
        )
        self.scratches = Scratches()
        self.make_lookup()

    def make_lookup(self, *zuuls: ZuulServer, **deadlines: float) -> None:
        self.lookup = LookupService(
            fetcher=self.fetcher,
            cpu=self.cpu,
            gerrits=[GerritServer(url="http://review.opendev.org/", aliases=("review.openstack.org",))],
            zuuls=zuuls or self.zuuls,
            samples=(),
            limits=Limits(),
            clock=reactor,
            scratch=self.scratches,
            **deadlines,
        )

    async def tearDown(self) -> None:
        await self.fetcher.close()
        for port in self.ports:
            await maybeDeferred(port.stopListening)
        self.assertEqual(self.scratches.open, 0)

    async def stop(self, fake: FakeZuul | FakeGerrit) -> None:
        await self.ports[(self.gerrit, self.zuul, self.other).index(fake)].stopListening()

    async def fails(self, q: str, kind: type[StackvizError]) -> str:
        error: Any = await self.assertFailure(Deferred.fromCoroutine(self.lookup.find(q)), kind)
        return str(error.message)

    async def one(self, q: str) -> Job:
        answer = await self.lookup.find(q)
        (job,) = answer.results
        self.assertEqual(answer.warnings, ())
        return job

    def by_name(self, answer: Answer) -> dict[tuple[str | None, str], Job]:
        found = {(job.ci_username, job.name): job for job in answer.results}
        self.assertEqual(len(found), len(answer.results))
        return found
