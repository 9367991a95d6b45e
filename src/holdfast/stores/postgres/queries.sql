-- name: begin_read
-- One snapshot for head, rows and results (trap 4).
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY

-- name: begin_write
-- Each statement sees what was committed before it; rows are locked before they are read.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE

-- name: settings
-- For this transaction only, so that a pooler may give the connection to somebody else afterwards. A plan that was made
-- while a table was small stays right when it has grown, if it looks up what it is given by index: so none is made anew for each call. Before PostgreSQL 18 a
-- plan that has to do what is off is taken for so costly that it is compiled, for half a second, at each call: hence no JIT. A hub that
-- hangs in a transaction loses it, and its locks.
SELECT set_config('holdfast.applying', 'on', true), set_config('plan_cache_mode', 'force_generic_plan', true),
  set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
  set_config('jit', 'off', true),
  set_config('lock_timeout', %s::text, true), set_config('idle_in_transaction_session_timeout', %s::text, true)

-- name: settings_and_origins
-- Both in one statement: the settings of a writer, then its origins as `lock_origins` takes them. What is selected is evaluated in order, so the
-- time that a lock is waited for is that of the settings.
SELECT set_config('holdfast.applying', 'on', true), set_config('plan_cache_mode', 'force_generic_plan', true),
  set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
  set_config('jit', 'off', true),
  set_config('lock_timeout', %s::text, true), set_config('idle_in_transaction_session_timeout', %s::text, true),
  pg_advisory_xact_lock_shared(p.place, -1), (
    SELECT count(pg_advisory_xact_lock(p.place, s.stripe)) FROM unnest(%s::int[]) AS s(stripe)
  ) FROM (SELECT %s::int) AS p(place)

-- name: look
-- What every snapshot is asked first: the hub's identity and clock; where it is kept: the cluster, its timeline (another one after a
-- failover or a recovery to a point in time) and the table (another one after a dump was restored); whether a row waits to be sequenced (a hub of an earlier or later
-- schema leaves the notes of tables that it does not have to those that have them), and whether one waits aside; then the named spaces that were written, each
-- with its chain at one of its heads, and the first images of its feed after a place, or patches where they will do. One statement:
-- by itself it is a snapshot, without BEGIN and COMMIT.
SELECT h.hub, (SELECT max(c.hlc) FROM holdfast.clock c),
  EXISTS (SELECT FROM holdfast.dirty WHERE problem IS NULL AND tbl = ANY (%s::text[])),
  EXISTS (SELECT FROM holdfast.dirty WHERE problem IS NOT NULL),
  concat_ws('.', (SELECT system_identifier FROM pg_control_system()), left(pg_walfile_name(pg_current_wal_lsn()), 8), h.tableoid),
  f.name, f.epoch, f.head, f.chain, f.floor, f.stood, f.seq, f.image
FROM holdfast.hub h LEFT JOIN (
  SELECT s.name, s.epoch, s.head, s.chain, s.floor, w.seq, w.image,
    (SELECT c.chain FROM holdfast.commit c WHERE c.space = s.id AND c.head = r.head) AS stood
  FROM json_to_recordset(%s::json) AS r(name text, after bigint, head bigint, patches boolean)
  JOIN holdfast.space s ON s.name = r.name AND s.head > 0
  LEFT JOIN LATERAL (
    SELECT w.seq, CASE WHEN r.patches AND w.before <= r.after THEN w.patch ELSE w.image END AS image
    FROM holdfast."row" w WHERE w.space = s.id AND w.seq > r.after ORDER BY w.seq LIMIT %s
  ) w ON true
) f ON true

