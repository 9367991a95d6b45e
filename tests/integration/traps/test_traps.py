"""The traps of the design, section 11, each with its story. Numbers that are missing belong to later parts."""

from __future__ import annotations

import json
import shutil
import struct
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport
from tests.properties.convergence.other_program import other_program
from tests.properties.convergence.statements import Statement
from tests.properties.convergence.tables import SCHEMA, Form
from tests.properties.convergence.test_convergence import ACCESS, check_healed
from tests.properties.convergence.world import DAY, Device, World, julian


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A hub with the devices a (ann), b (ben) and c (cay, who may read neither p:2 nor write in shared)."""
    world = World(tmp_path, SCHEMA, ACCESS)
    for name, user in (("a", "ann"), ("b", "ben"), ("c", "cay")):
        world.add(name, user)
    yield world
    world.close()


def run(device: Device, sql: str, *parameters: Any) -> None:
    device.replica.execute(sql, parameters)


def value(device: Device, sql: str) -> Any:
    return device.replica.execute(sql)[0][0]


def test_trap_01_a_lost_tail_never_reuses_a_number(world: World) -> None:
    """Power fails after the request was sent; what another program wrote without syncing is gone from the file."""
    a = world.devices["a"]
    run(a, "INSERT INTO form (id) VALUES ('a')")
    world.heal()
    run(a, "UPDATE form SET crew = crew + 1")
    saved = world.folder / "saved"

    def keep_file() -> None:
        shutil.copytree(world.folder, saved, ignore=lambda _, names: [n for n in names if not n.startswith("a.db")])

    a.wire.during = keep_file
    a.wire.fault = "lost response"
    assert not a.sync()
    run(a, "UPDATE form SET crew = crew + 10")
    a.close()
    world.forget(a.path)
    for file in world.folder.glob("a.db*"):
        file.unlink()
    for file in saved.iterdir():
        shutil.copy(file, world.folder / file.name)
    a.reopen()
    run(a, "UPDATE form SET crew = crew + 100")
    check_healed(world)
    assert value(world.devices["b"], "SELECT crew FROM form") == 101


@pytest.mark.parametrize("sent", [False, True], ids=["unsent", "sent and not answered"])
def test_trap_02_a_restored_hub_is_noticed_and_unsent_work_kept(world: World, sent: bool) -> None:
    """The hub loses what it accepted after the backup; both devices bring it back, and what the one still has in its
    outbox arrives, all of it once."""
    a, b = world.devices["a"], world.devices["b"]
    run(a, "INSERT INTO form (id) VALUES ('a')")
    world.heal()
    world.back_up()
    run(a, "UPDATE form SET crew = crew + 1, title = 'lost'")
    world.heal()
    run(a, "UPDATE form SET crew = crew + 10")
    run(a, "INSERT INTO form (id) VALUES ('mine')")
    if sent:
        a.wire.fault = "lost response"
        assert not a.sync()
    world.restore()
    run(b, "UPDATE form SET whole = 3")
    check_healed(world)
    rows = [tuple(row) for row in b.replica.execute("SELECT id, title, crew, whole FROM form ORDER BY id")]
    assert rows == [("a", "lost", 11, 3), ("mine", "new", 0, 0)]
    assert a.replica.refused() == []


def test_trap_03_a_reader_beside_many_writers_skips_no_commit(world: World) -> None:
    """Writers push at the same time; a reader pulls between them and never has to look back."""
    names = [f"w{number}" for number in range(4)]
    for name in names:
        world.add(name, "ann")

    def push(device: Device) -> None:
        for number in range(8):
            run(device, "INSERT INTO form (id) VALUES (?)", f"{device.name}-{number}")
            device.replica.sync()

    threads = [threading.Thread(target=push, args=(world.devices[name],)) for name in names]
    for thread in threads:
        thread.start()
    reader = world.devices["b"]
    while any(thread.is_alive() for thread in threads):
        reader.replica.sync()
    for thread in threads:
        thread.join()
    reader.replica.sync()
    assert value(reader, "SELECT count(*) FROM form") == 32
    assert reader.replica.digest("p:1") == world.hub_digest("p:1")


def test_trap_05_lost_acknowledgement_returns_the_same_refusal(world: World) -> None:
    """The reason of a refusal is repeated, although the hook would now let the write through."""
    a = world.devices["a"]
    strict = True

    @world.server.before_write("form")
    def no_work(change: hf.Change, context: hf.Context) -> None:
        if strict:
            raise hf.Refuse("not on a Sunday", code="sunday")

    run(a, "INSERT INTO form (id) VALUES ('a')")
    a.wire.fault = "lost response"
    assert not a.sync()
    strict = False
    a.reopen()
    report = a.replica.sync()
    assert [(r.code, r.message) for r in a.replica.refused()] == [("sunday", "not on a Sunday")]
    assert report.pushed == 0
    check_healed(world)
    assert world.devices["b"].rows("form") == []


def test_trap_06_doubles_survive_the_oldest_sqlite_bit_for_bit(world: World) -> None:
    """Written by the standard library's SQLite, read on another device."""
    smallest, largest = (5e-324, 2.2250738585072014e-308), (1.7976931348623157e308, 1e21, 2.0**53)
    doubles = [0.1 + 0.2, -1e-7, 123456789.123456789, *smallest, *largest]
    a, b = world.devices["a"], world.devices["b"]
    statements = [Statement("INSERT INTO form (id, real) VALUES (?, ?)", (str(i), x)) for i, x in enumerate(doubles)]
    a.write(statements, "program")
    check_healed(world)
    found = [row[0] for row in b.replica.execute("SELECT real FROM form ORDER BY CAST(id AS INTEGER)")]
    assert [struct.pack("<d", x) for x in found] == [struct.pack("<d", x) for x in doubles]


