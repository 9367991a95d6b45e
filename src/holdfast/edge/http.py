"""Rounds over HTTP, from the device's side: urllib3, one connection that is kept, no retries below the sync layer."""

from __future__ import annotations

import email.utils
import http.client
import ipaddress
import ssl
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import urllib3
import zstandard
from urllib3.exceptions import (
    ConnectTimeoutError,
    IncompleteRead,
    InvalidChunkLength,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)
from urllib3.exceptions import HTTPError as UrllibError
from urllib3.util import SKIP_HEADER, parse_url

from holdfast.edge.abortable import Abort, pool_classes
from holdfast.edge.compression import ACCEPT, LEVEL, Decoder, UndecodableError, named
from holdfast.edge.live_client import Deliver, WebSocketLink
from holdfast.edge.news_client import NewsThread
from holdfast.errors import HoldfastError
from holdfast.observe import tracing
from holdfast.protocol.codec import is_short
from holdfast.protocol.messages import PROTOCOL
from holdfast.protocol.meter import Meter

COMPRESS_OVER = 1024
READ_SIZE = 64 * 1024
CHUNK_SIZE = 1024 * 1024

Token = str | Callable[[], str | None]

# What can go wrong between two computers, as the layers below name it. ValueError: urllib3 and http.client raise it for
# answers and names that are not HTTP (UnicodeError for a host name, int() of a broken header).
_BROKEN = (UrllibError, OSError, http.client.HTTPException, UndecodableError, ValueError)

_warned: set[str] = set()


class PlainHttpWarning(UserWarning):
    """The hub is reached over plain HTTP: token and data can be read and changed on the way."""


class HttpExchange:
    """One request that was sent, and its streamed answer. Read `chunks` to its end, so that the connection is kept."""

    def __init__(self, url: str, response: urllib3.BaseHTTPResponse, sent: int, meter: Meter) -> None:
        self._url = url
        self._response = response
        self._meter = meter
        self._waited = 0.0
        self._closed = False
        self._read = False
        self.status = response.status
        self.retry_after = seconds_of(response.headers.get("retry-after", ""))
        self.bytes_sent = sent
        self.bytes_received = _head_size(
            f"HTTP/1.1 {response.status} {response.reason or ''}", response.headers.items()
        )

    def chunks(self) -> Iterator[bytes]:
        """The decompressed body, in pieces as they arrive; once only.

        Raises `network` when the connection breaks, the data are damaged, or the body ends before it should.
        """
        if self._read or self._closed:
            raise HoldfastError("network", f"{self._url}: the answer has been read or closed already", url=self._url)
        self._read = True
        encoding = named(self._response.headers.get("content-encoding", ""))
        size = 0
        try:
            if encoding is None:
                raise UndecodableError("its Content-Encoding is one that was not asked for")
            decoder = Decoder(encoding)
            for piece in self._pieces():
                for plain in decoder.feed(piece):
                    size += len(plain)
                    yield plain
            decoder.finish()
            self._meter.read(size, self._waited)
        except _BROKEN as error:
            self._meter.cut(size)
            raise _network(self._url, f"the answer broke off: {_reason(error)}") from error
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection back, or close it when the body was not read to its end; idempotent."""
        if not self._closed:
            self._closed = True
            # A body that was read to its end has already given its connection back; this closes one that was not.
            self._response.close()
            self._response.release_conn()

    def _timed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces; the time that they were waited for is kept, without that of whoever takes them."""
        while True:
            began = time.monotonic()
            piece = next(pieces, b"")
            self._waited += time.monotonic() - began
            if not piece:
                return
            yield piece

    def _pieces(self) -> Iterator[bytes]:
        """The body as it came, counted with its chunk framing."""
        if getattr(self._response, "chunked", False):
            for piece in self._timed(iter(self._response.read_chunked(CHUNK_SIZE, decode_content=False))):
                self.bytes_received += len(piece) + len(f"{len(piece):x}\r\n\r\n")
                yield piece
            self.bytes_received += len("0\r\n\r\n")
        else:
            framed = self._response.length_remaining is not None
            read = iter(lambda: self._response.read1(READ_SIZE, decode_content=False), b"")
            for piece in self._timed(read):
                framed = True
                self.bytes_received += len(piece)
                yield piece
            # Without a length the body ends where the connection does. What came may be whole (the footer tells), but
            # nothing at all is a head that was cut off, which http.client takes for a whole one.
            if not framed:
                raise UndecodableError("it ended within its head")


