"""Field-forms data: a few projects, their crews, some hundred filled-in forms, and a day of offline work on them.

Deterministic: the same sizes give the same rows and the same edits.
"""

from __future__ import annotations

import datetime
import json
import uuid
from random import Random
from typing import Any

from holdfast.cli.demo.schema import schema
from holdfast.cli.demo.world import OFFICE, Access, Device, Edit, Expected, Fill, Statement, World

FOREMEN = ("anna", "bilal", "chloe", "dinh", "emeka", "freya", "goran", "hana", "ivo", "jun")
SITES = (
    ("HB", "Harbour bridge, north pier", "Port Authority"),
    ("SR", "Școala 12, new roof", "City of Cluj"),
    ("ML", "Metro line 4, shaft C", "Metro Works"),
    ("WT", "Water tower – repainting", "Stadtwerke"),
)
TRADES = ("Concrete", "Steel", "Roofing", "Electrics", "Painting", "Scaffolding")
FORMS = (
    ("daily", "Daily report", ["weather", "work_done", "visitors"]),
    ("pour", "Concrete pour", ["mix", "volume_m3", "slump_mm", "temperature"]),
    ("safety", "Safety walk", ["helmets", "edges", "fire", "remarks"]),
    ("weld", "Weld check", ["joint", "method", "result"]),
    ("hand", "Handover", ["rooms", "keys", "signature"]),
)
WORK = ("Formwork set, rebar tied", "Rain until 10 h, poured after", "Scaffold moved 12 m east", "Crane blocked ⛔ 2 h")
TAGS = ("urgent", "rework", "photo", "client", "weather")
TODAY = datetime.date(2026, 3, 9)


def world(devices: int, submissions: int) -> World:
    """A world with `devices` devices (the office among them) and `submissions` filled-in forms."""
    make = _Maker(Random(7))
    sites = SITES[: max(2, min(len(SITES), devices - 1))]
    make.fill(sites, submissions)
    names = [FOREMEN[i] if i < len(FOREMEN) else f"foreman-{i + 1}" for i in range(devices - 1)]
    spaces: dict[str, Access] = {"company": "rw", **{f"project:{code}": "rw" for code, _, _ in sites}}
    made = [Device(OFFICE, spaces, make.office_edits())]
    for place, name in enumerate(names):
        code = sites[place % len(sites)][0]
        # The first site is where everybody meets; a foreman has his own site besides.
        mine: dict[str, Access] = {"company": "rw", f"project:{sites[0][0]}": "rw", f"project:{code}": "rw"}
        made.append(Device(name, mine, make.foreman_edits(name, code, place)))
    return World(
        title="field forms",
        note="",
        schema_module="holdfast.cli.demo.schema",
        schema=schema,
        fill=make.tables,
        devices=made,
        shared="one submission, one crew, one inspection and one project",
        expected=make.expected(),
    )


