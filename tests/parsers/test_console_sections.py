# SPDX-License-Identifier: Apache-2.0
"""parsers.console: scripts of Jenkins and Zuul 2.5, their names, how the build ended."""

from stackviz_deployer.parsers import console_outline, console_text
from tests.parsers.consoles import LABELS, SCRIPT, YAML, ConsoleCase, build, stamped


class SectionTests(ConsoleCase):
    def test_without_yaml(self) -> None:
        self.assertEqual(self.names(build(2)), ["setup", "script 1", "script 2", "scp"])

    def test_names_and_remaining(self) -> None:
        for ran in range(1, 7):
            result = self.parse(
                stamped(build(ran)), jjb_yaml_path=str(YAML), jjb_cache_dir=str(self.directory / "c")
            )
            data = self.read(result)
            self.assertEqual([s["name"] for s in data["scripts"]], ["setup", *LABELS[:ran], "scp"])
            self.assertEqual(data["remaining"], LABELS[ran:])
            self.assertEqual(result.artifacts[0].meta["template"], "gate-{name}-tox-{envlist}")

    def test_printed_template_wins(self) -> None:
        lines = build(2)
        lines.insert(3, "JJB template: gate-{name}-{envlist}")
        lines.insert(3, "+ echo JJB template: {name}-round")
        names = self.names(lines, jjb_yaml_path=str(YAML))
        self.assertEqual(names, ["setup", "checkout (1/2)", "checkout (2/2)", "scp"])

    def test_given_job_name(self) -> None:
        lines = [line.replace("gate-nova-tox-py27", "workspace") for line in build(1)]
        self.assertEqual(self.names(lines, jjb_yaml_path=str(YAML))[1], "script 1")
        self.assertEqual(
            self.names(lines, jjb_yaml_path=str(YAML), job_name="gate-nova-tox-py27")[1], LABELS[0]
        )

    def test_job_name_that_is_not_known(self) -> None:
        self.assertEqual(self.names(build(1), jjb_yaml_path=str(YAML), job_name="renamed")[1], LABELS[0])

    def test_more_scripts_than_the_template(self) -> None:
        lines = [*build(6, ()), SCRIPT.format("/bin/sh -xe", 9), "Finished: SUCCESS"]
        result = self.parse(stamped(lines), jjb_yaml_path=str(YAML))
        data = self.read(result)
        self.assertEqual(data["scripts"][-2]["name"], "script 7")
        self.assertEqual(data["remaining"], [])
        self.assertIn("do not fit", result.warnings[-1])

    def test_missing_yaml_is_a_warning(self) -> None:
        result = self.parse(stamped(build(1)), jjb_yaml_path="/nonexistent/jobs")
        self.assertIn("jobs: Job Builder's YAML", result.warnings[0])
        self.assertNotIn("/nonexistent", result.warnings[0])  # the server's paths are nobody's business
        self.assertEqual(self.read(result)["scripts"][1]["name"], "script 1")

    def test_what_jenkins_calls_the_job(self) -> None:
        for lines, job in (
            (build(1), "gate-nova-tox-py27"),
            (["Building remotely on n1 in workspace /home/jenkins/workspace/gate-x@2"], "gate-x"),
            (["[Zuul] Building remotely on n1 in workspace /home/jenkins/workspace/gate-x"], "gate-x"),
            (["nothing in workspace /home/jenkins/workspace/gate-x"], None),
        ):
            self.assertEqual(self.parse(stamped(lines)).artifacts[0].meta["job"], job)

    def test_statuses(self) -> None:
        for status in ("SUCCESS", "FAILURE", "UNSTABLE", "ABORTED", "NOT_BUILT"):
            self.assertEqual(
                self.read(self.parse(stamped(build(1, (f"Finished: {status}",)))))["status"], status
            )
        data = self.read(self.parse(stamped(build(2, ())), jjb_yaml_path=str(YAML)))
        self.assertIsNone(data["status"])
        self.assertEqual(data["remaining"], [])  # nobody knows
        self.assertEqual(data["scripts"][-1]["name"], LABELS[1])

    def test_finished_is_the_last_section(self) -> None:
        """StackViz takes the section before the last for the last script."""
        self.assertEqual(self.names(build(1, ("Finished: FAILURE",))), ["setup", "script 1", "scp"])

    def test_printed_by_a_script(self) -> None:
        """Text that looks like structure."""
        lines = build(3)
        lines.insert(4, "Finished: SUCCESS")
        lines.insert(5, "and on")
        lines[-1] = "Finished: FAILURE"
        data = self.read(self.parse(stamped(lines)))
        self.assertEqual(
            [s["name"] for s in data["scripts"]], ["setup", "script 1", "script 2", "script 3", "scp"]
        )
        self.assertEqual(len(data["scripts"][1]["lines"]), 4)
        self.assertEqual(data["status"], "FAILURE")
        lines = build(1, ("Finished: SUCCESS", "[SCP] Connecting", "Finished: UNSTABLE"))
        data = self.read(self.parse(stamped(lines)))
        self.assertEqual([len(s["lines"]) for s in data["scripts"]], [2, 3, 2])
        self.assertEqual(data["status"], "UNSTABLE")
        for line in (
            "echo [x] $ /bin/sh /tmp/hudson1.sh",
            "[x]$ y",
            "[] $ y",
            "Finished: well",
            " Finished: SUCCESS",
            "x [SCP] y",
        ):
            self.assertEqual(self.names([*build(1, ()), line]), ["setup", "script 1"], line)

    def test_job_names(self) -> None:
        """Digits, dots and blanks."""
        for job in ("gate-nova-python27-ubuntu.xenial_x", "my job", "42"):
            self.assertEqual(self.names([f"[{job}] $ /bin/bash -xe /tmp/hudson1.sh", "x"]), ["script 1"])

    def test_other_commands(self) -> None:
        lines = build(2)
        lines.insert(4, "[workspace] $ mvn -B install")
        self.assertEqual(self.names(lines), ["setup", "script 1", "$ mvn", "script 2", "scp"])

    def test_post_build_scripts(self) -> None:
        end = ("[SCP] Connecting", "[x] $ /bin/sh -xe /tmp/hudson77.sh", "+ clean", "Finished: SUCCESS")
        data = self.read(self.parse(stamped(build(1, end)), jjb_yaml_path=str(YAML)))
        names = [s["name"] for s in data["scripts"]]
        self.assertEqual(names, ["setup", LABELS[0], "scp", "post-build script", "scp"])
        self.assertEqual(data["remaining"], LABELS[1:])

    def test_no_setup(self) -> None:
        self.assertEqual(self.names(build(1)[2:]), ["script 1", "scp"])

    def test_number_of_sections(self) -> None:
        self.patch(console_outline, "MAX_SECTIONS", 4)
        result = self.parse(stamped(build(3)))
        self.assertEqual(result.warnings, ())
        result = self.parse(stamped(build(6)))
        self.assertEqual(
            [s["name"] for s in self.read(result)["scripts"]],
            ["setup", "script 1", "script 2", "script 3", "scp"],
        )
        self.assertIn("beyond 4 sections", result.warnings[0])

    def test_zuul_2_5(self) -> None:
        lines = [
            "[Zuul] Launched by zl01",
            "[Zuul] Building remotely on node in workspace /home/jenkins/workspace/gate-nova-tox-py27",
            "JJB template: gate-{name}-tox-{envlist}",
            "[Zuul] Task exit code: 0",
            "+ git clone",
            "Finished: nonsense",
            "[Zuul] Task exit code: 1",
            "[Zuul] Job complete, result: FAILURE",
        ]
        for text in (stamped(lines, 6), f"<html><body><pre>{stamped(lines, 6)}</pre></body></html>"):
            data = self.read(self.parse(text, jjb_yaml_path=str(YAML)))
            self.assertEqual(
                [(s["name"], len(s["lines"])) for s in data["scripts"]],
                [("setup", 2), (LABELS[0], 2), (LABELS[1], 3), ("scp", 1)],
            )
            self.assertEqual((data["status"], data["remaining"]), ("FAILURE", LABELS[2:]))

    def test_zuul_2_5_timeout(self) -> None:
        lines = ["[Zuul] Launched by zl01", "+ sleep", "[Zuul] Job timed out, result: FAILURE"]
        data = self.read(self.parse(stamped(lines, 6)))
        self.assertEqual(
            [(s["name"], len(s["lines"])) for s in data["scripts"]],
            [("setup", 1), ("script 1", 1), ("scp", 1)],
        )
        self.assertEqual(data["status"], "FAILURE")

    def test_marks_at_borders_of_chunks(self) -> None:
        """Sections do not depend on where the decoder cuts."""
        task = ["+ run", "[Zuul] Task exit code: 0"]
        zuul = ["[Zuul] Launched by x", *task, *task, "[Zuul] Job complete, result: SUCCESS"]
        for lines in (build(4), zuul):
            data = stamped(lines).encode()
            expected = self.outline([data])
            for size in (5, 60, 100, 150):
                # a chunk is at least one line, and the first decides which era it is
                head = data[:600]
                rest = data[600:]
                chunks = [head, *(rest[i : i + size] for i in range(0, len(rest), size))]
                self.assertEqual(self.outline(chunks), expected)

    def outline(self, chunks: list[bytes]) -> list[tuple[str, int, int]]:
        outline = console_outline.Outline()
        for lines in console_text.read_lines(chunks, name="x"):
            for section, start, end in outline.cut(lines, lines.split()[1]):
                section.count += end - start
        outline.close()
        return [(s.kind.value, s.first, s.count) for s in outline.sections]
