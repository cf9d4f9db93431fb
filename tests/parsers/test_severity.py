# SPDX-License-Identifier: Apache-2.0
"""parsers.severity: each dialect, what inherits and where that ends, chunks, cost."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.parsers import severity
from stackviz_deployer.parsers.console_text import read_lines
from stackviz_deployer.parsers.severity import LEVELS, Severity

DATE = "2026-11-22 09:42:10.000101 | "
PIECES = (
    "ERROR", "fatal: ", "x | ", " ", "\n", "\n  ", "Traceback (most recent call last):",
    "2026-11-22 09:42:10.1 ", "12 ", "INFO ", "WARNING ", "{", "}", "\\", '"', "\t", "[", "]", ":", "é", DATE,
)  # fmt: skip


def levels(text: str, size: int = 1 << 18) -> str:
    """One letter a line: W, E, C, or a dot; ``text`` is handed over in chunks of ``size`` characters."""
    data = text.encode()
    found = Severity()
    out = ""
    # read_lines takes chunks apart at line ends, and its first chunk has at least 512 bytes
    chunks = [data[:600], *(data[i : i + size] for i in range(600, len(data), size))]
    for lines in read_lines(chunks, name="x"):
        dates, texts = lines.split()
        marks = ["."] * len(texts)
        for at, level in found.levels(lines, dates, texts):
            marks[at] = LEVELS[level - 1][0]
        out += "".join(marks)
    return out


class DialectTests(SynchronousTestCase):
    def check_lines(self, expected: str, *lines: str) -> None:
        """Bare, and behind the console's date and the name of a machine."""
        for before in ("", DATE, DATE + "controller | ", DATE + "node-1 -> localhost | "):
            # apart, so that nothing inherits
            for letter, line in zip(expected, lines, strict=True):
                self.assertEqual(levels(f"{before}{line}\n"), letter, before + line)

    def test_oslo(self) -> None:
        stamp = "2026-11-22 09:42:10.123 1234 "
        self.check_lines(
            "EWC....E.",
            f"{stamp}ERROR nova.compute.manager [req-1 admin admin] boom",
            f"{stamp}WARNING oslo_config.cfg [-] Deprecated",
            f"{stamp}CRITICAL nova [-] Unhandled error",
            f"{stamp}INFO nova.api [-] state is ERROR",
            f"{stamp}DEBUG nova.api [-] WARNING: none",
            f"{stamp}AUDIT nova.compute [-] ERROR",
            f"{stamp}INFO nova.api [-] Traceback (most recent call last): in a message",
            "2013-09-27 18:22:30 2013-09-27 18:22:21.032 3286 ERROR neutron.common.legacy [-] Skipping",
            "2013-09-27 18:22:30 2013-09-27 18:22:21.032 3286 INFO neutron [-] ERROR",
        )

    def test_journal_and_syslog(self) -> None:
        unit = "Nov 22 09:42:10.123456 np001 devstack@n-cpu.service[123]: "
        self.check_lines(
            "EW.E..W",
            f"{unit}ERROR nova.compute.manager [None req-1] boom",
            f"{unit}WARNING nova.virt [None req-1] hm",
            f"{unit}DEBUG nova.virt [None req-1] ERROR",
            "Nov  2 09:42:10 np001 nova-compute[123]: 2026-11-02 09:42:10.123 123 ERROR nova.x [-] boom",
            "Nov  2 09:42:10 np001 nova-compute[123]: 2026-11-02 09:42:10.123 123 INFO nova.x [-] ERROR",
            "Nov 22 09:42:10 np001 sudo[12]: stack : TTY=unknown ; COMMAND=/bin/grep ERROR file",
            "Nov 22 09:42:10 np001 n-api[1]: #033[01;33mWARNING nova.api [#033[01;36m-] hm",
        )

    def test_python_logging_and_devstack(self) -> None:
        self.check_lines(
            "EWE.EEWC",
            "2026-11-22 09:42:10,123 - zuul.x - ERROR - boom",
            "WARNING:root:boom",
            "2026-11-22T09:42:10.123Z 0 [ERROR] [MY-010] Server: boom",
            "2026-11-22T09:42:10.123Z 0 [Note] [MY-010] ERROR log opened",
            "[ERROR] /opt/stack/devstack/functions-common:216 git call failed: [git clone]",
            "[Sun Nov 22 09:42:10.123 2026] [wsgi:error] [pid 1] mod_wsgi: boom",
            "2013-09-27 18:21:45 WARNING - The openvswitch plugin is using local tenant networks",
            "CRITICAL: disk",
        )

    def test_jenkins_and_tools(self) -> None:
        self.check_lines(
            "ECEWEEEEE.W",
            "ERROR: Failed to parse POMs",
            "FATAL: Command execution failed",
            "Finished: FAILURE",
            "update-rc.d: warning: open-iscsi stop runlevel arguments",
            "foo.c:12:3: error: expected ';'",
            "make[1]: *** [all] Error 2",
            "fatal: not a git repository",
            "{0} tempest.api.x.test_y [1.2s] ... FAILED",
            "[Zuul] Job complete, result: FAILURE",
            "Finished: SUCCESS",
            "[WARNING]: Found variable using reserved name: tags",
        )

    def test_ansible(self) -> None:
        self.check_lines(
            "E.E...",
            'fatal: [node]: FAILED! => {"changed": false, "msg": "boom"}',
            "ok: [node]",
            "MODULE FAILURE: see stdout",
            "localhost                  : ok=1    changed=0    unreachable=0    failed=0",
            "TASK [Print ERROR: to the log]",
            "+ grep ERROR: file",
        )
        self.assertEqual(
            levels(f"{DATE}RUN END RESULT_TIMED_OUT: [x]\n{DATE}RUN END RESULT_NORMAL: [x]\n"), "E."
        )

    def test_words_inside_a_line(self) -> None:
        self.check_lines(
            "......",
            "Collecting ERRORs==1.0",
            "+ echo 'WARNING: no'",
            "2 passed, 0 FAILED",
            "error handling is tested",
            "test_error ... ok",
            "see http://x/y?level=ERROR for more",
        )


