"""Taking everything of a hub out of a SQLite file that an application owns; its tables and rows stay as they are."""

from __future__ import annotations

import apsw

from holdfast.schema.emit.sqlite_text import quote
from holdfast.stores.migrating import Step
from holdfast.stores.sqlite.queries import QUERIES, fetch


def removal(connection: apsw.Connection) -> list[Step]:
    """The step; none when nothing of a hub is there."""
    statements = [f"DROP {kind.upper()} {quote(name)}" for kind, name in fetch(connection, QUERIES["own"])]
    return [Step("remove triggers and tables of the hub", "after", tuple(statements), True)] if statements else []
