# SPDX-License-Identifier: Apache-2.0
"""The limits of what the daemon holds, writes and says: memory, disk, log, configuration, warnings."""

import gzip
import json
import socket
from pathlib import Path
from typing import Any

from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer import check, config, log
from stackviz_deployer.errors import ConfigError, NoArtifactsError
from stackviz_deployer.jobs import pipeline
from stackviz_deployer.model import ArtifactId, Tree
from stackviz_deployer.scrapers import SCRAPERS
from stackviz_deployer.store import blockindex, disk
from stackviz_deployer.web import kept, static
from tests.jobs.test_pipeline import PipelineTestCase, subunit


class SaidTests(PipelineTestCase):
    def test_length_of_a_warning(self) -> None:
        most = "w" * pipeline.MAX_WARNING_CHARS
        for text in (most, most + "x"):
            self.assertEqual(pipeline._bounded([text]), (most,))

    def test_folders_that_a_message_names(self) -> None:
        for more, said in ((0, False), (1, True)):
            tree = Tree(
                url="http://h/",
                files=(),
                looked_in=tuple(f"folder{n}/" for n in range(pipeline.MAX_NAMED + more)),
            )
            message = self.message(tree)
            self.assertEqual(message.count("folder"), pipeline.MAX_NAMED)
            self.assertEqual("/ ..." in message, said)

    def message(self, tree: Tree) -> str:
        work = self.started()
        return str(self.assertRaises(NoArtifactsError, work._pieces, tree).message)

    def started(self) -> Any:
        return pipeline.Pipeline(
            listing=self.listing,
            fetcher=self.fetcher,
            cpu=self.cpu,
            blobs=self.blobs,
            scrapers=SCRAPERS,
            uploads=self.uploads,
            limits=self.limits,
            clock=self.clock,
            scratch=self.blobs.scratch,
        )

    def test_time_of_a_parser(self) -> None:
        """Of what is left of the task's; the rest is for what comes after."""
        self.cpu.parsers["subunit"] = subunit
        self.outcome()
        self.assertEqual(set(self.cpu.timeouts), {50 * pipeline.PARSE_SHARE})


class LogTests(SynchronousTestCase):
    def written(self, **fields: Any) -> str:
        found: list[str] = []
        logger = Logger(observer=lambda event: found.append(log._line(str(event["x"]))))
        logger.info("{x}", **fields)
        return found[0]

    def test_line(self) -> None:
        most = "x" * log._MAX_LINE
        self.assertEqual(self.written(x=most), most)
        self.assertEqual(self.written(x=most + "x"), f"{most}... ({log._MAX_LINE + 1} characters)")

    def test_traceback(self) -> None:
        class Failed:
            def __init__(self, size: int) -> None:
                self.size = size

            def getTraceback(self) -> str:
                return "x" * self.size

        for more, said in ((0, False), (1, True)):
            text = log._traceback({"log_failure": Failed(log._MAX_TRACEBACK + more)})
            self.assertEqual("characters)" in text, said)
            self.assertEqual(text.count("x"), log._MAX_TRACEBACK)


class ConfigTests(SynchronousTestCase):
    def load(self, text: str) -> config.Config:
        path = Path(self.mktemp())
        path.write_text(text)
        return config.load(str(path), {}, {})

    def test_file(self) -> None:
        text = "scrapes: 3\n"
        self.assertEqual(self.load(text.ljust(config._MAX_FILE_BYTES, "#")).scrapes, 3)
        error = self.assertRaises(ConfigError, self.load, text.ljust(config._MAX_FILE_BYTES + 1, "#"))
        self.assertIn("is over 1048576 bytes", error.message)

    def test_days(self) -> None:
        self.assertEqual(self.load("retention: {days: 36500}").retention.days, config.MAX_DAYS)
        error = self.assertRaises(ConfigError, self.load, "retention: {days: 36501}")
        self.assertIn("up to 36500", error.message)

    def test_addresses(self) -> None:
        """Of a name that ``--check`` looks at."""
        for count in (check.MAX_ADDRESSES, check.MAX_ADDRESSES + 1):
            rows = [(socket.AF_INET, 1, 6, "", (f"192.0.2.{n}", 80)) for n in range(count)]
            self.patch(socket, "getaddrinfo", lambda *_args, _rows=rows, **_more: _rows)
            self.assertEqual(len(check._addresses("h", 80)), check.MAX_ADDRESSES)


