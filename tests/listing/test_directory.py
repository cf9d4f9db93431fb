# SPDX-License-Identifier: Apache-2.0
"""Which folders are looked into, by a Fetcher over a dict; and the whole with a real Apache."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from stackviz_deployer.cpu import InlinePool
from stackviz_deployer.errors import (
    NotFoundError,
    ParseError,
    UpstreamStatusError,
    UpstreamTimeoutError,
)
from stackviz_deployer.listing import directory, pages
from stackviz_deployer.listing.job import JobListing
from stackviz_deployer.model import Fetched, Tree
from stackviz_deployer.net.fetch import HttpFetcher
from stackviz_deployer.parsers.worker import perform
from stackviz_deployer.settings import Limits
from tests.servers import FANCY, Apache

reactor: Any = _reactor
ROOT = "http://logs.example/1/"


class PagesFetcher:
    """interfaces.Fetcher over pages in a dict: url -> page, an exception, or (final url, page)."""

    def __init__(self, pages: Mapping[str, Any]) -> None:
        self.pages = pages
        self.asked: list[str] = []
        self.time_s: dict[str, float] = {}
        self.running = 0
        self.most = 0
        self.gate_below: str | None = None
        """Requests for folders below this URL wait until open_gate."""
        self.waiting: list[Deferred[None]] = []

    def open_gate(self) -> None:
        self.gate_below = None
        for waiting in self.waiting:
            waiting.callback(None)

    def check(self, url: str) -> None:
        pass

    async def fetch(self, url: str, into: Path, *, timeout_s: float, **_options: Any) -> Fetched:
        self.asked.append(url)
        self.time_s[url] = timeout_s
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.gate_below is not None and url.endswith("/") and url != self.gate_below:
                self.waiting.append(Deferred())
                await self.waiting[-1]
        finally:
            self.running -= 1
        page = self.pages.get(url, UpstreamStatusError(f"404 for {url}", 404))
        if isinstance(page, Exception):
            raise page
        if isinstance(page, tuple):
            url, page = page
        into.write_text(page, encoding="utf-8")  # noqa: ASYNC240  a small file
        return Fetched(url=url, content_type="text/html", size=len(page))


def index(*hrefs: str) -> str:
    rows = "".join(f'<li><a href="{html.escape(href)}"> {html.escape(href)}</a></li>\n' for href in hrefs)
    return f"<h1>Index of /</h1><ul>{rows}</ul>"


def tree_pages(files: list[str], root: str = ROOT) -> dict[str, str]:
    """The index pages of a tree of files."""
    folders: dict[str, dict[str, None]] = {"": {}}
    for file in files:
        parts = file.split("/")
        for depth, part in enumerate(parts):
            parent = "/".join(parts[:depth])
            leaf = depth == len(parts) - 1
            folders.setdefault(parent, {})[quote(part) + ("" if leaf else "/")] = None
    return {
        root + (quote(folder) + "/" if folder else ""): index(*names) for folder, names in folders.items()
    }


class WalkTests(SynchronousTestCase):
    def start(self, fetcher: PagesFetcher, url: str = ROOT) -> "Deferred[Tree]":
        self.scratch = Path(self.mktemp())
        self.scratch.mkdir()
        listing = JobListing(fetcher, InlinePool(perform), Limits())
        return Deferred.fromCoroutine(listing.open(url, self.scratch))

    def walk(self, pages: Mapping[str, Any], url: str = ROOT) -> Tree:
        self.fetcher = PagesFetcher(pages)
        tree = self.successResultOf(self.start(self.fetcher, url))
        self.assertEqual(list(self.scratch.iterdir()), [])
        return tree

    def test_places(self) -> None:
        wanted = [
            "console.html",
            "compute1/logs/dstat-csv_log.txt",
            "controller/logs/dstat-csv_log.txt",
            "controller/testrepository.subunit",
            "logs/new/testrepository.subunit.gz",
            "logs/old/testrepository.subunit.gz",
            "logs/subnode-2/dstat-csv.txt.gz",
            "logs/testrepository.subunit.gz",
            "test-results/x.subunit",
        ]
        other = ["logs/etc/nova/nova.conf", "stackviz/data/x.json", "zuul-info/inventory.yaml"]
        tree = self.walk(tree_pages(wanted + other))
        self.assertEqual([file.path for file in tree.files], sorted(wanted))
        self.assertEqual(tree.url, ROOT)
        self.assertEqual(
            tree.looked_in,
            (
                "./",
                "compute1/",
                "compute1/logs/",
                "controller/",
                "controller/logs/",
                "logs/",
                "logs/new/",
                "logs/old/",
                "logs/subnode-2/",
                "test-results/",
            ),
        )
        self.assertEqual(tree.warnings, ())
        self.assertEqual({file.url for file in tree.files}, {ROOT + path for path in wanted})

    def test_slash_is_added(self) -> None:
        for url in ("http://logs.example/1", "http://logs.example/1?C=M", "http://logs.example/1#x"):
            self.assertEqual(self.walk(tree_pages(["a"]), url).url, ROOT)

    def test_odd_names(self) -> None:
        name = "a b+c%25&é's.txt"
        tree = self.walk(tree_pages([name, "node é/logs/x"]))
        self.assertEqual([file.path for file in tree.files], [name, "node é/logs/x"])

    def test_gone(self) -> None:
        for status in (404, 410):
            failure = self.failureResultOf(
                self.start(PagesFetcher({ROOT: UpstreamStatusError("gone", status)})), NotFoundError
            )
            self.assertIn(f"nothing at {ROOT}", failure.value.message)
            self.assertIn("expired", failure.value.message)

    def test_root_that_fails(self) -> None:
        for error in (UpstreamStatusError("no", 403), UpstreamTimeoutError("slow"), ParseError("?")):
            self.failureResultOf(self.start(PagesFetcher({ROOT: error})), type(error))
        self.failureResultOf(self.start(PagesFetcher({ROOT: "<p>hello"})), ParseError)

    def test_optional_folder_that_is_missing(self) -> None:
        tree = self.walk({ROOT: index("a", "logs/", "controller/")})
        self.assertEqual([file.path for file in tree.files], ["a"])
        self.assertEqual((tree.looked_in, tree.warnings), (("./",), ()))

    def test_logs_that_cannot_be_read(self) -> None:
        """Half a job would be shown as a whole one."""
        pages = {ROOT: index("a", "logs/"), ROOT + "logs/": UpstreamTimeoutError("slow")}
        self.failureResultOf(self.start(PagesFetcher(pages)), UpstreamTimeoutError)

    def test_other_folders_that_cannot_be_read(self) -> None:
        tree = self.walk(
            {
                ROOT: index("a", "site/", "node/", "test-results/"),
                ROOT + "site/": "<p>a page of its own",
                ROOT + "node/": UpstreamStatusError("refused", 403),
                ROOT + "test-results/": "<p>odd",
            }
        )
        self.assertEqual(len(tree.warnings), 2)
        self.assertIn("node/ could not be read: refused", tree.warnings)

    def test_nothing_leads_out(self) -> None:
        tree = self.walk(
            {
                ROOT: index("a", "http://evil.example/b", "../c", "/d", "node/"),
                ROOT + "node/": ("http://logs.example/2/", index("x")),
            }
        )
        self.assertEqual([file.path for file in tree.files], ["a"])
        self.assertEqual(self.fetcher.asked[2:], [ROOT, ROOT + "node/"])

    def test_root_that_moved(self) -> None:
        pages = {ROOT: ("https://logs.example/1/", index("logs/"))}
        pages["https://logs.example/1/logs/"] = index("x")  # type: ignore[assignment]
        tree = self.walk(pages)
        self.assertEqual(
            (tree.url, tree.files[0].url), ("https://logs.example/1/", "https://logs.example/1/logs/x")
        )

    def test_requests_at_a_time(self) -> None:
        fetcher = PagesFetcher({ROOT: index(*[f"node{i}/" for i in range(60)])})
        done = self.start(fetcher)
        self.successResultOf(done)
        self.assertEqual(len(fetcher.asked), 63)
        waiting = PagesFetcher(fetcher.pages)
        waiting.gate_below = ROOT
        done = self.start(waiting)
        self.assertEqual(waiting.running, pages.CONCURRENT)
        waiting.open_gate()
        self.successResultOf(done)
        self.assertEqual((waiting.most, len(waiting.asked)), (pages.CONCURRENT, 63))

    def test_folders_are_bounded(self) -> None:
        tree = self.walk({ROOT: index(*[f"node{i}/" for i in range(500)])})
        self.assertEqual(len(self.fetcher.asked), directory.MAX_REQUESTS)
        (warning,) = tree.warnings
        self.assertIn("too many folders", warning)

    def test_cancel(self) -> None:
        fetcher = PagesFetcher({ROOT: index("logs/")})
        fetcher.gate_below = ROOT
        done = self.start(fetcher)
        self.assertEqual(fetcher.running, 1)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(fetcher.running, 0)


class ApacheTests(TestCase):
    timeout = 120
    FILES = (
        "console.html",
        "controller/logs/dstat-csv_log.txt",
        "logs/new/testrepository.subunit.gz",
        "logs/odd ' \"<b>&%20+é:name.txt",
        "logs/testrepository.subunit.gz",
        "logs/worlddump-2016-02-09-034455-a-very-long-file-name-that-is-cut-by-fancy-indexes.txt.gz",
    )
    STYLES = (
        FANCY,
        "None",
        "FancyIndexing",
        "FancyIndexing SuppressIcon",
        "FancyIndexing HTMLTable SuppressIcon SuppressDescription",
        "FancyIndexing HTMLTable XHTML IconsAreLinks FoldersFirst",
        "FancyIndexing SuppressColumnSorting SuppressRules SuppressLastModified",
        "FancyIndexing HTMLTable SuppressHTMLPreamble UseOldDateFormat SuppressSize",
        "FancyIndexing IgnoreCase DescriptionWidth=* NameWidth=10 ShowForbidden",
    )

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        for file in self.FILES:
            path = self.base / "htdocs" / "job" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 2000)
        (self.base / "htdocs" / "help.html").write_text(
            '<p>Read <a href="overview.html">this</a><ul><li><a href="faq">x</a></ul>'
        )

    async def test_styles(self) -> None:
        base, htdocs = self.base, self.base / "htdocs"
        around = "\nHeaderName /help.html\nReadmeName /help.html\nIndexIgnore .??*\n"
        for number, style in enumerate((*self.STYLES, *self.STYLES)):
            extra = around if number >= len(self.STYLES) else ""
            apache = Apache(htdocs, base / str(number), index_options=style, extra=extra)
            apache.start()
            self.addCleanup(apache.stop)
            fetcher = HttpFetcher(
                reactor, allowed=[f"127.0.0.1:{apache.port}"], private_networks=["127.0.0.0/8"]
            )
            listing = JobListing(fetcher, InlinePool(perform), Limits())
            try:
                tree = await listing.open(apache.url + "job", base)
                self.assertEqual([file.path for file in tree.files], sorted(self.FILES), (style, extra))
                self.assertEqual(tree.url, apache.url + "job/")
                for file in tree.files:
                    fetched = await fetcher.fetch(file.url, base / "x", max_bytes=2000, timeout_s=10)
                    self.assertEqual(fetched.size, 2000)
                failure = await self.assertFailure(
                    Deferred.fromCoroutine(listing.open(apache.url + "gone/", base)), NotFoundError
                )
                self.assertIn("expired", failure.message)
            finally:
                await fetcher.close()
                apache.stop()
