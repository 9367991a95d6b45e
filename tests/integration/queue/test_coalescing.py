"""Edits that nobody has seen become one; what others depend on stays where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.testing.clock import PartyClock, WorldTime
from tests.integration.queue.site import Site


def transactions(device: hf.Replica) -> list[list[tuple[str, str]]]:
    """(operation, key) of each transaction in the next request."""
    request = json.loads(device.build_request())
    return [[(op["op"], op["key"]) for op in transaction["ops"]] for transaction in request.get("transactions", [])]


def test_edits_of_one_row_become_one_operation(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO form (id) VALUES ('f1')")
        device.sync()
        for number in range(50):
            device.execute("UPDATE form SET title = ?, visits = visits + 1 WHERE id = 'f1'", (f"t{number}",))
        assert len(device.pending()) == 50
        assert transactions(device) == [[("update", "f1")]]
        (item,) = device.pending()
        assert (item.parts, item.txn, item.operations[0]["set"]) == (50, 51, {"title": "t49", "visits": 50})
        assert device.sync().pushed == 50
        assert device.execute("SELECT title, visits FROM form") == [("t49", 50)]
    assert site.rows("form")[0][1:3] == ("t49", 50)


def test_a_new_row_and_its_edits_go_together(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO form (id) VALUES ('f1')")
        device.execute("UPDATE form SET title = 'a' WHERE id = 'f1'")
        device.execute("UPDATE form SET title = 'b' WHERE id = 'f1'")
        device.execute("DELETE FROM form WHERE id = 'f1'")
        # What was written before the deletion is written: should the row come back, it comes back whole.
        assert transactions(device) == [[("insert", "f1"), ("update", "f1"), ("delete", "f1")]]
        assert device.sync().pushed == 4
    assert site.rows("form") == []


def test_where_each_edit_counts_each_is_sent(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO fragile (id) VALUES ('x')")
        for number in range(3):
            device.execute("UPDATE fragile SET value = ? WHERE id = 'x'", (number + 1,))
        assert len(transactions(device)) == 4


def test_labels_reach_the_history(site: Site) -> None:
    with site.device() as device:
        for label in ("draft", "draft", "approve"):
            with device.transaction(label):
                device.execute("INSERT OR IGNORE INTO form (id) VALUES ('f1')")
                device.execute("UPDATE form SET visits = visits + 1 WHERE id = 'f1'")
        assert transactions(device) == [[("insert", "f1"), ("update", "f1")], [("update", "f1")]]


def test_no_edit_moves_across_what_depends_on_it(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO album (id, name) VALUES ('a1', 'x')")
        device.execute("INSERT INTO photo (id, album) VALUES ('p1', 'a1')")
        device.execute("UPDATE album SET name = 'y' WHERE id = 'a1'")
        device.execute("INSERT INTO album (id, name) VALUES ('a2', 'x')")
        device.execute("UPDATE album SET name = 'z' WHERE id = 'a1'")
        found = transactions(device)
        assert found == [[("insert", key)] if kind else [("update", key)] for key, kind in
                         (("a1", 1), ("p1", 1), ("a1", 0), ("a2", 1), ("a1", 0))]  # fmt: skip
        assert device.sync().refused == []


def test_transactions_of_several_rows_stay_whole(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO form (id) VALUES ('f1')")
        with device.transaction():
            device.execute("UPDATE form SET visits = 1 WHERE id = 'f1'")
            device.execute("INSERT INTO form (id) VALUES ('f2')")
        device.execute("UPDATE form SET visits = 2 WHERE id = 'f1'")
        device.execute("UPDATE form SET visits = 3 WHERE id = 'f1'")
        assert transactions(device) == [[("insert", "f1")], [("update", "f1"), ("insert", "f2")], [("update", "f1")]]


def test_what_was_sent_is_not_joined_with_what_follows(site: Site) -> None:
    with site.device() as device:
        device.execute("INSERT INTO form (id) VALUES ('f1')")
        device.build_request()  # nobody knows whether it arrives
        device.execute("UPDATE form SET title = 'a' WHERE id = 'f1'")
        device.execute("UPDATE form SET title = 'b' WHERE id = 'f1'")
        assert device.sync().rounds == 2
        assert device.execute("SELECT title FROM form") == [("b",)]
    assert site.rows("form")[0][1] == "b"


def test_the_order_that_was_asked_for_survives(site: Site) -> None:
    with site.device() as device:
        with device.transaction() as first:
            device.execute("INSERT INTO photo (id) VALUES ('p1')")
        with device.transaction(after=[first]):
            device.execute("INSERT INTO form (id) VALUES ('f1')")
        device.execute("UPDATE form SET title = 'a' WHERE id = 'f1'")
        assert site.order(device) == ["p1", "f1", "f1"]


def test_the_hub_ends_in_the_same_state_with_and_without(tmp_path: Path) -> None:
    states = []
    for coalesce in (True, False):
        folder = tmp_path / str(coalesce)
        folder.mkdir()
        states.append(two_foremen(folder, coalesce=coalesce))
    assert states[0] == states[1]


def two_foremen(folder: Path, *, coalesce: bool) -> Any:
    """Two devices edit one form, offline and in turns; what the hub and both devices show in the end."""

    class Report(hf.Table, key="id", space="site", queue=hf.Queue(coalesce=coalesce)):
        id: str
        title: str = ""
        notes: str = ""
        visits: hf.Counter = 0
        tags: hf.Set[str]

    schema, time = hf.Schema(Report), WorldTime()
    hub = hf.Server(f"sqlite:///{folder / 'hub.db'}", schema, now=PartyClock(time))
    bits = iter(range(10**6))
    ann, ben = (
        hf.Replica(
            folder / f"{name}.db",
            schema,
            transport=hf.testing.LocalTransport(hub, hf.Identity(name, {"site": "rw"})),
            now=PartyClock(time),
            random_bits=lambda n: next(bits) % 2**n,
        )
        for name in ("ann", "ben")
    )
    with hub, ann, ben:
        ann.execute("INSERT INTO report (id, tags) VALUES ('r', '[\"a\"]')")
        ann.sync()
        ben.sync()
        for turn in range(6):
            for place, device in enumerate((ann, ben)):
                time.advance(1000)
                device.execute("UPDATE report SET title = ?, visits = visits + 1", (f"{place} {turn}",))
                time.advance(1000)
                device.execute("UPDATE report SET tags = ?", (json.dumps([f"{place}", f"{turn}"]),))
                time.advance(1000)
                device.execute("UPDATE report SET notes = notes || ?, visits = visits - 1 - ?", (str(turn), turn))
        ann.sync()
        time.advance(1000)
        ben.sync()
        ann.sync()
        query = "SELECT title, notes, visits, tags FROM report"
        assert ann.execute(query) == ben.execute(query)
        assert ann.digest("site") == ben.digest("site")
        # Conflicts are rows, too; of edits that were joined there is one instead of several.
        stamps = "SELECT stamps FROM holdfast_row JOIN holdfast_table ON id = tbl WHERE name = 'report'"
        return ann.execute(query), ann.execute(stamps)
