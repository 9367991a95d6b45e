"""What a device does about each failure: one table, by HTTP status (`spec/protocol.md` section 6)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from holdfast.errors import HoldfastError
from holdfast.protocol.codec import decode_error
from holdfast.protocol.errors import CODES
from holdfast.protocol.transport import Exchange

MAX_ERROR = 64 * 1024
"""So many bytes of an error's body are read."""

State = Literal["offline", "paused", "blocked"]
Retry = Literal["soon", "slowly", "asked"]


class Behaviour(NamedTuple):
    """`state` of the loop meanwhile. `retry`: "soon" after a growing delay of up to a minute, "slowly" of up to an
    hour, or only when "asked" by the application. `elsewhere`: another URL may do better.
    """

    state: State
    retry: Retry
    elsewhere: bool


BLOCKED = Behaviour("blocked", "slowly", False)
BY_STATUS: dict[int, Behaviour] = {
    400: BLOCKED,
    401: Behaviour("paused", "soon", False),
    403: BLOCKED,
    409: BLOCKED,
    410: Behaviour("blocked", "asked", False),
    413: BLOCKED,
    415: BLOCKED,
    426: BLOCKED,
    429: Behaviour("offline", "soon", False),
}
"""What is left when no smaller request helps (`Uploads.narrow`: 400, 413 and 500 may be about one transaction)."""
NETWORK = Behaviour("offline", "soon", True)
"""Everything else: no connection, an answer that broke off, 5xx, a page of some proxy. No refusal of anything."""
OWN = Behaviour("offline", "soon", False)
"""The device's own trouble (a full disk, another process): no other URL will help."""


def behaviour(error: HoldfastError) -> Behaviour:
    """What to do about an error of a round."""
    status = status_of(error)
    if error.code == "hub_error" and status not in (401, 413, 429):
        return NETWORK  # somebody on the way speaks: it says nothing about what the hub has
    if status:
        return BY_STATUS.get(status, NETWORK)
    return NETWORK if error.code in ("network", "hub_error", "response_malformed", "response_incomplete") else OWN


def status_of(error: HoldfastError) -> int:
    """The HTTP status that the error came with; 0 for none."""
    status = error.details.get("status")
    if type(status) is int:
        return status
    return CODES[error.code].status if error.code in CODES else 0


def hub_error(exchange: Exchange) -> HoldfastError:
    """The error that the hub, or something on the way to it, answered."""
    body = b""
    for chunk in exchange.chunks():
        body += chunk
        if len(body) > MAX_ERROR:
            break
    details: dict[str, Any] = {"status": exchange.status}
    wait = getattr(exchange, "retry_after", None)
    if wait is not None:
        details["retry_after"] = wait
    error = decode_error(body)
    if error is None:
        message = f"the answer is HTTP {exchange.status} and not the hub's: {body[:200]!r}"
        return HoldfastError("hub_error", message, **details)
    return HoldfastError(error.code, error.message, **{**error.details, **details})
