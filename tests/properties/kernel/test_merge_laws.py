"""Every merge type is a join-semilattice on reachable states, and hubs that have heard of everything agree."""

from __future__ import annotations

import copy
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.kernel import row
from holdfast.kernel.column import default_of
from holdfast.kernel.merges import BY_NAME
from tests.properties.kernel.histories import COLUMNS, HUBS, Table, World, normal

# A history is a long example, so a quarter as many as the profile asks for; a soak run still makes many.
LAWS = settings(
    max_examples=settings().max_examples // 4,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def world(data: st.DataObject, *names: str) -> World:
    on_delete = data.draw(st.sampled_from(["keep_edits", "delete"]))
    made = World(Table(tuple(COLUMNS[n][0] for n in names), on_delete), [COLUMNS[n][1] for n in names], data)
    made.run(data.draw(st.integers(1, 10), label="steps"))
    return made


@pytest.mark.parametrize("name", COLUMNS)
@LAWS
@given(data=st.data())
def test_join_is_associative_commutative_and_idempotent(name: str, data: st.DataObject) -> None:
    made = world(data, name)
    if not made.states:
        return
    a, b, c = (data.draw(st.sampled_from(made.states)) for _ in range(3))
    join = row.join
    assert normal(join(made.table, a, a)) == normal(a)
    assert normal(join(made.table, a, b)) == normal(join(made.table, b, a))
    left = join(made.table, join(made.table, a, b), c)
    assert normal(left) == normal(join(made.table, a, join(made.table, b, c)))


@pytest.mark.parametrize("name", COLUMNS)
@LAWS
@given(data=st.data())
def test_an_operation_only_moves_up(name: str, data: st.DataObject) -> None:
    """What an operation made contains what was there: joining the old state into it changes nothing."""
    made = world(data, name)
    for before, op, outcome, *_ in made.outcomes:
        if before is not None and outcome.row is not None:
            assert normal(row.join(made.table, outcome.row, before)) == normal(outcome.row), op


@pytest.mark.parametrize("name", COLUMNS)
@LAWS
@given(data=st.data())
def test_hubs_agree_after_joining_in_any_order(name: str, data: st.DataObject) -> None:
    made = world(data, name)
    known = [state for state in made.hubs.values() if state is not None]
    if not known:
        return
    results = set()
    for order in itertools.permutations(known):
        total = order[0]
        for other in order[1:]:
            total = row.join(made.table, total, other)
        results.add(normal(total))
    assert len(results) == 1


@LAWS
@given(data=st.data())
def test_apply_is_deterministic_and_leaves_its_input_alone(data: st.DataObject) -> None:
    made = world(data, "text", "counter with a default", "set with a default", "grow set", "latest")
    for before, op, outcome, hub, table in made.outcomes:
        kept_row, kept_op = copy.deepcopy(before), copy.deepcopy(op)
        again = row.apply(table, before, op, hub)
        assert again == outcome
        assert before == kept_row
        assert op == kept_op


@LAWS
@given(data=st.data())
def test_two_operations_that_saw_each_other_never_conflict(data: st.DataObject) -> None:
    """One device at a time, one hub: everything follows, nothing conflicts, the last written value is there."""
    made = World(Table((COLUMNS["text"][0],)), [COLUMNS["text"][1]], data)
    for origin in data.draw(st.lists(st.sampled_from(["a" * 12, "b" * 12]), max_size=6)):
        made.visit(origin, HUBS[0], HUBS[0])
    for _before, op, outcome, *_ in made.outcomes:
        assert not outcome.conflicts
        if op.kind == "update" and 0 in op.changes:
            assert outcome.row is not None
            assert outcome.row.values[0] == op.changes[0]


@LAWS
@given(data=st.data())
def test_a_register_never_loses_a_value_without_a_conflict(data: st.DataObject) -> None:
    """An update of a living row either shows its value, or a conflict names it (design, section 3, principle 6)."""
    made = world(data, "text", "json")
    for before, op, outcome, *_ in made.outcomes:
        if op.kind != "update" or before is None or before.life % 2 == 0 or outcome.row is None:
            continue
        for slot, change in op.changes.items():
            named = [conflict for conflict in outcome.conflicts if conflict.slot == slot]
            shown = normal(row.Row(1, [outcome.row.values[slot]], [])) == normal(row.Row(1, [change], []))
            assert shown or (named and named[0].winner == "theirs" and named[0].mine == change)


@LAWS
@given(data=st.data())
def test_a_counter_counts_every_accepted_change_once(data: st.DataObject) -> None:
    made = World(Table((COLUMNS["counter"][0],)), [COLUMNS["counter"][1]], data)
    hub, total = HUBS[0], 0
    origins = data.draw(st.lists(st.sampled_from(["a" * 12, "b" * 12]), max_size=8))
    state = None
    for number, origin in enumerate(origins):
        change = data.draw(st.integers(-(2**40), 2**40))
        stamp = f"{data.draw(st.integers(0, 99)):014x}-{origin}"
        op = row.Op("update" if number else "insert", "k", stamp, min(number, 1), {0: change}, {})
        state = row.apply(made.table, state, op, hub if number % 2 else HUBS[1]).row
        total += change
        assert state is not None
        assert state.values == [total]


@pytest.mark.parametrize("name", ["text", "earliest", "latest", "grow set"])
@LAWS
@given(data=st.data())
def test_independent_operations_may_arrive_in_any_order(name: str, data: st.DataObject) -> None:
    """Concurrent updates of one row, delivered to two hubs in two orders, make the same value."""
    column, strategy = COLUMNS[name]
    table = Table((column,))
    seen = row.apply(table, None, row.Op("insert", "k", f"{1:014x}-{'0' * 12}", 0, {}, {}), HUBS[0]).row
    assert seen is not None
    base = {0: seen.stamps[0]}
    ops = []
    for place, origin in enumerate(["a" * 12, "b" * 12, "c" * 12]):
        new = column.accept(data.draw(strategy))
        change = {"add": new} if name == "grow set" else new
        ops.append(row.Op("update", "k", f"{2 + place % 2:014x}-{origin}", 1, {0: change}, dict(base)))
    ends = set()
    for order in itertools.permutations(ops):
        state: row.Row | None = seen
        for op in order:
            state = row.apply(table, state, op, HUBS[0]).row
        assert state is not None
        ends.add(normal(state))
    assert len(ends) == 1


@LAWS
@given(data=st.data())
def test_a_device_far_ahead_never_conflicts_with_itself(data: st.DataObject) -> None:
    """The hub moves its stamps back (merge.md, section 6); reopened, it has another origin and names its old stamps."""
    column, strategy = COLUMNS["text"]
    table, hub, ahead, hub_hlc = Table((column,)), HUBS[0], 2**40, 0
    shown: row.Row | None = None
    kept: row.Row | None = None
    for number in range(data.draw(st.integers(2, 8))):
        value = data.draw(strategy)
        stamp = f"{ahead + number:014x}-{data.draw(st.sampled_from('abc')) * 12}"
        if shown is None:
            op = row.Op("insert", "k", stamp, 0, {0: value}, {})
        else:
            op = row.Op("update", "k", stamp, 1, {0: value}, {0: shown.stamps[0] or ""})
        shown = row.apply(table, shown, op, "~").row
        hub_hlc += data.draw(st.integers(1, 3), label="events of the hub")
        outcome = row.apply(table, kept, op._replace(stamp=f"{hub_hlc:014x}-{stamp[15:]}", named=stamp), hub)
        kept = outcome.row
        assert outcome.status == "merged"
        assert outcome.conflicts == ()
        assert kept is not None
        assert kept.values == [value]


@pytest.mark.parametrize("name", ["text", "json", "set", "set with a default"])
@LAWS
@given(data=st.data())
def test_what_is_written_after_all_is_seen_is_what_stands(name: str, data: st.DataObject) -> None:
    """Plain values written one after the other, by any device: the last one stands, whole."""
    column, strategy = COLUMNS[name]
    table, merge = Table((column,)), BY_NAME[column.merge]
    state: row.Row | None = row.Row(1, [], [])
    for number in range(data.draw(st.integers(1, 6))):
        assert state is not None
        old = state.values[0] if state.values else default_of(column, merge.empty)
        new = column.accept(data.draw(strategy))
        change = merge.difference(column, old, state.states.get(0), new)
        base = {0: state.stamps[0]} if state.stamps else {}
        stamp = f"{number:014x}-{data.draw(st.sampled_from('abc')) * 12}"
        state = row.apply(table, state, row.Op("update", "k", stamp, 1, {0: change}, base), HUBS[0]).row
        assert state is not None
        assert state.values == [new]
