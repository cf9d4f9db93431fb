# SPDX-License-Identifier: Apache-2.0
"""Which files of a job are taken, under which names."""

import re
from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.interfaces import Scraper
from stackviz_deployer.model import ListedFile, Tree
from stackviz_deployer.scrapers import SCRAPERS
from stackviz_deployer.scrapers.choice import candidates, short_names
from stackviz_deployer.scrapers.console import ConsoleScraper
from stackviz_deployer.scrapers.dstat import MAX_HOSTS, DstatScraper
from stackviz_deployer.scrapers.job_output import JobOutputScraper
from stackviz_deployer.scrapers.junit import MAX_FILES, MAX_RUNS, JunitScraper
from stackviz_deployer.scrapers.subunit import MAX_STREAMS, SubunitScraper

ROOT = "http://logs.example/1/2/"


def tree(*paths, sizes=None):
    sizes = sizes or {}
    files = tuple(ListedFile(path=p, url=ROOT + p, size=sizes.get(p)) for p in paths)
    return Tree(url=ROOT, files=files, looked_in=("./",))


def chosen(scraper, *paths, **kwargs):
    wanted = scraper.choose(tree(*paths, **kwargs))
    return [(w.files[0].path, name_of(w)) for w in wanted]


def name_of(wanted):
    (name,) = wanted.options.get("artifact_names") or [wanted.options["artifact_name"]]
    return name


class SubunitTests(SynchronousTestCase):
    def choose(self, *paths):
        return chosen(SubunitScraper(), *paths)

    def test_devstack_gate(self):
        self.assertEqual(
            self.choose("console.html.gz", "logs/testrepository.subunit.gz", "logs/testr_results.html.gz"),
            [("logs/testrepository.subunit.gz", "testrepository.subunit")],
        )

    def test_plain_before_its_twin_in_either_order(self):
        plain, twin = "logs/testrepository.subunit", "logs/testrepository.subunit.gz"
        for order in ((plain, twin), (twin, plain)):
            self.assertEqual(self.choose(*order), [(plain, "testrepository.subunit")])

    def test_empty_after_its_twin_in_either_order(self):
        plain, twin = "logs/testrepository.subunit", "logs/testrepository.subunit.gz"
        for order in ((plain, twin), (twin, plain)):
            self.assertEqual(
                chosen(SubunitScraper(), *order, sizes={plain: 0}), [(twin, "testrepository.subunit")]
            )

    def test_grenade_keeps_its_two_runs_apart(self):
        self.assertEqual(
            self.choose("logs/old/testrepository.subunit.gz", "logs/new/testrepository.subunit.gz"),
            [
                ("logs/new/testrepository.subunit.gz", "new/testrepository.subunit"),
                ("logs/old/testrepository.subunit.gz", "old/testrepository.subunit"),
            ],
        )

    def test_hosts(self):
        self.assertEqual(
            self.choose("compute1/testrepository.subunit", "controller/logs/testrepository.subunit"),
            [
                ("controller/logs/testrepository.subunit", "controller/testrepository.subunit"),
                ("compute1/testrepository.subunit", "compute1/testrepository.subunit"),
            ],
        )

    def test_root_and_logs_with_one_name(self):
        names = [name for _, name in self.choose("testrepository.subunit", "logs/testrepository.subunit.gz")]
        self.assertEqual(names, ["testrepository.subunit", "logs/testrepository.subunit"])

    def test_copies_count_only_without_the_main_stream(self):
        self.assertEqual(self.choose("subunit_log.txt.gz"), [("subunit_log.txt.gz", "subunit_log.txt")])
        self.assertEqual(
            self.choose("subunit_log.txt.gz", "test_results.subunit", "testrepository.subunit", "a.subunit"),
            [("testrepository.subunit", "testrepository.subunit"), ("a.subunit", "a.subunit")],
        )

    def test_partial_streams_are_the_last_resort(self):
        self.assertEqual(self.choose("tmpAb3dE_", "logs/x/tmpAb3dE_"), [("tmpAb3dE_", "tmpAb3dE_")])
        self.assertEqual(self.choose("tmpAb3"), [])
        self.assertEqual(self.choose("tmpfs_mounts.txt"), [])
        for stream in ("testrepository.subunit", "logs/testrepository.subunit.gz", "tempest.subunit"):
            self.assertEqual([path for path, _ in self.choose("tmpAb3dE_", stream)], [stream])

    def test_an_empty_stream_is_none(self):
        """What ``stestr last`` says of a run that was ended."""
        paths = ("testrepository.subunit", "tmpab12cd34", "tmpab12cd35")
        found = chosen(SubunitScraper(), *paths, sizes={paths[0]: 0})
        self.assertEqual([path for path, _ in found], ["tmpab12cd34", "tmpab12cd35"])
        self.assertEqual(chosen(SubunitScraper(), paths[0], sizes={paths[0]: 0}), [(paths[0], paths[0])])

    def test_the_new_half_of_grenade_timed_out(self):
        """The old half is whole, and lies elsewhere; what was cut off is the job's own run."""
        self.assertEqual(
            self.choose("logs/old/testrepository.subunit.gz", "logs/tmpab12cd34.gz"),
            [
                ("logs/tmpab12cd34.gz", "tmpab12cd34"),
                ("logs/old/testrepository.subunit.gz", "testrepository.subunit"),
            ],
        )

    def test_partial_ones_are_told_to_be_so(self):
        (wanted,) = SubunitScraper().choose(tree("tmpab12cd34"))
        self.assertEqual(wanted.options, {"artifact_names": ["tmpab12cd34"], "partial": True})
        (wanted,) = SubunitScraper().choose(tree("testrepository.subunit"))
        self.assertEqual(wanted.options, {"artifact_names": ["testrepository.subunit"]})

    def test_depth_on_both_sides(self):
        self.assertEqual(len(self.choose("a/b/c/d/testrepository.subunit")), 1)
        self.assertEqual(self.choose("a/b/c/d/e/testrepository.subunit"), [])

    def test_output_of_the_old_tool_is_left_alone(self):
        self.assertEqual(self.choose("logs/stackviz/data/testrepository.subunit"), [])

    def test_bound(self):
        found = self.choose("testrepository.subunit", *(f"logs/{n}.subunit" for n in range(MAX_STREAMS)))
        self.assertEqual(len(found), MAX_STREAMS)
        self.assertEqual(found[0][0], "testrepository.subunit")

    def test_case_matters(self):
        self.assertEqual(self.choose("TESTREPOSITORY.SUBUNIT"), [])


