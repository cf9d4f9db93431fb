# SPDX-License-Identifier: Apache-2.0
"""Readers of configured values.  Each takes a key's name and what YAML made of its value.

Each raises ConfigError, with the key's name, for a value that it does not take.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from stackviz_deployer.errors import ConfigError

_UNITS = {
    "": 1,
    "b": 1,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")

T = TypeVar("T")


def size(key: str, value: object) -> int:
    """Bytes from a number or from ``512 MiB``, ``2 GiB``, ``10 MB``..."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        unit = _UNITS.get(match[2].lower())
        if unit is not None:
            return int(float(match[1]) * unit)
    raise ConfigError(f"{key}: {value!r} is no size; write bytes or e.g. '512 MiB'")


def many(key: str, value: object, item: Callable[[str, Any], T]) -> tuple[T, ...]:
    """Each entry of a list, read by ``item``."""
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{key}: a list is needed, not {value!r}")
    return tuple(item(f"{key}[{n}]", entry) for n, entry in enumerate(value))


def text(key: str, value: object) -> str:
    """A text that is not blank, without the blanks around it."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{key}: a text is needed, not {value!r}")
    return value.strip()


def path(key: str, value: object) -> Path:
    """A path, as it is written."""
    return Path(text(key, value))


def count(key: str, value: object, *, least: int = 1) -> int:
    """A whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{key}: a whole number of at least {least} is needed, not {value!r}")
    return value


def seconds(key: str, value: object) -> float:
    """A number of seconds above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**6:
        raise ConfigError(f"{key}: a number of seconds above 0 is needed, not {value!r}")
    return float(value)


def mapping(key: str, value: object, allowed: set[str]) -> dict[str, Any]:
    """A mapping whose keys are all ``allowed``."""
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: a mapping is needed, not {value!r}")
    for name in value:
        if name not in allowed:
            raise ConfigError(f"{key}: unknown key {name!r}; the keys are {', '.join(sorted(allowed))}")
    return value
