"""What you test with: a hub without a socket for applications, and the contract for stores of your own."""

from __future__ import annotations

from holdfast.edge.local import LocalTransport
from holdfast.stores.contract import StoreContract

__all__ = ["LocalTransport", "StoreContract"]
