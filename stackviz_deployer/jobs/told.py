# SPDX-License-Identifier: Apache-2.0
"""What a task's files tell of its job: where no CI was asked, nobody else knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attrs import evolve

from stackviz_deployer.model import Job, ParsedArtifact

_NAME = re.compile(r"(?!workspace$)[\w.,=+/@:-]{1,200}")
"""Of a job.  It is said by a console, in which anything can stand; Jenkins may run every job in one place."""


def told_of_scrape(job: Job, artifacts: Sequence[ParsedArtifact]) -> Job:
    """A job of a CI, which knows its own result unless nobody could ask for it."""
    if job.status is not None:
        return job
    return evolve(job, status=next(_statuses(artifacts, "console"), None))


def told_of_upload(job: Job, artifacts: Sequence[ParsedArtifact], *, named: bool) -> Job:
    """What somebody sent; ``named``: whether the sender says how it is called.

    Its files need not be of one build: a result never praises what they show to have failed.
    """
    statuses = list(_statuses(artifacts, "console", "job-output"))
    status = next((one for one in statuses if one != "SUCCESS"), statuses[0] if statuses else None)
    runs = [one.meta for one in artifacts if one.artifact_type == "subunit"]
    if status in (None, "SUCCESS") and any(_count(run.get("fail")) for run in runs):
        status = "FAILURE"
    outputs = any(one.artifact_type in ("console", "job-output") for one in artifacts)
    if status is None and not outputs and any(_count(run.get("success")) for run in runs):
        status = "SUCCESS"
    names = {
        name for one in artifacts if isinstance(name := one.meta.get("job"), str) and _NAME.fullmatch(name)
    }
    return evolve(job, status=status, name=names.pop() if len(names) == 1 and not named else job.name)


def _statuses(artifacts: Sequence[ParsedArtifact], *types: str) -> Iterator[str]:
    """The builds' results as the logs have them."""
    said = (one.meta.get("status") for one in artifacts if one.artifact_type in types)
    return (status for status in said if isinstance(status, str))


def _count(number: object) -> int:
    return number if isinstance(number, int) else 0
