# SPDX-License-Identifier: Apache-2.0
"""Where in a job's tree it is worth looking (formats/artifacts.md, "Layout").

Results lie in a small set of places: the root, ``logs/`` (with ``old/`` and ``new/`` for grenade),
``test-results/``, and the same below a folder a host.  Those come first; others while requests last.
"""

from __future__ import annotations

import re

MAX_DEPTH = 4
"""Folders above a file, as in scrapers/choice.py."""

# sites, configuration, tools' data: large, and nothing in them is shown
_PASSED_BY = frozenset(
    {
        "ara",
        "ara-report",
        "apache",
        "apache_config",
        "atop",
        "conf",
        "cover",
        "coverage",
        "doc",
        "docs",
        "etc",
        "html",
        "libvirt",
        "openvswitch",
        "rabbitmq",
        "releasenotes",
        "stackviz",
        "sudoers.d",
        "tarballs",
        "zuul-info",
    }
)
_EXPECTED = re.compile(r"logs|test[-_]results")
_LIKELY = re.compile(
    r"logs|artifacts|controller|primary|compute-?[0-9]*|node-?[0-9]+|subnode-?[0-9]+|old|new"
    r"|test|target|(?:test|junit|surefire|failsafe)[-_](?:results?|reports?|xml)|results?|reports?"
)


def is_expected(path: str) -> bool:
    """Whether the absence of the folder would be a surprise: its name says that results are there."""
    return _EXPECTED.fullmatch(path.rstrip("/").rpartition("/")[2]) is not None


def rank(path: str) -> int | None:
    """How soon to look into the folder at ``path``: 0 first; None = never."""
    names = path.rstrip("/").split("/")
    if len(names) > MAX_DEPTH or names[-1] in _PASSED_BY:
        return None
    return sum(_LIKELY.fullmatch(name) is None for name in names)
