"""What a type annotation says about a column."""

from __future__ import annotations

import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

from holdfast.schema import stored

T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """Names a column type that Python has no own type for."""

    type: str


@dataclass(frozen=True)
class Generate:
    """Names the way in which the database fills a column by itself."""

    generate: str


@dataclass(frozen=True)
class Merge:
    """Names a merge type, and the function of the application that a custom one calls."""

    merge: str
    function: str = ""


BigInt = Annotated[int, Kind("bigint")]
JsonValue = Annotated[Any, Kind("json")]
BlockKey = Annotated[int, Generate("block")]
Counter = Annotated[int, Merge("counter")]
Set = Annotated[AbstractSet[T], Merge("set")]
GrowSet = Annotated[AbstractSet[T], Merge("grow_set")]
Earliest = Annotated[T, Merge("earliest")]
Latest = Annotated[T, Merge("latest")]
Text = Annotated[str, Merge("text")]
Json = Annotated[Any, Kind("json"), Merge("json")]
MergeText = Annotated[str, Merge("merge_text")]
ServerWins = Annotated[T, Merge("server_wins")]
Review = Annotated[T, Merge("review")]

if TYPE_CHECKING:
    Custom = Annotated
else:

    class Custom:
        """`hf.Custom[str, "join_lines"]`: merged by the function that the hub's `@server.merge("join_lines")` names.

        Some linters take a text in an annotation for a type and its quotes away: write `Literal["join_lines"]` there.
        """

        def __class_getitem__(cls, parameters: Any) -> Any:
            if isinstance(parameters, tuple) and len(parameters) == 2 and typing.get_origin(parameters[1]) is Literal:
                parameters = (parameters[0], *typing.get_args(parameters[1]))
            if not (isinstance(parameters, tuple) and len(parameters) == 2 and isinstance(parameters[1], str)):
                raise TypeError('write hf.Custom[type, "name of the merge function"]')
            return Annotated[parameters[0], Merge("custom", parameters[1])]


PYTHON_TYPES: Mapping[Any, str] = {
    str: "text",
    int: "int",
    float: "float",
    bool: "bool",
    bytes: "bytes",
    datetime.date: "date",
    datetime.datetime: "datetime",
    decimal.Decimal: "decimal",
    uuid.UUID: "uuid",
    datetime.time: "text",
    datetime.timedelta: "text",
}
STORED: Mapping[Any, str] = {datetime.time: stored.TIME, datetime.timedelta: "interval"}
"""Python types that go over the wire as text, with the type that makes them what they are."""
SUPPORTED = (
    "str, int, float, bool, bytes, datetime.date, datetime.datetime, datetime.time, datetime.timedelta, "
    "decimal.Decimal, uuid.UUID, list[...], an Enum, Literal[...], hf.BigInt, hf.BlockKey, hf.JsonValue, hf.Counter, "
    "hf.Set[...], hf.GrowSet[...], hf.Earliest[...], hf.Latest[...], hf.Text, hf.Json, hf.MergeText, "
    "hf.ServerWins[...], hf.Review[...], hf.Custom[..., 'function']; with | None if it is optional"
)


class Meaning(NamedTuple):
    """What a column is, read from its annotation; members as in `model.Column`."""

    type: str
    element: str = ""
    nullable: bool = False
    merge: str = "register"
    choices: tuple[Any, ...] | None = None
    stored: str = ""
    generate: str = ""
    function: str = ""


class Unsupported(Exception):
    """The annotation says nothing that a column can be; the text is the remedy."""


