"""Counters, gauges and histograms, and their text form for Prometheus.

The text format 0.0.4 is written here and not by `prometheus_client`: it is a page of code, a hub needs three kinds of
metric and no global registry (several hubs may live in one process), and a device needs none. The format:
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SERIES = 100
"""A metric has at most so many series; what comes after them is counted together, with the label value "other"."""

Labels = tuple[str, ...]
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of a histogram of durations, in seconds."""


class Spec(NamedTuple):
    """What a metric is: its name without the prefix, kind, meaning, and the names of its labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: Labels = ()
    bounds: tuple[float, ...] = ()


class Sample(NamedTuple):
    """A value read at the moment of asking, as gauges are."""

    name: str
    labels: Labels
    value: float


class _Histogram:
    __slots__ = ("counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0


class Metrics:
    """The metrics of one hub, by their specification. Thread-safe."""

    def __init__(self, specs: Iterable[Spec], prefix: str = "holdfast_") -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._prefix = prefix
        self._lock = threading.Lock()
        self._values: dict[str, dict[Labels, float]] = {name: {} for name in self._specs}
        self._histograms: dict[str, dict[Labels, _Histogram]] = {name: {} for name in self._specs}
        for spec in self._specs.values():
            if not spec.labels and spec.kind == "counter":
                self._values[spec.name][()] = 0.0

    def add(self, name: str, amount: float = 1.0, *labels: str) -> None:
        """Count."""
        with self._lock:
            values = self._values[name]
            where = self._series(values, labels)
            values[where] = values.get(where, 0.0) + amount

    def observe(self, name: str, value: float, *labels: str) -> None:
        """One more value of a histogram."""
        bounds = self._specs[name].bounds
        with self._lock:
            found = self._histograms[name]
            where = self._series(found, labels)
            histogram = found.setdefault(where, _Histogram(bounds))
            histogram.counts[bisect_left(bounds, value)] += 1
            histogram.total += value

    def _series(self, known: Mapping[Labels, object], labels: Labels) -> Labels:
        return labels if labels in known or len(known) < SERIES else ("other",) * len(labels)

    def text(self, samples: Iterable[Sample] = ()) -> str:
        """All metrics in Prometheus' text format; `samples` are the values of gauges now."""
        now: dict[str, list[tuple[Labels, float]]] = {}
        for sample in samples:
            now.setdefault(sample.name, []).append((sample.labels, sample.value))
        lines: list[str] = []
        with self._lock:
            for spec in self._specs.values():
                series = [*self._values[spec.name].items(), *now.get(spec.name, [])]
                body = [f"{self._named(spec, labels)} {_number(value)}" for labels, value in series]
                for labels, histogram in self._histograms[spec.name].items():
                    body += self._buckets(spec, labels, histogram)
                if body:
                    full = self._prefix + spec.name
                    lines += [f"# HELP {full} {_escaped(spec.meaning)}", f"# TYPE {full} {spec.kind}", *body]
        return "\n".join([*lines, ""])

    def _buckets(self, spec: Spec, labels: Labels, histogram: _Histogram) -> list[str]:
        lines, below = [], 0
        for bound, count in zip((*spec.bounds, float("inf")), histogram.counts, strict=True):
            below += count
            lines.append(f"{self._named(spec, labels, '_bucket', ('le', _number(bound)))} {below}")
        lines.append(f"{self._named(spec, labels, '_sum')} {_number(histogram.total)}")
        lines.append(f"{self._named(spec, labels, '_count')} {below}")
        return lines

    def _named(self, spec: Spec, labels: Labels, suffix: str = "", *more: tuple[str, str]) -> str:
        pairs = [*zip(spec.labels, labels, strict=True), *more]
        shown = ",".join(f'{name}="{_quoted(value)}"' for name, value in pairs)
        return f"{self._prefix}{spec.name}{suffix}" + (f"{{{shown}}}" if shown else "")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