-- name: state
-- What every writer is asked first: the hub's identity and clock, whether a row waits to be sequenced or aside, then the origins and the
-- counters that it named, and the chains of heads, as JSON. Nothing is locked by it.
SELECT h.hub, (SELECT max(c.hlc) FROM holdfast.clock c),
  EXISTS (SELECT FROM holdfast.dirty WHERE problem IS NULL AND tbl = ANY (%s::text[])),
  EXISTS (SELECT FROM holdfast.dirty WHERE problem IS NOT NULL),
  concat_ws('.', (SELECT system_identifier FROM pg_control_system()), left(pg_walfile_name(pg_current_wal_lsn()), 8), h.tableoid),
  (SELECT json_agg(json_build_array(o.origin, o.device, o."user", o.last_n, o.seen))::text
    FROM holdfast.origin o WHERE o.origin = ANY (%s::text[])),
  (SELECT json_agg(json_build_array(s.id, s.name, s.epoch, s.head, s.chain, s.floor))::text
    FROM holdfast.space s WHERE s.name = ANY (%s::text[])),
  (SELECT json_agg(json_build_array(r.name, r.head, c.chain))::text FROM json_to_recordset(%s::json) AS r(name text, head bigint)
    CROSS JOIN LATERAL (SELECT c.chain FROM holdfast.space s JOIN holdfast.commit c ON c.space = s.id AND c.head = r.head
      WHERE s.name = r.name OFFSET 0) c)
FROM holdfast.hub h

-- name: set_clock
-- The clock only goes forward. Statement of its own at the very end of a transaction.
INSERT INTO holdfast.clock AS c (slot, hlc) VALUES (%s, %s)
ON CONFLICT (slot) DO UPDATE SET hlc = excluded.hlc WHERE c.hlc < excluded.hlc

-- name: spaces
-- Spaces that were written, by name.
SELECT name, epoch, head, chain, floor FROM holdfast.space WHERE name = ANY (%s::text[]) AND head > 0

-- name: all_spaces
-- Names of the spaces that were written, in order of code points.
SELECT name FROM holdfast.space WHERE head > 0 ORDER BY name

-- name: space_id
-- The number of a space.
SELECT id FROM holdfast.space WHERE name = %s

-- name: lock_spaces
-- The counters, locked in order of name and held to commit (trap 3).
SELECT id, name, epoch, head, chain, floor FROM holdfast.space WHERE name = ANY (%s::text[]) ORDER BY name FOR UPDATE

-- name: lock_unchanged
-- The counters, locked in order of name and held to commit, if they are as they were read (each by its chain, which has the head in
-- it) and nobody has noted one of the rows written before; and, where origins were not read but remembered, if they are as they were,
-- no row waits aside, and other spaces that were thought of have been at their heads. Else an error: nothing behind it is done then,
-- the commit neither.
SELECT CASE WHEN count(*) = %s AND NOT EXISTS (
  SELECT FROM json_to_recordset(%s::json) AS r(tbl text, key text) JOIN holdfast.dirty d ON d.tbl = r.tbl AND d.key = r.key
) AND CASE %s WHEN 0 THEN true ELSE NOT EXISTS (SELECT FROM holdfast.dirty WHERE problem IS NOT NULL) AND NOT EXISTS (
  SELECT FROM json_to_recordset(%s::json) AS r(origin text, device text, u text, n bigint)
  LEFT JOIN LATERAL (SELECT o.device, o."user", o.last_n FROM holdfast.origin o WHERE o.origin = r.origin OFFSET 0) o ON true
  WHERE (o.device, o."user", o.last_n) IS DISTINCT FROM (r.device, r.u, r.n)
) AND NOT EXISTS (
  SELECT FROM json_to_recordset(%s::json) AS r(id int, head bigint, chain text)
  WHERE NOT EXISTS (SELECT FROM holdfast.commit c WHERE c.space = r.id AND c.head = r.head AND c.chain = r.chain)
) END THEN 0 ELSE ('another writer was faster, this is done again: ' || count(*))::int END
FROM (SELECT s.id, s.chain FROM holdfast.space s WHERE s.name = ANY (%s::text[]) ORDER BY s.name FOR UPDATE) l
JOIN json_to_recordset(%s::json) AS r(id int, chain text) ON r.id = l.id AND r.chain = l.chain

