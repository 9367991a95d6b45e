"""What a link can do, measured: round-trip and throughput, and from them timeouts and the sizes of pieces.

Pure: times are passed in, in seconds. The estimate of the round-trip, its variation and the doubling after a failure
are those of RFC 6298.
"""

from __future__ import annotations

LEAST_PAGE, MOST_PAGE = 1024, 256 * 1024
LEAST_BATCH, MOST_BATCH = 512, 4 * 1024 * 1024
PAGE_SECONDS = 1.0
"""A page is so large that it takes about so long: what a broken connection costs at most."""
BATCH_SECONDS = 4.0
SMALL = 4 * 1024
"""Requests up to here measure the round-trip, larger ones the throughput."""
CONNECT_SECONDS, SILENCE_SECONDS = 10.0, 60.0
"""What is waited for before anything is measured."""
GRACE_SECONDS = 5.0
"""The hub may think for so long, beside the network."""
MOST_SECONDS = 300.0
FLOOR = 1_000.0
"""Bytes a second that any link is given the time for."""


class Meter:
    """Measurements of one link. Sizes are in bytes before compression, `seconds` as measured by the caller."""

    def __init__(self) -> None:
        self.round_trip: float | None = None
        self._variation = 0.0
        self.up: float | None = None
        self.down: float | None = None
        self._patience = 1.0
        self._page, self._batch = MOST_PAGE, MOST_BATCH

    def answered(self, sent: int, seconds: float) -> None:
        """The first byte of an answer came `seconds` after a request of `sent` bytes was begun."""
        if sent > SMALL:
            self.up = smoothed(self.up, sent / max(seconds - (self.round_trip or 0.0), 1e-3))
        elif self.round_trip is None:
            self.round_trip, self._variation = seconds, seconds / 2
        else:
            self._variation += (abs(self.round_trip - seconds) - self._variation) / 4
            self.round_trip += (seconds - self.round_trip) / 8

    def read(self, received: int, seconds: float) -> None:
        """A whole answer of `received` bytes was read; `seconds` of that were spent waiting for the network."""
        self._patience = 1.0
        if received > SMALL:
            self.down = smoothed(self.down, received / max(seconds, 1e-3))
        if 2 * received > self._page:
            self._page = min(self._page * 3 // 2, MOST_PAGE)

    def delivered(self, sent: int) -> None:
        """A request of `sent` bytes was answered."""
        if 2 * sent > self._batch:
            self._batch = min(self._batch * 3 // 2, MOST_BATCH)

    def cut(self, received: int) -> None:
        """An answer broke off after `received` bytes: the next pages are smaller, so that whole ones come through."""
        self._patience = min(2 * self._patience, 8.0)
        self._page = max(LEAST_PAGE, min(self._page // 2, max(received, LEAST_PAGE)))

    def unreachable(self) -> None:
        """No connection came about: that says nothing about sizes."""
        self._patience = min(2 * self._patience, 8.0)

    def lost(self, sent: int) -> None:
        """No answer came to a request of `sent` bytes: the next one is smaller, and is waited for longer."""
        self._patience = min(2 * self._patience, 8.0)
        if sent > LEAST_BATCH:
            self._batch = max(LEAST_BATCH, min(self._batch, sent) // 2)

    @property
    def page(self) -> int:
        """Bytes that a page should have."""
        wish = MOST_PAGE if self.down is None else int(self.down * PAGE_SECONDS)
        return max(LEAST_PAGE, min(wish, self._page))

    @property
    def batch(self) -> int:
        """Bytes of transactions that a request should have."""
        wish = MOST_BATCH if self.up is None else int(self.up * BATCH_SECONDS)
        return max(LEAST_BATCH, min(wish, self._batch))

    @property
    def connecting(self) -> float:
        """Seconds after which a connection that does not come about is given up."""
        if self.round_trip is None:
            return CONNECT_SECONDS
        return min(max(3.0, 4 * self._expected()) * self._patience, MOST_SECONDS)

    def silence(self, sent: int) -> float:
        """Seconds without a byte after which a connection counts as broken, when `sent` bytes go out first."""
        if self.round_trip is None:
            wait = SILENCE_SECONDS
        else:
            wait = max(10.0, GRACE_SECONDS + 4 * self._expected()) * self._patience
        return min(wait, MOST_SECONDS) + 2 * sent / max(self.up or FLOOR, FLOOR)

    def _expected(self) -> float:
        """The round-trip that is rarely exceeded."""
        return (self.round_trip or 0.0) + 4 * self._variation


def smoothed(known: float | None, sample: float) -> float:
    """The estimate after another sample."""
    return sample if known is None else known + (sample - known) / 4
