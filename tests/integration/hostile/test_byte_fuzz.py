"""Damaged bytes on `handle()` and on the device's reading of an answer: no exception that is not ours, nothing stored
by what was refused, no memory kept. `HOLDFAST_FUZZ` says how many cases.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

import holdfast as hf
from holdfast.protocol.errors import CODES
from tests.integration.hostile.mutations import damaged
from tests.integration.network.peers import ANNA, BEN, Answer, Network, device, hub_server, rows, same_everywhere

CASES = int(os.environ.get("HOLDFAST_FUZZ", "600"))
KEPT_BYTES = 256 * 1024
"""So much may be kept for reasons of its own (caches that fill once), whatever the number of cases."""


class Scene:
    """A hub with rows, and a device that has something to send and something to hear."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = hub_server(folder)
        self.network = Network(self.server, ANNA)
        self.anna = device(folder, "anna", self.network)
        with device(folder, "ben", Network(self.server, BEN)) as ben:
            ben.execute("insert into form (id, project_id, crew, tags) values ('shared', '1', 10, ?)", (["a"],))
            # Both spaces have been loaded: the first load of a space may show pages before its end.
            ben.execute("insert into site values ('first', 'title')")
            ben.sync()
            self.anna.sync()
            ben.execute("update form set crew = crew + 5, tags = ?, status = 'ben' where id = 'shared'", (["b"],))
            ben.execute("insert into site values ('s', 'title')")
            ben.sync()
        self.anna.execute("update form set crew = crew + 2, status = 'anna' where id = 'shared'")
        self.anna.execute("insert into form (id, project_id, tags) values ('new', '1', ?)", (["x", "y"],))


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    made = Scene(folder)
    with made.server:
        yield made
        made.anna.close()


def stored(path: Path) -> list[tuple[object, ...]]:
    """Every row of every table that a request may change; the hub's clock moves by itself."""
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        names = [name for (name,) in db.execute("select name from sqlite_schema where type = 'table' order by name")]
        return [
            (name, *row)
            for name in names
            if name != "holdfast_hub" and not name.startswith("sqlite_")
            for row in db.execute(f'select * from "{name}" order by 1, 2')
        ]


def test_damaged_requests(tmp_path: Path) -> None:
    with scene(tmp_path) as made:
        good = made.anna.build_request()
        before = stored(tmp_path / "hub.db")
        refused = accepted = 0
        for seed in range(CASES):
            bad = damaged(good, random.Random(seed))
            response = made.server.handle(bad, ANNA)
            body = b"".join(response)
            if response.status != 200:
                error = json.loads(body)
                assert CODES[error["code"]].status == response.status < 500, (seed, error)
                refused += 1
                if seed % 50 == 0:
                    assert stored(tmp_path / "hub.db") == before, seed
            else:
                accepted += 1  # still a request, though another one: what it wrote is its sender's
                before = stored(tmp_path / "hub.db")
        assert stored(tmp_path / "hub.db") == before
        assert refused > CASES / 2
        made.anna.sync()
        same_everywhere(tmp_path, made.server, made.anna)


def test_damaged_answers(tmp_path: Path) -> None:
    with scene(tmp_path) as made:
        heard: list[bytes] = []

        def lost(body: bytes, carry: object) -> Answer:
            heard.append(made.network.carry(body)[1])
            return Answer(200, [], broken=True)

        made.network.faults = [lost]
        with pytest.raises(hf.HoldfastError):
            made.anna.sync()
        made.anna.close()
        shutil.copy(tmp_path / "anna.db", tmp_path / "evening.db")
        made.anna = device(tmp_path, "anna", made.network)
        before, noticed = rows(tmp_path / "anna.db"), 0
        for seed in range(CASES):
            chance = random.Random(seed)
            bad = damaged(heard[0], chance)
            place = chance.randrange(len(bad) + 1)
            made.anna.build_request()
            try:
                made.anna.apply_response([bad[:place], bad[place:]])
            except hf.HoldfastError as error:
                assert error.code in CODES, seed
                assert rows(tmp_path / "anna.db") == before, seed
                noticed += 1
            else:  # a value that may be: only TLS can tell
                made.anna.close()
                shutil.copy(tmp_path / "evening.db", tmp_path / "anna.db")
                made.anna = device(tmp_path, "anna", made.network)
        assert noticed > CASES / 2


@pytest.mark.parametrize("side", ["hub", "device"])
def test_no_memory_is_kept(tmp_path: Path, side: str) -> None:
    with scene(tmp_path) as made:
        good = made.anna.build_request()
        answer = made.network.carry(good)[1]

        def cases(seeds: range) -> None:
            for seed in seeds:
                if side == "hub":
                    b"".join(made.server.handle(damaged(good, random.Random(seed)), ANNA))
                    continue
                made.anna.build_request()
                try:
                    made.anna.apply_response([damaged(answer, random.Random(seed))])
                except hf.HoldfastError:
                    pass

        cases(range(100))
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            cases(range(100, 100 + CASES // 2))
            after = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert after - before < KEPT_BYTES
