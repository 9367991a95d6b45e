"""Conflicts about merged texts tell texts, not edits: the base, and what either side wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

import holdfast as hf
from tests.integration.conflicts.site import site


class Memo(hf.Table, space="s"):
    body: hf.MergeText = ""


SCHEMA = hf.Schema(Memo)


@pytest.mark.parametrize(
    "first", ["the north side", "🏗 the north side, e\u0301", "the north side. " + "and so on. " * 400]
)
@pytest.mark.parametrize("edited_before", [True, False])
def test_the_base_is_the_text_that_both_had_seen(first: str, edited_before: bool, tmp_path: Path) -> None:
    with site("sqlite", tmp_path, SCHEMA) as place:
        ann, ben = place.device("ann"), place.device("ben")
        ann.execute("insert into memo values ('k', ?)", (first,))
        if edited_before:
            ann.execute("update memo set body = body || '!'")
        place.rest(ann, ben)
        (base,) = ann.execute("select body from memo")[0]
        wrote = {}
        for device, side in ((ann, "WEST"), (ben, "EAST")):
            place.later()
            device.execute("update memo set body = replace(body, 'north', ?)", (side,))
            wrote[side] = device.execute("select body from memo")[0][0]
            device.sync()
        place.rest(ann, ben)
        (told,) = ben.conflicts()
        assert (told.rule, told.theirs) == ("merge_text", wrote["WEST"])
        # The last one is too long to travel with each edit: the hub finds it in the history.
        assert (told.has_base, told.base, told.mine) == (True, base, wrote["EAST"])
