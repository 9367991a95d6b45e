"""Spaces that a device writes and never reads: those of tables whose class says `direction="upload"`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError
from holdfast.schema.queue import UPLOAD
from holdfast.schema.space import SpaceRule

if TYPE_CHECKING:
    from holdfast.schema.model import Table


def upload_rules(tables: Sequence[Table]) -> dict[str, SpaceRule]:
    """Template -> rule, of the spaces that devices only write."""
    rules = [table.naming for table in tables if table.queue.direction == UPLOAD and table.naming is not None]
    return {rule.template: rule for rule in rules}


def check_directions(tables: Sequence[Table]) -> None:
    """That a space is read or not read as a whole: it has one cursor and one digest. Raises `schema_invalid`."""
    by_name = {table.name: table for table in tables}
    rules = upload_rules(tables)
    for table in tables:
        uploads = table.queue.direction == UPLOAD
        parent = by_name.get(table.via.parent) if table.via is not None else None
        if parent is not None and uploads != (parent.queue.direction == UPLOAD):
            one, other = (table, parent) if uploads else (parent, table)
            raise _mixed(one, other, "rows of both live in the same spaces")
        if uploads:
            continue
        for key in table.foreign_keys:
            target = by_name.get(key.parent)
            if target is not None and target.queue.direction == UPLOAD:
                raise _mixed(target, table, f"{table.name} refers to rows that other devices would never have")
        for rule in rules.values():
            if table.naming is not None and rule.may_meet(table.naming):
                one = next(other for other in tables if other.queue.direction == UPLOAD and other.naming == rule)
                raise _mixed(one, table, f"{rule.template!r} and {table.naming.template!r} may name the same space")


def _mixed(uploading: Table, other: Table, why: str) -> HoldfastError:
    message = (
        f'{uploading.name} has direction="upload" and {other.name} has not, but {why}; give both the direction, or '
        "spaces of their own"
    )
    return HoldfastError("schema_invalid", message, table=uploading.name, other=other.name)
