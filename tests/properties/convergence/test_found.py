"""What the machines found, each as the shortest story that shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.properties.convergence.judge import Judge
from tests.properties.convergence.statements import Statement
from tests.properties.convergence.tables import SCHEMA
from tests.properties.convergence.test_convergence import ACCESS, check_healed
from tests.properties.convergence.world import Device, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A hub with the devices a, b and c, which are empty."""
    world = World(tmp_path, SCHEMA, ACCESS)
    for name, user in (("a", "ann"), ("b", "ben"), ("c", "cay")):
        world.add(name, user)
    yield world
    world.close()


@pytest.fixture
def judge(world: World) -> Judge:
    """The same world, replayed on the model."""
    world.watcher = found = Judge(world)
    return found


def run(device: Device, sql: str, *parameters: Any) -> None:
    device.replica.execute(sql, parameters)


def test_an_own_edit_over_a_staged_page_is_not_lost(world: World) -> None:
    """A page was kept from a cut response; then the row was edited, and the hub took the edit as plain."""
    a, b = world.devices["a"], world.devices["b"]
    run(a, "INSERT INTO form (id) VALUES ('a')")
    world.heal()
    run(b, "UPDATE form SET title = 'from b'")
    assert b.sync()
    a.wire.fault = 999
    assert not a.sync()
    run(a, "UPDATE form SET whole = 7")
    assert a.sync()
    check_healed(world)
    assert a.replica.execute("SELECT title, whole FROM form")[0][:] == ("from b", 7)


def test_a_reset_is_not_forgotten_when_its_response_is_cut(world: World) -> None:
    """The hub was restored; the response that says so was cut off after its first page."""
    a, b = world.devices["a"], world.devices["b"]
    run(a, "INSERT INTO form (id) VALUES ('a')")
    world.heal()
    world.back_up()
    run(a, "INSERT INTO form (id) VALUES ('lost')")
    world.heal()
    world.restore()
    b.wire.fault = 999
    assert not b.sync()
    assert b.sync()
    check_healed(world)
    assert [row["id"] for row in b.replica.execute("SELECT id FROM form ORDER BY id")] == ["a", "lost"]


def test_a_row_that_moves_to_an_earlier_space_is_kept_where_edits_wait(world: World) -> None:
    """Its page of the new space comes before the mark that it left the old one."""
    a, b = world.devices["a"], world.devices["b"]
    run(a, "INSERT INTO form (id, project) VALUES ('a', '2')")
    world.heal()
    run(b, "UPDATE form SET project = '1'")
    assert b.sync()
    run(a, "UPDATE form SET whole = 7")
    assert a.sync()
    check_healed(world)
    assert a.replica.execute("SELECT project, whole FROM form")[0][:] == ("1", 7)


def test_a_new_version_of_a_parent_leaves_its_children_alone(world: World) -> None:
    """The parent has a unique column, so that it is written with REPLACE, and its children go with it."""
    a, b = world.devices["a"], world.devices["b"]
    run(a, "INSERT INTO owner (id, name) VALUES ('x', 'ann')")
    run(a, "INSERT INTO pet (id, owner) VALUES ('p', 'x')")
    world.heal()
    run(a, "UPDATE owner SET name = 'bob'")
    assert a.sync()
    assert b.sync()
    check_healed(world)


def test_a_child_whose_parent_lives_in_a_space_that_is_not_readable(world: World) -> None:
    """Foreign keys are the hub's business: a device may hold only the child."""
    a, c = world.devices["a"], world.devices["c"]
    run(a, "INSERT INTO owner (id, project) VALUES ('x', '2')")
    run(a, "INSERT INTO toy (id, project, owner) VALUES ('t', '1', 'x')")
    assert a.sync()
    assert c.sync()
    check_healed(world)


def test_a_parent_that_moves_out_of_sight_leaves_its_child(world: World) -> None:
    """The parent goes to a space that cay may not read; his children stay, whatever their ON DELETE says."""
    a = world.devices["a"]
    run(a, "INSERT INTO owner (id) VALUES ('x')")
    run(a, "INSERT INTO toy (id, owner) VALUES ('t', 'x')")
    run(a, "INSERT INTO pet (id, owner) VALUES ('p', 'x')")
    world.heal()
    run(a, "UPDATE owner SET project = '2'")
    check_healed(world)


def test_a_foreign_write_in_an_accepted_form_becomes_canonical(world: World) -> None:
    """Another program wrote a set with a duplicate in the hub's table."""
    sql = "INSERT INTO entry (project, number, good, tags) VALUES ('1', 1, 1, '[1, 0, 0]')"
    world.foreign([Statement(sql, ())])
    check_healed(world)
    assert world.devices["a"].rows("entry") == [("1", 1, 1, None, 0, "[0,1]")]


