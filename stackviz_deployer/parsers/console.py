# SPDX-License-Identifier: Apache-2.0
"""A console of any era -> the ``console`` artifact: lines with their times, cut into scripts or tasks.

The text of the artifact begins with the status, which stands at the end of a console, so
the finished lines wait in a temporary file until it is known; what is held in memory is a
chunk of lines and the list of pieces.
"""

from __future__ import annotations

import calendar
import os
import tempfile
from collections.abc import Iterable
from typing import Any, BinaryIO

import orjson

from stackviz_deployer.model import ParsedArtifact, ParseRequest, ParseResult
from stackviz_deployer.parsers import jjb
from stackviz_deployer.parsers.artifact_name import artifact_name, safe_name
from stackviz_deployer.parsers.blockgzip import BlockGzipWriter
from stackviz_deployer.parsers.console_outline import Border, Kind, Outline, Section
from stackviz_deployer.parsers.console_text import MAX_LINE_BYTES, Lines, read_lines
from stackviz_deployer.parsers.console_zuul import ZuulOutline, is_job_output
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.severity import LEVELS, Severity

FORM = 1
MAX_LINES = 2_000_000
"""A longer console is cut there: an empty line of one byte is one of 24 in the artifact."""
_PIECE_BYTES = 16 << 10
"""About so much text lies between two places where a block may end."""
_LINE_OVERHEAD = 23
"""Of ``{"date":"","line":""},``."""
_META_SECTIONS = 100
_MAX_NAME_CHARS = 200
_SUFFIXES = tuple(f'","level":"{level}'.encode() for level in LEVELS)
"""Behind the text of a line above INFO."""


def parse(request: ParseRequest) -> ParseResult:
    """``console``: one input -> one artifact, ``application/json`` with a block index.

    Options: ``artifact_name`` (default: the file's), ``jjb_yaml_path`` and ``jjb_cache_dir`` (where
    the scripts' names come from; without the first they are numbered), ``job_name``.  The
    text is laid out one line object a line; one above INFO has a third key, ``level`` (one of
    severity.LEVELS), and one with colours has ``sgr`` behind its date (parsers.sgr).  The index's
    ``first`` counts lines, its extra keys are ``{"status", "lines", "levels": {"ERROR": n},
    "block_levels": [[warnings, errors, criticals], ...], "sections": [{"name", "first", "count", "start_ms",
    "end_ms", "levels"?}]}``, ``levels`` without those that do not occur.  The artifact's
    meta is ``{"status", "job", "lines", "levels", "template", "sections": [{"name", "first", "count"}]}``
    (the first 100); ``job`` is what the console calls it, or None.
    An empty console gives a warning and no artifact.  Raises ParseError for an HTML page
    that is no console, TooLargeError past ``max_bytes``.
    """
    (source,) = request.inputs
    decoder = Decoder(source.path, name=source.name, max_bytes=request.max_bytes)
    warnings: list[str] = []
    outline: Outline | ZuulOutline | None = None
    severity = Severity()
    cut_lines = 0
    with tempfile.TemporaryFile(dir=request.out_dir) as spool:
        for lines in read_lines(decoder, name=source.name):
            if outline is None:
                outline = ZuulOutline() if is_job_output(lines, source.name) else Outline()
            whole, cut = _spool(lines, outline, severity, spool)
            cut_lines += cut
            if not whole:
                warnings.append(f"{source.name}: only the first {MAX_LINES} lines were read.")
                break
        if outline is None:
            warnings.append(f"{source.name}: the console is empty.")
            return ParseResult(warnings=(*decoder.warnings, *warnings), decoded_bytes=decoder.decoded_bytes)
        outline.close()
        if cut_lines:
            what = "line is" if cut_lines == 1 else "lines are"
            most = MAX_LINE_BYTES >> 20
            warnings.append(f"{source.name}: {cut_lines} {what} longer than {most} MiB and cut off there.")
        if outline.left_out:
            warnings.append(f"{source.name}: {outline.too_many}.")
        names, remaining, template = _name(outline, request.options, source.name, warnings)
        spool.seek(0)
        path = os.path.join(request.out_dir, "console.json.gz")  # noqa: PTH118 - paths are str on this side of the pipe
        head = {"status": outline.status, "remaining": remaining}
        blocks_path = _write(path, head, outline, names, spool)
    sections = [
        {"name": name, "first": section.first, "count": section.count}
        for name, section in zip(names, outline.sections[:_META_SECTIONS], strict=False)
    ]
    artifact = ParsedArtifact(
        artifact_type="console",
        artifact_name=safe_name(request.options.get("artifact_name") or artifact_name(source.name)),
        content_type="application/json",
        primary=True,
        path=path,
        blocks_path=blocks_path,
        form=FORM,
        meta={
            "status": outline.status,
            "job": outline.job,
            "lines": outline.lines,
            "levels": _levels(outline.sections),
            "template": template,
            "sections": sections,
        },
    )
    return ParseResult(
        artifacts=(artifact,),
        warnings=(*decoder.warnings, *warnings),
        decoded_bytes=decoder.decoded_bytes,
    )


