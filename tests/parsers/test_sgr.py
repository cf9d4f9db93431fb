# SPDX-License-Identifier: Apache-2.0
"""parsers.sgr: colours as runs, other sequences gone, whole, torn or hostile."""

import time

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.parsers import sgr
from stackviz_deployer.parsers.console_text import read_lines
from stackviz_deployer.parsers.sgr import PLAIN, apply, text_runs

DATE = "2026-11-22 09:42:10.000101 | "
HOSTILE = (
    "\x1b", "\x1b[", "\x1b[3", "\x1b[31", "\x1b[31m", "\x1b[0m", "\x1b[38;5", "\x1b[38;2;1;2m",
    "\x1b]0;title\x07", "\x1b]", "\x1b]8;;http://x/\x1b\\", "\x1b\\", "\x1bP", "\x1b(B", "\x1b7",
    "\x1b[2K\r", "\x1b[1G", "\x1b[8mha:", "\x1b[?25l", "\x1b[>4;2m", "\x9b31m", "m", ";", "[", "]",
    "\x07", "\x00", "\n", "\r", '"', "\\", "é", "😀", "a", " ", "x | ", DATE,
)  # fmt: skip


def rows(text: str | bytes, size: int = 1 << 18) -> list[tuple[str, str]]:
    """Text and runs of each line, as the console's parser gets them."""
    data = text.encode() if isinstance(text, str) else text
    chunks = [data[:600], *(data[i : i + size] for i in range(600, len(data), size))]
    found = []
    for lines in read_lines(chunks, name="x"):
        _, texts = lines.split()
        for number, line in enumerate(texts):
            runs = lines.runs.get(number, b"").decode()
            found.append((str(orjson.loads(b'"' + line + b'"')), runs))
    return found


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


class CodeTests(SynchronousTestCase):
    def code(self, *parameters: str) -> str:
        style = PLAIN
        for one in parameters:
            style = apply(style, one.encode())
        return style.code()

    def test_sixteen(self) -> None:
        self.assertEqual([self.code(str(n)) for n in (30, 31, 37, 90, 97)], ["0", "1", "7", "8", "f"])
        self.assertEqual([self.code(str(n)) for n in (40, 47, 100, 107)], ["/0", "/7", "/8", "/f"])
        self.assertEqual(self.code("1;4;33;44"), "BU3/4")
        self.assertEqual(self.code("33", "39"), "")
        self.assertEqual(self.code("43", "49"), "")

    def test_marks(self) -> None:
        self.assertEqual(self.code("9;4;3;1"), "BIUS")
        self.assertEqual(self.code("1;3;4;9", "22", "24"), "IS")
        self.assertEqual(self.code("4:3"), "U")
        self.assertEqual(self.code("4", "4:0"), "")
        self.assertEqual([self.code("1;31", end) for end in ("", "0", ";", "00")], [""] * 4)
        self.assertEqual(self.code("0;31;0;1"), "B")

    def test_swapped_and_dim(self) -> None:
        self.assertEqual(self.code("7"), "/7")
        self.assertEqual(self.code("31;7"), "/1")
        self.assertEqual(self.code("31;42;7"), "2/1")
        self.assertEqual(self.code("31;42;7", "27"), "1/2")
        self.assertEqual((self.code("2"), self.code("2;31"), self.code("2", "22")), ("8", "1", ""))

    def test_256_and_true_colours_get_the_nearest(self) -> None:
        self.assertEqual([self.code(f"38;5;{n}") for n in (1, 9, 196, 46, 21)], ["1", "9", "1", "2", "4"])
        self.assertEqual([self.code(f"38;5;{n}") for n in (232, 244, 252, 255)], ["0", "8", "7", "f"])
        self.assertEqual(self.code("48;5;226"), "/3")
        self.assertEqual([self.code(one) for one in ("38;2;255;0;0", "38;2;255;160;160")], ["1", "9"])
        self.assertEqual(
            [self.code(one) for one in ("38:2:255:0:0", "38:2::255:0:0", "38:5:1", "38;2;200;200;0")],
            ["1", "1", "1", "3"],
        )
        self.assertEqual(self.code("38;2;255;0;0;1"), "B1", "what follows it")
        self.assertEqual(self.code("38;5;1;48;5;4;4"), "U1/4")
        self.assertEqual(self.code("58;5;1;4"), "U", "the colour of the line under it is not kept")

    def test_what_is_none_changes_nothing(self) -> None:
        for parameters in (
            "5",
            "8",
            "10",
            "73",
            "99999999999",
            "38",
            "38;5",
            "38;5;256",
            "38;2;1",
            "38;2;999;0;0",
            ":",
            "31:1",
        ):
            self.assertEqual(self.code(parameters), "", parameters)

    @settings(deadline=None)
    @given(st.binary(max_size=60))
    def test_any_parameters(self, noise: bytes) -> None:
        parameters = bytes(b for b in noise if b in b"0123456789;:")
        self.assertRegex(apply(PLAIN, parameters).code(), r"^B?I?U?S?[0-9a-f]?(/[0-9a-f])?$")


