"""What hooks see of an operation, and how they are asked."""

from __future__ import annotations

import logging
from typing import Any

from holdfast.hub.hooks import Change, Context, Hooks, Refuse
from holdfast.hub.operations import Refusal
from holdfast.kernel.row import Row
from holdfast.schema.key import key_values
from holdfast.schema.model import Table

log = logging.getLogger("holdfast.hub")


def change_of(table: Table, key: str, before: Row | None, after: Row) -> Change | None:
    """What hooks see of an operation; None when nothing is visible (a dead row stays dead)."""
    old = _visible(table, key, before)
    new = _visible(table, key, after)
    if old is None and new is None:
        return None
    kind = "insert" if old is None else "delete" if new is None else "update"
    return Change(table.name, key, kind, old, new)  # type: ignore[arg-type]


def _visible(table: Table, key: str, row: Row | None) -> dict[str, Any] | None:
    if row is None or row.life % 2 == 0:
        return None
    values = dict(zip((c.name for c in table.key), key_values(table, key), strict=True))
    values.update({column.name: value for column, value in zip(table.cells, row.values, strict=False)})
    return values


def ask_hooks(hooks: Hooks, change: Change, context: Context) -> None:
    """Let the application refuse the write. Raises `Refusal`."""
    try:
        hooks.before(change, context)
    except Refuse as refuse:
        raise Refusal(refuse.code, refuse.reason, change.table, change.key) from None
    except Exception as error:
        log.exception("a before_write hook failed on %s %r", change.table, change.key)
        message = f"the validation of {change.table} failed: {type(error).__name__}"
        raise Refusal("hook_failed", message, change.table, change.key) from None
