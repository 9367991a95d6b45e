"""What the hub asks of a request before it looks at its transactions."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.schema.model import Schema
from holdfast.stores.base import Transaction


def check_schema(schema: Schema, named: m.SchemaName) -> None:
    """Device and hub must mean the same by what they say."""
    if named.version != schema.version:
        message = f"the device runs schema version {named.version}, this hub knows {schema.version}"
        raise HoldfastError("schema_version", message, device=named.version, hub=[schema.version])
    if named.hash != schema.hash:
        message = f"device and hub both say schema version {named.version} but their schemas differ"
        raise HoldfastError("schema_mismatch", message, device=named.hash, hub=schema.hash)


def check_origins(tx: Transaction, request: m.Request, origins: Sequence[str]) -> None:
    """An origin belongs to the device that first used it."""
    for record in tx.origins(sorted(set(origins))).values():
        if record.device != request.device:
            message = f"origin {record.origin} belongs to another device than {request.device}"
            raise HoldfastError("device_mismatch", message, origin=record.origin)
