# SPDX-License-Identifier: Apache-2.0
"""parsers.console: each rendering and era, the shape that StackViz wants, blocks, bounds, damage."""

import gzip
import html
import re
import shutil
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.parsers import console, console_outline, console_text, console_zuul, jjb, severity

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "console"
ZUUL = ROOT / "tests" / "fixtures" / "zuul"
YAML = ROOT / "tests" / "fixtures" / "jjb"
SHARED = ROOT.parent / "shared"

_RUN = r"\d+\+[1-9]\d*:(?=.)B?I?U?S?[0-9a-f]?(?:/[0-9a-f])?"
RUNS = rf"^{_RUN}(?: {_RUN})*$"

SETUP = [
    "Started by user anonymous",
    "Building remotely on node in workspace /home/jenkins/workspace/gate-nova-tox-py27",
]
SCRIPT = "[gate-nova-tox-py27] $ {} /tmp/hudson{}.sh"
SHELLS = [
    "/bin/sh -xe",
    "/bin/bash -xe",
    "/bin/bash -x",
    "/bin/bash -xe",
    "/bin/bash -xe",
    "/usr/bin/env bash",
]
"""Of the fixture's template gate-{name}-tox-{envlist}."""
LABELS = [
    "print-template-name",
    "prepare-and-checkout (1/3)",
    "prepare-and-checkout (2/3)",
    "prepare-and-checkout (3/3)",
    "tox",
    "shell",
]


def stamped(lines: list[str], digits: int = 3) -> str:
    """Lines one second apart, from 2016-06-01 12:00:00."""
    return "".join(
        f"2016-06-01 {12 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}.{'123456'[:digits]} | {line}\n"
        for n, line in enumerate(lines)
    )


def build(
    scripts: int = 6, end: tuple[str, ...] = ("[SCP] Connecting to x", "Finished: SUCCESS")
) -> list[str]:
    lines = [*SETUP]
    for n in range(scripts):
        lines += [SCRIPT.format(SHELLS[n], n), f"+ run {n}"]
    return [*lines, *end]


class ConsoleCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.addCleanup(jjb._cache.clear)

    def parse(
        self, data: str | bytes, name: str = "console.html", max_bytes: int = 1 << 26, **options: Any
    ) -> ParseResult:
        path = self.directory / "input"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return console.parse(
            ParseRequest(
                parser="console",
                inputs=(InputFile(path=str(path), name=name),),
                out_dir=str(self.directory),
                max_bytes=max_bytes,
                options=options,
            )
        )

    def read(self, result: ParseResult) -> Any:
        return read(self, result)

    def texts(self, data: str | bytes, **options: Any) -> list[str]:
        scripts = self.read(self.parse(data, **options))["scripts"]
        return [line["line"] for script in scripts for line in script["lines"]]

    def names(self, lines: list[str], **options: Any) -> list[str]:
        return [script["name"] for script in self.read(self.parse(stamped(lines), **options))["scripts"]]


def read(case: SynchronousTestCase, result: ParseResult) -> Any:
    """The document, after a look at everything that StackViz and our viewer count on."""
    (artifact,) = result.artifacts
    case.assertEqual(
        (artifact.artifact_type, artifact.content_type, artifact.primary),
        ("console", "application/json", True),
    )
    text = gzip.decompress(Path(artifact.path).read_bytes())
    data = orjson.loads(text)
    case.assertEqual(list(data), ["status", "remaining", "scripts"])
    case.assertIsInstance(data["remaining"], list)
    for script in data["scripts"]:
        case.assertEqual(list(script), ["name", "lines"])
        case.assertTrue(script["name"])
        case.assertTrue(script["lines"], "a script without lines loses its header")
        for line in script["lines"]:
            case.assertIn([key for key in line if key not in ("sgr", "level")], (["date", "line"],))
            case.assertEqual(list(line), [k for k in ("date", "sgr", "line", "level") if k in line])
            check_runs(case, line)
            case.assertIn(line.get("level", "ERROR"), severity.LEVELS)
            case.assertRegex(line["date"], r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?)?$")
            case.assertNotRegex(line["line"], r"[\x00-\x08\x0a-\x1f]")
    assert artifact.blocks_path is not None
    index = orjson.loads(gzip.decompress(Path(artifact.blocks_path).read_bytes()))
    lines = [line for script in data["scripts"] for line in script["lines"]]
    case.assertEqual(index["unit"], "line")
    case.assertEqual((index["status"], index["lines"]), (data["status"], len(lines)))
    first = 0
    for section, script in zip(index["sections"], data["scripts"], strict=True):
        case.assertEqual(
            (section["name"], section["first"], section["count"], section.get("levels", {})),
            (script["name"], first, len(script["lines"]), levels_of(script["lines"])),
        )
        first += section["count"]
    case.assertEqual(artifact.meta["lines"], len(lines))
    case.assertEqual(artifact.meta["status"], data["status"])
    case.assertEqual(
        artifact.meta["sections"],
        [{k: s[k] for k in ("name", "first", "count")} for s in index["sections"][:100]],
    )
    case.assertEqual(index["levels"], levels_of(lines))
    case.assertEqual(artifact.meta["levels"], levels_of(lines))
    check_blocks(case, Path(artifact.path).read_bytes(), index, lines)
    return data


