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

    @property
    def worth(self) -> tuple[bool, bool]:
        """Against its compressed or plain twin."""
        return self.file.size != 0, self.file.path == self.plain_path


def candidates(tree: Tree, globs: Sequence[str]) -> list[Candidate]:
    """The files whose name fits one of ``globs``, not too deep, each once, best hosts first.

    Of a file and its compressed twin the plain one counts, unless it is empty (what a full disk leaves).
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
            if twin is None or one.worth > twin.worth:
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
    return _distinct(chosen, (_own_name, _name_below_host, _plain_path))


def names_with_hosts(chosen: Sequence[Candidate]) -> list[str]:
    """As short_names; but where they come from several directories, each name says from which."""
    if len({one.directory for one in chosen}) > 1:
        return _distinct(chosen, (_name_below_host, _plain_path))
    return short_names(chosen)


def _own_name(one: Candidate) -> str:
    return one.name


def _name_below_host(one: Candidate) -> str:
    return "".join(f"{part}/" for part in one.directory.split("/") if part not in ("", "logs")) + one.name


def _plain_path(one: Candidate) -> str:
    return one.plain_path


def _distinct(chosen: Sequence[Candidate], forms: Sequence[Callable[[Candidate], str]]) -> list[str]:
    """The first form of each that nobody else has; made safe, and still never two the same."""
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
