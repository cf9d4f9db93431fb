# SPDX-License-Identifier: Apache-2.0
"""Installing the package, really: the plugin must be listed by twistd called from anywhere.

Needs git and the package index (pip fetches setuptools for the isolated build).
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.test_house import tracked

ROOT = Path(__file__).resolve().parent.parent
TWISTD = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
CARRIED = """
from importlib.resources import files
package = files("stackviz_deployer")
for name in [
    "public/index.html", "public/js/api.js", "sample/jobs.json", "web/openapi.yaml",
    "store/migrations/sqlite/0001_initial.sql",
    "sample/gate-tempest-dsvm-full/logs/testrepository.subunit.gz",
]:
    assert package.joinpath(name).is_file(), name
import twisted
assert "stackviz" not in (twisted.__file__ or ""), "our tree shadows Twisted"
print(package)
"""


class InstallTests(TestCase):
    def setUp(self) -> None:
        base = Path(self.mktemp()).absolute()
        self.tree = base / "tree"
        for path in tracked():
            copy = self.tree / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy, follow_symlinks=False)
        (self.tree / "stackviz_deployer" / "public").symlink_to("../public")
        venv.create(base / "venv", with_pip=True)
        self.python = str(base / "venv" / "bin" / "python")
        # our dependencies, without our own editable install: a nested .pth is not followed
        site = Path(self.run_python("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")

    def run_python(self, *args: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [self.python, *args],
            check=False,
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def check(self, *install: str) -> str:
        self.run_python("-m", "pip", "install", "--quiet", "--no-deps", *install)
        self.assertIn("stackviz-deployer", self.run_python("-c", TWISTD, "--help"))
        shown = self.run_python("-c", TWISTD, "stackviz-deployer", "--help")
        for option in ("--config", "--http", "--state-dir", "--stackviz", "--jjb-yaml-path"):
            self.assertIn(option, shown)
        return self.run_python("-c", CARRIED).strip()

    def test_install(self) -> None:
        where = self.check(str(self.tree))
        self.assertFalse(where.startswith(str(self.tree)))
        self.assertNotEqual(sys.prefix, where)

    def test_editable_install(self) -> None:
        where = self.check("--editable", str(self.tree))
        self.assertTrue(where.startswith(str(self.tree)), where)
