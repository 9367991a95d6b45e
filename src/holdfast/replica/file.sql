-- The engine's own tables in a device file. User tables stand beside them, exactly as declared.
-- holdfast_capture is made by code: its width depends on the schema.

CREATE TABLE holdfast_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    format INTEGER NOT NULL,
    device TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    schema_hash TEXT NOT NULL,
    schema_form TEXT NOT NULL DEFAULT '',     -- JSON: the schema itself, from which a later version is reached
    applying INTEGER NOT NULL DEFAULT 0,      -- 1 only inside a transaction of the engine: capture is off
    hlc INTEGER NOT NULL DEFAULT 0,           -- latest hybrid time given or seen
    clock_offset INTEGER NOT NULL DEFAULT 0,  -- milliseconds to add to the device's clock
    clock_jump INTEGER NOT NULL DEFAULT 0,    -- milliseconds by which it has moved against the hub's, at its last jump
    hub TEXT NOT NULL DEFAULT '',
    user TEXT NOT NULL DEFAULT '',
    layout TEXT NOT NULL DEFAULT '',          -- JSON: hash and column names by slot, as the hub sent them
    last_synced INTEGER,                      -- milliseconds since 2020-01-01 UTC
    sealed INTEGER NOT NULL DEFAULT 0,        -- so many changes were sealed: a captured change is op + this
    verify_due INTEGER,                       -- when this copy is compared with the hub; milliseconds since 2020-01-01 UTC
    verified TEXT                             -- JSON: when that was done last, and what it found
) STRICT;

CREATE TABLE holdfast_table (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 0,       -- one more for each transaction of the engine that wrote in the table
    captured INTEGER NOT NULL DEFAULT 0       -- the last change of any program that was sealed, counted over all tables
) STRICT;

-- One row for each `with replica.transaction()`: the captured operations first..last are one transaction on the wire.
CREATE TABLE holdfast_mark (
    mark INTEGER PRIMARY KEY AUTOINCREMENT,   -- what a Receipt names; never given twice
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    label TEXT NOT NULL DEFAULT '',
    after TEXT                                -- JSON: the marks that it must not overtake
) STRICT;

-- The latest transactions that were written through the library, so that they can be undone. holdfast_done, made by code
-- like holdfast_capture, holds a copy of their changes.
CREATE TABLE holdfast_step (
    step INTEGER PRIMARY KEY AUTOINCREMENT,
    mark INTEGER NOT NULL,                    -- of the transaction that holds it, which others may have been joined to
    kind TEXT NOT NULL CHECK (kind IN ('do', 'undo', 'redo')),
    reverses INTEGER,                         -- the step that an undo or redo reversed
    label TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'done' CHECK (state IN ('done', 'reversed', 'over'))
) STRICT;

