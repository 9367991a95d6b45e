"""The states of a transaction, as data: what may happen to one, and what it is then.

The diagram in docs/reference/queue.md is generated from this table (`python -m checks.reference`).
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Transition(NamedTuple):
    """In `state`, `event` leads to `next`; `when` says when that happens."""

    state: str
    event: str
    next: str
    when: str


STATES: Final = {
    "pending": "written on this device; nobody else knows it",
    "sending": "named, so perhaps on the hub; sent again under its name until the hub has answered",
    "acknowledged": "the hub has it; it has left the outbox",
    "refused": "it has no effect; kept with its reason and its values until somebody decides",
    "parked": "the hub could not process it so often that it is not tried any more; still shown on the device",
    "cancelled": "taken back; it has left the outbox",
}
FIRST: Final = "pending"
LAST: Final = ("acknowledged", "cancelled")

TRANSITIONS: Final = (
    Transition("pending", "name", "sending", "a push is prepared: it gets its name, durably"),
    Transition("pending", "join", "pending", "a later edit of the same row takes it up (coalescing)"),
    Transition("pending", "refuse", "refused", "no request can carry it"),
    Transition("pending", "cancel", "cancelled", "`cancel`: what it wrote is rolled back here"),
    Transition("sending", "accept", "acknowledged", "the hub has taken it, plain or merged"),
    Transition("sending", "refuse", "refused", "the hub has refused it"),
    Transition("sending", "lose", "pending", "the hub has lost the history that it belongs to: it gets a new name"),
    Transition("sending", "release", "pending", "the hub could not process it and has let its name go: tried later"),
    Transition("sending", "park", "parked", "the same, more often than `retries` allows"),
    Transition("sending", "cancel", "cancelled", "`cancel` reached the hub before the transaction had an effect"),
    Transition("refused", "retry", "pending", "`retry`: sent again, as it is or as `edit` has changed it"),
    Transition("refused", "drop", "cancelled", "`drop`: nobody needs it any more"),
    Transition("pending", "retry", "pending", "`retry`: one that is held back is tried at once"),
    Transition("parked", "retry", "pending", "`retry`"),
    Transition("parked", "drop", "cancelled", "`drop`: what it wrote is rolled back here"),
)
_NEXT: Final = {(t.state, t.event): t.next for t in TRANSITIONS}


def after(state: str, event: str) -> str | None:
    """The state that `event` leads to from `state`; None when it cannot happen there."""
    return _NEXT.get((state, event))


def before(event: str) -> list[str]:
    """The states in which `event` can happen."""
    return [t.state for t in TRANSITIONS if t.event == event]


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {FIRST}: written"]
    lines += [f"    {t.state} --> {t.next}: {t.event}" for t in TRANSITIONS]
    lines += [f"    {state} --> [*]" for state in LAST]
    return "\n".join(lines)
