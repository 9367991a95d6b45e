"""Real restaurant inspections from four CSV files: facility, code, inspection, violation.

The tables are those of the files, with their natural keys. One thing is added: a violation's `inspector`, taken from
its inspection when the rows are loaded, for a row's space is computed from the row alone. Every inspector is a device
whose space holds his inspections and their violations; facilities and codes are one space that all share.
"""

from __future__ import annotations

import csv
import datetime
from collections import Counter
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.cli.demo.world import OFFICE, Access, Device, Edit, Expected, Fill, Statement, World
from holdfast.errors import HoldfastError


class Facility(hf.Table, key="license_number", space="city"):
    """A restaurant. The number is text: one of them is the word None."""

    license_number: str
    license_code: str | None
    facility_code: str | None
    name: str
    address: str


class Code(hf.Table, key="code_section", space="city"):
    """A section of the health code."""

    code_section: str
    order_text: str


class Inspection(hf.Table, key="inspection_id", space="inspector:{inspector}"):
    """One visit."""

    inspection_id: int
    license_number: str = hf.column(references=Facility, index=True)
    kind: str
    purpose: str
    inspected_on: datetime.date
    inspector: str
    risk_level: int | None


class Violation(hf.Table, key="violation_id", space="inspector:{inspector}"):
    """What was found on a visit. `critical` is 0 or 1."""

    violation_id: int
    inspection_id: int = hf.column(references=Inspection, index=True)
    code_section: str = hf.column(references=Code)
    critical: int
    inspector: str


schema = hf.Schema(Facility, Code, Inspection, Violation, version=1)

NEW_VIOLATION = 1_000_000
NEW_INSPECTION = 9_000_000


def world(folder: Path, devices: int | None) -> World:
    """The world of a folder with the four files; at most `devices` devices, those with the most inspections first.

    Raises `demo_data`.
    """
    rows = {table.name: _read(folder, table.name) for table in schema.declared}
    by_inspection = {row["inspection_id"]: row["inspector"] for row in rows["inspection"]}
    for row in rows["violation"]:
        if row["inspection_id"] not in by_inspection:
            number = row["violation_id"]
            raise HoldfastError("demo_data", f"violation.csv: violation {number} names an inspection that is not there")
        row["inspector"] = by_inspection[row["inspection_id"]]
    visits = Counter(row["inspector"] for row in rows["inspection"])
    inspectors = sorted(name for name, _ in visits.most_common(devices - 1 if devices else None))
    everything: dict[str, Access] = {"city": "rw", **{f"inspector:{name}": "rw" for name in sorted(visits)}}
    made = [Device(OFFICE, everything, _office_edits(rows, inspectors))]
    for place, name in enumerate(inspectors, 1):
        mine: dict[str, Access] = {"city": "rw", f"inspector:{name}": "rw"}
        made.append(Device(name, mine, _inspector_edits(rows, name, place)))
    return World(
        title=f"{len(rows['violation']):,} violations of {folder.name}",
        note="violation.inspector is added when loading, from the violation's inspection: a row names its own space",
        schema_module=__name__,
        schema=schema,
        fill=[_fill(table.name, rows[table.name]) for table in schema.declared],
        devices=made,
        shared="three facilities and one section of the code",
        expected=_expected(inspectors),
    )


def _read(folder: Path, name: str) -> list[dict[str, str]]:
    path = folder / f"{name}.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HoldfastError("demo_data", f"{path}: {getattr(error, 'strerror', None) or error}") from error
    wanted = [column.name for column in schema.table(name).columns]
    found = list(rows[0]) if rows else []
    if found != [column for column in wanted if (name, column) != ("violation", "inspector")]:
        raise HoldfastError("demo_data", f"{path} has the columns {', '.join(found) or 'none'}")
    return rows


def _fill(name: str, rows: list[dict[str, str]]) -> Fill:
    columns = schema.table(name).columns
    sql = f"INSERT INTO {name} ({', '.join(c.name for c in columns)}) VALUES ({', '.join('?' * len(columns))})"
    numbers = {column.name for column in columns if column.type == "int"}
    optional = {column.name for column in columns if column.nullable}
    values: list[list[Any]] = []
    for row in rows:
        try:
            values.append([_value(row[c.name], c.name in numbers, c.name in optional) for c in columns])
        except (TypeError, ValueError) as error:
            raise HoldfastError("demo_data", f"{name}.csv: row {len(values) + 2}: {error}") from error
    return Fill(name, sql, values)