def test_trap_07_replace_and_changed_keys_of_another_program_are_captured(world: World) -> None:
    """REPLACE removes two rows without a trigger telling it; a changed key is a deletion and an insertion."""
    a, b = world.devices["a"], world.devices["b"]
    a.write([Statement("INSERT INTO code (number, label, hits) VALUES (1, 'l', 5), (2, 'm', 6)", ())], "program")
    world.heal()
    a.write([Statement("REPLACE INTO code (number, label) VALUES (1, 'm')", ())], "program")
    assert a.rows("code") == [(1, "m", None, None, 0)]
    check_healed(world)
    a.write([Statement("UPDATE code SET number = 7", ())], "program")
    check_healed(world)
    assert b.rows("code") == [(7, "m", None, None, 0)]


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize(
    ("column", "earlier", "later"),
    [
        ("title", "z", "A"),
        ("title", "e\u0301", "é"),
        ("real", 1e300, -3.0),
        ("whole", 9, 3),
        ("day", "9999-12-31", "0001-01-01"),
    ],
)
def test_trap_08_the_later_stamp_wins_never_the_greater_value(
    world: World, first: str, column: str, earlier: Any, later: Any
) -> None:
    a, b = world.devices["a"], world.devices["b"]
    run(a, "INSERT INTO form (id) VALUES ('a')")
    world.heal()
    run(a, f"UPDATE form SET {column} = ?", earlier)
    world.time += 1_000
    run(b, f"UPDATE form SET {column} = ?", later)
    world.devices[first].replica.sync()
    check_healed(world)
    assert value(a, f"SELECT {column} FROM form") == later


def test_trap_09_nul_is_refused_where_it_is_written(world: World) -> None:
    """By SQLite itself; and from a program that switched the checks off, at the next sync, without blocking others."""
    a, b = world.devices["a"], world.devices["b"]
    with pytest.raises(hf.HoldfastError) as caught:
        run(a, "INSERT INTO form (id, title) VALUES ('a', ?)", "nul \0 inside")
    assert caught.value.code in ("sql", "value_nul")
    statements = [
        Statement("PRAGMA ignore_check_constraints = ON", ()),
        Statement("INSERT INTO form (id, title) VALUES ('a', ?)", ("nul \0 inside",)),
    ]
    other_program().write(a.path, statements, julian(a.now()), foreign_keys=False)
    run(a, "INSERT INTO form (id) VALUES ('b')")
    check_healed(world)
    assert [(r.code, r.table, r.key, r.column) for r in a.replica.refused()] == [("value_nul", "form", "a", "title")]
    assert [row[0] for row in b.rows("form")] == ["b"]


