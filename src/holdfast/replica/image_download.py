"""Fetching a file image: what has come is kept, an attempt goes on where the last one broke off, and it is unpacked
while it comes. Memory is bounded whatever is sent.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import zstandard

from holdfast.errors import HoldfastError
from holdfast.protocol.messages import ImageOffer
from holdfast.protocol.transport import ImageTransport
from holdfast.replica.failures import hub_error
from holdfast.replica.image_file import MAX_WINDOW_LOG, remove

PIECE = 256 * 1024
WAITING = 16
"""So many pieces may wait to be unpacked."""


class Fetching:
    """One image on its way beside the device's file at `path`: `part` as it comes, `plain` unpacked."""

    def __init__(self, path: str, offer: ImageOffer) -> None:
        self._offer = offer
        self.part = Path(f"{path}-image-{offer.name}")
        self.plain = Path(f"{path}-image-plain")
        self.received = 0
        """Bytes that came over the wire."""

    def run(self, way: ImageTransport, moved: Callable[[int], None]) -> None:
        """Fetch what is missing, check and unpack it; `moved` is told how many bytes are here. Raises `network` (what
        came is kept), `image_damaged`, `image_unknown`, or what the hub says.
        """
        remove(self.plain)
        unpacking = _Unpacking(self.plain, self._offer.plain)
        try:
            digest = self._fetch(way, unpacking, moved)
        except BaseException:
            unpacking.give_up()
            remove(self.plain)
            raise
        problem = unpacking.end()
        if digest != self._offer.name or problem:
            self.forget()
            raise _damaged(problem or f"its hash is {digest} instead of {self._offer.name}")

    def _fetch(self, way: ImageTransport, unpacking: _Unpacking, moved: Callable[[int], None]) -> str:
        """Bring the part to its end; gives its hash."""
        digest, here = hashlib.sha256(), 0
        with self.part.open("ab+") as file:
            file.seek(0)
            while piece := file.read(PIECE):
                here += len(piece)
                digest.update(piece)
                unpacking.add(piece)
            if here >= self._offer.size:
                return digest.hexdigest()
            exchange = way.image(self._offer.name, here)
            try:
                if exchange.status != (206 if here else 200):
                    raise hub_error(exchange)
                for piece in exchange.chunks():
                    here += len(piece)
                    if here > self._offer.size:
                        self.forget()
                        raise _damaged("more bytes came than were announced")
                    file.write(piece)
                    digest.update(piece)
                    unpacking.add(piece)
                    moved(here)
            finally:
                self.received = exchange.bytes_received
                exchange.close()
        if here < self._offer.size:
            raise HoldfastError("network", f"the file image broke off after {here} of {self._offer.size} bytes")
        return digest.hexdigest()

    def forget(self) -> None:
        """Remove both files."""
        self.part.unlink(missing_ok=True)
        remove(self.plain)


class _Unpacking:
    """A thread that writes the unpacked file while its pieces come: what unpacks and hashes lets other threads run."""

    def __init__(self, plain: Path, size: int) -> None:
        self._plain, self._size = plain, size
        self._pieces: queue.Queue[bytes] = queue.Queue(WAITING)
        self._problem, self._ended = "", False
        self._thread = threading.Thread(target=self._run, name="holdfast-unpacking", daemon=True)
        self._thread.start()

    def add(self, piece: bytes) -> None:
        """The next piece; waits while many wait."""
        self._pieces.put(piece)

    def end(self) -> str:
        """Everything has come; gives what is wrong with it, "" for nothing."""
        self._pieces.put(b"")
        self._thread.join()
        return self._problem

    def give_up(self) -> None:
        """Nothing more comes."""
        self.end()

    def read(self, _: int) -> bytes:
        """The next piece, as a file would give it; b"" at the end, however often it is asked for."""
        piece = b"" if self._ended else self._pieces.get()
        self._ended = not piece
        return piece

    def _run(self) -> None:
        try:
            self._write()
        except (zstandard.ZstdError, OSError) as error:
            self._problem = str(error)
        while self.read(0):  # whoever adds pieces must not wait for room
            pass

    def _write(self) -> None:
        written = 0
        unpacker = zstandard.ZstdDecompressor(max_window_size=2**MAX_WINDOW_LOG)
        with self._plain.open("wb") as target, unpacker.stream_reader(cast(Any, self)) as reader:
            while piece := reader.read(PIECE):
                written += len(piece)
                if written > self._size:
                    break
                target.write(piece)
        if written != self._size:
            self._problem = f"it has {written} bytes or more unpacked instead of {self._size}"


def parts_of(path: str) -> list[Path]:
    """What earlier attempts have left beside the file, parts and unpacked files."""
    file = Path(path)
    return sorted(found for found in file.parent.iterdir() if found.name.startswith(f"{file.name}-image-"))


def _damaged(why: str) -> HoldfastError:
    return HoldfastError("image_damaged", f"the file image cannot be taken: {why}")
