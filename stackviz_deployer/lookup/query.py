# SPDX-License-Identifier: Apache-2.0
"""What a person pasted -> a typed query.  Pure.

The forms are those of Gerrit's own router through fifteen years (the GWT interface with everything
in the fragment, PolyGerrit with the project in the path), Zuul's pages (zuul_page.py), and what mail and
chat programs make of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import evolve, frozen

from stackviz_deployer.errors import HostNotAllowedError, QueryNotUnderstoodError
from stackviz_deployer.lookup.zuul_page import BuildQuery, BuildsQuery, read_zuul_page, says_zuul
from stackviz_deployer.settings import GerritServer, ZuulServer

MAX_QUERY_CHARS = 4096
MAX_NUMBER = 2**31 - 1
"""Gerrit keeps changes and patchsets as Java ints."""

MAX_SEARCH_CHARS = 500

ACCEPTED_FORMS = (
    "a change (271726), with a patchset (271726,2 or 271726/2), a Gerrit URL of a change "
    "(https://review.opendev.org/c/openstack/nova/+/271726/2, old forms too) or of a search (.../q/topic:x), "
    "a Change-Id (I and 40 hexadecimal digits), a Git ref (refs/changes/26/271726/2), a page of Zuul "
    "(https://zuul.opendev.org/t/openstack/build/..., buildset/..., builds?..., status/...), the UUID of a "
    "build or buildset (32 hexadecimal digits), the URL of a job's log directory or of a file in it, "
    "or the word 'sample'"
)
"""For messages: what can be asked."""


@frozen(kw_only=True)
class ChangeQuery:
    """A change, perhaps one patchset of it."""

    number: int
    patchset: int | None = None
    gerrit: GerritServer | None = None
    """None: any of the configured ones may have it."""
    project: str | None = None
    """As the URL says; a project may have been renamed since."""


@frozen(kw_only=True)
class SearchQuery:
    """A search for changes, in Gerrit's own words."""

    text: str
    gerrit: GerritServer | None = None
    """None: all configured ones are asked."""


@frozen(kw_only=True)
class LogUrlQuery:
    """Something on a log server, as it was pasted; whether its host is allowed is the Fetcher's to say."""

    url: str


@frozen(kw_only=True)
class SampleQuery:
    """The jobs that come with the package, or one of them."""

    url: str | None = None


