# SPDX-License-Identifier: Apache-2.0
"""parsers.console: tasks of a job-output.txt, how the build ended."""

import gzip
import re
from pathlib import Path
from typing import Any

import orjson

from stackviz_deployer.parsers import console_text, console_zuul
from tests.parsers.consoles import (
    SCRIPT,
    SETUP,
    ZUUL,
    ConsoleCase,
    stamped,
)


def zuul(*lines: str) -> str:
    """Lines of a job-output.txt; a banner gets its blank line."""
    banner = re.compile(r"(?:PLAY|TASK|LOOP|RUNNING HANDLER) \[|PLAY RECAP")
    out: list[str] = []
    for line in lines:
        out += ["", line] if banner.match(line) else [line]
    return stamped(out, 6)


class ZuulTests(ConsoleCase):
    PATH = "opendev.org/openstack/tempest/playbooks"
    GOOD = "host | ok: 3 changed: 1 unreachable: 0 failed: 0 skipped: 0 rescued: 0 ignored: 1"
    BAD = "host | ok: 3 changed: 1 unreachable: 0 failed: 1"
    AWAY = "host | ok: 3 changed: 1 unreachable: 1 failed: 0"

    def playbook(
        self, phase: str, *lines: str, result: str = "NORMAL", recap: str | None = None
    ) -> list[str]:
        where = f"[untrusted : {self.PATH}/{phase.lower()}.yaml@master]"
        end = ["PLAY RECAP", recap or self.GOOD, ""] if recap != "" else []
        return [f"{phase} START: {where}", *lines, *end, f"{phase} END RESULT_{result}: {where}"]

    def sections(self, data: str | bytes, **options: Any) -> list[tuple[str, int]]:
        document = self.read(self.parse(data, "job-output.txt", **options))
        return [(script["name"], len(script["lines"])) for script in document["scripts"]]

    def status(self, *lines: str) -> Any:
        return self.read(self.parse(zuul("Job console starting", *lines)))["status"]

    def test_whole_build(self) -> None:
        data = (ZUUL / "job-output.assembled.txt").read_bytes()
        for name in ("job-output.txt", "upload.log"):  # by its text, too
            document = self.read(self.parse(data, name))
            run = "run: playbooks/devstack-tempest.yaml"
            self.assertEqual(
                [(script["name"], len(script["lines"])) for script in document["scripts"]],
                [
                    ("setup", 8),
                    ("pre: playbooks/base/pre.yaml", 4),
                    ("pre: playbooks/base/pre.yaml | emit-job-header : Print job information", 8),
                    ("pre: playbooks/base/pre.yaml | PLAY RECAP", 4),
                    (run, 4),
                    (f"{run} | Show a message", 4),
                    (f"{run} | Run a shell command", 12),
                    (f"{run} | Run tempest on loop", 16),
                    (f"{run} | Skipped task", 4),
                    (f"{run} | Ignored failure", 20),
                    (f"{run} | Multi line debug", 6),
                    (f"{run} | A task in a block", 18),
                    (f"{run} | Recover", 4),
                    (f"{run} | Real failure", 13),
                    (f"{run} | PLAY RECAP", 5),
                    ("post: playbooks/post.yaml", 2),
                    ("post: playbooks/base/post-logs.yaml", 1),
                ],
            )
            self.assertEqual(document["status"], "FAILURE")

    def test_recordings(self) -> None:
        for name, status in (
            ("job-output.txt.gz", "FAILURE"),
            ("job-output.real-callback-run-phase.txt", "FAILURE"),
        ):
            data = (ZUUL / name).read_bytes()
            document = self.read(self.parse(data, name))
            text = (gzip.decompress(data) if name.endswith("gz") else data).decode()
            lines = [line["line"] for script in document["scripts"] for line in script["lines"]]
            self.assertEqual(len(lines), len(text.splitlines()))
            self.assertEqual(document["status"], status)
            titles = {script["name"] for script in document["scripts"]}
            for banner in re.findall(r"\| (?:TASK|LOOP) \[(.*)\]$", text, re.MULTILINE):
                self.assertIn(banner, titles)

    def test_nested_ansible(self) -> None:
        """Behind a machine's name, with asterisks, or without the blank line that Zuul writes."""
        nested = ["PLAY [x]", "TASK [y]", "PLAY RECAP", "host | ok: 1 changed: 0 unreachable: 0 failed: 3"]
        lines = self.playbook(
            "RUN", "PLAY [all]", "TASK [nest]", *(f"node | {line}" for line in nested),
            "debugged:", "", "TASK [y] *******", "said", *(f" {line}" for line in nested[:2]),
            "node | RUN START: [trusted : a/b@c]", "node | RUN END RESULT_TIMED_OUT: [trusted : a/b@c]",
        )  # fmt: skip
        text = zuul("Job console starting", *lines, *self.playbook("POST-RUN"))
        text = text.replace("| said\n", "| said\n2016-06-01 12:30:00.000001 | TASK [no blank]\n")
        document = self.read(self.parse(text))
        run = "run: playbooks/run.yaml"
        self.assertEqual(
            [script["name"] for script in document["scripts"]],
            ["setup", run, f"{run} | nest", f"{run} | PLAY RECAP", "post: playbooks/post-run.yaml",
             "post: playbooks/post-run.yaml | PLAY RECAP"],
        )  # fmt: skip
        self.assertEqual(document["status"], "SUCCESS")

    def test_statuses(self) -> None:
        post = self.playbook("POST-RUN", "PLAY [all]", "TASK [logs]")[:-1]
        run = self.playbook("RUN", "PLAY [all]", "TASK [work]")
        self.assertEqual(self.status(*self.playbook("PRE-RUN"), *run, *post), "SUCCESS")
        self.assertIsNone(self.status(*run))  # another playbook may have followed
        self.assertIsNone(self.status(*run[:-3], *post))  # torn
        self.assertIsNone(self.status(*self.playbook("RUN", recap=""), *post))  # nobody knows
        self.assertEqual(self.status(*self.playbook("RUN", recap=self.BAD), *post), "FAILURE")
        self.assertEqual(self.status(*self.playbook("RUN", recap=self.AWAY), *post), "FAILURE")
        self.assertEqual(self.status(*self.playbook("PRE-RUN", recap=self.BAD), *post), "FAILURE")
        self.assertEqual(self.status(*self.playbook("RUN", result="TIMED_OUT", recap=""), *post), "TIMED_OUT")
        self.assertEqual(self.status(*self.playbook("RUN", result="UNREACHABLE", recap=""), *post), "FAILURE")
        self.assertEqual(self.status(*self.playbook("RUN", result="DISK_FULL", recap=""), *post), "DISK_FULL")
        bad_post = self.playbook("POST-RUN", recap=self.BAD)
        self.assertEqual(self.status(*run, *bad_post, *post), "POST_FAILURE")
        self.assertEqual(self.status(*self.playbook("RUN", recap=self.BAD), *bad_post), "FAILURE")
        cleanup = self.playbook("CLEANUP-RUN", recap=self.BAD)
        self.assertEqual(self.status(*run, *post, *cleanup), "SUCCESS")

    def test_second_play_and_handlers(self) -> None:
        lines = self.playbook("RUN", "PLAY [one]", "TASK [a]", "PLAY [two]", 'RUNNING HANDLER [b "c" \\ é]')
        names = [name for name, _ in self.sections(zuul(*lines))]
        run = "run: playbooks/run.yaml"
        self.assertEqual(
            names,
            [run, f"{run} | a", f"{run} | PLAY two", f'{run} | b "c" \\ é', f"{run} | PLAY RECAP"],
        )

    def test_number_of_sections(self) -> None:
        self.patch(console_zuul, "MAX_SECTIONS", 4)
        lines = self.playbook("PRE-RUN", "TASK [a]", "TASK [b]"), self.playbook("RUN", "TASK [c]")
        result = self.parse(zuul(*lines[0], *lines[1]), "job-output.txt")
        self.assertEqual(
            [script["name"] for script in self.read(result)["scripts"]],
            [f"pre: playbooks/pre-run.yaml{end}" for end in ("", " | a", " | b", " | PLAY RECAP")]
            + ["run: playbooks/run.yaml"],
        )
        self.assertIn("all tasks beyond 4", result.warnings[0])
        self.patch(console_zuul, "MAX_PLAYBOOKS", 1)
        self.assertEqual(len(self.sections(zuul(*lines[0], *lines[1]))), 4)

    def test_times_of_other_machines(self) -> None:
        """A section does not end before it begins."""
        text = "2026-11-22 10:00:09.5 | \n2026-11-22 10:00:09.5 | TASK [a]\n2026-11-22 10:00:01 | n | x\n"
        result = self.parse(text, "job-output.txt")
        self.read(result)
        path = result.artifacts[0].blocks_path
        assert path is not None
        last = orjson.loads(gzip.decompress(Path(path).read_bytes()))["sections"][-1]
        self.assertEqual(
            (last["name"], last["start_ms"], last["end_ms"]), ("a", 1795341609500, 1795341609500)
        )

    def test_short_playbook(self) -> None:
        for path, short in (
            ("opendev.org/opendev/base-jobs/playbooks/base/pre.yaml", "playbooks/base/pre.yaml"),
            ("playbooks/x.yaml", "playbooks/x.yaml"),
            ("git.example/a/b/tests/run.yaml", "tests/run.yaml"),
            ("run.yaml", "run.yaml"),
        ):
            self.assertEqual(console_zuul.short_playbook(path), short)

    def test_chunks_make_no_difference(self) -> None:
        data = (ZUUL / "job-output.assembled.txt").read_bytes()
        whole = self.outline([data])
        self.assertEqual(whole[1:], ("FAILURE", "tempest-full-py3"))
        for size in (1, 30, 200, 1000):
            chunks = [data[:600], *(data[i : i + size] for i in range(600, len(data), size))]
            self.assertEqual(self.outline(chunks), whole)

    def test_the_job_is_named_by_the_builds_head_alone(self) -> None:
        """What a machine prints stands behind its name; what a task prints, behind something else."""
        lines = ["PRE-RUN START: [trusted : a/playbooks/x.yaml@master]", "", "TASK [x]"]
        stamped = [
            f"2026-11-22 09:42:24.100116 | {line}"
            for line in [*lines, "Job: not-this", "node | Job: nor-this"]
        ]
        self.assertIsNone(self.outline(["\n".join(stamped).encode()])[2])

    def outline(self, chunks: list[bytes]) -> Any:
        outline = console_zuul.ZuulOutline()
        for lines in console_text.read_lines(chunks, name="x"):
            for section, start, end in outline.cut(lines, lines.split()[1]):
                section.count += end - start
        outline.close()
        return [(s.title, s.first, s.count) for s in outline.sections], outline.status, outline.job

    def test_jenkins_running_ansible_is_jenkins(self) -> None:
        lines = [
            *SETUP,
            SCRIPT.format("/bin/sh -xe", 1),
            "",
            "PLAY [all]",
            "",
            "TASK [x]",
            "Finished: SUCCESS",
        ]
        self.assertEqual(self.names(lines), ["setup", "script 1", "scp"])
