"""The tables that every schema has: what the hub has to say to people, synced like what they write themselves."""

from __future__ import annotations

from typing import Final

from holdfast.schema.model import Column, Table
from holdfast.schema.rules import CONFLICT_TABLE
from holdfast.schema.space import SpaceRule


def _text(name: str, *, default: str = "") -> Column:
    return Column(name, "text", default=default)


def _value(name: str) -> Column:
    """A value as canonical JSON; NULL: there is none, or it is not known."""
    return Column(name, "text", nullable=True, default=None)


def _moment(name: str) -> Column:
    """Milliseconds since 2020-01-01 UTC."""
    return Column(name, "int", nullable=True, default=None)


ANSWER: Final = ("state", "result", "resolved_by", "resolved_at")
"""The columns that a person's decision writes; all others are the hub's."""

CONFLICTS: Final = Table(
    name=CONFLICT_TABLE,
    columns=(
        _text("id"),
        Column("state", "text", default="auto", choices=("auto", "open", "resolved")),
        _value("result"),
        Column("resolved_by", "text", nullable=True, default=None),
        _moment("resolved_at"),
        _text("space"),
        _text("table_name"),
        _text("row_key"),
        _text("column_name"),
        _text("rule"),
        _text("winner"),
        _value("base"),
        _value("mine"),
        _text("mine_user"),
        _text("mine_device"),
        _moment("mine_at"),
        _value("theirs"),
        _text("theirs_user"),
        _text("theirs_device"),
        _moment("theirs_at"),
        _text("error"),
    ),
    key_names=("id",),
    space=SpaceRule("{space}"),
    indexes=(("table_name", "row_key"), ("state", "space", "id"), ("table_name", "state", "id")),
)
"""One row a conflict (`spec/merge.md`, section 8). It lives in the space of the row that it is about. `mine` is the
value of the operation that met the other one, `theirs` what stood there; the values are canonical JSON."""

BUILT_IN: Final = (CONFLICTS,)
