"""Documents on real files: both ways of editing in one transaction, deltas on the wire, refusals, deletions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.kernel.documents.content import client_of
from tests.postgres import database


class Note(hf.Table, space="notes"):
    """Every kind of document."""

    id: str
    title: str = ""
    body: hf.Text
    setup: hf.Json = {}  # noqa: RUF012
    memo: hf.MergeText = ""


SCHEMA = hf.Schema(Note, version=1)
USER = hf.Identity("user", spaces={"notes": "rw"})


class World:
    """A hub and devices."""

    def __init__(self, url: str, folder: Path) -> None:
        self.server = hf.Server(url, SCHEMA, authenticate=lambda _: USER)
        self._folder = folder
        self.devices: list[hf.Replica] = []

    def device(self) -> hf.Replica:
        path = self._folder / f"device{len(self.devices)}.db"
        self.devices.append(hf.Replica(path, SCHEMA, transport=LocalTransport(self.server, USER)))
        return self.devices[-1]

    def rest(self) -> dict[str, Any]:
        """Sync until nothing is new; every device must hold the same. Gives the one row by column."""
        for device in [*self.devices, *self.devices, *self.devices]:
            device.sync()
        shown = {repr([tuple(row) for row in d.execute("SELECT * FROM note ORDER BY id")]) for d in self.devices}
        assert len(shown) == 1
        assert len({device.digest("notes") for device in self.devices}) == 1
        rows = self.devices[0].execute("SELECT * FROM note")
        return dict(zip(("id", "title", "body", "setup", "memo"), rows[0], strict=True)) if rows else {}

    def close(self) -> None:
        for device in self.devices:
            device.close()
        self.server.close()


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "postgres":
        with database() as url:
            made = World(url, tmp_path)
            yield made
            made.close()
        return
    made = World("memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'hub.db'}", tmp_path)
    yield made
    made.close()


def test_both_ways_of_editing_meet_in_one_transaction_and_on_two_devices(world: World) -> None:
    a, b = world.device(), world.device()
    a.execute(
        "INSERT INTO note (id, body, setup, memo) VALUES ('1', 'Hello wörld 😀', ?, 'The quick fox')",
        ({"net": {"host": "x", "port": 1}, "list": [1, 2]},),
    )
    world.rest()
    b.execute("UPDATE note SET body = body || '!', memo = 'The quick red fox'")
    b.execute("UPDATE note SET setup = json_set(setup, '$.net.port', 2)")
    with a.transaction():
        body = a.document("note", "1", "body")
        body.insert(0, "😀 ")
        assert a.execute("SELECT body FROM note")[0][0] == "😀 Hello wörld 😀"
        a.execute("UPDATE note SET body = replace(body, 'Hello', 'Dear')")
        assert str(body) == "😀 Dear wörld 😀"
        del body[0:2]
        body += ", yours"
        a.document("note", "1", "setup")["list"].insert(0, 0)
        a.execute("UPDATE note SET memo = 'The very quick fox', title = 't'")
    row = world.rest()
    assert row["body"] in ("Dear wörld 😀, yours!", "Dear wörld 😀!, yours")
    assert row["setup"] == '{"list":[0,1,2],"net":{"host":"x","port":2}}'
    assert (row["memo"], row["title"]) == ("The very quick red fox", "t")


def test_only_what_was_typed_travels(world: World) -> None:
    a, b = world.device(), world.device()
    words = " ".join(str(number * 7919) for number in range(8_000))
    a.execute("INSERT INTO note (id, body) VALUES ('1', ?)", (words,))
    world.rest()
    with a.transaction():
        a.document("note", "1", "body").insert(500, "x")
    assert a.sync().bytes_sent < 1_000
    assert b.sync().bytes_received < 1_500
    assert world.rest()["body"] == words[:500] + "x" + words[500:]


def test_two_inserts_of_one_key_keep_both_texts(world: World) -> None:
    a, b = world.device(), world.device()
    a.execute("INSERT INTO note (id, body, memo) VALUES ('1', 'from a ', 'memo')")
    b.execute("INSERT INTO note (id, body, memo) VALUES ('1', 'from b ', 'memo')")
    row = world.rest()
    assert row["body"] in ("from a from b ", "from b from a ")
    assert row["memo"] == "memo"


def test_an_edit_brings_a_deleted_row_back_whole(world: World) -> None:
    a, b = world.device(), world.device()
    a.execute("INSERT INTO note (id, body) VALUES ('1', 'kept')")
    world.rest()
    a.execute("DELETE FROM note")
    with b.transaction():
        body = b.document("note", "1", "body")
        body += " and more"
    a.sync()
    assert world.rest()["body"] == "kept and more"


def test_an_edit_of_a_row_that_was_made_again_is_refused_and_readable(world: World) -> None:
    a, b = world.device(), world.device()
    a.execute("INSERT INTO note (id, body) VALUES ('1', 'the first text')")
    world.rest()
    a.execute("DELETE FROM note")
    a.sync()
    a.execute("INSERT INTO note (id, body) VALUES ('1', 'another text')")
    a.sync()
    with b.transaction():
        b.document("note", "1", "body").insert(9, " typed")
    assert world.rest()["body"] == "another text"
    (refused,) = b.refused()
    assert refused.code == "document_gap"
    assert "' typed'" in refused.message


def test_a_transaction_that_is_rolled_back_leaves_no_edit(world: World) -> None:
    a = world.device()
    a.execute("INSERT INTO note (id, body) VALUES ('1', 'text')")
    with pytest.raises(ZeroDivisionError), a.transaction():
        a.document("note", "1", "body").insert(0, "lost ")
        raise ZeroDivisionError
    with a.transaction():
        with pytest.raises(ZeroDivisionError), a.transaction():
            a.document("note", "1", "body").insert(0, "lost ")
            raise ZeroDivisionError
        body = a.document("note", "1", "body")
        body += " kept"
    with a.transaction():
        body = a.document("note", "1", "body")
        body += "!"
    assert world.rest()["body"] == "text kept!"


def test_a_document_ends_with_its_transaction_and_with_its_row(world: World) -> None:
    a = world.device()
    with a.transaction():
        a.execute("INSERT INTO note (id, body) VALUES ('1', 'x')")
        body = a.document("note", "1", "body")
        a.execute("DELETE FROM note")
        with pytest.raises(hf.HoldfastError) as closed:
            body.insert(0, "y")
        assert closed.value.code == "document_closed"
        a.execute("INSERT INTO note (id, body) VALUES ('1', 'new')")
        body = a.document("note", "1", "body")
    with pytest.raises(hf.HoldfastError) as closed:
        body.insert(0, "y")
    assert closed.value.code == "document_closed"
    with pytest.raises(hf.HoldfastError) as closed:
        a.document("note", "1", "body")
    assert closed.value.code == "document_closed"
    assert world.rest()["body"] == "new"


def test_what_is_no_document_is_said(world: World) -> None:
    a = world.device()
    a.execute("INSERT INTO note (id, setup) VALUES ('1', '5')")
    with a.transaction():
        for column in ("title", "memo", "id", "setup"):
            with pytest.raises(hf.HoldfastError) as refused:
                a.document("note", "1", column)
            assert refused.value.code == "not_a_document"
        with pytest.raises(hf.HoldfastError) as refused:
            a.document("note", "2", "body")
        assert refused.value.code == "row_missing"
        body = a.document("note", "1", "body")
        for call in (lambda: body.format(0, 1, {"bold": True}), lambda: body.insert(0, "x", {"bold": True})):
            with pytest.raises(hf.HoldfastError) as refused:
                call()
            assert refused.value.code == "document_plain"
        with pytest.raises(IndexError):
            body.insert(1, "x")
        with pytest.raises(hf.HoldfastError) as refused:
            body.insert(0, "a\0")
        assert refused.value.code == "value_nul"


def test_positions_are_code_points(world: World) -> None:
    a = world.device()
    with a.transaction():
        a.execute("INSERT INTO note (id, body) VALUES ('1', 'a😀e\u0301b')")
        body = a.document("note", "1", "body")
        assert len(body) == 5
        body[1] = "😃😃"
        body.insert(-0, "é")
        del body[-1]
        body[0:1] = ""
        assert (body[1:3], str(body), "e\u0301" in body, next(iter(body))) == ("😃😃", "a😃😃e\u0301", True, "a")
        body.clear()
        body += "end"
    assert world.rest()["body"] == "end"


def test_a_stranger_cannot_hurt_anybody_with_bytes(world: World) -> None:
    a, b = world.device(), world.device()
    a.execute("INSERT INTO note (id, body) VALUES ('1', 'text')")
    world.rest()
    for number, change in enumerate(("AQ==", "!", "", 7, {"op": []}, "AAEB", "//////////8B", "AAA=" * 100)):
        transaction = {
            "origin": f"{number + 1:012x}",
            "n": 1,
            "ops": [{"op": "update", "table": "note", "key": "1", "stamp": f"{number:014x}-{'f' * 12}", "life": 1,
                     "set": {"body": change}, "base": {}}],
        }  # fmt: skip
        request = {
            "protocol": 1, "device": "stranger", "schema": {"version": 1, "hash": SCHEMA.hash}, "clock": 0,
            "transactions": [transaction],
        }  # fmt: skip
        answer = b"".join(LocalTransport(world.server, USER).exchange(json.dumps(request).encode()).chunks())
        assert b'"refused"' in answer, change
    assert world.rest()["body"] == "text"
    assert client_of("writer", "a" * 12, "1") < 2**48
    b.execute("UPDATE note SET body = 'still writable'")
    assert world.rest()["body"] == "still writable"


def test_an_edit_of_another_copy_is_taken_and_counted_once(world: World) -> None:
    a, b = world.device(), world.device()
    a.execute("INSERT INTO note (id, body) VALUES ('1', 'text')")
    world.rest()
    with a.transaction(), b.transaction():
        mine, theirs = a.document("note", "1", "body"), b.document("note", "1", "body")
        mine.insert(0, "from a: ")
        theirs.apply_update(mine.get_update(theirs.get_state()))
        theirs += " (seen by b)"
        with pytest.raises(hf.HoldfastError) as refused:
            mine.apply_update(b"\1")
        assert refused.value.code == "document_malformed"
    assert world.rest()["body"] == "from a: text (seen by b)"


def test_an_application_trigger_on_the_table_is_captured_too(world: World) -> None:
    a = world.device()
    a.execute("INSERT INTO note (id, body) VALUES ('1', 'x')")
    a.execute("CREATE TRIGGER stamp AFTER UPDATE OF body ON note BEGIN UPDATE note SET title = title || '+'; END")
    with a.transaction():
        a.document("note", "1", "body").insert(0, "y")
    row = world.rest()
    assert (row["body"], row["title"]) == ("yx", "+")


def test_undo_takes_back_ones_own_writes_of_documents_and_leaves_those_of_others(world: World) -> None:
    a, b = world.device(), world.device()
    a.execute("INSERT INTO note (id, body, setup) VALUES ('1', 'one two three', '{\"a\":1}')")
    world.rest()
    a.execute("UPDATE note SET setup = '{\"a\":2}'")
    world.rest()
    a.undo()
    assert world.rest()["setup"] == '{"a":1}'
    a.execute("UPDATE note SET body = 'one 2 three'")
    world.rest()
    b.execute("UPDATE note SET body = body || ' four'")
    world.rest()
    a.undo()
    assert world.rest()["body"] == "one two three four"


def test_undo_of_an_insert_after_it_was_synced(world: World) -> None:
    a, b = world.device(), world.device()
    a.execute("INSERT INTO note (id, body) VALUES ('1', 'mine')")
    world.rest()
    a.undo()
    assert world.rest() == {}
    a.execute("INSERT INTO note (id, body) VALUES ('2', 'mine')")
    world.rest()
    b.execute("UPDATE note SET body = body || ' and yours'")
    world.rest()
    assert a.undo() is not None
    assert world.rest()["body"] == "mine and yours"


def test_without_the_library_a_schema_with_documents_is_refused_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("holdfast.replica.documents.AVAILABLE", False)
    with pytest.raises(hf.HoldfastError) as refused:
        world.device().execute("SELECT 1")
    assert refused.value.code == "documents_unavailable"
    world.devices.clear()
    with pytest.raises(hf.HoldfastError) as refused, hf.Server("memory:", SCHEMA) as server:
        assert server.hub
    assert refused.value.code == "documents_unavailable"
