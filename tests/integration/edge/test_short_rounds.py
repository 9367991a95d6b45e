"""Rounds in which nothing is new, over real HTTP: their bytes, and that nothing new is ever taken for nothing."""

import threading

import apsw
import pytest

import holdfast as hf
from holdfast.hub.response import error_response
from holdfast.hub.wall_clock import system_clock
from holdfast.protocol.codec import decode_request, is_short
from holdfast.testing.proxy import FaultProxy
from tests.integration.edge.stand_in import serving


class Note(hf.Table, space="project:{project_id}"):
    project_id: str
    text: str = ""


SCHEMA = hf.Schema(Note, version=1)
INSERT = "insert into note (id, project_id, text) values (?, ?, ?)"


class World:
    """A hub, who may read what on it, and the bodies that came to it."""

    def __init__(self, folder):
        self.folder = folder
        self.access = {"anna": {"project:42": "rw"}, "ben": {"project:42": "rw"}}
        self.bodies = []
        self.old = False
        self.server = self.open()

    def open(self):
        server = hf.Server(f"sqlite:///{self.folder / 'hub.db'}", SCHEMA, authenticate=self.authenticate)
        handle = server.handle

        def noted(body, identity):
            self.bodies.append(body)
            if self.old and is_short(body):
                try:
                    decode_request(body)
                except hf.HoldfastError as error:
                    return error_response(error)
            return handle(body, identity)

        server.handle = noted
        return server

    def authenticate(self, headers):
        user = headers.get("authorization", "").removeprefix("Bearer ")
        return hf.Identity(user, self.access[user]) if user in self.access else None

    def device(self, name, url, user=None):
        return hf.Replica(self.folder / f"{name}.db", SCHEMA, url=url, token=user or name)

    def kinds(self):
        """What came since the last look: short requests and whole ones."""
        found = ["short" if is_short(body) else "whole" for body in self.bodies]
        self.bodies.clear()
        return found


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.server.close()


@pytest.fixture
def url(world):
    with serving(world.server.asgi()) as url:
        yield url


def texts(device):
    return [row[0] for row in device.execute("select text from note order by text")]


def quiet(device):
    """Two rounds: after them the device knows that nothing is new."""
    device.sync()
    return device.sync()


def test_a_round_without_news_takes_less_than_300_bytes_on_the_wire(world, url):
    host, _, port = url.removeprefix("http://").partition(":")
    with FaultProxy(host, int(port)) as proxy:
        with world.device("anna", proxy.url) as anna:
            anna.execute(INSERT, ("a", "42", "one"))
            quiet(anna)
            world.kinds()
            before = proxy.sent + proxy.received
            reports = [anna.sync() for _ in range(3)]
            crossed = proxy.sent + proxy.received - before
        assert world.kinds() == ["short"] * 3
        assert sum(report.bytes_sent + report.bytes_received for report in reports) == crossed
        credentials = len("Authorization: Bearer anna\r\n")
        assert crossed <= 3 * 300
        assert crossed - 3 * credentials <= 3 * 255, "what any token comes on top of"


def test_news_come_in_the_same_round(world, url):
    with world.device("anna", url) as anna, world.device("ben", url) as ben:
        quiet(ben)
        ben.sync()
        anna.execute(INSERT, ("a", "42", "one"))
        anna.sync()
        world.kinds()
        report = ben.sync()
        assert (report.pulled, texts(ben), report.rounds) == (1, ["one"], 1)
        assert world.kinds() == ["short", "whole"]
        ben.sync()
        assert world.kinds() == ["whole"], "something came just now: more may"
        ben.sync()
        assert world.kinds() == ["short"]


def test_own_writes_are_said_whole(world, url):
    with world.device("anna", url) as anna:
        quiet(anna)
        world.kinds()
        anna.execute(INSERT, ("a", "42", "one"))
        assert anna.sync().pushed == 1
        assert world.kinds() == ["whole"]


