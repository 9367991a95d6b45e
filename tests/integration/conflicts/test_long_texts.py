"""Merged texts beyond what an edit brings of what its writer saw: base and both texts are whole all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.kernel.merges.merge_text import BASE_LENGTH, KEPT_EDITS
from tests.integration.conflicts.site import Site, site


class Report(hf.Table, space="s"):
    body: hf.MergeText = ""


SCHEMA = hf.Schema(Report)
LINES = [f"line {number} of a long report, with é and 🏗 in it" for number in range(200)]
TEXT = "\n".join(LINES)


@pytest.fixture(params=("memory", "sqlite"))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with site(request.param, tmp_path, SCHEMA) as found:
        yield found


def started(place: Site) -> tuple[hf.Replica, hf.Replica]:
    assert len(TEXT) > BASE_LENGTH
    ann, ben = place.device("ann"), place.device("ben")
    ann.execute("insert into report (id, body) values ('k', ?)", (TEXT,))
    place.rest(ann, ben)
    place.later()
    return ann, ben


def put(device: hf.Replica, old: str, new: str) -> str:
    device.execute("update report set body = replace(body, ?, ?)", (old, new))
    return text(device)


def text(device: hf.Replica) -> str:
    return str(device.execute("select body from report")[0][0])


def test_a_long_text_keeps_base_and_both_texts(place: Site) -> None:
    ann, ben = started(place)
    anns = put(ann, "line 7 of", "line seven of")
    place.later()
    bens = put(ben, "line 7 of", "line VII of")
    place.rest(ann, ben)
    (found,) = ben.conflicts()
    assert (found.base, found.mine, found.theirs) == (TEXT, bens, anns)
    assert found.result == text(ann)
    ben.resolve(found, "mine")
    place.rest(ann, ben)
    assert text(ann) == bens


def test_the_base_is_the_copy_of_a_writer_whose_own_edits_were_on_their_way(place: Site) -> None:
    ann, ben = started(place)
    anns = put(ann, "line 7 of", "line seven of")
    ann.sync()
    with ben.transaction("one"):
        first = put(ben, "line 100 of", "line hundred of")
    with ben.transaction("two"):
        ben.execute("insert into report (id) values ('other')")
        second = put(ben, "line 7 of", "line VII of")
    place.rest(ann, ben)
    (found,) = ben.conflicts()
    assert (found.base, found.mine) == (first, second)
    assert found.theirs == anns.replace("line 100 of", "line hundred of")


def test_a_base_older_than_the_kept_edits_is_merged_as_whole_texts(place: Site) -> None:
    """So many edits went by that the cell has forgotten them; the history has not."""
    ann, ben = started(place)
    for number in range(KEPT_EDITS + 8):
        put(ann, f"line {number} of", f"line {number}! of")
        ann.sync()
    place.later()
    first = put(ben, "line 150 of", "line 150? of")
    bens = put(ben, "line 3 of", "line III-of")
    place.rest(ann, ben)
    (found,) = ben.conflicts()
    assert (found.base, found.mine) == (first, bens)
    merged = text(ann)
    assert "line 150? of" in merged
    assert "line 39! of" in merged
    assert "III-" in merged


def test_without_a_history_the_edit_is_kept_as_it_was_sent(place: Site) -> None:
    """What is kept of a long text for no time cannot be merged; what was typed stands in the conflict."""
    ann, ben = started(place)
    for number in range(KEPT_EDITS + 2):
        put(ann, f"line {number} of", f"line {number}! of")
        ann.sync()
    put(ben, "line 150 of", "line 150? of")
    with place.server._store.transaction(write=True) as tx:
        tx.forget_history("report", place.now + 1, 1_000)
    place.rest(ann, ben)
    (found,) = ben.conflicts()
    assert (found.has_base, found.winner) == (False, "theirs")
    assert "?" in found.mine["op"]
    assert found.theirs == text(ann)