class DstatTests(SynchronousTestCase):
    def choose(self, *paths, **kwargs):
        return chosen(DstatScraper(), *paths, **kwargs)

    def test_eras(self):
        for path, name in (
            ("logs/dstat-csv.txt.gz", "dstat-csv.txt"),
            ("controller/logs/dstat-csv_log.txt", "dstat-csv_log.txt"),
            ("logs/dstat-csv.log", "dstat-csv.log"),
            ("logs/screen-dstat-csv.txt.gz", "screen-dstat-csv.txt"),
        ):
            self.assertEqual(self.choose(path), [(path, name)])

    def test_one_a_directory_by_name_then_size(self):
        self.assertEqual(
            self.choose("logs/screen-dstat-csv.txt", "logs/dstat-csv.txt"),
            [("logs/dstat-csv.txt", "dstat-csv.txt")],
        )
        found = self.choose(
            "logs/dstat1.csv", "logs/dstat2.csv", sizes={"logs/dstat1.csv": 1, "logs/dstat2.csv": 2}
        )
        self.assertEqual(found, [("logs/dstat2.csv", "dstat2.csv")])

    def test_several_uploads(self):
        names = ["controller.txt.dstat.csv", "node2.dstat.csv"]
        self.assertEqual([name for _, name in self.choose(*names)], names)

    def test_controller_first_and_bounded(self):
        paths = [f"compute{n}/logs/dstat-csv_log.txt" for n in range(MAX_HOSTS)]
        found = self.choose(*paths, "controller/logs/dstat-csv_log.txt")
        self.assertEqual(len(found), MAX_HOSTS)
        self.assertEqual(found[0][1], "controller/dstat-csv_log.txt")

    def test_not_the_tool_itself(self):
        self.assertEqual(self.choose("logs/dstat.txt", "logs/csv"), [])

    def test_hosts_in_names(self):
        """Also where the files' own names tell them apart."""
        self.assertEqual(
            self.choose("compute1/logs/dstat-csv.txt", "controller/logs/dstat-csv_log.txt"),
            [
                ("controller/logs/dstat-csv_log.txt", "controller/dstat-csv_log.txt"),
                ("compute1/logs/dstat-csv.txt", "compute1/dstat-csv.txt"),
            ],
        )
        self.assertEqual(
            [name for _, name in self.choose("logs/dstat-csv.txt", "dstat-csv.txt")],
            ["dstat-csv.txt", "logs/dstat-csv.txt"],
        )

    def fallback(self, *paths, **kwargs):
        wanted = DstatScraper().choose(tree(*paths, **kwargs))
        return [(w.parser, w.files[0].path, name_of(w)) for w in wanted]

    def test_memory_tracker_stands_in(self):
        memory = "controller/logs/screen-memory_tracker.txt"
        other = "compute1/logs/screen-memory_tracker.txt.gz"
        found = [
            ("memory_tracker", memory, "controller/screen-memory_tracker.txt"),
            ("memory_tracker", other, "compute1/screen-memory_tracker.txt"),
        ]
        self.assertEqual(self.fallback(other, memory), found)
        self.assertEqual(self.fallback("logs/memory_tracker.txt")[0][0], "memory_tracker")

    def test_memory_tracker_stays_back(self):
        memory, csv = "logs/screen-memory_tracker.txt", "logs/dstat-csv.txt"
        for size in (None, 5000):
            self.assertEqual([w[0] for w in self.fallback(memory, csv, sizes={csv: size})], ["dstat"])

    def test_a_header_alone(self):
        """Debian's dstat crashes on Python 3.11 behind it: both are asked, and the CSV has nothing to say."""
        memory, csv = "logs/screen-memory_tracker.txt", "logs/dstat-csv.txt"
        found = self.fallback(memory, csv, sizes={csv: 608})
        self.assertEqual([w[:2] for w in found], [("dstat", csv), ("memory_tracker", memory)])

    def test_all_that_is_chosen_is_named(self):
        """A listing is cut down to ``globs``."""
        names = ("dstat-csv.log", "x-dstat-y-csv", "screen-memory_tracker.txt", "screen-peakmem_tracker.txt")
        for name in names:
            self.assertTrue(self.fallback(name))
            self.assertTrue(any(fnmatchcase(name, glob) for glob in DstatScraper.globs), name)


