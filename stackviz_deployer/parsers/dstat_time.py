# SPDX-License-Identifier: Apache-2.0
"""What dstat's rows leave unsaid: the year and the zone.

A row says ``22-11 09:40:00`` (dool's: ``Nov-22 09:40:00``) in the node's own time; only the
header's ``Date:`` has a year and the name of a zone (``22 Nov 2026 09:40:00 UTC``).  Times are
integer milliseconds; "local" ones are the node's clock read as if it were UTC.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re

from attrs import frozen

DAY_MS = 86_400_000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(r"(\d\d?) ([A-Z][a-z]{2})[a-z]* (\d{4}) (\d\d):(\d\d):(\d\d)(?: +(\S{1,10}))?")
_NUMERIC_ZONE = re.compile(r"(?:UTC|GMT)?([+-])(\d\d):?(\d\d)?")
_ROW_TIME = re.compile(rb"(\d\d-\d\d|[A-Z][a-z][a-z]-\d\d) (\d\d):(\d\d):(\d\d)")

_ZONES: dict[str, tuple[int, ...]] = {
    # minutes east of UTC; where a name has several meanings, the likelier first
    **dict.fromkeys(("UTC", "GMT", "Z", "UCT", "WET", "Etc/UTC"), (0,)),
    **dict.fromkeys(("CET", "MET", "WEST", "BST"), (60,)),
    **dict.fromkeys(("CEST", "MEST", "EET", "SAST"), (120,)),
    **dict.fromkeys(("EEST", "MSK", "EAT"), (180,)),
    "IST": (330, 60, 120),
    "CST": (-360, 480),
    "HKT": (480,),
    "AWST": (480,),
    **dict.fromkeys(("JST", "KST"), (540,)),
    "AEST": (600,),
    "AEDT": (660,),
    "NZST": (720,),
    "NZDT": (780,),
    "EST": (-300,),
    "EDT": (-240,),
    "CDT": (-300,),
    "MST": (-420,),
    "MDT": (-360,),
    "PST": (-480,),
    "PDT": (-420,),
    "AKST": (-540,),
    "AKDT": (-480,),
    "HST": (-600,),
}


@frozen
class HeaderDate:
    """The header's ``Date:`` cell."""

    local_ms: int
    zone: str | None


def parse_header_date(text: str) -> HeaderDate | None:
    """``01 Jun 2016 12:00:00 UTC`` -> its value; None for anything else.

    Only English names of months: CI nodes run dstat in the C locale.
    """
    found = _DATE.fullmatch(text.strip())
    if found is None or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[i]) for i in (1, 3, 4, 5, 6))
    midnight = _midnight_ms(year, _MONTHS.index(found[2]) + 1, day)
    if midnight is None:
        return None
    return HeaderDate(midnight + ((hour * 60 + minute) * 60 + second) * 1000, found[7])


def zone_offset_ms(date: HeaderDate, reference_ms: int | None) -> tuple[int, bool]:
    """How far the node's clock was ahead of UTC, and whether we are sure.

    ``CST`` is Chicago's and Shanghai's: of several meanings the one is taken that brings
    the file nearest to ``reference_ms``.  An unknown name counts as UTC.
    """
    if date.zone is None:
        return 0, True
    numeric = _NUMERIC_ZONE.fullmatch(date.zone)
    if numeric:
        minutes = int(numeric[2]) * 60 + int(numeric[3] or 0)
        return (minutes if numeric[1] == "+" else -minutes) * 60_000, True
    offsets = [minutes * 60_000 for minutes in _ZONES.get(date.zone, ())]
    if not offsets:
        return 0, False
    if reference_ms is None:
        return offsets[0], len(offsets) == 1
    return min(offsets, key=lambda offset: abs(date.local_ms - offset - reference_ms)), True


def is_ambiguous(zone: str | None) -> bool:
    """Whether the name has several meanings, so that a reference decides."""
    return len(_ZONES.get(zone or "", ())) > 1


class RowClock:
    """Gives rows their year: the one that brings a row nearest to the row before it.

    So December after January is the clock that went back, and January after December is
    New Year.
    """

    def __init__(self, near_ms: int) -> None:
        self._last_ms = near_ms
        self._days: dict[bytes, int | None] = {}

    def set(self, near_ms: int) -> None:
        """A new header says what time it is."""
        self._last_ms = near_ms
        self._days.clear()

    def local_ms(self, text: bytes) -> int | None:
        """``22-11 09:40:00`` or ``Nov-22 09:40:00`` -> milliseconds, None for what is no time."""
        found = _ROW_TIME.fullmatch(text)
        if found is None:
            return None
        day, hour, minute, second = found.groups()
        if day in self._days:
            midnight = self._days[day]
        else:
            if len(self._days) > 1000:
                self._days.clear()
            midnight = self._days[day] = self._nearest_midnight(day)
        h, m, s = int(hour), int(minute), int(second)
        if midnight is None or h > 23 or m > 59 or s > 60:
            return None
        self._last_ms = midnight + ((h * 60 + m) * 60 + s) * 1000
        return self._last_ms

    def _nearest_midnight(self, day: bytes) -> int | None:
        if day[:1].isdigit():
            day_number, month = int(day[:2]), int(day[3:])
        else:
            name = day[:3].decode("ascii")
            day_number, month = int(day[4:]), _MONTHS.index(name) + 1 if name in _MONTHS else 0
        year = year_of(self._last_ms)
        candidates = [_midnight_ms(y, month, day_number) for y in (year - 1, year, year + 1)]
        return min(
            (ms for ms in candidates if ms is not None), key=lambda ms: abs(ms - self._last_ms), default=None
        )


def year_of(ms: int) -> int:
    """The year in UTC; the nearest that exists for times beyond the calendar."""
    return _utc(ms).year


def year_start_ms(year: int) -> int:
    """Its first millisecond."""
    return calendar.timegm((year, 1, 1, 0, 0, 0)) * 1000


def header_date(ms: int) -> str:
    """The form of dstat's ``Date:`` cell."""
    when = _utc(ms)
    return f"{when.day:02} {_MONTHS[when.month - 1]} {when.year:04} {when:%H:%M:%S} UTC"


def day_month(ms: int) -> str:
    """``22-11``."""
    when = _utc(ms)
    return f"{when.day:02}-{when.month:02}"


def _utc(ms: int) -> dt.datetime:
    ms = max(-62_135_596_800_000, min(ms, 253_402_300_799_000))  # years 1 to 9999
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=ms)


def _midnight_ms(year: int, month: int, day: int) -> int | None:
    try:
        return (dt.date(year, month, day).toordinal() - 719_163) * DAY_MS
    except ValueError:
        return None
