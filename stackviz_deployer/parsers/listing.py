# SPDX-License-Identifier: Apache-2.0
"""Directory index pages of web servers: one tolerant reader with few rules.

All that is believed of a page is its hrefs: servers cut the visible names, escape them differently or
not at all, and put help texts with links of their own around the index (formats/listings.md).
"""

from __future__ import annotations

import re
from html import unescape
from itertools import islice
from urllib.parse import quote, unquote

from attrs import define, field, frozen

from stackviz_deployer.errors import ParseError
from stackviz_deployer.model import ParseRequest, ParseResult
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.fields import size_of
from stackviz_deployer.parsers.listing_data import Entry, data_entries
from stackviz_deployer.parsers.wanted import MAX_NAME, Answer, chooser, is_name

MAX_ENTRIES = 50_000
MAX_LINKS = 4 * MAX_ENTRIES
"""Links that are looked at in one page; icons double them, help texts add some."""
_MAX_SEGMENT = 3 * MAX_NAME
"""Of a URL: a name with each byte as %XX."""

# "[^<>]" keeps every search linear: no tag is sought beyond the next one
_CONTAINER = re.compile(r"<(/?)(?:table|pre|ul)\b", re.IGNORECASE)
_LINK = re.compile(r"""<a\s(?:href="([^"<>&]{1,4096})"|([^<>]{0,8192}))>([^<]{0,512})""", re.IGNORECASE)
_HREF = re.compile(r"""(?:^|\s)href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+))""", re.IGNORECASE)
_HEADING = re.compile(
    r"<(?:title|h1|h2)\b[^<>]*>\s*(?:index of|directory listing|listing of)\b", re.IGNORECASE
)
_COLUMNS = re.compile(r"<th\b[^<>]*>\s*name\s*<", re.IGNORECASE)
_SORT = re.compile(r"\?(?:[CNMSD]=|sort=)")
_PARENT_TEXT = re.compile(r"\s*(?:\.\.(?:/|$)|\[?(?:to )?parent directory)", re.IGNORECASE)
# up to the size of the same row: no "</tr>", no next link
_GAP = r"(?:\s++|&nbsp;|<(?!a\s|/tr|/li)[^<>]{0,300}>){0,20}+"
_SIZE = r"([0-9]{1,18}(?:\.[0-9]{1,3})?)\s?([KMGTP]?)i?B?(?=\s|<|&nbsp;|$)"
# behind the name there is mostly a date; Zuul's pages have the year behind the time of day
_DATE = r"[0-9A-Z][0-9A-Za-z -]{0,20}[0-9][ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:\s[0-9]{4}(?=\s?<))?"
_ROW = re.compile(rf"[^<]{{0,512}}</a>\s?/?{_GAP}(?:{_DATE}{_GAP})?{_SIZE}", re.IGNORECASE)
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}

_BASE = re.compile(r"(?P<origin>https?://[^/?#]*|sample:)(?P<path>[^?#]*)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")
_CHILD = re.compile(r"((?!\.\.?/?$)[A-Za-z0-9._~-]{1,1024})(/?)")
"""What nearly every href is: a name without escapes, that of a folder with a slash."""
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_STANDS = "!$&'()*+,-.:;=@_~%[]"


@frozen
class _Base:
    """Where the page lies, with what its hrefs are completed."""

    origin: str
    folder: str
    """The path up to the last slash, as it was asked for."""
    url: str
    """Both together."""

    @classmethod
    def of(cls, url: str) -> _Base:
        match = _BASE.match(url)
        if match is None:
            raise ParseError(f"{url[:200]!r} is no address of an index page.")
        folder = match["path"].rpartition("/")[0] + "/"
        return cls(match["origin"], folder, match["origin"] + folder)

    def relative(self, href: str) -> str | None:
        """What follows this folder in ``href``; None when it leads elsewhere."""
        if href.startswith("//"):
            href = self.origin.partition(":")[0] + ":" + href
        if _SCHEME.match(href):
            if href[: len(self.origin)].lower() != self.origin.lower():
                return None
            href = href[len(self.origin) :]
            if not href.startswith("/"):
                return None
        if href.startswith("/"):
            if href.startswith(self.folder):
                return href[len(self.folder) :]
            # the same folder may be escaped in another way
            parts = href.split("/", self.folder.count("/"))
            if unquote("/".join(parts[:-1])) + "/" != unquote(self.folder):
                return None
            return parts[-1]
        while href.startswith("./"):
            href = href[2:]
        return href


@define
class _Piece:
    """The links in one table, preformatted text or list."""

    has_sort: bool = False
    has_parent: bool = False
    links: int = 0
    entries: dict[str, Entry] = field(factory=dict)
    named: bool = True
    """Whether every link shows the name that it leads to, or its beginning; not asked beside sort links."""
    too_many: bool = False

    @property
    def rank(self) -> tuple[bool, bool, bool, int]:
        """How much it looks like the index, beside other parts of its page."""
        return self.has_sort, self.has_parent, self.named and bool(self.entries), len(self.entries)


