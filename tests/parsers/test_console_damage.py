# SPDX-License-Identifier: Apache-2.0
"""parsers.console: whatever the text is, what comes out has its shape."""

import html
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.model import InputFile, ParseRequest
from stackviz_deployer.parsers import console
from tests.parsers.consoles import FIXTURES, YAML, ZUUL, read, stamped


class MutationTests(SynchronousTestCase):
    def run_parse(self, data: bytes) -> Any:
        directory = Path(tempfile.mkdtemp())
        try:
            path = directory / "input"
            path.write_bytes(data)
            request = ParseRequest(
                parser="console",
                inputs=(InputFile(path=str(path), name="f"),),
                out_dir=str(directory),
                max_bytes=1 << 20,
                options={"jjb_yaml_path": str(YAML)},
            )
            try:
                result = console.parse(request)
            except (ParseError, TooLargeError):
                return None
            return read(self, result) if result.artifacts else None
        finally:
            shutil.rmtree(directory)

    @settings(deadline=None)
    @given(st.sampled_from(["html.html", "text.txt"]), st.data())
    def test_mutations(self, name: str, data: st.DataObject) -> None:
        text = bytearray((FIXTURES / f"console-jenkins-2013-excerpt.osloganalyze-{name}").read_bytes())
        pieces = [
            b"\n",
            b"<",
            b"</pre>",
            b"&#",
            b'"',
            b"\\",
            b"\n[x] $ y\n",
            b"\nFinished: A\n",
            b"[Zuul] ",
            b"\r",
            b" | ",
            b"\x1b[",
        ]
        for _ in range(data.draw(st.integers(1, 6))):
            at = data.draw(st.integers(0, len(text)))
            end = at + data.draw(st.integers(0, 60))
            text[at:end] = data.draw(st.binary(max_size=30) | st.sampled_from(pieces))
        self.run_parse(bytes(text))

    @settings(deadline=None)
    @given(st.data())
    def test_mutated_job_output(self, data: st.DataObject) -> None:
        text = bytearray((ZUUL / "job-output.assembled.txt").read_bytes())
        pieces = (
            b"\n",
            b" | \n",
            b"TASK [",
            b"PLAY RECAP",
            b"RUN START: [",
            b"RUN END RESULT_",
            b"] ",
            b"\\",
            b'"',
            b"ERROR",
        )
        first = len(text)
        for _ in range(data.draw(st.integers(1, 6))):
            at = data.draw(st.integers(0, len(text)))
            first = min(first, at)
            end = at + data.draw(st.integers(0, 60))
            text[at:end] = data.draw(st.binary(max_size=30) | st.sampled_from(pieces))
        whole = self.run_parse((ZUUL / "job-output.assembled.txt").read_bytes())
        damaged = self.run_parse(bytes(text))
        before = text[:first].count(b"\n") - 1
        if before > 0 and damaged is not None:
            lines = [
                [line for script in found["scripts"] for line in script["lines"]]
                for found in (whole, damaged)
            ]
            self.assertEqual(lines[1][:before], lines[0][:before])

    @settings(deadline=None)
    @given(st.integers(0, 8000), st.binary(min_size=1, max_size=200))
    def test_lines_before_the_damage_stay(self, at: int, noise: bytes) -> None:
        text = (FIXTURES / "console-jenkins-2013-excerpt.osloganalyze-text.txt").read_bytes()
        at = max(at, 10)
        before = text[:at].count(b"\n") - 1
        whole = self.run_parse(text)
        damaged = self.run_parse(text[:at] + noise + text[at + len(noise) :])

        def flat(data: Any) -> list[Any]:
            return [line for script in data["scripts"] for line in script["lines"]][:before]

        if before > 0:
            self.assertEqual(flat(damaged), flat(whole))

    @settings(deadline=None)
    @given(
        st.lists(
            st.text(st.characters(exclude_characters="\n\r", exclude_categories=("Cc", "Cs")), max_size=40),
            min_size=1,
        )
    )
    def test_text_survives(self, lines: list[str]) -> None:
        """What was printed is what is shown, plain and marked up."""
        for data in (stamped(lines), f"<pre>\n{html.escape(stamped(lines))}</pre>\n"):
            document = self.run_parse(data.encode())
            self.assertEqual([line["line"] for s in document["scripts"] for line in s["lines"]], lines)

    @settings(deadline=None)
    @given(st.binary(max_size=400))
    def test_noise(self, noise: bytes) -> None:
        self.run_parse(noise)
        self.run_parse(b"<pre>\n" + noise)
        self.run_parse(b"<html><pre>" + noise)
