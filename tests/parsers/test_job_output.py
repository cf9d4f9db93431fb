# SPDX-License-Identifier: Apache-2.0
"""parsers.job_output: what was recorded, whom it blames, bounds, damage; and the JSON reader below it."""

import contextlib
import gzip
import json
import re
import shutil
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.parsers import job_output, job_output_build
from stackviz_deployer.parsers.job_output_stream import DamagedError, EndsEarlyError, JsonReader, decode

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "zuul"
RECORDED = gzip.decompress((FIXTURES / "job-output.json.gz").read_bytes())
ASSEMBLED = (FIXTURES / "job-output.assembled.json").read_bytes()
CHUNK = 1 << 16


def parse(
    data: bytes, name: str = "job-output.json", max_bytes: int = 1 << 28, **options: Any
) -> tuple[ParseResult, Any]:
    """The result, and the document if there is one."""
    directory = Path(tempfile.mkdtemp())
    try:
        path = directory / "input"
        path.write_bytes(data)
        request = ParseRequest(
            parser="job_output",
            inputs=(InputFile(path=str(path), name=name),),
            out_dir=str(directory),
            max_bytes=max_bytes,
            options=options,
        )
        result = job_output.parse(request)
        if not result.artifacts:
            return result, None
        return result, json.loads(gzip.decompress(Path(result.artifacts[0].path).read_bytes()))
    finally:
        shutil.rmtree(directory)


def task(name: str, **hosts: Any) -> dict[str, Any]:
    return {
        "hosts": hosts,
        "task": {"id": "x", "name": name, "duration": {"start": "2026-11-22T09:42:29.5Z"}},
    }


def stats(**counts: int) -> dict[str, int]:
    names = ("ok", "changed", "failures", "unreachable", "skipped", "rescued", "ignored")
    return {name: counts.get(name, 0) for name in names}


def playbook(*tasks: Any, phase: str = "run", index: str = "0", **hosts: dict[str, int]) -> dict[str, Any]:
    plays = [{"play": {"id": "p", "name": "all"}, "tasks": list(tasks)}]
    path = f"example.org/a/playbooks/{phase}.yaml"
    return {
        "branch": "master",
        "index": index,
        "phase": phase,
        "playbook": path,
        "plays": plays,
        "stats": hosts,
        "trusted": False,
    }


def synthetic(name: str, phase: str = "run") -> dict[str, Any]:
    found = playbook(phase=phase)
    found["plays"] = [{"play": {"name": name}, "tasks": []}]
    return found


ODD_PLACES = (
    "index", "stats", "stats.controller", "stats.controller.failures", "plays", "plays.0", "plays.0.play",
    "plays.0.play.name", "plays.0.play.duration", "plays.0.tasks", "plays.0.tasks.1.hosts",
    "plays.0.tasks.1.task", "plays.0.tasks.8.hosts.controller", "plays.0.tasks.8.hosts.controller.rc",
    "plays.0.tasks.8.hosts.controller.results",
)  # fmt: skip
OK: dict[str, Any] = {"action": "shell", "changed": False, "rc": 0}
FAILED: dict[str, Any] = {
    "action": "shell",
    "changed": True,
    "failed": True,
    "rc": 1,
    "msg": "non-zero return code",
}
BY_RC: dict[str, Any] = {"action": "shell", "changed": True, "rc": 1}
AWAY: dict[str, Any] = {"action": "ping", "changed": False, "unreachable": True, "msg": "no route"}


def build(*playbooks: Any) -> Any:
    return parse(json.dumps(playbooks, indent=4, sort_keys=True).encode())[1]


def results(document: Any, number: int = 0) -> list[dict[str, str]]:
    """Of each task of a playbook: host -> result."""
    return [
        {host: one["result"] for host, one in task["hosts"].items()}
        for play in document["playbooks"][number]["plays"]
        for task in play["tasks"]
    ]


def blamed(document: Any) -> tuple[Any, ...] | None:
    failed = document["failed"]
    return None if failed is None else (failed["playbook"], failed["task"], failed["host"])


