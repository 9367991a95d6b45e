"""A hub for the tests in a browser: `python hub.py FILE`. It says its port, and ends with its standard input.

Everybody may write in `project:1`, and read `project:2`, in which only "boss" may write; the token is the user.
"""

import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import uvicorn
from schema import schema

import holdfast as hf
from holdfast.cli.serve import application, listen


def authenticate(headers: Mapping[str, str]) -> hf.Identity | None:
    token = headers.get("authorization", "").removeprefix("Bearer ")
    if not token:
        return None
    return hf.Identity(token, spaces={"project:1": "rw", "project:2": "rw" if token == "boss" else "r"})


def end_with_input(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True


file = Path(sys.argv[1])
app, _ = application(hf.Server(f"sqlite:///{file}", schema, authenticate=authenticate), str(file))
with listen("127.0.0.1", 0) as listening:
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    threading.Thread(target=end_with_input, args=(server,), daemon=True).start()
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    server.run(sockets=[listening])
