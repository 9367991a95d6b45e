"""A JsonValue column that has no default: an object or list in it goes to the hub and back."""

from __future__ import annotations

from pathlib import Path

import holdfast as hf
from holdfast.edge.local import LocalTransport


class Form(hf.Table):
    questions: hf.JsonValue


def test_an_object_in_a_required_json_column_is_synced(tmp_path: Path) -> None:
    schema = hf.Schema(Form)
    identity = hf.Identity("anna", {"default": "rw"})
    with hf.Server("memory:", schema) as server:
        transport = LocalTransport(server, identity)
        with (
            hf.Replica(tmp_path / "a.db", schema, transport=transport) as a,
            hf.Replica(tmp_path / "b.db", schema, transport=transport) as b,
        ):
            a.executemany("insert into form (questions) values (?)", [({"b": 1, "a": [2]},), ([],), ({},)])
            assert a.sync().pushed == 1
            b.sync()
            sql = "select questions from form order by 1"
            assert a.execute(sql) == b.execute(sql) == [("[]",), ('{"a":[2],"b":1}',), ("{}",)]
