-- What `holdfast adopt` reads of a database. Nothing is changed, and nothing but the catalogue is read.

-- name: schemas
-- The PostgreSQL schema that names without one mean (NULL: none of the search path exists), and whether the wanted one exists.
SELECT current_schema()::text, to_regnamespace(quote_ident(%s)) IS NOT NULL

-- name: tables
-- Everything in a schema that is read like a table, without parts of extensions.
SELECT c.oid::bigint, c.relname::text, c.relkind::text, c.relrowsecurity, c.relpersistence::text,
  obj_description(c.oid, 'pg_class'), EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.relname

-- name: columns
-- Columns in order: table, name, type in full, kind of the type, not null, default, identity, generated, sequence, labels, comment,
-- domain. The kind of an array is that of its elements; in place of a domain stands the type beneath it.
SELECT a.attrelid::bigint, a.attname::text, format_type(b.type, b.mod), coalesce(e.typtype, t.typtype)::text, a.attnotnull OR b.strict,
  coalesce(pg_get_expr(d.adbin, d.adrelid), b.preset), a.attidentity::text, a.attgenerated::text,
  pg_get_serial_sequence(format('%%I.%%I', n.nspname, c.relname), a.attname),
  ARRAY(SELECT l.enumlabel::text FROM pg_enum l WHERE l.enumtypid = b.type ORDER BY l.enumsortorder),
  col_description(a.attrelid, a.attnum), CASE WHEN b.depth > 0 THEN format_type(a.atttypid, NULL) END
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
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
JOIN pg_type t ON t.oid = b.type
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY (%s::bigint[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum

-- name: indexes
-- Indexes: table, name, primary, unique, columns (empty: over expressions), checked at once, over all rows, equal NULLs, definition.
SELECT x.indrelid::bigint, i.relname::text, x.indisprimary, x.indisunique, CASE WHEN x.indexprs IS NULL THEN ARRAY(
    SELECT a.attname::text FROM unnest(x.indkey) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.number WHERE k.place <= x.indnkeyatts ORDER BY k.place
  ) ELSE '{}' END, x.indimmediate AND x.indisvalid, x.indpred IS NULL, to_jsonb(x) -> 'indnullsnotdistinct' = 'true',
  m.amname::text, pg_get_indexdef(x.indexrelid)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam
WHERE x.indrelid = ANY (%s::bigint[]::oid[]) ORDER BY x.indrelid, i.relname

-- name: constraints
-- Foreign keys, checks and exclusions: table, name, kind, columns, parent's schema, parent, parent's columns, on delete, on update,
-- definition.
SELECT c.conrelid::bigint, c.conname::text, c.contype::text, ARRAY(
    SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.place
  ), n.nspname::text, p.relname::text, ARRAY(
    SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number ORDER BY k.place
  ), c.confdeltype::text, c.confupdtype::text, pg_get_constraintdef(c.oid)
FROM pg_constraint c LEFT JOIN pg_class p ON p.oid = c.confrelid LEFT JOIN pg_namespace n ON n.oid = p.relnamespace
WHERE c.conrelid = ANY (%s::bigint[]::oid[]) AND c.contype IN ('f', 'c', 'x') ORDER BY c.conrelid, c.conname
