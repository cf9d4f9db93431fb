#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at 100 random moments of a scrape: ``python -m bench.kill [ROUNDS]``.

The test of tests/test_end_to_end.py (KillTests), with more rounds: after each kill and restart the
task must finish whole, with every blob readable and no temporary file of the killed run left.
"""

from __future__ import annotations

import sys
import unittest

from tests.test_end_to_end import KillTests


def main() -> None:
    KillTests.rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    KillTests.timeout = KillTests.rounds * 30
    result = unittest.TextTestRunner(verbosity=2).run(KillTests("test_kill_at_random_moments"))
    print(f"{KillTests.rounds} rounds: {'lost nothing' if result.wasSuccessful() else 'FAILED'}")
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
