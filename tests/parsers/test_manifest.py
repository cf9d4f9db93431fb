# SPDX-License-Identifier: Apache-2.0
"""zuul-manifest.json: real ones against the truth, hostile ones, torn ones, tens of thousands of files."""

import gzip
import json
import random
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.model import InputFile, ListedFile, ParseRequest, ParseResult, Tree
from stackviz_deployer.parsers import manifest, wanted
from stackviz_deployer.scrapers import SCRAPERS
from stackviz_deployer.scrapers.choice import candidates
from tests.parsers.test_listing import mangled

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "listings"
REAL = sorted((FIXTURES / "manifest").glob("*.json"))
ROOT = "https://storage.example/v1/AUTH_x/logs_d6b/openstack/d6b05d23/"
NAMES = [glob for scraper in SCRAPERS for glob in scraper.globs]


def folder(name: Any, *children: Any) -> dict[str, Any]:
    return {"name": name, "mimetype": "application/directory", "encoding": None, "children": list(children)}


def file(name: Any, size: Any = 5) -> dict[str, Any]:
    return {"name": name, "mimetype": "text/plain", "encoding": None, "last_modified": 1, "size": size}


class ManifestTestCase(SynchronousTestCase):
    def read(self, body: Any, *, names: list[str] | None = None, max_bytes: int = 32 << 20) -> ParseResult:
        path = Path(self.mktemp())
        path.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
        return manifest.parse(
            ParseRequest(
                parser="manifest",
                inputs=(InputFile(path=str(path), name="the manifest"),),
                out_dir="/nonexistent",
                max_bytes=max_bytes,
                options={"url": ROOT, "names": names},
            )
        )

    def files(self, *tree: Any) -> list[tuple[str, str, int | None]]:
        found = self.read({"tree": list(tree), "index_links": False}).data
        return [(file["path"], file["url"].removeprefix(ROOT), file["size"]) for file in found["files"]]


class RealTests(ManifestTestCase):
    def test_a_job(self) -> None:
        """The same files and sizes as on the disk, with index links and without."""
        truth = json.loads((FIXTURES / "job" / "TRUTH.json").read_text(encoding="utf-8"))
        for name in ("generated-zuul-manifest.json", "generated-zuul-manifest-noindexlinks.json"):
            found = self.read((FIXTURES / "manifest" / name).read_bytes()).data
            self.assertGreater(found["seen"], 100)
            self.assertEqual(found["seen"], len(found["files"]))
            sizes = {file["path"]: file["size"] for file in found["files"]}
            for path, entries in truth.items():
                prefix = "" if path == "." else path + "/"
                for entry, size in entries.items():
                    if size is not None:
                        self.assertEqual(sizes[prefix + entry], size)
                        continue
                    self.assertNotIn(prefix + entry, sizes)

    def test_odd_names(self) -> None:
        truth = json.loads((FIXTURES / "small" / "TRUTH.logs.json").read_text(encoding="utf-8"))
        expected = {f"logs/{e['name']}": e["size"] for e in truth if e["type"] == "file"}
        del expected["logs/huge-sparse.log"]  # taken away before the role ran
        expected["logs/.hidden"] = 3  # nginx does not show it
        for path in (FIXTURES / "manifest").glob("zuul-manifest*.json"):
            found = self.read(path.read_bytes()).data["files"]
            below = {file["path"]: file["size"] for file in found if file["path"].startswith("logs/")}
            self.assertEqual(below, expected)
            for file in found:
                self.assertEqual(unquote(file["url"]), ROOT + file["path"])
                self.assertRegex(file["url"], r"\A[A-Za-z0-9:/_.!~*'()%-]+\Z")  # as encodeURIComponent does

    def test_only_what_is_wanted(self) -> None:
        found = self.read(REAL[-1].read_bytes(), names=["testrepository.subunit", "dstat-csv*.txt"]).data
        self.assertEqual(
            [file["path"] for file in found["files"]],
            [
                "logs/dstat-csv.txt.gz",
                "logs/dstat-csv_log.txt.gz",
                "logs/testrepository.subunit",
                "logs/testrepository.subunit.gz",
            ],
        )
        self.assertEqual(found["seen"], 24)

    def test_gzipped_as_swift_sends_it(self) -> None:
        body = REAL[0].read_bytes()
        self.assertEqual(self.read(gzip.compress(body)).data, self.read(body).data)


