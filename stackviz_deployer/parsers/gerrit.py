# SPDX-License-Identifier: Apache-2.0
"""A Gerrit's answer -> a change and its CI builds, or the changes that a search found.

Runs in a worker process: the answer is megabytes for a change with years of comments.  Form and
optional fields: Gerrit's ``Documentation/rest-api-changes.txt`` (ChangeInfo, ChangeMessageInfo).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import orjson
from attrs import asdict

from stackviz_deployer.errors import ParseError
from stackviz_deployer.model import ParseRequest, ParseResult
from stackviz_deployer.parsers.ci_comments import parse_comment
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.fields import milliseconds_of, number_of, text_of
from stackviz_deployer.parsers.values import load

MAX_CHANGES = 100
MAX_MESSAGES = 20_000
MAX_COMMENT_CHARS = 256 << 10
MAX_BUILDS = 3_000
MAX_BUILDS_BYTES = 3 << 20
"""Of all builds as JSON; parsers/worker.py lets 4 MiB back to the reactor."""
_XSSI = b")]}'"
# Where Jenkins put a build's logs (lookup/logurl.py knows the other places).
_PLACE = re.compile(r"/([1-9][0-9]{0,8})/([1-9][0-9]{0,8})/([A-Za-z][A-Za-z0-9_.-]*)/[^/]+/[0-9a-f]{7}/")
_GLOB = re.compile(r"[*?\[]")


def parse(request: ParseRequest) -> ParseResult:
    """Read one answer of ``GET /changes/<id>?o=MESSAGES&o=DETAILED_ACCOUNTS...``.

    Options: ``ci_accounts`` (usernames, or globs on the display name), ``host`` (for messages).
    ``data`` of the result::

        {"change": {"number", "project", "branch", "subject", "status", "patchset"},
         "builds": [{"ci", "pipeline", "patchset", "finished_ms",
                     "name", "url", "page", "reason", "result", "error_detail", "duration", "voting"}...]}

    The builds are newest first; ``patchset`` of the change is its current one.  Everything but
    ``number``, ``ci`` and ``name`` may be None.  With the option ``kind`` = ``changes`` it is an answer of
    ``GET /changes/?q=...`` instead, and ``data`` = ``{"changes": [as above...], "more": bool}``.
    Raises ParseError naming the host, TooLargeError.
    """
    host = str(request.options.get("host") or request.inputs[0].name)
    accounts = [str(account) for account in request.options.get("ci_accounts", ())]
    decoder = Decoder(request.inputs[0].path, name=host, max_bytes=request.max_bytes)
    body = b"".join(decoder)
    answer = _decoded(body, host)
    if request.options.get("kind") == "changes":
        return ParseResult(
            data=_found(answer, host),
            warnings=tuple(decoder.warnings),
            decoded_bytes=decoder.decoded_bytes,
        )
    change = _change(answer, host)
    messages = change.get("messages")
    messages = [entry for entry in messages if isinstance(entry, dict)] if isinstance(messages, list) else []
    warnings = list(decoder.warnings)
    if len(messages) > MAX_MESSAGES:
        messages = messages[-MAX_MESSAGES:]
        warnings.append(f"{host}: only the newest {MAX_MESSAGES} comments of the change were read.")
    builds, complete = _builds(messages, change["_number"], accounts)
    if not complete:
        warnings.append(f"{host}: the change has very many CI results; the oldest were left out.")
    return ParseResult(
        data={"change": _facts(change, messages), "builds": builds},
        warnings=tuple(warnings),
        decoded_bytes=decoder.decoded_bytes,
    )


def _decoded(body: bytes, host: str) -> Any:
    if body.startswith(_XSSI):
        # Cut at the first line's end, never at other "line breaks": texts may hold U+0085.
        body = body.partition(b"\n")[2]
    try:
        return load(body, host)
    except orjson.JSONDecodeError as error:  # also for what is nested too deep
        start = body[:60].decode("utf-8", "replace").strip()
        raise ParseError(
            f"{host} did not answer with Gerrit's JSON ({error}); it begins {start!r}."
        ) from error


def _change(answer: Any, host: str) -> dict[str, Any]:
    if not isinstance(answer, dict) or number_of(answer.get("_number")) is None:
        raise ParseError(f"{host} answered with JSON that is not a Gerrit change.")
    return answer


def _found(answer: Any, host: str) -> dict[str, Any]:
    if not isinstance(answer, list):
        raise ParseError(f"{host} answered with JSON that is no list of changes.")
    changes = [_change(entry, host) for entry in answer[:MAX_CHANGES]]
    more = len(answer) > MAX_CHANGES or (bool(changes) and changes[-1].get("_more_changes") is True)
    return {"changes": [_facts(change, ()) for change in changes], "more": more}


def _facts(change: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "number": change["_number"],
        "project": text_of(change.get("project")),
        "branch": text_of(change.get("branch")),
        "subject": text_of(change.get("subject")),
        "status": text_of(change.get("status")),
        "patchset": _current_patchset(change, messages),
    }


def _current_patchset(change: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> int | None:
    """As said (new Gerrits), as the current revision says, else the highest that a message is about."""
    if (said := number_of(change.get("current_revision_number"))) is not None:
        return said
    revisions, current = change.get("revisions"), change.get("current_revision")
    if isinstance(revisions, dict) and isinstance(current, str):
        revision = revisions.get(current)
        if isinstance(revision, dict) and (said := number_of(revision.get("_number"))) is not None:
            return said
    numbers = [number_of(message.get("_revision_number")) for message in messages]
    return max((number for number in numbers if number is not None), default=None)


def _builds(
    messages: Sequence[Mapping[str, Any]], number: int, accounts: Sequence[str]
) -> tuple[list[dict[str, Any]], bool]:
    """All builds, newest first; False when the oldest had to be left out."""
    names = {account.casefold() for account in accounts if not _GLOB.search(account)}
    globs = [account for account in accounts if _GLOB.search(account)]
    found: list[dict[str, Any]] = []
    left = MAX_BUILDS_BYTES
    for finished_ms, message in _newest_first(messages):
        ci = _ci_name(message, names, globs)
        if ci is None:
            continue
        for build in _comment_builds(message, number):
            entry = {**build, "ci": ci, "finished_ms": finished_ms}
            left -= len(orjson.dumps(entry))
            if len(found) == MAX_BUILDS or left < 0:
                return found, False
            found.append(entry)
    return found, True


def _newest_first(
    messages: Sequence[Mapping[str, Any]],
) -> list[tuple[int | None, Mapping[str, Any]]]:
    """With their times; one without a time stays behind the one that was before it."""
    dated: list[tuple[int, int, int | None, Mapping[str, Any]]] = []
    previous = 0
    for place, message in enumerate(messages):
        moment = milliseconds_of(message.get("date"))
        previous = previous if moment is None else moment
        dated.append((previous, place, moment, message))
    dated.sort(key=lambda entry: entry[:2], reverse=True)
    return [(moment, message) for _, _, moment, message in dated]


def _comment_builds(message: Mapping[str, Any], number: int) -> Iterator[dict[str, Any]]:
    text, tag = message.get("message"), message.get("tag")
    if not isinstance(text, str):
        return
    comment = parse_comment(text[:MAX_COMMENT_CHARS], tag if isinstance(tag, str) else None)
    said = number_of(message.get("_revision_number")) or comment.patchset
    for build in comment.builds:
        pipeline, patchset = comment.pipeline, said
        # Jenkins did not name the pipeline until 2015, but its log addresses do.
        if (pipeline is None or patchset is None) and (place := _PLACE.search(build.url or "")):
            pipeline = pipeline or place[3]
            if int(place[1]) == number:
                patchset = patchset or int(place[2])
        yield {**asdict(build), "pipeline": pipeline, "patchset": patchset}


def _ci_name(message: Mapping[str, Any], names: set[str], globs: Sequence[str]) -> str | None:
    """The CI account that wrote a message; None when a person (or Gerrit itself) did."""
    author = message.get("author")
    author = author if isinstance(author, dict) else {}
    username, display = text_of(author.get("username")), text_of(author.get("name"))
    # Without DETAILED_ACCOUNTS (old servers) there is no username.
    known = (username or display or "").casefold() in names
    tag = message.get("tag")
    tagged = isinstance(tag, str) and tag.startswith("autogenerated:zuul:")
    if known or tagged or (display and any(fnmatchcase(display, glob) for glob in globs)):
        return username or display or ("zuul" if tagged else None)
    return None
