# SPDX-License-Identifier: Apache-2.0
"""Archives: what comes out of good ones, and how little hostile ones get."""

import io
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import ParseError, StackvizError, TooLargeError
from stackviz_deployer.parsers import archive
from stackviz_deployer.parsers.archive import is_tar, is_zip, tar_entries, zip_entries

FILES = {
    "a/b.txt": b"one" * 1000,
    "../up": b"two",
    "/etc/passwd": b"three",
    "empty": b"",
    "ü" * 120: b"long name",
}


def a_tar(files=FILES, *, more=(), form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in more:
            tar.addfile(info)
    return out.getvalue()


def a_zip(files=FILES, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


def pieces(data, size=777):
    return iter([data[at : at + size] for at in range(0, len(data), size)])


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


class ArchiveTestCase(SynchronousTestCase):
    def tar(self, data):
        self.warnings = []
        return {
            entry.name: b"".join(entry.chunks)
            for entry in tar_entries(pieces(data), subject="x.tar", warnings=self.warnings)
        }

    def zip(self, data):
        self.warnings = []
        path = self.mktemp()
        Path(path).write_bytes(data)
        return {
            entry.name: b"".join(entry.chunks)
            for entry in zip_entries(path, subject="x.zip", warnings=self.warnings)
        }


class TarTests(ArchiveTestCase):
    def test_every_dialect(self):
        for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            data = a_tar(form=form)
            self.assertTrue(is_tar(data[:512]))
            self.assertEqual(self.tar(data), {name.removeprefix("//"): body for name, body in FILES.items()})
            self.assertEqual(self.warnings, [])

    def test_old_tar_without_a_magic(self):
        data = bytearray(a_tar({"old": b"v7"}, form=tarfile.USTAR_FORMAT))
        data[257:265] = bytes(8)
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data[:512])
        self.assertTrue(is_tar(bytes(data[:512])))
        self.assertEqual(self.tar(bytes(data)), {"old": b"v7"})

    def test_what_is_no_tar(self):
        for head in (b"", b"x" * 512, bytes(512), b"\xb3" * 600, b"text\n" * 200, a_zip()[:512]):
            self.assertFalse(is_tar(head))

    def test_links_and_devices_give_nothing(self):
        data = a_tar(
            {"real": b"1"},
            more=[
                special("sym", tarfile.SYMTYPE, "/etc/passwd"),
                special("hard", tarfile.LNKTYPE, "real"),
                special("dev", tarfile.CHRTYPE),
                special("pipe", tarfile.FIFOTYPE),
                special("dir", tarfile.DIRTYPE),
            ],
        )
        self.assertEqual(self.tar(data), {"real": b"1"})
        self.assertEqual(self.warnings, ["x.tar: 4 links, devices and the like were left out."])

    def test_torn_at_every_block(self):
        data = a_tar({"a": b"A" * 700, "b": b"B" * 700})
        for end in range(600, 3000, 100):
            found = self.tar(data[:end])
            self.assertTrue((b"A" * 700).startswith(found["a"]))
            if len(found["a"]) < 700:
                self.assertIn("damaged", self.warnings[0])

    def test_too_many_entries(self):
        self.patch(archive, "MAX_ENTRIES", 3)
        self.assertEqual(len(self.tar(a_tar({str(n): b"" for n in range(3)}))), 3)
        self.assertRaises(TooLargeError, self.tar, a_tar({str(n): b"" for n in range(4)}))

    def test_header_that_would_fill_the_memory(self):
        for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            info = special("x", kind)
            info.size = 1 << 32
            self.assertRaises(ParseError, self.tar, info.tobuf(tarfile.GNU_FORMAT) + b"x" * 5000)

    def test_size_beyond_every_disk(self):
        """The library would walk over it in steps of 10 KiB, long after the end."""
        for form, size in (
            (tarfile.PAX_FORMAT, 10**18),
            (tarfile.PAX_FORMAT, 10**30),
            (tarfile.GNU_FORMAT, 1 << 60),
        ):
            info = tarfile.TarInfo("endless")
            if form == tarfile.PAX_FORMAT:
                info.pax_headers = {"size": str(size)}
                data = a_tar({"first": b"1"}, more=[info], form=form)
            else:
                data = a_tar({"first": b"1"}, form=form)[:1024]
                info.size = size
                data += info.tobuf(format=form) + bytes(1024)
            found = self.tar(data)
            self.assertEqual(found["first"], b"1")
            self.assertIn("the tar archive is damaged (unexpected end of data)", self.warnings[-1])

    def test_size_below_zero(self):
        info = tarfile.TarInfo("x")
        data = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        data[124:136] = b"\xff" * 12
        data[148:156] = b" " * 8
        data[148:156] = b"%06o\0 " % sum(data)
        self.assertRaises(ParseError, self.tar, bytes(data) + bytes(1024))


class ZipTests(ArchiveTestCase):
    def test_every_method(self):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            data = a_zip(method=method)
            self.assertTrue(is_zip(data[:4]))
            self.assertEqual(self.zip(data), FILES)
            self.assertEqual(self.warnings, [])

    def test_links_give_nothing(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as made:
            info = zipfile.ZipInfo("link")
            info.external_attr = 0o120777 << 16
            made.writestr(info, "/etc/passwd")
            made.mkdir("folder")
        self.assertEqual(self.zip(out.getvalue()), {})
        self.assertEqual(self.warnings, ["x.zip: 1 links, devices and the like were left out."])

    def test_encrypted_and_damaged_entries_cost_only_themselves(self):
        data = bytearray(a_zip({"secret": b"s" * 50, "bad": b"b" * 5000, "good": b"g" * 50}))
        entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
        data[entries[1].header_offset + 40] ^= 0xFF
        at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"secret"))
        data[at + 8] |= 1
        found = self.zip(bytes(data))
        self.assertEqual(found["good"], b"g" * 50)
        self.assertNotIn("secret", found)
        self.assertEqual(len(self.warnings), 2)
        self.assertIn("encrypted", self.warnings[0])
        self.assertIn("damaged", self.warnings[1])

    def test_entry_without_a_name(self):
        data = a_zip({"Q!": b"nobody's", "good": b"g"}).replace(b"Q!", b"\0!")  # read to the zero byte
        self.assertEqual(self.zip(data), {"": b"nobody's", "good": b"g"})

    def test_damage_loses_nothing_that_could_be_read(self):
        """The library throws its last read away; a small entry is all of it."""
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            for size in (10, 5000, 200_000):
                body = bytes(n % 251 for n in range(size))
                data = bytearray(a_zip({"one": body, "two": b"2"}, method=method))
                with zipfile.ZipFile(io.BytesIO(data)) as made:
                    at = made.infolist()[0].header_offset
                data[at + 14 : at + 18] = b"\0\0\0\0"
                end = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
                data[end + 16] ^= 0xFF
                self.assertEqual(self.zip(bytes(data)), {"one": body, "two": b"2"}, (method, size))
                (warning,) = self.warnings
                self.assertIn("'one' is damaged (wrong checksum)", warning)

    def test_without_its_directory(self):
        self.assertRaises(ParseError, self.zip, a_zip()[:-30])

    def test_too_many_entries(self):
        self.patch(archive, "MAX_ENTRIES", 3)
        self.assertRaises(TooLargeError, self.zip, a_zip({str(n): b"" for n in range(4)}))

    def test_directory_that_would_fill_the_memory(self):
        size = archive._MAX_DIRECTORY_BYTES + 1
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0)
        self.assertRaises(TooLargeError, self.zip, b"PK\x03\x04" + bytes(size - 4) + end)


class HostileTests(ArchiveTestCase):
    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=40), st.integers(0, 3000), st.integers(0, 6000), st.booleans())
    def test_mutated(self, patch, at, cut, zipped):
        good = a_zip() if zipped else a_tar()
        data = (good[:at] + patch + good[at + len(patch) :])[: max(cut, 4)]
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/x"
            Path(path).write_bytes(data)
            entries = (
                zip_entries(path, subject="x", warnings=[])
                if zipped
                else tar_entries(pieces(data), subject="x", warnings=[])
            )
            try:
                total = sum(len(chunk) for entry in entries for chunk in entry.chunks)
            except StackvizError:
                return
            self.assertLess(total, 10 << 20)
