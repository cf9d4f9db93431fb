# SPDX-License-Identifier: Apache-2.0
"""What a page of Zuul's web interface shows -> a question to its API.  Pure.

The pages are those of ``web/src/routes.js`` with and without ``/t/<tenant>``, the ``.html`` ones
before it, and the API's own addresses; tabs, files, lines and anchors behind a build are the build.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote

from attrs import frozen

from stackviz_deployer.settings import ZuulServer

FILTERS = (
    "project", "pipeline", "branch", "change", "patchset", "ref", "newrev", "uuid", "job_name",
    "queue_item_uuid", "voting", "nodeset", "result", "final", "held", "complete",
)  # fmt: skip
"""What ``/builds`` can be asked for."""
MAX_FILTERS = 20
MAX_FILTER_CHARS = 250

TENANT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}")
"""What a tenant may be called in a URL that somebody pasted."""
_UUID = re.compile(r"[0-9a-f]{32}")
_CHANGE = re.compile(r"([0-9]{1,10})(?:,([0-9A-Za-z]{1,64}))?")
# a host that nobody configured: only what can hardly be anything else
_FORM = re.compile(
    r"/(?:build|buildset|stream)/[0-9a-f]{32}(?:/|$)|/t/[^/]+/(?:builds|buildsets|status)(?:/|\.|$)"
)
# A build set's result, and its uuid, are not those of its builds.
_OF_BUILDS_ALONE = ("uuid", "result", "job_name", "voting", "nodeset", "final", "held")


@frozen(kw_only=True)
class BuildQuery:
    """A build or a build set by its UUID."""

    uuid: str
    kind: str | None = None
    """``build`` or ``buildset``; None: either."""
    zuul: ZuulServer | None = None
    """None: any of the configured ones may have it."""
    tenant: str | None = None


@frozen(kw_only=True)
class BuildsQuery:
    """The newest builds that some filters let through."""

    zuul: ZuulServer
    tenant: str | None = None
    filters: tuple[tuple[str, str], ...] = ()


def read_zuul_page(path: str, query: str, zuul: ZuulServer) -> BuildQuery | BuildsQuery | None:
    """What the page at ``path`` (below the server's own, percent-encoded) and ``query`` shows.

    None when it is no page about builds.
    """
    pieces = [unquote(piece) for piece in path.strip("/").split("/")]
    tenant: str | None = None
    if pieces[0] == "api":
        pieces = ["t", *pieces[2:]] if pieces[1:2] == ["tenant"] else pieces[1:]
    if pieces[:1] == ["t"] and len(pieces) > 1:
        tenant, pieces = pieces[1], pieces[2:]
        if not TENANT.fullmatch(tenant):
            return None
    page, rest = (pieces[0].removesuffix(".html"), pieces[1:]) if pieces else ("", [])
    if page in ("build", "stream", "buildset") and rest and _UUID.fullmatch(rest[0]):
        kind = "buildset" if page == "buildset" else "build"
        return BuildQuery(uuid=rest[0], kind=kind, zuul=zuul, tenant=tenant)
    filters = _filters(query)
    if page == "buildsets":
        for name, value in filters:
            if name == "uuid" and _UUID.fullmatch(value):
                return BuildQuery(uuid=value, kind="buildset", zuul=zuul, tenant=tenant)
        filters = [(name, value) for name, value in filters if name not in _OF_BUILDS_ALONE]
    elif page in ("status", "job", "project"):
        said = _said(page, rest)
        if said is None:
            return None
        filters = said or [
            one for pair in filters if pair[0] in ("project", "pipeline", "change") for one in _split(pair)
        ]
    elif page != "builds":
        return None
    return BuildsQuery(zuul=zuul, tenant=tenant, filters=tuple(filters))


def says_zuul(path: str) -> bool:
    """Whether a URL's path alone says that it is Zuul's."""
    return _FORM.search(path) is not None


def _said(page: str, rest: Sequence[str]) -> list[tuple[str, str]] | None:
    """The filters in the path of a page; empty when it shows everything, None when it is another page."""
    name = "/".join(rest)
    if page == "job":
        return [("job_name", name)] if name else None
    if page == "project":
        # The canonical name begins with the host: opendev.org/openstack/nova.
        host, _, project = name.partition("/")
        return [("project", project if "." in host else name)] if name else None
    if not name:
        return []
    if rest[0] == "pipeline" and len(rest) > 1:
        return [("pipeline", rest[1])]
    if rest[0] != "change" or len(rest) < 2 or not _CHANGE.fullmatch(rest[1]):
        return None
    return _split(("change", rest[1]))


def _split(pair: tuple[str, str]) -> list[tuple[str, str]]:
    """``change=<change>,<patchset>``, as pages of the status have it, in the two filters of ``/builds``."""
    match = _CHANGE.fullmatch(pair[1]) if pair[0] == "change" else None
    if match is None or not match[2]:
        return [pair]
    return [("change", match[1]), ("patchset", match[2])]


def _filters(query: str) -> list[tuple[str, str]]:
    try:
        given = parse_qsl(query, max_num_fields=100)
    except ValueError:
        return []
    # Zuul's wildcards stay: the question is the one that the page asks.
    return [(name, value) for name, value in given if name in FILTERS and len(value) <= MAX_FILTER_CHARS][
        :MAX_FILTERS
    ]
