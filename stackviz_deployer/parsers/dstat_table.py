# SPDX-License-Identifier: Apache-2.0
"""Measurements of a machine -> the ``dstat`` artifact.

StackViz wants (stackviz-contract.md, section 6) one title cell, three rows that it
skips, the groups, the columns, and then nothing but rows sorted by a time without a year,
which it takes as UTC in the year of the first test.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter

from attrs import frozen

from stackviz_deployer.model import ParsedArtifact, ParseRequest, ParseResult
from stackviz_deployer.parsers import dstat_time
from stackviz_deployer.parsers.artifact_name import artifact_name, safe_name
from stackviz_deployer.parsers.blockgzip import write_gzip
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.dstat_columns import Column

FORM = 1


@frozen(kw_only=True)
class Table:
    """What was read."""

    version: str
    """The second word of the title."""
    host: str
    command: str
    columns: Sequence[Column]
    rows: Sequence[tuple[int, str]]
    """Milliseconds since 1970 (in 2000 if no year is known), and the cells with commas between; not empty."""
    year_known: bool
    by_reference: bool
    """Whether the times hang on ``reference_ms``."""


def store(
    request: ParseRequest, decoder: Decoder, table: Table | None, warnings: Sequence[str]
) -> ParseResult:
    """One artifact, or none without a table.

    The option ``reference_ms`` (when the tests began) picks the year of rows that have none, and the one
    that is kept where rows go over New Year; where it mattered, the result is ``by_reference``.  The
    artifact's meta is ``{"rows", "start_ms", "end_ms", "columns": [key, ...]}``; the times are None if
    no year is known.
    """
    (source,) = request.inputs
    said = [*decoder.warnings, *warnings]
    if table is None:
        return ParseResult(warnings=tuple(said), decoded_bytes=decoder.decoded_bytes)
    rows = list(table.rows)
    steps_back = sum(later[0] < row[0] for row, later in pairwise(rows))
    if steps_back:
        times = "once" if steps_back == 1 else f"{steps_back} times"
        said.append(f"{source.name}: the clock went back {times}; the rows were put in order.")
        rows.sort(key=itemgetter(0))
    by_reference = table.by_reference
    if dstat_time.year_of(rows[0][0]) != dstat_time.year_of(rows[-1][0]):
        by_reference = True
        rows, sentence = _one_year(rows, request.options.get("reference_ms"), year_known=table.year_known)
        said.append(f"{source.name}: {sentence}.")
    path = os.path.join(request.out_dir, "dstat.csv.gz")  # noqa: PTH118 - paths are str on this side of the pipe
    write_gzip(path, _csv(table, rows).encode())
    artifact = ParsedArtifact(
        artifact_type="dstat",
        artifact_name=safe_name(request.options.get("artifact_name") or artifact_name(source.name)),
        content_type="text/csv",
        primary=False,
        path=path,
        form=FORM,
        meta={
            "rows": len(rows),
            "start_ms": rows[0][0] if table.year_known else None,
            "end_ms": rows[-1][0] if table.year_known else None,
            "columns": [column.key for column in table.columns],
        },
    )
    return ParseResult(
        artifacts=(artifact,),
        warnings=tuple(said),
        decoded_bytes=decoder.decoded_bytes,
        by_reference=by_reference,
    )


def _one_year(
    rows: Sequence[tuple[int, str]], reference_ms: int | None, *, year_known: bool
) -> tuple[list[tuple[int, str]], str]:
    """Rows of one year, and what was left out: StackViz would show January after the same year's December."""
    counts = Counter(dstat_time.year_of(ms) for ms, _ in rows)
    keep = None if reference_ms is None else dstat_time.year_of(reference_ms)
    if keep not in counts:
        keep = max(counts, key=lambda year: counts[year])
    others = ", ".join(f"{n} rows of {year}" for year, n in counts.items() if year != keep)
    of_year = str(keep) if year_known else "the other year"
    sentence = f"it goes over New Year, which StackViz cannot show: kept {of_year}, left out {others}"
    return [row for row in rows if dstat_time.year_of(row[0]) == keep], sentence


def _csv(table: Table, rows: Sequence[tuple[int, str]]) -> str:
    """The file as StackViz wants it; the ``Date:`` gives our viewer the year."""
    groups, last = ['"system"'], "system"
    for column in table.columns:
        groups.append("" if column.group == last else f'"{column.group}"')
        last = column.group
    date = dstat_time.header_date(rows[0][0]) if table.year_known else ""
    out = [
        f'"Dstat {_cell(table.version)} CSV output"',
        '"Author:","Dag Wieers <dag@wieers.com>",,,,"URL:","http://dag.wieers.com/home-made/dstat/"',
        f'"Host:","{_cell(table.host)}",,,,"User:",""',
        f'"Cmdline:","{_cell(table.command)}",,,,"Date:","{date}"',
        ",".join(groups),
        ",".join(['"time"', *(f'"{column.name}"' for column in table.columns)]),
    ]
    day, day_text = None, ""
    for ms, text in rows:
        now, second = divmod(ms, dstat_time.DAY_MS)
        if now != day:
            day, day_text = now, dstat_time.day_month(ms)
        minute, second = divmod(second // 1000, 60)
        out.append(f"{day_text} {minute // 60:02}:{minute % 60:02}:{second:02},{text}")
    out.append("")
    return "\n".join(out)


def _cell(text: str) -> str:
    """Safe between double quotes: these rows are the only text of the file that is not ours."""
    return re.sub(r"[^ -!#-~]", "_", text)
