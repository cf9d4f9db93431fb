# SPDX-License-Identifier: Apache-2.0
"""What was sent: forms, archives, names that lie, names that are missing."""

import bz2
import contextlib
import gzip
import lzma
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import NoArtifactsError, ParseError, StackvizError, TooLargeError
from stackviz_deployer.model import InputFile, ParseRequest
from stackviz_deployer.parsers import upload
from stackviz_deployer.parsers.recognise import known_path, recognised
from stackviz_deployer.parsers.upload import parse, shown_path
from tests.parsers.test_archive import a_tar, a_zip, special

GLOBS = ["testrepository.subunit", "*.subunit", "console.html", "*dstat*csv*", "test-results/*.xml"]
STREAM = b"\xb3\x29\x01\x00" + b"x" * 100
DSTAT = b'"Dstat 0.7.2 CSV output"\n"Author:"\n'
BOUNDARY = "----b"


def form(*parts, end="--"):
    body = b""
    for name, data in parts:
        said = "" if name is None else f'; filename="{name}"'
        body += (
            f'------b\r\nContent-Disposition: form-data; name="file"{said}\r\n\r\n'.encode() + data + b"\r\n"
        )
    return body + f"------b{end}\r\n".encode()


class UploadTestCase(SynchronousTestCase):
    def parse(self, body, name=None, *, boundary=None, max_bytes=1 << 20, entry_bytes=1 << 20):
        base = Path(self.mktemp())
        self.out = base / "out"
        self.out.mkdir(parents=True)
        (base / "body").write_bytes(body)
        self.result = parse(
            ParseRequest(
                parser="upload",
                inputs=(InputFile(path=str(base / "body"), name="What was sent"),),
                out_dir=str(self.out),
                max_bytes=max_bytes,
                options={"globs": GLOBS, "name": name, "boundary": boundary, "entry_bytes": entry_bytes},
            )
        )
        return self.result.data

    def files(self, *args, **kwargs):
        """Path -> bytes."""
        data = self.parse(*args, **kwargs)
        kept = {one["path"]: (self.out / one["file"]).read_bytes() for one in data["files"]}
        # nothing but numbers is ever written
        self.assertEqual(
            sorted(path.name for path in self.out.iterdir()), sorted(one["file"] for one in data["files"])
        )
        self.assertTrue(all(one["file"].isdigit() for one in data["files"]))
        self.assertEqual([one["size"] for one in data["files"]], [len(body) for body in kept.values()])
        return kept

    def titled(self):
        return self.result.data["title"], self.result.data["named"]


class OneFileTests(UploadTestCase):
    def test_name_says_it(self):
        self.assertEqual(
            self.files(b"whatever", "testrepository.subunit"), {"testrepository.subunit": b"whatever"}
        )
        self.assertEqual(self.titled(), ("testrepository.subunit", True))

    def test_kept_as_it_lies(self):
        packed = gzip.compress(STREAM)
        self.assertEqual(self.files(packed, "x.subunit.gz"), {"x.subunit.gz": packed})

    def test_without_a_name(self):
        self.assertEqual(self.files(STREAM), {"upload.subunit": STREAM})
        self.assertEqual(self.titled(), (None, False))

    def test_unknown(self):
        self.assertEqual(self.files(b"hello", "notes.txt"), {})
        self.assertEqual(self.result.data["left_out"], ["notes.txt"])

    def test_empty(self):
        self.assertEqual(self.files(b""), {})


