"""The text form of metrics, read by Prometheus' own parser."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast.observe.metrics import SERIES, Metrics, Sample, Spec

SPECS = (
    Spec("hits_total", "counter", 'Hits with "quotes" and \\ and\nlines.', ("who",)),
    Spec("plain_total", "counter", "No labels."),
    Spec("level", "gauge", "Now.", ("space",)),
    Spec("seconds", "histogram", "How long.", (), (0.1, 1.0)),
)


def parsed(text: str) -> dict[str, Any]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_what_was_counted() -> None:
    metrics = Metrics(SPECS)
    metrics.add("hits_total", 2, 'an "odd" \\ one\n')
    metrics.add("hits_total", 1, "b")
    for value in (0.05, 0.1, 0.5, 7.25):
        metrics.observe("seconds", value)
    found = parsed(metrics.text([Sample("level", ("p:1",), 2.5), Sample("level", ("p:2",), 0)]))
    assert found == {
        ("holdfast_hits_total", (("who", 'an "odd" \\ one\n'),)): 2.0,
        ("holdfast_hits_total", (("who", "b"),)): 1.0,
        ("holdfast_plain_total", ()): 0.0,
        ("holdfast_level", (("space", "p:1"),)): 2.5,
        ("holdfast_level", (("space", "p:2"),)): 0.0,
        ("holdfast_seconds_bucket", (("le", "0.1"),)): 2.0,
        ("holdfast_seconds_bucket", (("le", "1"),)): 3.0,
        ("holdfast_seconds_bucket", (("le", "+Inf"),)): 4.0,
        ("holdfast_seconds_sum", ()): 7.9,
        ("holdfast_seconds_count", ()): 4.0,
    }


def test_labels_that_never_end_are_counted_together() -> None:
    metrics = Metrics(SPECS)
    for number in range(SERIES + 50):
        metrics.add("hits_total", 1, str(number))
    found = parsed(metrics.text())
    assert found[("holdfast_hits_total", (("who", "other"),))] == 50
    assert sum(value for (name, _), value in found.items() if name == "holdfast_hits_total") == SERIES + 50


def test_threads_lose_no_count() -> None:
    metrics = Metrics(SPECS)

    def work() -> None:
        for _ in range(2_000):
            metrics.add("plain_total")
            metrics.observe("seconds", 0.2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = parsed(metrics.text())
    assert found[("holdfast_plain_total", ())] == found[("holdfast_seconds_count", ())] == 8_000


def test_a_metric_that_is_not_specified_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Metrics(SPECS).add("nothing")
