#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at 100 random moments of mixed load: ``python -m bench.kill [ROUNDS]``.

The test of tests/test_kill_under_load.py, with more rounds: scrapes, uploads, look-ups and readers of blobs
go on at once until the kill; after the restart each task that was answered 202 must finish whole, every blob
be served as it is without a kill, and no file of the killed run be left.
"""

from __future__ import annotations

import sys
import time
import unittest

from tests.test_kill_under_load import KillTests


def main() -> None:
    """Run it, say what came of it."""
    KillTests.rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    KillTests.timeout = KillTests.rounds * 30
    test = KillTests("test_kill_at_random_moments")
    begun = time.monotonic()
    result = unittest.TextTestRunner(verbosity=2).run(test)
    if not result.wasSuccessful():
        sys.exit(f"{KillTests.rounds} rounds: FAILED")
    print(f"{KillTests.rounds} rounds in {time.monotonic() - begun:.0f} s, {test.summary}: nothing lost")


if __name__ == "__main__":
    main()
