"""Checks of the way to a hub: name, connection, TLS, what proxies do to answers, credentials, clocks."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from holdfast.cli.doctor.finding import Finding, failed, ok, run, skipped, warning
from holdfast.cli.terminal import number
from holdfast.edge.http import HttpTransport, PlainHttpWarning, normalised, ssl_context
from holdfast.errors import HoldfastError
from holdfast.protocol import messages as m
from holdfast.protocol.codec import decode_error, decode_line, lines
from holdfast.replica.facade.opened import device_clock
from holdfast.schema.model import Schema

SECONDS = 10.0
FIRST_EVENT_SECONDS = 3.0
"""A stream of events whose first one takes longer is held up on its way."""
CLOCK_MS = 5 * 60_000
"""The hub sets right what is further ahead of it than this."""
CERTIFICATE_DAYS = 14


class Place(NamedTuple):
    """Where the hub is said to be."""

    url: str
    host: str
    port: int
    tls: bool


def examine(url: str, token: str | None, schema: Schema, user: str) -> Iterator[Finding]:
    """All checks of the way to the hub at `url`. `user` is whose data the device holds, if known."""
    steps = ("dns", "connection", "tls", "hub", "credentials", "clock", "compression", "buffering", "websocket")
    try:
        found = parse_url(normalised(url))
    except HoldfastError as error:
        yield failed("url", error.message, "Give the hub's address, such as https://hub.example/sync.")
        return
    tls = found.scheme == "https"
    place = Place(normalised(url), (found.host or "").strip("[]"), found.port or (443 if tls else 80), tls)
    for index, (name, look) in enumerate((("dns", dns), ("connection", connection), ("tls", tls_of), ("hub", hub))):
        finding = run(name, lambda look=look: look(place))  # type: ignore[misc]
        yield finding
        if finding.result == "failed":
            yield from (skipped(rest, f"{name} failed") for rest in steps[index + 1 :])
            return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PlainHttpWarning)  # `tls` has said it
        yield from through(place, token, schema, user)


def dns(place: Place) -> Finding:
    """That the host has an address."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        remedy = "Check the name and the device's network; behind a VPN, its name server."
        return failed("dns", f"{place.host} has no address: {getattr(error, 'strerror', error)}", remedy)
    addresses = sorted({str(entry[4][0]) for entry in found})
    return ok("dns", f"{place.host} is {', '.join(addresses[:3])}")


def connection(place: Place) -> Finding:
    """That somebody listens there."""
    began = time.monotonic()
    try:
        with socket.create_connection((place.host, place.port), timeout=SECONDS):
            pass
    except OSError as error:
        remedy = "Is the hub running, and does a firewall let its port through?"
        return failed("connection", f"{place.host}:{place.port}: {error.strerror or error}", remedy)
    return ok("connection", f"{place.host}:{place.port} in {(time.monotonic() - began) * 1000:.0f} ms")


def tls_of(place: Place) -> Finding:
    """That the hub's certificate is one that this device trusts, and for how long."""
    if not place.tls:
        if place.host in ("localhost", "127.0.0.1", "::1"):
            return ok("tls", "none; the hub is on this computer")
        return warning(
            "tls", "none: anyone on the way can read token and data", "Use https://; put TLS before the hub."
        )
    try:
        with (
            socket.create_connection((place.host, place.port), timeout=SECONDS) as plain,
            ssl_context(True).wrap_socket(plain, server_hostname=place.host) as secured,
        ):
            certificate: Any = secured.getpeercert()
            version = secured.version()
    except ssl.SSLCertVerificationError as error:
        remedy = "Renew the certificate, or install the authority that signed it on this device (SSL_CERT_FILE)."
        return failed("tls", f"the certificate is not trusted: {error.verify_message}", remedy)
    except OSError as error:
        return failed("tls", f"no TLS: {error.strerror or error}", "Does the port speak TLS? Try http://, or its port.")
    until = datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), datetime.UTC)
    days = (until - datetime.datetime.now(datetime.UTC)).days
    if days < CERTIFICATE_DAYS:
        return warning("tls", f"{version}; the certificate ends in {number(days, 'day')}", "Renew the certificate.")
    return ok("tls", f"{version}, certificate until {until:%Y-%m-%d}")


def hub(place: Place) -> Finding:
    """That it is a hub, and that it can read its store."""
    remedy = "Is the path right, and does the proxy lead to the hub?"
    with urllib3.PoolManager(retries=False, timeout=SECONDS) as pool:
        try:
            answer = pool.request("GET", f"{place.url}/healthz", redirect=False)
        except HTTPError as error:
            return failed("hub", f"{place.url}/healthz: {error}", remedy)
    try:
        members = msgspec.json.decode(answer.data)
        known = isinstance(members, dict)
    except msgspec.DecodeError:
        members, known = {}, False
    if answer.status == 200 and known and "hub" in members:
        return ok("hub", f"hub {members['hub']}, schema version {members.get('schema')}")
    error_body = decode_error(answer.data)
    if error_body is not None:
        remedy = "The hub's log says more: is its database there, and has its disk room?"
        return failed("hub", f"{error_body.code}: {error_body.message}", remedy)
    return failed("hub", f"{place.url}/healthz answers {answer.status}, and not as a hub", remedy)


