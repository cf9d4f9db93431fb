# SPDX-License-Identifier: Apache-2.0
"""parsers.console: dates, characters, bounds and blocks of lines."""

import gzip
import time
from pathlib import Path

import orjson

from stackviz_deployer.errors import TooLargeError
from stackviz_deployer.parsers import console, console_text
from tests.parsers.consoles import (
    ConsoleCase,
    build,
    stamped,
)


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

    def test_long_lines_are_told_of(self) -> None:
        limit = console_text.MAX_LINE_BYTES
        self.assertEqual(self.parse(stamped(["x" * limit])).warnings, ())
        result = self.parse(stamped(["x" * (limit + 1), "z"]))
        self.assertEqual(result.warnings, ("console.html: 1 line is longer than 1 MiB and cut off there.",))
        huge = "h" * 3_000_000
        result = self.parse(stamped([huge, "x", huge, "y" * (limit + 1)]) + huge)
        self.assertEqual(result.warnings, ("console.html: 4 lines are longer than 1 MiB and cut off there.",))

    def test_a_long_line_of_little_text_shows_where_it_is_cut(self) -> None:
        text = "a\n" + "\x1b[K" * 1_000_000 + "lost\nz\n"
        self.assertEqual(self.texts(text), ["a", console_text.CUT_MARK.decode(), "z"])
        self.assertEqual(len(self.parse(text).warnings), 1)

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
