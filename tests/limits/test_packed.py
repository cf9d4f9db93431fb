# SPDX-License-Identifier: Apache-2.0
"""The limits of what is packed, compressed and sent: archives, codecs, forms, and the parser processes."""

import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.model import ParseResult
from stackviz_deployer.parsers import archive, artifact_name, codecs, decode, upload, worker
from tests.limits.parsing import ParserCase

ROOT = Path(__file__).resolve().parents[2]
STREAM = b"test: a\nsuccess: a\n"


def zipped(*names: str, body: bytes = STREAM) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name in names:
            file.writestr(name, body)
    return made.getvalue()


def tarred(*names: str) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as file:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(STREAM)
            file.addfile(info, io.BytesIO(STREAM))
    return made.getvalue()


class ArchiveTests(ParserCase):
    def unpack(self, body: bytes, **options: Any) -> Any:
        given = {"globs": ["*.subunit"], "name": None, "boundary": None, "entry_bytes": 1 << 20, **options}
        return self.parse(upload.parse, body, called="upload", **given).data

    def test_entries(self) -> None:
        self.patch(archive, "MAX_ENTRIES", 3)
        names = [f"{n}.subunit" for n in range(4)]
        for packed in (zipped, tarred):
            self.assertEqual(len(self.unpack(packed(*names[:3]))["files"]), 3)
            self.assertIn("more than 3 entries", self.refused(packed(*names)))

    def refused(self, body: bytes) -> str:
        return str(self.assertRaises(TooLargeError, self.unpack, body).message)

    def test_directory(self) -> None:
        body = zipped("a.subunit")
        size = len(body) - 22 - body.index(b"PK\1\2")
        self.patch(archive, "_MAX_DIRECTORY_BYTES", max(size, 22 + 20))
        self.assertEqual(len(self.unpack(body)["files"]), 1)
        body = zipped(*(f"{n}.subunit" for n in range(9)))
        self.assertIn("its directory is over", self.refused(body))

    def test_header(self) -> None:
        for more, fits in ((0, True), (1, False)):
            info = tarfile.TarInfo("x")
            info.type, info.size = tarfile.GNUTYPE_LONGNAME, archive._MAX_TAR_HEADER_BYTES + more
            name = b"n" * (info.size - 10) + b".subunit\0\0"
            body = info.tobuf(tarfile.GNU_FORMAT) + name + bytes(-len(name) % 512) + tarred("x")
            if fits:
                self.assertEqual(len(self.unpack(body)["files"]), 1)
            else:
                error = self.assertRaises(ParseError, self.unpack, body)
                self.assertIn("a header of an impossible size", error.message)

    def test_ends(self) -> None:
        def read(times: int) -> None:
            reader = archive._Reader(iter(()))
            for _ in range(times):
                self.assertEqual(reader.read(10), b"")

        read(archive._MAX_ENDS)
        self.assertRaises(tarfile.ReadError, read, archive._MAX_ENDS + 1)

    def test_files_of_an_archive(self) -> None:
        self.patch(upload, "MAX_PARTS", 3)
        names = [f"{n}.subunit" for n in range(4)]
        self.assertEqual(len(self.unpack(zipped(*names[:3]))["files"]), 3)
        self.assertIn("more than 3 files", self.refused(zipped(*names)))

    def test_parts_of_a_form(self) -> None:
        self.patch(upload, "MAX_PARTS", 3)
        part = b'--B\r\nContent-Disposition: form-data; name="f"; filename="x.subunit"\r\n\r\n%s\r\n' % STREAM
        self.assertEqual(len(self.unpack(part * 3 + b"--B--\r\n", boundary="B")["files"]), 3)
        error = self.assertRaises(ParseError, self.unpack, part * 4 + b"--B--\r\n", boundary="B")
        self.assertIn("form that was sent is damaged", error.message)

    def test_pieces_of_a_path(self) -> None:
        pieces = [str(n) for n in range(upload.MAX_DEPTH + 1)]
        self.assertEqual(upload.shown_path("/".join(pieces[1:])), "/".join(pieces[1:]))
        self.assertEqual(upload.shown_path("/".join(pieces)), "/".join(pieces[1:]))

    def test_name(self) -> None:
        most = "n" * upload.MAX_NAME_CHARS
        self.assertEqual(upload.shown_path(f"a/{most}"), f"a/{most}")
        self.assertEqual(upload.shown_path(f"a/b{most}"), f"a/{most}")

    def test_files_that_a_message_lists(self) -> None:
        for count in (upload.MAX_NAMED, upload.MAX_NAMED + 1):
            data = self.unpack(zipped(*(f"{n}.bin" for n in range(count)), body=b"\0"))
            self.assertEqual((len(data["left_out"]), data["seen"]), (upload.MAX_NAMED, count))


