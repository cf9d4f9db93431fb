# SPDX-License-Identifier: Apache-2.0
"""What the URL of a log directory says by itself.  Pure.

CI has put logs under ``[<nn>/]<change>/<patchset>/<pipeline>/<job>/<uuid7>/`` for changes (``nn``
= the change's last two digits; Swift containers lack it), ``<xx>/<sha>/<pipeline>/<job>/<uuid7>/``
for what was pushed (post, release, tag), and ``periodic*/[<project>/<branch>/]<job>/<uuid7>/``.  A
partitioned Swift has the first part at the end of the container's name (``logs_42``).  Today it is
``<tenant>/<uuid>/`` with all 32 digits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from attrs import evolve, frozen

from stackviz_deployer.errors import QueryNotUnderstoodError
from stackviz_deployer.lookup.zuul_page import TENANT

MAX_URL_CHARS = 2048
MAX_SEGMENTS = 64

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_UUID = re.compile(r"[0-9a-f]{7}|[0-9a-f]{32}")
_FULL_UUID = re.compile(r"[0-9a-f]{32}")
_SHA = re.compile(r"[0-9a-f]{40}")
_PIPELINE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_BUILD_NUMBER = re.compile(r"[0-9]+")
_NODE_LOGS = ("controller", "logs")
"""Where devstack's jobs keep the logs of their first node, below the job's root."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}]")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")
_FILE = re.compile(r".+\.[A-Za-z][A-Za-z0-9]{0,9}")


@frozen(kw_only=True)
class LogUrl:
    """A job's log directory and what its path says; None where it says nothing."""

    root: str
    """The job's directory, ends in a slash."""
    name: str
    """The job, or what stands last in the path."""
    change: int | None = None
    patchset: int | None = None
    pipeline: str | None = None
    newrev: str | None = None
    """The commit that was pushed or tagged."""
    uuid: str | None = None
    """The build's, seven digits or all 32."""
    tenant: str | None = None
    """Of Zuul, when its name may stand in the path."""
    key: str | None = None
    """The part of the path that is the same on every server that had these logs."""


