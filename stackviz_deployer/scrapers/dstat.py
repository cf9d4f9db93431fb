# SPDX-License-Identifier: Apache-2.0
"""Machine metrics (formats/artifacts.md, "Globs"); most jobs since 2022 have none."""

from __future__ import annotations

from collections.abc import Sequence

from stackviz_deployer.model import Tree
from stackviz_deployer.scrapers.choice import Wanted, best_of_each_directory, candidates, short_names

MAX_HOSTS = 4
"""Files; the first is the controller's."""

_GLOBS = ("dstat-csv.txt", "dstat-csv_log.txt", "dstat-csv.log", "dstat*.csv", "*dstat*csv*")


class DstatScraper:
    """The CSV of each machine, the controller's first."""

    name = "dstat"
    primary = False
    globs: Sequence[str] = _GLOBS
    looks_for = "dstat-csv.txt, dstat-csv.log, dstat-csv_log.txt, dstat*.csv (also .gz, .xz, .bz2)"

    def choose(self, tree: Tree) -> Sequence[Wanted]:
        """One file a directory."""
        chosen = best_of_each_directory(candidates(tree, _GLOBS), _GLOBS)[:MAX_HOSTS]
        return [
            Wanted(parser="dstat", files=(one.file,), options={"artifact_name": name})
            for one, name in zip(chosen, short_names(chosen), strict=True)
        ]
