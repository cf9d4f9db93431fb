# SPDX-License-Identifier: Apache-2.0
"""Real streams and measurements, against what the standard tools say of them.

They are read where they lie.  What differs on purpose stands in the tables here and, with its
reason, in docs/fidelity.rst.
"""

import csv
import gzip
import json
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.parsers import dstat, subunit
from stackviz_deployer.parsers.subunit_names import Names
from tests.parsers import subunit_oracle as oracle

PAGE = oracle.ROOT / "docs" / "fidelity.rst"
SHOWN = {"success": "success", "xfail": "success", "fail": "fail", "uxsuccess": "fail", "skip": "skip"}
RUNS = ("testtools-2.9.1", "tempest-47.0.0")
"""Of which the live stream, the published one and the repository's are there."""

INVENTED = {
    "own/subunit/share-corrupt-crc.subunit",
    "own/subunit/share-corrupt-length.subunit",
    "own/subunit/share-trunc-mid-packet.subunit",
}
"""python-subunit makes a failing test, ``subunit.parser``, of a broken packet."""

LISTED = {"own/subunit/run-python_openstackclient-10.5.0.subunit.gz"} | {
    f"own/subunit/run-{run}.subunit.gz" for run in RUNS
}
"""The truth's span begins with the list of tests (``exists``), ours with the first test."""

UNFINISHED = {"own/subunit/share-inprogress-never-finished.subunit"}
"""Tests without an end have no duration there; ours last until the end of the stream."""

CLOCK_SET_BACK = {"own/subunit/odd-ids-and-details.subunit"}
"""A test ends before it starts: its negative duration counts in the truth's sum."""

UNTAGGED = CLOCK_SET_BACK | UNFINISHED
"""Some tests name no worker, so that there are further lanes."""

SHIFTED = {"pcpdstat603-devstack2019-60s.csv": "22-11 09:47:20"}
"""pcp-dstat's first row lacks cells in its middle: the first that is whole."""

EPOCH = {"dstat073-full-epoch-60s.csv": ("22-11 09:40:00", "22-11 09:40:59")}
"""Seconds since 1970 in the file."""

FOLDED = {"dstat072-devstack2015-60s.csv": 2}
"""hiq and siq, which count as usr."""

UNDRAWN = re.compile(r"most expensive.*|dsk/(?!total).*|net/(?!total).*|epoch")
"""Texts; single devices, which are added up; the time."""


def table(name: str) -> list[dict[str, str]]:
    path = oracle.SHARED / name
    if not path.exists():
        raise SkipTest("../shared/data is absent")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def load(path: str) -> bytes:
    return gzip.decompress(Path(path).read_bytes())


