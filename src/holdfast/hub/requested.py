"""What the hub asks of a request before it looks at its transactions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

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


def check_want(want: m.Want | None, templates: Collection[str]) -> None:
    """Raise `request_malformed` unless the templates that a device names are of the schema: no others are ever
    matched against names, which a stranger's could make slow."""
    unknown = [text for text in want.upload if text not in templates] if want is not None else []
    if unknown:
        raise HoldfastError("request_malformed", f"want.upload: the schema has no space template {unknown[0]!r}")
