# SPDX-License-Identifier: Apache-2.0
"""JUnit reports of many tools -> the artifacts of a run."""

import contextlib
import csv
import gzip
import itertools
import lzma
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.model import ParseResult
from stackviz_deployer.parsers import junit_reader, junit_xml
from stackviz_deployer.parsers.blockgzip import BlockGzipWriter
from stackviz_deployer.parsers.junit import parse
from stackviz_deployer.parsers.junit_run import JunitRun
from stackviz_deployer.parsers.junit_times import duration_us, moment
from stackviz_deployer.parsers.subunit_names import Names
from stackviz_deployer.parsers.subunit_run import RunLimits, TestRun
from stackviz_deployer.parsers.subunit_shape import MAX_FREE_LANES, MAX_WORKERS
from tests.parsers.runs import RunCase, load

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "junit"
SHARED = ROOT.parent / "shared" / "data"

DIFFERENT = {"enricomi__junit.multiresult.xml": {"success": 1, "fail": 2, "skip": 1}}
"""Testcases with several results count once; the truth counts each element."""

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


class DialectTests(Case):
    def test_pytest(self) -> None:
        rows, stats, details = self.read_fixture("pytest.xml")
        self.assertEqual(
            statuses(rows),
            {
                "tests.test_a.TestList.test_first": "success",
                "tests.test_a.TestList.test_each[chrome]": "success",
                "tests.test_a.TestList.test_each[firefox]": "fail",
                "tests.test_a.test_not_here": "skip",
                "tests.test_a.test_known": "skip",
                "tests.test_a.test_fixture": "fail",
                "tests.test_a.test_ünicode_日本": "success",
            },
        )
        self.assertEqual(stats["start"], "2026-11-22T07:00:00.250000+00:00")
        self.assertEqual(rows[1]["timestamps"][0], "2026-11-22T07:00:00.750000+00:00")
        self.assertEqual(
            stats["failures"][0]["details"], ["AssertionError: assert 1 == 2", "+  where 1 = f()"]
        )
        self.assertEqual([skip["details"] for skip in stats["skips"]], ["no such device", "bug 1"])
        chrome = details["tests.test_a.TestList.test_each[chrome]"]
        self.assertEqual(chrome, {"stdout": "asked chrome\n", "stderr": "a warning\n"})
        text = details["tests.test_a.TestList.test_each[firefox]"]["traceback"]
        self.assertTrue(text.startswith("AssertionError: assert 1 == 2\n  +  where"))
        self.assertTrue(text.endswith("tests/test_a.py:12: AssertionError"))
        self.assertEqual({tuple(row["tags"]) for row in rows}, {("worker-0", "estimated")})
        self.assertEqual(len(stats["warnings"]), 1)
        self.assertIn("starts of 7 tests are estimated", stats["warnings"][0])

    def test_surefire_is_one_run_of_many_files(self) -> None:
        files = sorted((FIXTURES / "surefire").iterdir())
        made = self.parse(*files, artifact_name="junit")
        rows, stats, details = self.group(made)
        self.assertEqual({a.artifact_name for a in made.artifacts}, {"junit"})
        first, second = "org.example.FirstTest", "org.example.SecondTest"
        self.assertEqual(
            statuses(rows),
            {
                f"{first}.takesLong": "success",
                f"{first}.fails": "fail",
                f"{first}.fails (2)": "fail",
                f"{first}.notToday": "skip",
                f"{second}.sometimes": "fail",
                f"{second}.sometimes (2)": "fail",
                f"{second}.sometimes (3)": "success",
                f"{second}.always": "success",
            },
        )
        flaky = [row["name"] for row in rows if "flaky" in row["tags"]]
        self.assertEqual(flaky, [f"{second}.sometimes{n}" for n in ("", " (2)", " (3)")])
        self.assertEqual(rows[0]["duration"], 1230.5)
        self.assertEqual(
            [list(details[f"{first}.fails"]), details[f"{first}.fails (2)"]["stdout"]],
            [["traceback", "stdout"], "second try\n"],
        )
        self.assertEqual(
            [failure["details"] for failure in stats["failures"]],
            [
                ["expected: <1> but was: <2>"],
                ["expected: <1> but was: <3>"],
                ["timed out"],
                ["no host"],
            ],
        )
        # what the class printed goes to its first failure
        self.assertEqual(list(details[f"{second}.sometimes"]), ["traceback", "stderr", "suite_stdout"])
        self.assertEqual(details[f"{second}.sometimes"]["suite_stdout"], "printed by the class\n")
        self.assertIn("from 1970-01-01 on", stats["warnings"][1])
        meta = made.artifacts[0].meta
        self.assertEqual(meta["flaky"], 1)
        self.assertNotIn("start_ms", meta)  # invented: no year is to be taken from it

    def test_googletest_tells_when_each_test_began(self) -> None:
        rows, stats, details = self.read_fixture("gtest.xml")
        self.assertEqual(
            times(rows),
            {
                "MathTest.Adds": ("08:00:00.100000", "08:00:00.500000"),
                "MathTest.Divides": ("08:00:00.700000", "08:00:01.200000"),
                "MathTest.DISABLED_Slow": ("08:00:01.200000", "08:00:01.200001"),
                "TextTest.Joins": ("08:00:01.300000", "08:00:01.600000"),
            },
        )
        self.assertEqual({tuple(row["tags"]) for row in rows}, {("worker-0",)})
        self.assertEqual(statuses(rows)["MathTest.DISABLED_Slow"], "skip")
        self.assertEqual(details["MathTest.Divides"]["traceback"].count("math_test.cc:2"), 2)
        self.assertEqual(stats["warnings"], ["Times without a zone are taken as UTC."])

    def test_go_gives_the_reports_time_to_every_package(self) -> None:
        rows, stats, _ = self.read_fixture("go.xml")
        self.assertEqual(
            times(rows),
            {
                "example.org/a.TestA": ("10:00:00.000000", "10:00:02.000000"),
                "example.org/a.TestB": ("10:00:02.000000", "10:00:03.000000"),
                "example.org/b.TestC": ("10:00:03.000000", "10:00:07.000000"),
            },
        )
        self.assertEqual({row["tags"][0] for row in rows}, {"worker-0"})
        self.assertEqual(stats["failures"][0]["details"], ["Failed", "a_test.go:6: not what it should be"])
        self.assertIn("1 suite has the time of another", stats["warnings"][1])

    def test_suites_that_overlap_get_lanes(self) -> None:
        rows, _, _ = self.read_fixture("parallel.xml")
        self.assertEqual(
            {row["name"]: (row["tags"][0], row["tags"][1], row["timestamps"][0][14:21]) for row in rows},
            {
                "one.t1": ("worker-0", "host:a", "00:00.0"),
                "one.t2": ("worker-0", "host:a", "00:06.0"),
                "beside.t": ("worker-1", "host:a", "00:05.0"),
                # told as :10, ran from :10.4 on: seconds that were cut are no overlap
                "behind.t": ("worker-1", "host:a", "00:10.4"),
                "late.t": ("worker-0", "host:a", "00:20.0"),
                "elsewhere.t": ("worker-2", "host:b", "00:30.0"),
            },
        )

    def test_nested_suites_are_one_sequence(self) -> None:
        rows, _, details = self.read_fixture("nested.xml")
        self.assertEqual(
            {name: span[0] for name, span in times(rows).items()},
            {
                "all.first": "10:00:00.000000",
                "C.second": "10:00:01.000000",
                "C.third": "10:00:02.500000",
                "C.fourth": "10:00:03.000000",
                "all": "10:00:04.000000",
            },
        )
        self.assertEqual(details, {"C.third": {"suite_stdout": "nobody's"}})

    def test_repeated_testcases(self) -> None:
        rows, stats, _ = self.read_fixture("repeated.xml")
        self.assertEqual(
            [(row["name"], row["status"], "flaky" in row["tags"]) for row in rows],
            [
                ("C.flips", "fail", True),
                ("C.stays", "success", False),
                ("C.flips (2)", "success", True),
                ("C.stays (2)", "success", False),
                ("s", "success", False),  # without a name nothing tells that it is the same
                ("s (2)", "fail", False),
                ("C.stays (3)", "fail", False),  # in another suite
            ],
        )
        self.assertIn("1 test was tried more than once", stats["warnings"][0])

    def test_roots(self) -> None:
        case = '<testcase name="a" time="1"/>'
        for text in (
            case,
            f"<testsuite>{case}</testsuite>",
            f"<testsuites>{case}</testsuites>",
            f"<testsuites><testsuites><testsuite>{case}</testsuite></testsuites></testsuites>",
            f"<x:testsuite xmlns:x='urn:x'>{case.replace('testcase', 'x:testcase')}</x:testsuite>",
            f"<report><wrapped>{case}</wrapped></report>",
            f"\ufeff\n <?xml version='1.0'?><testsuite>{case}</testsuite>",
            f"<?xml version='1.1'?><testsuite>{case}</testsuite>",
        ):
            rows, _, _ = self.read(text)
            self.assertEqual([row["name"] for row in rows], ["a"], text)

    def test_a_suite_that_failed_without_a_test(self) -> None:
        """Of a lost worker nothing but this is told."""
        rows, stats, details = self.read(
            '<testsuites><testsuite name="lost" tests="0" errors="1"><error message="cannot import x"/>'
            "<system-out>what it said</system-out></testsuite></testsuites>"
        )
        self.assertEqual(statuses(rows), {"lost": "fail"})
        self.assertEqual(stats["failures"][0]["details"], ["cannot import x"])
        self.assertEqual(details["lost"], {"traceback": "cannot import x", "stdout": "what it said"})

    def test_status_where_no_element_tells(self) -> None:
        rows, _, _ = self.read(
            '<testsuite><testcase name="a" status="FAIL"/><testcase name="b" status="disabled"/>'
            '<testcase name="c" status="run"/><testcase name="d" status="notrun"><failure/></testcase>'
            "</testsuite>"
        )
        self.assertEqual(statuses(rows), {"a": "fail", "b": "skip", "c": "success", "d": "fail"})

    def test_names(self) -> None:
        rows, _, _ = self.read(
            '<testsuite name="s"><testcase name="a" classname="m.C"/><testcase name="m.C.b" classname="m.C"/>'
            '<testcase name="c"/><testcase name="s"/><testcase classname="K"/>'
            '<testcase name="x[1]" classname="C"/>'
            '<testcase name="x[2]" classname="C"/><testcase name="x[1]" classname="C"/></testsuite>'
        )
        self.assertEqual(
            [row["name"] for row in rows],
            ["m.C.a", "m.C.b", "s.c", "s", "K", "C.x[1]", "C.x[2]", "C.x[1] (2)"],
        )
        names = Names()
        self.assertEqual([names.take_whole("a[1]"), names.take_whole("a[1]")], ["a[1]", "a[1] (2)"])

    def test_no_tests(self) -> None:
        made = self.parse_bytes(b'<testsuites name="jest tests"><testsuite name="a"/></testsuites>')
        (stats,) = made.artifacts
        self.assertEqual((stats.artifact_type, stats.primary), ("subunit-stats", True))
        self.assertEqual(load(stats)["warnings"], ["The report holds no test."])

    def test_other_compressions_and_determinism(self) -> None:
        data = (FIXTURES / "pytest.xml").read_bytes()
        plain = self.parse_bytes(data)
        for packed in (data, lzma.compress(data), gzip.compress(gzip.compress(data))):
            other = self.parse_bytes(packed)
            self.assertEqual(
                [Path(a.path).read_bytes() for a in other.artifacts if a.artifact_type != "subunit-stats"],
                [Path(a.path).read_bytes() for a in plain.artifacts if a.artifact_type != "subunit-stats"],
            )
            self.assertEqual(other.decoded_bytes, len(data))


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


