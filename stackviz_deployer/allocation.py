# SPDX-License-Identifier: Apache-2.0
"""What the C library keeps of freed memory: little, in a process of many threads that runs for months.

By default glibc gives every thread's memory an arena of its own (up to eight for each core), and
raises the size from which a block is mapped by itself, and so given back at once, with the largest
that was ever freed.  Files of some hundred KiB that come and go then leave holes that are never
filled again: https://sourceware.org/glibc/manual/latest/html_node/Malloc-Tunable-Parameters.html.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # glibc's malloc.h

ARENAS = 2
LARGE_BYTES = 128 << 10
"""From which a block is mapped by itself; glibc's value at the start, which is fixed by saying it."""


def keep_little() -> bool:
    """Tell the C library, before any thread begins; False when it is not glibc, which stays as it is."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((_M_ARENA_MAX, ARENAS), (_M_MMAP_THRESHOLD, LARGE_BYTES), (_M_TRIM_THRESHOLD, LARGE_BYTES))
    return all(mallopt(what, value) for what, value in wanted)
