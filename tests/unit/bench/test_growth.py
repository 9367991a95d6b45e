"""What the page about growth is made of: the fitted exponent, the drawing, and costs measured in real worlds."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.growth.fit import exponent
from bench.growth.plot import HEIGHT, WIDTH, drawing
from bench.growth.worlds import CHANGES, MEASURES, Size, World


@pytest.mark.parametrize("power", [-0.5, 0.0, 0.3, 1.0, 2.0])
def test_the_exponent_of_a_power_is_found(power: float) -> None:
    sizes = [1, 10, 1_000, 100_000]
    assert exponent(sizes, [7.5 * size**power for size in sizes]) == pytest.approx(power)


def test_every_point_is_drawn_once_in_the_drawing_and_growth_goes_up() -> None:
    curves = {"a & b": [(1, 0.002), (1_000_000, 5_000)], "c": [(10, 3)]}
    text = drawing("<Time>", "rows", "ms", curves)
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == "<Time>"
    points = [(float(one.get("cx", "")), float(one.get("cy", ""))) for one in root.iter() if one.tag.endswith("circle")]
    assert len(points) == 3 + len(curves)
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in points)
    (first, last) = re.findall(r"[\d.]+ [\d.]+", next(p.get("d", "") for p in root.iter() if p.get("class") == "c0"))
    assert float(first.split()[0]) < float(last.split()[0])
    assert float(first.split()[1]) > float(last.split()[1])


def test_costs_are_those_of_real_rounds(tmp_path: Path) -> None:
    with ExitStack() as things:
        world = World(tmp_path, Size(rows=300, spaces=3, devices=3), things)
        assert world.ben.execute("select count(*), count(distinct site) from visit") == [(300, 3)]
        costs = {name: of(world) for name, of in MEASURES.items()}
        quiet, sent, received = costs.values()
        assert 0 < quiet.bytes < received.bytes < sent.bytes
        assert all(cost.ms > 0 for cost in costs.values())
        assert world.ben.execute("select sum(number) from visit")[0][0] == CHANGES * 2 * 7