class DecoderTests(ParserCase):
    def decode(self, data: bytes) -> tuple[bytes, list[str]]:
        found: list[Any] = []

        def read(request: Any) -> ParseResult:
            decoder = decode.Decoder(request.inputs[0].path, name="x", max_bytes=request.max_bytes)
            found.extend((b"".join(decoder), decoder.warnings))
            return ParseResult()

        self.parse(read, data)
        return found[0], found[1]

    def test_members(self) -> None:
        empty = gzip.compress(b"", mtime=0)
        self.assertEqual(self.decode(empty * decode._MAX_MEMBERS), (b"", []))
        self.assertRaises(ParseError, self.decode, empty * (decode._MAX_MEMBERS + 1))

    def test_header(self) -> None:
        """A name without an end; it is looked for as long as there is less than the limit."""
        packed = gzip.compress(b"text", mtime=0)

        def named(size: int) -> bytes:
            return packed[:3] + b"\x08" + packed[4:10] + b"n" * size + b"\0" + packed[10:]

        self.assertEqual(self.decode(named(codecs._MAX_HEADER_BYTES - (64 << 10)))[0], b"text")
        text, warnings = self.decode(named(codecs._MAX_HEADER_BYTES + (64 << 10)))
        self.assertEqual(text, b"")
        self.assertIn("endless header", warnings[0])

    def test_memory_of_xz(self) -> None:
        def packed(dictionary: int) -> bytes:
            lzma2 = {"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": dictionary}
            return lzma.compress(b"text", filters=[lzma2])

        self.assertEqual(self.decode(packed(96 << 20)), (b"text", []))
        self.assertLess(96 << 20, codecs._XZ_MEMORY_BYTES)
        text, warnings = self.decode(packed(codecs._XZ_MEMORY_BYTES))
        self.assertEqual(text, b"")
        self.assertIn("Memory usage limit", warnings[0])

    def test_window_of_zstd(self) -> None:
        def packed(window_log: int) -> bytes:
            frame = b"\x28\xb5\x2f\xfd\x00" + bytes([window_log - 10 << 3])
            return frame + (4 << 3 | 1).to_bytes(3, "little") + b"text"

        self.assertEqual(self.decode(packed(codecs._ZSTD_WINDOW_LOG)), (b"text", []))
        text, warnings = self.decode(packed(codecs._ZSTD_WINDOW_LOG + 1))
        self.assertEqual((text, len(warnings)), (b"", 1))

    def test_layers(self) -> None:
        once = gzip.compress(b"text", mtime=0)
        twice = gzip.compress(once, mtime=0)
        self.assertEqual(self.decode(twice)[0], b"text")
        self.assertEqual(self.decode(gzip.compress(twice, mtime=0))[0], once)


class NameTests(ParserCase):
    def test_artifact_name(self) -> None:
        most = "n" * artifact_name._MAX_CHARS
        self.assertEqual(artifact_name.safe_name(most), most)
        self.assertEqual(artifact_name.safe_name(most + "x"), most)


class WorkerTests(ParserCase):
    def test_answer(self) -> None:
        """What a parser has to tell, over the pipe."""
        options = b'"out_dir":"","max_bytes":1,"options":{"size":%d}'
        request = b'{"id":1,"request":{"parser":"tell","inputs":[],' + options + b"}}"
        parsers = {"tell": "tests.limits.test_packed:tell"}
        small, _ = worker.perform(request % 0, parsers)
        room = worker.MAX_ANSWER_BYTES - len(small)
        fits, _ = worker.perform(request % room, parsers)
        self.assertEqual(len(fits), worker.MAX_ANSWER_BYTES)
        over, _ = worker.perform(request % (room + 1), parsers)
        self.assertIn(b"what is to be told of it is over 4 MiB", over)


def tell(request: Any) -> ParseResult:
    return ParseResult(data="x" * request.options["size"])


class RequestLineTests(ParserCase):
    def test_request(self) -> None:
        """Of the daemon to a parser process; a longer one ends it."""
        for more, served in ((0, True), (1, False)):
            request = b'"parser":"tell","inputs":[],"out_dir":"","max_bytes":1,"options":{"size":0}'
            line = (b'{"id":1,"request":{' + request + b"}}").ljust(
                worker.MAX_REQUEST_BYTES - 1 + more
            ) + b"\n"
            done = subprocess.run(
                [sys.executable, "-m", "tests.limits.test_packed", str(1 << 30), "0", str(os.getpid())],
                input=line,
                capture_output=True,
                cwd=ROOT,
                check=False,
            )
            self.assertEqual(b'"id":1' in done.stdout, served, done.stderr)
            self.assertEqual(b"request too long" in done.stderr, not served)


if __name__ == "__main__":
    worker.main(sys.argv[1:], parsers={"tell": "tests.limits.test_packed:tell"}, warm=())
