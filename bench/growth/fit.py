"""The exponent of a growth: the slope of a straight line through the points, both axes logarithmic."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """b of cost = a x size^b, by least squares over the logarithms. 0: the size does not matter; 1: it costs in
    proportion. At least two sizes that differ; all positive."""
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(cost) for cost in costs]).slope
