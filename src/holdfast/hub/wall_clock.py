"""What time it is, for hubs that are not told by a test."""

from __future__ import annotations

import time

from holdfast.kernel import clock


def system_clock() -> int:
    """Milliseconds since 2020-01-01 UTC, from the system's clock."""
    return time.time_ns() // 1_000_000 - clock.EPOCH_MS
