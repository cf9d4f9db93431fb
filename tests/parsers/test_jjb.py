# SPDX-License-Identifier: Apache-2.0
"""parsers.jjb: expansion, choice of the template, the shared index, and hostile files."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from stackviz_deployer.model import ParseRequest
from stackviz_deployer.parsers import jjb, jjb_yaml

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "jjb"
PUBLIC = ROOT.parent / "shared" / "data" / "public" / "jjb"


def labels(index: jjb.Index, template: str) -> list[str | None]:
    return [label for label, _ in index.templates[template]]


class JJBCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.cache = self.directory / "cache"
        self.addCleanup(jjb._cache.clear)

    def copy(self) -> Path:
        where = self.directory / "jobs"
        shutil.copytree(FIXTURES, where)
        return where

    def index_of(self, *texts: str | bytes) -> jjb.Index:
        where = self.directory / "texts"
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir()
        for number, text in enumerate(texts):
            (where / f"{number}.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        jjb._cache.clear()
        return jjb.load(str(where))


class ExpansionTests(JJBCase):
    def setUp(self) -> None:
        super().setUp()
        self.index = jjb.load(str(FIXTURES))

    def test_no_warnings(self) -> None:
        self.assertEqual(self.index.warnings, ("The job-group loop contains itself.",))

    def test_labels(self) -> None:
        """A macro is as many scripts as it runs; what runs none has no label."""
        self.assertEqual(
            self.index.templates["gate-{name}-tox-{envlist}"],
            [
                ["print-template-name", "/bin/sh -xe"],
                ["prepare-and-checkout (1/3)", "/bin/bash -xe"],
                ["prepare-and-checkout (2/3)", "/bin/bash -x"],
                ["prepare-and-checkout (3/3)", None],  # a file that is not opened
                ["tox", "/bin/bash -xe"],
                ["shell", "/usr/bin/env bash"],
            ],
        )
        self.assertEqual(labels(self.index, "gate-{name}-{envlist}"), ["checkout (1/2)", "checkout (2/2)"])
        self.assertEqual(labels(self.index, "{pipeline}-dsvm-{name}{suffix}"), ["tox"])

    def test_cycle(self) -> None:
        self.assertEqual(labels(self.index, "{name}-round"), ["round", "shell"])

    def test_macro_named_by_a_parameter(self) -> None:
        index = self.index_of(
            "- job-template: {name: 'gate-{name}', builders: ['{name}-x', {shell: ls}]}\n"
            "- builder: {name: a-x, builders: [{shell: ls}, {shell: ls}]}\n"
            "- project: {name: a, jobs: ['gate-{name}']}\n"
            "- project: {name: b, jobs: ['gate-{name}']}\n"
        )
        for job, expected in (("gate-a", ("a-x (1/2)", "a-x (2/2)", "shell")), ("gate-b", ("shell",))):
            match = index.match(job)
            assert match is not None
            self.assertEqual((match.template, match.labels), ("gate-{name}", expected))

    def test_tags(self) -> None:
        self.assertEqual(self.index.templates["plain.job"], [])
        self.assertEqual(
            self.index.templates["merge-check"], [["print-template-name", "/bin/sh -xe"], ["shell", None]]
        )

    def test_jobs(self) -> None:
        """Lists in a name multiply, an entry's own parameters go with it, excluded ones are out."""
        self.assertEqual(
            self.index.jobs,
            {
                "plain.job": "plain.job",
                "merge-check": "merge-check",
                "gate-nova-tox-py27": "gate-{name}-tox-{envlist}",
                "gate-nova-tox-py34": "gate-{name}-tox-{envlist}",
                "nova-round": "{name}-round",
                "gate-dsvm-nova": "{pipeline}-dsvm-{name}{suffix}",
                "experimental-dsvm-nova-nv": "{pipeline}-dsvm-{name}{suffix}",
                "gate-os-client-tox-pep8": "gate-{name}-tox-{envlist}",
            },
        )

    def test_as_job_builder_does(self) -> None:
        """All 9,628 names that Job Builder makes of OpenStack's configuration, and no other."""
        if not PUBLIC.is_dir():
            raise SkipTest(f"no public data in {PUBLIC}")
        index = jjb.load(str(PUBLIC / "2016-06-01" / "jenkins" / "jobs"))
        expected = (PUBLIC / "2016-06-01.jobs.txt").read_text().split()
        self.assertEqual(len(expected), 9628)
        self.assertEqual(sorted(index.jobs), sorted(expected))
        self.assertEqual(index.warnings, ())
        match = index.match("gate-tempest-dsvm-full")
        assert match is not None
        self.assertEqual(match.template, "{pipeline}-tempest-dsvm-full{job-suffix}")
        self.assertEqual(match.labels[-1], "shell")
        # its only builder has a placeholder in its name, and no project uses it
        empty = [name for name in index.templates if not index.templates[name]]
        self.assertEqual(empty, ["gate-{name}-integrate-dsvm-rally"])


