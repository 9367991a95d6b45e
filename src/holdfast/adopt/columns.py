"""What one column of the database becomes in the schema, or why it cannot be in it."""

from __future__ import annotations

import builtins
import keyword
import re
from typing import NamedTuple

from holdfast.adopt.catalogue import Column
from holdfast.schema import rules, stored

ANNOTATIONS = {
    "text": "str",
    "int": "int",
    "bigint": "hf.BigInt",
    "float": "float",
    "bool": "bool",
    "bytes": "bytes",
    "date": "datetime.date",
    "datetime": "datetime.datetime",
    "decimal": "Decimal",
    "uuid": "uuid.UUID",
    "json": "hf.JsonValue",
}
"""Wire type -> what is written for it."""
_OWN = {stored.TIME: "datetime.time", "interval": "datetime.timedelta"}

_REMEDIES = {
    "time with time zone": "use timestamp with time zone, or time without a zone",
    "money": "use numeric",
    "inet": "use text with a CHECK",
    "xml": "use text",
    "hstore": "use jsonb",
    "name": "use text",
    "oid": "use bigint",
}
_NOW = re.compile(
    r"(?:now|statement_timestamp|transaction_timestamp|clock_timestamp)\(\)|CURRENT_TIMESTAMP|CURRENT_DATE|CURRENT_TIME"
    r"|LOCALTIMESTAMP|LOCALTIME|timezone\('utc'::text, now\(\)\)|\(now\(\)\)::date|\('now'::text\)::date"
    r"|\(?now\(\) AT TIME ZONE 'utc'::text\)?",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(?:[a-z_]+\.)?(?:gen_random_uuid|uuid_generate_v[147]\w*|uuidv[47])\(\)")
_SEQUENCE = re.compile(r"nextval\(")
_CONSTANT = re.compile(
    r"(?:\(?-?[0-9.]+\)?|true|false|E?'(?:[^']|'')*')(?:::[a-z_\". ]+(?:\([0-9, ]+\))?(?:\[\])?)?", re.IGNORECASE
)


class Left(NamedTuple):
    """Something that is not in the schema: `what` is one line, `why` the reason, `remedy` what would bring it in, if
    anything needs to be done. `column` is empty for a whole table.
    """

    table: str
    column: str
    what: str
    why: str
    remedy: str


class Adopted(NamedTuple):
    """A column of the schema. `type` and `stored` as in `model.Column`; `default` is how the database makes it: "now",
    "uuid7", "sequence", "constant" (then `constant` is the SQL), "server" (an expression that only the server knows) or
    empty.
    """

    name: str
    type: str
    stored: str
    nullable: bool
    choices: tuple[str, ...]
    default: str
    constant: str
    read_only: bool
    sequence: bool
    comment: str | None
    source: Column

    @property
    def annotation(self) -> str:
        """The annotation, without `| None`."""
        kind = stored.parse(self.stored or stored.NATURAL[self.type])
        if self.choices:
            return f"Literal[{', '.join(map(repr, self.choices))}]"
        if kind.array:
            element = kind.element
            return f"list[{_OWN.get(element.base) or ANNOTATIONS[stored.WIRE_TYPE[element.base]]}]"
        return _OWN.get(kind.base) or ANNOTATIONS[self.type]


def judge(table: str, column: Column) -> Adopted | Left:
    """The column in the schema, or why it is not."""

    def left(why: str, remedy: str) -> Left:
        return Left(table, column.name, f"column {column.name} ({column.type})", why, remedy)

    problem = name_problem(column.name, is_column=True)
    if problem:
        return left(problem, "rename it")
    if column.kind == "d":
        return left("an array of a domain is not supported", "give it elements of the type beneath, with a CHECK")
    plain = column.type.removesuffix("[]").rpartition(".")[2].strip('"')
    if column.kind == "e":
        if column.type.endswith("[]"):
            return left("an array of an enum is not supported", "use text[]")
        if not re.fullmatch(r"(?:[a-z_][a-z0-9_]*\.)?[a-z_][a-z0-9_]*", column.type) or plain in stored.WIRE_TYPE:
            return left("the name of its type is not one that Holdfast takes", "rename the type: a-z, 0-9 and _")
        kind = stored.Stored(column.type)
    elif column.kind != "b":
        return left("such a type is not supported", "split it into columns of plain types")
    else:
        try:
            kind = stored.parse(column.type.replace("public.citext", "citext"))
        except ValueError:
            kind = stored.Stored(column.type)
        if kind.is_enum:
            return left(
                "the type is not supported", _REMEDIES.get(plain, "use text, or leave the column on the server")
            )
        if kind.array and stored.WIRE_TYPE[kind.base] == "json":
            return left("an array of JSON is not supported", "use jsonb")
    return _adopted(column, kind)


def _adopted(column: Column, kind: stored.Stored) -> Adopted:
    wire = "text" if kind.is_enum else "json" if kind.array else stored.WIRE_TYPE[kind.base]
    text = kind.text()
    default, constant = _default(column)
    # What a sequence gives to anything but a key is the server's to give; and so is what cannot be written at all.
    made = bool(column.generated)
    return Adopted(
        name=column.name,
        type=wire,
        stored="" if text == stored.NATURAL[wire] else text,
        nullable=not column.not_null or made,
        choices=tuple(column.labels) if kind.is_enum else (),
        default="" if made else default,
        constant=constant,
        read_only=made,
        sequence=bool(column.identity or column.sequence or default == "sequence"),
        comment=column.comment,
        source=column,
    )


def _default(column: Column) -> tuple[str, str]:
    text = column.default
    if column.identity:
        return "sequence", ""
    if text is None or text.startswith("NULL::"):
        return "", ""
    if _NOW.fullmatch(text):
        return "now", ""
    if _RANDOM.fullmatch(text):
        return "uuid7", ""
    if _SEQUENCE.match(text):
        return "sequence", ""
    return ("constant", text) if _CONSTANT.fullmatch(text) else ("server", text)


def name_problem(name: str, *, is_column: bool) -> str:
    """Why a name cannot be one in the schema; empty when it can."""
    if not rules.NAME_FORM.fullmatch(name):
        return "the name has other characters than a-z, 0-9 and _"
    if name.startswith(rules.RESERVED_PREFIXES):
        return "the name begins as those of a database's own tables do"
    if is_column and (name in rules.RESERVED_COLUMNS or name.startswith("__")):
        return "the name is reserved by a database or by JavaScript"
    if is_column and keyword.iskeyword(name):
        return "the name is a keyword of Python"
    return ""


def is_builtin(name: str) -> bool:
    """Whether a class of that name would hide one of Python's own."""
    return hasattr(builtins, name)
