# SPDX-License-Identifier: Apache-2.0
"""An answer of Zuul's REST API -> its builds, or its tenants.

Runs in a worker process: hundreds of builds with their artifacts are megabytes.  Both shapes are
read: until 9.3 what a build is of (project, change...) stands in the build or its buildset itself, since
10.0 it is a ``ref`` of its own (``zuul/web/__init__.py``: RefConverter, BuildConverter, BuildsetConverter).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from stackviz_deployer.errors import ParseError
from stackviz_deployer.model import ParseRequest, ParseResult
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.fields import milliseconds_of, number_of, text_of, url_of
from stackviz_deployer.parsers.values import load

MAX_BUILDS = 3_000
MAX_BUILDS_BYTES = 3 << 20
"""Of all builds as JSON; parsers/worker.py lets 4 MiB back to the reactor."""
MAX_ARTIFACTS = 1_000
MAX_TENANTS = 1_000
_UUID = re.compile(r"[0-9a-f]{32}")
_DIGITS = re.compile(r"[0-9]{1,10}")


def parse(request: ParseRequest) -> ParseResult:
    """Read one answer.

    Options: ``host`` (for messages) and ``kind``: ``builds`` (``/builds``), ``build``
    (``/build/<uuid>``), ``buildset`` (``/buildset/<uuid>``) or ``tenants`` (``/tenants``).
    ``data`` of the result is ``{"tenants": [name...]}``, or ``{"builds": [...]}`` in the server's
    order (newest first), each::

        {
            "uuid",
            "name",
            "pipeline",
            "result",
            "error_detail",
            "voting",
            "final",
            "started_ms",
            "finished_ms",
            "duration",
            "url",
            "reason",
            "manifest_url",
            "project",
            "branch",
            "change",
            "patchset",
            "newrev",
            "ref",
            "ref_url",
        }

    Everything but ``name`` and ``final`` may be None: ``result`` while a build runs, ``url`` (of its
    logs) with the ``reason``.  Raises ParseError naming the host, TooLargeError.
    """
    host = str(request.options.get("host") or request.inputs[0].name)
    kind = str(request.options.get("kind") or "builds")
    decoder = Decoder(request.inputs[0].path, name=host, max_bytes=request.max_bytes)
    body = b"".join(decoder)
    try:
        answer = load(body, host)
    except orjson.JSONDecodeError as error:  # also for what is nested too deep
        start = body[:60].decode("utf-8", "replace").strip()
        raise ParseError(f"{host} did not answer with Zuul's JSON ({error}); it begins {start!r}.") from error
    if not isinstance(answer, list if kind in ("builds", "tenants") else dict):
        raise ParseError(f"{host} answered with JSON that is none of Zuul's {kind}.")
    warnings = list(decoder.warnings)
    data: dict[str, Any]
    if kind == "tenants":
        names = [text_of(entry.get("name")) for entry in answer[:MAX_TENANTS] if isinstance(entry, dict)]
        data = {"tenants": [name for name in names if name]}
    else:
        found, complete = _bounded(_entries(answer, kind))
        data = {"builds": found}
        if not complete:
            warnings.append(f"{host}: there are very many builds; some were left out.")
    return ParseResult(data=data, warnings=tuple(warnings), decoded_bytes=decoder.decoded_bytes)


def _bounded(entries: Iterator[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    found: list[dict[str, Any]] = []
    left = MAX_BUILDS_BYTES
    for entry in entries:
        left -= len(orjson.dumps(entry))
        if len(found) == MAX_BUILDS or left < 0:
            return found, False
        found.append(entry)
    return found, True


def _entries(answer: Any, kind: str) -> Iterator[dict[str, Any]]:
    if kind == "build":
        answer = [answer]
    if kind != "buildset":
        for build in answer:
            if isinstance(build, dict):
                yield from _entry(build, {}, final=True)
        return
    # "retry_builds" was there from 2020-04 to 2021-07; since then retries stand among the others.
    for key in ("builds", "retry_builds"):
        nested = answer.get(key)
        for build in nested if isinstance(nested, list) else ():
            if isinstance(build, dict):
                yield from _entry(build, answer, final=key == "builds")


def _entry(build: Mapping[str, Any], buildset: Mapping[str, Any], *, final: bool) -> Iterator[dict[str, Any]]:
    name = text_of(build.get("job_name"))
    if name is None:
        return
    uuid = build.get("uuid")
    result = text_of(build.get("result"))
    url = url_of(build.get("log_url"))
    yield {
        "uuid": uuid if isinstance(uuid, str) and _UUID.fullmatch(uuid) else None,
        "name": name,
        "pipeline": text_of(build.get("pipeline")) or text_of(buildset.get("pipeline")),
        "result": result,
        "error_detail": text_of(build.get("error_detail")),
        "voting": build["voting"] if isinstance(build.get("voting"), bool) else None,
        "final": final and build.get("final") is not False,
        "started_ms": milliseconds_of(build.get("start_time")),
        "finished_ms": milliseconds_of(build.get("end_time")),
        "duration": _duration(build.get("duration")),
        "url": url,
        "reason": None if url else _reason(result, running=build.get("start_time") is not None),
        "manifest_url": _manifest(build.get("artifacts")),
        **_ref(build, buildset),
    }


def _ref(build: Mapping[str, Any], buildset: Mapping[str, Any]) -> dict[str, Any]:
    """What the build is of; in the old shape ``ref`` is a text beside the rest."""
    refs = buildset.get("refs")
    places = [build.get("ref"), *(refs[:1] if isinstance(refs, list) else ()), build, buildset]
    found = [place for place in places if isinstance(place, dict)]
    said = next((place for place in found if "project" in place or "change" in place), {})
    return {
        "project": text_of(said.get("project")),
        "branch": text_of(said.get("branch")),
        "change": _integer(said.get("change")),
        "patchset": _integer(said.get("patchset")),
        "newrev": text_of(said.get("newrev")),
        "ref": text_of(said.get("ref")),
        "ref_url": url_of(said.get("ref_url")),
    }


def _integer(value: object) -> int | None:
    """Patchsets are texts, and commits where changes are pull requests."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    return number_of(value)


def _manifest(artifacts: object) -> str | None:
    for artifact in artifacts[:MAX_ARTIFACTS] if isinstance(artifacts, list) else ():
        metadata = artifact.get("metadata") if isinstance(artifact, dict) else None
        if isinstance(metadata, dict) and metadata.get("type") == "zuul_manifest":
            return url_of(artifact.get("url"))
    return None


def _duration(seconds: object) -> str | None:
    """As Zuul writes it in its comments."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 10**8:
        return None
    minutes, s = divmod(int(seconds), 60)
    h, m = divmod(minutes, 60)
    if h:
        return f"{h}h {m:02}m {s:02}s"
    return f"{m}m {s:02}s" if m else f"{s}s"


def _reason(result: str | None, *, running: bool) -> str:
    """Why there are no logs."""
    if result is None:
        return "The build is still running." if running else "The build has not started yet."
    if result == "SKIPPED":
        return "The job was skipped: it has no logs."
    if result == "NODE_FAILURE":
        return "The build got no machine to run on: it has no logs."
    return "Zuul knows of no logs of this build."
