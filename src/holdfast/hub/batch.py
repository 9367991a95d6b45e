"""What a batch of submissions consists of, what may be left out of it, and what becomes of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from holdfast.hub.hooks import Change, Context
from holdfast.hub.identity import Access, Identity
from holdfast.hub.operations import Refusal
from holdfast.hub.placing import Written
from holdfast.hub.workspace import RowName
from holdfast.protocol import messages as m
from holdfast.stores.base import Need


class Submission(NamedTuple):
    """The transactions of one request, with who sent them, where he may read and write, the span of the request,
    and how far the device has read. `then` is what its answer will ask of the store, `size` the bytes of the request.
    `copied`: another copy of the device's file may have sent some of the transactions before.
    """

    identity: Identity
    device: str
    spaces: Mapping[str, Access]
    transactions: Sequence[m.Transaction]
    trace: Any = None
    cursors: Mapping[str, str] = {}
    then: Need | None = None
    size: int = 0
    copied: bool = False


class Unit(NamedTuple):
    """One transaction of one submission; `place` counts the units of the batch."""

    submission: int
    transaction: m.Transaction
    place: int


class Accepted(NamedTuple):
    """What an accepted transaction did. `plain` are rows changed with nothing else having happened, `changes` for
    hooks, `rules` of the conflicts that it met.
    """

    result: m.Result | None
    plain: set[RowName]
    mixed: set[RowName]
    changes: list[Change]
    rules: list[str]


class Outcome:
    """What became of one submission.

    `through` maps origin -> last n processed; `plain` are the rows whose every operation was plain, `mixed` those that
    must go back to the device; `written` says where the rows went, `left` which spaces they left; `conflicts`
    are the rules of those that were met.
    """

    def __init__(self, counts: str = "") -> None:
        self.counts = counts
        """The name under which increments were counted; empty: none were."""
        self.restored = 0
        self.unrestored: list[m.Kept] = []
        """How many rows came back, and those that were not taken."""
        self.through: dict[str, int] = {}
        self.results: list[m.Result] = []
        self.plain: set[RowName] = set()
        self.mixed: set[RowName] = set()
        self.written: dict[RowName, Written] = {}
        self.left: set[str] = set()
        self.conflicts: list[str] = []
        self.changes: list[tuple[list[Change], Context]] = []
        self.found: object = None
        """What was read for the answer right behind the commit; see `stores.base.Need.then`."""
        self.held = False
        """Whether some transactions were left for later, because another program holds or has just written their
        rows. They were not processed; `through` ends before them."""

    def absorb(self, later: Outcome) -> None:
        """What became of the transactions that were left for later, in another batch."""
        self.through.update(later.through)
        self.results.extend(later.results)
        self.plain |= later.plain
        self.mixed |= later.mixed
        self.written.update(later.written)
        self.left |= later.left
        self.conflicts.extend(later.conflicts)
        self.held, self.found = later.held, later.found


class Held:
    """Which transactions of a batch are left for later: those whose rows another program holds or has just written, and
    what their devices have sent after them: it may need them.
    """

    def __init__(self, submissions: Sequence[Submission], outcomes: Sequence[Outcome]) -> None:
        self._submissions = submissions
        self._outcomes = outcomes
        self._first: dict[str, int] = {}

    def without(self, units: Sequence[Unit], names: Collection[RowName]) -> list[Unit]:
        """The units that touch none of these rows and come after none that is held; the others are held now."""
        kept = []
        for unit in units:
            first = self._first.get(self._submissions[unit.submission].device, unit.place)
            if first < unit.place or (names and not names_of(unit).isdisjoint(names)):
                self.hold(unit)
            else:
                kept.append(unit)
        return kept

    def hold(self, unit: Unit) -> None:
        """Leave the unit for later."""
        origin, n = unit.transaction.origin, unit.transaction.n
        device = self._submissions[unit.submission].device
        self._first[device] = min(self._first.get(device, unit.place), unit.place)
        self._outcomes[unit.submission].held = True
        for outcome in self._outcomes:
            if origin in outcome.through:
                outcome.through[origin] = min(outcome.through[origin], n - 1)


def names_of(unit: Unit) -> set[RowName]:
    """The rows that a transaction writes."""
    return {(op.table, op.key) for op in unit.transaction.ops}


def refused_result(transaction: m.Transaction, refusal: Refusal) -> m.Result:
    """The result of a transaction that was refused."""
    return m.Result(
        transaction.origin,
        transaction.n,
        "refused",
        refusal.code,
        refusal.message,
        refusal.table,
        refusal.key,
        refusal.column,
        refusal.details,
    )


def touched_by_several(units: Sequence[Unit], decided: Sequence[Accepted]) -> set[RowName]:
    """Rows that more than one submission of the batch changed: everyone must get them back."""
    owner: dict[RowName, int] = {}
    shared = set()
    for unit, accepted in zip(units, decided, strict=True):
        for name in accepted.plain | accepted.mixed:
            if owner.setdefault(name, unit.submission) != unit.submission:
                shared.add(name)
    return shared