class RecordedTests(SynchronousTestCase):
    def test_a_run(self) -> None:
        for data in (RECORDED, gzip.compress(RECORDED), json.dumps(json.loads(RECORDED)).encode()):
            result, document = parse(data, "logs/job-output.json.gz")
            (artifact,) = result.artifacts
            self.assertEqual(result.warnings, ())
            self.assertEqual(
                (
                    artifact.artifact_type,
                    artifact.artifact_name,
                    artifact.content_type,
                    artifact.primary,
                    artifact.form,
                ),
                ("job-output", "job-output.json", "application/json", False, 1),
            )
            self.assertEqual(
                artifact.meta,
                {
                    "status": "FAILURE",
                    "playbooks": 2,
                    "tasks": 14,
                    "results": {
                        "ok": 6,
                        "changed": 11,
                        "ignored": 2,
                        "skipped": 3,
                        "rescued": 2,
                        "failed": 1,
                    },
                    "start_ms": 1795342151779,
                    "end_ms": 1795342171519,
                    "failed": {
                        "playbook": "opendev.org/openstack/tempest/playbooks/run.yaml",
                        "play": "Run tempest-full",
                        "task": "final failure on node2",
                        "host": "compute1",
                    },
                },
            )
            failed = {"playbook": 0, "play": 0, "task": 10, "host": "compute1"}
            self.assertEqual((document["failed"], document["failures"]), (failed, [failed]))
            self.assertEqual(
                document["playbooks"][0]["plays"][0]["tasks"][10],
                {
                    "name": "final failure on node2",
                    "start_ms": 1795342162807,
                    "end_ms": 1795342163467,
                    "hosts": {
                        "compute1": {"result": "failed", "action": "command", "rc": 1, "duration_ms": 4,
                                     "msg": "non-zero return code", "stdout": "tempest failed"},
                        "controller": {"result": "skipped", "action": "command"},
                    },
                },
            )  # fmt: skip

    def test_agrees_with_the_whole_document(self) -> None:
        """Names, times and statistics, against json.loads; results counted, against Ansible's count."""
        for data in (
            RECORDED,
            ASSEMBLED,
            (FIXTURES / "job-output.real-callback-one-playbook.json").read_bytes(),
        ):
            source = json.loads(data)
            source = source if isinstance(source, list) else [source]
            document = parse(json.dumps(source).encode())[1]
            for expected, found in zip(source, document["playbooks"], strict=True):
                for key in ("playbook", "phase", "branch", "stats"):
                    self.assertEqual(found[key], expected.get(key), key)
                self.assertEqual(found["index"], int(expected["index"]))
                for play, found_play in zip(expected["plays"], found["plays"], strict=True):
                    self.assertEqual(found_play["name"], play["play"]["name"])
                    self.assertEqual(
                        [one["task"]["name"] for one in play["tasks"]],
                        [one["name"] for one in found_play["tasks"]],
                    )
                    self.assertEqual(
                        [sorted(one["hosts"]) for one in play["tasks"]],
                        [sorted(one["hosts"]) for one in found_play["tasks"]],
                    )
                for host, counts in expected["stats"].items():
                    names = [one["hosts"][host]["result"] for play in found["plays"] for one in play["tasks"]
                             if host in one["hosts"]]  # fmt: skip
                    self.assertEqual(names.count("failed"), counts["failures"])
                    self.assertEqual(names.count("skipped"), counts["skipped"])
                    self.assertEqual(names.count("ignored"), counts["ignored"])
                    self.assertEqual(names.count("rescued"), counts["rescued"])

    def test_a_build(self) -> None:
        document = parse(ASSEMBLED)[1]
        self.assertEqual([one["result"] for one in document["playbooks"]], ["ok", "failed", "timed-out"])
        self.assertEqual(blamed(document), (1, 8, "controller"))
        self.assertEqual(document["failures"][1], {"playbook": 2, "play": 0, "task": None, "host": None})
        self.assertEqual([one["trusted"] for one in document["playbooks"]], [True, False, False])


