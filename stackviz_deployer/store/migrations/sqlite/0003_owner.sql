-- SPDX-License-Identifier: Apache-2.0

-- attempts only grows from now on: with it, whoever began a task proves that nobody did later.
ALTER TABLE tasks ADD COLUMN owner TEXT;  -- the node that works on it, or did last; NULL without a cluster
ALTER TABLE tasks ADD COLUMN forgiven INTEGER NOT NULL DEFAULT 0;  -- of the attempts, those that a clean stop ended

-- What partial indices said, in columns, because MySQL has no such indices and the statements are the same.
ALTER TABLE tasks ADD COLUMN disposable_ms INTEGER  -- used_ms of what retention may take
    AS (CASE WHEN state = 'finished' AND pinned = 0 THEN used_ms END) VIRTUAL;
ALTER TABLE tasks ADD COLUMN ended_ms INTEGER  -- since when there is nothing to show
    AS (CASE WHEN state IN ('error', 'cancelled', 'expired') THEN COALESCE(expired_ms, finished_ms) END) VIRTUAL;
DROP INDEX tasks_used_ms_idx;
DROP INDEX tasks_ended_ms_idx;
CREATE INDEX tasks_disposable_ms_idx ON tasks (disposable_ms) WHERE disposable_ms IS NOT NULL;
CREATE INDEX tasks_ended_ms_idx ON tasks (ended_ms) WHERE ended_ms IS NOT NULL;
