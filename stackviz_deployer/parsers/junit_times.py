# SPDX-License-Identifier: Apache-2.0
"""How JUnit's writers spell durations and moments; nobody standardised either."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from attrs import frozen

MAX_SECONDS = 10**8
"""Three years; what claims to have run longer is no duration."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR = 1990
"""Earlier years are the zero of somebody's clock."""
_LAST_YEAR = 9998
_NUMBER = re.compile(r"(\d[\d.,' \u00a0\u202f]*|[.,]\d+)(?:[eE][+-]?\d{1,3})?")
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:([.,' \u00a0\u202f])\d{3})(?:\1\d{3})*")
_SECONDS_SINCE_1970 = re.compile(r"\d{9,10}(?:\.\d{1,9})?")
_MILLISECONDS_SINCE_1970 = re.compile(r"\d{12,13}")


def duration_us(text: str | None) -> int | None:
    """Seconds in any spelling -> microseconds; None for what is missing or no duration.

    ``1,234.5`` and ``1.234,5`` are a thousand and more; a single comma before exactly three
    digits (``1,234``) is taken for a thousands separator, as Jenkins does, unless a lone 0 is before it.
    """
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = _spelled_seconds(text.strip().removesuffix("s").strip())
    return round(seconds * 1e6) if 0 <= seconds < MAX_SECONDS else None  # a nan is neither


def _spelled_seconds(text: str) -> float:
    """-1 for what cannot be read."""
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > 40:
        return -1.0
    digits = match[1]
    exponent = text[match.end(1) :]
    last = max(digits.rfind("."), digits.rfind(","))
    grouped = _GROUPED.fullmatch(digits) is not None
    if last < 0 or (grouped and (digits[last] == "," or digits.count(".") > 1)):
        whole, fraction = digits, ""
    else:
        whole, fraction = digits[:last], digits[last + 1 :]
    whole = re.sub(r"\D", "", whole)
    try:
        return float(f"{whole or '0'}.{fraction or '0'}{exponent}")
    except ValueError:
        return -1.0


@frozen
class Moment:
    """A timestamp as it was told."""

    us: int
    """Microseconds since 1970, UTC."""
    zoned: bool
    """Whether it said its zone; else it was taken as UTC."""
    step_us: int
    """How exact it is: a second without a fraction, else a hundredth of it."""


def moment(text: str | None) -> Moment | None:
    """ISO 8601 in its usual forms, RFC 2822 (mocha), seconds or milliseconds since 1970; else None."""
    text = (text or "").strip()
    if not 9 <= len(text) <= 64:
        return None
    step_us = 1_000_000
    if _MILLISECONDS_SINCE_1970.fullmatch(text):
        return _since_1970(int(text) * 1000, 10_000)
    if _SECONDS_SINCE_1970.fullmatch(text):
        return _since_1970(int(float(text) * 1e6), 10_000 if "." in text else step_us)
    try:
        found = datetime.fromisoformat(text)
        step_us = 10_000 if "." in text or "," in text else step_us
    except ValueError:
        from email.utils import parsedate_to_datetime  # noqa: PLC0415 - heavy, and rarely needed

        try:
            found = parsedate_to_datetime(text)
        except (ValueError, IndexError, TypeError, AttributeError, OverflowError):
            return None
    zoned = found.tzinfo is not None
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        return None
    if not zoned:
        found = found.replace(tzinfo=UTC)
    return Moment((found - _EPOCH) // timedelta(microseconds=1), zoned, step_us)


def _since_1970(us: int, step_us: int) -> Moment | None:
    first = (datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
    return Moment(us, zoned=True, step_us=step_us) if us >= first else None
