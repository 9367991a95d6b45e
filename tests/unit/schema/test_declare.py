"""Declarations: what they compile to, and the error for each wrong one."""

from __future__ import annotations

import datetime
import decimal
import enum
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import holdfast.schema as hf
from holdfast.errors import HoldfastError
from holdfast.kernel import values
from holdfast.schema import model
from holdfast.schema.identifiers import IdSource
from holdfast.schema.key import key_text, key_values
from tests.unit.schema.sample import schema


def table(bases: tuple[type, ...] = (hf.Table,), /, options: dict[str, Any] | None = None, **columns: Any) -> Any:
    """A class `Form`; each column is an annotation or (annotation, default)."""
    pairs = {name: given if isinstance(given, tuple) else (given,) for name, given in columns.items()}
    body: dict[str, Any] = {"__annotations__": {name: pair[0] for name, pair in pairs.items()}, "__module__": __name__}
    body.update({name: pair[1] for name, pair in pairs.items() if len(pair) == 2})
    return type(hf.Table)("Form", bases, body, **(options or {}))


def compiled(**columns: Any) -> model.Table:
    return hf.Schema(table(**columns)).table("form")


def test_types_follow_the_annotations() -> None:
    submission = schema.table("submission")
    found = {column.name: (column.type, column.element, column.nullable, column.merge) for column in submission.columns}
    assert found == {
        "id": ("text", "", False, "register"),
        "project_id": ("text", "", False, "register"),
        "number": ("int", "", True, "register"),
        "status": ("text", "", False, "register"),
        "crew_size": ("int", "", False, "counter"),
        "tags": ("set", "text", False, "set"),
        "seen": ("set", "bigint", False, "grow_set"),
        "inspected_on": ("date", "", True, "earliest"),
        "due": ("datetime", "", True, "register"),
        "trade": ("text", "", False, "register"),
        "grade": ("int", "", True, "register"),
        "extra": ("json", "", True, "register"),
        "settings": ("json", "", False, "register"),
        "hours": ("float", "", False, "register"),
        "cost": ("decimal", "", False, "register"),
        "big": ("bigint", "", False, "register"),
        "open": ("bool", "", False, "register"),
        "photo": ("bytes", "", False, "register"),
        "ref": ("uuid", "", False, "register"),
    }


def test_defaults_are_wire_values() -> None:
    found = {column.name: column.default for column in schema.table("submission").columns}
    assert found["project_id"] is found["id"] is found["ref"] is model.MISSING
    assert found["number"] is None
    assert found["crew_size"] == 0
    assert found["tags"] == []
    assert found["seen"] == ["-1", "3"]
    assert found["trade"] == "roofing"
    assert found["settings"] == {"a": "x", "b": [1, 2.5]}
    assert found["cost"] == "1.50"
    assert found["big"] == str(-(2**63))
    assert found["photo"] == "AP8="
    assert [column.name for column in schema.table("submission").columns if column.generate] == ["id", "ref"]


def test_slots_and_positions() -> None:
    reading = schema.table("reading")
    assert [column.name for column in reading.key] == ["place", "at", "big", "good", "n"]
    assert reading.slot == {"parent": 0}
    assert reading.position["parent"] == 5
    assert [column.name for column in reading.row_columns] == ["place", "at", "big", "good", "n", "parent"]


def test_parents_come_first_and_cycles_do_not_hang() -> None:
    assert [found.name for found in schema.declared] == ["project", "submission", "reading"]

    class Left(hf.Table):
        right: str = hf.column(references="Right")

    class Right(hf.Table):
        left: str = hf.column(references="left.id")
        self: str | None = hf.column(default=None, references="Right")

    assert [found.name for found in hf.Schema(Left, Right).declared] == ["left", "right"]


def test_json_form_round_trips_and_names_the_schema() -> None:
    again = model.Schema.from_json(schema.to_json())
    assert again == schema
    assert again.tables == schema.tables
    assert hash(again) == hash(schema)
    assert len(schema.hash) == 16
    form = schema.to_json()
    form["tables"][0]["priority"] = 9
    assert model.Schema.from_json(form) != schema


@pytest.mark.parametrize(
    "form", [{}, {"version": 1}, {"version": 1, "tables": [{}]}, {"version": 1, "tables": [{"name": 1}]}, []]
)
def test_wrong_json_forms(form: Any) -> None:
    with pytest.raises(HoldfastError) as caught:
        model.Schema.from_json(form)
    assert caught.value.code == "schema_invalid"


