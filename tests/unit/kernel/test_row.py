"""What the row vectors cannot say: inputs are not shared into results, wrong kinds are loud, real schemas fit."""

from __future__ import annotations

import random

import pytest

from holdfast.kernel import digest, row
from holdfast.kernel.merges import BY_NAME
from holdfast.kernel.stamps import encode_stamps
from holdfast.schema import model
from tests.properties.kernel.histories import COLUMNS, Table

STAMP = f"{1:014x}-{'a' * 12}"
LATER = f"{2:014x}-{'b' * 12}"
TEXT = Table((COLUMNS["text"][0],) * 3)


def test_an_unknown_kind_is_loud() -> None:
    op = row.Op("upsert", "k", STAMP, 0, {}, {})
    with pytest.raises(ValueError, match="upsert"):
        row.apply(TEXT, None, op, "1" * 12)


def test_a_copy_is_independent() -> None:
    first = row.Row(1, ["x", 1], [STAMP, STAMP], {1: [1, {"1" * 12: [1, 0]}]})
    second = first.copy()
    second.life, second.values[0], second.stamps[0] = 3, "y", LATER
    second.states.clear()
    assert first == row.Row(1, ["x", 1], [STAMP, STAMP], {1: [1, {"1" * 12: [1, 0]}]})


def test_what_changes_nothing_returns_the_row_itself() -> None:
    dead = row.Row(2, ["x"], [STAMP])
    outcome = row.apply(TEXT, dead, row.Op("delete", "k", LATER, 1, {}, [STAMP]), "1" * 12)
    assert outcome.row is dead


def test_a_column_without_a_default_of_the_compiled_schema() -> None:
    """`model.MISSING` is no wire value: the cell begins with what its merge type begins with."""
    types = {"set": "set", "grow_set": "set", "text": "text", "merge_text": "text", "json": "json"}
    cells = tuple(
        model.Column(
            f"column_{merge}",
            types.get(merge, "int"),
            element="int" if "set" in merge else "",
            merge=merge,
            function="f" if merge == "custom" else "",
        )
        for merge in BY_NAME
    )
    assert all(column.default is model.MISSING for column in cells)
    op = row.Op("insert", "k", STAMP, 0, {}, {})
    made = row.apply(Table(cells), None, op, "1" * 12).row  # type: ignore[arg-type]
    assert made is not None
    empty = {"counter": 0, "set": [], "grow_set": [], "text": "", "merge_text": "", "json": {}}
    assert made.values == [empty.get(merge) for merge in BY_NAME]


def test_a_false_default_is_a_default() -> None:
    table = Table((model.Column("done", "bool", default=False),))  # type: ignore[arg-type]
    made = row.apply(table, None, row.Op("insert", "k", STAMP, 0, {}, {}), "1" * 12).row
    assert made is not None
    assert made.values == [False]


def test_a_bucket_forgets_the_order_of_its_rows() -> None:
    rng = random.Random(3)
    key = rng.randbytes(digest.MAX_KEY_BYTES)
    leaves = [digest.leaf(key, "t", str(n), 1, encode_stamps([STAMP])) for n in range(50)]
    total = 0
    for leaf in leaves:
        total = digest.add(total, leaf)
    rng.shuffle(leaves)
    for leaf in leaves:
        total = digest.sub(total, leaf)
    assert total == 0
    assert digest.root({5: total}) == digest.root({})
    assert digest.root({5: leaves[0]}) != digest.root({6: leaves[0]})


def test_rows_spread_over_the_buckets() -> None:
    hit = {digest.bucket("t", str(n)) for n in range(40_000)}
    assert min(hit) == 0
    assert max(hit) == digest.BUCKETS - 1
    assert len(hit) > digest.BUCKETS * 0.99
