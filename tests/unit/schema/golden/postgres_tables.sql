CREATE TABLE "public"."project" (
  "id" text COLLATE "C" NOT NULL DEFAULT ((encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid)::text) CHECK (length("id") <= 1024),
  "name" text NOT NULL,
  PRIMARY KEY ("id")
);
CREATE TABLE "public"."submission" (
  "id" text COLLATE "C" NOT NULL DEFAULT ((encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid)::text) CHECK (length("id") <= 1024),
  "project_id" text NOT NULL,
  "number" bigint CHECK ("number" BETWEEN -9007199254740991 AND 9007199254740991),
  "status" text NOT NULL DEFAULT 'it''s a draft',
  "crew_size" bigint NOT NULL DEFAULT '0'::bigint CHECK ("crew_size" BETWEEN -9007199254740991 AND 9007199254740991),
  "tags" jsonb NOT NULL DEFAULT '[]'::jsonb CHECK (jsonb_typeof("tags") = 'array'),
  "seen" jsonb NOT NULL DEFAULT '["-1","3"]'::jsonb CHECK (jsonb_typeof("seen") = 'array'),
  "inspected_on" date CHECK ("inspected_on" BETWEEN '0001-01-01' AND '9999-12-31'),
  "due" timestamp with time zone CHECK ("due" >= '0001-01-01 00:00:00+00' AND "due" < '10000-01-01 00:00:00+00'),
  "trade" text NOT NULL DEFAULT 'roofing' CHECK ("trade" IN ('roofing', 'steel''s')),
  "grade" bigint CHECK ("grade" IN ('1'::bigint, '2'::bigint)),
  "extra" jsonb,
  "settings" jsonb NOT NULL DEFAULT '{"a":"x","b":[1,2.5]}'::jsonb CHECK (jsonb_typeof("settings") <> 'null'),
  "hours" double precision NOT NULL DEFAULT '0.5'::double precision CHECK ("hours" > '-infinity' AND "hours" < 'infinity'),
  "cost" numeric NOT NULL DEFAULT '1.50'::numeric CHECK (coalesce(scale("cost") >= 0 AND length(translate("cost"::text, '-.', '')) <= 1000, "cost" IS NULL)),
  "big" bigint NOT NULL DEFAULT '-9223372036854775808'::bigint,
  "open" boolean NOT NULL DEFAULT true,
  "photo" bytea NOT NULL DEFAULT E'\\x00ff'::bytea,
  "ref" uuid NOT NULL DEFAULT (encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid),
  PRIMARY KEY ("id"),
  UNIQUE ("ref"),
  UNIQUE ("project_id", "number"),
  FOREIGN KEY ("project_id") REFERENCES "public"."project" ("id") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX "submission(status, due)" ON "public"."submission" ("status", "due");
CREATE TABLE "public"."reading" (
  "place" text COLLATE "C" NOT NULL CHECK (length("place") <= 1024),
  "at" timestamp with time zone NOT NULL CHECK ("at" >= '0001-01-01 00:00:00+00' AND "at" < '10000-01-01 00:00:00+00'),
  "big" bigint NOT NULL,
  "good" boolean NOT NULL,
  "n" bigint NOT NULL CHECK ("n" BETWEEN -9007199254740991 AND 9007199254740991),
  "parent" text,
  PRIMARY KEY ("place", "at", "big", "good", "n"),
  FOREIGN KEY ("parent") REFERENCES "public"."project" ("id") ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
  CHECK (length('[' || to_json("reading"."place")::text || ',' || to_json(to_char("reading"."at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text || ',' || to_json("reading"."big"::text)::text || ',' || "reading"."good"::text || ',' || "reading"."n"::text || ']') <= 1024)
);
CREATE INDEX "reading(parent)" ON "public"."reading" ("parent");
CREATE TABLE "public"."holdfast_conflict" (
  "id" text COLLATE "C" NOT NULL DEFAULT '' CHECK (length("id") <= 1024),
  "state" text NOT NULL DEFAULT 'auto' CHECK ("state" IN ('auto', 'open', 'resolved')),
  "result" text,
  "resolved_by" text,
  "resolved_at" bigint CHECK ("resolved_at" BETWEEN -9007199254740991 AND 9007199254740991),
  "space" text NOT NULL DEFAULT '',
  "table_name" text NOT NULL DEFAULT '',
  "row_key" text NOT NULL DEFAULT '',
  "column_name" text NOT NULL DEFAULT '',
  "rule" text NOT NULL DEFAULT '',
  "winner" text NOT NULL DEFAULT '',
  "base" text,
  "mine" text,
  "mine_user" text NOT NULL DEFAULT '',
  "mine_device" text NOT NULL DEFAULT '',
  "mine_at" bigint CHECK ("mine_at" BETWEEN -9007199254740991 AND 9007199254740991),
  "theirs" text,
  "theirs_user" text NOT NULL DEFAULT '',
  "theirs_device" text NOT NULL DEFAULT '',
  "theirs_at" bigint CHECK ("theirs_at" BETWEEN -9007199254740991 AND 9007199254740991),
  "error" text NOT NULL DEFAULT '',
  PRIMARY KEY ("id")
);
CREATE INDEX "holdfast_conflict(table_name, row_key)" ON "public"."holdfast_conflict" ("table_name", "row_key");
CREATE INDEX "holdfast_conflict(state, space, id)" ON "public"."holdfast_conflict" ("state", "space", "id");
CREATE INDEX "holdfast_conflict(table_name, state, id)" ON "public"."holdfast_conflict" ("table_name", "state", "id");
