"""Proxies that stand before a hub and get one thing wrong, as real ones do; and a proxy with TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

Change = Callable[[bytes], bytes | None]
"""What becomes of the head of a request: None answers it with 400 at once."""


def without_compression(head: bytes) -> bytes:
    """Takes Accept-Encoding away."""
    return head.replace(b"Accept-Encoding:", b"X-Taken-Away:")


def without_upgrade(head: bytes) -> bytes | None:
    """Knows no WebSocket."""
    return None if b"upgrade: websocket" in head.lower() else head


def is_stream(head: bytes) -> bool:
    return b"text/event-stream" in head


class Proxy:
    """Carries bytes between devices and a hub. `change` sees each connection's first request head; with `buffers`
    the answer to a request for events is held back."""

    def __init__(
        self, port: int, *, change: Change = lambda head: head, buffers: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        self._target, self._change, self._buffers, self._tls = port, change, buffers, tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            client = stack.enter_context(self._tls.wrap_socket(plain, server_side=True)) if self._tls else plain
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(65536)
                if not piece:
                    return
                head += piece
            changed = self._change(head)
            if changed is None:
                client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            hub = stack.enter_context(socket.create_connection(("127.0.0.1", self._target)))
            hub.sendall(changed)
            up = threading.Thread(target=copy, args=(client, hub), daemon=True)
            up.start()
            if not (self._buffers and is_stream(head)):
                copy(hub, client)
            up.join()

    def close(self) -> None:
        self._listening.close()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Bytes from one socket to the other until the end."""
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxy(
    port: int, *, change: Change = lambda head: head, buffers: bool = False, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """The URL of a proxy before the hub at `port`."""
    made = Proxy(port, change=change, buffers=buffers, tls=tls)
    try:
        yield f"{'https' if tls else 'http'}://localhost:{made.port}"
    finally:
        made.close()


def certificate(folder: Path, days: int) -> ssl.SSLContext:
    """A context for `localhost`, signed by itself, good for so many days; its certificate is in `folder/cert.pem`."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert)]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", str(days)]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
