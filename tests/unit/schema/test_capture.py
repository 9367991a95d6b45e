"""Capture triggers on real SQLite: replaying the notes gives the table, whatever statement wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast.schema as hf
from holdfast.schema.emit import sqlite, sqlite_capture
from holdfast.schema.key import key_text
from holdfast.schema.model import Table
from holdfast.schema.sqlite_values import from_sql_row
from tests.unit.schema.sample import LIBRARIES, Execute, Refused, Rows, database


class Cell(hf.Table, key=("a", "b", "c"), unique=[("u",), ("x", "y")]):
    a: str
    b: hf.BigInt
    c: bool
    u: str | None = None
    x: int = 1
    y: float = 0.5
    v: str | None = None


class Parent(hf.Table):
    name: str = ""


class Child(hf.Table):
    parent: str | None = hf.column(default=None, references=Parent, on_delete="cascade")
    spare: str | None = hf.column(default=None, references=Parent, on_delete="set_null")


class Numbered(hf.Table, key="n"):
    n: int
    v: str = ""


class Pair(hf.Table, key=("a", "b")):
    a: str
    b: str


SCHEMA = hf.Schema(Cell, Parent, Child, Numbered, Pair, version=7)
NUMBER = {table.name: number for number, table in enumerate(SCHEMA.tables)}
STATE = "create table holdfast_state (id integer primary key, applying integer, hlc integer, clock_offset integer)"
MAX_HLC = 2**53 - 1


def prepare(execute: Execute, tables: Sequence[Table] = SCHEMA.tables) -> None:
    execute(STATE)
    execute("insert into holdfast_state values (1, 0, 0, 0)")
    execute(sqlite_capture.capture_table(max(len(table.cells) for table in SCHEMA.tables)))
    execute("pragma foreign_keys = on")
    for table in tables:
        for statement in [sqlite.create_table(table), *sqlite.create_indexes(table)]:
            execute(statement)
        for statement in sqlite_capture.create_triggers(table, NUMBER[table.name], SCHEMA.version):
            execute(statement)


@pytest.fixture(params=LIBRARIES)
def execute(request: pytest.FixtureRequest) -> Iterator[Execute]:
    with database(request.param) as run:
        prepare(run)
        yield run


def notes(execute: Execute, table: str) -> list[tuple[str, str, list[Any], list[Any]]]:
    """(kind, key, old by slot, new by slot) of all notes of a table since the last call."""
    width = len(SCHEMA.table(table).cells)
    cells = "".join(f", old_{slot}, new_{slot}" for slot in range(width))
    rows = execute(f"select kind, key{cells} from holdfast_capture where tbl = {NUMBER[table]} order by op")
    execute(f"delete from holdfast_capture where tbl = {NUMBER[table]}")
    return [(row[0], row[1], list(row[2::2]), list(row[3::2])) for row in rows]


def actual(execute: Execute, name: str) -> dict[str, list[Any]]:
    """Key text -> SQL values by slot."""
    table = SCHEMA.table(name)
    columns = [f'"{column.name}"' for column in table.columns]
    found = {}
    for row in execute(f"select {', '.join(columns)} from {name}"):
        keys, _ = from_sql_row(table, row)
        found[key_text(table, keys)] = [row[table.position[column.name]] for column in table.cells]
    return found


def replay(
    shadow: dict[str, list[Any]], taken: list[tuple[str, str, list[Any], list[Any]]], now: dict[str, Any]
) -> None:
    """Fold notes into the shadow. A suspect that is not in the table any more was removed by OR REPLACE."""
    suspects = set()
    for kind, key, old, new in taken:
        if kind == "suspect":
            assert shadow[key] == old
            suspects.add(key)
        elif kind == "insert":
            assert key not in shadow or key in suspects
            shadow[key] = new
        elif kind == "delete":
            assert shadow.pop(key) == old
        else:
            before = shadow[key]
            for slot, (was, becomes) in enumerate(zip(old, new, strict=True)):
                if was is not None or becomes is not None:
                    assert before[slot] == was
                    before[slot] = becomes
    for key in suspects - set(now):
        shadow.pop(key, None)


TEXTS = st.sampled_from(["", "a", "q\"uo'te", "back\\slash", "tab\t\x01\x1f\x7f", "ä̈🙂", "[1]"])
CONFLICTS = st.sampled_from(["", "or replace", "or ignore", "or abort", "or fail", "or rollback"])
CHOICES = {
    "a": TEXTS,
    "b": st.sampled_from([0, 1, -(2**63), 2**63 - 1]),
    "c": st.sampled_from([0, 1]),
    "u": st.none() | TEXTS,
    "x": st.sampled_from([None, 1, 2]),
    "y": st.sampled_from([None, 0.5, 1, 2.25]),
    "v": st.none() | TEXTS,
}
VALUES = st.fixed_dictionaries(CHOICES)
COLUMN_SETS = st.sets(st.sampled_from(sorted(CHOICES)), min_size=1)


@st.composite
def statements(draw: st.DrawFn) -> tuple[str, list[Any]]:
    conflict = draw(CONFLICTS)
    verb = draw(st.sampled_from(["insert", "insert", "upsert", "nothing", "defaults", "update", "update", "delete"]))
    if verb in ("insert", "upsert", "nothing"):
        rows = draw(st.lists(VALUES, min_size=1, max_size=3))
        places = ", ".join("(" + ", ".join("?" * 7) + ")" for _ in rows)
        tail = {
            "insert": "",
            "upsert": " on conflict (a, b, c) do update set v = excluded.v, x = excluded.x",
            "nothing": " on conflict do nothing",
        }[verb]
        sql = f"insert {conflict} into cell (a, b, c, u, x, y, v) values {places}{tail}"
        return sql, [row[name] for row in rows for name in CHOICES]
    if verb == "defaults":
        row = draw(VALUES)
        return f"insert {conflict} into cell (a, b, c, v) values (?, ?, ?, ?)", [row[name] for name in "abcv"]
    where, parameters = draw(st.sampled_from([("1", []), ("u = 'a'", []), ("c", []), ("b > 0", []), ("x = 1", [])]))
    if verb == "delete":
        return ("delete from cell", []) if where == "1" else (f"delete from cell where {where}", list(parameters))
    row, columns = draw(VALUES), sorted(draw(COLUMN_SETS))
    settings = ", ".join(f"{column} = ?" for column in columns)
    return f"update {conflict} cell set {settings} where {where}", [row[column] for column in columns]


@pytest.mark.parametrize("recursive", ["on", "off"])
@pytest.mark.parametrize("library", LIBRARIES)
@given(written=st.lists(statements(), max_size=12))
def test_replaying_the_notes_gives_the_table(
    library: str, recursive: str, written: list[tuple[str, list[Any]]]
) -> None:
    with database(library) as execute:
        prepare(execute, [SCHEMA.table("cell")])
        execute(f"pragma recursive_triggers = {recursive}")
        shadow: dict[str, list[Any]] = {}
        for sql, parameters in written:
            try:
                execute(sql, parameters)
            except Refused:
                execute("select 1")
            now = actual(execute, "cell")
            replay(shadow, notes(execute, "cell"), now)
            assert shadow == now


def test_update_notes_only_what_changed(execute: Execute) -> None:
    execute("insert into cell (a, b, c, u) values ('k', 1, 1, 'u')")
    key = json.dumps(["k", "1", True], separators=(",", ":"))
    assert notes(execute, "cell") == [("insert", key, [None] * 4, ["u", 1, 0.5, None])]
    execute("update cell set x = 2, u = null, y = 0.5, v = v")
    assert notes(execute, "cell") == [("update", key, ["u", 1, None, None], [None, 2, None, None])]
    execute("update cell set x = x, a = a, y = 0.5")
    assert notes(execute, "cell") == []


def test_change_of_key_is_delete_and_insert(execute: Execute) -> None:
    execute("insert into numbered values (1, 'one'), (2, 'two')")
    notes(execute, "numbered")
    execute("update or replace numbered set n = 2, v = 'x' where n = 1")
    assert notes(execute, "numbered") == [
        ("suspect", "2", ["two"], [None]),
        ("delete", "1", ["one"], [None]),
        ("insert", "2", [None], ["x"]),
    ]


def test_table_of_key_columns_only(execute: Execute) -> None:
    execute("insert into pair values ('a', 'b')")
    execute("update pair set a = 'c'")
    execute("delete from pair")
    kinds = [(kind, key) for kind, key, _, _ in notes(execute, "pair")]
    assert kinds == [("insert", '["a","b"]'), ("delete", '["a","b"]'), ("insert", '["c","b"]'), ("delete", '["c","b"]')]


@pytest.mark.parametrize("recursive", ["on", "off"])
def test_foreign_key_actions_are_captured(execute: Execute, recursive: str) -> None:
    execute(f"pragma recursive_triggers = {recursive}")
    execute("insert into parent (id) values ('p'), ('q')")
    execute("insert into child (id, parent, spare) values ('c', 'p', 'q'), ('d', 'q', 'p')")
    notes(execute, "child")
    execute("delete from parent where id = 'p'")
    taken = notes(execute, "child")
    assert sorted(taken) == [("delete", "c", ["p", "q"], [None, None]), ("update", "d", [None, "p"], [None, None])]
    execute("insert or replace into parent (id, name) values ('q', 'again')")
    assert notes(execute, "child") == [("delete", "d", ["q", None], [None, None])]


def test_replace_through_an_explicit_rowid(execute: Execute) -> None:
    execute("insert into pair (rowid, a, b) values (5, 'a', 'b')")
    notes(execute, "pair")
    execute("insert or replace into pair (rowid, a, b) values (5, 'c', 'd')")
    assert [note[:2] for note in notes(execute, "pair")] == [("suspect", '["a","b"]'), ("insert", '["c","d"]')]


def test_nothing_is_captured_while_applying(execute: Execute) -> None:
    execute("update holdfast_state set applying = 1")
    for sql in ("insert into pair values ('a', 'b')", "update pair set a = 'c'", "replace into pair values ('c', 'b')"):
        execute(sql)
    execute("delete from pair")
    assert notes(execute, "pair") == []


def test_rollback_takes_the_notes_away(execute: Execute) -> None:
    execute("begin")
    execute("insert into numbered values (1, 'x')")
    execute("rollback")
    assert notes(execute, "numbered") == []


def _noted_hlc(execute: Execute, hlc: int, offset: int) -> tuple[int, int]:
    execute("update holdfast_state set hlc = ?, clock_offset = ?", (hlc, offset))
    execute("insert or ignore into numbered values (1, '')")
    execute("delete from numbered")
    rows: Rows = execute("select hlc, version from holdfast_capture order by op desc limit 1")
    return rows[0][0], rows[0][1]


def test_hybrid_time_of_a_note(execute: Execute) -> None:
    (wall,) = execute("select cast((julianday('now') - 2458849.5) * 86400000 as integer)")[0]
    hlc, version = _noted_hlc(execute, 0, 0)
    assert version == 7
    assert wall << 12 <= hlc <= (wall + 60_000) << 12
    assert _noted_hlc(execute, 0, 3_600_000)[0] >= (wall + 3_600_000) << 12
    assert _noted_hlc(execute, MAX_HLC, 0)[0] == MAX_HLC
    assert _noted_hlc(execute, 12345, -(2**50))[0] == 12345
    assert _noted_hlc(execute, 12345, 2**41)[0] == 12345
    assert _noted_hlc(execute, 12345, 2**52)[0] == 12345


@pytest.mark.parametrize("sql", ["insert into numbered (v) values ('x')", "insert into numbered values (null, 'x')"])
def test_int_key_is_never_numbered_silently(execute: Execute, sql: str) -> None:
    with pytest.raises(Refused, match="NOT NULL"):
        execute(sql)


def test_default_id_is_a_uuid7_of_now(execute: Execute) -> None:
    execute("insert into parent (name) values ('a'), ('b')")
    (before,) = execute("select cast((julianday('now') - 2440587.5) * 86400000 as integer)")[0]
    ids = [key for (key,) in execute("select id from parent")]
    assert len(set(ids)) == 2
    for key in ids:
        assert key[14] == "7"
        assert key[19] in "89ab"
        assert [len(part) for part in key.split("-")] == [8, 4, 4, 4, 12]
        assert 0 <= before - int(key.replace("-", "")[:12], 16) < 60_000
