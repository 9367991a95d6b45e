"""A store in memory: for tests and simulations, and as a second opinion on what a store must do."""

from holdfast.stores.memory.store import MemoryStore
from holdfast.stores.memory.transaction import MemoryTransaction

__all__ = ["MemoryStore", "MemoryTransaction"]
