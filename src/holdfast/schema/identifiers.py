"""UUIDv7 keys (RFC 9562 section 5.7)."""

from __future__ import annotations

import os
import threading
import time


class IdSource:
    """Makes UUIDv7 texts that only grow inside one process.

    The 12 + 62 bits after the milliseconds are one number: random at each new millisecond, counted up by a random step
    inside it (RFC 9562 section 6.2, method 2). When the clock stands or goes back, the last millisecond is kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self, now_ms: int, random: bytes) -> str:
        """The next id at `now_ms` (Unix milliseconds) with 10 random bytes."""
        drawn = int.from_bytes(random, "big")
        with self._lock:
            fresh = (now_ms << 74) | (drawn >> 7 & (1 << 73) - 1)
            self._last = fresh if now_ms > self._last >> 74 else self._last + 1 + (drawn & 0xFFFFFFFF)
            number = self._last
        milliseconds, high, low = number >> 74, number >> 62 & 0xFFF, number & (1 << 62) - 1
        digits = f"{milliseconds:012x}7{high:03x}{1 << 63 | low:016x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_SOURCE = IdSource()


def new_id() -> str:
    """A new UUIDv7 as lower-case text; later ones of one process are greater.

    `hf.column(default=hf.new_id)` lets the database make it.
    """
    return _SOURCE.next(time.time_ns() // 1_000_000, os.urandom(10))
