"""Triggers that the application put on a device's tables see what the hub sends, and nothing of it is captured."""

from __future__ import annotations

from pathlib import Path

import holdfast as hf
from holdfast.edge.local import LocalTransport


class Note(hf.Table, space="city"):
    """One text."""

    text: str


class Tag(hf.Table, space="city"):
    """One name, which no other has."""

    name: str = hf.column(unique=True)
    colour: str = ""


SCHEMA = hf.Schema(Note, Tag, version=1)
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


def test_triggers_see_rows_that_others_take_the_place_of(tmp_path: Path) -> None:
    with hf.Server(f"sqlite:///{tmp_path}/hub.db", SCHEMA) as server:
        anna, ben = (
            hf.Replica(
                tmp_path / f"{name}.db", SCHEMA, transport=LocalTransport(server, hf.Identity(name, {"city": "rw"}))
            )
            for name in ("anna", "ben")
        )
        with anna, ben:
            for sql in (
                "CREATE TABLE copy (id TEXT, name TEXT)",
                "CREATE TRIGGER ai AFTER INSERT ON tag BEGIN INSERT INTO copy VALUES (NEW.id, NEW.name); END",
                "CREATE TRIGGER ad AFTER DELETE ON tag BEGIN DELETE FROM copy WHERE id = OLD.id; END",
                "CREATE TRIGGER au AFTER UPDATE ON tag BEGIN UPDATE copy SET name = NEW.name WHERE id = NEW.id; END",
            ):
                ben.execute(sql)
            anna.execute("INSERT INTO tag (id, name) VALUES ('1', 'x'), ('2', 'y')")
            anna.sync()
            ben.sync()
            anna.execute("UPDATE tag SET name = 'z' WHERE id = '1'")
            anna.execute("UPDATE tag SET name = 'x' WHERE id = '2'")
            anna.execute("UPDATE tag SET name = 'y', colour = 'red' WHERE id = '1'")
            anna.execute("INSERT INTO tag (id, name) VALUES ('3', 'taken')")
            ben.execute("INSERT INTO tag (id, name) VALUES ('4', 'taken')")
            anna.sync()
            ben.sync()
            assert [refused.key for refused in ben.refused()] == ["4"]
            rows = [tuple(row) for row in ben.execute("SELECT id, name FROM tag ORDER BY id")]
            assert rows == [("1", "y"), ("2", "x"), ("3", "taken")]
            assert [tuple(row) for row in ben.execute("SELECT id, name FROM copy ORDER BY id")] == rows
