"""Files that are not what they should be, and full disks: a clear error that names the file, nothing overwritten."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.edge.local import LocalTransport
from holdfast.stores.base import StoreUnavailable
from tests.integration.hostile.tables import ANNA, SCHEMA

BEN = hf.Identity("ben", ANNA.spaces)


def database(path: Path, *statements: str) -> None:
    db = apsw.Connection(str(path))
    for statement in statements:
        db.execute(statement)
    db.close()


def make_device(path: Path) -> None:
    """A device with unsent work."""
    with hf.Replica(path, SCHEMA) as replica:
        rows = [(f"{number}" * 40,) for number in range(200)]
        replica.executemany("insert into every (project_id, text) values ('1', ?)", rows)


def make_hub(path: Path) -> None:
    """A hub with rows."""
    server = hf.Server(f"sqlite:///{path}", SCHEMA)
    filler = hf.Replica(path.with_name("filler.db"), SCHEMA, transport=LocalTransport(server, ANNA))
    with server, filler:
        filler.execute("insert into every (project_id, text) values ('1', 'x')")
        filler.sync()


def open_device(path: Path) -> None:
    with hf.Replica(path, SCHEMA) as replica:
        replica.execute("select * from every")
        replica.pending()


def open_hub(path: Path) -> None:
    with hf.Server(f"sqlite:///{path}", SCHEMA) as server:
        server.health()


def contents(folder: Path) -> dict[str, bytes | None]:
    """All files of a folder with their bytes; None for folders."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


FILES: dict[str, Callable[[Path], Any]] = {
    "a text": lambda path: path.write_text("Dear diary,\n" * 500),
    "two bytes": lambda path: path.write_bytes(b"xx"),
    "zeros": lambda path: path.write_bytes(bytes(8192)),
    "random bytes": lambda path: path.write_bytes(random.Random(1).randbytes(20_000)),
    "half a header": lambda path: path.write_bytes(b"SQLite format 3\0" + b"\0" * 20),
    "a header and noise": lambda path: path.write_bytes(b"SQLite format 3\0" + random.Random(2).randbytes(8000)),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("act", "codes"), [
    (open_device, {"file_not_database", "file_unusable"}),
    (open_hub, {"store_open", "store_corrupt"}),
])  # fmt: skip
def test_a_file_that_is_no_database_is_left_alone(
    tmp_path: Path, name: str, act: Callable[[Path], None], codes: set[str]
) -> None:
    path = tmp_path / "thing.db"
    FILES[name](path)
    before = contents(tmp_path)
    with pytest.raises(hf.HoldfastError) as caught:
        act(path)
    assert caught.value.code in codes
    assert "thing.db" in caught.value.message
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("make", "act", "codes"), [
    (make_hub, open_device, {"file_foreign"}),
    (make_device, open_hub, {"store_open"}),
    (lambda path: database(path, "create table every (x)"), open_device, {"file_foreign"}),
    (lambda path: database(path, "create table every (x)"), open_hub, {"schema_mismatch_table"}),
    (lambda path: database(path, "create table holdfast_state (x)"), open_device, {"file_foreign"}),
])  # fmt: skip
def test_a_database_of_another_kind_is_left_alone(
    tmp_path: Path, make: Callable[[Path], None], act: Callable[[Path], None], codes: set[str]
) -> None:
    path = tmp_path / "thing.db"
    make(path)
    tables = dump(path)
    with pytest.raises(hf.HoldfastError) as caught:
        act(path)
    assert caught.value.code in codes
    assert "thing.db" in caught.value.message or caught.value.code == "schema_mismatch_table"
    assert dump(path) == tables


def dump(path: Path) -> list[Any]:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    schema = db.execute("select name, sql from sqlite_schema order by 1").fetchall()
    tables = [name for name, sql in schema if sql and "TABLE" in sql.upper()[:20]]
    found = [(name, db.execute(f'select * from "{name}"').fetchall()) for name in tables]
    db.close()
    return [schema, found]


def test_an_empty_file_and_a_database_without_our_names_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    database(tmp_path / "app.db", "create table settings (name, value)", "insert into settings values ('a', 1)")
    for name in ("empty.db", "app.db"):
        open_device(tmp_path / name)
    assert dict(dump(tmp_path / "app.db")[1])["settings"] == [("a", 1)]


