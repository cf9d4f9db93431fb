# SPDX-License-Identifier: Apache-2.0
"""The names that this server answers to: a page of another name's, pointed here by DNS, reads nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from twisted.internet.interfaces import IAddress

_FORM = re.compile(
    rb"(?:(?!.{254})[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?"
)


def well_formed(host: bytes) -> bool:
    """Whether a Host header is one name or address, perhaps with a port."""
    return _FORM.fullmatch(host) is not None


class Names:
    """``hosts``, ``localhost``, and the address that a connection came in at."""

    def __init__(self, hosts: Sequence[str] = ()) -> None:
        self._names = frozenset(host.lower().rstrip(".").encode("ascii") for host in ("localhost", *hosts))

    def include(self, host: bytes, own: IAddress) -> bool:
        """Whether a Host header names us; its port may be any (proxies change it)."""
        if not well_formed(host):
            return False
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
