# SPDX-License-Identifier: Apache-2.0
"""Where a job's files are looked for, and in which order; a Fetcher over a dict."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.cpu import InlinePool
from stackviz_deployer.errors import (
    AddressRefusedError,
    HostNotAllowedError,
    NotFoundError,
    TooLargeError,
    UpstreamInvalidError,
    UpstreamStatusError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
    WorkerDiedError,
)
from stackviz_deployer.listing import directory, places
from stackviz_deployer.listing.job import GUESS_SECONDS, MANIFEST, JobListing
from stackviz_deployer.model import Tree
from stackviz_deployer.parsers import wanted
from stackviz_deployer.parsers.worker import perform
from stackviz_deployer.scrapers import SCRAPERS, choice
from stackviz_deployer.settings import Limits
from tests.listing.test_directory import ROOT, PagesFetcher, index, tree_pages
from tests.parsers.test_manifest import file, folder

OWN = ROOT + MANIFEST
GIVEN = "https://storage.example/other/zuul-manifest.json"


def manifest(*tree: Any) -> str:
    return json.dumps({"tree": tree, "index_links": True})


SMALL = manifest(
    folder("logs", file("testrepository.subunit", 7)), file("job-output.txt"), file("odd name.bin")
)


class JobTestCase(SynchronousTestCase):
    def start(
        self, pages: Mapping[str, Any], manifest_url: str | None = None, names: list[str] | None = None
    ) -> "Deferred[Tree]":
        self.fetcher = PagesFetcher(pages)
        self.scratch = Path(self.mktemp())
        self.scratch.mkdir()
        listing = JobListing(self.fetcher, InlinePool(perform), Limits(), names=names)
        return Deferred.fromCoroutine(listing.open(ROOT, self.scratch, manifest_url))

    def open(
        self, pages: Mapping[str, Any], manifest_url: str | None = None, names: list[str] | None = None
    ) -> Tree:
        tree = self.successResultOf(self.start(pages, manifest_url, names))
        self.assertEqual(list(self.scratch.iterdir()), [])
        return tree

    def paths(self, tree: Tree) -> list[str]:
        return [one.path for one in tree.files]


class ManifestTests(JobTestCase):
    def test_one_request(self) -> None:
        tree = self.open({OWN: SMALL, ROOT: index("never-asked")})
        self.assertEqual(self.fetcher.asked, [OWN])
        self.assertEqual(
            [(one.path, one.url, one.size) for one in tree.files],
            [
                ("job-output.txt", ROOT + "job-output.txt", 5),
                ("odd name.bin", ROOT + "odd%20name.bin", 5),
                ("logs/testrepository.subunit", ROOT + "logs/testrepository.subunit", 7),
            ],
        )
        self.assertEqual((tree.url, tree.looked_in, tree.seen, tree.warnings), (ROOT, (MANIFEST,), 3, ()))

    def test_only_what_scrapers_want(self) -> None:
        tree = self.open({OWN: SMALL}, names=[glob for scraper in SCRAPERS for glob in scraper.globs])
        self.assertNotIn("odd name.bin", self.paths(tree))
        self.assertIn("logs/testrepository.subunit", self.paths(tree))
        self.assertEqual(tree.seen, 3)

    def test_the_builds_own(self) -> None:
        """Its files lie below the job's root, wherever it lies itself."""
        tree = self.open({GIVEN: SMALL, OWN: manifest(file("other"))}, GIVEN)
        self.assertEqual(self.fetcher.asked, [GIVEN])
        self.assertTrue(all(one.url.startswith(ROOT) for one in tree.files))
        self.assertEqual(tree.url, ROOT)
        self.open({OWN: UpstreamStatusError("no", 404), ROOT: index("a")}, OWN)
        self.assertEqual(self.fetcher.asked.count(OWN), 1)

    def test_the_builds_own_is_of_no_use(self) -> None:
        for trouble in (
            UpstreamStatusError("no", 404),
            HostNotAllowedError("no"),
            TooLargeError("no"),
            AddressRefusedError("inside"),
            UpstreamInvalidError("no HTTP"),
            UpstreamTimeoutError("hangs"),
            UpstreamUnreachableError("down"),
            "<html>expired",
            '{"tree": 7}',
        ):
            tree = self.open({GIVEN: trouble, OWN: SMALL}, GIVEN)
            self.assertEqual((tree.seen, self.fetcher.asked), (3, [GIVEN, OWN]))
            tree = self.open({GIVEN: trouble, ROOT: index("a")}, GIVEN)
            self.assertEqual(self.paths(tree), ["a"])
            (warning,) = tree.warnings
            self.assertIn(GIVEN, warning)

    def test_none_is_the_usual_thing(self) -> None:
        """Whatever a server sends for what it does not have."""
        for answer in (
            *(UpstreamStatusError("no", status) for status in (400, 401, 403, 404, 410)),
            "<html><title>404</title>",
            index("a"),
            "",
            manifest(),
            manifest(folder("logs")),
        ):
            tree = self.open({OWN: answer, ROOT: index("a")})
            self.assertEqual((self.paths(tree), tree.warnings), (["a"], ()))

    def test_too_large(self) -> None:
        tree = self.open({OWN: TooLargeError("the manifest is huge"), ROOT: index("a")})
        (warning,) = tree.warnings
        self.assertIn("huge", warning)

    def test_refused_where_nothing_else_is(self) -> None:
        """What is there is told, not only what is not."""
        for error in (TooLargeError("the manifest is huge"), WorkerDiedError("its parser died")):
            for at, told in ((OWN, None), (GIVEN, GIVEN)):
                failure = self.failureResultOf(self.start({at: error}, told), type(error))
                self.assertIn(error.message, failure.value.message)
        for trouble in (UpstreamStatusError("no", 404), UpstreamTimeoutError("hangs"), "<html>expired"):
            failure = self.failureResultOf(self.start({GIVEN: trouble}, GIVEN), NotFoundError)
            self.assertRegex(
                failure.value.message, f"nothing at {ROOT}.* The manifest {GIVEN} could not be used: "
            )
            self.assertNotIn("instead", failure.value.message)
        failure = self.failureResultOf(self.start({}), NotFoundError)
        self.assertNotIn("manifest", failure.value.message)

    def test_a_guess_that_hangs_is_given_up(self) -> None:
        """Some servers answer neither yes nor no for what they do not have."""
        tree = self.open({OWN: UpstreamTimeoutError("it hangs"), ROOT: index("a")})
        self.assertEqual(self.paths(tree), ["a"])
        (warning,) = tree.warnings
        self.assertIn("it hangs", warning)
        self.assertEqual(self.fetcher.time_s[OWN], GUESS_SECONDS)
        self.assertEqual(self.fetcher.time_s[ROOT], Limits().fetch_seconds)
        self.open({GIVEN: SMALL}, GIVEN)
        self.assertEqual(self.fetcher.time_s[GIVEN], Limits().fetch_seconds)

    def test_a_server_that_is_down_is_asked_once(self) -> None:
        for error in (
            UpstreamUnreachableError("down"),
            UpstreamStatusError("overloaded", 503),
        ):
            self.failureResultOf(self.start({OWN: error, ROOT: index("a")}), type(error))
            self.assertEqual(self.fetcher.asked, [OWN])