class ArchiveTests(UploadTestCase):
    FILES = {  # noqa: RUF012
        "job/logs/testrepository.subunit": STREAM,
        "job/logs/syslog.txt": b"2016-01-01 00:00:00.123 INFO x\n",
        "job/logs/numbers": DSTAT,
        "job/deep.zip": a_zip({"x.subunit": STREAM}),
    }
    KEPT = {"testrepository.subunit": STREAM, "numbers.dstat.csv": DSTAT}  # noqa: RUF012

    def test_every_wrapping(self):
        tar = a_tar(self.FILES)
        for body in (tar, gzip.compress(tar), lzma.compress(tar), bz2.compress(tar), a_zip(self.FILES)):
            self.assertEqual(self.files(body, "my.tar.gz"), self.KEPT)
            self.assertEqual(self.result.data["title"], "my")
            self.assertEqual(self.result.data["seen"], 4)
            self.assertEqual(self.result.data["left_out"], ["job/logs/syslog.txt", "job/deep.zip"])
        self.files(tar)
        self.assertEqual(self.result.data["title"], "job/logs")

    def test_names_never_become_paths(self):
        names = [
            "../../x.subunit",
            "/etc/y.subunit",
            "..\\..\\z.subunit",
            "C:\\w.subunit",
            "a/\0\n.subunit",
            "..",
        ]
        files = dict.fromkeys(names, STREAM)
        for body in (a_tar(files), a_zip(files)):
            kept = self.files(body)
            self.assertTrue({"x.subunit", "etc/y.subunit", "z.subunit", "w.subunit"} <= set(kept), kept)
            for path in kept:
                self.assertFalse(path.startswith("/") or ".." in path.split("/") or "\n" in path, path)
            self.assertEqual({path.name for path in self.out.parent.iterdir()}, {"body", "out"})

    def test_links(self):
        body = a_tar({"a.subunit": STREAM}, more=[special("b.subunit", b"2", "/etc/passwd")])
        self.assertEqual(self.files(body), {"a.subunit": STREAM})

    def test_twins_stay_apart(self):
        body = form(("a.subunit", STREAM), ("a.subunit", STREAM + b"2"))
        kept = self.files(body, boundary=BOUNDARY)
        self.assertEqual(kept, {"a.subunit": STREAM, "2/a.subunit": STREAM + b"2"})

    def test_rubbish_of_a_mac(self):
        files = {"a.subunit": STREAM, "__MACOSX/._a.subunit": b"x", "._a.subunit": b"x"}
        self.assertEqual(self.files(a_zip(files)), {"a.subunit": STREAM})

    def test_bombs(self):
        zeros = bytes(3 << 20)
        for body in (a_zip({"a.subunit": zeros}), gzip.compress(a_tar({"a.subunit": zeros}))):
            self.assertLess(len(body), 20000)
            self.assertRaises(TooLargeError, self.files, body, max_bytes=2 << 20, entry_bytes=4 << 20)
        self.assertRaises(
            TooLargeError, self.files, gzip.compress(gzip.compress(a_tar({"a": zeros}))), max_bytes=1000
        )

    def test_entry_that_is_too_large_costs_only_itself(self):
        files = {"a.subunit": bytes(5000), "b.subunit": STREAM}
        self.assertEqual(self.files(a_zip(files), entry_bytes=4000), {"b.subunit": STREAM})
        self.assertIn("more than 4000 bytes", self.result.warnings[0])

    def test_entries_that_are_too_large_count(self):
        files = {f"{n}.subunit": bytes(5000) for n in range(10)}
        self.assertRaises(TooLargeError, self.files, a_zip(files), entry_bytes=4000, max_bytes=30000)

    def test_too_many_files(self):
        self.patch(upload, "MAX_PARTS", 2)
        files = {f"{n}.subunit": STREAM for n in range(3)}
        self.assertRaises(TooLargeError, self.files, a_zip(files))

    def test_archives_of_one_form_count_together(self):
        """Each of a thousand parts would else have the whole limit for itself."""
        unwanted = {f"{n}.bin": bytes(50_000) for n in range(3)}
        for packed in (gzip.compress(a_tar(unwanted)), a_zip(unwanted)):
            parts = [(f"{n}.tgz", packed) for n in range(4)]
            self.files(form(*parts), boundary=BOUNDARY, max_bytes=700_000)
            with self.assertRaisesRegex(TooLargeError, "What was sent has more than|when decoded"):
                self.parse(form(*parts), boundary=BOUNDARY, max_bytes=400_000)

    def test_entries_of_all_archives_count_together(self):
        self.patch(upload, "MAX_ENTRIES", 10)
        packed = a_tar({f"{n}.bin": b"" for n in range(4)})
        self.files(form(("a.tar", packed), ("b.tar", packed)), boundary=BOUNDARY)
        with self.assertRaisesRegex(TooLargeError, "more than 10 entries together"):
            self.parse(form(*[(f"{n}.tar", packed) for n in range(3)]), boundary=BOUNDARY)

    def test_torn(self):
        body = gzip.compress(a_tar({"a.subunit": STREAM, "b.subunit": os.urandom(9000)}))[:4000]
        kept = self.files(body, "my.tgz")
        self.assertEqual(kept["a.subunit"], STREAM)
        self.assertIn("my.tgz: the gzip data ends early; the rest is missing.", self.result.warnings)


