# SPDX-License-Identifier: Apache-2.0
"""The direction of imports (../shared/style/HOUSE.md, section 1) and the shape of the tree."""

import ast
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "stackviz_deployer"

# part: the parts it may import besides model, settings, errors and itself
ALLOWED = {
    "errors": set(),
    "model": {"errors"},
    "settings": {"errors"},
    "interfaces": set(),
    "blob_place": {"readers"},
    "moving": {"interfaces", "jobs", "store"},
    "config": {"blob_place", "readers", "shared_servers"},
    "shared_servers": set(),
    "readers": set(),
    "limits": {"listing", "metrics", "parsers", "web"},
    "trace": set(),
    "allocation": set(),
    "clock": set(),
    "doors": set(),
    "log": {"trace"},
    "metrics": {"interfaces"},
    "check_shared": {"check", "config", "store"},
    "check": {"config", "descriptors"},
    "descriptors": {"config"},
    "net": {"interfaces"},
    "lookup": {"interfaces"},
    "listing": {"interfaces"},
    "scrapers": {"interfaces"},
    "parsers": set(),
    "cpu": {"interfaces"},
    "store": {"interfaces", "trace"},
    "jobs": {"interfaces", "trace", "background"},
    "web": {"interfaces", "trace"},
    "background": set(),
    "cluster": {"interfaces", "background"},
    "service": set(),
}
BORDER = {"errors": set(), "model": {"errors"}, "settings": {"errors"}}
# the parts that worker processes import, and what must never be imported there
WORKER_PARTS = {"parsers", "model", "errors"}
REACTOR_ONLY = {"twisted", "klein", "treq", "txredisapi", "zope"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError(f"{path}: relative import")
            found.add(str(node.module))
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    found = [p for p in PACKAGE.rglob("*.py") if "public" not in p.relative_to(PACKAGE).parts]
    assert len(found) > 10
    return found


class LayerTests(SynchronousTestCase):
    def test_direction(self) -> None:
        wrong = []
        for path in modules():
            part = part_of(path)
            if part in ("__init__", "tap"):  # the only place that builds concrete objects
                continue
            allowed = (
                ALLOWED[part] | BORDER.get(part, {"model", "settings", "errors"}) | {part, "__version__"}
            )
            for name in imports(path):
                pieces = name.split(".")
                if pieces[0] == "stackviz_deployer" and len(pieces) > 1 and pieces[1] not in allowed:
                    wrong.append(f"{path.relative_to(ROOT)} imports {name}")
        self.assertEqual(wrong, [])

    def test_every_part_is_known(self) -> None:
        """Here, and on the page that says what is where."""
        page = (ROOT / "docs" / "architecture.rst").read_text(encoding="utf-8")
        table = page.partition("\n\n====")[2].partition("\n\n")[0]
        parts = {part_of(path) for path in modules()} - {"__init__"}
        self.assertEqual(parts, {*ALLOWED, "tap"})
        self.assertEqual({part for part in parts if f"``{part}``" not in table}, set())

    def test_worker_side_is_light(self) -> None:
        wrong = [
            f"{path.relative_to(ROOT)} imports {name}"
            for path in modules()
            if part_of(path) in WORKER_PARTS
            for name in imports(path)
            if name.split(".")[0] in REACTOR_ONLY
        ]
        self.assertEqual(wrong, [])

    def test_global_reactor_only_in_tap(self) -> None:
        wrong = [
            str(path.relative_to(ROOT))
            for path in modules()
            if part_of(path) != "tap" and "twisted.internet.reactor" in imports(path)
        ]
        self.assertEqual(wrong, [])

    def test_a_daemon_that_is_alone_needs_nothing_of_a_cluster(self) -> None:
        """Neither is imported by what it puts together."""
        code = (
            "import sys; from pathlib import Path; from twisted.internet import reactor\n"
            "from stackviz_deployer.config import Config; from stackviz_deployer.tap.daemon import build\n"
            "build(Config(state_dir=Path('state')), reactor)\n"
            "print(sorted({'txredisapi', 'pymysql', 'boto3', 'botocore'} & set(sys.modules)))"
        )
        base = Path(self.mktemp())
        base.mkdir()
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=base, env=environ, capture_output=True, text=True, check=False
        )
        self.assertEqual((done.stdout, done.returncode), ("[]\n", 0), done.stderr)

    def test_one_way_to_fetch(self) -> None:
        """treq's shortcuts buffer, decode on the reactor and share a pool (traps T1-T8)."""
        banned = {"treq.get", "treq.post", "treq.content", "twisted.web.client.readBody"}
        wrong = [f"{path}: {name}" for path in modules() for name in imports(path) & banned]
        for path in modules():
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Name)
                    and f"{node.value.id}.{node.attr}" in banned
                ):
                    wrong.append(f"{path}: {node.value.id}.{node.attr}")
        self.assertEqual(wrong, [])

    def test_twisted_stays_a_namespace(self) -> None:
        """An __init__.py there would shadow or overwrite Twisted's own."""
        self.assertFalse((ROOT / "twisted" / "__init__.py").exists())
        self.assertFalse((ROOT / "twisted" / "plugins" / "__init__.py").exists())
