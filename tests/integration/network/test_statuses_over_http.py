"""The table of spec/protocol.md section 6, row by row: the real loop over real HTTP, before a hub that answers so.

Of each row it is asked: does what waits stay in the queue, what does the status show, when is the next attempt, and
does it go on without a new local write. HTTP is real, the seconds between attempts are virtual.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
import zstandard

import holdfast as hf
from holdfast.edge.http import HttpTransport
from holdfast.protocol.transport import Exchange
from holdfast.replica.events import StateChanged
from holdfast.replica.loop import Loop
from holdfast.replica.suspects import BLAMED
from holdfast.testing import VirtualTime, run_loop
from tests.integration.network.peers import SCHEMA, hub_server
from tests.integration.network.test_channels import wait_until

ADD = "insert into form (id, project_id, status, tags) values (?, '1', ?, '[]')"
SPEC = Path(__file__).parents[3] / "spec/protocol.md"
TROUBLE = 300.0
"""Virtual seconds for which the hub answers with the planted status."""


class Planted(NamedTuple):
    """A row of the table. `code` "": the answer is a page of something on the way. `pause` says when the next attempts
    come: "soon" (up to 0.5 s, doubled), "slowly" (up to a minute, doubled), "asked", "at once"; never before `wish`.
    """

    status: int
    code: str
    state: str
    pause: str
    wish: float = 0.0
    told: str = ""


NARROWING = (400, 403, 406, 414, 422, 500, 501)
"""On a page that is not the hub's these may be about one transaction of the request, as 413 in any case."""
PLANTED = [
    *(Planted(status, "", "offline", "soon", told="hub_error") for status in (502, 503, 504)),
    *(Planted(status, "", "offline", "soon", told="hub_error") for status in NARROWING),
    Planted(413, "", "blocked", "slowly", told="hub_error"),
    Planted(503, "hub_unavailable", "offline", "soon", wish=20.0),
    Planted(401, "unauthenticated", "paused", "soon"),
    Planted(403, "device_mismatch", "blocked", "slowly"),
    Planted(409, "schema_version", "blocked", "slowly"),
    Planted(409, "schema_outdated", "blocked", "slowly"),
    Planted(409, "schema_mismatch", "blocked", "slowly"),
    Planted(409, "user_changed", "blocked", "slowly"),
    Planted(426, "protocol_version", "blocked", "slowly"),
    Planted(415, "encoding_unsupported", "blocked", "slowly"),
    Planted(400, "request_malformed", "blocked", "slowly"),
    Planted(413, "request_too_large", "blocked", "slowly"),
    Planted(500, "internal_error", "offline", "soon"),
    Planted(410, "not_found", "blocked", "asked"),
    Planted(429, "hub_unavailable", "offline", "soon", wish=20.0),
    Planted(0, "", "offline", "soon", told="network"),  # the answer breaks off
    Planted(200, "", "offline", "soon", told="response_incomplete"),  # a page that is not the hub's
]


