# SPDX-License-Identifier: Apache-2.0
"""Block gzip files are gzip files, and so is every run of their blocks."""

import gzip
import json
import zlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.parsers.blockgzip import FINAL_BLOCK, HEADER, BlockGzipWriter, write_gzip


def span(raw: bytes, blocks: list[list[int]]) -> bytes:
    """What the store sends for these neighbouring blocks."""
    offset, end = blocks[0][0], blocks[-1][0] + blocks[-1][1]
    data = zlib.decompressobj(-15).decompress(raw[offset:end] + FINAL_BLOCK)
    trailer = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return gzip.decompress(HEADER + raw[offset:end] + FINAL_BLOCK + trailer)


class WriteGzipTests(SynchronousTestCase):
    def test_round_trip_and_determinism(self) -> None:
        one, two = self.mktemp(), self.mktemp()
        data = b"text " * 10_000
        write_gzip(one, data)
        write_gzip(two, data)
        raw = Path(one).read_bytes()
        self.assertEqual(gzip.decompress(raw), data)
        self.assertEqual(raw, Path(two).read_bytes())
        self.assertEqual(raw[4:8], b"\0\0\0\0")  # no time of day in a file that is named by its hash


class BlockGzipTests(SynchronousTestCase):
    def write(self, lines: list[bytes], block_bytes: int = 65536, **extra: object) -> tuple[bytes, dict]:
        path = self.mktemp()
        with BlockGzipWriter(path, unit="line", block_bytes=block_bytes) as writer:
            for i, line in enumerate(lines):
                writer.border(i, i * 1000 if i % 2 == 0 else None)
                writer.write(line)
            index_path = writer.close(extra)
        self.assertEqual(index_path, path + ".blocks")
        return Path(path).read_bytes(), json.loads(gzip.decompress(Path(index_path).read_bytes()))

    def check(self, lines: list[bytes], block_bytes: int) -> dict:
        raw, index = self.write(lines, block_bytes)
        text = b"".join(lines)
        self.assertEqual(gzip.decompress(raw), text)
        self.assertEqual(index["plain_size"], len(text))
        at = 0
        place = len(HEADER)
        for block in index["blocks"]:
            offset, size, plain_size, crc, first, first_ms = block
            self.assertEqual(offset, place)  # no gap, so that any run of blocks is one slice
            place += size
            plain = span(raw, [block])
            self.assertEqual(plain, text[at : at + plain_size])
            self.assertEqual(zlib.crc32(plain), crc)
            self.assertEqual(at, sum(map(len, lines[:first])))
            self.assertEqual(first_ms, first * 1000 if first % 2 == 0 else None)
            at += plain_size
        self.assertEqual(at, len(text))
        self.assertEqual(place + len(FINAL_BLOCK) + 8, len(raw))
        if len(index["blocks"]) > 2:
            first = index["blocks"][0][2]
            self.assertEqual(span(raw, index["blocks"][1:]), text[first:])
        return index

    @given(st.lists(st.binary(min_size=1, max_size=300), max_size=40), st.integers(1, 2000))
    def test_any_lines(self, lines: list[bytes], block_bytes: int) -> None:
        self.check(lines, block_bytes)

    def test_large_and_repetitive(self) -> None:
        """What full flushes must forget: text that repeats across blocks."""
        index = self.check([b"the same line again and again\n"] * 30_000, 65536)
        self.assertEqual(len(index["blocks"]), 14)

    def test_incompressible(self) -> None:
        import random

        lines = [random.Random(i).randbytes(9000) for i in range(100)]
        self.check(lines, 65536)

    def test_block_ends_at_a_border_only(self) -> None:
        index = self.check([b"x" * 200_000, b"y", b"z"], 65536)
        self.assertEqual([b[2] for b in index["blocks"]], [200_000, 2])

    def test_header_text_belongs_to_the_first_test(self) -> None:
        path = self.mktemp()
        with BlockGzipWriter(path, unit="test") as writer:
            writer.write(b"{\n")
            writer.border(7, 5)
            writer.write(b'"a":{}\n}\n')
            index = json.loads(gzip.decompress(Path(writer.close()).read_bytes()))
        self.assertEqual(index["unit"], "test")
        self.assertEqual(index["blocks"][0][4:], [7, 5])
        self.assertEqual(len(index["blocks"]), 1)

    def test_empty(self) -> None:
        raw, index = self.write([])
        self.assertEqual(gzip.decompress(raw), b"")
        self.assertEqual(index, {"version": 1, "unit": "line", "plain_size": 0, "blocks": []})

    def test_extra(self) -> None:
        _, index = self.write([b"a"], status="FAILURE")
        self.assertEqual(index["status"], "FAILURE")

    def test_deterministic(self) -> None:
        lines = [b"some text %d\n" % i for i in range(9000)]
        self.assertEqual(self.write(lines)[0], self.write(lines)[0])