-- name: add_spaces
-- Names for spaces, in order; the head is 0 until the space is written. Two processes that add one name: the second waits.
INSERT INTO holdfast.space (name, epoch, head, chain)
SELECT r.name, r.epoch, 0, r.chain FROM json_to_recordset(%s::json) AS r(name text, epoch text, chain text)
ON CONFLICT (name) DO NOTHING

-- name: chain_at
-- The chain of a space at one of its heads.
SELECT c.chain FROM holdfast.commit c JOIN holdfast.space s ON s.id = c.space WHERE s.name = %s AND c.head = %s

-- name: lock_all_origins
-- Nobody else works on any origin.
SELECT pg_advisory_xact_lock(%s, -1)

-- name: lock_origins
-- Nobody else works on these origins (trap 13: the same transaction sent to two hubs). They need not exist yet, so there is no row
-- to lock; the numbers are those of stripes, so that the locks are few, one after the other in the order given.
SELECT pg_advisory_xact_lock_shared(p.place, -1), (
  SELECT count(pg_advisory_xact_lock(p.place, s.stripe)) FROM unnest(%s::int[]) AS s(stripe)
) FROM (SELECT %s::int) AS p(place)

-- name: origins
-- Origins by name.
SELECT origin, device, "user", last_n, seen FROM holdfast.origin WHERE origin = ANY (%s::text[])

-- name: results
-- Kept results of origins, in order.
SELECT origin, n, body FROM holdfast.result WHERE origin = ANY (%s::text[]) ORDER BY origin, n

-- name: lock_rows
-- Feed rows, locked in key order, as they stand when they are locked. The name of a space that was made while this waited is NULL:
-- then it is asked again. (A join would show the partner of a row as it was before it waited.) Each row is looked up by itself: that
-- is what a locking LATERAL makes of it, whatever PostgreSQL thinks of a table of which it has no statistics yet.
SELECT r.tbl, r.key, (SELECT s.name FROM holdfast.space s WHERE s.id = l.space), l.seq, l.life, l.image, l.kept
FROM (SELECT j.tbl, j.key FROM json_to_recordset(%s::json) AS j(tbl int, key text) ORDER BY j.tbl, j.key COLLATE "C") r
CROSS JOIN LATERAL (
  SELECT w.space, w.seq, w.life, w.image, w.kept FROM holdfast."row" w
  WHERE w.tbl = r.tbl AND w.key = r.key AND w.mark = 0 FOR UPDATE
) l

-- name: rows
-- Feed rows in a snapshot, with the names of their spaces; looked up each by itself (OFFSET 0), as for `lock_rows`.
SELECT r.tbl, r.key, l.name, l.seq, l.life, l.image, l.kept
FROM json_to_recordset(%s::json) AS r(tbl int, key text)
CROSS JOIN LATERAL (
  SELECT s.name, w.seq, w.life, w.image, w.kept FROM holdfast."row" w JOIN holdfast.space s ON s.id = w.space
  WHERE w.tbl = r.tbl AND w.key = r.key AND w.mark = 0 OFFSET 0
) l

-- name: in_order
-- For this transaction: a page is read along the index. A table that was just filled has no statistics yet, and every page of a
-- long feed would sort all the rows behind it.
SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true), set_config('jit', 'off', true)

-- name: feed
-- Images between two places, in order.
SELECT seq, image FROM holdfast."row" WHERE space = %s AND seq > %s AND seq <= %s ORDER BY seq

-- name: changes
-- The same for a reader who has everything up to the first place: patches where they will do.
SELECT seq, CASE WHEN before <= %s THEN patch ELSE image END
FROM holdfast."row" WHERE space = %s AND seq > %s AND seq <= %s ORDER BY seq

-- name: history
-- The latest entries of one row, newest first; NULL for all.
SELECT space, stamp, device, "user", at, body FROM holdfast.history WHERE "row" = %s AND tbl = %s AND key = %s
ORDER BY id DESC LIMIT %s::bigint

