-- What tells that rows may have changed unseen, by triggers that were off for a while or by a statement that rewrote a column:
-- `watched` is a hash over the versions of the triggers and columns of a table in PostgreSQL's own catalogue, taken before the rows
-- were last noted. `placed` is the rule of the space by which its rows were placed, a JSON object: `space` the rule, `version` that
-- of the schema, `again` whether hubs of the former rule may have written since.
ALTER TABLE holdfast."table" ADD COLUMN watched text, ADD COLUMN placed text;
CREATE INDEX dirty_aside ON holdfast.dirty (tbl) WHERE problem IS NOT NULL;