class RuleTests(ManifestTestCase):
    def test_nothing_leads_off_the_root(self) -> None:
        wrong = (
            "..",
            ".",
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/b",
            "a\\b",
            "a\0",
            "a\n",
            "n" * 1025,
            "a\ud800",
        )
        odd = (None, 7, ["x"], {"a": 1}, True)
        for name in (*wrong, *odd):
            self.assertEqual(self.files(file(name), folder(name, file("x")), file("y")), [("y", "y", 5)])

    def test_odd_types(self) -> None:
        for entry in (
            None,
            7,
            "x",
            [file("x")],
            {},
            {"name": "etc", "mimetype": "application/directory"},  # a placeholder object
            {"name": "etc", "mimetype": "application/directory", "children": None},
            {"children": [file("x")]},
        ):
            self.assertEqual(self.files(entry, file("y")), [("y", "y", 5)])
        for size, expected in ((0, 0), (None, None), (-1, None), ("9", None), (1.5, None), (True, None)):
            self.assertEqual(self.files(file("y", size)), [("y", "y", expected)])

    def test_size_that_no_answer_can_carry(self) -> None:
        """Beside a name that is no UTF-8, Python reads the manifest, whose numbers have no end."""
        found = self.files(file("\udcff"), file("y", 1 << 64), file("z"))
        self.assertEqual(found, [("y", "y", None), ("z", "z", 5)])

    def test_url(self) -> None:
        self.assertEqual(
            self.files(folder("a b", file("c#d?é.txt")), file("100%.txt")),
            [("100%.txt", "100%25.txt", 5), ("a b/c#d?é.txt", "a%20b/c%23d%3F%C3%A9.txt", 5)],
        )

    def test_the_same_twice(self) -> None:
        tree = (folder("a", file("x", 1)), folder("a", file("x", 2)), file("y", 3), file("y", 4))
        self.assertEqual(self.files(*tree), [("y", "y", 3), ("a/x", "a/x", 1)])

    def test_depth_on_both_sides(self) -> None:
        tree = file("x.subunit")
        for name in "dcba":
            tree = folder(name, tree)
        found = self.read({"tree": [tree, folder("e", tree)]}, names=["*.subunit"]).data
        self.assertEqual([file["path"] for file in found["files"]], ["a/b/c/d/x.subunit"])
        self.assertEqual(found["seen"], 2)

    def test_no_manifest(self) -> None:
        for body in (
            b"",
            b"<html>404",
            b"[]",
            b"{}",
            b'{"tree": {}}',
            b"null",
            b'{"tree": [',
            b"[" * 100_000,
        ):
            self.assertRaises(ParseError, self.read, body)
        self.assertEqual(self.read({"tree": []}).data, {"files": [], "seen": 0})

    def test_size_limit(self) -> None:
        body = REAL[0].read_bytes()
        self.read(body, max_bytes=len(body))
        self.assertRaises(TooLargeError, self.read, body, max_bytes=len(body) - 1)
        self.assertRaises(TooLargeError, self.read, gzip.compress(body), max_bytes=len(body) - 1)

    def test_bounds(self) -> None:
        found = self.read({"tree": [file(f"{n}.subunit") for n in range(5000)]}, names=["*.subunit"])
        self.assertEqual((len(found.data["files"]), found.data["seen"]), (wanted.MAX_TOLD, 5000))
        (warning,) = found.warnings
        self.assertIn("3,000 of those wanted were left out", warning)
        found = self.read({"tree": [file("é" * 1000 + str(n)) for n in range(1900)]})
        self.assertLess(len(json.dumps(found.to_json(), ensure_ascii=False).encode()), 2 << 20)

    def test_tens_of_thousands_are_quick(self) -> None:
        sites = [folder(f"d{n}", *(file(f"page-{n}-{m}.html") for m in range(500))) for n in range(100)]
        body = {"tree": [folder("docs", *sites), file("testrepository.subunit")]}
        started = time.process_time()
        found = self.read(body, names=NAMES).data
        self.assertLess(time.process_time() - started, 3)  # 0.15 s when nobody else computes
        self.assertEqual(
            ([file["path"] for file in found["files"]], found["seen"]), (["testrepository.subunit"], 50_001)
        )

    def test_endless_names_are_not_looked_at(self) -> None:
        """Suffixes are taken off one by one: those of a megabyte would take minutes."""
        names = [("x" + ".gz" * (1 << 18)), *(f"{number}" + ".gz" * 4000 for number in range(500))]
        started = time.process_time()
        result = self.read({"tree": [file(name) for name in names]}, names=NAMES)
        self.assertLess(time.process_time() - started, 1.0)
        self.assertEqual(result.data, {"files": [], "seen": len(names)})

    def test_deep_and_wide_trees_stay_small(self) -> None:
        """Long names above many folders: paths are made one at a time."""
        tree = [folder("x", 0)] * 100_000
        for _ in range(100):
            tree = [folder("n" * 1000, *tree)]
        started = time.process_time()
        self.assertEqual(self.read({"tree": tree}, names=NAMES).data["seen"], 0)
        self.assertLess(time.process_time() - started, 10)


