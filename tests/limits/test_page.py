# SPDX-License-Identifier: Apache-2.0
"""docs/limits.rst is complete, and what it says is so."""

import ast
import importlib
import re
from collections import Counter
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.limits import told_limits
from tests.limits.page import PAGE, ROOT, constants, operators

PACKAGE = ROOT / "stackviz_deployer"
NAMED = re.compile(r"_?(?:[A-Z0-9]+_)*(?:MAX|MOST|LIMITS?|LONGEST|SHARE)(?:_[A-Z0-9]+)*")
"""How a constant is called that bounds something."""


def bounds() -> set[str]:
    """Every such constant, with its module; a table is none (how often which error is tried again)."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        if "public" in place.parts:
            continue
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(getattr(node, "value", None), ast.Dict):
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Name) and NAMED.fullmatch(target.id):
                    found.add(".".join((*place.with_suffix("").parts, target.id)))
    return found


def value_of(name: str) -> Any:
    """Of a constant, or of a field of one (of a class: its default)."""
    module, _, rest = name.rpartition(".")
    if module.rpartition(".")[2][:1].isupper():
        module, _, owner = module.rpartition(".")
        found = getattr(importlib.import_module(f"stackviz_deployer.{module}"), owner)
        return attrs.fields_dict(found)[rest].default if isinstance(found, type) else getattr(found, rest)
    return getattr(importlib.import_module(f"stackviz_deployer.{module}"), rest)


class PageTests(SynchronousTestCase):
    def test_each_bound_has_its_row(self) -> None:
        """A tuple of them (LIMITS) has one for what it adds to the class's."""
        rows = {re.sub(r"\.LIMITS\..*", ".LIMITS", row.name) for row in constants()}
        found = bounds()
        self.assertGreater(len(found), 150)
        self.assertEqual(found - rows, set())

    def test_rows_are_there_once(self) -> None:
        names = Counter(row.name for row in (*operators(), *constants()))
        self.assertEqual([name for name, count in names.items() if count > 1], [])
        text = PAGE.read_text(encoding="utf-8")
        self.assertEqual(len(names), len(re.findall(r"^   \* - ``", text, re.MULTILINE)))

    def test_values_are_the_codes(self) -> None:
        wrong = [row.name for row in constants() if row.number != float(value_of(row.name))]
        self.assertEqual(wrong, [])

    def test_each_row_names_tests_that_exist(self) -> None:
        wrong = []
        for row in (*operators(), *constants()):
            if not 1 <= len(row.tests) <= 2 or row.cells[-1].count("``tests.") != len(row.tests):
                wrong.append(row.name)
            for module, case, test in row.tests:
                found = getattr(importlib.import_module(module), case, None)
                if not callable(getattr(found, test, None)):
                    wrong.append(f"{module}.{case}.{test}")
        self.assertEqual(wrong, [])

    def test_what_is_stated_in_metrics_is_said(self) -> None:
        text = PAGE.read_text(encoding="utf-8")
        said = text.partition("``/metrics`` states those, too")[2].partition("\n\n")[0]
        self.assertEqual(set(re.findall(r"``([A-Za-z_.]+)``", said)), told_limits().keys())
        for name, number in told_limits().items():
            self.assertEqual(value_of(name), number)
