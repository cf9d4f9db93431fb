# SPDX-License-Identifier: Apache-2.0
"""What a person pasted -> a typed query.  Pure.

The forms are those of Gerrit's own router through fifteen years (the GWT interface with everything
in the fragment, PolyGerrit with the project in the path) and what mail and chat programs make of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import frozen

from stackviz_deployer.errors import HostNotAllowedError, QueryNotUnderstoodError
from stackviz_deployer.model import GerritServer

MAX_QUERY_CHARS = 4096
MAX_NUMBER = 2**31 - 1
"""Gerrit keeps changes and patchsets as Java ints."""

ACCEPTED_FORMS = (
    "a change (271726), with a patchset (271726,2 or 271726/2), a Gerrit URL of a change "
    "(https://review.opendev.org/c/openstack/nova/+/271726/2, old forms too), a Git ref "
    "(refs/changes/26/271726/2), the URL of a job's log directory or of a file in it, or the word 'sample'"
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
class LogUrlQuery:
    """Something on a log server, as it was pasted; whether its host is allowed is the Fetcher's to say."""

    url: str


@frozen(kw_only=True)
class SampleQuery:
    """The jobs that come with the package, or one of them."""

    url: str | None = None


Query = ChangeQuery | LogUrlQuery | SampleQuery

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WRAPPING = "\u200b\ufeff\u2060"  # invisible, and copied along from web pages
_BARE = re.compile(r"([0-9]+)(?:[,/]([0-9]+))?/?")
_REF = re.compile(r"refs/changes/([0-9]{2})/([0-9]+)/([0-9]+)")
_CHANGE_ID = re.compile(r"I[0-9a-f]{40}")
# One slash is what web servers leave of two when the URL stands in a path (/go/https:/...).
_SCHEME = re.compile(r"(https?):/+", re.IGNORECASE)
_NO_SCHEME = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?(?=[/?#])")
# The plus is a space after it went through programs that take the path for a form.
_CHANGE = re.compile(r"/c/(?P<project>[^ ].*?)/[+ ]/(?P<number>[0-9]+)(?P<rest>[/,].*)?", re.DOTALL)
_LEGACY = re.compile(r"(?:/c)?/(?P<number>[0-9]+)(?P<rest>[/,].*)?", re.DOTALL)
_OLDEST = re.compile(r"change,(?P<number>[0-9]+)(?P<rest>,.*)?")
# "3", "1..3", "-1..3", "edit", "3..edit", "3,edit"; what is compared against comes first.
_PATCHSET = re.compile(r"[/,](?:(?:-?[0-9]+|edit)\.\.)?(?:([0-9]+)|edit)(?:,edit)?(?:/.*)?", re.DOTALL)
_SEARCH = re.compile(r"/(?:q|id|dashboard)(?:[/,]|$)")
_ZUUL = re.compile(r"(?:/t/[^/]+)?/(?:build|buildset)/[0-9a-f]{32}(?:/|$)")


def parse_query(text: str, gerrits: Sequence[GerritServer]) -> Query:
    """The query that ``text`` is.

    Blanks, angle brackets, quotes and punctuation around it are forgiven.  Raises
    QueryNotUnderstoodError with the accepted forms, and HostNotAllowedError for a change on a
    Gerrit that is not configured.
    """
    if len(text) > MAX_QUERY_CHARS:
        raise _not_understood(f"This is longer than {MAX_QUERY_CHARS} characters.")
    text = _unwrap(text)
    if not text:
        raise _not_understood("Nothing was asked.")
    if _CONTROL.search(text):
        raise _not_understood("There is a line break or a control character in it.")
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
        raise _not_understood("A Change-Id can fit several changes and is not understood; give the number.")
    if text.lower() == "sample":
        return SampleQuery()
    if text.startswith("sample:"):
        return SampleQuery(url=text)
    return _parse_url(text, gerrits)


def host_of(server: GerritServer) -> str:
    """``host`` or ``host:port`` of a configured Gerrit, as entries and messages name it."""
    return _netloc(urlsplit(server.url))


def _unwrap(text: str) -> str:
    """Without what surrounds it in a sentence, a mail or a terminal."""
    before = None
    while text != before:
        before = text
        text = text.strip().strip(_WRAPPING).lstrip("<([{\"'`").rstrip(">)]}\"'`.,;:!?")
    return text


def _parse_url(text: str, gerrits: Sequence[GerritServer]) -> Query:
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
    own = False
    for server, base in _sites(netloc, gerrits):
        own = True
        inside = f"{parts.path}/"
        if inside.startswith(base):
            found = _change_in(parts, len(base) - 1)
            if found is not None:
                return ChangeQuery(
                    number=found.number, patchset=found.patchset, project=found.project, gerrit=server
                )
    if own:
        if any(_SEARCH.match(place) for place in _places(parts, 0)):
            raise _not_understood(f"A search on {netloc} can fit several changes; open one and give its URL.")
        raise _not_understood(f"This page of {netloc} is not about one change.")
    if not _SCHEME.match(text):
        raise _not_understood("This is neither a change nor a complete URL (it starts with http).")
    if _ZUUL.search(parts.path):
        raise _not_understood(
            "Zuul's build pages are not understood yet; give the URL of the build's log directory."
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
        match = _CHANGE.fullmatch(place) or _LEGACY.fullmatch(place) or _OLDEST.fullmatch(place)
        if match is None:
            continue
        patchset = _PATCHSET.fullmatch(match["rest"] or "")
        # Patchset 0 is an unpublished edit.
        wanted = None if patchset is None or not (patchset[1] or "").strip("0") else _number(patchset[1])
        project = match.groupdict().get("project")
        return ChangeQuery(number=_number(match["number"]), patchset=wanted, project=project)
    return None


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    if 0 < len(digits) <= 10 and (value := int(digits)) <= MAX_NUMBER:
        return value
    raise _not_understood(f"No change or patchset has such a number (1 to {MAX_NUMBER}).")


def _not_understood(why: str) -> QueryNotUnderstoodError:
    return QueryNotUnderstoodError(f"{why} Accepted: {ACCEPTED_FORMS}.")
