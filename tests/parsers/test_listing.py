# SPDX-License-Identifier: Apache-2.0
"""Directory indexes: captured pages of real servers against the truth, and what is no index."""

import gzip
import json
import random
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.parsers import listing, wanted

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "listings"
BASE = "http://logs.example.org/1/2/"


class ListingTestCase(SynchronousTestCase):
    def read(
        self, page: bytes | str | Path, url: str = BASE, max_bytes: int = 32 << 20, **options: Any
    ) -> ParseResult:
        if not isinstance(page, Path):
            path = Path(self.mktemp())
            path.write_bytes(page.encode() if isinstance(page, str) else page)
            page = path
        return listing.parse(
            ParseRequest(
                parser="listing",
                inputs=(InputFile(path=str(page), name="the index"),),
                out_dir="/nonexistent",
                max_bytes=max_bytes,
                options={"url": url, **options},
            )
        )

    def entries(self, page: bytes | str | Path, url: str = BASE) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.read(page, url).data["entries"]
        return entries

    def names(self, page: bytes | str, url: str = BASE) -> list[str]:
        return [entry["name"] for entry in self.entries(page, url)]


class CapturedTests(ListingTestCase):
    def test_odd_names(self) -> None:
        """Five settings of Apache, and the other servers: the same names, folders and rough sizes."""
        seen = 0
        for path in sorted((FIXTURES / "small").glob("*.*.*")):
            server, folder, _ = path.name.split(".")
            if server in ("TRUTH", "swift-staticweb"):  # of another tree
                continue
            url = "http://h/" if folder == "root" else f"http://h/{folder}/"
            got = {entry["name"]: entry for entry in self.entries(path, url)}
            got.pop(".hidden", None)  # nginx, whose word is the truth here, leaves it out
            if folder == "empty":
                self.assertEqual(got, {}, path.name)
                continue
            truth = json.loads((FIXTURES / "small" / f"TRUTH.{folder}.json").read_text(encoding="utf-8"))
            self.assertEqual(sorted(got), sorted(entry["name"] for entry in truth), path.name)
            for entry in truth:
                name = entry["name"]
                self.assertEqual(got[name]["dir"], entry["type"] == "directory", (path.name, name))
                self.check_size(path.name, name, got[name]["size"], entry.get("size"))
            seen += 1
        self.assertEqual(seen, 23)

    def test_swift(self) -> None:
        """Each dot is %2E, each address begins with "./"."""
        found = self.entries(FIXTURES / "small" / "swift-staticweb.logs.html", BASE)
        self.assertEqual(
            found,
            [
                {"name": "etc", "url": BASE + "etc/", "dir": True, "size": None},
                {
                    "name": "dstat-csv_log.txt",
                    "url": BASE + "dstat-csv_log%2Etxt",
                    "dir": False,
                    "size": 2 << 20,
                },
                {
                    "name": "name with spaces & <b>.txt",
                    "url": BASE + "name%20with%20spaces%20%26%20%3Cb%3E%2Etxt",
                    "dir": False,
                    "size": 10,
                },
                {
                    "name": "testrepository.subunit",
                    "url": BASE + "testrepository%2Esubunit",
                    "dir": False,
                    "size": 512,
                },
            ],
        )

    def test_zuul_role(self) -> None:
        """The role's index pages tell of the same files as the manifest that it made of the same tree."""
        folders = {"": json.loads((FIXTURES / "manifest" / "zuul-manifest.json").read_bytes())["tree"]}
        seen = 0
        while folders:
            path, children = folders.popitem()
            folders |= {f"{path}{c['name']}_": c["children"] for c in children if "children" in c}
            page = FIXTURES / "manifest" / f"zuul-{path}index.html"
            url = BASE + path.replace("_", "/") + "index.html"
            got = {entry["name"]: entry for entry in self.entries(page, url)}
            self.assertEqual(sorted(got), sorted(child["name"] for child in children), path)
            for child in children:
                entry = got[child["name"]]
                self.assertEqual(entry["dir"], "children" in child, entry)
                self.assertTrue(entry["url"].endswith("/index.html" if entry["dir"] else entry["url"][-5:]))
                if not entry["dir"] and "<" not in child["name"]:  # the role escapes nothing
                    self.check_size("zuul", child["name"], entry["size"], child["size"])
            seen += 1
        self.assertEqual(seen, 8)

    def check_size(self, page: str, name: str, size: int | None, truth: int | None) -> None:
        if page.startswith(("apache-plain", "apache-404", "py", "caddy.")) or truth is None:
            self.assertIsNone(size, (page, name))
            return
        self.assertIsNotNone(size, (page, name))
        assert size is not None
        if "json" in page:
            self.assertEqual(size, truth, (page, name))
        slack = truth * 0.2 if "human" in page else max(truth * 0.05, 110 if "lighttpd" in page else 51)
        self.assertLessEqual(abs(size - truth), slack, (page, name))

    def test_a_job(self) -> None:
        truth = json.loads((FIXTURES / "job" / "TRUTH.json").read_text(encoding="utf-8"))
        keys = {
            "top": ".",
            "logs": "logs",
            "logs_": "logs",
            "logs_libvirt_qemu_": "logs/libvirt/qemu",
            "odd_20names_": "odd names",
            "odd-names": "odd names",
        }
        later = {"job-output.json", "job-output.txt", "zuul-info"}  # added after most captures
        seen = 0
        for path in sorted((FIXTURES / "job").iterdir()):
            server, _, rest = path.stem.partition("-")
            style = ""
            if server == "apache":
                style, _, rest = rest.partition("-")
            key = keys.get(rest.removeprefix("index-"))
            if key is None:
                continue
            base = f"http://h/{style}/61/334961/2/check/gate-tempest-dsvm-full/a1b2c3d/".replace("h//", "h/")
            url = base if key == "." else f"{base}{quote(key)}/"
            got = {entry["name"]: entry for entry in self.entries(path, url)}
            expected = dict(truth[key])
            if server == "nginx":
                expected.pop(".placeholder", None)
            if server != "swift" and key == ".":
                expected = {name: size for name, size in expected.items() if name not in later}
            self.assertEqual(sorted(got), sorted(expected), path.name)
            seen += 1
            for name, size in expected.items():
                self.assertEqual(got[name]["dir"], size is None, (path.name, name))
                if path.suffix != ".html":
                    self.assertEqual(got[name]["size"], size, (path.name, name))
                if server != "swift" or size is not None:
                    self.assertTrue(got[name]["url"].startswith(url), got[name]["url"])

        self.assertEqual(seen, 29)

    def test_an_error_page_is_no_index(self) -> None:
        self.assertRaises(ParseError, self.read, FIXTURES / "job" / "apache-404.html")