class BlameTests(SynchronousTestCase):
    def test_ignored(self) -> None:
        document = build(playbook(task("a", h=FAILED), task("b", h=OK), h=stats(ok=2, ignored=1)))
        self.assertEqual(results(document), [{"h": "ignored"}, {"h": "ok"}])
        self.assertEqual((blamed(document), document["status"]), (None, "SUCCESS"))
        self.assertNotIn("assumed", document["playbooks"][0]["plays"][0]["tasks"][0]["hosts"]["h"])

    def test_rescued(self) -> None:
        document = build(playbook(task("a", h=FAILED), task("b", h=OK), h=stats(ok=1, rescued=1)))
        self.assertEqual(results(document), [{"h": "rescued"}, {"h": "ok"}])
        self.assertIsNone(blamed(document))

    def test_ignored_then_failed(self) -> None:
        document = build(
            playbook(task("a", h=FAILED), task("b", h=OK, i=FAILED), task("c", h=FAILED, i=FAILED),
                     h=stats(ignored=1, failures=1), i=stats(ignored=2))
        )  # fmt: skip
        self.assertEqual(
            results(document),
            [{"h": "ignored"}, {"h": "ok", "i": "ignored"}, {"h": "failed", "i": "ignored"}],
        )
        self.assertEqual(blamed(document), (0, 2, "h"))

    def test_several_hosts_fail(self) -> None:
        document = build(
            playbook(task("a", h=OK, i=FAILED), task("b", h=FAILED), h=stats(failures=1), i=stats(failures=1))
        )
        self.assertEqual([(f["task"], f["host"]) for f in document["failures"]], [(0, "i"), (1, "h")])
        self.assertEqual(blamed(document), (0, 0, "i"))

    def test_exit_codes(self) -> None:
        """Zuul's pages call them failed; the statistics know better."""
        document = build(playbook(task("a", h=BY_RC), task("b", h=FAILED), h=stats(failures=1)))
        self.assertEqual(results(document), [{"h": "ok"}, {"h": "failed"}])
        document = build(playbook(task("a", h=BY_RC), h=stats(failures=1)))
        self.assertEqual(results(document), [{"h": "failed"}])
        document = build(playbook(task("a", h=BY_RC | {"failed_when_result": False}), h=stats(failures=1)))
        self.assertEqual(results(document), [{"h": "changed"}])

    def test_unreachable(self) -> None:
        document = build(playbook(task("a", h=AWAY, i=OK), h=stats(unreachable=1), i=stats(ok=1)))
        self.assertEqual(results(document), [{"h": "unreachable", "i": "ok"}])
        self.assertEqual((document["playbooks"][0]["result"], blamed(document)), ("unreachable", (0, 0, "h")))
        self.assertEqual(document["playbooks"][0]["plays"][0]["tasks"][0]["hosts"]["h"]["msg"], "no route")
        document = build(playbook(task("a", h=AWAY), task("b", h=OK), h=stats(skipped=1)))
        self.assertEqual(results(document), [{"h": "ignored"}, {"h": "ok"}])

    def test_both_kinds_are_assumed(self) -> None:
        document = build(playbook(task("a", h=FAILED), task("b", h=FAILED), h=stats(rescued=1, ignored=1)))
        self.assertEqual(results(document), [{"h": "ignored"}, {"h": "rescued"}])
        self.assertTrue(document["playbooks"][0]["plays"][0]["tasks"][0]["hosts"]["h"]["assumed"])

    def test_old_ansible_counts_neither(self) -> None:
        document = build(playbook(task("a", h=FAILED), task("b", h=FAILED), h={"ok": 1, "failures": 1}))
        self.assertEqual(results(document), [{"h": "ignored"}, {"h": "failed"}])
        self.assertEqual(blamed(document), (0, 1, "h"))

    def test_which_playbook(self) -> None:
        bad = [task("a", h=FAILED)], {"h": stats(failures=1)}
        good = [task("a", h=OK)], {"h": stats(ok=1)}
        for phases, expected in (
            ({"pre": good, "run": bad, "post": bad}, ("FAILURE", 1)),
            ({"pre": good, "run": good, "post": bad}, ("POST_FAILURE", 2)),
            ({"pre": bad, "post": bad}, ("FAILURE", 0)),
            ({"pre": good, "run": good, "post": good, "cleanup": bad}, ("SUCCESS", None)),
        ):
            document = build(*(playbook(*t, phase=phase, **s) for phase, (t, s) in phases.items()))
            found = blamed(document)
            self.assertEqual((document["status"], found and found[0]), expected)

    def test_synthetic(self) -> None:
        for name, kind, status in (
            ("This playbook timed out.", "timed-out", "TIMED_OUT"),
            ("This playbook could not be parsed.", "error", "FAILURE"),
        ):
            document = build(playbook(phase="pre"), synthetic(name))
            self.assertEqual((document["playbooks"][1]["result"], document["status"]), (kind, status))
            self.assertEqual(document["failed"], {"playbook": 1, "play": 0, "task": None, "host": None})
        result, _ = parse(json.dumps([synthetic("timed out")]).encode())
        self.assertEqual(result.artifacts[0].meta["failed"]["play"], "timed out")

    def test_failure_without_a_result(self) -> None:
        document = build(playbook(task("a", h=OK), h=stats(ok=1, failures=1)))
        self.assertEqual((document["playbooks"][0]["result"], document["status"]), ("failed", "FAILURE"))
        self.assertEqual(document["failed"], {"playbook": 0, "play": None, "task": None, "host": "h"})

    def test_no_host_matched(self) -> None:
        document = build(playbook())
        self.assertEqual((document["playbooks"][0]["result"], document["failed"]), ("ok", None))

    def test_killed(self) -> None:
        good = {"h": stats(ok=1)}
        books = [playbook(task("a", h=OK), phase=phase, **good) for phase in ("pre", "post")]
        result, document = parse(json.dumps(books).encode())
        self.assertIsNone(document["status"])
        self.assertIn("was killed", result.warnings[0])
        books = [playbook(task("a", h=FAILED), phase="pre", h=stats(failures=1)), books[1]]
        self.assertEqual(parse(json.dumps(books).encode())[0].warnings, ())


