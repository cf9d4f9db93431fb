# SPDX-License-Identifier: Apache-2.0
"""Lines of a file that a program went on writing until it was killed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_LINE_BYTES = 16 << 10
"""A longer line is given with one byte more than that, to be told from one that fits."""


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines; the one without an end was torn when its writer was killed, and is left out."""
    rest = b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()[: MAX_LINE_BYTES + 1]  # too long already is still too long
        yield from lines
