# SPDX-License-Identifier: Apache-2.0
"""The v2 reader against python-subunit, and where it must be better: damage and stray bytes."""

import random
import time
import zlib
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from stackviz_deployer.parsers import subunit_v2
from stackviz_deployer.parsers.subunit_v2 import V2Reader, contains_packet
from tests.parsers import subunit_oracle as oracle


class Recorder:
    """An EventSink that keeps everything."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.texts: list[tuple[bytes, int]] = []
        self.damages: list[tuple[int, int]] = []

    def event(self, test_id, route, status, time_us, tags, file_name, file_bytes) -> None:  # noqa: PLR0917 - EventSink's
        self.events.append(
            (
                test_id.decode(),
                None if route is None else route.decode(),
                oracle.STATUS_NAMES[status],
                time_us,
                None if tags is None else frozenset(tags),
                None if file_name is None else file_name.decode(),
                file_bytes,
            )
        )

    def text(self, head: bytes, size: int) -> None:
        self.texts.append((head, size))

    def damage(self, offset: int, size: int) -> None:
        self.damages.append((offset, size))


def read(data: bytes, *, cuts: tuple[int, ...] = ()) -> Recorder:
    """Everything the reader tells of ``data``, fed in pieces that end at ``cuts``."""
    recorder = Recorder()
    reader = V2Reader(recorder)
    for begin, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        reader.feed(data[begin:end])
    reader.close()
    return recorder


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
event = st.fixed_dictionaries(
    {"test_id": st.sampled_from(["a", "b.c", "t\u00e4st[id-1]"]) | names},
    optional={
        "test_status": st.sampled_from(oracle.STATUS_NAMES),
        "test_tags": st.sets(names, max_size=3),
        "route_code": st.sampled_from(["0", "1"]) | names,
        # up to a third byte in each number's length
        "timestamp": st.integers(0, 2**32 * 10**6 - 1).map(oracle.moment),
        "runnable": st.booleans(),
    },
)
attached = st.fixed_dictionaries(
    {
        "file_name": st.sampled_from(["traceback", "pythonlogging:''"]) | names,
        "file_bytes": st.binary(max_size=50) | st.integers(0, 40_000).map(bytes),
    },
    # testtools trips over a MIME type with a line feed
    optional={"mime_type": st.sampled_from(['text/plain;charset="utf8"', "image/png"]), "eof": st.booleans()},
)
events = st.lists(st.tuples(event, st.just({}) | attached).map(lambda pair: pair[0] | pair[1]), max_size=30)


class HealthyTests(SynchronousTestCase):
    def check(self, data: bytes, cuts: tuple[int, ...]) -> None:
        recorder = read(data, cuts=cuts)
        self.assertEqual(recorder.events, oracle.events(data))
        self.assertEqual(recorder.damages, [])
        self.assertEqual(recorder.texts, [])

    @settings(deadline=None)
    @given(events, st.data())
    def test_any_events_in_any_pieces(self, sequence: list[dict[str, Any]], data: st.DataObject) -> None:
        stream = oracle.write(sequence)
        cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
        self.check(stream, tuple(sorted(cuts)))

    def test_byte_by_byte(self) -> None:
        data = oracle.read(oracle.FIXTURES / "odd-ids-and-details.subunit")
        recorder = read(data, cuts=tuple(range(1, len(data))))
        self.assertEqual(recorder.events, oracle.events(data))

    def test_fixtures(self) -> None:
        for name in ("last-testtools-2.9.1.subunit.gz", "run-testtools-2.9.1.subunit.gz"):
            data = oracle.read(oracle.FIXTURES / name)
            self.check(data, tuple(range(1000, len(data), 1000)))

    def test_shared(self) -> None:
        paths = [
            path
            for path in sorted(oracle.SHARED.glob("*/subunit/*"))
            if ".v1." not in path.name and not path.name.startswith(("share-", "run-tempest", "text", "disc"))
        ]
        if not paths:
            raise SkipTest("../shared/data is absent")
        for path in paths:
            data = oracle.read(path)
            self.check(data, tuple(range(1 << 18, len(data), 1 << 18)))

    def test_numbers_of_every_length(self) -> None:
        """Lengths at the borders of varints, up to the largest packet that python-subunit writes."""
        for size in (0, 10, 62, 63, 64, 16_300, 16_383, 16_384, 65_536, 4_194_200):
            data = oracle.write([{"test_id": "t", "file_name": "f", "file_bytes": bytes(size)}])
            self.check(data, (len(data) // 2,))

    def test_nanoseconds_are_rounded_like_there(self) -> None:
        # 2001 ns, not a whole number of microseconds, in a packet made by hand
        packet = b"\xb3\x2a\x03\x11" + (7).to_bytes(4, "big") + b"\x47\xd1" + b"\x01t"
        packet = packet[:3] + bytes([len(packet) + 4]) + packet[4:]
        packet += zlib.crc32(packet).to_bytes(4, "big")
        self.check(packet, ())
        self.assertEqual(read(packet).events[0][3], 7_000_002)


def pieces(sequence: list[dict[str, Any]]) -> list[bytes]:
    return [oracle.write([event]) for event in sequence]


def numbered(count: int) -> list[dict[str, Any]]:
    return [
        {
            "test_id": f"t{i}",
            "test_status": "success",
            "timestamp": oracle.moment(i),
            "test_tags": {"worker-0"},
        }
        for i in range(count)
    ]


class DamageTests(SynchronousTestCase):
    def ids(self, recorder: Recorder) -> list[str]:
        return [event[0] for event in recorder.events]

    def test_each_byte_flipped(self) -> None:
        """Whatever byte of a packet breaks, this packet is lost and no other."""
        packets = pieces(numbered(3))
        for at in range(len(packets[1])):
            for flip in (1, 0x80, 0xFF):
                broken = bytearray(packets[1])
                broken[at] ^= flip
                recorder = read(packets[0] + bytes(broken) + packets[2])
                self.assertEqual(self.ids(recorder), ["t0", "t2"])
                self.assertEqual(recorder.damages, [(len(packets[0]), len(packets[1]))])

    def test_cut_anywhere(self) -> None:
        packets = pieces(numbered(2))
        for end in range(1, len(packets[1])):
            recorder = read(packets[0] + packets[1][:end])
            self.assertEqual(self.ids(recorder), ["t0"])
            self.assertEqual(sum(size for _, size in recorder.damages + recorder.texts), end)

    def test_bytes_missing_inside(self) -> None:
        packets = pieces(numbered(3))
        recorder = read(packets[0] + packets[1][:20] + packets[2])
        self.assertEqual(self.ids(recorder), ["t0", "t2"])
        self.assertEqual(recorder.damages, [(len(packets[0]), 20)])

    def test_length_that_claims_megabytes(self) -> None:
        """The packets that it claims are read all the same, also at the end of the stream."""
        packets = pieces(numbered(40))
        lying = b"\xb3\x2a\x83\xbf\xff\xff" + packets[1][6:]
        for cuts in ((), tuple(range(7, 500, 7))):
            recorder = read(packets[0] + lying + b"".join(packets[2:]), cuts=cuts)
            self.assertEqual(self.ids(recorder), ["t0", *(f"t{i}" for i in range(2, 40))])
            self.assertEqual(recorder.damages, [(len(packets[0]), len(lying))])

    def test_stray_text(self) -> None:
        packets = pieces(numbered(4))
        texts = [
            b"a line\nand one more\n",
            "12 m³ of ³\n³ 8³".encode(),
            "caf\u00e9".encode("latin-1"),
        ]
        data = packets[0] + b"".join(text + packet for text, packet in zip(texts, packets[1:], strict=True))
        for cuts in ((), tuple(range(1, len(data)))):
            recorder = read(data, cuts=cuts)
            self.assertEqual(self.ids(recorder), ["t0", "t1", "t2", "t3"])
            self.assertEqual(recorder.texts, [(text, len(text)) for text in texts])
            self.assertEqual(recorder.damages, [])

    def test_text_at_the_end(self) -> None:
        recorder = read(pieces(numbered(1))[0] + b"Killed")
        self.assertEqual(recorder.texts, [(b"Killed", 6)])

    def test_much_text_is_counted_and_not_held(self) -> None:
        recorder = read(b"all is well\n" * 300_000, cuts=tuple(range(65536, 3_600_000, 65536)))
        ((head, size),) = recorder.texts
        self.assertEqual(size, 3_600_000)
        self.assertLessEqual(len(head), 16 << 10)

    def test_attachment_of_no_test_is_text(self) -> None:
        recorder = read(oracle.write([{"file_name": "stdout", "file_bytes": b"hello", "eof": True}]))
        self.assertEqual(recorder.events, [])
        self.assertEqual(recorder.texts, [(b"hello", 5)])

    def test_right_checksum_and_fields_that_do_not_fit(self) -> None:
        good = pieces(numbered(1))[0]
        for flags, body in (
            (0x2803, b"\x3fshort"),  # an id longer than its packet
            (0x2883, b"\x01t\xff\xff\xff\xff"),  # a milliard of tags
            (0x2A03, b"\0"),  # half a time
            (0x2843, b"\x01t\x01f\xff\xff\xff\xff"),  # a file without its bytes
            (0x2C03, b"\x01t\x09r"),  # half a route
        ):
            packet = b"\xb3" + flags.to_bytes(2, "big") + bytes([len(body) + 8]) + body
            packet += zlib.crc32(packet).to_bytes(4, "big")
            recorder = read(good + packet + good)
            self.assertEqual(self.ids(recorder), ["t0", "t0"], hex(flags))
            self.assertEqual(recorder.damages, [(len(good), len(packet))])

    def test_checksums_in_vain_are_bounded(self) -> None:
        """A stream made of packets that all claim 4 MiB does not cost a checksum of 4 MiB each."""
        recorder = Recorder()
        reader = V2Reader(recorder, max_waste_bytes=1 << 20)
        reader.feed(b"\xb3\x20\x00\x80\x80\x00" * 100_000 + pieces(numbered(1))[0])
        reader.close()
        self.assertEqual(len(recorder.damages), 1)
        self.assertEqual(recorder.events, [])  # the budget is spent: given up, and said so

    def test_false_beginnings_are_bounded(self) -> None:
        """Looking at each of them costs time, too: 500 MB of heads took a worker three minutes."""
        for head in (b"\xb3\x20\x00\x00", b"\xb3\x29\x00\xbf\xff\xff"):
            recorder = Recorder()
            reader = V2Reader(recorder, max_waste_bytes=1 << 20)
            chunk = head * 60_000
            began = time.process_time()
            for _ in range(100):
                reader.feed(chunk)
            reader.close()
            self.assertLess(time.process_time() - began, 2.0)  # a moment; 6 s when each is looked at
            self.assertEqual(recorder.damages, [(0, len(chunk) * 100)])

    def test_tags_without_end(self) -> None:
        """A packet of 4 MiB can claim, and have, two million."""

        def tagged(count: int) -> bytes:
            body = b"\x01t" + (count | 0x4000).to_bytes(2, "big") + b"\x01x" * count
            head = b"\xb3\x28\x83" + (len(body) + 10 | 0x800000).to_bytes(3, "big")
            return head + body + zlib.crc32(head + body).to_bytes(4, "big")

        self.assertEqual(len(read(tagged(subunit_v2.MAX_TAGS)).events), 1)
        self.assertEqual(len(read(tagged(subunit_v2.MAX_TAGS + 1)).damages), 1)
        self.patch(subunit_v2, "MAX_ALL_TAGS", 2500)
        recorder = read(tagged(1000) * 5)
        self.assertEqual((len(recorder.events), len(recorder.damages)), (2, 3))

    def test_crumbs_of_a_large_packet_are_put_together_once(self) -> None:
        data = oracle.write([{"test_id": "t", "file_name": "f", "file_bytes": bytes(4_000_000)}])
        recorder = read(data, cuts=tuple(range(50, len(data), 50)))  # 80,000: hours if each copied all
        self.assertEqual(len(recorder.events), 1)

    @settings(deadline=None)
    @given(st.integers(0, 2**32), st.integers(1, 6))
    def test_mutations_never_raise_and_cost_only_what_they_touch(self, seed: int, count: int) -> None:
        r = random.Random(seed)
        packets = pieces(numbered(30))
        hit = set()
        for _ in range(count):
            i = r.randrange(30)
            hit.add(i)
            packet = bytearray(packets[i])
            at = r.randrange(len(packet) + 1)
            kind = r.randrange(3)
            if kind == 0:
                packet[at:at] = r.randbytes(r.randint(1, 40))
            elif kind == 1:
                del packet[at : at + r.randint(1, 40)]
            elif packet:
                packet[at:] = bytes(b ^ r.randrange(256) for b in packet[at:])
            packets[i] = bytes(packet)
        data = b"".join(packets)
        cuts = tuple(sorted(r.randrange(len(data) + 1) for _ in range(5)))
        found = self.ids(read(data, cuts=cuts))
        self.assertEqual(found, [t for t in found if t in {f"t{i}" for i in range(30)}])  # nothing invented
        untouched = [f"t{i}" for i in range(30) if i not in hit]
        self.assertEqual([t for t in found if t in set(untouched)], untouched)

    @given(st.binary(max_size=3000))
    def test_noise(self, data: bytes) -> None:
        recorder = read(data)
        self.assertEqual(sum(size for _, size in recorder.texts + recorder.damages), len(data))


class ContainsPacketTests(SynchronousTestCase):
    def test_both(self) -> None:
        self.assertTrue(contains_packet(b"text \xb3 " + pieces(numbered(1))[0]))
        self.assertFalse(contains_packet(b"time: 2016-01-01 00:00:00Z\ntest: a\n\xb3 "))
        self.assertFalse(contains_packet(Path(__file__).read_bytes()))
