"""Whether a table that the database already has can hold what the schema declares."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from holdfast.errors import HoldfastError
from holdfast.schema.model import Column, Table
from holdfast.schema.postgres_values import FITTING
from holdfast.stores.postgres.exchange import Connection
from holdfast.stores.postgres.queries import QUERIES


class Found(NamedTuple):
    """A column of the database. `type` is without a length or scale, `kind` with it (`limited`: it has one); `labels`
    are those of an enum.
    """

    name: str
    type: str
    limited: bool
    not_null: bool
    has_default: bool
    generated: bool
    kind: str
    labels: Sequence[str]


def columns_of(db: Connection, target: str) -> list[Found]:
    """Columns of a table."""
    return [Found(*row) for row in db.execute(QUERIES["columns"], (target,))]


def unique_of(db: Connection, target: str) -> dict[str, list[str]]:
    """Unique indexes of a table that are checked at once: name -> columns."""
    rows: list[tuple[Any, ...]] = db.execute(QUERIES["unique_indexes"], (target,)).fetchall()
    return dict(rows)


def constraints_of(db: Connection, target: str) -> dict[str, list[str]]:
    """Constraints of a table: name -> columns."""
    return {name: columns for name, _, columns in db.execute(QUERIES["constraints"], (target,))}


def is_rewritten(db: Connection, target: str) -> bool:
    """Whether a trigger of the application may store something else than what is written."""
    return bool(db.execute(QUERIES["rewritten"], (target,)).fetchall()[0][0])


_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "p": "a partitioned table",
    "i": "an index",
    "I": "an index",
    "S": "a sequence",
    "c": "a type",
}


def check_kind(db: Connection, table: Table, target: str) -> None:
    """Raise `HoldfastError` `schema_mismatch_table` unless triggers on it see every change: those on a partitioned
    table do not see what is written into a partition by its own name, none see what a crash takes from an unlogged
    one."""
    ((kind, unlogged, inherits),) = db.execute(QUERIES["kind"], (target,)).fetchall() or [(None, False, False)]
    if kind is None or (kind == "r" and not inherits and not unlogged):
        return
    others = "an unlogged table" if unlogged else "a table that inherits from another one, or others from it"
    found = _KINDS.get(kind, others)
    remedy = "Sync the table beneath it" if kind in "vm" else "Sync a plain table, or take it out of the schema"
    message = f"{table.name} is {found}: triggers on it would not see every change. {remedy}; nothing was changed."
    raise HoldfastError("schema_mismatch_table", message, table=table.name, expected="a plain table", found=found)


def check_policies(db: Connection, table: Table, target: str) -> None:
    """Raise `HoldfastError` `schema_mismatch_table` when row-level security hides rows of the table from this role."""
    if db.execute(QUERIES["row_security"], (target,)).fetchall() == [(True,)]:
        message = (
            f"Row-level security of {table.name} applies to the hub's role, which then does not see every row. Hubs "
            "decide by spaces who may see what: ALTER ROLE ... BYPASSRLS, or let the hub run as the table's owner."
        )
        raise HoldfastError(
            "schema_mismatch_table", message, table=table.name, expected="every row", found="row-level security"
        )


def check(table: Table, found: Sequence[Found], unique: Sequence[Sequence[str]], added: Collection[str] = ()) -> None:
    """Raise `HoldfastError` `schema_mismatch_table` unless the hub can read and write the declared columns; those in
    `added` are still to be made."""
    by_name = {column.name: column for column in found}
    for column in table.columns:
        present = by_name.get(column.name)
        wanted = column.stored or " or ".join(sorted(FITTING[column.type]))
        if column.name in added:
            continue
        if present is None:
            _refuse(table, column.name, f"a column of type {wanted}", "no such column", "Add the column")
        elif present.generated and not column.read_only:
            remedy = "Declare it hf.column(read_only=True)"
            _refuse(table, column.name, "a plain column", "a generated column", remedy)
        elif column.generate == "block" and not present.has_default:
            remedy = "Make it an identity column, or declare a plain int"
            _refuse(table, column.name, "a column with a sequence", "no sequence", remedy)
        elif column.stored:
            _check_stored(table, column, present)
        elif present.type not in FITTING[column.type]:
            remedy = f'Declare it hf.column(stored="{present.kind}"), or change the type of the column'
            _refuse(table, column.name, wanted, present.kind, remedy)
        elif present.limited and column.type == "decimal":
            remedy = f'Declare it hf.column(stored="{present.kind}")'
            _refuse(table, column.name, "numeric", f"{present.kind}, which rounds", remedy)
        if present is not None and present.not_null and column.nullable and not column.read_only and not column.former:
            remedy = "Allow NULL, or declare it not optional"
            _refuse(table, column.name, "a column that takes NULL", "NOT NULL", remedy)
    key = {column.name for column in table.key}
    if not any(set(columns) == key for columns in unique):
        remedy = "Declare the table's own key, or make a unique index on these columns"
        _refuse(table, ", ".join(sorted(key)), "primary key or unique", "no such index", remedy)
    for name in table.exclude:
        if name not in by_name:
            _refuse(table, name, "a column that exclude= names", "no such column", "Take it out of exclude=")
    for extra in found:
        needed = extra.not_null and not extra.has_default and not extra.generated
        if extra.name not in table.position and needed:
            remedy = "Declare the column, give it a default in the database, or allow NULL"
            expected = "a column that a row can be inserted without"
            _refuse(table, extra.name, expected, "NOT NULL without default", remedy)


def _check_stored(table: Table, column: Column, present: Found) -> None:
    """The type of the database must be the declared one to the letter: another one would round or refuse."""
    kind = column.database_type
    # An own type is written with its schema or without, as the search path has it.
    name, wanted = (text.rpartition(".")[2].strip('"') for text in (present.kind, column.stored))
    if name != wanted:
        remedy = f'Declare it hf.column(stored="{present.kind}"), or change the type of the column'
        _refuse(table, column.name, column.stored, present.kind, remedy)
    if kind.is_enum and set(present.labels) != set(column.choices or ()):
        remedy = "Declare the labels that the type has"
        expected, labels = ", ".join(map(repr, column.choices or ())), ", ".join(map(repr, present.labels))
        _refuse(table, column.name, f"the labels {expected}", labels or "no enum", remedy)


def _refuse(table: Table, column: str, expected: str, found: str, remedy: str) -> None:
    message = (
        f"The table {table.name} of the database does not fit the schema: column {column}: expected {expected}, "
        f"found {found}. {remedy}, then open the store again; nothing was changed."
    )
    raise HoldfastError(
        "schema_mismatch_table", message, table=table.name, column=column, expected=expected, found=found
    )
