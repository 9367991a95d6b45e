"""`holdfast serve`: a hub over HTTP, from the file that defines it."""

from __future__ import annotations

import errno
import logging
import socket
import sys
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from holdfast.cli.failures import Exit
from holdfast.cli.loading import load, split
from holdfast.cli.options import AsJson
from holdfast.cli.terminal import Terminal, number
from holdfast.errors import HoldfastError
from holdfast.observe.logs import JsonLines
from holdfast.server import Server


def serve(
    target: str,
    /,
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(name=("--port", "-p"))] = 8000,
    access_log: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    log_json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    log_level: Literal["error", "warning", "info", "debug"] | None = None,
    as_json: AsJson = False,
) -> int:
    """Serve a hub over HTTP until Ctrl-C.

    Example: holdfast serve server.py --port 8000

    Parameters
    ----------
    target
        FILE or FILE:NAME. A Python file that defines `server` (an hf.Server) or `app` (any ASGI one), or that name.
    host
        The address to listen on; 0.0.0.0 for all. Put TLS in front of it when devices come over a network.
    port
        The port to listen on; 0 takes a free one.
    access_log
        Print one line for each request.
    log_json
        Write the log, on standard error, as one JSON object a line: its events and fields are in the reference.
    log_level
        How much is logged: warning, or info with --log-json.
    """
    terminal = Terminal(as_json=as_json)
    require_packages()
    set_up_logging(as_json=log_json, level=log_level or ("info" if log_json else "warning"))
    name, found = load(target, ("server", "app"))
    app, facts = application(found, f"{split(target)[0]}:{name}")
    with listen(host, port) as listening:
        address, bound = listening.getsockname()[:2]
        url = f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"
        if terminal.as_json:
            terminal.document({"url": url, "host": address, "port": bound})
        else:
            terminal.done(f"Hub on {url}", "Ctrl-C stops it")
            terminal.facts([("Served", f"{split(target)[0]}:{name}"), *facts])
        sys.stdout.flush()  # whoever started us may wait for the line in a pipe or a file
        run(app, listening, access_log=access_log)
    return Exit.OK


def require_packages() -> None:
    """Raises `server_extra` when uvicorn or Starlette are not installed."""
    try:
        import starlette
        import uvicorn

        _ = starlette, uvicorn
    except ModuleNotFoundError as error:
        raise HoldfastError("server_extra", f"the package {error.name} is not installed") from error


def application(found: Any, place: str) -> tuple[Any, list[tuple[str, str]]]:
    """The ASGI application for what a file defines, and what to say about it. Raises `name_missing`, and what opening
    the hub's store raises: before anything is listening."""
    if not isinstance(found, Server):
        if not callable(found):
            kind = type(found).__name__
            message = f"{place} is a {kind}, neither an hf.Server nor an ASGI application"
            raise HoldfastError("name_missing", message)
        return found, []
    from holdfast.edge.asgi import asgi

    health = found.health()
    facts = [
        ("Tables", ", ".join(table.name for table in found.schema.declared)),
        ("Schema", f"version {found.schema.version}"),
        ("Holds", number(int(str(health["spaces"])), "space")),
    ]
    if found.authenticate is None:
        facts.append(("Access", "nobody: the server has no authenticate="))
    return asgi(found, close=True), facts


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `address_in_use`, `address_unusable`."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, OverflowError, UnicodeError) as error:
        raise HoldfastError("address_unusable", f"{host}:{port}: {_why(error)}", host=host, port=port) from error
    try:
        if sys.platform != "win32":  # there it would let two programs share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except (OSError, OverflowError) as error:
        listening.close()
        code = "address_in_use" if getattr(error, "errno", None) == errno.EADDRINUSE else "address_unusable"
        raise HoldfastError(code, f"{host}:{port}: {_why(error)}", host=host, port=port) from error
    return listening


def set_up_logging(*, as_json: bool, level: str) -> None:
    """The log goes to standard error, as lines of text or of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(asctime)s %(name)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("holdfast").setLevel(level.upper())


def run(app: Any, listening: socket.socket, *, access_log: bool) -> None:
    """Serve until the process is told to stop."""
    import uvicorn

    level = "info" if access_log else "warning"
    config = uvicorn.Config(
        app, log_level=level, access_log=access_log, timeout_graceful_shutdown=10, log_config=None, server_header=False
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # uvicorn has ended everything in order and passes the signal on


def _why(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
