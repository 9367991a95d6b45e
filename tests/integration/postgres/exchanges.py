"""A way to PostgreSQL that counts how often a program waits for the server, its statements and the rows that come back,
whatever the machine.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

SYNC, QUERY, FLUSH, EXECUTE = b"SQHE"
"""After the first three messages the server answers what it was asked, so a program that sends one waits. A Flush
behind a Sync, with nothing in between, asks for nothing. Query and Execute are statements."""
DATA_ROW = ord("D")


class Counter:
    """How many exchanges (`count`) and statements there were, and how many rows came back."""

    def __init__(self) -> None:
        self.count = self.statements = self.rows = 0
        self._lock = threading.Lock()

    def add(self, exchanges: int = 0, *, statements: int = 0, rows: int = 0) -> None:
        """So many more."""
        with self._lock:
            self.count += exchanges
            self.statements += statements
            self.rows += rows


class Messages:
    """Cuts the bytes of one direction of a connection into messages; what a program says first has no `typed` head."""

    def __init__(self, *, typed: bool) -> None:
        self._typed = typed
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[int]:
        """The types of the messages that end in the next bytes."""
        self._rest += data
        start = 0
        while True:
            head = 1 if self._typed else 0
            if len(self._rest) < start + head + 4:
                break
            (length,) = struct.unpack_from("!i", self._rest, start + head)
            if len(self._rest) < start + head + length:
                break
            if self._typed:
                yield self._rest[start]
            self._typed = True
            start += head + length
        del self._rest[:start]


class Frontend:
    """What a program sends on one connection."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._messages = Messages(typed=False)
        self._asked = False

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        for kind in self._messages.feed(data):
            if kind in (QUERY, EXECUTE):
                self._counter.add(statements=1)
            if kind in (SYNC, QUERY) or (kind == FLUSH and self._asked):
                self._counter.add(1)
            self._asked = kind not in (SYNC, QUERY, FLUSH)


class Backend:
    """What the server answers on one connection."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._messages = Messages(typed=True)

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        self._counter.add(rows=sum(kind == DATA_ROW for kind in self._messages.feed(data)))


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
                asked, answered = Frontend(counter), Backend(counter)
                for source, target, heard in ((program, server, asked.feed), (server, program, answered.feed)):
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


def _pass(source: socket.socket, target: socket.socket, heard: Callable[[bytes], None]) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            heard(data)
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
