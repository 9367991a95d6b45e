"""A device file with all kinds of unsent work, to be damaged, and the hub that goes with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

import holdfast as hf
from holdfast.protocol.transport import Exchange
from holdfast.testing import LocalTransport

ANNA = hf.Identity("anna", {"project:1": "rw"})
ENTRIES = ("sent", "heard", *(f"waits{n}" for n in range(30)), *(f"fresh{n}" for n in range(30)))
"""Unsent transactions: each adds an entry and counts once. The hub has had the first, and its answer was lost."""


class Site(hf.Table, key="code", space="project:{project_id}"):
    """Counted once for each entry."""

    code: str
    project_id: str = "1"
    entries: hf.Counter = 0
    note: str = ""


class Entry(hf.Table, key="name", space="project:{project_id}"):
    """One for each transaction, so that one that is lost or comes twice shows."""

    name: str
    project_id: str = "1"
    text: str = ""


SCHEMA = hf.Schema(Site, Entry)


class Deaf:
    """The way to the hub; its answers are lost."""

    def __init__(self, way: LocalTransport) -> None:
        self._way = way

    def exchange(self, body: bytes) -> Exchange:
        """Deliver the request and lose the answer."""
        answer = self._way.exchange(body)
        for _ in answer.chunks():
            pass
        answer.close()
        raise hf.HoldfastError("network", "the answer was lost")

    def close(self) -> None:
        """Nothing is open."""


def enter(replica: hf.Replica, name: str) -> None:
    """One transaction."""
    with replica.transaction(name):
        replica.execute("insert into entry (name, text) values (?, ?)", (name, f"the words of {name} " * 6))
        replica.execute("update site set entries = entries + 1 where code = 's0'")


def prepare(folder: Path) -> None:
    """The hub's file, and the device's as a crash leaves it (`device.db` with its log) and as closing does
    (`closed.db`)."""
    with hf.Server(f"sqlite:///{folder}/hub.db", SCHEMA) as server:

        @server.before_write("site")
        def allowed(change: hf.Change, context: hf.Context) -> None:
            if change.new is not None and change.new["note"] == "forbidden":
                raise hf.Refuse("nobody may write this", code="house_rule")

        way = LocalTransport(server, ANNA)
        with hf.Replica(folder / "work.db", SCHEMA, transport=way) as replica:
            replica.executemany("insert into site (code) values (?)", [(f"s{n}",) for n in range(150)])
            replica.executemany(
                "insert into entry (name, text) values (?, ?)", [(f"old{n}", "x" * (n % 90)) for n in range(300)]
            )
            replica.sync()
            replica.execute("delete from entry where name glob 'old2*'")  # leaves free pages behind
            with replica.transaction("refused"):
                replica.execute("update site set note = 'forbidden' where code = 's1'")
            replica.sync()
            enter(replica, "sent")
            replica._transport = Deaf(way)
            try:
                replica.sync()
            except hf.HoldfastError as error:
                assert error.code == "network"
            enter(replica, "heard")
            for name in ENTRIES[2:32]:
                enter(replica, name)
            assert len(replica.pending()) == 32
            for name in ENTRIES[32:]:
                enter(replica, name)
            for part in ("", "-wal", "-log"):
                shutil.copy(f"{folder}/work.db{part}", f"{folder}/device.db{part}")
    for part in ("", "-log"):
        shutil.copy(f"{folder}/work.db{part}", f"{folder}/closed.db{part}")


def queue_places(path: Path) -> Iterator[range]:
    """Where in a closed file the pages of the queue stand."""
    db = apsw.Connection(str(path))
    sql = """SELECT (pageno - 1) * 4096 FROM dbstat WHERE name IN
             ('holdfast_transaction', 'holdfast_operation', 'holdfast_capture', 'holdfast_mark')"""
    places: list[Any] = db.execute(sql).fetchall()
    db.close()
    for (start,) in places:
        yield range(start, start + 4096)


def flip(path: Path, place: int, mask: int) -> None:
    """Change one byte."""
    content = bytearray(path.read_bytes())
    content[place] ^= mask
    path.write_bytes(content)
