# SPDX-License-Identifier: Apache-2.0
"""Whether an address and port are this process's own: it must never be made to ask itself."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any, Protocol

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IListeningPort


class Readers(Protocol):
    """What is used of IReactorFDSet."""

    def getReaders(self) -> Iterable[Any]: ...


def is_own_endpoint(reactor: Readers, address: str, port: int) -> bool:
    """Whether this process listens at ``address`` (numeric) and ``port``, whatever opened the port.

    The reactor is asked at each connection, so that ports handed over by systemd and those of parts
    that are added later count, too.
    """
    ip = _plain(address)
    for reader in reactor.getReaders():
        if not IListeningPort.providedBy(reader):
            continue
        place = reader.getHost()
        if not isinstance(place, IPv4Address | IPv6Address) or place.port != port:
            continue
        bound = _plain(place.host)
        if bound == ip or (bound.is_unspecified and _is_local(ip)):
            return True
    return False


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4-mapped address is the IPv4 address: the kernel connects to that."""
    ip = ipaddress.ip_address(address)
    return getattr(ip, "ipv4_mapped", None) or ip


def _is_local(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the address is one of this machine's: who asks itself does so from the address that it asks."""
    if ip.is_loopback:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(ip), 9))  # sends nothing, only asks for the route
            return ipaddress.ip_address(probe.getsockname()[0]) == ip
    except OSError:  # there is no way to it at all
        return False
