"""What `holdfast doctor` found while it was written."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

import holdfast as hf


class Note(hf.Table, space="team"):
    body: str


SCHEMA = hf.Schema(Note)


@pytest.mark.parametrize("event", ["insert", "update", "delete"])
def test_a_hub_makes_missing_triggers_again_and_looks_at_every_row(tmp_path: Path, event: str) -> None:
    """Who rebuilds a table loses its triggers; what was written until the hub started again must not be lost."""
    url = f"sqlite:///{tmp_path}/hub.db"
    anna = hf.Identity("anna", {"team": "rw"})

    def device(server: hf.Server) -> hf.Replica:
        return hf.Replica(tmp_path / "a.db", SCHEMA, transport=hf.testing.LocalTransport(server, anna))

    with hf.Server(url, SCHEMA) as server, device(server) as replica:
        replica.execute("insert into note (id, body) values ('kept', 'x'), ('changed', 'x'), ('gone', 'x')")
        replica.sync()
    with apsw.Connection(f"{tmp_path}/hub.db") as other:
        names = [name for (name,) in other.execute("select name from sqlite_schema where type = 'trigger'")]
        (missing,) = [name for name in names if name.endswith(f"_note_{event}")]
        other.execute(f"drop trigger {missing}")
        other.execute("insert into note (id, body) values ('new', 'x')")
        other.execute("update note set body = 'y' where id = 'changed'")
        other.execute("delete from note where id = 'gone'")
    other.close()
    with hf.Server(url, SCHEMA) as server, device(server) as replica:
        replica.sync()
        rows = [tuple(row) for row in replica.execute("select id, body from note order by id")]
    assert rows == [("changed", "y"), ("kept", "x"), ("new", "x")]
