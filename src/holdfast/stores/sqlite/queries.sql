-- name: hub
-- The hub's identity and clock.
SELECT hub, hlc FROM holdfast_hub;

-- name: spaces
-- One space with its id, by name.
SELECT id, name, epoch, head, chain, floor FROM holdfast_space WHERE name = ?;

-- name: any_space
-- A space, if there is one.
SELECT 1 FROM holdfast_space LIMIT 1;

-- name: all_spaces
-- Names of the spaces that were written. SQLite orders text by its bytes, which is the order of code points.
SELECT name FROM holdfast_space WHERE head > 0 ORDER BY name;

-- name: add_space
-- A name for a space; its head is 0 until it is written.
INSERT INTO holdfast_space (name, epoch, head, chain) VALUES (?, ?, 0, ?);

-- name: chain_at
-- The chain of a space at one of its heads.
SELECT c.chain FROM holdfast_commit c JOIN holdfast_space s ON s.id = c.space WHERE s.name = ? AND c.head = ?;

-- name: origins
-- One origin.
SELECT origin, device, user, last_n, seen FROM holdfast_origin WHERE origin = ?;

-- name: results
-- Kept results of one origin, in order.
SELECT origin, n, body FROM holdfast_result WHERE origin = ? ORDER BY n;

-- name: rows
-- One feed row, with the name of its space.
SELECT r.tbl, r.key, s.name, r.place & 1099511627775, r.life, r.image, r.kept
FROM holdfast_row r JOIN holdfast_space s ON s.id = r.place >> 40 WHERE r.tbl = ? AND r.key = ? AND r.mark = 0;

-- name: feed
-- Images between two places, in order.
SELECT place & 1099511627775, image FROM holdfast_row WHERE place > ? AND place <= ? ORDER BY place;

-- name: changes
-- The same for a reader who has everything up to the first place: patches where they will do.
SELECT place & 1099511627775, CASE WHEN before <= ?1 THEN patch ELSE image END
FROM holdfast_row WHERE place > ?1 AND place <= ?2 ORDER BY place;

-- name: history
-- The latest entries of one row, newest first; -1 for all.
SELECT space, stamp, device, user, at, body FROM holdfast_history WHERE row = ? AND tbl = ? AND key = ?
ORDER BY id DESC LIMIT ?;

-- name: histories
-- Entries of all rows of a table, oldest first.
SELECT key, space, stamp, device, user, at, body FROM holdfast_history WHERE tbl = ? ORDER BY id;

-- name: forget_history
-- Delete the oldest entries of a table from before a time, so many.
DELETE FROM holdfast_history WHERE id IN (
  SELECT id FROM holdfast_history WHERE tbl = ? AND at < ? ORDER BY at LIMIT ?);

-- name: old_head
-- The last head of before a time among the oldest ones of a space.
SELECT max(head) FROM (SELECT head, at FROM holdfast_commit WHERE space = ? ORDER BY head LIMIT ?) WHERE at < ?;

-- name: set_floor
-- Up to there dead rows may be gone.
UPDATE holdfast_space SET floor = ?2 WHERE id = ?1 AND floor < ?2;

-- name: forget_commits
-- Delete chains of heads before one.
DELETE FROM holdfast_commit WHERE space = ?1 AND head IN
  (SELECT head FROM holdfast_commit WHERE space = ?1 AND head < ?2 ORDER BY head LIMIT ?3);

-- name: forget_dead
-- Delete dead rows and leave marks between two places.
DELETE FROM holdfast_row WHERE id IN
  (SELECT id FROM holdfast_row WHERE life & 1 = 0 AND place > ?1 AND place <= ?2 ORDER BY place LIMIT ?3);

-- name: digest
-- Buckets of a space that are not empty.
SELECT bucket, count, s0, s1, s2, s3 FROM holdfast_digest WHERE space = ? AND (count | s0 | s1 | s2 | s3) <> 0;

-- name: has_dirty
-- Whether a row waits to be sequenced.
SELECT EXISTS (SELECT 1 FROM holdfast_dirty WHERE problem IS NULL);

-- name: noted
-- A row, if it waits to be sequenced.
SELECT tbl, key FROM holdfast_dirty WHERE tbl = ? AND key = ? AND problem IS NULL;

-- name: dirty
-- The oldest notes.
SELECT mark, tbl, key FROM holdfast_dirty WHERE problem IS NULL ORDER BY mark LIMIT ?;

-- name: set_aside
-- A row that cannot be synced waits aside, with the reason.
UPDATE holdfast_dirty SET problem = ? WHERE mark = ?;