def _spool(
    lines: Lines, outline: Outline | ZuulOutline, severity: Severity, spool: BinaryIO
) -> tuple[bool, int]:
    """Append line objects to ``spool``; whether all of them, and how many lines had to be cut."""
    dates, texts = lines.split()
    whole = len(texts) <= MAX_LINES - outline.lines
    if not whole:
        texts = texts[: MAX_LINES - outline.lines]
        if not texts:
            return False, 0
    cut = lines.cut(texts)
    step = max(1, _PIECE_BYTES * len(texts) // (len(lines.text) + _LINE_OVERHEAD * len(texts)))
    levels = severity.levels(lines, dates, texts)
    first = outline.lines
    cuts = list(outline.cut(lines, texts))
    for at, level in levels:
        texts[at] += _SUFFIXES[level - 1]
    heads = dates
    if lines.runs:
        heads = dates.copy()
        for at, runs in lines.runs.items():
            heads[at] += b'","sgr":"' + runs
    place = 0
    for section, start, end in cuts:
        for at in range(start, end, step):
            upto = min(at + step, end)
            begin = place
            while place < len(levels) and levels[place][0] < upto:
                place += 1
            ms = _first_ms(dates[at:upto])
            size = spool.write(_join(heads[at:upto], texts[at:upto]))
            counted = _count(levels[begin:place]) if place > begin else None
            section.borders.append(Border(size, first + at, ms, counted))
            if section.start_ms is None:
                section.start_ms = ms
        section.count += end - start
        section.end_ms = _first_ms(dates[start:end][::-1]) or section.end_ms
    return whole, cut


def _count(levels: list[tuple[int, int]]) -> tuple[int, ...]:
    found = [level for _, level in levels]
    return tuple(found.count(level) for level in range(1, len(LEVELS) + 1))


def _sum(counts: Iterable[tuple[int, ...] | None]) -> list[int]:
    total = [0] * len(LEVELS)
    for count in counts:
        if count is not None:
            total = [a + b for a, b in zip(total, count, strict=True)]
    return total


def _levels(sections: list[Section]) -> dict[str, int]:
    """How many lines of each level that occurs."""
    total = _sum(border.levels for section in sections for border in section.borders)
    return {name: count for name, count in zip(LEVELS, total, strict=True) if count}


def _join(dates: list[bytes], texts: list[bytes]) -> bytes:
    """``{"date":"...","line":"..."},`` for each line; what else it has comes with its date or text."""
    pieces = [b'","line":"'] * (4 * len(texts))
    pieces[0::4] = [b'"},\n{"date":"'] * len(texts)
    pieces[1::4] = dates
    pieces[3::4] = texts
    pieces[0] = b'{"date":"'
    pieces.append(b'"},\n')
    return b"".join(pieces)


def _write(
    path: str,
    head: dict[str, Any],
    outline: Outline | ZuulOutline,
    names: list[str],
    spool: BinaryIO,
) -> str:
    """Lay the artifact out; returns the path of its block index."""
    block_levels: list[list[int]] = []
    with BlockGzipWriter(path, unit="line") as writer:
        writer.write(orjson.dumps(head)[:-1] + b',"scripts":[\n')
        for index, (name, section) in enumerate(zip(names, outline.sections, strict=True)):
            if index:
                writer.write(b"]},\n")
            opening = b'{"name":' + orjson.dumps(name) + b',"lines":[\n'
            last = len(section.borders) - 1
            for number, border in enumerate(section.borders):
                block = writer.border(border.first, border.ms)
                if block == len(block_levels):
                    block_levels.append([0] * len(LEVELS))
                if border.levels is not None:
                    block_levels[-1] = _sum((tuple(block_levels[-1]), border.levels))
                piece = spool.read(border.size)
                if number == last:
                    piece = piece[:-2] + b"\n"
                writer.write(piece if number else opening + piece)
        writer.write(b"]}\n]}\n")
        extra = {
            "status": outline.status,
            "lines": outline.lines,
            "levels": _levels(outline.sections),
            "block_levels": block_levels,
            "sections": [
                _section(name, section) for name, section in zip(names, outline.sections, strict=True)
            ],
        }
        return writer.close(extra)


def _section(name: str, section: Section) -> dict[str, Any]:
    """As the index tells of it."""
    levels = _levels([section])
    return {
        "name": name,
        "first": section.first,
        "count": section.count,
        "start_ms": section.start_ms,
        "end_ms": section.end_ms,
        **({"levels": levels} if levels else {}),
    }


def _name(
    outline: Outline | ZuulOutline, options: Any, source: str, warnings: list[str]
) -> tuple[list[str], list[str], str | None]:
    """Names of the sections, names of the scripts that never ran, and the template they are from."""
    if isinstance(outline, ZuulOutline):
        return [section.title[:_MAX_NAME_CHARS] for section in outline.sections], [], None
    scripts = [section for section in outline.sections if section.kind is Kind.SCRIPT]
    labels: tuple[str, ...] = ()
    template = None
    yaml_path = options.get("jjb_yaml_path")
    if yaml_path:
        index = jjb.load(yaml_path, options.get("jjb_cache_dir"))
        warnings += index.warnings
        interpreters = [section.interpreter for section in scripts]
        # what the CI calls the job, or what Jenkins does
        for job in (options.get("job_name"), outline.job):
            match = index.match(job, printed=outline.template, interpreters=interpreters)
            if match is not None:
                break
        if match is not None:
            labels, template = match.labels, match.template
            if not match.consistent:
                warnings.append(
                    f"{source}: the scripts do not fit the template {template}; their names may be wrong."
                )
    names, number = [], 0
    for section in outline.sections:
        if section.kind is Kind.SCRIPT:
            names.append(labels[number] if number < len(labels) else f"script {number + 1}")
            number += 1
        else:
            names.append(_fixed_name(section))
    # of a console that ends in the middle nobody knows what ran after that
    remaining = list(labels[number:]) if outline.complete else []
    return [name[:_MAX_NAME_CHARS] for name in names], remaining, template


def _fixed_name(section: Section) -> str:
    if section.title:
        return section.title
    if section.kind is Kind.PUBLISHERS:
        return "scp"  # StackViz takes the section before the last for the last script
    if section.kind is Kind.POST_BUILD:
        return "post-build script"
    return "$ " + section.command.split()[0]


def _first_ms(dates: list[bytes]) -> int | None:
    for date in dates:
        if date:
            return _ms(date)
    return None


def _ms(date: bytes) -> int | None:
    """``2016-06-01 12:00:00.123`` -> milliseconds; None where the calendar has no such time."""
    year, month, day = int(date[:4]), int(date[5:7]), int(date[8:10])
    hour, minute, second = int(date[11:13]), int(date[14:16]), int(date[17:19])
    try:
        seconds = calendar.timegm((year, month, day, hour, minute, second))
    except ValueError:
        return None
    return seconds * 1000 + int(date[20:23].ljust(3, b"0"))