def test_unknown_names_are_named() -> None:
    with pytest.raises(HoldfastError, match="has no table nothing") as caught:
        schema.table("nothing")
    assert caught.value.code == "unknown_table"
    with pytest.raises(HoldfastError, match="no column nothing") as caught:
        schema.table("project").column("nothing")
    assert caught.value.code == "unknown_column"


def test_local_types_and_string_annotations_resolve() -> None:
    class Mood(enum.StrEnum):
        GOOD = "good"

    class Diary(hf.Table, space="user:{@user}"):
        mood: Mood = Mood.GOOD
        moods: hf.Set[str] = frozenset({"b", "a"})
        helper: typing.ClassVar[int] = 5

    diary = hf.Schema(Diary).table("diary")
    assert [column.name for column in diary.columns] == ["id", "mood", "moods"]
    assert diary.column("mood").choices == ("good",)
    assert diary.column("moods").default == ["a", "b"]


def test_columns_of_base_classes_come_first() -> None:
    class Dated(hf.Table):
        created: datetime.datetime

    class Note(Dated, name="memo", key="created"):
        text: str = ""

    memo = hf.Schema(Note).table("memo")
    assert [column.name for column in memo.columns] == ["created", "text"]


def test_declared_id_is_the_key() -> None:
    assert compiled(id=int, text=str).key_names == ("id",)
    assert compiled(id=int).column("id").type == "int"
    assert compiled(text=str).columns[0].generate == "uuid7"


@pytest.mark.parametrize(
    ("name", "expected"), [("Form", "form"), ("HTTPLogEntry", "http_log_entry"), ("Room2B", "room2_b"), ("ABC", "abc")]
)
def test_table_name_is_the_class_name_in_snake_case(name: str, expected: str) -> None:
    cls = type(hf.Table)(name, (hf.Table,), {"__annotations__": {"a": str}, "__module__": __name__})
    assert hf.Schema(cls).tables[0].name == expected


class Other(hf.Table):
    name: str
    code: str = hf.column(unique=True)
    count: hf.Counter = 0


class Mixed(enum.Enum):
    A = "a"
    B = 1


