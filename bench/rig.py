# SPDX-License-Identifier: Apache-2.0
"""Apache with a log directory of ours, and the daemon that scrapes it, for a benchmark's time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.daemon import Daemon
from tests.servers import Apache


@contextmanager
def scraping(fill: Callable[[Path], None]) -> Iterator[tuple[Daemon, Path]]:
    """A daemon for which logs.openstack.org is an Apache over the directory that ``fill`` fills."""
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        base.chmod(0o755)  # started by root, Apache becomes somebody else
        htdocs = base / "htdocs"
        fill(htdocs)
        apache = Apache(htdocs, base / "apache")
        apache.start()
        config = {
            "gerrits": [],
            "zuuls": [],
            "resolve": {"logs.openstack.org": f"127.0.0.1:{apache.port}"},
            "private_networks": ["127.0.0.0/8"],
        }
        try:
            with Daemon(base / "daemon", config) as daemon:
                yield daemon, htdocs
        finally:
            apache.stop()
