# SPDX-License-Identifier: Apache-2.0
"""Whole streams -> artifacts, compared with what python-subunit says of them."""

import gzip
import lzma
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stackviz_deployer.errors import TooLargeError
from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.parsers.subunit import PARTIAL, artifact_names, parse
from stackviz_deployer.parsers.subunit_names import Names
from tests.parsers import subunit_oracle as oracle
from tests.parsers.runs import RunCase, load

SHOWN = {"success": "success", "xfail": "success", "fail": "fail", "uxsuccess": "fail", "skip": "skip"}


class Case(RunCase):
    parser = staticmethod(parse)

    def group(self, made: ParseResult) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
        self.assertEqual(
            [a.artifact_type for a in made.artifacts], ["subunit", "subunit-stats", "subunit-details"]
        )
        rows, stats, details = map(load, made.artifacts)
        return rows, stats, details

    def check_shape(self, rows: list[dict[str, Any]], stats: dict[str, Any], details: dict[str, Any]) -> None:
        """What the StackViz app needs of any run."""
        names = [row["name"] for row in rows]
        self.assertEqual(len(set(names)), len(names))
        lanes = set()
        for row in rows:
            self.assertEqual(list(row), ["name", "status", "tags", "timestamps", "duration", "details"])
            self.assertIn(row["status"], ("success", "fail", "skip"))
            self.assertGreater(row["duration"], 0)
            self.assertTrue(all(time.endswith("+00:00") for time in row["timestamps"]))
            first = next(tag for tag in row["tags"] if tag.startswith("worker"))
            lanes.add(int(first.split("-")[1]))
        self.assertEqual(lanes, set(range(len(lanes))))
        self.assertEqual(stats["count"], len(rows))
        for key, status in (("failures", "fail"), ("skips", "skip")):
            self.assertEqual(
                [entry["name"] for entry in stats[key]], [r["name"] for r in rows if r["status"] == status]
            )
        for failure in stats["failures"]:
            lines = failure["details"]
            self.assertTrue(lines is None or len(set(lines)) == len(lines) in (1, 2))
        # the details come in the order of the tests, and of no other
        self.assertEqual(list(details), [name for name in names if name in details])


class HealthyTests(Case):
    def check(self, path: Path) -> None:
        made = self.parse(path)
        rows, stats, details = self.group(made)
        self.check_shape(rows, stats, details)
        expected = oracle.tests(oracle.read(path), Path(self.mktemp()))
        names = Names()
        self.assertEqual(len(rows), len(expected))
        for row, test in zip(rows, expected, strict=True):
            self.assertEqual(row["name"], names.take(test["id"]))
            self.assertEqual(row["status"], SHOWN[test["status"]])
            start, end = test["timestamps"]
            self.assertEqual(row["duration"], max(end - start, 1) / 1e6)
            tags = {tag.removeprefix("orig:") for tag in row["tags"]} - {"xfail"}
            self.assertLessEqual(set(test["tags"]), tags)
            texts = {
                "".join(filter(_word, k)): str(v, "utf-8", "replace") for k, v in test["details"].items()
            }
            self.assertEqual(details.get(row["name"], {}), {k: v for k, v in texts.items() if v})
        self.assertEqual(made.artifacts[0].meta, made.artifacts[1].meta)
        self.assertEqual(made.artifacts[0].meta["count"], len(expected))

    def test_fixtures(self) -> None:
        for name in ("last-", "run-", "ondisk-", "odd-"):
            (path,) = oracle.FIXTURES.glob(f"{name}*")
            self.check(path)

    def test_three_forms_of_one_run(self) -> None:
        """Live, published, and as it lies in the repository: the same answer."""
        found = []
        for name in ("run", "last", "ondisk"):
            (path,) = oracle.FIXTURES.glob(f"{name}-testtools*")
            rows, stats, details = self.group(self.parse(path))
            found.append((sorted(rows, key=lambda row: row["name"]), stats["start"], stats["end"], details))
        self.assertEqual(found[0][0], found[1][0])
        self.assertEqual(found[0], found[2])

    def test_compressed_in_other_ways(self) -> None:
        (path,) = oracle.FIXTURES.glob("last-*")
        data = oracle.read(path)
        plain = self.parse_bytes(data)
        for packed in (lzma.compress(data), gzip.compress(gzip.compress(data))):
            other = self.parse_bytes(packed)
            self.assertEqual([load(a) for a in other.artifacts], [load(a) for a in plain.artifacts])
            self.assertEqual(other.decoded_bytes, len(data))

    def test_deterministic(self) -> None:
        (path,) = oracle.FIXTURES.glob("odd-*")
        files = [
            [Path(p).read_bytes() for a in made.artifacts for p in (a.path, a.blocks_path) if p]
            for made in (self.parse(path), self.parse(path))
        ]
        self.assertEqual(files[0], files[1])

    def test_odd_ids(self) -> None:
        (path,) = oracle.FIXTURES.glob("odd-*")
        rows, stats, details = self.group(self.parse(path))
        by_name = {row["name"]: row for row in rows}
        self.assertNotIn("m.T.test_exists_only", by_name)
        self.assertEqual(by_name["m.T.test_xfail"]["status"], "success")
        self.assertIn("xfail", by_name["m.T.test_xfail"]["tags"])
        self.assertEqual(by_name["m.T.test_uxsuccess"]["status"], "fail")
        self.assertEqual(sorted(by_name["m.T.test_midnight"]["tags"][1:]), ["net", "slow"])
        self.assertEqual(by_name["tempest.scenario.test_vol.TestVol.setUpClass"]["status"], "skip")
        self.assertIn("a.b.T.test_both(v=1, [2,3])", details)
        self.assertIn("screenshot", details["a.b.T.test_both(v=1, [2,3])"])
        self.assertEqual(len(stats["warnings"]), 1)  # the clock that was set back