class Plain(enum.Enum):
    A = "a"


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "unsupported annotation": (lambda: table(a=complex), "column a.*complex.*not supported; use one of"),
    "list of lists": (lambda: table(a=list[hf.Counter]), "column a.*plain elements"),
    "object annotation": (lambda: table(a="Any"), "column a.*not supported"),
    "unknown name": (lambda: table(a="Nowhere"), "column a.*Nowhere.*import it"),
    "broken annotation": (lambda: table(a="int |"), "column a.*cannot be read"),
    "union": (lambda: table(a=int | str), "column a.*joins several types"),
    "nothing but None": (lambda: table(a=None), "column a.*not supported"),
    "bare set": (lambda: table(a=hf.Set), r"column a.*hf.Set needs an element type, such as hf.Set\[str\]"),
    "set of optional": (lambda: table(a=hf.Set[str | None]), "column a.*plain elements"),
    "set of enum": (lambda: table(a=hf.GrowSet[Plain]), "column a.*hf.GrowSet takes plain elements"),
    "set of json": (lambda: table(a=hf.Set[hf.JsonValue]), "column a.*a set cannot hold json"),
    "set of sets": (lambda: table(a=hf.Set[hf.Set[str]]), "column a.*plain elements"),
    "optional set": (lambda: table(a=hf.Set[str] | None), "column a.*a set is never NULL"),
    "optional counter": (lambda: table(a=hf.Counter | None), "column a.*a counter is never NULL"),
    "bare earliest": (lambda: table(a=hf.Earliest), r"column a.*hf.Earliest needs a type"),
    "latest of text": (lambda: table(a=hf.Latest[str]), "column a.*latest needs an ordered type"),
    "latest of counter": (lambda: table(a=hf.Latest[hf.Counter]), "column a.*two merge types"),
    "optional inside": (lambda: table(a=hf.Latest[int | None]), "column a.*outside of the brackets"),
    "mixed enum": (lambda: table(a=Mixed), "column a.*Mixed.*all of them text or all of them int"),
    "mixed literal": (lambda: table(a=typing.Literal["a", 1]), "column a.*all of them text or all of them int"),
    "boolean literal": (lambda: table(a=typing.Literal[True]), "column a.*all of them text"),
    "enum in literal": (lambda: table(a=typing.Literal[Plain.A]), "column a.*use the Enum itself"),
    "default of wrong type": (lambda: table(a=(int, "x")), "column a: the default 'x' does not fit"),
    "default out of range": (lambda: table(a=(int, 2**53)), "column a.*default.*2.53-1"),
    "default not a choice": (lambda: table(a=(typing.Literal["a"], "b")), "column a.*default 'b' does not fit"),
    "datetime for date": (lambda: table(a=(datetime.date, datetime.datetime(2026, 1, 1))), "column a.*does not fit"),  # noqa: DTZ001
    "infinite decimal": (lambda: table(a=(decimal.Decimal, decimal.Decimal("inf"))), "column a.*finite"),
    "default None": (lambda: table(a=(str, None)), r"column a.*default is None.*add '\| None'"),
    "default with NUL": (lambda: table(a=(str, "a\0")), r"column a.*U\+0000"),
    "set default": (lambda: table(a=(hf.Set[int], {"x"})), "column a.*does not fit"),
    "function as default": (lambda: table(a=(str, hf.column(default=str))), "column a.*is a function"),
    "generated int": (lambda: table(a=(int, hf.column(default=hf.new_id))), "column a.*only a text or uuid column"),
    "empty choices": (lambda: table(a=(str, hf.column(choices=[]))), "column a.*choices is empty"),
    "double choice": (lambda: table(a=(str, hf.column(choices=["a", "a"]))), "column a.*named twice"),
    "wrong choice": (lambda: table(a=(str, hf.column(choices=[1]))), "column a.*choices.*correct the choice"),
    "choices as text": (lambda: table(a=(str, hf.column(choices="ab"))), "column a.*write a list"),
    "choices twice": (lambda: table(a=(Plain, hf.column(choices=["a"]))), "column a.*remove choices="),
    "choices of json": (lambda: table(a=(hf.JsonValue, hf.column(choices=[1]))), "column a.*choices go with"),
    "choices of a counter": (lambda: table(a=(hf.Counter, hf.column(choices=[1]))), "column a.*choices go with"),
    "no columns": (table, "class Form: the table has no column"),
    "value without annotation": (
        lambda: type(hf.Table)("Form", (hf.Table,), {"__annotations__": {"a": str}, "b": "x"}),
        "column b.*no annotation; write b: str",
    ),
    "column() without annotation": (
        lambda: type(hf.Table)("Form", (hf.Table,), {"__annotations__": {"a": str}, "b": hf.column()}),
        "column b.*no annotation",
    ),
    "capital letters": (lambda: table(Name=str), "column Name.*'Name' is not a name"),
    "long name": (lambda: table(**{"a" * 64: str}), "is not a name"),
    "reserved prefix": (lambda: table(holdfast_a=str), "column holdfast_a.*reserved"),
    "rowid": (lambda: table(rowid=int), "column rowid.*reserved"),
    "table name": (lambda: table(options={"name": "Form Sheet"}, a=str), "'Form Sheet' is not a name"),
    "empty table name": (lambda: table(options={"name": ""}, a=str), "'' is not a name"),
    "reserved table name": (lambda: table(options={"name": "holdfast_x"}, a=str), "reserved"),
    "sqlite table name": (lambda: table(options={"name": "sqlite_x"}, a=str), "reserved"),
    "unknown option": (
        lambda: table(options={"spce": "a"}, a=str),
        r"class Form: unknown option spce=; did you mean space\?",
    ),
    "very unknown option": (lambda: table(options={"zzz": "a"}, a=str), "unknown option zzz=; use one of name, key"),
    "optional key": (lambda: table(options={"key": "a"}, a=str | None), r"column a: a key column cannot be optional"),
    "float key": (lambda: table(options={"key": "a"}, a=float), "column a: a key column cannot be float; use one of"),
    "counter key": (lambda: table(options={"key": "a"}, a=hf.Counter), "column a: a key column cannot be a counter"),
    "unknown key": (
        lambda: table(options={"key": ("a", "b")}, a=str),
        "column b: key names a column that does not exist",
    ),
    "double key": (lambda: table(options={"key": ("a", "a")}, a=str), r"key names a column twice in \(a, a\)"),
    "empty key": (lambda: table(options={"key": ()}, a=str), "key names no column"),
    "key of wrong type": (lambda: table(options={"key": 5}, a=str), "key=5: write a column name"),
    "optional space column": (
        lambda: table(options={"space": "p:{a}"}, a=str | None),
        "column a: a column of the space",
    ),
    "space of a set": (lambda: table(options={"space": "p:{a}"}, a=hf.Set[str]), "column a: a column of the space"),
    "unknown space column": (
        lambda: table(options={"space": "p:{b}"}, a=str),
        "column b: space template.*does not exist",
    ),
    "unbalanced template": (lambda: table(options={"space": "p:{a"}, a=str), "class Form: space template.*braces"),
    "empty template": (lambda: table(options={"space": ""}, a=str), "space template.*1 to 200"),
    "long template": (lambda: table(options={"space": "x" * 201}, a=str), "space template.*1 to 200"),
    "control in template": (lambda: table(options={"space": "a\n"}, a=str), "space template.*control characters"),
    "template without separator": (
        lambda: table(options={"space": "{a}{b}"}, a=str, b=str),
        "between two placeholders",
    ),
    "template is no text": (lambda: table(options={"space": 5}, a=str), "space template 5: it must be text"),
    "unknown variable": (lambda: table(options={"space": "{@group}"}, a=str), "space template.*braces"),
    "row on_delete": (
        lambda: table(options={"on_delete": "cascade"}, a=str),
        "on_delete='cascade': use one of keep_edits",
    ),
    "priority": (lambda: table(options={"priority": "high"}, a=str), "priority='high'"),
    "unknown index column": (
        lambda: table(options={"indexes": [("a", "b")]}, a=str),
        "column b: indexes names a column",
    ),
    "double index": (lambda: table(options={"indexes": [("a",), "a"]}, a=str), r"indexes names \(a\) twice"),
    "index text": (lambda: table(options={"indexes": "a"}, a=str), "indexes='a': write a list of tuples"),
    "unknown unique column": (lambda: table(options={"unique": ["b"]}, a=str), "column b: unique names a column"),
    "empty unique": (lambda: table(options={"unique": [()]}, a=str), "unique names no column"),
    "unknown parent": (lambda: table(a=(str, hf.column(references="nothing"))), "column a: references 'nothing'"),
    "parent outside of the schema": (
        lambda: table(a=(str, hf.column(references=schema.__class__))),
        "column a: references Schema",
    ),
    "unknown parent column": (
        lambda: table(a=(str, hf.column(references="other.nothing"))),
        "column a.*other.nothing, which does not exist",
    ),
    "parent column not unique": (
        lambda: table(a=(str, hf.column(references="other.name"))),
        "column a.*neither its key nor unique",
    ),
    "parent of another type": (
        lambda: table(a=(int, hf.column(references="other"))),
        "column a: is int, other.id is text",
    ),
    "reference by a set": (
        lambda: table(a=(hf.Set[str], hf.column(references="other"))),
        "column a.*plain type on both",
    ),
    "child on_delete": (
        lambda: table(a=(str, hf.column(references="other", on_delete="drop"))),
        "column a: on_delete='drop'.*restrict",
    ),
    "set_null": (
        lambda: table(a=(str, hf.column(references="other", on_delete="set_null"))),
        r"column a.*set_null.*optional",
    ),
    "on_delete alone": (
        lambda: table(a=(str, hf.column(on_delete="cascade"))),
        "column a: on_delete='cascade' without references=",
    ),
    "foreign_keys of text": (lambda: table(options={"foreign_keys": ["other"]}, a=str), "foreign_keys holds 'other'"),
    "unknown foreign key column": (
        lambda: table(options={"foreign_keys": [hf.ForeignKey("b", "other")]}, a=str),
        "column b: foreign_keys names",
    ),
    "number of foreign columns": (
        lambda: table(options={"foreign_keys": [hf.ForeignKey(("a", "b"), "other")]}, a=str, b=str),
        "refers to 1 columns",
    ),
    "two tables of one name": (lambda: table(options={"name": "other"}, a=str), "two tables are named other"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_declarations_name_class_column_and_remedy(case: str) -> None:
    declare, expected = WRONG[case]
    with pytest.raises(HoldfastError, match=f"(?s){expected}") as caught:
        hf.Schema(declare(), Other)
    assert caught.value.code == "schema_invalid"
    assert "Form" in caught.value.message or "table" in caught.value.message


@pytest.mark.parametrize("arguments", [(), (5,), (hf.Table,), (int,)])
def test_wrong_schemas(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(HoldfastError) as caught:
        hf.Schema(*arguments)
    assert caught.value.code == "schema_invalid"


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, 2**31])
def test_wrong_versions(version: Any) -> None:
    with pytest.raises(HoldfastError, match="version="):
        hf.Schema(Other, version=version)


