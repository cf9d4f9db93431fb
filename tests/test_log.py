# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from stackviz_deployer.log import JournalObserver, JsonObserver


class ObserverTestCase(SynchronousTestCase):
    observer: type

    def setUp(self) -> None:
        self.written = []
        observer = self.observer(self.written.append)
        verifyObject(ILogObserver, observer)
        self.publisher = LogPublisher(observer)
        self.log = Logger("stackviz_deployer.jobs", observer=self.publisher)

    def fail(self, text, **kw) -> None:
        self.log.failure("scraping {url}", Failure(ValueError(text)), url="http://x/", **kw)


class JournalTests(ObserverTestCase):
    observer = JournalObserver

    def text(self) -> str:
        self.assertEqual(len(self.written), 1)  # one write an event: threads do not mix their lines
        return self.written[0].decode()

    def test_line(self) -> None:
        self.log.info("fetched {url} in {ms} ms", url="http://x/", ms=5)
        self.assertEqual(self.text(), "<6>stackviz_deployer.jobs: fetched http://x/ in 5 ms\n")

    def test_priorities(self) -> None:
        for level in LogLevel.iterconstants():
            self.log.emit(level, "x")
        self.assertEqual([line[:3] for line in self.written], [b"<7>", b"<6>", b"<4>", b"<3>", b"<2>"])

    def test_one_event_is_one_line(self) -> None:
        """Text of strangers makes no line, no colour and no priority of its own."""
        for bad, shown in (
            ("a\n<0>kernel: panic", "a\\n<0>kernel: panic"),
            ("\r<0>", "\\r<0>"),
            ("\x1b[31m", "\\x1b[31m"),
            ("\x85\u2028\u2029\x00\x7f", "\\x85\\u2028\\u2029\\x00\\x7f"),
            ("\u202egpj.exe", "\\u202egpj.exe"),
            ("\udc80", "\\udc80"),
            ("Grüße 日本", "Grüße 日本"),
        ):
            self.written.clear()
            self.log.error("name {name}", name=bad)
            self.assertEqual(self.text(), f"<3>stackviz_deployer.jobs: name {shown}\n")

    def test_bounded(self) -> None:
        for char in ("x", "\n", "\u202e", "\U0001f600"):
            self.written.clear()
            self.log.info("{x}", x=char * 100_000)
            self.assertLess(len(self.written[0]), 48 * 1024)
            self.assertIn("(100000 characters)", self.text())

    def test_traceback_bounded(self) -> None:
        ObserverTestCase.fail(self, "boom\n" * 1_000_000)
        self.assertLess(len(self.text()), 256 * 1024)
        self.assertIn("(50", self.text())

    def test_traceback(self) -> None:
        """On lines of its own, each with the priority of the event."""
        ObserverTestCase.fail(self, "boom\n<0>forged\x1b[2J")
        lines = self.text().splitlines()
        self.assertEqual(lines[0], "<2>stackviz_deployer.jobs: scraping http://x/")
        self.assertGreater(len(lines), 2)
        for line in lines[1:]:
            self.assertTrue(line.startswith("<2>    "), line)
        self.assertIn("ValueError: boom", self.text())
        self.assertNotIn("\x1b", self.text())

    def test_event_that_cannot_be_formatted(self) -> None:
        self.log.info("{missing}")
        self.assertIn("<6>stackviz_deployer.jobs: Unable to format event", self.text())

    def test_bare_event(self) -> None:
        self.publisher({"log_format": "x"})
        self.assertEqual(self.text(), "<6>-: x\n")


class JsonTests(ObserverTestCase):
    observer = JsonObserver

    def entry(self) -> dict:
        (line,) = self.written
        self.assertEqual(line.count(b"\n"), 1)
        return json.loads(line)

    def test_entry(self) -> None:
        self.log.info("fetched {url} in {ms} ms", url="http://x/", ms=5, other=[1])
        entry = self.entry()
        self.assertIsInstance(entry.pop("time_s"), float)
        self.assertEqual(
            entry,
            {
                "level": "info",
                "namespace": "stackviz_deployer.jobs",
                "message": "fetched http://x/ in 5 ms",
                "fields": {"url": "http://x/", "ms": 5, "other": "[1]"},
            },
        )

    def test_traceback(self) -> None:
        ObserverTestCase.fail(self, "boom\udc80\n\u2028")
        entry = self.entry()
        self.assertEqual(entry["level"], "critical")
        self.assertIn("ValueError: boom", entry["traceback"])

    def test_values_that_json_has_not(self) -> None:
        self.log.info("x", value=float("nan"), path=b"\xff")
        self.assertEqual(self.entry()["fields"], {"value": "nan", "path": "b'\\xff'"})

    def test_value_without_text(self) -> None:
        class Mute:
            def __str__(self) -> str:
                raise RuntimeError("no")

        self.log.info("x", value=Mute())
        self.assertIn("no text", self.entry()["fields"]["value"])


class TwistdTests(SynchronousTestCase):
    """What twistd does with the factories: stdout is replaced, and print and warnings become events."""

    def run_logger(self, name: str) -> list[bytes]:
        script = (
            "import sys\n"
            "from twisted.application.app import AppLogger\n"
            "from twisted.python.reflect import namedAny\n"
            "from twisted.application.service import Application\n"
            f"AppLogger({{'logger': namedAny('stackviz_deployer.log.{name}')}}).start(Application('x'))\n"
            "print('printed \\u2713')\n"
        )
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            capture_output=True,
            check=True,
            timeout=60,
            env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        )
        self.assertEqual(ran.stderr, b"")
        return ran.stdout.splitlines()

    def test_journal(self) -> None:
        lines = self.run_logger("journal")
        self.assertTrue(all(line.startswith(b"<6>") for line in lines), lines)
        self.assertIn("printed \u2713".encode(), lines[-1])

    def test_json(self) -> None:
        entries = [json.loads(line) for line in self.run_logger("json_lines")]
        self.assertIn("printed \u2713", entries[-1]["message"])
