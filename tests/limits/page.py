# SPDX-License-Identifier: Apache-2.0
"""docs/limits.rst, as the tests read it."""

import re
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "limits.rst"
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_ROW = re.compile(r"   \* - ``([A-Za-z_0-9.]+)``\n((?:     .*\n)+)")
_CELL = re.compile(r"     - (.*(?:\n       .*)*)\n")
_NUMBER = re.compile(r"(?:an? )?([0-9][0-9,]*(?:\.[0-9]+)?)(?:th)?(?: (KiB|MiB|GiB)\b)?")
_TEST = re.compile(r"``(tests\.[a-z0-9_.]+)\.([A-Za-z0-9]+)\.(test_[a-z0-9_]+)``")


@frozen
class Row:
    """Of either table."""

    name: str
    cells: tuple[str, ...]

    @property
    def number(self) -> float | None:
        """None: the machine's cores."""
        found = _NUMBER.match(self.cells[0])
        if found is None:
            return None
        return float(found[1].replace(",", "")) * UNITS.get(found[2], 1)

    @property
    def tests(self) -> list[tuple[str, str, str]]:
        """Module, class and method of each."""
        return _TEST.findall(self.cells[-1])


def _rows(text: str) -> list[Row]:
    return [Row(name, tuple(_CELL.findall(cells))) for name, cells in _ROW.findall(text)]


def operators() -> list[Row]:
    """What an operator meets: default, whether hits are counted, what one sees, tests."""
    return _rows(PAGE.read_text(encoding="utf-8").partition("\nWhat is fixed\n")[0])


def constants() -> list[Row]:
    """What is fixed: value, what is beyond it, tests."""
    return _rows(PAGE.read_text(encoding="utf-8").partition("\nWhat is fixed\n")[2])