class ConsoleTests(SynchronousTestCase):
    def choose(self, *paths):
        return chosen(ConsoleScraper(), *paths)

    def test_names(self):
        self.assertEqual(self.choose("console.html"), [("console.html", "console.html")])
        self.assertEqual(self.choose("console.html.gz"), [("console.html.gz", "console.html")])
        self.assertEqual(self.choose("console.txt", "console.html"), [("console.html", "console.html")])
        self.assertEqual(self.choose("logs/console.txt", "console.html"), [("console.html", "console.html")])

    def test_other_consoles(self):
        self.assertEqual(self.choose("logs/libvirt/console.html", "a/job-output.txt"), [])

    def test_zuul(self):
        self.assertEqual(self.choose("job-output.txt.gz"), [("job-output.txt.gz", "job-output.txt")])
        self.assertEqual(self.choose("job-output.txt", "console.html"), [("console.html", "console.html")])


class JunitTests(SynchronousTestCase):
    def choose(self, *paths):
        wanted = JunitScraper().choose(tree(*paths))
        return [(name_of(w), [file.path for file in w.files]) for w in wanted]

    def test_names(self):
        for path in (
            "junit.xml",
            "artifacts/junit_01.xml",
            "logs/pytest.xml",
            "results.xml.gz",
            "TEST-org.example.FooTest.xml",
            "my-JUnit-report.xml",
            "test_detail.xml",
            "logs/nosetests.xml",
            "test-results/anything.xml",
            "surefire-reports/a.xml",
        ):
            name = path.rpartition("/")[2].removesuffix(".gz")
            self.assertEqual(self.choose(path), [(name, [path])])

    def test_others(self):
        for path in (
            "coverage.xml",
            "logs/libvirt/domain.xml",
            "pom.xml",
            "test-results/coverage.xml",
            "surefire-reports/testng-results.xml",
            "junit.xml.txt",
        ):
            self.assertEqual(self.choose(path), [])

    def test_a_directory_is_a_run(self):
        classes = [f"surefire-reports/TEST-a.B{n}.xml" for n in range(3)]
        self.assertEqual(self.choose(*classes), [("junit", classes)])
        others = [f"logs/test-results/x{n}.xml" for n in range(2)]
        self.assertEqual(
            self.choose(*classes, *others),
            [("test-results/junit", others), ("surefire-reports/junit", classes)],
        )

    def test_the_sum_of_all_classes_is_no_other_run(self):
        classes = ["junit/TEST-a.A.xml", "junit/TEST-a.B.xml"]
        self.assertEqual(self.choose("junit/TESTS-TestSuites.xml", *classes), [("junit", classes)])

    def test_bounds(self):
        (wanted,) = JunitScraper().choose(tree(*(f"TEST-{n}.xml" for n in range(MAX_FILES + 3))))
        self.assertEqual((len(wanted.files), wanted.options["left_out"]), (MAX_FILES, 3))
        self.assertEqual(len(self.choose(*(f"d{n}/junit.xml" for n in range(MAX_RUNS + 1)))), MAX_RUNS)


