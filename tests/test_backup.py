# SPDX-License-Identifier: Apache-2.0
"""Backup of a live state directory, as docs/operations.rst writes it, and the start on an older one."""

import os
import re
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.daemon import Daemon

DOCS = Path(__file__).resolve().parent.parent / "docs" / "operations.rst"
OLDER = Path(__file__).resolve().parent / "fixtures" / "state-form1.tar.xz"


def commands(what: str) -> str:
    """The documented ones, but for what only systemd does."""
    found = re.search(rf"\.\. the {what}\n\n::\n\n((?:    .*\n|\n)+)", DOCS.read_text(encoding="utf-8"))
    assert found is not None
    return "".join(line for line in found[1].splitlines(keepends=True) if "systemctl" not in line)


class BackupTests(TestCase):
    timeout = 120

    def test_copy_of_a_live_directory_has_every_finished_task_whole(self) -> None:
        base = Path(self.mktemp()).absolute()
        daemon = Daemon(base / "live", {"zuuls": []})
        self.addCleanup(daemon.stop)
        daemon.start()
        tasks = [daemon.scrape("sample", force=True) for _ in range(2)]
        daemon.post(
            "/api/scrape", {**daemon.post("/api/list", {"q": "sample"})[1]["results"][0], "force": True}
        )
        # while that one is being worked on
        copy = base / "copy"
        self.follow("backup", daemon.state, copy)
        self.assertEqual({path.stat().st_mode & 0o077 for path in (copy, *copy.iterdir())}, {0})
        wanted = {one["id"]: daemon.blob(one["id"]) for task in tasks for one in task["artifacts"]}
        daemon.stop()
        restored = Daemon(base / "restored", {"zuuls": []})
        self.addCleanup(restored.stop)
        restored.start()
        other = restored.scrape("sample")["id"]
        restored.stop()
        (restored.state / "stackviz.sqlite3").write_bytes(b"damaged")
        before = restored.state.stat()
        self.follow("restore", restored.state, copy)
        after = restored.state.stat()
        self.assertEqual((after.st_uid, after.st_mode), (before.st_uid, before.st_mode))
        restored.start()
        self.assertEqual(restored.post("/api/task", {"q": other})[0], 404)
        for task in tasks:
            self.assertEqual(restored.post("/api/task", {"q": task["id"]})[0], 200)
        self.assertEqual({name: restored.blob(name) for name in wanted}, wanted)

    def follow(self, what: str, state: Path, copy: Path) -> None:
        script = commands(what).replace("/var/lib/stackviz-deployer", str(state))
        script = script.replace("/backup/stackviz", str(copy))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        subprocess.run(["sh", "-eu", "-c", script], check=True, env={**os.environ, "PATH": path})

    def test_starts_on_the_state_of_the_release_before(self) -> None:
        daemon = Daemon(Path(self.mktemp()).absolute(), {"zuuls": []})
        daemon.state.mkdir()
        with tarfile.open(OLDER) as archive:
            archive.extractall(daemon.state, filter="data")
        self.addCleanup(daemon.stop)
        daemon.start()
        with closing(sqlite3.connect(daemon.state / "stackviz.sqlite3")) as connection:
            finished = connection.execute("SELECT id FROM tasks WHERE state = 'finished'").fetchall()
        self.assertNotEqual(finished, [])
        for (uuid,) in finished:
            status, task = daemon.post("/api/task", {"q": uuid})
            self.assertEqual(status, 200, task)
            for artifact in task["artifacts"]:
                self.assertTrue(daemon.blob(artifact["id"]))
        self.assertTrue(list(daemon.state.glob("stackviz.sqlite3.v*.backup")))
        self.assertNotIn("Traceback", daemon.log.read_text())
