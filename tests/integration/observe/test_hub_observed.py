"""What operators see of a hub: /metrics, structured logs, and spans from the device to the store's transaction."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import urllib3
import uvicorn
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

import holdfast as hf

SECONDS = 20.0


class Note(hf.Table, space="project:{project}"):
    project: str
    body: str = hf.column(unique=True)


SCHEMA = hf.Schema(Note)
WHO = {"anna": hf.Identity("anna", {"project:1": "rw"}), "ben": hf.Identity("ben", {"project:1": "rw"})}


class Site:
    """A hub behind uvicorn on a free port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = hf.Server(
            f"sqlite:///{folder}/hub.db",
            SCHEMA,
            authenticate=lambda headers: WHO.get(headers.get("authorization", "").removeprefix("Bearer ")),
            metrics_token="for the scraper",
        )
        config = uvicorn.Config(self.server.asgi(), port=0, log_level="error", ws="websockets-sansio")
        self.web = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.web.run, daemon=True)
        self.thread.start()
        until(lambda: self.web.started)
        self.url = f"http://127.0.0.1:{self.web.servers[0].sockets[0].getsockname()[1]}"
        self.devices: list[hf.Replica] = []

    def device(self, user: str) -> hf.Replica:
        device = hf.Replica(self.folder / f"{user}.db", SCHEMA, url=self.url, token=user)
        self.devices.append(device)
        return device

    def scrape(self, token: str = "for the scraper") -> tuple[int, str]:
        with urllib3.PoolManager() as pool:
            answer = pool.request("GET", f"{self.url}/metrics", headers={"Authorization": f"Bearer {token}"})
            return answer.status, answer.data.decode()

    def close(self) -> None:
        for device in self.devices:
            device.close()
        self.web.should_exit = True
        self.thread.join(SECONDS)
        self.server.close()


