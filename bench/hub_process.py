"""A hub in a process of its own, over real HTTP: `python -m bench.hub_process STORE PORT MODEL`.

STORE is a SQLite file or a URL, MODEL the module that declares the data and makes the server (`server(url)`).
"""

from __future__ import annotations

import importlib
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import uvicorn

from bench import forms
from bench.child import Child, Usage, at_end_of_input, usage


class RunningHub:
    """A hub that serves `store` at `url`; `peak` and `cpu` are known after its end."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.url = f"http://127.0.0.1:{child.ready}"
        self.pid = child.pid

    @property
    def peak(self) -> int:
        """Peak resident memory in bytes."""
        return int(self._child.result["peak"])

    @property
    def cpu(self) -> float:
        """Processor seconds since it was ready to serve."""
        return float(self._child.result["cpu"])


@contextmanager
def hub_process(store: Path | str, port: int = 0, *, model: ModuleType = forms) -> Iterator[RunningHub]:
    """A hub over a SQLite file or a database URL, in another process, until the end of the `with` block; on a free
    port, or on a given one. `model` declares its data.
    """
    with Child("bench.hub_process", store, port, model.__name__) as child:
        yield RunningHub(child)


class TellingServer(uvicorn.Server):
    """Prints its port when it is up: what it loads at its start is part of no answer. `before`: used until then."""

    before: Usage

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        self.before = usage()
        print((sockets or [])[0].getsockname()[1], flush=True)


def serve(store: str, port: int, model: str) -> None:
    """Serve until the standard input ends."""
    listening = socket.create_server(("127.0.0.1", port), backlog=1024)
    url = store if "://" in store else f"sqlite:///{store}"
    with importlib.import_module(model).server(url) as server:
        web = TellingServer(uvicorn.Config(server.asgi(), log_level="warning", access_log=False))
        at_end_of_input(lambda: _stop(web))
        web.run(sockets=[listening])
    after = usage()
    print(json.dumps({"peak": after.peak, "cpu": after.cpu - web.before.cpu}))


def _stop(web: uvicorn.Server) -> None:
    web.should_exit = True


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