class DamagedTests(Case):
    def parse_fixture(self, name: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        (path,) = oracle.FIXTURES.glob(f"{name}*")
        rows, stats, details = self.group(self.parse(path))
        self.check_shape(rows, stats, details)
        self.assertNotIn("subunit.parser", details)
        return rows, stats

    def test_length(self) -> None:
        rows, stats = self.parse_fixture("share-corrupt-length")
        self.assertEqual(len(rows), 1355)
        self.assertEqual(
            stats["warnings"],
            ["The stream is damaged at byte 131984: 66 bytes that are no whole packet were skipped."],
        )

    def test_cut(self) -> None:
        rows, stats = self.parse_fixture("share-trunc")
        self.assertEqual(len(rows), 677)
        self.assertEqual(len(stats["warnings"]), 1)

    def test_stray_text(self) -> None:
        rows, stats = self.parse_fixture("share-interleaved-0xb3")
        self.assertEqual(len(rows), 1355)
        self.assertEqual(
            stats["warnings"],
            [
                (
                    "14 stretches of text between the packets (98 bytes) belong to no test;"
                    " the first line is: 12 m³"
                )
            ],
        )

    def test_never_finished(self) -> None:
        rows, stats = self.parse_fixture("share-inprogress")
        self.assertEqual(len(rows), 1355)
        open_rows = [row for row in rows if "unfinished" in row["tags"]]
        self.assertEqual(rows[-14:], open_rows)
        self.assertEqual({row["timestamps"][1] for row in open_rows}, {stats["end"]})
        self.assertEqual({row["status"] for row in open_rows}, {"fail"})

    def test_torn_gzip(self) -> None:
        (path,) = oracle.FIXTURES.glob("last-*")
        made = self.parse_bytes(path.read_bytes()[:30_000])
        rows, stats, _ = self.group(made)
        self.assertGreater(len(rows), 500)
        self.assertIn("ends early", stats["warnings"][0])
        self.assertIn("ends early", made.warnings[0])

    @settings(deadline=None, max_examples=30)
    @given(st.data())
    def test_any_damage_leaves_a_run_that_can_be_shown(self, data: st.DataObject) -> None:
        stream = bytearray(oracle.read(oracle.FIXTURES / "odd-ids-and-details.subunit"))
        for _ in range(data.draw(st.integers(1, 10))):
            at = data.draw(st.integers(0, len(stream) - 1))
            stream[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=30))
        made = self.parse_bytes(bytes(stream))
        if len(made.artifacts) == 3:
            self.check_shape(*self.group(made))


class PartialTests(Case):
    """What a timed-out tempest leaves in its repository: ``tmp*``."""

    def test_a_file_that_was_being_written(self) -> None:
        """Every test that was written is there, and the one that was being written, with what it said."""
        (path,) = oracle.FIXTURES.glob("ondisk-*")
        whole = oracle.read(path)
        begin = whole.index(b"failure: ")
        cut = whole.index(b"Traceback", begin) + 40
        made = self.parse_bytes(whole[:cut], partial=True, artifact_names=["tmpab12cd34"])
        rows, stats, details = self.group(made)
        self.check_shape(rows, stats, details)
        before, _, _ = self.group(self.parse(path))
        self.assertEqual([row["name"] for row in rows], [row["name"] for row in before[: len(rows)]])
        self.assertIn("unfinished", rows[-1]["tags"])
        self.assertIn("Traceback", "".join(details[rows[-1]["name"]].values()))
        self.assertEqual(stats["failures"][-1]["name"], rows[-1]["name"])
        self.assertTrue(stats["failures"][-1]["details"])
        self.assertEqual(stats["warnings"][0], PARTIAL)
        self.assertEqual(made.warnings[0], f"tmpab12cd34: {PARTIAL}")

    def test_several_after_one_another(self) -> None:
        """devstack-gate puts all workers' files into one."""
        (path,) = oracle.FIXTURES.glob("ondisk-*")
        whole = oracle.read(path)
        cut = whole.index(b"\ntest: ", 20_000) + 1
        rows, _, _ = self.group(self.parse_bytes(whole[:cut]))
        for more in (12, 40, 150, 200, 250):
            again, _, _ = self.group(self.parse_bytes(whole[: cut + more] + whole))
            self.assertGreaterEqual(len(again), len(rows) + 1354)
            self.assertEqual([row["name"] for row in again[: len(rows)]], [row["name"] for row in rows])
            self.assertLessEqual(sum("unfinished" in row["tags"] for row in again), 1)

    def test_live_stream_that_hung(self) -> None:
        events = [
            {"test_id": "a.T.test_ok", "test_status": "success", "timestamp": oracle.moment(2_000_000)},
            {"test_id": "a.T.test_hung", "test_status": "inprogress", "timestamp": oracle.moment(1_000_000)},
            {"test_id": "a.T.test_hung", "file_name": "log", "file_bytes": b"GET /\nwaiting for 5\n"},
        ]
        rows, stats, details = self.group(self.parse_bytes(oracle.write(events)))
        self.assertEqual(details["a.T.test_hung"], {"log": "GET /\nwaiting for 5\n"})
        (failure,) = stats["failures"]
        self.assertEqual((failure["name"], failure["details"]), ("a.T.test_hung", ["waiting for 5"]))
        self.assertEqual(rows[-1]["tags"][-1], "unfinished")


