# SPDX-License-Identifier: Apache-2.0
"""The fields of JSON that another server wrote: of the right type and bounded, else None.  Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

MAX_TEXT_CHARS = 1_000
MAX_URL_CHARS = 2_048
_MAX_NUMBER = 2**31 - 1
_MAX_SIZE = 2**53
"""Bytes; more than that JSON does not carry everywhere, and no disk holds."""
_DATE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z?"
)
_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]+")


def text_of(value: object) -> str | None:
    """A text that is not empty, cut at MAX_TEXT_CHARS."""
    return value[:MAX_TEXT_CHARS] if isinstance(value, str) and value else None


def number_of(value: object) -> int | None:
    """A number as changes and patchsets have: a Java int above 0."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_NUMBER:
        return value
    return None


def size_of(value: object) -> int | None:
    """How many bytes a file has."""
    return value if type(value) is int and 0 <= value <= _MAX_SIZE else None


def url_of(value: object) -> str | None:
    """An http(s) URL without blanks; whether it may be fetched is another question."""
    if isinstance(value, str) and len(value) <= MAX_URL_CHARS and _URL.fullmatch(value):
        return value
    return None


def milliseconds_of(value: object) -> int | None:
    """``2013-03-23 21:34:02.419000000`` (Gerrit) or ``2026-08-24T01:01:10`` (Zuul), both UTC."""
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    try:
        moment = datetime(*(int(part) for part in match.groups()[:6]), tzinfo=UTC)  # type: ignore[arg-type,misc]  # six ints
    except ValueError:
        return None
    return int(moment.timestamp()) * 1000 + int((match[7] or "0")[:3].ljust(3, "0"))
