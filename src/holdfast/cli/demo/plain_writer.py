"""A program that knows nothing of Holdfast: it opens a device file with the sqlite3 module and writes.

`python plain_writer.py FILE` reads transactions from standard input: a JSON list of lists of [sql, parameters].
"""

import json
import sqlite3
import sys

database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
database.execute("PRAGMA foreign_keys = ON")
changes = 0
for transaction in json.load(sys.stdin):
    database.execute("BEGIN IMMEDIATE")
    for sql, parameters in transaction:
        changes += database.execute(sql, parameters).rowcount
    database.execute("COMMIT")
database.close()
print(json.dumps({"changes": changes, "sqlite": sqlite3.sqlite_version, "holdfast": "holdfast" in sys.modules}))
