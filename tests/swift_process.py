# SPDX-License-Identifier: Apache-2.0
"""A process that is an OpenStack Swift; ``/usr/bin/python3 swift_process.py DIR ACCOUNT CONTAINER OBJECT``.

``DIR`` has swift.conf, and ``<name>.conf`` of each server, as Swift has them in /etc/swift; the numbers are
the ports of the three servers behind the proxies.  The servers are Swift's own, one process each, made by
forking from this one, so that what they share is imported once.  All end when standard input does.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

from swift.common import utils
from swift.common.ring import RingBuilder
from swift.common.wsgi import run_wsgi

KINDS = ("account", "container", "object")
PROXIES = ("proxy", "proxy-acl")
PR_SET_PDEATHSIG = 1


def make_rings(base, ports):
    """One replica, one device."""
    for kind, port in zip(KINDS, ports, strict=True):
        builder = RingBuilder(2, 1, 0)
        where = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
        builder.add_dev(
            {"id": 0, "region": 1, "zone": 1, "device": "disk", "weight": 1.0, "meta": "", **where}
        )
        builder.rebalance()
        builder.get_ring().save(str(base / f"{kind}.ring.gz"))


def main(base, ports):
    utils.set_swift_dir(str(base))
    make_rings(base, ports)
    for name in (*KINDS, *PROXIES):
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os._exit(run_wsgi(str(base / f"{name}.conf"), f"{name.partition('-')[0]}-server", verbose=True))
    while sys.stdin.buffer.read(1 << 16):
        pass


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), [int(port) for port in sys.argv[2:5]])
