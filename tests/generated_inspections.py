"""Inspections of restaurants that never were, in the shape of `../shared/data/inspections`: for machines without it.

The same four files, headers, sizes, key forms and rarely filled columns; texts with what makes CSV hard (quotes,
commas, line ends, letters outside ASCII). The same seed gives the same bytes everywhere.
"""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

FACILITIES, CODES, INSPECTIONS, VIOLATIONS, INSPECTORS = 1_332, 333, 5_429, 26_461, 23
FIRST_DAY = datetime.date(2011, 1, 3)
WORDS = ("Café", "Smørrebrød", "Grill & Bar", "THE 'OLD' OAK", '"Royal" Diner', "Phở 24", "Nº 9 Bakery", "麺屋")
ORDERS = ('Clean "food" surfaces, daily.', "Provide soap;\nprovide towels.", "Keep cold food at 5 °C or below.  ")


def write(folder: Path, seed: int = 1) -> Path:
    """Write facility.csv, code.csv, inspection.csv and violation.csv into the folder; returns it."""
    random = Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    licences = [str(number) for number in random.sample(range(10_000, 99_999), FACILITIES)]
    sections = [f"{number}-{number % 7 + 1}.{number:02}" for number in range(1, CODES + 1)]
    visits = [str(249_000 + 3 * number) for number in range(INSPECTIONS)]
    facilities = [
        (licence, f"L{random.randint(1, 54):03}", "" if number else "FBLB-0001", random.choice(WORDS), _address(random))
        for number, licence in enumerate(licences)
    ]
    _file(folder, "facility", ("license_number", "license_code", "facility_code", "name", "address"), facilities)
    orders = ((section, f"{random.choice(ORDERS)} {section}") for section in sections)
    _file(folder, "code", ("code_section", "order_text"), orders)
    columns = ("inspection_id", "license_number", "kind", "purpose", "inspected_on", "inspector", "risk_level")
    _file(folder, "inspection", columns, (_inspection(random, visit, random.choice(licences)) for visit in visits))
    violations = (
        (number, random.choice(visits), random.choice(sections), random.randint(0, 1))
        for number in range(1, VIOLATIONS + 1)
    )
    _file(folder, "violation", ("violation_id", "inspection_id", "code_section", "critical"), violations)
    return folder


def _inspection(random: Random, visit: str, licence: str) -> tuple[object, ...]:
    day = FIRST_DAY + datetime.timedelta(days=random.randrange(900))
    kind = random.choice(("Risk Based Inspection", "Non-Risk Based Inspection"))
    purpose = random.choice(("Routine", "Reinspection", "Complaint", "Opening"))
    risk = "" if visit == "249000" else random.randint(1, 3)
    return visit, licence, kind, purpose, day, f"inspector-{random.randint(1, INSPECTORS):02}", risk


def _address(random: Random) -> str:
    return f"{random.randint(1, 4_999)} LAKE ST W MINNEAPOLIS, MN 554{random.randint(1, 99):02}"


def _file(folder: Path, name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
