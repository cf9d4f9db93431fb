# SPDX-License-Identifier: Apache-2.0
"""Habits of the house that a reader should not have to check."""

import ast
import re
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
            and not {"fixtures", "corpus"} & set(path.parts)
            and "newsfragments" not in path.parts
            and b"SPDX-License-Identifier: Apache-2.0" not in path.read_bytes()[:300]
        ]
        self.assertEqual(wrong, [])

    def test_tests_that_are_promised_exist(self) -> None:
        named = []
        for page, least in (("security", 40), ("cluster", 20)):
            text = (ROOT / "docs" / f"{page}.rst").read_text(encoding="utf-8")
            here = re.findall(r"``tests\.([a-z0-9_.]+)\.([A-Za-z0-9]+)\.(test_[a-z0-9_]+)``", text)
            self.assertEqual(len(here), len(re.findall(r"``tests\.", text)), page)
            self.assertGreater(len(here), least, page)
            named += here
        wrong = []
        for module, case, test in named:
            path = ROOT / "tests" / (module.replace(".", "/") + ".py")
            tree = ast.parse(path.read_bytes()) if path.is_file() else ast.Module([], [])
            cases = [one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == case]
            methods = {getattr(one, "name", "") for found in cases for one in found.body}
            if test not in methods:
                wrong.append(f"tests.{module}.{case}.{test}")
        self.assertEqual(wrong, [])

    def test_nothing_looks_into_shared_at_run_time(self) -> None:
        wrong = [
            str(path.relative_to(ROOT))
            for path in tracked()
            if path.relative_to(ROOT).parts[0] in ("stackviz_deployer", "public", "twisted", "etc")
            and b"../shared" in path.read_bytes()
        ]
        self.assertEqual(wrong, [])
