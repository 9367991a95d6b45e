"""Causal convergence: what a device sees agrees with one order of all writes that respects cause and effect.

The definition and the polynomial check are those of Biswas and Enea, *On the Complexity of Checking Transactional
Consistency* (OOPSLA 2019), for causal consistency, which is the convergent form (CCv) of Bouajjani, Enea, Guerraoui
and Hamza, *On Verifying Causal Consistency* (POPL 2017). Every write of a key has a value of its own, so that a read
says which write it saw. Let `co` be the transitive closure of session order and of "this transaction read from that
one". The history is causally convergent when `co` has no cycle, no transaction reads a value that is overwritten in
its causal past, and the order that follows from both has no cycle either.

A device's file outlives its processes, so one device is one session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from holdfast.testing.histories.record import Operation

BEGINNING = 0
"""The number of the transaction that wrote the first value (None) of every key."""


class Transaction(NamedTuple):
    """A transaction: its session, what it read of others and what it wrote, by key. Index in the list = its number."""

    device: str
    reads: Mapping[str, Any]
    writes: Mapping[str, Any]


def check(history: Sequence[Operation]) -> list[str]:
    """What is wrong, a sentence each. `transact` has [kind, key, value] for each step, kind "r" or "w"."""
    transactions = gather(history)
    writers = {(key, value): number for number, t in enumerate(transactions) for key, value in t.writes.items()}
    wrong = []
    before: list[set[int]] = [set() for _ in transactions]
    sessions: dict[str, int] = {}
    read_from: list[tuple[int, int, str]] = []
    for number, transaction in enumerate(transactions):
        if number != BEGINNING:
            before[number].add(sessions.get(transaction.device, BEGINNING))
            sessions[transaction.device] = number
        for key, value in transaction.reads.items():
            writer = BEGINNING if value is None else writers.get((key, value))
            if writer is None:
                wrong.append(f"{transaction.device} read {key} = {value}, which nobody wrote")
            elif writer != number:
                before[number].add(writer)
                read_from.append((writer, number, key))
    order = topological(before)
    if order is None:
        return [*wrong, "a transaction is in its own causal past"]
    past = closure(before, order)
    follows = [set(edges) for edges in before]
    for writer, reader, key in read_from:
        for other, transaction in enumerate(transactions):
            if other not in (writer, reader, BEGINNING) and key in transaction.writes and past[reader] >> other & 1:
                follows[writer].add(other)
                if writer == BEGINNING or past[other] >> writer & 1:
                    wrong.append(
                        f"{transactions[reader].device} read {key} = {transactions[writer].writes.get(key)} "
                        f"although it knew {transaction.writes[key]}, which follows it"
                    )
    if not wrong and topological(follows) is None:
        wrong.append("no order of the writes agrees with what was read")
    return wrong


def gather(history: Sequence[Operation]) -> list[Transaction]:
    """All transactions that happened, after the one at the beginning. One without an end happened if it was read."""
    read = {
        (key, value)
        for operation in history
        if operation.what == "transact" and operation.ending == "ok"
        for kind, key, value in operation.value
        if kind == "r"
    }
    found = [Transaction("", {}, {})]
    for operation in history:
        if operation.what != "transact" or operation.ending == "fail":
            continue
        writes = {key: value for kind, key, value in operation.value if kind == "w"}
        if operation.ending == "unknown" and not any(item in read for item in writes.items()):
            continue
        reads: dict[str, Any] = {}
        written: set[str] = set()
        for kind, key, value in operation.value:
            if kind == "w":
                written.add(key)
            elif key not in written and operation.ending == "ok":
                reads.setdefault(key, value)
        found.append(Transaction(operation.device, reads, writes))
    return found


def topological(before: Sequence[Iterable[int]]) -> list[int] | None:
    """The numbers in an order in which each stands after those before it (Kahn, 1962). None: there is a cycle."""
    waiting = [len(set(edges)) for edges in before]
    after: list[list[int]] = [[] for _ in before]
    for number, edges in enumerate(before):
        for earlier in set(edges):
            after[earlier].append(number)
    ready = [number for number, count in enumerate(waiting) if count == 0]
    order = []
    while ready:
        number = ready.pop()
        order.append(number)
        for later in after[number]:
            waiting[later] -= 1
            if waiting[later] == 0:
                ready.append(later)
    return order if len(order) == len(before) else None


def closure(before: Sequence[Iterable[int]], order: Sequence[int]) -> list[int]:
    """For each number, all that come before it, as the bits of an integer."""
    past = [0] * len(before)
    for number in order:
        for earlier in before[number]:
            past[number] |= past[earlier] | 1 << earlier
    return past
