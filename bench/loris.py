# SPDX-License-Identifier: Apache-2.0
"""How long ordinary requests take while many connections drip a head, a byte at a time.

``python bench/loris.py [CONNECTIONS] [SECONDS]``: the real daemon, drips from 127.0.0.2-127.0.0.9 (the
limit of connections for one client stays as it is), and one client from 127.0.0.1 that asks for
/, /health/live and the look-up's script on a connection each, without and with the drips.
"""

from __future__ import annotations

import http.client
import resource
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.daemon import Daemon

PATHS = ("/", "/health/live", "/js/api.js")
DRIP_S = 1.0


def percentile(times: list[float], share: float) -> float:
    """Milliseconds."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000


def ask(port: int, seconds: float) -> list[float]:
    """Seconds of each request, connecting included."""
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in PATHS:
            began = time.perf_counter()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            times.append(time.perf_counter() - began)
            assert response.status == 200, response.status
            connection.close()
        time.sleep(0.01)
    return times


def drip(port: int, many: int, stop: threading.Event) -> None:
    """Keep so many connections open; one that the server closed is opened anew."""
    held: list[socket.socket] = []

    def open_one(n: int) -> socket.socket:
        one = socket.create_connection(("127.0.0.1", port), 10, source_address=(f"127.0.0.{2 + n % 8}", 0))
        one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        one.setblocking(False)
        return one

    held = [open_one(n) for n in range(many)]
    while not stop.wait(DRIP_S):
        for n, one in enumerate(held):
            try:
                one.send(b"x")
                if one.recv(1) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                continue
            except OSError:
                one.close()
                held[n] = open_one(n)
    for one in held:
        one.close()


def report(what: str, times: list[float]) -> None:
    """One line."""
    shares = "  ".join(
        f"{name} {percentile(times, share):6.1f} ms" for name, share in (("p50", 0.5), ("p99", 0.99))
    )
    print(f"{what:<12} {len(times):6d} requests  {shares}  max {max(times) * 1000:6.1f} ms")


def main(many: int = 1000, seconds: float = 60.0) -> None:
    """Both runs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with (
        tempfile.TemporaryDirectory() as folder,
        Daemon(Path(folder), {"zuuls": [], "gerrits": []}) as daemon,
    ):
        report("alone", ask(daemon.port, seconds / 4))
        stop = threading.Event()
        dripping = threading.Thread(target=drip, args=(daemon.port, many, stop))
        dripping.start()
        time.sleep(3)
        report(f"{many} drips", ask(daemon.port, seconds))
        stop.set()
        dripping.join()


if __name__ == "__main__":
    main(*(int(arg) for arg in sys.argv[1:3]))