-- name: histories
-- Entries of all rows of a table after one of them, oldest first.
SELECT id, key, space, stamp, device, "user", at, body FROM holdfast.history WHERE tbl = %s AND id > %s ORDER BY id LIMIT %s

-- name: forget_history
-- Delete the oldest entries of a table from before a time, so many.
DELETE FROM holdfast.history WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM holdfast.history WHERE tbl = %s AND at < %s ORDER BY at LIMIT %s::bigint))

-- name: has_versions
-- Whether the table of versions is there.
SELECT to_regclass('holdfast.version') IS NOT NULL

-- name: versions
-- The versions of the schema, by number.
SELECT body FROM holdfast.version ORDER BY version

-- name: keep_version
-- Keep a version of the schema, if nothing is kept with its number.
INSERT INTO holdfast.version (version, body) VALUES (%s, %s) ON CONFLICT (version) DO NOTHING

-- name: kept_version
-- A version of the schema, locked.
SELECT body FROM holdfast.version WHERE version = %s FOR UPDATE

-- name: keep_version_again
-- Keep a version of the schema in place of what is kept with its number, which is locked.
UPDATE holdfast.version SET body = %s WHERE version = %s

-- name: old_head
-- The last head of before a time among the oldest ones of a space, which is locked.
SELECT s.id, greatest(s.floor, (
  SELECT max(c.head) FROM (SELECT head, at FROM holdfast.commit WHERE space = s.id ORDER BY head LIMIT %s) c WHERE c.at < %s
)) FROM holdfast.space s WHERE s.name = %s FOR UPDATE

-- name: set_floor
-- Up to there dead rows may be gone.
UPDATE holdfast.space SET floor = %s WHERE id = %s

-- name: forget_commits
-- Delete chains of heads before one.
DELETE FROM holdfast.commit WHERE space = %s AND head IN
  (SELECT head FROM holdfast.commit WHERE space = %s AND head < %s ORDER BY head LIMIT %s)

-- name: forget_dead
-- Delete dead rows and leave marks up to a place of a feed.
DELETE FROM holdfast."row" WHERE (space, seq) IN
  (SELECT space, seq FROM holdfast."row" WHERE space = %s AND seq <= %s AND life %% 2 = 0 ORDER BY seq LIMIT %s
   FOR UPDATE SKIP LOCKED)

-- name: digest
-- Buckets of a space that are not empty.
SELECT d.bucket, d.count, d.s0, d.s1, d.s2, d.s3 FROM holdfast.digest d JOIN holdfast.space s ON s.id = d.space
WHERE s.name = %s AND (d.count | d.s0 | d.s1 | d.s2 | d.s3) <> 0

-- name: has_dirty
-- Whether a row waits to be sequenced. A row that waits aside and was written again has a note without a problem.
SELECT EXISTS (SELECT FROM holdfast.dirty WHERE problem IS NULL AND tbl = ANY (%s::text[]))

-- name: lock_dirty
-- One drainer at a time among all processes; the next one takes over when this one's transaction ends, also by its death. Rows
-- that a policy hides from us are no deleted rows: reading them shall fail.
SELECT pg_advisory_xact_lock(%s, -2), set_config('row_security', 'off', true)

-- name: dirty
-- The latest note of each row, oldest first, with the marks of all notes of that row.
SELECT d.mark, d.tbl, d.key, ARRAY(SELECT o.mark FROM holdfast.dirty o WHERE o.tbl = d.tbl AND o.key = d.key)
FROM holdfast.dirty d
WHERE d.problem IS NULL AND d.tbl = ANY (%s::text[])
  AND NOT EXISTS (SELECT FROM holdfast.dirty n WHERE n.tbl = d.tbl AND n.key = d.key AND n.mark > d.mark)
ORDER BY d.mark LIMIT %s