def test_a_row_hidden_by_a_unique_value_that_was_given_back(world: World) -> None:
    """A refusal gives a unique value back to its former owner while a new row holds it; another device frees it."""
    a, b = world.devices["a"], world.devices["b"]
    run(a, "INSERT INTO code (number, label) VALUES (1, 'l')")
    world.heal()
    world.access["ann"]["shared"] = "r"
    run(a, "UPDATE code SET label = 'm'")

    def meanwhile() -> None:
        run(a, "INSERT INTO code (number, label) VALUES (2, 'l')")

    a.wire.during = meanwhile
    assert a.sync()
    world.access["ann"]["shared"] = "rw"
    run(b, "UPDATE code SET label = NULL")
    assert b.sync()
    check_healed(world)


def test_a_foreign_write_that_loses_against_a_merge_type_is_taken_back(world: World) -> None:
    """Null loses against an earliest date; the hub's table must show the date again."""
    run(world.devices["a"], "INSERT INTO form (id, first) VALUES ('a', '1133-03-11')")
    world.heal()
    world.foreign([Statement("UPDATE form SET first = NULL", ())])
    check_healed(world)
    assert world.devices["b"].replica.execute("SELECT first FROM form")[0][0] == "1133-03-11"


def test_a_row_passes_through_a_space_where_its_writer_may_not_write(world: World, judge: Judge) -> None:
    """Where a row lives is decided when the whole transaction is merged: it has never lived in the other space."""
    c = world.devices["c"]
    c.write(
        [
            Statement("INSERT INTO toy (id, project) VALUES ('t', '2')", ()),
            Statement("UPDATE toy SET project = '1'", ()),
        ],
        "transaction",
    )
    check_healed(world)
    assert judge.refused.total() == 0
    assert judge.rows["toy", "t"].space == "p:1"


def test_a_row_that_moves_and_is_deleted_in_one_transaction_dies_where_it_lived(world: World, judge: Judge) -> None:
    """It was never in the other space, so that has no trace of it."""
    a = world.devices["a"]
    run(a, "INSERT INTO form (id) VALUES ('a')")
    world.heal()
    a.write([Statement("UPDATE form SET project = '2'", ()), Statement("DELETE FROM form", ())], "transaction")
    check_healed(world)
    assert judge.rows["form", "a"].space == "p:1"


def test_a_declined_short_exchange_has_heard_of_other_programs(world: World, judge: Judge) -> None:
    """The hub sequences what they wrote before it can say that something is new; then the network breaks."""
    c = world.devices["c"]
    run(world.devices["a"], "INSERT INTO form (id) VALUES ('a')")
    world.heal()
    world.foreign([Statement("DELETE FROM form", ())])
    c.wire.fault = 500
    assert not c.sync()
    assert not judge.rows["form", "a"].alive
    world.foreign([Statement("INSERT INTO form (id) VALUES ('a')", ())], heard=True)
    check_healed(world)
    assert judge.rows["form", "a"].life == 3


def test_a_base_is_known_although_a_later_transaction_of_the_request_was_refused(world: World, judge: Judge) -> None:
    """The database refuses one of three, so they are decided again, in parts, over what is in the history by then."""
    a, b = world.devices["a"], world.devices["b"]
    run(a, "INSERT INTO form (id) VALUES ('a')")
    run(a, "INSERT INTO code (number, label) VALUES (1, 'l')")
    assert a.sync()
    stamps = [f"{world.tick() << 12:014x}-0123456789ab" for _ in range(3)]
    operations = (
        {"op": "insert", "table": "form", "key": "a"},
        {"op": "insert", "table": "code", "key": "2", "set": {"label": "l"}},
        {"op": "update", "table": "form", "key": "a", "life": 1, "set": {"maybe": 7}, "base": {"maybe": stamps[0]}},
    )
    body = {
        "protocol": 1,
        "device": b.replica.device,
        "schema": {"version": 1, "hash": SCHEMA.hash},
        "clock": world.time,
    }
    body["transactions"] = [
        {"origin": "0123456789ab", "n": n, "ops": [{**operation, "stamp": stamp}]}
        for n, (operation, stamp) in enumerate(zip(operations, stamps, strict=True), 1)
    ]
    world.deliver(json.dumps(body).encode(), b)
    assert judge.refused.total() == 1
    (met,) = (row for (table, _), row in judge.rows.items() if table == "holdfast_conflict")
    assert (met.cells["column_name"].value, met.cells["base"].value) == ("maybe", "null")
