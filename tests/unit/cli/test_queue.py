"""`holdfast queue`: what a person sees of what waits, and what he can do."""

from __future__ import annotations

from pathlib import Path

import pytest

import holdfast as hf
from holdfast.cli.failures import Exit
from tests.unit.cli.terminals import holdfast

SCHEMA = """import holdfast as hf


class Album(hf.Table, key="id", space="site"):
    id: str


class Photo(hf.Table, key="id", space="site", queue=hf.Queue(priority=9)):
    id: str
    album: str = hf.column(references=Album)


class Form(hf.Table, key="id", space="site", queue=hf.Queue("urgent", priority=-1)):
    id: str
    title: str = ""


schema = hf.Schema(Album, Photo, Form)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a schema and a device: an album with two photos waits, a form was refused."""
    (tmp_path / "schema.py").write_text(SCHEMA)
    names: dict[str, object] = {}
    exec(compile(SCHEMA, "schema.py", "exec"), names)
    schema = names["schema"]
    assert isinstance(schema, hf.Schema)
    identity = hf.Identity("anna", {"site": "rw"})
    with hf.Server(f"sqlite:///{tmp_path / 'hub.db'}", schema) as hub:

        @hub.before_write("form")
        def check(change: hf.Change, context: hf.Context) -> None:
            raise hf.Refuse("no forms today", code="no_forms")

        transport = hf.testing.LocalTransport(hub, identity)
        with hf.Replica(tmp_path / "a.db", schema, transport=transport) as device:
            with device.transaction("morning round"):
                device.execute("INSERT INTO form (id, title) VALUES ('f1', 'gate')")
            device.sync()
            device.execute("INSERT INTO album (id) VALUES ('a1')")
            device.execute("INSERT INTO photo (id, album) VALUES ('p1', 'a1')")
            device.execute("INSERT INTO photo (id, album) VALUES ('p2', 'a1')")
    return tmp_path


def test_the_list_says_what_waits_for_what(site: Path) -> None:
    ended = holdfast(site, "queue", "list", "schema.py", "--db", "a.db")
    assert ended.code == Exit.REFUSED
    told = " ".join(ended.out.split())
    assert "3 transactions waiting, 1 transaction refused" in told
    assert "morning round: insert form f1" in told and "no_forms" in told
    assert "after #2" in told
    document = holdfast(site, "queue", "list", "schema.py", "--db", "a.db", "--json").document
    assert [(item["txn"], item["state"], item["queue"]) for item in document["transactions"]] == [
        (1, "refused", "urgent"),
        (2, "pending", "default"),
        (3, "pending", "photo"),
        (4, "pending", "photo"),
    ]
    assert document["transactions"][2]["waits_for"] == [2]


def test_one_is_shown_with_its_values(site: Path) -> None:
    ended = holdfast(site, "queue", "show", "schema.py", "1", "--db", "a.db")
    assert "no forms today" in ended.out and "gate" in ended.out
    ended = holdfast(site, "queue", "show", "schema.py", "3", "--db", "a.db")
    assert "Waits for" in ended.out and "#2" in ended.out and "p1" in ended.out
    ended = holdfast(site, "queue", "show", "schema.py", "9", "--db", "a.db")
    assert ended.code == Exit.FAILURE and "transaction_unknown" in ended.err


def test_dependants_are_named_before_they_are_taken_back(site: Path) -> None:
    ended = holdfast(site, "queue", "cancel", "schema.py", "2", "--db", "a.db", "--json")
    assert ended.document["error"]["details"]["dependants"] == [3, 4]
    ended = holdfast(site, "queue", "cancel", "schema.py", "2", "--db", "a.db", "--dependants")
    assert ended.code == Exit.OK and "#2, #3, #4 taken back" in ended.out
    listed = holdfast(site, "queue", "list", "schema.py", "--db", "a.db", "--json").document["transactions"]
    assert [item["txn"] for item in listed] == [1]


def test_retry_and_drop(site: Path) -> None:
    assert holdfast(site, "queue", "retry", "schema.py", "1", "--db", "a.db").code == Exit.OK
    listed = holdfast(site, "queue", "list", "schema.py", "--db", "a.db", "--json")
    assert (listed.code, listed.document["transactions"][0]["state"]) == (Exit.OK, "pending")
    ended = holdfast(site, "queue", "drop", "schema.py", "1", "--db", "a.db")
    assert ended.code == Exit.FAILURE and "transaction_state" in ended.err


def test_an_empty_queue(site: Path) -> None:
    holdfast(site, "queue", "drop", "schema.py", "1", "--db", "a.db")
    holdfast(site, "queue", "cancel", "schema.py", "2", "--db", "a.db", "--dependants")
    ended = holdfast(site, "queue", "list", "schema.py", "--db", "a.db")
    assert ended.code == Exit.OK and "the queue is empty" in ended.out


@pytest.mark.parametrize("command", ["list", "show", "retry", "drop", "cancel"])
def test_help_has_an_example(tmp_path: Path, command: str) -> None:
    ended = holdfast(tmp_path, "queue", command, "--help")
    assert ended.code == Exit.OK and f"Example: holdfast queue {command}" in ended.out