class TruthTests(Case):
    def test_public_reports(self) -> None:
        truth_path = SHARED / "TRUTH.junit.tsv"
        if not truth_path.exists():
            raise SkipTest("needs ../shared/data")
        checked = 0
        with truth_path.open(encoding="utf-8", newline="") as lines:
            for truth in csv.DictReader(lines, delimiter="\t"):
                path = SHARED / "public" / "junit" / truth["file"]
                if truth["root"] not in ("testsuites", "testsuite"):
                    with self.assertRaises(ParseError):
                        self.parse(path)
                    continue
                made = self.parse(path)
                meta = made.artifacts[0].meta
                tests = int(truth["testcases"])
                fail = int(truth["with_failure"]) + int(truth["with_error"])
                skip = int(truth["with_skipped"])
                expected = {"success": tests - fail - skip, "fail": fail, "skip": skip}
                expected = DIFFERENT.get(truth["file"], expected)
                self.assertEqual({key: meta[key] for key in expected}, expected, truth["file"])
                self.assertEqual(meta["count"], tests, truth["file"])
                if tests:
                    _, stats, _ = self.group(made)
                    # what takes no time is shown with 1 us; the truth is rounded
                    difference = abs(stats["total_duration"] - float(truth["sum_time"]))
                    self.assertLess(difference, 1e-6 * tests + 5e-4, truth["file"])
                checked += 1
        self.assertGreater(checked, 30)


