# SPDX-License-Identifier: Apache-2.0
"""Choosing files out of a job's tree: names without compression, twins, order, short names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from attrs import Factory, frozen

from stackviz_deployer.model import ListedFile, Tree

MAX_DEPTH = 4
"""Directories above a file: ``controller/logs/old/`` (formats/artifacts.md) and one more."""

MAX_NAME_CHARS = 120

_COMPRESSED = (".gz", ".xz", ".bz2", ".zst")
_OLD_SITE = "stackviz/data/"
"""What the 2015 tool made of the same files, inside the job's own logs."""
_FIRST_HOSTS = ("", "controller", "primary")
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._~/@:+-]")
"""StackViz puts names into HTML and Angular expressions (stackviz-contract.md, section 4)."""


@frozen(kw_only=True)
class Wanted:
    """A piece of work: these files, together, to this parser, with these options of its own."""

    parser: str
    files: tuple[ListedFile, ...]
    options: Mapping[str, Any] = Factory(dict)


@frozen
class Candidate:
    """A file that may be wanted."""

    file: ListedFile
    directory: str
    """With a slash at its end, or empty."""
    name: str
    """Without a compressor's suffix."""

    @property
    def plain_path(self) -> str:
        return self.directory + self.name


def candidates(tree: Tree, globs: Sequence[str]) -> list[Candidate]:
    """The files whose name fits one of ``globs``, not too deep, each once, best hosts first.

    Of a file and its compressed twin the plain one counts.
    """
    found: dict[str, Candidate] = {}
    for file in tree.files:
        directory, slash, base = file.path.rpartition("/")
        name = plain_name(base)
        if file.path.count("/") > MAX_DEPTH or _OLD_SITE in file.path:
            continue
        if any(fnmatchcase(name, glob) for glob in globs):
            one = Candidate(file, directory + slash, name)
            twin = found.get(one.plain_path)
            if twin is None or twin.name != twin.file.path.rpartition("/")[2]:
                found[one.plain_path] = one
    return sorted(found.values(), key=_place)


def best_of_each_directory(found: Iterable[Candidate], globs: Sequence[str]) -> list[Candidate]:
    """One file a directory: of the first glob that fits any, and of those the largest."""
    best: dict[str, Candidate] = {}
    for one in found:
        rival = best.get(one.directory)
        if rival is None or _merit(one, globs) > _merit(rival, globs):
            best[one.directory] = one
    return list(best.values())


def plain_name(base: str) -> str:
    """``a.txt`` for ``a.txt.gz``."""
    for suffix in _COMPRESSED:
        base = base.removesuffix(suffix)
    return base


def short_names(chosen: Sequence[Candidate]) -> list[str]:
    """A name for each: its own where nobody else has it, else with the directories that tell it apart.

    ``logs/old/x.subunit`` and ``logs/new/x.subunit`` become ``old/x.subunit`` and
    ``new/x.subunit``.  Never two the same, only characters that StackViz can be trusted with.
    """
    forms: tuple[Callable[[Candidate], str], ...] = (
        lambda one: one.name,
        lambda one: (
            "".join(f"{part}/" for part in one.directory.split("/") if part not in ("", "logs")) + one.name
        ),
        lambda one: one.plain_path,
    )
    names: list[str | None] = [None] * len(chosen)
    for form in forms:
        shown = [form(one) for one in chosen]
        times = Counter(shown)
        names = [old or (new if times[new] == 1 else None) for old, new in zip(names, shown, strict=True)]
    taken: dict[str, None] = {}
    for name, one in zip(names, chosen, strict=True):
        safe = base = _UNSAFE.sub("_", (name or one.plain_path)[-MAX_NAME_CHARS:])
        number = 1
        while safe in taken:
            number += 1
            safe = f"{base}~{number}"
        taken[safe] = None
    return list(taken)


def _place(one: Candidate) -> tuple[int, int, str, str]:
    """The root and ``logs/`` first, then the controller, then other hosts; natural within."""
    parts = [part for part in one.directory.split("/") if part not in ("", "logs")]
    host = parts[0] if parts else ""
    rank = _FIRST_HOSTS.index(host) if host in _FIRST_HOSTS else len(_FIRST_HOSTS)
    return rank, len(parts), one.directory, one.name


def _merit(one: Candidate, globs: Sequence[str]) -> tuple[int, int]:
    fits = next(index for index, glob in enumerate(globs) if fnmatchcase(one.name, glob))
    return -fits, one.file.size or 0
