-- What the file knows of the room that it takes: rows that have left, when rows were last used, budgets.

CREATE INDEX IF NOT EXISTS holdfast_row_evicted ON holdfast_row (tbl, key) WHERE evicted;

-- When somebody last used a row of which something else than its latest write tells it.
CREATE TABLE IF NOT EXISTS holdfast_used (
    tbl INTEGER NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,                      -- milliseconds since 2020-01-01 UTC
    PRIMARY KEY (tbl, key)
) STRICT, WITHOUT ROWID;

-- The budgets of whoever has this file open, and how much was in use when it was last measured: for those who only look.
CREATE TABLE IF NOT EXISTS holdfast_storage (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    body TEXT NOT NULL                        -- JSON
) STRICT;
