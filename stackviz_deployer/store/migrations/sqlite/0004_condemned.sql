-- SPDX-License-Identifier: Apache-2.0

-- Blobs of a place that nodes share, which no artifact names: see store/condemned.py.
CREATE TABLE condemned (
    blob_hash TEXT NOT NULL PRIMARY KEY,
    since_ms INTEGER NOT NULL,  -- by the database's clock, as the next
    removing_ms INTEGER  -- since when it is being removed, else NULL
);
CREATE INDEX condemned_since_ms_idx ON condemned (since_ms);