def check_runs(case: SynchronousTestCase, line: Any) -> None:
    """In order, none empty, none over another, all within the text."""
    if "sgr" not in line:
        return
    case.assertRegex(line["sgr"], RUNS)
    end = 0
    for run in line["sgr"].split(" "):
        start, length = map(int, run.partition(":")[0].split("+"))
        case.assertGreaterEqual(start, end)
        case.assertGreater(length, 0)
        end = start + length
    if not line["line"].endswith(console_text.CUT_MARK.decode()):
        case.assertLessEqual(end, len(line["line"].encode("utf-16-le")) // 2)


def levels_of(lines: list[Any]) -> dict[str, int]:
    counts = Counter(line["level"] for line in lines if "level" in line)
    return {level: counts[level] for level in severity.LEVELS if counts[level]}


def check_blocks(case: SynchronousTestCase, stored: bytes, index: Any, lines: list[Any]) -> None:
    """Each block alone gives the lines from its first on, one object a line."""
    firsts = [block[4] for block in index["blocks"]] + [len(lines)]
    for number, (offset, size, plain_size, crc, first, _first_ms) in enumerate(index["blocks"]):
        plain = zlib.decompressobj(-15).decompress(stored[offset : offset + size])
        case.assertEqual((len(plain), zlib.crc32(plain)), (plain_size, crc))
        found = [
            orjson.loads(line.rstrip(b",")) for line in plain.split(b"\n") if line.startswith(b'{"date"')
        ]
        case.assertEqual(found, lines[first : firsts[number + 1]])
        levels = [level for level in index["block_levels"][number] if level]
        case.assertEqual(levels, list(levels_of(found).values()))
    case.assertEqual(len(index["block_levels"]), len(index["blocks"]))


class RenderingTests(ConsoleCase):
    LINES = ("+ echo '<b> & \"q\" \\ \t' > x", "é—日本", "see https://x/y?a=1&b=2 !", "1: lo: <UP>  ", "")

    def jenkins(self) -> str:
        """As Jenkins writes it: ``<`` and ``&`` escaped, links."""
        body = stamped(list(self.LINES)).replace("&", "&amp;").replace("<", "&lt;")
        body = re.sub(r"https://[^ ]+", r"<a href='\g<0>' class='model-link'>\g<0></a>", body)
        return f"<pre>\n{body}</pre>\n"

    def loganalyze(self) -> str:
        """As os-loganalyze makes a page of it."""
        out = []
        for line in self.jenkins().split("\n")[1:-2]:
            date, text = line[:23], line[23:]
            a = re.sub(r"\D", "_", date)
            out.append(
                f"<span class='NONE _{a}'><a name='_{a}' class='date' href='#_{a}'>{date}</a>{text}\n</span>"
            )
        script = "<script>\nif (a < b && c) { x('</p>') }\n</script>\n"
        head = f"<html>\n<head>\n<style>\na {{color: #000}}\n</style>{script}</head>\n<body>\n\n<pre>"
        return f"{head}{''.join(out)}</pre>\n{script}</body></html>\n"

    def test_same_text_from_each(self) -> None:
        expected = list(self.LINES)
        self.assertEqual(self.texts(self.jenkins()), expected)
        self.assertEqual(self.texts(self.loganalyze()), expected)
        self.assertEqual(self.texts(stamped(expected)), expected)
        self.assertEqual(self.texts(gzip.compress(self.jenkins().encode())), expected)
        self.assertEqual(self.texts("\ufeff" + self.jenkins()), expected)

    def test_plain_text_is_not_unescaped(self) -> None:
        self.assertEqual(self.texts(stamped(["&lt;a> <b>x</b> &amp;amp;"])), ["&lt;a> <b>x</b> &amp;amp;"])

    def test_entities(self) -> None:
        text = "&amp;lt; &gt;&quot;&#39;&#x41; &eacute; &nosuch; & &#0;&#xD800; &#10; &amp;amp;"
        expected = "&lt; >\"'A é &nosuch; & \ufffd\ufffd   &amp;"
        self.assertEqual(self.texts("<pre>\n" + stamped([text])), [expected])

    def test_os_loganalyze_recordings(self) -> None:
        as_html = self.read(
            self.parse((FIXTURES / "console-jenkins-2013-excerpt.osloganalyze-html.html").read_bytes())
        )
        as_text = self.read(
            self.parse((FIXTURES / "console-jenkins-2013-excerpt.osloganalyze-text.txt").read_bytes())
        )
        self.assertEqual(as_html, as_text)
        self.assertEqual(as_text["status"], "FAILURE")
        self.assertEqual(
            [(s["name"], len(s["lines"])) for s in as_text["scripts"]],
            [("setup", 3), ("script 1", 4), ("script 2", 48), ("scp", 20)],
        )

    def test_public_console(self) -> None:
        """Each line of a real one, against the slow and obvious way to read it."""
        path = (
            SHARED
            / "data"
            / "public"
            / "jenkins"
            / "os-loganalyze__os_loganalyze_tests_samples_console.html.gz"
        )
        if not path.exists():
            raise SkipTest(f"no public data in {path}")
        data = self.read(self.parse(path.read_bytes()))
        expected = []
        for line in gzip.decompress(path.read_bytes()).decode("utf-8", "replace").split("\n")[1:-2]:
            clean = html.unescape(re.sub(r"<[^>]*>", "", line.rstrip("\r"))).replace("\r", "␍")
            clean = re.sub("[\x00-\x08\x0b-\x1f\x7f]", "", re.sub("\x1b\\[[0-9;]*m", "", clean))
            date, _, text = clean.partition(" | ")
            expected.append({"date": date, "line": text})
        found = [line for script in data["scripts"] for line in script["lines"]]
        self.assertEqual(len(found), 21371)
        self.assertEqual(levels_of(found), {"WARNING": 366, "ERROR": 21})
        for line in found:
            line.pop("level", None)
        self.assertEqual([pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]], [])
        self.assertEqual(data["status"], "FAILURE")
        self.assertEqual([s["name"] for s in data["scripts"]], ["setup", "script 1", "script 2", "scp"])

    def test_other_samples(self) -> None:
        samples = SHARED / "formats" / "samples" / "console"
        if not samples.is_dir():
            raise SkipTest(f"no samples in {samples}")
        raw = self.read(self.parse((samples / "console-jenkins-2013-excerpt.raw.html").read_bytes()))
        text = self.read(
            self.parse((FIXTURES / "console-jenkins-2013-excerpt.osloganalyze-text.txt").read_bytes())
        )
        self.assertEqual(raw, text)
        zuul = self.read(self.parse((samples / "zuul-jobs-fixture-job-output.txt").read_bytes()))
        self.assertEqual((len(zuul["scripts"]), zuul["status"]), (11, None))
        self.assertEqual(zuul["scripts"][-1]["lines"][-1]["date"], "")  # not all lines have one

    def test_page_without_console(self) -> None:
        for page in ("<!DOCTYPE html><html><h1>404</h1>", "<html>" + "x" * 3_000_000):
            error = self.assertRaises(ParseError, self.parse, page, "logs/console.html")
            self.assertIn("logs/console.html", error.message)

    def test_end_of_pre_over_chunks(self) -> None:
        """Wherever the decoder's chunks are cut."""
        page = self.loganalyze().encode()
        whole = [lines.text for lines in console_text.read_lines([page], name="x")]
        for size in (1, 2, 3, 7, 100, 1000):
            chunks = [page[i : i + size] for i in range(0, len(page), size)]
            parts = [lines.text for lines in console_text.read_lines(chunks, name="x")]
            self.assertEqual(b"".join(parts), b"".join(whole))