class FormTests(UploadTestCase):
    def test_several(self):
        body = form(
            ("old.tar", a_tar({"x.subunit": STREAM})), ("new.zip", a_zip({"x.subunit": STREAM})), ("7", DSTAT)
        )
        kept = self.files(body, boundary=BOUNDARY)
        self.assertEqual(kept, {"old/x.subunit": STREAM, "new/x.subunit": STREAM, "7.dstat.csv": DSTAT})
        self.assertEqual(self.titled(), ("old, new and 7", False))
        self.parse(body, "nightly", boundary=BOUNDARY)
        self.assertEqual(self.titled(), ("nightly", True))

    def test_titled_by_what_is_shown(self):
        """Nobody tells sites apart by how many files they have."""
        sent = [("notes.txt", b"x"), ("logs/a.subunit", STREAM), ("b.csv", DSTAT)]
        self.parse(form(*sent), boundary=BOUNDARY)
        self.assertEqual(self.titled(), ("a.subunit and b.csv", False))
        self.parse(form(*sent, ("c.subunit", STREAM), ("d.subunit", STREAM)), boundary=BOUNDARY)
        self.assertEqual(self.titled(), ("a.subunit, b.csv and 2 more", False))
        self.parse(form(sent[0], ("x.txt", b"x")), boundary=BOUNDARY)
        self.assertEqual(self.titled(), ("notes.txt and x.txt", False))

    def test_one(self):
        kept = self.files(form(("my.tar", a_tar({"a/x.subunit": STREAM}))), boundary=BOUNDARY)
        self.assertEqual(kept, {"x.subunit": STREAM})
        self.assertEqual(self.titled(), ("my", False))

    def test_fields_are_no_files(self):
        kept = self.files(form((None, b"value"), ("a.subunit", STREAM), (None, b"x")), boundary=BOUNDARY)
        self.assertEqual(kept, {"a.subunit": STREAM})
        self.assertRaises(NoArtifactsError, self.parse, form((None, b"value")), boundary=BOUNDARY)
        self.assertRaises(NoArtifactsError, self.parse, form(), boundary=BOUNDARY)

    def test_damaged_beyond_words(self):
        """The library's error holds all of the header."""
        body = form(("x", b"")).replace(b"filename", b"f" * 3000 + b"\xff")
        error = self.assertRaises(ParseError, self.parse, body, boundary="----b")
        self.assertLess(len(error.message), 500)

    def test_damaged(self):
        whole = form(("a.subunit", STREAM))
        for body in (b"", b"nonsense" * 100, whole[:-10], whole[:60], form(("a" * 9000, STREAM))):
            self.assertRaises(ParseError, self.parse, body, boundary=BOUNDARY)

    def test_too_many_parts(self):
        self.patch(upload, "MAX_PARTS", 2)
        self.assertRaises(ParseError, self.parse, form(*[("a.subunit", STREAM)] * 3), boundary=BOUNDARY)

    def test_boundary_in_pieces(self):
        """A body of many reads, its boundaries anywhere in them."""
        data = os.urandom(300_000) + b"\r\n-----" * 100
        kept = self.files(form(("a.subunit", data), ("b.subunit", data)), boundary=BOUNDARY)
        self.assertEqual(kept, {"a.subunit": data, "b.subunit": data})

    def test_compressed_on_the_wire(self):
        kept = self.files(gzip.compress(form(("a.subunit", STREAM))), boundary=BOUNDARY)
        self.assertEqual(kept, {"a.subunit": STREAM})

    @given(st.binary(max_size=200), st.integers(0, 500))
    def test_mutated(self, patch, at):
        good = form(("a.tar", a_tar({"x.subunit": STREAM})[:2000]), ("b", STREAM))
        with contextlib.suppress(StackvizError):
            self.files(good[:at] + patch + good[at + len(patch) // 2 :], boundary=BOUNDARY)


class NameTests(SynchronousTestCase):
    def test_shown(self):
        for name, shown in [
            ("a.txt", "a.txt"),
            ("/a//./b/../c", "a/b/c"),
            ("..", None),
            ("", None),
            ("a\x00b\u202ec\ud800", "a_b_c_"),
            ("1/2/3/4/5/6/7/8/9/10", "3/4/5/6/7/8/9/10"),
            ("x" * 200 + ".subunit", "x" * 92 + ".subunit"),
        ]:
            self.assertEqual(shown_path(name), shown)

    @given(st.text())
    def test_any_name_is_harmless(self, name):
        shown = shown_path(name)
        if shown is not None:
            self.assertFalse(set(shown.split("/")) & {"", ".", ".."})
            self.assertLessEqual(len(shown), 808)
            shown.encode()


class RecogniseTests(SynchronousTestCase):
    def known(self, data, path="file", *, alone=False):
        file = self.mktemp()
        Path(file).write_bytes(data)
        return recognised(file, path, alone=alone)

    def test_globs(self):
        self.assertTrue(known_path("a/b/x.subunit.gz", GLOBS))
        self.assertTrue(known_path("test-results/x.xml", GLOBS))
        self.assertTrue(known_path("a/test-results/x.xml", GLOBS))
        self.assertFalse(known_path("results/x.xml", GLOBS))

    def test_kinds(self):
        for data, name in [
            (STREAM, "file.subunit"),
            (b"time: 2015-01-01 00:00:00.0Z\ntags: worker-0\ntest: a.b\nsuccess: a.b\n", "file.subunit"),
            (b'<?xml version="1.0"?>\n<!-- x -->\n<testsuites name="x">', "file.junit.xml"),
            (b"\xef\xbb\xbf <testsuite tests='3'>", "file.junit.xml"),
            (DSTAT, "file.dstat.csv"),
            (b'"pcp-dstat 5.0.3 CSV output"\n', "file.dstat.csv"),
            (b'[\n    {\n        "branch": "master",\n        "plays": [', "job-output.json"),
            (b"2024-05-01 10:00:00.123456 | Running\n", "job-output.txt"),
            (b"\n\nfirst\n2024-05-01 10:00:00.123456 | Running\n", "job-output.txt"),
        ]:
            self.assertEqual(self.known(data), name)
            self.assertEqual(self.known(gzip.compress(data), "file.gz"), name)
            self.assertEqual(self.known(gzip.compress(data)[:-4]), name)

    def test_endings_stay_single(self):
        self.assertEqual(self.known(b"<testsuite>", "a/results.xml"), "a/results.junit.xml")
        self.assertEqual(self.known(DSTAT, "load.csv.gz"), "load.dstat.csv")
        self.assertEqual(self.known(STREAM, "12"), "12.subunit")

    def test_unknown(self):
        for data in (
            b"",
            b"\x00" * 5000,
            b"test the waters",
            b"<html><testsuites-are-fun>",
            b'{"plays": 1}',
            b" " * 9000,
        ):
            self.assertIsNone(self.known(data))

    def test_consoles_only_where_they_come_alone(self):
        for data in (
            b"Started by user anonymous\n",
            b"2016-01-20 15:48:08.123 | x\n"[:24] + b"x\n",
            b"<pre>\nx",
        ):
            self.assertIsNone(self.known(data))
            self.assertEqual(self.known(data, alone=True), "console.txt")

    def test_hostile_beginnings_take_linear_time(self):
        for data in (
            b"\n" * 4096,
            b"time: x\n" * 600,
            b"<" * 4096,
            b'[{"' * 2000,
            b"<!--" * 1024,
            b"2" * 4096,
        ):
            self.known(data, alone=True)
