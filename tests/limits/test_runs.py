# SPDX-License-Identifier: Apache-2.0
"""The limits of test runs: subunit v1 and v2, JUnit."""

import gzip
import json
from pathlib import Path
from typing import Any

from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.parsers import (
    junit,
    junit_reader,
    junit_run,
    junit_times,
    junit_xml,
    subunit,
    subunit_names,
    subunit_run,
    subunit_shape,
    subunit_v1,
    subunit_v2,
)
from stackviz_deployer.parsers.blockgzip import BlockGzipWriter
from stackviz_deployer.parsers.subunit_run import RunLimits, TestRun
from stackviz_deployer.parsers.subunit_v2 import FAIL, IN_PROGRESS, SUCCESS, V2Reader
from tests.limits.parsing import ParserCase
from tests.parsers import subunit_oracle as oracle


class RunCase(ParserCase):
    """A run that is told by events."""

    def setUp(self) -> None:
        super().setUp()
        self.held: list[BlockGzipWriter] = []
        self.addCleanup(lambda: [writer.close() for writer in self.held])

    def run_of(self, **limits: int) -> TestRun:
        self.details = self.mktemp()
        writer = BlockGzipWriter(self.details, unit="test")
        self.held.append(writer)
        self.writer = writer
        return TestRun(writer, RunLimits(**limits))

    def event(
        self,
        run: TestRun,
        test: str,
        status: int = SUCCESS,
        *,
        tags: tuple[str, ...] | None = None,
        file: tuple[str, bytes] | None = None,
    ) -> None:
        name, data = (None, b"") if file is None else (file[0].encode(), file[1])
        run.event(test.encode(), None, status, 1, tags, name, data)

    def read_details(self, run: TestRun) -> Any:
        run.close()
        self.held.remove(self.writer)
        self.writer.close()
        return json.loads(gzip.decompress(Path(self.details).read_bytes()))


class RunTests(RunCase):
    def test_tests(self) -> None:
        for count, said in ((3, False), (4, True)):
            run = self.run_of(tests=3)
            for n in range(count):
                self.event(run, str(n))
            self.assertEqual((len(run.tests), bool(run.warnings())), (3, said))

    def test_open_tests(self) -> None:
        for count, said in ((3, False), (4, True)):
            run = self.run_of(open_tests=3)
            for n in range(count):
                self.event(run, str(n), IN_PROGRESS)
            self.read_details(run)
            self.assertEqual(len(run.tests), 3)
            self.assertEqual("more tests than can be shown" in " ".join(run.warnings()), said)

    def test_attachments_of_a_test(self) -> None:
        for size, said in ((10, False), (11, True)):
            run = self.run_of(test_bytes=10)
            self.event(run, "a", file=("f", b"x" * size))
            self.assertEqual(self.read_details(run), {"a": {"f": "x" * 10}})
            self.assertEqual(bool(run.warnings()), said)

    def test_attachments_of_open_tests(self) -> None:
        for size, said in ((5, False), (6, True)):
            run = self.run_of(held_bytes=10)
            for test, length in (("a", 5), ("b", size)):
                self.event(run, test, IN_PROGRESS, file=("f", b"x" * length))
            for test in "ab":
                self.event(run, test)
            self.assertEqual(self.read_details(run)["b"], {"f": "x" * 5})
            self.assertEqual("were cut" in " ".join(run.warnings()), said)

    def test_number_of_attachments(self) -> None:
        for count, said in ((3, False), (4, True)):
            run = self.run_of(attachments=3)
            for n in range(count):
                self.event(run, "a", IN_PROGRESS, file=(f"f{n}", b"x"))
            self.event(run, "a")
            self.assertEqual(len(self.read_details(run)["a"]), 3)
            self.assertEqual("were cut" in " ".join(run.warnings()), said)

    def test_tags(self) -> None:
        run = self.run_of(tags=2, tag_chars=3)
        self.event(run, "a", tags=("one", "two"))
        self.event(run, "b", tags=("one", "twoo", "three"))
        self.assertEqual([test.tags for test in run.tests], [("one", "two")] * 2)

    def test_text(self) -> None:
        for text in ("x" * 10, "x" * 11):
            run = self.run_of(text_bytes=10)
            run.text(text.encode(), len(text))
            self.assertEqual(run.found_text(), text if len(text) == 10 else "x" * 10 + "…")

    def test_damages(self) -> None:
        for count in (subunit_run.MAX_DAMAGES, subunit_run.MAX_DAMAGES + 1):
            run = self.run_of()
            for n in range(count):
                run.damage(n, 1)
            listed = [one for one in run.warnings() if "damaged at byte" in one]
            self.assertEqual(len(listed), subunit_run.MAX_DAMAGES)
            self.assertEqual("1 more damaged places" in " ".join(run.warnings()), count > len(listed))

    def test_last_line(self) -> None:
        for more in (0, 1):
            run = self.run_of()
            line = b"x" * (subunit_run.MAX_LINE_CHARS + more)
            self.event(run, "a", FAIL, file=("traceback", line))
            self.assertEqual(run.tests[0].notes, ("x" * subunit_run.MAX_LINE_CHARS,))

    def test_id(self) -> None:
        """Two that differ only beyond it have one name."""
        self.patch(subunit_run, "_MAX_ID_BYTES", 5)
        run = self.run_of()
        for test in ("xxxxx", "xxxxxy"):
            self.event(run, test)
        self.assertEqual([test.name for test in run.tests], ["xxxxx", "xxxxx (2)"])

    def test_name_of_an_attachment(self) -> None:
        most = "k" * subunit_run._MAX_KEY_CHARS
        for name in (most, most + "k"):
            run = self.run_of()
            self.event(run, "a", file=(name, b"x"))
            self.assertEqual(self.read_details(run), {"a": {most: "x"}})

    def test_name(self) -> None:
        most = "n" * subunit_names.MAX_NAME_CHARS
        self.assertEqual(subunit_names.clean_name(most), most)
        self.assertEqual(subunit_names.clean_name(most + "n"), most[:-1] + "…")


