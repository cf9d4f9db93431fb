# SPDX-License-Identifier: Apache-2.0
"""What stands still and goes on later: a node, Redis; and what comes at the same moment.  Real daemons."""

import signal
import threading
import time
from typing import Any

from stackviz_deployer.cluster.link import TIMEOUT_S
from stackviz_deployer.jobs.executor import GRACE_S
from tests import mariadb
from tests.cluster.nodes import NodesTestCase
from tests.cluster.test_nodes import KINDS
from tests.daemon import Daemon

ASKED_S = 30.0
STOPPED_S = 45.0
"""TimeoutStopSec of etc/stackviz-deployer.service."""


class PauseTests(NodesTestCase):
    def signal(self, process: Any, number: signal.Signals) -> None:
        process.send_signal(number)

    def paused(self, process: Any) -> None:
        """It does nothing until ``awake``, or the test's end."""
        self.signal(process, signal.SIGSTOP)
        self.addCleanup(self.signal, process, signal.SIGCONT)

    def awake(self, process: Any) -> None:
        self.signal(process, signal.SIGCONT)

    def slots(self) -> list[str]:
        return [key for key in self.redis.ask("KEYS", "stackviz:slots:*") if self.redis.ask("ZCARD", key)]

    def test_of_a_node_that_works(self) -> None:
        """Another takes over and ends the task; who wakes up records nothing, and works on others."""
        web, first = self.node("web", role="web"), self.node("first")
        self.logs.hold(1)
        uuid = self.submit(web, 1)
        self.until(lambda: self.logs.asked.get(1), "the fetch")
        second = self.node("second")
        assert first.process and second.process
        self.paused(first.process)
        self.until(lambda: self.logs.asked[1] == 2, "the take-over")
        self.logs.let_go()
        self.assertEqual(web.wait(uuid)["status"], "finished")
        row, kinds = self.row(uuid), self.check(web, uuid)
        self.assertEqual((row[0], row[2], set(kinds)), ("finished", 2, KINDS))
        self.assertIn(f":{second.process.pid}:", row[1])
        self.awake(first.process)
        self.until(lambda: "is not worked on any more" in first.log.read_text(), "the word of it")
        self.assertEqual((self.row(uuid), self.check(web, uuid)), (row, kinds))
        self.emptied()
        self.until(lambda: not self.slots(), "the end of its slots")
        second.stop()
        other = self.submit(web, 2)
        self.assertEqual(web.wait(other)["status"], "finished")
        self.assertIn(f":{first.process.pid}:", self.row(other)[1])
        self.assertNotIn("Traceback", first.log.read_text())
        self.assertEqual(self.redis.ask("KEYS", "stackviz:lease:*"), [])

    def test_of_redis_while_nodes_stop(self) -> None:
        """One that works and one that does not: neither waits for long; the start is forgiven."""
        web, worker = self.node("web", role="web"), self.node("worker")
        self.logs.hold(1)
        uuid = self.submit(web, 1)
        self.until(lambda: self.logs.asked.get(1), "the fetch")
        self.paused(self.redis.process)
        for node, most_s in ((web, 2 * TIMEOUT_S), (worker, GRACE_S + 2 * TIMEOUT_S)):
            began_s = time.monotonic()
            node.stop()
            took_s = time.monotonic() - began_s
            self.assertLess(took_s, most_s, node.log.read_text()[-2000:])
        self.assertEqual(self.row(uuid)[:2], ("queued", None))
        self.awake(self.redis.process)
        web.start()
        self.node("other")
        self.logs.let_go()
        self.assertEqual(web.wait(uuid)["status"], "finished")
        self.emptied()


class MomentTests(NodesTestCase):
    def at_once(self, nodes: list[Daemon], number: int, **more: Any) -> list[Any]:
        """The answers of all to the same post."""
        start, answers = threading.Barrier(len(nodes)), []

        def post(node: Daemon) -> None:
            start.wait(30)
            answers.append(node.post("/api/scrape", {"url": self.logs.url(number), **more}))

        threads = [threading.Thread(target=post, args=(node,)) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return answers

    def test_one_task_for_a_url(self) -> None:
        """Posted on three nodes at once, also by force, while it waits, runs, and when it is done."""
        nodes = [self.node("web", role="web"), self.node("one"), self.node("other")]
        for number in range(8):
            answers = self.at_once(nodes * 3, number)
            self.assertEqual({status for status, _ in answers}, {202}, answers)
            self.assertEqual(len({answer["uuid"] for _, answer in answers}), 1, answers)
            self.assertEqual(["cancel_key" in answer for _, answer in answers].count(True), 1, answers)
        self.logs.hold(9)
        first = self.submit(nodes[1], 9)
        self.until(lambda: self.logs.asked.get(9), "the fetch")
        answers = self.at_once(nodes, 9, force=True)
        self.assertEqual({answer["uuid"] for _, answer in answers}, {first})
        self.logs.let_go()
        self.assertEqual(nodes[0].wait(first)["status"], "finished")
        forced = {answer["uuid"] for _, answer in self.at_once(nodes, 9, force=True)}
        self.assertNotIn(first, forced)
        for uuid in forced:
            self.assertEqual(nodes[0].wait(uuid)["status"], "finished")
        self.assertEqual(set(self.check(nodes[0], first)), KINDS)
        with self.maria.root(self.server.name) as root:
            ((live,),) = root.execute(
                f"SELECT COUNT(*) FROM tasks WHERE live_url = '{self.logs.url(9)}' AND state = 'finished'"
            )
        self.assertEqual(live, 1)
        self.emptied()


class SilentDatabaseTests(NodesTestCase):
    def database(self) -> Any:
        """One of its own."""
        self.maria = mariadb.MariaDb()
        self.addCleanup(self.maria.remove)
        return self.maria.database()

    def test_it_says_nothing_for_a_while(self) -> None:
        """Whoever asks is told so in time, and a node stops in time; then all goes on."""
        web, worker = self.node("web", role="web"), self.node("worker")
        self.logs.hold(1)
        uuid = self.submit(web, 1)
        self.until(lambda: self.logs.asked.get(1), "the fetch")
        process = self.maria.process
        assert process
        process.send_signal(signal.SIGSTOP)
        self.addCleanup(process.send_signal, signal.SIGCONT)
        began_s, answers, stopped = time.monotonic(), [], []

        def ask() -> None:
            status, answer = web.post("/api/status", {"q": uuid})
            answers.append((status, answer["error"], time.monotonic() - began_s < ASKED_S))

        def stop() -> None:
            worker.stop()
            stopped.append(time.monotonic() - began_s)

        threads = [threading.Thread(target=work) for work in (stop, *[ask] * 8)]
        for thread in threads:
            thread.start()
        self.assertEqual(web.request("GET", "/health/live")[0], 200)
        self.assertLess(time.monotonic() - began_s, ASKED_S / 2)
        for thread in threads:
            thread.join(120)
        self.assertEqual(answers, [(503, "store-failed", True)] * 8)
        self.assertLess(stopped[0], STOPPED_S)
        process.send_signal(signal.SIGCONT)
        self.logs.let_go()
        self.node("other")
        self.until(lambda: not self.notes(web), "the end of it")
        self.assertEqual(web.wait(uuid)["status"], "finished")
        self.assertEqual(set(self.check(web, uuid)), KINDS)
        self.emptied()