def parse(request: ParseRequest) -> ParseResult:
    """The entries of a directory index: folders, and files that scrapers may want.

    One input: the page as it came.  Options: ``url``, where it was found (after redirects);
    ``path``, the folder's own in the job's tree (ends in a slash, empty for the root); ``names``,
    the globs of interfaces.Scraper (everything without them).  The result's data is
    ``{"entries": [{"name", "url", "dir", "size"}...], "seen": n}`` in the page's order, folders
    first, names decoded, sizes in bytes as far as the page tells (rounded) or null; ``seen`` is how
    many files it lists.  Raises ParseError for a page that is no index, TooLargeError beyond
    ``request.max_bytes``.
    """
    (page,) = request.inputs
    decoder = Decoder(page.path, name=page.name, max_bytes=request.max_bytes)
    body = b"".join(decoder)
    try:
        # Apache without Charset= says ISO-8859-1 of pages that are UTF-8
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode("cp1252", "replace")
    warnings = list(decoder.warnings)
    base = _Base.of(str(request.options["url"]))
    entries = data_entries(text, base.url, warnings, page.name)
    if entries is None:
        piece = _choose(text, base)
        if piece is None:
            raise ParseError(f"{page.name} is no directory index.")
        entries = piece.entries.values()
        if piece.too_many:
            warnings.append(f"{page.name} lists too many entries; only the first {MAX_ENTRIES:,} were read.")
    fits = chooser(request.options.get("names"))
    path = str(request.options.get("path", ""))
    folders, files, seen = Answer(), Answer(), 0
    for entry in entries:
        seen += not entry.is_dir
        if entry.is_dir or fits(path, entry.name):
            (folders if entry.is_dir else files).add(
                name=entry.name, url=entry.url, dir=entry.is_dir, size=entry.size
            )
    if folders.left_out or files.left_out:
        warnings.append(
            f"{page.name} lists too many entries; {folders.left_out:,} folders and {files.left_out:,} files "
            "of those wanted were left out."
        )
    return ParseResult(
        data={"entries": folders.rows + files.rows, "seen": seen},
        warnings=tuple(warnings),
        decoded_bytes=decoder.decoded_bytes,
    )


def _choose(text: str, base: _Base) -> _Piece | None:
    """The index among what a page holds: the part that looks most like one."""
    spans: list[tuple[int, int]] = []
    start = None
    for match in _CONTAINER.finditer(text):
        if start is not None:
            spans.append((start, match.start()))
        start = None if match[1] else match.start()
        if len(spans) >= 1000:  # help texts have few lists, hostile pages many
            break
    if start is not None:
        spans.append((start, len(text)))
    heading = _HEADING.search(text) is not None
    if not spans and heading:
        spans.append((0, len(text)))
    if not spans:
        return None
    left = MAX_LINKS
    pieces = []
    for start, end in spans:
        piece = _read(text, start, end, base, left)
        left -= piece.links
        pieces.append((piece, start, end))
    piece, start, end = max(pieces, key=lambda found: found[0].rank)  # of equals the first
    evident = (
        heading
        or piece.has_sort
        or piece.has_parent
        or (bool(piece.entries) and piece.named)
        or _COLUMNS.search(text, start, end) is not None
    )
    return piece if evident else None


def _read(text: str, start: int, end: int, base: _Base, left: int) -> _Piece:
    """The links of one part, at most ``left`` of them."""
    piece = _Piece()
    for link in islice(_LINK.finditer(text, start, end), left):
        piece.links += 1
        href = link[1] or _href(link[2])
        if href is None:
            continue
        if href.startswith("?"):
            piece.has_sort = piece.has_sort or _SORT.match(href) is not None
            continue
        entry = _entry(href, base)
        if entry is None:
            piece.has_parent = piece.has_parent or _PARENT_TEXT.match(link[3]) is not None
            continue
        known = piece.entries.get(entry.name)
        if known is not None and (known.is_dir or known.size is not None):
            continue
        if not entry.is_dir:
            entry.size = _size(text, link.start(3))
        if known is not None:  # Apache's icon was a link, too
            known.size = entry.size
            continue
        if len(piece.entries) >= MAX_ENTRIES:
            piece.too_many = True
            break
        piece.entries[entry.name] = entry
        if not piece.has_sort:
            piece.named = piece.named and _shows(link[3], entry.name)
    return piece


def _href(attributes: str) -> str | None:
    """The href among a link's attributes, however it is written."""
    found = _HREF.search(attributes)
    if found is None:
        return None
    return unescape(found[1] or found[2] or found[3] or "").strip()


def _entry(href: str, base: _Base) -> Entry | None:
    """What lies directly in the page's folder under ``href``; None for anything else."""
    plain = _CHILD.fullmatch(href)
    if plain is not None:
        return Entry(plain[1], base.url + href, plain[2] == "/", None)
    rest = base.relative(href)
    if not rest or "?" in rest:
        return None
    rest = rest.partition("#")[0]
    segment, slash, below = rest.partition("/")
    # object stores have no index for a folder but a file, and Zuul's pages link to that
    if below not in ("", "index.html") or len(segment) > _MAX_SEGMENT:
        return None
    name = segment
    if not _PLAIN.fullmatch(segment):
        segment = quote(_STRAY_PERCENT.sub("%25", segment), safe=_STANDS, errors="replace")
        name = unquote(segment, errors="replace")
    if not is_name(name):
        return None
    return Entry(name, f"{base.url}{segment}{slash}{below}", bool(slash), None)


def _size(text: str, start: int) -> int | None:
    """The size in the row behind a link, in bytes."""
    row = _ROW.match(text, start)
    if row is None:
        return None
    unit = _UNITS[row[2].upper()]
    return size_of(int(float(row[1]) * 1024**unit) if unit or "." in row[1] else int(row[1]))


def _shows(text: str, name: str) -> bool:
    """Whether the visible ``text`` of a link is ``name``, or its beginning as servers cut it."""
    shown = unescape(text).strip().removesuffix("/")
    for mark in ("..>", "...", ".."):
        if shown.endswith(mark) and not name.endswith(mark):
            shown = shown.removesuffix(mark)
            break
    return shown != "" and name.startswith(shown)