class Gate:
    """What stands before the hub: while trouble lasts, each request gets the planted answer, if `applies(body)`."""

    def __init__(self, server: hf.Server) -> None:
        self.inner = server.asgi()
        self.planted: Planted | None = None
        self.time, self.until = VirtualTime(), TROUBLE
        self.asked: list[tuple[float, bytes]] = []

    def applies(self, body: bytes) -> bool:
        return self.planted is not None and self.time.now() < self.until

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http" or scope["path"] != "/v1/sync":
            await self.inner(scope, receive, send)
            return
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        sent = b"".join(parts)
        packed = dict(scope["headers"]).get(b"content-encoding") == b"zstd"
        body = zstandard.ZstdDecompressor().decompressobj().decompress(sent) if packed else sent
        self.asked.append((self.time.now(), body))
        if self.applies(body):
            await self._refuse(send)
            return
        again = iter([{"type": "http.request", "body": sent, "more_body": False}])

        async def replay() -> Any:
            return next(again, None) or await receive()

        await self.inner(scope, replay, send)

    async def _refuse(self, send: Any) -> None:
        assert self.planted is not None
        page = b"<html>not the hub</html>"
        body = json.dumps({"code": self.planted.code, "message": "planted", "details": {}}).encode()
        body = body if self.planted.code else page
        cut = 1_000 if not self.planted.status else 0
        headers = [(b"content-length", b"%d" % (len(body) + cut)), (b"content-type", b"application/json")]
        if self.planted.wish:
            headers.append((b"retry-after", b"%d" % self.planted.wish))
        await send({"type": "http.response.start", "status": self.planted.status or 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": bool(cut)})
        if cut:
            raise ConnectionError("planted: the answer breaks off")

    @property
    def moments(self) -> list[float]:
        """When requests came, in virtual seconds."""
        return [moment for moment, _ in self.asked]


class OnlyRounds:
    """The real HTTP transport, without its live channels: virtual seconds would not wait for their threads."""

    def __init__(self, url: str) -> None:
        self._inner = HttpTransport(url, "anna")
        self.url, self.meter = url, self._inner.meter

    def exchange(self, body: bytes) -> Exchange:
        return self._inner.exchange(body)

    def close(self) -> None:
        self._inner.close()


class Site:
    """A hub behind uvicorn and the gate, and one device after another."""

    def __init__(self, folder: Path) -> None:
        self.server = hub_server(folder)
        self.server.authenticate = lambda headers: hf.Identity("anna", {"project:1": "rw", "city": "rw"})
        self.gate = Gate(self.server)
        self.web = uvicorn.Server(uvicorn.Config(self.gate, interface="asgi3", port=0, log_level="critical"))
        self.thread = threading.Thread(target=self.web.run)
        self.thread.start()
        wait_until(lambda: self.web.started)
        self.url = f"http://127.0.0.1:{self.web.servers[0].sockets[0].getsockname()[1]}"

    def close(self) -> None:
        self.web.should_exit = True
        self.thread.join(20)
        self.server.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("hub"))
    yield site
    site.close()


class Desk:
    """A device that has synced and has written two rows since."""

    def __init__(self, site: Site, folder: Path, url: str = "") -> None:
        self.gate, self.name = site.gate, folder.name
        self.gate.planted, self.gate.time, self.gate.asked, self.gate.until = None, VirtualTime(), [], TROUBLE
        self.way = OnlyRounds(site.url)
        self.anna = hf.Replica(folder / "anna.db", SCHEMA, transport=self.way)
        self.anna.sync()
        self.gate.asked.clear()
        for number in range(2):
            self.anna.execute(ADD, (f"{self.name} {number}", "waits"))
        self.changes: list[StateChanged] = []
        self.anna.events.add(lambda event: self.changes.append(event) if isinstance(event, StateChanged) else None)

    def run(self, *, limit: float, looks: tuple[float, ...] = (), poke: float | None = None) -> list[Any]:
        """Run the loop until nothing waits; gives (waiting, refused, status) at each of the moments of `looks`."""
        seen: list[Any] = []

        def look() -> None:
            seen.append((len(self.anna.pending()), len(self.anna.refused()), self.anna.status))

        def begun(loop: Loop) -> None:
            self.anna._loop = loop
            for moment in looks:
                self.gate.time.at(moment, look)
            if poke is not None:
                self.gate.time.at(poke, loop.poke)

        run_loop(self.anna, self.gate.time, lambda: not self.anna.pending(), seed=1, limit=limit, begun=begun)
        self.anna._loop = None
        return seen

    def arrived(self, *names: str) -> bool:
        """Whether the hub has these rows."""
        with hf.Replica(Path(self.anna.path).with_name("reader.db"), SCHEMA, transport=self.way) as reader:
            reader.sync()
            marks = ", ".join("?" * len(names))
            return reader.execute(f"select count(*) from form where id in ({marks})", names)[0][0] == len(names)


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(site, tmp_path)
    yield desk
    desk.gate.__dict__.pop("applies", None)
    desk.gate.planted = None
    desk.anna.close()


def name_of(planted: Planted) -> str:
    return f"{planted.status or 'cut'}-{planted.code or 'page'}"


@pytest.mark.parametrize("planted", PLANTED, ids=name_of)
def test_each_status_keeps_the_queue_and_is_tried_again_in_its_time(desk: Desk, planted: Planted) -> None:
    desk.gate.planted = planted
    asked = planted.pause == "asked"
    limit = 100_000.0 if asked else TROUBLE + 3_700.0
    (while_it_lasts, late) = desk.run(limit=limit, looks=(1.0, TROUBLE - 1.0), poke=90_000.0 if asked else None)
    for waiting, refused, status in (while_it_lasts, late):
        assert (waiting, refused) == (2, 0), "the queue stays as it is"
        assert status.state == planted.state
        assert f"[{planted.told or planted.code}]" in status.upload_error
        assert f"[{planted.told or planted.code}]" in status.download_error
        assert not status.in_sync
    in_trouble = attempts(desk, planted)
    gaps = [later - earlier for earlier, later in itertools.pairwise(in_trouble)]
    assert all(gap >= planted.wish for gap in gaps)
    first, most = {"soon": (0.5, 60.0), "slowly": (60.0, 3_600.0), "asked": (0.0, 0.0)}[planted.pause]
    for number, gap in enumerate(gaps):
        # Every twentieth second a retry is in the budget; that may be more than the delay.
        assert gap <= max(planted.wish, min(most, first * 2.0**number)) + 40.0 * (number > 20)
    assert len(in_trouble) == 1 if asked else len(in_trouble) > 1
    assert len(in_trouble) < (16 if planted.pause == "slowly" else 40)
    # Without a write of anybody it has all arrived in the end.
    assert desk.arrived(f"{desk.name} 0", f"{desk.name} 1")
    status = desk.anna.status
    assert (status.upload_error, status.download_error, status.pending_count) == (None, None, 0)


def attempts(desk: Desk, planted: Planted) -> list[float]:
    """When attempts began while the trouble lasted: halving a request, and the empty one that shows whether the hub
    works at all, follow at once and belong to the same attempt."""
    found = [moment for moment in desk.gate.moments if moment < TROUBLE]
    blames = planted.status in NARROWING if not planted.code else planted.code in BLAMED
    if blames or planted.status == 413:
        assert len(found) > len(set(found)), "fewer transactions in a request, at once"
    else:
        assert len(found) == len(set(found))
    return sorted(set(found))


@pytest.mark.parametrize(
    ("status", "code"), [(400, "request_malformed"), (413, "request_too_large"), (500, "internal_error"), (422, "")]
)
def test_the_transaction_to_blame_is_found_and_the_others_go_on(desk: Desk, status: int, code: str) -> None:
    desk.gate.planted = Planted(status, code, "", "at once")
    desk.gate.until = 1e9
    desk.gate.applies = lambda body: desk.gate.planted is not None and b"poison" in body  # type: ignore[method-assign]
    desk.anna.execute(ADD, (f"{desk.name} bad", "poison"))
    for number in range(2, 8):
        desk.anna.execute(ADD, (f"{desk.name} {number}", "waits"))

    def rest() -> bool:
        left = desk.anna.pending()
        return len(left) == 1 and left[0].attempts > 0

    run_loop(desk.anna, desk.gate.time, rest, seed=1, limit=100.0)
    assert desk.gate.time.now() < 1.0, "at once"
    desk.gate.planted = None
    (left,) = desk.anna.pending()
    assert (left.operations[0]["key"], left.not_before is not None) == (f"{desk.name} bad", True)
    assert (code or "422") in left.error
    assert desk.arrived(*(f"{desk.name} {number}" for number in range(8)))


def test_who_has_something_else_for_a_short_request_is_asked_in_whole(desk: Desk, tmp_path: Path) -> None:
    """412: no failure at all."""
    desk.run(limit=10.0)
    desk.anna.sync()
    desk.gate.asked.clear()
    with hf.Replica(tmp_path / "ben.db", SCHEMA, transport=desk.way) as ben:
        ben.execute(ADD, (f"{desk.name} news", "waits"))
        ben.sync()
    desk.gate.asked.clear()
    assert desk.anna.sync().pulled == 1
    first, second = (body for _, body in desk.gate.asked)
    assert first.startswith(b'{"same"') and second.startswith(b'{"protocol"')


def test_after_401_new_credentials_are_fetched_and_it_goes_on_at_once(desk: Desk, site: Site, tmp_path: Path) -> None:
    """In real time: the application's function runs in a thread of its own."""
    fetched: list[str] = []
    desk.gate.planted = Planted(401, "unauthenticated", "", "at once")
    desk.gate.applies = lambda body: not fetched  # type: ignore[method-assign]

    def fetch() -> str:
        fetched.append("new")
        return "new"

    with hf.Replica(tmp_path / "ben.db", SCHEMA, url=site.url, token="old", fetch_credentials=fetch) as ben:
        ben.execute(ADD, (f"{desk.name} ben", "waits"))
        ben.connect()
        wait_until(lambda: not ben.pending())
        assert (fetched, ben.refused()) == (["new"], [])


def test_where_there_is_another_url_a_failure_of_the_network_goes_there_at_once(desk: Desk, tmp_path: Path) -> None:
    """And what the hub itself says does not."""
    for planted, elsewhere in ((PLANTED[0], True), (Planted(429, "hub_unavailable", "offline", "soon"), False)):
        desk.gate.planted, desk.gate.until, desk.gate.time = planted, 30.0, VirtualTime()
        desk.gate.asked.clear()
        other = Elsewhere(desk.way, desk.gate)
        folder = tmp_path / f"of-{planted.status}"
        folder.mkdir()
        with hf.Replica(folder / "two.db", SCHEMA, url=[desk.way.url, other.url]) as device:
            device.execute(ADD, (f"{desk.name} {planted.status}", "waits"))
            device._ways = [desk.way, other]
            run_loop(device, desk.gate.time, lambda device=device: not device.pending(), seed=1, limit=100.0)
        assert (desk.gate.time.now() < 1.0) == elsewhere


class Elsewhere:
    """A second URL of the same hub, where all is well."""

    def __init__(self, way: OnlyRounds, gate: Gate) -> None:
        self._way, self._gate, self.url = way, gate, way.url

    def exchange(self, body: bytes) -> Exchange:
        planted, self._gate.planted = self._gate.planted, None
        try:
            return self._way.exchange(body)
        finally:
            self._gate.planted = planted

    def close(self) -> None:
        pass


def test_every_status_of_the_table_is_walked() -> None:
    """What the specification names in its table is what stands above, and what devices are programmed to do."""
    section = SPEC.read_text("utf-8").split("## 6. Errors", 1)[1].split("## 7.", 1)[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| ") and "---" not in row][1:]
    named = {int(found) for row in rows for found in re.findall(r"\b[45]\d\d\b", row)}
    walked = {planted.status for planted in PLANTED} | {412}
    assert named <= walked
    codes = {found for row in rows for found in re.findall(r"`(\w+)`", row)}
    assert codes <= {planted.code for planted in PLANTED} | {"not_same"}
    assert any("5xx" in row for row in rows)