class ShapeTests(ParserCase):
    def lanes(self, *tests: subunit_run.Test) -> int:
        made = list(tests)
        return len(set(subunit_shape.assign_lanes(made, subunit_shape.repair_times(made)[0])))

    def test(self, *tags: str) -> subunit_run.Test:
        return subunit_run.Test("a", "success", 0, 9, tags, None, None)

    def test_workers(self) -> None:
        """Those of more workers share the lanes of tests without one."""
        most = subunit_shape.MAX_WORKERS
        of_workers = [self.test(f"worker-{n}") for n in range(most + 80)]
        self.assertEqual(self.lanes(*of_workers[:most]), most)
        self.assertEqual(self.lanes(*of_workers), most + subunit_shape.MAX_FREE_LANES)

    def test_free_lanes(self) -> None:
        most = subunit_shape.MAX_FREE_LANES
        for count in (most, most + 1):
            self.assertEqual(self.lanes(*[self.test()] * count), most)

    def test_times(self) -> None:
        """What no calendar of JavaScript's or Python's has is moved to its end."""
        most, least = subunit_shape._MAX_US, subunit_shape._MIN_US
        for told, shown in ((most, most), (most + 1, most), (least, least), (least - 1, least)):
            test = subunit_run.Test("a", "success", told, told, (), None, None)
            ((start, _),), _ = subunit_shape.repair_times([test])
            self.assertEqual(start, shown)


class V1Tests(ParserCase):
    def read(self, text: bytes) -> ParseResult:
        return self.parse(subunit.parse, text, called="x.subunit")

    def said(self, text: bytes) -> str:
        return " ".join(self.made(self.read(text), "subunit-stats")["warnings"])

    def test_line(self) -> None:
        """What is longer is read in pieces: of whole chunks, so that none is much longer."""
        half = subunit_v1.MAX_LINE_BYTES // 2
        for more, pieces in ((-1, 1), (0, 2)):
            chunks = [b"x" * half, b"x" * (half + more), b"y\n"]
            self.assertEqual(len(list(subunit_v1._lines(chunks))), pieces)

    def test_bytes_of_a_test(self) -> None:
        self.patch(subunit_v1, "MAX_TEST_BYTES", 2000)
        for lines, said in ((19, False), (21, True)):
            text = b"test: a\nfailure: a [\n" + (b"y" * 99 + b"\n") * lines + b"]\n"
            self.assertEqual("one test says more than" in self.said(text), said)

    def test_tag_lines(self) -> None:
        for more, said in ((0, False), (1, True)):
            tags = b"tags: a\n" * (subunit_v1.MAX_TAG_LINES + more)
            self.assertEqual("Tags beyond" in self.said(b"test: a\n" + tags + b"success: a\n"), said)

    def test_damages(self) -> None:
        bad = b"test: a\nfailure: a [ multipart\nContent-Type: text/plain\nf\nzz\r\n"
        one = self.said(bad).count("damaged near")
        self.assertEqual(one, 1)
        for count in (subunit_v1.MAX_DAMAGES, subunit_v1.MAX_DAMAGES + 1):
            self.assertEqual(self.said(bad * count).count("damaged near"), subunit_v1.MAX_DAMAGES)


