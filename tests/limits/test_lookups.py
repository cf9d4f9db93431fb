# SPDX-License-Identifier: Apache-2.0
"""The limits of questions, of listings' walk, and of what is chosen of a job's files."""

from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import QueryNotUnderstoodError
from stackviz_deployer.listing import directory, places
from stackviz_deployer.lookup import gerrit, logurl, query, results, zuul_page
from stackviz_deployer.lookup.builds import CiBuild
from stackviz_deployer.model import Tree
from stackviz_deployer.scrapers import choice
from stackviz_deployer.scrapers.dstat import MAX_HOSTS, DstatScraper
from stackviz_deployer.scrapers.junit import MAX_FILES, MAX_RUNS, JunitScraper
from stackviz_deployer.scrapers.subunit import MAX_STREAMS, SubunitScraper
from stackviz_deployer.settings import GerritServer
from tests.listing.test_directory import ROOT, index, tree_pages
from tests.listing.test_job import JobTestCase
from tests.lookup.test_service import LookupTestCase, body, change
from tests.scrapers.test_scrapers import tree

OPENDEV = GerritServer(url="https://review.opendev.org/")
BUILD = CiBuild(
    ci="zuul",
    name="j",
    pipeline=None,
    patchset=1,
    result="SUCCESS",
    error_detail=None,
    voting=None,
    finished_ms=None,
    duration=None,
    url="http://h/",
    reason=None,
)


class QuestionTests(SynchronousTestCase):
    def refused(self, text: str) -> str:
        return str(self.assertRaises(QueryNotUnderstoodError, query.parse_query, text, [OPENDEV]).message)

    def test_query(self) -> None:
        self.assertIn("longer than", self.refused("?" * (query.MAX_QUERY_CHARS + 1)))
        self.assertNotIn("longer than", self.refused("?" * query.MAX_QUERY_CHARS))

    def test_number(self) -> None:
        self.assertEqual(query.parse_query(str(query.MAX_NUMBER), [OPENDEV]).number, query.MAX_NUMBER)
        self.assertIn("such a number", self.refused(str(query.MAX_NUMBER + 1)))

    def test_search(self) -> None:
        address = "https://review.opendev.org/q/"
        most = "x" * query.MAX_SEARCH_CHARS
        self.assertEqual(query.parse_query(address + most, [OPENDEV]).text, most)
        self.assertIn("A search has 1 to 500 characters", self.refused(address + most + "x"))

    def test_log_url(self) -> None:
        most = "http://h/".ljust(logurl.MAX_URL_CHARS - 1, "x") + "/"
        self.assertEqual(logurl.parse_log_url(most).root, most)
        error = self.assertRaises(QueryNotUnderstoodError, logurl.parse_log_url, most + "x")
        self.assertIn("may have 2048 characters", error.message)

    def test_segments(self) -> None:
        most = "http://h/" + "d/" * logurl.MAX_SEGMENTS
        self.assertEqual(logurl.parse_log_url(most).root, most)
        error = self.assertRaises(QueryNotUnderstoodError, logurl.parse_log_url, most + "d/")
        self.assertIn("over 64 levels deep", error.message)

    def test_filters(self) -> None:
        most = "x" * zuul_page.MAX_FILTER_CHARS
        self.assertEqual(zuul_page._filters(f"job_name={most}"), [("job_name", most)])
        self.assertEqual(zuul_page._filters(f"job_name={most}x"), [])
        for count in (zuul_page.MAX_FILTERS, zuul_page.MAX_FILTERS + 1):
            found = zuul_page._filters("&".join(f"job_name={n}" for n in range(count)))
            self.assertEqual(len(found), zuul_page.MAX_FILTERS)

    def test_older_builds(self) -> None:
        for count in (results.MAX_OLDER, results.MAX_OLDER + 1):
            subject = results.Subject(change=1)
            group = [BUILD] * (count + 1)
            self.assertEqual(len(results.job_of(subject, group, lambda _url: None).builds), results.MAX_OLDER)


