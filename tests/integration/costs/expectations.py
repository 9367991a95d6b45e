"""What is expected, in `expected.json`, and how it is compared with what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import psycopg

from tests.integration.costs.counting import Cost

EXPECTED = Path(__file__).with_name("expected.json")
TOLERANCE = 0.02
"""Of bytes: numbers may have a digit more. Everything else is exact."""


def versions() -> dict[str, str]:
    """What the figures were measured with. They should not depend on it; a difference is to be told all the same."""
    return {"SQLite": apsw.sqlite_lib_version(), "APSW": apsw.apsw_version(), "psycopg": psycopg.__version__}


def differences(store: str, found: dict[str, Cost]) -> list[str]:
    """A line for each figure that is not as expected; empty when all are."""
    expected = json.loads(EXPECTED.read_text("utf-8"))
    told = []
    for operation in dict.fromkeys((*expected[store], *found)):
        was, now = expected[store].get(operation, {}), found.get(operation, {})
        for figure in dict.fromkeys((*was, *now)):
            old, new = was.get(figure, 0), now.get(figure, 0)
            allowed = old * TOLERANCE if figure.startswith("bytes") else 0
            if abs(new - old) > allowed:
                told.append(f"{operation}: {figure}: {new:,} instead of {old:,}")
    if told and versions() != expected["measured with"]:
        told.append(f"expected with {expected['measured with']}, measured with {versions()}")
    return told