class MatchTests(JJBCase):
    def setUp(self) -> None:
        super().setUp()
        self.index = jjb.load(str(FIXTURES))

    def template(self, job: str | None, **how: object) -> str | None:
        match = self.index.match(job, **how)  # type: ignore[arg-type]
        return match and match.template

    def test_printed(self) -> None:
        self.assertEqual(self.template("x", printed="{name}-round"), "{name}-round")
        self.assertEqual(self.template("plain.job", printed="no such"), "plain.job")

    def test_real_name(self) -> None:
        self.assertEqual(self.template("gate-nova-tox-py27"), "gate-{name}-tox-{envlist}")
        self.assertEqual(self.template("plain.job"), "plain.job")

    def test_likeliest(self) -> None:
        """Fewest placeholders, then most text; the whole name, and literally."""
        self.assertEqual(self.template("gate-glance-tox-py35"), "gate-{name}-tox-{envlist}")
        self.assertEqual(self.template("gate-glance-py35"), "gate-{name}-{envlist}")
        self.assertEqual(self.template("check-dsvm-glance-x"), "{pipeline}-dsvm-{name}{suffix}")
        self.assertEqual(self.template("gate-glance-round"), "{name}-round")
        for other in ("plainxjob", "plain.job2", "gate", "", None, "gate-" + "a-" * 200):
            self.assertIsNone(self.template(other), other)

    def test_interpreters_decide(self) -> None:
        first = ["/bin/sh -xe", "/bin/bash -xe"]
        self.assertEqual(self.template("gate-a-tox-b", interpreters=first), "gate-{name}-tox-{envlist}")
        other = ["/bin/bash -xe", "/bin/bash -x"]
        self.assertEqual(self.template("gate-a-tox-b", interpreters=other), "gate-{name}-{envlist}")
        match = self.index.match("gate-a-tox-b", interpreters=["/bin/dash"])
        assert match is not None
        self.assertEqual((match.template, match.consistent), ("gate-{name}-tox-{envlist}", False))

    def test_more_scripts_than_known(self) -> None:
        match = self.index.match("nova-round", interpreters=[None] * 3)
        assert match is not None
        self.assertFalse(match.consistent)

    @settings(deadline=None)
    @given(st.lists(st.text("ab-", max_size=3), min_size=1, max_size=5), st.text("ab-", max_size=12))
    def test_fits_is_a_glob(self, literals: list[str], job: str) -> None:
        """The same answer as the regular expression whose time is not bounded."""
        import re

        expected = re.fullmatch(".*".join(map(re.escape, literals)), job) is not None
        self.assertEqual(jjb._fits(job, "{x}".join(literals)), expected)


