# SPDX-License-Identifier: Apache-2.0
"""Reports in JUnit's XML, of whatever wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from stackviz_deployer.model import Tree
from stackviz_deployer.scrapers.choice import Candidate, Wanted, candidates, short_names

MAX_RUNS = 8
"""Directories with reports."""
MAX_FILES = 500
"""Reports of one run: surefire writes one a class."""

_A_CLASS = "TEST-*.xml"
"""surefire, Gradle, Ant."""
_NAMES = (
    _A_CLASS,
    "*junit*.xml",
    "*JUnit*.xml",
    "*xunit*.xml",
    "pytest*.xml",
    "nosetests*.xml",
    "results.xml",
    "report.xml",
    "*test-results.xml",
    "*test_results.xml",
    "*testresults.xml",
    "*test-report.xml",
    "*test_report.xml",
    "test_detail.xml",  # GoogleTest's own
)
_DIRECTORIES = (
    "test-results",
    "test_results",
    "test-reports",
    "surefire-reports",
    "failsafe-reports",
    "junit",
)
"""In these any XML is taken for a report, unless its name says that it is something else."""
_OTHERS = ("testng-*.xml", "*coverage*.xml", "jacoco*.xml")
_OF_SEVERAL = "junit"
"""What a run of several reports is called, with its directory where that is needed."""


class JunitScraper:
    """The reports of each directory, together: one run."""

    name = "junit"
    primary = True
    globs: Sequence[str] = (*_NAMES, *(f"{directory}/*.xml" for directory in _DIRECTORIES))
    looks_for = (
        "*junit*.xml, TEST-*.xml, results.xml, pytest*.xml, *xunit*.xml, test-results/*.xml"
        " (also .gz, .xz, .bz2, .zst)"
    )

    def choose(self, tree: Tree) -> Sequence[Wanted]:
        """One piece of work a directory, the root's and ``logs/`` before the others'."""
        runs: dict[str, list[Candidate]] = {}
        for one in candidates(tree, ("*.xml",)):
            if _is_report(one):
                runs.setdefault(one.directory, []).append(one)
        chosen = [_without_summaries(found) for found in runs.values()][:MAX_RUNS]
        named = [
            found[0] if len(found) == 1 else Candidate(found[0].file, found[0].directory, _OF_SEVERAL)
            for found in chosen
        ]
        return [
            Wanted(
                parser="junit",
                files=tuple(one.file for one in found[:MAX_FILES]),
                options={"artifact_name": name, "left_out": max(len(found) - MAX_FILES, 0)},
            )
            for found, name in zip(chosen, short_names(named), strict=True)
        ]


def _is_report(one: Candidate) -> bool:
    if any(fnmatchcase(one.name, glob) for glob in _OTHERS):
        return False
    folder = one.directory.rstrip("/").rpartition("/")[2]
    return folder in _DIRECTORIES or any(fnmatchcase(one.name, glob) for glob in _NAMES)


def _without_summaries(found: list[Candidate]) -> list[Candidate]:
    """Beside reports of classes, what has another name sums them up (Ant's TESTS-TestSuites.xml)."""
    classes = [one for one in found if fnmatchcase(one.name, _A_CLASS)]
    return classes or found