class LineTests(ConsoleCase):
    def lines(self, data: str | bytes) -> list[tuple[str, str]]:
        scripts = self.read(self.parse(data))["scripts"]
        return [(line["date"], line["line"]) for script in scripts for line in script["lines"]]

    def test_dates(self) -> None:
        text = "2016-06-01 12:00:00.123 | a\n2016-06-01 12:00:00.123456 | b\n2016-06-01 12:00:01 | c\n"
        self.assertEqual(
            self.lines(text),
            [
                ("2016-06-01 12:00:00.123", "a"),
                ("2016-06-01 12:00:00.123456", "b"),
                ("2016-06-01 12:00:01", "c"),
            ],
        )

    def test_only_the_first_bar_divides(self) -> None:
        inner = "2013-09-27 18:15:31 + a | b"
        self.assertEqual(
            self.lines(f"2013-09-27 18:15:31.131 | {inner}\n"), [("2013-09-27 18:15:31.131", inner)]
        )

    def test_undated_lines(self) -> None:
        text = "x\n\n2016-06-01 12:00:00.1 | a\ny | z\n\n2016-06-01 12:00:00.2 |\n2016-06-01 | w\nend"
        self.assertEqual(
            self.lines(text),
            [("", "x"), ("", ""), ("2016-06-01 12:00:00.1", "a"), ("", "y | z"), ("", ""),
             ("2016-06-01 12:00:00.2", ""), ("", "2016-06-01 | w"), ("", "end")],
        )  # fmt: skip

    def test_impossible_date(self) -> None:
        result = self.parse("2016-13-41 99:99:99.123 | a\n")
        self.read(result)

    def test_section_times(self) -> None:
        result = self.parse("undated\n" + stamped(build(2)) + "undated\n")
        self.read(result)
        path = result.artifacts[0].blocks_path
        assert path is not None
        index = orjson.loads(gzip.decompress(Path(path).read_bytes()))
        noon = 1464782400123
        self.assertEqual(
            [(s["start_ms"] - noon, s["end_ms"] - noon) for s in index["sections"]],
            [(0, 1000), (2000, 3000), (4000, 5000), (6000, 7000)],
        )
        self.assertEqual(index["blocks"][0][4:], [0, noon])

    def test_control_characters(self) -> None:
        text = "2016-06-01 12:00:00.1 | a\0b\x07\x1b[1;32mgreen\x1b[0m\x1b[K\tt\x7f\n"
        self.assertEqual(self.lines(text), [("2016-06-01 12:00:00.1", "abgreen\tt")])
        note = "2016-06-01 12:00:00.1 | \x1b[8mha:AAAAtR+LCAAA==\x1b[0mStarted by x\n"
        self.assertEqual(self.lines(note), [("2016-06-01 12:00:00.1", "Started by x")])

    def test_carriage_returns(self) -> None:
        """StackViz would take one for the end of a line, and its headers would be one off."""
        text = "2016-06-01 12:00:00.1 | 1%\r2%\r\n2016-06-01 12:00:00.2 | b\r\r\n"
        self.assertEqual([line for _, line in self.lines(text)], ["1%␍2%", "b"])

    def test_bad_utf8(self) -> None:
        self.assertEqual(self.lines(b"2016-06-01 12:00:00.1 | a\xffb\xc3\n\xe9\n")[0][1], "a\ufffdb\ufffd")

    def test_long_lines(self) -> None:
        limit = console_text.MAX_LINE_BYTES
        mark = console_text.CUT_MARK.decode()
        exact, over = "x" * limit, "y" * (limit + 1)
        self.assertEqual(self.texts(stamped([exact, over, "z"])), [exact, "y" * limit + mark, "z"])
        self.assertEqual(self.texts(stamped(["a\\" * limit, "z"]))[1], "z")
        self.assertEqual(self.texts(stamped(["a" + "é" * limit, "z"]))[1], "z")
        huge = "2016-06-01 12:00:00.1 | " + "h" * 3_000_000
        self.assertEqual(self.texts(f"a\n{huge}\nz\n"), ["a", "h" * limit + mark, "z"])
        self.assertEqual(self.texts(f"a\n{huge}"), ["a", "h" * limit + mark])

    def test_number_of_lines(self) -> None:
        self.patch(console, "MAX_LINES", 10)
        self.assertEqual(self.parse("x\n" * 10).warnings, ())
        result = self.parse("x\n" * 11)
        self.assertEqual(result.artifacts[0].meta["lines"], 10)
        self.read(result)
        self.assertIn("first 10 lines", result.warnings[0])

    def test_decoded_bytes(self) -> None:
        text = stamped(build())
        self.parse(gzip.compress(text.encode()), max_bytes=len(text))
        self.assertRaises(TooLargeError, self.parse, gzip.compress(text.encode()), max_bytes=len(text) - 1)

    def test_empty(self) -> None:
        for data in ("", "<pre>\n</pre>\n", "<pre>", gzip.compress(b"")):
            result = self.parse(data)
            self.assertEqual(result.artifacts, ())
            self.assertIn("empty", result.warnings[0])

    def test_torn_gzip(self) -> None:
        data = gzip.compress(stamped(build() + [f"line {n * 7919}" for n in range(5000)]).encode())
        result = self.parse(data[: len(data) // 2])
        self.assertIn("ends early", result.warnings[0])
        self.assertGreater(self.read(result) and result.artifacts[0].meta["lines"], 1000)

    def test_name(self) -> None:
        self.assertEqual(self.parse("x", "a/console.html.gz").artifacts[0].artifact_name, "console.html")
        self.assertEqual(self.parse("x", artifact_name="a'b").artifacts[0].artifact_name, "a_b")

    def test_blocks(self) -> None:
        lines = [f"+ line {n} {'x' * (n % 300)}" for n in range(5000)]
        result = self.parse(stamped(lines))
        self.read(result)
        path = result.artifacts[0].blocks_path
        assert path is not None
        blocks = orjson.loads(gzip.decompress(Path(path).read_bytes()))["blocks"]
        self.assertGreater(len(blocks), 10)
        self.assertLess(max(block[2] for block in blocks), 128 << 10)
        self.assertEqual(blocks[3][5], 1464782400123 + 1000 * blocks[3][4])

    def test_empty_lines_fill_blocks_too(self) -> None:
        result = self.parse("\n" * 300_000)
        path = result.artifacts[0].blocks_path
        assert path is not None
        blocks = orjson.loads(gzip.decompress(Path(path).read_bytes()))["blocks"]
        self.assertLess(max(block[2] for block in blocks), 128 << 10)

    def test_time_is_linear(self) -> None:
        """Text made to send each pattern over the rest of the line again and again."""
        for piece in (
            "<a",
            "&",
            "&#",
            "\x1b[8mha:",
            "\x1b[1",
            "] $ ",
            "JJB template: ",
            "Finished: ",
            "2016-",
            " | ",
        ):
            line = piece * (200_000 // len(piece))
            began = time.process_time()
            self.parse(f"<pre>\n2016-06-01 12:00:00.1 | {line}\n2016-06-01 12:00:00.1 | [x] $ {line}\n")
            self.parse(f"<pre>\nJJB template: x{' ' * 200_000}y\n[x] $ y {'/' * 200_000}\n")
            self.assertLess(time.process_time() - began, 2, piece)

    def test_same_bytes_each_time(self) -> None:
        data = stamped(build())
        one = Path(self.parse(data).artifacts[0].path).read_bytes()
        self.assertEqual(Path(self.parse(data).artifacts[0].path).read_bytes(), one)


class SectionTests(ConsoleCase):
    def test_without_yaml(self) -> None:
        self.assertEqual(self.names(build(2)), ["setup", "script 1", "script 2", "scp"])

    def test_names_and_remaining(self) -> None:
        for ran in range(1, 7):
            result = self.parse(
                stamped(build(ran)), jjb_yaml_path=str(YAML), jjb_cache_dir=str(self.directory / "c")
            )
            data = self.read(result)
            self.assertEqual([s["name"] for s in data["scripts"]], ["setup", *LABELS[:ran], "scp"])
            self.assertEqual(data["remaining"], LABELS[ran:])
            self.assertEqual(result.artifacts[0].meta["template"], "gate-{name}-tox-{envlist}")

    def test_printed_template_wins(self) -> None:
        lines = build(2)
        lines.insert(3, "JJB template: gate-{name}-{envlist}")
        lines.insert(3, "+ echo JJB template: {name}-round")
        names = self.names(lines, jjb_yaml_path=str(YAML))
        self.assertEqual(names, ["setup", "checkout (1/2)", "checkout (2/2)", "scp"])

    def test_given_job_name(self) -> None:
        lines = [line.replace("gate-nova-tox-py27", "workspace") for line in build(1)]
        self.assertEqual(self.names(lines, jjb_yaml_path=str(YAML))[1], "script 1")
        self.assertEqual(
            self.names(lines, jjb_yaml_path=str(YAML), job_name="gate-nova-tox-py27")[1], LABELS[0]
        )

    def test_job_name_that_is_not_known(self) -> None:
        self.assertEqual(self.names(build(1), jjb_yaml_path=str(YAML), job_name="renamed")[1], LABELS[0])

    def test_more_scripts_than_the_template(self) -> None:
        lines = [*build(6, ()), SCRIPT.format("/bin/sh -xe", 9), "Finished: SUCCESS"]
        result = self.parse(stamped(lines), jjb_yaml_path=str(YAML))
        data = self.read(result)
        self.assertEqual(data["scripts"][-2]["name"], "script 7")
        self.assertEqual(data["remaining"], [])
        self.assertIn("do not fit", result.warnings[-1])

    def test_missing_yaml_is_a_warning(self) -> None:
        result = self.parse(stamped(build(1)), jjb_yaml_path="/nonexistent/jobs")
        self.assertIn("jobs: Job Builder's YAML", result.warnings[0])
        self.assertNotIn("/nonexistent", result.warnings[0])  # the server's paths are nobody's business
        self.assertEqual(self.read(result)["scripts"][1]["name"], "script 1")

    def test_statuses(self) -> None:
        for status in ("SUCCESS", "FAILURE", "UNSTABLE", "ABORTED", "NOT_BUILT"):
            self.assertEqual(
                self.read(self.parse(stamped(build(1, (f"Finished: {status}",)))))["status"], status
            )
        data = self.read(self.parse(stamped(build(2, ())), jjb_yaml_path=str(YAML)))
        self.assertIsNone(data["status"])
        self.assertEqual(data["remaining"], [])  # nobody knows
        self.assertEqual(data["scripts"][-1]["name"], LABELS[1])

    def test_finished_is_the_last_section(self) -> None:
        """StackViz takes the section before the last for the last script."""
        self.assertEqual(self.names(build(1, ("Finished: FAILURE",))), ["setup", "script 1", "scp"])

    def test_printed_by_a_script(self) -> None:
        """Text that looks like structure."""
        lines = build(3)
        lines.insert(4, "Finished: SUCCESS")
        lines.insert(5, "and on")
        lines[-1] = "Finished: FAILURE"
        data = self.read(self.parse(stamped(lines)))
        self.assertEqual(
            [s["name"] for s in data["scripts"]], ["setup", "script 1", "script 2", "script 3", "scp"]
        )
        self.assertEqual(len(data["scripts"][1]["lines"]), 4)
        self.assertEqual(data["status"], "FAILURE")
        lines = build(1, ("Finished: SUCCESS", "[SCP] Connecting", "Finished: UNSTABLE"))
        data = self.read(self.parse(stamped(lines)))
        self.assertEqual([len(s["lines"]) for s in data["scripts"]], [2, 3, 2])
        self.assertEqual(data["status"], "UNSTABLE")
        for line in (
            "echo [x] $ /bin/sh /tmp/hudson1.sh",
            "[x]$ y",
            "[] $ y",
            "Finished: well",
            " Finished: SUCCESS",
            "x [SCP] y",
        ):
            self.assertEqual(self.names([*build(1, ()), line]), ["setup", "script 1"], line)

    def test_job_names(self) -> None:
        """Digits, dots and blanks."""
        for job in ("gate-nova-python27-ubuntu.xenial_x", "my job", "42"):
            self.assertEqual(self.names([f"[{job}] $ /bin/bash -xe /tmp/hudson1.sh", "x"]), ["script 1"])

    def test_other_commands(self) -> None:
        lines = build(2)
        lines.insert(4, "[workspace] $ mvn -B install")
        self.assertEqual(self.names(lines), ["setup", "script 1", "$ mvn", "script 2", "scp"])

    def test_post_build_scripts(self) -> None:
        end = ("[SCP] Connecting", "[x] $ /bin/sh -xe /tmp/hudson77.sh", "+ clean", "Finished: SUCCESS")
        data = self.read(self.parse(stamped(build(1, end)), jjb_yaml_path=str(YAML)))
        names = [s["name"] for s in data["scripts"]]
        self.assertEqual(names, ["setup", LABELS[0], "scp", "post-build script", "scp"])
        self.assertEqual(data["remaining"], LABELS[1:])

    def test_no_setup(self) -> None:
        self.assertEqual(self.names(build(1)[2:]), ["script 1", "scp"])

    def test_number_of_sections(self) -> None:
        self.patch(console_outline, "MAX_SECTIONS", 4)
        result = self.parse(stamped(build(3)))
        self.assertEqual(result.warnings, ())
        result = self.parse(stamped(build(6)))
        self.assertEqual(
            [s["name"] for s in self.read(result)["scripts"]],
            ["setup", "script 1", "script 2", "script 3", "scp"],
        )
        self.assertIn("beyond 4 sections", result.warnings[0])

    def test_zuul_2_5(self) -> None:
        lines = [
            "[Zuul] Launched by zl01",
            "[Zuul] Building remotely on node in workspace /home/jenkins/workspace/gate-nova-tox-py27",
            "JJB template: gate-{name}-tox-{envlist}",
            "[Zuul] Task exit code: 0",
            "+ git clone",
            "Finished: nonsense",
            "[Zuul] Task exit code: 1",
            "[Zuul] Job complete, result: FAILURE",
        ]
        for text in (stamped(lines, 6), f"<html><body><pre>{stamped(lines, 6)}</pre></body></html>"):
            data = self.read(self.parse(text, jjb_yaml_path=str(YAML)))
            self.assertEqual(
                [(s["name"], len(s["lines"])) for s in data["scripts"]],
                [("setup", 2), (LABELS[0], 2), (LABELS[1], 3), ("scp", 1)],
            )
            self.assertEqual((data["status"], data["remaining"]), ("FAILURE", LABELS[2:]))

    def test_zuul_2_5_timeout(self) -> None:
        lines = ["[Zuul] Launched by zl01", "+ sleep", "[Zuul] Job timed out, result: FAILURE"]
        data = self.read(self.parse(stamped(lines, 6)))
        self.assertEqual(
            [(s["name"], len(s["lines"])) for s in data["scripts"]],
            [("setup", 1), ("script 1", 1), ("scp", 1)],
        )
        self.assertEqual(data["status"], "FAILURE")

    def test_marks_at_borders_of_chunks(self) -> None:
        """Sections do not depend on where the decoder cuts."""
        task = ["+ run", "[Zuul] Task exit code: 0"]
        zuul = ["[Zuul] Launched by x", *task, *task, "[Zuul] Job complete, result: SUCCESS"]
        for lines in (build(4), zuul):
            data = stamped(lines).encode()
            expected = self.outline([data])
            for size in (5, 60, 100, 150):
                # a chunk is at least one line, and the first decides which era it is
                head = data[:600]
                rest = data[600:]
                chunks = [head, *(rest[i : i + size] for i in range(0, len(rest), size))]
                self.assertEqual(self.outline(chunks), expected)

    def outline(self, chunks: list[bytes]) -> list[tuple[str, int, int]]:
        outline = console_outline.Outline()
        for lines in console_text.read_lines(chunks, name="x"):
            for section, start, end in outline.cut(lines, lines.split()[1]):
                section.count += end - start
        outline.close()
        return [(s.kind.value, s.first, s.count) for s in outline.sections]


def zuul(*lines: str) -> str:
    """Lines of a job-output.txt; a banner gets its blank line."""
    banner = re.compile(r"(?:PLAY|TASK|LOOP|RUNNING HANDLER) \[|PLAY RECAP")
    out: list[str] = []
    for line in lines:
        out += ["", line] if banner.match(line) else [line]
    return stamped(out, 6)


class ZuulTests(ConsoleCase):
    PATH = "opendev.org/openstack/tempest/playbooks"
    GOOD = "host | ok: 3 changed: 1 unreachable: 0 failed: 0 skipped: 0 rescued: 0 ignored: 1"
    BAD = "host | ok: 3 changed: 1 unreachable: 0 failed: 1"
    AWAY = "host | ok: 3 changed: 1 unreachable: 1 failed: 0"

    def playbook(
        self, phase: str, *lines: str, result: str = "NORMAL", recap: str | None = None
    ) -> list[str]:
        where = f"[untrusted : {self.PATH}/{phase.lower()}.yaml@master]"
        end = ["PLAY RECAP", recap or self.GOOD, ""] if recap != "" else []
        return [f"{phase} START: {where}", *lines, *end, f"{phase} END RESULT_{result}: {where}"]

    def sections(self, data: str | bytes, **options: Any) -> list[tuple[str, int]]:
        document = self.read(self.parse(data, "job-output.txt", **options))
        return [(script["name"], len(script["lines"])) for script in document["scripts"]]

    def status(self, *lines: str) -> Any:
        return self.read(self.parse(zuul("Job console starting", *lines)))["status"]

    def test_whole_build(self) -> None:
        data = (ZUUL / "job-output.assembled.txt").read_bytes()
        for name in ("job-output.txt", "upload.log"):  # by its text, too
            document = self.read(self.parse(data, name))
            run = "run: playbooks/devstack-tempest.yaml"
            self.assertEqual(
                [(script["name"], len(script["lines"])) for script in document["scripts"]],
                [
                    ("setup", 8),
                    ("pre: playbooks/base/pre.yaml", 4),
                    ("pre: playbooks/base/pre.yaml | emit-job-header : Print job information", 8),
                    ("pre: playbooks/base/pre.yaml | PLAY RECAP", 4),
                    (run, 4),
                    (f"{run} | Show a message", 4),
                    (f"{run} | Run a shell command", 12),
                    (f"{run} | Run tempest on loop", 16),
                    (f"{run} | Skipped task", 4),
                    (f"{run} | Ignored failure", 20),
                    (f"{run} | Multi line debug", 6),
                    (f"{run} | A task in a block", 18),
                    (f"{run} | Recover", 4),
                    (f"{run} | Real failure", 13),
                    (f"{run} | PLAY RECAP", 5),
                    ("post: playbooks/post.yaml", 2),
                    ("post: playbooks/base/post-logs.yaml", 1),
                ],
            )
            self.assertEqual(document["status"], "FAILURE")

    def test_recordings(self) -> None:
        for name, status in (
            ("job-output.txt.gz", "FAILURE"),
            ("job-output.real-callback-run-phase.txt", "FAILURE"),
        ):
            data = (ZUUL / name).read_bytes()
            document = self.read(self.parse(data, name))
            text = (gzip.decompress(data) if name.endswith("gz") else data).decode()
            lines = [line["line"] for script in document["scripts"] for line in script["lines"]]
            self.assertEqual(len(lines), len(text.splitlines()))
            self.assertEqual(document["status"], status)
            titles = {script["name"] for script in document["scripts"]}
            for banner in re.findall(r"\| (?:TASK|LOOP) \[(.*)\]$", text, re.MULTILINE):
                self.assertIn(banner, titles)

    def test_nested_ansible(self) -> None:
        """Behind a machine's name, with asterisks, or without the blank line that Zuul writes."""
        nested = ["PLAY [x]", "TASK [y]", "PLAY RECAP", "host | ok: 1 changed: 0 unreachable: 0 failed: 3"]
        lines = self.playbook(
            "RUN", "PLAY [all]", "TASK [nest]", *(f"node | {line}" for line in nested),
            "debugged:", "", "TASK [y] *******", "said", *(f" {line}" for line in nested[:2]),
            "node | RUN START: [trusted : a/b@c]", "node | RUN END RESULT_TIMED_OUT: [trusted : a/b@c]",
        )  # fmt: skip
        text = zuul("Job console starting", *lines, *self.playbook("POST-RUN"))
        text = text.replace("| said\n", "| said\n2016-06-01 12:30:00.000001 | TASK [no blank]\n")
        document = self.read(self.parse(text))
        run = "run: playbooks/run.yaml"
        self.assertEqual(
            [script["name"] for script in document["scripts"]],
            ["setup", run, f"{run} | nest", f"{run} | PLAY RECAP", "post: playbooks/post-run.yaml",
             "post: playbooks/post-run.yaml | PLAY RECAP"],
        )  # fmt: skip
        self.assertEqual(document["status"], "SUCCESS")

    def test_statuses(self) -> None:
        post = self.playbook("POST-RUN", "PLAY [all]", "TASK [logs]")[:-1]
        run = self.playbook("RUN", "PLAY [all]", "TASK [work]")
        self.assertEqual(self.status(*self.playbook("PRE-RUN"), *run, *post), "SUCCESS")
        self.assertIsNone(self.status(*run))  # another playbook may have followed
        self.assertIsNone(self.status(*run[:-3], *post))  # torn
        self.assertIsNone(self.status(*self.playbook("RUN", recap=""), *post))  # nobody knows
        self.assertEqual(self.status(*self.playbook("RUN", recap=self.BAD), *post), "FAILURE")
        self.assertEqual(self.status(*self.playbook("RUN", recap=self.AWAY), *post), "FAILURE")
        self.assertEqual(self.status(*self.playbook("PRE-RUN", recap=self.BAD), *post), "FAILURE")
        self.assertEqual(self.status(*self.playbook("RUN", result="TIMED_OUT", recap=""), *post), "TIMED_OUT")
        self.assertEqual(self.status(*self.playbook("RUN", result="UNREACHABLE", recap=""), *post), "FAILURE")
        self.assertEqual(self.status(*self.playbook("RUN", result="DISK_FULL", recap=""), *post), "DISK_FULL")
        bad_post = self.playbook("POST-RUN", recap=self.BAD)
        self.assertEqual(self.status(*run, *bad_post, *post), "POST_FAILURE")
        self.assertEqual(self.status(*self.playbook("RUN", recap=self.BAD), *bad_post), "FAILURE")
        cleanup = self.playbook("CLEANUP-RUN", recap=self.BAD)
        self.assertEqual(self.status(*run, *post, *cleanup), "SUCCESS")

    def test_second_play_and_handlers(self) -> None:
        lines = self.playbook("RUN", "PLAY [one]", "TASK [a]", "PLAY [two]", 'RUNNING HANDLER [b "c" \\ é]')
        names = [name for name, _ in self.sections(zuul(*lines))]
        run = "run: playbooks/run.yaml"
        self.assertEqual(
            names,
            [run, f"{run} | a", f"{run} | PLAY two", f'{run} | b "c" \\ é', f"{run} | PLAY RECAP"],
        )

    def test_number_of_sections(self) -> None:
        self.patch(console_zuul, "MAX_SECTIONS", 4)
        lines = self.playbook("PRE-RUN", "TASK [a]", "TASK [b]"), self.playbook("RUN", "TASK [c]")
        result = self.parse(zuul(*lines[0], *lines[1]), "job-output.txt")
        self.assertEqual(
            [script["name"] for script in self.read(result)["scripts"]],
            [f"pre: playbooks/pre-run.yaml{end}" for end in ("", " | a", " | b", " | PLAY RECAP")]
            + ["run: playbooks/run.yaml"],
        )
        self.assertIn("all tasks beyond 4", result.warnings[0])
        self.patch(console_zuul, "MAX_PLAYBOOKS", 1)
        self.assertEqual(len(self.sections(zuul(*lines[0], *lines[1]))), 4)

    def test_times_of_other_machines(self) -> None:
        """A section does not end before it begins."""
        text = "2026-11-22 10:00:09.5 | \n2026-11-22 10:00:09.5 | TASK [a]\n2026-11-22 10:00:01 | n | x\n"
        result = self.parse(text, "job-output.txt")
        self.read(result)
        path = result.artifacts[0].blocks_path
        assert path is not None
        last = orjson.loads(gzip.decompress(Path(path).read_bytes()))["sections"][-1]
        self.assertEqual(
            (last["name"], last["start_ms"], last["end_ms"]), ("a", 1795341609500, 1795341609500)
        )

    def test_short_playbook(self) -> None:
        for path, short in (
            ("opendev.org/opendev/base-jobs/playbooks/base/pre.yaml", "playbooks/base/pre.yaml"),
            ("playbooks/x.yaml", "playbooks/x.yaml"),
            ("git.example/a/b/tests/run.yaml", "tests/run.yaml"),
            ("run.yaml", "run.yaml"),
        ):
            self.assertEqual(console_zuul.short_playbook(path), short)

    def test_chunks_make_no_difference(self) -> None:
        data = (ZUUL / "job-output.assembled.txt").read_bytes()
        whole = self.outline([data])
        self.assertEqual(whole[1], "FAILURE")
        for size in (1, 30, 200, 1000):
            chunks = [data[:600], *(data[i : i + size] for i in range(600, len(data), size))]
            self.assertEqual(self.outline(chunks), whole)

    def outline(self, chunks: list[bytes]) -> Any:
        outline = console_zuul.ZuulOutline()
        for lines in console_text.read_lines(chunks, name="x"):
            for section, start, end in outline.cut(lines, lines.split()[1]):
                section.count += end - start
        outline.close()
        return [(s.title, s.first, s.count) for s in outline.sections], outline.status

    def test_jenkins_running_ansible_is_jenkins(self) -> None:
        lines = [
            *SETUP,
            SCRIPT.format("/bin/sh -xe", 1),
            "",
            "PLAY [all]",
            "",
            "TASK [x]",
            "Finished: SUCCESS",
        ]
        self.assertEqual(self.names(lines), ["setup", "script 1", "scp"])


class MutationTests(SynchronousTestCase):
    def run_parse(self, data: bytes) -> Any:
        directory = Path(tempfile.mkdtemp())
        try:
            path = directory / "input"
            path.write_bytes(data)
            request = ParseRequest(
                parser="console",
                inputs=(InputFile(path=str(path), name="f"),),
                out_dir=str(directory),
                max_bytes=1 << 20,
                options={"jjb_yaml_path": str(YAML)},
            )
            try:
                result = console.parse(request)
            except (ParseError, TooLargeError):
                return None
            return read(self, result) if result.artifacts else None
        finally:
            shutil.rmtree(directory)

    @settings(deadline=None)
    @given(st.sampled_from(["html.html", "text.txt"]), st.data())
    def test_mutations(self, name: str, data: st.DataObject) -> None:
        text = bytearray((FIXTURES / f"console-jenkins-2013-excerpt.osloganalyze-{name}").read_bytes())
        pieces = [
            b"\n",
            b"<",
            b"</pre>",
            b"&#",
            b'"',
            b"\\",
            b"\n[x] $ y\n",
            b"\nFinished: A\n",
            b"[Zuul] ",
            b"\r",
            b" | ",
            b"\x1b[",
        ]
        for _ in range(data.draw(st.integers(1, 6))):
            at = data.draw(st.integers(0, len(text)))
            end = at + data.draw(st.integers(0, 60))
            text[at:end] = data.draw(st.binary(max_size=30) | st.sampled_from(pieces))
        self.run_parse(bytes(text))

    @settings(deadline=None)
    @given(st.data())
    def test_mutated_job_output(self, data: st.DataObject) -> None:
        text = bytearray((ZUUL / "job-output.assembled.txt").read_bytes())
        pieces = (
            b"\n",
            b" | \n",
            b"TASK [",
            b"PLAY RECAP",
            b"RUN START: [",
            b"RUN END RESULT_",
            b"] ",
            b"\\",
            b'"',
            b"ERROR",
        )
        first = len(text)
        for _ in range(data.draw(st.integers(1, 6))):
            at = data.draw(st.integers(0, len(text)))
            first = min(first, at)
            end = at + data.draw(st.integers(0, 60))
            text[at:end] = data.draw(st.binary(max_size=30) | st.sampled_from(pieces))
        whole = self.run_parse((ZUUL / "job-output.assembled.txt").read_bytes())
        damaged = self.run_parse(bytes(text))
        before = text[:first].count(b"\n") - 1
        if before > 0 and damaged is not None:
            lines = [
                [line for script in found["scripts"] for line in script["lines"]]
                for found in (whole, damaged)
            ]
            self.assertEqual(lines[1][:before], lines[0][:before])

    @settings(deadline=None)
    @given(st.integers(0, 8000), st.binary(min_size=1, max_size=200))
    def test_lines_before_the_damage_stay(self, at: int, noise: bytes) -> None:
        text = (FIXTURES / "console-jenkins-2013-excerpt.osloganalyze-text.txt").read_bytes()
        at = max(at, 10)
        before = text[:at].count(b"\n") - 1
        whole = self.run_parse(text)
        damaged = self.run_parse(text[:at] + noise + text[at + len(noise) :])

        def flat(data: Any) -> list[Any]:
            return [line for script in data["scripts"] for line in script["lines"]][:before]

        if before > 0:
            self.assertEqual(flat(damaged), flat(whole))

    @settings(deadline=None)
    @given(
        st.lists(
            st.text(st.characters(exclude_characters="\n\r", exclude_categories=("Cc", "Cs")), max_size=40),
            min_size=1,
        )
    )
    def test_text_survives(self, lines: list[str]) -> None:
        """What was printed is what is shown, plain and marked up."""
        for data in (stamped(lines), f"<pre>\n{html.escape(stamped(lines))}</pre>\n"):
            document = self.run_parse(data.encode())
            self.assertEqual([line["line"] for s in document["scripts"] for line in s["lines"]], lines)

    @settings(deadline=None)
    @given(st.binary(max_size=400))
    def test_noise(self, noise: bytes) -> None:
        self.run_parse(noise)
        self.run_parse(b"<pre>\n" + noise)
        self.run_parse(b"<html><pre>" + noise)
