"""What the SQLite store does with files: strange ones, those of others, and tables that are there already."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast.errors import HoldfastError
from holdfast.schema.model import Column, Schema, Table
from holdfast.stores.base import StoreUnavailable, Violation
from holdfast.stores.contract.ground import aside, feed, write
from holdfast.stores.contract.samples import PLACE, SPACE, batch, contract_schema, item, place, row
from holdfast.stores.sqlite import SqliteStore

THING = Table(
    "thing", (Column("id", "text"), Column("label", "text"), Column("code", "text", nullable=True)), ("id",), SPACE
)


def run(path: Path, *statements: str) -> list[Any]:
    """Another program: run the statements, give the rows of the last one."""
    connection = apsw.Connection(str(path))
    try:
        return [connection.execute(statement).fetchall() for statement in statements][-1]
    finally:
        connection.close()


def refusal(path: Path | str, schema: Schema | None = None) -> HoldfastError:
    store = SqliteStore(path)
    with pytest.raises(HoldfastError) as caught:
        store.open(schema or contract_schema())
    store.close()
    return caught.value


def test_no_folder(tmp_path: Path) -> None:
    error = refusal(tmp_path / "missing" / "hub.db")
    assert error.code == "store_open"
    assert str(tmp_path / "missing") in error.message
    assert not (tmp_path / "missing").exists()


def test_a_folder_and_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path).code == "store_open"
    assert refusal(":memory:").code == "store_open"


def test_not_a_database(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear Sir, " * 1_000)
    error = refusal(path)
    assert error.code == "store_open"
    assert error.details["file"] == str(path)
    assert path.read_bytes() == b"Dear Sir, " * 1_000


@pytest.fixture
def locked() -> Iterator[Path]:
    """A database in a folder where this process may read only. Root may write everywhere, so it steps down."""
    folder = Path(tempfile.mkdtemp())
    run(folder / "hub.db", "CREATE TABLE mine (x)")
    (folder / "hub.db").chmod(0o444)
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield folder / "hub.db"
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_read_only(locked: Path) -> None:
    before = locked.read_bytes()
    error = refusal(locked)
    assert error.code == "store_open"
    assert "rights" in error.message
    assert locked.read_bytes() == before
    assert refusal(locked.with_name("new.db")).code == "store_open"


def test_a_device_file(tmp_path: Path) -> None:
    path = tmp_path / "tablet.db"
    run(path, "CREATE TABLE holdfast_capture (op INTEGER PRIMARY KEY)")
    error = refusal(path)
    assert error.code == "store_open"
    assert "device" in error.message
    assert run(path, "SELECT count(*) FROM sqlite_schema") == [(1,)]


def test_a_newer_format(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    with_store(path)
    run(path, "UPDATE holdfast_hub SET format = 99")
    error = refusal(path)
    assert (error.code, error.details["found"]) == ("store_format", 99)


def with_store(path: Path, schema: Schema | None = None) -> None:
    """Open and close a store on the file."""
    store = SqliteStore(path)
    store.open(schema or contract_schema())
    store.close()


@pytest.mark.parametrize(
    ("ddl", "column"),
    [
        ("CREATE TABLE thing (id TEXT PRIMARY KEY, label TEXT)", "code"),
        ("CREATE TABLE thing (id TEXT PRIMARY KEY, label INTEGER, code TEXT)", "label"),
        ("CREATE TABLE thing (id TEXT PRIMARY KEY, label TEXT, code TEXT NOT NULL)", "code"),
        ("CREATE TABLE thing (id TEXT, label TEXT PRIMARY KEY, code TEXT)", "id"),
        ("CREATE TABLE thing (id TEXT PRIMARY KEY, label TEXT, code TEXT AS (label))", "code"),
        ("CREATE TABLE thing (id TEXT PRIMARY KEY, label TEXT, code TEXT, more TEXT NOT NULL)", "more"),
    ],
)
def test_a_table_that_does_not_fit(tmp_path: Path, ddl: str, column: str) -> None:
    path = tmp_path / "hub.db"
    run(path, ddl)
    error = refusal(path, Schema(1, (THING,)))
    assert (error.code, error.details["table"], error.details["column"]) == ("schema_mismatch_table", "thing", column)
    assert error.details["expected"]
    assert error.details["found"]
    assert run(path, "SELECT name FROM sqlite_schema WHERE type = 'table'") == [("thing",)]


def test_a_synced_table_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    with_store(path, Schema(1, (THING,)))
    run(path, "DROP TABLE thing")
    assert refusal(path, Schema(1, (THING,))).code == "schema_mismatch_table"


def test_rows_that_are_there_already_are_noted_once(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    ddl = "CREATE TABLE thing (id VARCHAR(40) PRIMARY KEY, label TEXT, code TEXT, more TEXT)"
    run(path, ddl, "INSERT INTO thing VALUES ('1', 'one', NULL, 'kept'), ('2', 'two', 'x', 'kept')")
    store = SqliteStore(path)
    store.open(Schema(1, (THING,)))
    with store.transaction(write=True) as tx:
        notes = tx.dirty(10)
        assert [(note.key, note.values) for note in notes] == [
            ("1", (["1"], ["one", None])),
            ("2", (["2"], ["two", "x"])),
        ]
        tx.clean(notes)
    store.close()
    store = SqliteStore(path)
    store.open(Schema(1, (THING,)))
    with store.transaction(write=False) as tx:
        assert not tx.has_dirty()
    store.close()


@pytest.mark.parametrize("maker", ["hub", "application"])
def test_a_new_column_gets_the_next_slot(tmp_path: Path, maker: str) -> None:
    path = tmp_path / "hub.db"
    with_store(path, Schema(1, (THING,)))
    columns = (Column("id", "text"), *THING.cells, Column("rank", "int", default=7))
    newer = Schema(2, (Table("thing", columns, ("id",), SPACE),))
    if maker == "application":
        run(path, "ALTER TABLE thing ADD COLUMN rank INTEGER NOT NULL DEFAULT 0")
    store = SqliteStore(path)
    assert store.open(newer)["thing"] == ["label", "code", "rank"]
    write(store, batch(row(newer.table("thing"), "1", ["short", None]), row(newer.table("thing"), "2", ["l", "c", 9])))
    store.close()
    assert run(path, "SELECT id, label, code, rank FROM thing ORDER BY id") == [
        ("1", "short", None, 7),
        ("2", "l", "c", 9),
    ]


def test_columns_of_others_keep_their_values(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    ddl = "CREATE TABLE thing (id TEXT PRIMARY KEY, label TEXT, code TEXT UNIQUE, more TEXT DEFAULT 'new')"
    run(path, ddl, "INSERT INTO thing VALUES ('1', 'one', 'x', 'mine'), ('2', 'two', 'y', 'yours')")
    store = SqliteStore(path)
    store.open(Schema(1, (THING,)))
    rows = [row(THING, key, ["l", code], fresh=False) for key, code in (("1", "y"), ("2", "x"), ("3", "z"))]
    write(store, batch(*rows))
    store.close()
    assert run(path, "SELECT id, code, more FROM thing ORDER BY id") == [
        ("1", "y", "mine"),
        ("2", "x", "yours"),
        ("3", "z", "new"),
    ]


def test_a_row_that_does_not_fit_waits_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "hub.db"
    run(path, "CREATE TABLE thing (id TEXT PRIMARY KEY, label TEXT, code TEXT)")
    store = SqliteStore(path)
    store.open(Schema(1, (THING,)))
    run(path, "INSERT INTO thing VALUES ('1', NULL, NULL), ('2', 'two', NULL)")
    with caplog.at_level(logging.WARNING), store.transaction(write=True) as tx:
        assert [note.key for note in tx.dirty(1)] == ["2"]
    assert "'1'" in caplog.text
    assert [(table, key) for table, key, _ in aside(store)] == [("thing", "1")]
    run(path, "UPDATE thing SET label = 'one' WHERE id = '1'")
    assert aside(store) == []
    with store.transaction(write=True) as tx:
        assert [note.key for note in tx.dirty(10)] == ["2", "1"]
    store.close()


def test_triggers_of_an_application_run(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    store = SqliteStore(path)
    store.open(contract_schema())
    write(store, batch(place("1")))
    run(
        path,
        "CREATE TABLE log (key TEXT)",
        "CREATE TRIGGER logs AFTER INSERT ON place BEGIN INSERT INTO log VALUES (NEW.id); END",
    )
    write(store, batch(place("2")))
    run(path, "DROP TRIGGER logs")
    write(store, batch(place("3")))
    with store.transaction(write=False) as tx:
        assert not tx.has_dirty()
    store.close()
    assert run(path, "SELECT key FROM log") == [("2",)]


def test_foreign_keys_of_tables_that_are_not_synced(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    store = SqliteStore(path)
    store.open(contract_schema())
    write(store, batch(place("1"), place("2")))
    store.close()
    run(
        path,
        "CREATE TABLE photo (id INTEGER PRIMARY KEY, place TEXT REFERENCES place)",
        "INSERT INTO photo VALUES (1, '1')",
    )
    store.open(contract_schema())
    with pytest.raises(Violation) as caught:
        write(store, batch(row(PLACE, "1", None, fresh=False)))
    assert (caught.value.kind, caught.value.table, caught.value.columns) == ("foreign_key", "photo", ("place",))
    write(store, batch(row(PLACE, "2", None, fresh=False)))
    store.close()


def test_a_refused_batch_leaves_nothing_even_without_savepoint(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    store = SqliteStore(path)
    store.open(contract_schema())
    with store.transaction(write=True) as tx:
        with pytest.raises(Violation):
            tx.write(batch(place("1"), item("i", "missing")))
        tx.write(batch(place("2")))
    assert [seq for seq, _ in feed(store)] == [1]
    store.close()
    assert run(path, "SELECT id FROM place") == [("2",)]


def test_a_busy_file_is_a_temporary_trouble(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    store = SqliteStore(path, patience=0.05)
    store.open(contract_schema())
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="busy"):
        write(store, batch(place("1")))
    with store.transaction(write=False) as tx:
        assert tx.all_spaces() == []
    other.execute("ROLLBACK")
    other.close()
    write(store, batch(place("1")))
    with store.transaction(write=True), pytest.raises(StoreUnavailable, match="another writer"):
        write(store, batch(place("2")))
    store.close()


def test_a_full_disk_is_a_temporary_trouble(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    store = SqliteStore(path)
    store.open(contract_schema())
    assert store._writer is not None
    pages = store._writer.pragma("page_count")
    store._writer.pragma("max_page_count", pages)
    with pytest.raises(StoreUnavailable, match="full"), store.transaction(write=True) as tx, tx.savepoint():
        tx.write(batch(*(row(PLACE, str(n), ["x" * 5_000, None, None, None]) for n in range(100))))
    store._writer.pragma("max_page_count", 2**30)
    write(store, batch(place("1")))
    assert [seq for seq, _ in feed(store)] == [1]
    store.close()


def test_a_transaction_that_ended_is_closed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "hub.db")
    with pytest.raises(HoldfastError, match="store_closed"), store.transaction(write=False):
        pass
    store.open(contract_schema())
    with store.transaction(write=False) as tx, pytest.raises(HoldfastError, match="transaction_read_only"):
        tx.write(batch())
    with pytest.raises(HoldfastError, match="transaction_closed"):
        tx.hub()
    with pytest.raises(HoldfastError, match="store_not_fresh"):
        write(store, batch(place("1"), place("1")))
    store.close()


OTHER_PROCESS = """
import sys
from holdfast.stores.contract.ground import write
from holdfast.stores.contract.samples import batch, contract_schema, place
from holdfast.stores.sqlite import SqliteStore
store = SqliteStore(sys.argv[1])
store.open(contract_schema())
for turn in range(30):
    with store.transaction(write=True) as tx:
        tx.write(batch(place(f"{sys.argv[2]}/{turn}"), hlc=tx.hub().hlc + 1))
store.close()
"""


def test_two_processes_on_one_file(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    running = [subprocess.Popen([sys.executable, "-c", OTHER_PROCESS, str(path), name]) for name in "ab"]
    assert [process.wait(120) for process in running] == [0, 0]
    store = SqliteStore(path)
    store.open(contract_schema())
    with store.transaction(write=False) as tx:
        assert tx.hub().hlc == 60
    assert [seq for seq, _ in feed(store)] == list(range(1, 61))
    store.close()


def test_a_seeded_store_repeats_itself(tmp_path: Path) -> None:
    names = []
    for name in ("one.db", "two.db"):
        numbers = iter(range(100))
        store = SqliteStore(tmp_path / name, random=lambda _bits, numbers=numbers: next(numbers))
        store.open(contract_schema())
        names.append(write(store, batch(place("1")))["a"].epoch)
        store.close()
    assert names == ["000000000001", "000000000001"]
