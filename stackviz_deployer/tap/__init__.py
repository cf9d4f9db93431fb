# SPDX-License-Identifier: Apache-2.0
"""``twistd stackviz-deployer``: its options, and the one place that builds concrete objects.

While options are read nothing is imported that installs the reactor, as Klein does: ``twistd --reactor`` says
which.  So the parts of this package are imported when they are wanted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from stackviz_deployer import __version__
from stackviz_deployer.allocation import keep_little
from stackviz_deployer.clock import run_steadily
from stackviz_deployer.config import DEFAULT_HTTP, DEFAULT_JJB, Config, load
from stackviz_deployer.errors import ConfigError


class Options(usage.Options):
    """What ``twistd stackviz-deployer --help`` shows."""

    longdesc = (
        "Look up OpenStack CI jobs, scrape them and serve a StackViz site for each run. "
        "Everything else is set in the configuration file; etc/stackviz-deployer.yaml shows all keys."
    )
    optParameters = [  # noqa: RUF012 - Twisted's way to declare options
        ["config", None, None, "YAML configuration file (default: none, every key has a default)"],
        [
            "state-dir",
            None,
            None,
            "Directory of database, blobs and temporary files (default: $STATE_DIRECTORY, else ./var)",
        ],
        [
            "stackviz",
            None,
            None,
            "StackViz build directory, or http:// URL of its development server (default: built-in viewer)",
        ],
        [
            "jjb-yaml-path",
            None,
            None,
            f"Job Builder's YAML, to name consoles' scripts (default: $JJB_YAML_PATH, else ./{DEFAULT_JJB})",
        ],
        [
            "migrate-from",
            None,
            None,
            "Copy a single node's tasks and blobs from this state directory into what nodes share, then exit",
        ],
        ["role", None, None, "What this node does: web, worker, or all of it (default: all)"],
    ]
    optFlags = [  # noqa: RUF012 - likewise
        [
            "check",
            None,
            "Say whether the configuration and what it names can be used, then exit (status 0 or 1)",
        ],
    ]
    config: Config

    def __init__(self) -> None:
        super().__init__()
        self._http: list[str] = []

    def opt_http(self, endpoint: str) -> None:
        self._http.append(endpoint)

    opt_http.__doc__ = (
        f"Where to listen: a Twisted server endpoint description; may be given several times "
        f"(default: {DEFAULT_HTTP})"
    )

    def opt_version(self) -> None:
        """Show the version and exit."""
        print(f"stackviz-deployer {__version__}")  # noqa: T201 - what the option is for
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Read the configuration; what is wrong with it ends twistd with a message and status 1."""
        given: dict[str, Any] = {
            "http": self._http or None,
            "state_dir": self["state-dir"],
            "stackviz": self["stackviz"],
            "jjb_yaml_path": self["jjb-yaml-path"],
            "role": self["role"],
        }
        try:
            self.config = load(self["config"], given, os.environ)
        except ConfigError as error:
            raise usage.UsageError(error.message) from error
        if self["check"]:
            raise SystemExit(_check(self.config))  # before twistd looks for a pid file or goes away
        if self["migrate-from"] is not None:
            raise SystemExit(_move(self.config, Path(self["migrate-from"]).expanduser().absolute()))


def _check(config: Config) -> int:
    from twisted.internet import reactor  # noqa: PLC0415 - it does not run

    from stackviz_deployer.tap.commands import check_only  # noqa: PLC0415

    return check_only(config, reactor)


def _move(config: Config, state_dir: Path) -> int:
    from twisted.internet import reactor  # noqa: PLC0415 - which runs here, and ends with the move

    from stackviz_deployer.tap.commands import move_only  # noqa: PLC0415

    return move_only(config, state_dir, reactor)


def makeService(options: Options) -> IService:
    """The daemon, not yet started."""
    from twisted.internet import reactor  # noqa: PLC0415 - the global reactor enters here and nowhere else

    keep_little()
    run_steadily(reactor)
    from stackviz_deployer.descriptors import provided  # noqa: PLC0415 - logs
    from stackviz_deployer.tap.daemon import build  # noqa: PLC0415

    try:
        return build(provided(options.config), reactor)
    except ConfigError as error:
        raise SystemExit(f"stackviz-deployer: {error.message}") from error
