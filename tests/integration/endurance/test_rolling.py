"""Hubs of two versions on one database, between `migrate --before` and `migrate --after`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.testing import LocalTransport
from tests.integration.endurance.site import ANN, joined, same, split
from tests.postgres import database


class One(hf.Table, name="visit", space="site"):
    name: str
    crew: hf.Counter = 0


class Two(hf.Table, name="visit", space="site"):
    first: str
    last: str
    crew: hf.Counter = 0
    weather: str | None = None


A1 = hf.Schema(One, version=1)
A2 = hf.Schema(
    Two, version=2, migrations=[hf.migrate(1, 2, hf.lens("visit", "name", ["first", "last"], split, joined))]
)


def test_hubs_of_two_versions_at_once(tmp_path: Path) -> None:
    """Between `migrate --before` and `--after` hubs of the former version write on."""
    with database() as url, closing(hf.Server(url, A1)) as one:
        old = hf.Replica(tmp_path / "old.db", A1, transport=LocalTransport(one, ANN))
        with old:
            old.execute("insert into visit (id, name) values ('a', 'Ann Lee'), ('b', 'Bob Ray')")
            old.sync()
            with closing(hf.Server(url, A2)) as two:
                two.migrate(phases=["before"])
                new = hf.Replica(tmp_path / "new.db", A2, transport=LocalTransport(two, ANN))
                with new:
                    new.sync()
                    new.execute("update visit set weather = 'rain' where id = 'a'")
                    new.sync()
                    old.execute("update visit set name = 'Ann Low', crew = crew + 1 where id = 'a'")
                    old.execute("insert into visit (id, name) values ('c', 'Cy Orr')")
                    old.execute("delete from visit where id = 'b'")
                    # Its hub takes what it sends; the rows of the later version it cannot tell: the device waits.
                    with pytest.raises(hf.HoldfastError) as caught:
                        old.sync()
                    assert caught.value.code == "response_malformed"
                    one.close()
                    two.migrate(phases=["after"])
                    new.sync()
                    columns = "id, first, last, crew, weather"
                    found = [tuple(row) for row in new.execute(f"select {columns} from visit order by id")]
                    assert found == [("a", "Ann", "Low", 1, "rain"), ("c", "Cy", "Orr", 0, None)]
                    same(two, new)
                    assert new.verify().repaired == []
                    old.close()
                    with hf.Replica(tmp_path / "old.db", A1, transport=LocalTransport(two, ANN)) as old_again:
                        old_again.sync()
                        assert old_again.status.pending_count == 0
                        same(two, new, old_again)
                    with hf.Replica(tmp_path / "fresh.db", A1, transport=LocalTransport(two, ANN)) as fresh:
                        fresh.sync()
                        same(two, new, fresh)