class IndexTests(JJBCase):
    def test_reloaded_when_files_change(self) -> None:
        where = self.copy()
        before = jjb.load(str(where), str(self.cache))
        self.assertIs(jjb.load(str(where), str(self.cache)), before)
        (where / "jobs.yml").unlink()
        self.assertEqual(jjb.load(str(where), str(self.cache)).templates, {})
        (where / "new.yaml").write_text("- job: {name: new, builders: [shell: ls]}\n")
        after = jjb.load(str(where), str(self.cache))
        self.assertEqual(after.jobs, {"new": "new"})
        stat = (where / "new.yaml").stat()
        (where / "new.yaml").write_text("- job: {name: NEW, builders: [shell: ls]}\n")
        os.utime(where / "new.yaml", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
        self.assertEqual(jjb.load(str(where), str(self.cache)).jobs, {"NEW": "NEW"})
        self.assertLessEqual(len(list(self.cache.glob("*.json"))), 3)

    def test_shared_between_processes(self) -> None:
        """The second one reads no YAML."""
        where = self.copy()
        index = jjb.load(str(where), str(self.cache))
        code = (
            "import sys; from stackviz_deployer.parsers import jjb\n"
            f"index = jjb.load({str(where)!r}, {str(self.cache)!r})\n"
            "print(len(index.templates), len(index.jobs), len(index.warnings), 'yaml' in sys.modules)"
        )
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
        )
        self.assertEqual(out.stdout.split(), [str(len(index.templates)), str(len(index.jobs)), "1", "False"])

    def test_waits_for_who_makes_it(self) -> None:
        """While another process holds the lock, its index is awaited, not made again."""
        where = self.copy()
        self.cache.mkdir()
        code = (
            "from stackviz_deployer.parsers import jjb\n"
            f"index = jjb.load({str(where)!r}, {str(self.cache)!r})\n"
            "print(sorted(index.jobs))"
        )
        files = jjb._files(where)
        path = self.cache / f"jjb-{jjb._signature(files)}.json"
        with (self.cache / "jjb.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
            self.addCleanup(child.wait)
            waits = f"-> FLOCK  ADVISORY  WRITE {child.pid} "
            while waits not in Path("/proc/locks").read_text():
                self.assertIsNone(child.poll(), "it did not wait")
            jjb._store(jjb.Index({}, {"made by us": "x"}), path)
        out, _ = child.communicate(timeout=120)
        self.assertEqual(out.strip(), b"['made by us']")

    def test_broken_index_is_made_again(self) -> None:
        where = self.copy()
        first = jjb.load(str(where), str(self.cache))
        (index,) = self.cache.glob("jjb-*.json")
        for broken in (b"", b"{", b"[]", b'{"templates": {}}', b"null"):
            index.write_bytes(broken)
            jjb._cache.clear()
            self.assertEqual(jjb.load(str(where), str(self.cache)), first)

    def test_unusable_cache(self) -> None:
        """A file where the directory should be: the index is made all the same."""
        self.cache.write_text("")
        self.assertTrue(jjb.load(str(FIXTURES), str(self.cache)).jobs)

    def test_only_directly_inside(self) -> None:
        where = self.copy()
        (where / "include").mkdir()
        (where / "include" / "x.yaml").write_text("- job: {name: inner}\n")
        (where / "x.yaml.orig").write_text("- job: {name: backup}\n")
        (where / "dir.yaml").mkdir()
        index = jjb.load(str(where))
        self.assertFalse({"inner", "backup"} & set(index.jobs))
        self.assertEqual(len(index.warnings), 1)

    def test_one_file(self) -> None:
        self.assertIn("plain.job", jjb.load(str(FIXTURES / "jobs.yml")).jobs)

    def test_parse_warms(self) -> None:
        def request(path: str) -> ParseRequest:
            options = {"jjb_yaml_path": path, "jjb_cache_dir": str(self.cache)}
            return ParseRequest(
                parser="jjb", inputs=(), out_dir=str(self.directory), max_bytes=1, options=options
            )

        result = jjb.parse(request(str(FIXTURES)))
        self.assertEqual(result.data, {"templates": 6, "jobs": 8})
        self.assertEqual(len(list(self.cache.glob("jjb-*.json"))), 1)
        missing = jjb.parse(request(str(self.directory / "no such place")))
        self.assertEqual(missing.data, {"templates": 0, "jobs": 0})
        self.assertIn("no such place", missing.warnings[0])


class HostileTests(JJBCase):
    GOOD = "- job: {name: good, builders: [shell: ls]}\n"

    def test_broken_file_is_named(self) -> None:
        for bad in (
            "a: b: c",
            "- [",
            b"\xff\xfe\x00",
            bytes(range(256)),
            "- 2001-99-99",
            "- " + "9" * 5000,
            "- {[a]: b}",
            "--- a\n--- b\n",
            "- *unknown",
        ):
            index = self.index_of(bad, self.GOOD)
            self.assertEqual(index.jobs, {"good": "good"}, bad)
            self.assertIn("0.yaml", index.warnings[0])

    def test_strange_but_valid(self) -> None:
        for text in (
            "",
            "a",
            "- a",
            "- {job: 1}",
            "- {job: {name: [1]}}",
            "- {job: {}, 1: 2}",
            "- job: {name: j, builders: 7}",
            "- job: {name: j, builders: [7, [8], {}, {1: 2}, null]}",
            "- builder: {name: m, builders: {shell: ls}}\n- job: {name: j, builders: m}",
            "- project: {name: p, jobs: [1, [2], {3: 4}, {}]}",
            "- project: {name: p, jobs: p}",
            "- &a [*a]",
            "- job: &j {name: x, builders: *j}",
            "- project: {name: '{name}', jobs: ['{name}']}\n- job-template: {name: '{name}'}",
        ):
            index = self.index_of(text, self.GOOD)
            self.assertIn("good", index.jobs, text)
            self.assertEqual(index.warnings, (), text)

    def test_unreadable_file(self) -> None:
        where = self.copy()
        (where / "dangling.yaml").symlink_to("nowhere")
        self.assertIn("plain.job", jjb.load(str(where)).jobs)

    def test_nested_too_deeply(self) -> None:
        """libyaml's loader recurses in C, and would end the process."""
        for text in ("- " * 200_000 + "a", "? " * 100_000, "[" * 100_000, "{a: " * 100_000):
            index = self.index_of(text, self.GOOD)
            self.assertEqual(index.jobs, {"good": "good"})
            self.assertEqual(len(index.warnings), 1)
        shallow = "- x: " + "[" * 90 + "]" * 90 + "\n"
        self.assertEqual(self.index_of(shallow).warnings, ())

    def test_alias_bombs(self) -> None:
        laughs = "- a: &a0 [x, x]\n" + "".join(
            f"- a: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
        )
        spread = "- job-template: {name: 'j-{a}-{b}'}\n"
        spread += "- project: {name: p, a: *a29, b: *a29, exclude: [{a: *a29}], jobs: ['j-{a}-{b}']}\n"
        self.assertIn("good", self.index_of(laughs + spread + self.GOOD).jobs)
        merges = "- &m0 {" + ", ".join(f"k{n}: 1" for n in range(50)) + "}\n"
        merges += "".join(f"- &m{n}\n  <<: [{', '.join([f'*m{n - 1}'] * 9)}]\n" for n in range(1, 30))
        self.assertIn("'<<'", self.index_of(merges).warnings[0])
        many = "- &x 1\n" + "- *x\n" * 3000
        self.assertIn("0.yaml", self.index_of(many).warnings[0])

    def test_macro_bomb(self) -> None:
        macros = "- builder: {name: m0, builders: [{shell: a}, {shell: b}]}\n"
        macros += "".join(
            f"- builder: {{name: m{n}, builders: [{', '.join([f'm{n - 1}'] * 9)}]}}\n" for n in range(1, 40)
        )
        index = self.index_of(macros + "- job: {name: j, builders: [m15, m39]}\n")
        self.assertLessEqual(len(index.templates["j"]), jjb_yaml.MAX_SCRIPTS)

    def test_group_bomb(self) -> None:
        self.patch(jjb_yaml, "_MAX_STEPS", 5_000)
        groups = "- job-group: {name: g0, jobs: [nothing]}\n"
        groups += "".join(
            f"- job-group: {{name: g{n}, jobs: [{', '.join([f'g{n - 1}'] * 9)}]}}\n" for n in range(1, 15)
        )
        index = self.index_of(groups + "- project: {name: p, jobs: [g14]}\n" + self.GOOD)
        self.assertIn("good", index.jobs)
        self.assertIn("not all are known", index.warnings[-1])

    def test_product_bomb(self) -> None:
        values = "[" + ", ".join(map(str, range(100))) + "]"
        text = "- job-template: {name: '{a}-{b}-{c}-{d}'}\n"
        axes = ", ".join(f"{axis}: {values}" for axis in "abcd")
        text += f"- project: {{name: p, {axes}, jobs: ['{{a}}-{{b}}-{{c}}-{{d}}']}}\n"
        self.assertEqual(self.index_of(text).jobs, {})

    def test_bounds(self) -> None:
        self.patch(jjb, "MAX_FILE_BYTES", 100)
        index = self.index_of("#" * 101, self.GOOD)
        self.assertEqual(index.jobs, {"good": "good"})
        self.assertIn("0.yaml", index.warnings[0])
        self.patch(jjb, "MAX_FILES", 1)
        index = self.index_of("#" * 100, self.GOOD)
        self.assertEqual(index.jobs, {})
        self.assertIn("first 1 files", index.warnings[0])

    def test_warnings_are_bounded(self) -> None:
        self.assertLessEqual(len(self.index_of(*["- ["] * 60).warnings), 20)

    @settings(deadline=None)
    @given(st.sampled_from(["jobs.yml", "projects.yaml", "macros.yaml"]), st.data())
    def test_mutations(self, name: str, data: st.DataObject) -> None:
        text = bytearray((FIXTURES / name).read_bytes())
        for _ in range(data.draw(st.integers(1, 5))):
            at = data.draw(st.integers(0, len(text)))
            noise = st.binary(max_size=6) | st.sampled_from(
                [b"*a", b"&a ", b"!x ", b"<<: ", b"[", b"{", b"- ", b": "]
            )
            text[at : at + data.draw(st.integers(0, 10))] = data.draw(noise)
        others = [p.read_bytes() for p in FIXTURES.iterdir() if p.name != name]
        index = self.index_of(bytes(text), *others)
        index.match("gate-nova-tox-py27", interpreters=["/bin/sh -xe"])
