CREATE TABLE IF NOT EXISTS holdfast_capture (op INTEGER PRIMARY KEY, tbl INTEGER, kind TEXT, key TEXT, hlc INTEGER, version INTEGER, old_0, new_0, old_1, new_1, old_2, new_2);
CREATE TRIGGER "holdfast_capture_project_before_insert" BEFORE INSERT ON "project"
WHEN (SELECT applying FROM holdfast_state) = 0
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0) SELECT 0, 'suspect', existing."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, existing."name" FROM "project" AS existing WHERE (existing."id" = NEW."id") OR existing.rowid = NEW.rowid;
END;
CREATE TRIGGER "holdfast_capture_project_insert" AFTER INSERT ON "project"
WHEN (SELECT applying FROM holdfast_state) = 0
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, new_0) VALUES (0, 'insert', NEW."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, NEW."name");
END;
CREATE TRIGGER "holdfast_capture_project_delete" AFTER DELETE ON "project"
WHEN (SELECT applying FROM holdfast_state) = 0
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0) VALUES (0, 'delete', OLD."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, OLD."name");
END;
CREATE TRIGGER "holdfast_capture_project_before_update" BEFORE UPDATE OF "id" ON "project"
WHEN (SELECT applying FROM holdfast_state) = 0 AND (OLD."id" IS NOT NEW."id" COLLATE BINARY)
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0) SELECT 0, 'suspect', existing."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, existing."name" FROM "project" AS existing WHERE ((existing."id" = NEW."id")) AND NOT (existing."id" = OLD."id");
END;
CREATE TRIGGER "holdfast_capture_project_rekey" AFTER UPDATE OF "id" ON "project"
WHEN (SELECT applying FROM holdfast_state) = 0 AND (OLD."id" IS NOT NEW."id" COLLATE BINARY)
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0) VALUES (0, 'delete', OLD."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, OLD."name");
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, new_0) VALUES (0, 'insert', NEW."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, NEW."name");
END;
CREATE TRIGGER "holdfast_capture_project_update" AFTER UPDATE ON "project"
WHEN (SELECT applying FROM holdfast_state) = 0 AND (NOT (OLD."id" IS NOT NEW."id" COLLATE BINARY)) AND (OLD."name" IS NOT NEW."name" COLLATE BINARY)
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0, new_0) VALUES (0, 'update', OLD."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, CASE WHEN OLD."name" IS NOT NEW."name" COLLATE BINARY THEN OLD."name" END, CASE WHEN OLD."name" IS NOT NEW."name" COLLATE BINARY THEN NEW."name" END);
END;
CREATE TRIGGER "holdfast_capture_submission_before_insert" BEFORE INSERT ON "submission"
WHEN (SELECT applying FROM holdfast_state) = 0
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0, old_1, old_2, old_3, old_4, old_5, old_6, old_7, old_8, old_9, old_10, old_11, old_12, old_13, old_14, old_15, old_16, old_17) SELECT 1, 'suspect', existing."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, existing."project_id", existing."number", existing."status", existing."crew_size", existing."tags", existing."seen", existing."inspected_on", existing."due", existing."trade", existing."grade", existing."extra", existing."settings", existing."hours", existing."cost", existing."big", existing."open", existing."photo", existing."ref" FROM "submission" AS existing WHERE (existing."id" = NEW."id") OR (existing."ref" = NEW."ref") OR (existing."project_id" = NEW."project_id" AND existing."number" = NEW."number") OR existing.rowid = NEW.rowid;
END;
CREATE TRIGGER "holdfast_capture_submission_insert" AFTER INSERT ON "submission"
WHEN (SELECT applying FROM holdfast_state) = 0
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, new_0, new_1, new_2, new_3, new_4, new_5, new_6, new_7, new_8, new_9, new_10, new_11, new_12, new_13, new_14, new_15, new_16, new_17) VALUES (1, 'insert', NEW."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, NEW."project_id", NEW."number", NEW."status", NEW."crew_size", NEW."tags", NEW."seen", NEW."inspected_on", NEW."due", NEW."trade", NEW."grade", NEW."extra", NEW."settings", NEW."hours", NEW."cost", NEW."big", NEW."open", NEW."photo", NEW."ref");
END;
CREATE TRIGGER "holdfast_capture_submission_delete" AFTER DELETE ON "submission"
WHEN (SELECT applying FROM holdfast_state) = 0
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0, old_1, old_2, old_3, old_4, old_5, old_6, old_7, old_8, old_9, old_10, old_11, old_12, old_13, old_14, old_15, old_16, old_17) VALUES (1, 'delete', OLD."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, OLD."project_id", OLD."number", OLD."status", OLD."crew_size", OLD."tags", OLD."seen", OLD."inspected_on", OLD."due", OLD."trade", OLD."grade", OLD."extra", OLD."settings", OLD."hours", OLD."cost", OLD."big", OLD."open", OLD."photo", OLD."ref");
END;
CREATE TRIGGER "holdfast_capture_submission_before_update" BEFORE UPDATE OF "id", "ref", "project_id", "number" ON "submission"
WHEN (SELECT applying FROM holdfast_state) = 0 AND (OLD."id" IS NOT NEW."id" COLLATE BINARY OR OLD."ref" IS NOT NEW."ref" COLLATE BINARY OR OLD."project_id" IS NOT NEW."project_id" COLLATE BINARY OR OLD."number" IS NOT NEW."number")
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0, old_1, old_2, old_3, old_4, old_5, old_6, old_7, old_8, old_9, old_10, old_11, old_12, old_13, old_14, old_15, old_16, old_17) SELECT 1, 'suspect', existing."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, existing."project_id", existing."number", existing."status", existing."crew_size", existing."tags", existing."seen", existing."inspected_on", existing."due", existing."trade", existing."grade", existing."extra", existing."settings", existing."hours", existing."cost", existing."big", existing."open", existing."photo", existing."ref" FROM "submission" AS existing WHERE ((existing."id" = NEW."id") OR (existing."ref" = NEW."ref") OR (existing."project_id" = NEW."project_id" AND existing."number" = NEW."number")) AND NOT (existing."id" = OLD."id");
END;
CREATE TRIGGER "holdfast_capture_submission_rekey" AFTER UPDATE OF "id" ON "submission"
WHEN (SELECT applying FROM holdfast_state) = 0 AND (OLD."id" IS NOT NEW."id" COLLATE BINARY)
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0, old_1, old_2, old_3, old_4, old_5, old_6, old_7, old_8, old_9, old_10, old_11, old_12, old_13, old_14, old_15, old_16, old_17) VALUES (1, 'delete', OLD."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, OLD."project_id", OLD."number", OLD."status", OLD."crew_size", OLD."tags", OLD."seen", OLD."inspected_on", OLD."due", OLD."trade", OLD."grade", OLD."extra", OLD."settings", OLD."hours", OLD."cost", OLD."big", OLD."open", OLD."photo", OLD."ref");
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, new_0, new_1, new_2, new_3, new_4, new_5, new_6, new_7, new_8, new_9, new_10, new_11, new_12, new_13, new_14, new_15, new_16, new_17) VALUES (1, 'insert', NEW."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, NEW."project_id", NEW."number", NEW."status", NEW."crew_size", NEW."tags", NEW."seen", NEW."inspected_on", NEW."due", NEW."trade", NEW."grade", NEW."extra", NEW."settings", NEW."hours", NEW."cost", NEW."big", NEW."open", NEW."photo", NEW."ref");
END;
CREATE TRIGGER "holdfast_capture_submission_update" AFTER UPDATE ON "submission"
WHEN (SELECT applying FROM holdfast_state) = 0 AND (NOT (OLD."id" IS NOT NEW."id" COLLATE BINARY)) AND (OLD."project_id" IS NOT NEW."project_id" COLLATE BINARY OR OLD."number" IS NOT NEW."number" OR OLD."status" IS NOT NEW."status" COLLATE BINARY OR OLD."crew_size" IS NOT NEW."crew_size" OR OLD."tags" IS NOT NEW."tags" COLLATE BINARY OR OLD."seen" IS NOT NEW."seen" COLLATE BINARY OR OLD."inspected_on" IS NOT NEW."inspected_on" COLLATE BINARY OR OLD."due" IS NOT NEW."due" COLLATE BINARY OR OLD."trade" IS NOT NEW."trade" COLLATE BINARY OR OLD."grade" IS NOT NEW."grade" OR OLD."extra" IS NOT NEW."extra" COLLATE BINARY OR OLD."settings" IS NOT NEW."settings" COLLATE BINARY OR OLD."hours" IS NOT NEW."hours" OR OLD."cost" IS NOT NEW."cost" COLLATE BINARY OR OLD."big" IS NOT NEW."big" OR OLD."open" IS NOT NEW."open" OR OLD."photo" IS NOT NEW."photo" OR OLD."ref" IS NOT NEW."ref" COLLATE BINARY)
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0, new_0, old_1, new_1, old_2, new_2, old_3, new_3, old_4, new_4, old_5, new_5, old_6, new_6, old_7, new_7, old_8, new_8, old_9, new_9, old_10, new_10, old_11, new_11, old_12, new_12, old_13, new_13, old_14, new_14, old_15, new_15, old_16, new_16, old_17, new_17) VALUES (1, 'update', OLD."id", (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, CASE WHEN OLD."project_id" IS NOT NEW."project_id" COLLATE BINARY THEN OLD."project_id" END, CASE WHEN OLD."project_id" IS NOT NEW."project_id" COLLATE BINARY THEN NEW."project_id" END, CASE WHEN OLD."number" IS NOT NEW."number" THEN OLD."number" END, CASE WHEN OLD."number" IS NOT NEW."number" THEN NEW."number" END, CASE WHEN OLD."status" IS NOT NEW."status" COLLATE BINARY THEN OLD."status" END, CASE WHEN OLD."status" IS NOT NEW."status" COLLATE BINARY THEN NEW."status" END, CASE WHEN OLD."crew_size" IS NOT NEW."crew_size" THEN OLD."crew_size" END, CASE WHEN OLD."crew_size" IS NOT NEW."crew_size" THEN NEW."crew_size" END, CASE WHEN OLD."tags" IS NOT NEW."tags" COLLATE BINARY THEN OLD."tags" END, CASE WHEN OLD."tags" IS NOT NEW."tags" COLLATE BINARY THEN NEW."tags" END, CASE WHEN OLD."seen" IS NOT NEW."seen" COLLATE BINARY THEN OLD."seen" END, CASE WHEN OLD."seen" IS NOT NEW."seen" COLLATE BINARY THEN NEW."seen" END, CASE WHEN OLD."inspected_on" IS NOT NEW."inspected_on" COLLATE BINARY THEN OLD."inspected_on" END, CASE WHEN OLD."inspected_on" IS NOT NEW."inspected_on" COLLATE BINARY THEN NEW."inspected_on" END, CASE WHEN OLD."due" IS NOT NEW."due" COLLATE BINARY THEN OLD."due" END, CASE WHEN OLD."due" IS NOT NEW."due" COLLATE BINARY THEN NEW."due" END, CASE WHEN OLD."trade" IS NOT NEW."trade" COLLATE BINARY THEN OLD."trade" END, CASE WHEN OLD."trade" IS NOT NEW."trade" COLLATE BINARY THEN NEW."trade" END, CASE WHEN OLD."grade" IS NOT NEW."grade" THEN OLD."grade" END, CASE WHEN OLD."grade" IS NOT NEW."grade" THEN NEW."grade" END, CASE WHEN OLD."extra" IS NOT NEW."extra" COLLATE BINARY THEN OLD."extra" END, CASE WHEN OLD."extra" IS NOT NEW."extra" COLLATE BINARY THEN NEW."extra" END, CASE WHEN OLD."settings" IS NOT NEW."settings" COLLATE BINARY THEN OLD."settings" END, CASE WHEN OLD."settings" IS NOT NEW."settings" COLLATE BINARY THEN NEW."settings" END, CASE WHEN OLD."hours" IS NOT NEW."hours" THEN OLD."hours" END, CASE WHEN OLD."hours" IS NOT NEW."hours" THEN NEW."hours" END, CASE WHEN OLD."cost" IS NOT NEW."cost" COLLATE BINARY THEN OLD."cost" END, CASE WHEN OLD."cost" IS NOT NEW."cost" COLLATE BINARY THEN NEW."cost" END, CASE WHEN OLD."big" IS NOT NEW."big" THEN OLD."big" END, CASE WHEN OLD."big" IS NOT NEW."big" THEN NEW."big" END, CASE WHEN OLD."open" IS NOT NEW."open" THEN OLD."open" END, CASE WHEN OLD."open" IS NOT NEW."open" THEN NEW."open" END, CASE WHEN OLD."photo" IS NOT NEW."photo" THEN OLD."photo" END, CASE WHEN OLD."photo" IS NOT NEW."photo" THEN NEW."photo" END, CASE WHEN OLD."ref" IS NOT NEW."ref" COLLATE BINARY THEN OLD."ref" END, CASE WHEN OLD."ref" IS NOT NEW."ref" COLLATE BINARY THEN NEW."ref" END);
END;
CREATE TRIGGER "holdfast_capture_reading_before_insert" BEFORE INSERT ON "reading"
WHEN (SELECT applying FROM holdfast_state) = 0
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0) SELECT 2, 'suspect', json_array(existing."place", existing."at", CAST(existing."big" AS TEXT), json(CASE WHEN existing."good" THEN 'true' ELSE 'false' END), existing."n"), (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, existing."parent" FROM "reading" AS existing WHERE (existing."place" = NEW."place" AND existing."at" = NEW."at" AND existing."big" = NEW."big" AND existing."good" = NEW."good" AND existing."n" = NEW."n") OR existing.rowid = NEW.rowid;
END;
CREATE TRIGGER "holdfast_capture_reading_insert" AFTER INSERT ON "reading"
WHEN (SELECT applying FROM holdfast_state) = 0
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, new_0) VALUES (2, 'insert', json_array(NEW."place", NEW."at", CAST(NEW."big" AS TEXT), json(CASE WHEN NEW."good" THEN 'true' ELSE 'false' END), NEW."n"), (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, NEW."parent");
END;
CREATE TRIGGER "holdfast_capture_reading_delete" AFTER DELETE ON "reading"
WHEN (SELECT applying FROM holdfast_state) = 0
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0) VALUES (2, 'delete', json_array(OLD."place", OLD."at", CAST(OLD."big" AS TEXT), json(CASE WHEN OLD."good" THEN 'true' ELSE 'false' END), OLD."n"), (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, OLD."parent");
END;
CREATE TRIGGER "holdfast_capture_reading_before_update" BEFORE UPDATE OF "place", "at", "big", "good", "n" ON "reading"
WHEN (SELECT applying FROM holdfast_state) = 0 AND (OLD."place" IS NOT NEW."place" COLLATE BINARY OR OLD."at" IS NOT NEW."at" COLLATE BINARY OR OLD."big" IS NOT NEW."big" OR OLD."good" IS NOT NEW."good" OR OLD."n" IS NOT NEW."n")
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0) SELECT 2, 'suspect', json_array(existing."place", existing."at", CAST(existing."big" AS TEXT), json(CASE WHEN existing."good" THEN 'true' ELSE 'false' END), existing."n"), (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, existing."parent" FROM "reading" AS existing WHERE ((existing."place" = NEW."place" AND existing."at" = NEW."at" AND existing."big" = NEW."big" AND existing."good" = NEW."good" AND existing."n" = NEW."n")) AND NOT (existing."place" = OLD."place" AND existing."at" = OLD."at" AND existing."big" = OLD."big" AND existing."good" = OLD."good" AND existing."n" = OLD."n");
END;
CREATE TRIGGER "holdfast_capture_reading_rekey" AFTER UPDATE OF "place", "at", "big", "good", "n" ON "reading"
WHEN (SELECT applying FROM holdfast_state) = 0 AND (OLD."place" IS NOT NEW."place" COLLATE BINARY OR OLD."at" IS NOT NEW."at" COLLATE BINARY OR OLD."big" IS NOT NEW."big" OR OLD."good" IS NOT NEW."good" OR OLD."n" IS NOT NEW."n")
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0) VALUES (2, 'delete', json_array(OLD."place", OLD."at", CAST(OLD."big" AS TEXT), json(CASE WHEN OLD."good" THEN 'true' ELSE 'false' END), OLD."n"), (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, OLD."parent");
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, new_0) VALUES (2, 'insert', json_array(NEW."place", NEW."at", CAST(NEW."big" AS TEXT), json(CASE WHEN NEW."good" THEN 'true' ELSE 'false' END), NEW."n"), (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, NEW."parent");
END;
CREATE TRIGGER "holdfast_capture_reading_update" AFTER UPDATE ON "reading"
WHEN (SELECT applying FROM holdfast_state) = 0 AND (NOT (OLD."place" IS NOT NEW."place" COLLATE BINARY OR OLD."at" IS NOT NEW."at" COLLATE BINARY OR OLD."big" IS NOT NEW."big" OR OLD."good" IS NOT NEW."good" OR OLD."n" IS NOT NEW."n")) AND (OLD."parent" IS NOT NEW."parent" COLLATE BINARY)
BEGIN
  INSERT INTO holdfast_capture (tbl, kind, key, hlc, version, old_0, new_0) VALUES (2, 'update', json_array(OLD."place", OLD."at", CAST(OLD."big" AS TEXT), json(CASE WHEN OLD."good" THEN 'true' ELSE 'false' END), OLD."n"), (SELECT max(hlc, (min(max(CAST((julianday('now') - 2458849.5) * 86400000 AS INTEGER) + clock_offset, 0), 2199023255552) << 12) & 9007199254740991) FROM holdfast_state), 3, CASE WHEN OLD."parent" IS NOT NEW."parent" COLLATE BINARY THEN OLD."parent" END, CASE WHEN OLD."parent" IS NOT NEW."parent" COLLATE BINARY THEN NEW."parent" END);
END;
