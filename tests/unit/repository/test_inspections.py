"""The inspections that tests use: the generated set has the shape of the real one and no loose end."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests import generated_inspections

KEYS = {
    "facility": "license_number",
    "code": "code_section",
    "inspection": "inspection_id",
    "violation": "violation_id",
}
COUNTS = {"facility": 1_332, "code": 333, "inspection": 5_429, "violation": 26_461}


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated_inspections.write(tmp_path_factory.mktemp("generated"))


def test_both_sets_have_the_same_shape(generated: Path, inspections: Path) -> None:
    for name, key in KEYS.items():
        for folder in (generated, inspections):
            rows = read(folder, name)
            assert len(rows) == COUNTS[name]
            assert len({row[key] for row in rows}) == len(rows)
        assert list(read(generated, name)[0]) == list(read(inspections, name)[0])


def test_every_reference_leads_somewhere(generated: Path) -> None:
    known = {name: {row[key] for row in read(generated, name)} for name, key in KEYS.items()}
    assert {row["license_number"] for row in read(generated, "inspection")} <= known["facility"]
    assert {row["inspection_id"] for row in read(generated, "violation")} <= known["inspection"]
    assert {row["code_section"] for row in read(generated, "violation")} <= known["code"]


def test_the_same_seed_gives_the_same_bytes(generated: Path, tmp_path: Path) -> None:
    again = generated_inspections.write(tmp_path)
    for name in KEYS:
        assert (again / f"{name}.csv").read_bytes() == (generated / f"{name}.csv").read_bytes()
