# SPDX-License-Identifier: Apache-2.0
"""parsers.dstat: recordings of the real tools, each rule of StackViz, and damage."""

import csv
import gzip
import io
import shutil
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.parsers import dstat, dstat_time

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "dstat"
USED = {
    "system_time",
    *(f"total_cpu_usage_{name}" for name in ("usr", "sys", "wai")),
    "memory_usage_used",
    *(f"net_total_{name}" for name in ("recv", "send")),
    *(f"dsk_total_{name}" for name in ("read", "writ")),
}
"""The columns that StackViz reads."""

GROUPS = '"system","total cpu usage",,"memory usage","net/total",,"most expensive"\n'
NAMES = '"time","usr","sys","used","recv","send","memory process"\n'
HEADER = (
    '"Dstat 0.7.3 CSV output"\n"Author:","Dag Wieers <dag@wieers.com>",,,,"URL:","http://dag.wieers.com/home-made/dstat/"\n'
    '"Host:","node",,,,"User:","root"\n"Cmdline:","dstat -tcmn",,,,"Date:","{date}"\n'
)


def head(date: str = "01 Jun 2016 12:00:00 UTC") -> str:
    return HEADER.format(date=date) + GROUPS + NAMES


def row(time: str, value: object = 1) -> str:
    return f"{time},{value},2.5,4096,10,20,mysqld / 12%\n"


class DstatCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def parse(
        self, data: str | bytes, name: str = "logs/dstat-csv.txt", max_bytes: int = 1 << 24, **options: Any
    ) -> ParseResult:
        path = self.directory / "input"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return dstat.parse(
            ParseRequest(
                parser="dstat",
                inputs=(InputFile(path=str(path), name=name),),
                out_dir=str(self.directory),
                max_bytes=max_bytes,
                options=options,
            )
        )

    def table(self, result: ParseResult) -> tuple[list[str], list[dict[str, str]]]:
        """Header rows, and data rows by the names that StackViz gives the columns."""
        text = gzip.decompress(Path(result.artifacts[0].path).read_bytes()).decode()
        self.assertTrue(text.endswith("\n"))
        lines = text.split("\n")[:-1]
        parsed = list(csv.reader(io.StringIO(text)))
        self.assertEqual(len(parsed), len(lines))
        group, names = "", []
        for cell, name in zip(parsed[4], parsed[5], strict=True):
            group = cell or group
            names.append(f"{group}_{name}".replace(" ", "_").replace("/", "_"))
        self.assertEqual(len(names), len(set(names)))
        return lines[:6], [dict(zip(names, cells, strict=True)) for cells in parsed[6:]]