@pytest.mark.parametrize("skew", [30 * DAY, -30 * DAY, 365_000 * DAY, -365_000 * DAY])
def test_trap_10_a_wrong_clock_raises_nothing_and_wins_nothing_for_ever(world: World, skew: int) -> None:
    """What was written with a wrong clock gives way to what somebody writes an hour later without having seen it."""
    a, b = world.devices["a"], world.devices["b"]
    run(b, "INSERT INTO form (id) VALUES ('a')")
    assert b.sync()
    world.skews["a"] = skew
    assert a.sync()
    world.skews["a"] = 0  # what the device had measured is wrong by as much now
    run(a, "UPDATE form SET title = 'wrong clock'")
    assert a.sync()
    world.time += 3_600_000
    run(b, "UPDATE form SET title = 'an hour later'")
    check_healed(world)
    assert value(a, "SELECT title FROM form") == "an hour later"


def test_trap_11_an_unknown_origin_is_accepted_only_from_its_first(world: World) -> None:
    """A transaction with n = 2 of an origin that the hub does not know is left alone, and not said to be done."""
    a = world.devices["a"]
    run(a, "INSERT INTO form (id) VALUES ('a')")
    request = json.loads(a.replica.build_request())
    request["transactions"][0]["n"] = 2
    _, answer = world.deliver(json.dumps(request).encode(), a)
    header = json.loads(answer.splitlines()[0])["header"]
    assert header["through"].get(request["transactions"][0]["origin"], 0) == 0
    assert not world.hub_rows()
    check_healed(world)
    assert len(world.devices["b"].rows("form")) == 1


def test_trap_12_what_depends_on_a_refused_transaction_is_refused_with_the_reason(world: World) -> None:
    """The child goes with its parent; what has nothing to do with them goes through in the same round."""
    a = world.devices["a"]

    @world.server.before_write("owner")
    def no_owners(change: hf.Change, context: hf.Context) -> None:
        raise hf.Refuse("no owners", code="no_owners")

    run(a, "INSERT INTO owner (id) VALUES ('x')")
    run(a, "INSERT INTO toy (id, owner) VALUES ('t', 'x')")
    run(a, "UPDATE owner SET points = 3")
    run(a, "INSERT INTO form (id) VALUES ('a')")
    assert a.sync()
    assert [(r.code, r.table) for r in a.replica.refused()] == [
        ("no_owners", "owner"), ("foreign_key", "toy"), ("row_missing", "owner"),
    ]  # fmt: skip
    assert (a.rows("owner"), a.rows("toy")) == ([], [])
    check_healed(world)
    assert len(world.devices["b"].rows("form")) == 1


def test_trap_14_the_digest_is_over_confirmed_rows_whatever_waits(world: World) -> None:
    """Captured and sealed edits do not count; the digest of a device that is behind is that of what it has read."""
    a, b = world.devices["a"], world.devices["b"]
    run(a, "INSERT INTO form (id) VALUES ('a'), ('b')")
    world.heal()
    before = world.hub_digest("p:1")
    run(b, "UPDATE form SET title = 'waits'")
    assert b.replica.digest("p:1") == before
    assert len(b.replica.pending()) == 1
    run(b, "DELETE FROM form WHERE id = 'a'")
    assert b.replica.digest("p:1") == before
    run(a, "UPDATE form SET whole = 1")
    assert a.sync()
    assert b.replica.digest("p:1") == before
    assert b.sync()
    assert b.replica.digest("p:1") == world.hub_digest("p:1") != before


