"""Classes of the queue: what may be declared, and what the schema's hash says of them."""

from __future__ import annotations

from typing import Any

import pytest

import holdfast as hf
from holdfast.schema.model import Schema as Compiled


class Form(hf.Table, space="site"):
    title: str = ""


class Photo(hf.Table, space="site", queue=hf.Queue(priority=9)):
    title: str = ""


def test_a_table_a_space_or_nothing_names_the_class() -> None:
    schema = hf.Schema(Form, Photo, queues={"site": hf.Queue(priority=2)})
    classes = {table.name: (table.queue.name, table.queue.priority) for table in schema.tables}
    assert (classes["form"], classes["photo"]) == (("site", 2), ("photo", 9))
    assert hf.Schema(Form).by_name["form"].queue.name == "default"


def test_queues_are_no_part_of_the_identity() -> None:
    first, second = hf.Schema(Form, Photo), hf.Schema(Form, Photo, queues={"site": hf.Queue(batch_size=1)})
    assert first.hash == second.hash
    again = Compiled.from_json(second.to_json())
    assert [table.queue for table in again.tables] == [table.queue for table in second.tables]


@pytest.mark.parametrize(
    "given",
    [
        {"name": 7},
        {"name": "x" * 201},
        {"priority": "high"},
        {"priority": 10**7},
        {"direction": "down"},
        {"batch_size": 0},
        {"max_concurrent": True},
        {"retries": -1},
        {"coalesce": "no"},
    ],
)
def test_what_is_wrong_is_told(given: dict[str, Any]) -> None:
    with pytest.raises(hf.HoldfastError, match=next(iter(given))) as error:
        hf.Queue(**given)
    assert error.value.code == "schema_invalid"


def test_a_class_must_be_clear() -> None:
    with pytest.raises(hf.HoldfastError, match="no table has"):
        hf.Schema(Form, queues={"nowhere": hf.Queue()})
    with pytest.raises(hf.HoldfastError, match=r"write hf\.Queue"):
        hf.Schema(Form, queues={"site": 7})  # type: ignore[dict-item]
    with pytest.raises(hf.HoldfastError, match=r"write hf\.Queue"):

        class Wrong(hf.Table, queue=7):  # type: ignore[arg-type]
            title: str = ""

    class Other(hf.Table, queue=hf.Queue("photo", priority=1)):
        title: str = ""

    with pytest.raises(hf.HoldfastError, match="two different queues"):
        hf.Schema(Photo, Other)