-- name: look_again
-- A row that waits aside is looked at again.
UPDATE holdfast_dirty SET problem = NULL WHERE tbl = ? AND key = ?;

-- name: aside
-- Rows that wait aside.
SELECT tbl, key, problem FROM holdfast_dirty WHERE problem IS NOT NULL ORDER BY mark;

-- name: has_aside
-- Whether any row waits aside.
SELECT EXISTS (SELECT 1 FROM holdfast_dirty WHERE problem IS NOT NULL);

-- name: drop_aside
-- A row that the hub has written waits aside no more.
DELETE FROM holdfast_dirty WHERE tbl = ? AND key = ? AND problem IS NOT NULL;

-- name: clean
-- Delete one note; a newer note of the same row has another mark.
DELETE FROM holdfast_dirty WHERE mark = ? AND tbl = ? AND key = ?;

-- name: forget
-- Delete one acknowledged result.
DELETE FROM holdfast_result WHERE origin = ? AND n = ?;

-- name: start_applying
-- The triggers note nothing from here on.
UPDATE holdfast_hub SET applying = 1;

-- name: stop_applying
-- The triggers note again; the clock only goes forward.
UPDATE holdfast_hub SET applying = 0, hlc = max(hlc, ?);

-- name: add_row
-- A feed row that no feed has yet.
INSERT INTO holdfast_row (tbl, key, mark, place, life, image, kept) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: put_row
-- A feed row or leave mark, new or in place of the earlier one.
INSERT INTO holdfast_row (tbl, key, mark, place, life, image, kept, patch, before) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tbl, key, mark) DO UPDATE
SET place = excluded.place, life = excluded.life, image = excluded.image, kept = excluded.kept, patch = excluded.patch,
  before = excluded.before;

-- name: drop_mark
-- The row came back into the space: its leave mark there goes.
DELETE FROM holdfast_row WHERE tbl = ? AND key = ? AND mark = ?;

-- name: add_history
-- One entry of the history.
INSERT INTO holdfast_history (row, tbl, key, space, stamp, device, user, at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_digest
-- Add to a bucket. The carry is passed on from limb to limb, so no limb ever overflows; ?4 to ?7 are limbs of 32 bits.
INSERT INTO holdfast_digest (space, bucket, count, s0, s1, s2, s3) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (space, bucket) DO UPDATE SET
  count = count + ?3,
  s0 = (s0 + ?4) & 4294967295,
  s1 = (s1 + ?5 + ((s0 + ?4) >> 32)) & 4294967295,
  s2 = (s2 + ?6 + ((s1 + ?5 + ((s0 + ?4) >> 32)) >> 32)) & 4294967295,
  s3 = (s3 + ?7 + ((s2 + ?6 + ((s1 + ?5 + ((s0 + ?4) >> 32)) >> 32)) >> 32)) & 4294967295;

-- name: put_result
-- A result, kept until it is forgotten.
INSERT INTO holdfast_result (origin, n, body) VALUES (?, ?, ?) ON CONFLICT (origin, n) DO UPDATE SET body = excluded.body;

-- name: put_origin
-- What is known of an origin.
INSERT INTO holdfast_origin (origin, device, user, last_n, seen) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (origin) DO UPDATE
SET device = excluded.device, user = excluded.user, last_n = excluded.last_n, seen = excluded.seen;

-- name: set_head
-- The new head and chain of a space.
UPDATE holdfast_space SET head = ?, chain = ? WHERE id = ?;

-- name: add_commit
-- The chain at the new head.
INSERT INTO holdfast_commit (space, head, chain, at) VALUES (?, ?, ?, ?);

-- name: application_triggers
-- Whether there is a trigger that is not ours.
SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name NOT LIKE 'holdfast\_%' ESCAPE '\');

-- name: own
-- Triggers and tables of the hub, triggers first.
SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'trigger') AND name GLOB 'holdfast_*' ORDER BY type DESC, name

-- name: access_version
-- How often access may have changed.
SELECT version FROM holdfast_access;

-- name: count_access
-- Access may have changed.
UPDATE holdfast_access SET version = version + 1;

-- name: lease
-- What a device has leased last.
SELECT ask, ranges FROM holdfast_lease WHERE tbl = ? AND device = ?

-- name: put_lease
-- What a device leases now.
INSERT OR REPLACE INTO holdfast_lease (tbl, device, ask, ranges) VALUES (?, ?, ?, ?)

-- name: set_key
-- Move the counter on.
UPDATE holdfast_key SET next = ? WHERE tbl = ?
