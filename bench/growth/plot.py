"""Curves over two logarithmic axes, as SVG that is readable on light and dark pages."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 40, 52
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f } .small { font-size: 12px; fill: #57606a }
.grid { stroke: #d0d7de } path { fill: none; stroke-width: 2.5 }
.c0 { stroke: #0550ae; fill: #0550ae } .c1 { stroke: #116329; fill: #116329 } .c2 { stroke: #a40e26; fill: #a40e26 }
path.c0, path.c1, path.c2 { fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #3d444d }
.c0 { stroke: #79c0ff; fill: #79c0ff } .c1 { stroke: #7ee787; fill: #7ee787 } .c2 { stroke: #ffa198; fill: #ffa198 }
}
"""


def drawing(title: str, across: str, up: str, curves: Mapping[str, Points]) -> str:
    """An SVG with one line a curve, at most three; `across` and `up` name the axes."""
    xs = [x for points in curves.values() for x, _ in points]
    ys = [y for points in curves.values() for _, y in points]
    x_axis, y_axis = _Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT), _Axis(min(ys), max(ys), HEIGHT - BOTTOM, TOP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"',
        f'  aria-label="{html.escape(title)}">',
        f"<style>{STYLE}</style>",
    ]
    for value in y_axis.decades():
        y = y_axis.at(value)
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text class="small" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(value)}</text>')
    for value in x_axis.decades():
        x = x_axis.at(value)
        lines.append(f'<text class="small" x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">')
        lines[-1] += f"{_short(value)}</text>"
    lines.append(f'<text class="small" x="{LEFT}" y="{HEIGHT - 10}">{html.escape(across)}</text>')
    lines.append(f'<text class="small" x="8" y="18">{html.escape(up)}</text>')
    place = float(WIDTH - RIGHT)
    for number, (name, points) in reversed(list(enumerate(curves.items()))):
        where = [(x_axis.at(x), y_axis.at(y)) for x, y in points]
        path = " L ".join(f"{x:.1f} {y:.1f}" for x, y in where)
        lines.append(f'<path class="c{number}" d="M {path}"/>')
        lines += [f'<circle class="c{number}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in where]
        lines.append(f'<text x="{place:.0f}" y="18" text-anchor="end">{html.escape(name)}</text>')
        place -= 7.2 * len(name) + 6
        lines.append(f'<circle class="c{number}" cx="{place:.0f}" cy="14" r="4"/>')
        place -= 14
    return "\n".join([*lines, "</svg>", ""])


class _Axis:
    """A logarithmic axis from whole decade to whole decade, between two places of the drawing."""

    def __init__(self, least: float, most: float, first: float, last: float) -> None:
        self._low = math.floor(math.log10(least) + 1e-9)
        self._high = max(self._low + 1, math.ceil(math.log10(most) - 1e-9))
        self._first, self._last = first, last

    def at(self, value: float) -> float:
        """Where a value stands."""
        part = (math.log10(value) - self._low) / (self._high - self._low)
        return self._first + part * (self._last - self._first)

    def decades(self) -> list[float]:
        """1, 10, 100 ... as far as the axis goes."""
        return [10.0**power for power in range(self._low, self._high + 1)]


def _short(value: float) -> str:
    """A decade in few letters."""
    for limit, sign in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g} {sign}"
    return f"{value:g}"
