# SPDX-License-Identifier: Apache-2.0
"""What lies where a job's logs lie: pages of directories, Zuul's manifests."""

from __future__ import annotations

from typing import Any

from stackviz_deployer.scrapers import SCRAPERS
from tests.fuzz.oracle import promise
from tests.fuzz.target import file_target

GLOBS = sorted({glob for scraper in SCRAPERS for glob in scraper.globs})
_ROOT = "https://logs.example.org/a/job/"
_JOB = {"url": _ROOT, "path": "", "names": GLOBS}


def name(piece: str) -> None:
    """``piece`` may be a file's or a directory's."""
    promise(piece not in ("", ".", "..") and "\0" not in piece, f"the name {piece!r}")


def _entries(data: Any) -> None:
    for entry in data["entries"]:
        name(entry["name"])
        promise("/" not in entry["name"], f"{entry!r}")
        _below(entry)


def _files(data: Any) -> None:
    for row in data["files"]:
        for piece in row["path"].split("/"):
            name(piece)
        _below(row)


def _below(row: Any) -> None:
    promise(row["url"].startswith(_ROOT), f"{row!r} is elsewhere")
    size = row["size"]
    promise(size is None or (isinstance(size, int) and size >= 0), f"a size of {size!r}")


TARGETS = (
    file_target(
        "listing",
        "listing",
        "the index",
        options=_JOB,
        seen=_entries,
        seeds=(
            "listings/small/*",
            "listings/job/*odd*",
            "listings/job/*top*",
            "listings/manifest/*index.html",
        ),
        dictionaries=("listing",),
    ),
    file_target(
        "manifest",
        "manifest",
        "zuul-manifest.json",
        options=_JOB,
        seen=_files,
        seeds=("listings/manifest/*.json",),
        dictionaries=("manifest", "json"),
    ),
)
