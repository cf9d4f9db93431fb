# SPDX-License-Identifier: Apache-2.0
"""JUnit reports that are damaged, huge or hostile."""

import contextlib
import gzip
import re
import time
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.parsers import junit_reader, junit_xml
from stackviz_deployer.parsers.blockgzip import BlockGzipWriter
from stackviz_deployer.parsers.junit_run import JunitRun
from stackviz_deployer.parsers.subunit_run import RunLimits, TestRun
from tests.parsers.junit_runs import FIXTURES, REPORTS, SHARED, Case, statuses
from tests.parsers.runs import load


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
