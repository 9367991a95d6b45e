CREATE OR REPLACE FUNCTION "holdfast"."project"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $holdfast$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'project', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r."id" AS key FROM new_rows r
    ) s;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'project', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r."id" AS key FROM new_rows r UNION SELECT r."id" AS key FROM old_rows r
    ) s;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'project', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r."id" AS key FROM old_rows r
    ) s;
  ELSIF TG_OP = 'TRUNCATE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'project', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r.key FROM holdfast."row" r JOIN holdfast."table" t ON t.id = r.tbl
    WHERE t.name = 'project' AND r.mark = 0 AND r.life % 2 = 1
    ) s;
  END IF;
  IF FOUND AND coalesce(nullif(current_setting('holdfast.notify', true), ''), CASE WHEN current_setting('max_prepared_transactions') = '0' THEN 'on' END) = 'on' THEN
    PERFORM pg_notify('holdfast_dirty', '');
  END IF;
  RETURN NULL;
END
$holdfast$;
CREATE TRIGGER "holdfast_insert" AFTER INSERT ON "public"."project" REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."project"();
CREATE TRIGGER "holdfast_update" AFTER UPDATE ON "public"."project" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."project"();
CREATE TRIGGER "holdfast_delete" AFTER DELETE ON "public"."project" REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."project"();
CREATE TRIGGER "holdfast_truncate" AFTER TRUNCATE ON "public"."project"
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."project"();
ALTER TABLE "public"."project" ENABLE ALWAYS TRIGGER "holdfast_insert", ENABLE ALWAYS TRIGGER "holdfast_update", ENABLE ALWAYS TRIGGER "holdfast_delete", ENABLE ALWAYS TRIGGER "holdfast_truncate";
CREATE OR REPLACE FUNCTION "holdfast"."submission"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $holdfast$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'submission', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r."id" AS key FROM new_rows r
    ) s;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'submission', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r."id" AS key FROM new_rows r UNION SELECT r."id" AS key FROM old_rows r
    ) s;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'submission', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r."id" AS key FROM old_rows r
    ) s;
  ELSIF TG_OP = 'TRUNCATE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'submission', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r.key FROM holdfast."row" r JOIN holdfast."table" t ON t.id = r.tbl
    WHERE t.name = 'submission' AND r.mark = 0 AND r.life % 2 = 1
    ) s;
  END IF;
  IF FOUND AND coalesce(nullif(current_setting('holdfast.notify', true), ''), CASE WHEN current_setting('max_prepared_transactions') = '0' THEN 'on' END) = 'on' THEN
    PERFORM pg_notify('holdfast_dirty', '');
  END IF;
  RETURN NULL;