@pytest.mark.parametrize(("act", "code"), [(open_device, "file_unusable"), (open_hub, "store_open")])
def test_a_path_in_a_missing_folder_is_named(tmp_path: Path, act: Callable[[Path], None], code: str) -> None:
    with pytest.raises(hf.HoldfastError) as caught:
        act(tmp_path / "nowhere" / "thing.db")
    assert caught.value.code == code
    assert str(tmp_path / "nowhere") in caught.value.message
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(("other", "code"), [(-1, "file_older"), (1, "file_newer")])
def test_a_file_of_another_format_is_refused_and_keeps_its_work(tmp_path: Path, other: int, code: str) -> None:
    path = tmp_path / "device.db"
    make_device(path)
    database(path, f"update holdfast_state set format = format + {other}")
    before = contents(tmp_path)
    with pytest.raises(hf.HoldfastError) as caught:
        open_device(path)
    assert caught.value.code == code
    assert str(path) in caught.value.message
    assert contents(tmp_path)[str(path)] == before[str(path)]
    database(path, f"update holdfast_state set format = format - {other}")
    with hf.Replica(path, SCHEMA) as replica:
        assert len(replica.pending()) == 1


DAMAGE = {
    "value_format", "file_not_database", "file_unusable", "file_newer", "file_older", "schema_changed", "sql",
    "store_open", "file_foreign", "store_corrupt", "store_format", "store_failed", "schema_mismatch_table",
}  # fmt: skip


@pytest.mark.parametrize(("make", "act"), [(make_device, open_device), (make_hub, open_hub)])
@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_file_raises_nothing_but_coded_errors(
    tmp_path: Path, make: Callable[[Path], None], act: Callable[[Path], None], seed: int
) -> None:
    """Bytes turned over or the end cut off. Damage may stay unnoticed, but what is raised names the file."""
    path = tmp_path / "thing.db"
    make(path)
    rng = random.Random(seed)
    data = bytearray(path.read_bytes())
    if seed % 3 == 0:
        del data[rng.randrange(100, len(data)) :]
    else:
        for _ in range(10 if seed % 3 == 1 else 400):
            data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    path.write_bytes(data)
    try:
        act(path)
    except hf.HoldfastError as error:
        assert error.code in DAMAGE
        assert "thing.db" in str(error) or error.code in ("value_format", "schema_mismatch_table", "sql")


@contextmanager
def read_only_files() -> Iterator[None]:
    """A file system that gives every file for reading only, also to root, who may write everything."""

    class Files(apsw.VFS):
        def __init__(self) -> None:
            self.base = apsw.vfs_names()[0]
            super().__init__("holdfast-read-only", self.base, makedefault=True)

        def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
            if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
                flags[0] = (
                    flags[0] & ~(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE) | apsw.SQLITE_OPEN_READONLY
                )
                flags[1] = flags[0]
            elif flags[0] & apsw.SQLITE_OPEN_CREATE:
                raise apsw.CantOpenError("read-only file system")
            return apsw.VFSFile(self.base, name, flags)

    files = Files()
    try:
        yield
    finally:
        files.unregister()


@pytest.mark.parametrize(
    ("make", "act", "code"), [(make_device, open_device, "file_unusable"), (make_hub, open_hub, "store_open")]
)
def test_a_file_that_cannot_be_written_is_named(
    tmp_path: Path, make: Callable[[Path], None], act: Callable[[Path], None], code: str
) -> None:
    path = tmp_path / "thing.db"
    make(path)
    before = dump(path)
    with read_only_files(), pytest.raises(hf.HoldfastError) as caught:
        act(path)
    assert caught.value.code == code
    assert "thing.db" in caught.value.message
    assert dump(path) == before


@pytest.fixture
def small_disk() -> Iterator[Callable[[str, int | None], None]]:
    """`small_disk(name, pages)`: files of that name may not grow beyond so many pages; None: no limit."""
    limits: dict[str, int | None] = {}
    connections: list[apsw.Connection] = []

    def watch(db: apsw.Connection) -> None:
        connections.append(db)
        apply(db)

    def apply(db: apsw.Connection) -> None:
        for name, pages in limits.items():
            if db.filename.endswith(name):
                db.execute(f"pragma max_page_count = {pages or 2**30}").fetchall()

    def limit(name: str, pages: int | None) -> None:
        limits[name] = pages
        for db in connections:
            try:
                apply(db)
            except apsw.ConnectionClosedError:
                pass

    apsw.connection_hooks.append(watch)
    yield limit
    apsw.connection_hooks.remove(watch)


def pages(path: Path) -> int:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    count = int(db.execute("pragma page_count").get)
    db.close()
    return count