class IndexTests(JobTestCase):
    def test_order(self) -> None:
        self.open({ROOT: index("a")})
        self.assertEqual(self.fetcher.asked, [OWN, ROOT + "index.html", ROOT])
        tree = self.open({ROOT + "index.html": index("a", "logs/index.html"), ROOT: index("b")})
        self.assertEqual(self.fetcher.asked, [OWN, ROOT + "index.html", ROOT + "logs/index.html"])
        self.assertEqual(self.paths(tree), ["a"])

    def test_object_store(self) -> None:
        """Folders are no pages there; their index.html is, whether it is linked or not."""
        pages = {
            ROOT + "index.html": index("a", "logs/", "controller/index.html", "etc/"),
            ROOT + "logs/index.html": index("../index.html", "x.subunit"),
            ROOT + "controller/index.html": index("../index.html", "logs/index.html"),
            ROOT + "controller/logs/index.html": index("y.subunit"),
        }
        tree = self.open(pages)
        self.assertEqual(self.paths(tree), ["a", "controller/logs/y.subunit", "logs/x.subunit"])
        self.assertEqual(tree.url, ROOT)

    def test_a_site_is_no_index(self) -> None:
        for page in ("<p>Welcome", UpstreamStatusError("no", 403), HostNotAllowedError("sent to the login")):
            tree = self.open({ROOT + "index.html": page, ROOT: index("a", "index.html")})
            self.assertEqual(self.paths(tree), ["a", "index.html"])

    def test_nothing_anywhere(self) -> None:
        self.failureResultOf(self.start({}), NotFoundError)


