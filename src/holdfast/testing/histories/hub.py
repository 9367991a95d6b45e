"""A hub process: `python -m holdfast.testing.histories.hub STORE PORT`, with HOLDFAST_SECRET set. Ends with its
input.
"""

from __future__ import annotations

import json
import os
import sys
import threading

import uvicorn

from holdfast.auth.development import DevelopmentTokens
from holdfast.cli.serve import application, listen
from holdfast.server import Server
from holdfast.testing.histories.workloads import schema


def main(store: str, port: str) -> None:
    """Serve until standard input ends."""
    tokens = DevelopmentTokens(os.environ["HOLDFAST_SECRET"])
    app, _ = application(Server(store, schema, authenticate=tokens.authenticate), store)
    with listen("127.0.0.1", int(port)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))

        def end_with_input() -> None:
            sys.stdin.buffer.read()
            server.should_exit = True

        threading.Thread(target=end_with_input, daemon=True).start()
        print(json.dumps({"port": listening.getsockname()[1]}), flush=True)  # noqa: T201 - the parent waits for it
        server.run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
