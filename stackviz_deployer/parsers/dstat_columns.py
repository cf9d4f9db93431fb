# SPDX-License-Identifier: Apache-2.0
"""Which columns of a dstat file are kept, and how its rows are read.

Each program that writes such files is a Dialect: what it names otherwise, and which units it
has.  What is stored is always Dstat 0.7.3's: bytes, bytes a second, percent of all processors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter, mul

from attrs import Factory, field, frozen

_MAX_COLUMNS = 2_000

_FORMATS = {
    # what our viewer and StackViz draw; the precision is that of a screen
    "total cpu usage": "%.1f",
    "memory usage": "%.0f",
    "net/total": "%.0f",
    "dsk/total": "%.0f",
    "io/total": "%.1f",
    "system": "%.0f",
    "load avg": "%.2f",
    "procs": "%.1f",
    "paging": "%.0f",
    "swap": "%.0f",
    "tcp sockets": "%.0f",
}
# a part of a disk, or what lies upon one: counted already
_NO_DISK = re.compile(r"dsk/(?:dm-|md|loop|zram|ram|sr|fd|[hsv]d[a-z]+\d|xvd[a-z]+\d|nvme\d+n\d+p)")


@frozen
class Column:
    """One that is kept; ``format`` is its printf form."""

    group: str
    name: str
    format: str

    @property
    def key(self) -> str:
        """As StackViz names it."""
        return re.sub("[ /]", "_", f"{self.group}_{self.name}")


@frozen(kw_only=True)
class Dialect:
    """A program that writes such files: the title's first word, and how it differs from Dstat."""

    program: str
    groups: Mapping[str, str] = Factory(dict)
    """Its name of a group -> ours."""
    names: Mapping[tuple[str, str], str] = Factory(dict)
    """Our group, its name of a column -> ours."""
    units: Mapping[str, float] = Factory(dict)
    """By our group (``dsk`` is each disk, too): what its 1 is of ours."""
    first_row_torn: bool = False
    """Whether the row below a header lacks the cells of all rates, as its writer means it to."""

    def unit(self, group: str) -> float:
        """What a 1 in this group is."""
        return self.units.get(group) or self.units.get(group.partition("/")[0]) or 1.0


DIALECTS = (
    Dialect(program="Dstat"),  # 0.7.2 to 0.8.0
    Dialect(program="dool"),
    Dialect(
        program="pcp-dstat",
        groups={"total usage": "total cpu usage"},
        names={("memory usage", "buf"): "buff"},
        # PCP's own units: KiB for memory and disks, bytes for networks, pages for paging
        units={"memory usage": 1024, "swap": 1024, "dsk": 1024, "paging": 4096},
        first_row_torn=True,
    ),
)


@frozen
class Layout:
    """How the rows below one header are read."""

    width: int
    time: int
    epoch: bool
    columns: tuple[Column, ...]
    sources: tuple[tuple[int, ...], ...]
    """Of each column: the cells that add up to it."""
    units: tuple[float, ...]
    """Of each column: what its cells are multiplied with."""
    format: str
    plain: Callable[[Sequence[bytes]], tuple[bytes, ...]] | None = field(eq=False)  # follows from sources
    """Takes the columns' cells out of a row; None where cells add up (or for one column: no tuple then)."""

    def cells(self, row: Sequence[bytes]) -> tuple[str, bool]:
        """A row's columns as they are stored, and whether all are numbers; the others are empty."""
        try:
            if self.plain is not None:
                return self.format % tuple(map(mul, map(float, self.plain(row)), self.units)), True
            return self.format % tuple(
                map(mul, (sum(float(row[i]) for i in s) for s in self.sources), self.units)
            ), True
        except ValueError:
            return self._with_gaps(row), False

    def _with_gaps(self, row: Sequence[bytes]) -> str:
        out = []
        for column, source, unit in zip(self.columns, self.sources, self.units, strict=True):
            try:
                out.append(column.format % (unit * sum(float(row[i]) for i in source)))
            except ValueError:
                out.append("")
        return ",".join(out)


def memory_column(name: str, *, group: str = "memory usage") -> Column:
    """One in bytes, for a table that no dstat wrote."""
    return Column(group, name, _FORMATS[group])


def read_layout(dialect: Dialect, groups: Sequence[str], names: list[str]) -> Layout | None:
    """The layout below a header's two rows; None without a time or anything to show.

    A group's name stands over its first column only.
    """
    if len(names) > _MAX_COLUMNS:
        return None
    while names and not names[-1]:
        names.pop()
    filled: list[str] = []
    for index in range(len(names)):
        group = groups[index] if index < len(groups) else ""
        filled.append(group or (filled[-1] if filled else ""))
    names = [n.removeprefix(g + ":") for g, n in zip(filled, names, strict=True)]  # "dsk/vda:read"
    filled = [dialect.groups.get(group, group) for group in filled]
    names = [dialect.names.get((g, n), n) for g, n in zip(filled, names, strict=True)]
    kept: dict[Column, tuple[int, ...]] = {}
    time, epoch = None, False
    for index, (group, name) in enumerate(zip(filled, names, strict=True)):
        if time is None and (group, name) in (("system", "time"), ("epoch", "epoch")):
            time, epoch = index, name == "epoch"
        column = _column(group, name)
        if column is not None:
            kept.setdefault(column, (index,))
    _fold_interrupts(kept)
    _add_up(kept, "net/total", ("recv", "send"), [i for i, g in enumerate(filled) if _is_net(g)], names)
    _add_up(kept, "dsk/total", ("read", "writ"), [i for i, g in enumerate(filled) if _is_disk(g)], names)
    if time is None or not kept:
        return None
    sources = tuple(kept.values())
    return Layout(
        width=len(names),
        time=time,
        epoch=epoch,
        columns=tuple(kept),
        sources=sources,
        units=tuple(dialect.unit(column.group) for column in kept),
        plain=itemgetter(*(s[0] for s in sources))
        if all(len(s) == 1 for s in sources) and sources[1:]
        else None,
        format=",".join(column.format for column in kept),
    )


def _column(group: str, name: str) -> Column | None:
    form = _FORMATS.get(group)
    if form is None or (group, name) == ("system", "time") or not re.fullmatch(r"\w{1,20}", name):
        return None
    return Column(group, name, form)


def _fold_interrupts(kept: dict[Column, tuple[int, ...]]) -> None:
    """Time in interrupts is a column of its own in 0.7.2, and a part of ``usr`` in all that came later."""
    cpu = {column.name: column for column in kept if column.group == "total cpu usage"}
    if "usr" in cpu:
        for name in ("hiq", "siq"):
            if name in cpu:
                kept[cpu["usr"]] += kept.pop(cpu[name])


def _add_up(
    kept: dict[Column, tuple[int, ...]],
    total: str,
    wanted: Sequence[str],
    devices: Sequence[int],
    names: Sequence[str],
) -> None:
    """``dstat --full`` gives each device and no total."""
    if any(column.group == total for column in kept):
        return
    for name in wanted:
        sources = tuple(i for i in devices if names[i] == name)
        if sources:
            kept[Column(total, name, _FORMATS[total])] = sources


def _is_net(group: str) -> bool:
    return group.startswith("net/") and group not in ("net/total", "net/lo")


def _is_disk(group: str) -> bool:
    return group.startswith("dsk/") and group != "dsk/total" and not _NO_DISK.match(group)
