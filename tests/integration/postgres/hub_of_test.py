"""A hub process: `python -m tests.integration.postgres.hub_of_test STORE PORT SECRET`. Ends with its input."""

from __future__ import annotations

import json
import sys
import threading

import uvicorn

import holdfast as hf
from holdfast.auth.development import DevelopmentTokens
from holdfast.cli.serve import listen


class Crew(hf.Table, space="all"):
    name: str = ""
    visits: hf.Counter = 0
    tags: hf.Set[str]


class Visit(hf.Table, space="all"):
    crew: str = hf.column(references=Crew)
    device: int
    number: int


SCHEMA = hf.Schema(Crew, Visit, version=1)


def main(store: str, port: str, secret: str) -> None:
    """Serve until standard input ends."""
    tokens = DevelopmentTokens(secret)
    hub = hf.Server(store, SCHEMA, authenticate=tokens.authenticate)
    with listen("127.0.0.1", int(port)) as listening:
        config = uvicorn.Config(hub.asgi(close=True), log_level="warning", timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        _ = hub.hub

        def end_with_input() -> None:
            sys.stdin.buffer.read()
            server.should_exit = True

        threading.Thread(target=end_with_input, daemon=True).start()
        print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
        server.run(sockets=[listening])


if __name__ == "__main__":
    main(*sys.argv[1:])
