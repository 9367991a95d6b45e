"""Bad networks in virtual time: every device ends in sync with everything once, within a bound on rounds and bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.replica.loop import Loop
from holdfast.testing import FaultyTransport, LocalTransport, VirtualTime, Weather, run_loop
from tests.integration.network.peers import ANNA, BEN, SCHEMA, device, hub_server, same_everywhere

ADD = "insert into form (project_id, status, tags) values ('1', ?, ?)"


class Desk:
    """A hub with 300 rows of Ben, and Anna, who is on a bad network and has written 200 rows in 100 transactions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = hub_server(folder)
        self.time = VirtualTime()
        self.ben = device(folder, "ben", LocalTransport(self.server, BEN))
        self.ben.executemany(ADD, (("ben" * 20, '["a"]') for _ in range(300)))
        self.ben.sync()

    def on(self, weather: Weather, seed: int = 1) -> FaultyTransport:
        """Anna's link; she begins to write."""
        self.way = FaultyTransport(LocalTransport(self.server, ANNA), weather, self.time, seed)
        self.anna = device(self.folder, "anna", self.way)
        for number in range(100):
            with self.anna.transaction():
                self.anna.executemany(ADD, ((f"anna {number}.{row}", '["b"]') for row in range(2)))
                self.anna.execute("update form set crew = crew + 1 where status like ?", (f"anna {number}.%",))
        return self.way

    def in_sync(self) -> bool:
        status = self.anna.status
        return not self.anna.pending() and status.last_synced_at is not None and self.rows() == 500

    def rows(self) -> int:
        return int(self.anna.execute("select count(*) from form")[0][0])

    def run(self, *, limit: float, seed: int = 1, begun: Callable[[Loop], object] = lambda _: None) -> None:
        run_loop(self.anna, self.time, self.in_sync, seed=seed, limit=limit, begun=begun)
        self.page, self.batch = self.way.meter.page, self.way.meter.batch
        self.way.weather = Weather()
        self.anna.sync()
        self.ben.sync()
        same_everywhere(self.folder, self.server, self.anna, self.ben)
        crew = self.anna.execute("select sum(crew) from form")[0][0]
        assert crew == 200, "the counter of each of Anna's rows counted once"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.anna.close()
    desk.ben.close()
    desk.server.close()


def test_no_network_for_a_day_costs_few_attempts(desk: Desk) -> None:
    way = desk.on(Weather(reachable=lambda now: now > 86_400.0))
    desk.run(limit=86_400.0 + 120.0)
    assert way.rounds < 86_400 / 20, "a retry every 20 seconds at most"
    assert way.sent < 500_000


@pytest.mark.parametrize("seed", range(3))
def test_a_fifth_of_the_requests_is_lost(desk: Desk, seed: int) -> None:
    way = desk.on(Weather(lose=0.2, round_trip=0.1), seed)
    desk.run(limit=600.0, seed=seed)
    assert way.sent + way.received < 600_000
    assert way.rounds <= 20


def test_two_seconds_of_round_trip(desk: Desk) -> None:
    way = desk.on(Weather(round_trip=2.0))
    desk.run(limit=60.0)
    assert way.sent + way.received < 160_000
    assert way.rounds <= 4, "no timeout and no retry, only patience"


def test_32_kilobits_a_second(desk: Desk) -> None:
    way = desk.on(Weather(round_trip=0.6, up=4_000.0, down=4_000.0))
    desk.run(limit=120.0)
    assert way.rounds <= 12
    assert way.sent + way.received < 4_000 * 60, "little more than what there is to carry"


@pytest.mark.parametrize("size", [3_000, 6_000, 12_000])
def test_the_connection_is_cut_every_few_kilobytes(desk: Desk, size: int) -> None:
    way = desk.on(Weather(round_trip=0.1, cut_up=size, cut_down=size))
    desk.run(limit=3_600.0)
    least = 150_000 // size
    assert way.rounds < 4 * least
    assert way.sent + way.received < 500_000


@pytest.mark.parametrize("seed", range(3))
def test_requests_that_arrive_twice_count_once(desk: Desk, seed: int) -> None:
    way = desk.on(Weather(twice=0.5, lose=0.3, round_trip=0.05), seed)
    desk.run(limit=900.0, seed=seed)
    assert way.rounds <= 30
    assert way.sent + way.received < 800_000


def test_a_network_that_flaps_every_second(desk: Desk) -> None:
    way = desk.on(Weather(round_trip=0.2, up=20_000.0, down=20_000.0, reachable=lambda now: int(now) % 2 == 0))

    def pokes(loop: Loop) -> None:
        # Not once all is in sync: pokes and flaps in step leave no second in which the loop rests, which ends the run.
        for second in range(0, 600, 2):
            desk.time.at(second + 0.01, lambda: None if desk.in_sync() else loop.poke())

    desk.run(limit=900.0, begun=pokes)
    assert way.sent + way.received < 1_000_000
    assert way.rounds < 60


def test_a_black_hole_that_ends(desk: Desk) -> None:
    weather = Weather(black_hole=True)
    way = desk.on(weather)
    desk.time.at(300.0, lambda: setattr(weather, "black_hole", False))
    desk.run(limit=900.0)
    assert way.sent + way.received < 600_000
    assert way.rounds < 15


def test_a_hub_that_refuses_connections_while_it_restarts(desk: Desk) -> None:
    weather = Weather(refuses=True)
    way = desk.on(weather)
    desk.time.at(30.0, lambda: setattr(weather, "refuses", False))
    desk.run(limit=120.0)
    assert way.sent + way.received < 160_000
    assert way.rounds < 20


def test_a_slow_link_gets_small_pages_and_small_requests(desk: Desk) -> None:
    desk.on(Weather(round_trip=0.5, up=4_000.0, down=4_000.0))
    desk.run(limit=300.0)
    assert desk.page < 20_000
    assert desk.batch < 40_000


def test_the_loop_needs_no_new_write_to_try_again(tmp_path: Path) -> None:
    server, time = hf.Server("memory:", SCHEMA), VirtualTime()
    way = FaultyTransport(LocalTransport(server, ANNA), Weather(refuses=True), time, 1)
    with device(tmp_path, "anna", way) as anna:
        anna.execute(ADD, ("x", "[]"))
        time.at(50.0, lambda: setattr(way.weather, "refuses", False))
        run_loop(anna, time, lambda: not anna.pending(), seed=1, limit=200.0)
