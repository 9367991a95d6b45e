"""Writing over what a process remembers: the database finds out whether it is so, and then nothing is kept."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from holdfast.stores.base import Need, NotRemembered, Origin, Space, StoreUnavailable, found_behind
from holdfast.stores.contract.ground import feed, write
from holdfast.stores.contract.samples import batch, contract_schema, place
from holdfast.stores.postgres import PostgresStore
from holdfast.stores.postgres.memory import MOST, MOST_PAUSE, Memory
from tests.postgres import as_role, connect, database, end_connections
from tests.unit.stores.postgres.two_stores import TwoStores

LOOK = Need(spaces=["a"], after={"a": (0, 0)}, only=True)


def need(*keys: str, new: bool = True) -> Need:
    """Of a push of new rows."""
    rows = [("place", key) for key in keys]
    return Need(origins=["o"], rows=rows, spaces=["a", "b"], at_once=True, new=new, then=LOOK)


class Hubs(TwoStores):
    """`one` remembers its last write."""

    def __init__(self, things: ExitStack) -> None:
        super().__init__(things)
        self.n = 0
        write(self.one, batch(place("first"), origins=[Origin("o", "d", "u", 1, 1)]))
        self.push("second", new=False)
        self.n = 2

    def push(self, *keys: str, new: bool = True, n: int = 2, store: PostgresStore | None = None) -> dict[str, Space]:
        """Write new places; `n` is what the origin comes to."""
        with (store or self.one).transaction_for(need(*keys, new=new), write=True) as tx:
            known = tx.origins(["o"])
            assert tx.rows([("place", key) for key in keys]) == {}
            assert tx.noted([("place", key) for key in keys]) == set()
            with tx.savepoint():
                heads = tx.write(batch(*map(place, keys), origins=[known["o"]._replace(last_n=n)], hlc=n))
            assert tx.aside() == []
        self.looked = found_behind(tx)
        return heads

    def keys(self) -> list[str]:
        return [key for (key,) in self.program.execute("select id from place order by id")]


@pytest.fixture
def hubs() -> Iterator[Hubs]:
    with ExitStack() as things:
        yield Hubs(things)


def refused(hubs: Hubs, *keys: str) -> None:
    """The write from memory keeps nothing; the same one that asks goes through, and the next one from memory, too."""
    before = hubs.keys(), feed(hubs.two)
    with pytest.raises(NotRemembered):
        hubs.push(*keys)
    assert (hubs.keys(), feed(hubs.two)) == before


def test_the_next_write_asks_nothing_and_its_heads_are_as_it_said(hubs: Hubs) -> None:
    for number in range(3):
        told = hubs.push(f"x{number}", n=3 + number)
        with hubs.two.transaction(write=False) as tx:
            assert tx.spaces(["a"]) == told
            assert tx.chain_at("a", told["a"].head) == told["a"].chain
            assert tx.origins(["o"])["o"].last_n == 3 + number
            assert tx.hub().hlc == 3 + number
    assert [seq for seq, _ in feed(hubs.two)] == [1, 2, 3, 4, 5]


def test_what_the_answer_asks_is_read_behind_the_commit(hubs: Hubs) -> None:
    told = hubs.push("x", n=3)
    write(hubs.two, batch(place("later")))
    with hubs.one.transaction_for(LOOK._replace(found=hubs.looked), write=False) as tx:
        assert tx.spaces(["a"]) == told
        assert [seq for seq, _ in tx.feed("a", 0, 9, patches=True)] == [1, 2, 3]


def test_another_hub_that_was_faster_is_noticed_and_asked_for_a_while(hubs: Hubs) -> None:
    write(hubs.two, batch(place("y")))
    refused(hubs, "x")
    assert hubs.push("x", new=False)["a"].head == 4
    assert hubs.push("z", n=3)["a"].head == 5


def test_a_transaction_that_another_hub_has_taken_is_noticed(hubs: Hubs) -> None:
    with hubs.two.transaction(write=True) as tx:
        tx.origins(["o"])
        tx.write(batch(origins=[Origin("o", "d", "u", 3, 1)]))
    refused(hubs, "x")


def test_an_origin_that_is_somebody_elses_now_is_noticed(hubs: Hubs) -> None:
    hubs.program.execute("update holdfast.origin set \"user\" = 'another'")
    refused(hubs, "x")


def test_a_row_that_is_there_already_is_noticed(hubs: Hubs) -> None:
    refused(hubs, "first")


def test_what_another_program_has_noted_is_noticed(hubs: Hubs) -> None:
    hubs.program.execute("insert into place (id, name) values ('x', '')")
    refused(hubs, "x")
    hubs.push("other", new=False)


def test_a_space_that_was_only_looked_at_is_compared_too(hubs: Hubs) -> None:
    """Somebody put it back from a backup meanwhile (trap 2)."""
    write(hubs.one, batch(place("other", space="b")))
    hubs.push("x", new=False)

    def look_and_push(key: str) -> None:
        with hubs.one.transaction_for(need(key), write=True) as tx:
            assert tx.origins(["o"])["o"].last_n == 2
            assert tx.spaces(["a", "b"])["b"].head == 1
            assert tx.chain_at("a", tx.spaces(["a"])["a"].head - 1) is not None
            assert tx.noted([("place", key)]) == set()
            tx.write(batch(place(key), origins=[Origin("o", "d", "u", 2, 1)]))

    hubs.push("y")
    look_and_push("z")
    write(hubs.two, batch(place("later", space="b")))  # that is no loss
    look_and_push("zz")
    hubs.program.execute(
        "update holdfast.commit c set chain = 'lost' from holdfast.space s where s.id = c.space and s.name = 'b'"
    )
    with pytest.raises(NotRemembered):
        look_and_push("zzz")


def test_rows_that_wait_aside_are_asked_for(hubs: Hubs) -> None:
    hubs.program.execute("insert into holdfast.dirty (tbl, key, problem) values ('item', 'orphan', 'no parent')")
    refused(hubs, "x")


def test_whoever_asks_for_more_is_told_to_begin_anew(hubs: Hubs) -> None:
    for ask in (
        lambda tx: tx.rows([("place", "unforeseen")]),
        lambda tx: tx.results(["o"]),
        lambda tx: tx.spaces(["a"]),
        lambda tx: tx.write(batch(place("x", space="new"))),
        lambda tx: None,
    ):
        with pytest.raises(NotRemembered), hubs.one.transaction_for(need("x"), write=True) as tx:
            ask(tx)  # type: ignore[no-untyped-call]
        for new in (False, True, True):  # it asks, rests, and is proved right
            hubs.push(f"p{uuid.uuid4().hex}", new=new)


def test_what_is_decided_in_vain_is_tried_less_often(hubs: Hubs) -> None:
    rests = []
    for number in range(4):
        with pytest.raises(NotRemembered), hubs.one.transaction_for(need("x"), write=True) as tx:
            tx.results(["o"])
        hubs.push(f"p{number}", new=False)
        rests.append(next(count for count in range(100) if hubs.one._memory.covers(need("x"))))
    assert rests == [1, 3, 7, 15]


def test_a_table_that_somebody_holds_behind_the_commit_holds_no_writer(hubs: Hubs) -> None:
    with closing(PostgresStore(hubs.dsn, patience=0.2)) as store:
        store.open(contract_schema())
        with hubs.program.transaction():
            hubs.program.execute("lock table holdfast.hub in access exclusive mode")
            for key in ("x", "y"):
                # The first one asks, and asks for that table.
                with pytest.raises(StoreUnavailable):
                    hubs.push(key, new=False, store=store)
        hubs.push("x", n=3, store=store)
        with hubs.program.transaction():
            hubs.program.execute("lock table holdfast.hub in access exclusive mode")
            hubs.push("y", n=4, store=store)
            assert hubs.looked is None
            with pytest.raises(StoreUnavailable), store.transaction_for(LOOK, write=False):
                pass
    assert hubs.keys() == ["first", "second", "x", "y"]


def test_a_connection_that_was_lost_meanwhile_is_replaced(hubs: Hubs) -> None:
    end_connections(hubs.program, "holdfast%")
    with pytest.raises(NotRemembered):
        hubs.push("x")
    assert hubs.push("x", new=False)["a"].head == 3


def test_an_answer_that_cannot_be_read_hides_no_commit() -> None:
    name = f"half_blind_{uuid.uuid4().hex}"
    with database() as dsn, connect(dsn) as admin, ExitStack() as things:
        owner = PostgresStore(dsn)
        owner.open(contract_schema())
        owner.close()
        admin.execute(f"create role {name} login".encode())
        things.callback(admin.execute, f"drop owned by {name}; drop role {name}".encode())
        for schema in ("public", "holdfast"):
            admin.execute(f"grant usage on schema {schema} to {name}".encode())
            admin.execute(f"grant all on all tables in schema {schema} to {name}".encode())
            admin.execute(f"grant all on all sequences in schema {schema} to {name}".encode())
        with closing(PostgresStore(as_role(dsn, name), install=False)) as store:
            store.open(contract_schema())
            write(store, batch(place("first"), origins=[Origin("o", "d", "u", 1, 1)]))
            admin.execute(f'revoke select on holdfast."row" from {name}'.encode())
            columns = "tbl, key, mark, space, seq, life, image, kept"  # those that are not for answers alone
            admin.execute(f'grant select ({columns}) on holdfast."row" to {name}'.encode())
            with store.transaction_for(need("x", new=False), write=True) as tx:
                tx.origins(["o"])
                tx.noted([("place", "x")])
                tx.write(batch(place("x"), origins=[Origin("o", "d", "u", 2, 1)]))
        assert found_behind(tx) is None
        assert admin.execute("select count(*) from place").fetchall() == [(2,)]


def test_a_memory_holds_the_latest_and_rests_where_others_write() -> None:
    memory = Memory()
    wants = need("x")._replace(origins=["o1"])

    def learn() -> None:
        origins = {f"o{n}": Origin(f"o{n}", "d", "u", 1, 1) for n in range(MOST + 1)}
        spaces: Any = {"a": (1, Space("a", "e", 1, "c", 0))}
        memory.read(memory.state, origins, spaces, {}, quiet=True)

    learn()
    assert memory.covers(wants)
    assert not memory.covers(wants._replace(origins=["o0"]))
    rests = []
    for _ in range(8):
        memory.failed()
        learn()
        rests.append(next(count for count in range(100) if memory.covers(wants)))
    assert rests == [1, 3, 7, 15, 31, 63, MOST_PAUSE, MOST_PAUSE]
    memory.proved()
    memory.failed()
    learn()
    assert [memory.covers(wants) for _ in range(2)] == [False, True]


def test_a_cursor_beyond_what_is_remembered_is_asked_for() -> None:
    """Another hub has moved the space on: its devices have lost no history."""
    memory = Memory()
    spaces: Any = {"a": (1, Space("a", "e", 10, "c", 0))}
    memory.read(memory.state, {"o": Origin("o", "d", "u", 1, 1)}, spaces, {}, quiet=True)
    wants = need("x")
    assert memory.covers(wants._replace(heads=[("a", 10)]))
    assert not memory.covers(wants._replace(heads=[("a", 11)]))
    assert not memory.covers(wants._replace(heads=[("a", 10), ("b", 1)]))
