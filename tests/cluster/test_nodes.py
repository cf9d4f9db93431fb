# SPDX-License-Identifier: Apache-2.0
"""Daemons that act as one: the whole path over two nodes, and what becomes of work when something dies."""

import http.client
import os
import random
import re
import subprocess
import threading
import time
from typing import Any, Self

from twisted.trial.unittest import SkipTest

from tests import mariadb
from tests.cluster.nodes import PACE, NodesTestCase, Relay
from tests.daemon import ANSWER_S, Daemon, free_port
from tests.test_uploads import STREAM

SAMPLE = "sample:gate-tempest-dsvm-full/"
KINDS = {"subunit", "subunit-stats", "subunit-details"}
LONG_S = 10 * PACE
"""RECORD_TRIES of jobs/executor.py are over sooner."""


class PathTests(NodesTestCase):
    def test_web_and_worker_on_different_nodes(self) -> None:
        """What is posted, watched, cancelled and read on one node is worked on by another."""
        web, worker = self.together({"web": "web", "worker": "worker"})
        status, queued = web.post("/api/scrape", {"url": SAMPLE})
        self.assertEqual(status, 202, queued)
        events = list(web.events(queued["uuid"]))
        self.assertEqual(events[-1]["status"], "finished", events[-1])
        self.assertIn("pending", [event["status"] for event in events])
        self.assertTrue([event for event in events if event.get("progress")], events)
        self.assertEqual(len(self.check(web, queued["uuid"])), 5)
        worker_name = self.row(queued["uuid"])[1]
        self.assertIn(f":{worker.process.pid}:" if worker.process else "", worker_name)
        for path in ("/", "/api/openapi.json", f"/s/{queued['uuid']}/"):
            self.assertEqual(worker.request("GET", path)[0], 404, path)
        self.logs.hold(1)
        status, slow = web.post("/api/scrape", {"url": self.logs.url(1)})
        self.until(lambda: self.logs.asked.get(1), "the fetch")
        status, cancelled = web.post("/api/cancel", {"q": slow["uuid"], "cancel_key": slow["cancel_key"]})
        self.assertEqual((status, cancelled["status"]), (200, "cancelled"))
        self.emptied()
        self.logs.let_go()
        self.assertEqual(web.wait(self.submit(web, 2))["status"], "finished")

    def test_a_stream_that_comes_late_begins_with_the_present(self) -> None:
        web, _worker = self.together({"web": "web", "worker": "worker"})
        self.logs.hold(1)
        uuid = self.submit(web, 1)
        self.until(lambda: self.logs.asked.get(1), "the fetch")
        first = next(iter(web.events(uuid)))
        self.assertEqual((first["status"], first["progress"]["stage"]), ("pending", "fetching"), first)
        status, asked = web.post("/api/status", {"q": uuid})
        self.assertEqual((status, asked["progress"]["stage"]), (200, "fetching"))

    def test_an_upload_is_read_by_another_node(self) -> None:
        web, _worker = self.together({"web": "web", "worker": "worker"})
        headers = {"Content-Type": "application/octet-stream"}
        status, queued = web.send("/api/upload?name=testrepository.subunit", STREAM, headers)
        self.assertEqual(status, 202, queued)
        self.assertEqual(web.wait(queued["uuid"])["status"], "finished")
        self.assertEqual(set(self.check(web, queued["uuid"])), KINDS)


