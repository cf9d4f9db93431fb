# SPDX-License-Identifier: Apache-2.0
"""Which addresses may be connected to, whatever a name resolves to at that moment.

The check sits where connections are made: the resolver that the endpoints see drops what is
not allowed, and the reactor that they see refuses to connect to it.  Literals (``0x7f.1``,
``[::ffff:127.0.0.1]``), redirects and rebound names all come through here.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IReactorTime,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from stackviz_deployer.errors import AddressRefusedError, ConfigError, OutOfFilesError
from stackviz_deployer.net.hosts import AllowedHosts, parse_place, parse_url

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IPv6 addresses that are not what they look like, or that ipaddress calls global although nobody owns them
_TRANSITION = {
    ipaddress.ip_network("::/96"): "an IPv4-compatible address",
    ipaddress.ip_network("::ffff:0:0/96"): "an IPv4-mapped address",
    ipaddress.ip_network("64:ff9b::/96"): "a NAT64 address",
    ipaddress.ip_network("64:ff9b:1::/48"): "a NAT64 address",
    ipaddress.ip_network("2001::/32"): "a Teredo address",
    ipaddress.ip_network("2002::/16"): "a 6to4 address",
    ipaddress.ip_network("3fff::/20"): "an address for documentation",
}
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# what ipaddress calls global, if not in every release of Python (CVE-2024-4032), and is not to be reached
_NEVER_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # protocol assignments; Oracle's cloud has its metadata there
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # Azure's host, to its guests
        "2001::/23",  # protocol assignments
    )
)


class AddressGuard:
    """Addresses that may be connected to: global ones, and those in ``private_networks`` (CIDRs).

    Never where ``is_own`` says of an address and port that this process itself listens there.
    """

    def __init__(
        self, private_networks: Iterable[str] = (), *, is_own: Callable[[str, int], bool] | None = None
    ) -> None:
        self._is_own = is_own
        self._private: list[_Network] = []
        for network in private_networks:
            try:
                self._private.append(ipaddress.ip_network(network))
            except ValueError as error:
                raise ConfigError(
                    f"private_networks: {network!r} is no network in CIDR form ({error})."
                ) from error

    def is_own(self, address: str, port: int) -> bool:
        """Whether ``address`` (numeric) and ``port`` are this process's."""
        return self._is_own is not None and self._is_own(address, port)

    def refusal(self, address: str) -> str | None:
        """Why ``address`` (numeric) may not be connected to, in words; None when it may."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return "no numeric address"
        if ip.is_multicast:
            return "a multicast address"
        if ip.is_unspecified:
            return "no address of a host"
        if isinstance(ip, ipaddress.IPv6Address) and ip.scope_id is not None:
            return "an address of one link"
        if any(ip in network for network in self._private if network.version == ip.version):
            return None
        if isinstance(ip, ipaddress.IPv6Address):
            for network, what in _TRANSITION.items():
                if ip in network and not ip.is_loopback:
                    return what
        if ip.is_loopback:
            return "an address of this machine itself"
        if ip.is_link_local:
            return "an address of one link"
        if isinstance(ip, ipaddress.IPv6Address) and ip not in _GLOBAL_UNICAST:
            return "no public address"
        if not ip.is_global or ip.is_reserved or any(ip in network for network in _NEVER_PUBLIC):
            return "no public address"
        return None


@frozen
class _Refused:
    address: str
    why: str
    for_good: bool
    """Whether no configuration lets it through."""


@implementer(IResolutionReceiver)
class _Filter:
    """Passes on the addresses that the reactor may connect to."""

    def __init__(self, inner: IResolutionReceiver, reactor: GuardedReactor) -> None:
        self._inner = inner
        self._reactor = reactor

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        self._inner.resolutionBegan(resolution)

    def addressResolved(self, address: IAddress) -> None:
        refused = self._reactor.refusal(str(getattr(address, "host", "")), int(getattr(address, "port", 0)))
        if refused is None:
            self._inner.addressResolved(address)
        else:
            self._reactor.refused.append(refused)

    def resolutionComplete(self) -> None:
        self._inner.resolutionComplete()


@implementer(IHostnameResolver)
class GuardedResolver:
    """The reactor's resolver less the addresses that may not be connected to (those end in ``refused``)."""

    def __init__(self, inner: IHostnameResolver, reactor: GuardedReactor) -> None:
        self._inner = inner
        self._reactor = reactor

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        receiver = _Filter(resolutionReceiver, self._reactor)
        return self._inner.resolveHostName(receiver, hostName, portNumber, addressTypes, transportSemantics)


