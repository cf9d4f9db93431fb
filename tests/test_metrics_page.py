# SPDX-License-Identifier: Apache-2.0
"""/metrics of the real daemon, as an operator's Prometheus sees it."""

import http.client
import shutil
import subprocess
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SkipTest, TestCase

from stackviz_deployer.metrics.catalogue import FAMILIES
from tests.daemon import Daemon, free_port


class MetricsTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.port = free_port()
        endpoint = f"tcp:{self.port}:interface=127.0.0.1"
        config = {"zuuls": [], "metrics": endpoint, "limits": {"queue": 17}}
        self.daemon = Daemon(Path(self.mktemp()).absolute(), config)
        self.addCleanup(self.daemon.stop)
        self.daemon.start()

    def text(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            return answer.read().decode()
        finally:
            connection.close()

    def samples(self) -> dict[str, float]:
        return {
            sample.name
            + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
        }

    def test_a_scrape_is_seen_in_all_its_parts(self) -> None:
        task = self.daemon.scrape("sample")
        self.daemon.blob(task["artifacts"][0]["id"])
        self.daemon.post("/api/scrape", {"url": "https://elsewhere.example/"})
        blob = "stackviz_requests_total route=/api/blob/<artifact_id> status=2xx"
        deadline = time.monotonic() + 120
        # The blob's client has it all before the server has ended; the lag's timer ticks when it is due.
        while blob not in (now := self.samples()) or not now["stackviz_reactor_lag_seconds_count"]:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(now[blob], 1)
        self.assertEqual(now["stackviz_tasks_total reason= result=finished"], 1)
        self.assertEqual(now["stackviz_task_seconds_count result=finished"], 1)
        for stage in ("listing", "fetching", "parsing", "storing"):
            self.assertEqual(now[f"stackviz_stage_seconds_count stage={stage}"], 1, stage)
        self.assertGreater(now["stackviz_fetched_bytes_total"], 10_000)
        self.assertGreater(now["stackviz_stored_bytes_total"], 10_000)
        self.assertGreater(now["stackviz_served_bytes_total route=/api/blob/<artifact_id>"], 100)
        self.assertGreaterEqual(now["stackviz_fetches_total result=ok"], 4)
        self.assertGreaterEqual(now["stackviz_parses_total result=ok"], 4)
        self.assertEqual(now["stackviz_requests_total route=/api/list status=2xx"], 1)
        self.assertEqual(now["stackviz_requests_total route=/api/scrape status=4xx"], 1)
        self.assertEqual(now["stackviz_workers state=wanted"], now["stackviz_worker_starts_total"])
        self.assertEqual(now["stackviz_workers state=busy"], 0)
        self.assertEqual(now["stackviz_limit limit=limits.queue"], 17)
        self.assertEqual(now["stackviz_limit limit=limits.artifact_bytes"], 512 << 20)
        self.assertGreater(now["stackviz_disk_free_bytes"], 0)
        self.assertLess(now["stackviz_reactor_lag_max_seconds"], 30)
        self.assertEqual(now["stackviz_degraded"], 0)
        self.assertGreater(now["process_open_fds"], 5)

    def test_what_the_store_has_on_the_disk(self) -> None:
        self.daemon.scrape("sample")
        self.daemon.stop()
        self.daemon.start()  # which counts
        files = [path for path in (self.daemon.state / "blobs").glob("*/[!.]*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        self.assertGreater(size, 0)
        deadline = time.monotonic() + 120
        while not (now := self.samples())["stackviz_disk_bytes what=blobs"]:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(now["stackviz_disk_bytes what=files"], size)
        self.assertLessEqual(now["stackviz_disk_bytes what=blobs"], size)
        self.assertGreater(now["stackviz_blobs"], 0)
        self.assertLessEqual(now["stackviz_blobs"], len(files))
        self.assertEqual(now["stackviz_sites_expired"], 0)
        self.assertGreaterEqual(now["stackviz_disk_total_bytes"], now["stackviz_disk_free_bytes"])

    def test_every_metric_of_the_catalogue_is_there_and_no_other(self) -> None:
        shown = {
            family.name.removeprefix("stackviz_")
            for family in text_string_to_metric_families(self.text())
            if family.name.startswith("stackviz_")
        }
        self.assertEqual(shown, FAMILIES.keys())

    def test_promtool_finds_no_fault(self) -> None:
        promtool = shutil.which("promtool")
        if promtool is None:
            raise SkipTest("needs promtool (Debian package prometheus)")
        self.daemon.scrape("sample")
        done = subprocess.run(
            [promtool, "check", "metrics"], input=self.text(), capture_output=True, text=True, check=False
        )
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_not_on_the_public_port(self) -> None:
        self.assertEqual(self.daemon.request("GET", "/metrics")[0], 404)
