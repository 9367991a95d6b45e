-- The versions of the schema that this hub has run, as `stores/kept.py` writes them.
CREATE TABLE holdfast.version (
  version integer PRIMARY KEY,
  body text NOT NULL
);
