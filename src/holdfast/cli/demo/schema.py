"""The field-forms schema of the demo: a building firm, its projects, and the forms its foremen fill in on site.

A foreman's tablet holds the whole of `company` (projects and blank forms: he reads and writes them) and the spaces of
his own projects. The office holds all spaces.
"""

from __future__ import annotations

import datetime
import decimal
from typing import Literal

import holdfast as hf


class Project(hf.Table, key="code", space="company"):
    """A building site. Everybody sees all of them."""

    code: str
    name: str
    client: str
    address: str
    phase: Literal["planned", "building", "handover", "closed"] = "building"
    due_on: hf.Earliest[datetime.date] | None = None  # of two promises the earlier one binds


class Form(hf.Table, key="code", space="company"):
    """A blank form: which questions it asks."""

    code: str
    title: str
    questions: hf.JsonValue


class Crew(hf.Table, space="project:{project}", unique=[("project", "name")]):
    """Who works on a site. The head count goes up and down by increments from everywhere."""

    project: str = hf.column(references=Project)
    name: str
    heads: hf.Counter = 0
    skills: hf.Set[str]


class Submission(hf.Table, space="project:{project}", indexes=[("project", "status")]):
    """A form that was filled in. An edit that a deleter had not seen keeps the row."""

    project: str = hf.column(references=Project)
    form: str = hf.column(references=Form)
    crew: str | None = hf.column(default=None, references=Crew)
    number: int
    status: Literal["draft", "sent", "approved", "rejected"] = "draft"
    answers: hf.JsonValue
    hours: decimal.Decimal = decimal.Decimal(0)
    photos: hf.Counter = 0
    tags: hf.Set[str]
    notes: str = ""


class Inspection(hf.Table, space="project:{project}", on_delete="delete"):
    """What an inspector found about a submission. Once deleted it stays deleted."""

    project: str = hf.column(references=Project)
    submission: str = hf.column(references=Submission)
    passed: bool | None = None
    defects: hf.Counter = 0
    due_on: hf.Earliest[datetime.date] | None = None
    visited_on: hf.Latest[datetime.date] | None = None
    remark: str = ""


schema = hf.Schema(Project, Form, Crew, Submission, Inspection, version=1)
