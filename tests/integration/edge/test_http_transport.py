import socket
import ssl
import threading
import warnings

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.edge import http
from holdfast.edge.asgi import asgi
from holdfast.edge.http import HttpTransport, PlainHttpWarning, normalised
from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_error, decode_line, lines
from tests.integration.edge.stand_in import REQUEST, Peer, StandInHub, serving

BODY = b'{"footer":{"more":false}}\n' * 20
PACKED = zstandard.ZstdCompressor().compress(BODY)


def failure(action) -> HoldfastError:
    with pytest.raises(HoldfastError) as caught:
        action()
    return caught.value


def round_trip(url: str, **options) -> list[bytes]:
    transport = HttpTransport(url, "anna", **options)
    try:
        return list(transport.exchange(REQUEST).chunks())
    finally:
        transport.close()


@pytest.mark.parametrize("pages", [0, 60])
@pytest.mark.parametrize("padding", [0, 5_000])
def test_a_round_over_a_real_server(pages, padding):
    hub = StandInHub(pages=pages, page_bytes=10_000)
    body = REQUEST + b" " * padding
    with serving(asgi(hub)) as url:
        transport = HttpTransport(url + "/", "anna")
        exchange = transport.exchange(body)
        kinds = [type(decode_line(line)) for line in lines(exchange.chunks())]
        transport.close()
    assert exchange.status == 200
    assert kinds == [m.Header] + [m.Page] * pages + [m.Footer]
    assert hub.bodies == [body]
    assert exchange.bytes_sent < 500, "a long body goes packed"


def test_the_bytes_counted_are_those_on_the_wire():
    for answer in (
        b"HTTP/1.1 200 OK\r\nContent-Type: x\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
        b"HTTP/1.1 503 Service Unavailable\r\nset-cookie: a\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n",
    ):
        for body in (REQUEST, REQUEST + b" " * 3_000):
            with Peer(answer) as peer:
                transport = HttpTransport(peer.url + "/deep/hub/", "anna", headers={"X-App": "tablet"})
                exchange = transport.exchange(body)
                list(exchange.chunks())
                transport.close()
            assert exchange.bytes_received == len(answer)
            assert exchange.bytes_sent == len(peer.requests[0])
            head = peer.requests[0].partition(b"\r\n\r\n")[0].decode()
            assert head.startswith("POST /deep/hub/v1/sync HTTP/1.1\r\n")
            assert "Authorization: Bearer anna" in head
            assert "X-App: tablet" in head
            assert ("Content-Encoding: zstd" in head) == (len(body) > 1024)


def test_the_connection_is_kept_and_a_dropped_one_replaced():
    connections = []

    async def watched(scope, receive, send):
        if scope["type"] == "http":
            connections.append(scope["client"])
        await app(scope, receive, send)

    app = asgi(StandInHub(pages=3, page_bytes=50_000))
    with serving(watched) as url:
        transport = HttpTransport(url, "anna")
        for _ in range(5):
            list(transport.exchange(REQUEST).chunks())
        assert len(set(connections)) == 1
        first = transport.exchange(REQUEST)
        next(first.chunks())
        first.close()
        first.close()
        list(transport.exchange(REQUEST).chunks())
        assert len(set(connections)) == 2, "a connection with half an answer in it is not used again"
        transport.close()
        transport.close()


def test_an_abandoned_answer_releases_the_hub():
    hub = StandInHub(pages=100_000, page_bytes=50_000)
    with serving(asgi(hub)) as url:
        transport = HttpTransport(url, "anna")
        exchange = transport.exchange(REQUEST)
        next(exchange.chunks())
        exchange.close()
        assert hub.all_released.wait(20)
        assert failure(lambda: list(exchange.chunks())).code == "network"
        transport.close()


