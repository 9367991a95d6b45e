"""The import check finds what it is for, and lets pass what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.imports import RULES, judge

FORBIDDEN = [
    ("kernel/clock.py", "import time"),
    ("kernel/clock.py", "from os import path"),
    ("kernel/clock.py", "import os.path"),
    ("kernel/clock.py", "from uuid import uuid4"),
    ("kernel/clock.py", "import uuid\nx = uuid.uuid4()"),
    ("kernel/clock.py", "from datetime import datetime\nx = datetime.now()"),
    ("kernel/clock.py", "def f():\n    import sqlite3"),
    ("kernel/clock.py", "import apsw"),
    ("kernel/clock.py", "open('x')"),
    ("kernel/merges/orset.py", "from holdfast.schema import model"),
    ("kernel/merges/orset.py", "from ...schema.model import Column"),
    ("kernel/clock.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from holdfast.hub import push"),
    ("schema/model.py", "from holdfast.protocol.codec import encode"),
    ("protocol/codec.py", "import holdfast.stores.base"),
    ("hub/push.py", "from holdfast.stores.sqlite import SqliteStore"),
    ("hub/push.py", "from holdfast.stores import sqlite"),
    ("hub/push.py", "from holdfast import Schema"),
    ("stores/sqlite.py", "from holdfast.hub.push import push"),
    ("replica/round.py", "from holdfast.hub import handle"),
    ("replica/round.py", "import starlette"),
    ("edge/asgi.py", "from holdfast.stores.base import Store"),
    ("errors.py", "import msgspec"),
    ("somewhere/new.py", ""),
]

ALLOWED = [
    ("kernel/clock.py", "from holdfast.kernel.values import check"),
    ("kernel/merges/orset.py", "from .. import values"),
    ("kernel/values.py", "import datetime, decimal, uuid, msgspec\nx = uuid.UUID('0')"),
    ("kernel/values.py", "from holdfast.errors import HoldfastError"),
    ("kernel/clock.py", "from __future__ import annotations"),
    ("hub/push.py", "from holdfast.stores.base import Transaction"),
    ("hub/push.py", "from holdfast.stores import base"),
    ("hub/push.py", "import time"),
    ("cli/serve.py", "from holdfast.hub import push\nimport rich.table"),
]


@pytest.mark.parametrize(("module", "text"), FORBIDDEN)
def test_finds(module: str, text: str) -> None:
    findings = judge(Path(module), text)
    assert len(findings) >= 1
    assert all(finding.startswith(f"src/holdfast/{module}") for finding in findings)


@pytest.mark.parametrize(("module", "text"), ALLOWED)
def test_allows(module: str, text: str) -> None:
    assert judge(Path(module), text) == []


def test_no_two_parts_know_each_other() -> None:
    """The table has no circle, so there is an order in which the package can be read."""
    knows = {part: {entry.partition(".")[0] for entry in rule.inside} - {"*"} for part, rule in RULES.items()}
    read: set[str] = set()
    while knows:
        next_ones = {part for part, known in knows.items() if known <= read}
        assert next_ones, f"a circle among {sorted(knows)}"
        read |= next_ones
        knows = {part: known for part, known in knows.items() if part not in next_ones}


def test_every_rule_says_why() -> None:
    assert [part for part, rule in RULES.items() if len(rule.why) < 10] == []
