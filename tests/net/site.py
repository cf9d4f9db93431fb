# SPDX-License-Identifier: Apache-2.0
"""A log server on the loopback whose every byte the test decides, and how the real daemon may ask it."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.net.wire import Wire, WireFactory


class SiteTestCase(TestCase):
    timeout = 180

    def setUp(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="stackviz-deployer-"))
        self.addCleanup(shutil.rmtree, self.base)
        self.factory = WireFactory(self.answer)
        self.port = self.factory.listen()
        self.place = f"127.0.0.1:{self.port}"
        self.addCleanup(lambda: Deferred.fromCoroutine(self.factory.close()))

    def answer(self, wire: Wire, head: bytes) -> None:
        """What a request gets."""
        raise NotImplementedError

    def config(self, *places: str, **more: Any) -> dict[str, Any]:
        """Of a daemon that may ask ``places`` (else this server) and nobody else."""
        return {
            "gerrits": [],
            "zuuls": [],
            "log_hosts": list(places or (self.place,)),
            "private_networks": ["127.0.0.0/8"],
            "workers": 1,
            **more,
        }
