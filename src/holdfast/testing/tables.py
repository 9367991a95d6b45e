"""The schema that the simulator runs: every column type, merge type, kind of key, delete policy and foreign key.

`entry`, `echo` and `account` are the ledger: what every transaction leaves there says afterwards which transactions had
an effect, how often, and whether it was whole.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Literal

from holdfast import schema
from holdfast.schema import (
    BigInt,
    Counter,
    Earliest,
    GrowSet,
    Json,
    JsonValue,
    Latest,
    MergeText,
    Queue,
    Review,
    Schema,
    ServerWins,
    Set,
    Table,
    Text,
    column,
    via,
)


class Entry(Table, key="label", space="log"):
    """One row for each transaction: written with it, never changed."""

    label: str


class Echo(Table, key="label", space="mirror"):
    """The twin of an entry, in another space: who sees one of them must see the other."""

    label: str


class Account(Table, key="id", space="log"):
    """Transfers keep the sum of all balances at zero; deposits add up."""

    id: str
    balance: Counter = 0
    deposits: Counter = 0


class Form(Table, key="id", space="p:{project}"):
    """Every column type and every merge type."""

    id: str
    project: str = "1"
    title: str = "new"
    whole: int = 0
    big: BigInt = 0
    real: float = 0.0
    yes: bool = False
    raw: bytes = b""
    day: datetime.date = datetime.date(2026, 1, 1)
    moment: datetime.datetime = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    price: decimal.Decimal = decimal.Decimal("1.50")
    ref: uuid.UUID | None = None
    extra: JsonValue | None = None
    state: Literal["draft", "sent", "closed"] = "draft"
    crew: Counter = 0
    stock: Counter = 5
    tags: Set[str]
    seen: GrowSet[int]
    first: Earliest[datetime.date] | None = None
    last: Latest[decimal.Decimal] | None = None
    story: Text = "Once upon a time"
    setup: Json = {"a": 1, "list": [1, 2]}  # noqa: RUF012
    memo: MergeText = ""


class Item(Table, key=("project", "number", "good"), space="p:{project}", on_delete="delete"):
    """A composite key, which holds the space; a deletion wins."""

    project: str
    number: int
    good: bool
    note: str | None = None
    amount: Counter = 0
    tags: Set[int]


class Code(
    Table,
    key="number",
    space="shared",
    unique=[("label",), ("level", "part")],
    queue=Queue(priority=3, max_concurrent=3),
):
    """An int key and two secondary UNIQUE constraints."""

    number: int
    label: str | None = None
    level: int | None = None
    part: str | None = None
    hits: Counter = 0


class Owner(Table, key="id", space="p:{project}", queue=Queue("slow", priority=9)):
    """A parent."""

    id: str
    project: str = "1"
    name: str = ""
    points: Counter = 0


class Pet(Table, key="id", space="p:{project}", on_delete="delete", queue=Queue(priority=-1)):
    """A child that goes with its parent."""

    id: str
    project: str = "1"
    owner: str | None = column(default=None, references=Owner, on_delete="cascade")
    note: str = ""


class Toy(Table, key="id", space="p:{project}", queue=Queue(priority=-2, batch_size=2)):
    """A child that its parent cannot leave behind, and a reference that is emptied."""

    id: str
    project: str = "1"
    owner: str | None = column(default=None, references=Owner)
    lent: str | None = column(default=None, references=Owner, on_delete="set_null")


class Page(Table, key="id", space=via("owner"), on_delete="delete"):
    """A child that lives where its parent lives, and goes with it."""

    id: str
    owner: str = column(references=Owner, on_delete="cascade")
    text: str = ""
    marks: Counter = 0


class Line(Table, key=("page", "number"), space=via("page")):
    """A grandchild whose key names its parent."""

    page: str = column(references=Page, on_delete="cascade")
    number: int
    text: str = ""


class Node(Table, key="id", space=via("parent", root="p:{project}")):
    """A tree: where the root lives, all of it lives."""

    id: str
    project: str = "1"
    parent: str | None = column(default=None, references="node", on_delete="set_null")
    name: str = ""


class Mine(Table, key="id", space="user:{@user}", queue=Queue(coalesce=False, retries=2)):
    """Rows of one user."""

    id: str
    note: str = ""
    day: Latest[int] | None = None


class Bare(Table, key=("project", "id"), space="p:{project}"):
    """Only a key."""

    project: str
    id: str


class Draft(Table, key="id", space="p:1"):
    """What people write and take back: types that somebody decides, and documents."""

    id: str
    title: str = ""
    clerk: ServerWins[str] = ""
    checked: Review[str] = ""
    remark: schema.Custom[str, Literal["words"]] = ""  # type: ignore[valid-type] # to mypy it is Annotated
    hits: Counter = 0
    tags: Set[str]
    story: Text
    memo: MergeText = ""
    setup: Json = {}  # noqa: RUF012


SCHEMA = Schema(Draft, Entry, Echo, Account, Form, Item, Code, Owner, Pet, Toy, Page, Line, Node, Mine, Bare, version=1)
ACCOUNTS = ("a", "b", "c")