class KeptTests(SynchronousTestCase):
    def keep(self, memory: kept.Kept, name: str, size: int) -> bool:
        answer = kept.Answer(
            etag=b"x",
            head=b"",
            body=bytes(size),
            status=200,
            route="/",
            task_id=name,  # type: ignore[arg-type]
        )
        return memory.keep(kept.Key(name.encode(), False, False, False), answer, memory.generation)

    def test_body(self) -> None:
        memory = kept.Kept()
        self.assertTrue(self.keep(memory, "fits", kept.MOST_BODY))
        self.assertFalse(self.keep(memory, "over", kept.MOST_BODY + 1))

    def test_bytes(self) -> None:
        """What was used longest ago goes for what does not fit beside it."""
        memory = kept.Kept()
        size = kept.MOST_BYTES // 40 - kept._OVERHEAD
        for n in range(40):
            self.assertTrue(self.keep(memory, str(n), size))
        self.assertLessEqual(memory.bytes, kept.MOST_BYTES)
        first = kept.Key(b"0", False, False, False)
        self.assertIn(first, memory._answers)
        self.keep(memory, "one more", size)
        self.assertNotIn(first, memory._answers)
        self.assertLessEqual(memory.bytes, kept.MOST_BYTES)

    def test_artifacts(self) -> None:
        class Known:
            def __init__(self, n: int) -> None:
                self.id = ArtifactId(str(n))

        memory = kept.Kept()
        for n in range(kept.MOST_ARTIFACTS):
            memory.keep_artifact(Known(n), memory.generation)  # type: ignore[arg-type]
        self.assertIsNotNone(memory._artifacts.get(ArtifactId("0")))
        memory.keep_artifact(Known(-1), memory.generation)  # type: ignore[arg-type]
        self.assertIsNone(memory.artifact(ArtifactId("0")))
        self.assertEqual(len(memory._artifacts), kept.MOST_ARTIFACTS)


class IndexTests(SynchronousTestCase):
    def test_bytes(self) -> None:
        index = json.dumps({"version": 1, "blocks": [[0, 1, 1, 0]]})
        self.patch(blockindex, "MAX_INDEX_BYTES", 1000)
        path = Path(self.mktemp())
        for size, good in ((1000, True), (1001, False)):
            path.write_bytes(gzip.compress(index.ljust(size).encode()))
            if good:
                self.assertEqual(len(blockindex.read_index(path, 1).crcs), 1)
            else:
                self.assertRaises(blockindex.DamagedIndexError, blockindex.read_index, path, 1)

    def test_cached_blocks(self) -> None:
        index = blockindex._parse(json.dumps({"version": 1, "blocks": [[0, 1, 1, 0]]}).encode(), 1)
        room = 3 * blockindex._cost(index)
        for most, names in ((room, ("a", "b", "c")), (room - 1, ("b", "c"))):
            cache = blockindex.IndexCache(max_blocks=most)
            for name in "abc":
                cache.get(name, lambda: index)
            self.assertEqual(cache.names(), names)


class TreeTests(SynchronousTestCase):
    def load(self, files: int, size: int, **limits: int) -> int:
        root = Path(self.mktemp())
        root.mkdir()
        for n in range(files):
            (root / f"{n}.js").write_bytes(bytes(size))
        return len(static.StaticTree.load(root, **limits)._files)

    def test_bytes(self) -> None:
        self.assertEqual(self.load(3, 10, max_bytes=30), 3)
        self.assertRaises(ConfigError, self.load, 3, 11, max_bytes=32)

    def test_files(self) -> None:
        self.assertEqual(self.load(3, 1, max_files=3), 3)
        self.assertRaises(ConfigError, self.load, 4, 1, max_files=3)


class DiskTests(SynchronousTestCase):
    def test_share(self) -> None:
        """Of a small file system; of a large one it is LOW_BYTES."""
        total = 1 << 30
        low = int(total * disk.LOW_SHARE)
        self.assertLess(low, disk.LOW_BYTES)
        for free, said in ((low, False), (low - 1, True)):

            def in_thread(fn: Any, *args: Any, _free: int = free) -> Any:
                return succeed((_free, total) if fn is disk._room else None)

            class Writable:
                async def write(self, _fn: Any) -> None:
                    pass

            probe = disk.DiskProbe(Path("/x"), Writable(), in_thread, Clock())  # type: ignore[arg-type]
            probe.startService()
            self.assertEqual("make room" in " ".join(probe.health()["reasons"]), said)
            probe.stopService()