@implementer(IReactorPluggableNameResolver)
class GuardedReactor:
    """A reactor that neither resolves to nor connects to an address that the guard refuses, nor to itself."""

    def __init__(self, reactor: Any, guard: AddressGuard) -> None:
        self._reactor = reactor
        self._guard = guard
        self.refused: list[_Refused] = []
        self.nameResolver = GuardedResolver(reactor.nameResolver, self)

    def refusal(self, address: str, port: int) -> _Refused | None:
        """What speaks against a connection; None when it may be made."""
        why = self._guard.refusal(address)
        if why is not None:
            return _Refused(address, why, for_good=False)
        if self._guard.is_own(address, port):
            return _Refused(address, "where this server itself listens", for_good=True)
        return None

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError("the guard's resolver stays")

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> Any:
        refused = self.refusal(host, port)
        if refused is not None:
            raise AddressRefusedError(f"{host} is {refused.why}.")
        return self._reactor.connectTCP(host, port, factory, timeout, bindAddress)

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("connect", "spawn", "listen")):
            raise AttributeError(name)
        return getattr(self._reactor, name)


@implementer(IStreamClientEndpoint)
class GuardedEndpoint:
    """Connects to ``address`` (a name or a literal), which stands for ``host`` in messages."""

    def __init__(
        self, reactor: Any, guard: AddressGuard, *, host: str, address: str, port: int, timeout_s: float
    ) -> None:
        self._reactor = reactor
        self._guard = guard
        self._host = host
        self._address = address
        self._port = port
        self._timeout_s = timeout_s

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect.  Fails with AddressRefusedError when no address of the host may be connected to."""
        guarded = GuardedReactor(self._reactor, self._guard)
        attempt = HostnameEndpoint(guarded, self._address, self._port, timeout=self._timeout_s).connect(
            protocolFactory
        )
        # HostnameEndpoint turns a cancelled look-up into a DNS failure: keep the two apart
        connected: Deferred[IProtocol] = Deferred(lambda _: attempt.cancel())

        def failed(failure: Failure) -> None:
            if connected.called:
                return
            if failure.check(DNSLookupError) and guarded.refused:
                connected.errback(Failure(self._explain(guarded.refused)))
            elif failure.check(DNSLookupError) and _none_opens():
                connected.errback(Failure(OutOfFilesError(f"asking DNS for {self._host}")))
            else:
                connected.errback(failure)

        def made(protocol: IProtocol) -> None:
            connected.callback(protocol)

        attempt.addCallbacks(made, failed)
        return connected

    def _explain(self, refused: Sequence[_Refused]) -> AddressRefusedError:
        first = refused[0]
        what = (
            f"{self._host} is {first.why}"
            if first.address == self._host
            else (f"{self._host} has the address {first.address}, which is {first.why}")
        )
        if first.for_good:
            return AddressRefusedError(f"{what}; it does not ask itself.")
        return AddressRefusedError(
            f"{what}, and such are not connected to. Its operator can add the network to private_networks."
        )


def _none_opens() -> bool:
    """Whether no file can be opened: the C library then says of a name only that it was not found."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return OutOfFilesError.fits(error)
    return False


@frozen
class _Place:
    address: str
    port: int | None


class Overrides:
    """``resolve`` of the configuration: ``host`` or ``host:port`` -> ``address[:port]``, instead of DNS."""

    def __init__(self, resolve: Mapping[str, str]) -> None:
        self._places: dict[tuple[str, int | None], _Place] = {}
        for name, place in resolve.items():
            try:
                address, port = parse_place(place)
                ipaddress.ip_address(address)
                self._places[parse_place(name)] = _Place(address, port)
            except ValueError as error:
                raise ConfigError(
                    f"resolve: {name!r}: {place!r} is not of the form host: address[:port] ({error})."
                ) from error

    def find(self, host: str, port: int) -> tuple[str, int]:
        """Where to connect to for ``host`` and ``port``: these themselves, when nothing is configured."""
        place = self._places.get((host, port)) or self._places.get((host, None))
        if place is None:
            return host, port
        return place.address, port if place.port is None else place.port


@implementer(IAgentEndpointFactory)
class GuardedEndpoints:
    """Endpoints for an Agent: allow-list once more, overrides, guard, TLS for the name that was asked for."""

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        hosts: AllowedHosts,
        guard: AddressGuard,
        overrides: Overrides,
        tls: IPolicyForHTTPS,
        connect_timeout_s: float,
    ) -> None:
        self._reactor = reactor
        self._hosts = hosts
        self._guard = guard
        self._overrides = overrides
        self._tls = tls
        self._connect_timeout_s = connect_timeout_s

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """For the URI of a request, whoever made it.  Raises what AllowedHosts and parse_url raise."""
        target = parse_url(uri.toBytes().decode("ascii"))
        self._hosts.admit(target)
        address, port = self._overrides.find(target.host, target.port)
        endpoint = GuardedEndpoint(
            self._reactor,
            self._guard,
            host=target.host,
            address=address,
            port=port,
            timeout_s=self._connect_timeout_s,
        )
        if target.scheme == "http":
            return endpoint
        creator = self._tls.creatorForNetloc(target.host.encode("ascii"), target.port)
        return wrapClientTLS(creator, endpoint)