class RuleTests(ListingTestCase):
    FANCY = (
        '<table><tr><th><a href="?C=N;O=D">Name</a></th></tr>'
        '<tr><td><a href="/1/">Parent Directory</a></td></tr>{}</table>'
    )

    def row(self, href: str, text: str = "x") -> str:
        return self.FANCY.format(f'<tr><td><a href="{href}">{text}</a></td></tr>')

    def test_what_is_not_below_is_dropped(self) -> None:
        for href in (
            "../",
            "..",
            "/",
            "/1/",
            "/1/2/",
            "/1/3/x",
            "/1/2/../x",
            "http://evil.example/1/2/x",
            "//evil.example/1/2/x",
            "https://logs.example.org/1/2/x",
            "http://logs.example.org.evil.example/1/2/x",
            "http://logs.example.org@evil.example/1/2/x",
            "javascript:alert(1)",
            "JaVaScript:alert(1)",
            "data:text/html,x",
            "mailto:a@b",
            "#top",
            "",
            ".",
            "./",
            "%2e%2e/",
            "..%2fx",
            "a%2fb",
            "a%00b",
            "a%5cb",
            "a%0ab",
            "x/y",
            "x/y/index.html",
            "x?download=1",
        ):
            self.assertEqual(self.names(self.row(href)), [], href)

    def test_ways_to_write_an_href(self) -> None:
        for href, name, url in (
            ("x.txt", "x.txt", "x.txt"),
            ("./colon:name.txt", "colon:name.txt", "colon:name.txt"),
            ("/1/2/x", "x", "x"),
            ("/1/%32/x", "x", "x"),
            ("http://logs.example.org/1/2/x", "x", "x"),
            ("//logs.example.org/1/2/x", "x", "x"),
            ("a%20b+c%2525&amp;amp;%c3%a9.txt", "a b+c%25&amp;é.txt", "a%20b+c%2525&amp;%c3%a9.txt"),
            ("a b.txt", "a b.txt", "a%20b.txt"),
            ("café", "café", "caf%C3%A9"),
            ("100%.txt", "100%.txt", "100%25.txt"),
            ("./dstat-csv_log%2Etxt", "dstat-csv_log.txt", "dstat-csv_log%2Etxt"),
        ):
            (entry,) = self.entries(self.row(href))
            self.assertEqual((entry["name"], entry["url"], entry["dir"]), (name, BASE + url, False))
        for href in ("logs/", "logs/index.html"):
            (entry,) = self.entries(self.row(href))
            self.assertEqual((entry["name"], entry["url"], entry["dir"]), ("logs", BASE + href, True))
        for link in ("<A HREF='x'>", '<a class="n"\n href = x >', '<a title="a" href="x" rel="nofollow">'):
            page = f"<h1>Index of /</h1><UL><LI>{link}x</A></UL>"
            self.assertEqual(self.names(page), ["x"], link)

    def test_the_page_decides_the_base(self) -> None:
        (entry,) = self.entries(self.row("x"), "http://h:8080/a/index.html?q=/b/")
        self.assertEqual(entry["url"], "http://h:8080/a/x")
        (entry,) = self.entries(self.row("x"), "sample:job/logs/")
        self.assertEqual(entry["url"], "sample:job/logs/x")

    def test_help_texts_around(self) -> None:
        help_text = (
            '<p>See <a href="overview.html">the overview</a></p><ul><li><a href="faq.html">FAQ</a></ul>'
            '<table><tr><td><a href="one">1</a><td><a href="two">2</a><td><a href="three">3</a></table>'
        )
        index = self.row("console.html")
        for page in (help_text + index, index + help_text, help_text + index + help_text):
            self.assertEqual(self.names(page), ["console.html"])
        plain = '<ul><li><a href="a"> a</a></li><li><a href="b"> b</a></li></ul>'
        self.assertEqual(self.names(f'<p><a href="faq.html">FAQ</a></p>{plain}<a href="z">z</a>'), ["a", "b"])

    def test_help_text_with_more_links_than_the_index(self) -> None:
        help_text = '<ul><li><a href="faq">Questions</a><li><a href="why">Reasons</a></ul>'
        plain = '<ul><li><a href="console.html"> console.html</a></li></ul>'
        for page in (help_text + plain, plain + help_text):
            self.assertEqual(self.names(page), ["console.html"])

    def test_unclosed_help_text(self) -> None:
        self.assertEqual(self.names("<table><tr><td>Welcome<ul><li>x" + self.row("a")), ["a"])

    def test_no_index(self) -> None:
        for page in (
            "",
            "<html><body><p>hello</p></body></html>",
            '<ul><li><a href="about/">About us</a><li><a href="blog/">News</a></ul>',
            '<table><tr><td><a href="https://elsewhere.example/">x</a></table>',
            "\x00\x01\x02",
        ):
            self.assertRaises(ParseError, self.read, page)

    def test_empty_folder_is_an_index(self) -> None:
        self.assertEqual(self.names("<title>Directory listing for /x/</title><ul>\n</ul>"), [])
        self.assertEqual(self.names('<pre><a href="../">../</a>\n</pre>'), [])

    def test_charset(self) -> None:
        self.assertEqual(self.names(self.row("café").encode()), ["café"])
        self.assertEqual(self.names(self.row("café").encode("cp1252")), ["café"])

    def test_compressed_page(self) -> None:
        self.assertEqual(self.names(gzip.compress(self.row("a").encode())), ["a"])

    def test_size_limit(self) -> None:
        page = self.row("a")
        self.read(page, max_bytes=len(page))
        self.assertRaises(TooLargeError, self.read, page, max_bytes=len(page) - 1)

    def test_too_many_entries(self) -> None:
        links = "".join(f'<li><a href="{i}">{i}</a>\n' for i in range(listing.MAX_ENTRIES + 1))
        found = self.read(f"<h1>Index of /</h1><ul>{links}</ul>", "http://h/")
        self.assertLess(len(json.dumps(found.data)), 1 << 20)
        self.assertEqual(
            (len(found.data["entries"]), found.data["seen"]), (wanted.MAX_TOLD, listing.MAX_ENTRIES)
        )
        read, told = found.warnings
        self.assertIn("only the first 50,000 were read", read)
        self.assertIn("48,000 files of those wanted were left out", told)

    def test_only_what_is_wanted_is_told(self) -> None:
        links = "".join(
            f'<a href="{name}">{name}</a>\n' for name in ("a.subunit.gz", "b.txt", "c/", "d.xml", "e")
        )
        page = f"<h1>Index of /</h1><pre>{links}</pre>"
        for path, globs, expected in (
            ("", ["*.subunit", "e"], ["c", "a.subunit.gz", "e"]),
            ("", ["results/*.xml"], ["c"]),
            ("logs/results/", ["results/*.xml"], ["c", "d.xml"]),
            ("results/", ["results/*.xml", "b.*"], ["c", "b.txt", "d.xml"]),
            ("no-results/", ["results/*.xml"], ["c"]),
            ("a/b/c/d/", ["e"], ["c", "e"]),
            ("a/b/c/d/e/", ["e"], ["c"]),
            ("", [], ["c"]),
        ):
            found = self.read(page, path=path, names=globs).data
            self.assertEqual([entry["name"] for entry in found["entries"]], expected, (path, globs))
            self.assertEqual(found["seen"], 4)

    def test_five_thousand_entries_are_quick(self) -> None:
        rows = "".join(
            f'<tr><td><img src="/i.gif" alt="[TXT]"></td><td><a href="screen-{i}.gz">screen-{i}.gz</a></td>'
            '<td align="right">2016-02-09 03:33  </td><td align="right">1.2K</td><td>&nbsp;</td></tr>\n'
            for i in range(5000)
        )
        page = self.FANCY.format(rows)
        started = time.process_time()
        self.assertEqual(self.read(page, names=["*.subunit"]).data["seen"], 5000)
        self.assertLess(time.process_time() - started, 0.5)  # 20 to 30 ms when nobody else computes

    def test_hostile_pages_take_linear_time(self) -> None:
        for piece in (
            "<a ",
            "<table>",
            '<a href="x',
            "<a href=../>",
            "<a href=y>x</a> ",
            "<title>",
            "<a q>1:00 ",
        ):
            page = "<h1>Index of /</h1><pre>" + piece * (2_000_000 // len(piece))
            started = time.process_time()
            self.read(page)
            self.assertLess(time.process_time() - started, 5, piece)


class DataTests(ListingTestCase):
    def test_what_leads_out_or_is_no_file(self) -> None:
        rows = [
            *(
                {"name": name, "type": "file"}
                for name in ("..", ".", "", "../x", "/etc/passwd", "a/b", "a\\b", "a\0")
            ),
            *({"name": name, "type": "file"} for name in (7, None, ["x"], "n" * 1025, "a\ud800")),
            {"name": "socket", "type": "other"},
            {"type": "file"},
            "text",
            None,
            {"name": "x", "type": "file", "size": -1},
            {"name": "y", "type": "file", "size": "12"},
            {"name": "z/", "is_dir": True, "size": 4096, "url": "http://evil.example/"},
            {"name": "z", "type": "file", "size": 5},
            {"name": "w", "type": "file", "size": True},
        ]
        found = self.entries(json.dumps(rows))
        self.assertEqual(
            [(e["name"], e["url"], e["dir"], e["size"]) for e in found],
            [
                ("z", BASE + "z/", True, None),
                ("x", BASE + "x", False, None),
                ("y", BASE + "y", False, None),
                ("w", BASE + "w", False, None),
            ],
        )

    def test_torn(self) -> None:
        for name, whole in (("nginx-logs_.json", 44), ("nginx-logs_.xml", 44)):
            page = (FIXTURES / "job" / name).read_bytes()
            self.assertEqual(len(self.entries(page)), whole)
            found = self.read(page[: len(page) * 2 // 3])
            self.assertGreater(len(found.data["entries"]), 20)
            (warning,) = found.warnings
            self.assertIn("the rest is missing", warning)

    def test_sizes_that_no_answer_can_carry(self) -> None:
        torn = f'[{{"name": "a", "size": {1 << 64}}}, {{"name": "b", "size": 5}}, {{"'
        page = f'<h1>Index of /</h1><pre><a href="a">a</a>  01-Jan-2020 00:00  {"9" * 18}P\n</pre>'
        self.assertEqual([entry["size"] for entry in self.entries(torn)], [None, 5])
        self.assertEqual([entry["size"] for entry in self.entries(page)], [None])

    def test_empty_and_none(self) -> None:
        for page in ("[]", "[\n\n]\n", '<?xml version="1.0"?>\n<list>\n</list>'):
            self.assertEqual(self.names(page), [])
        for page in ("[", "[1, 2]", "[x]", '{"name": "a"}', "[" * 100_000, '<?xml version="1.0"?><x/>'):
            self.assertRaises(ParseError, self.read, page)

    def test_xml_entities(self) -> None:
        rows = (
            '<file mtime="x" size="3">a &amp; &#39;b&lt;.txt</file><other>s</other><directory>d</directory>'
        )
        self.assertEqual(self.names(f"<list>{rows}</list>"), ["d", "a & 'b<.txt"])


class PropertyTests(ListingTestCase):
    REAL = sorted(
        path
        for folder in ("small", "job", "manifest")
        for path in (FIXTURES / folder).iterdir()
        if path.is_file()
    )

    NAME = st.text(
        st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/\\"), min_size=1, max_size=60
    ).filter(lambda name: name not in (".", ".."))

    @given(st.lists(NAME, unique=True, max_size=20))
    @settings(max_examples=60, deadline=None)
    def test_names_survive_the_way(self, names: list[str]) -> None:
        rows = "".join(f'<li><a href="{quote("./" + n, safe="/.")}">…</a></li>' for n in names)
        self.assertEqual(self.names(f"<h1>Index of /</h1><ul>{rows}</ul>"), names)

    @given(st.text(alphabet="<>a hrefpul/=\"'&;?#.:%\n0123", max_size=300))
    @settings(max_examples=200, deadline=None)
    def test_nothing_leads_out(self, soup: str) -> None:
        for entry in self.entries("<h1>Index of /</h1><pre>" + soup):
            self.assertTrue(entry["url"].startswith(BASE), entry)
            self.assertNotIn(entry["name"], ("", ".", ".."))
            self.assertNotIn("/", entry["name"])

    @given(st.sampled_from(REAL), st.integers(0, 1 << 30))
    @settings(max_examples=150, deadline=None)
    def test_mangled_real_pages(self, path: Path, seed: int) -> None:
        """An index, or a ParseError; never a way out."""
        page = mangled(path.read_bytes(), random.Random(seed))
        try:
            entries = self.entries(page)
        except ParseError:
            return
        for entry in entries:
            self.assertTrue(entry["url"].startswith(BASE), entry)
            self.assertEqual(
                entry["url"].removesuffix("/index.html").removesuffix("/").count("/"), BASE.count("/")
            )
            self.assertTrue(wanted.is_name(entry["name"]))


def mangled(data: bytes, r: random.Random) -> bytes:
    """With bytes changed, cut out, doubled or taken from elsewhere; often torn."""
    out = bytearray(data)
    for _ in range(r.randint(1, 8)):
        at = r.randrange(len(out) + 1)
        end = min(len(out), at + r.randint(0, 60))
        start = r.randrange(len(out) + 1)
        out[at:end] = r.choice(
            (
                b"",
                r.randbytes(3),
                bytes(out[start : start + 200]),
                b"../",
                b"/",
                b'"',
                b"<",
                b"&#",
                b"\\u0000",
                b"%2f",
            )
        )
    return bytes(out[: r.randrange(len(out) + 1)] if r.random() < 0.3 else out)
