-- The sync log, in a file of its own beside the device's. What the latest rounds did, one line each.
CREATE TABLE IF NOT EXISTS holdfast_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    began INTEGER NOT NULL,                   -- milliseconds since 2020-01-01 UTC, by the device's own clock
    trigger TEXT NOT NULL,                    -- as in replica/events.py
    milliseconds INTEGER NOT NULL,
    transactions INTEGER NOT NULL,            -- sent
    accepted INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    conflicts INTEGER NOT NULL,
    rows INTEGER NOT NULL,                    -- received
    plain_sent INTEGER NOT NULL,              -- bytes before compression
    plain_received INTEGER NOT NULL,
    bytes_sent INTEGER NOT NULL,              -- bytes on the wire
    bytes_received INTEGER NOT NULL,
    retries INTEGER NOT NULL,                 -- failures in a row before this round
    complete INTEGER NOT NULL,                -- 1: afterwards everything was answered and everything new was here
    error TEXT NOT NULL,                      -- code and message, or empty
    message TEXT NOT NULL
) STRICT;

-- What the process that syncs says of itself, for those who only look.
CREATE TABLE IF NOT EXISTS holdfast_now (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    process INTEGER NOT NULL,
    body TEXT NOT NULL                        -- JSON
) STRICT;

-- The id of the device, for when its file is damaged.
CREATE TABLE IF NOT EXISTS holdfast_device (
    device TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
