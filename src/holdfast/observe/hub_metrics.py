"""What a hub counts. docs/reference/metrics.md is made of this list (`python -m checks.reference`)."""

from __future__ import annotations

from holdfast.observe.metrics import SECONDS, Metrics, Spec

GROUP = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

SPECS: tuple[Spec, ...] = (
    Spec("rounds_total", "counter", "Rounds answered, by how: ok, or the code of the error.", ("outcome",)),
    Spec("round_seconds", "histogram", "From a request to the beginning of its answer.", (), SECONDS),
    Spec("answer_seconds", "histogram", "From the beginning of an answer to its end.", (), SECONDS),
    Spec("push_seconds", "histogram", "Writing what a request brought, with the wait for its group.", (), SECONDS),
    Spec("group_submissions", "histogram", "Requests written in one transaction of the store.", (), GROUP),
    Spec("transactions_total", "counter", "Transactions processed: accepted, or refused.", ("outcome",)),
    Spec("refused_total", "counter", "Transactions refused, by code.", ("code",)),
    Spec("conflicts_total", "counter", "Conflicts found, by rule.", ("rule",)),
    Spec("operations_total", "counter", "Operations in the transactions received."),
    Spec("rows_sent_total", "counter", "Rows sent to devices."),
    Spec("bytes_received_total", "counter", "Bytes of requests, before compression."),
    Spec("bytes_sent_total", "counter", "Bytes of answers, before compression."),
    Spec("foreign_rows_total", "counter", "Rows of other programs that were sequenced."),
    Spec("histories_lost_total", "counter", "Spaces of which a device had read more than the hub has, and device."),
    Spec("restored_rows_total", "counter", "Rows that the hub had lost and devices have brought back."),
    Spec("image_offers_total", "counter", "Empty devices that asked for a file image, by what they got.", ("outcome",)),
    Spec("image_builds_total", "counter", "File images made, by how: ok, or failed.", ("outcome",)),
    Spec("image_build_seconds", "histogram", "Making one.", (), SECONDS),
    Spec("image_bytes_sent_total", "counter", "Bytes of file images sent to devices, as they are."),
    Spec("live_channels", "gauge", "Live channels open now."),
    Spec("spaces", "gauge", "Spaces that hold or held rows."),
    Spec("feed_head_total", "gauge", "Numbers given in all feeds together."),
    Spec("feed_head", "gauge", "Head of the feed of a space; only while there are at most 100 spaces.", ("space",)),
    Spec("drain_waiting", "gauge", "1 when rows of other programs wait to be sequenced."),
    Spec("drain_lag_seconds", "gauge", "For how long at most the oldest of them has waited; 0 when none does."),
    Spec("drain_set_aside", "gauge", "Rows of other programs that cannot be synced as they are."),
    Spec("store_up", "gauge", "1 when the store can be read."),
)


def hub_metrics() -> Metrics:
    """New metrics, all at zero."""
    return Metrics(SPECS)