def test_a_refusal_is_acknowledged_before_anything_is_short(world, url):
    world.access["anna"] = {"project:42": "r"}
    with world.device("anna", url) as anna:
        quiet(anna)
        anna.execute(INSERT, ("a", "42", "one"))
        assert len(anna.sync().refused) == 1
        world.kinds()
        anna.sync()
        assert decode_request(world.bodies[0]).acknowledged != []
        world.kinds()
        anna.sync()
        assert world.kinds() == ["short"]


def test_a_change_of_access_is_news(world, url):
    with world.device("anna", url) as anna, world.device("ben", url) as ben:
        anna.execute(INSERT, ("a", "42", "one"))
        anna.sync()
        quiet(ben)
        for access, seen in (
            ({}, []),
            ({"project:42": "r"}, ["one"]),
            ({"project:42": "rw", "project:43": "r"}, ["one"]),
        ):
            world.access["ben"] = access
            ben.sync()
            assert texts(ben) == seen
            ben.sync()
            ben.sync()
            assert world.kinds()[-1] == "short"


def test_writes_of_other_programs_are_news(world, url):
    with world.device("anna", url) as anna:
        anna.execute(INSERT, ("a", "42", "one"))
        quiet(anna)
        anna.sync()
        other = apsw.Connection(str(world.folder / "hub.db"))
        other.execute("update note set text = 'two' where id = 'a'")
        other.close()
        world.kinds()
        anna.sync()
        assert texts(anna) == ["two"]
        assert world.kinds() == ["short", "whole"]


def test_another_user_of_the_file_is_refused_as_ever(world, url):
    with world.device("anna", url) as anna:
        quiet(anna)
        anna.sync()
        world.access["eve"] = world.access["anna"]
        who = world.server.authenticate
        world.server.authenticate = lambda headers: who({"authorization": "Bearer eve"})
        with pytest.raises(hf.HoldfastError) as caught:
            anna.sync()
        assert caught.value.code == "user_changed"


def test_a_restarted_hub_and_another_process_answer_alike(world, tmp_path):
    with serving(world.server.asgi()) as url, world.device("anna", url) as anna:
        anna.execute(INSERT, ("a", "42", "one"))
        quiet(anna)
        anna.sync()
        asked = world.bodies[-1]
        assert is_short(asked)
    identity = hf.Identity("anna", world.access["anna"])
    with world.open() as second:
        assert second.handle(asked, identity).status == 200
        assert world.server.handle(asked, identity).status == 200
        with serving(second.asgi()) as url, world.device("ben", url) as ben:
            ben.execute(INSERT, ("b", "42", "two"))
            ben.sync()
        assert world.server.handle(asked, identity).status == 412
        assert second.handle(asked, identity).status == 412


def test_a_hub_that_does_not_know_short_requests_is_asked_in_short_once(world, url):
    world.old = True
    with world.device("anna", url) as anna:
        for _ in range(4):
            anna.sync()
        anna.execute(INSERT, ("a", "42", "one"))
        anna.sync()
        assert anna.sync().rounds == 1
    assert world.kinds().count("short") == 1


def test_a_short_request_has_no_place_on_a_live_channel(world):
    woken = threading.Event()
    channel = world.server.live(hf.Identity("anna", world.access["anna"]), woken.set)
    try:
        with pytest.raises(hf.HoldfastError) as caught:
            list(channel.handle(b'{"same":"' + b"0" * 24 + b'"}'))
        assert caught.value.code == "request_malformed"
    finally:
        channel.close()


def test_a_short_answer_puts_a_clock_right(world, url):
    wrong = 0
    with hf.Replica(
        world.folder / "anna.db", SCHEMA, url=url, token="anna", now=lambda: system_clock() + wrong
    ) as anna:
        quiet(anna)
        assert abs(anna.status.clock_offset) < 60_000
        wrong = 3_600_000
        world.kinds()
        anna.sync()
        assert world.kinds() == ["short"]
        assert abs(anna.status.clock_offset + wrong) < 60_000
