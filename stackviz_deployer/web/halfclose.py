# SPDX-License-Identifier: Apache-2.0
"""TLS 1.3 of which the client has closed its half: what it asked for is still answered.

Twisted takes a ``close_notify`` for the end of both halves, as TLS 1.2 had it (RFC 5246, 7.2.1); since
TLS 1.3 it ends only what its sender says (RFC 8446, 6.1).
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IHalfCloseableProtocol


class HalfClosable(SSL.Connection):
    """A server's end, for ``TLSMemoryBIOProtocol``."""

    _protocol: Any = None
    """Twisted's TLS protocol, until a ``close_notify`` has come."""

    @classmethod
    def of(cls, context: SSL.Context, protocol: Any) -> HalfClosable:
        """A connection; ``protocol`` wraps that which is told, if it knows of halves."""
        made = cls(context, None)
        made._protocol = protocol
        return made

    def recv(self, bufsiz: int, flags: int | None = None) -> bytes:
        """As pyOpenSSL's; a client that says no more looks like one that is silent, once."""
        try:
            return super().recv(bufsiz, flags)
        except SSL.ZeroReturnError:
            protocol, self._protocol = self._protocol, None
            told: Any = getattr(protocol, "wrappedProtocol", None)
            halves = self.get_protocol_version() >= SSL.TLS1_3_VERSION
            # The second time more came behind it, which nobody takes from OpenSSL's memory: Twisted closes.
            if protocol is None or not halves or not IHalfCloseableProtocol.providedBy(told):
                raise
            told.readConnectionLost()
            raise SSL.WantReadError from None
