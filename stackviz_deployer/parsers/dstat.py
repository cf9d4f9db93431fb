# SPDX-License-Identifier: Apache-2.0
"""dstat CSV -> the ``dstat`` artifact, in the one form that StackViz reads.

StackViz wants (stackviz-contract.md, section 6) one title cell, three rows that it
skips, the groups, the columns, and then nothing but rows sorted by a time without a year,
which it takes as UTC in the year of the first test.  Files in the wild have empty lines,
a second header where dstat was started again, rows torn when it was killed, a clock that
goes back, local time, and New Year in the middle (formats/artifacts.md).
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter

from stackviz_deployer.errors import ParseError
from stackviz_deployer.model import ParsedArtifact, ParseRequest, ParseResult
from stackviz_deployer.parsers import dstat_time
from stackviz_deployer.parsers.artifact_name import artifact_name, safe_name
from stackviz_deployer.parsers.blockgzip import write_gzip
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.dstat_columns import DIALECTS, Column, Dialect, Layout, read_layout

FORM = 1
MAX_ROWS = 200_000
"""More than two days at one a second; a longer file is cut there."""
MAX_LINE_BYTES = 16 << 10
_MAX_ROW_CHARS = 2_000
"""Of a row as it is stored; only invented numbers (1e300) are longer."""
_MAX_CELL_CHARS = 500
_MAX_LAYOUTS = 50
"""Different headers in one file."""
_MAX_WARNINGS = 20

_TITLE = re.compile(r"(\S{1,40}) (\S{1,40}) CSV output", re.IGNORECASE)


def parse(request: ParseRequest) -> ParseResult:
    """``dstat``: one input -> at most one artifact, ``text/csv``.

    Options: ``artifact_name`` (default: the file's), ``reference_ms`` (when the tests
    began: it picks the year, and the zone where a name has two).  The artifact's meta is
    ``{"rows", "start_ms", "end_ms", "columns": [key, ...]}``; the times are None if no year is known.
    A file of a header alone gives a warning and no artifact.  Raises ParseError when the
    file is no dstat CSV or of an unknown dialect, TooLargeError past ``max_bytes``.
    """
    (source,) = request.inputs
    decoder = Decoder(source.path, name=source.name, max_bytes=request.max_bytes)
    reference_ms = request.options.get("reference_ms")
    reader = _Reader(source.name, reference_ms)
    for line in _lines(decoder):
        reader.line(line)
        if len(reader.rows) >= MAX_ROWS:
            reader.warn(f"only the first {MAX_ROWS} rows were read")
            break
    if reader.version is None:
        raise ParseError(f"{source.name}: the file is empty")
    table = reader.table()
    warnings = tuple(decoder.warnings + reader.warnings)
    if table is None:
        return ParseResult(warnings=warnings, decoded_bytes=decoder.decoded_bytes)
    columns, rows = table
    path = os.path.join(request.out_dir, "dstat.csv.gz")  # noqa: PTH118 - paths are str on this side of the pipe
    write_gzip(path, _csv(reader, columns, rows).encode())
    known = reader.year_known
    artifact = ParsedArtifact(
        artifact_type="dstat",
        artifact_name=safe_name(request.options.get("artifact_name") or artifact_name(source.name)),
        content_type="text/csv",
        primary=False,
        path=path,
        form=FORM,
        meta={
            "rows": len(rows),
            "start_ms": rows[0][0] if known else None,
            "end_ms": rows[-1][0] if known else None,
            "columns": [column.key for column in columns],
        },
    )
    return ParseResult(artifacts=(artifact,), warnings=warnings, decoded_bytes=decoder.decoded_bytes)


def _lines(chunks: Decoder) -> Iterator[bytes]:
    """Whole lines; the one without an end was torn when dstat was killed, and is left out."""
    rest = b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()[: MAX_LINE_BYTES + 1]  # too long already is still too long
        yield from lines


class _Reader:
    """Takes the lines of a file and keeps its rows."""

    def __init__(self, name: str, reference_ms: int | None) -> None:
        self._name = name
        self._reference_ms = reference_ms
        self.version: str | None = None
        self.host = ""
        self.command = ""
        self.year_known = reference_ms is not None
        self.warnings: list[str] = []
        self.rows: list[tuple[int, str, int]] = []
        """Time, cells as they are stored, index of the layout."""
        self._dialect: Dialect | None = None
        self._layouts: list[Layout] = []
        self._layout: Layout | None = None
        self._groups: list[str] | None = None
        # 2000 has a 29th of February
        self._clock = dstat_time.RowClock(reference_ms or dstat_time.year_start_ms(2000))
        self._offset_ms = 0
        self._damaged = 0
        self._incomplete: set[int] = set()
        self._steps_back = 0

    def warn(self, sentence: str) -> None:
        if len(self.warnings) < _MAX_WARNINGS:
            self.warnings.append(f"{self._name}: {sentence}.")

    def line(self, line: bytes) -> None:
        line = line.strip(b"\0 \t\r\xef\xbb\xbf")  # NULs: what a crashed file system leaves
        if not line:
            return
        if len(line) > MAX_LINE_BYTES:
            self._damaged += 1
        elif line[0] == 0x22:
            self._header(line)
        elif self.version is None:
            raise ParseError(f"{self._name}: not a dstat CSV; its first line is {_quoted(line)}")
        elif self._layout is not None:
            self._row(line, self._layout)
        else:
            self._damaged += 1

    def _header(self, line: bytes) -> None:
        try:
            cells = [c.strip()[:_MAX_CELL_CHARS] for c in next(csv.reader([line.decode("utf-8", "replace")]))]
        except csv.Error:
            self._damaged += 1
            return
        first = cells[0]
        title = _TITLE.fullmatch(first)
        if title:
            self._title(title)
        elif self.version is None:
            raise ParseError(f"{self._name}: not a dstat CSV; its first line is {_quoted(line)}")
        elif first in ("Author:", "Host:", "Cmdline:"):
            self._groups = self._layout = None
            if first == "Host:":
                self.host = self.host or _behind(cells, first)
            elif first == "Cmdline:":
                self.command = self.command or _behind(cells, first)
                self._date(_behind(cells, "Date:"))
        elif self._groups is None:
            self._groups, self._layout = cells, None
        else:
            self._layout = self._known_layout(self._groups, cells)
            self._groups = None

    def _title(self, title: re.Match[str]) -> None:
        self._groups = self._layout = None
        self._dialect = next((d for d in DIALECTS if d.program == title[1]), None)
        if self._dialect is None:
            # another program may have gone on with the file
            if self.version is None:
                known = ", ".join(d.program for d in DIALECTS)
                raise ParseError(
                    f"{self._name}: a CSV of '{title[0]}', which is not read yet (only of: {known})"
                )
            self.warn(f"the rows below '{title[0]}' were left out")
        self.version = self.version or title[2]

    def _date(self, text: str) -> None:
        date = dstat_time.parse_header_date(text)
        if date is None:
            return
        self._offset_ms, sure = dstat_time.zone_offset_ms(date, self._reference_ms)
        if not sure:
            hours = self._offset_ms / 3_600_000
            self.warn(f"the time zone '{date.zone}' is not known for sure; taken as UTC{hours:+g} h")
        self.year_known = True
        self._clock.set(date.local_ms)

    def _known_layout(self, groups: list[str], names: list[str]) -> Layout | None:
        if self._dialect is None:
            return None
        layout = read_layout(self._dialect, groups, names)
        if layout is None:
            self.warn("a header without a time or without any column that can be shown")
        elif layout in self._layouts:
            return self._layouts[self._layouts.index(layout)]
        elif len(self._layouts) < _MAX_LAYOUTS:
            self._layouts.append(layout)
            return layout
        else:
            self.warn(f"rows below headers that differ from the first {_MAX_LAYOUTS} were left out")
        return None

    def _row(self, line: bytes, layout: Layout) -> None:
        cells = line.split(b",")
        if len(cells) != layout.width:
            self._damaged += 1
            return
        ms = self._time(cells[layout.time], epoch=layout.epoch)
        if ms is None:
            self._damaged += 1
            return
        text, whole = layout.cells(cells)
        if "n" in text or len(text) > _MAX_ROW_CHARS:  # nan, inf, or numbers of hundreds of digits
            self._damaged += 1
            return
        if not whole:
            self._incomplete.add(len(self.rows))
        if self.rows and ms < self.rows[-1][0]:
            self._steps_back += 1
        self.rows.append((ms, text.replace(".0,", ",").removesuffix(".0"), self._layouts.index(layout)))

    def _time(self, text: bytes, *, epoch: bool) -> int | None:
        if epoch:
            try:
                seconds = float(text)
            except ValueError:
                return None
            self.year_known = True
            return int(seconds * 1000) if 0 <= seconds < 1e11 else None
        ms = self._clock.local_ms(text)
        return None if ms is None else ms - self._offset_ms

    def table(self) -> tuple[list[Column], list[tuple[int, str]]] | None:
        """The columns that all rows have, and the rows (time, cells) in order; None without a row.

        Tells in ``warnings`` what had to be left out.
        """
        used = sorted({index for _, _, index in self.rows})
        columns = list(self._layouts[used[0]].columns) if used else []
        rows = [(ms, text) for ms, text, _ in self.rows]
        if self._incomplete or len({self._layouts[i].columns for i in used}) > 1:
            columns, rows = self._common(used)
        if self._damaged:
            self.warn(f"{self._damaged} damaged rows were left out")
        if not rows:
            self.warn("it has no rows (dstat may have crashed at its start)")
            return None
        if self._steps_back:
            self.warn(f"the clock went back {self._steps_back} times; the rows were put in order")
            rows.sort(key=itemgetter(0))
        return columns, self._one_year(rows)

    def _common(self, used: list[int]) -> tuple[list[Column], list[tuple[int, str]]]:
        """Rows cut down to the columns that every header has and most rows fill.

        A gap would end StackViz's lines (NaN), so a row that still has one goes.
        """
        gaps: Counter[Column] = Counter()
        for number in self._incomplete:
            _, text, index = self.rows[number]
            cells = zip(self._layouts[index].columns, text.split(","), strict=True)
            gaps.update(column for column, cell in cells if not cell)
        first, *others = (self._layouts[i].columns for i in used)
        columns = [c for c in first if gaps[c] * 2 < len(self.rows) and all(c in other for other in others)]
        missing = dict.fromkeys(c.key for cs in (first, *others) for c in cs if c not in columns)
        if missing:
            self.warn(f"columns that many rows do not have were left out: {', '.join(missing)}")
        picks = {i: [self._layouts[i].columns.index(c) for c in columns] for i in used}
        rows = []
        for ms, text, index in self.rows if columns else ():
            all_cells = text.split(",")
            kept = [all_cells[at] for at in picks[index]]
            if all(kept):
                rows.append((ms, ",".join(kept)))
        self._damaged += len(self.rows) - len(rows)
        return columns, rows

    def _one_year(self, rows: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """Rows of one year: StackViz would show January after the same year's December."""
        first, last = dstat_time.year_of(rows[0][0]), dstat_time.year_of(rows[-1][0])
        if first == last:
            return rows
        counts: dict[int, int] = {}
        for ms, _ in rows:
            year = dstat_time.year_of(ms)
            counts[year] = counts.get(year, 0) + 1
        keep = dstat_time.year_of(self._reference_ms) if self._reference_ms is not None else None
        if keep not in counts:
            keep = max(counts, key=lambda year: counts[year])
        others = ", ".join(f"{n} rows of {year}" for year, n in counts.items() if year != keep)
        of_year = str(keep) if self.year_known else "the other year"
        self.warn(f"it goes over New Year, which StackViz cannot show: kept {of_year}, left out {others}")
        return [row for row in rows if dstat_time.year_of(row[0]) == keep]