-- name: noted
-- Those of the rows that wait to be sequenced.
SELECT r.tbl, r.key FROM json_to_recordset(%s::json) AS r(tbl text, key text)
CROSS JOIN LATERAL (SELECT FROM holdfast.dirty d WHERE d.tbl = r.tbl AND d.key = r.key AND d.problem IS NULL LIMIT 1) d

-- name: noted_since
-- Whether somebody has noted one of these rows, apart from the notes that are known; and whether one waits aside.
SELECT coalesce(bool_or(d.problem IS NULL AND d.mark <> ALL (%s::bigint[])), false), count(d.problem) > 0
FROM json_to_recordset(%s::json) AS r(tbl text, key text) JOIN holdfast.dirty d ON d.tbl = r.tbl AND d.key = r.key

-- name: drop_aside
-- Rows that the hub has written wait aside no more.
DELETE FROM holdfast.dirty d USING json_to_recordset(%s::json) AS r(tbl text, key text)
WHERE d.tbl = r.tbl AND d.key = r.key AND d.problem IS NOT NULL RETURNING d.tbl, d.key, d.problem

-- name: set_aside
-- Rows that cannot be synced wait aside, with the reason.
UPDATE holdfast.dirty d SET problem = r.problem FROM json_to_recordset(%s::json) AS r(mark bigint, problem text)
WHERE d.mark = r.mark

-- name: wait_for_programs
-- How long to wait for a row of a user table: whoever holds it may hold it for minutes, and other rows wait behind us.
SELECT set_config('lock_timeout', %s::text, true)

-- name: look_again
-- Rows that wait aside are looked at again.
UPDATE holdfast.dirty d SET problem = NULL FROM json_to_recordset(%s::json) AS r(tbl text, key text)
WHERE d.tbl = r.tbl AND d.key = r.key AND d.problem IS NOT NULL

-- name: aside
-- Rows that wait aside.
SELECT tbl, key, problem FROM holdfast.dirty d WHERE problem IS NOT NULL
  AND NOT EXISTS (SELECT FROM holdfast.dirty n WHERE n.tbl = d.tbl AND n.key = d.key AND n.mark > d.mark)
ORDER BY mark

-- name: clean
-- Delete notes by their marks; a newer note of the same row has another one.
DELETE FROM holdfast.dirty WHERE mark = ANY (%s::bigint[])

-- name: forget
-- Delete acknowledged results.
DELETE FROM holdfast.result d USING json_to_recordset(%s::json) AS r(origin text, n bigint)
WHERE d.origin = r.origin AND d.n = r.n

-- name: drop_marks
-- Rows came back into a space: their leave marks there go.
DELETE FROM holdfast."row" w USING json_to_recordset(%s::json) AS r(tbl int, key text, mark int)
WHERE w.tbl = r.tbl AND w.key = r.key AND w.mark = r.mark

-- name: add_rows
-- Feed rows that no feed has yet. The images of all rows are one parameter, cut at the given places (1 is the first byte).
INSERT INTO holdfast."row" (tbl, key, mark, space, seq, life, image, kept)
SELECT r.tbl, r.key, r.mark, r.space, r.seq, r.life, substring(b.bytes FROM r.a FOR r.n), substring(b.bytes FROM r.k FOR r.m)
FROM (SELECT %b::bytea) AS b(bytes), json_to_recordset(%s::json)
  AS r(tbl int, key text, mark int, space int, seq bigint, life bigint, a int, n int, k int, m int)

-- name: put_rows
-- Feed rows or leave marks, new or in place of the earlier ones.
INSERT INTO holdfast."row" (tbl, key, mark, space, seq, life, image, kept, patch, before)
SELECT r.tbl, r.key, r.mark, r.space, r.seq, r.life, substring(b.bytes FROM r.a FOR r.n), substring(b.bytes FROM r.k FOR r.m),
  substring(b.bytes FROM r.p FOR r.size), r.before
FROM (SELECT %b::bytea) AS b(bytes), json_to_recordset(%s::json)
  AS r(tbl int, key text, mark int, space int, seq bigint, life bigint, a int, n int, k int, m int, p int, size int, before bigint)
