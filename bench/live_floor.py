"""The limit of a live channel: the same row over two WebSockets by the same libraries, kept durably three times over.

`python -m bench.live_floor FILE` serves: what one client sends is inserted into FILE and sent to all others.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import apsw
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.sync.client import connect

from bench import forms
from bench.child import Child
from bench.serving import serve

RAW_INSERT = f"INSERT INTO form VALUES ({forms.MARKS})"


def live_floor(folder: Path, rows: list[tuple[object, ...]]) -> list[float]:
    """Milliseconds of each row from before its durable insert at one client to after that at the other one."""
    found = []
    with ExitStack() as stack:
        child = stack.enter_context(Child("bench.live_floor", folder / "floor-hub.db"))
        url = f"ws://127.0.0.1:{child.ready}"
        anna, ben = (stack.enter_context(connect(url, compression=None)) for _ in range(2))
        for way in (anna, ben):
            way.send("here")
            way.recv()
        here, there = (raw_table(folder / f"floor-{name}.db") for name in ("anna", "ben"))
        for row in rows:
            start = time.perf_counter()
            here.execute(RAW_INSERT, row)
            anna.send(json.dumps(row).encode())
            there.execute(RAW_INSERT, json.loads(ben.recv()))
            found.append((time.perf_counter() - start) * 1000)
        here.close()
        there.close()
    return found


def raw_table(file: Path) -> apsw.Connection:
    """An empty table of forms, with durable commits."""
    for stale in file.parent.glob(f"{file.name}*"):
        stale.unlink()
    db = apsw.Connection(str(file))
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute("PRAGMA synchronous = FULL")
    db.execute(forms.RAW_TABLE)
    return db


def main(file: str) -> None:
    """Serve until the standard input ends."""
    db = raw_table(Path(file))
    clients: list[WebSocket] = []

    async def relay(client: WebSocket) -> None:
        await client.accept()
        try:
            await client.send_text(await client.receive_text())
            clients.append(client)
            while True:
                row = await client.receive_bytes()
                db.execute(RAW_INSERT, json.loads(row))
                for other in clients:
                    if other is not client:
                        await other.send_bytes(row)
        except WebSocketDisconnect:
            return

    serve(Starlette(routes=[WebSocketRoute("/", relay)]))


if __name__ == "__main__":
    main(sys.argv[1])
