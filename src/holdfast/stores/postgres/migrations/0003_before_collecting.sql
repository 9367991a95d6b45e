-- Up to `floor` dead rows and leave marks of a space may have been collected.
ALTER TABLE holdfast.space ADD COLUMN floor bigint NOT NULL DEFAULT 0;
CREATE INDEX row_dead ON holdfast."row" (space, seq) WHERE life % 2 = 0;
