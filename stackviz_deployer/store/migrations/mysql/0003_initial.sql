-- SPDX-License-Identifier: Apache-2.0
-- The first form that MySQL and MariaDB had: SQLite's form 3, with the same names.
-- Times are integer milliseconds UTC, sizes are bytes.
--
-- A statement of theirs commits by itself, so that a kill may leave a step half done: each
-- statement here must be one that can be run again.

CREATE TABLE IF NOT EXISTS tasks (
    seq BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,  -- the order of the queue
    id VARCHAR(64) NOT NULL,
    url TEXT NOT NULL,
    live_url TEXT,  -- the url while this task holds it, else NULL
    live_key CHAR(64) AS (SHA2(live_url, 256)) STORED,  -- URLs are too long for an index
    state VARCHAR(16) NOT NULL
        CHECK (state IN ('queued', 'pending', 'finished', 'error', 'cancelled', 'expired')),
    job MEDIUMTEXT NOT NULL,  -- JSON, model.Job
    message MEDIUMTEXT,
    error VARCHAR(64),
    warnings MEDIUMTEXT NOT NULL DEFAULT ('[]'),  -- JSON, sentences
    cancel_hash VARCHAR(128) NOT NULL,
    attempts INT NOT NULL DEFAULT 0,
    forgiven INT NOT NULL DEFAULT 0,
    owner VARCHAR(255),
    created_ms BIGINT NOT NULL,
    started_ms BIGINT,
    finished_ms BIGINT,
    used_ms BIGINT,
    pinned TINYINT NOT NULL DEFAULT 0,
    expired_ms BIGINT,
    disposable_ms BIGINT AS (CASE WHEN state = 'finished' AND pinned = 0 THEN used_ms END) STORED,
    ended_ms BIGINT
        AS (CASE WHEN state IN ('error', 'cancelled', 'expired') THEN COALESCE(expired_ms, finished_ms) END) STORED,
    CHECK (live_url IS NULL OR (live_url = url AND state IN ('queued', 'pending', 'finished'))),
    UNIQUE KEY tasks_id_idx (id),
    UNIQUE KEY tasks_live_key_idx (live_key),
    KEY tasks_state_idx (state, seq),
    KEY tasks_finished_ms_idx (finished_ms, seq),
    KEY tasks_disposable_ms_idx (disposable_ms, seq),
    KEY tasks_ended_ms_idx (ended_ms)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE {collation};

CREATE TABLE IF NOT EXISTS artifacts (
    seq BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,  -- the order in which a task's artifacts are shown
    id VARCHAR(64) NOT NULL,
    task_id VARCHAR(64) NOT NULL,
    artifact_type TEXT NOT NULL,
    artifact_name TEXT NOT NULL,
    is_primary TINYINT NOT NULL,
    content_type TEXT NOT NULL,
    form INT NOT NULL,
    meta MEDIUMTEXT NOT NULL,  -- JSON
    blob_hash CHAR(64) NOT NULL,
    blob_size BIGINT NOT NULL,
    blob_blocks TINYINT NOT NULL,  -- whether a block index lies beside the blob
    UNIQUE KEY artifacts_id_idx (id),
    KEY artifacts_task_id_idx (task_id, seq),
    KEY artifacts_blob_idx (blob_hash, blob_size),
    FOREIGN KEY (task_id) REFERENCES tasks (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE {collation};

-- What the artifacts of expired tasks were called, so that their addresses can say so.
CREATE TABLE IF NOT EXISTS expired_artifacts (
    id VARCHAR(64) NOT NULL PRIMARY KEY,
    task_id VARCHAR(64) NOT NULL,
    KEY expired_artifacts_task_id_idx (task_id),
    FOREIGN KEY (task_id) REFERENCES tasks (id) ON DELETE CASCADE
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE {collation};

-- What all nodes agree on: "create" is locked by whoever creates a task, "age_ms" is how late it
-- is by the clock of retention.
CREATE TABLE IF NOT EXISTS marks (
    name VARCHAR(32) NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE {collation};

INSERT IGNORE INTO marks (name, value) VALUES ('create', 0), ('age_ms', 0);