Query = ChangeQuery | SearchQuery | BuildQuery | BuildsQuery | LogUrlQuery | SampleQuery

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WRAPPING = "\u200b\ufeff\u2060"  # invisible, and copied along from web pages
_BARE = re.compile(r"([0-9]+)(?:[,/]([0-9]+))?/?")
_REF = re.compile(r"refs/changes/([0-9]{2})/([0-9]+)/([0-9]+)")
_CHANGE_ID = re.compile(r"I[0-9a-f]{40}")
# What Gerrit's API calls a change; the project may be percent-encoded, and begins with no host.
_API_NUMBER = re.compile(r"(?P<project>(?![^/~]*\.[^/~]*/)[^\s~:]+)~(?P<number>[0-9]+)")
_API_TRIPLET = re.compile(r"(?![^/~]*\.[^/~]*/)[^\s~:]+~[^\s~]+~I[0-9a-f]{40}")
_UUID = re.compile(r"[0-9a-f]{32}")
# One slash is what web servers leave of two when the URL stands in a path (/go/https:/...).
_SCHEME = re.compile(r"(https?):/+", re.IGNORECASE)
_NO_SCHEME = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?(?=[/?#])")
# The plus is a space after it went through programs that take the path for a form.
_CHANGE = re.compile(r"/c/(?P<project>[^ ].*?)/[+ ]/(?P<number>[0-9]+)(?P<rest>[/,].*)?", re.DOTALL)
_LEGACY = re.compile(r"(?:/c)?/(?P<number>[0-9]+)(?P<rest>[/,].*)?", re.DOTALL)
_API = re.compile(
    r"(?:/a)?/changes/(?:(?P<project>[^~]+)~)?(?P<number>[0-9]+)(?:/revisions(?P<rest>/.*)|/.*)?", re.DOTALL
)
_OLDEST = re.compile(r"change,(?P<number>[0-9]+)(?P<rest>,.*)?")
_FORMS = (_CHANGE, _LEGACY, _API, _OLDEST)
# "3", "1..3", "-1..3", "edit", "3..edit", "3,edit"; what is compared against comes first.
_PATCHSET = re.compile(r"[/,](?:(?:-?[0-9]+|edit)\.\.)?(?:([0-9]+)|edit)(?:,edit)?(?:/.*)?", re.DOTALL)
# "/q/topic:x", "/q/topic:x,25" and "#/q/topic:x,n,z" (pages of it), "#q,topic:x,n,z"
_SEARCH = re.compile(r"/?q[/,]([^,]+)(?:,.*)?", re.DOTALL)
_BY_CHANGE_ID = re.compile(r"/id/(I[0-9a-f]{40})/?")


def parse_query(text: str, gerrits: Sequence[GerritServer], zuuls: Sequence[ZuulServer] = ()) -> Query:
    """The query that ``text`` is.

    Blanks, angle brackets, quotes and punctuation around it are forgiven.  Raises
    QueryNotUnderstoodError with the accepted forms, and HostNotAllowedError for a page of a
    Gerrit or Zuul that is not configured.
    """
    if len(text) > MAX_QUERY_CHARS:
        raise _not_understood(f"This is longer than {MAX_QUERY_CHARS} characters.")
    text = _unwrap(text)
    if not text:
        raise _not_understood("Nothing was asked.")
    if _CONTROL.search(text):
        raise _not_understood("There is a line break or a control character in it.")
    if _UUID.fullmatch(text):
        return BuildQuery(uuid=text)
    if match := _BARE.fullmatch(text):
        return ChangeQuery(number=_number(match[1]), patchset=_number(match[2]) if match[2] else None)
    if match := _REF.fullmatch(text):
        number = _number(match[2])
        if int(match[1]) == number % 100:
            return ChangeQuery(number=number, patchset=_number(match[3]))
        raise _not_understood(
            f"{text} is no ref of a change: {match[1]} are not the last digits of {number}."
        )
    if _CHANGE_ID.fullmatch(text):
        return SearchQuery(text=f"change:{text}")
    if match := _API_NUMBER.fullmatch(text):
        return ChangeQuery(number=_number(match["number"]), project=unquote(match["project"]))
    if _API_TRIPLET.fullmatch(text):
        return SearchQuery(text=f"change:{unquote(text)}")
    if text.lower() == "sample":
        return SampleQuery()
    if text.startswith("sample:"):
        return SampleQuery(url=text)
    return _parse_url(text, gerrits, zuuls)


def zuul_query(url: str, zuuls: Sequence[ZuulServer]) -> BuildQuery | BuildsQuery | None:
    """What a page of a configured Zuul shows; None for any other URL."""
    try:
        parts = urlsplit(url)
        netloc = _netloc(parts)
    except ValueError:
        return None
    for zuul, base in _zuul_sites(parts, netloc, zuuls):
        found = read_zuul_page(parts.path[len(base) :], parts.query, zuul)
        if found is not None:
            return found
    return None


def host_of(server: GerritServer | ZuulServer) -> str:
    """``host`` or ``host:port`` of a configured server, as entries and messages name it."""
    return _netloc(urlsplit(server.url))


def host_in(url: str | None) -> str | None:
    """``host`` or ``host:port`` of any URL; None when it has none."""
    try:
        return (url and _netloc(urlsplit(url))) or None
    except ValueError:
        return None


def _unwrap(text: str) -> str:
    """Without what surrounds it in a sentence, a mail or a terminal."""
    before = None
    while text != before:
        before = text
        text = text.strip().strip(_WRAPPING).lstrip("<([{\"'`").rstrip(">)]}\"'`.,;:!?")
    return text


def _parse_url(text: str, gerrits: Sequence[GerritServer], zuuls: Sequence[ZuulServer]) -> Query:
    if match := _SCHEME.match(text):
        url = f"{match[1].lower()}://{text[match.end() :]}"
    elif match := _NO_SCHEME.match(text):
        url = f"https://{text}"
    else:
        raise _not_understood("This is neither a change nor an http(s) URL.")
    try:
        parts = urlsplit(url)
        netloc = _netloc(parts) if parts.hostname else ""
    except ValueError:
        netloc = ""
    if not netloc:
        raise _not_understood("This URL has no valid host.")
    page = zuul_query(url, zuuls)
    if page is not None:
        return page
    own = False
    for server, base in _sites(netloc, gerrits):
        below = f"{parts.path}/".startswith(base)
        own = own or below or _says_gerrit(parts)
        if below:
            asked = _change_in(parts, len(base) - 1) or _search_in(parts, len(base) - 1)
            if asked is not None:
                return evolve(asked, gerrit=server)
    if own:
        raise _not_understood(f"This page of {netloc} is not about changes.")
    if any(_zuul_sites(parts, netloc, zuuls)):
        raise _not_understood(f"This page of {netloc} is not about builds.")
    if not _SCHEME.match(text):
        raise _not_understood("This is neither a change nor a complete URL (it starts with http).")
    if says_zuul(parts.path):
        known = ", ".join(host_of(zuul) for zuul in zuuls) or "none"
        raise HostNotAllowedError(
            f"{netloc} is not a configured Zuul (configured: {known}); ask the operator to add it, "
            "or give the URL of the build's log directory."
        )
    if _says_gerrit(parts) and _change_in(parts, 0) is not None:
        known = ", ".join(host_of(server) for server in gerrits) or "none"
        raise HostNotAllowedError(
            f"{netloc} is not a configured Gerrit (configured: {known}); ask the operator to add it."
        )
    return LogUrlQuery(url=url)


def _sites(netloc: str, gerrits: Sequence[GerritServer]) -> Iterator[tuple[GerritServer, str]]:
    """Configured Gerrits at that host, each with the path it lives under; the most specific first."""
    found = []
    for server in gerrits:
        own = urlsplit(server.url)
        if _netloc(own) == netloc:
            found.append((server, own.path or "/"))
        for alias in server.aliases:
            host, _, path = alias.lower().partition("/")
            if host == netloc:
                # The old name may have had the new one's path, one of its own, or none.
                bases = {own.path or "/", f"/{path.strip('/')}/" if path else "/"}
                found.extend((server, base) for base in bases)
    yield from sorted(found, key=lambda site: -len(site[1]))


def _zuul_sites(
    parts: SplitResult, netloc: str, zuuls: Sequence[ZuulServer]
) -> Iterator[tuple[ZuulServer, str]]:
    """Configured Zuuls that a URL lies below, each with its path; the most specific first."""
    found = []
    for zuul in zuuls:
        own = urlsplit(zuul.url)
        base = own.path or "/"
        if _netloc(own) == netloc and f"{parts.path}/".startswith(base):
            found.append((zuul, base))
    yield from sorted(found, key=lambda site: -len(site[1]))


def _netloc(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    shown = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    return shown if parts.port in (None, usual) else f"{shown}:{parts.port}"


def _places(parts: SplitResult, skip: int) -> Iterator[str]:
    """Where the change may be written: in the fragment (GWT), else in the path."""
    if parts.fragment:
        yield unquote(parts.fragment).partition("?")[0]
    path = unquote(parts.path[skip:])
    # "%23" is a fragment's sign that some program took for a part of the path.
    yield path.removeprefix("/#")


def _says_gerrit(parts: SplitResult) -> bool:
    """Whether the URL is a Gerrit's by its form alone: a mere number in a path may be anything."""
    return any(place.startswith("/c/") for place in _places(parts, 0))


def _change_in(parts: SplitResult, skip: int) -> ChangeQuery | None:
    for place in _places(parts, skip):
        match = next(filter(None, (form.fullmatch(place) for form in _FORMS)), None)
        if match is None:
            continue
        patchset = _PATCHSET.fullmatch(match["rest"] or "")
        # Patchset 0 is an unpublished edit.
        wanted = None if patchset is None or not (patchset[1] or "").strip("0") else _number(patchset[1])
        project = match.groupdict().get("project")
        return ChangeQuery(number=_number(match["number"]), patchset=wanted, project=project)
    return None


def _search_in(parts: SplitResult, skip: int) -> SearchQuery | None:
    for place in (parts.fragment, parts.path[skip:].removeprefix("/%23").removeprefix("/#")):
        if match := _BY_CHANGE_ID.fullmatch(place):
            return SearchQuery(text=f"change:{match[1]}")
        if match := _SEARCH.fullmatch(place):
            # Blanks travel as "+", and what Gerrit's own pages encode they encode twice.
            text = unquote(unquote(match[1].replace("+", " "))).strip()
            if not text or len(text) > MAX_SEARCH_CHARS or _CONTROL.search(text):
                raise _not_understood(f"A search has 1 to {MAX_SEARCH_CHARS} characters.")
            return SearchQuery(text=text)
    return None


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    if 0 < len(digits) <= 10 and (value := int(digits)) <= MAX_NUMBER:
        return value
    raise _not_understood(f"No change or patchset has such a number (1 to {MAX_NUMBER}).")


def _not_understood(why: str) -> QueryNotUnderstoodError:
    return QueryNotUnderstoodError(f"{why} Accepted: {ACCEPTED_FORMS}.")
