"""A TCP proxy that makes a real network bad: in front of a real hub, for anything that speaks HTTP or WebSocket to it.

    with FaultProxy("127.0.0.1", 8000) as proxy:
        replica = holdfast.Replica("device.db", schema, url=proxy.url, token="anna")
        proxy.faults = Faults(latency=0.05, cut_down=4_000)

What a change of `faults` says holds for connections that are open, too.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType

PIECE = 4096
BEAT = 0.02


@dataclass
class Faults:
    """What happens to every connection. `latency` in seconds each way; `up` and `down` in bytes a second (None: no
    limit). `cut_up` and `cut_down` break a connection off after so many bytes of that direction. `lose_up` and
    `lose_down`: what goes that way vanishes, and the connection stays open (it is half dead). `black_hole`: both.
    `slow_reader`: the proxy stops reading what the hub sends. `refuse`: connections are reset at once. `twice`: what a
    connection has sent is sent to the hub once more when it has ended, by a connection of its own.
    """

    latency: float = 0.0
    up: float | None = None
    down: float | None = None
    cut_up: int | None = None
    cut_down: int | None = None
    lose_up: bool = False
    lose_down: bool = False
    black_hole: bool = False
    slow_reader: bool = False
    refuse: bool = False
    twice: bool = False


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and hands everything on to `host`:`port`; usable as a context manager.

    `connections` counts those that were opened, `sent` and `received` the bytes that came through each way.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.faults = Faults()
        self.connections = self.sent = self.received = 0
        self.lock = threading.Lock()
        self.open: set[socket.socket] = set()
        self.closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self.start(self._accept)

    def cut(self) -> None:
        """Break off every connection that is open."""
        with self.lock:
            for sock in self.open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening and break everything off; idempotent."""
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
        for thread in self._threads:
            thread.join(5.0)

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, target: object, *arguments: object) -> None:
        """Run something in a thread that `close` waits for."""
        thread = threading.Thread(target=target, args=arguments, name="fault-proxy", daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                device, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            if self.faults.refuse:
                device.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                device.close()
                continue
            try:
                hub = socket.create_connection(self._target, 5.0)
            except OSError:
                device.close()
                continue
            hub.settimeout(None)
            for sock in (device, hub):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Pair(self, device, hub)

    def forget(self, sock: socket.socket) -> None:
        """A connection has ended."""
        with self.lock:
            self.open.discard(sock)
        sock.close()

    def again(self, said: bytes) -> None:
        """Say to the hub what a connection has said already; nobody reads the answer to its end."""
        with contextlib.suppress(OSError), socket.create_connection(self._target, 5.0) as hub:
            hub.sendall(said)
            hub.settimeout(1.0)
            hub.recv(PIECE)


class Pair:
    """One connection through the proxy: two threads, one for each way."""

    def __init__(self, proxy: FaultProxy, device: socket.socket, hub: socket.socket) -> None:
        self._proxy, self._device, self._hub = proxy, device, hub
        self._said: list[bytes] = []
        self._ended = 0
        with proxy.lock:
            proxy.open |= {device, hub}
        proxy.start(self._pump, device, hub, True)
        proxy.start(self._pump, hub, device, False)

    def _pump(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while True:
                while self._proxy.faults.slow_reader and not up and not self._proxy.closing.wait(BEAT):
                    pass
                piece = source.recv(PIECE)
                if not piece:
                    break
                if up:
                    self._said.append(piece)
                faults = self._proxy.faults
                self._wait(faults.latency, len(piece), faults.up if up else faults.down)
                if faults.black_hole or (faults.lose_up if up else faults.lose_down):
                    continue
                limit = faults.cut_up if up else faults.cut_down
                if limit is not None and carried + len(piece) > limit:
                    piece = piece[: max(0, limit - carried)]
                    self._count(len(piece), up)
                    target.sendall(piece)
                    break
                carried += len(piece)
                self._count(len(piece), up)
                target.sendall(piece)
        self._end()

    def _wait(self, latency: float, size: int, rate: float | None) -> None:
        seconds = latency + (size / rate if rate else 0.0)
        until = time.monotonic() + seconds
        while seconds and (left := until - time.monotonic()) > 0 and not self._proxy.closing.wait(min(left, BEAT)):
            pass

    def _count(self, size: int, up: bool) -> None:
        with self._proxy.lock:
            if up:
                self._proxy.sent += size
            else:
                self._proxy.received += size

    def _end(self) -> None:
        """Either way has ended: so does the other one."""
        for sock in (self._device, self._hub):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        with self._proxy.lock:
            self._ended += 1
            last = self._ended == 2
        if last:
            self._proxy.forget(self._device)
            self._proxy.forget(self._hub)
            if self._proxy.faults.twice and self._said:
                self._proxy.again(b"".join(self._said))