-- The origins under which this file has written: a cell with such a stamp is our own.
CREATE TABLE holdfast_own (
    origin TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What the hub has told of the history of rows, to be read offline.
CREATE TABLE holdfast_told (
    tbl INTEGER NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,                       -- JSON: the entries, oldest first
    PRIMARY KEY (tbl, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE holdfast_transaction (
    txn INTEGER PRIMARY KEY AUTOINCREMENT,    -- in the order of writing
    state TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'refused', 'parked')),
    queue TEXT NOT NULL,                      -- its class
    origin TEXT,
    n INTEGER,
    place INTEGER,                            -- in the order of naming, over all origins
    withdraw TEXT NOT NULL DEFAULT '' CHECK (withdraw IN ('', 'cancel', 'release')),  -- the hub is asked not to take it
    label TEXT NOT NULL DEFAULT '',
    captured INTEGER NOT NULL,                -- milliseconds since 2020-01-01 UTC
    size INTEGER NOT NULL,                    -- bytes of its operations on the wire
    parts INTEGER NOT NULL DEFAULT 1,         -- transactions of the application in it
    mark INTEGER,                             -- that of its receipt
    schema INTEGER NOT NULL DEFAULT 0,        -- the version under which it was written, where that is not the file's
    attempts INTEGER NOT NULL DEFAULT 0,      -- requests that could not be processed because of it
    error TEXT NOT NULL DEFAULT '',           -- the last of these failures
    not_before INTEGER,                       -- when it is tried again; milliseconds since 2020-01-01 UTC
    result TEXT,                              -- JSON, of a refused one
    counted TEXT NOT NULL DEFAULT ''          -- the name under which a part of an unfinished answer has counted it
) STRICT;
CREATE INDEX holdfast_transaction_state ON holdfast_transaction (state, place);

CREATE TABLE holdfast_operation (
    txn INTEGER NOT NULL REFERENCES holdfast_transaction (txn),
    position INTEGER NOT NULL,
    tbl INTEGER NOT NULL,
    key TEXT NOT NULL,
    body TEXT NOT NULL,                       -- the operation as it goes over the wire
    shown TEXT,                               -- the same in the columns of the file, where it was written under earlier ones
    crc INTEGER,                              -- CRC-32 of the body; NULL: written by an earlier release
    PRIMARY KEY (txn, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX holdfast_operation_row ON holdfast_operation (tbl, key);

-- What a transaction depends on beside the rows that it changes: rows that its rows refer to (part 0, wrote 0), and the
-- values of unique columns that it takes or frees (part 1, 2, ... by the table's groups, wrote 1; 0 when referred to).
CREATE TABLE holdfast_use (
    txn INTEGER NOT NULL,
    tbl INTEGER NOT NULL,
    part INTEGER NOT NULL,
    name TEXT NOT NULL,
    wrote INTEGER NOT NULL,
    PRIMARY KEY (txn, tbl, part, name, wrote)
) STRICT, WITHOUT ROWID;

-- The order that the application asked for: `txn` goes after `earlier`.
CREATE TABLE holdfast_after (
    txn INTEGER NOT NULL,
    earlier INTEGER NOT NULL,
    PRIMARY KEY (txn, earlier)
) STRICT, WITHOUT ROWID;

-- What the hub has confirmed of each row. The values stand in the user table, or in holdfast_base while operations wait.
CREATE TABLE holdfast_row (
    tbl INTEGER NOT NULL,
    key TEXT NOT NULL,
    space INTEGER NOT NULL,
    life INTEGER NOT NULL,
    stamps TEXT NOT NULL,
    states TEXT,                              -- JSON by slot, NULL when there are none
    evicted INTEGER NOT NULL DEFAULT 0,       -- 1: the row has left this device to make room; no user table has it
    PRIMARY KEY (tbl, key)
) STRICT, WITHOUT ROWID;

-- Rows with waiting operations: their confirmed image; NULL when the hub has no such row.
CREATE TABLE holdfast_base (
    tbl INTEGER NOT NULL,
    key TEXT NOT NULL,
    image BLOB,
    PRIMARY KEY (tbl, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE holdfast_space (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    access TEXT NOT NULL CHECK (access IN ('r', 'rw', '')),
    cursor TEXT,
    ready INTEGER NOT NULL DEFAULT 0,
    loaded INTEGER,                           -- while not ready: everything up to this priority is here
    lost INTEGER NOT NULL DEFAULT 0,          -- 1: the hub has lost the history of what is here; it arrives anew
    behind INTEGER NOT NULL DEFAULT 0,        -- 1: rows that are gone may still be here; the space is compared with the hub
    upload INTEGER NOT NULL DEFAULT 0,        -- 1: the device writes in it and never reads it
    total TEXT,                               -- 32 hexadecimal digits, of what is confirmed; NULL: nobody has counted
    doubt INTEGER NOT NULL DEFAULT 0          -- 1: the hub said another total; 2: and a comparison has been made since
) STRICT;

-- What the device wants of what it may read. A space that is not here is wanted unless only chosen ones are.
CREATE TABLE holdfast_subscription (
    space TEXT PRIMARY KEY,
    wanted INTEGER NOT NULL,
    priority INTEGER NOT NULL,                -- lower comes first
    until INTEGER                             -- milliseconds since 2020-01-01 UTC by the device's clock; NULL: for ever
) STRICT, WITHOUT ROWID;

-- Pages that arrived but cannot be applied yet, because the answer they belong to is not complete.
CREATE TABLE holdfast_stage (
    position INTEGER PRIMARY KEY,
    space TEXT NOT NULL,
    cursor TEXT NOT NULL,
    rows BLOB NOT NULL
) STRICT;

-- Results whose effect is durable here: the hub may forget them.
CREATE TABLE holdfast_acknowledge (
    origin TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (origin, n)
) STRICT, WITHOUT ROWID;

-- Leased keys that are still free, for tables whose keys come from the hub's sequence: the range next..last.
CREATE TABLE holdfast_block (
    tbl TEXT NOT NULL,
    next INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (tbl, last)
) STRICT, WITHOUT ROWID;
