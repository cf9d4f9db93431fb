# SPDX-License-Identifier: Apache-2.0
"""zuul-manifest.json: all files of a job, as Zuul's upload role lists them (formats/manifest.md)."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

from stackviz_deployer.errors import ParseError
from stackviz_deployer.model import ParseRequest, ParseResult
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.fields import size_of
from stackviz_deployer.parsers.values import load
from stackviz_deployer.parsers.wanted import MAX_DEPTH, MAX_NAME, Answer, chooser, is_name, quoted


def parse(request: ParseRequest) -> ParseResult:
    """The files of a manifest that scrapers may want.

    One input: the manifest as it came.  Options: ``url``, the job's root (ends in a slash);
    ``names``, the globs of interfaces.Scraper (everything without them).  The result's data is
    ``{"files": [{"path", "url", "size"}...], "seen": n}``: those nearest to the root first, and
    how many files there are in all.  Entries that are nobody's file (``..``, absolute names,
    links, odd types) are passed over.  Raises ParseError for anything but a manifest,
    TooLargeError beyond ``request.max_bytes``.
    """
    (page,) = request.inputs
    decoder = Decoder(page.path, name=page.name, max_bytes=request.max_bytes)
    try:
        document = _load(b"".join(decoder), page.name)
    except (ValueError, RecursionError) as error:
        raise ParseError(f"{page.name} is no manifest: {error}.") from error
    tree = document.get("tree") if isinstance(document, dict) else None
    if not isinstance(tree, list):
        raise ParseError(f"{page.name} is no manifest: it has no tree.")
    answer, seen = _files(tree, str(request.options["url"]), chooser(request.options.get("names")))
    warnings = list(decoder.warnings)
    if answer.left_out:
        warnings.append(
            f"{page.name} names too many files; {answer.left_out:,} of those wanted were left out."
        )
    return ParseResult(
        data={"files": answer.rows, "seen": seen},
        warnings=tuple(warnings),
        decoded_bytes=decoder.decoded_bytes,
    )


def _load(body: bytes, name: str) -> Any:
    try:
        return load(body, name)
    except ValueError:
        # Python wrote it: a file name that is no UTF-8 has lone surrogates, which only Python reads again
        return json.loads(body)


def _files(tree: list[Any], root: str, fits: Callable[[str, str], bool]) -> tuple[Answer, int]:
    """The wanted ones, and how many there are.  No recursion: how deep it goes is the sender's will."""
    answer, seen = Answer(), 0
    told: set[str] = set()
    # the parent's path and URL, the own name, how deep the own entries lie
    folders: deque[tuple[str, str, str, int, list[Any]]] = deque([("", root, "", 0, tree)])
    while folders:
        above, url, own, depth, entries = folders.popleft()
        path = f"{above}{own}/" if own else ""
        url = f"{url}{quoted(own)}/" if own else url
        near = depth <= MAX_DEPTH
        for entry in entries:
            if not isinstance(entry, dict):
                continue
            name, children = entry.get("name"), entry.get("children")
            if isinstance(children, list):
                if not near:  # only counted
                    folders.append(("", "", "", depth, children))
                elif children and is_name(name):
                    folders.append((path, url, name, depth + 1, children))
            elif entry.get("mimetype") != "application/directory" and isinstance(name, str):
                seen += 1
                if not near or len(name) > MAX_NAME:  # globs are for names, not for megabytes
                    continue
                if fits(path, name) and is_name(name) and path + name not in told:
                    told.add(path + name)
                    answer.add(path=path + name, url=url + quoted(name), size=size_of(entry.get("size")))
    return answer, seen
