# SPDX-License-Identifier: Apache-2.0
"""Bombs through the front door: each ends in words, in time, and within bounds that are measured.

Measured are the resident memory of the daemon and of its parser processes (/proc), and how long one
turn of the daemon's reactor takes (tests/probed.py, in its process: the processor time of its thread,
which the others of a busy machine do not lengthen).
"""

import contextlib
import gzip
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from tests import bombs
from tests.daemon import Daemon
from tests.net.site import SiteTestCase
from tests.net.wire import Wire
from tests.probed import HELD

reactor: Any = _reactor
MIB = 1 << 20
MB = 10**6
HELD_S = 0.050
"""For one turn of the reactor."""
DAEMON_GROWTH = 48 * MIB
STREAM = "testrepository.subunit"

Body = bytes | Callable[[Wire], None]


@frozen(kw_only=True)
class Bomb:
    name: str
    path: str
    """Below the job's address, which has an index of it; with a slash in front what is sent instead."""
    make: Callable[[], Body]
    code: str
    """With which it ends; ``finished`` where there is something to show, with a warning."""
    words: str
    """A pattern for the message or the warnings."""
    seconds: float = 40.0
    beside: bool = False
    """Whether there is a console, too: this file alone shows nothing."""
    memory: int = 300 * MIB
    """Of a parser process at most."""


def endless(wire: Wire) -> None:
    """A body without a length and without an end."""
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"

    class Source:
        def resumeProducing(self) -> None:
            wire.send(chunk)

        def stopProducing(self) -> None:
            pass

    wire.transport.registerProducer(Source(), False)