class V2Tests(RunCase):
    def test_waste(self) -> None:
        """Beyond it a stretch is no longer looked through: what follows in it is lost."""
        claim = b"\xb3\x29\x00\x80\x20\x00" + bytes(0x2000 - 6)
        good = oracle.write([{"test_id": "t", "test_status": "success"}])
        for waste, found in ((1 << 20, 1), (100, 0)):
            run = self.run_of()
            reader = V2Reader(run, max_waste_bytes=waste)
            reader.feed(claim * 4 + good)
            reader.close()
            self.assertEqual(len(run.tests), found)

    def test_tags(self) -> None:
        for more, tests in ((0, 1), (1, 0)):
            tags = {f"t{n}" for n in range(subunit_v2.MAX_TAGS + more)}
            run = self.run_of()
            reader = V2Reader(run)
            reader.feed(oracle.write([{"test_id": "t", "test_status": "success", "test_tags": tags}]))
            reader.close()
            self.assertEqual(len(run.tests), tests)

    def test_all_tags(self) -> None:
        self.patch(subunit_v2, "MAX_ALL_TAGS", 6)
        one = oracle.write([{"test_id": "t", "test_status": "success", "test_tags": {"a", "b", "c"}}])
        for count in (2, 3):
            run = self.run_of()
            reader = V2Reader(run)
            reader.feed(one * count)
            reader.close()
            self.assertEqual(len(run.tests), 2)