END
$holdfast$;
CREATE TRIGGER "holdfast_insert" AFTER INSERT ON "public"."submission" REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."submission"();
CREATE TRIGGER "holdfast_update" AFTER UPDATE ON "public"."submission" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."submission"();
CREATE TRIGGER "holdfast_delete" AFTER DELETE ON "public"."submission" REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."submission"();
CREATE TRIGGER "holdfast_truncate" AFTER TRUNCATE ON "public"."submission"
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."submission"();
ALTER TABLE "public"."submission" ENABLE ALWAYS TRIGGER "holdfast_insert", ENABLE ALWAYS TRIGGER "holdfast_update", ENABLE ALWAYS TRIGGER "holdfast_delete", ENABLE ALWAYS TRIGGER "holdfast_truncate";
CREATE OR REPLACE FUNCTION "holdfast"."reading"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $holdfast$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'reading', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT '[' || to_json(r."place")::text || ',' || to_json(to_char(r."at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text || ',' || to_json(r."big"::text)::text || ',' || r."good"::text || ',' || r."n"::text || ']' AS key FROM new_rows r
    ) s;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'reading', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT '[' || to_json(r."place")::text || ',' || to_json(to_char(r."at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text || ',' || to_json(r."big"::text)::text || ',' || r."good"::text || ',' || r."n"::text || ']' AS key FROM new_rows r UNION SELECT '[' || to_json(r."place")::text || ',' || to_json(to_char(r."at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text || ',' || to_json(r."big"::text)::text || ',' || r."good"::text || ',' || r."n"::text || ']' AS key FROM old_rows r
    ) s;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'reading', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT '[' || to_json(r."place")::text || ',' || to_json(to_char(r."at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text || ',' || to_json(r."big"::text)::text || ',' || r."good"::text || ',' || r."n"::text || ']' AS key FROM old_rows r
    ) s;
  ELSIF TG_OP = 'TRUNCATE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'reading', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r.key FROM holdfast."row" r JOIN holdfast."table" t ON t.id = r.tbl
    WHERE t.name = 'reading' AND r.mark = 0 AND r.life % 2 = 1
    ) s;
  END IF;
  IF FOUND AND coalesce(nullif(current_setting('holdfast.notify', true), ''), CASE WHEN current_setting('max_prepared_transactions') = '0' THEN 'on' END) = 'on' THEN
    PERFORM pg_notify('holdfast_dirty', '');
  END IF;
  RETURN NULL;
END
$holdfast$;
CREATE TRIGGER "holdfast_insert" AFTER INSERT ON "public"."reading" REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."reading"();
CREATE TRIGGER "holdfast_update" AFTER UPDATE ON "public"."reading" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."reading"();
CREATE TRIGGER "holdfast_delete" AFTER DELETE ON "public"."reading" REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."reading"();
CREATE TRIGGER "holdfast_truncate" AFTER TRUNCATE ON "public"."reading"
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."reading"();
ALTER TABLE "public"."reading" ENABLE ALWAYS TRIGGER "holdfast_insert", ENABLE ALWAYS TRIGGER "holdfast_update", ENABLE ALWAYS TRIGGER "holdfast_delete", ENABLE ALWAYS TRIGGER "holdfast_truncate";
CREATE OR REPLACE FUNCTION "holdfast"."holdfast_conflict"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $holdfast$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'holdfast_conflict', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r."id" AS key FROM new_rows r
    ) s;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'holdfast_conflict', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r."id" AS key FROM new_rows r UNION SELECT r."id" AS key FROM old_rows r
    ) s;
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'holdfast_conflict', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r."id" AS key FROM old_rows r
    ) s;
  ELSIF TG_OP = 'TRUNCATE' THEN
    INSERT INTO holdfast.dirty (tbl, key) SELECT 'holdfast_conflict', CASE WHEN octet_length(s.key) > 2600 THEN rpad(left(s.key, 100), 1025, '.') ELSE s.key END FROM (
      SELECT r.key FROM holdfast."row" r JOIN holdfast."table" t ON t.id = r.tbl
    WHERE t.name = 'holdfast_conflict' AND r.mark = 0 AND r.life % 2 = 1
    ) s;
  END IF;
  IF FOUND AND coalesce(nullif(current_setting('holdfast.notify', true), ''), CASE WHEN current_setting('max_prepared_transactions') = '0' THEN 'on' END) = 'on' THEN
    PERFORM pg_notify('holdfast_dirty', '');
  END IF;
  RETURN NULL;
END
$holdfast$;
CREATE TRIGGER "holdfast_insert" AFTER INSERT ON "public"."holdfast_conflict" REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."holdfast_conflict"();
CREATE TRIGGER "holdfast_update" AFTER UPDATE ON "public"."holdfast_conflict" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."holdfast_conflict"();
CREATE TRIGGER "holdfast_delete" AFTER DELETE ON "public"."holdfast_conflict" REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."holdfast_conflict"();
CREATE TRIGGER "holdfast_truncate" AFTER TRUNCATE ON "public"."holdfast_conflict"
FOR EACH STATEMENT WHEN (current_setting('holdfast.applying', true) IS DISTINCT FROM 'on' OR pg_trigger_depth() > 0)
EXECUTE FUNCTION "holdfast"."holdfast_conflict"();
ALTER TABLE "public"."holdfast_conflict" ENABLE ALWAYS TRIGGER "holdfast_insert", ENABLE ALWAYS TRIGGER "holdfast_update", ENABLE ALWAYS TRIGGER "holdfast_delete", ENABLE ALWAYS TRIGGER "holdfast_truncate";
