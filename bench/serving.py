"""An ASGI application in a child process of the bench: the floor of what a hub does."""

from __future__ import annotations

import json
import socket
from typing import Any

import uvicorn

from bench.child import at_end_of_input, usage


def serve(app: Any) -> None:
    """In a child: serve an ASGI application on a free port, which is told first, until the parent closes the standard
    input; then tell the usage.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))

    def stop() -> None:
        web.should_exit = True

    at_end_of_input(stop)
    print(listening.getsockname()[1], flush=True)
    web.run(sockets=[listening])
    print(json.dumps(usage()._asdict()))
