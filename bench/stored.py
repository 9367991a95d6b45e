"""Hubs that hold rows already: made once a size by a device that uploads them, then shared by the scenarios."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import apsw

from bench.device_process import sync_in_process
from bench.hub_process import hub_process


class Stored(NamedTuple):
    """A hub's file with rows in it, and the peak memory (bytes) of both sides while they were uploaded."""

    store: Path
    device_peak: float
    hub_peak: float


@cache
def stored_hub(folder: Path, rows: int) -> Stored:
    """A hub with so many form rows. To be read only; `copied_hub` gives one to write to."""
    store = folder / f"stored{rows}.db"
    with hub_process(store) as hub:
        device = sync_in_process(folder / f"stored{rows}-device.db", hub.url, "anna", rows)
    if device["pushed"] == 0:
        raise RuntimeError("nothing was uploaded")
    return Stored(store, device["peak"], float(hub.peak))


def copied_hub(folder: Path, rows: int, name: str) -> Path:
    """A copy of the file of `stored_hub`."""
    source, target = apsw.Connection(str(stored_hub(folder, rows).store)), apsw.Connection(str(folder / name))
    with target.backup("main", source, "main") as backup:
        backup.step()
    target.close()
    source.close()
    return folder / name
