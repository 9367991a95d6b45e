"""The shortest way from one sequence to another, as edits that people would recognise.

Algorithm: Myers, *An O(ND) Difference Algorithm and Its Variations*, 1986, greedy and forward, after the common start
and end are set aside, and given up for one replacement where more than `MAX_DIFFERENCES` would be needed. Pieces of
fewer than `MIN_KEPT` equal items between two edits are replaced with them: letters that two words happen to share are
not what a writer kept. Specification: `spec/merge.md`, section 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MAX_DIFFERENCES = 200
MIN_KEPT = 3
_STEP = 256

Edit = tuple[int, int, int, int]
"""(start, end) in the old sequence are replaced by (start, end) of the new one."""


def edits(old: Sequence[Any], new: Sequence[Any], min_kept: int = MIN_KEPT) -> list[Edit]:
    """The edits that lead from `old` to `new`, in rising order, no two of them adjacent."""
    start, limit = 0, min(len(old), len(new))
    while start < limit and old[start] == new[start]:
        start += 1
    end = 0
    while end < limit - start and old[-1 - end] == new[-1 - end]:
        end += 1
    middle_old, middle_new = old[start : len(old) - end], new[start : len(new) - end]
    if not middle_old and not middle_new:
        return []
    kept = _kept(middle_old, middle_new) if middle_old and middle_new else []
    found: list[Edit] = []
    a = b = 0
    for x, y, size in [*kept, (len(middle_old), len(middle_new), 0)]:
        if found and a - found[-1][1] < min_kept:
            found[-1] = (found[-1][0], x, found[-1][2], y)
        else:
            found.append((a, x, b, y))
        a, b = x + size, y + size
    return [(i + start, j + start, k + start, m + start) for i, j, k, m in found]


def _kept(old: Sequence[Any], new: Sequence[Any]) -> list[tuple[int, int, int]]:
    """Runs of equal items, (place in old, place in new, length), none when there are too many differences."""
    furthest = {1: 0}
    trail: list[dict[int, int]] = []
    for differences in range(MAX_DIFFERENCES + 1):
        trail.append(dict(furthest))
        for k in range(-differences, differences + 1, 2):
            down = k == -differences or (k != differences and furthest[k - 1] < furthest[k + 1])
            x = furthest[k + 1] if down else furthest[k - 1] + 1
            y = x - k
            # In steps as long as both have: comparing item by item is a hundred times slower.
            while x + _STEP <= len(old) and old[x : x + _STEP] == new[y : y + _STEP]:
                x, y = x + _STEP, y + _STEP
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y = x + 1, y + 1
            furthest[k] = x
            if x >= len(old) and y >= len(new):
                return _runs(trail, len(old), len(new))
    return []


def _runs(trail: list[dict[int, int]], x: int, y: int) -> list[tuple[int, int, int]]:
    """Walk the trail back from the end."""
    runs: list[tuple[int, int, int]] = []
    for differences in range(len(trail) - 1, -1, -1):
        furthest, k = trail[differences], x - y
        down = k == -differences or (k != differences and furthest[k - 1] < furthest[k + 1])
        before = k + 1 if down else k - 1
        from_x = furthest[before]
        from_y = from_x - before
        start = (from_x if down else from_x + 1) if differences else 0
        if x > start:
            runs.append((start, start - k, x - start))
        x, y = from_x, from_y
    runs.reverse()
    return runs
