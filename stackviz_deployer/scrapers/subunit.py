# SPDX-License-Identifier: Apache-2.0
"""Streams of test results (formats/artifacts.md, "Globs")."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from stackviz_deployer.model import Tree
from stackviz_deployer.scrapers.choice import Candidate, Wanted, candidates, short_names

MAX_STREAMS = 8
"""Grenade has two, a multi-node job one a host."""

_MAIN = "testrepository.subunit"
_COPIES = ("subunit_log.txt", "test_results.subunit")
"""Other names of the main stream: wanted where it is missing itself."""
_PARTIAL = "tmp??????*"
"""What testr was writing when the job ran into its time limit."""
_HOME = ("", "logs/")
"""Where both the main stream and the partial ones of a job lie."""


class SubunitScraper:
    """Every finished stream; where the job's own is missing or empty, the unfinished ones instead."""

    name = "subunit"
    primary = True
    globs: Sequence[str] = (_MAIN, "*.subunit", *_COPIES, _PARTIAL)
    looks_for = (
        f"{_MAIN}, *.subunit, {', '.join(_COPIES)} (also .gz, .xz, .bz2, .zst), tmp* of a job that timed out"
    )

    def choose(self, tree: Tree) -> Sequence[Wanted]:
        """Each stream by itself; the first is the one to show first."""
        found = candidates(tree, (_MAIN, "*.subunit", *_COPIES))
        with_main = {one.directory for one in found if one.name == _MAIN}
        chosen = [one for one in found if one.name not in _COPIES or one.directory not in with_main]
        if not any(one.directory in _HOME and one.file.size != 0 for one in chosen):
            partial = [one for one in candidates(tree, (_PARTIAL,)) if _is_partial(one)]
            if partial:
                chosen = partial + [one for one in chosen if one.directory not in _HOME]
        chosen = sorted(chosen, key=_main_first)[:MAX_STREAMS]
        return [
            Wanted(parser="subunit", files=(one.file,), options=_options(one, name))
            for one, name in zip(chosen, short_names(chosen), strict=True)
        ]


def _is_partial(one: Candidate) -> bool:
    return one.directory in _HOME and fnmatchcase(one.name, _PARTIAL) and "." not in one.name


def _main_first(one: Candidate) -> bool:
    return one.name != _MAIN and not _is_partial(one)


def _options(one: Candidate, name: str) -> dict[str, Any]:
    options: dict[str, Any] = {"artifact_names": [name]}
    if _is_partial(one):
        options["partial"] = True
    return options
