# SPDX-License-Identifier: Apache-2.0
"""Directory indexes that are data: nginx's and Caddy's JSON, nginx's XML (formats/listings.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from itertools import islice
from typing import Any

from attrs import define

from stackviz_deployer.parsers.fields import size_of
from stackviz_deployer.parsers.values import load
from stackviz_deployer.parsers.wanted import is_name, quoted

_XML = re.compile(r"\s*(?:<\?xml[^<>]{0,200}>\s*)?<list>")
_XML_ROW = re.compile(r"<(file|directory)\b([^<>]{0,500})>([^<>]{0,4096})</")
_XML_SIZE = re.compile(r'\ssize="([0-9]{1,18})"')
_GAP = re.compile(r"[\s,]*")
MAX_TORN = 50_000
"""Elements that are read of a torn array: one by one, which takes time."""


@define
class Entry:
    """What an index tells of a file or folder."""

    name: str
    url: str
    is_dir: bool
    size: int | None


def data_entries(text: str, base_url: str, warnings: list[str], page: str) -> Iterable[Entry] | None:
    """The entries of an index that is JSON or XML, each once; None when it is neither.

    Of a torn one those before the damage, with a sentence in ``warnings`` that names ``page``.
    """
    if text.lstrip()[:1] == "[":
        found, whole = _json(text, page)
        rows = list(_json_rows(found))
        if not rows and (found or not whole):
            return None
    elif _XML.match(text):
        rows, whole = list(_xml_rows(text)), "</list>" in text
    else:
        return None
    if not whole:
        warnings.append(f"{page} ends early or is damaged; the rest is missing.")
    entries: dict[str, Entry] = {}
    for name, is_dir, size in rows:
        if is_name(name):
            url = base_url + quoted(name) + ("/" if is_dir else "")
            entries.setdefault(name, Entry(name, url, is_dir, None if is_dir else size))
    return entries.values()


def _json(text: str, page: str) -> tuple[list[Any], bool]:
    """The elements of an array; False when there were more than could be read."""
    try:
        found = load(text.encode("utf-8", "replace"), page)
    except ValueError:
        return list(islice(_before_damage(text), MAX_TORN)), False
    return found, True


def _json_rows(found: Iterable[Any]) -> Iterator[tuple[str, bool, int | None]]:
    for row in found:
        if isinstance(row, Mapping) and isinstance(name := row.get("name"), str):
            kind = row.get("type")  # nginx; Caddy has is_dir
            if kind not in (None, "file", "directory"):
                continue
            is_dir = kind == "directory" or row.get("is_dir") is True or name.endswith("/")
            yield name.removesuffix("/"), is_dir, size_of(row.get("size"))


def _before_damage(text: str) -> Iterator[Any]:
    """The elements of an array that is torn or mangled, as far as they can be read."""
    decoder = json.JSONDecoder()
    position = text.index("[") + 1
    while True:
        gap = _GAP.match(text, position)
        try:
            element, position = decoder.raw_decode(text, gap.end() if gap else position)
        except (ValueError, RecursionError):
            return
        yield element


def _xml_rows(text: str) -> Iterator[tuple[str, bool, int | None]]:
    for row in _XML_ROW.finditer(text):
        size = _XML_SIZE.search(row[2])
        yield unescape(row[3]), row[1] == "directory", size_of(int(size[1])) if size else None