ON CONFLICT (tbl, key, mark) DO UPDATE
SET space = excluded.space, seq = excluded.seq, life = excluded.life, image = excluded.image, kept = excluded.kept,
  patch = excluded.patch, before = excluded.before

-- name: add_history
-- Entries of the history, in order.
INSERT INTO holdfast.history ("row", tbl, key, space, stamp, device, "user", at, body)
SELECT r.h, r.tbl, r.key, r.space, r.stamp, r.device, r.u, r.at, substring(b.bytes FROM r.a FOR r.n)
FROM (SELECT %b::bytea) AS b(bytes), json_to_recordset(%s::json)
  AS r(h bigint, tbl int, key text, space text, stamp text, device text, u text, at bigint, a int, n int)

-- name: add_digests
-- Add to buckets. The carry is passed on from limb to limb, so no limb ever overflows.
INSERT INTO holdfast.digest AS d (space, bucket, count, s0, s1, s2, s3)
SELECT r.space, r.bucket, r.count, r.s0, r.s1, r.s2, r.s3 FROM json_to_recordset(%s::json)
  AS r(space int, bucket int, count bigint, s0 bigint, s1 bigint, s2 bigint, s3 bigint)
ON CONFLICT (space, bucket) DO UPDATE SET
  count = d.count + excluded.count,
  s0 = (d.s0 + excluded.s0) & 4294967295,
  s1 = (d.s1 + excluded.s1 + ((d.s0 + excluded.s0) >> 32)) & 4294967295,
  s2 = (d.s2 + excluded.s2 + ((d.s1 + excluded.s1 + ((d.s0 + excluded.s0) >> 32)) >> 32)) & 4294967295,
  s3 = (d.s3 + excluded.s3 + ((d.s2 + excluded.s2 + ((d.s1 + excluded.s1 + ((d.s0 + excluded.s0) >> 32)) >> 32)) >> 32))
    & 4294967295

-- name: put_results
-- Results, kept until they are forgotten.
INSERT INTO holdfast.result (origin, n, body)
SELECT r.origin, r.n, substring(b.bytes FROM r.a FOR r.l)
FROM (SELECT %b::bytea) AS b(bytes), json_to_recordset(%s::json) AS r(origin text, n bigint, a int, l int)
ON CONFLICT (origin, n) DO UPDATE SET body = excluded.body

-- name: put_origins
-- What is known of origins.
INSERT INTO holdfast.origin (origin, device, "user", last_n, seen)
SELECT r.origin, r.device, r.u, r.last_n, r.seen
FROM json_to_recordset(%s::json) AS r(origin text, device text, u text, last_n bigint, seen bigint)
ON CONFLICT (origin) DO UPDATE
SET device = excluded.device, "user" = excluded."user", last_n = excluded.last_n, seen = excluded.seen

-- name: set_heads
-- The new heads and chains of spaces, which are locked.
UPDATE holdfast.space s SET head = r.head, chain = r.chain
FROM json_to_recordset(%s::json) AS r(id int, head bigint, chain text) WHERE s.id = r.id

-- name: add_commits
-- The chains at the new heads.
INSERT INTO holdfast.commit (space, head, chain, at)
SELECT r.id, r.head, r.chain, %s FROM json_to_recordset(%s::json) AS r(id int, head bigint, chain text)

-- name: row_security
-- Whether policies hide rows of a table from us.
SELECT row_security_active(%s::regclass)

-- name: kind
-- What kind of relation this is (none: no row), whether a crash empties it, and whether it takes part in inheritance or partitions.
SELECT c.relkind::text, c.relpersistence = 'u', EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent))
FROM pg_class c WHERE c.oid = to_regclass(%s)