def _value(text: str, is_number: bool, is_optional: bool) -> Any:
    if not text and is_optional:
        return None
    return int(text) if is_number else text


def _meeting(rows: dict[str, list[dict[str, str]]], name: str, place: int) -> Edit:
    """What everybody does to the same rows."""
    first, second, third = (row["license_number"] for row in rows["facility"][:3])
    return Edit(
        "team meeting",
        [
            Statement("UPDATE facility SET facility_code = ? WHERE license_number = ?", [f"FC-{place:02}", first]),
            # Half of them write the name, half the address: different columns of a row merge.
            Statement(
                f"UPDATE facility SET {('name', 'address')[place % 2]} = ? WHERE license_number = ?",
                [f"As {name} saw it", second],
            ),
            Statement("UPDATE facility SET name = name || ' *' WHERE license_number = ?", [third]),
            Statement(
                "UPDATE code SET order_text = order_text || ? WHERE code_section = ?",
                [f" [{name}]", rows["code"][0]["code_section"]],
            ),
        ],
    )


def _own(rows: dict[str, list[dict[str, str]]], name: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    visits = [row for row in rows["inspection"] if row["inspector"] == name]
    return visits, [row for row in rows["violation"] if row["inspector"] == name]


def _inspector_edits(rows: dict[str, list[dict[str, str]]], name: str, place: int) -> list[Edit]:
    """A day of an inspector: the meeting, a restaurant opened and visited, findings, corrections, withdrawals."""
    visits, violations = _own(rows, name)
    section = rows["code"][place % len(rows["code"])]["code_section"]
    restaurant, visit = f"NEW-{place:02}", NEW_INSPECTION + place
    opening = [
        Statement(
            "INSERT INTO facility (license_number, license_code, name, address) VALUES (?, 'L159', ?, ?)",
            [restaurant, f"CAFÉ № {place}", f"{place} LAKE ST W"],
        ),
        Statement(
            "INSERT INTO inspection "
            "(inspection_id, license_number, kind, purpose, inspected_on, inspector, risk_level) "
            "VALUES (?, ?, 'Risk Based Inspection', 'Routine', '2013-07-01', ?, 1)",
            [visit, restaurant, name],
        ),
    ]
    edits = [_meeting(rows, name, place), Edit("opening", opening)]
    for number in range(10):
        columns = "violation_id, inspection_id, code_section, critical, inspector"
        sql = f"INSERT INTO violation ({columns}) VALUES (?, ?, ?, ?, ?)"
        found = [NEW_VIOLATION + 100 * place + number, visit, section, number % 2, name]
        edits.append(Edit("finding", [Statement(sql, found)]))
    for row in visits[:5]:
        sql = "UPDATE inspection SET risk_level = 3, purpose = 'Reinspection' WHERE inspection_id = ?"
        edits.append(Edit("correction", [Statement(sql, [int(row["inspection_id"])])]))
    for row in violations[:2]:
        sql = "DELETE FROM violation WHERE violation_id = ?"
        edits.append(Edit("withdrawn", [Statement(sql, [int(row["violation_id"])])]))
    return edits


def _office_edits(rows: dict[str, list[dict[str, str]]], inspectors: list[str]) -> list[Edit]:
    """The office reviews each inspector's work: a visit that he corrects, a violation that he deletes."""
    edits = [_meeting(rows, OFFICE, 0)]
    for name in inspectors:
        visits, violations = _own(rows, name)
        review = [
            Statement("UPDATE inspection SET risk_level = 2 WHERE inspection_id = ?", [int(visits[0]["inspection_id"])])
        ]
        review += [
            Statement("UPDATE violation SET critical = 1 - critical WHERE violation_id = ?", [int(row["violation_id"])])
            for row in violations[:1]
        ]
        edits.append(Edit("review", review))
    return edits


def _expected(inspectors: list[str]) -> list[Expected]:
    openings = "SELECT count(*) FROM facility WHERE license_number LIKE ?"
    findings = "SELECT count(*) FROM violation WHERE violation_id >= ?"
    return [
        Expected("every restaurant opened offline", openings, ["NEW-%"], len(inspectors)),
        Expected("every violation found offline", findings, [NEW_VIOLATION], 10 * len(inspectors)),
    ]
