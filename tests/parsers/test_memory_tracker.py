# SPDX-License-Identifier: Apache-2.0
"""parsers.memory_tracker: what DevStack's tool writes, as memory in the form of dstat."""

import contextlib
import csv
import gzip
import io
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.parsers import memory_tracker

RECORDING = Path(__file__).resolve().parent.parent / "fixtures" / "dstat" / "screen-memory_tracker.txt"
NOON_MS = 1_464_782_400_000  # 2016-06-01 12:00 UTC

MEMINFO = """MemTotal:        8000000 kB
MemFree:         {free} kB
MemAvailable:    5000000 kB
Buffers:          100000 kB
Cached:          2000000 kB
SwapCached:            0 kB
Unevictable:           0 kB
SwapTotal:        500000 kB
SwapFree:         400000 kB
Shmem:             50000 kB
SReclaimable:     250000 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
"""
PROCESSES = """       PID   %MEM             RSS       PPID       TIME     NLWP WCHAN    ARGS
      4242    9.1          745000          1   00:01:02       12 -        /usr/sbin/mysqld [[[
      4243    1.0           82000       4242   00:00:09        1 -        tell MemFree: 17 kB
"""


def block(date: str = "Wed Jun  1 12:00:00 UTC 2016", free: int = 4000000) -> str:
    return (
        f"[[[\n{date}\n---\nmemory_tracker low_point: 5000000\n---\n{MEMINFO.format(free=free)}---\n"
        f"{PROCESSES}---\n]]]\n"
    )


LOCKED = "[[[\nWed Jun  1 12:00:10 UTC 2016\n---\nPID Name VmLck\n4242 mysqld 12 kB\n]]]\n"
"""Of a moment when more memory was locked, but no less was available."""


def journal(text: str) -> str:
    """As ``journalctl -o short-precise`` exports it."""
    lines = text.splitlines()
    return "-- Logs begin at Wed 2016-06-01 11:00:00 UTC. --\n" + "".join(
        f"Jun 01 12:00:00.{number:06} node-1.example memory_tracker.sh[4711]: {line}\n"
        for number, line in enumerate(lines)
    )


