"""How far a transfer is, and how long the rest will take: pure arithmetic over what the rounds report.

One burst is everything from the moment that a device begins to move data until it rests. Counts are of operations and
rows; bytes are those of their JSON, before compression.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

WINDOW_SECONDS = 30.0
"""The speed is that of so many seconds: a link that became slow shows soon."""
SAMPLE_SECONDS = 0.5


class Flow(NamedTuple):
    """One direction. `rows_total` and `bytes_total` are estimates, None while nobody knows; `seconds_left` follows
    from the speed of the last 30 seconds, None before there is one."""

    rows: int = 0
    rows_total: int | None = None
    bytes: int = 0
    bytes_total: int | None = None
    seconds_left: float | None = None


class Progress(NamedTuple):
    """How far a running sync is. `upload` counts operations that were answered, `download` rows that came; `rounds`
    exchanges begun and `transactions` answered in this burst."""

    rounds: int
    transactions: int
    upload: Flow
    download: Flow


class Speed:
    """The speed of one direction over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def start(self, now: float) -> None:
        """Nothing has moved yet. `now` in seconds of any clock that only goes on."""
        self._samples.clear()
        self._samples.append((now, 0))

    def moved(self, now: float, done: int) -> None:
        """So many are done in all."""
        if len(self._samples) > 1 and now - self._samples[-2][0] < SAMPLE_SECONDS:
            self._samples.pop()
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] > WINDOW_SECONDS:
            self._samples.popleft()

    def seconds_for(self, now: float, left: int) -> float | None:
        """How long `left` more will take; None while nothing has moved in the window."""
        if not self._samples:
            return None
        began, first = self._samples[0]
        moved, elapsed = self._samples[-1][1] - first, now - began
        return left * elapsed / moved if moved > 0 and elapsed > 0 else None


class Transfer:
    """What the rounds of one replica have moved in this burst. Written by the syncing thread, read by any.

    `changed()` is called after each step; it must return at once. `clock` gives seconds, as `time.monotonic` does.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.changed: Callable[[], None] = lambda: None
        self.uploading = self.downloading = False
        self._up, self._down = Speed(), Speed()
        self._resting = True
        self._clear()

    def _clear(self) -> None:
        self.rounds = self.transactions = 0
        self.operations = self.operation_bytes = 0
        self.rows = self.row_bytes = 0
        self._ahead: int | None = None
        now = self._clock()
        self._up.start(now)
        self._down.start(now)

    def asks(self, *, sends: bool) -> None:
        """A request goes out; `sends`: with transactions in it."""
        with self._lock:
            if self._resting:
                self._clear()
                self._resting = False
            self.rounds += 1
            self.uploading = sends
        self.changed()

    def answered(self, transactions: int, operations: int, size: int) -> None:
        """The hub has processed so many of what was sent."""
        with self._lock:
            self.uploading = False
            self.transactions += transactions
            self.operations += operations
            self.operation_bytes += size
            self._up.moved(self._clock(), self.operation_bytes)
        self.changed()

    def expects(self, rows: int | None) -> None:
        """The hub says that at most so many rows come from here on; None: it does not say."""
        with self._lock:
            self._ahead = rows if rows is None else self.rows + rows
            self.downloading = bool(rows)

    def page(self, rows: int, size: int) -> None:
        """A page has come."""
        with self._lock:
            self.downloading = True
            self.rows += rows
            self.row_bytes += size
            self._down.moved(self._clock(), self.rows)
        self.changed()

    def rests(self) -> None:
        """Everything is answered and applied, or it failed: the burst is over."""
        with self._lock:
            self._resting = True
            self.uploading = self.downloading = False
        self.changed()

    @property
    def busy(self) -> bool:
        """Whether a burst is under way."""
        return not self._resting

    def progress(self, waiting_operations: int, waiting_bytes: int) -> Progress | None:
        """How far it is, when so much waits still to be sent; None at rest."""
        with self._lock:
            if self._resting:
                return None
            now = self._clock()
            up = Flow(
                self.operations,
                self.operations + waiting_operations,
                self.operation_bytes,
                self.operation_bytes + waiting_bytes,
                self._up.seconds_for(now, waiting_bytes) if waiting_bytes else None,
            )
            return Progress(self.rounds, self.transactions, up, self._download(now))

    def _download(self, now: float) -> Flow:
        if self._ahead is None:
            return Flow(self.rows, None, self.row_bytes, None, None)
        total = max(self._ahead, self.rows)
        size = self.row_bytes * total // self.rows if self.rows else None
        return Flow(self.rows, total, self.row_bytes, size, self._down.seconds_for(now, total - self.rows))


_items = msgspec.json.Decoder(list[msgspec.Raw])


def count_rows(rows: bytes) -> int:
    """How many rows a page holds; 0 for one that is no JSON array, which its reader will refuse."""
    try:
        return len(_items.decode(rows))
    except msgspec.DecodeError:
        return 0
