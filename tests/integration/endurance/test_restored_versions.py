"""A hub that has lost its history and serves several versions of the schema: each device brings back what it knows."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.testing import LocalTransport
from tests.integration.endurance.site import ANN, V1, V2, device, same


class Once(LocalTransport):
    """A network that ends after the answer to the first whole request."""

    def exchange(self, body: bytes) -> Any:
        """One round."""
        if not hasattr(self, "asked"):
            self.asked = 0
        if self.asked:
            raise hf.HoldfastError("network", "no network")
        self.asked += not body.startswith(b'{"same"')
        return super().exchange(body)


@pytest.mark.parametrize("first", ["old", "new", "upgraded"])
def test_rows_come_back_in_the_words_of_every_version(first: str, tmp_path: Path) -> None:
    """`first`: who brings back the rows that both versions hold; `upgraded`: the old one, after its update."""
    url = f"sqlite:///{tmp_path}/hub.db"
    with ExitStack() as stack:
        hub = stack.enter_context(hf.Server(url, V1))
        with device(tmp_path, "old", V1, hub) as old:
            sql = "insert into visit (id, name, crew, memo) values ('a', 'Ann Lee', 2, 'm'), ('b', 'Bob Ray', 1, 'n')"
            old.execute(sql)
            old.sync()
    with hf.Server(url, V2) as hub, device(tmp_path, "old", V1, hub) as old, device(tmp_path, "new", V2, hub) as new:
        new.sync()
        hub.close()
        shutil.copy(tmp_path / "hub.db", tmp_path / "backup.db")
    with hf.Server(url, V2) as hub, device(tmp_path, "old", V1, hub) as old, device(tmp_path, "new", V2, hub) as new:
        old.execute("update visit set name = 'Ann Low', crew = crew + 3 where id = 'a'")
        old.execute("insert into visit (id, name, crew, memo) values ('c', 'Cy Orr', 4, 'o')")
        old.execute("delete from visit where id = 'b'")
        old.sync()
        new.execute("insert into visit (id, first, last) values ('d', 'Di', 'Eck')")
        for replica in (new, old, new):
            replica.sync()
    shutil.copy(tmp_path / "backup.db", tmp_path / "hub.db")
    with hf.Server(url, V2) as hub:
        if first != "new":
            with hf.Replica(tmp_path / "old.db", V1, transport=Once(hub, ANN)) as old:
                with pytest.raises(hf.HoldfastError, match="no network"):
                    old.sync()
                assert [row.state for row in old.lost_rows()] == ["waits"] * 4
        schema = V2 if first == "upgraded" else V1
        with device(tmp_path, "old", schema, hub) as old, device(tmp_path, "new", V2, hub) as new:
            for replica in (new, old, new, old) if first == "new" else (old, new, old, new):
                replica.sync()
            expected = [("a", "Ann", "Low", 5), ("c", "Cy", "Orr", 4), ("d", "Di", "Eck", 0)]
            found = [tuple(row) for row in new.execute("select id, first, last, team from visit order by id")]
            assert found == expected
            assert old.lost_rows() == new.lost_rows() == []
            same(hub, old, new)
