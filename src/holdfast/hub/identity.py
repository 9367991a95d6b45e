"""Who asks, and where he may read and write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m

Access = Literal["r", "rw"]


class Identity(NamedTuple):
    """A user as the application knows him.

    `user` is his name or number as text; `spaces` maps space names to "r" or "rw"; `claims` is anything else that hooks
    want to see (roles, organisation).
    """

    user: str
    spaces: Mapping[str, Access] = {}
    claims: Mapping[str, Any] = {}


def check_user(request: m.Request, identity: Identity) -> None:
    """A device's file belongs to one user: what he has not sent must not go out under another name."""
    if request.user and request.user != identity.user:
        message = f"the file holds data of {request.user}, but {identity.user} is logged in; use a file for each user"
        raise HoldfastError("user_changed", message)


def check_identity(user: Any, spaces: Mapping[Any, Any]) -> None:
    """What `authenticate` and `spaces` gave can go over the wire. A mistake in them must not reach devices."""
    if not isinstance(user, str) or not 0 < len(user) <= 200:
        raise HoldfastError("identity_invalid", "Identity.user must be text of 1 to 200 characters")
    for name, access in spaces.items():
        if not isinstance(name, str) or not 0 < len(name) <= 200 or access not in ("r", "rw"):
            message = f'spaces must map names of 1 to 200 characters to "r" or "rw", not {name!r} to {access!r}'
            raise HoldfastError("identity_invalid", message)