-- name: columns
-- Columns of a table: name, type, whether a scale limits it, not null, has a default, generated, type in full, labels of an enum. In
-- place of a domain stands the type beneath it.
SELECT a.attname, format_type(b.type, NULL), b.mod <> -1, a.attnotnull OR b.strict,
  a.atthasdef OR a.attidentity <> '' OR b.preset IS NOT NULL, a.attgenerated <> '', format_type(b.type, b.mod),
  ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = b.type ORDER BY e.enumsortorder)
FROM pg_attribute a
CROSS JOIN LATERAL (
  WITH RECURSIVE under(type, mod, strict, preset, depth) AS (
    SELECT a.atttypid, a.atttypmod, false, NULL::text COLLATE "C", 0
    UNION ALL
    SELECT d.typbasetype, CASE WHEN d.typtypmod = -1 THEN u.mod ELSE d.typtypmod END, u.strict OR d.typnotnull,
      coalesce(u.preset, d.typdefault), u.depth + 1
    FROM under u JOIN pg_type d ON d.oid = u.type WHERE d.typtype = 'd'
  )
  SELECT u.* FROM under u ORDER BY u.depth DESC LIMIT 1
) b
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum

-- name: constraints
-- Constraints of a table with their columns: what a violation is about.
SELECT c.conname, c.contype::text, ARRAY(
  SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k(number, place)
  JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.place
) FROM pg_constraint c WHERE c.conrelid = %s::regclass

-- name: unique_indexes
-- Unique indexes over plain columns and all rows, which are checked at once: name, columns.
SELECT i.relname, ARRAY(
  SELECT a.attname::text FROM unnest(x.indkey) WITH ORDINALITY AS k(number, place)
  JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.number WHERE k.place <= x.indnkeyatts ORDER BY k.place
) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
WHERE x.indrelid = %s::regclass AND x.indisunique AND x.indimmediate AND x.indisvalid
  AND x.indpred IS NULL AND x.indexprs IS NULL

-- name: tell
-- Say something to the other hubs that is stored nowhere.
SELECT pg_notify('holdfast_told', %s)

-- name: announce
-- Tell the other hubs that feeds have changed; they hear it when this commits. Who it was: so that he need not listen to himself.
SELECT pg_notify('holdfast_commit', %s)

-- name: rewritten
-- Whether a trigger of the application may change what is stored in a row: BEFORE, FOR EACH ROW.
SELECT EXISTS (
  SELECT FROM pg_trigger t
  WHERE t.tgrelid = %s::regclass AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 3 = 3
)

-- name: note
-- Note rows as if another program had written them.
INSERT INTO holdfast.dirty (tbl, key) SELECT r.tbl, r.key FROM json_to_recordset(%s::json) AS r(tbl text, key text)

-- name: tables
-- Tables of this schema and of earlier ones: name, whether Holdfast made it, the hash of its triggers, id, whether its rows are noted.
SELECT name, made, capture, id, noted FROM holdfast."table" ORDER BY id

-- name: placed
-- By which rule the rows of a table were placed; also on a database that an earlier release made.
SELECT to_jsonb(t) ->> 'placed' FROM holdfast."table" t WHERE t.name = %s

-- name: migrations
-- Numbered migrations that were run.
SELECT number, name, phase, checksum FROM holdfast.migration

-- name: slots
-- Columns of a table in order of slot.
SELECT name FROM holdfast.slot WHERE tbl = %s ORDER BY slot

-- name: triggers
-- Our triggers on a table that fire for ordinary programs.
SELECT t.tgname::text FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_namespace n ON n.oid = f.pronamespace
WHERE t.tgrelid = %s::regclass AND n.nspname = 'holdfast' AND t.tgenabled IN ('O', 'A')

-- name: plain_triggers
-- Whether a table is ours, and whether a trigger of ours on it does not fire in sessions whose session_replication_role is replica.
SELECT pg_has_role(c.relowner, 'USAGE'), EXISTS (
  SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = ANY (%s::text[]) AND t.tgenabled <> 'A')
FROM pg_class c WHERE c.oid = %s::regclass

