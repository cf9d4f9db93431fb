# SPDX-License-Identifier: Apache-2.0
import gzip
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.parsers import zuul
from stackviz_deployer.parsers.worker import MAX_ANSWER_BYTES
from tests.fake_zuul import NOVA, SHAPES, TENANTS, FakeZuul, build, running

HOST = "zuul.opendev.org"
ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "tests" / "fixtures" / "zuul" / "build-zuul14.sample.json"
PUBLIC = ROOT.parent / "shared" / "formats" / "samples" / "zuul-api" / "build-2020-flat.sample.json"
OF = {
    "project": "openstack/nova",
    "branch": "master",
    "change": 948311,
    "patchset": 8,
    "newrev": None,
    "ref": "refs/changes/11/948311/8",
    "ref_url": "https://review.opendev.org/c/openstack/nova/+/948311",
}


class ZuulTests(SynchronousTestCase):
    def parse(self, body: bytes, kind: str = "builds", max_bytes: int = 32 << 20) -> ParseResult:
        path = Path(self.mktemp())
        path.write_bytes(body)
        return zuul.parse(
            ParseRequest(
                parser="zuul",
                inputs=(InputFile(path=str(path), name="answer"),),
                out_dir="unused",
                max_bytes=max_bytes,
                options={"host": HOST, "kind": kind},
            )
        )

    def builds(self, answer: Any, kind: str = "builds") -> list[dict[str, Any]]:
        return self.parse(json.dumps(answer).encode(), kind).data["builds"]

    def test_14(self) -> None:
        result = self.parse(FIXTURE.read_bytes(), "build")
        root = (
            "https://storage.gra.cloud.ovh.net/v1/AUTH_dcaab5e32b234d56b626f72581e3644c/"
            "zuul_opendev_logs_d6b/openstack/d6b05d233d1b47a9b51694b4da905ab1/"
        )
        self.assertEqual(
            result.data,
            {
                "builds": [
                    {
                        "uuid": "d6b05d233d1b47a9b51694b4da905ab1",
                        "name": "requirements-check",
                        "pipeline": "check",
                        "result": "FAILURE",
                        "error_detail": None,
                        "voting": True,
                        "final": True,
                        "started_ms": 1787533270000,
                        "finished_ms": 1787533533000,
                        "duration": "4m 23s",
                        "url": root,
                        "reason": None,
                        "manifest_url": f"{root}zuul-manifest.json",
                        "project": "openstack/ironic-python-agent",
                        "branch": "master",
                        "change": 1000668,
                        "patchset": 1,
                        "newrev": None,
                        "ref": "refs/changes/68/1000668/1",
                        "ref_url": "https://review.opendev.org/c/openstack/ironic-python-agent/+/1000668",
                    }
                ]
            },
        )
        self.assertEqual(ParseResult.from_json(json.loads(json.dumps(result.to_json()))), result)

    def test_2020(self) -> None:
        if not PUBLIC.exists():
            raise SkipTest(f"needs {PUBLIC}")
        tox, skipped = self.parse(PUBLIC.read_bytes()).data["builds"]
        self.assertEqual(
            (tox["project"], tox["change"], tox["patchset"], tox["ref"]),
            ("opendev/gear", 742165, 2, "refs/changes/65/742165/2"),
        )
        self.assertEqual((tox["duration"], tox["uuid"][:7]), ("4m 04s", "6a466ed"))
        self.assertTrue(tox["manifest_url"].endswith("/742165/2/check/tox-py27/6a466ed/zuul-manifest.json"))
        self.assertEqual(
            (skipped["name"], skipped["uuid"], skipped["url"], skipped["result"]),
            ("openstack-operator:functional", None, None, "SKIPPED"),
        )
        self.assertIn("skipped", skipped["reason"])
        self.assertIsNone(skipped["duration"])

    def test_shapes_say_the_same(self) -> None:
        seen = []
        for shape in SHAPES:
            fake = FakeZuul(TENANTS, shape=shape)
            builds = [fake.shown(one) for one in TENANTS["openstack"]]
            seen.append(self.builds(builds))
            (buildset,) = fake.buildset("f495c3661ca346a198c80a01387d6ba4", TENANTS["openstack"])
            nested = self.builds(buildset, "buildset")
            own = {one["uuid"] for one in nested}
            self.assertEqual(nested, [one for one in seen[-1] if one["uuid"] in own])
            self.assertEqual(len(nested), 7)
        self.assertEqual(seen[0], seen[1])
        for entry in seen[0]:
            self.assertEqual({key: entry[key] for key in OF}, OF)

    def test_retries_of_2020(self) -> None:
        """A list of their own beside the builds, from 2020-04 to 2021-07."""
        one = {"job_name": "j", "uuid": "1" * 32, "result": "SUCCESS"}
        answer = {
            "pipeline": "gate",
            "project": "a/b",
            "change": 5,
            "patchset": "2",
            "ref": "refs/changes/05/5/2",
            "builds": [one],
            "retry_builds": [{**one, "uuid": "2" * 32, "result": None}],
        }
        self.assertEqual(
            [(b["final"], b["pipeline"], b["project"], b["ref"]) for b in self.builds(answer, "buildset")],
            [(True, "gate", "a/b", "refs/changes/05/5/2"), (False, "gate", "a/b", "refs/changes/05/5/2")],
        )

    def test_why_there_are_no_logs(self) -> None:
        for result, start, words in [
            (None, "2026-01-01T00:00:00", "still running"),
            (None, None, "not started"),
            ("SKIPPED", None, "skipped"),
            ("NODE_FAILURE", None, "no machine"),
            ("RETRY_LIMIT", "2026-01-01T00:00:00", "no logs"),
        ]:
            (entry,) = self.builds([build(NOVA, "j", "1" * 32, result, start=start, log_url=None)])
            self.assertIn(words, entry["reason"])
            self.assertEqual((entry["url"], entry["manifest_url"]), (None, None))

    def test_durations(self) -> None:
        for seconds, text in [
            (0.0, "0s"), (59.9, "59s"), (60, "1m 00s"), (3661.5, "1h 01m 01s"), (None, None), (-1.0, None),
            ("5", None), (True, None), (1e300, None),
        ]:  # fmt: skip
            (entry,) = self.builds([build(NOVA, "j", "1" * 32, duration=seconds)])
            self.assertEqual(entry["duration"], text, seconds)

    def test_other_sources_of_changes(self) -> None:
        """Pull requests have commits for patchsets."""
        of = {**NOVA, "patchset": "a" * 40, "ref": "refs/pull/7/head", "change": 7}
        (entry,) = self.builds([build(of, "j", "1" * 32)])
        self.assertEqual((entry["change"], entry["patchset"]), (7, None))

    def test_wrong_types(self) -> None:
        (entry,) = self.builds(
            [
                "text",
                None,
                {},
                {"job_name": 5},
                {
                    "job_name": "j", "uuid": "../../x", "result": 5, "log_url": "javascript:alert(1)",
                    "artifacts": [
                        None, {}, {"metadata": []}, {"metadata": {"type": "zuul_manifest"}, "url": "file:///x"}
                    ],
                    "start_time": "soon", "end_time": "2026-99-01T00:00:00",
                    "ref": {"change": -5, "project": [], "ref_url": "x y"},
                    "final": None, "voting": "yes", "duration": {}, "pipeline": "", "error_detail": ["x"],
                },
            ]
        )  # fmt: skip
        self.assertEqual(entry.pop("name"), "j")
        self.assertIs(entry.pop("final"), True)
        self.assertIn("still running", entry.pop("reason"))
        self.assertEqual(set(entry.values()), {None})

    def test_tenants(self) -> None:
        answer = [{"name": "openstack", "projects": 3}, {"name": 5}, None, {"name": "zuul"}]
        self.assertEqual(
            self.parse(json.dumps(answer).encode(), "tenants").data, {"tenants": ["openstack", "zuul"]}
        )

    def test_empty(self) -> None:
        self.assertEqual(self.builds([]), [])
        self.assertEqual(self.builds({"uuid": "1" * 32}, "buildset"), [])

    def test_compressed(self) -> None:
        self.assertEqual(len(self.parse(gzip.compress(FIXTURE.read_bytes()), "build").data["builds"]), 1)

    def test_nonsense_names_the_host(self) -> None:
        for body, kind in [
            (b"", "builds"),
            (b"<html>Zuul</html>", "builds"),
            (b"{}", "builds"),
            (b"[]", "build"),
            (b"[]", "buildset"),
            (b"{}", "tenants"),
            (b"[" * 100_000, "builds"),
            (b'[{"job_name": "x"', "builds"),
        ]:
            error = self.assertRaises(ParseError, self.parse, body, kind)
            self.assertIn(HOST, error.message)

    def test_bounds(self) -> None:
        one = running(NOVA, "j", "1" * 32)
        for count, warnings in [(zuul.MAX_BUILDS, 0), (zuul.MAX_BUILDS + 1, 1)]:
            result = self.parse(json.dumps([one] * count).encode())
            self.assertEqual((len(result.data["builds"]), len(result.warnings)), (zuul.MAX_BUILDS, warnings))
        long = {
            **one,
            "job_name": "j" * 10_000,
            "log_url": "https://x/" + "y" * 2000,
            "error_detail": "z" * 10_000,
        }
        result = self.parse(json.dumps([long] * 1200).encode())
        self.assertLess(len(json.dumps(result.to_json())), MAX_ANSWER_BYTES)
        self.assertIn("very many", result.warnings[0])
        self.assertRaises(TooLargeError, self.parse, json.dumps([one] * 100).encode(), "builds", 1000)

    @given(st.data())
    def test_mutated(self, data: st.DataObject) -> None:
        body = bytearray(FIXTURE.read_bytes())
        for _ in range(data.draw(st.integers(1, 5))):
            start = data.draw(st.integers(0, len(body)))
            end = start + data.draw(st.integers(0, 40))
            body[start:end] = data.draw(st.binary(max_size=10))
        try:
            builds = self.parse(bytes(body), "build").data["builds"]
        except ParseError as error:
            self.assertIn(HOST, error.message)
        else:
            self.assertLessEqual(len(builds), 1)

    @given(
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=4),
                st.dictionaries(
                    st.sampled_from(
                        [
                            "builds",
                            "retry_builds",
                            "refs",
                            "ref",
                            "job_name",
                            "change",
                            "artifacts",
                            "metadata",
                            "name",
                        ]
                    ),
                    inner,
                    max_size=5,
                ),
            ),
            max_leaves=25,
        ),
        st.sampled_from(["builds", "build", "buildset", "tenants"]),
    )
    def test_any_json(self, value: Any, kind: str) -> None:
        try:
            data = self.parse(json.dumps(value, allow_nan=False, default=str).encode(), kind).data
        except (ParseError, ValueError):
            return
        for entry in data.get("builds", ()):
            self.assertTrue(entry["name"])
            self.assertIsInstance(entry["final"], bool)
