# SPDX-License-Identifier: Apache-2.0
"""JUnit reports of many tools -> the artifacts of a run."""

import csv
import gzip
import lzma
from pathlib import Path

from twisted.trial.unittest import SkipTest

from stackviz_deployer.errors import ParseError
from stackviz_deployer.parsers.subunit_names import Names
from tests.parsers.junit_runs import FIXTURES, SHARED, Case, statuses, times
from tests.parsers.runs import load

DIFFERENT = {"enricomi__junit.multiresult.xml": {"success": 1, "fail": 2, "skip": 1}}
"""Testcases with several results count once; the truth counts each element."""


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