class DeathTests(NodesTestCase):
    def test_kill_9_of_the_node_that_works(self) -> None:
        """In the times as they are: another takes over, and there is one result."""
        web, first = self.together({"web": "web", "first": "all"}, pace=None)
        self.logs.hold(1)
        uuid = self.submit(web, 1)
        self.until(lambda: self.logs.asked.get(1), "the fetch")
        watched: list[dict[str, Any]] = []
        watcher = threading.Thread(target=lambda: watched.extend(web.events(uuid)))
        watcher.start()
        second = self.node("second", pace=None)
        first.kill()
        killed_s = time.monotonic()
        self.until(lambda: self.logs.asked[1] == 2, "the take-over")
        self.assertLess(time.monotonic() - killed_s, 45)
        self.logs.let_go()
        watcher.join(60)
        self.assertEqual([one["status"] for one in watched].count("finished"), 1)
        self.assertEqual(set(self.check(web, uuid)), KINDS)
        state, owner, attempts = self.row(uuid)
        self.assertEqual((state, attempts), ("finished", 2))
        self.assertIn(f":{second.process.pid}:" if second.process else "", owner)
        self.emptied()

    def test_a_node_that_stops_leaves_its_work_to_others_at_once(self) -> None:
        web, first = self.together({"web": "web", "first": "all"})
        self.logs.hold(1)
        uuid = self.submit(web, 1)
        self.until(lambda: self.logs.asked.get(1), "the fetch")
        self.node("second")
        first.stop()
        stopped_s = time.monotonic()
        self.until(lambda: self.logs.asked[1] == 2, "the next")
        self.assertLess(time.monotonic() - stopped_s, 30 * PACE / 2)
        self.logs.let_go()
        self.assertEqual(web.wait(uuid)["status"], "finished")
        self.emptied()

    def test_a_task_that_takes_nodes_along_ends_in_error(self) -> None:
        web = self.node("web", role="web")
        self.logs.hold(1)
        uuid = self.submit(web, 1)
        for start in range(1, 4):
            node = self.node(f"n{start}")
            self.until(lambda start=start: self.logs.asked.get(1) == start, f"start {start}")
            node.kill()
        self.node("n4")
        end = web.wait(uuid)
        self.assertEqual((end["status"], end["error"]), ("error", "worker-died"), end)
        self.assertEqual(self.logs.asked[1], 3)
        self.emptied()

    def test_60_tasks_on_3_nodes_that_are_killed_at_random(self) -> None:
        """Each ends, none is lost, none has two results."""
        seed = random.randrange(1 << 30)
        chance = random.Random(seed)
        web, *workers = self.together({"web": "web", "n0": "all", "n1": "all", "n2": "all"})
        self.logs.delay_s = 0.4
        uuids = [self.submit(web, number) for number in range(60)]
        for _ in range(6):
            time.sleep(chance.uniform(0.5, 2.5))  # not synchronisation: a random moment
            victim = chance.choice(workers)
            victim.kill()  # be it while it starts
            victim.launch()
        ends = [web.wait(uuid) for uuid in uuids]
        bad = [end for end in ends if end["status"] != "finished" and end.get("error") != "worker-died"]
        self.assertEqual(bad, [], f"seed {seed}")
        self.assertGreater(max(self.starts(uuids)), 1, f"seed {seed}: no kill met a task")
        for uuid, end in zip(uuids, ends, strict=True):
            if end["status"] == "finished":
                self.assertEqual(set(self.check(web, uuid)), KINDS, f"seed {seed}")
        self.assertGreaterEqual([end["status"] for end in ends].count("finished"), 59, f"seed {seed}")
        self.emptied()


