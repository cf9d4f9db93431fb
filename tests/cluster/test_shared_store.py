# SPDX-License-Identifier: Apache-2.0
"""Whole daemons over one MariaDB, one Redis and one directory of data."""

from urllib.parse import quote

from tests.cluster.nodes import SharedTestCase
from tests.daemon import Daemon

SAMPLE = "sample:gate-tempest-dsvm-full/"


class SharedStoreTests(SharedTestCase):
    def node(self, name: str) -> Daemon:
        daemon = Daemon(self.base / name, self.configuration())
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
