"""The simulator with a real PostgreSQL under its hub: few seeds, because each makes a database of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from holdfast.testing.hub_places import fresh_database
from holdfast.testing.trial import plan, run
from tests.postgres import server

SEEDS = (("everything", 0), ("restore", 117), ("failover", 1), ("hub", 2), ("upgrade", 2))
STEPS = 20


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The hub logs what the simulation does to it."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("profile", "seed"), SEEDS)
def test_every_invariant_holds_on_postgres(profile: str, seed: int) -> None:
    with fresh_database(server()) as database:
        report = run(seed, plan(seed, STEPS, profile), database)
    assert report.violation is None, "\n".join(report.history)
    assert report.covered["transaction: sending -accept-> acknowledged"] > 0
    assert report.covered["restore -> ok"] > 0 or profile != "restore"
