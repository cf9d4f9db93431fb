# SPDX-License-Identifier: Apache-2.0
"""Habits of the house that a reader should not have to check."""

import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
# formats without comments, and data
NO_COMMENTS = {
    ".json",
    ".gz",
    ".subunit",
    ".csv",
    ".typed",
    ".png",
    ".txt",
    ".tsv",
    ".html.gz",
    ".headers",
    ".md",
}
PROSE = {"LICENSE", ".gitignore"}


def tracked() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise SkipTest("needs git and a checkout") from error
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


class HouseTests(SynchronousTestCase):
    def test_every_file_names_its_licence(self) -> None:
        wrong = [
            str(path.relative_to(ROOT))
            for path in tracked()
            if not path.is_symlink()
            and path.suffix not in NO_COMMENTS
            and path.name not in PROSE
            and "fixtures" not in path.parts
            and "newsfragments" not in path.parts
            and b"SPDX-License-Identifier: Apache-2.0" not in path.read_bytes()[:300]
        ]
        self.assertEqual(wrong, [])

    def test_nothing_looks_into_shared_at_run_time(self) -> None:
        wrong = [
            str(path.relative_to(ROOT))
            for path in tracked()
            if path.relative_to(ROOT).parts[0] in ("stackviz_deployer", "public", "twisted", "etc")
            and b"../shared" in path.read_bytes()
        ]
        self.assertEqual(wrong, [])
