# SPDX-License-Identifier: Apache-2.0
"""Whole daemons over one MariaDB, one Redis and one directory of data."""

import time
from urllib.parse import quote

from stackviz_deployer.store.condemned import HELD_S
from tests.cluster.nodes import SharedTestCase
from tests.daemon import Daemon

SAMPLE = "sample:gate-tempest-dsvm-full/"
TOKEN = "an-administrators-token-of-tests"
HALF_AN_HOUR_MS = int(HELD_S * 1000)


class SharedStoreTests(SharedTestCase):
    def node(self, name: str) -> Daemon:
        token = self.base / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        daemon = Daemon(self.base / name, {**self.configuration(), "admin_token_file": str(token)})
        self.addCleanup(daemon.kill)
        return daemon

    def test_any_node_answers(self) -> None:
        """Both start at once on an empty database; what one takes in, the other knows."""
        one, other = self.node("one"), self.node("other")
        for node in (one, other):
            node.launch()
        for node in (one, other):
            node.until_ready()
        status, first = one.post("/api/scrape", {"url": SAMPLE})
        self.assertEqual(status, 202, first)
        status, again = other.post("/api/scrape", {"url": SAMPLE})
        self.assertEqual(again["uuid"], first["uuid"])
        self.assertEqual(other.wait(first["uuid"])["status"], "finished")
        self.assertEqual(one.wait(first["uuid"])["status"], "finished")
        artifacts = [node.post("/api/task", {"q": first["uuid"]})[1]["artifacts"] for node in (one, other)]
        self.assertEqual(artifacts[0], artifacts[1])
        for artifact in artifacts[0]:
            self.assertEqual(one.blob(artifact["id"]), other.blob(artifact["id"]))
        for node in (one, other):
            self.assertEqual(node.health()["reasons"], [])
            node.stop()
            log = node.log.read_text()
            self.assertNotIn("Traceback", log)
            for secret in (self.server.password, quote(self.server.password, safe="")):
                self.assertNotIn(secret, log)

    def blobs(self) -> set[str]:
        return {path.name for path in (self.data / "blobs").rglob("*") if path.is_file()}

    def delete(self, node: Daemon, uuid: str) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.assertEqual(node.request("DELETE", f"/api/admin/tasks/{uuid}", headers=headers)[0], 200)

    def test_what_is_deleted_is_removed_half_an_hour_later(self) -> None:
        """Unless it was put again meanwhile, which any node may have done."""
        one, other = self.node("one"), self.node("other")
        for node in (one, other):
            node.launch()
        for node in (one, other):
            node.until_ready()
        first = one.scrape(SAMPLE)
        there = self.blobs()
        self.assertTrue(there)
        self.delete(one, first["id"])
        with self.maria.root(self.server.name) as root:
            self.assertEqual(
                {name for (name,) in root.execute("SELECT blob_hash FROM condemned")},
                {name for name in there if not name.endswith(".blocks")},
            )
            again = other.scrape(SAMPLE)
            self.assertEqual(root.execute("SELECT blob_hash FROM condemned"), [])
            self.assertEqual(self.blobs(), there)
            self.delete(other, again["id"])
            root.execute("UPDATE condemned SET since_ms = since_ms - %s", (HALF_AN_HOUR_MS,))
            one.stop()
            one.start()  # whoever starts looks what is to be removed
            deadline = time.monotonic() + 60
            while self.blobs():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)  # not synchronisation: the poll's pace
            while root.execute("SELECT blob_hash FROM condemned"):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)  # likewise
