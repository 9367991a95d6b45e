"""A hub on PostgreSQL, beside raw psycopg doing the same inserts and selects on the same server in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

import holdfast as hf
from bench import forms
from bench.hub_process import hub_process
from bench.measure import Bar, Figure, Scenario, Settings
from bench.postgres_server import fresh_database, postgres_server
from holdfast.edge.local import LocalTransport
from holdfast.protocol import messages as m
from holdfast.schema.emit.postgres import ddl

QUEUED, BATCH, PULLED, SINGLE, FOREIGN = 1_000, 1_000, 100_000, 300, 100
RAW = f"INSERT INTO form ({', '.join(forms.COLUMNS)}) VALUES ({', '.join(['%s'] * len(forms.COLUMNS))})"

Row = tuple[object, ...]


class TimedServer:
    """A hub in this process; `seconds` are those of each answer, to its last byte."""

    def __init__(self, server: hf.Server) -> None:
        self._server = server
        self.seconds: list[float] = []

    def handle(self, body: bytes, identity: hf.Identity) -> Any:
        """One round."""
        start = time.perf_counter()
        response = self._server.handle(body, identity)
        lines = [*response]
        response.close()
        self.seconds.append(time.perf_counter() - start)
        return type(response)(response.status, response.content_type, iter(lines), lambda: None)


class RawTable:
    """The same table as the hub's, made by psycopg in a database of its own: keys and checks, no Holdfast."""

    def __init__(self, server: str) -> None:
        self._db = psycopg.connect(fresh_database(server), autocommit=True)
        for statement in ddl(forms.SCHEMA):
            self._db.execute(statement.encode())

    def together(self, rows: Sequence[Row]) -> float:
        """Seconds of as many inserts in one transaction."""
        start = time.perf_counter()
        with self._db.transaction(), self._db.cursor() as cursor:
            cursor.executemany(RAW, rows)
        return time.perf_counter() - start

    def one_by_one(self, rows: Sequence[Row]) -> list[float]:
        """Seconds of each insert, a durable transaction each."""
        seconds = []
        for row in rows:
            start = time.perf_counter()
            self._db.execute(RAW, row)
            seconds.append(time.perf_counter() - start)
        return seconds

    def select(self) -> float:
        """Seconds of reading all rows."""
        start = time.perf_counter()
        found = self._db.execute("SELECT * FROM form", binary=True).fetchall()
        if len(found) < PULLED:
            raise RuntimeError(f"{len(found)} rows")
        return time.perf_counter() - start

    def close(self) -> None:
        """Close the connection."""
        self._db.close()


def run(settings: Settings) -> list[Figure]:
    """Acceptance, single pushes, pull, and the way of a row from another program to a connected device."""
    measured: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        measured.setdefault(name, []).append(value)

    with postgres_server() as server:
        for number in range(settings.runs):
            raw = RawTable(server)
            pushes(settings.folder / f"pg{number}", server, raw, note)
            pull(server, raw, note)
            raw.close()
            foreign(settings.folder / f"pg{number}-live.db", server, note)
    return figures(measured)


def pushes(place: Path, server: str, raw: RawTable, note: Any) -> None:
    """Queued transactions in one request, one transaction of many rows, single ones."""
    rows = list(forms.rows(2 * (QUEUED + BATCH + SINGLE), seed=len(place.name)))
    raw_rows = [rows.pop() for _ in range(QUEUED + BATCH + SINGLE)]
    place.mkdir()
    with hf.Server(fresh_database(server), forms.SCHEMA) as hub:
        timed = TimedServer(hub)
        way = LocalTransport(timed, hf.Identity("anna", {forms.SPACE: "rw"}))
        with hf.Replica(place / "device.db", forms.SCHEMA, transport=way) as device:
            device.sync()
            for seconds in warm(device, timed, [rows.pop() for _ in range(20)]):
                note("warm", seconds)
            raw.one_by_one([raw_rows.pop() for _ in range(20)])
            for row in (rows.pop() for _ in range(QUEUED)):
                with device.transaction():
                    device.execute(forms.INSERT, row)
            note("queued", answered(device, timed))
            note("queued raw", raw.together([raw_rows.pop() for _ in range(QUEUED)]))
            device.executemany(forms.INSERT, [rows.pop() for _ in range(BATCH)])
            note("batch", answered(device, timed))
            singles, raw_singles = [], []
            for _ in range(SINGLE - 20):
                singles += warm(device, timed, [rows.pop()])
                raw_singles += raw.one_by_one([raw_rows.pop()])
            note("single", statistics.median(singles))
            note("single raw", statistics.median(raw_singles))
            note("queued one by one", sum(raw_singles) / len(raw_singles) * QUEUED)


