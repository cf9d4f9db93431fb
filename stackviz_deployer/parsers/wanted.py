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

MAX_DEPTH = 4
"""Folders above a file, as in scrapers/choice.py."""
MAX_TOLD = 2000
"""Files, and as many folders, of one index or manifest; scrapers take some dozens."""
_MAX_TOLD_BYTES = 1 << 20
MAX_NAME = 1024
"""Characters; file systems allow 255 bytes."""

_NEVER = re.compile(r"[\x00-\x1f\x7f/\\\ud800-\udfff]")
_COMPRESSED = r"(?:\.(?:gz|xz|bz2|zst))*"


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
    names = [glob for glob in globs if "/" not in glob]
    paths = [glob for glob in globs if "/" in glob]
    fits_name = _any_of(translate(glob) for glob in names)
    # a glob of paths is compared with the end of the whole one
    fits_path = _any_of("(?s:.*/)?" + translate(glob) for glob in paths)

    def fits(folder: str, name: str) -> bool:
        if folder.count("/") > MAX_DEPTH:
            return False
        return fits_name(name) is not None or (bool(paths) and fits_path(folder + name) is not None)

    return fits


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


def _any_of(expressions: Iterable[str]) -> Callable[[str], re.Match[str] | None]:
    # translate() ends each expression with \Z
    every = [expression.removesuffix(r"\Z") for expression in expressions]
    return re.compile(f"(?:{'|'.join(every)}){_COMPRESSED}" if every else r"(?!)").fullmatch
