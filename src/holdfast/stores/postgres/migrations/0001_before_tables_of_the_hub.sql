-- What a hub keeps in PostgreSQL beside the user tables: everything in a schema of its own.

CREATE SCHEMA holdfast;

-- Numbered migrations of these tables that were run, with the SHA-256 of their text. Later ones than a library knows: see plan.py.
CREATE TABLE holdfast.migration (
  number integer PRIMARY KEY,
  name text NOT NULL,
  phase text NOT NULL CHECK (phase IN ('before', 'after')),
  checksum text NOT NULL,
  at timestamp with time zone NOT NULL DEFAULT now()
);

-- The hub itself, one row: 12 hexadecimal digits, all of them random.
CREATE TABLE holdfast.hub (
  id integer PRIMARY KEY CHECK (id = 1),
  hub text NOT NULL
);
INSERT INTO holdfast.hub (id, hub) VALUES (1, substring(replace(gen_random_uuid()::text, '-', '') FOR 12));

-- The hub's hybrid time is the greatest of these. Each process has a slot of its own, so that two of them never wait for each
-- other here: with one row all commits of all processes would pass through one lock.
CREATE TABLE holdfast.clock (
  slot integer PRIMARY KEY,
  hlc bigint NOT NULL
) WITH (fillfactor = 50);

-- Tables of the schema. `capture` is the SHA-256 of the triggers that note foreign writes; NULL: there are none. `noted`: the rows
-- that were there before the triggers have been noted. `made`: Holdfast made the table; it is not one of an application.
CREATE TABLE holdfast."table" (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  capture text,
  noted boolean NOT NULL DEFAULT false,
  made boolean NOT NULL DEFAULT false
);

-- The layout: the columns of each table by slot. A slot is never used again.
CREATE TABLE holdfast.slot (
  tbl integer NOT NULL,
  slot integer NOT NULL,
  name text NOT NULL,
  PRIMARY KEY (tbl, slot),
  UNIQUE (tbl, name)
);

-- Heads of the feeds: the counters that give commit order. Taken last in a transaction, in order of name, and held to commit.
CREATE TABLE holdfast.space (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text COLLATE "C" NOT NULL UNIQUE,
  epoch text NOT NULL,
  head bigint NOT NULL,
  chain text NOT NULL
) WITH (fillfactor = 50);

-- The feed. `mark` is 0 for the row itself and the id of a space for the leave mark that the row left there. `patch` is what
-- changed since the row stood at `before` in this space; both are NULL where only the image will do.
CREATE TABLE holdfast."row" (
  tbl integer NOT NULL,
  key text COLLATE "C" NOT NULL,
  mark integer NOT NULL,
  space integer NOT NULL,
  seq bigint NOT NULL,
  life bigint NOT NULL,
  image bytea NOT NULL,
  kept bytea,
  patch bytea,
  before bigint,
  CONSTRAINT row_key PRIMARY KEY (tbl, key, mark)
);
CREATE UNIQUE INDEX row_place ON holdfast."row" (space, seq);

-- The chain of a space at every head that it had. `at` in milliseconds since 2020-01-01 UTC.
CREATE TABLE holdfast.commit (
  space integer NOT NULL,
  head bigint NOT NULL,
  chain text NOT NULL,
  at bigint NOT NULL,
  PRIMARY KEY (space, head)
);

CREATE TABLE holdfast.origin (
  origin text COLLATE "C" PRIMARY KEY,
  device text NOT NULL,
  "user" text NOT NULL,
  last_n bigint NOT NULL,
  seen bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE holdfast.result (
  origin text COLLATE "C" NOT NULL,
  n bigint NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (origin, n)
);

-- What every operation did. `row` is the CRC-32 of the key: an index over integers is a quarter of one over keys.
CREATE TABLE holdfast.history (
  id bigint GENERATED ALWAYS AS IDENTITY,
  "row" bigint NOT NULL,
  tbl integer NOT NULL,
  key text COLLATE "C" NOT NULL,
  space text NOT NULL,
  stamp text NOT NULL,
  device text NOT NULL,
  "user" text NOT NULL,
  at bigint NOT NULL,
  body bytea NOT NULL
);
CREATE INDEX history_row ON holdfast.history ("row");

-- Buckets of the digest. The sum is s0 + s1 * 2^32 + s2 * 2^64 + s3 * 2^96; each limb stays within 32 bits. No index holds what
-- changes, and the pages have room: an update stays in its page.
CREATE TABLE holdfast.digest (
  space integer NOT NULL,
  bucket integer NOT NULL,
  count bigint NOT NULL,
  s0 bigint NOT NULL,
  s1 bigint NOT NULL,
  s2 bigint NOT NULL,
  s3 bigint NOT NULL,
  PRIMARY KEY (space, bucket)
) WITH (fillfactor = 50);

-- Rows that other programs wrote: notes are only added, never changed by their writers. Of several notes of one row the one
-- with the highest mark counts. `problem`: why the row cannot be read; it waits aside until it is written again.
CREATE TABLE holdfast.dirty (
  mark bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tbl text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  problem text
);
CREATE INDEX dirty_key ON holdfast.dirty (tbl, key, mark);
