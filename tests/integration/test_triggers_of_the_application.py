"""Triggers that the application put on a device's tables see what the hub sends, and nothing of it is captured."""

from __future__ import annotations

from pathlib import Path

import holdfast as hf
from holdfast.edge.local import LocalTransport


class Note(hf.Table, space="city"):
    """One text."""

    text: str


SCHEMA = hf.Schema(Note, version=1)
WATCH = "CREATE TRIGGER watch AFTER INSERT ON note BEGIN INSERT INTO seen (text) VALUES (NEW.text); END"


def test_a_trigger_of_the_application_fires_for_downloaded_rows(tmp_path: Path) -> None:
    with hf.Server(f"sqlite:///{tmp_path}/hub.db", SCHEMA) as server:
        anna, ben = (
            hf.Replica(tmp_path / f"{name}.db", SCHEMA, transport=LocalTransport(server, identity))
            for name in ("anna", "ben")
            for identity in [hf.Identity(name, {"city": "rw"})]
        )
        with anna, ben:
            for number, text in enumerate(("before the trigger", "first load with it", "staged page with it")):
                anna.execute("INSERT INTO note (id, text) VALUES (?, ?)", (f"n{number}", text))
                anna.sync()
                if number == 1:
                    ben.execute("CREATE TABLE seen (text TEXT)")
                    ben.execute(WATCH)
                if number != 1:
                    ben.sync()
            ben.sync()
            assert {row["text"] for row in ben.execute("SELECT text FROM seen")} == {
                "first load with it",
                "staged page with it",
            }
            assert ben.pending() == []
            ben.execute("DROP TRIGGER watch")
            ben.execute("INSERT INTO note (id, text) VALUES ('n9', 'own')")
            assert len(ben.pending()) == 1
