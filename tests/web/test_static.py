# SPDX-License-Identifier: Apache-2.0
"""Trees in memory: what is read, what is refused, how it is answered."""

import gzip
import os
from pathlib import Path

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import ConfigError
from stackviz_deployer.web.static import CONTENT_TYPES, StaticFile, StaticTree, packaged_public
from tests.web.door import StubCase
from tests.web.fakes import PAGES, write_tree


class TreeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = write_tree(Path(self.mktemp()), PAGES)

    def test_reads_everything_but_dot_files(self) -> None:
        tree = StaticTree.load(self.root)
        for name, body in PAGES.items():
            file = tree.get(name)
            if name.startswith("."):
                self.assertIsNone(file)
            else:
                self.assertEqual(file.body, body)
        for name in ("", "css", "css/", "/css/main.css", "css//main.css", "js/../index.html", "./index.html"):
            self.assertIsNone(tree.get(name))

    def test_compressed_once_and_only_when_smaller(self) -> None:
        tree = StaticTree.load(self.root)
        self.assertEqual(gzip.decompress(tree.get("index.html").zipped), PAGES["index.html"])
        self.assertIsNone(tree.get("go.html").zipped)
        self.assertEqual(StaticFile.of(b"x" * 99, "text/plain"), StaticFile.of(b"x" * 99, "text/plain"))

    def test_types_are_pinned(self) -> None:
        write_tree(
            self.root, {"a.PNG": b"p", "noext": b"n", "x.unknown": b"u", "m.js.map": b"{}", "w.woff2": b"w"}
        )
        tree = StaticTree.load(self.root)
        for name, content_type in (
            ("index.html", b"text/html; charset=utf-8"),
            ("js/main.js", b"application/javascript; charset=utf-8"),
            ("css/main.css", b"text/css; charset=utf-8"),
            ("favicon.svg", b"image/svg+xml"),
            ("a.PNG", b"image/png"),
            ("noext", b"application/octet-stream"),
            ("x.unknown", b"application/octet-stream"),
            ("m.js.map", b"application/json"),
            ("w.woff2", b"font/woff2"),
        ):
            self.assertEqual(tree.get(name).content_type, content_type)
        self.assertNotIn("", CONTENT_TYPES)

    def test_links_and_special_files(self) -> None:
        outside = Path(self.mktemp())
        outside.write_bytes(b"secret")
        (self.root / "out.txt").symlink_to(outside.resolve())
        (self.root / "passwd").symlink_to("/etc/passwd")
        (self.root / "in.txt").symlink_to("index.html")
        (self.root / "dangling").symlink_to("nowhere")
        (self.root / "loop").symlink_to("loop")
        (self.root / "up").symlink_to("..", target_is_directory=True)
        os.mkfifo(self.root / "fifo")
        tree = StaticTree.load(self.root)
        self.assertEqual(tree.get("in.txt").body, PAGES["index.html"])
        for name in ("out.txt", "passwd", "dangling", "loop", "fifo", "up", f"up/{outside.name}"):
            self.assertIsNone(tree.get(name), name)

    def test_root_may_be_a_link(self) -> None:
        link = Path(self.mktemp())
        link.symlink_to(self.root.resolve(), target_is_directory=True)
        self.assertIsNotNone(StaticTree.load(link).get("index.html"))

    def test_bounds(self) -> None:
        total = sum(len(body) for name, body in PAGES.items() if not name.startswith("."))
        count = sum(not name.startswith(".") for name in PAGES)
        StaticTree.load(self.root, max_bytes=total, max_files=count)
        for limits in ({"max_bytes": total - 1}, {"max_files": count - 1}):
            with self.assertRaises(ConfigError) as caught:
                StaticTree.load(self.root, **limits)
            self.assertIn(str(self.root), caught.exception.message)

    def test_no_directory(self) -> None:
        for path in (self.root / "missing", self.root / "index.html"):
            with self.assertRaises(ConfigError):
                StaticTree.load(path)

    def test_packaged_pages(self) -> None:
        self.assertTrue(packaged_public().is_dir())


class PageTests(StubCase):
    def test_pages(self) -> None:
        for path, name in (
            ("/", "index.html"),
            ("/index.html", "index.html"),
            ("/js/main.js", "js/main.js"),
            ("/css/main.css?v=1", "css/main.css"),
            ("/favicon.svg", "favicon.svg"),
            ("/favicon.ico", "favicon.svg"),
            ("/go", "go.html"),
            ("/go/", "go.html"),
            ("/go/271726", "go.html"),
            ("/go/https://review.opendev.org/c/a/b/+/1/../%ff%2e%2e/?x=1", "go.html"),
        ):
            for encoding in ("gzip", "identity"):
                reply = self.get(path, Accept_Encoding=encoding)
                self.assertEqual((reply.code, reply.body), (200, PAGES[name]), path)
                self.assertEqual(reply.header("Cache-Control"), "no-cache")

    def test_robots(self) -> None:
        reply = self.get("/robots.txt")
        self.assertEqual(reply.body, b"User-agent: *\nDisallow: /\n")

    def test_nothing_there(self) -> None:
        for path in (
            "/missing",
            "/js",
            "/js/",
            "/.secret",
            "/.git/config",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/..%2f..%2fetc/passwd",
            "/js%2fmain.js",
            "/%ff",
            "/index.html/",
            "//index.html",
            "/robots.txt/x",
        ):
            reply = self.get(path)
            self.assertEqual(reply.code, 404, path)
            self.assertEqual(reply.header("Content-Type"), "text/plain; charset=utf-8")
            self.assertEqual(reply.header("Cache-Control"), "no-store")

    def test_conditional(self) -> None:
        tags = set()
        for encoding in ("gzip", "identity"):
            etag = str(self.get("/", Accept_Encoding=encoding).header("ETag"))
            tags.add(etag)
            reply = self.get("/", Accept_Encoding=encoding, If_None_Match=etag)
            self.assertEqual((reply.code, reply.body), (304, b""))
            self.assertEqual(reply.header("ETag"), etag)
            self.assertEqual(reply.header("Vary"), "Accept-Encoding")
        self.assertEqual(len(tags), 2)

    def test_methods(self) -> None:
        with capturedLogs() as logged:
            reply = self.ask("HEAD", "/")
            self.assertEqual(self.ask("HEAD", "/missing").code, 404)
        self.assertNotIn("eat it", repr(logged))
        self.assertEqual((reply.code, reply.body), (200, b""))
        self.assertEqual(reply.header("Content-Length"), str(len(PAGES["index.html"])))
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
            reply = self.ask(method, "/")
            self.assertEqual((reply.code, reply.header("Allow")), (405, "GET, HEAD"))
