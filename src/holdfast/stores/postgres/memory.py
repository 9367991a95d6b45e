"""What a hub process remembers of its last writes, so that the next one need not ask for it before it begins.

Nothing is taken on trust: the transaction that was decided over it tells the database what it was, and the database
breaks off if anything of it is otherwise (`lock_unchanged`). The write is done again then, and asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from holdfast.stores.base import Batch, HubState, Need, Origin, Space
from holdfast.stores.postgres.feeds import Spaces

MOST = 1_000
"""So many origins and spaces are remembered: those that were written last."""
MOST_PAUSE = 64
"""Where others write all the time, so many writes at most ask again before one is tried from memory."""


Name = TypeVar("Name")
Thing = TypeVar("Thing")
Chains = Mapping[tuple[str, int], str]


class Expected(NamedTuple):
    """What the database must find as it is here: origins, and spaces, with their numbers, that have had these heads."""

    origins: Sequence[Origin] = ()
    spaces: Sequence[tuple[int, Space]] = ()


class Memory:
    """Of one store; only its writer uses it, and there is one at a time."""

    def __init__(self) -> None:
        self.state = HubState("", 0, "")
        self._usable = False
        self._origins: dict[str, Origin] = {}
        self._spaces: Spaces = {}
        self._chains: dict[tuple[str, int], str] = {}
        self._pause = self._asking = 0

    def covers(self, need: Need) -> bool:
        """Whether a write may begin with what is remembered; asked once for each."""
        if not (need.at_once and need.new and self._usable and need.origins):
            return False
        if not self._origins.keys() >= set(need.origins) or self._spaces.keys().isdisjoint(need.spaces):
            return False
        if any(name not in self._spaces or head > self._spaces[name][1].head for name, head in need.heads):
            return False  # a device has read what another hub has written: its cursor is not of a lost history
        if self._asking:
            self._asking -= 1
            return False
        return True

    def origins(self, names: Iterable[str]) -> dict[str, Origin]:
        """These origins; `covers` has said that they are there."""
        return {name: self._origins[name] for name in names}

    def spaces(self, names: Iterable[str]) -> Spaces:
        """Those of the counters that are remembered."""
        return {name: self._spaces[name] for name in names if name in self._spaces}

    def chain(self, space: str, head: int) -> str | None:
        """The chain that the space had at an earlier head, if that is remembered."""
        return self._chains.get((space, head))

    def read(
        self, state: HubState, origins: Mapping[str, Origin], spaces: Spaces, chains: Chains, *, quiet: bool
    ) -> None:
        """What a writer has read when it began. `quiet`: no row waits aside or to be sequenced."""
        self.state, self._usable = state, quiet
        _remember(self._origins, origins)
        _remember(self._spaces, spaces)
        _remember(self._chains, chains)

    def written(self, batch: Batch, heads: Mapping[str, Space], hlc: int) -> None:
        """A batch was committed, and left these heads."""
        self.state = self.state._replace(hlc=max(self.state.hlc, hlc))
        _remember(self._origins, {origin.origin: origin for origin in batch.origins})
        numbers = {name: self._spaces[name][0] for name in heads if name in self._spaces}
        _remember(self._spaces, {name: (number, heads[name]) for name, number in numbers.items()})
        _remember(self._chains, {(name, space.head): space.chain for name, space in heads.items()})

    def proved(self) -> None:
        """A write from memory went through."""
        self._pause = 0

    def failed(self) -> None:
        """A write from memory was decided in vain: others write here too, or devices send what needs more."""
        self._pause = self._asking = min(MOST_PAUSE, 2 * self._pause + 1)
        self.forget()

    def forget(self) -> None:
        """Nothing is known for sure any more."""
        self._usable = False
        self._origins.clear()
        self._spaces.clear()
        self._chains.clear()


def _remember(known: dict[Name, Thing], new: Mapping[Name, Thing]) -> None:
    for name, thing in new.items():
        known.pop(name, None)
        known[name] = thing
    for name in list(known)[:-MOST] if len(known) > MOST else ():
        del known[name]
