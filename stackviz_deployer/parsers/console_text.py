# SPDX-License-Identifier: Apache-2.0
"""Consoles in any rendering -> lines of text, escaped for JSON.

Three renderings are known (formats/console.md, A and B): Jenkins' own, a bare
``<pre>`` with entities and links; os-loganalyze's page, each line in a ``<span>``; and plain
text.  All work is done on chunks of whole lines, because a step of the interpreter per line
costs more than everything else together.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping

from attrs import field, frozen

from stackviz_deployer.errors import ParseError
from stackviz_deployer.parsers.sgr import ESCAPE, Colours, keep_colours

MAX_LINE_BYTES = 1 << 20
"""Of a line as it is stored; what is longer is cut, and ends in CUT_MARK then."""
CUT_MARK = " [… cut]".encode()
MARK_BYTES = 16 << 10
"""As much of a line is looked at for what divides a console."""

_MAX_REST_BYTES = 2 << 20
"""Of a line without an end that is held back."""
_MAX_PAGE_HEAD_BYTES = 1 << 20
"""Before the ``<pre>`` of a page."""
_HEAD_BYTES = 512

_TAG = re.compile(rb"<[a-zA-Z/!][^<>\n]*>")  # without "<" inside it takes linear time
_ENTITY = re.compile(rb"&(?!amp;)(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]\w{1,30});")
_FRAGMENT = re.compile(rb"\s*<pre\b[^>\n]*>\r?\n?", re.IGNORECASE)
_PAGE = re.compile(rb"\s*<(?:!doctype\s+html|html|head|\?xml)\b", re.IGNORECASE)
_PRE = re.compile(rb"<pre\b[^>\n]*>\r?\n?", re.IGNORECASE)
_DELETED = bytes(i for i in range(0x20) if i not in b"\t\n\r\x1b") + b"\x7f"
"""Escapes that are left begin a colour."""
_RETURN = "␍".encode()
"""Stands for a carriage return within a line: StackViz would count one line more."""
_DATE = rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"
# text is optional: editors and proxies strip the blank at the end
_DATED = re.compile(rb"\n(" + _DATE + rb") \|(?: |(?=\n))")
_LINE = re.compile(rb"(?:" + _DATE + rb" \|(?: |$))?(.*)")


@frozen
class Lines:
    """Some whole lines; ``text`` is escaped for JSON, has no control characters, and ends with a newline."""

    text: bytes
    runs: Mapping[int, bytes] = field(factory=dict)
    """Colours (parsers.sgr), by position among these lines, of those that have any."""
    torn: bool = False
    """Whether the first line was too long to be held, and has lost its end."""

    def split(self) -> tuple[list[bytes], list[bytes]]:
        """Dates (empty for a line without one) and texts, equally many."""
        parts = _DATED.split(b"\n" + self.text[:-1])
        dates, texts = parts[1::2], parts[2::2]
        if parts[0] or len(texts) != self.text.count(b"\n"):
            dates, texts = _undated(parts)
        return dates, texts

    def cut(self, texts: list[bytes]) -> int:
        """Cut what is too long of ``split``'s texts (or the first ones of them); how many are."""
        torn = self.torn and len(texts[0]) <= MAX_LINE_BYTES  # most of it was no text
        count = 0
        if max(map(len, texts)) > MAX_LINE_BYTES:
            for at, text in enumerate(texts):
                if len(text) > MAX_LINE_BYTES:
                    texts[at] = _cut(text)
                    count += 1
        if torn:
            texts[0] += CUT_MARK
        return count + torn

    def find(self, needle: bytes) -> Iterator[tuple[int, bytes]]:
        """Lines that hold ``needle``: position among these lines, and text without its date."""
        text = self.text
        index = done = 0
        at = text.find(needle)
        while at >= 0:
            start = text.rfind(b"\n", 0, at) + 1
            end = text.find(b"\n", at)
            index += text.count(b"\n", done, start)
            done = start
            found = _LINE.match(text[start : min(end, start + MARK_BYTES)])
            if found:
                yield index, found[1]
            at = text.find(needle, end)


