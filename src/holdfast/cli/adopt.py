"""`holdfast adopt`: from an existing PostgreSQL database to a Python schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from holdfast.cli.failures import Exit
from holdfast.cli.options import AsJson
from holdfast.cli.terminal import Terminal, number
from holdfast.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.adopt.adopting import Adoption

Names = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]


def adopt(
    database: str,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=("--out", "-o"), show_default=False)] = None,
    schema: Annotated[str, Parameter(show_default=False)] = "",
    table: Names = (),
    exclude_table: Names = (),
    as_json: AsJson = False,
) -> int:
    """Write a commented Python schema for the tables of an existing PostgreSQL database. Nothing is changed in it.

    The file has types, keys, foreign keys, defaults and indexes, suggestions for spaces and merge types with the
    reason for each, and at its end what was left out, why, and the remedy.

    Example: holdfast adopt postgresql://localhost/shop --out schema.py

    Parameters
    ----------
    database
        The database, such as postgresql://host/name.
    out
        The file to write; without it the schema goes to standard output. A file is never overwritten.
    schema
        The PostgreSQL schema; without it the first one of the search path, usually public.
    table
        A table to adopt, or a pattern such as shop_*; may be given several times. Without it: all.
    exclude_table
        A table that stays on the server, or a pattern; may be given several times.
    """
    terminal = Terminal(as_json=as_json)
    if out is not None and out.exists():
        raise HoldfastError("file_exists", f"{out} exists already; nothing was written", files=[str(out)])
    found = _read(database, schema, table, exclude_table)
    if out is not None:
        try:
            with out.open("x", encoding="utf-8") as file:
                file.write(found.text)
        except OSError as error:
            raise HoldfastError("file_unusable", f"{error.filename}: {error.strerror}", file=str(out)) from error
    if terminal.as_json:
        terminal.document(_document(found, out))
    elif out is None:
        print(found.text, end="")
    else:
        _tell(terminal, found, out)
    return Exit.OK


def _read(database: str, schema: str, tables: Sequence[str], excluded: Sequence[str]) -> Adoption:
    if not database.startswith(("postgresql://", "postgres://")):
        message = f"{database!r} is no PostgreSQL database; write postgresql://host/name"
        raise HoldfastError("store_open", message, url=database)
    try:
        from holdfast.adopt.adopting import adopt as read
    except ModuleNotFoundError as error:
        message = f'reading PostgreSQL needs the package {error.name}: pip install "holdfast[postgres]"'
        raise HoldfastError("store_open", message, missing=error.name) from error
    return read(database, schema, tables, excluded)


def _tell(terminal: Terminal, found: Adoption, out: Path) -> None:
    columns = sum(len(table.columns) for table in found.plan.tables)
    merges = sum(len(merges) for merges in found.merges.values())
    what = f"{number(len(found.plan.tables), 'table')}, {number(columns, 'column')}; it fits the database"
    terminal.done(str(out), what)
    divided = sum(1 for suggestion in found.spaces.values() if suggestion.code != 'space="all"')
    if divided or merges:
        suggested = f"{number(divided, 'space')} and {number(merges, 'merge type')} are suggested in its comments"
        terminal.look(f"{suggested}; until you take one, every row is in one space")
    for left in found.plan.left:
        note = f"{left.why}. Remedy: {left.remedy}" if left.remedy else left.why
        terminal.look(f"Left out: {left.what}", note)
    place = "" if found.plan.schema == "public" else f"   # in Python: PostgresStore(url, within={found.plan.schema!r})"
    terminal.next_steps(
        "Next",
        (f"holdfast migrate {out} --database postgresql://... --dry-run{place}",),
    )


def _document(found: Adoption, out: Path | None) -> dict[str, Any]:
    return {
        "written": None if out is None else str(out),
        "schema": found.plan.schema,
        "text": found.text,
        "tables": [
            {
                "name": table.name,
                "columns": list(table.columns),
                "key": list(table.key),
                "excluded": table.excluded,
                "space": found.spaces[table.name]._asdict(),
                "merges": [suggestion._asdict() for suggestion in found.merges[table.name]],
            }
            for table in found.plan.tables
        ],
        "left": [left._asdict() for left in found.plan.left],
    }