class JobOutputTests(SynchronousTestCase):
    def choose(self, *paths):
        return chosen(JobOutputScraper(), *paths)

    def test_names(self):
        self.assertEqual(self.choose("job-output.json"), [("job-output.json", "job-output.json")])
        self.assertEqual(self.choose("job-output.json.gz"), [("job-output.json.gz", "job-output.json")])
        self.assertEqual(
            self.choose("logs/job-output.json", "job-output.json.gz")[0][0], "job-output.json.gz"
        )
        self.assertEqual(self.choose("controller/logs/job-output.json", "job-output.txt"), [])


class RegistryTests(SynchronousTestCase):
    def test_they_keep_the_seam(self):
        for scraper in SCRAPERS:
            typed: Scraper = scraper
            self.assertEqual(typed.choose(tree()), [])
            self.assertTrue(typed.looks_for and typed.globs)

    def test_order(self):
        self.assertEqual([s.name for s in SCRAPERS], ["subunit", "junit", "console", "job-output", "dstat"])


part = st.text(alphabet="ab.'\"<{ü/ ", min_size=1, max_size=6)


class NameTests(SynchronousTestCase):
    @given(st.lists(st.lists(part, min_size=0, max_size=3), max_size=6, unique_by=tuple))
    def test_unique_safe_and_bounded(self, directories):
        paths = ["/".join([*d, "x.subunit"]) for d in directories]
        found = candidates(tree(*paths), ("*.subunit",))
        names = short_names(found)
        self.assertEqual(len(set(names)), len(names))
        for name in names:
            self.assertTrue(re.fullmatch(r"[A-Za-z0-9 ._~/@:+-]{1,130}", name), name)

    def test_injection(self):
        (wanted,) = SubunitScraper().choose(tree("x' + (6*7) + 'y.subunit"))
        self.assertEqual(name_of(wanted), "x_ + _6_7_ + _y.subunit")

    def test_same_after_cleaning(self):
        names = [name for _, name in chosen(SubunitScraper(), "a'.subunit", 'a".subunit')]
        self.assertEqual(sorted(names), ["a_.subunit", "a_.subunit~2"])
