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
from stackviz_deployer.parsers import gerrit
from stackviz_deployer.parsers.worker import MAX_ANSWER_BYTES
from tests.fake_gerrit import JENKINS, PERSON, README_CHANGES, change, message

HOST = "review.opendev.org"
XSSI = b")]}'\n"
PUBLIC = (
    Path(__file__).resolve().parents[3]
    / "shared/data/public/gerrit/elastic-recheck__elastic_recheck_tests_unit_samples_gerrit-bug-query.json"
)
RESULT = "Patch Set 2: Verified+1\n\nBuild succeeded (check pipeline).\n\n- j http://l/j/ : SUCCESS in 2s\n"


class GerritTests(SynchronousTestCase):
    def parse(
        self, body: bytes, accounts: tuple[str, ...] = ("jenkins", "zuul", "* CI"), max_bytes: int = 32 << 20
    ) -> ParseResult:
        path = Path(self.mktemp())
        path.write_bytes(body)
        return gerrit.parse(
            ParseRequest(
                parser="gerrit",
                inputs=(InputFile(path=str(path), name="change"),),
                out_dir="unused",
                max_bytes=max_bytes,
                options={"ci_accounts": list(accounts), "host": HOST},
            )
        )

    def parse_change(self, data: Any, **arguments: Any) -> ParseResult:
        return self.parse(XSSI + json.dumps(data, ensure_ascii=False).encode(), **arguments)

    def with_messages(self, *messages: Any, **arguments: Any) -> list[dict[str, Any]]:
        data = self.parse_change({"_number": 5, "messages": list(messages)}, **arguments).data
        return data["builds"]

    def test_readme_change(self) -> None:
        result = self.parse_change(README_CHANGES[0])
        self.assertEqual(
            result.data["change"],
            {
                "number": 271726,
                "project": "openstack/stackviz",
                "branch": "master",
                "subject": "Add nprogress progress bars to timeline and test-details.",
                "status": "MERGED",
                "patchset": 2,
            },
        )
        builds = result.data["builds"]
        self.assertEqual(len(builds), 9)
        self.assertEqual(
            builds[1],
            {
                "ci": "jenkins",
                "pipeline": "gate",
                "patchset": 2,
                "finished_ms": 1454703000000,
                "name": "gate-stackviz-python27",
                "url": "http://logs.openstack.org/26/271726/2/gate/gate-stackviz-python27/937cf7b/",
                "page": None,
                "reason": None,
                "result": "SUCCESS",
                "error_detail": None,
                "duration": "2m 58s",
                "voting": True,
            },
        )
        self.assertEqual([build["patchset"] for build in builds], [2] * 6 + [1] * 3)
        self.assertEqual(result.warnings, ())
        # what travels back is what was meant
        self.assertEqual(ParseResult.from_json(json.loads(json.dumps(result.to_json()))), result)

    def test_compressed(self) -> None:
        body = gzip.compress(XSSI + b'{"_number": 5}')
        self.assertEqual(self.parse(body).data["change"]["number"], 5)

    def test_prefix_is_optional(self) -> None:
        self.assertEqual(self.parse(b'{"_number": 5}').data["builds"], [])

    def test_next_line_character_in_a_text(self) -> None:
        text = RESULT.replace("SUCCESS", "FAILURE a\u0085b")
        body = json.dumps(
            {"_number": 5, "messages": [message(JENKINS, "2016-01-01 00:00:00", text, 2)]}, ensure_ascii=False
        )
        (build,) = self.parse(XSSI + body.encode()).data["builds"]
        self.assertEqual(build["error_detail"], "a\u0085b")

    def test_what_gerrit_may_leave_out(self) -> None:
        builds = self.with_messages(
            {"id": "no author", "message": RESULT},
            {"id": "no text", "author": JENKINS},
            {"author": JENKINS, "message": RESULT},  # neither date nor revision
            {"author": {"_account_id": 3}, "message": RESULT},
            {"author": None, "message": None, "date": None, "tag": None, "_revision_number": None},
            None,
            "text",
        )
        (build,) = builds
        self.assertEqual((build["ci"], build["patchset"], build["finished_ms"]), ("jenkins", 2, None))

    def test_whose_comments_count(self) -> None:
        for author, tag, ci in [
            (JENKINS, None, "jenkins"),
            ({"name": "Jenkins"}, None, "Jenkins"),  # a server without DETAILED_ACCOUNTS
            ({"name": "Somebody", "username": "JENKINS"}, None, "JENKINS"),
            ({"name": "Acme Storage CI", "username": "acme"}, None, "acme"),
            ({"name": "Acme Storage CI"}, None, "Acme Storage CI"),
            ({"name": "Robot", "username": "r"}, "autogenerated:zuul:check", "r"),
            (None, "autogenerated:zuul:check", "zuul"),
            ({"name": "jenkins", "username": "mallory"}, None, None),
            ({"name": "Acme CIO", "username": "acme"}, None, None),
            (PERSON, "autogenerated:gerrit:newPatchSet", None),
            ({"name": "Elastic Recheck", "username": "elasticrecheck"}, None, None),
        ]:
            builds = self.with_messages(message(author, "2016-01-01 00:00:00", RESULT, 2, tag))
            self.assertEqual([build["ci"] for build in builds], [ci] if ci else [], (author, tag))
        self.assertEqual(
            self.with_messages(message(JENKINS, "2016-01-01 00:00:00", RESULT, 2), accounts=()), []
        )

    def test_patchset(self) -> None:
        for said, patchset in [(7, 7), (None, 2), (0, 2), (-1, 2), ("7", 2), (True, 2), (2**40, 2)]:
            (build,) = self.with_messages({"author": JENKINS, "message": RESULT, "_revision_number": said})
            self.assertEqual(build["patchset"], patchset, said)

    def test_current_patchset(self) -> None:
        revisions = {"current_revision": "a" * 40, "revisions": {"a" * 40: {"_number": 3}}}
        for data, patchset in [
            ({}, None),
            (revisions, 3),
            ({**revisions, "current_revision_number": 4}, 4),
            ({"current_revision": "b", "revisions": {"a": {}}}, None),
            ({"current_revision": [], "revisions": []}, None),
            ({"messages": [{"_revision_number": 2}, {"_revision_number": 5}, {}]}, 5),
        ]:
            self.assertEqual(
                self.parse_change({"_number": 1, **data}).data["change"]["patchset"], patchset, data
            )

    def test_newest_first(self) -> None:
        dates = [
            "2016-01-02 00:00:00",
            "2016-01-01 00:00:00",
            "nonsense",
            "2016-99-99 00:00:00",
            "2016-01-03 00:00:00",
        ]
        builds = self.with_messages(
            *(
                {"author": JENKINS, "date": date, "message": RESULT.replace("j http", f"j{n} http")}
                for n, date in enumerate(dates)
            )
        )
        self.assertEqual([build["name"] for build in builds], ["j4", "j0", "j3", "j2", "j1"])

    def test_milliseconds(self) -> None:
        (build,) = self.with_messages(
            {"author": JENKINS, "date": "1970-01-01 00:00:01.234567890", "message": RESULT}
        )
        self.assertEqual(build["finished_ms"], 1234)

    def test_nonsense_names_the_host(self) -> None:
        for body in [
            b"",
            XSSI,
            b")]}'",
            b"<!DOCTYPE html><title>Sign in</title>",
            b"\x00\xff",
            XSSI + b"{",
            XSSI + b"[" * 100_000,
            XSSI + b'{"a":' * 50_000,
            XSSI + b"[]",
            XSSI + b"null",
            XSSI + b'"text"',
            XSSI + b"{}",
            XSSI + b'{"_number": "5"}',
            XSSI + b'{"_number": -5}',
            XSSI + b'{"_number": true}',
        ]:
            error = self.assertRaises(ParseError, self.parse, body)
            self.assertIn(HOST, error.message)
            self.assertLess(len(error.message), 400)

    def test_too_large(self) -> None:
        body = XSSI + b'{"_number": 5}'
        self.assertEqual(self.parse(body, max_bytes=len(body)).data["builds"], [])
        self.assertRaises(TooLargeError, self.parse, body, max_bytes=len(body) - 1)

    def test_what_travels_back_is_bounded(self) -> None:
        for character in ["\u4e2d", "\x01", '"', "j"]:
            long = character * 250
            text = "\n".join([f"- {long} http://l/{long} : {long}"] * 300)
            result = self.parse_change(change(5, "p", "s", 1, [message(JENKINS, "x", text, 1)] * 20))
            self.assertTrue(result.warnings)
            self.assertLessEqual(len(result.data["builds"]), gerrit.MAX_BUILDS)
            self.assertLess(len(json.dumps(result.data, ensure_ascii=False).encode()), MAX_ANSWER_BYTES)

    def test_many_messages(self) -> None:
        old = message(JENKINS, "2015-01-01 00:00:00", RESULT, 1)
        people = [{"message": "x"}] * gerrit.MAX_MESSAGES
        result = self.parse_change({"_number": 5, "messages": [old, *people]})
        self.assertEqual(result.data["builds"], [])
        self.assertIn("newest", result.warnings[0])
        self.assertEqual(
            len(self.parse_change({"_number": 5, "messages": [old, *people[1:]]}).data["builds"]), 1
        )

    def test_public_answer_of_2014(self) -> None:
        if not PUBLIC.exists():
            raise SkipTest(f"needs {PUBLIC}")
        (answer,) = json.loads(PUBLIC.read_text(encoding="utf-8"))
        found = self.parse_change(answer).data["change"]
        self.assertEqual(
            (found["number"], found["project"], found["patchset"]), (113009, "openstack/neutron", None)
        )

    @given(st.data())
    def test_mutated(self, data: st.DataObject) -> None:
        """Answers with something else in places."""
        answer = data.draw(st.sampled_from(README_CHANGES))
        body = bytearray(XSSI + json.dumps(answer).encode())
        for _ in range(data.draw(st.integers(1, 5))):
            start = data.draw(st.integers(0, len(body)))
            body[start : start + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=10))
        try:
            result = self.parse(bytes(body))
        except ParseError as error:
            self.assertIn(HOST, error.message)
        else:
            json.dumps(result.to_json())
            self.assertLessEqual(len(result.data["builds"]), json.dumps(answer).count(" : "))

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers(-5, 2**33) | st.text(max_size=20) | st.just(RESULT),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "_number",
                        "messages",
                        "author",
                        "name",
                        "username",
                        "date",
                        "message",
                        "tag",
                        "revisions",
                        "current_revision",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=15,
    )

    @given(
        st.one_of(
            json_values.map(lambda value: {"_number": 5, "messages": [value]}), json_values, st.binary()
        )
    )
    def test_any_answer(self, value: Any) -> None:
        body = value if isinstance(value, bytes) else XSSI + json.dumps(value).encode()
        try:
            result = self.parse(body)
        except ParseError:
            return
        self.assertEqual(ParseResult.from_json(json.loads(json.dumps(result.to_json()))).data, result.data)
