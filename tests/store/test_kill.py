# SPDX-License-Identifier: Apache-2.0
"""SIGKILL in the middle of writes, again and again on one state directory."""

import gzip
import hashlib
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

from stackviz_deployer.model import TaskId, TaskState
from tests.store.building import StoreTestCase, counts

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = 10


class KillTests(StoreTestCase):
    timeout = 120

    def run_and_kill(self, seed: int, after_s: float) -> list[list[str]]:
        """What the victim said before it died; it dies ``after_s`` seconds after it was ready."""
        victim = subprocess.Popen(
            [sys.executable, "-m", "tests.store.victim", str(self.state_dir.resolve()), str(seed)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            first = victim.stdout.readline()
            self.assertEqual(first, "ready\n")
            threading.Timer(after_s, victim.kill).start()
            said, _ = victim.communicate(timeout=60)
        finally:
            victim.kill()
            victim.wait()
        self.assertEqual(victim.returncode, -9, said)
        return [line.split() for line in said.split("\n")[:-1]]  # a torn last line was not said

    async def test_nothing_is_forgotten(self) -> None:
        dice = random.Random(7)
        said = []
        for n in range(KILLS):
            said += self.run_and_kill(n, dice.uniform(0.0, 0.3))
        created = {words[1] for words in said if words[0] == "created"}
        ended = {words[1]: words[2] for words in said if words[0] == "ended"}
        self.assertGreater(len(created), 20)

        tasks = self.tasks()
        blobs = self.blobs()
        # what was said is so
        for task_id in created:
            await tasks.get(TaskId(task_id))
        for task_id, state in ended.items():
            self.assertEqual((await tasks.get(TaskId(task_id))).state, state)
        # no half task: what is finished has its artifacts, whole, and nothing else has any
        await tasks.requeue()
        self.assertNotIn("pending", await counts(tasks._database))
        named = set()
        for task_id in created | set(ended):
            task = await tasks.get(TaskId(task_id))
            artifacts = await tasks.artifacts(task.id)
            self.assertEqual(bool(artifacts), task.state is TaskState.FINISHED)
            for artifact in artifacts:
                data = (await blobs.path(artifact.blob)).read_bytes()
                self.assertEqual(hashlib.sha256(data).hexdigest(), artifact.blob.hash)
                span = await blobs.span(artifact.blob, 0, 1)
                part = span.head + data[span.offset : span.offset + span.size] + span.tail
                self.assertEqual(gzip.decompress(part), gzip.decompress(data))
                named.add(artifact.blob.hash)
        # no orphan is older than the restart
        swept = await blobs.sweep(await self.rows.blob_hashes())
        self.assertEqual(swept.missing, frozenset())
        self.assertEqual(os.listdir(self.state_dir / "tmp"), [])  # noqa: PTH208 - names are what is compared
        on_disk = {path.name for path in (self.state_dir / "blobs").rglob("*/*")}
        wanted = await self.rows.blob_hashes()
        self.assertLessEqual(named, wanted)
        self.assertEqual(on_disk, wanted | {name + ".blocks" for name in wanted})
