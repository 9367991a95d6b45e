CREATE TABLE "project" (
  "id" TEXT NOT NULL DEFAULT (printf('%08x-%04x-7%03x-%04x-%s', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) >> 16, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) & 65535, random() & 4095, 32768 | (random() & 16383), lower(hex(randomblob(6))))) CHECK (instr("id", char(0)) = 0 AND length("id") <= 1024),
  "name" TEXT NOT NULL CHECK (instr("name", char(0)) = 0),
  PRIMARY KEY ("id")
) STRICT;
CREATE TABLE "submission" (
  "id" TEXT NOT NULL DEFAULT (printf('%08x-%04x-7%03x-%04x-%s', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) >> 16, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) & 65535, random() & 4095, 32768 | (random() & 16383), lower(hex(randomblob(6))))) CHECK (instr("id", char(0)) = 0 AND length("id") <= 1024),
  "project_id" TEXT NOT NULL CHECK (instr("project_id", char(0)) = 0),
  "number" INTEGER CHECK ("number" BETWEEN -9007199254740991 AND 9007199254740991),
  "status" TEXT NOT NULL DEFAULT 'it''s a draft' CHECK (instr("status", char(0)) = 0),
  "crew_size" INTEGER NOT NULL DEFAULT 0 CHECK ("crew_size" BETWEEN -9007199254740991 AND 9007199254740991),
  "tags" TEXT NOT NULL DEFAULT '[]' CHECK (instr("tags", char(0)) = 0 AND json_valid("tags") AND instr(replace("tags", '\\', ''), '\u0000') = 0 AND json_type("tags") = 'array'),
  "seen" TEXT NOT NULL DEFAULT '["-1","3"]' CHECK (instr("seen", char(0)) = 0 AND json_valid("seen") AND instr(replace("seen", '\\', ''), '\u0000') = 0 AND json_type("seen") = 'array'),
  "inspected_on" TEXT CHECK ("inspected_on" GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]' AND date("inspected_on", '+0 days') IS "inspected_on" AND "inspected_on" >= '0001'),
  "due" TEXT CHECK ("due" IS NULL OR ("due" GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9][T ][0-9][0-9]:[0-5][0-9]:[0-5][0-9]*' AND instr("due", char(0)) = 0 AND date(substr("due", 1, 10), '+0 days') IS substr("due", 1, 10) AND substr("due", 12, 2) < '24' AND "due" >= '0001' AND substr("due", 20) NOT GLOB '*[^-+.:Z0-9]*' AND length("due") - 19 - CASE WHEN substr("due", 20) GLOB '*Z' THEN 1 WHEN substr("due", 20) GLOB '*[-+][01][0-9]:[0-5][0-9]' THEN 6 WHEN substr("due", 20) GLOB '*[-+][01][0-9][0-5][0-9]' THEN 5 WHEN substr("due", 20) GLOB '*[-+][01][0-9]' THEN 3 ELSE 0 END <= 7 AND json_valid('0' || substr("due", 20, length("due") - 19 - CASE WHEN substr("due", 20) GLOB '*Z' THEN 1 WHEN substr("due", 20) GLOB '*[-+][01][0-9]:[0-5][0-9]' THEN 6 WHEN substr("due", 20) GLOB '*[-+][01][0-9][0-5][0-9]' THEN 5 WHEN substr("due", 20) GLOB '*[-+][01][0-9]' THEN 3 ELSE 0 END)))),
  "trade" TEXT NOT NULL DEFAULT 'roofing' CHECK ("trade" IN ('roofing', 'steel''s')),
  "grade" INTEGER CHECK ("grade" IN (1, 2)),
  "extra" TEXT CHECK ("extra" IS NULL OR (instr("extra", char(0)) = 0 AND json_valid("extra") AND instr(replace("extra", '\\', ''), '\u0000') = 0)),
  "settings" TEXT NOT NULL DEFAULT '{"a":"x","b":[1,2.5]}' CHECK (instr("settings", char(0)) = 0 AND json_valid("settings") AND instr(replace("settings", '\\', ''), '\u0000') = 0 AND json_type("settings") <> 'null'),
  "hours" REAL NOT NULL DEFAULT 0.5 CHECK ("hours" > -9e999 AND "hours" < 9e999),
  "cost" TEXT NOT NULL DEFAULT '1.50' CHECK ("cost" NOT GLOB '*[^-+.0-9eE]*' AND instr("cost", char(0)) = 0 AND CASE WHEN "cost" GLOB '[-+]*' THEN substr("cost", 2) ELSE "cost" END GLOB '[0-9]*' AND json_valid('1' || CASE WHEN "cost" GLOB '[-+]*' THEN substr("cost", 2) ELSE "cost" END) AND CASE WHEN "cost" GLOB '*[eE]*' THEN length("cost") <= 1002 AND "cost" NOT GLOB '*[eE]*[0-9][0-9][0-9][0-9]*' ELSE length(replace(ltrim(CASE WHEN "cost" GLOB '[-+]*' THEN substr("cost", 2) ELSE "cost" END, '0'), '.', '')) + (ltrim(CASE WHEN "cost" GLOB '[-+]*' THEN substr("cost", 2) ELSE "cost" END, '0') GLOB '.*') <= 1000 END),
  "big" INTEGER NOT NULL DEFAULT -9223372036854775808,
  "open" INTEGER NOT NULL DEFAULT 1 CHECK ("open" IN (0, 1)),
  "photo" BLOB NOT NULL DEFAULT x'00ff',
  "ref" TEXT NOT NULL DEFAULT (printf('%08x-%04x-7%03x-%04x-%s', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) >> 16, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) & 65535, random() & 4095, 32768 | (random() & 16383), lower(hex(randomblob(6))))) CHECK (instr("ref", char(0)) = 0 AND ((length(CASE WHEN "ref" GLOB '{*}' THEN substr("ref", 2, length("ref") - 2) ELSE "ref" END) = 32 AND CASE WHEN "ref" GLOB '{*}' THEN substr("ref", 2, length("ref") - 2) ELSE "ref" END NOT GLOB '*[^0-9a-fA-F]*') OR (CASE WHEN "ref" GLOB '{*}' THEN substr("ref", 2, length("ref") - 2) ELSE "ref" END GLOB '????????-????-????-????-????????????' AND length(replace(CASE WHEN "ref" GLOB '{*}' THEN substr("ref", 2, length("ref") - 2) ELSE "ref" END, '-', '')) = 32 AND replace(CASE WHEN "ref" GLOB '{*}' THEN substr("ref", 2, length("ref") - 2) ELSE "ref" END, '-', '') NOT GLOB '*[^0-9a-fA-F]*'))),
  PRIMARY KEY ("id"),
  UNIQUE ("ref"),
  UNIQUE ("project_id", "number"),
  FOREIGN KEY ("project_id") REFERENCES "project" ("id") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX "submission(status, due)" ON "submission" ("status", "due");
