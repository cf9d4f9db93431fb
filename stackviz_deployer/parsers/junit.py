# SPDX-License-Identifier: Apache-2.0
"""JUnit XML reports -> one run: ``subunit``, ``subunit-stats`` and ``subunit-details``.

The artifacts have the shapes of a subunit stream's, so their readers need not know.
"""

from __future__ import annotations

import gc
from pathlib import Path

from stackviz_deployer.errors import ParseError
from stackviz_deployer.model import InputFile, ParsedArtifact, ParseRequest, ParseResult
from stackviz_deployer.parsers.artifact_name import artifact_name, safe_name
from stackviz_deployer.parsers.blockgzip import BlockGzipWriter, write_gzip
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.junit_reader import ReportReader
from stackviz_deployer.parsers.junit_run import LIMITS, JunitRun
from stackviz_deployer.parsers.junit_xml import XmlReader
from stackviz_deployer.parsers.subunit_run import TestRun
from stackviz_deployer.parsers.subunit_shape import RunShape, shape_run

FORM = 1
"""Of the three stored forms."""
MAX_FILE_WARNINGS = 50
"""Of all files together; a run may have hundreds."""

_JSON = "application/json"


def parse(request: ParseRequest) -> ParseResult:
    """One group of artifacts for all inputs together: surefire writes a file a class.

    Options: ``artifact_name`` of the run, else that of a single input or ``junit``; ``left_out``,
    how many files were not fetched because there are too many.  The inputs share what
    ``max_bytes`` allows them together.  Reports without a test give ``subunit-stats``
    alone, as the primary one.  A file that is no report, or has a DOCTYPE, is left out with a
    warning; ParseError when there is no other, TooLargeError when all are over the limit.
    """
    # what is made here lives to the end and has few cycles: looking for these costs a tenth
    gc.disable()
    try:
        return _parse(request)
    finally:
        gc.enable()


def _parse(request: ParseRequest) -> ParseResult:
    base = Path(request.out_dir)
    paths = {kind: str(base / f"{kind}.json.gz") for kind in ("subunit", "stats", "details")}
    left = request.max_bytes * len(request.inputs)
    said: list[str] = []
    refused: list[ParseError] = []
    with BlockGzipWriter(paths["details"], unit="test") as details:
        run = TestRun(details, LIMITS)
        junit = JunitRun(run)
        for file in request.inputs:
            decoder = Decoder(file.path, name=file.name, max_bytes=left)
            try:
                said += _read_report(decoder, file, junit, prefix=len(request.inputs) > 1)
            except ParseError as error:
                refused.append(error)
                said.append(f"{error.message}.")
            left -= decoder.decoded_bytes
        if len(refused) == len(request.inputs):
            raise refused[0] if refused else ParseError("no JUnit report was given")
        settled = junit.close()
        run.close()
        blocks_path = details.close()
    if len(said) > MAX_FILE_WARNINGS:
        said[MAX_FILE_WARNINGS:] = [f"{len(said) - MAX_FILE_WARNINGS} more warnings are left out."]
    if left_out := request.options.get("left_out"):
        said.append(f"{left_out} more reports are left out: a run is made of {len(request.inputs)} at most.")
    if not run.tests:
        settled.append(
            "The report holds no test." if len(request.inputs) == 1 else "The reports hold no test."
        )
    shape = shape_run(run.tests, [*said, *settled])
    wanted = request.options.get("artifact_name")
    if wanted is None:
        name = artifact_name(request.inputs[0].name) if len(request.inputs) == 1 else "junit"
    else:
        name = safe_name(str(wanted))
    meta = _meta(shape, junit)
    write_gzip(paths["stats"], shape.stats)

    def artifact(kind: str, *, primary: bool = False, index: str | None = None) -> ParsedArtifact:
        return ParsedArtifact(
            artifact_type="subunit" if kind == "subunit" else f"subunit-{kind}",
            artifact_name=name,
            content_type=_JSON,
            primary=primary,
            path=paths[kind],
            blocks_path=index,
            form=FORM,
            meta=meta if index is None else {},
        )

    if run.tests:
        write_gzip(paths["subunit"], shape.rows)
        made = [
            artifact("subunit", primary=True),
            artifact("stats"),
            artifact("details", index=blocks_path),
        ]
    else:
        made = [artifact("stats", primary=True)]  # StackViz lists only groups with a primary artifact
    return ParseResult(
        artifacts=tuple(made),
        warnings=tuple(f"{name}: {sentence}" for sentence in shape.warnings),
        decoded_bytes=request.max_bytes * len(request.inputs) - left,
    )


def _read_report(decoder: Decoder, file: InputFile, junit: JunitRun, *, prefix: bool) -> list[str]:
    """Read one file into the run; sentences on what is wrong with it, with its name if ``prefix``.

    Raises ParseError when it is no report.
    """
    reader = ReportReader(junit)
    xml = XmlReader(reader, name=file.name)
    try:
        xml.read(decoder)
    finally:
        said = reader.close()
    if not reader.is_report:
        if reader.root is not None:
            raise ParseError(f"{file.name} is no JUnit report: its root is <{reader.root}>")
        raise ParseError(f"{file.name} is {'no XML' if decoder.decoded_bytes else 'empty'}")
    said = [*xml.warnings, *said]
    if prefix:
        said = [f"{file.name}: {sentence}" for sentence in said]
    return [*decoder.warnings, *said]


def _meta(shape: RunShape, junit: JunitRun) -> dict[str, object]:
    """Without the times when they are all invented: another artifact's year may be taken from them."""
    invented = () if junit.layout.dated else ("start_ms", "end_ms")
    return {key: value for key, value in shape.meta.items() if key not in invented} | {"flaky": junit.flaky}
