# SPDX-License-Identifier: Apache-2.0
"""What people paste, the addresses in it, what Gerrit and Zuul answer, what CI systems write."""

from __future__ import annotations

from stackviz_deployer.errors import HostNotAllowedError, QueryNotUnderstoodError
from stackviz_deployer.lookup.logurl import MAX_URL_CHARS as MAX_LOG_URL_CHARS
from stackviz_deployer.lookup.logurl import log_url_or_none, parse_log_url
from stackviz_deployer.lookup.query import LogUrlQuery, parse_query
from stackviz_deployer.net.hosts import AllowedHosts, parse_url
from stackviz_deployer.parsers.ci_comments import MAX_LINES, MAX_URL_CHARS, parse_comment
from stackviz_deployer.settings import GerritServer, ZuulServer
from tests.fuzz.oracle import promise
from tests.fuzz.target import Target, file_target

GERRITS = (
    GerritServer(url="https://review.opendev.org/", aliases=("review.openstack.org",)),
    GerritServer(url="https://gerrit.example.org/r/", aliases=("old.example.org/gerrit",)),
)
ZUULS = (
    ZuulServer(url="https://zuul.opendev.org/"),
    ZuulServer(url="https://softwarefactory-project.io/zuul/"),
    ZuulServer(url="https://zuul.example.org/", tenants=("one",), white_label=True),
)
HOSTS = AllowedHosts(
    ["logs.openstack.org", "logs.opendev.org:8080", "*.ssl.cf*.rackcdn.com", "[2001:db8::1]"]
)


def _text(data: bytes) -> str:
    """JSON can carry any text, lone surrogates too."""
    try:
        return data.decode("utf-8", "surrogatepass" if b"\xed" in data else "replace")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _query(data: bytes) -> None:
    query = parse_query(_text(data), GERRITS, ZUULS)
    repr(query)
    if isinstance(query, LogUrlQuery):
        promise(query.url.startswith(("http://", "https://")), f"a URL {query.url!r}")


def _logurl(data: bytes) -> None:
    said = parse_log_url(_text(data))
    promise(said.root.endswith("/") and said.name, f"{said!r}")
    if len(said.root) > MAX_LOG_URL_CHARS:
        return  # a slash more than there was
    again = log_url_or_none(said.root)
    promise(again is not None and again.root == said.root, f"{said!r} has another root: {again!r}")
    promise(again is not None and again.key == said.key, f"{said!r} is another build: {again!r}")


def _url(data: bytes) -> None:
    target = parse_url(_text(data))
    promise(
        target.url.isascii() and target.url.startswith(f"{target.scheme}://{target.place}/"), f"{target!r}"
    )
    promise(parse_url(target.url) == target, f"{target!r} is another when asked again")
    HOSTS.admit(target)


def _comment(data: bytes) -> None:
    text = _text(data)
    said = parse_comment(text, text.partition("\n")[0])
    promise(len(said.builds) <= MAX_LINES, "more builds than lines")
    for build in said.builds:
        promise(build.name, f"{build!r}")
        promise((build.url is None) == (build.reason is not None), f"{build!r}")
        promise(build.url is None or len(build.url) <= MAX_URL_CHARS + 1, f"{build!r}")


_REFUSED = (QueryNotUnderstoodError, HostNotAllowedError)
_GERRIT = {"host": "review.example.org"}
_ZUUL = {"host": "zuul.example.org"}

TARGETS = (
    Target(name="query", run=_query, declared=_REFUSED, dictionaries=("query",)),
    Target(name="logurl", run=_logurl, declared=(QueryNotUnderstoodError,), dictionaries=("logurl",)),
    Target(name="url", run=_url, declared=_REFUSED, dictionaries=("url",)),
    Target(name="comment", run=_comment, declared=(), dictionaries=("comment",)),
    *(
        file_target(name, parser, "answer", options=options, dictionaries=(parser, "json"))
        for name, parser, options in (
            ("gerrit", "gerrit", {**_GERRIT, "ci_accounts": ["zuul", "* CI"]}),
            ("gerrit_changes", "gerrit", {**_GERRIT, "ci_accounts": [], "kind": "changes"}),
            ("zuul", "zuul", {**_ZUUL, "kind": "builds"}),
            ("zuul_buildset", "zuul", {**_ZUUL, "kind": "buildset"}),
        )
    ),
)
