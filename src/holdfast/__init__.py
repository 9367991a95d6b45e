"""Holdfast: offline-first sync for people who build on Python.

    import holdfast as hf

Declare tables (`hf.Table`, `hf.Schema`), open a device (`hf.Replica`), serve a hub (`hf.Server`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import HoldfastError
from holdfast.hub.hooks import Change, Context, Refuse
from holdfast.hub.identity import Identity
from holdfast.hub.membership import Membership, sql
from holdfast.hub.merging import MergeContext, NeedsReview
from holdfast.images.shelf import Images
from holdfast.protocol.conflicts import Conflict
from holdfast.protocol.happened import Happened
from holdfast.replica.budgets import Storage
from holdfast.replica.compaction import Compacted
from holdfast.replica.connections import Receipt
from holdfast.replica.keeper import Pruned
from holdfast.replica.progress import Flow, Progress
from holdfast.replica.queued import Pending, Refused
from holdfast.replica.replica import Replica
from holdfast.replica.report import SyncReport
from holdfast.replica.salvage.salvage import Salvaged, salvage
from holdfast.replica.status import Status
from holdfast.replica.steering import Cancelled
from holdfast.replica.sync_log import LogLine
from holdfast.replica.undo import Left, Undone
from holdfast.replica.usage import StorageReport
from holdfast.replica.watch import Watch
from holdfast.schema import (
    BigInt,
    BlockKey,
    Counter,
    Custom,
    Earliest,
    ForeignKey,
    GrowSet,
    Json,
    JsonValue,
    Latest,
    MergeText,
    Queue,
    Review,
    Schema,
    ServerWins,
    Set,
    Table,
    Text,
    column,
    drop,
    lens,
    migrate,
    new_id,
    now,
    rename,
    via,
)
from holdfast.server import Server

if TYPE_CHECKING:
    from holdfast import testing

__version__ = "0.1.0"

__all__ = [
    "BigInt",
    "BlockKey",
    "Cancelled",
    "Change",
    "Compacted",
    "Conflict",
    "Context",
    "Counter",
    "Custom",
    "Earliest",
    "Flow",
    "ForeignKey",
    "GrowSet",
    "Happened",
    "HoldfastError",
    "Identity",
    "Images",
    "Json",
    "JsonValue",
    "Latest",
    "Left",
    "LogLine",
    "Membership",
    "MergeContext",
    "MergeText",
    "NeedsReview",
    "Pending",
    "Progress",
    "Pruned",
    "Queue",
    "Receipt",
    "Refuse",
    "Refused",
    "Replica",
    "Review",
    "Salvaged",
    "Schema",
    "Server",
    "ServerWins",
    "Set",
    "Status",
    "Storage",
    "StorageReport",
    "SyncReport",
    "Table",
    "Text",
    "Undone",
    "Watch",
    "column",
    "drop",
    "lens",
    "migrate",
    "new_id",
    "now",
    "rename",
    "salvage",
    "sql",
    "testing",
    "via",
]


def __getattr__(name: str) -> Any:
    """`hf.testing` is loaded when it is used: it needs more than a device needs."""
    if name == "testing":
        import importlib

        return importlib.import_module("holdfast.testing")
    raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
