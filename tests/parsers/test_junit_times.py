# SPDX-License-Identifier: Apache-2.0
"""When the tests of JUnit reports ran, as far as the reports tell, and on which lanes they are shown."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.parsers.junit_times import duration_us, moment
from stackviz_deployer.parsers.subunit_shape import MAX_FREE_LANES, MAX_WORKERS
from tests.parsers.junit_runs import Case, times
from tests.parsers.runs import load


class TimeTests(SynchronousTestCase):
    def test_durations(self) -> None:
        for text, seconds in (
            ("1,234.5", 1234.5),
            ("1.234,5", 1234.5),
            ("1,234", 1234),
            ("1,234,567.89", 1234567.89),
            ("1.234.567", 1234567),
            ("1\u202f234,5", 1234.5),
            ("0,123", 0.123),
            ("12,5", 12.5),
            ("1.234", 1.234),
            (".5", 0.5),
            ("1e-05", 1e-05),
            ("0.5s", 0.5),
            (" 2 ", 2),
            ("0", 0),
        ):
            self.assertEqual(duration_us(text), round(seconds * 1e6), text)
        for nothing in (None, "", "NaN", "inf", "-1", "abc", "1e300", "1:02", "9" * 400, "1" * 50 + ","):
            self.assertIsNone(duration_us(nothing), nothing)

    def test_moments(self) -> None:
        us = 1_795_341_600_000_000
        for text, zoned, step in (
            ("2026-11-22T10:00:00Z", True, 1_000_000),
            ("2026-11-22T12:00:00+02:00", True, 1_000_000),
            ("2026-11-22T12:00:00.000+0200", True, 10_000),
            ("2026-11-22T10:00:00", False, 1_000_000),
            ("2026-11-22 10:00:00.000000", False, 10_000),
            ("Sun, 22 Nov 2026 10:00:00 GMT", True, 1_000_000),
            ("1795341600", True, 1_000_000),
            ("1795341600000", True, 10_000),
        ):
            found = moment(text)
            assert found is not None, text
            self.assertEqual((found.us, found.zoned, found.step_us), (us, zoned, step), text)
        for nothing in (
            None,
            "",
            "yesterday",
            "0001-01-01T00:00:00Z",
            "1970-01-01T00:00:00",
            "9999-12-31T23:59:59",
        ):
            self.assertIsNone(moment(nothing), nothing)

    @given(st.text(max_size=70))
    def test_anything(self, text: str) -> None:
        moment(text)
        found = duration_us(text)
        self.assertTrue(found is None or found >= 0)


class LayoutTests(Case):
    def suite(self, name: str, seconds: float, **attributes: str) -> str:
        more = "".join(f' {key}="{value}"' for key, value in attributes.items())
        return f'<testsuite name="{name}"{more}><testcase name="t" time="{seconds}"/></testsuite>'

    def test_undated_behind_dated(self) -> None:
        rows, stats, _ = self.read(
            "<testsuites>"
            + self.suite("a", 2)
            + self.suite("b", 3, timestamp="2026-11-22T10:00:00Z")
            + self.suite("c", 4)
            + "</testsuites>"
        )
        self.assertEqual(
            {name: span[0] for name, span in times(rows).items()},
            {"b.t": "10:00:00.000000", "a.t": "10:00:03.000000", "c.t": "10:00:05.000000"},
        )
        self.assertIn("2 tests belong to suites without a time", stats["warnings"][0])

    def test_hosts_are_named_where_there_are_several(self) -> None:
        one = self.suite("a", 2, hostname="x", timestamp="2026-11-22T10:00:00Z")
        other = self.suite("b", 2, timestamp="2026-11-22T10:00:00Z")
        for text, tags in ((one, [[]]), (one + other, [["host:x"], []])):
            rows, _, _ = self.read(f"<testsuites>{text}</testsuites>")
            self.assertEqual([row["tags"][1:-1] for row in rows], tags)

    def test_own_times_that_overlap_go_to_other_lanes(self) -> None:
        case = '<testcase name="{}" time="5" timestamp="2026-11-22T10:00:0{}.0Z"/>'
        rows, _, _ = self.read(
            "<testsuite>" + "".join(case.format(f"t{n}", n) for n in range(4)) + "</testsuite>"
        )
        self.assertEqual(len({row["tags"][0] for row in rows}), 4)
        self.assertFalse(any("estimated" in row["tags"] for row in rows))

    def many_at_once(self, number: int) -> bytes:
        suites = [
            self.suite(f"s{n}", 60, hostname=f"h{n}", timestamp="2026-11-22T10:00:00Z") for n in range(number)
        ]
        return f"<testsuites>{''.join(suites)}</testsuites>".encode()

    def test_many_lanes(self) -> None:
        rows, _, _ = self.read(self.many_at_once(MAX_WORKERS))
        self.assertEqual(len({row["tags"][0] for row in rows}), MAX_WORKERS)

    def test_more_at_once_than_lanes(self) -> None:
        made = self.parse_bytes(self.many_at_once(MAX_WORKERS + 1))
        self.assertEqual(len({row["tags"][0] for row in load(made.artifacts[0])}), MAX_FREE_LANES)
        self.assertIn("257 suites ran at once", made.warnings[-1])

    def test_a_timed_suite_inside_of_another(self) -> None:
        rows, _, _ = self.read(
            '<testsuite name="o" timestamp="2026-11-22T10:00:00Z"><testcase name="a" time="5"/>'
            + self.suite("i", 5, timestamp="2026-11-22T10:00:07Z")
            + '<testcase name="b" time="1"/></testsuite>'
        )
        self.assertEqual(
            {name: span[0] for name, span in times(rows).items()},
            {"o.a": "10:00:00.000000", "i.t": "10:00:07.000000", "o.b": "10:00:12.000000"},
        )
        self.assertEqual({row["tags"][0] for row in rows}, {"worker-0"})

    def test_tests_that_ran_at_once(self) -> None:
        """pytest-xdist, stestr: they are shown in a sequence, but not silently."""
        case = '<testcase name="{}" time="10"/>'
        for told, number in (("20", 0), ("19.0", 0), ("10", 1)):
            cases = case.format("a") + case.format("b")
            _, stats, _ = self.read(f'<testsuite name="s" time="{told}">{cases}</testsuite>')
            found = [text for text in stats["warnings"] if "tests ran at once" in text]
            self.assertEqual(len(found), number, told)

    def test_output_of_a_long_suite(self) -> None:
        """Its first failure is written long before: its last test has what the suite printed."""
        cases = "".join(
            f'<testcase name="t{n}">{"<failure/>" if not n else ""}</testcase>' for n in range(2500)
        )
        rows, _, details = self.read(f'<testsuite name="s">{cases}<system-err>late</system-err></testsuite>')
        self.assertEqual(len(rows), 2500)
        self.assertEqual(details, {"s.t2499": {"suite_stderr": "late"}})

    def test_output_without_a_test(self) -> None:
        made = self.parse_bytes(
            b"<testsuites><testsuite name='a'><system-out>x</system-out></testsuite></testsuites>"
        )
        self.assertIn("output of 1 suite without tests is left out", " ".join(made.warnings))
