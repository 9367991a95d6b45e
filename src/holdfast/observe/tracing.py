"""Spans of OpenTelemetry where its API is installed; nothing otherwise.

A span of a device's round is the parent of the hub's: over HTTP its context goes in the headers `traceparent` and
`tracestate` (W3C Trace Context), on the live channel in the member `trace` of a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

context: Any
propagate: Any
trace: Any
try:
    import opentelemetry.context as context
    import opentelemetry.propagate as propagate
    import opentelemetry.trace as trace
except ModuleNotFoundError:
    context = propagate = trace = None

Kind = Literal["client", "server", "internal"]
NAMES = ("traceparent", "tracestate")
"""The members of a carrier, and the headers."""


_tracer = trace.get_tracer("holdfast") if trace is not None else None


class Span:
    """A span under way, or nothing."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def set(self, **attributes: Any) -> None:
        """Attributes, without their prefix `holdfast.`; None is left out."""
        if self._span is not None:
            for name, value in attributes.items():
                if value is not None:
                    self._span.set_attribute(f"holdfast.{name}", value)

    def carrier(self) -> dict[str, str]:
        """The span as it goes to another process; empty without one."""
        return carrier(self._span) if self._span is not None else {}

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The current span inside the block. What the block raises is recorded."""
        if self._span is None:
            yield
            return
        with trace.use_span(self._span, end_on_exit=False):
            yield

    def end(self, error: str = "") -> None:
        """It is over; `error` says that it failed."""
        if self._span is not None:
            if error:
                self._span.set_status(trace.Status(trace.StatusCode.ERROR, error))
            self._span.end()


def begin(name: str, kind: Kind = "internal", links: Sequence[Any] = (), **attributes: Any) -> Span:
    """A new span below the current one; to be ended. `links` are what `here` gave elsewhere."""
    if _tracer is None:
        return Span(None)
    kinds = {"client": trace.SpanKind.CLIENT, "server": trace.SpanKind.SERVER, "internal": trace.SpanKind.INTERNAL}
    linked = [trace.Link(other) for other in links if other is not None]
    span = Span(_tracer.start_span(name, kind=kinds[kind], links=linked))
    span.set(**attributes)
    return span


@contextmanager
def span(name: str, kind: Kind = "internal", links: Sequence[Any] = (), **attributes: Any) -> Iterator[Span]:
    """A span around the block, and the current one inside it."""
    started = begin(name, kind, links, **attributes)
    try:
        with started.inside():
            yield started
    finally:
        started.end()


@contextmanager
def continued(received: Mapping[str, str]) -> Iterator[None]:
    """Inside the block the span of another process is the current one, unless there is one here already (of an ASGI
    middleware, which has read the same headers). `received` are headers or the member `trace` of a message.
    """
    if trace is None or "traceparent" not in received or here() is not None:
        yield
        return
    token = context.attach(propagate.extract({name: received[name] for name in NAMES if name in received}))
    try:
        yield
    finally:
        context.detach(token)


def here() -> Any:
    """The current span, to be linked to from elsewhere; None when there is none."""
    if trace is None:
        return None
    found = trace.get_current_span().get_span_context()
    return found if found.is_valid else None


def carrier(span: Any = None) -> dict[str, str]:
    """The current span, or the given one of OpenTelemetry, as headers; empty without one."""
    if trace is None:
        return {}
    headers: dict[str, str] = {}
    propagate.inject(headers, trace.set_span_in_context(span) if span is not None else None)
    return {name: headers[name] for name in NAMES if name in headers}
