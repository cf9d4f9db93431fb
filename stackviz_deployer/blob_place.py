# SPDX-License-Identifier: Apache-2.0
"""The configuration's ``blobs``: where the sites' data lies."""

from __future__ import annotations

from pathlib import Path

import attrs

from stackviz_deployer import readers as read
from stackviz_deployer.errors import ConfigError
from stackviz_deployer.model import Directory


def blobs(key: str, value: object) -> Directory:
    """``{kind: files, path: ...}``.  Raises ConfigError."""
    kind = value.get("kind", "files") if isinstance(value, dict) else "files"
    if kind == "files":
        data = read.mapping(key, value, {"kind", "path"})
        path = data.get("path")
        return Directory(path=None if path is None else read.path(f"{key}.path", path))
    raise ConfigError(f"{key}.kind: files is needed, not {kind!r}")


def beside(place: Directory, base: Path) -> Directory:
    """``place``, its relative paths counted from ``base``."""
    if place.path is None:
        return place
    return attrs.evolve(place, path=base / place.path.expanduser())
