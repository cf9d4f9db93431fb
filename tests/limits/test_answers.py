# SPDX-License-Identifier: Apache-2.0
"""The limits of what is read of other servers' answers: Gerrit, Zuul, comments, indexes, manifests."""

import json
from typing import Any

from stackviz_deployer.errors import TooLargeError
from stackviz_deployer.parsers import (
    ci_comments,
    fields,
    gerrit,
    listing,
    listing_data,
    manifest,
    values,
    wanted,
    zuul,
)
from tests.limits.parsing import ParserCase

JENKINS = {"username": "jenkins"}


class FieldTests(ParserCase):
    def test_text(self) -> None:
        most = "x" * fields.MAX_TEXT_CHARS
        self.assertEqual(fields.text_of(most), most)
        self.assertEqual(fields.text_of(most + "y"), most)

    def test_url(self) -> None:
        most = "http://h/".ljust(fields.MAX_URL_CHARS, "x")
        self.assertEqual(fields.url_of(most), most)
        self.assertIsNone(fields.url_of(most + "x"))

    def test_number(self) -> None:
        self.assertEqual(fields.number_of(fields._MAX_NUMBER), fields._MAX_NUMBER)
        self.assertIsNone(fields.number_of(fields._MAX_NUMBER + 1))

    def test_size(self) -> None:
        self.assertEqual(fields.size_of(fields._MAX_SIZE), fields._MAX_SIZE)
        self.assertIsNone(fields.size_of(fields._MAX_SIZE + 1))


class CommentTests(ParserCase):
    def builds(self, text: str) -> Any:
        return ci_comments.parse_comment(text).builds

    def line(self, *, name: str = "j", url: str = "http://h/x", said: str = "SUCCESS in 1s") -> str:
        return f"- {name} {url} : {said}"

    def test_lines(self) -> None:
        before = "\n" * (ci_comments.MAX_LINES - 1)
        self.assertEqual(len(self.builds(before + self.line())), 1)
        self.assertEqual(self.builds(before + "\n" + self.line()), ())

    def test_line(self) -> None:
        for more, count in ((0, 1), (1, 0)):
            line = self.line(said="x").ljust(ci_comments.MAX_LINE_CHARS + more, "y")
            self.assertEqual(len(line), ci_comments.MAX_LINE_CHARS + more)
            self.assertEqual(len(self.builds(line)), count)

    def test_url(self) -> None:
        most = "http://h/".ljust(ci_comments.MAX_URL_CHARS - 1, "x") + "/"
        (build,) = self.builds(self.line(url=most))
        self.assertEqual(build.url, most)
        over = self.builds(self.line(url=most[:-1] + "x/"))
        self.assertEqual([one.url for one in over], [None] * len(over))

    def test_name(self) -> None:
        most = "n" * ci_comments.MAX_NAME_CHARS
        self.assertEqual([one.name for one in self.builds(self.line(name=most))], [most])
        self.assertNotIn(most + "n", [one.name for one in self.builds(self.line(name=most + "n"))])

    def test_detail(self) -> None:
        most = "d" * ci_comments.MAX_DETAIL_CHARS
        for said in (most, most + "d"):
            (build,) = self.builds(self.line(said=f"FAILURE {said}"))
            self.assertEqual((build.result, build.error_detail), ("FAILURE", most))


class GerritTests(ParserCase):
    def read(self, answer: Any, **options: Any) -> Any:
        return self.parse(gerrit.parse, json.dumps(answer), ci_accounts=["jenkins"], **options)

    def builds(self, *texts: str) -> Any:
        messages = [{"author": JENKINS, "message": text} for text in texts]
        return self.read({"_number": 5, "messages": messages})

    def test_changes(self) -> None:
        for count, more in ((gerrit.MAX_CHANGES, False), (gerrit.MAX_CHANGES + 1, True)):
            data = self.read([{"_number": n + 1} for n in range(count)], kind="changes").data
            self.assertEqual((len(data["changes"]), data["more"]), (gerrit.MAX_CHANGES, more))

    def test_comment(self) -> None:
        self.patch(gerrit, "MAX_COMMENT_CHARS", 100)
        line = "\n- j http://h/x : SUCCESS"
        for filled, results in ((100, ["SUCCESS"]), (101, ["SUCCES"])):
            text = "y" * (filled - len(line)) + line
            self.assertEqual([one["result"] for one in self.builds(text).data["builds"]], results)

    def test_builds(self) -> None:
        line = "- j http://h/x : SUCCESS in 1s\n"
        for count, warnings in ((gerrit.MAX_BUILDS, 0), (gerrit.MAX_BUILDS + 1, 1)):
            result = self.builds(line * 1500, line * (count - 1500))
            self.assertEqual(len(result.data["builds"]), gerrit.MAX_BUILDS)
            self.assertEqual(len(result.warnings), warnings)

    def test_bytes_of_builds(self) -> None:
        one = len(
            json.dumps(self.builds("- j http://h/x : SUCCESS in 1s").data["builds"][0], separators=(",", ":"))
        )
        self.patch(gerrit, "MAX_BUILDS_BYTES", 3 * one)
        for count, warnings in ((3, 0), (4, 1)):
            result = self.builds("- j http://h/x : SUCCESS in 1s\n" * count)
            self.assertEqual((len(result.data["builds"]), len(result.warnings)), (3, warnings))