class CorpusCase(SynchronousTestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.count = 0

    def request(self, kind: str, path: Path) -> ParseRequest:
        self.count += 1
        out_dir = self.directory / str(self.count)
        out_dir.mkdir()
        source = InputFile(path=str(path), name=path.name)
        return ParseRequest(parser=kind, inputs=(source,), out_dir=str(out_dir), max_bytes=1 << 30)


class Run:
    """What we make of a stream."""

    def __init__(self, result: ParseResult) -> None:
        made = {artifact.artifact_type: artifact for artifact in result.artifacts}
        self.meta = made["subunit-stats"].meta
        self.stats = json.loads(load(made["subunit-stats"].path))
        self.rows: list[dict[str, Any]] = json.loads(load(made["subunit"].path)) if "subunit" in made else []
        self.details = json.loads(load(made["subunit-details"].path)) if self.rows else {}

    @property
    def workers(self) -> set[str]:
        """The stream's own, not the lanes that they are shown on."""
        found = set()
        for row in self.rows:
            own, *rest = row["tags"]
            found.add(next((tag.removeprefix("orig:") for tag in rest if tag.startswith("orig:")), own))
        return found


class SubunitTests(CorpusCase):
    def read(self, path: Path) -> Run:
        return Run(subunit.parse(self.request("subunit", path)))

    def test_truth(self) -> None:
        """Counts, names, workers, times and durations as the table has them."""
        lines = table("TRUTH.subunit.tsv")
        self.assertGreater(len(lines), 25)
        there = {str(path.relative_to(oracle.SHARED)) for path in oracle.SHARED.glob("*/subunit/*")}
        self.assertEqual(there - {"public/subunit/SOURCES.tsv"}, {line["file"] for line in lines})
        for line in lines:
            self.check_truth(line["file"], line, self.read(oracle.SHARED / line["file"]))

    def check_truth(self, file: str, truth: dict[str, str], run: Run) -> None:
        counts = Counter(json.loads(truth["counts"]))
        tests = sum(counts.values()) - counts.pop("exists", 0)
        shown: Counter[str] = Counter()
        for status, number in counts.items():
            shown[SHOWN.get(status, "fail")] += number
        if file in INVENTED:
            tests -= 1
            shown["fail"] -= 1
        self.assertEqual(len(run.rows), tests, file)
        self.assertEqual(len({row["name"] for row in run.rows}), tests, file)
        for status in ("success", "fail", "skip"):
            self.assertEqual(run.meta[status], shown[status], file)
        if not run.rows:
            return
        # the column holds eight at most, the output of subunit-stats all
        seen = truth["worker_tags"] + truth["subunit_stats"].partition("Seen tags:")[2]
        workers = set(re.findall(r"worker-\d+", seen))
        self.assertEqual(run.workers & workers if file in UNTAGGED else run.workers, workers, file)
        if file not in UNFINISHED | CLOCK_SET_BACK:
            ours = sum(row["duration"] for row in run.rows if row["duration"] > 1e-6)
            self.assertAlmostEqual(ours, float(truth["sum_durations_s"]), places=4, msg=file)
        if file not in LISTED | CLOCK_SET_BACK:
            begin, end = (self.microseconds(run.stats[key]) for key in ("start", "end"))
            self.assertLessEqual(abs((end - begin) / 1e6 - float(truth["span_s"])), 1.1e-6, file)
            self.assertEqual(
                run.stats["start"][:26], truth["first_timestamp"].ljust(26)[:26].replace(" ", "T")
            )

    def microseconds(self, text: str) -> int:
        time = oracle.microseconds(oracle.datetime.fromisoformat(text))
        assert time is not None
        return time

    def test_python_subunit(self) -> None:
        """Each test of each stream as python-subunit reads it from the file."""
        for line in table("TRUTH.subunit.tsv"):
            path = oracle.SHARED / line["file"]
            tests = oracle.tests(oracle.read(path), self.directory / "plain")
            if line["file"] in INVENTED:
                tests = [test for test in tests if test["id"] != "subunit.parser"]
            self.check_tests(line["file"], tests, self.read(path))

    def check_tests(self, file: str, tests: list[dict[str, Any]], run: Run) -> None:
        finished = [test for test in tests if test["status"] in SHOWN]
        names = Names()
        self.assertEqual(len(run.rows), len(tests), file)
        for row, test in zip(run.rows, finished, strict=False):
            where = f"{file}: {test['id']}"
            self.assertEqual(row["name"], names.take(test["id"]), where)
            self.assertEqual(row["status"], SHOWN[test["status"]], where)
            begin, end = test["timestamps"]
            self.assertEqual(self.microseconds(row["timestamps"][0]), begin, where)
            self.assertEqual(row["duration"], max(end - begin, 1) / 1e6, where)
            self.check_tags(row, test, where)
            self.check_texts(run, row, test, where)
        unfinished = {names.take(test["id"]): test for test in tests if test["status"] not in SHOWN}
        rows = run.rows[len(finished) :]
        self.assertEqual({row["name"] for row in rows}, set(unfinished), file)
        for row in rows:
            self.assertEqual((row["status"], row["tags"][-1]), ("fail", "unfinished"), file)
            self.assertEqual(
                self.microseconds(row["timestamps"][0]), unfinished[row["name"]]["timestamps"][0]
            )
            self.assertEqual(row["timestamps"][1], run.stats["end"], file)
            self.check_texts(run, row, unfinished[row["name"]], file)

    def check_tags(self, row: dict[str, Any], test: dict[str, Any], where: str) -> None:
        lane, *rest = row["tags"]
        self.assertRegex(lane, r"^worker-\d+$")
        tags = {tag.removeprefix("orig:") for tag in rest}
        theirs = set(test["tags"]) | ({"xfail"} if test["status"] == "xfail" else set())
        self.assertIn(frozenset(theirs), {frozenset(tags), frozenset(tags | {lane})}, where)

    def check_texts(self, run: Run, row: dict[str, Any], test: dict[str, Any], where: str) -> None:
        texts = {re.sub(r"\W", "", key): str(v, "utf-8", "replace") for key, v in test["details"].items()}
        self.assertEqual(run.details.get(row["name"], {}), {k: v for k, v in texts.items() if v}, where)

    def test_three_forms_of_one_run(self) -> None:
        """Live, published, and as it lies in the repository: the same tests, times and attachments."""
        table("TRUTH.subunit.tsv")
        for name in RUNS:
            found = []
            for form in ("run", "last", "ondisk"):
                (path,) = oracle.SHARED.glob(f"own/subunit/{form}-{name}.*")
                run = self.read(path)
                rows = sorted(run.rows, key=lambda row: row["name"])
                found.append((rows, run.stats["start"], run.stats["end"], run.details))
            for other in found[1:]:
                self.assertEqual(len(found[0][0]), len(other[0]))
                for mine, theirs in zip(found[0][0], other[0], strict=True):
                    self.assertEqual(mine, theirs)
                self.assertEqual(found[0][1:], other[1:])


class DstatTests(CorpusCase):
    def test_truth(self) -> None:
        lines = table("TRUTH.dstat.tsv")
        self.assertGreater(len(lines), 7)
        for line in lines:
            file = line["file"]
            result = dstat.parse(self.request("dstat", oracle.SHARED / "own" / "dstat" / file))
            rows = int(line["data_rows_all_blocks"]) - int(line["column_count_mismatch_rows"])
            if not rows:
                self.assertEqual(result.artifacts, (), file)
                self.assertIn("no rows", result.warnings[0])
                continue
            self.assertEqual(result.warnings, (), file)
            self.check(line, rows, load(result.artifacts[0].path).decode("ascii"))

    def check(self, truth: dict[str, str], rows: int, text: str) -> None:
        file = truth["file"]
        parsed = list(csv.reader(text.splitlines()))
        data = parsed[6:]
        self.assertEqual(len(data), rows, file)
        first, last = EPOCH.get(file, (truth["first_time"], truth["last_time"]))
        self.assertEqual((data[0][0], data[-1][0]), (SHIFTED.get(file, first), last), file)
        theirs = [group.replace("total usage", "total cpu usage") for group in truth["groups"].split("|")]
        kept = [group for group in theirs if not UNDRAWN.fullmatch(group)]
        ours = [group for group in parsed[4] if group]
        if file in EPOCH:
            kept += ["net/total", "dsk/total", "system"]  # "system" for the time
        self.assertEqual(set(ours), set(kept), file)
        undrawn = len([group for group in theirs if UNDRAWN.fullmatch(group)])
        if file not in EPOCH:
            columns = int(truth["columns_last_block"]) - undrawn - FOLDED.get(file, 0)
            self.assertEqual(len(parsed[5]), columns, file)


class PageTests(SynchronousTestCase):
    def test_every_difference_has_its_reason(self) -> None:
        page = PAGE.read_text(encoding="utf-8")
        for files in (INVENTED, LISTED, UNFINISHED, CLOCK_SET_BACK, UNTAGGED, SHIFTED, FOLDED):
            for file in files:
                self.assertIn(Path(file).name.removesuffix(".subunit.gz"), page)
