# SPDX-License-Identifier: Apache-2.0
"""dstat CSV of every dialect -> the ``dstat`` artifact, in the one form that StackViz reads.

Files in the wild come from Dstat, pcp-dstat and dool, and have empty lines, a second header
where the program was started again, rows torn when it was killed, a clock that goes back,
local time, and New Year in the middle (formats/artifacts.md).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence

from stackviz_deployer.errors import ParseError
from stackviz_deployer.model import ParseRequest, ParseResult
from stackviz_deployer.parsers import dstat_time
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.dstat_columns import DIALECTS, Column, Dialect, Layout, read_layout
from stackviz_deployer.parsers.dstat_lines import MAX_LINE_BYTES, whole_lines
from stackviz_deployer.parsers.dstat_table import Table, store

MAX_ROWS = 200_000
"""More than two days at one a second; a longer file is cut there."""
_MAX_ROW_CHARS = 2_000
"""Of a row as it is stored; only invented numbers (1e300) are longer."""
_MAX_CELL_CHARS = 500
_MAX_LAYOUTS = 50
"""Different headers in one file."""
_MAX_HEADERS = 2_000
"""Header lines that are taken apart; the program is started again a few times at most."""
_MAX_WARNINGS = 20

_TITLE = re.compile(r"(\S{1,40}) (\S{1,40}) CSV output", re.IGNORECASE)


def parse(request: ParseRequest) -> ParseResult:
    """``dstat``: one input -> at most one artifact, ``text/csv``.

    Options: ``artifact_name`` (default: the file's), ``reference_ms`` (when the tests began; see
    dstat_table.store).  A file of a header alone gives a warning and no artifact.  Raises ParseError when the
    file is no dstat CSV or of an unknown dialect, TooLargeError past ``max_bytes``.
    """
    (source,) = request.inputs
    decoder = Decoder(source.path, name=source.name, max_bytes=request.max_bytes)
    reader = _Reader(source.name, request.options.get("reference_ms"))
    for line in whole_lines(decoder):
        reader.line(line)
        if len(reader.rows) >= MAX_ROWS:
            reader.warn(f"only the first {MAX_ROWS} rows were read")
            break
        if reader.full:
            break
    if reader.version is None:
        raise ParseError(f"{source.name}: no dstat CSV: it has no whole line")
    return store(request, decoder, reader.table(), reader.warnings)


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
        self.by_reference = False
        self.full = False
        """Whether it takes no more lines."""
        self.rows: list[tuple[int, str, int]] = []
        """Time, cells as they are stored, index of the layout."""
        self._dialect: Dialect | None = None
        self._layouts: list[Layout] = []
        self._headers = 0
        self._layout: Layout | None = None
        self._groups: list[str] | None = None
        # 2000 has a 29th of February
        self._clock = dstat_time.RowClock(reference_ms or dstat_time.year_start_ms(2000))
        self._dated = False
        self._offset_ms = 0
        self._damaged = 0
        self._incomplete: set[int] = set()
        self._below_header = False
        self._strange_time = b""

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
        self._headers += 1
        if self._headers > _MAX_HEADERS:
            self._groups = self._layout = None
            self.full = True
            self.warn(f"it has more than {_MAX_HEADERS} lines of headers; what follows was left out")
            return
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
            self._below_header = True

    def _title(self, title: re.Match[str]) -> None:
        self._groups = self._layout = None
        program = title[1].casefold()
        self._dialect = next((d for d in DIALECTS if d.program.casefold() == program), None)
        if self._dialect is None:
            # another program may have gone on with the file
            if self.version is None:
                known = ", ".join(d.program for d in DIALECTS)
                raise ParseError(
                    f"{self._name}: a CSV of '{title[0]}', which is not read yet (only of: {known})"
                )
            self.warn(f"the rows below '{title[0]}' were left out")
        classic = program == DIALECTS[0].program.casefold()
        self.version = self.version or (title[2] if classic else f"{title[1]}-{title[2]}")

    def _date(self, text: str) -> None:
        date = dstat_time.parse_header_date(text)
        if date is None:
            return
        self._offset_ms, sure = dstat_time.zone_offset_ms(date, self._reference_ms)
        self.by_reference = self.by_reference or dstat_time.is_ambiguous(date.zone)
        if not sure:
            hours = self._offset_ms / 3_600_000
            self.warn(f"the time zone '{date.zone}' is not known for sure; taken as UTC{hours:+g} h")
        self.year_known = self._dated = True
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
        first, self._below_header = self._below_header, False
        if len(cells) != layout.width:
            if not (first and self._dialect is not None and self._dialect.first_row_torn):
                self._damaged += 1
            return
        ms = self._time(cells[layout.time], epoch=layout.epoch)
        if ms is None:
            self._strange_time = self._strange_time or cells[layout.time]
            self._damaged += 1
            return
        text, whole = layout.cells(cells)
        if "n" in text or len(text) > _MAX_ROW_CHARS:  # nan, inf, or numbers of hundreds of digits
            self._damaged += 1
            return
        if not whole:
            self._incomplete.add(len(self.rows))
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
        self.by_reference = self.by_reference or not self._dated
        return None if ms is None else ms - self._offset_ms

    def table(self) -> Table | None:
        """The columns that all rows have, and the rows; None without a row.

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
            if self._strange_time:  # DSTAT_TIMEFMT gives it any form
                self.warn(f"its times have a form that is not read, such as {_quoted(self._strange_time)}")
            else:
                self.warn("it has no rows (dstat may have crashed at its start)")
            return None
        return Table(
            version=self.version or "",
            host=self.host,
            command=self.command,
            columns=columns,
            rows=rows,
            year_known=self.year_known,
            by_reference=self.by_reference,
        )

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


def _behind(cells: Sequence[str], label: str) -> str:
    """The cell after the one that says ``label``."""
    return next((cells[i + 1] for i, cell in enumerate(cells[:-1]) if cell == label), "")


def _quoted(line: bytes) -> str:
    return repr(line[:80].decode("utf-8", "replace"))