class DamagedTests(Case):
    TESTS = b"<testsuites><testsuite name='s'><testcase name='a'/><testcase name='b'/>"

    def test_doctype(self) -> None:
        for text in (
            '<!DOCTYPE testsuite><testsuite><testcase name="a"/></testsuite>',
            '<?xml version="1.0"?><!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite>&x;</testsuite>',
            '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><testsuite name="&b;"/>',
        ):
            for data in (text.encode(), text.encode("utf-16"), gzip.compress(text.encode())):
                with self.assertRaises(ParseError) as caught:
                    self.parse_bytes(data)
                self.assertIn("DOCTYPE, which is refused", caught.exception.message)

    def test_one_bad_file_of_several(self) -> None:
        bad = self.mktemp()
        Path(bad).write_text('<!DOCTYPE x><testsuite><testcase name="secret"/></testsuite>')
        rows, stats, _ = self.group(self.parse(FIXTURES / "go.xml", bad))
        self.assertEqual(len(rows), 3)
        self.assertIn("DOCTYPE", stats["warnings"][0])

    def test_no_report(self) -> None:
        for data, why in (
            (b"", "empty"),
            (b"hello", "no XML"),
            (b"<suites><suite/></suites>", "its root is <suites>"),
            (b"<html><body>Not found</body></html>", "its root is <html>"),
        ):
            with self.assertRaises(ParseError) as caught:
                self.parse_bytes(data)
            self.assertIn(why, caught.exception.message)

    def test_cut_anywhere(self) -> None:
        """Every test before the cut is there, whatever the cut goes through."""
        data = (FIXTURES / "surefire" / "TEST-org.example.FirstTest.xml").read_bytes()
        ends = [match.end() for match in re.finditer(rb'FirstTest" time="1,230.5"/>|</testcase>', data)]
        whole = statuses(self.read(data)[0])
        for size in range(data.index(b"<testcase") + 1, len(data.rstrip()), 7):
            made = self.parse_bytes(data[:size])
            self.assertTrue(any("ends early" in text for text in made.warnings), made.warnings)
            before = sum(end <= size for end in ends)
            rows = load(made.artifacts[0]) if len(made.artifacts) == 3 else []
            self.assertGreaterEqual(len({row["name"].split(" (")[0] for row in rows}), before, size)
            for row in rows:
                self.assertEqual(whole[row["name"]], row["status"], size)

    def test_a_test_that_is_cut(self) -> None:
        rows, stats, details = self.read(self.TESTS + b"<testcase name='c'><failure message='no'>half of")
        self.assertEqual(statuses(rows)["s.c"], "fail")
        self.assertTrue(details["s.c"]["traceback"].startswith("no"))
        rows, stats, _ = self.read(self.TESTS + b"<testcase name='c'><system-out>half of")
        self.assertEqual(len(rows), 2)
        self.assertIn("1 test in which the file is damaged is left out: s.c", stats["warnings"])

    def test_torn_gzip(self) -> None:
        data = gzip.compress(
            b"".join(
                [
                    b"<testsuite>",
                    *(b"<testcase name='t%d' time='0.%d'/>" % (n, n * 7919) for n in range(5000)),
                ]
            )
        )
        rows, stats, _ = self.read(data[: len(data) // 2])
        self.assertGreater(len(rows), 1000)
        self.assertIn("ends early", stats["warnings"][0])

    def test_reading_goes_on_behind_damage(self) -> None:
        for damage in (b"<<<", b"& ", b"&nbsp;", b"</wrong>", b"<a b=c>", b"<a b='1' b='2'/>", b"<?xml?>"):
            rows, stats, _ = self.read(
                self.TESTS + damage + b"\n<testcase name='c'/></testsuite>"
                b"<testsuite name='u'><testcase name='d'/></testsuite></testsuites>"
            )
            self.assertEqual([row["name"] for row in rows], ["s.a", "s.b", "s.c", "u.d"], damage)
            self.assertIn("damaged at line 1", stats["warnings"][0])

    def test_where_reading_goes_on_between_pieces(self) -> None:
        """The next test's tag may lie across two of the pieces in which a file is read."""
        piece = 256 << 10
        for shift in range(24):
            begin = self.TESTS + b"&"
            pad = b"\n" + b"x" * (piece - len(begin) - 1 - 12 + shift - 2) + b"\n "
            rows, stats, _ = self.read(begin + pad + b"<testcase name='c'/>&<testcase name='d'/></testsuite>")
            self.assertEqual([row["name"] for row in rows], ["s.a", "s.b", "s.c", "s.d"], shift)
            lines = [re.findall(r"line (\d+)", text) for text in stats["warnings"][:2]]
            self.assertEqual(lines, [["1"], ["3"]], shift)

    def test_too_much_damage(self) -> None:
        data = self.TESTS + b"<<<testcase name='x'/>" * 100
        rows, stats, _ = self.read(data)
        self.assertEqual(len(rows), 2 + junit_xml.MAX_DAMAGES)
        self.assertIn(
            "damaged at more than 20 places; the rest of the file is left out", " ".join(stats["warnings"])
        )

    def test_several_documents(self) -> None:
        one = (FIXTURES / "go.xml").read_bytes()
        rows, stats, _ = self.read(one + one.replace(b"example.org", b"example.com"))
        self.assertEqual(len(rows), 6)
        self.assertNotIn("damaged", " ".join(stats["warnings"]))

    def test_control_characters(self) -> None:
        rows, stats, details = self.read(
            b"<testsuite><testcase name='a\x1b[31mred'>"
            b"<failure message='x&#27;&#x0;&#xD800;&#1114112;&#65534;y'>"
            b"\x00\x08z\xef\xbf\xbf</failure><system-out><![CDATA[\x1b]]></system-out></testcase></testsuite>"
        )
        self.assertEqual([row["name"] for row in rows], ["a\ufffd[31mred"])
        self.assertEqual(
            details["a\ufffd[31mred"],
            {"traceback": "x" + "\ufffd" * 5 + "y\n\n\ufffd\ufffdz\ufffd", "stdout": "\ufffd"},
        )
        self.assertIn("Control characters", stats["warnings"][0])

    def test_references_alone(self) -> None:
        _, stats, _ = self.read(b"<testsuite><testcase name='a&#27;b'/></testsuite>")
        self.assertIn("Control characters", stats["warnings"][0])
        _, stats, _ = self.read(b"<testsuite><testcase name='a&#10;b&#x263a;'/></testsuite>")
        self.assertNotIn("Control characters", stats["warnings"][0])

    def test_encodings(self) -> None:
        text = '<?xml version="1.0" encoding="{}"?>\n<testsuite><testcase name="Grüße"/></testsuite>'
        for declared, written in (
            ("utf-8", "utf-8"),
            ("UTF-8", "utf-8-sig"),
            ("iso-8859-1", "latin-1"),
            ("windows-1252", "cp1252"),
            ("utf-16", "utf-16"),
            ("utf-16", "utf-16-le"),
            ("utf-16", "utf-8"),  # .NET: what a string was, not what the file is
            ("no-such", "utf-8"),
            ("idna", "utf-8"),
            ("cp037", "utf-8"),
        ):
            rows, _, _ = self.read(text.format(declared).encode(written))
            self.assertEqual([row["name"] for row in rows], ["Grüße"], (declared, written))
        rows, stats, _ = self.read(text.format("utf-8").encode("latin-1"))
        self.assertEqual([row["name"] for row in rows], ["Gr\ufffd\ufffde"])
        self.assertIn("no text", stats["warnings"][0])

    def test_references_across_chunks(self) -> None:
        """Wherever the reader's pieces end, a bad reference is found."""
        for shift in range(12):
            pad = b"<!--" + b"x" * ((256 << 10) - 60 - shift) + b"-->"
            rows, _, details = self.read(
                pad + b"<testsuite><testcase name='a'><system-out>1&#27;2&#0000010;3</system-out>"
                b"</testcase></testsuite>"
            )
            self.assertEqual((len(rows), details["a"]["stdout"]), (1, "1\ufffd2\n3"), shift)


class BoundTests(Case):
    def test_depth(self) -> None:
        rows, stats, _ = self.read(b"<testsuite><testcase name='a'/>" + b"<testsuite>" * 100_000)
        self.assertEqual(len(rows), 1)
        self.assertIn("nested more than 100 deep", stats["warnings"][0])

    def test_a_huge_tag(self) -> None:
        huge = b"<property name='" + b"x" * (junit_xml.MAX_TOKEN_BYTES + (1 << 20)) + b"'/>"
        began = time.process_time()
        rows, stats, _ = self.read(
            b"<testsuite><testcase name='a'/>" + huge * 3 + b"<testcase name='b'/></testsuite>"
        )
        self.assertLess(time.process_time() - began, 10)
        self.assertEqual([row["name"] for row in rows], ["a", "b"])
        self.assertIn("longer than 4 MiB", stats["warnings"][0])

    def test_long_names_and_texts(self) -> None:
        name = "n" * 100_000
        rows, stats, details = self.read(
            f"<testsuite name='{name}'><testcase classname='{name}' name='{name}'><failure message='{name}'>"
            f"{'x' * (9 << 20)}</failure><system-out>more</system-out></testcase></testsuite>"
        )
        self.assertLessEqual(len(rows[0]["name"]), 1000)
        self.assertLessEqual(sum(map(len, next(iter(details.values())).values())), (8 << 20) + 2)
        self.assertTrue(all(len(line) <= 1000 for line in stats["failures"][0]["details"]))
        self.assertIn("texts were cut", " ".join(stats["warnings"]))

    def test_attempts(self) -> None:
        rows, stats, _ = self.read(
            "<testsuite><testcase name='a'>" + "<flakyFailure/>" * 500 + "</testcase></testsuite>"
        )
        self.assertEqual(len(rows), junit_reader.MAX_REPEATS + 1)
        self.assertIn("400 attempts are left out", stats["warnings"][0])

    def test_texts_of_one_test(self) -> None:
        """Linear: each element would else copy all those before it."""
        began = time.process_time()
        _, stats, details = self.read(
            "<testsuite><testcase name='a'>"
            + "<failure>many words</failure><system-out>o</system-out>" * 200_000
            + "</testcase></testsuite>"
        )
        self.assertLess(time.process_time() - began, 20)
        self.assertLess(sum(map(len, details["a"].values())), 2000)
        self.assertIn("texts were cut", " ".join(stats["warnings"]))

    def test_tests_and_suites(self) -> None:
        def read(data: bytes) -> tuple[int, list[str]]:
            with BlockGzipWriter(self.mktemp(), unit="test") as details:
                run = TestRun(details)
                junit = JunitRun(run, RunLimits(tests=10))
                reader = junit_reader.ReportReader(junit)
                xml = junit_xml.XmlReader(reader, name="x")
                xml.read([data])
                said = xml.warnings + reader.close()
                junit.close()
            return len(run.tests), said

        found, said = read(b"<testsuite>" + b"<testcase name='a'><failure/></testcase>" * 11)
        self.assertEqual(found, 10)
        self.assertEqual(said, ["There are more than 10 tests; the rest of the file is left out."])
        found, said = read(b"<r>" + b"<testsuite/>" * (junit_reader.MAX_SUITES + 1))
        self.assertEqual(said, ["There are more than 250,000 suites; the rest of the file is left out."])

    def test_files_share_their_bound(self) -> None:
        files = sorted((FIXTURES / "surefire").iterdir())
        sizes = [file.stat().st_size for file in files]
        share = -(-sum(sizes) // 2)
        self.assertLess(share, max(sizes))
        self.parse(*files, max_bytes=share)
        with self.assertRaises(TooLargeError):
            self.parse(*files, max_bytes=share - 2)

    def test_left_out(self) -> None:
        made = self.parse(FIXTURES / "go.xml", artifact_name="x'y", left_out=7)
        self.assertIn("x_y: 7 more reports are left out", made.warnings[0])

    def test_warnings_of_many_files(self) -> None:
        paths = []
        for _ in range(80):
            paths.append(self.mktemp())
            Path(paths[-1]).write_bytes(DamagedTests.TESTS)
        made = self.parse(*paths)
        self.assertLess(len(made.warnings), 60)
        self.assertIn("junit: 30 more warnings are left out.", made.warnings)
        self.assertEqual(made.artifacts[0].meta["count"], 160)


REPORTS = [path.read_bytes() for path in sorted(FIXTURES.rglob("*.xml"))]


class HostileTests(Case):
    def reports(self) -> list[bytes]:
        """Real ones where they are; else ours alone."""
        real = sorted((SHARED / "public" / "junit").glob("*.xml"))
        return REPORTS + [path.read_bytes() for path in real if path.stat().st_size < 10_000]

    @settings(deadline=None, max_examples=200)
    @given(st.data())
    def test_any_damage(self, data: st.DataObject) -> None:
        report = data.draw(st.sampled_from(self.reports()))
        at = data.draw(st.integers(0, len(report)))
        insert = data.draw(
            st.one_of(
                st.binary(max_size=30),
                st.sampled_from(
                    [
                        b"<",
                        b">",
                        b"&",
                        b"]]>",
                        b"<![CDATA[",
                        b"<!--",
                        b"<testcase>",
                        b"</testcase>",
                        b"</testsuite>",
                        b"<failure>",
                        b"<flakyFailure>",
                        b"&#x;",
                        b"&x;",
                        b"\xff\xfe",
                        b"<testsuites>",
                        b"<!DOCTYPE x>",
                    ]
                ),
            )
        )
        damaged = report[:at] + insert + report[at + data.draw(st.integers(0, 40)) :]
        before = Counter(self.names_before(report, at))
        try:
            made = self.parse_bytes(damaged)
        except (ParseError, TooLargeError):
            self.assertFalse(before)
            return
        if len(made.artifacts) == 3:
            rows, _, _ = self.group(made)
            found = Counter(re.sub(r" \(\d+\)$", "", row["name"]) for row in rows)
            self.assertFalse(before - found, (before, found))
        else:
            self.assertFalse(before)

    def names_before(self, report: bytes, at: int) -> list[str]:
        """What the tests are called whose end lies before ``at``."""
        ends = [match.end() for match in re.finditer(rb"</testcase\s*>|<testcase\b[^<>]*/>", report)]
        last = max((end for end in ends if end <= at), default=0)
        if not last:
            return []
        rows, _, _ = self.read(report[:last])
        return [re.sub(r" \(\d+\)$", "", row["name"]) for row in rows]

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=400))
    def test_any_bytes(self, data: bytes) -> None:
        for prefix in (b"", b"<testsuite>", b"<testsuite><testcase>"):
            with contextlib.suppress(ParseError, TooLargeError):
                self.parse_bytes(prefix + data)