class ContinuationTests(SynchronousTestCase):
    def check_block(self, expected: str, text: str, *befores: str) -> None:
        for before in befores or ("", DATE, DATE + "controller | "):
            lines = "".join(f"{before}{line}\n" for line in text.strip("\n").split("\n"))
            self.assertEqual(levels(lines), expected, before)

    def test_traceback(self) -> None:
        self.check_block(
            ".EEEEE.",
            """
before
Traceback (most recent call last):
  File "x.py", line 1, in <module>
    f()
          ^
ValueError: bad
after""",
        )
        self.check_block(".EEEE.", """
    start
    Traceback (most recent call last):
      File "x.py", line 1, in <module>
        f()
    testtools.matchers._impl.MismatchError: 1 != 2
    after""")  # fmt: skip
        stamp = "2013-09-27 18:20:45 "  # devstack's own, on every line
        self.check_block(".EEE.", f"""
{stamp}start
{stamp}Traceback (most recent call last):
{stamp}  File "x.py", line 1
{stamp}SyntaxError: invalid
{stamp}after""")  # fmt: skip

    def test_chained(self) -> None:
        self.check_block("EEE..EEE", """
Traceback (most recent call last):
  File "a"
KeyError: 'a'

During handling of the above exception, another exception occurred:
Traceback (most recent call last):
  File "b"
ValueError""")  # fmt: skip

    def test_record(self) -> None:
        """A message of several lines, up to the next record."""
        stamp = "2026-11-22 09:42:10.123 1234 "
        self.check_block("EEEEEE..", f"""
{stamp}ERROR nova.x [-] boom
second line
  more
Traceback (most recent call last):
  File "x"
ValueError: x
{stamp}INFO nova.x [-] fine
and on""")  # fmt: skip
        self.check_block("WWWW.", f"""
{stamp}WARNING nova.x [-] boom
Traceback (most recent call last):
  File "x"
ValueError: x
{stamp}INFO nova.x [-] fine""")  # fmt: skip

    def test_record_ends_where_something_else_begins(self) -> None:
        stamp = "2026-11-22 09:42:10.123 1234 "
        for line in ("+ echo x", "{1} tempest.x ... ok", "ok: Runtime: 0:00:01", "changed", ""):
            self.check_block("E..", f"{stamp}ERROR nova.x [-] boom\n{line}\nand on")
        one, other = DATE + "controller | ", DATE + "compute1 | "
        self.assertEqual(levels(f"{one}{stamp}ERROR x boom\n{other}line\n{one}line\n"), "E..")

    def test_bounds(self) -> None:
        stamp = "2026-11-22 09:42:10.123 1234 "
        found = levels(f"{DATE}{stamp}ERROR nova.x [-] boom\n" + f"{DATE}line\n" * 50)
        self.assertEqual(found.rstrip("."), "E" * 11)
        found = levels(f"{stamp}ERROR nova.x [-] boom\n" + "line\n" * 2000)
        self.assertEqual(found.rstrip("."), "E" * (severity.MAX_INHERITED + 1))
        found = levels("Traceback (most recent call last):\n" + "  line\n" * 2000)
        self.assertEqual(found.rstrip("."), "E" * (severity.MAX_INHERITED + 1))

    def test_zuul_failure(self) -> None:
        lines = [
            "a | ERROR",
            "a | {",
            'a |   "msg": "x",',
            'a |   "rc": 1',
            "a | }",
            "a | ERROR: Ignoring Errors",
            "a | ok",
        ]
        self.assertEqual(levels("".join(f"{DATE}{line}\n" for line in lines)), "EEEEEW.")

    def test_marks_do_not_reach_far(self) -> None:
        self.check_block("WW.", "WARNING: test command found\n  cmd: /bin/sh\nnext")

    def test_across_chunks(self) -> None:
        stamp = "2026-11-22 09:42:10.123 1234 "
        text = (
            "x" * 700 + f"\n{stamp}ERROR nova.x [-] boom\nsecond\n{stamp}INFO x\n"
            "Traceback (most recent call last):\n  File x\nValueError: x\nafter\nfatal: x\n  y\n"
        ) * 5  # fmt: skip
        whole = levels(text)
        self.assertEqual(whole, ".EE.EEE.EE" * 5)
        for size in (1, 7, 50, 300):
            self.assertEqual(levels(text, size), whole)

    def test_tabs(self) -> None:
        self.check_block("EEE.", "java: error: x\n\tat a.b\n\t\tat c\nnext")


class CostTests(SynchronousTestCase):
    def test_time_is_linear(self) -> None:
        pieces = (
            "ERROR",
            "WARN ",
            "[error",
            ": ",
            "a: ",
            "a:1",
            " [",
            "- ",
            "2026-11-22 09:42:10 ",
            "a | ",
            ": *** ",
        )
        for piece in pieces:
            line = piece * (16_000 // len(piece))
            text = (
                f"{line} FATAL\n" + f"2026-11-22 09:42:10 {line} ERROR\n" + f"fatal: {line}\n  {line}\n"
            ) * 50
            began = time.process_time()
            levels(text)
            self.assertLess(time.process_time() - began, 1, piece)

    @settings(deadline=None)
    @given(st.lists(st.sampled_from(PIECES), max_size=60), st.integers(1, 80))
    def test_chunks_make_no_difference(self, pieces: list[str], size: int) -> None:
        text = "\n".join(["y" * 600, "".join(pieces), ""])
        self.assertEqual(levels(text, size), levels(text))
