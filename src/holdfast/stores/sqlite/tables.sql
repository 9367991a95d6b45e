-- What a hub keeps in its SQLite file beside the user tables. Names are interned to integers where they repeat by row.

-- The hub itself, one row. `applying` is 1 while the hub writes user tables: the triggers of `schema/emit/sqlite_dirty.py`
-- then note nothing. `format` is the version of the tables in this file.
CREATE TABLE IF NOT EXISTS holdfast_hub (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  format INTEGER NOT NULL,
  hub TEXT NOT NULL,
  hlc INTEGER NOT NULL,
  applying INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Tables of the schema. `capture` is the text of the triggers that note foreign writes; NULL: there are none.
CREATE TABLE IF NOT EXISTS holdfast_table (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  capture TEXT
) STRICT;

-- By which rule of the space, as JSON, the rows of a table were placed.
CREATE TABLE IF NOT EXISTS holdfast_placed (
  tbl TEXT PRIMARY KEY,
  rule TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The layout: the columns of each table by slot. A slot is never used again.
CREATE TABLE IF NOT EXISTS holdfast_slot (
  tbl INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (tbl, slot),
  UNIQUE (tbl, name)
) STRICT, WITHOUT ROWID;

-- Heads of the feeds. A space with head 0 is only a name here: it was never written. Up to `floor` dead rows were collected.
CREATE TABLE IF NOT EXISTS holdfast_space (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  epoch TEXT NOT NULL,
  head INTEGER NOT NULL,
  chain TEXT NOT NULL,
  floor INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The feed. `patch` is what changed since the row stood at the place `before`, NULL where only the image will do. `place` is (space id << 40) + seq, so that one index gives a feed in order. `mark` is 0 for the row itself and the
-- id of a space for the leave mark that the row left there. A rowid table with two indexes takes random keys faster than one
-- clustered by key or by place: 90,000 against 30,000 and 63,000 rows/s in transactions of 1,000.
CREATE TABLE IF NOT EXISTS holdfast_row (
  id INTEGER PRIMARY KEY,
  tbl INTEGER NOT NULL,
  key TEXT NOT NULL,
  mark INTEGER NOT NULL,
  place INTEGER NOT NULL,
  life INTEGER NOT NULL,
  image BLOB NOT NULL,
  kept BLOB,
  patch BLOB,
  before INTEGER
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS holdfast_row_key ON holdfast_row (tbl, key, mark);
CREATE UNIQUE INDEX IF NOT EXISTS holdfast_row_place ON holdfast_row (place);
CREATE INDEX IF NOT EXISTS holdfast_row_dead ON holdfast_row (place) WHERE life & 1 = 0;

-- The chain of a space at every head that it had. `at` in milliseconds since 2020-01-01 UTC.
CREATE TABLE IF NOT EXISTS holdfast_commit (
  space INTEGER NOT NULL,
  head INTEGER NOT NULL,
  chain TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (space, head)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS holdfast_origin (
  origin TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  user TEXT NOT NULL,
  last_n INTEGER NOT NULL,
  seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS holdfast_result (
  origin TEXT NOT NULL,
  n INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (origin, n)
) STRICT, WITHOUT ROWID;

-- What every operation did. `row` is a 63-bit hash of (table, key): an index over integers takes random keys twice as fast.
CREATE TABLE IF NOT EXISTS holdfast_history (
  id INTEGER PRIMARY KEY,
  row INTEGER NOT NULL,
  tbl INTEGER NOT NULL,
  key TEXT NOT NULL,
  space TEXT NOT NULL,
  stamp TEXT NOT NULL,
  device TEXT NOT NULL,
  user TEXT NOT NULL,
  at INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS holdfast_history_row ON holdfast_history (row);
CREATE INDEX IF NOT EXISTS holdfast_history_at ON holdfast_history (tbl, at);

-- Buckets of the digest. The sum is s0 + s1 * 2^32 + s2 * 2^64 + s3 * 2^96; each limb stays within 32 bits.
CREATE TABLE IF NOT EXISTS holdfast_digest (
  space INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  count INTEGER NOT NULL,
  s0 INTEGER NOT NULL,
  s1 INTEGER NOT NULL,
  s2 INTEGER NOT NULL,
  s3 INTEGER NOT NULL,
  PRIMARY KEY (space, bucket)
) STRICT, WITHOUT ROWID;

-- Rows that other programs wrote. `problem`: why the row cannot be read; such a row waits aside until it is written again.
CREATE TABLE IF NOT EXISTS holdfast_dirty (
  mark INTEGER PRIMARY KEY AUTOINCREMENT,
  tbl TEXT NOT NULL,
  key TEXT NOT NULL,
  problem TEXT,
  UNIQUE (tbl, key) ON CONFLICT REPLACE
) STRICT;

-- One row: how often a table changed that the application's membership query reads.
CREATE TABLE IF NOT EXISTS holdfast_access (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO holdfast_access (id, version) VALUES (1, 1);

-- The next key of tables whose keys the hub gives, above every key that the table has or a device has leased.
CREATE TABLE IF NOT EXISTS holdfast_key (
  tbl TEXT PRIMARY KEY,
  next INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The latest keys that each device has leased: a device that asks again, because it did not hear the answer, gets the same ones.
CREATE TABLE IF NOT EXISTS holdfast_lease (
  tbl TEXT NOT NULL,
  device TEXT NOT NULL,
  ask TEXT NOT NULL,
  ranges TEXT NOT NULL,
  PRIMARY KEY (tbl, device)
) STRICT, WITHOUT ROWID;

-- The versions of the schema that this hub has run, as `stores/kept.py` writes them.
CREATE TABLE IF NOT EXISTS holdfast_version (
  version INTEGER PRIMARY KEY,
  body TEXT NOT NULL
) STRICT;
