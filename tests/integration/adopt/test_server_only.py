"""Columns and tables that only the server has: devices never hear of them, and sync leaves them alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.errors import HoldfastError
from tests.postgres import connect, database

TABLES = """
create table salary (id integer primary key);
create table person (id integer primary key, name text not null, phone text, grade integer not null default 7,
  salary integer references salary);
insert into salary values (1);
insert into person values (1, 'Anna', '555', 9, 1)
"""


class Salary(hf.Table, key="id", space="all"):
    id: int = hf.column(stored="integer")


class Person(hf.Table, key="id", space="all", exclude=("phone", "grade")):
    id: int = hf.column(stored="integer")
    name: str
    phone: str | None = None
    salary: int | None = hf.column(references=Salary, stored="integer")


SCHEMA = hf.Schema(Salary, Person, version=1, exclude=[Salary])


@pytest.fixture
def dsn() -> Iterator[str]:
    with database() as url:
        sql(url, TABLES)
        yield url


def sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_sync_leaves_server_only_columns_alone(dsn: str, tmp_path: Path) -> None:
    assert [table.name for table in SCHEMA.declared] == ["person"]
    assert SCHEMA.table("person").foreign_keys == ()
    assert "phone" not in str(SCHEMA.to_json())
    with ExitStack() as things:
        server = things.enter_context(hf.Server(dsn, SCHEMA, install=True))
        way = hf.testing.LocalTransport(server, hf.Identity("anna", {"all": "rw"}))
        device = things.enter_context(hf.Replica(tmp_path / "device.db", SCHEMA, transport=way))
        device.sync()
        assert [dict(row) for row in device.execute("select * from person")] == [{"id": 1, "name": "Anna", "salary": 1}]
        device.execute("update person set name = 'Anne' where id = 1")
        device.execute("insert into person (id, name) values (2, 'Ben')")
        assert device.sync().refused == []
        rows = sql(dsn, "select id, name, phone, grade, salary from person order by id")
        assert rows == [(1, "Anne", "555", 9, 1), (2, "Ben", None, 7, None)]
        # A change of what only the server has is no news.
        heads = sql(dsn, "select name, head from holdfast.space order by name")
        sql(dsn, "update person set phone = '777'")
        device.sync()
        assert sql(dsn, "select name, head from holdfast.space order by name") == heads


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("alter table person alter grade drop default", "grade.*NOT NULL without default.*give it a default"),
        ("alter table person drop column phone", "phone.*exclude=.*no such column"),
    ],
    ids=["not null without a default", "no such column"],
)
def test_an_exclusion_that_cannot_work_is_an_error_at_open(dsn: str, change: str, message: str) -> None:
    sql(dsn, change)
    with (
        pytest.raises(HoldfastError, match=f"(?s){message}") as caught,
        hf.Server(dsn, SCHEMA, install=True) as server,
    ):
        server.health()
    assert caught.value.code == "schema_mismatch_table"


def test_a_foreign_key_to_an_excluded_table_stays_with_the_server(dsn: str, tmp_path: Path) -> None:
    with ExitStack() as things:
        server = things.enter_context(hf.Server(dsn, SCHEMA, install=True))
        way = hf.testing.LocalTransport(server, hf.Identity("anna", {"all": "rw"}))
        device = things.enter_context(hf.Replica(tmp_path / "device.db", SCHEMA, transport=way))
        device.sync()
        device.execute("insert into person (id, name, salary) values (3, 'Cleo', 99)")
        assert [refused.code for refused in device.sync().refused] == ["foreign_key"]
        assert device.execute("select count(*) from person") == [(1,)]
