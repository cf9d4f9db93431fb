# SPDX-License-Identifier: Apache-2.0
"""Machine metrics (formats/artifacts.md, "Globs"); most jobs since 2022 have memory_tracker's alone."""

from __future__ import annotations

from collections.abc import Sequence

from stackviz_deployer.model import Tree
from stackviz_deployer.scrapers.choice import (
    Candidate,
    Wanted,
    best_of_each_directory,
    candidates,
    names_with_hosts,
)

MAX_HOSTS = 4
"""Files; the first is the controller's."""

HEADER_BYTES = 1_000
"""A CSV that is not longer has no row: what a dstat leaves that crashes at its start."""

_GLOBS = ("dstat-csv.txt", "dstat-csv_log.txt", "dstat-csv.log", "dstat*.csv", "*dstat*csv*")
_UPLOADED = ".dstat.csv"
"""What parsers.recognise calls a CSV that comes under any other name."""
_FALLBACK = (
    "screen-memory_tracker.txt",
    "*memory_tracker*.txt",
    "*memory_tracker*.log",
    "*peakmem_tracker*.txt",
)


class DstatScraper:
    """The CSV of each machine, the controller's first; memory_tracker's where a job has none."""

    name = "dstat"
    primary = False
    globs: Sequence[str] = (*_GLOBS, *_FALLBACK)
    looks_for = (
        "dstat-csv.txt, dstat-csv.log, dstat-csv_log.txt, dstat*.csv, screen-memory_tracker.txt"
        " (also .gz, .xz, .bz2, .zst)"
    )

    def choose(self, tree: Tree) -> Sequence[Wanted]:
        """One file a directory; of uploads each, because they lie in one."""
        found_files = candidates(tree, _GLOBS)
        best = best_of_each_directory(found_files, _GLOBS)
        chosen = [one for one in found_files if one in best or one.name.endswith(_UPLOADED)][:MAX_HOSTS]
        found = _wanted("dstat", chosen)
        if not any(_may_have_rows(one) for one in chosen):
            fallback = best_of_each_directory(candidates(tree, _FALLBACK), _FALLBACK)[:MAX_HOSTS]
            found += _wanted("memory_tracker", fallback)
        return found


def _wanted(parser: str, chosen: Sequence[Candidate]) -> list[Wanted]:
    return [
        Wanted(parser=parser, files=(one.file,), options={"artifact_name": name})
        for one, name in zip(chosen, names_with_hosts(chosen), strict=True)
    ]


def _may_have_rows(one: Candidate) -> bool:
    return one.file.size is None or one.file.size > HEADER_BYTES
