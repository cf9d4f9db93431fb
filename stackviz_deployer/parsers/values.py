# SPDX-License-Identifier: Apache-2.0
"""A stranger's JSON as a whole, read only if what it would become fits into memory.  Pure.

32 MiB of ``{},`` come over the wire as 30 KB, and are 1 GiB of Python's and 20 seconds of its garbage
collector.  What lists and objects take can be told by the marks that make them, before any is made.
"""

from __future__ import annotations

from typing import Any

import orjson

from stackviz_deployer.errors import TooLargeError

MAX_BYTES = 320 << 20
"""Of all values but long texts, about.  A manifest of 32 MiB has 200 to 250 MiB of them."""
_OBJECT_BYTES = 200
_LIST_BYTES = 88
_VALUE_BYTES = 60
"""A number or a short text, and the place that holds it; as much for the name of a member."""


def load(text: bytes, name: str) -> Any:
    """``orjson.loads``, bounded.  Raises TooLargeError naming ``name``, orjson.JSONDecodeError."""
    check(text, name)
    return orjson.loads(text)


def check(text: bytes, name: str) -> None:
    """Raise TooLargeError when ``text`` has more values than may be held.

    Marks within texts count as well: only one who writes nothing else comes near the bound with them.
    """
    values = text.count(b",") + text.count(b":")
    held = _OBJECT_BYTES * text.count(b"{") + _LIST_BYTES * text.count(b"[") + _VALUE_BYTES * values
    if held > MAX_BYTES:
        raise TooLargeError(f"{name} holds more values than can be read (over {MAX_BYTES >> 20} MiB of them)")
