# SPDX-License-Identifier: Apache-2.0
import os
import resource
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import DNSLookupError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import AddressRefusedError, ConfigError, OutOfFilesError
from stackviz_deployer.net.guard import AddressGuard, GuardedEndpoint, GuardedReactor, Overrides


class AddressTests(SynchronousTestCase):
    def test_public(self) -> None:
        guard = AddressGuard()
        for address in ("8.8.8.8", "104.130.124.120", "2001:4860:4860::8888", "2a01:4f8::1"):
            self.assertIsNone(guard.refusal(address), address)

    def test_refused(self) -> None:
        guard = AddressGuard()
        for address in (
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.0.8",
            "192.0.0.192",
            "168.63.129.16",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fe80::1%eth0",
            "fec0::1",
            "ff02::1",
            "2001:4860::1%1",
            "0x7f.1",
            "localhost",
            "",
        ):
            self.assertIsNotNone(guard.refusal(address), address)

    def test_private_networks(self) -> None:
        guard = AddressGuard(["127.0.0.0/8", "64:ff9b::/96", "fd00::/8"])
        for address in ("127.0.0.1", "64:ff9b::808:808", "fd00::1"):
            self.assertIsNone(guard.refusal(address), address)
        for address in ("::1", "::ffff:127.0.0.1", "10.0.0.1", "224.0.0.1"):
            self.assertIsNotNone(guard.refusal(address), address)
        everything = AddressGuard(["0.0.0.0/0", "::/0"])
        for address in ("224.0.0.1", "0.0.0.0", "::", "ff02::1", "fe80::1%eth0"):
            self.assertIsNotNone(everything.refusal(address), address)
        self.assertRaises(ConfigError, AddressGuard, ["127.0.0.1/8"])


class Resolver:
    """Answers each look-up with the next of these lists of addresses."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, *args: Any) -> Any:
        receiver.resolutionBegan(None)
        for address in self.answers.pop(0):
            receiver.addressResolved(IPv4Address("TCP", address, portNumber))
        receiver.resolutionComplete()
        return receiver


class EndpointTests(SynchronousTestCase):
    def connect(self, *answers: list[str], times: int = 1) -> tuple[MemoryReactorClock, list[Any]]:
        reactor = MemoryReactorClock()
        reactor.installNameResolver(Resolver(*answers))
        results: list[Any] = []
        for _ in range(times):
            endpoint = GuardedEndpoint(
                reactor, AddressGuard(), host="logs.example", address="logs.example", port=80, timeout_s=5
            )
            endpoint.connect(None).addBoth(results.append)  # type: ignore[arg-type]
        return reactor, results

    def test_refused_address_is_named(self) -> None:
        reactor, (failure,) = self.connect(["10.1.2.3"])
        self.assertEqual(reactor.tcpClients, [])
        self.assertIsInstance(failure.value, AddressRefusedError)
        self.assertIn("logs.example has the address 10.1.2.3", failure.value.message)

    def test_only_what_is_public_of_a_mixture(self) -> None:
        reactor, results = self.connect(["10.1.2.3", "8.8.8.8", "127.0.0.1"])
        reactor.advance(1)
        self.assertEqual([client[0] for client in reactor.tcpClients], ["8.8.8.8"])
        self.assertEqual(results, [])

    def test_rebinding(self) -> None:
        """The first answer is public, the second is not: each connection asks, and is checked, anew."""
        reactor, results = self.connect(["8.8.8.8"], ["127.0.0.1"], times=2)
        self.assertEqual([client[0] for client in reactor.tcpClients], ["8.8.8.8"])
        self.assertIsInstance(results[0].value, AddressRefusedError)

    def test_a_name_that_is_not_found_for_want_of_descriptors(self) -> None:
        """The C library says no more than that there is none."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        _, (failure,) = self.connect([])
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertIsInstance(failure.value, OutOfFilesError)
        self.assertIn("asking DNS for logs.example: too many open files", failure.value.message)
        _, (failure,) = self.connect([])
        self.assertIsInstance(failure.value, DNSLookupError)

    def test_no_way_around_the_resolver(self) -> None:
        reactor = GuardedReactor(MemoryReactorClock(), AddressGuard())
        self.assertRaises(AddressRefusedError, reactor.connectTCP, "127.0.0.1", 80, None)
        self.assertRaises(AddressRefusedError, reactor.connectTCP, "localhost", 80, None)
        for name in ("connectSSL", "connectUNIX", "listenTCP", "spawnProcess"):
            self.assertRaises(AttributeError, getattr, reactor, name)


class OverrideTests(SynchronousTestCase):
    def test_forms(self) -> None:
        overrides = Overrides(
            {"a": "10.0.0.1", "b": "10.0.0.2:8080", "c:443": "[::1]:8443", "C": "10.0.0.3", "d": "[::1]"}
        )
        self.assertEqual(overrides.find("a", 443), ("10.0.0.1", 443))
        self.assertEqual(overrides.find("b", 80), ("10.0.0.2", 8080))
        self.assertEqual(overrides.find("c", 443), ("::1", 8443))
        self.assertEqual(overrides.find("c", 80), ("10.0.0.3", 80))
        self.assertEqual(overrides.find("d", 80), ("::1", 80))
        self.assertEqual(overrides.find("e", 80), ("e", 80))

    def test_bad(self) -> None:
        for name, place in (
            ("a", "b"),
            ("a", "localhost:80"),
            ("a b", "10.0.0.1"),
            ("a", "10.0.0.1:x"),
            ("a", ""),
        ):
            self.assertRaises(ConfigError, Overrides, {name: place})
