# SPDX-License-Identifier: Apache-2.0
"""The C library's memory, asked in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

PROBE = """
import ctypes, threading
from stackviz_deployer.allocation import keep_little
if {told}:
    assert keep_little()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
ready, go = threading.Barrier(13), threading.Event()
def work():
    blocks = [libc.malloc(50_000) for _ in range(20)]
    ready.wait()
    go.wait()
for _ in range(12):
    threading.Thread(target=work, daemon=True).start()
ready.wait()
libc.fdopen.restype = ctypes.c_void_p
out = libc.fdopen(1, b"w")
libc.malloc_info(0, ctypes.c_void_p(out))
libc.fflush(ctypes.c_void_p(out))
go.set()
"""


def arenas(*, told: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(told=told)], capture_output=True, text=True, check=True
    )
    return done.stdout.count("<heap nr=")


class AllocationTests(SynchronousTestCase):
    def test_threads_share_few_arenas(self) -> None:
        self.assertLessEqual(arenas(told=True), 2)
        self.assertGreater(arenas(told=False), 2)
