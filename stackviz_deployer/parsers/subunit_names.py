# SPDX-License-Identifier: Apache-2.0
"""Test ids -> the names that are shown: short, and no two alike."""

from __future__ import annotations

import re

MAX_NAME_CHARS = 1000
"""Names of generated scenarios reach some hundred; StackViz puts the whole name into its URLs."""

_FIXTURE = re.compile(r"(\w+) \(([^\W\d]\w*(?:\.\w+)*)\)")
"""``setUpClass (a.B)``, as unittest names what fails outside of a test."""
_CONTROLS = re.compile(r"[\0-\x1f\x7f]+")


def clean_name(test_id: str) -> str:
    """``name[tags]`` -> ``name``, ``setUpClass (a.B)`` -> ``a.B.setUpClass``; a scenario stays."""
    return _fit(_untagged(test_id) or _of_fixture(test_id) or test_id)


def _untagged(test_id: str) -> str | None:
    """``name[id-…,smoke]``, perhaps with testscenarios' ``(scenario)`` behind it."""
    end = len(test_id) - 1 if test_id.endswith("]") else test_id.find("](")
    begin = test_id.rfind("[", 0, end) if end > 0 else -1
    if begin <= 0 or "]" in test_id[begin:end]:
        return None
    return test_id[:begin] + test_id[end + 1 :]


def _of_fixture(test_id: str) -> str | None:
    match = _FIXTURE.fullmatch(test_id) if test_id.endswith(")") else None
    return f"{match[2]}.{match[1]}" if match else None


def _fit(name: str) -> str:
    if _CONTROLS.search(name):
        name = _CONTROLS.sub(" ", name)
    if len(name) > MAX_NAME_CHARS:
        name = name[: MAX_NAME_CHARS - 1] + "…"
    return name or "(no name)"


class Names:
    """Gives each test of a run a name of its own.

    A name is taken by the first that has it.  Ids that differ only in what was cut off
    (``test_x[a]``, ``test_x[b]``: parameters, not tags) keep that part; what is equal even
    so gets `` (2)``, `` (3)`` behind it.
    """

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._cut: dict[str, str] = {}
        """Names that something was cut off from -> the first id that did it."""

    def take(self, test_id: str) -> str:
        """The name of the next test with this id."""
        name = clean_name(test_id)
        if name not in self._taken:
            self._taken[name] = 1
            if name != test_id:
                self._cut[name] = test_id
            return name
        if self._cut.get(name, name) != test_id:
            whole = _fit(test_id)
            if whole not in self._taken:
                self._taken[whole] = 1
                return whole
            name = whole
        return self._numbered(name)

    def take_whole(self, test_id: str) -> str:
        """As ``take``, of an id without tags: all of it is the name."""
        name = _fit(test_id)
        if name in self._taken:
            return self._numbered(name)
        self._taken[name] = 1
        return name

    def _numbered(self, name: str) -> str:
        while True:
            self._taken[name] += 1
            numbered = f"{name} ({self._taken[name]})"
            if numbered not in self._taken:
                self._taken[numbered] = 1
                return numbered
