CREATE TRIGGER "holdfast_dirty_project_insert" AFTER INSERT ON "project"
WHEN (SELECT applying FROM holdfast_hub) = 0
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', NEW."id");
  DELETE FROM holdfast_dirty WHERE tbl = 'project' AND key = NEW."id";
  UPDATE holdfast_dirty SET tbl = 'project' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_project_delete" AFTER DELETE ON "project"
WHEN (SELECT applying FROM holdfast_hub) = 0
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', OLD."id");
  DELETE FROM holdfast_dirty WHERE tbl = 'project' AND key = OLD."id";
  UPDATE holdfast_dirty SET tbl = 'project' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_project_update" AFTER UPDATE ON "project"
WHEN (SELECT applying FROM holdfast_hub) = 0
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', NEW."id");
  DELETE FROM holdfast_dirty WHERE tbl = 'project' AND key = NEW."id";
  UPDATE holdfast_dirty SET tbl = 'project' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_project_rekey" AFTER UPDATE OF "id" ON "project"
WHEN (SELECT applying FROM holdfast_hub) = 0 AND (OLD."id" IS NOT NEW."id" COLLATE BINARY)
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', OLD."id");
  DELETE FROM holdfast_dirty WHERE tbl = 'project' AND key = OLD."id";
  UPDATE holdfast_dirty SET tbl = 'project' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_submission_insert" AFTER INSERT ON "submission"
WHEN (SELECT applying FROM holdfast_hub) = 0
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', NEW."id");
  DELETE FROM holdfast_dirty WHERE tbl = 'submission' AND key = NEW."id";
  UPDATE holdfast_dirty SET tbl = 'submission' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_submission_delete" AFTER DELETE ON "submission"
WHEN (SELECT applying FROM holdfast_hub) = 0
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', OLD."id");
  DELETE FROM holdfast_dirty WHERE tbl = 'submission' AND key = OLD."id";
  UPDATE holdfast_dirty SET tbl = 'submission' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_submission_update" AFTER UPDATE ON "submission"
WHEN (SELECT applying FROM holdfast_hub) = 0
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', NEW."id");
  DELETE FROM holdfast_dirty WHERE tbl = 'submission' AND key = NEW."id";
  UPDATE holdfast_dirty SET tbl = 'submission' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_submission_rekey" AFTER UPDATE OF "id" ON "submission"
WHEN (SELECT applying FROM holdfast_hub) = 0 AND (OLD."id" IS NOT NEW."id" COLLATE BINARY)
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', OLD."id");
  DELETE FROM holdfast_dirty WHERE tbl = 'submission' AND key = OLD."id";
  UPDATE holdfast_dirty SET tbl = 'submission' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_submission_before_insert" BEFORE INSERT ON "submission"
WHEN (SELECT applying FROM holdfast_hub) = 0
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) SELECT '', existing."id" FROM "submission" AS existing WHERE (existing."ref" = NEW."ref") OR (existing."project_id" = NEW."project_id" AND existing."number" = NEW."number");
  DELETE FROM holdfast_dirty WHERE tbl = 'submission' AND key IN (SELECT existing."id" FROM "submission" AS existing WHERE (existing."ref" = NEW."ref") OR (existing."project_id" = NEW."project_id" AND existing."number" = NEW."number"));
  UPDATE holdfast_dirty SET tbl = 'submission' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_submission_before_update" BEFORE UPDATE OF "ref", "project_id", "number" ON "submission"
WHEN (SELECT applying FROM holdfast_hub) = 0 AND (OLD."ref" IS NOT NEW."ref" COLLATE BINARY OR OLD."project_id" IS NOT NEW."project_id" COLLATE BINARY OR OLD."number" IS NOT NEW."number")
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) SELECT '', existing."id" FROM "submission" AS existing WHERE ((existing."ref" = NEW."ref") OR (existing."project_id" = NEW."project_id" AND existing."number" = NEW."number")) AND NOT (existing."id" = OLD."id");
  DELETE FROM holdfast_dirty WHERE tbl = 'submission' AND key IN (SELECT existing."id" FROM "submission" AS existing WHERE ((existing."ref" = NEW."ref") OR (existing."project_id" = NEW."project_id" AND existing."number" = NEW."number")) AND NOT (existing."id" = OLD."id"));
  UPDATE holdfast_dirty SET tbl = 'submission' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_reading_insert" AFTER INSERT ON "reading"
WHEN (SELECT applying FROM holdfast_hub) = 0
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', json_array(NEW."place", NEW."at", CAST(NEW."big" AS TEXT), json(CASE WHEN NEW."good" THEN 'true' ELSE 'false' END), NEW."n"));
  DELETE FROM holdfast_dirty WHERE tbl = 'reading' AND key = json_array(NEW."place", NEW."at", CAST(NEW."big" AS TEXT), json(CASE WHEN NEW."good" THEN 'true' ELSE 'false' END), NEW."n");
  UPDATE holdfast_dirty SET tbl = 'reading' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_reading_delete" AFTER DELETE ON "reading"
WHEN (SELECT applying FROM holdfast_hub) = 0
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', json_array(OLD."place", OLD."at", CAST(OLD."big" AS TEXT), json(CASE WHEN OLD."good" THEN 'true' ELSE 'false' END), OLD."n"));
  DELETE FROM holdfast_dirty WHERE tbl = 'reading' AND key = json_array(OLD."place", OLD."at", CAST(OLD."big" AS TEXT), json(CASE WHEN OLD."good" THEN 'true' ELSE 'false' END), OLD."n");
  UPDATE holdfast_dirty SET tbl = 'reading' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_reading_update" AFTER UPDATE ON "reading"
WHEN (SELECT applying FROM holdfast_hub) = 0
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', json_array(NEW."place", NEW."at", CAST(NEW."big" AS TEXT), json(CASE WHEN NEW."good" THEN 'true' ELSE 'false' END), NEW."n"));
  DELETE FROM holdfast_dirty WHERE tbl = 'reading' AND key = json_array(NEW."place", NEW."at", CAST(NEW."big" AS TEXT), json(CASE WHEN NEW."good" THEN 'true' ELSE 'false' END), NEW."n");
  UPDATE holdfast_dirty SET tbl = 'reading' WHERE tbl = '';
END;
CREATE TRIGGER "holdfast_dirty_reading_rekey" AFTER UPDATE OF "place", "at", "big", "good", "n" ON "reading"
WHEN (SELECT applying FROM holdfast_hub) = 0 AND (OLD."place" IS NOT NEW."place" COLLATE BINARY OR OLD."at" IS NOT NEW."at" COLLATE BINARY OR OLD."big" IS NOT NEW."big" OR OLD."good" IS NOT NEW."good" OR OLD."n" IS NOT NEW."n")
BEGIN
  INSERT INTO holdfast_dirty (tbl, key) VALUES ('', json_array(OLD."place", OLD."at", CAST(OLD."big" AS TEXT), json(CASE WHEN OLD."good" THEN 'true' ELSE 'false' END), OLD."n"));
  DELETE FROM holdfast_dirty WHERE tbl = 'reading' AND key = json_array(OLD."place", OLD."at", CAST(OLD."big" AS TEXT), json(CASE WHEN OLD."good" THEN 'true' ELSE 'false' END), OLD."n");
  UPDATE holdfast_dirty SET tbl = 'reading' WHERE tbl = '';
END;
