"""Checks of a hub from its own side: its store, its triggers, what other programs left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw

from holdfast.cli.doctor.finding import Finding, failed, ok, run, skipped, warning
from holdfast.cli.terminal import number
from holdfast.protocol.errors import CODES
from holdfast.schema.emit.sqlite_dirty import create_triggers
from holdfast.server import Server


def examine(server: Server, db: Path | None) -> Iterator[Finding]:
    """All checks of a hub. `db` is its file when it has one; it is looked at before the hub opens it."""
    yield run("triggers", lambda: triggers(server, db)) if db is not None else run("triggers", lambda: steps(server))
    found = run("store", lambda: store(server))
    yield found
    if found.result == "failed":
        yield skipped("other programs", "the store cannot be read")
    else:
        yield run("other programs", lambda: foreign(server))
    yield credentials(server)


def triggers(server: Server, db: Path) -> Finding:
    """That a hub's SQLite file notes what other programs write."""
    if not db.is_file():
        return failed("triggers", f"{db} does not exist", "Check --db; a hub makes its file when it starts.")
    try:
        connection = apsw.Connection(str(db), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(1_000)
            sql = "SELECT sql FROM sqlite_schema WHERE type = 'trigger'"
            present = {text for (text,) in connection.execute(sql)}
        finally:
            connection.close()
    except apsw.Error as error:
        return failed("triggers", f"{db}: {error}", CODES["store_open"].remedy)
    missing = [table.name for table in server.schema.tables if not present.issuperset(create_triggers(table))]
    if missing:
        names = ", ".join(missing)
        remedy = "Start the hub again: it makes them, and looks at every row of these tables."
        return failed("triggers", f"what other programs write in {names} is not noticed", remedy)
    return ok("triggers", "writes of other programs are noticed")


def steps(server: Server) -> Finding:
    """That the database is ready for this schema and release."""
    waiting = server.plan()
    if waiting:
        first = f"{number(len(waiting), 'step')} to take, first: {waiting[0].title}"
        return failed("triggers", f"the database is not ready: {first}", "`holdfast migrate`")
    return ok("triggers", "the database is ready for this schema")


def store(server: Server) -> Finding:
    """That the store can be read."""
    health = server.health()
    return ok(
        "store", f"hub {health['hub']}, schema version {health['schema']}, {number(int(health['spaces']), 'space')}"
    )


def foreign(server: Server) -> Finding:
    """That rows of other programs are sequenced."""
    rows = server.sequence_foreign_writes()
    aside = server.hub.aside()
    if aside:
        first = f"{aside[0].table} {aside[0].key}: {aside[0].reason}"
        remedy = "Correct these rows; each is looked at again when it is written."
        return warning("other programs", f"{number(len(aside), 'row')} cannot be synced, first {first}", remedy)
    return ok("other programs", f"{number(rows, 'row')} sequenced now" if rows else "nothing waits")


def credentials(server: Server) -> Finding:
    """That anybody may come in."""
    if server.authenticate is None:
        return warning("credentials", "nobody may come in over HTTP", "Give the server authenticate=.")
    return ok("credentials", "authenticate= is given")
