import gzip
import json
import logging
import socket
import threading
import zlib
from urllib.parse import urlsplit

import fastapi
import pytest
import urllib3
import zstandard
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount

from holdfast.edge.asgi import asgi
from holdfast.edge.http import HttpTransport
from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_line, lines
from tests.integration.edge.stand_in import REQUEST, StandInHub, serving

MIB = 1024 * 1024
ANNA = {"Authorization": "Bearer anna"}


@pytest.fixture
def pool():
    with urllib3.PoolManager(retries=False, maxsize=50, timeout=urllib3.Timeout(30)) as manager:
        yield manager


def post(pool, url, body=REQUEST, path="/v1/sync", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return pool.request("POST", url + path, body=body, headers=ANNA | named, decode_content=False)


def code_of(response) -> str:
    """The code of an error answer, after checking what every error has in common."""
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert b"Traceback" not in response.data
    error = json.loads(response.data)
    assert set(error) <= {"code", "message", "details"}
    assert error["message"]
    return error["code"]


def kinds(body: bytes) -> list[type]:
    return [type(decode_line(line)) for line in lines([body])]


def test_a_round(pool):
    with serving(asgi(StandInHub(pages=2))) as url:
        response = post(pool, url)
    assert response.status == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-length"] == str(len(response.data))
    assert kinds(response.data) == [m.Header, m.Page, m.Page, m.Footer]


@pytest.mark.parametrize(
    ("accept", "encoding", "unpack"),
    [
        ("gzip, zstd", "zstd", lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
        ("zstd;q=0.1, gzip", "gzip", gzip.decompress),
        ("br", None, bytes),
    ],
)
@pytest.mark.parametrize("pages", [0, 40])
def test_the_response_is_packed_as_asked(pool, accept, encoding, unpack, pages):
    with serving(asgi(StandInHub(pages=pages, page_bytes=10_000))) as url:
        response = post(pool, url, accept_encoding=accept)
    assert response.headers.get("content-encoding") == encoding
    assert kinds(unpack(response.data)) == [m.Header] + [m.Page] * pages + [m.Footer]


def test_lines_arrive_while_the_hub_still_works_on_the_next(pool):
    go_on = threading.Event()
    hub = StandInHub(pages=4, page_bytes=70_000, fault=lambda number: number < 3 or go_on.wait(20) or None)
    with serving(asgi(hub)) as url:
        headers = ANNA | {"Accept-Encoding": "zstd"}
        response = pool.request(
            "POST", url + "/v1/sync", body=REQUEST, headers=headers, preload_content=False, decode_content=False
        )
        chunks = response.read_chunked(decode_content=False)
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        text = b""
        while text.count(b"\n") < 4:
            text += unpacker.decompress(next(chunks))
        assert not go_on.is_set()
        go_on.set()
        text += b"".join(unpacker.decompress(chunk) for chunk in chunks)
    assert kinds(text) == [m.Header] + [m.Page] * 4 + [m.Footer]


@pytest.mark.parametrize("encoding", ["zstd", "gzip", "identity", ""])
def test_a_packed_request_reaches_the_hub_unpacked(pool, encoding):
    pack = {"zstd": zstandard.ZstdCompressor().compress, "gzip": gzip.compress}.get(encoding, bytes)
    hub = StandInHub()
    with serving(asgi(hub)) as url:
        assert post(pool, url, pack(REQUEST), content_encoding=encoding).status == 200
    assert hub.bodies == [REQUEST]


OTHER_PROTOCOL = REQUEST.replace(b'"protocol":1', b'"protocol":9')
ZSTD_BOMB = zstandard.ZstdCompressor().compress(bytes(17 * MIB))


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        pytest.param(b"", "", 400, "request_malformed", id="empty"),
        pytest.param(b"\x00\xff garbage", "", 400, "request_malformed", id="garbage"),
        pytest.param(b"garbage", "zstd", 415, "encoding_unsupported", id="no zstd"),
        pytest.param(b"garbage", "gzip", 415, "encoding_unsupported", id="no gzip"),
        pytest.param(b"", "zstd", 415, "encoding_unsupported", id="empty zstd"),
        pytest.param(gzip.compress(REQUEST)[:-3], "gzip", 415, "encoding_unsupported", id="cut gzip"),
        pytest.param(REQUEST, "br", 415, "encoding_unsupported", id="unknown encoding"),
        pytest.param(REQUEST, "gzip, gzip", 415, "encoding_unsupported", id="two encodings"),
        pytest.param(OTHER_PROTOCOL, "", 426, "protocol_version", id="another protocol"),
        pytest.param(b"[" * 100_000, "", 400, "request_malformed", id="too deep"),
        pytest.param(gzip.compress(bytes(17 * MIB)), "gzip", 413, "request_too_large", id="gzip bomb"),
        pytest.param(ZSTD_BOMB, "zstd", 413, "request_too_large", id="zstd bomb"),
    ],
)  # fmt: skip
def test_a_bad_request_gets_its_code(pool, body, encoding, status, code):
    hub = StandInHub()
    with serving(asgi(hub)) as url:
        response = post(pool, url, body, content_encoding=encoding)
        assert (response.status, code_of(response)) == (status, code)
        assert post(pool, url).status == 200
    assert hub.bodies == [REQUEST]