class JunitTests(ParserCase):
    def read(self, *texts: str, **options: Any) -> tuple[Any, Any]:
        """Rows and stats."""
        self.out = Path(self.mktemp())
        self.out.mkdir()
        files = []
        for n, text in enumerate(texts):
            path = self.out / f"in{n}"
            path.write_text(text)
            files.append(InputFile(path=str(path), name=f"{n}.xml"))
        result = junit.parse(
            ParseRequest(
                parser="x", inputs=tuple(files), out_dir=str(self.out), max_bytes=1 << 30, options=options
            )
        )
        kinds = [one.artifact_type for one in result.artifacts]
        rows = self.made(result, "subunit") if "subunit" in kinds else []
        self.details = self.made(result, "subunit-details") if rows else {}
        return rows, self.made(result, "subunit-stats")

    def said(self, *texts: str) -> str:
        return " ".join(self.read(*texts)[1]["warnings"])

    def test_depth(self) -> None:
        for depth, said in ((junit_reader.MAX_DEPTH, False), (junit_reader.MAX_DEPTH + 1, True)):
            text = "<testsuite>" * (depth - 1) + "<testcase name='a'/>" + "</testsuite>" * (depth - 1)
            self.assertEqual("nested more than 100 deep" in self.said(text), said)

    def test_attempts(self) -> None:
        for more, said in ((0, False), (1, True)):
            again = "<flakyFailure/>" * (junit_reader.MAX_REPEATS + more)
            rows, stats = self.read(f"<testsuite><testcase name='a'>{again}</testcase></testsuite>")
            self.assertEqual(len(rows), junit_reader.MAX_REPEATS + 1)
            self.assertEqual("attempt is left out" in " ".join(stats["warnings"]), said)

    def test_texts(self) -> None:
        for more, said in ((0, False), (1, True)):
            texts = "<system-out>o</system-out>" * (junit_reader.MAX_TEXTS + more)
            text = f"<testsuite><testcase name='a'>{texts}</testcase></testsuite>"
            self.assertEqual("cut" in self.said(text), said)
            self.assertEqual(self.details["a"]["stdout"].count("o"), junit_reader.MAX_TEXTS)

    def test_suites(self) -> None:
        self.patch(junit_reader, "MAX_SUITES", 3)
        for count, said in ((3, False), (4, True)):
            self.assertEqual(
                "more than 3 suites"
                in self.said("<testsuites>" + "<testsuite/>" * (count - 1) + "</testsuites>"),
                said,
            )

    def test_id(self) -> None:
        self.patch(junit_reader, "MAX_ID_CHARS", 5)
        rows, _ = self.read("<testsuite><testcase name='xxxxx'/><testcase name='xxxxxy'/></testsuite>")
        self.assertEqual([row["name"] for row in rows], ["xxxxx", "xxxxx (2)"])

    def test_host(self) -> None:
        most = "h" * junit_reader.MAX_HOST_CHARS
        with BlockGzipWriter(self.mktemp(), unit="test") as details:
            for host in (most, most + "h"):
                run = junit_run.JunitRun(TestRun(details))
                reader = junit_reader.ReportReader(run)
                end = reader._begin_suite("testsuite", {"hostname": host})
                self.assertEqual(reader._suites[-1].host, most)
                end()

    def test_tests(self) -> None:
        self.patch(junit_run, "LIMITS", RunLimits(tests=3))
        for count, said in ((3, False), (4, True)):
            with BlockGzipWriter(self.mktemp(), unit="test") as details:
                run = TestRun(details)
                reader = junit_reader.ReportReader(junit_run.JunitRun(run, junit_run.LIMITS))
                xml = junit_xml.XmlReader(reader, name="x")
                xml.read([b"<testsuite>" + b"<testcase name='a'/>" * count + b"</testsuite>"])
                self.assertEqual(("more than 3 tests" in " ".join(xml.warnings), reader.cases), (said, 3))

    def test_waiting(self) -> None:
        """What a suite printed goes to its first failure while that is held, else to its last test."""
        for others, failed in ((junit_run._MAX_WAITING - 1, True), (junit_run._MAX_WAITING, False)):
            cases = "<testcase name='f'><failure/></testcase>" + "<testcase name='a'/>" * others
            self.read(f"<testsuite>{cases}<system-out>said</system-out></testsuite>")
            self.assertEqual("suite_stdout" in self.details.get("f", {}), failed)

    def test_tag(self) -> None:
        self.patch(junit_xml, "MAX_TOKEN_BYTES", 600 << 10)
        for size, said in ((500 << 10, False), (900 << 10, True)):
            text = f"<testsuite><property name='{'x' * size}'/><testcase name='a'/></testsuite>"
            self.assertEqual("a tag or comment is longer" in self.said(text), said)

    def test_damages(self) -> None:
        for more, said in ((0, False), (1, True)):
            text = "<testsuite>" + "<<testcase name='x'/>" * (junit_xml.MAX_DAMAGES + more)
            self.assertEqual("damaged at more than 20 places" in self.said(text), said)

    def test_reference(self) -> None:
        """A bad one that is torn between two pieces of the file is known for what it is up to that length."""
        for torn, known in ((junit_xml._MAX_REFERENCE, True), (junit_xml._MAX_REFERENCE + 1, False)):
            begun = b"&#" + b"0" * (torn - 2)
            text = b"".join(junit_xml.clean_text([b"x" * (256 << 10) + begun, b"1;"], []))
            self.assertEqual(b"&#" not in text, known)

    def test_warnings_of_files(self) -> None:
        bad = "<!DOCTYPE x><r/>"
        for more, left_out in ((0, False), (1, True)):
            texts = ["<testsuite/>", *[bad] * (junit.MAX_FILE_WARNINGS + more)]
            self.assertEqual("1 more warnings are left out" in self.said(*texts), left_out)

    def test_duration(self) -> None:
        most = junit_times.MAX_SECONDS - 1
        self.assertEqual(junit_times.duration_us(str(most)), most * 1_000_000)
        self.assertIsNone(junit_times.duration_us(str(most + 1)))