class HttpTransport:
    """Carries rounds to the hub at `url` ("https://host" or "http://host:8000/prefix"; a slash at the end is ignored).

    `token` is sent as `Authorization: Bearer`; a function is called for every round, so that it can renew the token.
    `headers` are sent in addition. `timeout` is in seconds: for a connection and for silence on it, or one number for
    both; without it they follow what `meter` has measured. `verify` is True (the system's certificates), a path to a
    file or folder of certificates, an `ssl.SSLContext`, or False (no check at all, for tests). Raises `url_invalid`.
    Warns `PlainHttpWarning` once for each host beyond this computer that is reached without TLS.
    """

    def __init__(
        self,
        url: str,
        token: Token | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | tuple[float, float] | None = None,
        verify: bool | str | Path | ssl.SSLContext = True,
    ) -> None:
        self.url = normalised(url)
        self._endpoint = self.url + "/v1/sync"
        self._token = token
        self._headers = dict(headers or {})
        self._timeout = (timeout, timeout) if isinstance(timeout, (int, float)) else timeout
        self.meter = Meter()
        self._abort = Abort()
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False, **_tls(verify))
        self._pool.pool_classes_by_scheme = pool_classes(self._abort)
        self._verify = verify
        # A channel for news has a connection of its own, so that closing it disturbs no round.
        self._news_abort = Abort()
        self._news_pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False, **_tls(verify))
        self._news_pool.pool_classes_by_scheme = pool_classes(self._news_abort)
        _warn_of_plain_http(self.url)

    def exchange(self, body: bytes) -> HttpExchange:
        """Send a request and read the head of the answer.

        Raises `network` when the hub cannot be reached, `hub_error` when it answers with a redirect, `unauthenticated`
        when there is no usable token to send.
        """
        headers = self._request_headers() | tracing.carrier()
        if is_short(body):  # what is not needed would be more than the rest; packing the answer would make it longer
            headers["Accept-Encoding"] = SKIP_HEADER
            headers.pop("Content-Type", None)
        plain = len(body)
        if plain > COMPRESS_OVER:
            body = zstandard.ZstdCompressor(level=LEVEL["zstd"]).compress(body)
            headers["Content-Encoding"] = "zstd"
        sent = _head_size(f"POST {self._target()} HTTP/1.1", headers.items()) + len(body)
        sent += len(f"Host: {self._authority()}\r\nContent-Length: {len(body)}\r\n")
        connect, silence = self._timeout or (self.meter.connecting, self.meter.silence(plain))
        began = time.monotonic()
        try:
            response = self._request(body, headers, urllib3.Timeout(connect=connect, read=silence))
        except (NewConnectionError, NameResolutionError, ConnectTimeoutError) as error:
            self.meter.unreachable()
            raise _network(self._endpoint, _reason(error)) from error
        except _BROKEN as error:
            self.meter.lost(plain)
            raise _network(self._endpoint, _reason(error)) from error
        self.meter.answered(plain, time.monotonic() - began)
        self.meter.delivered(plain)
        exchange = HttpExchange(self._endpoint, response, sent, self.meter)
        if 300 <= response.status < 400:
            exchange.close()
            place = response.headers.get("location", "nowhere")
            raise HoldfastError(
                "hub_error",
                f"{self._endpoint} answered {response.status}, a redirect to {place}. Redirects are not followed: "
                "give the replica the URL of the hub itself",
                url=self._endpoint,
                status=response.status,
                location=place,
            )
        return exchange

    def image(self, name: str, start: int) -> HttpExchange:
        """Ask for the bytes of a file image from `start` on. Raises as `exchange` does."""
        url = f"{self.url}/v1/images/{name}"
        headers = self._channel_headers() | {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        connect, silence = self._timeout or (self.meter.connecting, self.meter.silence(0))
        try:
            response = self._pool.request(
                "GET", url, headers=headers, timeout=urllib3.Timeout(connect, silence),
                preload_content=False, decode_content=False, redirect=False, retries=False,
            )  # fmt: skip
        except _BROKEN as error:
            raise _network(url, _reason(error)) from error
        return HttpExchange(url, response, _head_size(f"GET /v1/images/{name} HTTP/1.1", headers.items()), self.meter)

    def _request(self, body: bytes, headers: Mapping[str, Any], timeout: urllib3.Timeout) -> urllib3.BaseHTTPResponse:
        """Send it, on the kept connection or a new one. One that was kept may have been closed by the other side just
        now: that says nothing about the network, so the request is said once more, on a new one (it may come twice).
        """
        pool = self._pool.connection_from_url(self._endpoint)
        made = pool.num_connections
        for last in (False, True):
            try:
                return self._pool.request(
                    "POST", self._endpoint, body=body, headers=headers, timeout=timeout,
                    preload_content=False, decode_content=False, redirect=False, retries=False,
                )  # fmt: skip
            except ProtocolError as error:
                closed = isinstance(
                    error.args[-1], (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
                )
                if last or not closed or pool.num_connections != made:
                    raise
        raise AssertionError

    def open_live(self, deliver: Deliver) -> WebSocketLink:
        """Open the live channel: `deliver` gets its messages, in a thread of its own, and at the end one error.

        Raises `network` when it cannot be opened, `unauthenticated` when there is no usable token to send.
        """
        parts = parse_url(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        headers, url = self._channel_headers(), "ws" + self.url.removeprefix("http") + "/v1/live"
        try:
            sock = self._abort.connect(-1, parts.host or "", port, self.meter.connecting)
        except OSError as error:
            raise _network(url, f"no connection: {error}") from error
        tls = ssl_context(self._verify) if parts.scheme == "https" else None
        try:
            return WebSocketLink(url, headers, deliver, sock=sock, tls=tls)
        finally:
            self._abort.leave(-1)  # an open channel is closed by its own `close`

    def open_news(self, kind: str, deliver: Deliver) -> NewsThread:
        """Open a channel that says when there is news: "events" (server-sent) or "longpoll".

        Raises `network` when it cannot be opened, `unauthenticated` when there is no usable token to send.
        """
        url = self.url + "/v1/live"

        def opener(query: str, accept: str, silence: float) -> urllib3.BaseHTTPResponse:
            headers = self._channel_headers() | {"Accept": accept, "Cache-Control": "no-store"}
            timeout = urllib3.Timeout(connect=self.meter.connecting, read=silence)
            try:
                return self._news_pool.request(
                    "GET", url + query, headers=headers, timeout=timeout,
                    preload_content=False, redirect=False, retries=False,
                )  # fmt: skip
            except _BROKEN as error:
                raise _network(url, _reason(error)) from error

        return NewsThread(url, kind, opener, self._news_abort.now, _BROKEN, deliver)

    def _channel_headers(self) -> dict[str, str]:
        wanted = ("User-Agent", "Authorization", *self._headers)
        return {name: value for name, value in self._request_headers().items() if name in wanted}

    def abort(self) -> None:
        """Break off what is under way in another thread: it raises `network`. Later exchanges are not touched."""
        self._abort.now()
        self._news_abort.now()

    def close(self) -> None:
        """Close the connection; idempotent. A later exchange opens a new one."""
        self._pool.clear()
        self._news_pool.clear()

    def _request_headers(self) -> dict[str, str]:
        headers = {
            "User-Agent": f"holdfast/{PROTOCOL}",
            "Accept-Encoding": ACCEPT,
            "Content-Type": "application/json",
        } | self._headers
        token = self._token
        if callable(token):
            try:
                token = token()
            except HoldfastError:
                raise
            except Exception as error:
                raise HoldfastError(
                    "unauthenticated", f"the function that gives the token failed: {error!r}"
                ) from error
        if token is not None:
            token = token.strip()  # one that was read from a file ends with a newline
            if not (token.isascii() and token.isprintable()):
                raise HoldfastError(
                    "unauthenticated",
                    "the token has characters that no HTTP header can carry; check where it comes from",
                )
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _authority(self) -> str:
        return str(parse_url(self.url).netloc)

    def _target(self) -> str:
        return str(parse_url(self._endpoint).path)


def normalised(url: str) -> str:
    """`url` without slashes at the end. Raises `url_invalid` unless it is http(s)://host[:port][/prefix]."""
    try:
        parts = parse_url(url.strip())
    except (LocationParseError, ValueError) as error:
        raise HoldfastError("url_invalid", f"the URL {url!r} cannot be read: {error}", url=url) from None
    fault = ""
    if parts.scheme not in ("http", "https") or not parts.host:
        fault = "it must begin with https:// or http:// and a host"
    elif parts.auth:
        fault = "it must not hold a user or password: give the replica a token"
    elif parts.query is not None or parts.fragment is not None:
        fault = "it must end with the path, without ? or #"
    if fault:
        raise HoldfastError("url_invalid", f"the URL {url!r} is not that of a hub: {fault}", url=url)
    return parts.url.rstrip("/")


def _tls(verify: bool | str | Path | ssl.SSLContext) -> dict[str, Any]:
    """`verify` as urllib3 takes it."""
    if isinstance(verify, ssl.SSLContext):
        return {"ssl_context": verify}
    if isinstance(verify, (str, Path)):
        kind = "ca_cert_dir" if Path(verify).is_dir() else "ca_certs"
        return {"cert_reqs": "CERT_REQUIRED", kind: str(verify)}
    return {"cert_reqs": "CERT_REQUIRED" if verify else "CERT_NONE"}


def ssl_context(verify: bool | str | Path | ssl.SSLContext) -> ssl.SSLContext:
    """`verify` as a context, for channels that are no urllib3 requests."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, (str, Path)):
        folder = Path(verify).is_dir()
        return ssl.create_default_context(cafile=None if folder else verify, capath=verify if folder else None)
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _warn_of_plain_http(url: str) -> None:
    parts = parse_url(url)
    host = (parts.host or "").strip("[]")
    if parts.scheme == "https" or host in _warned or _loopback(host):
        return
    _warned.add(host)
    warnings.warn(
        f"{url} is reached over plain HTTP: anyone on the way can read and change token and data. Use https:// (TLS)",
        PlainHttpWarning,
        stacklevel=3,
    )


def _loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def seconds_of(retry_after: str) -> float | None:
    """The seconds of a Retry-After header: a number, or a date (RFC 9110 section 10.2.3); None when it is neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _head_size(first_line: str, headers: Any) -> int:
    """Bytes of a message head: the first line, `name: value` lines, the empty line."""
    sent = [(name, value) for name, value in headers if value != SKIP_HEADER]
    return len(first_line) + 4 + sum(len(name) + len(value) + 4 for name, value in sent)


def _network(url: str, reason: str) -> HoldfastError:
    return HoldfastError("network", f"{url}: {reason}", url=url, reason=reason)


def _reason(error: BaseException) -> str:
    """What happened, for people. urllib3's own texts name its objects and addresses in memory."""
    match error:
        case NameResolutionError():
            return "the name of the host cannot be resolved"
        case NewConnectionError():
            return f"no connection: {error.__cause__ or error}"
        case ConnectTimeoutError():
            return "no connection within the timeout"
        case ReadTimeoutError():
            return "nothing came within the timeout"
        case InvalidChunkLength():
            return "a chunk has no readable length"
        case IncompleteRead():
            return f"the body ended after {error.partial} bytes, {error.expected} are missing"
        case http.client.IncompleteRead():
            return f"the body ended within a chunk, {error.expected} bytes are missing"
        case ProtocolError() if len(error.args) > 1 and isinstance(error.args[1], Exception):
            return _reason(error.args[1])
    return str(error) or type(error).__name__