class WalkTests(JobTestCase):
    def walk(self, folders: int) -> Tree:
        tree = self.open({ROOT: index(*[f"node{n}/" for n in range(folders)])}, names=["*.subunit"])
        self.asked = len(self.fetcher.asked)
        return tree

    def test_requests(self) -> None:
        self.walk(1)
        most = directory.MAX_REQUESTS - self.asked + 1
        for folders, said in ((most, False), (most + 1, True)):
            tree = self.walk(folders)
            self.assertEqual(self.asked, directory.MAX_REQUESTS)
            self.assertEqual("too many folders" in " ".join(tree.warnings), said)

    def test_files(self) -> None:
        self.patch(directory, "MAX_FILES", 3)
        for count, said in ((3, False), (4, True)):
            tree = self.open(tree_pages([f"{n}.subunit" for n in range(count)]), names=["*.subunit"])
            self.assertEqual(len(tree.files), 3)
            self.assertEqual("too many files" in " ".join(tree.warnings), said)

    def test_depth(self) -> None:
        self.assertIsNotNone(places.rank("logs/" * places.MAX_DEPTH))
        self.assertIsNone(places.rank("logs/" * (places.MAX_DEPTH + 1)))


class ChoiceTests(SynchronousTestCase):
    def test_depth(self) -> None:
        for depth, count in ((choice.MAX_DEPTH, 1), (choice.MAX_DEPTH + 1, 0)):
            chosen = SubunitScraper().choose(tree("d/" * depth + "testrepository.subunit"))
            self.assertEqual(len(chosen), count)

    def test_name(self) -> None:
        most = "n" * (choice.MAX_NAME_CHARS - len(".subunit")) + ".subunit"
        for name in (most, "x" + most):
            (wanted,) = SubunitScraper().choose(tree(name))
            self.assertEqual(wanted.options["artifact_names"], [most])

    def test_streams(self) -> None:
        for count in (MAX_STREAMS, MAX_STREAMS + 1):
            chosen = SubunitScraper().choose(tree(*(f"{n}.subunit" for n in range(count))))
            self.assertEqual(len(chosen), MAX_STREAMS)

    def test_hosts(self) -> None:
        for count in (MAX_HOSTS, MAX_HOSTS + 1):
            chosen = DstatScraper().choose(tree(*(f"compute{n}/logs/dstat-csv.txt" for n in range(count))))
            self.assertEqual(len(chosen), MAX_HOSTS)

    def test_reports(self) -> None:
        for more in (0, 1):
            (wanted,) = JunitScraper().choose(tree(*(f"TEST-{n}.xml" for n in range(MAX_FILES + more))))
            self.assertEqual((len(wanted.files), wanted.options["left_out"]), (MAX_FILES, more))

    def test_runs(self) -> None:
        for count in (MAX_RUNS, MAX_RUNS + 1):
            chosen = JunitScraper().choose(tree(*(f"d{n}/junit.xml" for n in range(count))))
            self.assertEqual(len(chosen), MAX_RUNS)


class SearchTests(LookupTestCase):
    def test_found_changes(self) -> None:
        """So many are asked for; that there are more is said."""
        self.assertEqual(self.said(more=False), "25 changes fit.")
        self.assertEqual(self.said(more=True), "25 changes fit, the newest of many.")

    def said(self, *, more: bool) -> str:
        found = [change(n + 1, "a/b", f"Change {n}", 1, []) for n in range(gerrit.MAX_FOUND)]
        found[-1]["_more_changes"] = more
        address = f"https://review.opendev.org/changes/?q=status%3Aopen&n={gerrit.MAX_FOUND}"
        self.fetcher.answers[address] = body(found)
        self.lookup = self.make_lookup(self.zuuls)
        return str(self.find("https://review.opendev.org/q/status:open").message)
