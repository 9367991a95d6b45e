"""Every event that is logged is in the list that operators read, and every event of the list is logged."""

from __future__ import annotations

import re
from pathlib import Path

import holdfast
from holdfast.observe.logs import EVENTS

LOGGED = re.compile(r"\b(?:log_)?(?:event|record)\(\s*\w+,\s*\"([a-z]+\.[a-z_]+)\"")


def test_the_list_of_events_is_what_is_logged() -> None:
    source = Path(holdfast.__file__).parent
    logged = {name for file in source.rglob("*.py") for name in LOGGED.findall(file.read_text("utf-8"))}
    assert logged == set(EVENTS)