def warm(device: hf.Replica, timed: TimedServer, rows: Sequence[Row]) -> list[float]:
    """Seconds of the answers to single pushes."""
    seconds = []
    for row in rows:
        device.execute(forms.INSERT, row)
        seconds.append(answered(device, timed))
    return seconds


def answered(device: hf.Replica, timed: TimedServer) -> float:
    """Sync and give the seconds that the hub spent."""
    timed.seconds.clear()
    report = device.sync()
    if report.refused or not report.pushed:
        raise RuntimeError(f"{report.pushed} transactions were accepted, {report.refused} refused")
    return sum(timed.seconds)


def pull(server: str, raw: RawTable, note: Any) -> None:
    """All rows served to a new device, and read by psycopg."""
    rows = list(forms.rows(PULLED, seed=7))
    raw.together(rows)
    url = fresh_database(server)
    with psycopg.connect(url, autocommit=True) as program:
        for statement in ddl(forms.SCHEMA):
            program.execute(statement.encode())
        with program.transaction(), program.cursor() as cursor:
            cursor.executemany(RAW, rows)
    with closing(hf.Server(url, forms.SCHEMA)) as hub:
        start = time.perf_counter()
        if hub.migrate() != PULLED:
            raise RuntimeError("not all rows were put into the feed")
        note("adopted", PULLED / (time.perf_counter() - start))
        body = request_of_new_device()
        start = time.perf_counter()
        served = sum(line.count(b'["form"') for line in hub.handle(body, hf.Identity("ben", {forms.SPACE: "r"})))
        note("pull", PULLED / (time.perf_counter() - start))
        if served != PULLED:
            raise RuntimeError(f"{served} rows were served")
    note("pull raw", PULLED / raw.select())


def request_of_new_device() -> bytes:
    """What a device asks with that holds nothing."""
    schema = m.SchemaName(forms.SCHEMA.version, forms.SCHEMA.hash)
    return m.encode(m.Request(m.PROTOCOL, "0123456789abcdef", schema, 0))


def foreign(file: Path, server: str, note: Any) -> None:
    """From the commit of another program to the row in a connected device, the hub in another process."""
    url = fresh_database(server)
    rows = list(forms.rows(FOREIGN, seed=9))
    with (
        hub_process(url) as hub,
        hf.Replica(file, forms.SCHEMA, url=hub.url, token="anna") as device,
        psycopg.connect(url, autocommit=True) as program,
    ):
        device.sync()
        device.connect()
        seconds = []
        for number, row in enumerate(rows):
            program.execute(RAW, row)
            start = time.perf_counter()
            while device.execute("SELECT count(*) FROM form")[0][0] <= number:
                time.sleep(0.0002)
            seconds.append((time.perf_counter() - start) * 1000)
            time.sleep(0.01)
    note("foreign", statistics.median(seconds))


def figures(measured: dict[str, list[float]]) -> list[Figure]:
    """The figures with their bars."""
    many, each = "psycopg, the same inserts in one transaction", "psycopg, the same inserts, one transaction each"
    batch = [BATCH / seconds for seconds in measured["batch"]]
    raw = [QUEUED / seconds for seconds in measured["queued raw"]]
    single = [seconds * 1000 for seconds in measured["single"]]
    queued = measured["queued"]
    return [
        Figure(f"{QUEUED:,} transactions in a request", "s", queued, many, measured["queued raw"], RATIO),
        Figure("the same", "s", queued, each, measured["queued one by one"]),
        Figure(f"a transaction of {BATCH:,} rows", "rows/s", batch, many, raw, (Bar("at least", 10_000),)),
        Figure(
            "a single push",
            "ms",
            single,
            "psycopg, a single insert",
            [seconds * 1000 for seconds in measured["single raw"]],
            (Bar("at most", 2),),
        ),
        Figure(
            f"{PULLED:,} rows served",
            "rows/s",
            measured["pull"],
            "psycopg, SELECT",
            measured["pull raw"],
            (Bar("at least", 80_000),),
        ),
        Figure("rows of an existing table put into the feed", "rows/s", measured["adopted"]),
        Figure("another program's write to a device", "ms", measured["foreign"], bars=(Bar("at most", 10),)),
    ]


RATIO = (Bar("at most", 4, "ratio"),)
SCENARIO = Scenario("postgres", "a hub on PostgreSQL, beside psycopg", run)
