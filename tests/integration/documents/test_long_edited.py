"""A document that is edited for long: what was deleted is there as numbers only, so it does not grow with its past."""

from __future__ import annotations

import json
from pathlib import Path

import holdfast as hf
from holdfast.protocol.images import row_from_bytes
from holdfast.testing import LocalTransport

ANN = hf.Identity("ann", {"s": "rw"})


class Page(hf.Table, space="s"):
    body: hf.Text = ""
    setup: hf.Json = {}  # noqa: RUF012 (a declaration)


SCHEMA = hf.Schema(Page)


def stored(server: hf.Server) -> tuple[int, int]:
    """Characters of the two documents as the hub keeps them."""
    with server.hub._store.transaction(write=False) as tx:
        row = row_from_bytes(SCHEMA.by_name["page"], tx.rows([("page", "k")])[("page", "k")].image)
    return len(row.states[0][1]), len(row.states[1][1])


def edit(device: hf.Replica, count: int) -> None:
    """Type 20 characters and delete as many, change one member, again and again."""
    for number in range(count):
        with device.transaction():
            text = device.document("page", "k", "body")
            text.insert(len(text) // 2, f"sentence {number % 10} of many ")
            if len(text) > 400:
                del text[100 : 100 + len(text) - 400]
            device.execute("update page set setup = ? where id = 'k'", (json.dumps({"turn": number}),))


def test_what_was_deleted_takes_no_room(tmp_path: Path) -> None:
    with hf.Server("memory:", SCHEMA) as server:

        def device() -> hf.Replica:
            return hf.Replica(tmp_path / "ann.db", SCHEMA, transport=LocalTransport(server, ANN))

        with device() as ann:
            ann.execute("insert into page (id) values ('k')")
            sizes = []
            for _ in range(3):
                edit(ann, 100)
                ann.sync()
                sizes.append(stored(server))
        # 300 edits typed 6,600 characters and wrote 300 values; 400 characters and one value are left.
        assert sizes[0][0] < 4 * 800
        assert max(later - earlier for earlier, later in zip(sizes[1], sizes[2], strict=True)) <= 64, sizes
        # Each opening of a file is a writer of its own, of which a name stays: some bytes, whatever he typed.
        before = stored(server)
        for _ in range(10):
            with device() as ann:
                edit(ann, 5)
                ann.sync()
        grown = [after - old for old, after in zip(before, stored(server), strict=True)]
        assert max(grown) < 10 * 120, grown
