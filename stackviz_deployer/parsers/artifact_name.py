# SPDX-License-Identifier: Apache-2.0
"""Names of artifacts that are safe to show.

StackViz puts an artifact's name into HTML and into an Angular expression as it is
(stackviz-contract.md, section 4), and file names come from scraped sites.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(r"[^A-Za-z0-9 ._~/@:+-]")
_MAX_CHARS = 200
_COMPRESSED = (".gz", ".xz", ".bz2", ".zst")


def artifact_name(path: str) -> str:
    """The last part of ``path`` without a compressor's suffix, other characters as ``_``."""
    base = path.rstrip("/").rpartition("/")[2]
    for suffix in _COMPRESSED:
        base = base.removesuffix(suffix)
    return safe_name(base)


def safe_name(name: str) -> str:
    """``name`` with every character that StackViz cannot be trusted with as ``_``; never empty."""
    return _UNSAFE.sub("_", name[:_MAX_CHARS]) or "unnamed"