def test_an_error_answer_is_given_to_the_caller():
    with serving(asgi(StandInHub())) as url:
        transport = HttpTransport(url, "otto")
        exchange = transport.exchange(REQUEST)
        error = decode_error(b"".join(exchange.chunks()))
        transport.close()
    assert exchange.status == 401
    assert error is not None
    assert error.code == "unauthenticated"


def answers(head: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


CUT = {
    "length": answers("Content-Length: 5000", BODY),
    "no chunk": answers("Transfer-Encoding: chunked", b""),
    "between chunks": answers("Transfer-Encoding: chunked", chunked(BODY)),
    "in a chunk": answers("Transfer-Encoding: chunked", b"ffff\r\n" + BODY),
    "in a chunk's length": answers("Transfer-Encoding: chunked", chunked(BODY) + b"ff"),
    "chunk length is text": answers("Transfer-Encoding: chunked", b"zz\r\n"),
    "packed, cut, until close": answers("Content-Encoding: zstd\r\nConnection: close", PACKED[:-4]),
    "packed, cut, whole chunks": answers(
        "Content-Encoding: zstd\r\nTransfer-Encoding: chunked", chunked(PACKED[:-4]) + b"0\r\n\r\n"
    ),
    "not zstd": answers(f"Content-Encoding: zstd\r\nContent-Length: {len(BODY)}", BODY),
    "not gzip": answers(f"Content-Encoding: gzip\r\nContent-Length: {len(BODY)}", BODY),
    "a coding nobody asked for": answers(f"Content-Encoding: br\r\nContent-Length: {len(BODY)}", BODY),
}


@pytest.mark.parametrize("answer", CUT.values(), ids=CUT.keys())
def test_a_body_that_ends_early_or_is_damaged_raises(answer):
    with Peer(answer) as peer:
        error = failure(lambda: round_trip(peer.url))
    assert error.code == "network"
    assert peer.url in error.message
    assert "broke off" in error.message
    assert "object at 0x" not in error.message


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1", b"HTTP/1.1 200", b"hello\r\n\r\n", b"SSH-2.0-x\r\n", b"\0\xff" * 99]
)
def test_what_is_not_http_is_a_network_error(answer):
    with Peer(answer) as peer:
        error = failure(lambda: round_trip(peer.url))
    assert error.code == "network"
    assert peer.url in error.message


@settings(max_examples=40)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=200).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail),
        st.integers(0, len(CUT["length"])).map(lambda length: CUT["length"][:length]),
        st.tuples(st.sampled_from(["zstd", "gzip"]), st.binary(max_size=200)).map(
            lambda pair: answers(f"Content-Encoding: {pair[0]}\r\nConnection: close", pair[1])
        ),
    )
)
def test_whatever_a_peer_answers_only_our_error_comes_out(answer):
    with Peer(answer) as peer:
        try:
            round_trip(peer.url)
        except HoldfastError as error:
            assert error.code in ("network", "hub_error")


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = failure(lambda: round_trip(f"http://127.0.0.1:{port}"))
    assert error.code == "network"
    assert f"127.0.0.1:{port}" in error.message
    assert "refused" in error.message


def test_silence_ends_at_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = failure(lambda: round_trip(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1))
    assert "within the timeout" in error.message
    with Peer(CUT["length"], keep=True) as peer:
        error = failure(lambda: round_trip(peer.url, timeout=(5, 0.1)))
    assert "broke off: nothing came within the timeout" in error.message


def test_tls_against_a_plain_server():
    with serving(asgi(StandInHub())) as url:
        error = failure(lambda: round_trip(url.replace("http:", "https:")))
    assert error.code == "network"
    assert "https://127.0.0.1" in error.message


@pytest.mark.parametrize("status", [301, 307, 308])
def test_redirects_are_not_followed(status):
    with Peer(f"HTTP/1.1 {status} Moved\r\nLocation: https://other/x\r\nContent-Length: 0\r\n\r\n".encode()) as peer:
        error = failure(lambda: round_trip(peer.url))
    assert error.code == "hub_error"
    assert "https://other/x" in error.message
    assert len(peer.requests) == 1


