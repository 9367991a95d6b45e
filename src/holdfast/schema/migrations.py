"""How a schema became another one: what cannot be seen from the two declarations alone.

New tables, and new columns that are optional or have a default, need no word. Renamed, converted, split and merged
columns are declared as steps; conversions are lenses, functions in both directions, so that devices of either version
keep reading and writing (Litt et al., *Project Cambria*, 2020; Foster et al., *Combinators for bidirectional tree
transformations*, 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from holdfast.errors import HoldfastError
from holdfast.kernel.values import InvalidValue
from holdfast.schema.model import MISSING, Column

Function = Callable[..., Any]


class Rename(NamedTuple):
    """The column `old` of a table is called `new`."""

    table: str
    old: str
    new: str


class Lens(NamedTuple):
    """The columns `old` became the columns `new`: `forward(*old values)` gives the new ones, `backward` the old ones,
    as wire values (`spec/encoding.md`), several as a tuple."""

    table: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    forward: Function
    backward: Function


class Drop(NamedTuple):
    """A column, or with an empty `column` a table, that is no more. `fill` is what earlier versions see in new rows."""

    table: str
    column: str
    fill: Any = MISSING


Step = Rename | Lens | Drop


class Migration(NamedTuple):
    """What leads from the version `from_` of a schema to the version `to`."""

    from_: int
    to: int
    steps: tuple[Step, ...]


def migrate(from_: int, to: int, *steps: Step) -> Migration:
    """The steps from one version of a schema to a later one, in order; `hf.Schema(..., migrations=[...])` takes them.

    Raises `HoldfastError` `schema_invalid`.
    """
    if not 1 <= from_ < to:
        raise HoldfastError("schema_invalid", f"hf.migrate({from_}, {to}): it leads from a version to a later one")
    return Migration(from_, to, steps)


def rename(table: str, old: str, new: str) -> Rename:
    """A column got another name; its values, stamps and merge type stay."""
    return Rename(table, old, new)


def lens(table: str, old: str | Sequence[str], new: str | Sequence[str], forward: Function, backward: Function) -> Lens:
    """Columns became others: another type, one split in several, several merged in one.

    `forward(*old)` gives the values of the new columns, `backward(*new)` those of the old ones: wire values, several as
    a tuple. They must give the same for the same, and take every value that the columns take. The new columns have
    other names than the old ones: the hub keeps both while it serves both versions.
    """
    return Lens(table, _names(old), _names(new), forward, backward)


def drop(table: str, column: str = "", *, fill: Any = MISSING) -> Drop:
    """A column, or a whole table, is no more. `fill` is the value that devices of earlier versions see in new rows,
    needed where the column is neither optional nor has a default."""
    return Drop(table, column, fill)


def _names(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


def carried(function: Function, values: Sequence[Any], columns: Sequence[Column]) -> list[Any]:
    """What a function of a lens makes of some values: canonical wire values of these columns. Raises `HoldfastError`
    `lens_failed`."""
    names = ", ".join(column.name for column in columns)
    try:
        result = function(*values)
    except Exception as error:
        message = f"the lens to {names} fails with {type(error).__name__}: {error}"
        raise HoldfastError("lens_failed", message) from error
    found = [result] if len(columns) == 1 and not isinstance(result, tuple) else list(result)
    if len(found) != len(columns):
        raise HoldfastError("lens_failed", f"the lens to {names} gives {len(found)} values")
    try:
        return [column.accept(value) for column, value in zip(columns, found, strict=True)]
    except InvalidValue as error:
        raise HoldfastError(
            "lens_failed", f"the lens to {names} gives what it does not take: {error.message}"
        ) from error