def test_trap_15_in_sync_is_said_by_digests_of_one_snapshot(world: World) -> None:
    """The queue is empty and nothing is loading, and yet the device is behind: the roots of the footer tell."""
    a, b = world.devices["a"], world.devices["b"]
    run(a, "INSERT INTO form (id) VALUES ('a')")
    world.heal()
    run(a, "UPDATE form SET whole = 1")
    assert a.sync()
    assert (b.replica.status.pending_count, b.replica.status.downloading) == (0, False)
    _, answer = world.deliver(b.replica.build_request(digests=True), b)
    root = json.loads(answer.splitlines()[-1])["footer"]["digests"]["p:1"]
    assert b.replica.digest("p:1") != root
    b.replica.apply_response(iter([answer]))
    assert b.replica.digest("p:1") == root


def test_trap_16_a_row_leaves_the_space_while_an_edit_waits(world: World) -> None:
    """The edit goes along when its writer may write where the row is now; else it is refused and stays readable."""
    a, b, c = (world.devices[name] for name in "abc")
    run(a, "INSERT INTO form (id) VALUES ('a')")
    world.heal()
    run(a, "UPDATE form SET project = '2'")
    assert a.sync()
    run(b, "UPDATE form SET whole = 7")
    run(c, "UPDATE form SET whole = 8")
    check_healed(world)
    assert value(a, "SELECT whole FROM form") == 7
    (refused,) = c.replica.refused()
    assert (refused.code, refused.table, refused.key) == ("forbidden_space", "form", "a")
    assert refused.operations[0]["set"] == {"whole": 8}


@pytest.mark.parametrize("granted_again", [False, True])
def test_trap_16_a_space_is_revoked_while_an_edit_waits(world: World, granted_again: bool) -> None:
    """The rows go, the edit is refused and stays readable; granted again before the sync, it goes through."""
    a, b = world.devices["a"], world.devices["b"]
    run(a, "INSERT INTO form (id) VALUES ('a')")
    world.heal()
    run(b, "UPDATE form SET whole = 7")
    del world.access["ben"]["p:1"]
    if granted_again:
        world.access["ben"]["p:1"] = "rw"
    check_healed(world)
    if granted_again:
        assert value(a, "SELECT whole FROM form") == 7
        return
    assert b.rows("form") == []
    assert [r.operations[0]["set"] for r in b.replica.refused()] == [{"whole": 7}]
    world.access["ben"]["p:1"] = "rw"
    check_healed(world)
    assert value(b, "SELECT whole FROM form") == 0


def test_trap_17_the_schema_changes_between_capture_and_upload(tmp_path: Path) -> None:
    """A device that is too old or too new is told so, and its work waits until both sides speak one schema again."""
    old, new = hf.Schema(Form, version=1), hf.Schema(Form, version=2)
    identity = hf.Identity("ann", {"p:1": "rw"})
    with (
        closing(hf.Server(f"sqlite:///{tmp_path}/old.db", old)) as old_hub,
        closing(hf.Server(f"sqlite:///{tmp_path}/new.db", new)) as new_hub,
    ):
        with hf.Replica(tmp_path / "a.db", old, transport=LocalTransport(new_hub, identity)) as a:
            a.execute("INSERT INTO form (id) VALUES ('a')")
            with pytest.raises(hf.HoldfastError) as caught:
                a.sync()
            assert caught.value.code == "schema_outdated"
            assert [p.operations[0]["key"] for p in a.pending()] == ["a"]
        with hf.Replica(tmp_path / "a.db", new, transport=LocalTransport(old_hub, identity)) as a:
            with pytest.raises(hf.HoldfastError) as caught:
                a.sync()
            assert caught.value.code == "schema_version"
            assert [p.operations[0]["key"] for p in a.pending()] == ["a"]
        with pytest.raises(hf.HoldfastError) as caught, hf.Replica(tmp_path / "a.db", old):
            pass
        assert caught.value.code == "schema_changed"
        with hf.Replica(tmp_path / "a.db", new, transport=LocalTransport(new_hub, identity)) as a:
            assert a.sync().pushed == 1
    with closing(apsw.Connection(str(tmp_path / "new.db"))) as db:
        assert db.execute("SELECT id FROM form").get == "a"
