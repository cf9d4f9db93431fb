# SPDX-License-Identifier: Apache-2.0
"""The limits of consoles, tables of measurements and Zuul's job-output.json."""

import gzip
import json
from pathlib import Path
from typing import Any

from stackviz_deployer.errors import ParseError
from stackviz_deployer.model import ParseResult
from stackviz_deployer.parsers import (
    console,
    console_outline,
    console_text,
    console_zuul,
    dstat,
    dstat_columns,
    dstat_lines,
    job_output,
    job_output_build,
    job_output_stream,
    memory_tracker,
    severity,
    sgr,
)
from tests.limits.parsing import ParserCase


class ConsoleTests(ParserCase):
    def read(self, text: str | bytes, **options: Any) -> ParseResult:
        return self.parse(console.parse, text, called="console.html", **options)

    def lines(self, text: str | bytes) -> list[str]:
        scripts = self.made(self.read(text), "console")["scripts"]
        return [line["line"] for script in scripts for line in script["lines"]]

    def sections(self, text: str, name: str = "console.html") -> tuple[int, int]:
        result = self.parse(console.parse, text, called=name)
        return len(self.made(result, "console")["scripts"]), len(result.warnings)

    def test_text_without_an_end(self) -> None:
        """As much of it is held back as will never be shown."""
        for size in (console_text._MAX_REST_BYTES, console_text._MAX_REST_BYTES + (1 << 20)):
            first, last = self.lines(b"x" * size + b"\nend\n")
            self.assertEqual(
                (len(first.encode()), last), (console_text.MAX_LINE_BYTES + len(console_text.CUT_MARK), "end")
            )

    def test_head_of_a_page(self) -> None:
        head = "<html>".ljust(console_text._MAX_PAGE_HEAD_BYTES - 1000, "\n")
        self.assertEqual(self.lines(f"{head}<pre>text\n</pre>"), ["text"])
        over = head + "\n" * (2 * console_text._MAX_PAGE_HEAD_BYTES)
        error = self.assertRaises(ParseError, self.lines, f"{over}<pre>text\n</pre>")
        self.assertIn("no <pre>", error.message)

    def test_name_of_a_section(self) -> None:
        for more in (0, 1):
            task = "t" * (console._MAX_NAME_CHARS + more)
            text = f"2026-01-01 00:00:00.000000 | \n2026-01-01 00:00:00.000000 | TASK [{task}]\n"
            result = self.parse(console.parse, text * 2, called="job-output.txt")
            names = [script["name"] for script in self.made(result, "console")["scripts"]]
            self.assertIn("t" * console._MAX_NAME_CHARS, names)
            self.assertLessEqual(max(map(len, names)), console._MAX_NAME_CHARS)

    def test_playbooks(self) -> None:
        self.patch(console_zuul, "MAX_PLAYBOOKS", 3)
        line = "2026-01-01 00:00:00.000000 | RUN START: [untrusted : x/playbooks/a.yaml@main]\n"
        for count, warnings in ((3, 0), (4, 1)):
            found = self.sections(line * count, "job-output.txt")
            self.assertEqual(found, (3, warnings))

    def test_tasks(self) -> None:
        self.patch(console_zuul, "MAX_SECTIONS", 4)
        text = "2026-01-01 00:00:00.000000 | \n2026-01-01 00:00:00.000000 | TASK [a]\n"
        self.assertEqual(self.sections(text * 3, "job-output.txt"), (4, 0))
        self.assertEqual(self.sections(text * 4, "job-output.txt"), (4, 1))

    def test_scripts(self) -> None:
        self.patch(console_outline, "MAX_SECTIONS", 4)
        text = "2016-01-01 00:00:00.000 | [x] $ /bin/bash -xe /tmp/hudson1.sh\n"
        head = "2016-01-01 00:00:00.000 | Started by x\n"
        self.assertEqual(self.sections(head + text * 3), (4, 0))
        self.assertEqual(self.sections(head + text * 4), (4, 1))

    def runs(self, text: bytes) -> list[str]:
        plain, runs = sgr.Colours().take(sgr.keep_colours(text))
        return [runs.get(n, b"").decode() for n in range(plain.count(b"\n"))]

    def test_colours_of_a_line(self) -> None:
        text = b"".join(b"\x1b[3%dmx" % (n % 7 + 1) for n in range(sgr.MAX_RUNS + 1))
        for line in (text[: -len(b"\x1b[3xmx")] + b"\n", text + b"\n"):
            self.assertEqual(len(self.runs(line)[0].split()), sgr.MAX_RUNS)

    def test_colours_of_machines(self) -> None:
        for others, runs in ((sgr._MAX_STREAMS - 1, "8+1:1"), (sgr._MAX_STREAMS, "")):
            lines = [
                b"first | \x1b[31ma\n",
                *(b"m%d | \x1b[32ma\n" % n for n in range(others)),
                b"first | b\n",
            ]
            self.assertEqual(self.runs(b"".join(lines))[-1], runs)

    def levels(self, text: str) -> Any:
        return self.read(text).artifacts[0].meta["levels"]

    def test_lines_of_another_program(self) -> None:
        stamp = "2016-01-01 00:00:00.000 | "
        record = f"{stamp}2016-01-01 00:00:00.123 1 ERROR nova.x [-] boom\n"
        for loose in (severity._MAX_LOOSE, severity._MAX_LOOSE + 1):
            self.assertEqual(self.levels(record + f"{stamp}line\n" * loose)["ERROR"], severity._MAX_LOOSE + 1)

    def test_lines_that_inherit(self) -> None:
        for more in (0, 1):
            text = "Traceback (most recent call last):\n" + "  line\n" * (severity.MAX_INHERITED + more)
            self.assertEqual(self.levels(text)["ERROR"], severity.MAX_INHERITED + 1)


