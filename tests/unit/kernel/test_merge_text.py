"""Merged texts: a hub, devices that edit at once, and pasts that end."""

from __future__ import annotations

import random
from typing import Any

from holdfast.kernel import row
from holdfast.kernel.merges import BY_NAME
from holdfast.schema import model

MEMO = model.Column("memo", "text", default="", merge="merge_text")


class Table:
    cells = (MEMO,)
    on_delete = "keep_edits"


TABLE: Any = Table()
MERGE = BY_NAME["merge_text"]
HUB = "1" * 12


def stamp(hlc: int, origin: str) -> str:
    return f"{hlc:014x}-{origin * 12}"


def inserted(text: str, hlc: int, origin: str) -> row.Op:
    return row.Op("insert", "k", stamp(hlc, origin), 0, {0: MERGE.difference(MEMO, "", None, text)}, {})


def edited(seen: row.Row, text: str, hlc: int, origin: str) -> row.Op:
    change = MERGE.check(MEMO, MERGE.difference(MEMO, seen.values[0], seen.states.get(0), text))
    return row.Op("update", "k", stamp(hlc, origin), 1, {0: change}, {0: seen.stamps[0] or ""})


def applied(before: row.Row | None, op: row.Op, hub: str = HUB) -> row.Row:
    after = row.apply(TABLE, before, op, hub).row
    assert after is not None
    return after


def test_edits_in_different_places_are_both_there_without_a_conflict() -> None:
    seen = applied(None, inserted("The quick brown fox", 1, "a"))
    hub = applied(seen, edited(seen, "The very quick brown fox", 2, "b"))
    outcome = row.apply(TABLE, hub, edited(seen, "The quick brown foxes", 3, "c"), HUB)
    assert outcome.row is not None
    assert outcome.row.values == ["The very quick brown foxes"]
    assert (outcome.status, outcome.conflicts) == ("merged", ())


def test_edits_of_the_same_words_keep_both_and_make_a_conflict() -> None:
    seen = applied(None, inserted("The quick brown fox", 1, "a"))
    hub = applied(seen, edited(seen, "The quick red fox", 2, "b"))
    outcome = row.apply(TABLE, hub, edited(seen, "The quick GREY fox", 3, "c"), HUB)
    assert outcome.row is not None
    assert "red" in outcome.row.values[0] and "GREY" in outcome.row.values[0]
    (conflict,) = outcome.conflicts
    assert (conflict.slot, conflict.rule, conflict.winner) == (0, "merge_text", "mine")
    assert (conflict.mine, conflict.theirs) == ("The quick GREY fox", "The quick red fox")


def test_an_edit_made_on_ones_own_insert_of_a_text_that_another_inserted_too() -> None:
    """The second insert of one text did nothing at the hub, so its writer's next edit finds its way by whole texts."""
    own = applied(None, inserted("same", 2, "b"), "~")
    hub = applied(applied(None, inserted("same", 1, "a")), inserted("same", 2, "b"))
    assert hub.values == ["same"]
    assert applied(hub, edited(own, "same and more", 3, "b")).values == ["same and more"]


def test_devices_and_hub_agree_whatever_they_type() -> None:
    """Each device folds what it has not sent over what it has; after all is sent, everybody has the hub's text."""
    for seed in range(150):
        rng = random.Random(seed)
        hub = applied(None, inserted("hello world", 1, "0"))
        confirmed, waiting, hlc = (
            dict.fromkeys("abc", hub),
            {name: list[row.Op]() for name in "abc"},
            dict.fromkeys("abc", 1),
        )
        for _ in range(30):
            name = rng.choice("abc")
            if rng.random() < 0.6:
                shown = confirmed[name]
                for op in waiting[name]:
                    shown = applied(shown, op, "~")
                text, place = shown.values[0], rng.randint(0, len(shown.values[0]))
                new = text[:place] + rng.choice(["x", "😀 ", "", "abc"]) + text[place + rng.randint(0, 4) :]
                hlc[name] += rng.randint(1, 3)
                op = edited(shown, new, hlc[name], name)
                waiting[name].append(op)
                assert applied(shown, op, "~").values == [new]
            else:
                for op in waiting[name]:
                    hub = applied(hub, op)
                confirmed[name], waiting[name] = hub, []
        for name in "abc":
            for op in waiting[name]:
                hub = applied(hub, op)
        assert isinstance(hub.values[0], str)


def test_what_a_device_folds_over_news_is_what_the_hub_makes_of_it() -> None:
    seen = applied(None, inserted("one two three", 1, "a"))
    own = edited(seen, "one 2 three", 2, "b")
    news = applied(seen, edited(seen, "zero one two three", 3, "c"))
    assert applied(news, own, "~") == applied(news, own)
