-- SPDX-License-Identifier: Apache-2.0

-- attempts only grows from now on: with it, whoever began a task proves that nobody did later.
ALTER TABLE tasks ADD COLUMN owner TEXT;  -- the node that works on it, or did last; NULL without a cluster
ALTER TABLE tasks ADD COLUMN forgiven INTEGER NOT NULL DEFAULT 0;  -- of the attempts, those that a clean stop ended
