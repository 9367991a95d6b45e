"""Declaring and compiling a schema."""

from holdfast.schema.declare import ForeignKey, Schema, Table, column, now
from holdfast.schema.identifiers import new_id
from holdfast.schema.meaning import BigInt, BlockKey, Counter, Earliest, GrowSet, JsonValue, Latest, Set
from holdfast.schema.queue import Queue
from holdfast.schema.space import via

__all__ = [
    "BigInt",
    "BlockKey",
    "Counter",
    "Earliest",
    "ForeignKey",
    "GrowSet",
    "JsonValue",
    "Latest",
    "Queue",
    "Schema",
    "Set",
    "Table",
    "column",
    "new_id",
    "now",
    "via",
]
