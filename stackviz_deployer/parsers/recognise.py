# SPDX-License-Identifier: Apache-2.0
"""What a file is, by how it begins: uploads come under any name, or none.

(The other way round everywhere else: on log servers names are all one has.)
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from attrs import frozen

from stackviz_deployer.parsers.decode import Decoder

HEAD_BYTES = 4096
"""Decoded bytes that decide."""

_BOM = b"\xef\xbb\xbf"
_COMPRESSED = (".gz", ".xz", ".bz2", ".zst")


@frozen
class _Kind:
    beginning: re.Pattern[bytes]
    suffix: str = ""
    """What its name gets, so that a scraper knows it; or:"""
    name: str = ""
    """Its only name."""

    def rename(self, path: str) -> str:
        """``results.xml`` becomes ``results.junit.xml``."""
        ending = "." + self.suffix.rpartition(".")[2]
        return self.name or path.removesuffix(ending) + self.suffix


_KINDS = (
    _Kind(re.compile(rb"\xb3[\x20-\x2f]"), suffix=".subunit"),  # signature, version 2
    _Kind(
        re.compile(rb"(?:(?:(?:time|tags|progress):? [^\n]{0,200})?\r?\n){0,50}test(?:ing)?: \S"),
        suffix=".subunit",
    ),
    _Kind(re.compile(rb"(?=<)[^\0]{0,4000}?<testsuites?[\s>/]"), suffix=".junit.xml"),
    _Kind(re.compile(rb'"[^"\s]{1,40} [^"\s]{1,40} CSV output"', re.IGNORECASE), suffix=".dstat.csv"),
    _Kind(re.compile(rb'\[\s{0,100}\{[^\0]{0,4000}?"(?:playbook|plays)"\s{0,9}:'), name="job-output.json"),
    _Kind(
        re.compile(rb"(?:[^\n]{0,400}\n){0,5}?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3,6} \| "),
        name="job-output.txt",
    ),
)
_CONSOLE = _Kind(
    re.compile(
        rb"Started by |<pre\b|"
        rb"(?:[^\n]{0,400}\n){0,5}?(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} |\[\d{4}-\d\d-\d\dT)"
    ),
    name="console.txt",
)
"""Only where a file comes alone: in a job's logs many services write such lines."""


def known_path(path: str, globs: list[str]) -> bool:
    """Whether a scraper looks for files of this name (``globs`` as in interfaces.Scraper)."""
    plain = _plain(path)
    base = plain.rpartition("/")[2]
    return any(
        fnmatchcase(plain, glob) or fnmatchcase(plain, f"*/{glob}")
        if "/" in glob
        else fnmatchcase(base, glob)
        for glob in globs
    )


def recognised(file: str, path: str, *, alone: bool) -> str | None:
    """A name under which scrapers know the file at ``file``, whose own name is ``path``; None: unknown."""
    head = head_of(file)
    head = head.removeprefix(_BOM).lstrip(b" \t\r\n")
    for kind in (*_KINDS, _CONSOLE) if alone else _KINDS:
        if kind.beginning.match(head):
            return kind.rename(_plain(path))
    return None


def head_of(file: str) -> bytes:
    """Up to HEAD_BYTES decoded bytes of a file, whatever is wrong with what follows them."""
    head = b""
    chunks = iter(Decoder(file, name=file, max_bytes=1 << 40))
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    return head[:HEAD_BYTES]


def _plain(path: str) -> str:
    for suffix in _COMPRESSED:
        path = path.removesuffix(suffix)
    return path