@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversized_body_gets_its_answer_and_the_connection_lives(pool, chunked):
    with serving(asgi(StandInHub())) as url:
        body = (bytes(MIB) for _ in range(20)) if chunked else bytes(20 * MIB)
        response = post(pool, url, body)
        assert (response.status, code_of(response)) == (413, "request_too_large")
        assert post(pool, url).status == 200
        assert pool.connection_from_url(url).num_connections == 1


def test_an_endless_body_is_cut_off(pool):
    with serving(asgi(StandInHub())) as url:
        length = 10**12
        with connect(url) as connection:
            # One byte more than is allowed and no further: bytes that nobody reads would make the kernel reset the
            # connection, sometimes before the answer is read.
            connection.sendall(head(url, f"Content-Length: {length}") + bytes(m.MAX_REQUEST + 1))
            answer = receive_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_a_chunked_body_without_length(pool):
    hub = StandInHub()
    with serving(asgi(hub)) as url:
        assert post(pool, url, iter([REQUEST[:10], REQUEST[10:11], REQUEST[11:]])).status == 200
    assert hub.bodies == [REQUEST]


def test_only_the_known_get_in(pool):
    hub = StandInHub()
    with serving(asgi(hub)) as url:
        for headers in ({}, {"Authorization": "Bearer otto"}):
            response = pool.request("POST", url + "/v1/sync", body=REQUEST, headers=headers)
            assert (response.status, code_of(response)) == (401, "unauthenticated")
            assert response.headers["www-authenticate"] == "Bearer"
    assert hub.opened == 0


def test_without_authenticate_nobody_gets_in_and_the_message_says_why(pool):
    with serving(asgi(StandInHub(authenticate=None))) as url:
        response = post(pool, url)
    assert (response.status, code_of(response)) == (401, "unauthenticated")
    assert b"authenticate=" in response.data


def test_headers_come_in_lower_case_and_joined(pool):
    seen = {}
    with (
        serving(asgi(StandInHub(authenticate=seen.update))) as url,
        connect(url) as connection,
    ):
        connection.sendall(head(url, "Content-Length: 0", "X-Role: a", "x-ROLE: b", "Connection: close"))
        receive_all(connection)
    assert seen["x-role"] == "a, b"


def broken_authenticate(_):
    raise RuntimeError("the user table is gone")


@pytest.mark.parametrize("authenticate", [broken_authenticate, lambda _: "anna"])
def test_a_mistake_in_authenticate_is_logged_and_not_shown(pool, caplog, authenticate):
    with caplog.at_level(logging.ERROR, "holdfast"), serving(asgi(StandInHub(authenticate=authenticate))) as url:
        response = post(pool, url)
    assert (response.status, code_of(response)) == (500, "internal_error")
    assert b"user table" not in response.data
    record = next(record for record in caplog.records if record.name == "holdfast")
    assert record.exc_info is not None