def test_a_table_class_makes_no_objects() -> None:
    with pytest.raises(HoldfastError, match="write rows with SQL"):
        Other(name="x")


def test_space_names() -> None:
    rule = model.SpaceRule("a:{x}:{n}:{@user}")
    assert rule.columns == ("x", "n")
    assert rule.per_user
    assert rule.name_for({"x": "p", "n": 5}, "u:1") == "a:p:5:u:1"
    assert model.SpaceRule("city").name_for({}, "") == "city"
    assert model.SpaceRule("{x}").name_for({"x": True}, "") == "true"
    for row in ({"x": "p:q", "n": 5}, {"x": "\n", "n": 1}, {"x": "x" * 200, "n": 1}):
        with pytest.raises(values.InvalidValue) as caught:
            rule.name_for(row, "u")
        assert caught.value.code == "space_invalid"


def test_keys_as_text() -> None:
    reading = schema.table("reading")
    wire = ["q\"'\\\n\x1f\x7fä🙂", "2026-01-01T00:00:00.000000Z", str(-(2**63)), True, -5]
    text = '["q\\"\'\\\\\\n\\u001f\x7fä🙂","2026-01-01T00:00:00.000000Z","-9223372036854775808",true,-5]'
    assert key_text(reading, wire) == text
    assert key_values(reading, text) == wire
    for annotation, value, key in ((str, "", ""), (int, -7, "-7"), (bool, True, "true"), (hf.BigInt, "9", "9")):
        one = compiled(id=annotation)
        assert key_text(one, [value]) == key
        assert key_values(one, key) == [value]


