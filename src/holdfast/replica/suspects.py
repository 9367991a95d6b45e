"""Which failures of a request may be due to one transaction in it."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.errors import HoldfastError

BLAMED = frozenset({"internal_error", "request_malformed", "request_too_large"})
BLAMED_STATUS = frozenset({400, 403, 406, 413, 414, 422, 500, 501})
"""Errors of the hub, and answers of something on the way to it, that may be about one transaction in the request."""


def may_be_about_one(error: HoldfastError) -> bool:
    """Whether the failure of a request may be due to one transaction in it, and not to the network or the hub."""
    return (
        error.code in BLAMED
        or error.details.get("status") == 413
        or (error.code == "hub_error" and error.details.get("status") in BLAMED_STATUS)
    )


class Suspect(NamedTuple):
    """A transaction with which alone a request failed, and how."""

    txn: int
    error: str
