"""Version vectors: which of two histories has seen which.

Source: Parker et al., *Detection of Mutual Inconsistency in Distributed Systems*, 1983. A vector maps a replica to the
number of its events that are known; an absent replica counts 0, and no entry of 0 is ever written. Used between hubs.
"""

from __future__ import annotations

Vector = dict[str, int]


def increment(vector: Vector, replica: str) -> Vector:
    """A new vector in which `replica` has one event more."""
    return {**vector, replica: vector.get(replica, 0) + 1}


def join(a: Vector, b: Vector) -> Vector:
    """The history of both: entry by entry the larger number."""
    names = sorted({*a, *b})
    return {name: max(a.get(name, 0), b.get(name, 0)) for name in names if a.get(name, 0) or b.get(name, 0)}


def compare(a: Vector, b: Vector) -> str:
    """The word "before" when b has seen all of a and more, "after" the other way round, "equal", or "concurrent"."""
    a_beyond = any(count > b.get(name, 0) for name, count in a.items())
    b_beyond = any(count > a.get(name, 0) for name, count in b.items())
    if a_beyond:
        return "concurrent" if b_beyond else "after"
    return "before" if b_beyond else "equal"


def happens_before(a: Vector, b: Vector) -> bool:
    """Whether b has seen all of a, and more."""
    return compare(a, b) == "before"


def concurrent(a: Vector, b: Vector) -> bool:
    """Whether each has events that the other has not seen."""
    return compare(a, b) == "concurrent"
