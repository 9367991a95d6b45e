"""A clock that the test moves, and a hub that lives by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import holdfast as hf
from tests.integration.storage.forms import SCHEMA, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[hf.Server]:
    with hf.Server(f"sqlite:///{tmp_path}/hub.db", SCHEMA, now=clock) as made:
        yield made
