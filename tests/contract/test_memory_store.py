"""The memory store keeps the contract of stores."""

from __future__ import annotations

from pathlib import Path

from holdfast.stores.memory import MemoryStore
from holdfast.testing.stores import StoreContract


class TestMemoryStore(StoreContract):
    def make_store(self, tmp_path: Path) -> MemoryStore:
        return MemoryStore()