class _Maker:
    """Makes rows and edits, and remembers what counters must come to."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.tables: list[Fill] = []
        self.submissions: dict[str, list[str]] = {}
        self.crews: dict[str, list[str]] = {}
        self.inspections: list[str] = []
        self.heads = self.photos = self.added = 0
        self.skills: set[str] = set()

    def identifier(self) -> str:
        """A UUID from the seeded source."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def fill(self, sites: tuple[tuple[str, str, str], ...], submissions: int) -> None:
        """The rows to begin with."""
        self.site = sites[0][0]
        due = TODAY + datetime.timedelta(days=60)
        projects = [
            [c, name, client, f"{9 * i + 3} Quay Street", due.isoformat()] for i, (c, name, client) in enumerate(sites)
        ]
        self._table("project", "code name client address due_on", projects)
        self._table("form", "code title questions", [[code, title, json.dumps(asked)] for code, title, asked in FORMS])
        crews: list[list[Any]] = []
        for code, _, _ in sites:
            trades = self.random.sample(TRADES, 3)
            self.crews[code] = [self.identifier() for _ in trades]
            crews += [
                [key, code, f"{trade} {code}", self.random.randint(3, 9), json.dumps([trade.lower()])]
                for key, trade in zip(self.crews[code], trades, strict=True)
            ]
        self._table("crew", "id project name heads skills", crews)
        self.heads = crews[0][3]
        self.skills = set(json.loads(crews[0][4]))
        rows = [self._submission(sites[n % len(sites)][0], n) for n in range(submissions)]
        columns = "id project form crew number status answers hours photos tags notes"
        self._table("submission", columns, rows)
        self.photos = rows[0][8]
        inspected = [row for n, row in enumerate(rows) if n // len(sites) % 2 == 0]  # every second one of each site
        self._table("inspection", "id project submission passed defects due_on", list(map(self._inspection, inspected)))

    def _table(self, name: str, columns: str, rows: list[list[Any]]) -> None:
        names = columns.split()
        sql = f"INSERT INTO {name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        self.tables.append(Fill(name, sql, rows))

    def _submission(self, site: str, number: int) -> list[Any]:
        key, random = self.identifier(), self.random
        self.submissions.setdefault(site, []).append(key)
        form, _, asked = random.choice(FORMS)
        answers = {question: random.choice((*WORK, True, None, 12.5, 30)) for question in asked}
        hours = f"{random.randint(0, 11)}.{random.choice(('0', '25', '5', '75'))}"
        tags = json.dumps(sorted(random.sample(TAGS, random.randint(0, 2))))
        status = random.choice(("draft", "sent", "sent", "approved"))
        crew = random.choice(self.crews[site])
        text = json.dumps(answers, ensure_ascii=False)
        return [key, site, form, crew, number + 1, status, text, hours, random.randint(0, 6), tags, random.choice(WORK)]

    def _inspection(self, submission: list[Any]) -> list[Any]:
        key = self.identifier()
        if submission[1] == self.site:
            self.inspections.append(key)
        due = (TODAY + datetime.timedelta(days=self.random.randint(5, 40))).isoformat()
        passed = self.random.choice((1, 1, 0, None))
        return [key, submission[1], submission[0], passed, self.random.randint(0, 3), due]

    def meeting(self, name: str, place: int) -> Edit:
        """What everybody does to the same rows: statuses and notes collide, counters, sets and dates merge."""
        heads, photos = place + 1, place + 2
        self.heads += heads
        self.photos += photos
        self.skills.add(f"by-{name}")
        due = (TODAY + datetime.timedelta(days=30 - place)).isoformat()
        seen = (TODAY + datetime.timedelta(days=place)).isoformat()
        submission, crew, inspection = self.submissions[self.site][0], self.crews[self.site][0], self.inspections[0]
        return Edit(
            "site meeting",
            [
                Statement(
                    "UPDATE submission SET status = ?, notes = ?, photos = photos + ? WHERE id = ?",
                    [("sent", "approved", "rejected")[place % 3], f"{name}: {WORK[place % 4]}", photos, submission],
                ),
                Statement(
                    "UPDATE crew SET heads = heads + ?, skills = json_insert(skills, '$[#]', ?) WHERE id = ?",
                    [heads, f"by-{name}", crew],
                ),
                Statement(
                    "UPDATE inspection SET due_on = ?, visited_on = ?, remark = ? WHERE id = ?",
                    [due, seen, f"seen by {name}", inspection],
                ),
                Statement(
                    "UPDATE project SET due_on = ?, client = client || ? WHERE code = ?", [due, f" ({name})", self.site]
                ),
            ],
        )

    def foreman_edits(self, name: str, site: str, place: int) -> list[Edit]:
        """A day of one foreman: the meeting, new forms with their inspections, corrections, one deletion."""
        mine = [key for key in self.submissions[site][1:] if self.random.random() < 0.5][:12] or self.submissions[site][
            1:2
        ]
        edits = [self.meeting(name, place + 1)]
        for day in range(6):
            key, crew = self.identifier(), self.random.choice(self.crews[site])
            answers = json.dumps({"work_done": self.random.choice(WORK), "visitors": day})
            self.added += 1
            edits.append(
                Edit(
                    "daily report",
                    [
                        Statement(
                            "INSERT INTO submission (id, project, form, crew, number, answers, hours, notes) "
                            "VALUES (?, ?, 'daily', ?, ?, ?, ?, ?)",
                            [
                                key,
                                site,
                                crew,
                                10_000 + 100 * place + day,
                                answers,
                                f"{6 + day % 3}.50",
                                f"day {day} of {name}",
                            ],
                        ),
                        Statement(
                            "INSERT INTO inspection (id, project, submission, due_on) VALUES (?, ?, ?, ?)",
                            [self.identifier(), site, key, (TODAY + datetime.timedelta(days=14)).isoformat()],
                        ),
                    ],
                )
            )
        for key in mine:
            sql = "UPDATE submission SET status = 'sent', hours = '7.5', photos = photos + 1 WHERE id = ?"
            edits.append(Edit("correction", [Statement(sql, [key])]))
        # Deleted here; the office edits the same one: the edit keeps it.
        edits.append(
            Edit("withdrawn", [Statement("DELETE FROM submission WHERE id = ?", [self._withdrawn(site, place)])])
        )
        return edits

    def _withdrawn(self, site: str, place: int) -> str:
        """A submission without inspection (they stand on every second one), so that nothing refers to it."""
        free = self._free(site)
        return free[(1 + place // len(self.submissions)) % len(free)]

    def _free(self, site: str) -> list[str]:
        inspected = {row[2] for row in self.tables[-1].rows}
        return [key for key in self.submissions[site][1:] if key not in inspected] or self.submissions[site][1:]

    def office_edits(self) -> list[Edit]:
        """The office works on, too: the same rows, and those that foremen delete."""
        edits = [self.meeting(OFFICE, 0)]
        for site in self.submissions:
            free = self._free(site)
            chosen = [free[1 % len(free)], *self.submissions[site][2:6]]
            sql = "UPDATE submission SET notes = 'checked by the office', status = 'approved' WHERE id = ?"
            edits.append(Edit("review", [Statement(sql, [key]) for key in chosen]))
        return edits

    def expected(self) -> list[Expected]:
        """What must come out, whoever was first."""
        crew, submission = self.crews[self.site][0], self.submissions[self.site][0]
        skills = json.dumps(sorted(self.skills), separators=(",", ":"), ensure_ascii=False)
        return [
            Expected(
                "every increment of the head count, once", "SELECT heads FROM crew WHERE id = ?", [crew], self.heads
            ),
            Expected("every photo, once", "SELECT photos FROM submission WHERE id = ?", [submission], self.photos),
            Expected("every skill that somebody added", "SELECT skills FROM crew WHERE id = ?", [crew], skills),
            Expected(
                "every form written offline", "SELECT count(*) FROM submission WHERE number >= ?", [10_000], self.added
            ),
        ]