HEAD = (
    '"Dstat 0.7.2 CSV output"\n"Author:","x"\n"Host:","h","","","","User:","x"\n'
    '"Cmdline:","dstat","","","","Date:","01 Jan 2016 00:00:00 UTC"\n\n'
)
LAYOUT = '"system","memory usage"\n"time","used"\n'
ROW = "01-01 00:00:01,1.0\n"


class DstatTests(ParserCase):
    def read(self, text: str) -> ParseResult:
        return self.parse(dstat.parse, text, called="dstat-csv.txt")

    def rows(self, text: str) -> int:
        result = self.read(HEAD + text)
        return int(result.artifacts[0].meta["rows"]) if result.artifacts else 0

    def said(self, text: str) -> str:
        return " ".join(self.read(HEAD + text).warnings)

    def test_row(self) -> None:
        columns = 11
        names = (
            '"system"'
            + ',"memory usage"' * columns
            + "\n"
            + '"time"'
            + "".join(f',"{name}"' for name in ("used", "buff", "cach", "free") * 3)[: -len(',"free"')]
        )
        row = "01-01 00:00:01," + ",".join(["1e170"] * columns)
        self.assertEqual(self.rows(f"{names}\n{row}\n"), 1)
        self.patch(dstat, "_MAX_ROW_CHARS", 100)
        self.assertEqual(self.rows(f"{names}\n{row}\n"), 0)

    def test_line(self) -> None:
        for more, rows in ((0, 1), (1, 0)):
            row = "01-01 00:00:01," + "1".rjust(dstat_lines.MAX_LINE_BYTES + more - 15, "0")
            self.assertEqual(self.rows(f"{LAYOUT}{row}\n"), rows)

    def test_cell(self) -> None:
        for more in (0, 1):
            command = "c" * (dstat._MAX_CELL_CHARS + more)
            text = HEAD.replace('"dstat"', f'"{command}"') + LAYOUT + ROW
            meta = self.read(text).artifacts[0].meta
            self.assertIn("c" * dstat._MAX_CELL_CHARS, json.dumps(meta) + self.csv)
            self.assertNotIn("c" * (dstat._MAX_CELL_CHARS + 1), json.dumps(meta) + self.csv)

    @property
    def csv(self) -> str:
        (path,) = [path for path in Path(self.out).iterdir() if path.name.endswith(".csv.gz")]
        return gzip.decompress(path.read_bytes()).decode()

    def test_layouts(self) -> None:
        def text(count: int) -> str:
            return "".join(LAYOUT.replace("used", f"used{n}" if n else "used") + ROW for n in range(count))

        self.assertNotIn("headers that differ", self.said(text(dstat._MAX_LAYOUTS)))
        self.assertIn("headers that differ", self.said(text(dstat._MAX_LAYOUTS + 1)))

    def test_headers(self) -> None:
        lines = HEAD.count('\n"') + 1
        text = LAYOUT * ((dstat._MAX_HEADERS - lines) // 2) + ROW
        self.assertEqual(self.said(text), "")
        self.assertIn("more than 2000 lines of headers", self.said(text + '"Host:","h"\n' + ROW))

    def test_warnings(self) -> None:
        def text(count: int) -> str:
            return LAYOUT + ROW + '"Other 1 CSV output"\n' * count

        for count in (dstat._MAX_WARNINGS, dstat._MAX_WARNINGS + 1):
            self.assertEqual(len(self.read(HEAD + text(count)).warnings), dstat._MAX_WARNINGS)

    def test_columns(self) -> None:
        for more, rows in ((0, 1), (1, 0)):
            count = dstat_columns._MAX_COLUMNS - 2 + more
            text = (
                f'"system","memory usage"{",x" * count}\n"time","used"{",x" * count}\n'
                f"01-01 00:00:01,1.0{',1' * count}\n"
            )
            self.assertEqual(self.rows(text), rows)

    def test_blocks(self) -> None:
        self.patch(memory_tracker, "MAX_BLOCKS", 2)
        for count, warned in ((2, False), (3, True)):
            self.assertEqual("first 2 blocks" in " ".join(self.blocks("9", count).warnings), warned)

    def blocks(self, number: str, count: int = 1) -> ParseResult:
        names = ("MemTotal", "MemFree", "Buffers", "Cached")
        memory = "".join(f"{name}: {number} kB\n" for name in names)
        block = f"[[[\nFri Jan  1 00:00:00 UTC 2016\n---\n{memory}---\n]]]\n"
        return self.parse(memory_tracker.parse, block * count, called="memory_tracker.txt")

    def test_memory(self) -> None:
        self.assertEqual(len(self.blocks(str(memory_tracker._MAX_KB - 1)).artifacts), 1)
        self.assertEqual(self.blocks(str(memory_tracker._MAX_KB)).artifacts, ())


def task(name: str = "t", **hosts: Any) -> dict[str, Any]:
    return {"task": {"name": name}, "hosts": hosts or {"h": {}}}


def failing(**more: Any) -> dict[str, Any]:
    return {"failed": True, "msg": "m", **more}


class JobOutputTests(ParserCase):
    def read(self, *tasks: dict[str, Any], failures: int = 0) -> tuple[Any, ParseResult]:
        book = {
            "playbook": "p.yaml",
            "phase": "run",
            "plays": [{"play": {"name": "x"}, "tasks": list(tasks)}],
            "stats": {"h": {"failures": failures}} if failures else {},
        }
        result = self.parse(job_output.parse, json.dumps([book]), called="job-output.json")
        (one,) = result.artifacts
        return json.loads(gzip.decompress(Path(one.path).read_bytes())), result

    def tasks(self, document: Any) -> Any:
        return document["playbooks"][0]["plays"][0]["tasks"]

    def test_nodes(self) -> None:
        self.patch(job_output_build, "MAX_NODES", 6)  # playbook, play, two tasks with a host each
        document, result = self.read(task(), task())
        self.assertEqual((len(self.tasks(document)), result.warnings), (2, ()))
        _, result = self.read(task(), task(), task())
        self.assertIn("the rest is left out", " ".join(result.warnings))

    def test_excerpts(self) -> None:
        self.patch(job_output_build, "MAX_EXCERPTS", 3)
        for count, without in ((3, 0), (4, 1)):
            document, _ = self.read(*[task(h=failing())] * count, failures=count)
            kept = ["msg" in one["hosts"]["h"] for one in self.tasks(document)]
            self.assertEqual(kept, [False] * without + [True] * 3)

    def test_items(self) -> None:
        for count in (job_output_build.MAX_ITEMS, job_output_build.MAX_ITEMS + 1):
            items = [failing(item=n) for n in range(count)]
            document, _ = self.read(task(h=failing(results=items)), failures=1)
            found = self.tasks(document)[0]["hosts"]["h"]
            self.assertEqual(
                (found["items"], len(found["failed_items"])), (count, job_output_build.MAX_ITEMS)
            )

    def test_name(self) -> None:
        most = "n" * job_output_build._MAX_NAME
        for name in (most, most + "n"):
            shown = self.tasks(self.read(task(name))[0])[0]["name"]
            self.assertEqual(shown.removesuffix("…").removesuffix("[…]").rstrip(), most)

    def test_item(self) -> None:
        most = "i" * job_output_build._MAX_ITEM
        for item, shown in ((most, most), (most + "i", most)):
            document, _ = self.read(task(h=failing(results=[failing(item=item)])), failures=1)
            found = self.tasks(document)[0]["hosts"]["h"]["failed_items"][0]["item"]
            self.assertEqual(found.rstrip("…"), shown)

    def test_failures(self) -> None:
        self.patch(job_output, "MAX_FAILURES", 3)
        for count in (3, 4):
            document, _ = self.read(*[task(h=failing())] * count, failures=count)
            self.assertEqual(len(document["failures"]), 3)

    def test_scalar(self) -> None:
        """A number of so many digits; more are damage."""
        for digits, damaged in ((job_output_stream._LONGEST_SCALAR, False), (65, True)):
            text = '[{"playbook":"p","x":' + "1" * digits + ',"plays":[]}]'
            result = self.parse(job_output.parse, text, called="job-output.json")
            self.assertEqual(bool(result.warnings), damaged, result.warnings)
