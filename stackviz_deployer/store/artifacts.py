# SPDX-License-Identifier: Apache-2.0
"""The statements about artifacts.  Each is a function of a transaction and gives model values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from stackviz_deployer.errors import NotFoundError, TaskExpiredError
from stackviz_deployer.model import Artifact, ArtifactId, BlobHash, BlobRef, ParsedArtifact, TaskId
from stackviz_deployer.store.database import Cursor

_SELECT = """
    SELECT id, task_id, artifact_type, artifact_name, is_primary, content_type, form, meta,
           blob_hash, blob_size, blob_blocks
    FROM artifacts
"""


def add(txn: Cursor, task_id: TaskId, artifacts: Sequence[tuple[ParsedArtifact, BlobRef]]) -> None:
    """Record a task's artifacts, whose blobs are on disk, in the order in which they are shown."""
    for parsed, blob in artifacts:
        txn.execute(
            """
            INSERT INTO artifacts (id, task_id, artifact_type, artifact_name, is_primary, content_type,
                                   form, meta, blob_hash, blob_size, blob_blocks)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            (
                str(uuid4()),
                task_id,
                storable(parsed.artifact_type),
                storable(parsed.artifact_name),
                parsed.primary,
                storable(parsed.content_type),
                parsed.form,
                json.dumps(dict(parsed.meta)),
                blob.hash,
                blob.size,
                blob.blocks,
            ),
        )


def of_task(txn: Cursor, task_id: TaskId) -> tuple[Artifact, ...]:
    """A task's artifacts in the order in which they are shown; none of an unknown task."""
    rows = txn.execute(_SELECT + "WHERE task_id = ? ORDER BY seq", (task_id,))
    return tuple(_artifact(row) for row in rows)


def one(txn: Cursor, artifact_id: ArtifactId) -> Artifact:
    """Raises NotFoundError, and TaskExpiredError while it is known what it was."""
    row = txn.execute(_SELECT + "WHERE id = ?", (artifact_id,)).fetchone()
    if row is None:
        if txn.execute("SELECT 1 FROM expired_artifacts WHERE id = ?", (artifact_id,)).fetchone():
            raise TaskExpiredError("this artifact's site has expired; scrape the job again")
        raise NotFoundError("there is no such artifact")
    return _artifact(row)


def blob_hashes(txn: Cursor) -> frozenset[BlobHash]:
    """Every blob that an artifact names."""
    return frozenset(BlobHash(row[0]) for row in txn.execute("SELECT DISTINCT blob_hash FROM artifacts"))


def storable(text: str) -> str:
    """``text`` without what UTF-8 cannot hold: half a surrogate pair, which file names can bring along."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _artifact(row: Sequence[Any]) -> Artifact:
    return Artifact(
        id=row[0],
        task_id=row[1],
        artifact_type=row[2],
        artifact_name=row[3],
        primary=bool(row[4]),
        content_type=row[5],
        form=row[6],
        meta=json.loads(row[7]),
        blob=BlobRef(hash=row[8], size=row[9], blocks=bool(row[10])),
    )
