# SPDX-License-Identifier: Apache-2.0
"""A reader of what strangers write, and how an input is given to it."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from attrs import frozen

from stackviz_deployer.errors import ParseError, StackvizError, TooLargeError
from stackviz_deployer.model import InputFile, ParseRequest
from stackviz_deployer.parsers.worker import PARSERS
from tests.fuzz import oracle
from tests.fuzz.mutation import MAX_BYTES, Repair

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).with_name("corpus")
DICTIONARIES = Path(__file__).with_name("dictionaries")
FIXTURES = ROOT / "tests" / "fixtures"
LIMIT_S = 2.0
"""Processor time of one input."""
DECODED = 4 << 20
"""``max_bytes`` of the requests: bombs are inputs like any other."""
FILE_ERRORS = (ParseError, TooLargeError)
SCRATCH = "FUZZ_SCRATCH"
"""Environment: a directory to be used instead, which its owner removes (atheris ends without a word)."""

_WORD = re.compile(r'"((?:[^"\\]|\\["\\]|\\x[0-9A-F]{2})+)"')
_ESCAPED = re.compile(r"\\(?:x(..)|(.))")


class TooSlowError(BaseException):
    """No Exception: nobody takes it for damage."""


@frozen(kw_only=True)
class Target:
    """One reader."""

    name: str
    run: Callable[[bytes], None]
    """Raises one of ``declared``, or returns; anything else is a finding."""
    declared: tuple[type[StackvizError], ...] = FILE_ERRORS
    seeds: tuple[str, ...] = ()
    """Globs below tests/fixtures, beside corpus/<name>/."""
    dictionaries: tuple[str, ...]
    """Of the format's words, below dictionaries/."""
    repair: Repair | None = None

    def corpus(self) -> dict[str, bytes]:
        """Seeds and what was once a finding, by name; MAX_BYTES of each."""
        paths = [*CORPUS.glob(f"{self.name}/*"), *(p for glob in self.seeds for p in FIXTURES.glob(glob))]
        found = {}
        for path in sorted(paths):
            data = path.read_bytes()
            if path.suffix == ".gz" and path.parent.parent != CORPUS:
                data = gzip.decompress(data)
            found[str(path.relative_to(ROOT))] = data[:MAX_BYTES]
        return found

    def words(self) -> tuple[bytes, ...]:
        """Those of its dictionaries."""
        return tuple(word for name in self.dictionaries for word in dictionary(name))

    def attempt(self, data: bytes) -> str:
        """Give it ``data``: the code of the error, or ``read``.  Raises whatever is a finding."""
        with _within(LIMIT_S):
            try:
                self.run(data)
            except self.declared as error:
                oracle.promise(error.message.strip(), "an error without words")
                oracle.promise(len(error.message) < 5000, f"a message of {len(error.message)} characters")
                return error.code
        return "read"


def file_target(
    name: str,
    parser: str,
    file: str,
    *,
    options: Mapping[str, Any] | None = None,
    seen: Callable[[Any], None] | None = None,
    **how: Any,
) -> Target:
    """A ``parser`` as a worker process would run it, with the input as a file of that name.

    ``seen`` looks at the result's data.
    """
    module, _, function = PARSERS[parser].partition(":")

    def run(data: bytes) -> None:
        parse = getattr(import_module(module), function)
        out = scratch() / "out"
        out.mkdir()
        path = scratch() / "input"
        path.write_bytes(data)
        try:
            request = ParseRequest(
                parser=parser,
                inputs=(InputFile(path=str(path), name=file),),
                out_dir=str(out),
                max_bytes=DECODED,
                options=options or {},
            )
            result = parse(request)
            oracle.check(result, str(out))
            if seen is not None:
                seen(result.data)
        finally:
            shutil.rmtree(out)

    return Target(name=name, run=run, **how)


def dictionary(name: str) -> tuple[bytes, ...]:
    """The words of ``dictionaries/<name>.dict``, which is written as libFuzzer and AFL read it.

    A line is a word in quotes, with ``\\\\``, ``\\"`` and ``\\xAB`` as its only escapes, or a comment.
    """
    words = []
    for line in (DICTIONARIES / f"{name}.dict").read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        word = _WORD.fullmatch(line)
        if word is None:
            raise ValueError(f"{name}.dict: no word: {line}")
        text = _ESCAPED.sub(lambda m: chr(int(m[1], 16)) if m[1] else m[2], word[1])
        words.append(text.encode("latin-1"))
    return tuple(words)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        raise TooSlowError(f"more than {seconds} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def memory() -> Path | None:
    """Where files lie in memory; None: nowhere."""
    place = Path(os.environ.get(SCRATCH, "/dev/shm"))
    return place if place.is_dir() else None


@cache
def scratch() -> Path:
    """A directory in memory where there is one; whoever puts something there removes it."""
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory()))


def clean_up() -> None:
    """Remove what lies in memory."""
    if scratch.cache_info().currsize:
        shutil.rmtree(scratch(), ignore_errors=True)
        scratch.cache_clear()
