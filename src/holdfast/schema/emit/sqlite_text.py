"""Names, literals and key texts in SQLite's SQL."""

from __future__ import annotations

import base64
from typing import Any

from holdfast.kernel import values
from holdfast.schema.model import Column, Table

STORAGE = {
    "text": "TEXT",
    "int": "INTEGER",
    "bigint": "INTEGER",
    "float": "REAL",
    "bool": "INTEGER",
    "bytes": "BLOB",
    "date": "TEXT",
    "datetime": "TEXT",
    "decimal": "TEXT",
    "uuid": "TEXT",
    "json": "TEXT",
    "set": "TEXT",
}
"""Column type -> storage class (`spec/encoding.md` 1)."""


def quote(name: str) -> str:
    """A name between double quotes."""
    return '"' + name.replace('"', '""') + '"'


def names(columns: tuple[str, ...] | list[str]) -> str:
    """Quoted names with commas between them."""
    return ", ".join(quote(column) for column in columns)


def text_literal(text: str) -> str:
    """A text between single quotes. The text must not contain U+0000."""
    return "'" + text.replace("'", "''") + "'"


def literal(type_name: str, wire: Any) -> str:
    """A wire value as the SQL literal of its SQL form."""
    if wire is None:
        return "NULL"
    if type_name == "bool":
        return "1" if wire else "0"
    if type_name in ("int", "bigint"):
        return str(int(wire))
    if type_name == "float":
        return repr(float(wire))
    if type_name == "bytes":
        return f"x'{base64.b64decode(wire).hex()}'"
    if type_name in ("json", "set"):
        return text_literal(values.canonical_json(wire))
    return text_literal(wire)


def no_nul(name: str) -> str:
    """Condition that a text has no U+0000."""
    return f"instr({name}, char(0)) = 0"


def valid_json(name: str) -> str:
    """Condition that a text is JSON without U+0000, escaped or not."""
    # Escaped backslashes are taken out first, so that what is left of \u0000 is the escape of U+0000 and not text.
    return f"{no_nul(name)} AND json_valid({name}) AND instr(replace({name}, '\\\\', ''), '\\u0000') = 0"


def key_expression(table: Table, row: str) -> str:
    """The key text (`spec/encoding.md` 2) of the row that `row` names: NEW, OLD or an alias."""
    if len(table.key) > 1:
        return f"json_array({', '.join(_member(column, row) for column in table.key)})"
    column = table.key[0]
    cell = f"{row}.{quote(column.name)}"
    if column.type == "bool":
        return _boolean(cell)
    return f"CAST({cell} AS TEXT)" if column.type in ("int", "bigint") else cell


def _member(column: Column, row: str) -> str:
    cell = f"{row}.{quote(column.name)}"
    if column.type == "bool":
        return f"json({_boolean(cell)})"
    return f"CAST({cell} AS TEXT)" if column.type == "bigint" else cell


def _boolean(cell: str) -> str:
    return f"CASE WHEN {cell} THEN 'true' ELSE 'false' END"