class RedisTests(NodesTestCase):
    def test_metrics_say_that_it_is_away(self) -> None:
        port = free_port()
        node = self.node("node", metrics=f"tcp:{port}:interface=127.0.0.1")

        def degraded() -> float:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
            try:
                connection.request("GET", "/metrics")
                page = connection.getresponse().read().decode()
            finally:
                connection.close()
            (line,) = re.findall(r"^stackviz_degraded (.*)$", page, re.MULTILINE)
            return float(line)

        self.assertEqual(degraded(), 0)
        self.redis.kill()
        self.until(lambda: self.notes(node), "the word of it")
        self.assertEqual(degraded(), len(self.notes(node)))

    def test_killed_and_restarted_under_load(self) -> None:
        """Empty after each restart.  Submitting and working go on; nothing is begun twice."""
        web, worker = self.together({"web": "web", "worker": "all"}, scrapes=4)
        self.logs.delay_s = 0.2
        uuids = []
        for round_ in range(3):
            uuids += [self.submit(web, 100 * round_ + n) for n in range(8)]
            self.redis.kill()
            uuids += [self.submit(web, 100 * round_ + 50 + n) for n in range(4)]
            self.until(lambda: "tasks wait in the database" in " ".join(self.notes(web)), "the word of it")
            self.assertEqual(web.request("GET", "/health/ready")[0], 200)
            self.redis.start()
            self.until(lambda: not self.notes(web) and not self.notes(worker), "the end of it")
        self.assertEqual({web.wait(uuid)["status"] for uuid in uuids}, {"finished"})
        self.assertEqual(set(self.starts(uuids)), {1})
        for uuid in uuids[::7]:
            self.assertEqual(set(self.check(web, uuid)), KINDS)
        self.emptied()

    def test_emptied_while_tasks_run(self) -> None:
        web, *_ = self.together({"web": "web", "one": "all", "other": "all"})
        self.logs.hold(*range(4))
        uuids = [self.submit(web, number) for number in range(6)]
        self.until(lambda: len(self.logs.asked) == 4, "four tasks under way")
        self.redis.ask("FLUSHALL")
        self.until(lambda: self.redis.ask("HLEN", "stackviz:offered") >= 2, "the queue, made anew")
        time.sleep((30 + 3 * 10) * PACE)  # not synchronisation: time to take what runs for lost
        self.logs.let_go()
        self.assertEqual({web.wait(uuid)["status"] for uuid in uuids}, {"finished"})
        self.assertEqual(set(self.starts(uuids)), {1})
        self.emptied()


class MariaDbTests(NodesTestCase):
    def database(self) -> Any:
        """One that may be killed, and keeps what it acknowledged."""
        self.maria = mariadb.MariaDb()
        self.addCleanup(self.maria.remove)
        return self.maria.database()

    def test_killed_and_restarted_under_load(self) -> None:
        """What was acknowledged is kept and ends once; nodes say what is wrong, and resume by themselves."""
        nodes = [web, *_] = self.together({"web": "web", "one": "all", "other": "all"}, scrapes=4)
        self.logs.delay_s = 0.3
        with Load(self, web) as load:
            for away_s in (LONG_S, 0.0):
                load.more(8)
                running = load.taken[-1]
                self.maria.kill()
                refused = len(load.refused)
                for node in nodes:
                    self.until(lambda node=node: web is node or self.notes(node), "the word of it")
                    self.until(lambda node=node: node.request("GET", "/health/ready")[0] == 503, "not ready")
                status, answer = web.post("/api/status", {"q": running})
                self.assertEqual((status, answer["error"]), (503, "store-failed"), answer)
                self.assertEqual(
                    answer["message"], "the server's database cannot be reached; try again later"
                )
                self.assertEqual([node.request("GET", "/health/live")[0] for node in nodes], [200] * 3)
                self.until(lambda load=load, refused=refused: len(load.refused) > refused, "a refusal")
                time.sleep(away_s)  # not synchronisation: longer than a node would only try again a few times
                self.maria.start()
                self.until(lambda: not any(map(self.notes, nodes)), "the end of it")
        self.assertEqual({status for status, _ in load.refused}, {503}, load.refused[:3])
        self.assertEqual({answer["error"] for _, answer in load.refused}, {"store-failed"})
        ends = [web.wait(uuid) for uuid in load.taken]
        self.assertEqual([end for end in ends if end["status"] != "finished"], [])
        self.assertEqual(set(self.starts(load.taken)), {1})
        for uuid in load.taken[::5]:
            self.assertEqual(set(self.check(web, uuid)), KINDS)
        self.emptied()
        with self.maria.root(self.server.name) as root:  # the refused may have been kept; then they end, too
            self.assertEqual(root.execute("SELECT DISTINCT state FROM tasks"), [("finished",)])


class Load:
    """Posts one task after the other until it is left."""

    def __init__(self, case: NodesTestCase, web: Daemon) -> None:
        self.case, self.web = case, web
        self.taken: list[str] = []
        self.refused: list[tuple[int, Any]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._post)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def more(self, count: int) -> None:
        """Wait until so many more were taken."""
        before = len(self.taken)
        self.case.until(lambda: len(self.taken) >= before + count, f"{count} tasks more")

    def _post(self) -> None:
        number = 0
        while not self._ended.wait(0.1):
            number += 1
            status, answer = self.web.post("/api/scrape", {"url": self.case.logs.url(number)})
            if status == 202:
                self.taken.append(answer["uuid"])
            else:
                self.refused.append((status, answer))


