-- SPDX-License-Identifier: Apache-2.0

-- Blobs of a place that nodes share, which no artifact names: see store/condemned.py.
CREATE TABLE IF NOT EXISTS condemned (
    blob_hash CHAR(64) NOT NULL PRIMARY KEY,
    since_ms BIGINT NOT NULL,  -- by the database's clock, as the next
    removing_ms BIGINT,  -- since when it is being removed, else NULL
    KEY condemned_since_ms_idx (since_ms)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE {collation};
