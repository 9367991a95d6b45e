"""HTTP connections that another thread can break off at any moment, also while they look a name up or connect."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError


class Abort:
    """Breaks off what goes on over the connections of one transport.

    A descriptor of its own of each socket is kept: whatever TLS makes of the original, shutting the copy down ends the
    same connection.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._copies: dict[int, socket.socket] = {}
        self._aborts = 0

    def enter(self, number: int, sock: socket.socket) -> None:
        """A connection is being made with this socket."""
        copy = socket.socket(fileno=os.dup(sock.fileno()))
        with self._changed:
            self._close(number)
            self._copies[number] = copy

    def leave(self, number: int) -> None:
        """The connection was closed."""
        with self._changed:
            self._close(number)

    def _close(self, number: int) -> None:
        copy = self._copies.pop(number, None)
        if copy is not None:
            copy.close()

    def now(self) -> None:
        """Break everything off that is under way. What is begun afterwards is not touched."""
        with self._changed:
            self._aborts += 1
            for copy in self._copies.values():
                with contextlib.suppress(OSError):
                    copy.shutdown(socket.SHUT_RDWR)
            self._changed.notify_all()

    def addresses(self, host: str, port: int, seconds: float) -> list[Any]:
        """Look a name up. The system's resolver cannot be interrupted: it runs in a thread that is left alone when the
        time is over. Raises OSError (gaierror, TimeoutError).
        """
        found: list[Any] = []
        with self._changed:
            aborts = self._aborts

        def look_up() -> None:
            try:
                result: list[Any] = [socket.getaddrinfo(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)]
            except (OSError, UnicodeError) as error:
                result = [error]
            with self._changed:
                found.extend(result)
                self._changed.notify_all()

        threading.Thread(target=look_up, name="holdfast-dns", daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: found or self._aborts != aborts, seconds)
            if self._aborts != aborts:
                raise ConnectionAbortedError("broken off")
            if not found:
                raise TimeoutError("the name of the host could not be looked up in time")
            if isinstance(found[0], BaseException):
                raise found[0]
            return list(found[0])

    def connect(self, number: int, host: str, port: int, seconds: float) -> socket.socket:
        """A connected socket, from the first address that answers. Raises OSError."""
        bare = host.strip("[]")
        literal = bare.replace(".", "").isdigit() or ":" in bare
        if literal:
            found = socket.getaddrinfo(bare, port, socket.AF_UNSPEC, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        else:
            found = self.addresses(bare, port, seconds)
        failure: OSError = OSError("the name of the host has no address")
        for family, kind, protocol, _, address in found:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(seconds)
                self.enter(number, sock)
                sock.connect(address)
                return sock
            except OSError as error:
                failure = error
                self.leave(number)
                sock.close()
        raise failure


def pool_classes(abort: Abort) -> dict[str, Any]:
    """Connection pools for urllib3 whose connections `abort` can break off."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, abort)

        def close(self) -> None:
            abort.leave(id(self))
            super().close()

    class Secured(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, abort)

        def close(self) -> None:
            abort.leave(id(self))
            super().close()

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecuredPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secured

    return {"http": PlainPool, "https": SecuredPool}


def _connected(connection: Any, abort: Abort) -> socket.socket:
    """What urllib3's own `_new_conn` does, with the same errors."""
    seconds = connection.timeout if isinstance(connection.timeout, (int, float)) else 60.0
    try:
        return abort.connect(id(connection), connection.host, connection.port, seconds)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"no connection to {connection.host} within {seconds} s") from error
    except OSError as error:
        raise NewConnectionError(connection, f"no connection: {error}") from error