class NoTestsTests(Case):
    def warning(self, data: bytes) -> str:
        made = self.parse_bytes(data, artifact_names=["x.subunit"])
        (stats,) = made.artifacts
        self.assertEqual(
            (stats.artifact_type, stats.primary, stats.blocks_path), ("subunit-stats", True, None)
        )
        self.assertEqual(stats.meta["count"], 0)
        said = load(stats)["warnings"]
        self.assertEqual(made.warnings, tuple(f"x.subunit: {sentence}" for sentence in said))
        return said[-1]

    def test_empty(self) -> None:
        self.assertEqual(self.warning(b""), "The stream is empty.")

    def test_failed_discovery(self) -> None:
        text = self.warning(oracle.read(oracle.FIXTURES / "discovery-failure-testtools-2.9.1.subunit"))
        self.assertIn("ModuleNotFoundError: No module named 'twisted'", text)

    def test_text_is_bounded(self) -> None:
        text = self.warning(b"error: no tests\n" * 100_000)
        self.assertLess(len(text), 20_000)
        self.assertTrue(text.endswith("…"))

    def test_exists_only(self) -> None:
        stream = oracle.write([{"test_id": "a", "test_status": "exists"}])
        self.assertEqual(self.warning(stream), "The stream holds no test.")


class RequestTests(Case):
    def names(self, *names: str, **options: Any) -> list[str]:
        inputs = tuple(InputFile(path="", name=name) for name in names)
        request = ParseRequest(parser="subunit", inputs=inputs, out_dir="", max_bytes=1, options=options)
        return artifact_names(request)

    def test_names_of_the_files(self) -> None:
        self.assertEqual(
            self.names("logs/testrepository.subunit.gz", "a/x.subunit.xz", "y.bz2", "subunit_log.txt", ".gz"),
            ["testrepository.subunit", "x.subunit", "y", "subunit_log.txt", "unnamed"],
        )

    def test_safe_and_unique(self) -> None:
        self.assertEqual(
            self.names("1", "2", "3", artifact_names=["a'{{x}}<é>", "old/x.subunit", "old/x.subunit"]),
            ["a___x_____", "old/x.subunit", "old/x.subunit 2"],
        )
        self.assertLessEqual(len(self.names("n" * 5000)[0]), 200)

    def test_a_group_for_each_stream(self) -> None:
        (last,) = oracle.FIXTURES.glob("last-*")
        made = self.parse(last, oracle.FIXTURES / "text-only.subunit", last)
        self.assertEqual(
            [(a.artifact_name, a.artifact_type, a.primary) for a in made.artifacts],
            [
                ("last-testtools-2.9.1.subunit", "subunit", True),
                ("last-testtools-2.9.1.subunit", "subunit-stats", False),
                ("last-testtools-2.9.1.subunit", "subunit-details", False),
                ("text-only.subunit", "subunit-stats", True),
                ("last-testtools-2.9.1.subunit 2", "subunit", True),
                ("last-testtools-2.9.1.subunit 2", "subunit-stats", False),
                ("last-testtools-2.9.1.subunit 2", "subunit-details", False),
            ],
        )
        self.assertEqual(len({a.path for a in made.artifacts}), 7)

    def test_too_large(self) -> None:
        (path,) = oracle.FIXTURES.glob("last-*")
        size = len(oracle.read(path))
        self.parse(path, max_bytes=size)
        with self.assertRaises(TooLargeError) as caught:
            self.parse(path, max_bytes=size - 1)
        self.assertIn(f"logs/{path.name}", caught.exception.message)

    def test_python_subunit_stays_out_of_the_way(self) -> None:
        """Its import costs more than most streams."""
        script = (
            "import sys\n"
            "import stackviz_deployer.parsers.subunit\n"
            "print([m for m in ('subunit', 'testtools', 'twisted') if m in sys.modules])\n"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.strip(), "[]")


def _word(character: str) -> bool:
    return character.isalnum() or character == "_"