def read_lines(chunks: Iterable[bytes], *, name: str) -> Iterator[Lines]:
    """Clean lines of a console, in the order of the file.

    Raises ParseError for an HTML page that holds no console.
    """
    source = iter(chunks)
    head = b""
    for chunk in source:
        head += chunk
        if len(head) >= _HEAD_BYTES:
            break
    head = head.removeprefix(b"\xef\xbb\xbf")
    fragment = _FRAGMENT.match(head)
    if fragment:
        marked_up, source = True, _until_end(head[fragment.end() :], source)
    elif _PAGE.match(head):
        marked_up, source = True, _until_end(_skip_page_head(head, source, name), source)
    else:
        marked_up, source = False, _chain(head, source)
    colours = Colours()
    for text, torn in _whole_lines(source):
        cleaned, runs = colours.take(_clean(text, marked_up=marked_up))
        if cleaned:
            yield Lines(cleaned, runs, torn)


def _skip_page_head(head: bytes, source: Iterator[bytes], name: str) -> bytes:
    while True:
        found = _PRE.search(head)
        if found:
            return head[found.end() :]
        chunk = next(source, b"")
        if not chunk or len(head) > _MAX_PAGE_HEAD_BYTES:
            raise ParseError(f"{name}: an HTML page that is no console (it has no <pre>)")
        head += chunk


def _chain(head: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from source


def _until_end(head: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
    """What is inside the ``<pre>``."""
    kept = b""  # the end may lie across two chunks
    for chunk in _chain(head, source):
        data = kept + chunk
        end = data.find(b"</pre>")
        if end >= 0:
            # before it there is at most the closing tag of the last line
            yield data[:end].removesuffix(b"</span>")
            return
        yield data[:-20]
        kept = data[-20:]
    yield kept


def _whole_lines(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The same bytes, in chunks that end with a line; the first of one may have lost its end (True)."""
    rest = b""
    skipping = torn = False
    for chunk in chunks:
        if skipping:
            end = chunk.find(b"\n")
            if end < 0:
                continue
            data, skipping, torn = rest + chunk[end:], False, True
        else:
            data = rest + chunk
        end = data.rfind(b"\n") + 1
        if end:
            yield data[:end], torn
            torn = False
        rest = data[end:]
        if len(rest) > _MAX_REST_BYTES:
            rest, skipping = rest[:_MAX_REST_BYTES], True
    if rest:
        yield rest + b"\n", skipping


def _clean(text: bytes, *, marked_up: bool) -> bytes:
    """Valid UTF-8, escaped for JSON, ends in a newline or is empty.

    Without markup, and without control characters but those of colours.
    """
    if marked_up:
        if b"<" in text:
            text = _TAG.sub(b"", text)
        if b"&" in text:
            text = _unescape(text)
    if ESCAPE in text:
        text = keep_colours(text)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", _RETURN)
    text = text.translate(None, _DELETED)
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            text = text.decode("utf-8", "replace").encode()
    text = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return text.replace(b"\t", b"\\t") if b"\t" in text else text


def _unescape(text: bytes) -> bytes:
    text = text.replace(b"&lt;", b"<")  # with &amp; the only ones that Jenkins writes
    if _ENTITY.search(text):
        text = _ENTITY.sub(_entity, text)
    return text.replace(b"&amp;", b"&")


def _entity(found: re.Match[bytes]) -> bytes:
    # surrogates cannot be encoded; a newline would make two lines of one
    return html.unescape(found[0].decode("ascii")).encode("utf-8", "replace").replace(b"\n", b" ")


def _undated(parts: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """As Lines.split, when some lines have no date; these lie in the text before them."""
    dates: list[bytes] = []
    texts: list[bytes] = []
    if parts[0]:
        texts += parts[0][1:].split(b"\n")  # begins with the newline that Lines.split put there
        dates += [b""] * len(texts)
    for date, text in zip(parts[1::2], parts[2::2], strict=True):
        lines = text.split(b"\n")
        texts += lines
        dates.append(date)
        if len(lines) > 1:
            dates += [b""] * (len(lines) - 1)
    return dates, texts


def _cut(text: bytes) -> bytes:
    kept = text[:MAX_LINE_BYTES].decode("utf-8", "ignore").encode()
    backslashes = len(kept) - len(kept.rstrip(b"\\"))
    return (kept[:-1] if backslashes % 2 else kept) + CUT_MARK
