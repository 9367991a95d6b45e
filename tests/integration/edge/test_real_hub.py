"""The edge around the real server and real devices."""

import json
import threading

import fastapi
import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

import holdfast as hf
from holdfast.auth.development import DevelopmentTokens
from holdfast.edge.asgi import asgi
from holdfast.edge.http import HttpTransport
from holdfast.edge.local import LocalTransport
from holdfast.edge.openapi import REQUEST_EXAMPLE
from holdfast.protocol import messages as m
from tests.integration.edge.stand_in import serving
from tests.integration.edge.test_fuzz import check, mutants

TOKENS = DevelopmentTokens("a secret of some length")
TOKEN = TOKENS.token("anna", {"project:42": "rw"})
ANNA = hf.Identity("anna", {"project:42": "rw"})


class Note(hf.Table, space="project:{project_id}"):
    project_id: str
    text: str = ""
    stars: hf.Counter = 0


SCHEMA = hf.Schema(Note, version=1)


@pytest.fixture
def server(tmp_path):
    with hf.Server(f"sqlite:///{tmp_path / 'hub.db'}", SCHEMA, authenticate=TOKENS.authenticate) as server:
        yield server


def write(replica: hf.Replica, count: int, size: int = 20) -> None:
    with replica.transaction():
        for number in range(count):
            text = f"{number} " * (size // 6)
            replica.execute("insert into note (id, project_id, text) values (?, ?, ?)", (hf.new_id(), "42", text))


def texts(replica: hf.Replica) -> list[str]:
    return [row[0] for row in replica.execute("select text from note order by id")]


def request(**more) -> bytes:
    return m.encode(m.Request(1, "device-1", m.SchemaName(1, SCHEMA.hash), 1_000, **more))


def test_devices_over_http_and_in_process_agree(server, tmp_path):
    outer = fastapi.FastAPI()
    outer.mount("/deep/hub", asgi(server))
    with (
        serving(outer) as url,
        hf.Replica(tmp_path / "a.db", SCHEMA, url=f"{url}/deep/hub/", token=TOKEN) as one,
        hf.Replica(tmp_path / "b.db", SCHEMA, url=f"{url}/deep/hub", token=lambda: TOKEN) as two,
        hf.Replica(tmp_path / "c.db", SCHEMA, transport=LocalTransport(server, ANNA)) as three,
    ):
        write(one, 3_000)
        report = one.sync()
        assert report.pushed >= 1
        assert 0 < report.bytes_sent < 400_000
        two.sync()
        write(two, 1)
        two.sync()
        for replica in (three, one):
            replica.sync()
        assert len(texts(one)) == 3_001
        assert texts(one) == texts(two) == texts(three)


def test_a_wrong_token_is_named_to_the_device(server, tmp_path):
    with serving(asgi(server)) as url, hf.Replica(tmp_path / "a.db", SCHEMA, url=url, token="wrong") as replica:
        with pytest.raises(hf.HoldfastError) as caught:
            replica.sync()
        assert caught.value.code == "unauthenticated"


def test_abandoned_answers_hold_nothing_at_the_store(server, tmp_path):
    with serving(asgi(server)) as url, hf.Replica(tmp_path / "a.db", SCHEMA, url=url, token=TOKEN) as replica:
        write(replica, 8_000, size=300)
        replica.sync()
        transport = HttpTransport(url, TOKEN)
        for _ in range(60):
            exchange = transport.exchange(request())
            assert exchange.status == 200
            next(exchange.chunks())
            exchange.close()
        transport.close()
        write(replica, 1)
        assert replica.sync().pushed >= 1
        exchange = HttpTransport(url, TOKEN).exchange(request())
        assert sum(chunk.count(b"\n") for chunk in exchange.chunks()) > 3


def test_two_hundred_rounds_at_once(server):
    codes = []

    def device(number: int) -> None:
        transport = HttpTransport(url, TOKEN)
        for _ in range(10):
            exchange = transport.exchange(request())
            codes.append((exchange.status, b"".join(exchange.chunks()).count(b"\n")))
        transport.close()

    with serving(asgi(server)) as url:
        threads = [threading.Thread(target=device, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert codes == [(200, 2)] * 200


def test_health_of_a_server_that_was_closed(tmp_path):
    server = hf.Server(f"sqlite:///{tmp_path / 'hub.db'}", SCHEMA)
    with serving(asgi(server)) as url, urllib3.PoolManager(retries=False) as pool:
        assert pool.request("GET", url + "/healthz").status == 200
        server.close()
        assert pool.request("GET", url + "/healthz").status >= 500


FUZZED = json.loads(
    json.dumps(REQUEST_EXAMPLE)
    .replace("3f9a6c1be2d04578", SCHEMA.hash)
    .replace("submission", "note")
    .replace("status", "text")
    .replace("crew_size", "stars")
)


@pytest.fixture(scope="module")
def post():
    server = hf.Server("memory:", SCHEMA, authenticate=TOKENS.authenticate)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with server, serving(asgi(server)) as url, urllib3.PoolManager(retries=False) as pool:
        yield lambda body: pool.request("POST", url + "/v1/sync", body=body, headers=headers)


def test_the_request_that_is_mutated_is_a_good_one(post):
    response = post(json.dumps(FUZZED).encode())
    assert response.status == 200
    assert b'{"footer"' in response.data


@given(mutants(FUZZED), st.integers(0, 2**48 - 1))
def test_requests_that_are_almost_right_never_break_the_hub(post, value, origin):
    fresh = json.dumps(value).replace("a1b2c3d4e5f6", f"{origin:012x}").replace('"n": 7', '"n": 1')
    check(post(fresh.encode()))


@given(st.binary())
def test_random_bytes_never_break_the_hub(post, body):
    check(post(body))
