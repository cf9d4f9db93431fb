# SPDX-License-Identifier: Apache-2.0
"""Decoding by magic bytes, bounded, and what becomes of damaged files."""

import bz2
import gzip
import io
import lzma
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.parsers.decode import CHUNK_BYTES, Decoder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"".join(b"%d: a line of a log\n" % i for i in range(60_000))
CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 6),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": zstd.compress,
}


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


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
        once = gzip.compress(TEXT)
        self.assertEqual(self.decode(gzip.compress(gzip.compress(once))), (once, []))

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

    def test_zstd_frames_that_are_skipped(self) -> None:
        """pzstd begins with one; the seekable format ends with one."""
        skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"size"
        frames = skipped + zstd.compress(b"one ") + skipped + zstd.compress(TEXT) + skipped
        self.assertEqual(self.decode(frames), (b"one " + TEXT, []))

    def test_zstd_that_wants_gigabytes(self) -> None:
        def with_window(log: int) -> bytes:
            options = {zstd.CompressionParameter.window_log: log, zstd.CompressionParameter.checksum_flag: 1}
            compressor = zstd.ZstdCompressor(options=options)
            # in two steps: with the whole size known it would take a smaller window
            return compressor.compress(TEXT) + compressor.flush()

        self.assertEqual(self.decode(with_window(27)), (TEXT, []))
        out, warnings = self.decode(with_window(28))
        self.assertEqual(out, b"")
        self.assertIn("too much memory", warnings[0])

    def test_zstd_with_a_wrong_checksum(self) -> None:
        data = bytearray(zstd.compress(TEXT, options={zstd.CompressionParameter.checksum_flag: 1}))
        data[-1] ^= 1
        out, warnings = self.decode(bytes(data))
        self.assertTrue(TEXT.startswith(out))
        self.assertIn("damaged", warnings[0])

    def test_deflate(self) -> None:
        """Content-Encoding: deflate, with the zlib header that it should have and without."""
        for level in (1, 6, 9):
            for data in (b"", b"x", TEXT[:500], TEXT, gzip.compress(TEXT), bz2.compress(TEXT)):
                plain = data if data[:2] not in (b"\x1f\x8b", b"BZ") else TEXT
                self.assertEqual(self.decode(zlib.compress(data, level)), (plain, []))
        self.assertEqual(self.decode(raw_deflate(TEXT)), (TEXT, []))
        self.assertEqual(self.decode(raw_deflate(TEXT[:2000])), (TEXT[:2000], []))
        torn = zlib.compress(TEXT)
        out, warnings = self.decode(torn[: len(torn) // 2])
        self.assertTrue(TEXT.startswith(out) and len(out) > 1000)
        self.assertEqual(warnings, ["logs/file: the zlib data ends early; the rest is missing."])
        torn = bytearray(zlib.compress(TEXT))
        torn[-1] ^= 1
        out, warnings = self.decode(bytes(torn))
        self.assertEqual((out, len(warnings)), (TEXT, 1))

    @given(st.binary(max_size=200))
    def test_what_only_begins_like_deflate_is_left_alone(self, rest: bytes) -> None:
        for head in (b"x\x01", b"x^", b"x\x9c", b"<", b"-", b"d", b"\x04"):
            text = head + b"not compressed: " + rest
            self.assertEqual(self.decode(text), (text, []))

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