def parse_log_url(url: str) -> LogUrl:
    """The job that ``url`` (its directory, or anything below) belongs to.

    A URL of no known form is a directory, or a file in one.  Raises QueryNotUnderstoodError when it
    is no clean absolute http(s) URL.
    """
    if len(url) > MAX_URL_CHARS:
        raise QueryNotUnderstoodError(f"The URL of a log directory may have {MAX_URL_CHARS} characters.")
    if _CONTROL.search(url):  # urlsplit would drop some without a word
        raise QueryNotUnderstoodError("There is a line break or a control character in the URL.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise QueryNotUnderstoodError("The URL has no valid host or port.") from error
    if "[" in parts.netloc and not _BRACKETED.fullmatch(parts.netloc.rpartition("@")[2]):
        raise QueryNotUnderstoodError("The URL has no valid host or port.")  # urlsplit drops what is odd
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in ("http", "https") or not host:
        raise QueryNotUnderstoodError("The URL of a log directory starts with http:// or https://.")
    if "@" in parts.netloc:
        raise QueryNotUnderstoodError("A URL with a user name or password is not accepted.")
    # What stands behind "?" or "#" (a line of the log, a theme of the viewer) is not the directory's.
    segments = parts.path.split("/")[1:]
    if _UNSAFE.search(parts.path) or any(unquote(segment) in (".", "..") for segment in segments):
        raise QueryNotUnderstoodError("The URL's path holds characters or steps that no log directory has.")
    if len(segments) - (segments[-1:] == [""]) > MAX_SEGMENTS:  # a root has a slash more than its address
        raise QueryNotUnderstoodError(f"The URL's path is over {MAX_SEGMENTS} levels deep.")
    host = f"[{host}]" if ":" in host else host
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        host = f"{host}:{port}"
    return _facts(f"{parts.scheme}://{host}/", segments)


def log_url_or_none(url: str) -> LogUrl | None:
    """As parse_log_url; None where that raises."""
    try:
        return parse_log_url(url)
    except QueryNotUnderstoodError:
        return None


def _facts(site: str, raw: Sequence[str]) -> LogUrl:
    segments = [unquote(segment) for segment in raw]
    for start in range(len(segments)):
        found = _of_change(segments, start) or _of_commit(segments, start) or _periodic(segments, start)
        if found is not None:
            said, end = found
            return evolve(said, root=_root(site, raw[:end]))
    for place, segment in enumerate(segments):
        if _FULL_UUID.fullmatch(segment):  # <tenant>/<build>, as Zuul uploads to Swift today
            before = segments[place - 1] if place else ""
            return LogUrl(
                root=_root(site, raw[: place + 1]),
                name=segment,
                uuid=segment,
                tenant=before if TENANT.fullmatch(before) else None,
                key=segment,
            )
    is_file = bool(segments) and _FILE.fullmatch(segments[-1]) is not None
    kept = list(raw[:-1] if is_file else raw)
    for place in range(1, len(kept) - 1):
        if tuple(segments[place : place + 2]) == _NODE_LOGS:
            kept = kept[:place]
            break
    while kept and not kept[-1]:
        kept.pop()
    return LogUrl(root=_root(site, kept), name=_name(kept) or site)


def _name(path: Sequence[str]) -> str:
    """What stands last in a path; a build's number (Jenkins, Prow) with the job before it."""
    names = [unquote(segment) for segment in path if segment]
    if len(names) > 1 and _BUILD_NUMBER.fullmatch(names[-1]):
        return "/".join(names[-2:])
    return names[-1] if names else ""


def _root(site: str, segments: Sequence[str]) -> str:
    return site + "".join(f"{segment}/" for segment in segments)


_Found = tuple[LogUrl, int] | None
"""What was said, its root still empty; the index behind the build's segment."""


def _of_change(segments: Sequence[str], start: int) -> _Found:
    rest = segments[start : start + 5]
    if len(rest) < 5:
        return None
    number, patchset, pipeline, job, uuid = rest
    if not (_NUMBER.fullmatch(number) and _NUMBER.fullmatch(patchset) and _is_build(pipeline, job, uuid)):
        return None
    said = LogUrl(
        root="",
        name=job,
        change=int(number),
        patchset=int(patchset),
        pipeline=pipeline,
        uuid=uuid,
        key="/".join(rest),
    )
    return said, start + 5


def _of_commit(segments: Sequence[str], start: int) -> _Found:
    rest = segments[start : start + 5]
    if len(rest) < 5:
        return None
    prefix, newrev, pipeline, job, uuid = rest
    partition = prefix.rpartition("_")[2]
    if not (_SHA.fullmatch(newrev) and newrev[:2] == partition and _is_build(pipeline, job, uuid)):
        return None
    key = "/".join([partition, *rest[1:]])
    said = LogUrl(root="", name=job, pipeline=pipeline, newrev=newrev, uuid=uuid, key=key)
    return said, start + 5


def _periodic(segments: Sequence[str], start: int) -> _Found:
    pipeline = segments[start]
    if "_periodic" in pipeline:
        pipeline = pipeline[pipeline.index("_periodic") + 1 :]
    if not pipeline.startswith("periodic"):
        return None
    for place in range(start + 2, len(segments)):
        job, uuid = segments[place - 1 : place + 1]
        if _is_build(pipeline, job, uuid):
            key = "/".join([pipeline, *segments[start + 1 : place + 1]])
            return LogUrl(root="", name=job, pipeline=pipeline, uuid=uuid, key=key), place + 1
    return None


def _is_build(pipeline: str, job: str, uuid: str) -> bool:
    return bool(job and _PIPELINE.fullmatch(pipeline) and _UUID.fullmatch(uuid))
