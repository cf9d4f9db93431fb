# SPDX-License-Identifier: Apache-2.0
"""The names that this server answers to: a page of another name's, pointed here by DNS, reads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from twisted.internet.interfaces import IAddress


class Names:
    """``hosts``, ``localhost``, and the address that a connection came in at."""

    def __init__(self, hosts: Sequence[str] = ()) -> None:
        self._names = frozenset(host.lower().rstrip(".").encode("ascii") for host in ("localhost", *hosts))

    def include(self, host: bytes, own: IAddress) -> bool:
        """Whether a Host header that is well formed names us; its port may be any (proxies change it)."""
        name = host[1:].partition(b"]")[0] if host.startswith(b"[") else host.partition(b":")[0]
        if name.lower().rstrip(b".") in self._names:
            return True
        address = _address(name.decode("ascii"))
        return address is not None and address == _address(getattr(own, "host", ""))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
