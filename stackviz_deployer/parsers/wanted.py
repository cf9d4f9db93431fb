# SPDX-License-Identifier: Apache-2.0
"""Which files of a job are worth telling of.

A job may have tens of thousands.  The worker picks those that scrapers may want, so that
neither the pipe nor the reactor ever has the others in hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Any, TypeGuard
from urllib.parse import quote

from attrs import frozen

MAX_DEPTH = 4
"""Folders above a file, as in scrapers/choice.py."""
MAX_TOLD = 2000
"""Files, and as many folders, of one index or manifest; scrapers take some dozens."""
_MAX_TOLD_BYTES = 1 << 20
MAX_NAME = 1024
"""Characters; file systems allow 255 bytes."""

_NEVER = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]")
_COMPRESSED = (".gz", ".xz", ".bz2", ".zst")
_LITERAL_END = re.compile(r"[^*?\[\]]+\Z")
"""Of a glob."""


def is_name(name: object) -> TypeGuard[str]:
    """Whether ``name`` is one that a file or folder may have: never a path, never a way up."""
    return (
        isinstance(name, str)
        and name not in ("", ".", "..")
        and len(name) <= MAX_NAME
        and _NEVER.search(name) is None
    )


def quoted(name: str) -> str:
    """The name as a segment of a URL, as Zuul's and Jenkins' pages write it."""
    return quote(name, safe="-_.!~*'()")


def chooser(globs: Iterable[str] | None) -> Callable[[str, str], bool]:
    """``fits(folder, name)`` for ``globs`` as interfaces.Scraper has them; without any everything fits.

    ``folder`` ends in a slash or is empty.  Compressors' suffixes do not count.
    """
    if globs is None:
        return lambda _folder, _name: True
    # by what follows the last dot: most names are compared with two or three globs
    by_ending: dict[str | None, list[str]] = {None: []}
    for glob in globs:
        literal = _LITERAL_END.search(glob)
        ending = _ending(literal[0]) if literal and "." in literal[0] else None
        by_ending.setdefault(ending, []).append(glob)
    anything = by_ending[None]
    fitting = {
        ending: _Globs.of([*own, *anything]) for ending, own in by_ending.items() if ending is not None
    }
    other = _Globs.of(anything)

    def fits(folder: str, name: str) -> bool:
        while name.endswith(_COMPRESSED):
            name = name.rpartition(".")[0]
        return fitting.get(_ending(name), other).fit(folder, name) and folder.count("/") <= MAX_DEPTH

    return fits


@frozen
class _Globs:
    """Some globs, compiled."""

    names: Callable[[str], re.Match[str] | None]
    paths: Callable[[str], re.Match[str] | None] | None
    """Of those with a slash, which are compared with the end of the whole path."""

    @classmethod
    def of(cls, globs: Iterable[str]) -> _Globs:
        names = [translate(glob) for glob in globs if "/" not in glob]
        paths = ["(?s:.*/)?" + translate(glob) for glob in globs if "/" in glob]
        return cls(
            re.compile("|".join(names) or r"(?!)").match,
            re.compile("|".join(paths)).match if paths else None,
        )

    def fit(self, folder: str, name: str) -> bool:
        return self.names(name) is not None or (
            self.paths is not None and self.paths(folder + name) is not None
        )


def _ending(name: str) -> str:
    return name.rpartition(".")[2]


class Answer:
    """What goes back over the pipe, bounded."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.left_out = 0
        self._bytes = 0

    def add(self, **row: Any) -> None:
        """One file or folder; ``url`` is its address."""
        self._bytes += 3 * len(row["url"]) + 64
        if len(self.rows) < MAX_TOLD and self._bytes <= _MAX_TOLD_BYTES:
            self.rows.append(row)
        else:
            self.left_out += 1