-- name: capture_source
-- The source of the function that the triggers of a table call.
SELECT f.prosrc FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace
WHERE n.nspname = 'holdfast' AND f.proname = %s AND f.pronargs = 0 AND f.prosecdef

-- name: own_triggers
-- Every trigger that calls a function of ours: schema, table, name. Clones on partitions go with their parent's.
SELECT s.nspname::text, c.relname::text, t.tgname::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace s ON s.oid = c.relnamespace
JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_namespace n ON n.oid = f.pronamespace
WHERE n.nspname = 'holdfast' AND t.tgparentid = 0 ORDER BY 1, 2, 3

-- name: lock_installation
-- One at a time makes the database ready.
SELECT pg_advisory_xact_lock(%s, -3)

-- name: lock_wait
-- How long a step of a migration waits for a table.
SELECT set_config('lock_timeout', %s::text, true)

-- name: lacks_rights
-- How many of the hub's tables the role cannot use. (One question for each right: of several, one would be enough.)
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'holdfast' AND c.relkind = 'r' AND NOT (
  has_schema_privilege(%s, n.oid, 'USAGE')
  AND (SELECT bool_and(has_table_privilege(%s, c.oid, p.name)) FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS p(name))
)

-- name: lacks_table
-- Whether the role cannot read and write a table.
SELECT NOT bool_and(has_table_privilege(%s, %s::regclass, p.name)) FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS p(name)

-- name: lacks_sequence
-- The sequence, when the role cannot take numbers from it.
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.oid = %s::bigint::oid AND NOT has_sequence_privilege(%s, c.oid, 'USAGE, UPDATE')

-- name: read_by_question
-- Tables that the view of a membership query reads, also by way of other views, with the partitions of each: schema, name, kind.
WITH RECURSIVE used(oid) AS (
  SELECT 'pg_temp.holdfast_question'::regclass::oid
  UNION
  SELECT d.refobjid FROM used u JOIN pg_rewrite w ON w.ev_class = u.oid
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
), leaf(oid) AS (
  SELECT u.oid FROM used u JOIN pg_class c ON c.oid = u.oid WHERE c.relkind <> 'v'
  UNION
  SELECT i.inhrelid FROM leaf l JOIN pg_inherits i ON i.inhparent = l.oid
)
SELECT n.nspname::text, c.relname::text, c.relkind::text FROM leaf l JOIN pg_class c ON c.oid = l.oid
JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 1, 2

-- name: called_by_question
-- Functions of the application that the view of a membership query calls, also by way of other views.
WITH RECURSIVE used(oid) AS (
  SELECT 'pg_temp.holdfast_question'::regclass::oid
  UNION
  SELECT d.refobjid FROM used u JOIN pg_rewrite w ON w.ev_class = u.oid
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
)
SELECT DISTINCT f.oid::regprocedure::text FROM used u JOIN pg_rewrite w ON w.ev_class = u.oid
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_proc'::regclass
JOIN pg_proc f ON f.oid = d.refobjid JOIN pg_namespace n ON n.oid = f.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1

-- name: lease
-- What a device has leased last.
SELECT ask, ranges FROM holdfast.lease WHERE tbl = %s AND device = %s FOR UPDATE

-- name: put_lease
-- What a device leases now.
INSERT INTO holdfast.lease (tbl, device, ask, ranges) VALUES (%s, %s, %s, %s)
ON CONFLICT (tbl, device) DO UPDATE SET ask = excluded.ask, ranges = excluded.ranges

-- name: sequence
-- The sequence that gives a column its values: its own, or one that its default names.
SELECT coalesce(pg_get_serial_sequence(%s, %s)::regclass, (
  SELECT s.oid::regclass FROM pg_attribute a
  JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
  JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
  JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
  WHERE a.attrelid = %s::regclass AND a.attname = %s LIMIT 1
))::oid::bigint

-- name: take_keys
-- So many numbers of a sequence. Nobody else gets them, also when this transaction is undone.
SELECT nextval(%s::bigint::oid::regclass) FROM generate_series(1, %s)