@pytest.mark.parametrize(
    ("annotation", "text", "code"),
    [
        (int, "01", "value_format"),
        (int, "٣", "value_format"),
        (int, "x", "value_type"),
        (int, "9007199254740992", "value_range"),
        (bool, "1", "value_type"),
        (datetime.date, "2026-02-30", "value_format"),
        (datetime.datetime, "2026-02-03 00:00:00", "value_format"),
        (str, "a" * 1025, "key_too_long"),
        (str, "a\0", "value_nul"),
    ],
)
def test_wrong_single_keys(annotation: Any, text: str, code: str) -> None:
    with pytest.raises(values.InvalidValue) as caught:
        key_values(compiled(id=annotation), text)
    assert caught.value.code == code


@pytest.mark.parametrize("text", ["", "[", "{}", '["a"]', '["a", "b"]', '["a","\\u0062"]', '["a","b","c"]', "[" * 1000])
def test_wrong_composite_keys(text: str) -> None:
    pair = hf.Schema(table(options={"key": ("a", "b")}, a=str, b=str)).table("form")
    with pytest.raises(values.InvalidValue) as caught:
        key_values(pair, text)
    assert caught.value.code == "value_format"


def test_ids_grow_even_when_the_clock_goes_back() -> None:
    source = IdSource()
    ids = [source.next(now, bytes([seed] * 10)) for now, seed in ((5, 255), (5, 0), (4, 255), (5, 1), (6, 0), (0, 0))]
    assert ids == sorted(set(ids))
    assert {(len(found), found[14]) for found in ids} == {(36, "7")}
    assert all(found[19] in "89ab" for found in ids)
    assert ids[0].startswith("00000000-0005-7")
    drawn = [hf.new_id() for _ in range(1000)]
    assert drawn == sorted(set(drawn))


USER_CODE = """
from __future__ import annotations
import datetime
import holdfast.schema as hf

class Project(hf.Table, space="project:{id}", on_delete="delete"):
    name: str

class Submission(hf.Table, space="project:{project_id}", unique=[("project_id", "status")]):
    project_id: str = hf.column(references=Project)
    status: str = "draft"
    crew_size: hf.Counter = 0
    big: hf.BigInt = 2**60
    tags: hf.Set[str]
    seen: hf.GrowSet[int] = {1, 2}
    extra: hf.JsonValue = {"a": 1}
    inspected_on: hf.Earliest[datetime.date] | None = None
    checked: hf.Latest[datetime.datetime]

schema = hf.Schema(Project, Submission, version=1)
key: str = hf.new_id()
"""


def test_declarations_pass_mypy(tmp_path: Path) -> None:
    file = tmp_path / "declared.py"
    file.write_text(USER_CODE, encoding="utf-8")
    arguments = ["--strict", "--no-incremental", "--cache-dir", str(tmp_path / "cache"), str(file)]
    done = subprocess.run([sys.executable, "-m", "mypy", *arguments], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("Success"), done.stdout + done.stderr
