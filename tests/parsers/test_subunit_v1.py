# SPDX-License-Identifier: Apache-2.0
"""Subunit v1 goes through python-subunit; what we add is bounds and patience with damage."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from stackviz_deployer.parsers import subunit_v1
from stackviz_deployer.parsers.subunit_v1 import read_v1
from tests.parsers import subunit_oracle as oracle
from tests.parsers.test_subunit_v2 import Recorder

STREAM = (
    b"time: 2016-06-01 12:00:00.000000Z\n"
    b"tags: worker-1\n"
    b"test: a.b\n"
    b"time: 2016-06-01 12:00:01.500000Z\n"
    b"success: a.b [ multipart\n"
    b"Content-Type: text/plain;charset=utf8\n"
    b"log\n"
    b"5\r\nhello0\r\n"
    b"]\n"
    b"test: c\n"
    b"failure: c [\n"
    b"Traceback\n"
    b"]\n"
)


def read(data: bytes, step: int = 1 << 16) -> tuple[Recorder, list[str]]:
    recorder = Recorder()
    said = read_v1((data[i : i + step] for i in range(0, len(data), step)), recorder)
    return recorder, said


class V1Tests(SynchronousTestCase):
    def finals(self, recorder: Recorder) -> list[tuple[Any, Any]]:
        return [(e[0], e[2]) for e in recorder.events if e[2] not in (None, "inprogress")]

    def test_stream(self) -> None:
        for step in (1, 7, 1000):
            recorder, said = read(STREAM, step)
            self.assertEqual(said, [])
            self.assertEqual(recorder.events, oracle.events(STREAM))
            self.assertEqual(self.finals(recorder), [("a.b", "success"), ("c", "fail")])

    def test_fixture_and_shared(self) -> None:
        paths = [oracle.FIXTURES / "ondisk-testtools-2.9.1.v1.subunit.gz"]
        paths += sorted(oracle.SHARED.glob("*/subunit/*.v1.*"))
        for path in paths:
            data = oracle.read(path)
            recorder, said = read(data)
            self.assertEqual(said, [])
            self.assertEqual(recorder.events, oracle.events(data), path.name)
        if len(paths) == 1:
            raise SkipTest("../shared/data is absent")

    def test_cut_off_test_stays_open(self) -> None:
        """python-subunit would call it an error: "lost connection"."""
        recorder, said = read(STREAM[: STREAM.index(b"failure: c")])
        self.assertEqual(said, [])
        self.assertEqual(self.finals(recorder), [("a.b", "success")])
        self.assertEqual(recorder.events[-2][:3], ("c", None, "inprogress"))
        self.assertEqual(recorder.events[-1][:5], ("c", None, None, None, frozenset({"worker-1"})))

    def said_last(self, end: bytes) -> dict[str, bytes]:
        recorder, said = read(STREAM + b"test: t\n" + end)
        self.assertEqual(said, [])
        self.assertEqual(self.finals(recorder), [("a.b", "success"), ("c", "fail")])
        begin = max(i for i, event in enumerate(recorder.events) if event[2] == "inprogress")
        self.assertEqual({event[0] for event in recorder.events[begin:]}, {"t"})
        return {event[5]: event[6] for event in recorder.events[begin + 1 :] if event[5]}

    def test_cut_off_in_its_details(self) -> None:
        """What it said until then is what one looks for in a job that timed out."""
        self.assertEqual(self.said_last(b"failure: t [\none\n ]two\nthr"), {"traceback": b"one\n]two\nthr"})
        parts = b"failure: t [ multipart\nContent-Type: text/plain\nlog\n5\r\nhello0\r\n"
        self.assertEqual(self.said_last(parts), {"log": b"hello"})
        self.assertEqual(
            self.said_last(parts + b"Content-Type: text/plain\ntraceback\n9\r\none\ntwo\n"),
            {"log": b"hello", "traceback": b"one\ntwo\n"},
        )
        self.assertEqual(self.said_last(b"failure: t [ multipart\nContent-Type: text/pl"), {})
        self.assertEqual(
            self.said_last(b"failure: t [ multipart\nContent-Type: text/plain\nlog\n")["log"], b""
        )

    def test_files_that_were_cut_and_put_together(self) -> None:
        cut = STREAM[: STREAM.index(b"time", 10)]  # a.b has begun
        other = STREAM.replace(b"worker-1", b"worker-2").replace(b"a.b", b"d.e")
        recorder, said = read(cut + other)
        self.assertEqual(said, [])
        self.assertEqual(self.finals(recorder), [("d.e", "success"), ("c", "fail")])
        ends = [event for event in recorder.events if event[2] in ("success", "fail")]
        self.assertEqual([event[4] for event in ends], [frozenset({"worker-2"})] * 2)

    def test_a_test_that_prints_one(self) -> None:
        printed = STREAM.replace(b"test: a.b\n", b"test: a.b\ntest: of mine\n")
        recorder, _ = read(printed)
        self.assertEqual(self.finals(recorder), [("a.b", "success"), ("c", "fail")])

    def test_any_cut_keeps_what_was_whole(self) -> None:
        for cut in range(len(STREAM), 2 * len(STREAM)):
            recorder, _ = read((STREAM * 2)[:cut])
            self.assertEqual(self.finals(recorder)[:2], [("a.b", "success"), ("c", "fail")])

    def test_stray_text(self) -> None:
        recorder, _ = read(STREAM.replace(b"test: c\n", b"warning\n\ntest: c\n"))
        self.assertEqual([head for head, _ in recorder.texts], [b"warning\n", b"\n"])
        self.assertEqual(len(self.finals(recorder)), 2)

    def test_damage(self) -> None:
        """What makes python-subunit raise costs its test and no other."""
        for bad in (
            b"time: yesterday\n",
            b"test: \xff\xff\n",
            b"test: x\nsuccess: x [ multipart\nContent-Type: text/plain\nlog\nzz\r\n]\n",
        ):
            recorder, said = read(STREAM + bad + STREAM)
            self.assertIn("damaged near byte", "".join(said), bad)
            finals = [pair for pair in self.finals(recorder) if pair[0] != "x"]
            self.assertEqual(finals, [("a.b", "success"), ("c", "fail")] * 2)

    def test_stream_without_times(self) -> None:
        recorder, _ = read(b"test: a\nsuccess: a\n")
        self.assertEqual(
            [event[:4] for event in recorder.events],
            [("a", None, "inprogress", None), ("a", None, "success", None)],
        )

    def test_simple_details_given_in_pieces(self) -> None:
        """Quoted brackets come out as they went in, wherever the pieces end."""
        body = b" ]quoted\n ]\nplain ]\n\n" + b"".join(b" ]%d\n%d\n" % (i, i) for i in range(20_000))
        data = STREAM + b"test: t\nerror: t [\n" + body + b"]\n" + STREAM
        recorder, said = read(data)
        self.assertEqual(said, [])
        self.assertEqual(recorder.events, oracle.events(data))

    def test_long_lines(self) -> None:
        recorder, _ = read(b"x" * (3 << 20) + b"\n" + STREAM)
        self.assertLessEqual(max(size for _, size in recorder.texts), (1 << 20) + (1 << 16))
        self.assertEqual(len(self.finals(recorder)), 2)

    def test_endless_test(self) -> None:
        """python-subunit holds a test's details until it ends."""
        limit = subunit_v1.MAX_TEST_BYTES
        begin = b"test: big\nfailure: big [\n"
        lines = b"y" * 99 + b"\n"
        lines *= limit // len(lines) + 2
        recorder, said = read(STREAM + begin + lines + b"]\n" + STREAM)
        self.assertIn("one test says more than", said[0])
        self.assertEqual(self.finals(recorder), [("a.b", "success"), ("c", "fail")] * 2)

    @settings(deadline=None)
    @given(st.integers(0, 2**32))
    def test_mutations_never_raise(self, seed: int) -> None:
        r = random.Random(seed)
        data = bytearray(STREAM * 4)
        for _ in range(r.randint(1, 8)):
            at = r.randrange(len(data))
            data[at : at + r.randrange(3)] = r.randbytes(r.randrange(3))
        read(bytes(data), r.randint(1, 200))
