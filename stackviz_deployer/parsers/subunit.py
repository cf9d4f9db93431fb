# SPDX-License-Identifier: Apache-2.0
"""Subunit streams -> ``subunit``, ``subunit-stats`` and ``subunit-details`` of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from stackviz_deployer.model import ParsedArtifact, ParseRequest, ParseResult
from stackviz_deployer.parsers.artifact_name import artifact_name, safe_name
from stackviz_deployer.parsers.blockgzip import BlockGzipWriter, write_gzip
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.subunit_run import TestRun
from stackviz_deployer.parsers.subunit_shape import shape_run
from stackviz_deployer.parsers.subunit_v2 import V2Reader, contains_packet

FORM = 1
"""Of the three stored forms."""

PARTIAL = "The test run was ended before its end: these are the tests it had told of until then."

_JSON = "application/json"
_HEAD_BYTES = 64 << 10
_V1_LINE = re.compile(
    rb"^(?:time: \d{4}-|(?:test|testing|success|successful|failure|error|skip|xfail|uxsuccess): \S)",
    re.MULTILINE,
)


def parse(request: ParseRequest) -> ParseResult:
    """One group of artifacts for each input.

    Options: ``artifact_names``, one for each input; else the inputs' base names; ``partial``: these are
    what a test runner was writing when it was ended, which is told.  A stream
    without a test gives ``subunit-stats`` alone, as the primary one, its text as a warning.  A damaged one
    gives what is whole; TooLargeError for one that is over ``max_bytes``.
    """
    artifacts: list[ParsedArtifact] = []
    warnings: list[str] = []
    decoded_bytes = 0
    for number, (file, name) in enumerate(zip(request.inputs, artifact_names(request), strict=True)):
        decoder = Decoder(file.path, name=file.name, max_bytes=request.max_bytes)
        base = Path(request.out_dir) / str(number)
        made, said = _read_stream(decoder, name, base, [PARTIAL] if request.options.get("partial") else [])
        artifacts += made
        warnings += [f"{name}: {sentence}" for sentence in said]
        decoded_bytes += decoder.decoded_bytes
    return ParseResult(artifacts=tuple(artifacts), warnings=tuple(warnings), decoded_bytes=decoded_bytes)


def artifact_names(request: ParseRequest) -> list[str]:
    """A safe name for each input, no two alike."""
    wanted = request.options.get("artifact_names")
    safe_names = map(safe_name, wanted) if wanted else (artifact_name(file.name) for file in request.inputs)
    names: list[str] = []
    for safe in safe_names:
        name = safe
        number = 1
        while name in names:
            number += 1
            name = f"{safe} {number}"
        names.append(name)
    return names


def _read_stream(
    decoder: Decoder, name: str, base: Path, said: list[str]
) -> tuple[list[ParsedArtifact], list[str]]:
    """The artifacts of one stream, in files that begin with ``base``; and ``said`` with what was repaired."""
    paths = {kind: f"{base}-{kind}.json.gz" for kind in ("subunit", "stats", "details")}
    with BlockGzipWriter(paths["details"], unit="test") as details:
        run = TestRun(details)
        found = _read_events(iter(decoder), run)
        run.close()
        blocks_path = details.close()
    said = [*said, *decoder.warnings, *found, *run.warnings()]
    if not run.tests:
        said.append(_no_tests(decoder, run))
    shape = shape_run(run.tests, said)
    write_gzip(paths["stats"], shape.stats)
    stats = ParsedArtifact(
        artifact_type="subunit-stats",
        artifact_name=name,
        content_type=_JSON,
        primary=not run.tests,  # StackViz lists only groups with a primary artifact
        path=paths["stats"],
        form=FORM,
        meta=shape.meta,
    )
    if not run.tests:
        return [stats], list(shape.warnings)
    write_gzip(paths["subunit"], shape.rows)
    subunit = ParsedArtifact(
        artifact_type="subunit",
        artifact_name=name,
        content_type=_JSON,
        primary=True,
        path=paths["subunit"],
        form=FORM,
        meta=shape.meta,
    )
    texts = ParsedArtifact(
        artifact_type="subunit-details",
        artifact_name=name,
        content_type=_JSON,
        primary=False,
        path=paths["details"],
        blocks_path=blocks_path,
        form=FORM,
    )
    return [subunit, stats, texts], list(shape.warnings)


def _read_events(chunks: Iterator[bytes], run: TestRun) -> list[str]:
    head: list[bytes] = []
    for chunk in chunks:
        head.append(chunk)
        if sum(map(len, head)) >= _HEAD_BYTES:
            break
    beginning = b"".join(head)
    chunks = chain(head, chunks)
    if _V1_LINE.search(beginning) and not contains_packet(beginning):
        from stackviz_deployer.parsers.subunit_v1 import read_v1  # noqa: PLC0415 - heavy, and rarely needed

        return read_v1(chunks, run)
    reader = V2Reader(run)
    for chunk in chunks:
        reader.feed(chunk)
    reader.close()
    return []


def _no_tests(decoder: Decoder, run: TestRun) -> str:
    text = run.found_text().strip()
    if text:
        return f"The stream holds no test, only this text:\n{text}"
    return "The stream holds no test." if decoder.decoded_bytes else "The stream is empty."
