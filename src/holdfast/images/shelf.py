"""The shelf: a folder of images that several hub processes may share. What is on it can be lost at any time.

An image is `<key>.<name>.zst` with its description, `<key>.<name>.json`, beside it. Both are written under another
name and then renamed, the description last: so what has one is whole. The time of the description says when it was
used last.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import apsw
import msgspec

from holdfast.errors import HoldfastError
from holdfast.hub.hub import Hub
from holdfast.hub.imaging import Image, Wanted
from holdfast.images.building import PIECE, Built, build
from holdfast.observe.logs import event
from holdfast.stores.base import StoreUnavailable

log = logging.getLogger("holdfast.hub")

AGAIN_SECONDS = 60.0
"""After a failure nothing is made for so long."""
ABANDONED_SECONDS = 3_600.0
"""What a process that died was making is thrown away after so long."""
LEAST_ROWS = 5_000
"""Fewer rows come by pages in less than a tenth of a second."""
MOST_BYTES = 2 * 1024**3
KEPT = 2
"""Of one kind the former image stays, for devices that have fetched a part of it."""


class Images(NamedTuple):
    """Where a hub keeps file images: `folder`, up to `most_bytes` in all, for first loads of `least_rows` and more.

    The folder holds what users may read, compressed and not encrypted: give it to nobody else.
    """

    folder: str | os.PathLike[str]
    most_bytes: int = MOST_BYTES
    least_rows: int = LEAST_ROWS


class _Described(msgspec.Struct):
    plain: int
    rows: int
    spaces: list[str]
    cursors: dict[str, str]
    built: float


class Shelf:
    """The images of one hub. Thread-safe; `threaded` False: nothing is made before somebody calls `make_wished`."""

    def __init__(self, hub: Hub, given: Images, *, threaded: bool = True) -> None:
        self._hub, self._given, self._threaded = hub, given, threaded
        self._folder = Path(given.folder)
        self._lock = threading.Lock()
        self._wished: dict[str, Wanted] = {}
        self._proven: set[str] = set()
        self._not_before = float("-inf")
        self._thread: threading.Thread | None = None
        self._closed = False
        self.built: Callable[[str], None] = lambda _: None
        """Told the key of each image that was made."""

    @property
    def least_rows(self) -> int:
        """Fewer rows come by pages."""
        return self._given.least_rows

    def found(self, key: str, name: str = "") -> Image | None:
        """As `hub.imaging.Images.found`."""
        images = [(described, path) for path in self._listed(f"{key}.*.json") if (described := _read(path)) is not None]
        for described, path in sorted(images, key=lambda one: one[0].built, reverse=True):
            image = self._image(path, described)
            if image is not None and name in ("", image.name) and self._is_whole(path, image):
                with suppress(OSError):
                    os.utime(path)
                return image
        return None

    def named(self, name: str) -> Image | None:
        """As `hub.imaging.Images.named`."""
        path = self._place(name)
        described = _read(path) if path is not None else None
        return None if path is None or described is None else self._image(path, described)

    def read(self, name: str, start: int) -> Iterator[bytes] | None:
        """As `hub.imaging.Images.read`."""
        path = self._place(name)
        if path is None:
            return None
        try:
            file = path.with_suffix(".zst").open("rb")
            os.utime(path)
        except OSError:
            return None

        def pieces() -> Iterator[bytes]:
            with file:
                file.seek(start)
                while piece := file.read(PIECE):
                    yield piece

        return pieces()

    def wish(self, wanted: Wanted) -> None:
        """As `hub.imaging.Images.wish`."""
        with self._lock:
            if self._closed or time.monotonic() < self._not_before:
                return
            self._wished.setdefault(wanted.key, wanted)
            if self._threaded and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="holdfast-images", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._closed or not self._wished:
                    self._thread = None
                    return
            self.make_wished(1)

    def make_wished(self, most: int = 100) -> None:
        """Make what is wished for, one image after the other."""
        for _ in range(most):
            with self._lock:
                if not self._wished or self._closed:
                    return
                key = next(iter(self._wished))
                wanted = self._wished.pop(key)
            self._make(key, wanted)

    def _make(self, key: str, wanted: Wanted) -> None:
        began = time.perf_counter()
        metrics = self._hub.observation.metrics
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._clean()
            view = self._hub.serving.views[wanted.version]
            with tempfile.TemporaryDirectory(prefix="making-", dir=self._folder) as folder:
                made = build(self._hub, view.schema, wanted, Path(folder))
                self._put(key, wanted, made)
        except (OSError, apsw.Error, HoldfastError, StoreUnavailable, KeyError) as error:
            metrics.add("image_builds_total", 1, "failed")
            event(log, "hub.image_failed", key=key, error=str(error))
            with self._lock:
                self._not_before = time.monotonic() + AGAIN_SECONDS
            return
        seconds = time.perf_counter() - began
        metrics.add("image_builds_total", 1, "ok")
        metrics.observe("image_build_seconds", seconds)
        facts = {"rows": made.rows, "bytes": made.size, "plain": made.plain}
        event(log, "hub.image_built", key=key, image=made.name, milliseconds=round(seconds * 1000), **facts)
        self.built(key)

    def _put(self, key: str, wanted: Wanted, made: Built) -> None:
        """Put an image on the shelf, if it has room, and take off what is older."""
        if made.size > self._given.most_bytes:
            raise HoldfastError("image_unfit", f"the image has {made.size} bytes, the shelf {self._given.most_bytes}")
        described = _Described(made.plain, made.rows, list(wanted.spaces), dict(made.cursors), time.time())
        described_at = made.path.with_suffix(".json")
        described_at.write_bytes(msgspec.json.encode(described))
        place = self._folder / f"{key}.{made.name}.zst"
        for source, target in ((made.path, place), (described_at, place.with_suffix(".json"))):
            with source.open("rb+") as file:
                os.fsync(file.fileno())
            source.replace(target)
        self._proven.add(made.name)
        same = [(found.built, path) for path in self._listed(f"{key}.*.json") if (found := _read(path)) is not None]
        for _, path in sorted(same, reverse=True)[KEPT:]:
            self._take_off(path)
        self._make_room(place.with_suffix(".json"))

    def _make_room(self, newest: Path) -> None:
        """Take off what was used longest ago, until the rest is within the bound."""
        used: list[tuple[float, int, Path]] = []
        for path in self._listed("*.json"):
            with suppress(OSError):
                size = path.with_suffix(".zst").stat().st_size
                used.append((float("inf") if path == newest else path.stat().st_mtime, size, path))
        total = sum(size for _, size, _ in used)
        for _, size, path in sorted(used):
            if total <= self._given.most_bytes:
                break
            self._take_off(path)
            total -= size

    def _take_off(self, path: Path) -> None:
        """The description goes first: an image without one is not there."""
        for gone in (path, path.with_suffix(".zst")):
            with suppress(OSError):  # who reads it on a system that does not let it go keeps it until then
                gone.unlink(missing_ok=True)

    def _clean(self) -> None:
        """Throw away what processes left that died over it."""
        old = time.time() - ABANDONED_SECONDS
        for path in self._listed("making-*"):
            with suppress(OSError):
                if path.stat().st_mtime < old:
                    shutil.rmtree(path, ignore_errors=True)
        for path in self._listed("*.zst"):
            with suppress(OSError):
                if not path.with_suffix(".json").exists() and path.stat().st_mtime < old:
                    path.unlink()

    def _is_whole(self, path: Path, image: Image) -> bool:
        """Whether the file is what its name says: read once in each process. A damaged one is taken off."""
        if image.name in self._proven:
            return True
        digest = hashlib.sha256()
        with suppress(OSError), path.with_suffix(".zst").open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
        if digest.hexdigest() != image.name:
            event(log, "hub.image_damaged", image=image.name)
            self._take_off(path)
            return False
        self._proven.add(image.name)
        return True

    def _image(self, path: Path, described: _Described) -> Image | None:
        try:
            size = path.with_suffix(".zst").stat().st_size
        except OSError:
            return None
        name = path.name.split(".")[1]
        return Image(name, size, described.plain, described.rows, tuple(described.spaces), described.cursors)

    def _place(self, name: str) -> Path | None:
        """Where the description of an image is. A name is hexadecimal digits, nothing else: it comes from outside."""
        if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            return None
        return next(iter(self._listed(f"*.{name}.json")), None)

    def _listed(self, pattern: str) -> list[Path]:
        try:
            return sorted(self._folder.glob(pattern))
        except OSError:
            return []

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is wished for any more; False when that takes longer."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return thread is None or not thread.is_alive()

    def close(self) -> None:
        """Make nothing any more, once what is being made is done; idempotent."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()


def _read(path: Path) -> _Described | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Described)
    except (OSError, msgspec.MsgspecError):
        return None
