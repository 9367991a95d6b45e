"""A hub in a process of its own, over real HTTP: `python -m bench.hub_process STORE`, a SQLite file or a URL."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import uvicorn

import holdfast as hf
from bench.child import Child, Usage, at_end_of_input, usage
from bench.forms import SCHEMA, SPACE


class RunningHub:
    """A hub that serves `store` at `url`; `peak` and `cpu` are known after its end."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.url = f"http://127.0.0.1:{child.ready}"

    @property
    def peak(self) -> int:
        """Peak resident memory in bytes."""
        return int(self._child.result["peak"])

    @property
    def cpu(self) -> float:
        """Processor seconds since it was ready to serve."""
        return float(self._child.result["cpu"])


@contextmanager
def hub_process(store: Path | str, port: int = 0) -> Iterator[RunningHub]:
    """A hub over a SQLite file or a database URL, in another process, until the end of the `with` block; on a free
    port, or on a given one.
    """
    with Child("bench.hub_process", store, port) as child:
        yield RunningHub(child)


def anybody(headers: Mapping[str, str]) -> hf.Identity | None:
    """The user that the token names; the bench has no secrets."""
    user = headers.get("authorization", "").removeprefix("Bearer ")
    return hf.Identity(user, {SPACE: "rw"}) if user else None


class TellingServer(uvicorn.Server):
    """Prints its port when it is up: what it loads at its start is part of no answer. `before`: used until then."""

    before: Usage

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        self.before = usage()
        print((sockets or [])[0].getsockname()[1], flush=True)


def serve(store: str, port: int) -> None:
    """Serve until the standard input ends."""
    listening = socket.create_server(("127.0.0.1", port), backlog=1024)
    url = store if "://" in store else f"sqlite:///{store}"
    with hf.Server(url, SCHEMA, authenticate=anybody) as server:
        web = TellingServer(uvicorn.Config(server.asgi(), log_level="warning", access_log=False))
        at_end_of_input(lambda: _stop(web))
        web.run(sockets=[listening])
    after = usage()
    print(json.dumps({"peak": after.peak, "cpu": after.cpu - web.before.cpu}))


def _stop(web: uvicorn.Server) -> None:
    web.should_exit = True


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
