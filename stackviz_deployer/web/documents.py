# SPDX-License-Identifier: Apache-2.0
"""The JSON documents of the API, made of model values."""

from __future__ import annotations

from typing import Any

import orjson
from attrs import asdict
from twisted.web.server import Request

from stackviz_deployer.model import Answer, Artifact, KeptTask, Submitted, Task


def answer(request: Request, data: Any, status: int = 200) -> bytes:
    """Make ``data`` the answer as JSON that nobody stores; returns the body.

    (A handler of Klein's that returned the dict itself would answer an empty 200.)
    """
    body = orjson.dumps(data)
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"application/json")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    request.setHeader(b"Cache-Control", b"no-store")
    return body


def listing(found: Answer) -> dict[str, Any]:
    """``POST /api/list``: optional members are there only when they say something."""
    data: dict[str, Any] = {"results": [job.to_json() for job in found.results]}
    if found.message is not None:
        data["message"] = found.message
    if found.choices:
        data["choices"] = [asdict(choice) for choice in found.choices]
    if found.warnings:
        data["warnings"] = list(found.warnings)
    if found.asking:
        data["asking"] = list(found.asking)
    return data


def submitted(outcome: Submitted) -> dict[str, Any]:
    """``POST /api/scrape``; the cancel key goes to the creator alone."""
    data: dict[str, Any] = {"status": outcome.task.state.value, "uuid": outcome.task.id}
    if outcome.cancel_key is not None:
        data["cancel_key"] = outcome.cancel_key
    return data


def status(task: Task) -> dict[str, Any]:
    """``POST /api/status``, and the data of each event."""
    data: dict[str, Any] = {
        "status": task.state.value,
        "uuid": task.id,
        "job": task.job.to_json(),
        "created_ms": task.created_ms,
    }
    if task.message is not None:
        data["message"] = task.message
    if task.error is not None:
        data["error"] = task.error
    if task.progress is not None:
        data["progress"] = asdict(task.progress)
    if task.finished_ms is not None:
        data["finished_ms"] = task.finished_ms
    return data


def task(done: Task, artifacts: list[dict[str, Any]]) -> dict[str, Any]:
    """``POST /api/task``, flat as the original's: ``id`` is the task's, ``status`` the job's."""
    return {
        **done.job.to_json(),
        "url": done.url,
        "id": done.id,
        "artifacts": artifacts,
        "warnings": list(done.warnings),
        "scraped_ms": done.finished_ms,
    }


def kept(one: KeptTask) -> dict[str, Any]:
    """An entry of ``/api/admin/tasks``: as in ``/api/status``, and what is kept of it."""
    return {
        **status(one.task),
        "number": one.number,
        "pinned": one.pinned,
        "used_ms": one.used_ms,
        "expired_ms": one.expired_ms,
        "artifacts": one.artifacts,
        "bytes": one.bytes,
    }


def artifact(one: Artifact) -> dict[str, Any]:
    """An entry of ``artifacts``; ``size`` is in bytes as sent, that is, gzipped."""
    return {
        "id": one.id,
        "artifact_type": one.artifact_type,
        "artifact_name": one.artifact_name,
        "primary": one.primary,
        "content_type": one.content_type,
        "content_encoding": "gzip",
        "size": one.blob.size,
        "form": one.form,
        "blocks": one.blob.blocks,
        "meta": dict(one.meta),
    }
