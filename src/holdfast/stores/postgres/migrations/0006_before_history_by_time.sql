-- What a table keeps no longer is deleted piece by piece, oldest first.
CREATE INDEX history_at ON holdfast.history (tbl, at);
