"""Dirty triggers on real SQLite: every row that another program changes has a fresh note."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.schema.emit import sqlite, sqlite_dirty
from holdfast.schema.model import Table
from tests.unit.schema.sample import LIBRARIES, Execute, Refused, database
from tests.unit.schema.test_capture import SCHEMA, actual, statements


def prepare(execute: Execute, tables: Sequence[Table] = SCHEMA.tables) -> None:
    execute("create table holdfast_hub (id integer primary key, hub text, hlc integer, applying integer)")
    execute("insert into holdfast_hub values (1, '', 0, 0)")
    execute(
        "create table holdfast_dirty (mark integer primary key autoincrement, tbl text, key text, "
        "unique (tbl, key) on conflict replace)"
    )
    execute("pragma foreign_keys = on")
    for table in tables:
        for statement in [sqlite.create_table(table), *sqlite.create_indexes(table)]:
            execute(statement)
        for statement in sqlite_dirty.create_triggers(table):
            execute(statement)


@pytest.fixture(params=LIBRARIES)
def execute(request: pytest.FixtureRequest) -> Iterator[Execute]:
    with database(request.param) as run:
        prepare(run)
        yield run


def marks(execute: Execute, table: str) -> dict[str, int]:
    return dict(execute("select key, mark from holdfast_dirty where tbl = ?", (table,)))  # type: ignore[arg-type]


@pytest.mark.parametrize("recursive", ["on", "off"])
@pytest.mark.parametrize("library", LIBRARIES)
@given(written=st.lists(statements(), max_size=10), cleaned=st.booleans())
def test_every_changed_row_gets_a_fresh_mark(
    library: str, recursive: str, written: list[tuple[str, list[Any]]], cleaned: bool
) -> None:
    with database(library) as execute:
        prepare(execute, [SCHEMA.table("cell")])
        execute(f"pragma recursive_triggers = {recursive}")
        for sql, parameters in written:
            before, noted = actual(execute, "cell"), marks(execute, "cell")
            if cleaned:
                execute("delete from holdfast_dirty")
                noted = {}
            try:
                execute(sql, parameters)
            except Refused as error:
                assert "holdfast" not in str(error)
            after, fresh = actual(execute, "cell"), marks(execute, "cell")
            for key in before.keys() | after.keys():
                if before.get(key) != after.get(key):
                    assert fresh[key] > noted.get(key, 0)


def test_ignore_refreshes_the_mark(execute: Execute) -> None:
    execute("insert into pair values ('a', 'b')")
    (first,) = marks(execute, "pair").values()
    execute("update or ignore pair set b = 'c'")
    execute("insert or ignore into pair values ('a', 'b')")
    fresh = marks(execute, "pair")
    assert set(fresh) == {'["a","b"]', '["a","c"]'}
    assert min(fresh.values()) > first


def test_cascades_are_noted(execute: Execute) -> None:
    execute("insert into parent (id) values ('p')")
    execute("insert into child (id, parent) values ('c', 'p')")
    execute("delete from holdfast_dirty")
    execute("delete from parent")
    assert set(marks(execute, "child")) == {"c"}


def test_nothing_is_noted_while_applying(execute: Execute) -> None:
    execute("update holdfast_hub set applying = 1")
    execute("insert into pair values ('a', 'b')")
    execute("update pair set a = 'c'")
    execute("delete from pair")
    assert marks(execute, "pair") == {}
