# SPDX-License-Identifier: Apache-2.0
"""Who a client is: an address, or what a proxy that we were told to believe says of it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from twisted.internet.interfaces import IAddress
from twisted.web.http import Request

UNIX = "unix"
"""In place of an address: who connects to a Unix socket."""
MAX_HOPS = 20
"""Entries of X-Forwarded-For that are looked at, from the right."""

_Address = IPv4Address | IPv6Address


class Clients:
    """The key under which limits know a client: an IPv4 address, an IPv6 /64, or ``unix``."""

    def __init__(self, proxies: Sequence[str] = ()) -> None:
        """``proxies``: networks (CIDR), or ``unix``, whose X-Forwarded-For is believed."""
        self._networks: list[IPv4Network | IPv6Network] = [
            ip_network(entry) for entry in proxies if entry != UNIX
        ]
        self._unix = UNIX in proxies

    def of_connection(self, address: IAddress | None) -> str | None:
        """None for a proxy, whose connections are those of many clients."""
        peer = _read(getattr(address, "host", None))
        if peer is None:
            return None if self._unix else UNIX
        return None if self._believed(peer) else _key(peer)

    def of(self, request: Request) -> str:
        """The last one before our proxies, as they say; what is left of it was written by anybody."""
        peer = _read(getattr(request.getClientAddress(), "host", None))
        if not (self._unix if peer is None else self._believed(peer)):
            return UNIX if peer is None else _key(peer)
        client = peer
        lines = request.requestHeaders.getRawHeaders(b"X-Forwarded-For", [])
        hops = b",".join(lines).rsplit(b",", MAX_HOPS)[-MAX_HOPS:] if lines else []
        for hop in reversed(hops):
            address = _read(_bare(hop.strip().decode("latin-1")))
            if address is None:
                break
            client = address
            if not self._believed(address):
                break
        return UNIX if client is None else _key(client)

    def _believed(self, address: _Address) -> bool:
        return any(address in network for network in self._networks)


def _read(text: str | None) -> _Address | None:
    try:
        address = ip_address(text or "")
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _bare(hop: str) -> str:
    """Without the port that some proxies add."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _key(address: _Address) -> str:
    if address.version == 4:
        return str(address)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