class LineTests(SynchronousTestCase):
    def test_behind_the_date(self) -> None:
        text = f'{DATE}a\x1b[31m"b\\\x1b[0mc\n\x1b[1m{DATE}\x1b[4mé😀d\x1b[0m\n'
        self.assertEqual(rows(text), [('a"b\\c', "1+3:1"), ("é😀d", "0+4:BU")])

    def test_equal_neighbours_are_one(self) -> None:
        self.assertEqual(rows("\x1b[31ma\x1b[31mb\x1b[0;31mc\x1b[32m\x1b[31md\n"), [("abcd", "0+4:1")])

    def test_over_lines(self) -> None:
        self.assertEqual(
            rows("\x1b[31ma\n\nb\nc\x1b[m d\ne\n"),
            [("a", "0+1:1"), ("", ""), ("b", "0+1:1"), ("c d", "0+1:1"), ("e", "")],
        )

    def test_each_machine_has_its_own(self) -> None:
        """The names of machines, and what others print meanwhile, keep the usual colours."""
        lines = [
            "node | \x1b[31ma",
            "other | b",
            "TASK [x]",
            "node | c",
            "other | \x1b[32md",
            "node | e\x1b[0m",
            "node | f",
        ]
        found = rows("".join(f"{DATE}{line}\n" for line in lines))
        self.assertEqual([runs for _, runs in found], ["7+1:1", "", "", "7+1:1", "8+1:2", "7+1:1", ""])

    def test_a_colour_that_nobody_ends(self) -> None:
        found = rows("\x1b[31m" + "a\n" * (sgr.MAX_CARRIED + 50))
        self.assertEqual(sum(runs != "" for _, runs in found), sgr.MAX_CARRIED + 1)
        self.assertEqual(found[sgr.MAX_CARRIED : sgr.MAX_CARRIED + 2], [("a", "0+1:1"), ("a", "")])

    def test_bounds(self) -> None:
        [(text, runs), after] = rows("".join(f"\x1b[3{n % 7 + 1}mx" for n in range(5000)) + "\nb\n")
        self.assertEqual(len(text), 5000)
        self.assertEqual(len(runs.split(" ")), sgr.MAX_RUNS)
        self.assertEqual(after, ("b", "0+1:2"), "what the last of them was")
        taker = sgr.Colours()
        taker.take("".join(f"m{n} | \x1b[31ma\n" for n in range(1000)).encode())
        self.assertLessEqual(len(taker._open), 20)

    def test_concealed_text_is_text(self) -> None:
        self.assertEqual(rows("a\x1b[8mb\x1b[0m \x1b[5mc\x1b[0m\n"), [("ab c", "")])

    def test_other_sequences_vanish(self) -> None:
        for sequence in (
            "\x1b[2J", "\x1b[10;20H", "\x1b[?25l", "\x1b[1 q", "\x1b[>4;2m", "\x1b]0;title\x07",
            "\x1b]2;t\x1b\\", "\x1b]8;id=1;http://x/?a;b\x1b\\",
            "\x1bPq#0\x1b\\", "\x1b_x\x1b\\", "\x1b(B", "\x1b#8", "\x1b7", "\x1b=", "\x1bc", "\x1b",
            "\x1b\x1b", "\x1b\\", "\x1b[8mha:AAA=\x1b[0m",
        ):  # fmt: skip
            self.assertEqual(rows(f"a{sequence}b\x1b[31mc\x1b[0m\n"), [("abc", "2+1:1")], repr(sequence))

    def test_torn_ones(self) -> None:
        """By the end of the line; and never is text behind them lost."""
        self.assertEqual(rows("a\x1b[31\nb\x1b[\nc\x1b[38;5;\x1b[32md\n")[:2], [("a", ""), ("b", "")])
        self.assertEqual(rows("a\x1b]0;title without end\nb\n"), [("a0;title without end", ""), ("b", "")])
        self.assertEqual(rows("a\x1b]8;;http://x\x1b[31mb\n"), [("a8;;http://xb", "12+1:1")])
        self.assertEqual(rows("a\x1bP secret\n"), [("a secret", "")])

    def test_to_the_first_column(self) -> None:
        self.assertEqual(rows("1 %\x1b[1G2 %\x1b[0G3 %\n"), [("1 %␍2 %␍3 %", "")])

    def test_in_a_page(self) -> None:
        self.assertEqual(rows("<pre>\n<span>\x1b[31ma &lt;b&gt;</span>\x1b[0m\n</pre>"), [("a <b>", "0+5:1")])

    def test_a_letter_torn_by_a_colour(self) -> None:
        self.assertEqual(rows(b"\xc3\x1b[31m\xa9a\n"), [("��a", "1+2:1")])


