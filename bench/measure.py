"""What a scenario gives: figures, each with its physical limit of the same run and the bar it has to reach."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple


class Settings(NamedTuple):
    """`runs` of everything that is repeated, the `folder` for files, `large`: also 300,000 rows; `small`: a hundredth
    where a scenario can, to see that it works.
    """

    runs: int
    folder: Path
    large: bool
    small: bool = False

    def sized(self, count: int, *, least: int = 100) -> int:
        """`count`, or so much less of it as is enough to see that it works."""
        return min(count, max(least, count // 100)) if self.small else count


class Bar(NamedTuple):
    """What has to be reached: `limit` by the median itself, or by its ratio to the physical limit."""

    kind: Literal["at least", "at most"]
    limit: float
    of: Literal["value", "ratio"] = "value"


class Figure(NamedTuple):
    """One measured thing. `values` of all runs in `unit`; `limit_values` in the same unit, from the same runs."""

    name: str
    unit: str
    values: Sequence[float]
    limit_name: str = ""
    limit_values: Sequence[float] = ()
    bars: tuple[Bar, ...] = ()

    @property
    def median(self) -> float:
        """Median of the runs."""
        return statistics.median(self.values)

    @property
    def limit(self) -> float | None:
        """Median of the physical limit; None without one."""
        return statistics.median(self.limit_values) if self.limit_values else None

    @property
    def ratio(self) -> float | None:
        """Median of (value / limit) run by run, which a noisy machine disturbs less than two medians."""
        if not self.limit_values:
            return None
        return statistics.median(value / limit for value, limit in zip(self.values, self.limit_values, strict=True))

    def reached(self, bar: Bar) -> bool:
        """Whether the median (or the ratio) reaches the bar."""
        measured = self.median if bar.of == "value" else self.ratio
        if measured is None:
            raise ValueError(f"{self.name} has a bar on its ratio and no limit")
        return measured >= bar.limit if bar.kind == "at least" else measured <= bar.limit


class Scenario(NamedTuple):
    """One file of `scenarios`: its name, one sentence, and what measures it."""

    name: str
    title: str
    run: Callable[[Settings], list[Figure]]
