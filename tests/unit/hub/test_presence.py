"""Presence in a hub whose store carries messages between processes: lost processes are forgotten, beats repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.hub.presence import BEAT_SECONDS, FORGET_SECONDS, MOST_TOLD, Presence
from holdfast.stores.memory import MemoryStore


class Carrier(MemoryStore):
    """A store between two hubs of this process; `silent` while what one says gets lost."""

    def __init__(self, others: list[Carrier], voice: str) -> None:
        super().__init__()
        self.others, self.voice, self.silent, self.heard = others, voice, False, []
        others.append(self)

    def tell(self, text: str) -> None:
        if self.silent:
            raise RuntimeError("the store is away")
        for other in self.others:
            if other is not self:
                for heard in other.heard:
                    heard(self.voice, text)

    def hear(self, heard: Callable[[str, str], None]) -> Callable[[], None]:
        self.heard: list[Any] = [heard]
        return self.heard.clear


def test_a_lost_process_is_forgotten_and_a_missed_word_repeated() -> None:
    now = [0.0]
    others: list[Carrier] = []
    stores = [Carrier(others, "one"), Carrier(others, "two")]
    one, two = (Presence(store, lambda: now[0]) for store in stores)
    woken: list[str] = []
    ben = two.enter(woken.append)
    two.announce(ben, "b", "ben", {"s": 1})
    anna = one.enter(lambda space: None)
    stores[0].silent = True
    one.announce(anna, "a", "anna", {"s": None})
    assert [here.user for here in one.here("s")] == ["anna", "ben"]
    assert [here.user for here in two.here("s")] == ["ben"], "the word was lost"
    stores[0].silent = False
    now[0] += BEAT_SECONDS
    one.beat()
    one.beat()
    assert [here.user for here in two.here("s")] == ["anna", "ben"], "and is repeated"
    woken.clear()
    now[0] += FORGET_SECONDS + 1
    two.beat()
    assert woken == ["s"]
    assert [here.user for here in two.here("s")] == ["ben"]
    one.close()
    two.announce(ben, "b", "ben", {})
    assert two.here("s") == []


def test_who_says_the_same_again_wakes_nobody_and_many_are_bounded() -> None:
    presence = Presence(MemoryStore())
    woken: list[str] = []
    first = presence.enter(woken.append)
    presence.announce(first, "d", "u", {"s": 1})
    presence.announce(first, "d", "u", {"s": 1})
    assert woken == ["s"]
    for number in range(MOST_TOLD + 10):
        presence.announce(presence.enter(lambda space: None), f"{number:04}", "u", {"s": None})
    assert len(presence.here("s")) == MOST_TOLD
    presence.beat()
    presence.leave(first)
    presence.leave(first)
    presence.close()
