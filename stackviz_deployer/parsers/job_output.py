# SPDX-License-Identifier: Apache-2.0
"""job-output.json -> ``job-output``: what a Zuul build did, task by task, and what it failed by.

The file has all that was printed as well; the artifact has names, times and results, and of what
failed the message and the ends of its output.
"""

from __future__ import annotations

import os
from typing import Any

import orjson

from stackviz_deployer.errors import ParseError
from stackviz_deployer.model import ParsedArtifact, ParseRequest, ParseResult
from stackviz_deployer.parsers import job_output_blame as blame
from stackviz_deployer.parsers.artifact_name import artifact_name, safe_name
from stackviz_deployer.parsers.blockgzip import write_gzip
from stackviz_deployer.parsers.decode import Decoder
from stackviz_deployer.parsers.job_output_blame import MAX_FAILURES, Failure, Playbook, Result
from stackviz_deployer.parsers.job_output_build import MAX_NODES, Build, TooManyError
from stackviz_deployer.parsers.job_output_stream import DamagedError, EndsEarlyError, JsonReader

FORM = 1


def parse(request: ParseRequest) -> ParseResult:
    """``job_output``: one input -> one artifact, ``application/json``; docs/artifacts.rst has its shape.

    Option: ``artifact_name`` (default: the file's).  The artifact's meta is ``{"status", "playbooks": n,
    "tasks": n, "results": {"ok": n, ...}, "start_ms", "end_ms", "failed": {"playbook", "play", "task",
    "host"} | null}``, with names where the artifact has numbers.  A file that is torn or damaged gives
    what came before that; one without any playbook a warning and no artifact.  Raises
    ParseError for what is no job-output.json, TooLargeError past ``max_bytes``.
    """
    (source,) = request.inputs
    decoder = Decoder(source.path, name=source.name, max_bytes=request.max_bytes)
    build = Build()
    ended = _read(build, decoder)
    warnings: list[str] = []
    if not build.playbooks:
        if ended and decoder.decoded_bytes:
            raise ParseError(f"{source.name}: no job-output.json: it has no playbook, and {ended}")
        warnings.append(f"{source.name}: there is no playbook in it.")
        return ParseResult(warnings=(*decoder.warnings, *warnings), decoded_bytes=decoder.decoded_bytes)
    if ended:
        warnings.append(f"{source.name}: the file {ended}.")
    failures = [
        failure for n, playbook in enumerate(build.playbooks) for failure in blame.settle(playbook, n)
    ]
    if not ended and blame.was_killed(build.playbooks):
        warnings.append(f"{source.name}: the job's run was killed before it left results.")
    blamed = blame.blamed(build.playbooks, failures)
    status = blame.status(build.playbooks, blamed, whole=not ended)
    document = {
        "status": status,
        "failed": _failure(blamed) if blamed else None,
        "failures": [_failure(one) for one in failures[:MAX_FAILURES]],
        "playbooks": [_playbook(one) for one in build.playbooks],
    }
    path = os.path.join(request.out_dir, "job-output.json.gz")  # noqa: PTH118 - paths are str on this side of the pipe
    write_gzip(path, orjson.dumps(document))
    artifact = ParsedArtifact(
        artifact_type="job-output",
        artifact_name=safe_name(request.options.get("artifact_name") or artifact_name(source.name)),
        content_type="application/json",
        primary=False,  # StackViz would list it, and show nothing
        path=path,
        form=FORM,
        meta=_meta(build.playbooks, status, blamed),
    )
    return ParseResult(
        artifacts=(artifact,), warnings=(*decoder.warnings, *warnings), decoded_bytes=decoder.decoded_bytes
    )


def _read(build: Build, decoder: Decoder) -> str | None:
    """Why not all of it could be read."""
    try:
        build.read(JsonReader(decoder))
    except EndsEarlyError:
        return "ends early; what comes after that is missing"
    except DamagedError:
        return "is damaged; what comes after that is left out"
    except TooManyError:
        return f"has more than {MAX_NODES} tasks and results; the rest is left out"
    return None


def _meta(playbooks: list[Playbook], status: str | None, blamed: Failure | None) -> dict[str, Any]:
    starts = [play.start_ms for one in playbooks for play in one.plays if play.start_ms is not None]
    ends = [play.end_ms for one in playbooks for play in one.plays if play.end_ms is not None]
    return {
        "status": status,
        "playbooks": len(playbooks),
        "tasks": sum(len(play.tasks) for one in playbooks for play in one.plays),
        "results": blame.results(playbooks),
        "start_ms": min(starts, default=None),
        "end_ms": max(ends, default=None),
        "failed": _names(playbooks, blamed) if blamed else None,
    }


def _names(playbooks: list[Playbook], failure: Failure) -> dict[str, str | None]:
    playbook = playbooks[failure.playbook]
    play = None if failure.play is None else playbook.plays[failure.play]
    task = None if play is None or failure.task is None else play.tasks[failure.task]
    return {
        "playbook": playbook.playbook,
        "play": None if play is None else play.name,
        "task": None if task is None else task.name,
        "host": failure.host,
    }


def _failure(failure: Failure) -> dict[str, int | str | None]:
    return {
        "playbook": failure.playbook,
        "play": failure.play,
        "task": failure.task,
        "host": failure.host,
    }


def _playbook(playbook: Playbook) -> dict[str, Any]:
    return {
        "playbook": playbook.playbook,
        "phase": playbook.phase,
        "index": playbook.index,
        "trusted": playbook.trusted,
        "branch": playbook.branch,
        "result": playbook.result,
        "stats": playbook.stats,
        "plays": [
            {
                "name": play.name,
                "start_ms": play.start_ms,
                "end_ms": play.end_ms,
                "tasks": [
                    {
                        "name": task.name,
                        **({"role": task.role} if task.role else {}),
                        "start_ms": task.start_ms,
                        "end_ms": task.end_ms,
                        "hosts": {host: _result(result) for host, result in task.hosts.items()},
                    }
                    for task in play.tasks
                ],
            }
            for play in playbook.plays
        ],
    }


def _result(result: Result) -> dict[str, Any]:
    """Without what there is none of."""
    told = {
        "result": result.result,
        "assumed": result.assumed or None,
        "action": result.action,
        "rc": result.rc,
        "duration_ms": result.duration_ms,
        "items": result.items,
        "failed_items": result.failed_items,
        **(result.excerpts or {}),
    }
    return {key: value for key, value in told.items() if value is not None}
