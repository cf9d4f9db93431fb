# SPDX-License-Identifier: Apache-2.0
"""What Ansible told Zuul about each task (formats/artifacts.md, "Globs")."""

from __future__ import annotations

from collections.abc import Sequence

from stackviz_deployer.model import Tree
from stackviz_deployer.scrapers.choice import Wanted, best_of_each_directory, candidates, short_names

_GLOBS = ("job-output.json",)
_DIRECTORIES = ("", "logs/")


class JobOutputScraper:
    """The build's one job-output.json; StackViz shows nothing of it."""

    name = "job-output"
    primary = False
    globs: Sequence[str] = _GLOBS
    looks_for = "job-output.json (also .gz, .xz, .bz2, .zst)"

    def choose(self, tree: Tree) -> Sequence[Wanted]:
        """None or one, the root's before that of ``logs/``."""
        near = [one for one in candidates(tree, _GLOBS) if one.directory in _DIRECTORIES]
        chosen = best_of_each_directory(near, _GLOBS)[:1]
        return [
            Wanted(parser="job_output", files=(one.file,), options={"artifact_name": name})
            for one, name in zip(chosen, short_names(chosen), strict=True)
        ]
