# SPDX-License-Identifier: Apache-2.0
"""XML as test tools write it -> expat, whatever is wrong with it.

Writers put raw control characters, ``&#27;`` and bytes of other encodings into their
reports, cut them off, and put several documents into one file.  Characters are repaired
before expat sees them; behind damage reading goes on at the next test or suite.  A DOCTYPE
is refused: without one there are no entities, and nothing outside the file can be named.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol
from xml.parsers import expat

from stackviz_deployer.errors import ParseError

MAX_TOKEN_BYTES = 4 << 20
"""Of one tag with its attributes, one comment: expat holds such a thing whole, and looks at it
from its beginning each time that more of it comes (before expat 2.6)."""
MAX_DAMAGES = 20
"""Places behind which reading goes on; ends of documents count as well."""

_HEAD_BYTES = 1024
"""A declaration is looked for in as many."""
_FEED_BYTES = 256 << 10
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_SINGLE_OR_MULTIBYTE = re.compile(
    r"us-ascii|ascii|iso[-_]?8859-\d{1,2}|latin-?\d|windows-\d{3,4}|cp\d{3,4}|koi8-[ru]"
    r"|shift_jis|euc-(?:jp|kr)|gbk|gb2312|gb18030|big5|mac-?roman",
    re.IGNORECASE,
)
"""Encodings that a declaration may name; Python knows others that cost time or are none."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WITHOUT_BOM = ((b"<\0?\0", "utf-16-le"), (b"\0<\0?", "utf-16-be"), (b"<\0t\0", "utf-16-le"))

_CONTROLS = bytes(b for b in range(32) if b not in b"\t\n\r")
_TO_NUL = bytes.maketrans(_CONTROLS, bytes(len(_CONTROLS)))
_NO_CHARACTER = re.compile(b"\xef\xbf[\xbe\xbf]")
_REPLACEMENT = "\ufffd".encode()
_REFERENCE = re.compile(rb"&#(?!(?:9|1[03]|x0{0,3}[9aAdD]);)(?:x([0-9a-fA-F]+)|([0-9]+));")
_MAX_REFERENCE = 16
_RESUME = re.compile(rb"<(?:testcase|testsuites?)(?=[\s/>])")
_RESUME_BYTES = 16
_NEXT_DOCUMENT = (
    expat.errors.codes[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT],
    expat.errors.codes[expat.errors.XML_ERROR_MISPLACED_XML_PI],
)
_NO_ELEMENT = expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]


class Handler(Protocol):
    """Who is told what the documents hold."""

    def attach(self, parser: Any) -> None:
        """Set the handlers of a parser that takes over."""

    @property
    def depth(self) -> int:
        """How many elements are open."""

    def interrupt(self) -> Sequence[str]:
        """Forget what is not finished; the tags that are to be opened again."""


class StopReadingError(Exception):
    """What a handler raises to end the reading; its text says why."""


def clean_text(chunks: Iterable[bytes], warnings: list[str]) -> Iterator[bytes]:
    """UTF-8 of characters that XML allows; what is none becomes U+FFFD, which ``warnings`` tell."""
    chunks = iter(chunks)
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD_BYTES:
            break
    encoding, start = _encoding_of(head)
    decode = codecs.getincrementaldecoder(encoding)("replace").decode
    replaced = False
    held = head[start:].lstrip(b" \t\r\n") if encoding == "utf-8" else head[start:]
    text = b""
    for chunk, last in _with_last(held, chunks):
        decoded = decode(chunk, last)
        replaced = replaced or "\ufffd" in decoded
        text += decoded.encode("utf-8", "replace")
        if len(text.translate(None, _CONTROLS)) != len(text):
            # a regular expression would take a minute for a file of nothing else
            text, replaced = text.translate(_TO_NUL).replace(b"\0", _REPLACEMENT), True
        if b"\xef\xbf" in text:
            text = _NO_CHARACTER.sub(_REPLACEMENT, text)
        if b"&#" in text:
            raw, text = text, _REFERENCE.sub(_checked_reference, text)
            replaced = replaced or raw != text
        # a reference that goes on in the next chunk
        cut = text.rfind(b"&", max(0, len(text) - _MAX_REFERENCE)) if not last else -1
        if cut < 0 or b";" in text[cut:]:
            cut = len(text)
        if cut:
            yield text[:cut]
        text = text[cut:]
    if replaced:
        warnings.append("Control characters and bytes that are no text are shown as \ufffd.")


