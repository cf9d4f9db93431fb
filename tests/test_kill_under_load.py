# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the daemon at random moments, while it scrapes, receives, lists and serves, all at once."""

import gzip
import http.client
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.daemon import Daemon
from tests.test_end_to_end import JOB, SiteTestCase
from tests.test_uploads import STREAM

SENT = STREAM * 2
PIECE = 32 << 10
SCRAPERS = 3
UPLOADERS = 2
STRAYS_S = 60.0

Artifacts = dict[str, bytes]
"""By their type."""


def slowly(data: bytes) -> Iterator[bytes]:
    """As over a line that is no faster: most kills find one half sent."""
    for at in range(0, len(data), PIECE):
        yield data[at : at + PIECE]
        time.sleep(0.005)  # not synchronisation: the sender's pace


class Client(threading.Thread):
    """Does one thing again and again, until the daemon is gone."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.act = act
        self.wrong: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            while True:
                self.act()
        except (OSError, http.client.HTTPException, ValueError):  # cut off, also in the middle of JSON
            pass
        except Exception as error:  # noqa: BLE001 - for the test's thread, which raises it
            self.wrong = error


class Load:
    """What people do, all of it at once, and what they were promised."""

    def __init__(self, daemon: Daemon, urls: list[str]) -> None:
        self.daemon = daemon
        self.urls = urls
        self.whole: dict[str, Artifacts] = {}
        """What a task of each kind makes when nothing disturbs it."""
        self.acknowledged: dict[str, str] = {}
        """Kinds of the tasks that were answered, by their ids."""
        self.ended: set[str] = set()
        """Of these, those that were seen to end."""
        self.served: list[dict[str, Any]] = []
        """Artifacts of tasks that ended before the present round."""

    def learn(self) -> None:
        """Each kind once, undisturbed."""
        self.scrape(self.urls[0])
        self.upload()
        for uuid, kind in self.acknowledged.items():
            task = self.task(uuid)
            self.whole[kind] = {one["artifact_type"]: self.blob(one) for one in task["artifacts"]}
            self.served += task["artifacts"]

    def begin(self) -> list[Client]:
        acts = [*(partial(self.scrape, url) for url in self.urls), *[self.upload] * UPLOADERS]
        return [Client(act) for act in (*acts, self.list, self.read)]

    def scrape(self, url: str) -> None:
        status, queued = self.daemon.post("/api/scrape", {"url": url, "force": True})
        # one that a killed daemon took and could not answer any more may still be under way
        assert status in (200, 202), queued
        self.follow(queued["uuid"], "scrape")

    def upload(self) -> None:
        status, queued = self.daemon.send(
            "/api/upload?name=testrepository.subunit",
            slowly(SENT),
            {"Content-Type": "application/octet-stream"},
        )
        assert status == 202, queued
        self.follow(queued["uuid"], "upload")

    def follow(self, uuid: str, kind: str) -> None:
        self.acknowledged[uuid] = kind
        for state in self.daemon.events(uuid):  # ends early when the daemon does
            assert state["status"] != "error", state
            if state["status"] == "finished":
                self.ended.add(uuid)

    def list(self) -> None:
        status, listed = self.daemon.post("/api/list", {"q": "269624,19"})
        assert status == 200, listed
        assert any(entry["url"] == self.urls[0] for entry in listed["results"]), listed

    def read(self) -> None:
        self.blob(random.choice(self.served))

    def task(self, uuid: str) -> dict[str, Any]:
        status, task = self.daemon.post("/api/task", {"q": uuid})
        assert status == 200, task
        return dict(task)

    def blob(self, artifact: dict[str, Any]) -> bytes:
        """Inflated; of the size that its task tells, and whole."""
        status, headers, data = self.daemon.request(
            "GET", f"/api/blob/{artifact['id']}", headers={"Accept-Encoding": "gzip"}
        )
        assert status == 200, data
        assert headers["Content-Encoding"] == "gzip"
        assert len(data) == artifact["size"], (len(data), artifact)
        return gzip.decompress(data)

    def check(self, uuid: str) -> None:
        """What was promised with ``uuid`` is there, and all of it."""
        end = self.daemon.wait(uuid)
        assert end["status"] == "finished", end
        task = self.task(uuid)
        made = {one["artifact_type"]: self.blob(one) for one in task["artifacts"]}
        whole = self.whole[self.acknowledged[uuid]]
        assert made.keys() == whole.keys(), made.keys()
        for kind, data in made.items():
            assert data == whole[kind], f"{kind}: {len(data)} bytes instead of {len(whole[kind])}"
        self.served += task["artifacts"]


class KillTests(SiteTestCase):
    """No task is lost, none is half done, nothing half is served, no file of the killed run stays."""

    timeout = 600
    rounds = 10
    longest_s = 2.0
    """Of the load, until the kill."""
    summary = ""
    """What a run met, for the bench."""

    def copies(self) -> list[str]:
        """URLs of the job and of others like it: one scrape at a time goes on for each."""
        jobs = [JOB, *(f"{JOB}{n}" for n in range(1, SCRAPERS))]
        for job in jobs[1:]:
            shutil.copytree(self.site.root / JOB, self.site.root / job)
        return [f"http://logs.openstack.org/{job}/" for job in jobs]

    def test_kill_at_random_moments(self) -> None:
        seed = random.randrange(1 << 30)
        moments = random.Random(seed)
        daemon = self.daemon
        load = Load(daemon, self.copies())
        self.addCleanup(daemon.stop)
        daemon.start()
        load.learn()
        interrupted = 0
        for round_ in range(self.rounds):
            label = f"round {round_} of seed {seed}"
            before = set(load.acknowledged)
            clients = load.begin()
            time.sleep(moments.random() * self.longest_s)  # not synchronisation: a random moment
            early = [client.act for client in clients if not client.is_alive()]
            daemon.kill()
            for client in clients:
                client.join(60)
            self.assertEqual([client.wrong for client in clients if client.wrong is not None], [], label)
            self.assertEqual(early, [], f"{label}: cut off before the kill")
            new = load.acknowledged.keys() - before
            interrupted += len(new - load.ended)
            daemon.start()
            for uuid in new:
                try:
                    load.check(uuid)
                except Exception as error:
                    raise AssertionError(f"{label}: {load.acknowledged[uuid]} {uuid}: {error!r}") from error
            self.check_no_strays(label)
        self.assertGreater(interrupted, 0, "no kill met a task")
        self.summary = f"{len(load.acknowledged)} tasks, {interrupted} of them met a kill"

    def check_no_strays(self, label: str) -> None:
        """Soon: tasks whose answer the kill has cut off go on, and the last discard follows a task's end."""
        deadline = time.monotonic() + STRAYS_S
        while left := [
            path
            for name in ("tmp", "uploads")
            for path in (self.daemon.state / name).iterdir()
            if path.name != ".probe"  # of the disk's, for a moment
        ]:
            self.assertLess(time.monotonic(), deadline, f"{label}: {left}")
            time.sleep(0.05)  # not synchronisation: the poll's pace
