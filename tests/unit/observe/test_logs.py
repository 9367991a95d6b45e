"""Structured logs: the list of events, and their JSON form."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from holdfast.observe.logs import EVENTS, JsonLines, event


@pytest.fixture
def lines() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("holdfast.tests.logs")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger, stream
    logger.removeHandler(handler)


def test_an_event_is_one_line_of_json(lines: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = lines
    event(logger, "hub.foreign", rows=3, milliseconds=1.5)
    (line,) = stream.getvalue().splitlines()
    members = json.loads(line)
    assert members.pop("time").endswith("Z")
    assert members == {
        "level": "info",
        "logger": "holdfast.tests.logs",
        "event": "hub.foreign",
        "rows": 3,
        "milliseconds": 1.5,
    }


def test_other_records_keep_their_message_and_traceback(lines: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = lines
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("it failed: %s", "Ștefan")
    (line,) = stream.getvalue().splitlines()
    members = json.loads(line)
    assert members["message"] == "it failed: Ștefan"
    assert "ValueError: two\nlines" in members["traceback"]


@pytest.mark.parametrize("fields", [{"rows": 1}, {"rows": 1, "milliseconds": 1, "more": 1}])
def test_an_event_has_exactly_its_fields(lines: tuple[logging.Logger, io.StringIO], fields: dict[str, int]) -> None:
    with pytest.raises((KeyError, TypeError)):
        event(lines[0], "hub.foreign", **fields)


def test_fields_do_not_hide_the_members_of_every_line() -> None:
    every = {"time", "level", "logger", "event", "traceback"}
    assert not [name for name, spec in EVENTS.items() if every & set(spec.fields.split())]
