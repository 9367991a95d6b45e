"""What a round needs of its device."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from holdfast.replica.tables import UserTables
from holdfast.schema.model import Schema


class Device(NamedTuple):
    """What a round needs of its device. `now` reads the clock: milliseconds since 2020-01-01 UTC, uncorrected."""

    path: str
    device: str
    schema: Schema
    tables: UserTables
    now: Callable[[], int]
    random_bits: Callable[[int], int]
    only_chosen: bool = False
