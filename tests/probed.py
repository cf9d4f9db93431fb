# SPDX-License-Identifier: Apache-2.0
"""``twistd`` with a test's instruments inside: ``python tests/probed.py INSTRUMENT=VALUE... -- ARGS``.

``dns=PORT``: names are asked of the DNS server at 127.0.0.1:PORT, not of the machine.
``held=FILE``: the file always holds two doubles, the longest that one turn of the reactor took so far:
seconds of its thread's processor time, and by the clock (the clock also counts the time that the
machine gave to others).  Writing zeros into the file begins anew.
``pace=FACTOR``: nodes of a cluster renew, compare and take over in so much of the time, and ask a store that
fails again in so much.
``step=FILE``: the time of day is off by the seconds that the file holds, a double, at each moment.
"""

import mmap
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # before anybody takes these functions for his own
    _files = [one.removeprefix("step=") for one in sys.argv if one.startswith("step=")]
    if _files:
        with Path(_files[0]).open("rb") as _opened:
            _step = memoryview(mmap.mmap(_opened.fileno(), 8, prot=mmap.PROT_READ)).cast("d")
        _time, _time_ns = time.time, time.time_ns
        time.time = lambda: _time() + _step[0]
        time.time_ns = lambda: _time_ns() + int(_step[0] * 1e9)

from attrs import evolve
from twisted.internet import reactor as _reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import DeferredList
from twisted.internet.interfaces import IHostnameResolver
from twisted.scripts.twistd import run
from zope.interface import implementer

reactor: Any = _reactor
HELD = struct.Struct("=dd")


@implementer(IHostnameResolver)
class Names:
    """All that the server says of a name, IPv4 and IPv6."""

    def __init__(self, port: int) -> None:
        from twisted.names.client import Resolver

        self.client = Resolver(servers=[("127.0.0.1", port)], timeout=(2,))

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, *_args: Any) -> Any:
        receiver.resolutionBegan(self)

        def told(results: list[Any]) -> None:
            for _, (answers, _, _) in (result for result in results if result[0]):
                for row in answers:
                    kind = IPv4Address if row.type == 1 else IPv6Address
                    receiver.addressResolved(
                        kind(
                            "TCP",
                            row.payload.dottedQuad()
                            if row.type == 1
                            else socket.inet_ntop(socket.AF_INET6, row.payload.address),
                            portNumber,
                        )
                    )
            receiver.resolutionComplete()

        asked = [self.client.lookupAddress(hostName), self.client.lookupIPV6Address(hostName)]
        DeferredList(asked, consumeErrors=True).addCallback(told)
        return self


def ask_dns(port: str) -> None:
    reactor.installNameResolver(Names(int(port)))


def watch_turns(file: str) -> None:
    """Measure from the end of each wait for events to the beginning of the next."""
    with Path(file).open("r+b") as opened:
        held = mmap.mmap(opened.fileno(), HELD.size)
    poller = reactor._poller

    class Poller:
        began: tuple[float, float] | None = None

        def poll(self, *args: Any) -> Any:
            if self.began is not None:
                now = time.thread_time(), time.monotonic()
                worst = HELD.unpack_from(held)
                turn = [after - before for after, before in zip(now, self.began, strict=True)]
                HELD.pack_into(held, 0, *map(max, worst, turn))
            try:
                return poller.poll(*args)
            finally:
                self.began = time.thread_time(), time.monotonic()

        def __getattr__(self, name: str) -> Any:
            return getattr(poller, name)

    reactor._poller = Poller()


def hurry(factor: str) -> None:
    """Before anything asks for the times."""
    from stackviz_deployer.cluster import bus
    from stackviz_deployer.jobs import stubborn
    from stackviz_deployer.store import disk

    pace, usual = float(factor), bus.Times()
    quick = evolve(usual, **{key: getattr(usual, key) * pace for key in ("renew", "idle", "compare")})
    bus.Times = lambda: quick
    stubborn.RETRY_S = tuple(pause_s * pace for pause_s in stubborn.RETRY_S)
    disk.PROBE_S *= pace


INSTRUMENTS: dict[str, Callable[[str], None]] = {
    "dns": ask_dns,
    "held": watch_turns,
    "pace": hurry,
    "step": lambda _file: None,  # done above
}

if __name__ == "__main__":
    end = sys.argv.index("--")
    for instrument in sys.argv[1:end]:
        name, _, value = instrument.partition("=")
        INSTRUMENTS[name](value)
    sys.argv[:] = ["twistd", *sys.argv[end + 1 :]]
    run()
