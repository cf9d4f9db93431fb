-- SPDX-License-Identifier: Apache-2.0

ALTER TABLE tasks ADD COLUMN used_ms INTEGER;  -- when somebody last looked at it; of finished and expired ones
ALTER TABLE tasks ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;  -- never expires
ALTER TABLE tasks ADD COLUMN expired_ms INTEGER;

-- Nobody knows when the old ones were used: their time begins now.
UPDATE tasks SET used_ms = CAST(strftime('%s', 'now') AS INTEGER) * 1000 WHERE state = 'finished';

CREATE INDEX tasks_used_ms_idx ON tasks (used_ms) WHERE state = 'finished' AND pinned = 0;
CREATE INDEX tasks_ended_ms_idx ON tasks (COALESCE(expired_ms, finished_ms))
    WHERE state IN ('error', 'cancelled', 'expired');

-- What the artifacts of expired tasks were called, so that their addresses can say so.
CREATE TABLE expired_artifacts (
    id TEXT PRIMARY KEY,
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE INDEX expired_artifacts_task_id_idx ON expired_artifacts (task_id);

-- With the size, so that the sum of all needs no row.
DROP INDEX artifacts_blob_hash_idx;
CREATE INDEX artifacts_blob_idx ON artifacts (blob_hash, blob_size);
