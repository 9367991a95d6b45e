"""A column that must have a value, renamed, renamed again and dropped: every version goes on inserting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.schema import drop, migrate, rename
from tests.integration.endurance.site import device, same
from tests.postgres import database


class Item1(hf.Table, name="item", space="site"):
    name: str
    size: int


class Item2(hf.Table, name="item", space="site"):
    title: str
    size: int


class Item3(hf.Table, name="item", space="site"):
    heading: str
    length: int


class Item4(hf.Table, name="item", space="site"):
    length: int
    colour: str = "red"


CHANGES = [
    migrate(1, 2, rename("item", "name", "title")),
    migrate(2, 3, rename("item", "title", "heading"), rename("item", "size", "length")),
    migrate(3, 4, drop("item", "heading", fill="(none)")),
]
TABLES = [Item1, Item2, Item3, Item4]
SCHEMAS = [hf.Schema(table, version=n, migrations=CHANGES[: n - 1]) for n, table in enumerate(TABLES, 1)]
INSERTS = [
    "insert into item (id, name, size) values (?1, ?1, 1)",
    "insert into item (id, title, size) values (?1, ?1, 1)",
    "insert into item (id, heading, length) values (?1, ?1, 1)",
    "insert into item (id, length) values (?1, 1)",
]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with ExitStack() as stack:
        yield stack.enter_context(database()) if request.param == "postgres" else f"sqlite:///{tmp_path}/hub.db"


def test_every_version_inserts_at_every_hub(url: str, tmp_path: Path) -> None:
    made = 0
    for hub in range(4):
        with ExitStack() as stack:
            server = stack.enter_context(hf.Server(url, SCHEMAS[hub]))
            server.migrate()
            served = [
                stack.enter_context(device(tmp_path, f"d{version}", SCHEMAS[version], server))
                for version in range(max(0, hub - 2), hub + 1)
            ]
            for replica in served:
                replica.execute(INSERTS[replica.schema.version - 1], (f"k{made}",))
                made += 1
                assert replica.sync().refused == []
            for replica in served:
                replica.sync()
                assert replica.execute("select count(*) from item")[0][0] == made
            same(server, *served)
    assert made == 9
