# SPDX-License-Identifier: Apache-2.0
"""Decoding by magic bytes, bounded, and what becomes of damaged files."""

import bz2
import gzip
import io
import lzma
import random
import zlib
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.parsers.decode import CHUNK_BYTES, Decoder

TEXT = b"".join(b"%d: a line of a log\n" % i for i in range(60_000))
CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


class DecoderTests(SynchronousTestCase):
    def decoder(self, data: bytes, max_bytes: int = 1 << 30) -> Decoder:
        path = Path(self.mktemp())
        path.write_bytes(data)
        return Decoder(str(path), name="logs/file", max_bytes=max_bytes)

    def decode(self, data: bytes) -> tuple[bytes, list[str]]:
        decoder = self.decoder(data)
        chunks = list(decoder)
        self.assertTrue(all(0 < len(c) <= CHUNK_BYTES for c in chunks))
        out = b"".join(chunks)
        self.assertEqual(decoder.decoded_bytes, len(out))
        return out, decoder.warnings

    def test_plain(self) -> None:
        for data in (b"", b"x", TEXT, b"\x1f\x8b", b"BZh9 is how it begins"):
            self.assertEqual(self.decode(data), (data, []))

    def test_each_codec(self) -> None:
        for name, compress in CODECS.items():
            for data in (b"", b"x", TEXT):
                self.assertEqual(self.decode(compress(data)), (data, []), name)

    def test_members_and_padding(self) -> None:
        for name, compress in CODECS.items():
            data = compress(b"one ") + compress(b"") + compress(TEXT) + b"\0" * 512
            self.assertEqual(self.decode(data), (b"one " + TEXT, []), name)

    def test_nested_once_and_no_further(self) -> None:
        for inner in CODECS.values():
            for outer in CODECS.values():
                self.assertEqual(self.decode(outer(inner(TEXT))), (TEXT, []))
        thrice = gzip.compress(gzip.compress(gzip.compress(TEXT)))
        self.assertEqual(self.decode(thrice), (gzip.compress(TEXT), []))

    def test_gzip_header_fields(self) -> None:
        """Extra field, name, comment and header checksum, as RFC 1952 allows them."""
        body = gzip.compress(TEXT)[10:]
        extra = (70).to_bytes(2, "little") + b"e" * 70
        header = b"\x1f\x8b\x08\x1f" + b"\0" * 6 + extra + b"name\0" + b"comment\0"
        data = header + (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little") + body
        self.assertEqual(self.decode(data), (TEXT, []))
        buffer = io.BytesIO()
        with gzip.GzipFile("testrepository.subunit", "wb", fileobj=buffer) as file:
            file.write(TEXT)
        self.assertEqual(self.decode(buffer.getvalue()), (TEXT, []))

    def test_endless_gzip_header(self) -> None:
        out, warnings = self.decode(b"\x1f\x8b\x08\x08" + b"\0" * 6 + b"n" * 200_000)
        self.assertEqual(out, b"")
        self.assertIn("damaged", warnings[0])

    def test_torn(self) -> None:
        """All that is there, then a sentence."""
        for name, compress in CODECS.items():
            data = compress(TEXT * 3)
            out, warnings = self.decode(data[: len(data) * 2 // 3])
            self.assertTrue((TEXT * 3).startswith(out), name)
            self.assertGreater(len(out), 0, name)
            self.assertEqual(warnings, [f"logs/file: the {name} data ends early; the rest is missing."])
        data = gzip.compress(TEXT)
        for end in (len(data) - 1, len(data) - 7, len(data) - 8):
            out, warnings = self.decode(data[:end])
            self.assertEqual(len(warnings), 1)
            self.assertEqual(out, TEXT)

    def test_torn_header(self) -> None:
        out, warnings = self.decode(gzip.compress(TEXT)[:9])
        self.assertEqual(out, b"")
        self.assertEqual(len(warnings), 1)

    def test_wrong_checksum_loses_nothing(self) -> None:
        data = bytearray(gzip.compress(TEXT))
        data[-6] ^= 1
        out, warnings = self.decode(bytes(data))
        self.assertEqual(out, TEXT)
        self.assertIn("wrong checksum", warnings[0])

    def test_trailing_text(self) -> None:
        for tail in (b"Killed\n", b"and some more text than a magic"):
            out, warnings = self.decode(gzip.compress(TEXT) + tail)
            self.assertEqual(out, TEXT)
            self.assertEqual(warnings, ["logs/file: bytes after the end of the gzip data were left out."])

    def test_limit_on_both_sides(self) -> None:
        for compress in (bytes, *CODECS.values(), lambda d: gzip.compress(gzip.compress(d))):
            data = compress(TEXT)
            self.assertEqual(b"".join(self.decoder(data, len(TEXT))), TEXT)
            with self.assertRaises(TooLargeError) as caught:
                list(self.decoder(data, len(TEXT) - 1))
            self.assertIn("logs/file", caught.exception.message)

    def test_bomb_stops_at_the_limit(self) -> None:
        decoder = self.decoder(gzip.compress(gzip.compress(bytes(1 << 25))), 1 << 20)
        self.assertRaises(TooLargeError, list, decoder)
        self.assertLessEqual(decoder.decoded_bytes, 1 << 20)

    def test_bomb_in_the_outer_layer(self) -> None:
        """A gzip whose middle layer is huge and whose inner one is nothing."""
        inner = gzip.compress(b"") + bytes(1 << 24)
        self.assertRaises(TooLargeError, list, self.decoder(gzip.compress(inner), 1 << 20))

    def test_xz_that_wants_gigabytes(self) -> None:
        data = lzma.compress(TEXT, preset=6, filters=None)
        big = lzma.compress(TEXT, filters=[{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 1 << 28}])
        self.assertEqual(self.decode(data)[0], TEXT)
        out, warnings = self.decode(big)
        self.assertEqual(out, b"")
        self.assertIn("Memory usage limit", warnings[0])

    def test_too_many_members(self) -> None:
        with self.assertRaises(ParseError):
            list(self.decoder(gzip.compress(b"") * 66_000))

    @given(st.integers(0, 1 << 30), st.sampled_from(sorted(CODECS)))
    def test_damage_never_raises(self, seed: int, name: str) -> None:
        r = random.Random(seed)
        data = bytearray(CODECS[name](b"".join(r.randbytes(20) + b" text" * 20 for _ in range(50))))
        for _ in range(r.randint(1, 4)):
            data[r.randrange(len(data))] = r.randrange(256)
        self.decode(bytes(data))