class ExcerptTests(SynchronousTestCase):
    def failed(self, **result: Any) -> dict[str, Any]:
        document = build(playbook(task("a", h={"failed": True, **result}), h=stats(failures=1)))
        found: dict[str, Any] = document["playbooks"][0]["plays"][0]["tasks"][0]["hosts"]["h"]
        return found

    def test_ends_of_output(self) -> None:
        lines = [f"line {n}" for n in range(50_000)]
        found = self.failed(stdout="\n".join(lines), stdout_lines=lines, stderr="\n".join(lines[:42]) + "\n")
        self.assertEqual(found["stdout"].split("\n"), ["[…]", *lines[-job_output_build.EXCERPT_LINES :]])
        self.assertEqual(found["stderr"].split("\n"), lines[:42])
        self.assertLess(len(self.failed(stdout='é\\"\n' * 100_000)["stdout"]), job_output_build.EXCERPT_BYTES)
        self.assertEqual(
            self.failed(stdout="x" * 100_000)["stdout"], "[…]\n" + "x" * job_output_build.EXCERPT_BYTES
        )

    def test_beginning_of_the_message(self) -> None:
        self.assertEqual(
            self.failed(msg="m" * 100_000)["msg"], "m" * job_output_build.EXCERPT_BYTES + "\n[…]"
        )

    def test_cut_in_an_escape(self) -> None:
        for shift in range(14):
            for piece in ("😀", "é", "\\", '"', "\x1b[1mx"):
                text = "x" * shift + piece * 30_000
                stdout = self.failed(stdout=text, msg=text)
                self.assertNotIn("u0", stdout["stdout"][20:])
                self.assertLessEqual(set(stdout["stdout"][20:]), set(piece))
                self.assertNotIn("\ufffd", stdout["msg"])

    def test_messages_that_are_no_text(self) -> None:
        self.assertEqual(json.loads(self.failed(msg={"a": ['"', "\\"]})["msg"]), {"a": ['"', "\\"]})
        self.assertEqual(self.failed(msg=3)["msg"], "3")
        self.assertNotIn("msg", self.failed(msg=""))
        self.assertLessEqual(
            len(self.failed(msg=[["x" * 100] * 1000])["msg"]), job_output_build.EXCERPT_BYTES + 4
        )

    def test_colours_and_broken_text(self) -> None:
        found = self.failed(stderr="\x1b[31mred\x1b[0m\ttab\x00", msg="half \udce9 \ud83d")
        self.assertEqual(found["stderr"], "red\ttab")
        self.assertEqual(found["sgr"], {"stderr": "0+3:1"})
        self.assertEqual(found["msg"], "half \ufffd \ufffd")
        self.assertNotIn("exception", self.failed(exception="(traceback unavailable)"))

    def test_loops(self) -> None:
        items = [
            {"item": {"n": n}, "failed": n % 2 == 1, "rc": n % 2, "stdout": f"said {n}"} for n in range(60)
        ]
        found = self.failed(results=items, msg="One or more items failed")
        self.assertEqual(found["items"], 60)
        self.assertEqual(len(found["failed_items"]), job_output_build.MAX_ITEMS)
        self.assertEqual(found["failed_items"][0], {"item": '{ "n": 1 }', "rc": 1, "stdout": "said 1"})

    def test_results_that_keep_output(self) -> None:
        """The last ones; the others keep their name."""
        self.patch(job_output_build, "MAX_EXCERPTS", 3)
        tasks = [task(str(n), h=FAILED) for n in range(5)]
        document = build(playbook(*tasks, h=stats(ignored=5)))
        found = [one["hosts"]["h"] for one in document["playbooks"][0]["plays"][0]["tasks"]]
        self.assertEqual([one["result"] for one in found], ["ignored"] * 5)
        self.assertEqual(["msg" in one for one in found], [False, False, True, True, True])

    def test_other_keys(self) -> None:
        found = self.failed(delta="1 day, 2:03:04.500600", action="shell", rc="x", changed="no")
        self.assertEqual((found["duration_ms"], found["action"]), (93_784_500, "shell"))
        self.assertNotIn("rc", found)
        document = build(playbook({**task("a", h=OK), "role": {"name": "tox", "path": "/x"}}))
        self.assertEqual(document["playbooks"][0]["plays"][0]["tasks"][0]["role"], "tox")