class TextTests(SynchronousTestCase):
    def test_runs_over_all_of_it(self) -> None:
        self.assertEqual(text_runs('a\n\x1b[31m"b\nc\x1b[0m\x1b[2K\\'), ('a\n"b\nc\\', "2+4:1"))
        self.assertEqual(text_runs("plain"), ("plain", ""))
        self.assertEqual(text_runs("a\x1b[31"), ("a", ""))


SGR = {"": "", "0": "", "31": "1", "1;34": "B4", "0;4": "U", "42": "/2", "38;5;196": "1"}


class PropertyTests(SynchronousTestCase):
    @settings(deadline=None)
    @given(
        st.lists(
            # no bar: "a | " would be a machine, with which its colours stay
            st.tuples(st.sampled_from(list(SGR)), st.text(st.sampled_from('ab é😀"\\\t;\n'), max_size=6)),
            max_size=30,
        )
    )
    def test_each_letter_has_its_style(self, pieces: list[tuple[str, str]]) -> None:
        """Against one letter at a time; each sequence begins anew, so that the truth is simple."""
        text = "".join(f"\x1b[0m\x1b[{code}m{words}" for code, words in pieces)
        expected: list[list[str]] = [[]]
        for code, words in pieces:
            for char in words:
                if char == "\n":
                    expected.append([])
                else:
                    expected[-1] += [SGR[code]] * units(char)
        found = rows(text + "\x1b[0m\n")
        self.assertEqual([line for line, _ in found], "".join(words for _, words in pieces).split("\n"))
        for (line, runs), styles in zip(found, expected, strict=True):
            painted = [""] * units(line)
            for run in runs.split():
                place, _, code = run.partition(":")
                start, length = map(int, place.split("+"))
                painted[start : start + length] = [code] * length
            self.assertEqual(painted, styles)

    @settings(deadline=None)
    @given(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=40), st.integers(1, 80))
    @example(["a" * 700 + "\x1b[31", "m\nb\n"], 1)
    def test_nothing_of_a_sequence_stays(self, pieces: list[str], size: int) -> None:
        text = "".join(pieces)
        found = rows(text)
        for line, runs in found:
            self.assertNotRegex(line, r"[\x00-\x08\x0a-\x1f\x7f]")
            end = 0
            for run in runs.split():
                start, length = map(int, run.partition(":")[0].split("+"))
                self.assertGreaterEqual(start, end)
                self.assertGreater(length, 0)
                end = start + length
            self.assertLessEqual(end, units(line))
        self.assertEqual(rows(text, size), found, "however it comes")
        self.assertNotIn("\x1b", text_runs(text)[0])

    @settings(deadline=None)
    @given(st.text(max_size=100))
    def test_text_without_escapes_stays(self, text: str) -> None:
        clean = text.replace("\x1b", "")
        self.assertEqual(text_runs(clean), (clean, ""))

    def test_time_is_linear(self) -> None:
        for piece in HOSTILE:
            for line in (piece * (100_000 // len(piece)), "\x1b[31m" + piece * (100_000 // len(piece))):
                began = time.process_time()
                rows(f"{line}\n" * 2)
                self.assertLess(time.process_time() - began, 3, repr(piece))
