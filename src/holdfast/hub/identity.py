"""Who asks, and where he may read and write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Access = Literal["r", "rw"]


class Identity(NamedTuple):
    """A user as the application knows him.

    `user` is his name or number as text; `spaces` maps space names to "r" or "rw"; `claims` is anything else that hooks
    want to see (roles, organisation).
    """

    user: str
    spaces: Mapping[str, Access] = {}
    claims: Mapping[str, Any] = {}
