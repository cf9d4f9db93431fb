# SPDX-License-Identifier: Apache-2.0
"""JUnit reports -> a run that StackViz can show, looked at from all sides."""

import itertools
import re
from pathlib import Path
from typing import Any

from stackviz_deployer.model import ParseResult
from stackviz_deployer.parsers.junit import parse
from tests.parsers.runs import RunCase, load

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "junit"
SHARED = ROOT.parent / "shared" / "data"
Row = dict[str, Any]


class Case(RunCase):
    parser = staticmethod(parse)

    def group(self, made: ParseResult) -> tuple[list[Row], Row, Row]:
        self.assertEqual(
            [a.artifact_type for a in made.artifacts], ["subunit", "subunit-stats", "subunit-details"]
        )
        self.assertEqual([a.primary for a in made.artifacts], [True, False, False])
        rows, stats, details = map(load, made.artifacts)
        self.check_shape(rows, stats, details)
        return rows, stats, details

    def read(self, text: str | bytes, **options: Any) -> tuple[list[Row], Row, Row]:
        return self.group(self.parse_bytes(text if isinstance(text, bytes) else text.encode(), **options))

    def read_fixture(self, *names: str) -> tuple[list[Row], Row, Row]:
        return self.group(self.parse(*(FIXTURES / name for name in names)))

    def check_shape(self, rows: list[Row], stats: Row, details: Row) -> None:
        """What the StackViz app needs of any run; and nothing overlaps on a lane."""
        names = [row["name"] for row in rows]
        self.assertEqual(len(set(names)), len(names))
        lanes: dict[str, list[tuple[str, str]]] = {}
        for row in rows:
            self.assertEqual(list(row), ["name", "status", "tags", "timestamps", "duration", "details"])
            self.assertIn(row["status"], ("success", "fail", "skip"))
            self.assertGreater(row["duration"], 0)
            self.assertTrue(all(time.endswith("+00:00") for time in row["timestamps"]))
            lanes.setdefault(row["tags"][0], []).append(tuple(row["timestamps"]))
        self.assertEqual(set(lanes), {f"worker-{n}" for n in range(len(lanes))})
        for spans in lanes.values():
            spans.sort()
            for before, after in itertools.pairwise(spans):
                self.assertLessEqual(before[1], after[0])
        self.assertEqual(stats["count"], len(rows))
        for key, status in (("failures", "fail"), ("skips", "skip")):
            self.assertEqual(
                [e["name"] for e in stats[key]], [r["name"] for r in rows if r["status"] == status]
            )
        for failure in stats["failures"]:
            lines = failure["details"]
            self.assertTrue(lines is None or len(set(lines)) == len(lines) in (1, 2))
        self.assertEqual(list(details), [name for name in names if name in details])
        for texts in details.values():
            self.assertTrue(all(re.fullmatch(r"\w+", key) and text for key, text in texts.items()))


def statuses(rows: list[Row]) -> dict[str, str]:
    return {row["name"]: row["status"] for row in rows}


def times(rows: list[Row]) -> dict[str, tuple[str, str]]:
    """Clock times without what is zero in all of them."""
    return {row["name"]: tuple(time[11:26] for time in row["timestamps"]) for row in rows}


REPORTS = [path.read_bytes() for path in sorted(FIXTURES.rglob("*.xml"))]
