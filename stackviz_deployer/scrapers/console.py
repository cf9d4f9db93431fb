# SPDX-License-Identifier: Apache-2.0
"""The console of a job, Jenkins' or Zuul's (formats/artifacts.md, "Globs")."""

from __future__ import annotations

from collections.abc import Sequence

from stackviz_deployer.model import Tree
from stackviz_deployer.scrapers.choice import Wanted, best_of_each_directory, candidates, short_names

_GLOBS = ("console.html", "console.txt", "job-output.txt")
_DIRECTORIES = ("", "logs/")
"""Deeper ones (a VM's serial console, say) are not the job's."""


class ConsoleScraper:
    """The job's one console."""

    name = "console"
    primary = True
    globs: Sequence[str] = _GLOBS
    looks_for = "console.html, console.txt, job-output.txt (also .gz, .xz, .bz2, .zst)"

    def choose(self, tree: Tree) -> Sequence[Wanted]:
        """None or one, the root's before that of ``logs/``."""
        near = [one for one in candidates(tree, _GLOBS) if one.directory in _DIRECTORIES]
        chosen = best_of_each_directory(near, _GLOBS)[:1]
        return [
            Wanted(parser="console", files=(one.file,), options={"artifact_name": name})
            for one, name in zip(chosen, short_names(chosen), strict=True)
        ]