def through(place: Place, token: str | None, schema: Schema, user: str) -> Iterator[Finding]:
    """Checks that need a token."""
    with contextlib.closing(HttpTransport(place.url, token, timeout=SECONDS)) as transport:
        heard: list[tuple[m.Header, int]] = []
        finding = run("credentials", lambda: credentials(transport, schema, user, heard))
        yield finding
        if finding.result == "failed":
            rest = ("clock", "compression", "buffering", "websocket")
            yield from (skipped(name, "credentials failed") for name in rest)
            return
        yield clock(*heard[0])
        yield run("compression", lambda: compression(place, token, schema, user))
        yield run("buffering", lambda: buffering(place, token))
        yield run("websocket", lambda: websocket(transport))


def request_of(schema: Schema, user: str) -> bytes:
    """A round that asks for next to nothing and changes nothing: without transactions a device leaves no trace."""
    named = m.SchemaName(schema.version, schema.hash)
    return m.encode(m.Request(m.PROTOCOL, "doctor", named, device_clock(), limit=1, user=user))


def credentials(transport: HttpTransport, schema: Schema, user: str, heard: list[tuple[m.Header, int]]) -> Finding:
    """That the hub knows who asks, speaks this schema, and lets him read and write something."""
    began = device_clock()
    exchange = transport.exchange(request_of(schema, user))
    try:
        if exchange.status != 200:
            error = decode_error(b"".join(exchange.chunks()))
            if error is None:
                raise HoldfastError("hub_error", f"the answer is HTTP {exchange.status} and not the hub's")
            raise HoldfastError(error.code, error.message, **error.details)
        part = decode_line(next(lines(exchange.chunks())))
    finally:
        exchange.close()
    if not isinstance(part, m.Header):
        raise HoldfastError("response_malformed", "the hub's answer does not begin with a header")
    heard.append((part, (began + device_clock()) // 2))
    writable = sum(1 for access in part.spaces.values() if access == "rw")
    if not part.spaces:
        remedy = "Give the user a space in `authenticate` or `spaces`."
        return warning("credentials", f"{part.user} is known, but may read no space", remedy)
    return ok("credentials", f"{part.user} reads {number(len(part.spaces), 'space')}, writes {number(writable)}")


def clock(header: m.Header, mine: int) -> Finding:
    """How far this computer's clock is from the hub's."""
    ahead = mine - header.time
    seconds = f"{abs(ahead) / 1000:.1f} s {'ahead of' if ahead > 0 else 'behind'} the hub's"
    if abs(ahead) > CLOCK_MS:
        return warning("clock", f"this clock is {seconds}", "Set the clock; devices correct for it, people are misled.")
    return ok("clock", seconds if abs(ahead) >= 1000 else "within a second of the hub's")


def compression(place: Place, token: str | None, schema: Schema, user: str) -> Finding:
    """That answers come compressed as they were sent."""
    headers = {"Accept-Encoding": "zstd, gzip", "Content-Type": "application/json"} | authorization(token)
    with urllib3.PoolManager(retries=False, timeout=SECONDS) as pool:
        try:
            answer = pool.request(
                "POST", f"{place.url}/v1/sync", body=request_of(schema, user), headers=headers, decode_content=False
            )
        except HTTPError as error:
            raise HoldfastError("network", f"{place.url}: {error}") from error
    found = answer.headers.get("content-encoding", "")
    if not found:
        remedy = "A proxy takes it away: let Accept-Encoding and Content-Encoding through."
        return warning("compression", "answers come uncompressed", remedy)
    return ok("compression", found)


def buffering(place: Place, token: str | None) -> Finding:
    """That a stream is passed on while it goes, not held until its end: the hub's first event comes at once."""
    began = time.monotonic()
    headers = {"Accept": "text/event-stream"} | authorization(token)
    remedy = "Turn buffering off for the hub (nginx: proxy_buffering off; proxy_request_buffering off)."
    timeout = urllib3.Timeout(connect=SECONDS, read=FIRST_EVENT_SECONDS)
    with urllib3.PoolManager(retries=False, timeout=timeout) as pool:
        try:
            stream = pool.request("GET", f"{place.url}/v1/live", headers=headers, preload_content=False)
            first = next(stream.stream(64), b"") if stream.status == 200 else b""
            stream.close()
        except HTTPError:
            first = b""
    if b"event" not in first:
        message = f"no event within {FIRST_EVENT_SECONDS:.0f} s: something on the way holds answers back"
        return warning("buffering", message, remedy)
    return ok("buffering", f"the first event came after {(time.monotonic() - began) * 1000:.0f} ms")


def authorization(token: str | None) -> dict[str, str]:
    """The header that says who asks."""
    return {"Authorization": f"Bearer {token.strip()}"} if token is not None else {}


def websocket(transport: HttpTransport) -> Finding:
    """That a WebSocket can be opened."""
    try:
        link = transport.open_live(lambda _: None)
    except HoldfastError as error:
        if error.code != "network":
            raise
        remedy = "Let Upgrade and Connection through (nginx: proxy_http_version 1.1). Until then devices ask in rounds."
        return warning("websocket", f"it does not open: {error.message}", remedy)
    link.close()
    return ok("websocket", "it opens")
