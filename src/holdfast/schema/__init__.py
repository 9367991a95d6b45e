"""Declaring and compiling a schema."""

from holdfast.schema.declare import ForeignKey, Schema, Table, column, now
from holdfast.schema.identifiers import new_id
from holdfast.schema.meaning import (
    BigInt,
    BlockKey,
    Counter,
    Custom,
    Earliest,
    GrowSet,
    Json,
    JsonValue,
    Latest,
    MergeText,
    Review,
    ServerWins,
    Set,
    Text,
)
from holdfast.schema.migrations import drop, lens, migrate, rename
from holdfast.schema.queue import Queue
from holdfast.schema.space import via

__all__ = [
    "BigInt",
    "BlockKey",
    "Counter",
    "Custom",
    "Earliest",
    "ForeignKey",
    "GrowSet",
    "Json",
    "JsonValue",
    "Latest",
    "MergeText",
    "Queue",
    "Review",
    "Schema",
    "ServerWins",
    "Set",
    "Table",
    "Text",
    "column",
    "drop",
    "lens",
    "migrate",
    "new_id",
    "now",
    "rename",
    "via",
]