def test_a_kept_connection_that_was_closed_meanwhile_is_not_a_failure(monkeypatch):
    """The other side closes just when the next request goes out: urllib3's look at the connection came before that."""
    monkeypatch.setattr("urllib3.connectionpool.is_connection_dropped", lambda connection: False)
    with Peer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as peer:
        transport = HttpTransport(peer.url)
        for _ in range(3):
            list(transport.exchange(REQUEST).chunks())
    assert len(peer.requests) == 3
    with pytest.raises(HoldfastError, match="network"):
        transport.exchange(REQUEST)


def test_tokens():
    numbers = iter(range(9))
    with Peer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as peer:
        transport = HttpTransport(peer.url, lambda: f"token-{next(numbers)}\n")
        for _ in range(2):
            list(transport.exchange(REQUEST).chunks())
        list(HttpTransport(peer.url).exchange(REQUEST).chunks())
        list(HttpTransport(peer.url, lambda: None).exchange(REQUEST).chunks())
    assert b"Authorization: Bearer token-0\r\n" in peer.requests[0]
    assert b"Authorization: Bearer token-1\r\n" in peer.requests[1]
    assert b"Authorization" not in peer.requests[2] + peer.requests[3]

    def broken() -> str:
        raise KeyError("vault")

    for token in (broken, "two\r\nlines", "naïve"):
        error = failure(lambda: HttpTransport("http://127.0.0.1:1", token).exchange(REQUEST))  # noqa: B023
        assert error.code == "unauthenticated"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host:8000", "http://host:8000"),
        (" HTTPS://Host/prefix/ ", "https://host/prefix"),
        ("https://host/", "https://host"),
        ("http://[::1]:8000/a/b//", "http://[::1]:8000/a/b"),
    ],
)
def test_urls_are_normalised(url, expected):
    assert normalised(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:8000",
        "ftp://host",
        "http://",
        "/v1",
        "https://u:p@host",
        "https://host/?a=b",
        "https://host/#x",
        "http://h:99999",
    ],
)
def test_what_is_no_url_of_a_hub_is_refused(url):
    assert failure(lambda: HttpTransport(url)).code == "url_invalid"


@given(st.text(max_size=40).map("http://".__add__) | st.text(max_size=40))
def test_any_text_is_a_url_or_refused(text):
    try:
        assert normalised(text).startswith(("http://", "https://"))
    except HoldfastError as error:
        assert error.code == "url_invalid"


def test_plain_http_beyond_this_computer_warns_once(monkeypatch):
    monkeypatch.setattr(http, "_warned", set())
    with pytest.warns(PlainHttpWarning, match="TLS") as caught:
        HttpTransport("http://hub.example:8000")
        HttpTransport("http://hub.example:9000/other")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for url in (
            "https://hub.example",
            "http://localhost",
            "http://127.0.0.9",
            "http://[::1]:80",
            "http://a.localhost",
        ):
            HttpTransport(url)


def test_verify_takes_what_people_have(tmp_path):
    for verify in (True, False, tmp_path, str(tmp_path / "ca.pem"), ssl.create_default_context()):
        HttpTransport("https://hub.example", verify=verify).close()


def test_a_missing_certificate_file_is_a_network_error(tmp_path):
    with Peer(b"") as peer:
        url = peer.url.replace("http:", "https:")
        assert failure(lambda: round_trip(url, verify=str(tmp_path / "absent.pem"))).code == "network"


def test_two_threads_may_share_a_transport():
    done = []

    def device():
        for _ in range(10):
            done.extend(lines(transport.exchange(REQUEST).chunks()))

    with serving(asgi(StandInHub())) as url:
        transport = HttpTransport(url, "anna")
        threads = [threading.Thread(target=device) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        transport.close()
    assert len(done) == 40
