# SPDX-License-Identifier: Apache-2.0
"""What the StackViz app cannot bear, repaired (stackviz-contract.md, section 6)."""

import json
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.parsers.subunit_run import Test
from stackviz_deployer.parsers.subunit_shape import (
    MAX_FREE_LANES,
    MAX_WORKERS,
    assign_lanes,
    iso,
    repair_times,
    shape_run,
)

SECOND = 1_000_000
NOON = 1_464_782_400 * SECOND


def test(start: int | None = 0, end: int | None = SECOND, *tags: str, **more: Any) -> Test:
    fields = {"name": "t", "status": "success", "mark": None, "notes": None} | more
    return Test(start_us=start, end_us=end, tags=tags, **fields)


def rows(*tests: Test) -> list[dict[str, Any]]:
    return json.loads(shape_run(tests, ()).rows)


class RowTests(SynchronousTestCase):
    def test_exact_shape(self) -> None:
        made = shape_run(
            [
                test(NOON, NOON + 4_120_000, "worker-0", name="a.B.c"),
                test(NOON + 1, NOON + 2, "worker-1", name="f", status="fail", notes=("x", "Details: y")),
                test(NOON, NOON + 5, "worker-0", name="s", status="skip", notes=("why",)),
            ],
            ["said"],
        )
        self.assertEqual(
            json.loads(made.rows)[0],
            {
                "name": "a.B.c",
                "status": "success",
                "tags": ["worker-0"],
                "timestamps": ["2016-06-01T12:00:00.000000+00:00", "2016-06-01T12:00:04.120000+00:00"],
                "duration": 4.12,
                "details": {},
            },
        )
        self.assertEqual(
            json.loads(made.stats),
            {
                "count": 3,
                "start": "2016-06-01T12:00:00.000000+00:00",
                "end": "2016-06-01T12:00:04.120000+00:00",
                "total_duration": 4.120006,
                "failures": [{"name": "f", "duration": 1e-06, "details": ["x", "Details: y"]}],
                "skips": [{"name": "s", "duration": 5e-06, "details": "why"}],
                "warnings": ["said"],
            },
        )
        self.assertEqual(
            made.meta,
            {
                "count": 3,
                "success": 1,
                "fail": 1,
                "skip": 1,
                "start_ms": NOON // 1000,
                "end_ms": NOON // 1000 + 4120,
            },
        )

    def test_no_tests(self) -> None:
        made = shape_run([], ["The stream is empty."])
        self.assertEqual(json.loads(made.rows), [])
        self.assertEqual(json.loads(made.stats)["start"], None)
        self.assertEqual(made.meta["start_ms"], None)

    def test_without_notes(self) -> None:
        stats = json.loads(shape_run([test(status="fail"), test(status="skip")], ()).stats)
        self.assertEqual([stats["failures"][0]["details"], stats["skips"][0]["details"]], [None, None])

    def test_tags(self) -> None:
        self.assertEqual(
            [
                row["tags"]
                for row in rows(test(0, 1, "slow", "worker-9"), test(0, 1, "worker-2", "net", mark="xfail"))
            ],
            [["worker-1", "slow", "orig:worker-9"], ["worker-0", "orig:worker-2", "net", "xfail"]],
        )
        # what begins with "worker" and is none must not be the first such tag
        self.assertEqual(
            rows(test(0, 1, "workers", "worker-x"))[0]["tags"], ["worker-0", "workers", "worker-x"]
        )

    def test_many_rows(self) -> None:
        found = rows(*(test(i, i + 1, "worker-0", name=str(i)) for i in range(2500)))
        self.assertEqual([row["name"] for row in found], [str(i) for i in range(2500)])


