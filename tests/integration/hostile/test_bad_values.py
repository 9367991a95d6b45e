"""A wrong value on the device: refused when it is written or, where another program gets it past SQLite, moved to
`refused()` by the next sync. Nothing crashes, nothing else waits for it.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport
from tests.integration.hostile.stranger import Stranger, StrangerError
from tests.integration.hostile.tables import ANNA, SCHEMA


class Pair:
    """A device and its hub, and another program beside them."""

    def __init__(self, folder: Path, stranger: Stranger) -> None:
        self.stranger = stranger
        self.path = folder / "device.db"
        self.server = hf.Server(f"sqlite:///{folder / 'hub.db'}", SCHEMA)
        self.replica = hf.Replica(self.path, SCHEMA, transport=LocalTransport(self.server, ANNA))
        self.replica.execute("insert into every (id, project_id, text) values ('first', '1', 'kept')")
        self.replica.sync()

    def other_program(self, *statements: str, checks: bool = True, parameters: Any = ()) -> None:
        """What another program writes, in one transaction."""
        self.stranger.write(self.path, *statements, checks=checks, parameters=parameters)

    def refusals(self) -> list[tuple[str, str, str, str]]:
        return [(r.code, r.table, r.key, r.column) for r in self.replica.refused()]

    def agrees(self) -> None:
        """Another write goes through, nothing waits, and the hub shows what the device shows."""
        self.replica.execute("insert into every (project_id, text) values ('1', 'after')")
        self.replica.sync()
        assert self.replica.pending() == []
        sql = "select * from every order by id"
        hub = apsw.Connection(str(self.path.with_name("hub.db")))
        assert [tuple(row) for row in self.replica.execute(sql)] == hub.execute(sql).fetchall()
        hub.close()

    def close(self) -> None:
        self.stranger.execute(self.path, "select 1")
        self.stranger.leave(self.path)
        self.replica.close()
        self.server.close()


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    made = Stranger()
    yield made
    made.close()


@pytest.fixture
def pair(tmp_path: Path, stranger: Stranger) -> Iterator[Pair]:
    made = Pair(tmp_path, stranger)
    yield made
    made.close()


NUL = "a\0b"
REFUSED_AT_WRITE: dict[str, list[Any]] = {
    "id": [None, NUL, b"bytes", "k" * 1025],
    "project_id": [None, NUL, b"x"],
    "text": [None, NUL, b"x"],
    "number": ["x", 1.5, 2**53, -(2**53), b"1", 2**63 - 1],
    "big": ["x", 1.5, None, b"1"],
    "ratio": ["x", float("nan"), float("inf"), -float("inf"), None, b"1"],
    "flag": [2, -1, "x", 0.5, None],
    "photo": ["text", 5, None],
    "day": ["2024-02-30", "24-1-1", "today", 20240101, "2024-01-01 ", "0000-01-01"],
    "moment": ["2024-02-30T00:00:00Z", "2024-01-01T24:00:00Z", "now", "2024-01-01", "2024-01-01T00:00:00+99:99", 5],
    "price": ["x", "1,5", "NaN", "Infinity", "1e99999", "--1", "1" * 2000],
    "ref": ["x", "0" * 31, "g" * 32],
    "extra": ["{", NUL, '"\\u0000"', "nul", b"{}"],
    "trade": ["unknown", None, 1],
    "tally": ["x", 1.5, None, 2**53],
    "tags": ["{}", "x", None, "5", NUL],
    "seen": ["{}", "x", None],
    "first": ["2024-02-30", "x"],
}


@pytest.mark.parametrize("column", REFUSED_AT_WRITE)
@pytest.mark.parametrize("program", ["holdfast", "sqlite3"])
def test_a_wrong_value_is_refused_when_it_is_written(pair: Pair, column: str, program: str) -> None:
    columns = {"id": "k", "project_id": "1"}
    for value in REFUSED_AT_WRITE[column]:
        row = columns | {column: value}
        sql = f"insert into every ({', '.join(row)}) values ({', '.join('?' * len(row))})"
        before = pair.replica.execute("select count(*) from every")
        if program == "sqlite3":
            with pytest.raises(StrangerError):
                pair.other_program(sql, parameters=tuple(row.values()))
        else:
            with pytest.raises(hf.HoldfastError) as caught:
                pair.replica.execute(sql, tuple(row.values()))
            assert caught.value.code == "sql" or caught.value.code.startswith("value_"), value
        assert pair.replica.execute("select count(*) from every") == before, value
    assert pair.replica.pending() == []
    assert pair.refusals() == []
    pair.agrees()


NOTHING = object()


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, 10**400, float("nan"), float("inf"), [float("nan")], {"a": 2**60}, NOTHING]
)
def test_a_parameter_that_sqlite_cannot_hold_is_a_coded_error(pair: Pair, value: Any) -> None:
    for sql in ("update every set extra = ?", "select ?"):
        with pytest.raises(hf.HoldfastError):
            pair.replica.execute(sql, (value,))
    if not isinstance(value, type(NOTHING)):
        with pytest.raises(hf.HoldfastError):
            pair.replica.executemany("update every set extra = ?", [("1",), (value,)])
    assert pair.replica.pending() == []


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("selec 1", ()), ("", ()), ("select 1; select 2", ()), ("select ?", ()), ("select ?", (1, 2)),
        ("select :a", {"b": 1}),
        ("insert into nothing values (1)", ()), ("drop table every_one", ()), ("select 'a" + "\0" + "b'", ()),
        ("commit", ()), ("rollback", ()), ("begin", ()),
    ],
)  # fmt: skip
def test_wrong_sql_raises_no_other_error_and_breaks_nothing(pair: Pair, sql: str, parameters: Any) -> None:
    for act in (lambda: pair.replica.execute(sql, parameters), lambda: in_transaction(pair.replica, sql, parameters)):
        try:
            act()
        except hf.HoldfastError:
            pass
    pair.agrees()


def in_transaction(replica: hf.Replica, sql: str, parameters: Any) -> None:
    with replica.transaction():
        replica.execute("update every set text = 'inside'")
        replica.execute(sql, parameters)


BYPASSED: dict[str, list[tuple[str, Any]]] = {
    "project_id": [("value_nul", NUL), ("space_invalid", "x" * 300), ("space_invalid", "a\nb")],
    "text": [("value_nul", NUL)],
    "number": [("value_range", 2**53), ("value_range", -(2**63))],
    "ratio": [("value_range", float("inf")), ("value_range", -float("inf"))],
    "flag": [("value_type", 2), ("value_type", -1)],
    "day": [("value_format", "2024-02-30"), ("value_format", "x"), ("value_format", "")],
    "moment": [("value_format", "2024-02-30T00:00:00Z"), ("value_format", "now")],
    "price": [("value_format", "1,5"), ("value_range", "1e99999"), ("value_format", "NaN")],
    "ref": [("value_format", "x")],
    "extra": [("value_format", "{"), ("value_nul", '"\\u0000"'), ("value_range", "[" * 200 + "]" * 200),
              ("value_range", "[" * 100_000 + "]" * 100_000), ("value_range", "9007199254740993"),
              ("value_range", "1" * 5000),
              ("value_format", "NaN"), ("value_range", "1e999"), ("value_format", '"\\ud800"')],
    "trade": [("value_choice", "unknown")],
    "tally": [("value_range", 2**53)],
    "tags": [("value_format", "x"), ("value_type", "{}"), ("value_type", "[1]"), ("value_null", "[null]"),
             ("value_nul", '["\\u0000"]')],
    "seen": [("value_type", '["x"]'), ("value_range", "[9007199254740992]"), ("value_type", "[[]]")],
    "first": [("value_format", "2024-02-30")],
}  # fmt: skip


@pytest.mark.parametrize("column", BYPASSED)
@pytest.mark.parametrize("how", ["insert", "update"])
def test_a_wrong_value_past_sqlite_goes_to_refused_by_the_next_sync(pair: Pair, column: str, how: str) -> None:
    for number, (code, value) in enumerate(BYPASSED[column]):
        key = "first" if how == "update" else f"k{number}"
        if how == "insert":
            row = {"id": key, "project_id": "1"} | {column: value}
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            statement, parameters = f"insert into every ({names}) values ({marks})", tuple(row.values())
        else:
            statement, parameters = f"update every set {column} = ? where id = 'first'", (value,)
        beside = f"insert into every (id, project_id) values ('beside{number}', '1')"
        pair.other_program(beside, statement, checks=False, parameters=parameters)
        pair.replica.execute("update every set text = ? where id = 'first'", (f"good {number}",))
        pair.replica.sync()
        found = pair.refusals()[-1]
        assert len(pair.refusals()) == number + 1, (value, pair.refusals())
        assert found[1:3] == ("every", key), (value, found)
        assert found[0] == code, (value, found)
        assert found[3] == ("" if code == "space_invalid" else column), (value, found)
        refused = pair.replica.refused()[-1]
        assert {op["key"] for op in refused.operations} == {key, f"beside{number}"}, "what was typed stays readable"
        assert pair.replica.execute("select count(*) from every where id = ?", (f"beside{number}",))[0][0] == 0
        assert pair.replica.execute("select text from every where id = 'first'")[0][0] == f"good {number}"
    pair.agrees()


@pytest.mark.parametrize(
    ("code", "key"), [("value_nul", NUL), ("key_too_long", "k" * 1025), ("key_too_long", "ü" * 2000)]
)
def test_a_wrong_key_past_sqlite_goes_to_refused(pair: Pair, code: str, key: str) -> None:
    pair.other_program("insert into every (id, project_id) values (?, '1')", checks=False, parameters=(key,))
    pair.replica.sync()
    assert [r[0] for r in pair.refusals()] == [code]
    assert pair.replica.execute("select count(*) from every")[0][0] == 1
    pair.agrees()


def test_a_text_that_is_no_unicode_goes_to_refused(pair: Pair) -> None:
    pair.other_program("insert into every (id, project_id, text) values ('k', '1', cast(x'ff80fe' as text))")
    pair.replica.sync()
    assert pair.refusals() == [("value_type", "every", "k", "text")]
    pair.agrees()


def test_a_text_that_is_no_unicode_in_a_known_row_is_refused_and_the_row_comes_back(pair: Pair) -> None:
    pair.replica.execute("update every set tally = 5 where id = 'first'")
    pair.other_program("update every set text = cast(x'ff' as text) where id = 'first'")
    with pytest.raises(hf.HoldfastError) as caught:
        pair.replica.execute("select * from every")
    assert caught.value.code == "value_format"
    pair.replica.execute("update every set tally = tally + 1 where id = 'first'")
    pair.other_program("update every set number = 7 where id = 'first'")
    pair.replica.sync()
    assert pair.refusals() == [("value_type", "every", "first", "text")]
    assert pair.replica.execute("select text, tally, number from every where id = 'first'") == [("kept", 6, 7)]
    pair.agrees()


def test_a_key_that_is_no_unicode_goes_to_refused(pair: Pair) -> None:
    pair.other_program("insert into every (id, project_id, text) values (cast(x'ff80fe' as text), '1', 'beside')")
    pair.replica.sync()
    ((_, _, key, _),) = pair.refusals()
    assert key == "\ufffd\ufffd\ufffd"
    assert pair.replica.refused()[0].operations[0]["set"]["text"] == "beside"
    assert pair.replica.execute("select count(*) from every")[0][0] == 1
    pair.agrees()


def test_a_composite_key_with_wrong_parts_goes_to_refused(pair: Pair) -> None:
    statement = "insert into reading (place, at) values (?, ?)"
    pair.other_program(statement, checks=False, parameters=("a", 2**53))
    pair.other_program(statement, checks=False, parameters=("p" * 2000, 1))
    pair.other_program(statement, parameters=("good", 1))
    pair.replica.sync()
    assert pair.replica.execute("select place from reading") in ([], [("good",)])
    assert {r[0] for r in pair.refusals()} <= {"value_range", "key_too_long"}
    pair.agrees()


def test_strictness_taken_away_by_another_program_does_not_help(pair: Pair) -> None:
    """A writable schema makes the table an ordinary one: any type in any column."""
    pair.stranger.execute(pair.path, "pragma writable_schema = on")
    pair.other_program("update sqlite_schema set sql = replace(sql, ') STRICT', ')') where name = 'every'")
    pair.stranger.leave(pair.path)
    wrong = [("number", "text"), ("number", b"x"), ("text", b"\xff"), ("flag", "x"), ("photo", "text"), ("big", 1.5)]
    for number, (column, value) in enumerate([*wrong, ("ratio", "x")]):
        sql = f"insert into every (id, project_id, {column}) values ('k{number}', '1', ?)"
        pair.other_program(sql, checks=False, parameters=(value,))
        pair.replica.execute("update every set tally = tally + 1 where id = 'first'")
    pair.replica.sync()
    codes = {(r[0], r[3]) for r in pair.refusals()}
    assert codes <= {("value_type", column) for column in ("number", "text", "flag", "photo", "big", "ratio")}
    pair.agrees()


def test_what_depends_on_a_refused_row_is_refused_with_the_reason(pair: Pair) -> None:
    pair.other_program("insert into every (id, project_id, day) values ('k', '1', 'x')", checks=False)
    with pair.replica.transaction("later"):
        pair.replica.execute("update every set text = 'y' where id = 'k'")
    pair.replica.sync()
    codes = [(r.code, r.label) for r in pair.replica.refused()]
    assert codes == [("value_format", ""), ("depends_on_refused", "later")]
    pair.agrees()


@pytest.mark.parametrize(
    ("column", "written", "stored"),
    [
        ("moment", "2024-01-01 10:00:00+02:00", "2024-01-01T08:00:00.000000Z"),
        ("price", decimal.Decimal("1.50e1"), "15.0"),
        ("price", "+007.50", "7.50"),
        ("ref", "{0123456789ABCDEF0123456789ABCDEF}", "01234567-89ab-cdef-0123-456789abcdef"),
        ("tags", '["b", "a", "a"]', '["a","b"]'),
        ("extra", '{"b": 1.0, "a": []}', '{"a":[],"b":1}'),
        ("number", 5.0, 5),
        ("ratio", 7, 7.0),
        ("ratio", -0.0, 0.0),
        ("text", "\U0001f9b8\u200d♀️ e\u0301 \x01 \ufffe", "\U0001f9b8\u200d♀️ e\u0301 \x01 \ufffe"),
    ],
)
def test_accepted_forms_become_canonical_everywhere(pair: Pair, column: str, written: Any, stored: Any) -> None:
    pair.replica.execute(f"update every set {column} = ? where id = 'first'", (written,))
    pair.replica.sync()
    assert pair.refusals() == []
    assert pair.replica.execute(f"select {column} from every where id = 'first'") == [(stored,)]
    pair.agrees()
