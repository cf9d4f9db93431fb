# SPDX-License-Identifier: Apache-2.0
"""Backup and restore of several nodes, as docs/cluster.rst writes them."""

import os
import re
import subprocess
from pathlib import Path

from tests import mariadb
from tests.cluster.nodes import NodesTestCase

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "cluster.rst"


class BackupTests(NodesTestCase):
    def follow(self, what: str) -> None:
        """Run what the page says, as the administrator of our database."""
        found = re.search(rf"\.\. the {what}\n\n::\n\n((?:    .*\n|\n)+)", DOCS.read_text(encoding="utf-8"))
        assert found is not None
        script = re.sub(r"(?<=[A-Zbn] )stackviz\b", self.server.name, found[1])  # of the database
        script = script.replace("/backup/stackviz", str(self.base / "backup"))
        script = script.replace("/mnt/stackviz", str(self.data))
        home = self.base / "home"
        home.mkdir(exist_ok=True)
        (home / ".my.cnf").write_text(
            f'[client]\nuser=root\npassword="{mariadb.ROOT_PASSWORD}"\nhost=127.0.0.1\nport={self.maria.port}\n',
            encoding="utf-8",
        )
        environ = {**os.environ, "HOME": str(home), "PATH": mariadb.PATH}
        subprocess.run(["sh", "-eu", "-c", script], check=True, env=environ, timeout=60)

    def test_a_copy_of_live_nodes(self) -> None:
        """Taken while one task is at work; what came after it is not in it, and does no harm in Redis."""
        mariadb.find("mariadb-dump")
        nodes = [self.node(name) for name in ("one", "other")]
        finished = [self.submit(nodes[0], number) for number in range(3)]
        for uuid in finished:
            self.assertEqual(nodes[1].wait(uuid)["status"], "finished")
        self.logs.hold(7)
        running = self.submit(nodes[0], 7)
        self.until(lambda: self.row(running)[0] == "pending", "a start")
        self.follow("backup")
        copies = [self.base / "backup", *(self.base / "backup").iterdir()]
        self.assertEqual({path.stat().st_mode & 0o077 for path in copies}, {0})
        later = self.submit(nodes[1], 8)
        self.assertEqual(nodes[0].wait(later)["status"], "finished")
        for node in nodes:
            node.stop()
        for blob in (self.data / "blobs").glob("*/*"):
            blob.write_bytes(b"damaged")
        self.follow("restore")
        self.logs.let_go()
        for node in nodes:
            node.start()
        for uuid in finished:
            self.check(nodes[0], uuid)
        self.assertEqual(nodes[1].wait(running)["status"], "finished")
        self.assertEqual(nodes[1].post("/api/task", {"q": later})[0], 404)
        self.assertEqual(self.notes(nodes[0]), [])
        self.emptied()
