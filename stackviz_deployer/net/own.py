# SPDX-License-Identifier: Apache-2.0
"""Whether an address and port are this process's own: it must never be made to ask itself."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IListeningPort

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Readers(Protocol):
    """What is used of IReactorFDSet."""

    def getReaders(self) -> Iterable[Any]: ...


def source_towards(ip: IpAddress) -> IpAddress | None:
    """The address from which this machine would ask ``ip``; None: it has no way there.  Sends nothing."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(ip), 9))
            return ipaddress.ip_address(probe.getsockname()[0])
    except OSError:
        return None


def is_own_endpoint(
    reactor: Readers,
    address: str,
    port: int,
    source_of: Callable[[IpAddress], IpAddress | None] = source_towards,
) -> bool:
    """Whether this process listens at ``address`` (numeric) and ``port``, whatever opened the port.

    The reactor is asked at each connection, so that ports handed over by systemd and those of parts
    that are added later count, too.  An address is this machine's own if ``source_of`` says that the
    machine asks it from that very address.
    """
    places = (reader.getHost() for reader in reactor.getReaders() if IListeningPort.providedBy(reader))
    bound = [(one.host, one.port) for one in places if isinstance(one, IPv4Address | IPv6Address)]
    return is_among(bound, address, port, source_of)


def is_among(
    bound: Iterable[tuple[str, int]],
    address: str,
    port: int,
    source_of: Callable[[IpAddress], IpAddress | None] = source_towards,
) -> bool:
    """Whether who connects to ``address`` and ``port`` comes to one of these (numeric) places."""
    ip = _plain(address)
    for host, own_port in bound:
        if own_port != port:
            continue
        own = _plain(host)
        if own == ip or (own.is_unspecified and (ip.is_loopback or source_of(ip) == ip)):
            return True
    return False


def _plain(address: str) -> IpAddress:
    """An IPv4-mapped address is the IPv4 address: the kernel connects to that."""
    ip = ipaddress.ip_address(address)
    return getattr(ip, "ipv4_mapped", None) or ip
