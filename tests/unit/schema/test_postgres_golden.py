"""The SQL that is emitted for PostgreSQL, word by word, and that PostgreSQL takes it.

`python -m tests.unit.schema.test_postgres_golden` writes the files anew.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

import holdfast as hf
from holdfast.schema.emit import postgres, postgres_dirty
from holdfast.stores.postgres.numbered import MIGRATIONS
from tests.postgres import connect, database
from tests.unit.schema.sample import schema

GOLDEN = Path(__file__).parent / "golden"


class Egg(hf.Table, space="all"):
    hen: str | None = hf.column(default=None, references="Hen")


class Hen(hf.Table, space="all"):
    egg: str | None = hf.column(default=None, references="Egg")
    mother: str | None = hf.column(default=None, references="Hen")


def emitted() -> dict[str, str]:
    dirty = [
        sql
        for table in schema.tables
        for sql in (*postgres_dirty.create_triggers(table), postgres_dirty.fire_always(table))
    ]
    return {"postgres_tables.sql": _file(postgres.ddl(schema)), "postgres_dirty.sql": _file(dirty)}


def _file(statements: list[str]) -> str:
    return "".join(f"{statement};\n" for statement in statements)


@pytest.mark.parametrize("name", sorted(emitted()))
def test_emitted_text_is_the_golden_one(name: str) -> None:
    assert emitted()[name] == (GOLDEN / name).read_text(encoding="utf-8")


def test_postgres_takes_it_and_takes_the_triggers_away_again() -> None:
    with database() as dsn, connect(dsn) as connection:
        connection.execute(MIGRATIONS[0].sql.encode())
        connection.execute(b"CREATE SCHEMA app")
        for statement in postgres.ddl(schema, within="app"):
            connection.execute(statement.encode())
        for table in schema.tables:
            for statement in postgres_dirty.create_triggers(table, within="app"):
                connection.execute(statement.encode())
        connection.execute("INSERT INTO app.project (name) VALUES ('x')")
        (key, moment) = connection.execute("SELECT id, clock_timestamp() FROM app.project").fetchall()[0]
        assert connection.execute("SELECT tbl, key FROM holdfast.dirty").fetchall() == [("project", key)]
        assert key[14] == "7"
        assert abs(int(key.replace("-", "")[:12], 16) / 1000 - moment.timestamp()) < 60
        for table in schema.tables:
            for statement in postgres_dirty.drop_triggers(table, within="app"):
                connection.execute(statement.encode())
        assert connection.execute("SELECT * FROM pg_trigger WHERE NOT tgisinternal").fetchall() == []
        connection.execute("INSERT INTO app.project (name) VALUES ('y')")


def test_tables_in_a_circle_and_their_own_parents() -> None:
    circle = hf.Schema(Egg, Hen, version=1)
    with database() as dsn, connect(dsn) as connection:
        for statement in postgres.ddl(circle):
            connection.execute(statement.encode())
        with connection.transaction():
            connection.execute("INSERT INTO egg (id, hen) VALUES ('e', 'h')")
            connection.execute("INSERT INTO hen (id, egg, mother) VALUES ('h', 'e', 'h')")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute("INSERT INTO hen (id, egg, mother) VALUES ('i', 'e', 'nobody')")


def test_a_long_name_of_an_index_stays_its_own() -> None:
    class Long(hf.Table, space="all", name="t" * 63, indexes=[("a" * 60, "b" * 60), ("a" * 60, "c" * 60)]):
        __annotations__ = {"a" * 60: str, "b" * 60: str, "c" * 60: str}

    long = hf.Schema(Long, version=1)
    with database() as dsn, connect(dsn) as connection:
        connection.execute(MIGRATIONS[0].sql.encode())
        for statement in (*postgres.ddl(long), *postgres_dirty.create_triggers(long.tables[0])):
            connection.execute(statement.encode())
        assert len(connection.execute("SELECT FROM pg_indexes WHERE schemaname = 'public'").fetchall()) == 7


if __name__ == "__main__":
    for file_name, text in emitted().items():
        (GOLDEN / file_name).write_text(text, encoding="utf-8")
