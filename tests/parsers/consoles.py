# SPDX-License-Identifier: Apache-2.0
"""Consoles for the tests of parsers.console, and a look at all that StackViz and our viewer count on."""

import gzip
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.model import InputFile, ParseRequest, ParseResult
from stackviz_deployer.parsers import console, console_text, jjb, severity

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = ROOT / "tests" / "fixtures" / "console"
ZUUL = ROOT / "tests" / "fixtures" / "zuul"
YAML = ROOT / "tests" / "fixtures" / "jjb"
SHARED = ROOT.parent / "shared"

_RUN = r"\d+\+[1-9]\d*:(?=.)B?I?U?S?[0-9a-f]?(?:/[0-9a-f])?"
RUNS = rf"^{_RUN}(?: {_RUN})*$"

SETUP = [
    "Started by user anonymous",
    "Building remotely on node in workspace /home/jenkins/workspace/gate-nova-tox-py27",
]
SCRIPT = "[gate-nova-tox-py27] $ {} /tmp/hudson{}.sh"
SHELLS = [
    "/bin/sh -xe",
    "/bin/bash -xe",
    "/bin/bash -x",
    "/bin/bash -xe",
    "/bin/bash -xe",
    "/usr/bin/env bash",
]
"""Of the fixture's template gate-{name}-tox-{envlist}."""
LABELS = [
    "print-template-name",
    "prepare-and-checkout (1/3)",
    "prepare-and-checkout (2/3)",
    "prepare-and-checkout (3/3)",
    "tox",
    "shell",
]


def stamped(lines: list[str], digits: int = 3) -> str:
    """Lines one second apart, from 2016-06-01 12:00:00."""
    return "".join(
        f"2016-06-01 {12 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}.{'123456'[:digits]} | {line}\n"
        for n, line in enumerate(lines)
    )


def build(
    scripts: int = 6, end: tuple[str, ...] = ("[SCP] Connecting to x", "Finished: SUCCESS")
) -> list[str]:
    lines = [*SETUP]
    for n in range(scripts):
        lines += [SCRIPT.format(SHELLS[n], n), f"+ run {n}"]
    return [*lines, *end]


class ConsoleCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.addCleanup(jjb._cache.clear)

    def parse(
        self, data: str | bytes, name: str = "console.html", max_bytes: int = 1 << 26, **options: Any
    ) -> ParseResult:
        path = self.directory / "input"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return console.parse(
            ParseRequest(
                parser="console",
                inputs=(InputFile(path=str(path), name=name),),
                out_dir=str(self.directory),
                max_bytes=max_bytes,
                options=options,
            )
        )

    def read(self, result: ParseResult) -> Any:
        return read(self, result)

    def texts(self, data: str | bytes, **options: Any) -> list[str]:
        scripts = self.read(self.parse(data, **options))["scripts"]
        return [line["line"] for script in scripts for line in script["lines"]]

    def names(self, lines: list[str], **options: Any) -> list[str]:
        return [script["name"] for script in self.read(self.parse(stamped(lines), **options))["scripts"]]


def read(case: SynchronousTestCase, result: ParseResult) -> Any:
    """The document, after a look at everything that StackViz and our viewer count on."""
    (artifact,) = result.artifacts
    case.assertEqual(
        (artifact.artifact_type, artifact.content_type, artifact.primary),
        ("console", "application/json", True),
    )
    text = gzip.decompress(Path(artifact.path).read_bytes())
    data = orjson.loads(text)
    case.assertEqual(list(data), ["status", "remaining", "scripts"])
    case.assertIsInstance(data["remaining"], list)
    for script in data["scripts"]:
        case.assertEqual(list(script), ["name", "lines"])
        case.assertTrue(script["name"])
        case.assertTrue(script["lines"], "a script without lines loses its header")
        for line in script["lines"]:
            case.assertIn([key for key in line if key not in ("sgr", "level")], (["date", "line"],))
            case.assertEqual(list(line), [k for k in ("date", "sgr", "line", "level") if k in line])
            check_runs(case, line)
            case.assertIn(line.get("level", "ERROR"), severity.LEVELS)
            case.assertRegex(line["date"], r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?)?$")
            case.assertNotRegex(line["line"], r"[\x00-\x08\x0a-\x1f]")
    assert artifact.blocks_path is not None
    index = orjson.loads(gzip.decompress(Path(artifact.blocks_path).read_bytes()))
    lines = [line for script in data["scripts"] for line in script["lines"]]
    case.assertEqual(index["unit"], "line")
    case.assertEqual((index["status"], index["lines"]), (data["status"], len(lines)))
    first = 0
    for section, script in zip(index["sections"], data["scripts"], strict=True):
        case.assertEqual(
            (section["name"], section["first"], section["count"], section.get("levels", {})),
            (script["name"], first, len(script["lines"]), levels_of(script["lines"])),
        )
        first += section["count"]
    case.assertEqual(artifact.meta["lines"], len(lines))
    case.assertEqual(artifact.meta["status"], data["status"])
    case.assertEqual(
        artifact.meta["sections"],
        [{k: s[k] for k in ("name", "first", "count")} for s in index["sections"][:100]],
    )
    case.assertEqual(index["levels"], levels_of(lines))
    case.assertEqual(artifact.meta["levels"], levels_of(lines))
    check_blocks(case, Path(artifact.path).read_bytes(), index, lines)
    return data


def check_runs(case: SynchronousTestCase, line: Any) -> None:
    """In order, none empty, none over another, all within the text."""
    if "sgr" not in line:
        return
    case.assertRegex(line["sgr"], RUNS)
    end = 0
    for run in line["sgr"].split(" "):
        start, length = map(int, run.partition(":")[0].split("+"))
        case.assertGreaterEqual(start, end)
        case.assertGreater(length, 0)
        end = start + length
    if not line["line"].endswith(console_text.CUT_MARK.decode()):
        case.assertLessEqual(end, len(line["line"].encode("utf-16-le")) // 2)


def levels_of(lines: list[Any]) -> dict[str, int]:
    counts = Counter(line["level"] for line in lines if "level" in line)
    return {level: counts[level] for level in severity.LEVELS if counts[level]}


def check_blocks(case: SynchronousTestCase, stored: bytes, index: Any, lines: list[Any]) -> None:
    """Each block alone gives the lines from its first on, one object a line."""
    firsts = [block[4] for block in index["blocks"]] + [len(lines)]
    for number, (offset, size, plain_size, crc, first, _first_ms) in enumerate(index["blocks"]):
        plain = zlib.decompressobj(-15).decompress(stored[offset : offset + size])
        case.assertEqual((len(plain), zlib.crc32(plain)), (plain_size, crc))
        found = [
            orjson.loads(line.rstrip(b",")) for line in plain.split(b"\n") if line.startswith(b'{"date"')
        ]
        case.assertEqual(found, lines[first : firsts[number + 1]])
        levels = [level for level in index["block_levels"][number] if level]
        case.assertEqual(levels, list(levels_of(found).values()))
    case.assertEqual(len(index["block_levels"]), len(index["blocks"]))