def dripping(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    drip = LoopingCall(wire.send, b"x")
    drip.start(0.2)
    wire.lost.addCallback(lambda _: drip.stop())


def silent(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")


def shorter(wire: Wire) -> None:
    """Less than was promised."""
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc")
    wire.transport.loseConnection()


def longer(wire: Wire) -> None:
    """More than was promised: the next answer would begin with it."""
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"HTTP/1.1 200 OK\r\n" * 1000)


def monstrous(wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\nabc")


def bomb(name: str, path: str, make: Callable[[], Body], code: str, words: str, **more: Any) -> Bomb:
    return Bomb(name=name, path=path, make=make, code=code, words=words, **more)


def packed(piece: str, size: int, before: str = "", after: str = "") -> Callable[[], bytes]:
    """As much of ``piece`` as makes ``size`` bytes, compressed."""
    return lambda: bombs.gzip_text(piece, size // len(piece), before=before, after=after)


CONSOLE = "console.html"
HEAD = b'--B\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'
MANIFEST = "zuul-manifest.json"
JSON = "job-output.json"
XML = "test-results.xml"
INDEX = "<h1>Index of /</h1><ul>"
TESTS = "test: a\nfailure: a [ multipart\n"
BOMBS = (
    # -- compressed
    bomb("10 GB in 10 MB", f"{STREAM}.gz", lambda: bombs.gzip_zeros(10**10), "too-large", "when decoded"),
    bomb(
        "10 GB in a gzip in a gzip",
        f"{STREAM}.gz",
        lambda: gzip.compress(bombs.gzip_zeros(10**10)),
        "too-large",
        "when decoded",
    ),
    bomb(
        "a third gzip inside",
        f"{STREAM}.gz",
        lambda: gzip.compress(gzip.compress(bombs.gzip_zeros(10**9))),
        "finished",
        "no test",
    ),
    bomb("xz", f"{STREAM}.xz", lambda: bombs.members("xz", 10**10), "too-large", "when decoded"),
    bomb("bzip2", f"{STREAM}.bz2", lambda: bombs.members("bz2", 10**10), "too-large", "when decoded"),
    bomb("zstd", f"{STREAM}.zst", lambda: bombs.members("zst", 10**10), "too-large", "when decoded"),
    # -- on the wire
    bomb("endless", STREAM, lambda: endless, "too-large", "larger than the 128 MiB"),
    bomb("a length of 9 EB", STREAM, lambda: monstrous, "too-large", "larger than the 128 MiB"),
    bomb("dripping", STREAM, lambda: dripping, "upstream-timeout", "longer than 3 seconds"),
    bomb("silent", STREAM, lambda: silent, "upstream-timeout", "longer than 3 seconds"),
    bomb(
        "less than promised", STREAM, lambda: shorter, "upstream-unreachable", "in the middle of its answer"
    ),
    bomb("more than promised", STREAM, lambda: longer, "finished", "no test"),
    bomb("endless index", "", lambda: endless, "too-large", "larger than the 32 MiB"),
    bomb("endless manifest", MANIFEST, lambda: endless, "no-artifacts", "larger than the 32 MiB"),
    bomb("a manifest that drips", MANIFEST, lambda: dripping, "no-artifacts", "longer than 3 seconds"),
    # -- lines of 100 MB
    bomb("a line of a stream", STREAM + ".gz", packed("x", 100 * MB, "test: "), "finished", "damaged"),
    bomb("a line of a console", "console.html.gz", packed("x", 100 * MB), "finished", ""),
    bomb(
        "an attribute of a report",
        XML + ".gz",
        packed("x", 100 * MB, '<testsuite name="'),
        "parse-failed",
        "no XML",
    ),
    bomb(
        "a text of a report",
        XML + ".gz",
        packed("x", 100 * MB, '<testsuite><testcase name="a"><failure>'),
        "finished",
        "",
    ),
    bomb(
        "a name in job-output.json",
        JSON + ".gz",
        packed("x", 100 * MB, '[{"plays":[{"tasks":[{"task":{"name":"'),
        "finished",
        "dstat|job-output",
        beside=True,
    ),
    bomb("a link of an index", "", packed("x", 31 * MIB, INDEX + '<a href="'), "no-artifacts", ""),
    # -- millions of tiny things
    bomb("links", "", packed("<a href=a>", 31 * MIB, INDEX), "no-artifacts", ""),
    bomb("tags that do not end", "", packed("<a ", 31 * MIB, INDEX), "no-artifacts", ""),
    bomb(
        "entries of a manifest",
        MANIFEST,
        packed("{},", 31 * MIB, '{"tree":[', "{}]}"),
        "no-artifacts",
        "more values than can be read",
        memory=200 * MIB,
    ),
    bomb(
        "files of a manifest",
        MANIFEST,
        packed('{"name":"a"},', 31 * MIB, '{"tree":[', "{}]}"),
        "no-artifacts",
        "",
    ),
    bomb(
        "entries of a JSON index",
        "",
        packed("{},", 31 * MIB, "[", "{}]"),
        "too-large",
        "more values than can be read",
        memory=200 * MIB,
    ),
    bomb(
        "test cases",
        XML + ".gz",
        packed("<testcase/>", 3 * MIB, "<testsuite>"),
        "finished",
        "",
        memory=500 * MIB,
    ),
    bomb(
        "heads of dstat",
        "dstat-csv.txt.gz",
        packed('"a"\n"b"\n', 50 * MIB, '"Dstat 0.7.2 CSV output"\n'),
        "finished",
        "dstat|job-output",
        beside=True,
    ),
    bomb(
        "packets that claim 4 MiB",
        STREAM + ".gz",
        lambda: bombs.subunit_claims(50 * MIB),
        "finished",
        "damaged",
    ),
    bomb("packets of a million tags", STREAM + ".gz", lambda: bombs.subunit_tags(25), "finished", "damaged"),
    bomb(
        "tags of one test",
        STREAM + ".gz",
        packed("tags: a b c\n", 10 * MIB, "test: a\n"),
        "finished",
        "left out",
    ),
    bomb(
        "attachments of one test",
        STREAM + ".gz",
        packed("Content-Type: text/plain\nf\n0\r\n", MIB, TESTS),
        "finished",
        "",
    ),
    bomb(
        "an attachment of crumbs",
        STREAM + ".gz",
        packed("1\r\nx", MIB, TESTS + "Content-Type: text/plain\nf\n"),
        "finished",
        "",
    ),
    # -- deep
    bomb("a deep manifest", MANIFEST, packed('{"tree":[', 31 * MIB), "no-artifacts", ""),
    bomb("a deep JSON index", "", packed("[", MIB), "parse-failed", "no directory index"),
    bomb(
        "a deep job-output.json",
        JSON + ".gz",
        packed("[", 50 * MIB),
        "finished",
        "dstat|job-output",
        beside=True,
    ),
    bomb("entities in entities", XML, lambda: bombs.laughs(30), "parse-failed", "a DOCTYPE"),
    bomb("a deep report", XML + ".gz", packed("<testsuite>", 50 * MIB), "finished", "nested more than"),
    # -- sent to /api/upload
    bomb("zip", "/x.zip", lambda: bombs.zip_zeros(10**10), "too-large", "when unpacked"),
    bomb(
        "entries of a zip",
        "/x.zip",
        lambda: bombs.zip_entries(1_000_000),
        "too-large",
        "its directory is over",
    ),
    bomb(
        "entries of a tar",
        "/x.tar.gz",
        lambda: bombs.tar_entries(10_000_000),
        "too-large",
        "more than 20000 entries",
    ),
    bomb(
        "a tar of 10 GB",
        "/x.tar.gz",
        lambda: bombs.tar_zeros(10**10),
        "too-large",
        "when decoded|when unpacked",
    ),
    bomb(
        "parts of a form",
        "/form",
        lambda: (HEAD + b"x\r\n") * 200_000,
        "parse-failed",
        "form that was sent is damaged",
    ),
    bomb(
        "a head of a form without end",
        "/form",
        lambda: b"--B\r\n" + b"X: y\r\n" * 2_000_000,
        "parse-failed",
        "form that was sent is damaged",
    ),
    bomb(
        "a form without an end",
        "/form",
        lambda: HEAD + b"\r\n--" * 5_000_000,
        "parse-failed",
        "form that was sent is damaged",
    ),
    bomb(
        "archives of a form",
        "/form",
        lambda: (HEAD + bombs.tar_entries(15_000) + b"\r\n") * 20 + b"--B--\r\n",
        "too-large",
        "more than 20000 entries",
    ),
)


class Rss(threading.Thread):
    """The most memory that a process of the daemon, and each of its children, had since ``fresh()``."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.daemon_peak = self.child_peak = 0
        self.over = threading.Event()
        self.start()

    def fresh(self) -> int:
        """Begin anew; what the daemon has now."""
        now = _rss(self.pid)
        self.daemon_peak, self.child_peak = now, 0
        return now

    def run(self) -> None:
        while not self.over.wait(0.02):
            self.daemon_peak = max(self.daemon_peak, _rss(self.pid))
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
                self.child_peak = max([self.child_peak, *(_rss(int(child)) for child in children)])


def _rss(pid: int) -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) << 10 if found else 0
    return 0


class BombTests(SiteTestCase):
    timeout = 600

    def setUp(self) -> None:
        super().setUp()
        self.made: dict[int, Body] = {}

    def answer(self, wire: Wire, head: bytes) -> None:
        _, number, path = head.split()[1].decode().split("/", 2)
        one, body = BOMBS[int(number)], self.made[int(number)]
        if path == one.path:
            if callable(body):
                body(wire)
            else:
                wire.answer(body)
        elif path == "":
            names = () if one.path == MANIFEST else (one.path, *([CONSOLE] if one.beside else []))
            rows = "".join(f'<li><a href="{name}">{name}</a></li>' for name in names)
            wire.answer(f"{INDEX}{rows}</ul>".encode())
        elif path == CONSOLE and one.beside:
            wire.answer(b"2016-01-01 00:00:00.123 | all is well\n")
        else:
            wire.answer(b"", status=b"404 Not Found")

    def test_each_ends_in_words_in_time_and_in_bounds(self) -> Deferred[None]:
        return deferToThread(self._each)

    def _each(self) -> None:
        held = self.base / "held"
        held.write_bytes(bytes(HELD.size))
        limits = {
            "artifact_bytes": 128 * MIB,
            "total_bytes": 128 * MIB,
            "listing_bytes": 32 * MIB,
            "upload_bytes": 64 * MIB,
            "memory_bytes": 1 << 30,
            "fetch_seconds": 3,
            "task_seconds": 60,
        }
        config = self.config(limits=limits)
        wrong = []
        with Daemon(self.base / "daemon", config, instruments=[f"held={held}"]) as daemon:
            assert daemon.process is not None
            rss = Rss(daemon.process.pid)
            for number, one in enumerate(BOMBS):
                self.made[number] = one.make()
                before = rss.fresh()
                with held.open("r+b") as file:  # never shorter: the daemon has it mapped
                    file.write(bytes(HELD.size))
                began = time.monotonic()
                end = self.set_off(daemon, number, one)
                took = time.monotonic() - began
                said = " ".join([end.get("message") or "", *end.get("warnings", ())])
                busy_s, _ = HELD.unpack(held.read_bytes())
                growth = rss.daemon_peak - before
                code = end.get("error") or end["status"]
                measured = (
                    f"{one.name}: {took:.1f} s, daemon +{growth / MIB:.0f} MiB, parser "
                    f"{rss.child_peak / MIB:.0f} MiB, a turn {busy_s * 1000:.0f} ms; {code}: {said[:300]}"
                )
                if (
                    code != one.code
                    or not re.search(one.words, said)
                    or took > one.seconds
                    or growth > DAEMON_GROWTH
                    or rss.child_peak > one.memory
                    or busy_s > HELD_S
                ):
                    wrong.append(measured)
                self.made[number] = b""
            rss.over.set()
            self.assertEqual(daemon.request("GET", "/health/ready")[0], 200)
            left = [
                path for path in daemon.state.rglob("*") if path.is_file() and path.stat().st_size > 4 * MIB
            ]
            self.assertEqual(left, [])
        self.assertEqual(wrong, [])

    def set_off(self, daemon: Daemon, number: int, one: Bomb) -> dict[str, Any]:
        """The end of its task, and its warnings."""
        if one.path.startswith("/"):
            body = self.made[number]
            assert isinstance(body, bytes)
            form = {"Content-Type": "multipart/form-data; boundary=B"}
            headers = form if one.path == "/form" else {"Content-Type": "application/octet-stream"}
            status, answer = daemon.send(f"/api/upload?name={one.path[1:]}", body, headers)
        else:
            status, answer = daemon.post("/api/scrape", {"url": f"http://{self.place}/{number}/"})
        if status != 202:
            return answer
        end = daemon.wait(answer["uuid"])
        if end["status"] == "finished":
            _, task = daemon.post("/api/task", {"q": answer["uuid"]})
            end["warnings"] = [*task.get("warnings", ()), *end.get("warnings", ())]
        return end
