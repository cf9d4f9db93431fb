# SPDX-License-Identifier: Apache-2.0
"""Whole daemons over one MariaDB, one Redis and one directory of data."""

from pathlib import Path
from urllib.parse import quote

from twisted.trial.unittest import TestCase

from stackviz_deployer.settings import MysqlServer
from tests import mariadb
from tests.daemon import Daemon
from tests.redis_server import Redis

SAMPLE = "sample:gate-tempest-dsvm-full/"


def url_of(server: MysqlServer) -> str:
    return (
        f"mysql://{server.user}:{quote(server.password, safe='')}@{server.host}:{server.port}/{server.name}"
    )


class SharedStoreTests(TestCase):
    timeout = 300

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.redis = Redis(self.base / "redis")
        self.redis.start()
        self.addCleanup(self.redis.stop)
        self.server = mariadb.shared().database()
        self.data = self.base / "data"
        self.data.mkdir()

    def node(self, name: str, **config) -> Daemon:
        daemon = Daemon(
            self.base / name,
            {
                "zuuls": [],
                "gerrits": [],
                "workers": 1,
                "database": url_of(self.server),
                "redis": self.redis.url,
                "blobs": {"path": str(self.data)},
                **config,
            },
        )
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