def read(annotation: Any) -> Meaning:
    """The meaning of a resolved annotation. Raises `Unsupported`."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return _optional(annotation)
    if typing.get_origin(annotation) is Annotated:
        return _annotated(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return _literal(annotation)
    if typing.get_origin(annotation) is list:
        return _list(annotation)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        members = [member.value for member in annotation]
        return Meaning(_type_of_all(members, f"Enum {annotation.__name__}"), choices=tuple(members))
    try:
        found = PYTHON_TYPES.get(annotation)
    except TypeError:
        found = None
    if found is None:
        raise Unsupported(f"annotation {_shown(annotation)} is not supported; use one of {SUPPORTED}")
    return Meaning(found, stored=STORED.get(annotation, ""))


def _list(annotation: Any) -> Meaning:
    """An array: one JSON value on the wire and on the device, an array in PostgreSQL."""
    (inner,) = typing.get_args(annotation)
    if typing.get_origin(inner) in (typing.Union, types.UnionType):
        inner = next(part for part in typing.get_args(inner) if part is not type(None))
    element = read(inner)
    if element.merge != "register" or element.choices is not None or element.type in ("json", "set"):
        raise Unsupported("list takes plain elements (no merge type or choices); use such as list[str]")
    return Meaning("json", stored=f"{element.stored or stored.NATURAL[element.type]}[]")


def _optional(annotation: Any) -> Meaning:
    rest = [part for part in typing.get_args(annotation) if part is not type(None)]
    if len(rest) != 1 or len(typing.get_args(annotation)) != 2:
        raise Unsupported(
            f"annotation {_shown(annotation)} joins several types; use one, with | None if it is optional"
        )
    return read(rest[0])._replace(nullable=True)


def _annotated(annotation: Any) -> Meaning:
    inner, *marks = typing.get_args(annotation)
    kinds = [mark.type for mark in marks if isinstance(mark, Kind)]
    chosen = [mark for mark in marks if isinstance(mark, Merge)]
    merges = [mark.merge for mark in chosen]
    generates = [mark.generate for mark in marks if isinstance(mark, Generate)]
    if len(kinds) > 1 or len(merges) > 1:
        raise Unsupported("the annotation names two merge types; use one")
    if merges and merges[0] in ("set", "grow_set"):
        return Meaning("set", _element(inner, merges[0]), merge=merges[0])
    if merges and isinstance(inner, TypeVar):
        label = f"hf.{merges[0].title().replace('_', '')}"
        raise Unsupported(f"{label} needs a type, such as {label}[datetime.date]")
    meaning = Meaning(kinds[0]) if kinds else read(inner)
    if generates:
        meaning = meaning._replace(generate=generates[0])
    if not merges:
        return meaning
    if meaning.merge != "register":
        raise Unsupported("the annotation names two merge types; use one")
    if meaning.nullable:
        raise Unsupported("write '| None' outside of the brackets")
    return meaning._replace(merge=chosen[0].merge, function=chosen[0].function)


def _element(inner: Any, merge: str) -> str:
    label = "hf.Set" if merge == "set" else "hf.GrowSet"
    arguments = typing.get_args(inner)
    if not arguments or isinstance(arguments[0], TypeVar):
        raise Unsupported(f"{label} needs an element type, such as {label}[str]")
    meaning = read(arguments[0])
    if meaning.nullable or meaning.merge != "register" or meaning.choices is not None or meaning.stored:
        raise Unsupported(
            f"{label} takes plain elements (no '| None', merge type or choices); use such as {label}[str]"
        )
    return meaning.type


def _literal(annotation: Any) -> Meaning:
    arguments = typing.get_args(annotation)
    members = tuple(member for member in arguments if member is not None)
    if any(isinstance(member, enum.Enum) for member in members):
        raise Unsupported(f"annotation {_shown(annotation)} names Enum members; use the Enum itself, or plain values")
    return Meaning(_type_of_all(members, _shown(annotation)), nullable=len(members) < len(arguments), choices=members)


def _type_of_all(members: typing.Sequence[Any], label: str) -> str:
    found = {type(member) for member in members}
    if found == {str}:
        return "text"
    if found == {int}:
        return "int"
    raise Unsupported(f"{label} must have at least one value, and all of them text or all of them int")


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else repr(annotation)