class TimeTests(SynchronousTestCase):
    def test_iso_agrees_with_datetime(self) -> None:
        for us in (0, 1, -1, NOON, NOON + 999_999, 2**32 * SECOND, -62_135_510_400 * SECOND):
            text = iso(us)
            self.assertTrue(text.endswith("+00:00"))
            self.assertEqual(datetime.fromisoformat(text).timestamp(), us / 1e6)

    def test_repairs(self) -> None:
        tests = [
            test(10, 10),
            test(None, 20),
            test(30, None),
            test(None, None),
            test(50, 40),
        ]
        spans, said = repair_times(tests)
        self.assertEqual(spans, [(10, 11), (20, 21), (30, 31), (31, 32), (50, 51)])
        self.assertEqual(len(said), 3)
        self.assertIn("2 tests have a start or an end only", said[1])

    def test_untimed_first(self) -> None:
        self.assertEqual(repair_times([test(None, None), test(10, 20)])[0], [(10, 11), (10, 20)])

    def test_a_stream_without_times(self) -> None:
        spans, said = repair_times([test(None, None)] * 3)
        self.assertEqual(spans, [(0, 1), (1, 2), (2, 3)])
        self.assertIn("no times", said[0])

    def test_healthy_times_are_not_spoken_of(self) -> None:
        self.assertEqual(repair_times([test(5, 9), test(7, 7)]), ([(5, 9), (7, 8)], []))

    @given(st.lists(st.tuples(*[st.none() | st.integers(-(10**20), 10**20)] * 2), min_size=1))
    def test_any_times_can_be_shown(self, times: list[tuple[int | None, int | None]]) -> None:
        for row in rows(*(test(*pair) for pair in times)):
            start, end = map(datetime.fromisoformat, row["timestamps"])
            self.assertGreater(end, start)
            self.assertGreater(row["duration"], 0)


class LaneTests(SynchronousTestCase):
    def lanes(self, *tests: Test) -> list[int]:
        return assign_lanes(tests, repair_times(tests)[0])

    def test_gaps_are_closed(self) -> None:
        tests = [test(0, 1, f"worker-{n}") for n in (9, 0, 5, 2, 0, 10)]
        self.assertEqual(self.lanes(*tests), [3, 0, 2, 1, 0, 4])

    def test_untagged_do_not_overlap(self) -> None:
        tests = [test(0, 10, "worker-3"), test(0, 5), test(3, 9), test(5, 6), test(4, 8)]
        self.assertEqual(self.lanes(*tests), [0, 1, 2, 1, 3])

    def test_hung_tests_go_to_the_worker_that_fell_silent(self) -> None:
        """Which of several: the one that ended just before.  A second hung test finds it taken."""
        ran = [test(0, 3, "worker-0"), test(0, 5, "worker-1"), test(5, 30, "worker-2")]
        hung = test(6, 30, mark="unfinished")
        self.assertEqual(self.lanes(*ran, hung), [0, 1, 2, 1])
        self.assertEqual(self.lanes(*ran, hung, test(7, 30, mark="unfinished")), [0, 1, 2, 1, 0])
        self.assertEqual(self.lanes(*ran, *[hung] * 3), [0, 1, 2, 1, 0, 3])
        self.assertEqual(self.lanes(*ran, test(2, 30, mark="unfinished")), [0, 1, 2, 3])
        self.assertEqual(self.lanes(*ran, test(6, 30)), [0, 1, 2, 3])

    def test_hung_tests_that_name_their_worker(self) -> None:
        ran = [test(0, 3, "worker-0"), test(0, 5, "worker-1")]
        self.assertEqual(self.lanes(*ran, test(6, 30, "worker-0", mark="unfinished")), [0, 1, 0])

    def test_none_tagged(self) -> None:
        self.assertEqual(self.lanes(test(0, 5), test(5, 9)), [0, 0])

    def test_bounds(self) -> None:
        tests = [test(0, 9, f"worker-{n}") for n in range(MAX_WORKERS + 10)]
        tests += [test(0, 9)] * 500
        self.assertEqual(set(self.lanes(*tests)), set(range(MAX_WORKERS + MAX_FREE_LANES)))

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 50),
                st.integers(0, 50),
                st.sampled_from(["", "worker-1", "worker-7", "worker-07", "x"]),
                st.sampled_from([None, "unfinished"]),
            ),
            min_size=1,
        )
    )
    def test_dense_and_without_false_overlaps(self, tests: list[tuple[int, int, str, str | None]]) -> None:
        made = [
            test(start, start + length, *filter(None, [tag]), mark=mark) for start, length, tag, mark in tests
        ]
        spans, _ = repair_times(made)
        lanes = assign_lanes(made, spans)
        self.assertEqual(set(lanes), set(range(max(lanes) + 1)))
        free = [(lane, span) for lane, span, t in zip(lanes, spans, tests, strict=True) if "w" not in t[2]]
        for i, (lane, (start, end)) in enumerate(free):
            for other, (begin, stop) in free[:i]:
                self.assertTrue(lane != other or end <= begin or stop <= start)
        taken = [(lane, span) for lane, span, t in zip(lanes, spans, tests, strict=True) if "w" in t[2]]
        for lane, (start, _) in free:
            self.assertTrue(all(lane != other or stop <= start for other, (_, stop) in taken))
