import gc

import pytest

from holdfast.edge.asgi import asgi
from holdfast.edge.http import HttpTransport
from holdfast.edge.local import LocalTransport
from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from tests.integration.edge.stand_in import ANNA, REQUEST, StandInHub, serving

BODIES = {
    "a round": REQUEST,
    "empty": b"",
    "garbage": b"\xff\x00",
    "another protocol": REQUEST.replace(b'"protocol":1', b'"protocol":2'),
    "exactly the limit": REQUEST + b" " * (m.MAX_REQUEST - len(REQUEST)),
    "too large": REQUEST + b" " * (m.MAX_REQUEST - len(REQUEST) + 1),
}


def answer(transport, body: bytes) -> tuple[int, bytes]:
    exchange = transport.exchange(body)
    return exchange.status, b"".join(exchange.chunks())


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_status_and_body_are_those_of_http(body):
    hub = StandInHub(pages=5, page_bytes=30_000)
    with serving(asgi(hub)) as url:
        remote = HttpTransport(url, "anna")
        assert answer(LocalTransport(hub, ANNA), body) == answer(remote, body)
        remote.close()


def test_nobody_and_mistakes_are_those_of_http(caplog):
    def fault(number):
        raise RuntimeError("broken")

    hub = StandInHub(pages=1, fault=fault)
    with serving(asgi(hub)) as url:
        for token, identity in (("otto", None), ("anna", ANNA)):
            remote = HttpTransport(url, token)
            assert answer(LocalTransport(hub, identity), REQUEST) == answer(remote, REQUEST)
            remote.close()
    assert hub.opened == hub.released


def test_an_answer_broken_off_raises_network_and_releases(caplog):
    def fault(number):
        if number == 3:
            raise RuntimeError("broken")

    hub = StandInHub(pages=9, page_bytes=70_000, fault=fault)
    chunks = LocalTransport(hub, ANNA).exchange(REQUEST).chunks()
    with pytest.raises(HoldfastError) as caught:
        list(chunks)
    assert caught.value.code == "network"
    assert hub.released == 1


def test_bytes_are_counted_as_they_are_read():
    exchange = LocalTransport(StandInHub(pages=9, page_bytes=70_000), ANNA).exchange(REQUEST)
    assert (exchange.bytes_sent, exchange.bytes_received) == (len(REQUEST), 0)
    chunks = exchange.chunks()
    first = len(next(chunks))
    assert exchange.bytes_received == first
    assert exchange.bytes_received + sum(map(len, chunks)) == exchange.bytes_received
    assert exchange.bytes_received > 9 * 70_000


def test_close_releases_at_any_moment():
    for read in (0, 1, 3):
        hub = StandInHub(pages=9, page_bytes=70_000)
        exchange = LocalTransport(hub, ANNA).exchange(REQUEST)
        chunks = exchange.chunks()
        for _ in range(read):
            next(chunks)
        exchange.close()
        exchange.close()
        assert hub.released == 1
        assert hub.sent_pages <= 4
    hub = StandInHub(pages=9, page_bytes=70_000)
    chunks = LocalTransport(hub, ANNA).exchange(REQUEST).chunks()
    next(chunks)
    del chunks
    gc.collect()
    assert hub.released == 1