@pytest.fixture
def pair(tmp_path: Path, small_disk: Any) -> Iterator[tuple[hf.Server, hf.Replica, hf.Replica]]:
    server = hf.Server(f"sqlite:///{tmp_path / 'hub.db'}", SCHEMA)
    anna = hf.Replica(tmp_path / "anna.db", SCHEMA, transport=LocalTransport(server, ANNA))
    ben = hf.Replica(tmp_path / "ben.db", SCHEMA, transport=LocalTransport(server, BEN))
    with server, anna, ben:
        anna.execute("insert into every (id, project_id) values ('first', '1')")
        anna.sync()
        ben.sync()
        yield server, anna, ben


BIG = "x" * 3_000


def fill(replica: hf.Replica, count: int = 60) -> None:
    with replica.transaction():
        for number in range(count):
            replica.execute("insert into every (id, project_id, text) values (?, '1', ?)", (f"big{number:03}", BIG))


def equal(*replicas: hf.Replica) -> None:
    found = [replica.execute("select id, text, tally from every order by id") for replica in replicas]
    assert found[0] == found[1]
    assert replicas[0].digest("project:1") == replicas[1].digest("project:1")


def test_the_disk_is_full_while_the_user_writes(pair: Any, tmp_path: Path, small_disk: Any) -> None:
    _, anna, ben = pair
    small_disk("anna.db", pages(tmp_path / "anna.db") + 5)
    with pytest.raises(hf.HoldfastError) as caught:
        fill(anna)
    assert caught.value.code == "disk_full"
    assert "anna.db" in caught.value.message
    assert anna.execute("select count(*) from every") == [(1,)]
    assert anna.pending() == []
    small_disk("anna.db", None)
    fill(anna)
    anna.sync()
    ben.sync()
    equal(anna, ben)


@pytest.mark.parametrize("room", [0, 1, 3, 10, 30, 60, 100, 200])
def test_the_disk_is_full_while_the_device_seals_or_applies(
    pair: Any, tmp_path: Path, small_disk: Any, room: int
) -> None:
    _, anna, ben = pair
    fill(ben)
    ben.sync()
    anna.execute("update every set tally = tally + 3, text = 'anna' where id = 'first'")
    with anna.transaction():
        for number in range(30):
            anna.execute("insert into every (id, project_id, text) values (?, '1', ?)", (f"mine{number}", BIG))
    small_disk("anna.db", pages(tmp_path / "anna.db") + room)
    codes = set()
    for _ in range(3):
        try:
            anna.sync()
        except hf.HoldfastError as error:
            codes.add(error.code)
            shown = anna.execute("select count(*), sum(id like 'big%') from every where tally = 3 or id <> 'first'")[0]
            assert shown[0] - shown[1] == 31, "what was written stays"
    assert codes <= {"disk_full"}
    if room < 30:
        assert codes == {"disk_full"}
    small_disk("anna.db", None)
    anna.sync()
    ben.sync()
    assert anna.pending() == []
    assert anna.refused() == []
    equal(anna, ben)
    assert anna.execute("select tally from every where id = 'first'") == [(3,)]


@pytest.mark.parametrize("room", [0, 1, 2, 4, 8, 16, 32, 64])
def test_the_disk_of_the_hub_is_full(pair: Any, tmp_path: Path, small_disk: Any, room: int) -> None:
    server, anna, ben = pair
    fill(anna)
    anna.execute("update every set tally = tally + 3 where id = 'first'")
    before = dump(tmp_path / "hub.db")
    small_disk("hub.db", pages(tmp_path / "hub.db") + room)
    for _ in range(2):
        with pytest.raises(hf.HoldfastError) as caught:
            anna.sync()
        assert caught.value.code == "hub_unavailable"
        assert "full" in caught.value.message
        assert dump(tmp_path / "hub.db") == before
    assert server.health()
    ben.sync()
    small_disk("hub.db", None)
    anna.sync()
    ben.sync()
    equal(anna, ben)
    assert ben.execute("select tally from every where id = 'first'") == [(3,)]
    assert anna.refused() == []


def test_a_device_is_not_made_on_a_full_disk(tmp_path: Path, small_disk: Any) -> None:
    small_disk("new.db", 3)
    with pytest.raises(hf.HoldfastError) as caught:
        open_device(tmp_path / "new.db")
    assert caught.value.code == "disk_full"
    small_disk("new.db", None)
    open_device(tmp_path / "new.db")


def test_a_hub_is_not_made_on_a_full_disk(tmp_path: Path, small_disk: Any) -> None:
    small_disk("new.db", 3)
    with pytest.raises((hf.HoldfastError, StoreUnavailable)) as caught:
        open_hub(tmp_path / "new.db")
    assert "full" in str(caught.value)
    assert "new.db" in str(caught.value)
    small_disk("new.db", None)
    open_hub(tmp_path / "new.db")
