"""A way to PostgreSQL that counts how often a program waits for the server, whatever the machine."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

SYNC, QUERY, FLUSH = b"SQH"
"""After these messages the server answers what it was asked, so a program that sends one waits. A Flush behind a Sync,
with nothing in between, asks for nothing."""


class Counter:
    """How many exchanges there were."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def add(self, number: int) -> None:
        """So many more."""
        with self._lock:
            self.count += number


class Frontend:
    """What a program sends on one connection, message by message; the first one has no type."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._rest = b""
        self._begun = False
        self._asked = False

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self._rest += data
        while True:
            head = 1 if self._begun else 0
            if len(self._rest) < head + 4:
                return
            (length,) = struct.unpack_from("!i", self._rest, head)
            if len(self._rest) < head + length:
                return
            if self._begun:
                kind = self._rest[0]
                if kind in (SYNC, QUERY) or (kind == FLUSH and self._asked):
                    self._counter.add(1)
                self._asked = kind not in (SYNC, QUERY, FLUSH)
            self._begun = True
            self._rest = self._rest[head + length :]


@contextmanager
def counted(dsn: str) -> Iterator[tuple[str, Counter]]:
    """A connection string to the same database, and the counter of whoever uses it."""
    parts, counter = conninfo_to_dict(dsn), Counter()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    stopping, threads = threading.Event(), list[threading.Thread]()

    def serve() -> None:
        while not stopping.is_set():
            with suppress(TimeoutError):
                program, _ = listener.accept()
                server = _connect(str(parts.get("host") or "/tmp"), int(parts.get("port") or 5432))
                frontend = Frontend(counter)
                for source, target, heard in ((program, server, frontend.feed), (server, program, None)):
                    thread = threading.Thread(target=_pass, args=(source, target, heard), daemon=True)
                    thread.start()
                    threads.append(thread)

    accepting = threading.Thread(target=serve, daemon=True)
    accepting.start()
    port = str(listener.getsockname()[1])
    try:
        more = {"host": "127.0.0.1", "port": port, "sslmode": "disable", "gssencmode": "disable"}
        yield "postgresql:///?" + _query({**parts, **more}), counter
    finally:
        stopping.set()
        for thread in [accepting, *threads]:
            thread.join(10)
        listener.close()


def _query(parts: dict[str, object]) -> str:
    assert make_conninfo(**{name: str(value) for name, value in parts.items()})
    return "&".join(f"{name}={value}" for name, value in parts.items())


def _connect(host: str, port: int) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.connect(str(Path(host) / f".s.PGSQL.{port}"))
    return found


def _pass(source: socket.socket, target: socket.socket, heard: object) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            if callable(heard):
                heard(data)
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