class Namespace:
    """A network of its own with two cables to ours, of which one can be pulled."""

    def __init__(self, number: int) -> None:
        self.name = f"sv{os.getpid()}x{number}"
        self.net = [f"10.{200 + number}.{n}" for n in (1, 2)]
        self.cables = [f"sv{os.getpid() % 100000}{number}{n}" for n in "ab"]

    def __enter__(self) -> Self:
        try:
            ip("netns", "add", self.name)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SkipTest("needs ip (Debian package iproute2) and the right to make networks") from error
        self.inside("ip", "link", "set", "lo", "up")
        for cable, net in zip(self.cables, self.net, strict=True):
            ip("link", "add", cable, "type", "veth", "peer", "name", f"{cable}i", "netns", self.name)
            ip("addr", "add", f"{net}.1/24", "dev", cable)
            ip("link", "set", cable, "up")
            self.inside("ip", "addr", "add", f"{net}.2/24", "dev", f"{cable}i")
            self.inside("ip", "link", "set", f"{cable}i", "up")
        return self

    def __exit__(self, *_error: object) -> None:
        for cable in self.cables:
            ip("link", "del", cable)
        ip("netns", "del", self.name)

    def inside(self, *command: str) -> None:
        subprocess.run(["ip", "netns", "exec", self.name, *command], check=True)

    def pull(self, *, out: bool) -> None:
        """The second cable."""
        ip("link", "set", self.cables[1], "down" if out else "up")


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True)


class SplitTests(NodesTestCase):
    """One node cannot reach Redis any more, and does not learn why: packets just do not come back."""

    def setUp(self) -> None:
        self.namespace = Namespace(1).__enter__()
        self.addCleanup(self.namespace.__exit__)
        super().setUp()

    def relay(self, address: str, port: int) -> Relay:
        relay = Relay(address, port)
        self.addCleanup(relay.stop)
        return relay

    def test_between_a_node_and_redis(self) -> None:
        """Its task is taken over; it learns that, stops, and works on others when it is back."""
        common, split = (f"{net}.1" for net in self.namespace.net)
        relays = [
            Relay(common, self.maria.port),
            Relay(split, self.redis.port),
            Relay(common, self.logs.port),
        ]
        for relay in relays:
            self.addCleanup(relay.stop)
        database, redis, logs = relays
        web = self.node("web", role="web")
        config = self.configuration()
        config["database"] = config["database"].replace(
            f"127.0.0.1:{self.maria.port}", f"{common}:{database.port}"
        )
        config["redis"] = f"redis://{split}:{redis.port}/0"
        config["resolve"] = {"logs.openstack.org": f"{common}:{logs.port}"}
        config["private_networks"] = ["10.0.0.0/8"]
        cut = self.node("cut", start=False, **config)
        cut.launch("ip", "netns", "exec", self.namespace.name)
        self.until(lambda: self.redis.ask("CLIENT", "LIST").count("name=") >= 5, "the node in the namespace")
        self.logs.hold(1)
        uuid = self.submit(web, 1)
        self.until(lambda: self.logs.asked.get(1), "the fetch")
        self.namespace.pull(out=True)
        other = self.node("other")
        self.until(lambda: self.logs.asked[1] == 2, "the take-over")
        # by the database, which it can reach; or by Redis, when it is back
        self.until(lambda: "is not worked on any more" in cut.log.read_text(), "the word of it")
        self.namespace.pull(out=False)
        self.logs.let_go()
        self.assertEqual(web.wait(uuid)["status"], "finished")
        self.assertEqual(set(self.check(web, uuid)), KINDS)
        state, owner, attempts = self.row(uuid)
        self.assertEqual((state, attempts), ("finished", 2))
        self.assertIn(f":{other.process.pid}:" if other.process else "", owner)
        other.stop()
        self.assertEqual(web.wait(self.submit(web, 2))["status"], "finished")  # by the one that is back
        self.emptied()
