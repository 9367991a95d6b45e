"""What a person should think about: spaces and merge types, each with the reason. Nothing here decides anything."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from holdfast.adopt.columns import ANNOTATIONS, Adopted
from holdfast.adopt.tables import AdoptedTable
from holdfast.schema import stored

ROOTS = (
    (
        "tenant",
        "tenants workspace workspaces organization organizations organisation organisations org account accounts",
    ),
    ("project", "projects"),
    ("site", "sites location locations facility facilities store stores branch branches"),
    ("team", "teams group groups department departments"),
    ("company", "companies client clients customer customers"),
    ("user", "users app_user app_users auth_user member members employee employees person people inspector inspectors"),
)
"""What usually owns rows, most encompassing first: one word, then others for it."""
_RANK = {name: rank for rank, (word, others) in enumerate(ROOTS) for name in (word, *others.split())}

_COUNTED = re.compile(r"(?:^|_)(?:count|counter|quantity|qty|stock|points|likes|views|votes|hits|balance)$|^num_")
_EARLIEST = re.compile(r"(?:^|_)(?:due|deadline|expires|expiry|expiration|valid_until|first)(?:_|$)")
_LATEST = re.compile(r"(?:^|_)(?:inspected|checked|visited|seen|serviced|calibrated|last|latest|completed)(?:_|$)")
_SET_ELEMENTS = ("text", "character varying", "smallint", "integer", "bigint", "uuid", "date")


class Suggestion(NamedTuple):
    """`column` is empty for the space of the table. `code` is what to write, `reason` why."""

    column: str
    code: str
    reason: str


def spaces(tables: Sequence[AdoptedTable]) -> dict[str, Suggestion]:
    """A space for each table: by a column that names an owner, else through a parent, else one for all."""
    found = {table.name: own for table in tables if (own := _own_space(table)) is not None}
    while True:
        more = {table.name: way for table in tables if table.name not in found and (way := _through(table, found))}
        if not more:
            break
        found |= more
    reason = "no column leads to a tenant, a project or a user: what everybody reads"
    return {table.name: found.get(table.name, Suggestion("", 'space="all"', reason)) for table in tables}


def _own_space(table: AdoptedTable) -> Suggestion | None:
    """By the columns of the table itself; the most encompassing owner first."""
    choices: list[tuple[int, str, str, str]] = []
    rank = _RANK.get(table.name)
    if rank is not None and len(table.key) == 1:
        word = _singular(table.name)
        choices.append((rank, word, table.key[0], f"a row is the {word} itself"))
    for key in table.foreign_keys:
        if len(key.columns) == 1 and key.parent in _RANK and key.parent != table.name:
            reason = f"{key.columns[0]} refers to {key.parent}"
            choices.append((_RANK[key.parent], _singular(key.parent), key.columns[0], reason))
    for name in table.columns:
        word = name.removesuffix("_id")
        if name != word and word in _RANK and not any(name == choice[2] for choice in choices):
            choices.append((_RANK[word], word, name, f"{name} names a {word}, without a foreign key"))
    usable = [choice for choice in choices if not table.columns[choice[2]].nullable]
    if not usable:
        return None
    _, word, column, reason = min(usable, key=lambda choice: choice[0])
    return Suggestion("", f'space="{word}:{{{column}}}"', reason)


def _through(table: AdoptedTable, known: Mapping[str, Suggestion]) -> Suggestion | None:
    """Through a parent that has a space, if the column that leads there is never empty."""
    for key in table.foreign_keys:
        if key.parent in known and len(key.columns) == 1 and not table.columns[key.columns[0]].nullable:
            reason = f"its way to a space is its parent {key.parent}, with which it moves"
            return Suggestion("", f'space=hf.via("{key.columns[0]}")', reason)
    return None


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def merges(table: AdoptedTable) -> list[Suggestion]:
    """Merge types for columns whose names or types say what they are for."""
    taken = {*table.key, *(name for key in table.foreign_keys for name in key.columns)}
    columns = (column for column in table.columns.values() if column.name not in taken and not column.read_only)
    return [found for column in columns if (found := _merge(column)) is not None]


def _merge(column: Adopted) -> Suggestion | None:
    name, kind = column.name, stored.parse(column.stored or stored.NATURAL[column.type])
    if column.type in ("int", "bigint") and _COUNTED.search(name):
        needs = " (it takes no NULL: make the column NOT NULL DEFAULT 0 first)" if column.nullable else ""
        reason = f"with increments, two devices that both add lose nothing; as a plain number one of them does{needs}"
        return Suggestion(name, "hf.Counter", reason)
    if kind.array and kind.base in _SET_ELEMENTS and not kind.limits:
        needs = " (it takes no NULL: make the column NOT NULL DEFAULT '{}' first)" if column.nullable else ""
        element = ANNOTATIONS[stored.WIRE_TYPE[kind.base]]
        return Suggestion(
            name,
            f"hf.Set[{element}]",
            f"what two devices add stays, element by element; order and duplicates go{needs}",
        )
    if column.type in ("date", "datetime") and _EARLIEST.search(name):
        return Suggestion(name, f"hf.Earliest[{column.annotation}]", "of two dates that nobody has seen, the earlier")
    if column.type in ("date", "datetime") and _LATEST.search(name):
        return Suggestion(name, f"hf.Latest[{column.annotation}]", "of two dates that nobody has seen, the later")
    return None