def _with_last(first: bytes, chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Pieces of at least _FEED_BYTES, and whether each is the last."""
    parts = [first]
    size = len(first)
    for chunk in chunks:
        if size >= _FEED_BYTES:
            yield b"".join(parts), False
            parts.clear()
            size = 0
        parts.append(chunk)
        size += len(chunk)
    yield b"".join(parts), True


def _encoding_of(head: bytes) -> tuple[str, int]:
    """The name of the encoding, and where the text begins."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name, len(bom)
    for beginning, name in _WITHOUT_BOM:
        if head.startswith(beginning):
            return name, 0
    match = _DECLARED.search(head[:_HEAD_BYTES])
    if match is not None and _SINGLE_OR_MULTIBYTE.fullmatch(declared := match[1].decode("ascii")):
        try:
            found = codecs.lookup(declared).name
        except LookupError:
            found = "ascii"
        if found != "ascii" and b"<testcase".decode(found, "replace") == "<testcase":
            return found, 0
    # also for a declared UTF-16 that could be read as ASCII: .NET writes such
    return "utf-8", 0


def _checked_reference(match: re.Match[bytes]) -> bytes:
    digits = match[1] or match[2]
    if len(digits) <= 8:
        number = int(digits, 16 if match[1] else 10)
        if number in (9, 10, 13) or 0x20 <= number < 0xD800 or 0xE000 <= number < 0xFFFE:
            return match[0]
        if 0x10000 <= number <= 0x10FFFF:
            return match[0]
    return _REPLACEMENT


class XmlReader:
    """Feeds one file to a handler."""

    def __init__(self, handler: Handler, *, name: str) -> None:
        """``name``: of the file, for messages."""
        self._handler = handler
        self._name = name
        self._line = 0
        """Lines before the first that the present parser saw."""
        self._fed = self._begun = 0
        """Bytes that the present parser got, in all and of what it is to believe."""
        self._skips = 0
        self._reopened: Sequence[str] = ()
        self._gap: int | None = None
        """While nothing is parsed: lines up to where we are."""
        self.warnings: list[str] = []

    def read(self, chunks: Iterable[bytes]) -> None:
        """All of it.  Raises ParseError for a DOCTYPE; other trouble ends in ``warnings``."""
        self._open(())
        rest = b""
        try:
            for chunk in clean_text(chunks, self.warnings):
                rest = self._feed(rest + chunk)
            if self._gap is None:
                self._finish()
        except StopReadingError as stop:
            self.warnings.append(f"{stop}; the rest of the file is left out.")

    def _open(self, tags: Sequence[str]) -> None:
        """A parser that believes to be inside of ``tags``."""
        self._parser = expat.ParserCreate("utf-8")  # whatever is declared: clean_text gives no other
        self._parser.buffer_text = True
        self._parser.buffer_size = 64 << 10
        self._parser.StartDoctypeDeclHandler = self._refuse
        opening = "".join(f"<{tag}>" for tag in tags).encode()
        self._parser.Parse(opening, False)
        self._fed = self._begun = len(opening)
        self._handler.attach(self._parser)

    def _refuse(self, *_: object) -> None:
        raise ParseError(
            f"{self._name} has a DOCTYPE, which is refused: no test report needs one,"
            " and it could define entities or name other files"
        )

    def _feed(self, chunk: bytes) -> bytes:
        """Parse ``chunk``; returns what is to be looked at again with the next one."""
        while chunk:
            if self._gap is not None:
                match = _RESUME.search(chunk)
                if match is None:
                    rest = chunk[-_RESUME_BYTES:]
                    self._gap += chunk.count(b"\n", 0, len(chunk) - len(rest))
                    return rest
                self._line = self._gap + chunk.count(b"\n", 0, match.start())
                self._gap = None
                chunk = chunk[match.start() :]
                self._open(self._reopened)
            try:
                self._parser.Parse(chunk, False)
            except expat.ExpatError as error:
                chunk = chunk[self._damaged(error, self._fed) :]
                continue
            self._fed += len(chunk)
            chunk = b""
            if self._fed - max(self._parser.CurrentByteIndex, 0) > MAX_TOKEN_BYTES:
                self._skip(f"a tag or comment is longer than {MAX_TOKEN_BYTES >> 20} MiB")
        return b""

    def _damaged(self, error: expat.ExpatError, before: int) -> int:
        """How much of the chunk that began at ``before`` is behind us."""
        at = self._parser.ErrorByteIndex
        between = not self._handler.depth and error.code in _NEXT_DOCUMENT
        self._skip(None if between else expat.ErrorString(error.code))
        # what is wrong may be in front of the next test's tag, or that tag itself
        return max(at - before, 0) + (at == self._begun)

    def _skip(self, damage: str | None) -> None:
        """Look for the next test or suite from now on; None at the end of a document."""
        line = self._line + self._parser.ErrorLineNumber
        self._reopened = self._handler.interrupt()
        self._gap = line - 1
        self._skips += 1
        if self._skips > MAX_DAMAGES:
            raise StopReadingError(f"The XML is damaged at more than {MAX_DAMAGES} places")
        if damage is not None:
            self.warnings.append(
                f"The XML is damaged at line {line} ({damage}); reading went on at the next test."
            )

    def _finish(self) -> None:
        try:
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            line = self._line + self._parser.ErrorLineNumber
            if self._handler.depth or error.code != _NO_ELEMENT:
                self._handler.interrupt()
                self.warnings.append(f"The XML ends early, at line {line}; what comes before is shown.")
