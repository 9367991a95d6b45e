"""Names, literals and key texts in PostgreSQL's SQL."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from holdfast.kernel import values
from holdfast.schema.model import Column, Table
from holdfast.schema.stored import NATURAL, TIMESTAMP

_MOMENT = '\'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\''


def quote(name: str) -> str:
    """A name between double quotes."""
    return '"' + name.replace('"', '""') + '"'


def names(columns: Sequence[str]) -> str:
    """Quoted names with commas between them."""
    return ", ".join(quote(column) for column in columns)


def qualified(schema: str, name: str) -> str:
    """A name with its schema: what it means does not depend on the search path, which a pooler may share."""
    return f"{quote(schema)}.{quote(name)}"


def text_literal(text: str) -> str:
    """A text between single quotes, also right when `standard_conforming_strings` is off. No U+0000."""
    quoted = text.replace("'", "''")
    return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in text else f"'{quoted}'"


def literal(type_name: str, wire: Any) -> str:
    """A wire value as the SQL literal of its SQL form."""
    if wire is None:
        return "NULL"
    if type_name == "bool":
        return "true" if wire else "false"
    if type_name == "text":
        return text_literal(wire)
    if type_name == "bytes":
        # A cast from E'..' so that no setting changes what the backslash means.
        return text_literal("\\x" + base64.b64decode(wire).hex()) + "::bytea"
    if type_name in ("json", "set"):
        return text_literal(values.canonical_json(wire)) + "::jsonb"
    text = repr(float(wire)) if type_name == "float" else str(wire)
    return f"'{text}'::{NATURAL[type_name]}"


def type_name(column: Column, within: str) -> str:
    """The type of a column in SQL; a type that the application made is looked up in the schema `within`."""
    kind = column.database_type
    if not kind.is_enum:
        return str(kind.text())
    schema, _, name = kind.base.rpartition(".")
    return qualified(schema or within, name)


def day_text(cell: str) -> str:
    """A date as its wire text. Only for dates of the years 1 to 9999."""
    return f"to_char({cell}, 'YYYY-MM-DD')"


def moment_text(cell: str) -> str:
    """A timestamp with time zone as its wire text. Only for the years 1 to 9999 in UTC."""
    return local_moment_text(f"{cell} AT TIME ZONE 'UTC'")


def local_moment_text(cell: str) -> str:
    """A timestamp without a zone as wire text: what it shows is taken for UTC."""
    return f"to_char({cell}, {_MOMENT})"


def key_expression(table: Table, row: str) -> str:
    """The key text (`spec/encoding.md` 2) of the row that `row` names, whatever type of the database holds the key."""
    if len(table.key) == 1:
        return _cell(table.key[0], row)
    # to_json escapes a text exactly as canonical JSON does; jsonb arrays would be printed with spaces.
    return "'[' || " + " || ',' || ".join(_member(column, row) for column in table.key) + " || ']'"


def _cell(column: Column, row: str) -> str:
    cell = f"{row}.{quote(column.name)}"
    if column.type == "date":
        return day_text(cell)
    if column.type == "datetime":
        return local_moment_text(cell) if column.database_type.base == TIMESTAMP else moment_text(cell)
    return cell if column.type == "text" and not column.stored else f"{cell}::text"


def _member(column: Column, row: str) -> str:
    text = _cell(column, row)
    return text if column.type in ("int", "bool") else f"to_json({text})::text"
