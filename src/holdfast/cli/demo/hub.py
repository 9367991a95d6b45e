"""The hub process of the demo: `python -m holdfast.cli.demo.hub SCHEMA_MODULE FILE`, with HOLDFAST_SECRET set.

Serves on a free port of the loopback interface and says which: one JSON line on standard output. It ends when its
standard input does, so it never outlives the demo.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading

from holdfast.auth.development import DevelopmentTokens
from holdfast.cli.serve import application, listen
from holdfast.server import Server


def main(schema_module: str, file: str) -> None:
    """Serve until standard input ends."""
    import uvicorn

    schema = importlib.import_module(schema_module).schema
    tokens = DevelopmentTokens(os.environ["HOLDFAST_SECRET"])
    app, _ = application(Server(f"sqlite:///{file}", schema, authenticate=tokens.authenticate), file)
    with listen("127.0.0.1", 0) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
        threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
        print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
        server.run(sockets=[listening])


def _end_with_input(server: object) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(*sys.argv[1:])
