# SPDX-License-Identifier: Apache-2.0
"""The child process that parses: ``python -I -m stackviz_deployer.parsers.worker MEMORY NICE PARENT``.

It confines itself, imports the parsers that every job needs, writes ``{"ready": true}``
and then answers requests: one JSON object a line on stdin, one on stdout.

request   ``{"id": n, "request": ParseRequest.to_json()}``
answer    ``{"id": n, "result": ParseResult.to_json(), "last": false}``
          ``{"id": n, "error": {"code": ..., "message": ...}, "last": false}``

``last`` says that the process ends after this answer (its memory is spent).  It ends when
stdin does, and is killed by the kernel when its parent dies, also in the middle of a file.
Whatever a parser prints goes to stderr, as do tracebacks; the daemon logs those lines.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import importlib
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import orjson

from stackviz_deployer.errors import ParseError, StackvizError, StoreError, TooLargeError
from stackviz_deployer.model import ParseRequest

PARSERS: dict[str, str] = {
    "subunit": "stackviz_deployer.parsers.subunit:parse",
    "junit": "stackviz_deployer.parsers.junit:parse",
    "dstat": "stackviz_deployer.parsers.dstat:parse",
    "memory_tracker": "stackviz_deployer.parsers.memory_tracker:parse",
    "console": "stackviz_deployer.parsers.console:parse",
    "job_output": "stackviz_deployer.parsers.job_output:parse",
    "jjb": "stackviz_deployer.parsers.jjb:parse",
    "listing": "stackviz_deployer.parsers.listing:parse",
    "manifest": "stackviz_deployer.parsers.manifest:parse",
    "upload": "stackviz_deployer.parsers.upload:parse",
    "gerrit": "stackviz_deployer.parsers.gerrit:parse",
    "zuul": "stackviz_deployer.parsers.zuul:parse",
}
"""What can be asked for: name -> module:function(ParseRequest) -> ParseResult."""

WARM = ("subunit", "console", "dstat")
"""Imported before the first request; the others are small or rare."""

MAX_REQUEST_BYTES = 1 << 20
MAX_ANSWER_BYTES = 4 << 20
"""A longer answer would hold up the reactor that decodes it; bulk travels in files."""

PROCESSOR_S = 30.0
PROCESSOR_BYTES = 1 << 20
"""Processor time of one request: a second more for each so many bytes of its files, as they came.

Logs are read at 5 to 20 times that speed.  A small file that is made to cost time cannot hold a process
until its task's deadline; who wants one for long has to send much.
"""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_OOM_SCORE_ADJ = "500"
"""If memory runs out, a parser goes before the daemon that would restart it."""


class _TimeIsUpError(BaseException):
    """No Exception: no parser takes it for damage of its file."""


def perform(
    line: bytes, parsers: Mapping[str, str] = PARSERS, *, limited: bool = False
) -> tuple[bytes, bool]:
    """Answer one request line; True when the process should end after the answer.

    ``limited``: within ``PROCESSOR_S`` and what the inputs' sizes add to it; only in a process of its own.
    Raises ValueError, KeyError or TypeError when the line is not a request at all.
    """
    message = orjson.loads(line)
    number, request = message["id"], ParseRequest.from_json(message["request"])
    last = False
    try:
        with _processor_time(request) if limited else contextlib.nullcontext():
            answer = _encode({"id": number, "result": _load(parsers[request.parser])(request).to_json()})
    except _TimeIsUpError:
        taken = f"more than {_allowed_s(request):.0f} s of processor time"
        why = "far more than files of its size need"
        answer = _failure(number, TooLargeError(f"{_subject(request)}: reading it takes {taken}, {why}"))
    except StackvizError as error:
        answer = _failure(number, error)
    except MemoryError:
        # The heap stays fragmented at its limit: a fresh process serves the next file better.
        last = True
        answer = _failure(
            number, TooLargeError(f"{_subject(request)}: reading it takes more memory than a parser may have")
        )
    except Exception as error:  # noqa: BLE001  the child must answer whatever a hostile file does to a parser
        traceback.print_exc()
        answer = _failure(number, _unexpected(error, _subject(request)))
    if len(answer) > MAX_ANSWER_BYTES:
        size = f"{MAX_ANSWER_BYTES >> 20} MiB"
        answer = _failure(
            number, TooLargeError(f"{_subject(request)}: what is to be told of it is over {size}")
        )
    return (answer[:-1] + b',"last":true}' if last else answer), last


def main(argv: Sequence[str], parsers: Mapping[str, str] = PARSERS, warm: Sequence[str] = WARM) -> None:
    """Serve stdin until it ends.  ``argv``: memory (bytes), niceness, process id of the parent."""
    memory_bytes, niceness, parent = (int(arg) for arg in argv)
    requests, answers = _take_stdio()
    faulthandler.enable()  # a crash in C code says where, on stderr
    trim = _confine(memory_bytes, niceness, parent)
    for name in warm:
        try:
            _load(parsers[name])
        except Exception:  # noqa: BLE001  the request that needs it will say so; others still work
            traceback.print_exc()
    answers.write(b'{"ready":true}\n')
    answers.flush()
    while line := requests.readline(MAX_REQUEST_BYTES + 1):
        if len(line) > MAX_REQUEST_BYTES or not line.endswith(b"\n"):
            sys.exit("request too long or cut off")
        answer, last = perform(line, parsers, limited=True)
        answers.write(answer + b"\n")
        answers.flush()
        if last:
            return
        trim(0)  # hand the freed heap back: an idle worker should be small


def _allowed_s(request: ParseRequest) -> float:
    size = 0
    for source in request.inputs:
        with contextlib.suppress(OSError):  # its parser will say so
            size += os.stat(source.path).st_size  # noqa: PTH116  a str, as it came over the pipe
    return PROCESSOR_S + size / PROCESSOR_BYTES


@contextlib.contextmanager
def _processor_time(request: ParseRequest) -> Iterator[None]:
    """End the work when it has taken as much processor time as it may."""

    def end(_number: int, _frame: object) -> None:
        raise _TimeIsUpError

    signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, _allowed_s(request))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _load(where: str) -> Any:
    module, _, function = where.partition(":")
    return getattr(importlib.import_module(module), function)


def _encode(message: dict[str, Any]) -> bytes:
    return orjson.dumps(message)


def _unexpected(error: Exception, subject: str) -> StackvizError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"{subject}: there is no room for what was made of it, the server's disk is full")
    return ParseError(f"{subject}: cannot be read ({type(error).__name__}, see the log)")


def _failure(number: int, error: StackvizError) -> bytes:
    return _encode({"id": number, "error": {"code": error.code, "message": error.message}})


def _subject(request: ParseRequest) -> str:
    return request.inputs[0].name if request.inputs else request.parser


def _take_stdio() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes, on descriptors of their own; 0 reads nothing and 1 is stderr from now on."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def _confine(memory_bytes: int, niceness: int, parent: int) -> Any:
    """Limits, priority, signals; returns the C library's malloc_trim (or a stand-in)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        sys.exit("parent is gone")
    # Ctrl-C and systemd signal the whole group; the daemon decides which of us ends, and when.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123  procfs
            file.write(_OOM_SCORE_ADJ)
    except OSError:  # no procfs, or a sandbox that hides it: only a preference
        pass
    return getattr(libc, "malloc_trim", lambda _pad: 0)


if __name__ == "__main__":
    main(sys.argv[1:])
