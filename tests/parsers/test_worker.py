# SPDX-License-Identifier: Apache-2.0
"""The worker's protocol: as a function, and as a process without the pool."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import orjson
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.model import InputFile, ParseRequest
from stackviz_deployer.parsers import worker
from tests.parsers import hostile

ROOT = Path(__file__).resolve().parent.parent.parent


def line(parser, number=1, **options):
    request = ParseRequest(
        parser=parser,
        inputs=(InputFile(path="/x", name="logs/x.subunit"),),
        out_dir="/",
        max_bytes=10,
        options=options,
    )
    return orjson.dumps({"id": number, "request": request.to_json()})


class PerformTests(SynchronousTestCase):
    def perform(self, parser):
        answer, last = worker.perform(line(parser, 5), hostile.PARSERS)
        message = orjson.loads(answer)
        self.assertEqual(message["id"], 5)
        return message, last

    def test_result(self):
        message, last = self.perform("pid")
        self.assertEqual(message["result"]["data"]["pid"], os.getpid())
        self.assertFalse(last)

    def test_parsers_own_errors_keep_code_and_words(self):
        message, _ = self.perform("refuse")
        self.assertEqual(
            message["error"], {"code": "parse-failed", "message": "logs/x.subunit: not a stream"}
        )
        message, _ = self.perform("too_large")
        self.assertEqual(message["error"]["code"], "too-large")

    def test_defect_tells_its_type_alone(self):
        message, last = self.perform("defect")
        self.assertEqual(message["error"]["code"], "parse-failed")
        self.assertIn("KeyError", message["error"]["message"])
        self.assertIn("logs/x.subunit", message["error"]["message"])
        self.assertNotIn("secret", message["error"]["message"])
        self.assertFalse(last)

    def test_full_disk_is_no_fault_of_the_file(self):
        message, last = self.perform("full_disk")
        self.assertEqual(message["error"]["code"], "store-failed")
        self.assertIn("the server's disk is full", message["error"]["message"])
        self.assertNotIn("/secret", message["error"]["message"])
        self.assertFalse(last)

    def test_unknown_parser(self):
        message, _ = self.perform("nothing")
        self.assertEqual(message["error"]["code"], "parse-failed")

    def test_answer_bound(self):
        message, _ = self.perform("huge")
        self.assertEqual(message["error"]["code"], "too-large")

    def test_not_a_request(self):
        for bad in (b"", b"{", b"[]", b"{}", b'{"id":1,"request":{}}'):
            with self.assertRaises((ValueError, KeyError, TypeError)):
                worker.perform(bad)

    def test_every_parser_names_a_function_of_its_module(self):
        for name, where in worker.PARSERS.items():
            self.assertEqual(where, f"stackviz_deployer.parsers.{name}:parse")
        self.assertLessEqual(set(worker.WARM), set(worker.PARSERS))


class ProcessTests(SynchronousTestCase):
    def start(self, *, memory=1 << 30, parent=None, **environ):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.parsers.hostile", str(memory), "3", str(parent or os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **environ},
        )
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        return child

    def ask(self, child, request):
        child.stdin.write(request + b"\n")
        child.stdin.flush()
        return orjson.loads(child.stdout.readline())

    def ready(self, child):
        self.assertEqual(orjson.loads(child.stdout.readline()), {"ready": True})

    def test_ends_with_stdin(self):
        child = self.start()
        self.ready(child)
        close(child)
        self.assertEqual(child.wait(60), 0)

    def test_confined(self):
        child = self.start()
        self.ready(child)
        self.assertEqual(self.ask(child, line("pid"))["result"]["data"]["nice"], os.nice(0) + 3)
        self.assertEqual(resource.prlimit(child.pid, resource.RLIMIT_CORE), (0, 0))
        self.assertEqual(resource.prlimit(child.pid, resource.RLIMIT_AS), (1 << 30, 1 << 30))
        proc = Path("/proc", str(child.pid))
        self.assertEqual(proc.joinpath("oom_score_adj").read_text().strip(), "500")
        self.assertIn("NoNewPrivs:\t1", proc.joinpath("status").read_text())

    def test_signals_for_the_group_are_the_daemons_business(self):
        child = self.start()
        self.ready(child)
        child.send_signal(2)
        child.send_signal(15)
        self.assertEqual(self.ask(child, line("pid"))["result"]["data"]["pid"], child.pid)

    def test_prints_do_not_reach_the_protocol(self):
        child = self.start()
        self.ready(child)
        self.assertEqual(self.ask(child, line("noise", 9))["result"]["data"], "quiet")
        close(child)
        self.assertIn(b"printed by a parser", child.stderr.read())

    def test_out_of_memory_is_an_answer_and_the_last(self):
        child = self.start(memory=300 << 20)
        self.ready(child)
        answer = self.ask(child, line("memory"))
        self.assertEqual(answer["error"]["code"], "too-large")
        self.assertIs(answer["last"], True)
        self.assertEqual(child.wait(60), 0)

    def test_processor_time_is_paid_for_with_bytes(self):
        """A small file that is made to cost time ends in words, and the process goes on."""
        child = self.start(PROCESSOR_S="0.3")
        self.ready(child)
        began = time.monotonic()
        for _ in range(2):
            error = self.ask(child, line("spin"))["error"]
            self.assertEqual(error["code"], "too-large")
            self.assertIn("of processor time", error["message"])
        self.assertLess(time.monotonic() - began, 60)
        self.assertEqual(self.ask(child, line("pid"))["result"]["data"]["pid"], child.pid)
        large = Path(self.mktemp())
        with large.open("wb") as file:
            file.truncate(5 << 20)
        request = ParseRequest(
            parser="spin", inputs=(InputFile(path=str(large), name="x"),), out_dir="", max_bytes=1
        )
        self.assertAlmostEqual(worker._allowed_s(request), worker.PROCESSOR_S + 5)

    def test_too_long_a_request_ends_it(self):
        child = self.start()
        self.ready(child)
        child.stdin.write(b"x" * (worker.MAX_REQUEST_BYTES + 1))
        child.stdin.flush()
        self.assertEqual(child.wait(60), 1)

    def test_without_its_parent_it_does_not_start(self):
        child = self.start(parent=1)
        self.assertEqual(child.wait(60), 1)

    def test_dies_with_its_parent_in_the_middle_of_work(self):
        """The parent is killed by SIGKILL; the kernel ends the busy child."""
        between = (
            "import os,subprocess,sys,time\n"
            "c=subprocess.Popen([sys.executable,'-m','tests.parsers.hostile',str(1<<30),'0',str(os.getpid())],"
            "stdin=subprocess.PIPE,stdout=subprocess.PIPE)\n"
            "c.stdout.readline()\n"
            "c.stdin.write(sys.stdin.buffer.readline()); c.stdin.flush()\n"
            "print(c.pid,flush=True)\n"
            "time.sleep(60)\n"
        )
        # Its stderr is inherited: the pipe ends when the grandchild does, too.
        parent = subprocess.Popen(
            [sys.executable, "-c", between],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        self.addCleanup(parent.communicate)
        parent.stdin.write(line("spin") + b"\n")
        parent.stdin.flush()
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        parent.stderr.read()  # its files are closed a moment before it is gone
        deadline = time.monotonic() + 60
        while _alive(pid):
            self.assertLess(time.monotonic(), deadline)

    def test_imports_stay_light(self):
        """Neither Twisted nor python-subunit nor yaml before a request needs them."""
        script = (
            "import sys; from stackviz_deployer.parsers import worker\n"
            "for n in worker.WARM:\n"
            "    try: worker._load(worker.PARSERS[n])\n"
            "    except ModuleNotFoundError as e:\n"
            "        if 'stackviz_deployer' not in str(e): raise\n"
            "print(*sorted({m.split('.')[0] for m in sys.modules}))"
        )
        out = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=ROOT)
        loaded = set(out.stdout.decode().split())
        self.assertIn("orjson", loaded)
        self.assertEqual(loaded & {"twisted", "klein", "treq", "zope", "subunit", "testtools", "yaml"}, set())


def close(child):
    """End its stdin (communicate, in the clean-up, would flush a closed one)."""
    child.stdin.close()
    child.stdin = None


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