def parse(data: str | bytes, max_bytes: int = 1 << 24, **options: Any) -> tuple[ParseResult, str | None]:
    """The result, and the text of the artifact."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "input")
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        source = InputFile(path=str(path), name="logs/screen-memory_tracker.txt")
        request = ParseRequest(
            parser="memory_tracker", inputs=(source,), out_dir=directory, max_bytes=max_bytes, options=options
        )
        result = memory_tracker.parse(request)
        if not result.artifacts:
            return result, None
        return result, gzip.decompress(Path(result.artifacts[0].path).read_bytes()).decode("ascii")


class MemoryTrackerTests(SynchronousTestCase):
    def times(self, data: str | bytes, **options: Any) -> list[str]:
        _, text = parse(data, **options)
        assert text is not None
        return [row[0] for row in csv.reader(io.StringIO(text))][6:]

    def test_blocks(self) -> None:
        result, text = parse(block() + LOCKED + block("Wed Jun  1 12:00:20 UTC 2016", free=3000000))
        assert text is not None
        rows = list(csv.reader(io.StringIO(text)))
        self.assertEqual(rows[0], ["Dstat memory_tracker CSV output"])
        self.assertEqual(rows[4], ["system", "memory usage", "", "", "", "", "swap", ""])
        self.assertEqual(rows[5], ["time", "used", "free", "buff", "cach", "avai", "used", "free"])
        kib = [8000000 - 4000000 - 100000 - 2000000 - 250000 + 50000, 4000000, 100000, 2000000]
        kib += [5000000, 100000, 400000]
        self.assertEqual(rows[6], ["01-06 12:00:00", *(str(number * 1024) for number in kib)])
        self.assertEqual((rows[7][0], rows[7][2]), ("01-06 12:00:20", str(3000000 * 1024)))
        self.assertEqual(len(rows), 8)
        (artifact,) = result.artifacts
        self.assertEqual((artifact.artifact_type, artifact.primary), ("dstat", False))
        self.assertEqual(artifact.artifact_name, "screen-memory_tracker.txt")
        self.assertEqual((artifact.meta["start_ms"], artifact.meta["end_ms"]), (NOON_MS, NOON_MS + 20_000))
        (warning,) = result.warnings
        self.assertIn("memory alone", warning)
        self.assertFalse(result.by_reference)

    def test_recording(self) -> None:
        """A machine of 24,682,416 kB, two seconds apart."""
        for form in (str, journal):
            result, text = parse(form(RECORDING.read_text()))
            assert text is not None
            rows = [[int(cell) for cell in row[1:]] for row in list(csv.reader(io.StringIO(text)))[6:]]
            self.assertEqual(result.artifacts[0].meta["rows"], 3)
            self.assertEqual(result.artifacts[0].meta["start_ms"], 1_795_358_719_000)
            for used, free, buff, cach, available, _, _ in rows:
                self.assertTrue(23.5e9 < used + free + buff + cach < 24_682_416 * 1024)
                self.assertTrue(free < available < free + buff + cach + 1e9)

    def test_journal_export(self) -> None:
        text = block() + LOCKED + block("Wed Jun  1 12:00:20 UTC 2016")
        self.assertEqual(self.times(journal(text)), ["01-06 12:00:00", "01-06 12:00:20"])
        _, made = parse(journal(text))
        assert made is not None
        self.assertIn('"Host:","node-1.example"', made)
        stamped = "".join(f"2016-06-01 12:00:00.123 | {line}\n" for line in text.splitlines())
        self.assertEqual(self.times(stamped), ["01-06 12:00:00", "01-06 12:00:20"])

    def test_forms_of_date(self) -> None:
        for date, time in (
            ("Wed Jun 11 09:08:07 UTC 2016", "11-06 09:08:07"),
            ("Wed 01 Jun 2016 01:02:03 PM UTC", "01-06 13:02:03"),
            ("Wed Jun  1 12:02:03 AM UTC 2016", "01-06 00:02:03"),
            ("Wed Jun  1 12:00:00 CEST 2016", "01-06 10:00:00"),
            ("Wed Jun  1 12:00:00 +03 2016", "01-06 09:00:00"),
        ):
            self.assertEqual(self.times(block(date)), [time])

    def test_zone_with_two_meanings(self) -> None:
        text = block("Wed Jun  1 12:00:00 CST 2016")
        result, _ = parse(text, reference_ms=NOON_MS - 8 * 3600_000)
        self.assertEqual(result.artifacts[0].meta["start_ms"], NOON_MS - 8 * 3600_000)
        self.assertTrue(result.by_reference)

    def test_unknown_is_left_out(self) -> None:
        """Linux before 3.14 knows no MemAvailable; a gap would end StackViz's line."""
        old = (
            "\n".join(line for line in block().splitlines() if not line.startswith(("MemAv", "Swap"))) + "\n"
        )
        _, text = parse(block() + old)
        assert text is not None
        self.assertEqual(text.splitlines()[5], '"time","used","free","buff","cach"')
        self.assertEqual({line.count(",") for line in text.splitlines()[5:]}, {4})

    def test_torn(self) -> None:
        """Every place where it may have been killed: whole blocks stay, and half a one is no row."""
        text = block() + block("Wed Jun  1 12:00:20 UTC 2016")
        complete = text.index("---\n", text.rindex("MemTotal")) + len("---\n")
        for cut in range(len(block()), len(text), 7):
            times = self.times(text[:cut])
            self.assertEqual(times[0], "01-06 12:00:00")
            self.assertEqual(len(times), 2 if cut >= complete else 1)

    def test_damaged_blocks(self) -> None:
        text = block("no date") + block() + block().replace("MemTotal", "Mem")
        result, _ = parse(text)
        self.assertEqual(result.artifacts[0].meta["rows"], 1)
        self.assertIn("2 damaged blocks", result.warnings[0])

    def test_clock_goes_back(self) -> None:
        text = block("Wed Jun  1 12:00:20 UTC 2016") + block()
        self.assertEqual(self.times(text), ["01-06 12:00:00", "01-06 12:00:20"])

    def test_no_memory(self) -> None:
        result, text = parse(LOCKED)
        self.assertIsNone(text)
        self.assertIn("tells of no memory", result.warnings[0])

    def test_something_else(self) -> None:
        for text in ("", "hello\n", PROCESSES, "<html>\n"):
            error = self.assertRaises(ParseError, parse, text)
            self.assertIn("logs/screen-memory_tracker.txt", error.message)

    def test_bounds(self) -> None:
        self.patch(memory_tracker, "MAX_BLOCKS", 2)
        result, _ = parse(block() * 5)
        self.assertEqual(result.artifacts[0].meta["rows"], 2)
        self.assertIn("first 2 blocks", result.warnings[0])
        self.assertRaises(TooLargeError, parse, block(), max_bytes=100)

    @settings(deadline=None)
    @given(st.data())
    def test_mutations(self, data: st.DataObject) -> None:
        whole = data.draw(st.integers(1, 3))
        form = data.draw(st.sampled_from((str, journal)))
        before = form(block() * whole).encode()
        after = bytearray(form(RECORDING.read_text() + LOCKED + block()).encode())
        for _ in range(data.draw(st.integers(1, 6))):
            at = data.draw(st.integers(0, len(after)))
            end = at + data.draw(st.integers(0, 40))
            after[at:end] = data.draw(
                st.binary(max_size=30) | st.sampled_from([b"[[[\n", b"]]]\n", b"\n", b" kB", b"\0"])
            )
        result, text = parse(before + bytes(after))
        assert text is not None
        rows = list(csv.reader(io.StringIO(text)))
        self.assertGreaterEqual(len(rows) - 6, whole)
        self.assertEqual({len(row) for row in rows[5:]}, {len(rows[5])})
        self.assertEqual(len(rows) - 6, result.artifacts[0].meta["rows"])
        for row in rows[6:]:
            self.assertTrue(all(int(cell) >= 0 for cell in row[1:]))
            self.assertRegex(row[0], r"^\d\d-\d\d \d\d:\d\d:\d\d$")

    @settings(deadline=None)
    @given(st.binary(max_size=300))
    def test_noise(self, noise: bytes) -> None:
        with contextlib.suppress(ParseError):
            parse(noise)
        parse(b"[[[\n" + noise)
