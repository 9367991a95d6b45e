"""The SQL that is emitted, word by word. `python -m tests.unit.schema.test_golden` writes the files anew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.schema.emit import sqlite, sqlite_capture, sqlite_dirty
from tests.unit.schema.sample import LIBRARIES, database, schema

GOLDEN = Path(__file__).parent / "golden"


def emitted() -> dict[str, str]:
    tables = list(enumerate(schema.declared))
    capture = [sql for number, table in tables for sql in sqlite_capture.create_triggers(table, number, schema.version)]
    dirty = [sql for _, table in tables for sql in sqlite_dirty.create_triggers(table)]
    return {
        "tables.sql": _file(sqlite.ddl(schema)),
        "capture.sql": _file([sqlite_capture.capture_table(3), *capture]),
        "dirty.sql": _file(dirty),
        "schema.json": json.dumps(schema.to_json(), indent=2, ensure_ascii=False) + "\n",
    }


def _file(statements: list[str]) -> str:
    return "".join(f"{statement};\n" for statement in statements)


@pytest.mark.parametrize("name", sorted(emitted()))
def test_emitted_text_is_the_golden_one(name: str) -> None:
    assert emitted()[name] == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("library", LIBRARIES)
def test_ddl_can_be_repeated_with_if_not_exists(library: str) -> None:
    with database(library) as execute:
        for _ in range(2):
            for statement in sqlite.ddl(schema, if_not_exists=True):
                execute(statement)
        names = [name for (name,) in execute("select name from sqlite_schema where type = 'table' order by rowid")]
    assert names == ["project", "submission", "reading", "holdfast_conflict"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_triggers_go_away_again(library: str) -> None:
    with database(library) as execute:
        for statement in sqlite.ddl(schema):
            execute(statement)
        for number, table in enumerate(schema.declared):
            for emitter in (sqlite_capture.create_triggers(table, number, 1), sqlite_dirty.create_triggers(table)):
                for statement in emitter:
                    execute(statement)
        made = {name for (name,) in execute("select name from sqlite_schema where type = 'trigger'")}
        known = {name for table in schema.tables for name in _trigger_names(table)}
        assert made
        assert made <= known
        assert all(name.startswith("holdfast_") for name in made)
        for table in schema.tables:
            for statement in sqlite_capture.drop_triggers(table) + sqlite_dirty.drop_triggers(table):
                execute(statement)
        assert execute("select name from sqlite_schema where type = 'trigger'") == []


def _trigger_names(table) -> list[str]:  # type: ignore[no-untyped-def]
    return sqlite_capture.trigger_names(table) + sqlite_dirty.trigger_names(table)


if __name__ == "__main__":
    for file_name, text in emitted().items():
        (GOLDEN / file_name).write_text(text, encoding="utf-8")