class DamageTests(SynchronousTestCase):
    def flat(self, document: Any) -> list[Any]:
        return [
            (one["name"], sorted(one["hosts"]))
            for book in document["playbooks"]
            for play in book["plays"]
            for one in play["tasks"]
        ]

    def test_torn(self) -> None:
        """Everywhere: what lies whole before the end stays."""
        whole = self.flat(parse(RECORDED)[1])
        ends = [found.end() for found in re.finditer(rb'"name": "[^"]*"\n {20}}', RECORDED)]
        for number, end in enumerate(ends, 1):
            result, document = parse(RECORDED[: end + 30])
            self.assertEqual(self.flat(document)[:number], whole[:number])
            self.assertIn("ends early", result.warnings[0])
            self.assertEqual(document["status"], "FAILURE" if number > 11 else None)
        result, document = parse(gzip.compress(RECORDED)[:-2000])
        self.assertIn("gzip data ends early", result.warnings[0])
        self.assertGreater(len(self.flat(document)), 4)

    def test_torn_without_statistics(self) -> None:
        text = json.dumps([playbook(task("a", h=FAILED), task("b", h=OK, i=FAILED))])
        document = parse(text[: text.index('"stats"')].encode())[1]
        self.assertEqual(document["playbooks"][0]["result"], "incomplete")
        self.assertEqual(results(document), [{"h": "ignored"}, {"h": "ok", "i": "failed"}])
        self.assertEqual(blamed(document), (0, 1, "i"))

    def test_damaged(self) -> None:
        at = RECORDED.index(b'"skipped": true')
        result, document = parse(RECORDED[:at] + b"}]}}" + RECORDED[at:])
        self.assertIn("is damaged", result.warnings[0])
        self.assertEqual(self.flat(document)[:4], self.flat(parse(RECORDED)[1])[:4])

    def test_end_of_an_object_is_missing(self) -> None:
        """The next one's keys do not take the place of its own."""
        text = json.dumps([playbook(task("a", h=FAILED), task("b", i=OK), h=stats(ignored=1))], indent=4)
        at = text.index('"a"')
        result, document = parse(f'{text[:at]}"a"}}, {text[text.index(chr(34) + "hosts", at) :]}'.encode())
        self.assertEqual(self.flat(document), [("a", ["h"])])
        self.assertIn("is damaged", result.warnings[0])

    def test_not_one(self) -> None:
        for data in (
            b"<html>404</html>",
            b"{}",
            b"[",
            b'"x"',
            b"[1, 2",
            b"x",
            b'[{"a": ',
            b"  ",
            b"\0" * 100,
        ):
            error = self.assertRaises(ParseError, parse, data, "logs/job-output.json")
            self.assertIn("logs/job-output.json", error.message)
        for data in (b"", b"[]", b"[\n]\n", b"[1, [2], {}]", b'[{"a": 1}]'):
            result, document = parse(data)
            self.assertIsNone(document)
            self.assertIn("no playbook", result.warnings[0])

    def test_decoded_bytes(self) -> None:
        parse(gzip.compress(RECORDED), max_bytes=len(RECORDED))
        self.assertRaises(TooLargeError, parse, gzip.compress(RECORDED), max_bytes=len(RECORDED) - 1)

    def test_strange_values(self) -> None:
        """Anything where something else is expected."""
        source = json.loads(ASSEMBLED)[1]
        for odd in (None, 1, "x", [], {}, [[1]], {"a": {"b": 1}}, True, 1e300, 10**30):
            for dotted in ODD_PLACES:
                path = [int(part) if part.isdigit() else part for part in dotted.split(".")]
                book = json.loads(json.dumps(source))
                place = book
                for key in path[:-1]:
                    place = place[key]
                place[path[-1]] = odd
                self.assertEqual(len(build(book)["playbooks"]), 1)

    def test_negative_and_huge_counts(self) -> None:
        for count in (-1, 10**9, 5):
            counts = dict.fromkeys(stats(), count)
            build(playbook(task("a", h=FAILED), task("b", h=AWAY), h=counts))

    def test_number_of_results(self) -> None:
        self.patch(job_output_build, "MAX_NODES", 5)
        result, document = parse(json.dumps([playbook(*(task(str(n), h=OK) for n in range(5)))]).encode())
        self.assertEqual(len(self.flat(document)), 2)
        self.assertIn("the rest is left out", result.warnings[0])

    @settings(deadline=None)
    @given(st.data())
    def test_mutations(self, data: st.DataObject) -> None:
        text = bytearray(ASSEMBLED)
        pieces = (
            b'"',
            b"\\",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b"null",
            b"1e999",
            b"\\ud800",
            b"\n",
            b"\xff",
            b"-",
        )
        first = len(text)
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(text)))
            first = min(first, at)
            end = at + data.draw(st.integers(0, 40))
            text[at:end] = data.draw(st.binary(max_size=20) | st.sampled_from(pieces))
        whole = self.flat(parse(ASSEMBLED)[1])
        try:
            document = parse(bytes(text))[1]
        except ParseError:
            return
        # a task's name is the last of it
        before = len(re.findall(rb'"name": "[^"]*"\n {20}}', ASSEMBLED[:first]))
        self.assertEqual(self.flat(document)[:before] if document else [], whole[:before])

    @settings(deadline=None)
    @given(st.binary(max_size=300))
    def test_noise(self, noise: bytes) -> None:
        for data in (
            noise,
            b"[" + noise,
            b'[{"plays": [' + noise,
            b'[{"plays": [{"tasks": [{"hosts": {"h": {' + noise,
        ):
            with contextlib.suppress(ParseError):
                parse(data)


