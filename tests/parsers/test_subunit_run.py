# SPDX-License-Identifier: Apache-2.0
"""Events -> tests and details: as python-subunit counts them, within bounds."""

import gzip
import json
from pathlib import Path
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.parsers.blockgzip import BlockGzipWriter
from stackviz_deployer.parsers.subunit_names import Names
from stackviz_deployer.parsers.subunit_run import FINAL, RunLimits, TestRun
from stackviz_deployer.parsers.subunit_v2 import FAIL, IN_PROGRESS, NONE, SKIP, SUCCESS, V2Reader
from tests.parsers import subunit_oracle as oracle
from tests.parsers.test_subunit_v2 import events

LIMITS = RunLimits()


class Made:
    """A run that is fed by hand or by a stream, and what it wrote."""

    def __init__(self, path: str, limits: RunLimits = LIMITS) -> None:
        self.path = path
        self.writer = BlockGzipWriter(path, unit="test")
        self.run = TestRun(self.writer, limits)

    def event(
        self,
        test_id: str,
        status: int = NONE,
        time_us: int | None = None,
        tags: tuple[str, ...] | None = None,
        *,
        file: tuple[str, bytes] | None = None,
        route: bytes | None = None,
    ) -> None:
        name, data = file or (None, b"")
        self.run.event(test_id.encode(), route, status, time_us, tags, name and name.encode(), data)

    def close(self) -> "Made":
        self.run.close()
        self.index_path = self.writer.close()
        return self

    @property
    def text(self) -> str:
        return gzip.decompress(Path(self.path).read_bytes()).decode()

    @property
    def details(self) -> dict[str, dict[str, str]]:
        return json.loads(self.text)


class RunTests(SynchronousTestCase):
    def made(self, limits: RunLimits = LIMITS) -> Made:
        return Made(self.mktemp(), limits)

    @settings(deadline=None)
    @given(events)
    def test_any_events_like_python_subunit(self, sequence: list[dict[str, Any]]) -> None:
        # an "exists" ends a test there; here it says nothing (the truth of data/README.md)
        sequence = [event for event in sequence if event.get("test_status") != "exists"]
        data = oracle.write(sequence)
        made = self.made()
        reader = V2Reader(made.run)
        reader.feed(data)
        reader.close()
        made.close()
        expected = oracle.tests(data)
        finished = [test for test in expected if test["status"] not in ("inprogress", "unknown")]
        unfinished = [test for test in expected if test["status"] in ("inprogress", "unknown")][::-1]
        names = Names()
        self.assertEqual(
            [
                (t.name, t.status, sorted(set(t.tags)), t.end_us, t.mark)
                for t in made.run.tests[: len(finished)]
            ],
            [
                (
                    names.take(test["id"]),
                    FINAL[oracle.STATUS_NAMES.index(test["status"])],
                    sorted(test["tags"]),
                    test["timestamps"][1],
                    "xfail" if test["status"] == "xfail" else None,
                )
                for test in finished
            ],
        )
        self.assertEqual(
            [(t.name, t.status, t.mark) for t in made.run.tests[len(finished) :]],
            [(names.take(test["id"]), "fail", "unfinished") for test in unfinished],
        )
        for mine, test in zip(made.run.tests, finished + unfinished, strict=True):
            if test["timestamps"][0] is not None:  # else we take the first that there is
                self.assertEqual(mine.start_us, test["timestamps"][0])
            texts = made.details.get(mine.name, {})
            self.assertEqual(
                sum(map(len, texts.values())),
                sum(len(str(data, "utf-8", "replace")) for data in test["details"].values()),
            )

    def test_details_lines(self) -> None:
        made = self.made()
        made.event("a[id-1]", IN_PROGRESS, 5_000)
        made.event("b", IN_PROGRESS, 6_000)
        made.event("a[id-1]", file=("pythonlogging:''", b"one\n"))
        made.event("a[id-1]", file=("pythonlogging:''", b"two\n"))
        made.event("a[id-1]", file=("stdout", b""))
        made.event("a[id-1]", SUCCESS, 7_000)
        made.event("b", SUCCESS, 7_000)
        made.event("c", file=("traceback", b'\xff"x\n'), time_us=9_000)
        made.event("c", FAIL, 9_000)
        made.close()
        self.assertEqual(
            made.text, '{\n"a":{"pythonlogging":"one\\ntwo\\n"},\n"c":{"traceback":"\ufffd\\"x\\n"}\n}\n'
        )
        blocks = json.loads(gzip.decompress(Path(made.index_path).read_bytes()))["blocks"]
        self.assertEqual([block[4:] for block in blocks], [[0, 5]])

    def test_blocks_begin_at_a_test(self) -> None:
        made = self.made()
        for i in range(30):
            made.event(f"t{i}", IN_PROGRESS, i * 1_000_000)
            if i % 3:
                made.event(f"t{i}", file=("log", b"x" * 10_000))
            made.event(f"t{i}", SUCCESS, i * 1_000_000)
        made.close()
        text = made.text
        index = json.loads(gzip.decompress(Path(made.index_path).read_bytes()))
        self.assertGreater(len(index["blocks"]), 2)
        at = 0
        for _, _, size, _, first, first_ms in index["blocks"]:
            lines = text[at : at + size].splitlines()
            line = lines[1] if at == 0 else lines[0]
            self.assertTrue(line.startswith(f'"t{first}":'))
            self.assertEqual(first_ms, first * 1000)
            at += size

    def test_no_details(self) -> None:
        made = self.made()
        made.event("a", SUCCESS, 1)
        self.assertEqual(made.close().details, {})

    def test_notes(self) -> None:
        made = self.made()
        for name, status, files in (
            ("plain", FAIL, {"traceback": b"Traceback:\n  File\nValueError: x\n\n"}),
            ("details", FAIL, {"traceback-1": b"T\nTimeout: y\nDetails: z"}),
            ("same", FAIL, {"traceback": b"Details\nDetails"}),
            ("none", FAIL, {"stdout": b"x"}),
            ("skipped", SKIP, {"reason": b" why not\n"}),
            ("silent", SKIP, {}),
            ("fine", SUCCESS, {"traceback": b"expected"}),
            ("long", FAIL, {"traceback": b"x" * 5000}),
        ):
            for file in files.items():
                made.event(name, file=file)
            made.event(name, status, 1)
        self.assertEqual(
            [test.notes for test in made.run.tests],
            [
                ("ValueError: x",),
                ("Timeout: y", "Details: z"),
                ("Details",),
                None,
                ("why not",),
                None,
                None,
                ("x" * 1000,),
            ],
        )

    def test_keys(self) -> None:
        made = self.made()
        for name in ("a-b", "a.b", ":", "k" * 300):
            made.event("t", file=(name, b"1"))
        made.event("t", SUCCESS, 1)
        self.assertEqual(made.close().details, {"t": {"ab": "11", "attachment": "1", "k" * 100: "1"}})

    def test_same_id_on_two_routes(self) -> None:
        made = self.made()
        made.event("t", IN_PROGRESS, 1, route=b"0")
        made.event("t", IN_PROGRESS, 2, route=b"1")
        made.event("t", SUCCESS, 3, route=b"1")
        made.event("t", FAIL, 4, route=b"0")
        self.assertEqual(
            [(t.name, t.status, t.start_us) for t in made.run.tests],
            [("t", "success", 2), ("t (2)", "fail", 1)],
        )

    def test_unfinished(self) -> None:
        made = self.made()
        made.event("hung", IN_PROGRESS, 1)
        made.event("hung", file=("log", b"last words"))
        made.event("timeless", IN_PROGRESS)
        made.event("other", SUCCESS, 99)
        made.close()
        self.assertEqual(
            [(t.name, t.status, t.start_us, t.end_us, t.mark) for t in made.run.tests],
            [
                ("other", "success", 99, 99, None),
                ("hung", "fail", 1, 99, "unfinished"),
                ("timeless", "fail", None, None, "unfinished"),
            ],
        )
        self.assertEqual(made.details, {"hung": {"log": "last words"}})
        self.assertEqual([t.notes for t in made.run.tests], [None, ("last words",), None])
        self.assertIn("2 tests were not finished", made.run.warnings()[0])


