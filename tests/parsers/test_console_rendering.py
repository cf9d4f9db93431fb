# SPDX-License-Identifier: Apache-2.0
"""parsers.console: each rendering of a console gives the same text."""

import gzip
import html
import re

from twisted.trial.unittest import SkipTest

from stackviz_deployer.errors import ParseError
from stackviz_deployer.parsers import console_text
from tests.parsers.consoles import (
    FIXTURES,
    SHARED,
    ConsoleCase,
    levels_of,
    stamped,
)


class RenderingTests(ConsoleCase):
    LINES = ("+ echo '<b> & \"q\" \\ \t' > x", "é—日本", "see https://x/y?a=1&b=2 !", "1: lo: <UP>  ", "")

    def jenkins(self) -> str:
        """As Jenkins writes it: ``<`` and ``&`` escaped, links."""
        body = stamped(list(self.LINES)).replace("&", "&amp;").replace("<", "&lt;")
        body = re.sub(r"https://[^ ]+", r"<a href='\g<0>' class='model-link'>\g<0></a>", body)
        return f"<pre>\n{body}</pre>\n"

    def loganalyze(self) -> str:
        """As os-loganalyze makes a page of it."""
        out = []
        for line in self.jenkins().split("\n")[1:-2]:
            date, text = line[:23], line[23:]
            a = re.sub(r"\D", "_", date)
            out.append(
                f"<span class='NONE _{a}'><a name='_{a}' class='date' href='#_{a}'>{date}</a>{text}\n</span>"
            )
        script = "<script>\nif (a < b && c) { x('</p>') }\n</script>\n"
        head = f"<html>\n<head>\n<style>\na {{color: #000}}\n</style>{script}</head>\n<body>\n\n<pre>"
        return f"{head}{''.join(out)}</pre>\n{script}</body></html>\n"

    def test_same_text_from_each(self) -> None:
        expected = list(self.LINES)
        self.assertEqual(self.texts(self.jenkins()), expected)
        self.assertEqual(self.texts(self.loganalyze()), expected)
        self.assertEqual(self.texts(stamped(expected)), expected)
        self.assertEqual(self.texts(gzip.compress(self.jenkins().encode())), expected)
        self.assertEqual(self.texts("\ufeff" + self.jenkins()), expected)

    def test_plain_text_is_not_unescaped(self) -> None:
        self.assertEqual(self.texts(stamped(["&lt;a> <b>x</b> &amp;amp;"])), ["&lt;a> <b>x</b> &amp;amp;"])

    def test_entities(self) -> None:
        text = "&amp;lt; &gt;&quot;&#39;&#x41; &eacute; &nosuch; & &#0;&#xD800; &#10; &amp;amp;"
        expected = "&lt; >\"'A é &nosuch; & \ufffd\ufffd   &amp;"
        self.assertEqual(self.texts("<pre>\n" + stamped([text])), [expected])

    def test_os_loganalyze_recordings(self) -> None:
        as_html = self.read(
            self.parse((FIXTURES / "console-jenkins-2013-excerpt.osloganalyze-html.html").read_bytes())
        )
        as_text = self.read(
            self.parse((FIXTURES / "console-jenkins-2013-excerpt.osloganalyze-text.txt").read_bytes())
        )
        self.assertEqual(as_html, as_text)
        self.assertEqual(as_text["status"], "FAILURE")
        self.assertEqual(
            [(s["name"], len(s["lines"])) for s in as_text["scripts"]],
            [("setup", 3), ("script 1", 4), ("script 2", 48), ("scp", 20)],
        )

    def test_public_console(self) -> None:
        """Each line of a real one, against the slow and obvious way to read it."""
        path = (
            SHARED
            / "data"
            / "public"
            / "jenkins"
            / "os-loganalyze__os_loganalyze_tests_samples_console.html.gz"
        )
        if not path.exists():
            raise SkipTest(f"no public data in {path}")
        data = self.read(self.parse(path.read_bytes()))
        expected = []
        for line in gzip.decompress(path.read_bytes()).decode("utf-8", "replace").split("\n")[1:-2]:
            clean = html.unescape(re.sub(r"<[^>]*>", "", line.rstrip("\r"))).replace("\r", "␍")
            clean = re.sub("[\x00-\x08\x0b-\x1f\x7f]", "", re.sub("\x1b\\[[0-9;]*m", "", clean))
            date, _, text = clean.partition(" | ")
            expected.append({"date": date, "line": text})
        found = [line for script in data["scripts"] for line in script["lines"]]
        self.assertEqual(len(found), 21371)
        self.assertEqual(levels_of(found), {"WARNING": 366, "ERROR": 21})
        for line in found:
            line.pop("level", None)
        self.assertEqual([pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]], [])
        self.assertEqual(data["status"], "FAILURE")
        self.assertEqual([s["name"] for s in data["scripts"]], ["setup", "script 1", "script 2", "scp"])

    def test_other_samples(self) -> None:
        samples = SHARED / "formats" / "samples" / "console"
        if not samples.is_dir():
            raise SkipTest(f"no samples in {samples}")
        raw = self.read(self.parse((samples / "console-jenkins-2013-excerpt.raw.html").read_bytes()))
        text = self.read(
            self.parse((FIXTURES / "console-jenkins-2013-excerpt.osloganalyze-text.txt").read_bytes())
        )
        self.assertEqual(raw, text)
        zuul = self.read(self.parse((samples / "zuul-jobs-fixture-job-output.txt").read_bytes()))
        self.assertEqual((len(zuul["scripts"]), zuul["status"]), (11, None))
        self.assertEqual(zuul["scripts"][-1]["lines"][-1]["date"], "")  # not all lines have one

    def test_page_without_console(self) -> None:
        for page in ("<!DOCTYPE html><html><h1>404</h1>", "<html>" + "x" * 3_000_000):
            error = self.assertRaises(ParseError, self.parse, page, "logs/console.html")
            self.assertIn("logs/console.html", error.message)

    def test_end_of_pre_over_chunks(self) -> None:
        """Wherever the decoder's chunks are cut."""
        page = self.loganalyze().encode()
        whole = [lines.text for lines in console_text.read_lines([page], name="x")]
        for size in (1, 2, 3, 7, 100, 1000):
            chunks = [page[i : i + size] for i in range(0, len(page), size)]
            parts = [lines.text for lines in console_text.read_lines(chunks, name="x")]
            self.assertEqual(b"".join(parts), b"".join(whole))
