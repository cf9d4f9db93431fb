# SPDX-License-Identifier: Apache-2.0
"""The limit of file descriptors, as the daemon leaves it; and what it does where that is low."""

import resource
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from stackviz_deployer.config import Config
from stackviz_deployer.descriptors import affordable, needed
from stackviz_deployer.settings import Connections
from tests.daemon import Daemon

LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
os.execvp(sys.argv[3], sys.argv[3:])
"""


class DescriptorTests(TestCase):
    timeout = 120

    def run_with(self, soft: int, hard: int, **config: Any) -> tuple[Daemon, tuple[int, int]]:
        """The running daemon and its limits."""
        daemon = Daemon(Path(self.mktemp()).absolute(), {"gerrits": [], "zuuls": [], "workers": 1, **config})
        self.addCleanup(daemon.stop)
        daemon.start(sys.executable, "-c", LIMITED, str(soft), str(hard))
        assert daemon.process is not None
        return daemon, resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)

    def test_the_soft_limit_is_raised(self) -> None:
        daemon, limits = self.run_with(256, 8192)
        self.assertEqual(limits, (needed(Config(workers=1)), 8192))
        self.assertGreater(limits[0], 2 * 2000)
        self.assertNotIn("file descriptors", daemon.log.read_text())

    def test_one_that_is_high_enough_stays(self) -> None:
        self.assertEqual(self.run_with(8000, 8192)[1], (8000, 8192))

    def test_fewer_connections_where_it_cannot_be_raised(self) -> None:
        daemon, limits = self.run_with(300, 300)
        self.assertEqual(limits, (300, 300))
        self.assertIn(
            "300 file descriptors are enough for 20 connections, not for the 2000", daemon.log.read_text()
        )

    def test_sums(self) -> None:
        config = Config(workers=1, connections=Connections(total=100))
        self.assertEqual([affordable(config, limit) for limit in (100, 300, 10_000)], [8, 20, 100])
        self.assertEqual(affordable(config, needed(config)), 100)
        self.assertEqual(affordable(config, needed(config) - 1), 99)