class PropertyTests(ManifestTestCase):
    PATHS = st.lists(
        st.sampled_from(
            ("logs", "controller", "old", "a", "junit", "test-results", "surefire-reports", "stackviz", "é b")
        ),
        max_size=5,
    )
    LEAVES = st.sampled_from(
        (
            "testrepository.subunit",
            "x.subunit",
            "TEST-a.xml",
            "results.xml",
            "a.xml",
            "tmpAb3dE_",
            "tmpab",
            "console.html",
            "job-output.txt",
            "my-dstat-csv_log",
            "screen-memory_tracker.txt",
            "subunit",
            "xml",
            ".xml",
            "gz",
        )
    )

    @given(PATHS, LEAVES, st.sampled_from(("", ".gz", ".xz", ".bz2", ".zst")))
    @settings(max_examples=300, deadline=None)
    def test_whatever_a_scraper_wants_is_told(self, above: list[str], leaf: str, suffix: str) -> None:
        path = "/".join((*above, leaf + suffix))
        tree = Tree(url=ROOT, files=(ListedFile(path=path, url=ROOT + quote(path)),), looked_in=())
        fits = wanted.chooser(NAMES)("".join(f"{name}/" for name in above), leaf + suffix)
        for scraper in SCRAPERS:
            plain = [glob for glob in scraper.globs if "/" not in glob]
            if scraper.choose(tree) or ("stackviz" not in above and candidates(tree, plain)):
                self.assertTrue(fits, (scraper.name, path))

    @given(st.sampled_from(REAL), st.integers(0, 1 << 30))
    @settings(max_examples=150, deadline=None)
    def test_mangled_real_ones(self, path: Path, seed: int) -> None:
        """A tree below the root, or a ParseError."""
        try:
            found = self.read(mangled(path.read_bytes(), random.Random(seed))).data
        except ParseError:
            return
        self.assertLessEqual(len(found["files"]), found["seen"])
        for one in found["files"]:
            self.assertTrue(one["url"].startswith(ROOT), one)
            self.assertTrue(all(wanted.is_name(name) for name in one["path"].split("/")), one)
            self.assertEqual(unquote(one["url"].removeprefix(ROOT)), one["path"])

    JSON = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(("tree", "name", "children", "mimetype", "size")), inner, max_size=5
            )
        ),
        max_leaves=30,
    )

    @given(st.lists(JSON, max_size=6))
    @settings(max_examples=150, deadline=None)
    def test_any_json(self, tree: list[Any]) -> None:
        self.read(json.dumps({"tree": tree}).encode())