class CostTests(SynchronousTestCase):
    def test_memory_does_not_grow_with_the_output(self) -> None:
        lines = ["x" * 100] * 100_000
        big = task("big", h=FAILED | {"stdout": "\n".join(lines), "stdout_lines": lines, "msg": lines})
        data = json.dumps([playbook(big, h=stats(failures=1))], indent=4).encode()
        self.assertGreater(len(data), 30_000_000)
        chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
        found = job_output_build.Build()
        tracemalloc.start()
        try:
            found.read(JsonReader(chunks))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertEqual(len(found.playbooks), 1)
        self.assertLess(peak, 2 << 20)

    def test_time_is_linear(self) -> None:
        for piece in (
            b"[",
            b"]",
            b"{",
            b'{"a":',
            b"[]",
            b'""',
            b'"',
            b"\\",
            b'\\"',
            b"1",
            b",",
            b" ",
            b"\\u",
            b'"\\',
        ):
            for head in (
                b"",
                b'[{"plays":',
                b'[{"x":',
                b'[{"stats":{"h":{"ok":',
                b'[{"x":"',
                b'[{"plays":[{"tasks":[{"hosts":{"h":{"msg":',
            ):
                data = head + piece * (300_000 // len(piece))
                began = time.process_time()
                with contextlib.suppress(ParseError):
                    parse(data)
                self.assertLess(time.process_time() - began, 1, (head, piece))


printable = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
)
json_values = st.recursive(
    leaves | printable,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(printable, inner, max_size=5),
    max_leaves=30,
)


