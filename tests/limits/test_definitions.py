# SPDX-License-Identifier: Apache-2.0
"""The limits of Job Builder's YAML."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.parsers import jjb, jjb_yaml


class DefinitionTests(SynchronousTestCase):
    def index(self, *texts: str) -> jjb.Index:
        where = Path(self.mktemp())
        where.mkdir()
        for number, text in enumerate(texts):
            (where / f"{number:03}.yaml").write_text(text)
        return jjb.load(str(where))

    def known(self, text: str) -> set[str]:
        return set(self.index(text).jobs)

    def said(self, *texts: str) -> str:
        return " ".join(self.index(*texts).warnings)

    def test_files(self) -> None:
        self.patch(jjb, "MAX_FILES", 2)
        texts = [f"- job: {{name: j{n}}}" for n in range(3)]
        self.assertEqual(self.index(*texts[:2]).warnings, ())
        index = self.index(*texts)
        self.assertEqual(set(index.jobs), {"j0", "j1"})
        self.assertIn("first 2 files", index.warnings[0])

    def test_bytes(self) -> None:
        self.patch(jjb, "MAX_FILE_BYTES", 1 << 20)
        text = "- job: {name: j}\n"
        self.assertEqual(self.known(text.ljust(1 << 20, "#")), {"j"})
        self.assertIn("larger than 1 MiB", self.said(text.ljust((1 << 20) + 1, "#")))

    def test_name_of_a_job(self) -> None:
        index = self.index("- job-template: {name: 'x{a}'}")
        most = "x".ljust(jjb._MAX_JOB_NAME_CHARS, "y")
        self.assertIsNotNone(index.match(most))
        self.assertIsNone(index.match(most + "y"))

    def expand(self, count: int) -> jjb.Index:
        values = ", ".join(map(str, range(count)))
        return self.index(
            f"- job-template: {{name: 'j-{{a}}'}}\n- project: {{name: p, a: [{values}], jobs: ['j-{{a}}']}}\n"
        )

    def test_jobs(self) -> None:
        self.patch(jjb_yaml, "MAX_JOBS", 5)
        self.assertEqual(len(self.expand(5).jobs), 5)
        self.assertEqual(self.expand(6).jobs, {})

    def test_steps(self) -> None:
        """One for the template, one for each combination."""
        self.patch(jjb_yaml, "_MAX_STEPS", 7)
        index = self.expand(5)
        self.assertEqual((len(index.jobs), index.warnings), (5, ()))
        index = self.expand(7)
        self.assertEqual(len(index.jobs), 6)
        self.assertIn("not all are known", index.warnings[0])

    def scripts(self, count: int) -> int:
        steps = ", ".join(["{shell: x}"] * count)
        (found,) = self.index(f"- job: {{name: j, builders: [{steps}]}}").templates.values()
        return len(found)

    def test_scripts(self) -> None:
        self.patch(jjb_yaml, "MAX_SCRIPTS", 5)
        self.assertEqual((self.scripts(5), self.scripts(6)), (5, 5))

    def macros(self, depth: int) -> int:
        text = "- builder: {name: m0, builders: [{shell: x}]}\n" + "".join(
            f"- builder: {{name: m{n}, builders: [m{n - 1}]}}\n" for n in range(1, depth)
        )
        index = self.index(text + f"- job: {{name: j, builders: [m{depth - 1}]}}\n")
        return len(index.templates["j"])

    def test_macros_in_macros(self) -> None:
        self.assertEqual(self.macros(jjb_yaml._MAX_DEPTH), 1)
        self.assertEqual(self.macros(jjb_yaml._MAX_DEPTH + 1), 0)

    def test_macros_that_double(self) -> None:
        """Each is two of the one before: 2 to the power of 15 scripts, and no time for that."""
        text = "- builder: {name: m0, builders: [{shell: x}, {shell: y}]}\n" + "".join(
            f"- builder: {{name: m{n}, builders: [m{n - 1}, m{n - 1}]}}\n" for n in range(1, 15)
        )
        index = self.index(text + "- job: {name: j, builders: [m14]}\n")
        self.assertEqual(len(index.templates["j"]), jjb_yaml.MAX_SCRIPTS)

    def test_macros_of_each_other(self) -> None:
        text = "- builder: {name: a, builders: [b, {shell: x}]}\n- builder: {name: b, builders: [a]}\n"
        self.assertEqual(len(self.index(text + "- job: {name: j, builders: [a]}\n").templates["j"]), 1)

    def test_nesting(self) -> None:
        inner = jjb_yaml._MAX_NESTING - 2  # below the list and its mapping
        for depth, said in ((inner, False), (inner + 1, True)):
            text = "- x: " + "[" * depth + "]" * depth + "\n"
            self.assertEqual("nested too deeply" in self.said(text), said)

    def test_aliases(self) -> None:
        for more, said in ((0, False), (1, True)):
            text = "- &x 1\n" + "- *x\n" * (jjb_yaml._MAX_ALIASES + more)
            self.assertEqual("too much in one file" in self.said(text), said)

    def test_nodes(self) -> None:
        self.patch(jjb_yaml, "_MAX_NODES", 100)
        around = 6  # begin and end of the stream, the document and the list
        for more, said in ((0, False), (2, True)):
            text = "- 1\n" * (100 - around + more + 1)
            self.assertEqual("too much in one file" in self.said(text), said)

    def test_merged(self) -> None:
        for more, said in ((0, False), (1, True)):
            many = ", ".join(f"k{n}: 1" for n in range(100))
            base = f"- &a {{{many}}}\n"
            count = jjb_yaml._MAX_MERGED // 100
            merged = ", ".join(["*a"] * count)
            own = ", x: 1" * more
            self.assertEqual("'<<'" in self.said(f"{base}- {{<<: [{merged}]{own}}}\n"), said)

    def test_warnings(self) -> None:
        for count in (jjb_yaml._MAX_WARNINGS, jjb_yaml._MAX_WARNINGS + 1):
            self.assertEqual(len(self.index(*["- ["] * count).warnings), jjb_yaml._MAX_WARNINGS)

    def groups(self, depth: int) -> Any:
        text = "- job-template: {name: 'j-{a}'}\n- job-group: {name: g0, jobs: ['j-{a}']}\n" + "".join(
            f"- job-group: {{name: g{n}, jobs: [g{n - 1}]}}\n" for n in range(1, depth)
        )
        return self.index(text + f"- project: {{name: p, a: 1, jobs: [g{depth - 1}]}}\n")

    def test_groups_in_groups(self) -> None:
        self.assertEqual(set(self.groups(jjb_yaml._MAX_DEPTH).jobs), {"j-1"})
        over = self.groups(jjb_yaml._MAX_DEPTH + 1)
        self.assertEqual(over.jobs, {})
        self.assertIn("contains itself", over.warnings[0])