def raising(error):
    def fault(number):
        raise error

    return fault


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("secret detail"), 500, "internal_error"),
        (HoldfastError("hub_unavailable", "the disk is full"), 503, "hub_unavailable"),
    ],
)
def test_an_error_before_the_first_batch_is_a_whole_answer(pool, caplog, error, status, code):
    hub = StandInHub(pages=1, fault=raising(error))
    with caplog.at_level(logging.ERROR, "holdfast"), serving(asgi(hub)) as url:
        response = post(pool, url, accept_encoding="zstd")
    assert (response.status, code_of(response)) == (status, code)
    assert b"secret" not in response.data
    assert hub.released == 1
    assert any(record.name == "holdfast" and record.exc_info for record in caplog.records)


@pytest.mark.parametrize("inside_middleware", [False, True])
def test_an_error_in_the_middle_breaks_the_body_off(inside_middleware):
    def fault(number):
        if number == 5:
            raise RuntimeError("broken")

    async def pass_on(request, call_next):
        return await call_next(request)

    hub = StandInHub(pages=9, page_bytes=70_000, fault=fault)
    around = [Middleware(BaseHTTPMiddleware, dispatch=pass_on)] if inside_middleware else []
    with serving(Starlette(routes=[Mount("/", asgi(hub))], middleware=around)) as url:
        exchange = HttpTransport(url, "anna").exchange(REQUEST)
        with pytest.raises(HoldfastError) as caught:
            list(exchange.chunks())
        assert hub.released == 1
    assert caught.value.code == "network"


def test_other_paths_and_methods(pool):
    with serving(asgi(StandInHub())) as url:
        response = pool.request("GET", url + "/v1/sync")
        assert (response.status, code_of(response)) == (405, "method_not_allowed")
        assert response.headers["allow"] == "POST"
        for path in ("/", "/v1", "/v1/sync/", "/v1/sync/x", "/../etc/passwd", "/%00"):
            response = post(pool, url, path=path)
            assert (response.status, code_of(response)) == (404, "not_found"), path
        assert code_of(post(pool, url, path="/healthz")) == "method_not_allowed"


def test_health(pool):
    hub = StandInHub()
    with serving(asgi(hub)) as url:
        response = pool.request("GET", url + "/healthz")
        assert (response.status, response.json()) == (200, {"status": "ok"})
        assert response.headers["cache-control"] == "no-store"
        assert pool.request("HEAD", url + "/healthz").status == 200
        hub.healthy = False
        response = pool.request("GET", url + "/healthz")
        assert (response.status, code_of(response)) == (503, "hub_unavailable")


def mounted_in_fastapi(app):
    outer = fastapi.FastAPI()
    outer.mount("/deep/hub", app)
    return outer


def mounted_in_starlette(app):
    return Starlette(routes=[Mount("/deep", Starlette(routes=[Mount("/hub", app)]))])


@pytest.mark.parametrize("mount", [mounted_in_fastapi, mounted_in_starlette])
@pytest.mark.parametrize("root_path", ["", "/proxied"])
def test_mounted_under_a_prefix(pool, mount, root_path):
    with serving(mount(asgi(StandInHub(pages=1))), root_path=root_path) as url:
        response = post(pool, url, path="/deep/hub/v1/sync")
        assert kinds(response.data) == [m.Header, m.Page, m.Footer]
        assert code_of(post(pool, url, path="/deep/hub/v1/nothing")) == "not_found"
        assert code_of(pool.request("GET", url + "/deep/hub/v1/sync")) == "method_not_allowed"
        assert pool.request("GET", url + "/deep/hub/healthz").status == 200
        document = pool.request("GET", url + "/deep/hub/openapi.json").json()
        assert document["servers"] == [{"url": root_path + "/deep/hub"}]