class BoundTests(SynchronousTestCase):
    def made(self, **limits: int) -> Made:
        return Made(self.mktemp(), evolve(LIMITS, **limits))

    def test_bytes_of_one_test(self) -> None:
        made = self.made(test_bytes=10)
        made.event("t", file=("log", b"12345678"))
        made.event("t", file=("log", b"90abc"))
        made.event("t", file=("log", b"def"))
        made.event("t", SUCCESS, 1)
        made.event("u", file=("log", b"0123456789"))
        made.event("u", SUCCESS, 1)
        self.assertEqual(made.close().details, {"t": {"log": "1234567890"}, "u": {"log": "0123456789"}})
        self.assertEqual(made.run.warnings(), ["Attachments of 1 test were cut: 6 bytes were left out."])

    def test_bytes_of_all_open_tests(self) -> None:
        made = self.made(held_bytes=10)
        made.event("t", file=("log", b"123456"))
        made.event("u", file=("log", b"123456"))
        made.event("t", SUCCESS, 1)
        made.event("v", file=("log", b"123456"))  # there is room again
        made.close()
        self.assertEqual([len(d["log"]) for d in made.details.values()], [6, 4, 6])

    def test_attachments_of_one_test(self) -> None:
        made = self.made(attachments=2)
        for name in "abca":
            made.event("t", file=(name, b"x"))
        self.assertEqual(made.close().details, {"t": {"a": "xx", "b": "x"}})

    def test_tests(self) -> None:
        made = self.made(tests=2)
        for name in "abc":
            made.event(name, SUCCESS, 1)
        made.close()
        self.assertEqual([test.name for test in made.run.tests], ["a", "b"])
        self.assertIn("1 events were left out", made.run.warnings()[0])

    def test_open_tests(self) -> None:
        made = self.made(open_tests=1)
        made.event("a", IN_PROGRESS, 1)
        made.event("b", IN_PROGRESS, 1)
        made.event("a", SUCCESS, 1)
        made.event("c", SUCCESS, 1)
        made.close()
        self.assertEqual([test.name for test in made.run.tests], ["a", "c"])

    def test_tags(self) -> None:
        made = self.made(tags=2, tag_chars=3)
        made.event("a", SUCCESS, 1, ("long", "b", "c"))
        self.assertEqual(made.run.tests[0].tags, ("lon", "b"))

    def test_text(self) -> None:
        made = self.made(text_bytes=5)
        made.run.text(b"\nabcdefgh", 9)
        self.assertEqual(made.run.found_text(), "\nabcd…")
        made.event("t", SUCCESS, 1)
        self.assertEqual(
            made.run.warnings(),
            ["1 stretch of text between the packets (9 bytes) belong to no test; the first line is: abcd…"],
        )

    def test_damages_that_are_listed(self) -> None:
        made = self.made()
        for i in range(25):
            made.run.damage(i * 100, 7)
        warnings = made.run.warnings()
        self.assertEqual(len(warnings), 21)
        self.assertIn("damaged at byte 0: 7 bytes", warnings[0])
        self.assertIn("5 more damaged places follow; 175 bytes", warnings[-1])
