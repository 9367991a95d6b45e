"""Roots with every last page: a copy that is not what the hub says finds it out, and verifies by itself; on a schedule,
too, which survives restarts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

import holdfast as hf
from holdfast.kernel import digest
from holdfast.protocol import messages as m
from holdfast.protocol.transport import Exchange
from holdfast.replica import totals
from holdfast.testing import HOUR, LocalTransport, WorldTime
from tests.integration.verify.test_verify import ANNA, SCHEMA, damage


class Heard:
    """The way to the hub; notes what went over it. `away`: nothing goes."""

    def __init__(self, way: LocalTransport) -> None:
        self._way = way
        self.requests: list[m.Request] = []
        self.totals: list[dict[str, str]] = []
        self.refuses_compare = False

    def exchange(self, body: bytes) -> Exchange:
        """One exchange."""
        if body.startswith(b'{"same"'):
            return self._way.exchange(body)
        request = m.decode_request(body)
        if request.compare and self.refuses_compare:
            raise hf.HoldfastError("network", "planted")
        self.requests.append(request)
        answer = self._way.exchange(body)
        chunks = list(answer.chunks())
        for line in b"".join(chunks).splitlines():
            footer = m.decode_line(line).footer
            if footer is not None:
                self.totals.append(footer.totals)
        answer.chunks = lambda: iter(chunks)  # type: ignore[method-assign]
        return answer

    def close(self) -> None:
        """Nothing is open."""

    @property
    def compared(self) -> int:
        """Requests that asked for a comparison."""
        return sum(1 for request in self.requests if request.compare)


@pytest.fixture
def time() -> WorldTime:
    return WorldTime()


@pytest.fixture
def server(tmp_path: Path, time: WorldTime) -> Iterator[hf.Server]:
    with hf.Server(f"sqlite:///{tmp_path}/hub.db", SCHEMA, now=lambda: time.now) as made:
        yield made


@pytest.fixture
def way(server: hf.Server) -> Heard:
    return Heard(LocalTransport(server, ANNA))


def fill(replica: hf.Replica, rows: int = 40) -> None:
    replica.executemany("insert into form (id) values (?)", [(f"f{n}",) for n in range(rows)])
    replica.sync()


def total_of(path: Path, space: str = "project:1") -> tuple[str, int]:
    db = apsw.Connection(str(path))
    found: Any = db.execute("select total, doubt from holdfast_space where name = ?", (space,)).get
    db.close()
    return found


def spoil(path: Path) -> None:
    """The file forgets a row, and that it is counted otherwise than it says."""
    damage(path, "delete from form where id = 'f3'", "delete from holdfast_row where key = 'f3'")


def test_the_last_page_has_the_total_of_what_moved(tmp_path: Path, server: hf.Server, way: Heard) -> None:
    with hf.Replica(tmp_path / "anna.db", SCHEMA, transport=way) as anna:
        fill(anna)
        anna.execute("update form set status = 'sent' where id = 'f1'")
        anna.execute("delete from form where id = 'f2'")
        anna.sync()
        anna.sync()
        with server.hub.reading() as tx:
            sums = {bucket: total for bucket, (_, total) in tx.digest("project:1").items()}
        said = f"{digest.total(sums):032x}"
        assert way.totals[-1] in ({}, {"project:1": said})
        assert [totals["project:1"] for totals in way.totals if totals][-1] == said
        assert total_of(tmp_path / "anna.db") == (said, 0)
        assert anna.status.doubted == ()
        assert way.compared == 0


def test_without_the_hook_of_sqlite_no_total_is_kept(
    tmp_path: Path, way: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hf.Replica(tmp_path / "anna.db", SCHEMA, transport=way) as anna:
        fill(anna)
        assert total_of(tmp_path / "anna.db")[0]
        monkeypatch.setattr(totals, "FOLLOWS", False)
        anna.execute("update form set status = 'sent' where id = 'f1'")
        anna.sync()
        assert anna.verify().ok
        assert total_of(tmp_path / "anna.db") == (None, 0)
        assert (anna.status.doubted, anna.status.verified is not None) == ((), True)


def test_another_total_begins_a_verification(tmp_path: Path, server: hf.Server, way: Heard) -> None:
    """One row more changes the total on both sides by the same; a copy that lost a row keeps its own."""
    with (
        hf.Replica(tmp_path / "anna.db", SCHEMA, transport=way) as anna,
        hf.Replica(tmp_path / "ben.db", SCHEMA, transport=LocalTransport(server, ANNA)) as ben,
    ):
        fill(anna)
        ben.sync()
        spoil(tmp_path / "anna.db")
        db = apsw.Connection(str(tmp_path / "anna.db"))
        db.execute("update holdfast_space set total = '00000000000000000000000000000001' where name = 'project:1'")
        db.close()
        anna.sync()
        assert way.compared == 0  # nothing moved: nobody says anything of digests
        ben.execute("update form set status = 'sent' where id = 'f1'")
        ben.sync()
        anna.sync()
        assert way.compared > 0
        assert anna.execute("select count(*) from form")[0][0] == 40
        status = anna.status
        assert status.verified is not None
        assert (status.verified.ok, status.verified.repaired, status.doubted) == (True, 1, ())
        assert anna.digest("project:1") == ben.digest("project:1")
        before = way.compared
        ben.execute("update form set status = 'done' where id = 'f1'")
        ben.sync()
        anna.sync()
        assert way.compared == before
        assert "verify" in {line.trigger for line in anna.log()}


def test_a_doubt_that_cannot_be_settled_begins_no_storm(
    tmp_path: Path, server: hf.Server, way: Heard, time: WorldTime
) -> None:
    with (
        hf.Replica(tmp_path / "anna.db", SCHEMA, transport=way, now=lambda: time.now) as anna,
        hf.Replica(tmp_path / "ben.db", SCHEMA, transport=LocalTransport(server, ANNA)) as ben,
    ):
        fill(anna)
        ben.sync()
        damage(tmp_path / "anna.db", "update holdfast_space set total = '01' where name = 'project:1'")
        way.refuses_compare = True
        for number in range(5):
            ben.execute("update form set status = ? where id = 'f1'", (str(number),))
            ben.sync()
            anna.sync()  # a round never fails because a comparison does
        assert anna.status.doubted == ("project:1",)
        assert sum(1 for line in anna.log() if line.trigger == "verify") == 1
        way.refuses_compare = False
        time.advance(2 * HOUR)
        anna.sync()
        anna.sync()
        assert anna.status.doubted == ()
        assert anna.status.verified is not None


@pytest.mark.parametrize("every", [2.0, None])
def test_the_schedule_survives_restarts(tmp_path: Path, way: Heard, time: WorldTime, every: float | None) -> None:
    path = tmp_path / "anna.db"
    given: dict[str, Any] = {"transport": way, "now": lambda: time.now, "verify_every": every}
    with hf.Replica(path, SCHEMA, **given) as anna:
        fill(anna)
        due = anna.status.verify_due
        assert (due is None) == (every is None)
    for _ in range(3):
        time.advance(HOUR)
        with hf.Replica(path, SCHEMA, **given) as anna:
            anna.sync()
    if every is None:
        assert way.compared == 0
        return
    assert way.compared == 1
    with hf.Replica(path, SCHEMA, **given) as anna:
        status = anna.status
        assert status.verified is not None
        assert status.verify_due is not None
        assert due is not None
        assert status.verified.at >= due
        assert 1.5 * HOUR <= status.verify_due - status.verified.at <= 2.5 * HOUR


def test_a_lost_row_is_told_once_and_doubted_until_it_is_back(tmp_path: Path, server: hf.Server, way: Heard) -> None:
    path = tmp_path / "anna.db"
    with hf.Replica(path, SCHEMA, transport=way) as anna:
        fill(anna)
        # The file knows a row that the hub never had.
        damage(
            path,
            "insert into form (id) values ('ghost')",
            "insert into holdfast_row (tbl, key, space, life, stamps) select tbl, 'ghost', space, life, stamps"
            " from holdfast_row where key = 'f1'",
        )
        report = anna.verify()
        assert [row.key for row in report.lost] == ["ghost"]
        before = way.compared
        anna.execute("update form set status = 'x' where id = 'f1'")
        anna.sync()
        assert anna.status.doubted == ("project:1",)
        first = way.compared
        assert first > before
        for number in range(3):
            anna.execute("update form set status = ? where id = 'f1'", (str(number),))
            anna.sync()
        assert way.compared == first
        assert anna.offer_lost_rows() == 1
        anna.sync()
        assert anna.verify().ok
        assert anna.status.doubted == ()