def _csv(reader: _Reader, columns: list[Column], rows: list[tuple[int, str]]) -> str:
    """The file as StackViz wants it; the ``Date:`` gives our viewer the year."""
    groups, last = ['"system"'], "system"
    for column in columns:
        groups.append("" if column.group == last else f'"{column.group}"')
        last = column.group
    date = dstat_time.header_date(rows[0][0]) if reader.year_known else ""
    out = [
        f'"Dstat {_cell(reader.version or "")} CSV output"',
        '"Author:","Dag Wieers <dag@wieers.com>",,,,"URL:","http://dag.wieers.com/home-made/dstat/"',
        f'"Host:","{_cell(reader.host)}",,,,"User:",""',
        f'"Cmdline:","{_cell(reader.command)}",,,,"Date:","{date}"',
        ",".join(groups),
        ",".join(['"time"', *(f'"{column.name}"' for column in columns)]),
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


def _behind(cells: Sequence[str], label: str) -> str:
    """The cell after the one that says ``label``."""
    return next((cells[i + 1] for i, cell in enumerate(cells[:-1]) if cell == label), "")


def _cell(text: str) -> str:
    """Safe between double quotes: these rows are the only text of the file that is not ours."""
    return re.sub(r"[^ -!#-~]", "_", text)


def _quoted(line: bytes) -> str:
    return repr(line[:80].decode("utf-8", "replace"))
