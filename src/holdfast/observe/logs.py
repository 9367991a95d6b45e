"""Structured logs: named events with named fields, on Python's own loggers.

Each record has `event` (a name of `EVENTS`) and `fields` (a mapping); its message is the event and its fields as text.
`JsonLines` writes any record as one JSON object a line. docs/reference/logs.md is made of `EVENTS`.
"""

from __future__ import annotations

import datetime
import json
import logging
from typing import Any, NamedTuple


class Event(NamedTuple):
    """What an event means, its level, and its fields."""

    level: int
    meaning: str
    fields: str


EVENTS: dict[str, Event] = {
    "hub.round": Event(
        logging.INFO,
        "A request was answered.",
        "user device outcome transactions accepted refused bytes_received milliseconds",
    ),
    "hub.refused": Event(logging.INFO, "A transaction was refused.", "user device code table key column message"),
    "hub.foreign": Event(logging.INFO, "Rows that other programs wrote were sequenced.", "rows milliseconds"),
    "hub.collected": Event(logging.INFO, "What is behind the horizon was collected.", "records conflicts spaces"),
    "hub.history_lost": Event(
        logging.ERROR,
        "A device has read what the hub does not know: its database was restored from a backup, or failed over.",
        "device spaces",
    ),
    "hub.restored": Event(
        logging.WARNING, "A device has brought back rows that the hub had lost.", "user device rows changed refused"
    ),
    "hub.not_restored": Event(
        logging.ERROR, "A row that comes back is not taken; the device keeps it.", "device table key code message"
    ),
    "hub.store_unavailable": Event(logging.ERROR, "The store cannot work now; devices try again.", "error"),
    "hub.image_built": Event(
        logging.INFO, "A file image was made for empty devices.", "key image rows bytes plain milliseconds"
    ),
    "hub.image_failed": Event(
        logging.WARNING, "A file image could not be made; devices take pages, and it is tried again.", "key error"
    ),
    "hub.image_damaged": Event(
        logging.WARNING, "A file image on the disk is not what it was; it is thrown away and made again.", "image"
    ),
    "device.round": Event(
        logging.INFO,
        "A round of a device has ended.",
        "file trigger channel url transactions accepted refused conflicts rows bytes_sent bytes_received "
        "plain_sent plain_received attempt milliseconds error",
    ),
    "device.verified": Event(
        logging.INFO,
        "A device has compared its copy with the hub.",
        "file at ok spaces rows repaired lost",
    ),
    "device.image": Event(
        logging.INFO,
        "A device has taken its first load as a file, or refused the file and takes pages.",
        "file image bytes_received rows milliseconds error",
    ),
    "device.state": Event(
        logging.INFO, "The sync loop of a device is in another state.", "file state channel url error retry_in"
    ),
}


def event(logger: logging.Logger, name: str, **fields: Any) -> None:
    """Log an event of the list, with exactly its fields."""
    spec = EVENTS[name]
    if logger.isEnabledFor(spec.level):
        given = {field: fields.pop(field) for field in spec.fields.split()}
        if fields:
            raise TypeError(f"{name} has no field {', '.join(fields)}")
        text = " ".join(f"{field}={value}" for field, value in given.items() if value not in (None, ""))
        logger.log(spec.level, "%s %s", name, text, extra={"event": name, "fields": given})


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, event (if it is one), message, its fields, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        members: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        name = getattr(record, "event", None)
        if name in EVENTS:
            members |= {"event": name, **getattr(record, "fields", {})}
        else:
            members["message"] = record.getMessage()
        if record.exc_info:
            members["traceback"] = self.formatException(record.exc_info)
        return json.dumps(members, ensure_ascii=False, default=str)