def test_two_hundred_rounds_at_once_over_forty_connections(pool):
    hub = StandInHub(pages=3, page_bytes=50_000)
    answers: list[int] = []
    start = threading.Barrier(40)

    def device():
        start.wait(20)
        answers.extend(len(kinds(post(pool, url).data)) for _ in range(5))

    with serving(asgi(hub)) as url:
        threads = [threading.Thread(target=device) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert answers == [5] * 200
    assert hub.opened == hub.released == 200


def test_two_hundred_requests_open_at_the_same_time():
    hub = StandInHub(pages=3, page_bytes=50_000)
    with serving(asgi(hub)) as url:
        connections = [connect(url) for _ in range(200)]
        for connection in connections:
            connection.sendall(head(url, f"Content-Length: {len(REQUEST)}", "Connection: close"))
        for connection in connections:
            connection.sendall(REQUEST)
        answers = [receive_all(connection) for connection in connections]
        for connection in connections:
            connection.close()
    assert all(answer.startswith(b"HTTP/1.1 200 ") and b'{"footer"' in answer for answer in answers)
    assert hub.opened == hub.released == 200


def test_a_client_that_hangs_up_releases_the_response():
    hub = StandInHub(pages=100_000, page_bytes=50_000)
    with serving(asgi(hub)) as url:
        with connect(url) as connection:
            connection.sendall(head(url, f"Content-Length: {len(REQUEST)}") + REQUEST)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert hub.all_released.wait(20)
    assert hub.sent_pages < 1_000, "the stream was produced ahead of the client"


def test_a_client_that_hangs_up_while_the_hub_works_releases_the_response():
    working, hung_up = threading.Event(), threading.Event()

    def fault(number):
        working.set()
        assert hung_up.wait(20)

    hub = StandInHub(pages=1, fault=fault)
    with serving(asgi(hub)) as url:
        with connect(url) as connection:
            connection.sendall(head(url, f"Content-Length: {len(REQUEST)}") + REQUEST)
            assert working.wait(20)
        hung_up.set()
        assert hub.all_released.wait(20)
        assert hub.released == 1


def test_a_client_that_hangs_up_in_its_request_leaves_nothing_and_no_error(caplog):
    hub = StandInHub()
    with serving(asgi(hub)) as url, connect(url) as connection:
        connection.sendall(head(url, f"Content-Length: {len(REQUEST)}") + REQUEST[:20])
    assert hub.opened == 0
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_client_that_takes_nothing_is_dropped():
    hub = StandInHub(pages=100_000, page_bytes=50_000)
    with serving(asgi(hub, idle_seconds=0.2)) as url, connect(url) as connection:
        connection.sendall(head(url, f"Content-Length: {len(REQUEST)}") + REQUEST)
        assert hub.all_released.wait(20)
        assert hub.released == 1


def test_a_client_that_sends_nothing_is_answered_and_dropped():
    with serving(asgi(StandInHub(), idle_seconds=0.2)) as url, connect(url) as connection:
        connection.sendall(head(url, "Content-Length: 100") + b"{")
        answer = receive_all(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"broke off" in answer


def test_slow_readers_do_not_keep_threads_from_others(pool):
    hub = StandInHub(pages=1_000, page_bytes=50_000)
    with serving(asgi(hub)) as url:
        slow = [connect(url) for _ in range(60)]
        for connection in slow:
            connection.sendall(head(url, f"Content-Length: {len(REQUEST)}") + REQUEST)
            connection.recv(100)
        assert pool.request("GET", url + "/healthz").status == 200
        hub.pages = 0
        assert post(pool, url).status == 200
        for connection in slow:
            connection.close()
        assert hub.all_released.wait(20)


@pytest.mark.parametrize("close", [False, True])
def test_shutdown_closes_the_server_only_when_told(close):
    hub = StandInHub()
    with serving(asgi(hub, close=close)):
        pass
    assert hub.closed == close


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def head(url: str, *headers: str) -> bytes:
    lines = ["POST /v1/sync HTTP/1.1", f"Host: {urlsplit(url).netloc}", "Authorization: Bearer anna", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def receive_all(connection: socket.socket) -> bytes:
    """Everything until the peer closes; a reset after the answer ends it as well."""
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


def test_gzip_is_flushed_at_every_line(pool):
    with serving(asgi(StandInHub(pages=40, page_bytes=10_000))) as url:
        packed = post(pool, url, accept_encoding="gzip").data
    text = zlib.decompressobj(31).decompress(packed[: len(packed) // 2])
    assert len(kinds(text)) > 5
