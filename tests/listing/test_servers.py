# SPDX-License-Identifier: Apache-2.0
"""A job with hostile names on each server that Debian ships, read live, in HTML, JSON and XML."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from stackviz_deployer.cpu import InlinePool
from stackviz_deployer.errors import NotFoundError
from stackviz_deployer.listing.job import JobListing
from stackviz_deployer.net.fetch import HttpFetcher
from stackviz_deployer.parsers.worker import perform
from stackviz_deployer.scrapers import SCRAPERS
from stackviz_deployer.settings import Limits
from tests.servers import Apache, Caddy, Lighttpd, Nginx, PythonServer, Server

reactor: Any = _reactor

NAMES = (
    "..hidden-twice",
    "...",
    "=?ISO.html",
    "[test].log",
    "?C=N;O=D",
    "a b+c%25&amp;é.txt",
    "amp;&lt;&.txt",
    "café.txt",
    "colon:name.txt",
    "hash#tag.txt",
    "http:%2f%2fevil.example%2fx",
    "javascript:alert(1)",
    "percent%20name.txt",
    "percent%zz.txt",
    "plus+sign.txt",
    "question?mark.txt",
    "quote'\"<b>.txt",
    "semi;colon=1.txt",
    "tilde~star*$@!.txt",
    "worlddump-2016-02-09-034455-a-very-long-file-name-that-is-cut-by-most-indexes-of-servers.txt.gz",
    "日本語-" + "語" * 70,
    " leads and trails ",
)
FILES = (
    *(f"logs/{name}" for name in NAMES),
    "console.html",
    "controller/logs/dstat-csv_log.txt",
    "logs/new/testrepository.subunit.gz",
    "one/two/three/four/testrepository.subunit",
    "odd 'names' & more/test-results/TEST-a.xml",
)
TOO_DEEP = "one/two/three/four/five/testrepository.subunit"


class LiveTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.htdocs = self.base / "htdocs"
        for number, file in enumerate((*FILES, TOO_DEEP)):
            path = self.htdocs / "a job" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * (2000 + number))
        (self.htdocs / "a job" / "logs" / "empty").mkdir()

    async def read(self, make: Callable[[Path, Path], Server], *, leaves_out: tuple[str, ...] = ()) -> None:
        """Every file is found, under the name that it has, and its URL leads to it."""
        server = make(self.htdocs, self.base / "server")
        server.start()
        self.addCleanup(server.stop)
        fetcher = HttpFetcher(reactor, allowed=[f"127.0.0.1:{server.port}"], private_networks=["127.0.0.0/8"])
        self.addCleanup(lambda: Deferred.fromCoroutine(fetcher.close()))
        scratch = self.base / "scratch"
        scratch.mkdir()
        listing = JobListing(fetcher, InlinePool(perform), Limits())
        for url in (server.url + "a%20job/", server.url + "a%20job"):
            tree = await listing.open(url, scratch)
            expected = sorted(file for file in FILES if not file.endswith(leaves_out or ("\0",)))
            self.assertEqual([file.path for file in tree.files], expected)
            self.assertEqual(tree.warnings, ())
            self.assertEqual(tree.seen, len(expected))
            self.assertIn("logs/empty/", tree.looked_in)
        for file in tree.files:
            self.assertTrue(file.url.startswith(tree.url), file)
            fetched = await fetcher.fetch(file.url, self.base / "x", max_bytes=1 << 20, timeout_s=10)
            self.assertEqual(fetched.size, 2000 + FILES.index(file.path), file)
        names = [glob for scraper in SCRAPERS for glob in scraper.globs]
        tree = await JobListing(fetcher, InlinePool(perform), Limits(), names=names).open(url, scratch)
        self.assertEqual([file.path for file in tree.files], sorted(FILES[-5:]))
        self.assertEqual(tree.seen, len(expected))
        await self.assertFailure(
            Deferred.fromCoroutine(listing.open(server.url + "gone/", scratch)), NotFoundError
        )

    async def test_apache(self) -> None:
        # dot files are left out by Debian's configuration, and here as well
        await self.read(
            lambda root, base: Apache(root, base, extra="IndexIgnore .??*"), leaves_out=self.dots()
        )

    async def test_apache_that_shows_dot_files(self) -> None:
        await self.read(Apache)

    async def test_nginx(self) -> None:
        await self.read(Nginx, leaves_out=self.dots())

    async def test_nginx_json(self) -> None:
        await self.read(
            lambda root, base: Nginx(root, base, location="autoindex_format json;"), leaves_out=self.dots()
        )

    async def test_nginx_xml(self) -> None:
        await self.read(
            lambda root, base: Nginx(root, base, location="autoindex_format xml;"), leaves_out=self.dots()
        )

    async def test_caddy(self) -> None:
        await self.read(Caddy)

    async def test_lighttpd(self) -> None:
        await self.read(Lighttpd, leaves_out=self.dots())

    async def test_python(self) -> None:
        await self.read(PythonServer)

    def dots(self) -> tuple[str, ...]:
        return tuple("/" + name for name in NAMES if name.startswith("."))


class RawNamesTests(TestCase):
    """File names are bytes; those that are no UTF-8 can be fetched all the same (lighttpd refuses to)."""

    timeout = 60

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        (self.base / "htdocs").mkdir(parents=True)
        (self.base / "scratch").mkdir()
        with open(os.fsencode(self.base / "htdocs") + b"/raw-\xff\xe9.subunit", "wb") as file:  # noqa: PTH123
            file.write(b"x" * 77)

    async def read(self, make: Callable[[Path, Path], Server]) -> None:
        server = make(self.base / "htdocs", self.base / "server")
        server.start()
        self.addCleanup(server.stop)
        fetcher = HttpFetcher(reactor, allowed=[f"127.0.0.1:{server.port}"], private_networks=["127.0.0.0/8"])
        self.addCleanup(lambda: Deferred.fromCoroutine(fetcher.close()))
        scratch = self.base / "scratch"
        tree = await JobListing(fetcher, InlinePool(perform), Limits()).open(server.url, scratch)
        (file,) = tree.files
        self.assertTrue(file.path.startswith("raw-") and file.path.endswith(".subunit"))
        fetched = await fetcher.fetch(file.url, scratch / "x", max_bytes=100, timeout_s=10)
        self.assertEqual(fetched.size, 77)

    async def test_apache(self) -> None:
        await self.read(Apache)

    async def test_nginx(self) -> None:
        await self.read(Nginx)

    async def test_python(self) -> None:
        await self.read(PythonServer)