def until(true: Any) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """The real SDK; a process has one provider of tracers for ever."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def values(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("holdfast_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_what_devices_did(site: Site) -> None:
    anna, ben = site.device("anna"), site.device("ben")
    anna.execute("insert into note (project, body) values ('1', 'a'), ('1', 'b')")
    anna.sync()
    ben.execute("insert into note (project, body) values ('1', 'b')")
    ben.sync()
    with pytest.raises(hf.HoldfastError):
        hf.Replica(site.folder / "c.db", hf.Schema(Note, version=9), url=site.url, token="ben").sync()
    status, text = site.scrape()
    found = values(text)
    assert status == 200
    assert (found["rounds_total", "ok"], found["rounds_total", "schema_version"]) == (2, 1)
    assert (found["transactions_total", "accepted"], found["transactions_total", "refused"]) == (1, 1)
    assert (found["refused_total", "unique"], found["operations_total",], found["rows_sent_total",]) == (1, 3, 2)
    assert found["round_seconds_count",] == 3 and found["push_seconds_count",] == 2
    assert (found["spaces",], found["feed_head", "project:1"], found["feed_head_total",]) == (1, 2, 2)
    assert found["bytes_received_total",] > 500 and found["bytes_sent_total",] > 300
    assert (found["store_up",], found["drain_waiting",], found["live_channels",]) == (1, 0, 0)
    anna.connect()
    until(lambda: values(site.scrape()[1])["live_channels",] == 1)
    anna.disconnect()
    until(lambda: values(site.scrape()[1])["live_channels",] == 0)


def test_metrics_are_shown_to_who_has_the_token(site: Site, tmp_path: Path) -> None:
    status, body = site.scrape("another")
    assert (status, json.loads(body)["code"]) == (401, "unauthenticated")
    with hf.Server("memory:", SCHEMA) as closed, pytest.raises(hf.HoldfastError, match="metrics_token="):
        closed.metrics({"authorization": "Bearer x"})
    with hf.Server("memory:", SCHEMA, metrics_token="") as opened:
        assert "holdfast_store_up 1" in opened.metrics({})


def test_rows_that_other_programs_left_show(tmp_path: Path) -> None:
    """One that can be sequenced, and one whose text no device can hold."""
    with hf.Server(f"sqlite:///{tmp_path}/hub.db", SCHEMA, metrics_token="") as server:
        assert values(server.metrics({}))["drain_waiting",] == 0
        other = apsw.Connection(f"{tmp_path}/hub.db")
        other.execute("insert into note (id, project, body) values ('a', '1', 'x')")
        found = values(server.metrics({}))
        assert found["drain_waiting",] == 1 and found["drain_lag_seconds",] > 0
        server.sequence_foreign_writes()
        other.execute("pragma ignore_check_constraints = on")
        other.execute("insert into note (id, project, body) values ('b', '1', 'nul' || char(0) || 'nul')")
        other.close()
        server.sequence_foreign_writes()
        found = values(server.metrics({}))
        assert (found["drain_waiting",], found["drain_lag_seconds",], found["drain_set_aside",]) == (0, 0, 1)
        assert found["foreign_rows_total",] == 1


def test_a_store_that_is_gone_shows(tmp_path: Path) -> None:
    server = hf.Server(f"sqlite:///{tmp_path}/hub.db", SCHEMA, metrics_token="")
    assert values(server.metrics({}))["store_up",] == 1
    server.hub.close()
    assert values(server.metrics({}))["store_up",] == 0


def test_rounds_and_refusals_are_events_in_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    anna, ben = site.device("anna"), site.device("ben")
    with caplog.at_level(logging.INFO, "holdfast"):
        anna.execute("insert into note (project, body) values ('1', 'a')")
        anna.sync()
        ben.execute("insert into note (project, body) values ('1', 'a')")
        ben.sync()
        ben.connect()
        until(lambda: ben.status.connected)
        ben.disconnect()
    told = [(record.event, record.fields) for record in caplog.records if hasattr(record, "event")]  # type: ignore[attr-defined]
    rounds = [fields for name, fields in told if name == "hub.round"]
    assert [(r["user"], r["outcome"], r["accepted"], r["refused"]) for r in rounds[:2]] == [
        ("anna", "ok", 1, 0),
        ("ben", "ok", 0, 1),
    ]
    (refused,) = [fields for name, fields in told if name == "hub.refused"]
    assert (refused["user"], refused["code"], refused["table"]) == ("ben", "unique", "note")
    devices = [fields for name, fields in told if name == "device.round"]
    assert (devices[0]["file"], devices[0]["trigger"], devices[0]["transactions"]) == (anna.path, "sync", 1)
    states = [fields["state"] for name, fields in told if name == "device.state"]
    assert states[0] == "connecting" and "connected" in states


def one(spans: list[ReadableSpan], name: str) -> ReadableSpan:
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, [span.name for span in spans]
    return found[0]


def test_spans_lead_from_the_device_to_the_transaction(site: Site, exporter: InMemorySpanExporter) -> None:
    anna = site.device("anna")
    anna.execute("insert into note (project, body) values ('1', 'a')")
    exporter.clear()
    anna.sync()
    until(lambda: any(span.name == "holdfast.round" for span in exporter.get_finished_spans()))
    spans = list(exporter.get_finished_spans())
    check_one_trace(spans)
    round_ = one(spans, "holdfast.round")
    attributes = dict(round_.attributes or {})
    assert (attributes["holdfast.trigger"], attributes["holdfast.transactions"]) == ("sync", 1)
    assert attributes["holdfast.url"] == site.url


def check_one_trace(spans: list[ReadableSpan]) -> None:
    round_, hub = one(spans, "holdfast.round"), one(spans, "holdfast.hub.round")
    push, written = one(spans, "holdfast.hub.push"), one(spans, "holdfast.hub.transaction")
    for child, parent in ((hub, round_), (push, hub), (written, push)):
        assert child.parent is not None and child.context is not None and parent.context is not None
        assert child.parent.span_id == parent.context.span_id
        assert child.context.trace_id == parent.context.trace_id
    assert [link.context.span_id for link in written.links] == [push.context.span_id]  # type: ignore[union-attr]
    assert (round_.kind, hub.kind) == (trace.SpanKind.CLIENT, trace.SpanKind.SERVER)


def test_spans_cross_the_live_channel(site: Site, exporter: InMemorySpanExporter) -> None:
    anna = site.device("anna")
    anna.connect()
    until(lambda: anna.status.in_sync and anna.status.connected)
    exporter.clear()
    anna.execute("insert into note (project, body) values ('1', 'a')")
    until(lambda: anna.status.in_sync)
    until(lambda: any(span.name == "holdfast.round" for span in exporter.get_finished_spans()))
    anna.disconnect()
    check_one_trace([span for span in exporter.get_finished_spans() if not is_empty(span)])


def is_empty(span: ReadableSpan) -> bool:
    """A round without transactions, and what belongs to it: one may follow the push."""
    attributes = dict(span.attributes or {})
    return span.name in ("holdfast.round", "holdfast.hub.round") and not attributes.get("holdfast.transactions")


def test_a_failed_round_is_a_failed_span(site: Site, exporter: InMemorySpanExporter, tmp_path: Path) -> None:
    exporter.clear()
    stranger = hf.Replica(tmp_path / "x.db", SCHEMA, url=site.url, token="nobody")
    with stranger, pytest.raises(hf.HoldfastError):
        stranger.sync()
    round_ = one(list(exporter.get_finished_spans()), "holdfast.round")
    assert round_.status.status_code is trace.StatusCode.ERROR
    assert "unauthenticated" in (round_.status.description or "")