class RecordingTests(DstatCase):
    def check(self, name: str, rows: int, first: str, last: str) -> tuple[ParseResult, list[dict[str, str]]]:
        data = (FIXTURES / name).read_bytes()
        result = self.parse(data, name)
        self.assertEqual(result.warnings, ())
        (artifact,) = result.artifacts
        self.assertEqual(
            (artifact.artifact_type, artifact.content_type, artifact.primary, artifact.artifact_name),
            ("dstat", "text/csv", False, name),
        )
        header, table = self.table(result)
        self.assertRegex(header[0], r'^"Dstat (0\.[78]\.\d|pcp-dstat-6\.0\.3|dool-1\.3\.8) CSV output"$')
        self.assertEqual([line.split(",")[0] for line in header[1:4]], ['"Author:"', '"Host:"', '"Cmdline:"'])
        self.assertEqual(len(table), rows)
        self.assertEqual((table[0]["system_time"], table[-1]["system_time"]), (first, last))
        self.assertTrue(table[0].keys() >= USED, USED - table[0].keys())
        self.assertEqual(artifact.meta["rows"], rows)
        self.assertEqual(artifact.meta["columns"], list(table[0])[1:])
        self.assertLessEqual(Path(artifact.path).stat().st_size, len(gzip.compress(data, 9)))
        for cells in table:
            for key, value in cells.items():
                if key != "system_time":
                    float(value)
        return result, table

    def test_072(self) -> None:
        """An empty line behind Cmdline, ``11.0`` for 11, interrupts, another order of memory."""
        _, table = self.check("dstat072-devstack2015-60s.csv", 61, "22-11 09:40:00", "22-11 09:41:00")
        self.assertEqual(table[1]["total_cpu_usage_usr"], "79")  # 78.5, and 0.5 in interrupts
        self.assertEqual(table[1]["total_cpu_usage_sys"], "10")
        self.assertNotIn("total_cpu_usage_siq", table[1])
        self.assertEqual(table[1]["memory_usage_free"], "22046486528")

    def test_073(self) -> None:
        result, table = self.check("dstat073-devstack2017-60s.csv", 60, "22-11 09:40:00", "22-11 09:40:59")
        self.assertIn("tcp_sockets_lis", table[0])
        meta = result.artifacts[0].meta
        self.assertEqual((meta["start_ms"], meta["end_ms"]), (1795340400000, 1795340459000))

    def test_073_top(self) -> None:
        """The most expensive processes are text, and nobody draws them."""
        _, table = self.check("dstat073-devstack-all-top-60s.csv", 60, "22-11 09:40:00", "22-11 09:40:59")
        self.assertEqual([key for key in table[0] if "expensive" in key], [])
        self.assertEqual(table[0]["swap_used"], "0")

    def test_080(self) -> None:
        self.check("dstat080py3patched-devstack2017-60s.csv", 60, "22-11 09:41:07", "22-11 09:42:06")
        self.check("dstat-classic-2015.csv", 4, "22-11 09:45:29", "22-11 09:45:32")
        self.check("dstat-classic-2017.csv", 4, "22-11 09:45:32", "22-11 09:45:35")

    def test_full_epoch(self) -> None:
        """Seconds since 1970 for a time, each device and no total: the totals are added up."""
        data = (FIXTURES / "dstat073-full-epoch-60s.csv").read_bytes()
        result = self.parse(data)
        _, table = self.table(result)
        self.assertEqual(len(table), 60)
        self.assertEqual(table[0]["system_time"], "22-11 09:40:00")
        self.assertEqual(table[0]["dsk_total_read"], "2478731")  # vda; loop devices lie upon it
        self.assertEqual(table[1]["net_total_recv"], "790")
        self.assertEqual(result.artifacts[0].meta["start_ms"], 1795340400908)

    def test_header_only(self) -> None:
        for name in ("debian-dstat-header-only-crashed.csv", "debian-dstat-top-header-only-crashed.csv"):
            result = self.parse((FIXTURES / name).read_bytes(), name)
            self.assertEqual(result.artifacts, ())
            (warning,) = result.warnings
            self.assertIn(name, warning)
            self.assertIn("no rows", warning)

    def test_pcp(self) -> None:
        """Other names of groups and columns, a torn first row; KiB where others have bytes."""
        _, table = self.check("pcpdstat603-devstack2019-60s.csv", 60, "22-11 09:47:20", "22-11 09:48:19")
        self.assertEqual(table[0]["total_cpu_usage_usr"], "91.5")
        self.assertEqual(table[0]["memory_usage_used"], str(921888 * 1024))
        self.assertEqual(table[0]["memory_usage_buff"], str(97392 * 1024))
        _, table = self.check("pcp-dstat.csv", 4, "22-11 09:45:43", "22-11 09:45:46")
        self.assertEqual(table[0]["dsk_total_read"], f"{1218.546 * 1024:.0f}")
        self.assertEqual(table[0]["net_total_recv"], "1558341")  # bytes already
        self.assertEqual(table[0]["io_total_read"], "52.8")

    def test_dool(self) -> None:
        _, table = self.check("dool.csv", 3, "22-11 09:45:02", "22-11 09:45:04")
        self.assertEqual(table[1]["memory_usage_avai"], "24289492992")
        self.assertEqual(table[1]["dsk_total_writ"], "14057472")

    def test_not_csv(self) -> None:
        name = "dstat073-primary-screen.log"
        error = self.assertRaises(ParseError, self.parse, (FIXTURES / name).read_bytes(), name)
        self.assertIn(name, error.message)
        self.assertIn("system", error.message)

    def test_unknown_dialect(self) -> None:
        error = self.assertRaises(ParseError, self.parse, head().replace("Dstat 0.7.3", "atop 2.0"))
        self.assertIn("'atop 2.0 CSV output'", error.message)
        self.assertIn("only of: Dstat, dool, pcp-dstat", error.message)

    def test_compressed(self) -> None:
        data = gzip.compress((FIXTURES / "dstat073-devstack2017-60s.csv").read_bytes())
        result = self.parse(data, "logs/dstat-csv.txt.gz")
        self.assertEqual(result.artifacts[0].artifact_name, "dstat-csv.txt")
        self.assertEqual(result.artifacts[0].meta["rows"], 60)
        torn = self.parse(data[: len(data) // 2])
        self.assertTrue(0 < torn.artifacts[0].meta["rows"] < 60)
        self.assertIn("ends early", torn.warnings[0])


class UnitTests(DstatCase):
    """The same load gives the same picture, whoever recorded it."""

    def means(self, name: str, keys: set[str]) -> dict[str, float]:
        """Of all rows but the first, which classic dstats average since boot."""
        _, table = self.table(self.parse((FIXTURES / name).read_bytes(), name))
        return {key: sum(float(row[key]) for row in table[1:]) / (len(table) - 1) for key in keys}

    def test_recorded_at_the_same_time(self) -> None:
        """0.7.2, 0.7.3 and 0.7.3 --full --epoch ran side by side for a minute."""
        drawn = {key for key in USED if key != "system_time"}
        new = self.means("dstat073-devstack2017-60s.csv", drawn)
        old = self.means("dstat072-devstack2015-60s.csv", drawn)
        # 0.7.2 counts the kernel's reclaimable caches as used
        self.assertLess(abs(old["memory_usage_used"] - new["memory_usage_used"]), 230e6)
        full = self.means("dstat073-full-epoch-60s.csv", drawn - {"memory_usage_used"})
        for key in drawn - {"memory_usage_used"}:
            for other in (old, full):
                delta = 2 if "cpu" in key else 0.05 * new[key]
                self.assertLess(abs(other[key] - new[key]), delta, key)

    def test_one_machine(self) -> None:
        """Not the same minute, but the same machine: the parts of its memory are one whole."""
        parts = {f"memory_usage_{name}" for name in ("used", "free", "cach")}
        wholes = []
        for name in (
            "dstat072-devstack2015-60s.csv",
            "dstat073-devstack2017-60s.csv",
            "dstat080py3patched-devstack2017-60s.csv",
            "dstat-classic-2015.csv",
            "pcpdstat603-devstack2019-60s.csv",
            "pcp-dstat.csv",
            "dool.csv",
        ):
            means = self.means(name, parts | {"total_cpu_usage_idl"})
            wholes.append(sum(means[key] for key in parts))
            self.assertLess(means["total_cpu_usage_idl"], 2, name)
        self.assertLess(max(wholes) / min(wholes), 1.03)

    def test_pages_and_disks_of_pcp(self) -> None:
        text = (
            head()
            .replace("Dstat 0.7.3", "pcp-dstat 6.0.3")
            .replace('"memory usage","net/total",', '"paging",,"dsk/vda"')
            .replace('"used","recv","send"', '"in","out","dsk/vda:read"')
        )
        _, (cells,) = self.table(self.parse(text + "01-06 12:00:00,1,2,0.5,2,3,x\n"))
        self.assertEqual(
            (cells["paging_in"], cells["paging_out"], cells["dsk_total_read"]), ("2048", "8192", "3072")
        )


class DamageTests(DstatCase):
    def times(self, result: ParseResult) -> list[str]:
        return [cells["system_time"] for cells in self.table(result)[1]]

    def test_torn_last_line(self) -> None:
        """A killed dstat leaves half a line, which may even look whole."""
        text = head() + row("01-06 12:00:00") + row("01-06 12:00:01")
        for cut in range(1, len(row("01-06 12:00:01"))):
            result = self.parse(text[:-cut])
            self.assertEqual(self.times(result), ["01-06 12:00:00"])
            self.assertEqual(result.warnings, ())

    def test_wrong_width(self) -> None:
        text = head() + row("01-06 12:00:00") + "01-06 12:00:01,1,2\n" + row("01-06 12:00:02")
        text += row("01-06 12:00:03").rstrip() + ",7\n"
        result = self.parse(text)
        self.assertEqual(self.times(result), ["01-06 12:00:00", "01-06 12:00:02"])
        self.assertEqual(result.warnings, ("logs/dstat-csv.txt: 2 damaged rows were left out.",))

    def test_not_numbers(self) -> None:
        bad = [row("01-06 12:00:01", v) for v in ("", "x", "nan", "inf", "-inf", "1e300")]
        bad += [
            row(t)
            for t in (
                "31-02 12:00:00",
                "00-01 12:00:00",
                "01-06 24:00:00",
                "01-06 12:60:00",
                "12:00:00",
                "Jum-01 12:00:00",
            )
        ]
        text = head() + "".join(row(f"01-06 12:01:{i:02}") for i in range(20)) + "".join(bad)
        result = self.parse(text)
        self.assertEqual(len(self.times(result)), 20 + 1)  # 1e300 is a number
        self.assertIn(f"{len(bad) - 1} damaged rows", result.warnings[0])

    def test_times_of_another_form(self) -> None:
        result = self.parse(head() + row("2016-06-01 12:00:00") * 3)
        self.assertEqual(result.artifacts, ())
        self.assertIn("3 damaged", result.warnings[0])
        self.assertIn("'2016-06-01 12:00:00'", result.warnings[1])

    def test_empty_column(self) -> None:
        """A plug-in that gives nothing costs its column, not every row."""
        text = head() + "".join(row(f"01-06 12:00:{i:02}", "") for i in range(5)) + row("01-06 12:00:05", 9)
        result = self.parse(text)
        _, table = self.table(result)
        self.assertEqual(len(table), 6)
        self.assertNotIn("total_cpu_usage_usr", table[0])
        self.assertIn("total_cpu_usage_usr", result.warnings[0])

    def test_second_header(self) -> None:
        """dstat was started again with the same file."""
        second = head("01 Jun 2016 12:05:00 UTC")
        text = head() + row("01-06 12:00:00") + "\n\n" + second + row("01-06 12:05:00")
        text += "\n\n" + second.partition("\n")[2] + row("01-06 12:06:00")  # without its first line
        result = self.parse(text)
        self.assertEqual(self.times(result), ["01-06 12:00:00", "01-06 12:05:00", "01-06 12:06:00"])
        self.assertEqual(result.warnings, ())

    def test_second_header_with_other_columns(self) -> None:
        other = (
            HEADER.format(date="01 Jun 2016 12:05:00 UTC")
            + '"system","memory usage","swap"\n"time","used","used"\n'
        )
        text = head() + row("01-06 12:00:00") + other + "01-06 12:05:00,8192,3\n"
        result = self.parse(text)
        _, table = self.table(result)
        self.assertEqual(table, [{"system_time": "01-06 12:00:00", "memory_usage_used": "4096"},
                                 {"system_time": "01-06 12:05:00", "memory_usage_used": "8192"}])  # fmt: skip
        self.assertIn("swap_used", result.warnings[0])

    def test_many_headers(self) -> None:
        """Different ones are bounded, and so are the warnings."""
        text = head()
        for n in range(1, 200):
            commas, filler, quoted = "," * n, "x," * n, '"x",' * n
            text += f'"Host:"\n"system",{commas}"memory usage"\n"time",{quoted}"used"\n'
            text += f"01-06 12:01:00,{filler}4096\n"
        result = self.parse(text)
        self.assertEqual(len(self.times(result)), 50 - 1)  # one has no rows
        self.assertIn("first 50", result.warnings[0])
        self.assertEqual(len(result.warnings), 20)

    def test_other_program_went_on(self) -> None:
        text = (
            head()
            + row("01-06 12:00:00")
            + '"astat 6.0.3 CSV Output"\n'
            + GROUPS
            + NAMES
            + row("01-06 12:05:00")
        )
        result = self.parse(text)
        self.assertEqual(self.times(result), ["01-06 12:00:00"])
        self.assertIn("astat", result.warnings[0])

    def test_first_row_of_pcp(self) -> None:
        """Torn as its writer means it: no damage.  Later, and in other dialects, it is."""
        torn = "01-06 12:00:00,1,2\n"
        text = head() + torn + row("01-06 12:00:01") + torn
        self.assertIn("2 damaged rows", self.parse(text).warnings[0])
        text = text.replace("Dstat 0.7.3", "pcp-dstat 6.0.3")
        self.assertIn("1 damaged rows", self.parse(text).warnings[0])
        result = self.parse(text.removesuffix(torn))
        self.assertEqual((self.times(result), result.warnings), (["01-06 12:00:01"], ()))

    def test_another_dialect_went_on(self) -> None:
        text = head() + row("01-06 12:00:00") + head().replace("Dstat 0.7.3", "pcp-dstat 6.0.3")
        _, table = self.table(self.parse(text + row("01-06 12:00:01")))
        self.assertEqual([cells["memory_usage_used"] for cells in table], ["4096", str(4096 * 1024)])

    def test_nul_bytes_crlf_and_blank_lines(self) -> None:
        text = head() + "\0" * 5000 + row("01-06 12:00:00") + "\n\n" + row("01-06 12:00:01")
        self.assertEqual(self.times(self.parse(text)), ["01-06 12:00:00", "01-06 12:00:01"])
        self.assertEqual(
            self.times(self.parse(text.replace("\n", "\r\n"))), ["01-06 12:00:00", "01-06 12:00:01"]
        )
        self.assertEqual(self.times(self.parse("\ufeff\n" + text)), ["01-06 12:00:00", "01-06 12:00:01"])

    def test_long_line(self) -> None:
        text = head() + row("01-06 12:00:00") + "9" * (1 << 21) + "\n" + row("01-06 12:00:01")
        result = self.parse(text)
        self.assertEqual(len(self.times(result)), 2)
        self.assertIn("1 damaged", result.warnings[0])

    def test_clock_goes_back(self) -> None:
        text = head() + "".join(row(f"01-06 12:00:{s:02}", s) for s in (1, 2, 5, 3, 4, 4))
        result = self.parse(text)
        self.assertEqual(
            [c["total_cpu_usage_usr"] for c in self.table(result)[1]], ["1", "2", "3", "4", "4", "5"]
        )
        self.assertIn("went back once", result.warnings[0])

    def test_headers_without_end(self) -> None:
        """Each is taken apart: 100,000 of them took a worker 14 seconds."""
        data = head() + row("01-06 12:00:01") + (GROUPS + NAMES) * 100_000 + row("01-06 12:00:02")
        began = time.process_time()
        result = self.parse(data)
        self.assertLess(time.process_time() - began, 3)
        self.assertEqual(result.artifacts[0].meta["rows"], 1)
        self.assertIn("more than 2000 lines of headers", " ".join(result.warnings))

    def test_started_anew_many_times(self) -> None:
        data = "".join(head() + row(f"01-06 12:00:{n % 60:02}") for n in range(300))
        result = self.parse(data)
        self.assertEqual(result.artifacts[0].meta["rows"], 300)

    def test_too_many_rows(self) -> None:
        self.patch(dstat, "MAX_ROWS", 3)
        result = self.parse(head() + "".join(row(f"01-06 12:00:0{s}") for s in range(3)))
        self.assertEqual(len(self.times(result)), 3)
        result = self.parse(head() + "".join(row(f"01-06 12:00:0{s}") for s in range(5)))
        self.assertEqual(len(self.times(result)), 3)
        self.assertIn("first 3 rows", result.warnings[0])

    def test_too_large(self) -> None:
        text = head() + row("01-06 12:00:00")
        self.parse(text, max_bytes=len(text))
        self.assertRaises(TooLargeError, self.parse, text, max_bytes=len(text) - 1)

    def test_not_dstat(self) -> None:
        for text in ("", "\n\n", "hello\n", '"a","b"\n', "<html>\n", '"' * 99 + "\n", row("01-06 12:00:00")):
            error = self.assertRaises(ParseError, self.parse, text)
            self.assertIn("logs/dstat-csv.txt", error.message)

    def test_not_one_line(self) -> None:
        error = self.assertRaises(ParseError, self.parse, "<html>Sign in</html>")
        self.assertEqual(error.message, "logs/dstat-csv.txt: no dstat CSV: it has no whole line")

    def test_names_are_safe(self) -> None:
        result = self.parse(head() + row("01-06 12:00:00"), "x/a'+(6*7)+\"<b>ü.txt")
        self.assertEqual(result.artifacts[0].artifact_name, "a_+_6_7_+__b__.txt")
        result = self.parse(head() + row("01-06 12:00:00"), artifact_name="compute1/dstat{{x}}")
        self.assertEqual(result.artifacts[0].artifact_name, "compute1/dstat__x__")

    def test_header_texts_cannot_break_rows(self) -> None:
        text = head().replace('"node"', '"no""de\x07\u2028"') + row("01-06 12:00:00")
        self.assertEqual(self.times(self.parse(text)), ["01-06 12:00:00"])


class YearAndZoneTests(DstatCase):
    def meta(self, result: ParseResult) -> tuple[Any, Any]:
        return result.artifacts[0].meta["start_ms"], result.artifacts[0].meta["end_ms"]

    def test_year_from_header(self) -> None:
        result = self.parse(head("01 Jun 2015 12:00:00 UTC") + row("01-06 12:00:00"))
        self.assertEqual(self.meta(result), (1433160000000, 1433160000000))
        self.assertIn('"Date:","01 Jun 2015 12:00:00 UTC"', self.table(result)[0][3])

    def test_year_from_tests(self) -> None:
        text = head("whenever") + row("01-06 12:00:00")
        self.assertEqual(self.meta(self.parse(text, reference_ms=1433170000000)), (1433160000000,) * 2)
        result = self.parse(text)
        self.assertEqual(self.meta(result), (None, None))
        self.assertIn('"Date:",""', self.table(result)[0][3])

    def test_leap_day(self) -> None:
        self.assertEqual(
            self.meta(self.parse(head("29 Feb 2016 23:00:00 UTC") + row("29-02 23:00:01")))[0], 1456786801000
        )
        self.assertEqual(self.meta(self.parse(head("x") + row("29-02 23:00:01")))[0], None)
        self.assertEqual(self.parse(head("28 Feb 2014 23:00:00 UTC") + row("29-02 23:00:01")).artifacts, ())

    def new_year(self, **options: Any) -> ParseResult:
        return self.parse(
            head("31 Dec 2016 23:59:57 UTC")
            + "".join(row(f"31-12 23:59:{s}") for s in (57, 58, 59))
            + "".join(row(f"01-01 00:00:0{s}") for s in (0, 1)),
            **options,
        )

    def test_new_year_keeps_the_tests_year(self) -> None:
        old = self.new_year(reference_ms=1483228798000)
        self.assertEqual(self.meta(old), (1483228797000, 1483228799000))
        (warning,) = old.warnings
        self.assertIn("New Year", warning)
        self.assertIn("kept 2016, left out 2 rows of 2017.", warning)
        new = self.new_year(reference_ms=1483228800500)
        self.assertEqual(self.meta(new), (1483228800000, 1483228801000))
        self.assertIn('"Date:","01 Jan 2017', self.table(new)[0][3])

    def test_new_year_without_tests_keeps_more(self) -> None:
        self.assertEqual(self.new_year().artifacts[0].meta["rows"], 3)
        self.assertEqual(self.new_year(reference_ms=0).artifacts[0].meta["rows"], 3)

    def test_who_hangs_on_the_reference(self) -> None:
        """These are read again when it is known better."""
        plain = head() + row("01-06 12:00:00")
        self.assertFalse(self.parse(plain).by_reference)
        self.assertFalse(self.parse(plain, reference_ms=0).by_reference)
        self.assertTrue(self.parse(plain.replace("01 Jun 2016", "once")).by_reference)
        self.assertTrue(self.parse(plain.replace("UTC", "CST")).by_reference)
        self.assertTrue(self.new_year().by_reference)
        epoch = plain.replace('"system"', '"epoch"').replace('"time"', '"epoch"').replace("Jun", "?")
        result = self.parse(epoch.replace("01-06 12:00:00", "1464782400.5"))
        self.assertEqual(self.meta(result)[0], 1464782400500)
        self.assertFalse(result.by_reference)

    def test_clock_goes_back_over_new_year(self) -> None:
        text = (
            head("01 Jan 2017 00:00:00 UTC")
            + row("01-01 00:00:00")
            + row("31-12 23:59:59")
            + row("01-01 00:00:01")
        )
        self.assertEqual(self.meta(self.parse(text)), (1483228800000, 1483228801000))

    def test_zones(self) -> None:
        for zone, utc in (
            ("CEST", "10"),
            ("EST", "17"),
            ("+0300", "09"),
            ("-03", "15"),
            ("GMT", "12"),
            ("JST", "03"),
        ):
            result = self.parse(head(f"01 Jun 2016 12:00:00 {zone}") + row("01-06 12:00:00"))
            self.assertEqual(result.warnings, ())
            header, table = self.table(result)
            self.assertEqual(table[0]["system_time"], f"01-06 {utc}:00:00")
            self.assertIn(f'"01 Jun 2016 {utc}:00:00 UTC"', header[3])

    def test_zone_over_midnight(self) -> None:
        result = self.parse(head("01 Jan 2017 00:30:00 CET") + row("01-01 00:30:00"))
        self.assertEqual(self.table(result)[1][0]["system_time"], "31-12 23:30:00")

    def test_ambiguous_zone(self) -> None:
        text = head("01 Jun 2016 12:00:00 CST") + row("01-06 12:00:00")
        noon = 1464782400000
        self.assertEqual(
            self.meta(self.parse(text, reference_ms=noon + 6 * 3600_000))[0], noon + 6 * 3600_000
        )
        self.assertEqual(
            self.meta(self.parse(text, reference_ms=noon - 8 * 3600_000))[0], noon - 8 * 3600_000
        )
        self.assertIn("'CST'", self.parse(text).warnings[0])

    def test_unknown_zone(self) -> None:
        result = self.parse(head("01 Jun 2016 12:00:00 XYZ") + row("01-06 12:00:00"))
        self.assertEqual(self.table(result)[1][0]["system_time"], "01-06 12:00:00")
        self.assertIn("'XYZ'", result.warnings[0])

    def test_summer_time_ends(self) -> None:
        """The second header tells of it."""
        text = head("30 Oct 2016 02:59:59 CEST") + row("30-10 02:59:59")
        text += head("30 Oct 2016 02:00:00 CET") + row("30-10 02:00:00")
        result = self.parse(text)
        self.assertEqual(
            [c["system_time"] for c in self.table(result)[1]], ["30-10 00:59:59", "30-10 01:00:00"]
        )
        self.assertEqual(result.warnings, ())

    @given(st.integers(0, 253_402_300_799))
    def test_header_date_round_trip(self, seconds: int) -> None:
        date = dstat_time.parse_header_date(dstat_time.header_date(seconds * 1000))
        self.assertEqual(date, dstat_time.HeaderDate(seconds * 1000, "UTC"))


class MutationTests(SynchronousTestCase):
    """Whatever happens to a file: no other exception, and what is left is in the one form."""

    def run_parse(self, data: bytes) -> ParseResult | None:
        directory = Path(tempfile.mkdtemp())
        try:
            path = directory / "input"
            path.write_bytes(data)
            request = ParseRequest(
                parser="dstat",
                inputs=(InputFile(path=str(path), name="f"),),
                out_dir=str(directory),
                max_bytes=1 << 20,
            )
            try:
                result = dstat.parse(request)
            except (ParseError, TooLargeError):
                return None
            for artifact in result.artifacts:
                rows = list(
                    csv.reader(
                        io.StringIO(zlib.decompress(Path(artifact.path).read_bytes(), 31).decode("ascii"))
                    )
                )
                self.assertRegex(",".join(rows[0]), r"^Dstat \S+ CSV output$")
                widths = {len(row) for row in rows[5:]}
                self.assertEqual(widths, {len(rows[4])})
                self.assertEqual(rows[5][0], "time")
                self.assertEqual(len(rows) - 6, artifact.meta["rows"])
                for row in rows[6:]:
                    self.assertRegex(row[0], r"^\d\d-\d\d \d\d:\d\d:\d\d$")
                    self.assertFalse([v for v in row[1:] if not -1e300 < float(v) < 1e300])
                times = [row[0][3:5] + row[0][:2] + row[0][6:] for row in rows[6:]]
                self.assertEqual(times, sorted(times))
            return result
        finally:
            shutil.rmtree(directory)

    @settings(deadline=None)
    @given(st.data())
    def test_mutations(self, data: st.DataObject) -> None:
        names = (
            "dstat072-devstack2015-60s.csv",
            "dstat073-devstack-all-top-60s.csv",
            "dstat073-full-epoch-60s.csv",
            "pcpdstat603-devstack2019-60s.csv",
            "dool.csv",
        )
        text = bytearray((FIXTURES / data.draw(st.sampled_from(names))).read_bytes())
        for _ in range(data.draw(st.integers(1, 6))):
            at = data.draw(st.integers(0, len(text)))
            end = at + data.draw(st.integers(0, 40))
            text[at:end] = data.draw(
                st.binary(max_size=30) | st.sampled_from([b'"', b"\n", b",", b'\n"x"\n', b"-", b"e9"])
            )
        self.run_parse(bytes(text))

    @settings(deadline=None)
    @given(
        st.sampled_from((("dstat073-devstack2017-60s.csv", 6), ("pcpdstat603-devstack2019-60s.csv", 7))),
        st.integers(700, 9000),
        st.binary(min_size=1, max_size=200),
    )
    def test_rows_before_the_damage_stay(self, source: tuple[str, int], at: int, noise: bytes) -> None:
        name, lines_before = source
        text = (FIXTURES / name).read_bytes()
        # noise without quotes is no header, so that it cannot change what later rows mean
        result = self.run_parse(text[:at] + noise.replace(b'"', b"") + text[at + len(noise) :])
        whole = text[:at].count(b"\n") - lines_before
        if whole > 0:
            assert result is not None
            self.assertGreaterEqual(result.artifacts[0].meta["rows"], whole)

    @settings(deadline=None)
    @given(st.binary(max_size=300))
    def test_noise(self, noise: bytes) -> None:
        self.run_parse(noise)
        self.run_parse(head().encode() + noise)
        self.run_parse(head().encode() + row("01-06 12:00:00").encode() + noise)
