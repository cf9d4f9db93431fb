# SPDX-License-Identifier: Apache-2.0
"""What must hold of whatever a parser makes of whatever it was given."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from stackviz_deployer.model import ParsedArtifact, ParseResult
from stackviz_deployer.parsers.blockgzip import FINAL_BLOCK, HEADER
from stackviz_deployer.parsers.worker import MAX_ANSWER_BYTES

MOST_MADE = 200
"""Bytes of artifacts for a byte that was read, ..."""
MOST_BESIDE = 256 << 10
"""... and beside that."""
_SAFE_NAME = re.compile(r"[A-Za-z0-9 ._~/@:+-]+")
_SGR_RUNS = re.compile(r"(?:\d+\+\d+:[BIUS]*[0-9a-f]?(?:/[0-9a-f])?(?: |$))+")


class BrokenPromiseError(AssertionError):
    """Something was made that nobody may be given."""


def promise(holds: object, what: str) -> None:
    if not holds:
        raise BrokenPromiseError(what)


def check(result: ParseResult, out_dir: str) -> None:
    """Everything at once; raises BrokenPromiseError (or what reading it back raises)."""
    answer = orjson.dumps(result.to_json())  # no lone surrogates, no numbers past 64 bits
    promise(len(answer) <= MAX_ANSWER_BYTES, f"an answer of {len(answer)} bytes")
    promise(ParseResult.from_json(orjson.loads(answer)).warnings == result.warnings, "other warnings")
    promise(
        all(isinstance(warning, str) and warning for warning in result.warnings), "a warning without words"
    )
    made = sum(_artifact(artifact, Path(out_dir)) for artifact in result.artifacts)
    most = MOST_BESIDE + MOST_MADE * result.decoded_bytes
    promise(made <= most, f"{made} bytes of artifacts from {result.decoded_bytes}")
    primaries = {artifact.artifact_name for artifact in result.artifacts if artifact.primary}
    shown = {a.artifact_name for a in result.artifacts if a.artifact_type.startswith("subunit")}
    promise(shown <= primaries, "a run that StackViz would not list")


def strings(value: Any) -> Iterator[str]:
    """All texts in a JSON value, keys too."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one


def _artifact(artifact: ParsedArtifact, out_dir: Path) -> int:
    """How many bytes it holds."""
    path = Path(artifact.path)
    promise(path.parent == out_dir, f"{path} is not in {out_dir}")
    promise(_SAFE_NAME.fullmatch(artifact.artifact_name), f"the name {artifact.artifact_name!r}")
    promise(_finite(artifact.meta), "a number that JSON does not know")
    stored = path.read_bytes()
    member = zlib.decompressobj(31)
    plain = member.decompress(stored)
    promise(member.eof and not member.unused_data, "no gzip file of one member")
    if artifact.content_type == "application/json":
        document = orjson.loads(plain)
        if artifact.artifact_type == "console":
            _console(document, artifact)
        elif artifact.artifact_type == "subunit":
            _run(document)
    else:
        _table(plain)
    if artifact.blocks_path is not None:
        _blocks(stored, plain, orjson.loads(gzip.decompress(Path(artifact.blocks_path).read_bytes())))
    return len(plain)


def _finite(value: Any) -> bool:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, float) and not math.isfinite(one):
            return False
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, (list, tuple)):
            waiting += one
    return True


def _console(document: Any, artifact: ParsedArtifact) -> None:
    lines = [line for section in document["scripts"] for line in section["lines"]]
    promise(len(lines) == artifact.meta["lines"], "another number of lines")
    for section in document["scripts"]:
        for line in section["lines"]:
            promise("\x1b" not in line["line"], f"an escape in {line!r}")
            promise("\n" not in line["line"], f"two lines in {line!r}")
            if "sgr" in line:
                promise(_SGR_RUNS.fullmatch(line["sgr"]), f"runs {line['sgr']!r}")
                units = len(line["line"].encode("utf-16-le")) // 2
                for run in line["sgr"].split(" "):
                    start, _, rest = run.partition("+")
                    length = int(rest.partition(":")[0])
                    promise(length > 0 and int(start) + length <= units, f"a run past {line!r}")


def _run(rows: Any) -> None:
    for row in rows:
        start, end = row["timestamps"]
        promise(isinstance(start, str) and isinstance(end, str), f"no times: {row!r}")
    names = [row["name"] for row in rows]
    promise(len(names) == len(set(names)), "two tests of one name")


def _table(plain: bytes) -> None:
    text = plain.decode("utf-8")
    rows = text.split("\n")[6:]
    cells = {row.count(",") for row in rows if row}
    promise(len(cells) <= 1, "rows of different lengths")


def _blocks(stored: bytes, plain: bytes, index: Any) -> None:
    at, ordinal, text = len(HEADER), 0, []
    for offset, size, plain_size, crc, first, _ms in index["blocks"]:
        promise(offset == at, "a block that does not follow the one before")
        block = zlib.decompress(stored[offset : offset + size] + FINAL_BLOCK, -15)
        promise(len(block) == plain_size and zlib.crc32(block) == crc, "another block than the index says")
        promise(first >= ordinal, "tests or lines that go back")
        at, ordinal = offset + size, first
        text.append(block)
    promise(b"".join(text) == plain and index["plain_size"] == len(plain), "blocks that are not the whole")
