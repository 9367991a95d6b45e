"""What the hub asks of a request before it looks at its transactions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from holdfast.errors import HoldfastError
from holdfast.hub.serving import Serving
from holdfast.protocol import messages as m


def check_schema(serving: Serving, named: m.SchemaName) -> None:
    """Device and hub must mean the same by what they say."""
    serving.view(named)


def check_want(want: m.Want | None, templates: Collection[str]) -> None:
    """Raise `request_malformed` unless the templates that a device names are of the schema: no others are ever
    matched against names, which a stranger's could make slow."""
    unknown = [text for text in want.upload if text not in templates] if want is not None else []
    if unknown:
        raise HoldfastError("request_malformed", f"want.upload: the schema has no space template {unknown[0]!r}")


def check_device(owners: Mapping[str, str], device: str, origins: Iterable[str]) -> None:
    """An origin belongs to the device that first used it; `owners` maps those known. Raises `device_mismatch`."""
    for origin in sorted(set(origins)):
        if owners.get(origin, device) != device:
            message = f"origin {origin} belongs to another device than {device}"
            raise HoldfastError("device_mismatch", message, origin=origin)
