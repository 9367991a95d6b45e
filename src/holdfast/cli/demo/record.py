"""What the demo remembers of each device."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class DeviceRecord:
    """Counts of one device over the whole demo, without the first load.

    `pending` and `pushed` count transactions, `changes` and `pulled` rows, `sent` and `received` bytes.
    """

    name: str
    changes: int = 0
    pending: int = 0
    pushed: int = 0
    merged: int = 0
    pulled: int = 0
    sent: int = 0
    received: int = 0
    fate: str = ""
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    def synced(self, report: dict[str, Any]) -> None:
        """Add what one sync did."""
        self.pushed += report["pushed"]
        self.merged += report["merged"]
        self.pulled += report["pulled"]
        self.sent += report["bytes_sent"]
        self.received += report["bytes_received"]
        self.conflicts += report["conflicts"]
        self.refused += report["refused"]

    def add(self, other: DeviceRecord) -> None:
        """Add the counts of another device."""
        for name in ("changes", "pending", "pushed", "merged", "pulled", "sent", "received"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.conflicts += other.conflicts
        self.refused += other.refused

    def as_document(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)
