"""Every column type and merge type, for the tests in a real browser."""

import datetime
from decimal import Decimal

import holdfast as hf


class Project(hf.Table, space="project:{id}"):
    id: str
    name: str = ""


class Item(hf.Table, space="project:{project_id}", indexes=[("project_id", "status", "rank"), ("due",)]):
    project_id: str
    status: str = "draft"
    rank: int = 0
    crew: hf.Counter = 0
    tags: hf.Set[str]
    seen: hf.GrowSet[str]
    inspected_on: hf.Earliest[datetime.date] | None = None
    closed_on: hf.Latest[datetime.date] | None = None
    due: datetime.datetime | None = None
    weight: float = 0.0
    cost: Decimal = Decimal(0)
    big: hf.BigInt = 0
    open: bool = True
    photo: bytes = b""
    settings: hf.JsonValue | None = None
    grade: hf.Review[str] = ""
    level: hf.ServerWins[int] = 0
    notes: hf.Text = ""
    config: hf.Json
    remark: hf.MergeText = ""


class Note(hf.Table, space="project:{project_id}", indexes=[("author", "at")]):
    project_id: str
    author: str
    at: int
    body: str


schema = hf.Schema(Project, Item, Note, version=1)
