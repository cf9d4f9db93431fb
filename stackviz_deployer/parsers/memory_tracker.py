# SPDX-License-Identifier: Apache-2.0
"""DevStack's memory_tracker -> memory in the form of dstat, for jobs that run no dstat.

Since the end of 2021 DevStack's jobs run ``tools/memory_tracker.sh`` (in 2016, ``peakmem_tracker``)
instead of dstat.  It looks every 20 s, and when less memory is available than ever before (or another
amount of it is locked) it writes::

    [[[
    Wed Jun  1 12:00:00 UTC 2016
    ---
    memory_tracker low_point: 5123456
    ---
    MemTotal:        8167796 kB
    ... the rest of /proc/meminfo, a list of processes ...
    ]]]

Each line may stand behind the prefix of a journal export (``Jun 01 12:00:00.123456 host unit[1]: ``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stackviz_deployer.errors import ParseError
from stackviz_deployer.model import ParseRequest, ParseResult
from stackviz_deployer.parsers import dstat_time
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.dstat_columns import memory_column
from stackviz_deployer.parsers.dstat_lines import MAX_LINE_BYTES, whole_lines
from stackviz_deployer.parsers.dstat_table import Table, store

MAX_BLOCKS = 50_000
"""Eleven days, one every 20 s."""
_MAX_KB = 1 << 50

_BEGIN, _BORDER, _END = b"[[[", b"---", b"]]]"
_PREFIX = re.compile(
    rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})? (?P<host>[\w.-]{1,100}) [^:]{1,100}: ?|"
    rb"\d{4}-\d\d-\d\d[ T][\d:.+-]{8,40} (?:\| )?"
)
_MEMINFO = re.compile(rb"(\w{1,30}): +(\d{1,18}) kB")
_DATE = re.compile(
    # date's forms: of the C locale, and two of en_US
    rb"[A-Z][a-z]{2} "
    rb"(?:(?P<m>[A-Z][a-z]{2}) +(?P<d>\d\d?)|(?P<d2>\d\d?) (?P<m2>[A-Z][a-z]{2}) (?P<y2>\d{4})) +"
    rb"(?P<t>\d\d?:\d\d:\d\d)(?: (?P<half>AM|PM))?"
    rb"(?: (?P<zone>[A-Z]{1,5}|[+-]\d\d(?:\d\d)?))?(?: (?P<y>\d{4}))?"
)
_NEEDED = ("MemTotal", "MemFree", "Buffers", "Cached")
_OPTIONAL = (("MemAvailable",), ("SwapTotal", "SwapFree"))
_WANTED = frozenset((*_NEEDED, "SReclaimable", "Shmem", *(name for names in _OPTIONAL for name in names)))


def parse(request: ParseRequest) -> ParseResult:
    """``memory_tracker``: one input -> at most one ``dstat`` artifact, of memory and swap alone.

    Options as of ``dstat``.  ``used`` is what Dstat 0.7.3 counts.  Raises ParseError when no block begins
    in the file, TooLargeError past ``max_bytes``.
    """
    (source,) = request.inputs
    decoder = Decoder(source.path, name=source.name, max_bytes=request.max_bytes)
    reader = _Reader(request.options.get("reference_ms"))
    warnings = []
    for line in whole_lines(decoder):
        reader.line(line)
        if reader.blocks > MAX_BLOCKS:
            warnings.append(f"{source.name}: only the first {MAX_BLOCKS} blocks were read.")
            break
    reader.end_block()
    if not reader.blocks:
        raise ParseError(f"{source.name}: not what memory_tracker writes; no line says '[[['")
    if reader.damaged:
        warnings.append(f"{source.name}: {reader.damaged} damaged blocks were left out.")
    table = reader.table()
    if table is None:
        warnings.append(f"{source.name}: it tells of no memory.")
    else:
        warnings.append(
            f"{source.name}: stands in for dstat; memory_tracker tells of memory alone, and only of the"
            " moments when less of it was available than ever before."
        )
    return store(request, decoder, table, warnings)


class _Reader:
    """Takes the lines of a file and keeps one row of a block."""

    def __init__(self, reference_ms: int | None) -> None:
        self.blocks = 0
        self.damaged = 0
        self._reference_ms = reference_ms
        self._host = ""
        self._rows: list[tuple[int, dict[str, int]]] = []
        self._by_reference = False
        self._inside = False
        self._time: int | None = None
        self._values: dict[str, int] = {}
        self._whole = False
        """Whether the block's /proc/meminfo is at its end."""

    def line(self, line: bytes) -> None:
        if len(line) > MAX_LINE_BYTES:
            return
        line = line.strip(b"\0 \t\r")
        if line.endswith(_BEGIN):
            if line == _BEGIN or self._message(line) == _BEGIN:
                self.end_block()
                self.blocks += 1
                self._inside = True
        elif not self._inside:
            return
        elif line.endswith(_END):
            if line == _END or self._message(line) == _END:
                self.end_block()
        elif line.endswith(b" kB"):
            found = _MEMINFO.fullmatch(self._message(line))
            if found:
                name, value = found[1].decode("ascii", "replace"), int(found[2])
                if name in _WANTED and value < _MAX_KB:
                    self._values.setdefault(name, value)
        elif line.endswith(_BORDER):
            self._whole = self._whole or bool(self._values)
        elif self._time is None:
            self._time = self._date(self._message(line))

    def end_block(self) -> None:
        """What was collected is a row if it is whole; a block about locked memory alone has none."""
        if self._inside and self._values:
            if self._time is not None and self._whole and all(name in self._values for name in _NEEDED):
                self._rows.append((self._time, self._values))
            else:
                self.damaged += 1
        self._inside = self._whole = False
        self._time = None
        self._values = {}

    def table(self) -> Table | None:
        """None without a row."""
        if not self._rows:
            return None
        known = set.intersection(*(set(values) for _, values in self._rows))
        columns = [memory_column(name) for name in ("used", "free", "buff", "cach")]
        avail, swap = (all(name in known for name in names) for names in _OPTIONAL)
        if avail:
            columns.append(memory_column("avai"))
        if swap:
            columns += [memory_column(name, group="swap") for name in ("used", "free")]
        rows = [(ms, _cells(values, avail=avail, swap=swap)) for ms, values in self._rows]
        return Table(
            version="memory_tracker",
            host=self._host,
            command="memory_tracker.sh",
            columns=columns,
            rows=rows,
            year_known=True,
            by_reference=self._by_reference,
        )

    def _message(self, line: bytes) -> bytes:
        """A line without a journal's prefix."""
        prefix = _PREFIX.match(line)
        if prefix is None:
            return line
        if prefix["host"] and not self._host:
            self._host = prefix["host"].decode("ascii", "replace")
        return line[prefix.end() :]

    def _date(self, text: bytes) -> int | None:
        found = _DATE.fullmatch(text)
        if found is None:
            return None
        parts = {key: (value or b"").decode("ascii") for key, value in found.groupdict().items()}
        hour, _, rest = parts["t"].partition(":")
        if parts["half"]:
            hour = str(int(hour) % 12 + (12 if parts["half"] == "PM" else 0))
        day, month, year = parts["d"] or parts["d2"], parts["m"] or parts["m2"], parts["y"] or parts["y2"]
        date = dstat_time.parse_header_date(f"{day} {month} {year} {hour.zfill(2)}:{rest} {parts['zone']}")
        if date is None:
            return None
        offset_ms, _ = dstat_time.zone_offset_ms(date, self._reference_ms)
        self._by_reference = self._by_reference or dstat_time.is_ambiguous(date.zone)
        return date.local_ms - offset_ms


def _cells(values: dict[str, int], *, avail: bool, swap: bool) -> str:
    free, buff, cach = (values[name] for name in ("MemFree", "Buffers", "Cached"))
    used = values["MemTotal"] - free - buff - cach - values.get("SReclaimable", 0) + values.get("Shmem", 0)
    kib: Sequence[int] = [max(used, 0), free, buff, cach]
    if avail:
        kib = [*kib, values["MemAvailable"]]
    if swap:
        kib = [*kib, max(values["SwapTotal"] - values["SwapFree"], 0), values["SwapFree"]]
    return ",".join(str(number << 10) for number in kib)
