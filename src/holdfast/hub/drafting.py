"""One transaction while the hub decides it, and what each of its operations did."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.hub.answers import Answer
from holdfast.hub.batch import Accepted, Submission
from holdfast.hub.workspace import Draft
from holdfast.kernel.row import Op, Row
from holdfast.protocol import messages as m
from holdfast.schema.model import Table


class Step(NamedTuple):
    """What one operation of a transaction did, before the spaces of its rows are known; `entry` is its place in the
    history of the batch.
    """

    table: Table
    op: Op
    before: Row | None
    row: Row
    entry: int


class Writing(NamedTuple):
    """One transaction while it is decided: its draft, what is accepted of it so far, and the conflicts it answers."""

    transaction: m.Transaction
    submission: Submission
    draft: Draft
    accepted: Accepted
    answers: list[Answer]
    steps: list[Step]
