"""Schemas as TypeScript. The golden files are compiled and used by web/packages/client/tests/schema.test.ts.

`python -m tests.unit.schema.test_typescript` writes them anew.
"""

from __future__ import annotations

import datetime
import decimal
import typing
from pathlib import Path

import pytest

import holdfast.schema as hf
from holdfast.schema.built_in import BUILT_IN
from holdfast.schema.emit import typescript
from holdfast.schema.model import Column, Schema, SpaceRule, Table
from tests.unit.schema.sample import schema as sample

GENERATED = Path(__file__).parents[3] / "web" / "packages" / "client" / "tests" / "generated"


class Site(hf.Table, space="all"):
    number: typing.Literal[1, 2] = hf.column(stored="smallint")
    slots: list[int] = hf.column(stored="bigint[]")
    opens: datetime.time = datetime.time(7, 30)
    budget: decimal.Decimal | None = hf.column(default=None, stored="numeric(10,2)")


class Entry(hf.Table, space=hf.via("site_id"), key=("site_id", "place")):
    site_id: str = hf.column(references=Site)
    place: typing.Literal["door*/", "it's \u2028"]
    body: hf.Text = ""
    config: hf.Json
    remark: hf.MergeText = ""
    checked: hf.Review[bool] = False


schemas = {"sample": sample, "stored": hf.Schema(Site, Entry, version=2)}


def built_in() -> str:
    """The tables that every schema has, for `web/packages/client/src/schema/built_in.ts`."""
    forms = [table.to_json() for table in BUILT_IN]
    return typescript.literal(forms)


@pytest.mark.parametrize("name", sorted(schemas))
def test_the_generated_text_is_the_golden_one(name: str) -> None:
    expected = (GENERATED / f"{name}.ts").read_text(encoding="utf-8")
    assert typescript.module(schemas[name], f"{name}.py") == expected


def test_the_built_in_tables_are_those_of_python() -> None:
    source = (GENERATED.parents[1] / "src" / "schema" / "built_in.ts").read_text(encoding="utf-8")
    assert f"= {built_in()};\n" in source


def test_names_of_types_never_meet() -> None:
    names = ["a_b", "ab", "a__b", "a_1", "a1", "a_", "a", "a_b1", "a_b_1"]
    assert len({typescript.class_name(name) for name in names}) == len(names)
    assert typescript.class_name("form_entry") == "FormEntry"


def test_separators_of_lines_never_stand_bare() -> None:
    space = SpaceRule("back\\slash`$x:{name}")
    columns = (Column("name", "text", default="a\u2028b\u2029c"),)
    text = typescript.module(Schema(1, (Table("note", columns, ("name",), space),)), "s.py")
    assert not {"\u2028", "\u2029"} & set(text)
    assert "`back\\\\slash\\`\\$x:${string}`" in text


if __name__ == "__main__":
    for name, one in schemas.items():
        (GENERATED / f"{name}.ts").write_text(typescript.module(one, f"{name}.py"), encoding="utf-8")
