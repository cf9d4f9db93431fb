-- SPDX-License-Identifier: Apache-2.0
-- Times are integer milliseconds UTC, sizes are bytes.

CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of the queue; a task queued again keeps its place
    id TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    live_url TEXT UNIQUE,  -- the url while this task holds it, else NULL
    state TEXT NOT NULL
        CHECK (state IN ('queued', 'pending', 'finished', 'error', 'cancelled', 'expired')),
    job TEXT NOT NULL,  -- JSON, model.Job
    message TEXT,
    error TEXT,
    warnings TEXT NOT NULL DEFAULT '[]',  -- JSON, sentences
    cancel_hash TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    finished_ms INTEGER,
    CHECK (live_url IS NULL OR (live_url = url AND state IN ('queued', 'pending', 'finished')))
);

-- With seq behind each entry, as in every index: the oldest of a state is its first entry.
CREATE INDEX tasks_state_idx ON tasks (state);
CREATE INDEX tasks_finished_ms_idx ON tasks (finished_ms);

CREATE TABLE artifacts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which a task's artifacts are shown
    id TEXT NOT NULL UNIQUE,
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    artifact_type TEXT NOT NULL,
    artifact_name TEXT NOT NULL,
    is_primary INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    form INTEGER NOT NULL,
    meta TEXT NOT NULL,  -- JSON
    blob_hash TEXT NOT NULL,
    blob_size INTEGER NOT NULL,
    blob_blocks INTEGER NOT NULL  -- whether a block index lies beside the blob
);

CREATE INDEX artifacts_task_id_idx ON artifacts (task_id);
CREATE INDEX artifacts_blob_hash_idx ON artifacts (blob_hash);