class ReaderTests(SynchronousTestCase):
    def value(self, reader: JsonReader) -> Any:
        kind = reader.kind()
        if kind == "{":
            return {key: self.value(reader) for key in reader.members()}
        if kind == "[":
            return [self.value(reader) for _ in reader.items()]
        return reader.scalar(10**6)

    def chunks(self, data: bytes, size: int) -> list[bytes]:
        return [data[at : at + size] for at in range(0, len(data), size)]

    @settings(deadline=None)
    @given(json_values, st.integers(1, 50), st.booleans(), st.sampled_from([None, 4]))
    def test_agrees_with_json(self, value: Any, size: int, ascii_only: bool, indent: int | None) -> None:
        data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
        self.assertEqual(self.value(JsonReader(self.chunks(data, size))), value)
        pair = JsonReader(self.chunks(b"[" + data + b"," + data + b"]", size))
        items = pair.items()
        next(items)
        self.assertEqual(pair.skip(10**6), data)
        next(items)
        pair.skip()
        self.assertEqual(list(items), [])

    @settings(deadline=None)
    @given(json_values, st.integers(1, 20), st.data())
    def test_torn(self, value: Any, size: int, data: st.DataObject) -> None:
        text = json.dumps([value]).encode()
        text = text[: data.draw(st.integers(0, len(text) - 1))]
        for read in (self.value, JsonReader.skip):
            self.assertRaises(EndsEarlyError, read, JsonReader(self.chunks(text, size)))

    def test_damage(self) -> None:
        for text in (
            b"]",
            b"}",
            b"[:]",
            b"{1: 2}",
            b'{"a" 1}',
            b"[}",
            b'{"a"}',
            b"[1:2]",
            b"[nul]",
            b",",
            b"[1}",
        ):
            self.assertRaises(DamagedError, self.value, JsonReader([text, b" " * 70]))

    def test_excerpts(self) -> None:
        data = json.dumps(["x" * 1000 + "end", "tiny"]).encode()
        for size in (1, 7, 10_000):
            reader = JsonReader(self.chunks(data, size))
            items = reader.items()
            next(items)
            self.assertEqual(reader.text(5, keeps_end=True), (b"xxend", True))
            next(items)
            self.assertEqual(reader.text(4, keeps_end=True), (b"tiny", False))
            reader = JsonReader(self.chunks(data, size))
            items = reader.items()
            next(items)
            self.assertEqual(reader.text(5, keeps_end=False), (b"xxxxx", True))
            next(items)
            self.assertEqual(reader.text(4, keeps_end=False), (b"tiny", False))

    def test_decode(self) -> None:
        self.assertEqual(decode(rb"a\n\"\u00e9\ud83d\ude00"), 'a\n"é😀')
        self.assertEqual(decode(rb"\udce9x"), "\ufffdx")
        self.assertEqual(decode(b"raw\x01\ttab"), "raw\ttab")
        self.assertEqual(decode(b"\xff"), "\ufffd")
        self.assertEqual(decode(rb"ab\u00", cut_end=True), "ab")
        self.assertEqual(decode(rb"ab\\", cut_end=True), "ab\\")
