"""What the hub asks of a request before it looks at its transactions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from holdfast.errors import HoldfastError
from holdfast.hub.serving import Serving
from holdfast.protocol import messages as m


def check_schema(serving: Serving, named: m.SchemaName) -> None:
    """Device and hub must mean the same by what they say."""
    serving.view(named)


def check_name(device: str) -> None:
    """Raise `request_malformed` for a name of a device that no database can keep."""
    if "\0" in device:
        raise HoldfastError("request_malformed", "device: a name holds no NUL")


def check_want(want: m.Want | None, templates: Collection[str]) -> None:
    """Raise `request_malformed` unless the templates that a device names are of the schema: no others are ever
    matched against names, which a stranger's could make slow."""
    unknown = [text for text in want.upload if text not in templates] if want is not None else []
    if unknown:
        raise HoldfastError("request_malformed", f"want.upload: the schema has no space template {unknown[0]!r}")


class Owner(NamedTuple):
    """Who first used an origin: the device and its user."""

    device: str
    user: str


def check_owner(owners: Mapping[str, Owner], owner: Owner, origins: Iterable[str]) -> None:
    """An origin belongs to who first used it; `owners` maps those known. Raises `device_mismatch`, `user_changed`.

    Origins stand in stamps and devices in the history, where all who share a space read them: who could go on with
    somebody else's numbers would make the hub skip what that one sends next.
    """
    for origin in sorted(set(origins)):
        known = owners.get(origin, owner)
        if known.device != owner.device:
            message = f"origin {origin} belongs to another device than {owner.device}"
            raise HoldfastError("device_mismatch", message, origin=origin)
        if known.user != owner.user:
            message = f"origin {origin} belongs to another user than {owner.user}"
            raise HoldfastError("user_changed", message, origin=origin)