CREATE TABLE "reading" (
  "place" TEXT NOT NULL CHECK (instr("place", char(0)) = 0 AND length("place") <= 1024),
  "at" TEXT NOT NULL CHECK (length("at") = 27 AND "at" GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z' AND instr("at", char(0)) = 0 AND date(substr("at", 1, 10), '+0 days') IS substr("at", 1, 10) AND substr("at", 12, 2) < '24' AND "at" >= '0001'),
  "big" INT NOT NULL,
  "good" INT NOT NULL CHECK ("good" IN (0, 1)),
  "n" INT NOT NULL CHECK ("n" BETWEEN -9007199254740991 AND 9007199254740991),
  "parent" TEXT CHECK (instr("parent", char(0)) = 0),
  PRIMARY KEY ("place", "at", "big", "good", "n"),
  FOREIGN KEY ("parent") REFERENCES "project" ("id") ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
  CHECK (length(json_array("place", "at", CAST("big" AS TEXT), "good", "n")) <= 1024)
) STRICT;
CREATE INDEX "reading(parent)" ON "reading" ("parent");
CREATE TABLE "holdfast_conflict" (
  "id" TEXT NOT NULL DEFAULT '' CHECK (instr("id", char(0)) = 0 AND length("id") <= 1024),
  "state" TEXT NOT NULL DEFAULT 'auto' CHECK ("state" IN ('auto', 'open', 'resolved')),
  "result" TEXT CHECK (instr("result", char(0)) = 0),
  "resolved_by" TEXT CHECK (instr("resolved_by", char(0)) = 0),
  "resolved_at" INTEGER CHECK ("resolved_at" BETWEEN -9007199254740991 AND 9007199254740991),
  "space" TEXT NOT NULL DEFAULT '' CHECK (instr("space", char(0)) = 0),
  "table_name" TEXT NOT NULL DEFAULT '' CHECK (instr("table_name", char(0)) = 0),
  "row_key" TEXT NOT NULL DEFAULT '' CHECK (instr("row_key", char(0)) = 0),
  "column_name" TEXT NOT NULL DEFAULT '' CHECK (instr("column_name", char(0)) = 0),
  "rule" TEXT NOT NULL DEFAULT '' CHECK (instr("rule", char(0)) = 0),
  "winner" TEXT NOT NULL DEFAULT '' CHECK (instr("winner", char(0)) = 0),
  "base" TEXT CHECK (instr("base", char(0)) = 0),
  "mine" TEXT CHECK (instr("mine", char(0)) = 0),
  "mine_user" TEXT NOT NULL DEFAULT '' CHECK (instr("mine_user", char(0)) = 0),
  "mine_device" TEXT NOT NULL DEFAULT '' CHECK (instr("mine_device", char(0)) = 0),
  "mine_at" INTEGER CHECK ("mine_at" BETWEEN -9007199254740991 AND 9007199254740991),
  "theirs" TEXT CHECK (instr("theirs", char(0)) = 0),
  "theirs_user" TEXT NOT NULL DEFAULT '' CHECK (instr("theirs_user", char(0)) = 0),
  "theirs_device" TEXT NOT NULL DEFAULT '' CHECK (instr("theirs_device", char(0)) = 0),
  "theirs_at" INTEGER CHECK ("theirs_at" BETWEEN -9007199254740991 AND 9007199254740991),
  "error" TEXT NOT NULL DEFAULT '' CHECK (instr("error", char(0)) = 0),
  PRIMARY KEY ("id")
) STRICT;
CREATE INDEX "holdfast_conflict(table_name, row_key)" ON "holdfast_conflict" ("table_name", "row_key");
CREATE INDEX "holdfast_conflict(state, space, id)" ON "holdfast_conflict" ("state", "space", "id");
CREATE INDEX "holdfast_conflict(table_name, state, id)" ON "holdfast_conflict" ("table_name", "state", "id");
