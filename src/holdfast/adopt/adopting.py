"""`holdfast adopt`, without the terminal: read, judge, write, and check the result against the database."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from holdfast.adopt import suggestions
from holdfast.adopt.catalogue import Connection, read_catalogue
from holdfast.adopt.columns import Adopted
from holdfast.adopt.suggestions import Suggestion
from holdfast.adopt.tables import Plan, plan
from holdfast.adopt.text import module
from holdfast.errors import HoldfastError
from holdfast.kernel.values import InvalidValue
from holdfast.schema import model
from holdfast.schema.emit.postgres_text import qualified
from holdfast.schema.postgres_values import from_sql, read_expression
from holdfast.stores.postgres import fit

_MODULE = "_holdfast_adopted"


class Adoption(NamedTuple):
    """What was read and written: `text` is the Python file, `schema` what it compiles to."""

    plan: Plan
    spaces: Mapping[str, Suggestion]
    merges: Mapping[str, list[Suggestion]]
    text: str
    schema: model.Schema | None


def adopt(url: str, schema: str, chosen: Collection[str], excluded: Collection[str]) -> Adoption:
    """Read the database in one snapshot and change nothing; the schema fits it when this returns.

    Raises `adopt_nothing` and `store_open`.
    """
    try:
        connection: Connection
        with psycopg.connect(url, autocommit=True, application_name="holdfast adopt") as connection:
            connection.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found = plan(read_catalogue(connection, schema, chosen, excluded))
            spaces = suggestions.spaces(found.tables)
            merges = {table.name: suggestions.merges(table) for table in found.tables}
            text = module(found, _shown(url, found.schema), spaces, merges, _constants(connection, found))
            compiled = compile_schema(text) if found.tables else None
            for table in compiled.declared if compiled is not None else ():
                target = qualified(found.schema, table.name)
                fit.check(table, fit.columns_of(connection, target), list(fit.unique_of(connection, target).values()))
            connection.execute(b"ROLLBACK")
    except psycopg.OperationalError as error:
        reason = (str(error).strip().splitlines() or ["no answer"])[0]
        message = f"The database cannot be read: {reason}. Check address, role and password, and that the server runs."
        raise HoldfastError("store_open", message) from error
    return Adoption(found, spaces, merges, text, compiled)


def compile_schema(text: str) -> model.Schema:
    """The schema that the text of a file defines. Raises `HoldfastError` `schema_invalid`."""
    place = ModuleType(_MODULE)
    sys.modules[_MODULE] = place
    try:
        exec(compile(text, "schema.py", "exec"), place.__dict__)  # noqa: S102 (we have written it ourselves)
        found: model.Schema = place.__dict__["schema"]
        return found
    finally:
        del sys.modules[_MODULE]


def _constants(db: Connection, found: Plan) -> dict[tuple[str, str], Any]:
    """The defaults that are constants, as the database reads them: (table, column) -> what is written in Python."""
    constants = {}
    for table in found.tables:
        for column in table.columns.values():
            if column.default == "constant" and not column.read_only:
                try:
                    constants[table.name, column.name] = _constant(db, column)
                except InvalidValue:
                    continue  # A default such as 'infinity', which no device could write.
    return constants


def _constant(db: Connection, column: Adopted) -> Any:
    shape = model.Column(column.name, column.type, nullable=True, stored=column.stored, choices=column.choices or None)
    expression = read_expression(shape, f"({column.constant})")
    ((value,),) = db.execute(f"SELECT {expression}".encode()).fetchall()
    wire = from_sql(shape, value)
    return int(wire) if column.type == "bigint" and wire is not None else wire


def _shown(url: str, schema: str) -> str:
    """The database as the file names it: without address, role and password, which are nobody's business there."""
    database = conninfo_to_dict(url).get("dbname") or "the database"
    return f"{database} (schema {schema})"
