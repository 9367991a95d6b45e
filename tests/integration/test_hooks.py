"""The application's say: refusing a write before it is accepted, and reacting after it was committed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import holdfast as hf


class Visit(hf.Table, space="all"):
    place: str = ""
    crew: hf.Counter = 0


class Other(hf.Table, space="all"):
    text: str = ""


SCHEMA = hf.Schema(Visit, Other)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[hf.Server]:
    with hf.Server(f"sqlite:///{tmp_path}/hub.db", SCHEMA) as server:
        yield server


@pytest.fixture
def device(server: hf.Server, tmp_path: Path) -> Iterator[hf.Replica]:
    way = hf.testing.LocalTransport(server, hf.Identity("anna", {"all": "rw"}, {"role": "foreman"}))
    with hf.Replica(tmp_path / "a.db", SCHEMA, transport=way) as device:
        yield device


def test_a_hook_sees_the_row_before_and_after_and_may_refuse(server: hf.Server, device: hf.Replica) -> None:
    seen: list[tuple[object, ...]] = []

    @server.before_write("visit")
    def check(change: hf.Change, context: hf.Context) -> None:
        seen.append((change.kind, change.old and change.old["crew"], change.new and change.new["crew"]))
        assert (context.identity.claims["role"], context.space, context.device) == ("foreman", "all", device.device)
        if change.new is not None and change.new["crew"] > 10:
            raise hf.Refuse("at most ten people", code="crew_too_large")

    device.execute("insert into visit (id, crew) values ('1', 8)")
    device.execute("insert into other (id) values ('1')")
    device.sync()
    device.execute("update visit set crew = crew + 5")
    report = device.sync()
    assert [(refusal.code, refusal.message) for refusal in report.refused] == [("crew_too_large", "at most ten people")]
    assert device.execute("select crew from visit") == [(8,)]
    device.execute("delete from visit")
    device.sync()
    assert seen == [("insert", None, 8), ("update", 8, 13), ("delete", 8, None)]


def test_a_hook_for_every_table_and_one_that_fails(server: hf.Server, device: hf.Replica) -> None:
    @server.before_write()
    def fails(change: hf.Change, context: hf.Context) -> None:
        if change.table == "other":
            raise ZeroDivisionError

    device.execute("insert into other (id) values ('1')")
    device.execute("insert into visit (id) values ('1')")
    report = device.sync()
    assert (report.pushed, [refusal.code for refusal in report.refused]) == (1, ["hook_failed"])


def test_a_hook_for_a_table_that_does_not_exist_is_refused_at_once(server: hf.Server) -> None:
    with pytest.raises(hf.HoldfastError) as raised:
        server.before_write("visits")
    assert raised.value.code == "unknown_table"


def test_reactions_come_after_the_commit_with_whole_transactions(server: hf.Server, device: hf.Replica) -> None:
    told: list[list[tuple[str, str]]] = []

    @server.after_commit
    def react(changes: Sequence[hf.Change], context: hf.Context) -> None:
        told.append([(change.table, change.kind) for change in changes])
        assert server.health()
        raise ZeroDivisionError  # the write stands

    with device.transaction():
        device.execute("insert into visit (id) values ('1')")
        device.execute("insert into other (id) values ('1')")
    device.execute("update visit set place = 'x'")
    assert device.sync().pushed == 2
    assert told == [[("visit", "insert"), ("other", "insert")], [("visit", "update")]]
    assert device.sync().rounds == 1
