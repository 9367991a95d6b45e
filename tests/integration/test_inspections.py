"""26,461 real violations: loaded by one device, synced to another through a real server, equal to the files."""

from __future__ import annotations

import csv
import datetime
import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

import holdfast as hf
from holdfast.auth.development import DevelopmentTokens

ROOT = Path(__file__).resolve().parents[2]
TOKENS = DevelopmentTokens("for this test alone")
ACCESS = {"city": "rw"}


class Facility(hf.Table, key="license_number", space="city"):
    """Where food is sold."""

    license_number: str
    license_code: str
    facility_code: str
    name: str
    address: str


class Code(hf.Table, key="code_section", space="city"):
    """One rule."""

    code_section: str
    order_text: str


class Inspection(hf.Table, key="inspection_id", space="city"):
    """One visit."""

    inspection_id: int
    license_number: str = hf.column(references=Facility)
    kind: str
    purpose: str
    inspected_on: datetime.date
    inspector: str
    risk_level: int | None


class Violation(hf.Table, key="violation_id", space="city"):
    """One rule that was broken at one visit."""

    violation_id: int
    inspection_id: int = hf.column(references=Inspection)
    code_section: str = hf.column(references=Code)
    critical: bool


SCHEMA = hf.Schema(Facility, Code, Inspection, Violation, version=1)

SERVER = """
import socket, sys, threading
import uvicorn
import holdfast as hf
from tests.integration.test_inspections import SCHEMA, TOKENS

listening = socket.create_server(("127.0.0.1", 0))
server = hf.Server(f"sqlite:///{sys.argv[1]}", SCHEMA, authenticate=TOKENS.authenticate)
web = uvicorn.Server(uvicorn.Config(server.asgi(), log_level="warning", access_log=False))

def stop():
    sys.stdin.read()
    web.should_exit = True

threading.Thread(target=stop, daemon=True).start()
print(listening.getsockname()[1], flush=True)
web.run(sockets=[listening])
server.close()
"""


@contextmanager
def server_process(store: Path) -> Iterator[str]:
    """The URL of a hub that runs in another process until the block ends."""
    command = [sys.executable, "-c", SERVER, str(store)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            assert process.wait(timeout=60) == 0


def load(device: hf.Replica, name: str, file: Path) -> None:
    """Insert a CSV file with plain SQL; an empty field is NULL where the column takes it."""
    optional = {column.name for column in SCHEMA.table(name).columns if column.nullable}
    with file.open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
        sql = f"INSERT INTO {name} ({', '.join(header)}) VALUES ({', '.join('?' * len(header))})"
        device.executemany(
            sql,
            (
                [None if field == "" and name in optional else field for name, field in zip(header, row, strict=True)]
                for row in rows
            ),
        )


def exported(device: hf.Replica, name: str, like: Path) -> bytes:
    """The table as a CSV file, with the columns of the file `like` and its rows in that file's order of keys."""
    with like.open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    key = SCHEMA.table(name).key_names[0]
    order = {row[header.index(key)]: number for number, row in enumerate(rows)}
    found = device.execute(f"SELECT {', '.join(header)} FROM {name}")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(sorted((tuple(row) for row in found), key=lambda row: order[str(row[header.index(key)])]))
    return text.getvalue().encode()


def foreign_key_violations(file: Path) -> list[object]:
    """What SQLite itself finds when it checks every foreign key of a file."""
    db = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        declared = [db.execute(f"PRAGMA foreign_key_list({table.name})").fetchall() for table in SCHEMA.declared]
        assert sum(map(len, declared)) == 3
        return list(db.execute("PRAGMA foreign_key_check"))
    finally:
        db.close()


@pytest.mark.parametrize("single_transaction", [True, False])
def test_real_inspections_reach_a_second_device_byte_for_byte(
    inspections: Path, tmp_path: Path, single_transaction: bool
) -> None:
    files = {table.name: inspections / f"{table.name}.csv" for table in SCHEMA.declared}
    with server_process(tmp_path / "hub.db") as url:
        first, second = (
            hf.Replica(tmp_path / f"{user}.db", SCHEMA, url=url, token=TOKENS.token(user, ACCESS))
            for user in ("anna", "ben")
        )
        with first, second:
            if single_transaction:
                with first.transaction("load"):
                    for name, file in files.items():
                        load(first, name, file)
            else:
                for name, file in files.items():
                    load(first, name, file)
            sent = first.sync()
            assert sent.refused == []
            assert sent.conflicts == []
            assert sent.pushed == (1 if single_transaction else len(files))
            received = second.sync()
            rows = sum(first.execute(f"SELECT count(*) FROM {name}")[0][0] for name in files)
            assert received.pulled == rows
            assert first.execute("SELECT count(*) FROM violation")[0][0] == 26_461
            for device in (first, second):
                for name, file in files.items():
                    assert exported(device, name, file) == file.read_bytes(), (device.path, name)
                unchanged = device.sync()
                assert (unchanged.pushed, unchanged.pulled) == (0, 0)
                assert unchanged.bytes_sent + unchanged.bytes_received < 1_000
            assert first.digest("city") == second.digest("city")
    for user in ("anna", "ben", "hub"):
        assert foreign_key_violations(tmp_path / f"{user}.db") == []