class WalkTests(JobTestCase):
    def test_four_folders_deep(self) -> None:
        files = [
            "a/b/c/d/x.subunit",
            "a/b/c/d/e/y.subunit",
            "one/junit.xml",
            "target/surefire-reports/TEST-a.xml",
        ]
        tree = self.open(tree_pages(files))
        self.assertEqual(self.paths(tree), [files[0], *files[2:]])
        self.assertNotIn(ROOT + "a/b/c/d/e/", self.fetcher.asked)

    def test_likely_folders_come_first(self) -> None:
        """A thousand folders of other things do not hide where results are."""
        wanted_files = [
            "zz/logs/old/x.subunit",
            "controller/logs/x.subunit",
            "logs/new/x.subunit",
            "zz/y/controller/logs/x.subunit",
        ]
        many = [f"{n:03d}/{m}/x.txt" for n in range(90) for m in range(12)]
        tree = self.open(tree_pages([*many, *wanted_files[:3]]))
        self.assertLessEqual(len(self.fetcher.asked), directory.MAX_REQUESTS)
        for path in wanted_files[:3]:
            self.assertIn(path, self.paths(tree))
        (warning,) = tree.warnings
        self.assertIn("too many folders", warning)

    def test_sites_and_configuration_are_passed_by(self) -> None:
        self.open(tree_pages(["logs/etc/nova/nova.conf", "docs/a/b.html", "cover/x.xml", "a/stackviz/y"]))
        asked = {url.removeprefix(ROOT) for url in self.fetcher.asked}
        self.assertEqual(asked, {MANIFEST, "index.html", "", "logs/", "a/"})

    def test_a_loop_ends(self) -> None:
        """A link to a folder that it lies in."""

        class Endless(dict[str, Any]):
            def get(self, url: str, default: Any = None) -> Any:
                return index("x.subunit", "logs/", "old/") if url.endswith("/") else default

        tree = self.open(Endless())
        self.assertLessEqual(len(self.fetcher.asked), directory.MAX_REQUESTS)
        self.assertTrue(all(path.count("/") <= places.MAX_DEPTH for path in self.paths(tree)))

    def test_files_are_bounded(self) -> None:
        names = [f"{n}.subunit" for n in range(1500)]
        tree = self.open(tree_pages([f"{above}/{name}" for above in ("logs", "old") for name in names]))
        self.assertEqual((len(tree.files), tree.seen), (directory.MAX_FILES, 3000))
        (warning,) = tree.warnings
        self.assertIn("too many files", warning)

    def test_depth_is_one(self) -> None:
        """What is walked, told and chosen goes equally deep."""
        self.assertEqual((places.MAX_DEPTH, wanted.MAX_DEPTH), (choice.MAX_DEPTH, choice.MAX_DEPTH))

    def test_ranks(self) -> None:
        for path, expected in (
            ("logs", 0),
            ("controller/logs/old", 0),
            ("compute1/logs", 0),
            ("artifacts/junit-report", 0),
            ("gate-hook", 1),
            ("ubuntu-jammy/logs/new/", 1),
            ("a/b/c/d", 4),
            ("a/b/c/d/e", None),
            ("logs/etc", None),
            ("stackviz", None),
        ):
            self.assertEqual(places.rank(path), expected, path)