class ZuulTests(ParserCase):
    def read(self, answer: Any, kind: str) -> Any:
        return self.parse(zuul.parse, json.dumps(answer), kind=kind)

    def test_bytes_of_builds(self) -> None:
        (one,) = self.read([{"job_name": "j"}], "builds").data["builds"]
        self.patch(zuul, "MAX_BUILDS_BYTES", 3 * len(json.dumps(one, separators=(",", ":"))))
        for count, warnings in ((3, 0), (4, 1)):
            result = self.read([{"job_name": "j"}] * count, "builds")
            self.assertEqual((len(result.data["builds"]), len(result.warnings)), (3, warnings))

    def test_artifacts(self) -> None:
        one = {"url": "http://h/m", "metadata": {"type": "zuul_manifest"}}
        for before, url in ((zuul.MAX_ARTIFACTS - 1, "http://h/m"), (zuul.MAX_ARTIFACTS, None)):
            (build,) = self.read([{"job_name": "j", "artifacts": [*[{}] * before, one]}], "builds").data[
                "builds"
            ]
            self.assertEqual(build["manifest_url"], url)

    def test_tenants(self) -> None:
        for count in (zuul.MAX_TENANTS, zuul.MAX_TENANTS + 1):
            data = self.read([{"name": f"t{n}"} for n in range(count)], "tenants").data
            self.assertEqual(len(data["tenants"]), zuul.MAX_TENANTS)


class ValueTests(ParserCase):
    """How much may become of an answer's JSON, told before any of it is made."""

    def test_values(self) -> None:
        for parser, around, options in (
            (gerrit.parse, '{"_number":5,"messages":[%s]}', {}),
            (zuul.parse, "[%s]", {"kind": "builds"}),
            (manifest.parse, '{"tree":[%s]}', {"url": "http://h/"}),
            (listing.parse, '[{"name":"a"},%s]', {"url": "http://h/"}),
        ):
            text = around % ",".join(["{}"] * 10)
            self.patch(values, "MAX_BYTES", self.weight(text))
            self.parse(parser, text, **options)
            self.patch(values, "MAX_BYTES", self.weight(text) - 1)
            error = self.assertRaises(TooLargeError, self.parse, parser, text, **options)
            self.assertIn("more values than can be read", error.message)

    def weight(self, text: str) -> int:
        marks = text.count(",") + text.count(":")
        return 200 * text.count("{") + 88 * text.count("[") + 60 * marks

    def test_a_manifest_as_large_as_may_be(self) -> None:
        one = (
            b'{"name": "some-log.txt.gz", "mimetype": "text/plain", "encoding": null, "size": 12345,'
            b' "last_modified": 1600000000},'
        )
        values.check(b'{"tree": [' + one * ((32 << 20) // len(one)), "x")


class IndexTests(ParserCase):
    def read(self, page: str, **options: Any) -> Any:
        return self.parse(listing.parse, page, url="http://h/", **options)

    def names(self, page: str) -> list[str]:
        return [entry["name"] for entry in self.read(page).data["entries"]]

    def page(self, *hrefs: str) -> str:
        return "<h1>Index of /</h1><ul>" + "".join(f'<li><a href="{one}">x</a>' for one in hrefs) + "</ul>"

    def test_entries(self) -> None:
        self.patch(listing, "MAX_ENTRIES", 3)
        for count, warnings in ((3, 0), (4, 1)):
            result = self.read(self.page(*(f"f{n}" for n in range(count))))
            self.assertEqual((len(result.data["entries"]), len(result.warnings)), (3, warnings))

    def test_links(self) -> None:
        self.patch(listing, "MAX_LINKS", 3)
        self.assertEqual(self.names(self.page("/x/y", "/y/z", "a")), ["a"])
        self.assertEqual(self.names(self.page("/x/y", "/y/z", "/z/a", "a")), [])

    def test_name(self) -> None:
        most = "n" * wanted.MAX_NAME
        self.assertEqual(self.names(self.page(most, most + "n", "a")), [most, "a"])

    def test_segment(self) -> None:
        """Written with each byte as %XX."""
        most = "%6e" * wanted.MAX_NAME
        self.assertEqual(len(most), listing._MAX_SEGMENT)
        self.assertEqual(self.names(self.page(most, "a")), ["n" * wanted.MAX_NAME, "a"])
        self.assertEqual(self.names(self.page(most + "n", "a")), ["a"])

    def test_torn_array(self) -> None:
        self.patch(listing_data, "MAX_TORN", 3)
        for count in (3, 4):
            torn = "[" + "".join(f'{{"name":"f{n}"}},' for n in range(count))
            self.assertEqual(self.names(torn), ["f0", "f1", "f2"])


class WantedTests(ParserCase):
    def read(self, *names: str, **options: Any) -> Any:
        tree = [{"name": name, "mimetype": "text/plain"} for name in names]
        return self.parse(manifest.parse, json.dumps({"tree": tree}), url="http://h/", **options)

    def test_depth(self) -> None:
        fits = wanted.chooser(["*"])
        self.assertTrue(fits("d/" * wanted.MAX_DEPTH, "x"))
        self.assertFalse(fits("d/" * (wanted.MAX_DEPTH + 1), "x"))

    def test_told(self) -> None:
        for count, warnings in ((wanted.MAX_TOLD, 0), (wanted.MAX_TOLD + 1, 1)):
            result = self.read(*(str(n) for n in range(count)))
            self.assertEqual((len(result.data["files"]), len(result.warnings)), (wanted.MAX_TOLD, warnings))

    def test_told_bytes(self) -> None:
        self.patch(wanted, "_MAX_TOLD_BYTES", 3 * (3 * len("http://h/0") + 64))
        for count, warnings in ((3, 0), (4, 1)):
            result = self.read(*(str(n) for n in range(count)))
            self.assertEqual((len(result.data["files"]), len(result.warnings)), (3, warnings))
