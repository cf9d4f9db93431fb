# SPDX-License-Identifier: Apache-2.0
"""Parsers that do what parsers must not do, and the worker that runs them (tests of the pool)."""

import ctypes
import errno
import os
import sys
import time
from pathlib import Path

from stackviz_deployer.errors import ParseError, TooLargeError
from stackviz_deployer.model import ParsedArtifact, ParseRequest, ParseResult
from stackviz_deployer.parsers import worker

NAMES = (
    "copy", "pid", "sleep", "slow_or_copy", "spin", "memory", "refuse", "too_large", "defect",
    "full_disk", "segfault", "leave", "noise", "garbage", "endless", "impostor", "huge",
)  # fmt: skip
PARSERS = {name: f"tests.parsers.hostile:{name}" for name in NAMES}


def copy(request: ParseRequest) -> ParseResult:
    """A good one: upper-case copies of the inputs."""
    made = []
    for number, source in enumerate(request.inputs):
        target = Path(request.out_dir, f"{number}.gz")
        target.write_bytes(Path(source.path).read_bytes().upper())
        made.append(
            ParsedArtifact(
                artifact_type="copy",
                artifact_name=source.name,
                content_type="text/plain",
                primary=True,
                path=str(target),
            )
        )
    return ParseResult(artifacts=tuple(made), data=dict(request.options), decoded_bytes=7)


def full_disk(_request: ParseRequest) -> ParseResult:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/place")


def pid(_request: ParseRequest) -> ParseResult:
    return ParseResult(data={"pid": os.getpid(), "nice": os.nice(0), "environ": sorted(os.environ)})


def _tell(request: ParseRequest) -> None:
    if "started" in request.options:  # a file in which a test sees that the work runs
        part = Path(request.options["started"] + ".part")
        part.write_text(str(os.getpid()))
        part.rename(request.options["started"])


def sleep(request: ParseRequest) -> ParseResult:
    _tell(request)
    time.sleep(60)
    return ParseResult()


def slow_or_copy(request: ParseRequest) -> ParseResult:
    """Hangs for a job whose name begins with ``slow``."""
    return sleep(request) if str(request.options.get("job_name")).startswith("slow") else copy(request)


def spin(request: ParseRequest) -> ParseResult:
    _tell(request)
    while True:
        pass


def memory(_request: ParseRequest) -> ParseResult:
    held = []
    while True:
        held.append(bytearray(1 << 22))


def refuse(request: ParseRequest) -> ParseResult:
    raise ParseError(f"{request.inputs[0].name}: not a stream")


def too_large(request: ParseRequest) -> ParseResult:
    raise TooLargeError(f"{request.inputs[0].name}: over the limit")


def defect(_request: ParseRequest) -> ParseResult:
    return {}["secret of the file"]  # type: ignore[index,return-value]


def segfault(_request: ParseRequest) -> ParseResult:
    ctypes.string_at(0)
    raise AssertionError


def leave(_request: ParseRequest) -> ParseResult:
    os._exit(3)


def noise(_request: ParseRequest) -> ParseResult:
    print('{"id": 1, "result": "printed by a parser"}')  # noqa: T201  the offence itself
    os.write(1, b"more on descriptor 1\n")
    sys.stdin.read()
    return ParseResult(data="quiet")


def _protocol(data: bytes) -> None:
    """Write where only answers belong: the highest pipe that main() holds."""
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, data)
        except OSError:
            continue
        return


def garbage(_request: ParseRequest) -> ParseResult:
    _protocol(b"{{{{ this is no answer\n")
    time.sleep(60)
    return ParseResult()


def impostor(_request: ParseRequest) -> ParseResult:
    _protocol(b'{"id": 999999, "result": {}}\n')
    time.sleep(60)
    return ParseResult()


def endless(_request: ParseRequest) -> ParseResult:
    while True:
        _protocol(b"x" * 65536)


def huge(_request: ParseRequest) -> ParseResult:
    return ParseResult(data="x" * (worker.MAX_ANSWER_BYTES + 1))


if __name__ == "__main__":
    worker.PROCESSOR_S = float(os.environ.get("PROCESSOR_S", worker.PROCESSOR_S))
    worker.main(sys.argv[1:], parsers={**worker.PARSERS, **PARSERS}, warm=())
